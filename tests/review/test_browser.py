"""The page in a real browser (Debian's Chromium): the whole story, every page's looks, and a lost connection."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from school import Page, School, pictures, reviewing, until

from pipeline.lesson import seen
from pipeline.records import Decision, Reason

playwright = pytest.importorskip("playwright.sync_api", reason="THE PAGE WAS NOT TRIED IN A BROWSER: no playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = os.environ.get("LESVEIL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
SHOTS = Path(os.environ.get("LESVEIL_SCREENSHOTS") or Path(__file__).resolve().parents[2] / "out" / "screenshots")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-audio-output",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="THE PAGE WAS NOT TRIED IN A BROWSER: chromium is not installed (apt-get install chromium)",
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    program = modest(tmp_path_factory.mktemp("chromium") / "chromium")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=program, headless=True, args=ARGUMENTS)
        yield made
        made.close()


def modest(script: Path) -> Path:
    """Chromium without the right to real-time priority.

    Started by root, its sound threads take that right even though nobody listens, and on a machine with few cores they
    have kept everything else from running for an hour.
    """
    assert CHROMIUM is not None
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        return Path(CHROMIUM)
    script.write_text(f'#!/bin/sh\nexec {setpriv} --bounding-set -sys_nice --inh-caps -sys_nice {CHROMIUM} "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture(scope="module")
def house(first_school: School, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page on a school in which the program was unsure of somebody."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(first_school.place, folder / "werkmap")
    archive = folder / "onedrive"
    archive.mkdir()
    settings = folder / "werkmap" / "lesveil.toml"
    text = settings.read_text(encoding="utf-8").replace(str(first_school.archive), str(archive))
    settings.write_text(text + "[review]\ntwo_people = true\n", encoding="utf-8")
    school = School(folder / "werkmap", archive, first_school.sample)
    doubt(school)
    with reviewing(school, "--lang", "nl") as page:
        yield page


def doubt(school: School) -> None:
    """Two stretches of hidden people become doubts, as if somebody's likeness had been half a step nearer."""
    from dataclasses import replace

    found = school.seen()
    hidden = [d for d in found.decisions if not d.keep and d.reason is Reason.STRANGER and d.stop - d.start > 60][:2]
    made: list[Decision] = [d for d in found.decisions if d not in hidden]
    for number, one in enumerate(hidden):
        at = one.start + 20 + 15 * number
        made += [
            replace(one, stop=at),
            replace(one, start=at, stop=at + 8, reason=Reason.UNSURE),
            replace(one, start=at + 8),
        ]
    with school.opened() as place:
        seen.keep(place.vault, school.state().clip, replace(found, decisions=made))


class Tab:
    """One person's browser, with what went wrong in it."""

    def __init__(self, browser: Any, page: Page, role: str, name: str, **options: Any) -> None:
        given = {"viewport": {"width": 1280, "height": 720}, "locale": "nl-NL"} | options
        self.house = page
        self.context = browser.new_context(**given)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(page.link_for(name, role))
        self.page.click("main button.primary")
        self.page.wait_for_selector("table")

    def _said(self, said: Any) -> None:
        """Keep what the console calls an error.

        A picture of a rendering that a newer one has just replaced is refused (409): that is how it should be, and the
        page asks for the new one.
        """
        replaced = "409" in said.text and said.location["url"].startswith(f"{self.house.address}/clips/")
        if said.type == "error" and not replaced:
            self.wrong.append(f"{said.text} {said.location}")

    def open_clip(self, name: str = "MVI_0001.MP4") -> None:
        self.page.goto(self.house.address)
        self.page.click(f"text={name}")
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-ready=yes]")
        until(lambda: self.page.evaluate("document.querySelector('video').readyState >= 2"))

    def shot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def go(self, frame: int) -> None:
        self.page.evaluate(
            """frame => new Promise(done => {
              const film = document.querySelector('video'), seek = document.querySelector('#seek');
              const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done));
              film.addEventListener('there', drawn, {once: true});
              seek.value = frame; seek.dispatchEvent(new Event('input'));
            })""",
            frame,
        )

    def looks(self) -> Any:
        """What the film shows now, 96 x 54 grey."""
        data = self.page.evaluate(
            """() => { const c = document.createElement('canvas'); c.width = 96; c.height = 54;
              const g = c.getContext('2d'); g.drawImage(document.querySelector('video'), 0, 0, 96, 54);
              return Array.from(g.getImageData(0, 0, 96, 54).data).filter((_, i) => i % 4 === 1); }"""
        )
        return np.array(data, np.float32).reshape(54, 96)

    def accessible(self) -> list[str]:
        """What axe finds that is serious or worse."""
        found = axe.Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def tab(browser: Any, house: Page) -> Iterator[Any]:
    """A maker of tabs that are closed again."""
    made: list[Tab] = []

    def make(role: str = "coach", name: str = "Geertje", **options: Any) -> Tab:
        made.append(Tab(browser, house, role, name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def shrunk(picture: Any) -> Any:
    """A frame as ``Tab.looks`` gives it (green stands for grey)."""
    height = picture.shape[0] * 2 // 3
    colour = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_YUV2BGR_I420)
    assert colour.shape[0] == height
    return cv2.resize(colour, (96, 54), interpolation=cv2.INTER_AREA)[..., 1].astype(np.float32)


def test_seeking_shows_the_very_frame(tab: Any, house: Page) -> None:
    one = tab("reviewer", "Bob")
    one.open_clip()
    frames = [shrunk(picture) for _, picture in pictures(house.school.rendering())]
    for number in (0, 19, 20, 21, 46, 47, 78, 79):
        one.go(number)
        seen_now = one.looks()
        apart = [float(np.abs(seen_now - frame).mean()) for frame in frames]
        assert int(np.argmin(apart)) == number
        assert one.page.input_value("#seek") == str(number)
    one.page.keyboard.press(",")
    until(lambda: one.page.input_value("#seek") == "78")
    one.page.keyboard.press("q")
    assert one.page.evaluate("document.querySelector('video').playbackRate") == 0.25
    assert one.wrong == []


def test_the_story(tab: Any, house: Page) -> None:
    """Sign in, jump through the doubts, hide a person, draw a region on a face, wait, approve twice, deliver."""
    school = house.school
    one = tab("reviewer", "Bob")
    page = one.page
    one.shot("01-list")
    one.open_clip()
    one.shot("02-clip")
    first = pictures(school.rendering())

    page.keyboard.press("n")
    until(lambda: page.input_value("#seek") != "0")
    at = [int(page.input_value("#seek"))]
    one.shot("03-doubt")
    page.keyboard.press("n")
    until(lambda: int(page.input_value("#seek")) != at[0])
    at.append(int(page.input_value("#seek")))
    assert at == [d.start for d in _doubts(school)]

    people = [d for d in school.seen().decisions if d.keep and d.stop - d.start > 60]
    shown = {d.person: next(t for t in school.seen().tracks if t.number == d.track) for d in people}
    hide, miss = shown["90017"], shown["41215"]
    page.click(f".people button[data-track='{hide.number}']")
    one.go(20)
    page.keyboard.press("i")
    one.go(34)
    page.keyboard.press("o")
    one.shot("04-marked")
    page.keyboard.press("h")
    until(lambda: school.state().render["repairs"])  # type: ignore[index]

    one.go(50)
    page.keyboard.press("d")
    draw(one, miss.box[50 - miss.start])
    page.wait_for_selector("dialog[open]")
    one.shot("05-region")
    page.click("input[value='1']")
    page.click("#regionask .primary")
    page.wait_for_selector("#work:not([hidden])")
    one.shot("06-rendering")
    until(lambda: len(school.state().render["repairs"]) == 2)  # type: ignore[index]
    page.wait_for_selector("#work[hidden]", state="attached")
    page.wait_for_selector("#still[hidden]", state="attached")
    until(lambda: page.evaluate("document.querySelector('video').readyState >= 2"))
    one.shot("07-rendered")

    after = pictures(school.rendering())
    for number in (20, 27, 34):
        assert plain(after[number][1], hide.box[number - hide.start], first[number][1])
    for number in (50, 55, 60):
        assert plain(after[number][1], miss.box[number - miss.start], first[number][1])

    school.lesveil("reject", school.state().clip, "--by", "Truus")
    page.reload()
    until(lambda: "Truus" in page.text_content("#verdictstate"))
    page.keyboard.press("a")
    page.wait_for_selector("#judge[open]")
    assert "Truus" in page.text_content("#overruled:not([hidden])")
    assert "{" not in page.text_content("#judge")
    one.shot("08-approve")
    page.keyboard.press("Enter")
    until(lambda: "Bob" in page.text_content("#verdictstate"))
    assert school.state().stage == "rendered"  # two people are asked for
    assert school.lesveil("deliver")["delivered"] == []
    other = tab("coach", "Geertje")
    other.open_clip()
    other.page.keyboard.press("a")
    other.page.keyboard.press("Enter")
    until(lambda: school.state().stage == "approved")
    approved = school.state().approved
    assert approved is not None
    other.shot("09-approved")
    (delivered,) = school.lesveil("deliver")["delivered"]
    arrived = Path(delivered["where"])
    assert seen_sha(arrived) == approved.payload["sha256"] == school.state().render["sha256"]  # type: ignore[index]
    final = pictures(arrived)
    assert plain(final[27][1], hide.box[27 - hide.start], first[27][1])
    assert plain(final[55][1], miss.box[55 - miss.start], first[55][1])
    assert one.wrong == other.wrong == []
    assert all(url.startswith((house.address, "blob:")) for url in one.asked + other.asked)


def _doubts(school: School) -> list[Decision]:
    return sorted((d for d in school.seen().decisions if d.reason is Reason.UNSURE), key=lambda d: d.start)


def seen_sha(path: Path) -> str:
    from pipeline.adapters.files import sha256_of

    return sha256_of(path)


def plain(picture: Any, box: Any, before: Any) -> bool:
    """Within the box the picture has lost its detail."""

    def detail(one: Any) -> float:
        x1, y1, x2, y2 = (int(value) for value in box)
        part = one[y1:y2, x1:x2].astype(np.float32)
        return float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())

    return detail(picture) < 0.4 * detail(before)


def draw(one: Tab, box: Any) -> None:
    """Draw around a face with the mouse."""
    screen = one.page.locator("#screen").bounding_box()
    scale = min(screen["width"] / 960, screen["height"] / 540)
    left = screen["x"] + (screen["width"] - 960 * scale) / 2
    top = screen["y"] + (screen["height"] - 540 * scale) / 2
    x1, y1, x2, y2 = (float(value) for value in box)
    high = y2 - y1
    one.page.mouse.move(left + (x1 - 0.2 * high) * scale, top + (y1 - 0.4 * high) * scale)
    one.page.mouse.down()
    one.page.mouse.move(left + (x2 + 0.2 * high) * scale, top + (y2 + 0.15 * high) * scale, steps=4)
    one.page.mouse.up()


def test_the_coach_says_who_somebody_is(tab: Any, house: Page) -> None:
    one = tab("coach", "Geertje")
    one.open_clip()
    found = house.school.seen()
    lane = max((t for t in found.tracks if all(not d.keep for d in found.decisions if d.track == t.number)), key=len_of)
    one.page.click(f".people button[data-track='{lane.number}']")
    one.page.keyboard.press("w")
    one.page.wait_for_selector("#nameask[open]")
    until(
        lambda: one.page.evaluate(
            "[...document.querySelectorAll('#originals img')].every(i => i.complete && i.naturalWidth)"
        )
    )
    one.shot("10-who")
    options = one.page.locator("#offered option").all_text_contents()
    assert len(options) >= 3
    assert not [text for text in options if "41222" in text]  # withdrew
    with house.school.opened() as place:
        looks = place.ledger.entries("look")
    assert {row.payload["by"] for row in looks} == {"Geertje"}
    one.page.keyboard.press("Escape")
    until(lambda: one.page.locator("#originals img").count() == 0)
    assert one.wrong == []


def test_the_coach_sees_every_track_that_was_joined(tab: Any, house: Page) -> None:
    """And shows only those whose picture came."""
    one = tab("coach", "Geertje")
    one.open_clip()
    found = house.school.seen()
    alone = [t.number for t in found.tracks if all(not d.keep for d in found.decisions if d.track == t.number)]
    first, second, third = sorted(alone)[:3]
    for other in (second, third):
        house.school.add("join", 0, len(found.pts), track=first, other=other)
    one.page.reload()
    one.ready()
    one.page.route(f"**/originals/*/{third}/*", lambda route: route.fulfill(status=429))
    one.page.click(f".people button[data-track='{first}']")
    one.page.keyboard.press("w")
    one.page.wait_for_selector("#nameask[open]")
    until(
        lambda: (
            one.page.evaluate("[...document.querySelectorAll('#originals img')].every(i => i.complete)")
            and one.page.locator("#originals img").count() == 3
        )
    )
    one.page.keyboard.press("Enter")  # nobody is named by that
    assert one.page.evaluate(
        "document.querySelector('#nameask').open && document.querySelector('#offered').value === ''"
    )
    one.page.select_option("#offered", index=1)
    one.page.click("#nameask .primary")
    one.page.wait_for_selector("#status:has-text('beeld')")
    until(lambda: one.page.evaluate("localStorage.length") == 0)
    with house.school.opened() as place:
        row = place.ledger.entries("repair", house.school.state().clip)[-1].payload
    assert (row["kind"], row["track"], row["tracks"]) == ("show", first, [first, second])


def test_why_nobody_can_be_named_now_is_told(tab: Any) -> None:
    one = tab("coach", "Geertje")
    one.open_clip()
    one.page.click(".people button.person")
    full = {"problem": "De schijf is vol."}
    one.page.route("**/offered", lambda route: route.fulfill(status=503, json=full))
    one.page.keyboard.press("w")
    one.page.wait_for_selector("#status:has-text('De schijf is vol.')")
    one.page.unroute("**/offered")
    one.page.route("**/offered", lambda route: route.abort())
    one.page.keyboard.press("w")
    one.page.wait_for_selector("#status:has-text('Geen verbinding')")


def len_of(track: Any) -> int:
    return len(track.box)


def _hiding_offline(tab: Any, house: Page) -> tuple[Any, list[Any]]:
    """A reviewer's tab in which somebody is hidden while nobody can be reached, and the repairs there were before."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = _repairs(house, 1)
    one.context.set_offline(True)
    one.page.click(".people button.person")
    one.page.keyboard.press("h")
    one.page.wait_for_selector("#offline:not([hidden])")
    return one, before


def test_a_lost_connection_loses_no_repair(tab: Any, house: Page) -> None:
    one, before = _hiding_offline(tab, house)
    one.shot("11-offline")
    assert _repairs(house, 1) == before
    kept = one.page.evaluate("Object.values(localStorage).join('')")
    assert '"kind":"hide"' in kept
    one.context.set_offline(False)
    one.page.reload()  # the tab was closed and opened again
    one.ready()
    until(lambda: len(_repairs(house, 1)) == len(before) + 1)
    assert one.page.evaluate("localStorage.length") == 0


def test_signing_in_again_sends_what_waited(tab: Any, house: Page) -> None:
    """As the page says: in another tab. What waits is sent under the name of who asked for it, and lost by nobody."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = _repairs(house, 1)
    refused: list[int] = []
    one.page.on("response", lambda said: refused.append(said.status) if said.url.endswith("/repairs") else None)
    other = one.context.new_page()
    other.goto(house.address)
    other.click("form[action='/sign-out'] button")
    one.page.click(".people button.person")
    one.page.keyboard.press("h")
    one.page.wait_for_selector("#offline:has-text('Truus')")
    _sign_in(other, house.link_for("Els", "reviewer"))
    seen = len(refused)
    until(lambda: one.page.evaluate("localStorage.length") == 0 or refused[seen:].count(403) >= 2)
    assert '"kind":"hide"' in one.page.evaluate("Object.values(localStorage).join('')")
    assert one.page.is_disabled("#approve")
    assert _repairs(house, 1) == before
    _sign_in(other, house.link_for("Truus", "reviewer"))
    until(lambda: one.page.evaluate("localStorage.length") == 0)
    assert len(_repairs(house, 1)) == len(before) + 1
    one.page.wait_for_selector("#offline[hidden]", state="attached")


def _sign_in(page: Any, link: str) -> None:
    page.goto(link)
    page.click("main button.primary")
    page.wait_for_selector("table")


def test_two_tabs_send_each_repair(tab: Any, house: Page) -> None:
    """They share what waits: while one sends a repair, the other sends it too, and puts one of its own there."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = _repairs(house, 1)
    held: list[Any] = []
    one.page.route("**/repairs", lambda route: route.continue_() if held else held.append(route))
    one.page.click(".people button.person")
    one.page.keyboard.press("h")
    until(lambda: one.page.evaluate("localStorage.length") and held)
    one.page.evaluate(
        """id => { const [key, kept] = Object.entries(localStorage)[0], items = JSON.parse(kept);
          items[0].body.id = id; localStorage.setItem(key, JSON.stringify(items)); }""",
        "e" * 32,
    )
    held[0].continue_()
    until(lambda: one.page.evaluate("localStorage.length") == 0)
    after = _repairs(house, 1)
    assert len(after) == len(before) + 2
    assert after[-1] == "e" * 32


def test_a_page_that_is_out_of_date_names_nobody(tab: Any, house: Page) -> None:
    """A repair that waited while the clip was looked at anew: the number may be somebody else's by now."""
    one, before = _hiding_offline(tab, house)
    key, kept = one.page.evaluate("Object.entries(localStorage)[0]")
    name = json.loads(kept)[0]["body"]["analysis"]
    assert name == house.school.seen(1).analysis
    one.page.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [key, kept.replace(name, "0" * 16)])
    one.context.set_offline(False)
    one.page.wait_for_selector("#status:has-text('laad de pagina opnieuw')")
    assert _repairs(house, 1) == before
    assert one.page.evaluate("localStorage.length") == 0


def _repairs(house: Page, number: int) -> list[Any]:
    with house.school.opened() as place:
        return [row.payload["id"] for row in place.ledger.entries("repair", house.school.state(number).clip)]


def test_what_is_approved_is_what_was_watched(tab: Any, house: Page) -> None:
    """While somebody is asked whether they approve, another rendering takes the place of the one they watched."""
    delivered = house.school.state().render["sha256"]  # type: ignore[index]
    house.school.add("mute", 20, 30)  # what was delivered is approved no more
    until(lambda: house.school.state().render["sha256"] != delivered)  # type: ignore[index]
    one = tab("coach", "Geertje")
    one.open_clip()
    before = house.school.state().render["sha256"]  # type: ignore[index]
    one.page.route("**/verdict", lambda route: (route.abort(), one.asked.append("verdict")))
    one.page.keyboard.press("a")
    one.page.wait_for_selector("#judge[open]")
    assert one.page.locator("#renewed").is_hidden()
    assert "0:00 van 0:0" in str(one.page.text_content("#unplayed:not([hidden])")), "only opened"
    house.school.add("mute", 0, 10)
    until(lambda: house.school.state().render["sha256"] != before)  # type: ignore[index]
    digest = house.school.state().render["sha256"]  # type: ignore[index]
    until(lambda: digest in one.page.get_attribute("#film", "src"))
    one.page.click("#judge .primary")
    one.page.wait_for_selector("#status:has-text('nieuwere versie')")
    assert "verdict" not in one.asked
    one.page.keyboard.press("a")
    one.page.wait_for_selector("#renewed:not([hidden])")


def test_every_doubt_is_come_to_and_a_verdict_that_is_lost_is_told(tab: Any, house: Page) -> None:
    """Three doubts may begin in one frame."""
    one = tab("coach", "Geertje")

    def three(route: Any) -> None:
        answer = route.fetch()
        said = answer.json()
        (_, stop, track, reason), *_ = said["doubts"]
        others = [lane["track"] for lane in said["lanes"] if lane["track"] != track][:2]
        said["doubts"] = [[0, stop, each, reason] for each in (track, *others)]
        route.fulfill(response=answer, json=said)

    one.page.route(re.compile(r"/data/clips/[^/]+$"), three)
    one.open_clip()
    told = []
    for key in "nnnnpp":
        one.page.keyboard.press(key)
        told.append(one.page.text_content("#status")[:16])
    assert told == [f"Twijfel {n} van 3:"[:16] for n in (1, 2, 3, 1, 3, 2)]
    one.page.keyboard.press("a")
    one.page.wait_for_selector("#judge[open]")
    assert one.page.locator("#unseen").is_hidden()
    one.page.route("**/verdict", lambda route: route.abort())
    one.page.click("#judge .primary")
    one.page.wait_for_selector("#status:has-text('NIET aangekomen')")


def test_a_key_takes_back_ones_own_repair_alone_and_says_which(tab: Any, house: Page) -> None:
    one = tab("coach", "Geertje")
    one.open_clip("<script>")
    house.school.add("mute", 0, 9, number=1, by="Bob")
    one.page.reload()
    one.ready()
    assert one.page.locator("#undo").is_hidden()
    one.page.keyboard.press("u")
    one.page.click(".people button.person")
    one.page.keyboard.press("h")
    one.page.wait_for_selector("#undo:not([hidden])")
    before = _undone(house)
    for repeated in (False, True, True):  # the key is held
        one.page.evaluate(
            "repeat => document.dispatchEvent(new KeyboardEvent('keydown', {key: 'u', repeat, bubbles: true}))",
            repeated,
        )
    one.page.wait_for_selector("#status:has-text('Teruggenomen')")
    until(lambda: len(_undone(house)) == len(before) + 1)


def _undone(house: Page) -> list[Any]:
    with house.school.opened() as place:
        return place.ledger.entries("repair_undone")


def test_who_is_joined_is_looked_at_first(tab: Any, house: Page) -> None:
    """With keys, the other person is chosen and shown, and joined by Enter."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = len(_repairs(house, 1))
    one.page.click(".people li:nth-child(2) button.person")  # the focus stays there: Enter is not for it
    one.page.keyboard.press("j")
    for _ in range(2):
        one.page.keyboard.press("ArrowDown")
    one.page.wait_for_selector("#status:has-text('Enter')")
    shown = one.page.text_content("#status").split("?")[0]
    one.shot("13-join")
    assert len(_repairs(house, 1)) == before
    one.page.keyboard.press("Enter")
    until(lambda: len(_repairs(house, 1)) == before + 1)
    one.page.wait_for_selector(f"#repairs li:has-text('dezelfde persoon als {shown}')")
    one.page.keyboard.press("u")
    until(lambda: one.page.evaluate("localStorage.length") == 0)


def test_trouble_of_the_house_is_told_and_loses_nothing(tab: Any, house: Page) -> None:
    """A disk that is full, a ledger that somebody changed: what was asked for waits, and the page says for what."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = len(_repairs(house, 1))
    full = {"problem": "De schijf is vol."}
    one.page.route("**/repairs", lambda route: route.fulfill(status=503, json=full))
    one.page.click(".people button.person")
    one.page.keyboard.press("h")
    one.page.wait_for_selector("#offline:has-text('De schijf is vol.')")
    one.page.unroute("**/repairs")
    until(lambda: len(_repairs(house, 1)) == before + 1)


def test_the_keyboard_is_enough(tab: Any, house: Page) -> None:
    """A region drawn, placed and taken back again with keys alone."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = len(_repairs(house, 1))
    page = one.page
    for key in ("ArrowDown", "ArrowDown", ".", ".", "d"):
        page.keyboard.press(key)
    page.wait_for_selector("#box:not([hidden])")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#regionask[open]")
    page.keyboard.press("Enter")
    until(lambda: len(_repairs(house, 1)) == before + 1)
    page.wait_for_selector("#undo:not([hidden])")
    page.keyboard.press("u")
    with house.school.opened() as place:
        until(lambda: any(row.payload["id"] == _repairs(house, 1)[-1] for row in place.ledger.entries("repair_undone")))
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    one.shot("12-keys")
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('#help').open") is False
    assert one.wrong == []


def test_a_region_is_of_the_frame_it_was_drawn_on(tab: Any, house: Page) -> None:
    """Whoever goes on to another frame after D, by a button or the slider, draws on that one."""
    one = tab("reviewer", "Truus")
    one.open_clip("<script>")
    before = len(_repairs(house, 1))
    one.go(3)
    one.page.keyboard.press("d")
    one.page.wait_for_selector("#box:not([hidden])")
    one.go(20)
    one.page.click("#forth")
    until(lambda: one.page.input_value("#seek") == "21")
    draw(one, (200, 200, 260, 280))
    one.page.wait_for_selector("#regionask[open]")
    one.page.click("#regionask .primary")
    until(lambda: len(_repairs(house, 1)) == before + 1)
    with house.school.opened() as place:
        drawn = place.ledger.entries("repair")[-1].payload
    assert (drawn["at_frame"], drawn["start"]) == (21, 21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_every_page(tab: Any, browser: Any, house: Page, scheme: str) -> None:
    one = tab("coach", "Geertje", color_scheme=scheme)
    found: dict[str, list[str]] = {"list": one.accessible()}
    one.shot(f"20-list-{scheme}")
    one.page.goto(f"{house.address}/log")
    found["log"] = one.accessible()
    one.shot(f"21-log-{scheme}")
    one.open_clip()
    one.page.click(".people button.person")
    one.go(25)
    found["clip"] = one.accessible()
    one.shot(f"22-clip-{scheme}")
    for name, key in (("help", "?"), ("judge", "a"), ("nameask", "w")):
        one.page.keyboard.press(key)
        one.page.wait_for_selector(f"#{name}[open]")
        found[name] = one.accessible()
        one.page.keyboard.press("Escape")
    stranger = browser.new_context(color_scheme=scheme, locale="en-GB")
    page = stranger.new_page()
    for name, path in (("sign-in", "/sign-in"), ("problem", "/sign-in/old-link")):
        page.goto(house.address + path)
        violations = axe.Axe().run(page).response["violations"]
        found[name] = [v["id"] for v in violations if v["impact"] in ("serious", "critical")]
        page.screenshot(path=SHOTS / f"23-{name}-{scheme}.png")
    stranger.close()
    assert {name: what for name, what in found.items() if what} == {}


def test_it_fits_a_laptop_and_a_tablet(tab: Any) -> None:
    for name, width, height, touch in (
        ("laptop", 1280, 720, False),
        ("tablet", 820, 1180, True),
        ("wide-tablet", 1180, 820, True),
    ):
        one = tab("reviewer", "Bob", viewport={"width": width, "height": height}, has_touch=touch)
        one.open_clip()
        across = one.page.evaluate("document.documentElement.scrollWidth")
        assert across <= width
        for id in ("play", "approve", "hide", "draw", "nextdoubt", "seek"):
            if id == "hide":
                one.page.click(".people button.person")
            box = one.page.locator(f"#{id}").bounding_box()
            assert box is not None, id
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width, id
            if name != "tablet":
                assert box["y"] + box["height"] <= height, id
        one.shot(f"30-{name}")


def test_a_telephone_shows_names_states_and_remarks_whole(tab: Any) -> None:
    one = tab("coach", "Bob", viewport={"width": 390, "height": 800})
    row = one.page.locator("tbody tr", has_text="MVI_0001.MP4").first
    name, chip = (row.locator(what).bounding_box() for what in ("a", ".chip"))
    assert name["height"] < 30, "on one line"
    assert chip["x"] + chip["width"] <= 390
    one.open_clip()
    assert one.page.evaluate("(h => h.scrollWidth - h.clientWidth)(document.querySelector('h1.name'))") <= 0, "whole"
    one.page.evaluate("document.querySelector('.toast').textContent = 'Misschien iemand met toestemming. '.repeat(3)")
    one.shot("32-telephone")
    toast = one.page.locator(".toast").bounding_box()
    assert toast["width"] > 300
    assert toast["height"] < 130


@pytest.mark.parametrize("width", [683, 400, 320])
def test_nothing_sticks_out_sideways(tab: Any, width: int) -> None:
    """A laptop of 1366 at twice the size, a telephone; whoever is signed in may have a long name."""
    one = tab("coach", "Maria-Christina van der Berg-Achterkamp", viewport={"width": width, "height": 640})
    one.open_clip()
    one.page.click(".people button.person")
    one.shot(f"31-{width}")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    name = one.page.locator("h1.name").bounding_box()
    assert name is not None
    assert name["width"] > 90


@pytest.mark.parametrize("width", [1280, 420])
def test_a_report_is_as_wide_as_its_window(browser: Any, house: Page, tmp_path: Path, width: int) -> None:
    house.school.lesveil("report", "--html", tmp_path / "report.html")
    house.school.lesveil("report", "--person", "41207", "--html", tmp_path / "person.html")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((tmp_path / "person.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    columns = [box["x"] for box in (one.bounding_box() for one in page.locator(".pairs td:nth-child(2)").all()) if box]
    assert len(columns) > 9
    assert max(columns) - min(columns) < 2, "what is said of one clip lies below what is said of the other"
    page.close()


def test_the_page_is_light(tab: Any, house: Page) -> None:
    """Everything but film and pictures of people."""
    one = tab("coach", "Geertje")
    sizes: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        if not answer.url.endswith((".mp4", ".jpg")) and answer.status == 200:
            sizes[answer.url] = len(answer.body())

    one.page.on("response", weigh)
    one.open_clip()
    one.page.wait_for_timeout(300)
    assert any(url.endswith("clip.js") for url in sizes)
    assert sum(sizes.values()) < 200_000


def test_another_language_is_a_button_away(tab: Any, house: Page) -> None:
    one = tab("reviewer", "Bob")
    assert "Duur" in one.page.text_content("thead")
    one.page.click("text=English")
    assert "Length" in one.page.text_content("thead")
    assert one.page.get_attribute("html", "lang") == "en"


def test_what_a_reviewer_is_offered_has_no_originals(tab: Any) -> None:
    one = tab("reviewer", "Bob")
    one.open_clip()
    assert one.page.locator("#show").count() == 0
    one.page.click(".people button.person")
    one.page.keyboard.press("w")
    officer = tab("officer", "Frank")
    officer.open_clip()
    assert officer.page.locator("#approve, #hide, #draw, #undo").count() == 0
    for key in "ahdmwu":
        officer.page.keyboard.press(key)
    assert not [url for url in one.asked + officer.asked if "/originals/" in url]
    assert officer.page.locator("dialog[open]").count() == 0

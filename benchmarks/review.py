"""How long a reviewer waits: the first picture and a seek in a one-hour clip, and a repair in a ten-minute clip.

The clips are the sample lesson (twelve seconds, 1080p, drawn people) run through ``lesveil run`` once and then looped,
packet by packet: the film, its rendering, and what was found in it. So they have the length, the size and the number of
people of a real clip, and everything after that is the real program: the server and its worker in processes of their
own, a real browser, a real repair.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks import MEBIBYTE, ROOT, FailedError, table
from pipeline import workspace
from pipeline.adapters.files import sha256_of
from pipeline.cli import main as lesveil
from pipeline.lesson import seen
from pipeline.lesson.copy import copy_card
from pipeline.lesson.mending import Mending, outcome_of
from pipeline.lesson.state import states
from pipeline.opinion import OFF, Opinion
from pipeline.stages import mend

SECONDS, SIZE, RATE = 12, (1920, 1080), 25
MINUTES = {"hour": 60, "ten": 10}
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SEEKS = 25


@dataclass(frozen=True)
class House:
    """A workspace, and in it the ids of the hour and of the ten minutes."""

    place: Path
    clips: dict[str, str]


def loop(source: Path, path: Path, times: int) -> None:
    """``source`` so many times over, its packets as they are; the last bit of sound beyond the picture is left out."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        with av.open(str(source)) as first:
            kept = [stream for stream in first.streams if stream.type in ("video", "audio")]
            made = {stream.index: out.add_stream_from_template(stream) for stream in kept}
            base = {stream.index: stream.time_base for stream in kept}
        for round_ in range(times):
            with av.open(str(source)) as container:
                for packet in container.demux(*(container.streams[index] for index in made)):
                    index = packet.stream.index
                    tick = base[index]
                    if packet.dts is None or packet.pts is None or tick is None:
                        continue
                    if packet.stream.type == "audio" and packet.pts * tick >= SECONDS:
                        continue
                    shift = round(round_ * SECONDS / tick)
                    if packet.stream.type == "audio" and round_ and packet.pts < 0:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = made[index]
                    out.mux(packet)


def looped(found: seen.Seen, times: int, sha256: str) -> seen.Seen:
    """What would have been found in the looped film."""
    frames, length = len(found.pts), round(SECONDS / found.time_base)
    count = max((track.number for track in found.tracks), default=0)
    rounds = range(times)
    plan = found.plan

    def later(column: Any, step: int) -> Any:
        return np.concatenate([column + n * step for n in rounds]).astype(column.dtype)

    return replace(
        found,
        sha256=sha256,
        pts=later(found.pts, length),
        damaged=(),
        tracks=[
            replace(t, number=t.number + n * count, start=t.start + n * frames) for n in rounds for t in found.tracks
        ],
        decisions=[
            replace(d, track=d.track + n * count, start=d.start + n * frames, stop=d.stop + n * frames)
            for n in rounds
            for d in found.decisions
        ],
        plan=replace(
            plan,
            frames=frames * times,
            frame=later(plan.frame, frames),
            region=np.tile(plan.region, (times, 1)),
            shape=np.tile(plan.shape, times),
            track=later(plan.track, count),
            hidden_frames=(),
            prints=np.tile(plan.prints, times),
        ),
    )


def build(folder: Path) -> House:
    """A workspace with the looped clips in ``folder``."""
    import samples

    said("making the sample lesson and running it once")
    lesson = folder / "card" / "DCIM" / "100LESVL" / "MVI_0001.MP4"
    lesson.parent.mkdir(parents=True)
    today = date.today()
    filmed = datetime(today.year, today.month, today.day, 9, 15, tzinfo=UTC)
    samples.make_lesson(lesson, SECONDS, SIZE, RATE, 1, "lesson", filmed)
    samples.make_portraits(folder / "portraits", everyone=False)
    samples.make_consent_list(folder / "consent.csv", today)
    place = folder / "workspace"
    run("init", str(place))
    (place / "lesveil.toml").write_text('[recognition]\nmode = "on"\n[privacy]\ndpia = "benchmark"\n', encoding="utf-8")
    run("consent", "import", str(folder / "consent.csv"), "-C", str(place))
    run("enrol", str(folder / "portraits"), "-C", str(place))
    run("run", "--card", str(folder / "card"), "-C", str(place))
    clips: dict[str, str] = {}
    with workspace.opened(place) as house:
        (first,) = states(house)
        assert first.render is not None
        found = seen.load(house.vault, first.clip, first.render["sha256"])
        assert found is not None
        rendering = house.finished / first.render["file"]
        for number, (name, minutes) in enumerate(MINUTES.items(), 2):
            said(f"looping it to {minutes} minutes")
            times = minutes * 60 // SECONDS
            film = folder / name / "DCIM" / "100LESVL" / f"MVI_{number:04d}.MP4"
            film.parent.mkdir(parents=True)
            loop(lesson, film, times)
            os.utime(film, (filmed.timestamp(), (filmed + timedelta(minutes=number)).timestamp()))
            ((_, clip),) = copy_card(house, folder / name).clips
            shutil.rmtree(folder / name)
            final = house.finished / f"{clip.name}.{number:08d}.mp4"
            loop(rendering, final, times)
            long = looped(found, times, sha256_of(final))
            seen.keep(house.vault, clip.id, long)
            house.ledger.append("filmed", clip.id, {"day": today.isoformat()})
            agreed = {d.person: d.ground for d in long.decisions if d.keep and d.person and d.ground}
            mended = mend.mend(long.tracks, long.decisions, [], long.analysis, {}, agreed, {})
            outcome = dict(first.render) | {
                "sha256": long.sha256,
                "bytes": final.stat().st_size,
                "file": final.name,
                "frames": long.plan.frames,
                "seconds": minutes * 60.0,
                **outcome_of(Mending(mended, long.plan, {}, ()), lambda frame: frame / RATE, Opinion(OFF)),
            }
            seen.record(house, clip.id, clip.sha256, f"benchmark {name}", outcome)
            clips[name] = clip.id
    return House(place, clips)


def run(*words: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = lesveil([*words, "--json", "--quiet"])
    if code:
        raise FailedError(f"lesveil {' '.join(words)} ended with code {code}")


@contextlib.contextmanager
def page(house: House) -> Iterator[str]:
    """``lesveil review`` at work; its link."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "review",
        "-C",
        str(house.place),
        "--port",
        "0",
        "--json",
        "--lang",
        "en",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = ""
    try:
        assert process.stdout is not None
        while line := process.stdout.readline():
            text += line
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(text)["link"]
                return
        raise FailedError("lesveil review did not start")
    finally:
        process.terminate()
        process.wait(60)


FIRST = """() => new Promise(done => {
  const shown = () => done(performance.now());
  const begin = () => {
    const film = document.querySelector('video');
    if (film === null) requestAnimationFrame(begin);
    else if (film.readyState >= 2) shown();
    else film.addEventListener('loadeddata', shown, {once: true});
  };
  begin();
})"""
SEEK = """frame => new Promise(done => {
  const film = document.querySelector('video'), seek = document.querySelector('#seek'), from = performance.now();
  film.requestVideoFrameCallback(() => done(performance.now() - from));
  seek.value = frame; seek.dispatchEvent(new Event('input'));
})"""


def measure(browser: Any, house: House, link: str) -> dict[str, Any]:
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    weight: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        if answer.status == 200 and not answer.url.endswith((".mp4", ".jpg")):
            weight[answer.url] = len(answer.body())

    tab.goto(link)
    tab.click("main button.primary")
    tab.wait_for_selector("table")
    address = link.split("/sign-in/")[0]
    figures: dict[str, Any] = {}
    first = []
    for _ in range(5):
        tab.goto(f"{address}/")
        tab.goto(f"{address}/clips/{house.clips['hour']}", wait_until="commit")
        first.append(tab.evaluate(FIRST))
        tab.wait_for_selector("html[data-ready=yes]")
        tab.wait_for_timeout(1000)
    tab.wait_for_selector("html[data-ready=yes]")
    tab.wait_for_timeout(1500)
    dice = random.Random(1)
    frames = int(tab.get_attribute("#seek", "max"))
    figures["first"] = [one / 1000 for one in first]
    figures["seek"] = [tab.evaluate(SEEK, dice.randrange(frames)) / 1000 for _ in range(SEEKS)]
    tab.on("response", weigh)
    tab.goto(f"{address}/clips/{house.clips['ten']}")
    tab.wait_for_selector("html[data-ready=yes]")
    tab.wait_for_timeout(1500)
    tab.remove_listener("response", weigh)
    figures["weight"] = sum(size for url, size in weight.items() if "/data/" not in url)
    figures["data"] = sum(size for url, size in weight.items() if "/data/" in url)
    tab.click(".people button.person")
    before = worker_cpu(house)
    figures["repair"] = [repair(tab, minute) for minute in (5, 2, 8)]
    after = worker_cpu(house)
    figures["cpu"] = None if before is None or after is None else (after - before) / len(figures["repair"])
    return figures


def repair(tab: Any, minute: int) -> float:
    """Seconds from the key that hides somebody for five seconds to the first picture of the new rendering."""
    start = minute * 60 * RATE + 11
    source = tab.evaluate("document.querySelector('video').src")
    for frame, key in ((start, "i"), (start + 5 * RATE - 1, "o")):
        tab.evaluate(SEEK, frame)
        tab.keyboard.press(key)
    began = time.perf_counter()
    tab.keyboard.press("h")
    ends = began + 300
    while tab.evaluate("document.querySelector('video').src") == source or not tab.evaluate(
        "document.querySelector('video').readyState >= 2 && !document.querySelector('video').seeking"
    ):
        if time.perf_counter() > ends:
            raise FailedError("the repair did not come")
        time.sleep(0.05)
    return time.perf_counter() - began


def worker_cpu(house: House) -> float | None:
    """CPU seconds that the worker has used so far; None where the system does not tell."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"repairs" in words and str(house.place).encode() in words:
                fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None


def said(text: str) -> None:
    print(f"> {text}", file=sys.stderr, flush=True)


def report(figures: dict[str, Any], house: House) -> str:
    def line(what: str, values: list[float], aim: float, form: Callable[[float], str]) -> list[str]:
        middle, worst = statistics.median(values), max(values)
        return [what, form(middle), form(worst), form(aim), f"{middle / aim:.2f}", "yes" if worst < aim else "NO"]

    def seconds(value: float) -> str:
        return f"{value:.2f} s"

    rows = [
        ["what", "median", "worst", "aim", "median / aim", "met by the worst"],
        line("first picture of a one-hour clip", figures["first"], 1.0, seconds),
        line("a seek in it", figures["seek"], 0.3, seconds),
        line("a repair of 5 s in a ten-minute clip, until it is seen", figures["repair"], 15.0, seconds),
        line("the page's weight", [figures["weight"] / 1000], 200.0, lambda value: f"{value:.0f} kB"),
    ]
    sizes = {path.name: path.stat().st_size for path in (house.place / "redacted").glob("*.mp4")}
    notes = ", ".join(f"{name} {size / MEBIBYTE:.0f} MiB" for name, size in sorted(sizes.items()))
    told = []
    if figures["cpu"] is not None:
        told.append(f"The worker used {figures['cpu']:.1f} s of CPU per repair.")
    told.append(f"Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    told.append(f"Data of the ten-minute clip's page: {figures['data'] / 1000:.0f} kB. Renderings: {notes}.")
    return f"{table(rows)}\n\n{' '.join(told)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review", description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=next(filter(None, map(shutil.which, CHROMIUM)), None))
    given = parser.parse_args(arguments)
    if given.chromium is None:
        print("No Chromium here; name one with --chromium.", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    try:
        with tempfile.TemporaryDirectory(prefix="lesveil-review-") as folder:
            house = build(Path(folder))
            said("watching")
            with page(house) as link, sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=given.chromium, headless=True, args=options)
                figures = measure(browser, house, link)
                browser.close()
            print(report(figures, house))
    except FailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes the manuals' pictures: ``python docs/pictures.py [FOLDER]``, from the sample lesson, in about two minutes.

Everything in them is drawn by the program: a sample lesson goes from the card to the archive, one person withdraws,
and the pages and commands that the manuals tell about are photographed in both languages. Needs Chromium and the
test extra.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import samples  # noqa: E402 - found by the line above

CHROMIUM = os.environ.get("LESVEIL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
WIDTH = 880
"""Pixels of each picture."""
SETTINGS = """\
[recognition]
mode = "on"
[privacy]
dpia = "DPIA 2026-3"
[deliver]
target = "folder"
folder = {archive}
folder_is_the_archive = true
"""
LANGUAGES = ("nl", "en")


def lesveil(place: Path, *words: object, lang: str = "en", plain: bool = False) -> Any:
    """What a command said: its JSON, or as people read it."""
    command = [sys.executable, "-m", "pipeline", *map(str, words), "-C", str(place), "--lang", lang, "--quiet"]
    done = subprocess.run(
        command if plain else [*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 4):
        raise SystemExit(f"lesveil {words}: {done.stderr}")
    return done.stdout if plain else json.loads(done.stdout)


def frame(path: Path, share: float) -> Any:
    """One picture of a film, BGR."""
    with av.open(str(path)) as container:
        shown = [picture.to_ndarray(format="bgr24") for picture in container.decode(video=0)]
    return shown[int(share * (len(shown) - 1))]


def keep(path: Path, picture: Image.Image) -> None:
    """Small enough for a repository: WIDTH pixels wide, 96 colours."""
    height = round(picture.height * WIDTH / picture.width)
    small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    small.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size // 1024} KB")


def terminal(browser: Any, path: Path, command: str, text: str) -> None:
    """What a command says, as a terminal shows it."""
    body = f"<b>$ {html.escape(command)}</b>\n{html.escape(text.rstrip())}"
    page = browser.new_page(viewport={"width": 1000, "height": 100})
    page.set_content(
        "<style>body{margin:0;background:#1d2126;color:#e8e8e8}b{color:#9fd08a}"
        f"pre{{font:15px/1.5 monospace;padding:16px;white-space:pre-wrap;margin:0}}</style><pre>{body}</pre>"
    )
    shot(page, path, whole=True)


def shot(page: Any, path: Path, whole: bool = False) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "shot.png"
        page.screenshot(path=raw, full_page=whole)
        keep(path, Image.open(raw))
    page.close()


def review_page(browser: Any, place: Path, lang: str, path: Path) -> None:
    """The reviewers' page with the first clip open."""
    command = [sys.executable, "-m", "pipeline", "review", "-C", str(place), "--port", "0", "--json", "--no-worker"]
    process = subprocess.Popen(
        [*command, "--by", "Geertje", "--lang", lang], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = ""
    while not said.rstrip().endswith("}"):
        said += process.stdout.readline()
    try:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(json.loads(said)["link"])
        page.click("main button.primary")
        page.wait_for_selector("table")
        page.click("text=MVI_0001.MP4")
        page.wait_for_selector("html[data-ready=yes]")
        page.wait_for_function("document.querySelector('video').readyState >= 2")
        page.wait_for_timeout(1500)
        shot(page, path)
    finally:
        process.terminate()
        process.wait(30)


def report_page(browser: Any, place: Path, lang: str, path: Path, work: Path) -> None:
    made = work / f"report-{lang}.html"
    lesveil(place, "report", "--html", made, lang=lang)
    told = made.read_text(encoding="utf-8").replace(str(work / "archief"), "OneDrive")
    made.write_text(told.replace(str(work / "sample" / "kaart"), "LESCAMERA1"), encoding="utf-8")
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    page.goto(made.as_uri())
    shot(page, path)


def main(out: Path) -> None:
    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed.")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        work = Path(folder)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        made = samples.make_samples(work / "sample", seconds=6, today=date.today(), size=(1280, 720), rate=10)
        place, archive = work / "lessen", work / "archief"
        archive.mkdir()
        before = frame(made.clips[0], 0.3)
        lesveil(place, "init", place, "--key-file")
        (place / "lesveil.toml").write_text(SETTINGS.format(archive=json.dumps(str(archive))), encoding="utf-8")
        for lang in LANGUAGES:
            said = lesveil(place, "consent", "import", made.consent_list, "--dry-run", lang=lang, plain=True)
            terminal(browser, out / f"import-{lang}.png", "lesveil consent import toestemming.csv --dry-run", said)
        lesveil(place, "consent", "import", made.consent_list)
        lesveil(place, "enrol", made.portraits)
        clips = lesveil(place, "run", "--card", made.card)["clips"]
        for lang in LANGUAGES:
            review_page(browser, place, lang, out / f"review-{lang}.png")
        for clip in clips:
            lesveil(place, "approve", clip["clip"], "--by", "Geertje")
        for lang in LANGUAGES:
            terminal(
                browser, out / f"status-{lang}.png", "lesveil status", lesveil(place, "status", lang=lang, plain=True)
            )
        arrived = {one["clip"]: one["where"] for one in lesveil(place, "deliver")["delivered"]}
        first = next(clip for clip in clips if clip["file"].endswith(made.clips[0].name))
        after = frame(Path(arrived[first["clip"]]), 0.3)
        both = cv2.cvtColor(np.hstack([before, after]), cv2.COLOR_BGR2RGB)
        keep(out / "before-after.png", Image.fromarray(both))
        plan = lesveil(place, "wipe", "--card", made.card)
        lesveil(place, "wipe", "--execute", plan["digest"], "--card", made.card)
        lesveil(place, "consent", "withdraw", made.may_be_seen[0])
        for lang in LANGUAGES:
            said = lesveil(place, "recall", lang=lang, plain=True).replace(str(archive), "OneDrive")
            terminal(browser, out / f"recall-{lang}.png", "lesveil recall", said)
        lesveil(place, "recall", "--execute", lesveil(place, "recall")["digest"])
        for lang in LANGUAGES:
            report_page(browser, place, lang, out / f"report-{lang}.png", work)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")

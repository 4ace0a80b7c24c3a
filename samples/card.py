"""The sample camera's card, the school's portraits, and everything together."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import cv2
import numpy as np

from .cast import CAST, drawn
from .consent_list import make_consent_list
from .lesson import FILMED, MAKE, MODEL, OWNER, PLACE, SERIAL, Truth, draw_frames, make_lesson
from .people import HEIGHT, U8, WIDTH

DAY = FILMED.date()
"""The sample's own day, unless another is given."""
FOLDER = "DCIM/100LESVL"
SECOND_CLIP_SECONDS = 4.0


@dataclass(frozen=True)
class Samples:
    """What was made, and what is true of it.

    ``truths`` by the clip's name; ``may_be_seen`` are the portrait folders of those who may be shown on the day;
    ``portraits`` holds one more, of someone who withdrew. ``consented`` has only those who may be seen (for --keep).
    """

    folder: Path
    card: Path
    clips: tuple[Path, ...]
    portraits: Path
    consented: Path
    consent_list: Path
    truth_file: Path
    today: date
    truths: dict[str, Truth]
    may_be_seen: tuple[str, ...]
    withdrawn: tuple[str, ...]


def make_card(
    folder: Path,
    seconds: float = 12,
    size: tuple[int, int] = (1920, 1080),
    rate: int = 25,
    seed: int = 1,
    filmed: datetime = FILMED,
) -> dict[str, Truth]:
    """A card as it comes out of the camera: two clips, each with a thumbnail and an XML file; truth by clip name."""
    takes = folder / FOLDER
    takes.mkdir(parents=True)
    (folder / "MISC").mkdir()
    truths: dict[str, Truth] = {}
    plan = (
        ("MVI_0001", "lesson", seconds, filmed),
        ("MVI_0002", "group", min(SECOND_CLIP_SECONDS, seconds), filmed + timedelta(minutes=11)),
    )
    for number, (name, scene, length, when) in enumerate(plan):
        clip = takes / f"{name}.MP4"
        truths[clip.name] = make_lesson(clip, length, size, rate, seed + number, scene, when)
        thumbnail = takes / f"{name}.THM"
        picture, _ = next(draw_frames(scene, 1, (640, 360), rate, seed + number))
        thumbnail.write_bytes(_jpeg(cv2.resize(picture[:, 80:560], (160, 120), interpolation=cv2.INTER_AREA), 85))
        sidecar = takes / f"{name}.XML"
        sidecar.write_text(_sidecar(clip.name, when, truths[clip.name].frames, rate), encoding="utf-8")
        for file in (clip, thumbnail, sidecar):
            os.utime(file, (when.timestamp(), when.timestamp()))
    return truths


def _sidecar(name: str, when: datetime, frames: int, rate: int) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ClipMetadata><Name>{name}</Name><CreationDate value="{when.isoformat()}"/>\n'
        f'<Device manufacturer="{MAKE}" modelName="{MODEL}" serialNo="{SERIAL}" owner="{OWNER}"/>\n'
        f'<Duration frames="{frames}" rate="{rate}"/>\n'
        f'<Location latitude="{PLACE[0]:.4f}" longitude="{PLACE[1]:.4f}"/></ClipMetadata>\n'
    )


def _jpeg(picture: U8, quality: int) -> bytes:
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def make_portraits(folder: Path, everyone: bool = True) -> tuple[str, ...]:
    """Four pictures each, in a folder named after the person's number; returns those names.

    ``everyone``: also of the person who withdrew. Pictures differ in turn, tilt, light, framing, grain and background.
    """
    made: list[str] = []
    for order, (name, member) in enumerate(CAST.items()):
        if not member.portraits or not (everyone or member.may_be_seen):
            continue
        own = folder / member.id
        own.mkdir(parents=True)
        random = np.random.default_rng((11, order))
        for number, turn in enumerate((0.0, -13.0, 11.0, 4.0), start=1):
            background = tuple(int(c) for c in random.integers(110, 215, 3))
            picture = drawn(name).picture((background[0], background[1], background[2]), turn)
            tilt, zoom = float(random.uniform(-5, 5)), float(random.uniform(0.86, 1.12))
            matrix = cv2.getRotationMatrix2D((WIDTH / 2, 240), tilt, zoom)
            picture = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
            side = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :, None] * random.uniform(-0.12, 0.12)
            light = picture * (random.uniform(0.88, 1.1) + side) + random.normal(0, 2.5, picture.shape)
            crop = int(random.integers(0, 28))
            cut = np.clip(light, 0, 255).astype(np.uint8)[crop:, crop : WIDTH - crop]
            (own / f"{member.id}_{number}.jpg").write_bytes(_jpeg(cut, 92))
        made.append(member.id)
    return tuple(made)


def make_samples(
    folder: Path,
    seconds: float = 12,
    today: date = DAY,
    size: tuple[int, int] = (1920, 1080),
    rate: int = 25,
    seed: int = 1,
) -> Samples:
    """Card, portraits, consent list and truth in ``folder``, which may exist but must not hold a sample already.

    The lesson was filmed on the morning of ``today``. Raises FileExistsError when something is in the way.
    """
    for name in ("kaart", "portretten", "portretten-toestemming", "toestemming.csv", "waarheid.json"):
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} exists; choose a new folder for the sample")
    folder.mkdir(parents=True, exist_ok=True)
    filmed = datetime.combine(today, time(9, 15), UTC)
    truths = make_card(folder / "kaart", seconds, size, rate, seed, filmed)
    everyone = make_portraits(folder / "portretten")
    seen = make_portraits(folder / "portretten-toestemming", everyone=False)
    people = make_consent_list(folder / "toestemming.csv", today)
    truth_file = folder / "waarheid.json"
    document = {"today": today.isoformat(), "people": people, "clips": [truth.as_json() for truth in truths.values()]}
    truth_file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return Samples(
        folder=folder,
        card=folder / "kaart",
        clips=tuple(folder / "kaart" / FOLDER / name for name in truths),
        portraits=folder / "portretten",
        consented=folder / "portretten-toestemming",
        consent_list=folder / "toestemming.csv",
        truth_file=truth_file,
        today=today,
        truths=truths,
        may_be_seen=seen,
        withdrawn=tuple(name for name in everyone if name not in seen),
    )

"""A filmed lesson: the cast sits, sways, turns, walks and changes seats in a drawn classroom, with sound and GPS.

What is in the picture is known exactly, so a result can be scored without any detector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from . import sound, telemetry
from .cast import CAST, drawn
from .people import EYES, F32, HEIGHT, TURN_RADIUS, U8, WIDTH, Person
from .room import HIGH, WIDE, Room, draw_room

FILMED = datetime(2026, 11, 16, 9, 15, tzinfo=UTC)
"""When the sample was filmed unless another moment is given; no clock is read."""
MAKE, MODEL, SERIAL = "Lesveil", "Voorbeeldcamera LV-1", "LV100042317"
OWNER = "G. Hulzebosch"
PLACE = (52.9928, 6.5642)
"""Latitude and longitude planted in the file, in degrees."""

ROOM = 1
"""The room is the same in every take; a seed changes how people move and what is heard."""
BACK, AISLE, FRONT = range(3)
"""Lanes, from far to near; tables stand in front of the back and the front lane."""
FACE_ON_CANVAS = 168.0
"""Rough height from chin to hairline on a person's canvas, pixels."""
OPAQUE = 0.5


@dataclass(frozen=True)
class Actor:
    """One member of the cast in one scene.

    ``face`` is the face's height in pixels of a picture 1080 high; ``path`` holds (share of the clip's length, x, y of
    the point between the eyes in a picture of 1920 x 1080, degrees of turn). The actor is there from the first to the
    last moment of the path.
    """

    name: str
    lane: int
    face: float
    path: tuple[tuple[float, float, float, float], ...]
    sway: float = 1.0


SCENES: dict[str, tuple[Actor, ...]] = {
    "lesson": (
        Actor("aicha", BACK, 50, ((0, 560, 478, 4), (0.4, 556, 480, -14), (0.7, 562, 478, 12), (1, 560, 478, 0))),
        Actor("chloe", BACK, 66, ((0, 985, 466, 0), (0.3, 990, 468, 16), (0.55, 980, 466, -18), (1, 986, 466, 4))),
        Actor("renee", BACK, 84, ((0, 1580, 450, -4), (0.5, 1572, 450, 6), (0.8, 1584, 452, -12), (1, 1580, 450, 0))),
        Actor("teacher", AISLE, 98, (
            (0, 1330, 318, -6), (0.18, 1300, 318, 4), (0.26, 1280, 320, -16), (0.60, 690, 320, -16),
            (0.68, 680, 318, 2), (0.82, 690, 318, 8), (1, 760, 320, 16),
        )),
        Actor("zoe", FRONT, 120, (
            (0, 500, 690, 4), (0.25, 492, 692, -10), (0.42, 500, 690, 0), (0.47, 470, 610, -18), (0.64, -190, 600, -20),
        )),
        Actor("andre", FRONT, 122, (
            (0.62, -190, 600, 18), (0.84, 480, 606, 16), (0.90, 500, 690, 2), (1, 500, 690, -6),
        )),
        Actor("jurgen", FRONT, 136, (
            (0, 1420, 668, -2), (0.2, 1412, 670, 12), (0.45, 1428, 668, -18), (0.75, 1416, 670, 14), (1, 1420, 668, 0),
        )),
    ),
    "group": (
        Actor("renee", BACK, 84, ((0, 1560, 450, 0), (0.5, 1566, 452, -10), (1, 1560, 450, 4))),
        Actor("andre", FRONT, 124, ((0, 520, 690, 6), (0.5, 512, 690, -14), (1, 522, 690, 0))),
        Actor("zoe", FRONT, 132, ((0, 1390, 672, -8), (0.5, 1404, 670, 10), (1, 1392, 672, 0))),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """Who is where. ``faces`` are rows of gt.json; boxes reach from chin to hairline, pixels of the frame.

    A row marked ``ignore`` is mostly covered by someone else or outside the picture.
    """

    clip: str
    frames: int
    faces: tuple[dict[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """The document that goes into gt.json."""
        return {"clip": self.clip, "frames": self.frames, "faces": list(self.faces)}


class _Stand:
    """A person ready to be placed: both layers shrunk to the size of the picture, where they stay at that scale."""

    def __init__(self, actor: Actor, number: int, size: tuple[int, int], seed: int) -> None:
        self.actor, self.number = actor, number
        self.person: Person = drawn(actor.name)
        self.across, self.down = size[0] / WIDE, size[1] / HIGH
        self.scale = actor.face * self.down / FACE_ON_CANVAS
        small = (max(round(WIDTH * self.scale), 8), max(round(HEIGHT * self.scale), 8))
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR

        def shrunk(picture: Any) -> Any:
            return cv2.resize(picture, small, interpolation=how)

        person = self.person
        self.head, self.head_alpha = shrunk(person.head), shrunk(person.head_alpha)
        self.body, self.body_alpha = shrunk(person.body), shrunk(person.body_alpha)
        rows = np.flatnonzero(self.head_alpha.max(axis=1) > 0.01)
        self.head_rows = (int(rows[0]), int(rows[-1]) + 1)
        random = np.random.default_rng((seed, number))
        self.rhythm = random.uniform(0.13, 0.42, (4, 2)), random.uniform(0, 2 * np.pi, (4, 2))

    def pose(self, share: float, seconds: float) -> tuple[float, float, float, float] | None:
        """x, y (pixels of the picture) of the point between the eyes, turn and tilt (degrees), or None: not there."""
        path = self.actor.path
        if not path[0][0] <= share <= path[-1][0]:
            return None
        after = next(i for i, stop in enumerate(path) if share <= stop[0])
        a, b = path[max(after - 1, 0)], path[after]
        at = (share - a[0]) / (b[0] - a[0]) if b[0] > a[0] else 1.0
        at = at * at * (3 - 2 * at)
        x, y, turn = (a[i] + (b[i] - a[i]) * at for i in (1, 2, 3))
        pace = abs(b[1] - a[1]) > 200
        frequency, phase = self.rhythm
        wave = np.sin(2 * np.pi * frequency * seconds + phase).sum(axis=1) / 2 * self.actor.sway
        face = self.actor.face
        y += 0.03 * face * wave[1] + (0.05 * face * abs(np.sin(2 * np.pi * 0.9 * seconds)) if pace else 0)
        x += 0.07 * face * wave[0]
        return x * self.across, y * self.down, float(turn + 5 * wave[2]), float(2.5 * wave[3])

    def layers(
        self, pose: tuple[float, float, float, float], size: tuple[int, int]
    ) -> Iterator[tuple[int, int, U8, F32]]:
        """Body, then head: (left, top, picture (h, w, 3), alpha (h, w)), cut to the picture."""
        x, y, turn, _ = pose
        width, height = size
        scale = self.scale
        left, reach = x - EYES[:, 0].mean() * scale, WIDTH * scale
        x1, x2 = max(int(left), 0), min(int(left + reach) + 1, width)
        if x2 - x1 < 2:
            return
        top = y - EYES[0, 1] * scale
        y1, y2 = (
            max(int(top + 250 * scale), 0),
            height if self.actor.lane != BACK else min(height, int(700 * self.down)),
        )
        if y2 - y1 > 1:
            shift = np.array([[1, 0, left - x1], [0, 1, top - y1]])
            box = (x2 - x1, y2 - y1)
            body = cv2.warpAffine(self.body, shift, box, borderMode=cv2.BORDER_REPLICATE)
            alpha = cv2.warpAffine(self.body_alpha, shift, box, borderMode=cv2.BORDER_REPLICATE)
            yield x1, y1, np.asarray(body, np.uint8), np.asarray(alpha, np.float32)
        reach_up = 0.12 * HEIGHT * scale
        y1 = max(int(top + self.head_rows[0] - reach_up), 0)
        y2 = min(int(top + self.head_rows[1] + reach_up), height)
        if y2 - y1 < 2:
            return
        back = cv2.invertAffineTransform(self._placed(pose))
        ys, xs = np.mgrid[y1:y2, x1:x2].astype(np.float32)
        u = (back[0, 0] * xs + back[0, 1] * ys + back[0, 2]).astype(np.float32)
        v = ((back[1, 0] * xs + back[1, 1] * ys + back[1, 2]) * scale).astype(np.float32)
        u = (_unturned(u, turn) * scale).astype(np.float32)
        head = cv2.remap(self.head, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.remap(self.head_alpha, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        yield x1, y1, np.asarray(head, np.uint8), np.asarray(alpha, np.float32)

    def _placed(self, pose: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
        """(2, 3): from canvas pixels, after turning, to pixels of the picture; the head tilts about the neck."""
        x, y, _, tilt = pose
        neck = (float(EYES[:, 0].mean()), float(EYES[0, 1] + 120))
        matrix = np.asarray(cv2.getRotationMatrix2D(neck, tilt, 1.0), np.float64) * self.scale
        matrix[:, 2] += (x - EYES[:, 0].mean() * self.scale, y - EYES[0, 1] * self.scale)
        return matrix

    def face_box(self, pose: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        matrix = self._placed(pose)
        points = self.person.turned_points(pose[2]) @ matrix[:, :2].T + matrix[:, 2]
        x1, y1 = points.min(axis=0)
        x2, y2 = points.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)


def _unturned(x: F32, turn: float) -> F32:
    """Canvas columns of a turned head -> columns of the head seen from the front (see Person.turned)."""
    phi = np.float32(np.radians(turn))
    centre = np.float32(EYES[:, 0].mean())
    out = (x - centre + np.float32(0.6 * TURN_RADIUS) * np.sin(phi)) / np.float32(TURN_RADIUS)
    angle = np.arcsin(np.clip(out, -1, 1)) - phi
    source = centre + np.float32(TURN_RADIUS) * np.sin(np.clip(angle, -np.pi / 2, np.pi / 2))
    return np.where(np.abs(out) < 1, source, np.float32(-WIDTH)).astype(np.float32)


def draw_frames(
    scene: str, frames: int, size: tuple[int, int], rate: int, seed: int
) -> Iterator[tuple[U8, list[dict[str, Any]]]]:
    """Each frame (H, W, 3) BGR with its rows of truth (see Truth)."""
    room = draw_room(size, ROOM)
    stands = [_Stand(actor, number, size, seed) for number, actor in enumerate(SCENES[scene])]
    for index in range(frames):
        yield _frame(room, stands, index, frames, size, rate)


def _frame(
    room: Room, stands: list[_Stand], index: int, frames: int, size: tuple[int, int], rate: int
) -> tuple[U8, list[dict[str, Any]]]:
    canvas = room.wall.copy()
    rows: list[dict[str, Any]] = []
    boxes: list[tuple[int, tuple[float, float, float, float]]] = []
    painted: list[tuple[int, int, int, F32]] = []
    lane = BACK
    for number, stand in enumerate(stands):
        while lane < stand.actor.lane:
            _tables_over(canvas, room, lane)
            lane += 1
        pose = stand.pose(index / max(frames - 1, 1), index / rate)
        if pose is None:
            continue
        for left, top, picture, alpha in stand.layers(pose, size):
            _paint(canvas, left, top, picture, alpha)
            painted.append((number, left, top, alpha))
        boxes.append((number, stand.face_box(pose)))
    while lane <= FRONT:
        _tables_over(canvas, room, lane)
        lane += 1
    for number, box in boxes:
        row = _row(index, number, stands[number], box, painted, size)
        if row is not None:
            rows.append(row)
    return canvas, rows


def _tables_over(canvas: U8, room: Room, lane: int) -> None:
    tables = {BACK: room.back, FRONT: room.front}.get(lane)
    if tables is None:
        return
    picture, mask = tables
    used = np.flatnonzero(mask.any(axis=1))
    rows = slice(int(used[0]), int(used[-1]) + 1)
    cv2.copyTo(picture[rows], mask[rows], canvas[rows])


def _paint(canvas: U8, left: int, top: int, picture: U8, alpha: F32) -> None:
    height, width = alpha.shape
    under = canvas[top : top + height, left : left + width]
    under[:] = cv2.blendLinear(picture, np.ascontiguousarray(under), alpha, 1 - alpha)


def _row(
    index: int,
    number: int,
    stand: _Stand,
    box: tuple[float, float, float, float],
    painted: list[tuple[int, int, int, F32]],
    size: tuple[int, int],
) -> dict[str, Any] | None:
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    inside = (x2 - x1) * (y2 - y1) / ((box[2] - box[0]) * (box[3] - box[1]))
    column, line = int(x1), int(y1)
    covered = np.zeros((int(y2) - line, int(x2) - column), np.float32)
    for other, left, top, alpha in painted:
        if other <= number:
            continue
        a1, b1 = max(left, column), max(top, line)
        a2, b2 = min(left + alpha.shape[1], int(x2)), min(top + alpha.shape[0], int(y2))
        if a2 > a1 and b2 > b1:
            part = covered[b1 - line : b2 - line, a1 - column : a2 - column]
            np.maximum(part, alpha[b1 - top : b2 - top, a1 - left : a2 - left], out=part)
    seen = inside * (1 - float((covered > OPAQUE).mean()) if covered.size else 1.0)
    if seen < 0.05:
        return None
    member = CAST[stand.actor.name]
    row: dict[str, Any] = {
        "frame": index,
        "box": [round(v, 1) for v in (x1, y1, x2, y2)],
        "keep": member.may_be_seen,
        "track": number,
        "id": member.id,
    }
    if seen < 0.5:
        row["ignore"] = True
    return row


def make_lesson(
    path: Path,
    seconds: float = 12,
    size: tuple[int, int] = (1920, 1080),
    rate: int = 25,
    seed: int = 1,
    scene: str = "lesson",
    filmed: datetime = FILMED,
) -> Truth:
    """Write an MP4 (H.264, AAC, a GPS track, the camera's name, serial number, owner and place) and say what is in it.

    ``size`` is (width, height), both even. The same arguments give the same bytes. An existing file is not written
    over: FileExistsError.
    """
    if size[0] % 2 or size[1] % 2:
        raise ValueError(f"the picture's sides must be even, not {size}")
    if path.exists():
        raise FileExistsError(f"{path} exists; nothing is written over")
    frames = max(round(seconds * rate), 1)
    rows: list[dict[str, Any]] = []
    with av.open(str(path), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(_metadata(filmed))
        video: Any = container.add_stream("libx264", rate=rate, options={"preset": "superfast", "crf": "20"})
        video.width, video.height, video.pix_fmt = size[0], size[1], "yuv420p"
        video.time_base = Fraction(1, rate)
        video.thread_count = 4  # a fixed number: x264's output depends on it
        video.codec_context.color_range, video.codec_context.colorspace = 1, 6  # limited, as OpenCV converts: BT.601
        audio: Any = container.add_stream("aac", rate=sound.RATE)
        audio.layout, audio.bit_rate = "mono", 96_000
        data: Any = container.add_data_stream("bin_data")
        data.time_base = Fraction(1, 1000)
        packets = sound.packets(audio, seconds=frames / rate, seed=seed)
        for index, (picture, found) in enumerate(draw_frames(scene, frames, size, rate, seed)):
            rows.extend(found)
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420))
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(video.encode(frame))
            if index % rate == 0:
                container.mux(telemetry.packet(data, index // rate, PLACE, filmed, MODEL))
            while packets and packets[0][0] <= index / rate:
                container.mux(packets.pop(0)[1])
        container.mux(video.encode())
        for _, packet in packets:
            container.mux(packet)
    return Truth(path.name, frames, tuple(rows))


def _metadata(filmed: datetime) -> dict[str, str]:
    latitude, longitude = PLACE
    return {
        "creation_time": filmed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "make": MAKE,
        "model": MODEL,
        "serial_number": SERIAL,
        "artist": OWNER,
        "location": f"{latitude:+.4f}{longitude:+09.4f}/",
    }

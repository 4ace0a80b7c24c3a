"""An empty classroom, drawn: wall, board, window, clock, posters, and two rows of tables as layers in front."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .people import F32, U8

WIDE, HIGH = 1920, 1080
BACK_TABLE, FRONT_TABLE = 596, 962
"""Heights in pixels (of 1080) at which the tops of the tables of the two rows begin."""


@dataclass(frozen=True)
class Room:
    """``wall`` (H, W, 3) BGR; ``back`` and ``front`` are tables: a picture (H, W, 3) and its mask (H, W), 0 or 255."""

    wall: U8
    back: tuple[U8, U8]
    front: tuple[U8, U8]


def draw_room(size: tuple[int, int], seed: int) -> Room:
    """The room as it is seen at ``size`` (width, height) pixels; ``seed`` moves grain and clutter."""
    random = np.random.default_rng(seed)
    wall = _wall(random)
    back = _tables(random, BACK_TABLE, 22, 60, ((90, 660), (730, 1240), (1310, 1850)))
    front = _tables(random, FRONT_TABLE, 40, 130, ((60, 930), (1000, 1880)))

    def fitted(picture: U8) -> U8:
        if size == (WIDE, HIGH):
            return picture
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

    def layer(picture: U8, mask: U8) -> tuple[U8, U8]:
        return fitted(picture), np.where(fitted(mask) > 127, 255, 0).astype(np.uint8)

    return Room(fitted(wall), layer(*back), layer(*front))


def _grain(random: np.random.Generator, across: float, along: float) -> F32:
    noise = random.standard_normal((HIGH // 2, WIDE // 2)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=across, sigmaY=along)
    noise = cv2.resize(noise, (WIDE, HIGH), interpolation=cv2.INTER_LINEAR)
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def _wall(random: np.random.Generator) -> U8:
    ys, xs = np.mgrid[0:HIGH, 0:WIDE].astype(np.float32)
    light = 1.06 - 0.26 * (xs / WIDE) - 0.10 * np.abs(ys / HIGH - 0.35)
    picture = np.array((186, 206, 214), np.float32) * light[..., None]
    floor = ys > 640
    boards = 1 + 0.05 * np.sign(np.sin((xs - WIDE / 2) / (0.25 + np.maximum(ys - 560, 0) / 900) / 26))
    picture[floor] = (np.array((96, 118, 138), np.float32) * (boards * (1.02 - 0.2 * xs / WIDE))[..., None])[floor]
    picture *= 1 + (0.012 * _grain(random, 1, 1) + 0.02 * _grain(random, 40, 40))[..., None]
    canvas = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.rectangle(canvas, (0, 622), (WIDE, 642), (120, 140, 150), -1)
    _window(canvas, random)
    _board(canvas)
    _clock(canvas)
    _posters(canvas, random)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.1), np.uint8)


def _window(canvas: U8, random: np.random.Generator) -> None:
    x1, y1, x2, y2 = 40, 60, 420, 520
    ys = np.linspace(0, 1, y2 - y1, dtype=np.float32)[:, None, None]
    sky = np.array((245, 225, 190), np.float32) * (1 - ys) + np.array((240, 240, 235), np.float32) * ys
    pane = np.repeat(sky, x2 - x1, axis=1).astype(np.uint8)
    for _ in range(240):
        x, y = int(random.integers(0, x2 - x1)), int(330 + abs(random.normal(0, 60)))
        green = (int(random.integers(50, 95)), int(random.integers(115, 165)), int(random.integers(80, 125)))
        cv2.circle(pane, (x, y), int(random.integers(10, 34)), green, -1, cv2.LINE_AA)
    canvas[y1:y2, x1:x2] = cv2.GaussianBlur(pane, (0, 0), 4)
    for rectangle in ((x1, y1, x2, y2), (x1, y1, (x1 + x2) // 2, y2), (x1, y1, x2, y1 + 130)):
        cv2.rectangle(canvas, rectangle[:2], rectangle[2:], (225, 232, 236), 12, cv2.LINE_AA)
        cv2.rectangle(canvas, rectangle[:2], rectangle[2:], (170, 180, 186), 1, cv2.LINE_AA)
    cv2.rectangle(canvas, (x1 - 20, y2 + 6), (x2 + 20, y2 + 24), (215, 222, 226), -1)
    for x in range(x1 + 5, x2, 24):
        cv2.rectangle(canvas, (x, y2 + 34), (x + 15, 618), (205, 212, 216), -1)


def _board(canvas: U8) -> None:
    x1, y1, x2, y2 = 560, 70, 1370, 400
    cv2.rectangle(canvas, (x1 - 12, y1 - 12), (x2 + 12, y2 + 12), (110, 140, 165), -1)
    ys, xs = np.mgrid[0 : y2 - y1, 0 : x2 - x1].astype(np.float32)
    shade = 1 + 0.12 * np.exp(-(((xs - 250) / 260) ** 2) - ((ys - 60) / 150) ** 2) + 0.04 * np.sin(xs / 90 + ys / 40)
    canvas[y1:y2, x1:x2] = np.clip(np.array((62, 84, 48), np.float32) * shade[..., None], 0, 255).astype(np.uint8)
    chalk = (214, 222, 220)
    for text, x, y, scale in (
        ("Aardrijkskunde 3HA", 600, 130, 1.3),
        ("1. Hoe ontstaat een rivierdelta?", 610, 190, 0.9),
        ("2. Teken de kringloop van het water", 610, 235, 0.9),
        ("Huiswerk: par. 4.2", 610, 360, 0.9),
    ):
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, chalk, 2, cv2.LINE_AA)
    for i in range(3):
        cv2.ellipse(canvas, (1235, 330), (40 + 28 * i, 22 + 16 * i), 0, 180, 360, chalk, 2, cv2.LINE_AA)
    cv2.arrowedLine(canvas, (1130, 330), (1180, 270), chalk, 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (x1 - 12, y2 + 10), (x2 + 12, y2 + 22), (90, 118, 142), -1)


def _clock(canvas: U8) -> None:
    centre = (1480, 130)
    cv2.circle(canvas, centre, 44, (60, 60, 66), -1, cv2.LINE_AA)
    cv2.circle(canvas, centre, 38, (238, 240, 240), -1, cv2.LINE_AA)
    for hour in range(12):
        angle = hour * np.pi / 6
        point = (round(centre[0] + 31 * np.sin(angle)), round(centre[1] - 31 * np.cos(angle)))
        cv2.circle(canvas, point, 2, (60, 60, 60), -1, cv2.LINE_AA)
    cv2.line(canvas, centre, (1466, 119), (40, 40, 40), 4, cv2.LINE_AA)
    cv2.line(canvas, centre, (1509, 133), (40, 40, 40), 3, cv2.LINE_AA)


def _posters(canvas: U8, random: np.random.Generator) -> None:
    for x1, y1, x2, y2, paper in ((1590, 90, 1760, 330, (190, 150, 90)), (1790, 120, 1890, 270, (120, 190, 225))):
        cv2.rectangle(canvas, (x1 - 3, y1 + 4), (x2 + 5, y2 + 7), (140, 155, 162), -1)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), paper, -1)
        for _ in range(7):
            points = np.column_stack([random.integers(x1 + 12, x2 - 12, 5), random.integers(y1 + 30, y2 - 14, 5)])
            colour = tuple(int(c) for c in random.integers(60, 210, 3))
            cv2.fillPoly(canvas, [cv2.convexHull(points.astype(np.int32))], colour, cv2.LINE_AA)
        cv2.rectangle(canvas, (x1 + 12, y1 + 10), (x2 - 12, y1 + 22), (245, 245, 245), -1)


def _tables(
    random: np.random.Generator, top: int, thick: int, deep: int, spans: tuple[tuple[int, int], ...]
) -> tuple[U8, U8]:
    """Tables seen from the front: a top ``deep`` pixels deep from row ``top`` on, an edge, a modesty panel."""
    mask = np.zeros((HIGH, WIDE), np.uint8)
    wood = np.array((96, 140, 178), np.float32) * (1 + 0.06 * _grain(random, 24, 1.2))[..., None]
    picture = np.clip(wood, 0, 255).astype(np.uint8)
    bottom = top + deep
    for x1, x2 in spans:
        slant = deep // 2
        shape = np.array([(x1 + slant, top), (x2 - slant, top), (x2, bottom), (x1, bottom)], np.int32)
        cv2.fillPoly(mask, [shape], 255)
        foot = min(HIGH, bottom + round(thick * 4.5))
        mask[bottom : bottom + thick, x1:x2] = 255
        mask[bottom:foot, x1 + 26 : x2 - 26] = 255
        picture[bottom : bottom + thick, x1:x2] = (picture[bottom : bottom + thick, x1:x2] * 0.72).astype(np.uint8)
        picture[bottom + thick : foot, x1:x2] = (108, 104, 100)
        picture[bottom + thick : bottom + thick + 8, x1:x2] = (70, 68, 66)
        scale = deep / 60
        for x in np.linspace(x1 + 0.2 * (x2 - x1), x2 - 0.2 * (x2 - x1), 3):
            x, y = x + random.normal(0, 14), top + 0.52 * deep
            w, h = 46 * scale, 15 * scale
            book = np.array([(x - w * 0.85, y - h), (x + w * 0.85, y - h), (x + w, y + h), (x - w, y + h)])
            colour = random.choice([(235, 238, 238), (70, 60, 170), (150, 100, 40), (90, 150, 90)])
            shadow = book + np.array((3, 4))
            cv2.fillPoly(picture, [shadow.astype(np.int32)], (60, 84, 108), cv2.LINE_AA)
            cv2.fillPoly(picture, [book.astype(np.int32)], tuple(int(c) for c in colour), cv2.LINE_AA)
            cv2.line(picture, (round(x), round(y - h)), (round(x), round(y + h)), (150, 150, 150), 1, cv2.LINE_AA)
            pencil = [(round(x + w + 8), round(y + h)), (round(x + w + 26), round(y - h))]
            cv2.line(picture, pencil[0], pencil[1], (30, 60, 200), max(2, round(3 * scale)), cv2.LINE_AA)
    return picture, mask

"""How alike two faces are, and how near is near enough for a name: by the risk accepted, by how much was seen.

The numbers are those of likeness.toml, which ``python -m benchmarks.calibrate`` makes; docs/measured/recognising.md
says from what. What lies between two bands of the table belongs to the lower one, which is the stricter; what lies
under the lowest is never named.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import NormalDist

import numpy as np

from pipeline.records import F32, F64, U8, Person

FACING = 0.25
"""A face turned farther away than this (see ``frontal``) is no evidence either way."""

LOOK_CHANGED = 0.45
"""Correlation of two looks under which the look has changed."""

LOOK_STIRRED = 0.85
"""Correlation under which it may have: a face that is shown is embedded again, to see that it is still who it was."""

LOOK_ALIKE = 0.30
"""Two templates nearer than this cannot be told apart safely."""

MEASURED = 25
"""So many people were enrolled when it was measured what share of strangers is taken for one of them."""

NEVER = -1.0
"""A limit under which nothing lies."""


@dataclass(frozen=True)
class Limits:
    """Distances up to which ``strict`` a run's mean, ``piece`` a piece's mean and ``loose`` a single view is taken for
    a person."""

    strict: float
    piece: float
    loose: float

    def of_piece(self, views: int) -> float:
        """The limit for a piece of so many views: a single one lies farther off than the mean of several."""
        return self.piece if views > 1 else (self.piece + self.loose) / 2


@dataclass(frozen=True)
class Level:
    """The numbers for one share of strangers, in bands of portraits (P), views (V), heights in pixels (H) and distances
    between templates (A).

    ``limit`` (P, V, H) is ``Limits.strict``; ``room`` (P, H, A) is by how much somebody else must lie farther off;
    ``begin`` (P,) is how near strangers come to templates of so many portraits, as measured.
    """

    false_accept: float
    limit: F64
    room: F64
    begin: F64


@dataclass(frozen=True)
class Table:
    """likeness.toml. Bands are named by their lower edges, ``levels`` go from the most risk to the least."""

    heights: tuple[int, ...]
    portraits: tuple[int, ...]
    views: tuple[int, ...]
    apart: tuple[float, ...]
    levels: tuple[Level, ...]

    def level(self, false_accept: float) -> Level:
        """The level that accepts at most this. Raises ValueError where nothing measured says what that would take."""
        for one in self.levels:
            if one.false_accept <= false_accept:
                return one
        raise ValueError(f"no limits are known for a share of {false_accept}")


@cache
def table() -> Table:
    """The table that comes with this version."""
    said = tomllib.loads(files("pipeline").joinpath("likeness.toml").read_text(encoding="utf-8"))
    levels = [
        Level(one["false_accept"], np.array(one["limit"]), np.array(one["room"]), np.array(one["begin"]))
        for one in said["level"]
    ]
    return Table(
        heights=tuple(said["heights"]),
        portraits=tuple(said["portraits"]),
        views=tuple(said["views"]),
        apart=tuple(said["apart"]),
        levels=tuple(sorted(levels, key=lambda level: -level.false_accept)),
    )


def supported() -> tuple[float, float]:
    """The smallest and the largest share of strangers taken for somebody that can be asked for."""
    levels = table().levels
    return levels[-1].false_accept, levels[0].false_accept


def loosest(portraits: int) -> Limits:
    """The limits for pieces and single views; ``strict`` is NEVER.

    A template of one portrait lies farther from everybody, its owner too. (docs/measured/recognising.md)
    """
    return Limits(NEVER, 0.335, 0.40) if portraits > 1 else Limits(NEVER, 0.36, 0.43)


def limits(false_accept: float, portraits: int, views: int, height: float, enrolled: int = MEASURED) -> Limits:
    """How near the mean of ``views`` views, ``height`` pixels tall, must come to a template of ``portraits``, where so
    many people are ``enrolled``."""
    made, loose = table(), loosest(portraits)
    level = made.level(false_accept)
    where = _band(made.portraits, portraits), _band(made.views, views), _band(made.heights, height)
    if min(where) < 0:
        return loose
    strict = float(level.limit[where]) - _crowded(made, where[0], level.false_accept, enrolled)
    return Limits(min(strict, loose.piece), loose.piece, loose.loose)


def _crowded(made: Table, portraits: int, share: float, enrolled: int) -> float:
    """By how much nearer a face must come where more people are enrolled than when it was measured: among many a
    stranger more often resembles one. By the lower tail of strangers, which is taken as normal, as the table's is."""
    if enrolled <= MEASURED:
        return 0.0
    few, many = made.levels[-1], made.levels[0]
    deep, high, now, wanted = (
        NormalDist().inv_cdf(pair)
        for pair in (few.false_accept / MEASURED, many.false_accept / MEASURED, share / MEASURED, share / enrolled)
    )
    width = float(many.begin[portraits] - few.begin[portraits]) / (high - deep)
    return width * (now - wanted)


def room(false_accept: float, portraits: int, height: float, apart: F32) -> F32:
    """By how much other people must lie farther off than the one who is named, by how far their templates lie apart.

    ``apart`` (N,) -> (N,). The more two people look alike, the more room each needs from the other.
    """
    made = table()
    where = _band(made.portraits, portraits), _band(made.heights, height)
    if min(where) < 0:
        return np.full(len(apart), np.inf, np.float32)
    column = np.maximum(np.searchsorted(made.apart, apart, "right") - 1, 0)
    return np.asarray(made.level(false_accept).room[where][column], np.float32)


def _band(edges: Sequence[float], value: float) -> int:
    """Which band ``value`` lies in; -1 under the lowest, and for what is not a number."""
    return sum(edge <= value for edge in edges) - 1


def look_alikes(people: Sequence[Person]) -> list[tuple[str, str, float]]:
    """Pairs of enrolled people who cannot be told apart safely, nearest first."""
    pairs = []
    for i, one in enumerate(people):
        for other in people[i + 1 :]:
            distance = float(np.linalg.norm(one.template - other.template))
            if distance < LOOK_ALIKE:
                pairs.append((one.id, other.id, distance))
    return sorted(pairs, key=lambda pair: pair[2])


def same_person(made: Person, before: Person) -> bool:
    """Whether two templates under one number are near enough to be of one person: as near as a piece of a film must be.

    Of 13 people with four portraits each, means of two lay at most 0.30 from the means of the other two; the nearest of
    156 pairs of strangers lay 0.38 apart.
    """
    apart = float(np.linalg.norm(made.template - before.template))
    return apart <= loosest(before.portraits).of_piece(made.portraits)


def frontal(landmarks: F32) -> F32:
    """How far faces (N, 5, 2) look towards the camera: 1 straight, 0 in profile. (N,)

    The nose lies midway between the eyes in a face seen from the front, at one of them in a profile.
    """
    left, right, nose = landmarks[:, 0], landmarks[:, 1], landmarks[:, 2]
    across = right - left
    length = np.maximum((across * across).sum(axis=1), 1e-6)
    share = ((nose - left) * across).sum(axis=1) / length
    return np.asarray(np.clip(1 - 2 * np.abs(share - 0.5), 0, 1), np.float32)


def look(thumbs: U8) -> U8:
    """Faces in little (N, 128): grey pictures of 16 x 16 (N, 16, 16), each in 16 steps from its darkest pixel to its
    brightest, two to a byte. A lesson shows millions of them, and that is enough to tell whether a face became
    another's."""
    flat = thumbs.reshape(len(thumbs), 16 * 16).astype(np.float32)
    dark = flat.min(axis=1, keepdims=True, initial=255)
    span = np.maximum(flat.max(axis=1, keepdims=True, initial=0) - dark, 15)  # what is flat is not to look otherwise
    steps = np.rint((flat - dark) * (15 / span)).astype(np.uint8)
    return np.asarray(steps[:, ::2] << 4 | steps[:, 1::2], np.uint8)


def standard(looks: U8) -> F32:
    """Looks (N, 128) -> (N, 256), each with mean 0 and deviation 1: the mean of the product of two is their
    correlation."""
    values = np.empty((len(looks), 2 * looks.shape[1]), np.float32)
    values[:, ::2], values[:, 1::2] = looks >> 4, looks & 15
    values -= values.mean(axis=1, keepdims=True)
    return np.asarray(values / np.maximum(values.std(axis=1, keepdims=True), np.float32(1)), np.float32)


def look_changed(one: F32, other: F32, least: float = LOOK_CHANGED) -> bool:
    """Whether two looks, each (256,) as `standard` gives them, are too unlike for one face a moment later."""
    return float(one @ other) < least * len(one)

"""When there is a look at the film, at which sizes, and how the picture is turned for it. Pure.

Chosen by measurement (docs/measured/finding.md): several times a second a small picture, a tiny one for faces close by
that a mask or a hand covers, and a tinier one for a face that fills the picture; once a second and around every cut a
large one too, for faces far away.

The network knows faces that are upright, or nearly. Somebody on their head, or a camera that was hung upside down, is
found by turning the picture: a small one after a cut and a tiny one once a second; a large one upside down at the start
of a segment.
From when that shows a face, every look of the segment is taken at that turn as well.

Every other look between those at all sizes is mirrored: seen both ways, a faint face shows itself more surely, and it
costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pipeline.records import F32, VideoInfo

Mask = npt.NDArray[np.bool_]

LOOK_SECONDS = Fraction(1, 5)
"""A look at the small and the tiny picture at least this often."""

ALL_SECONDS = Fraction(1)
"""A look at all sizes at least this often."""

LOOK_FRAMES, ALL_FRAMES = 12, 60
"""The same, counted in frames, where times cannot be trusted: after a frame that says it comes much later, all that
follow are crowded together until the film gets there. Up to 60 frames a second this asks for no look more."""

STIRRED, STIR_SHARE, SUDDEN_SHARE = 20.0, 0.004, 0.016
"""When the first share of the 64 x 36 picture changes by this many grey levels within STIR_SECONDS, something moves
fast, and the next look comes after half the time. When the second does where nothing moved before, it comes at once,
and the frame before is looked at too: nobody's way between two looks leads over a leap. Where it is dark or pale fewer
levels are enough (`_changed`)."""

NEARBY = 3
"""Cells from where something moved to where it may move on without being something new."""

STIR_OF_LIGHT, STIR_LEAST = 0.2, 3.0
"""What is dark changes by this share of its light, and at least by so many grey levels."""

STIR_SECONDS, STIR_FRAMES = Fraction(32, 1000), 32
"""The time between two frames that are compared so, or that of one frame where frames are longer; and the most frames
by which they lie apart. A hair under a thirtieth, for times are rounded. Every frame is compared with one before it: of
the 60 or 120 of a second, none may show somebody unseen."""

TINY_COUNTS = 0.5
"""What a score of a tiny picture counts between two looks at all sizes: at that size many a pattern is like a face, but
it finds the masked and blurred faces close by that no other size does."""

CLOSE_SIDE = 160
"""The longer side of the picture in which faces are looked for that are larger than the film's own picture."""

FILLS = 0.8
"""Height of such a face, of the picture's shorter side, from which it counts here."""

SQUARE = Fraction(3, 2)
"""The most by which a pixel's sides may differ for the film to be believed; true ones reach 64 / 45."""

TURNS, UPSIDE_DOWN = frozenset({1, 2, 3}), frozenset({2})
"""Quarter turns at which faces are looked for that are not upright."""

TURNED = 0.6
"""Score from which a face in a turned picture is reason to look on at that turn, where faint ones count as well."""


@dataclass(frozen=True)
class Glance:
    """One picture for the network: width and height, what its scores count, and by how many quarters it is turned."""

    size: tuple[int, int]
    counts: float = 1.0
    turn: int = 0
    least: float = 0.0
    """Score under which nothing counts here, whatever counts elsewhere."""
    close: bool = False
    """Only faces that fill the picture count, and a grey border is laid around it, because the network wants to see
    where a face ends."""
    mirrored: bool = False
    """Left and right are swapped before the network sees it. Never of a turned one: what lay on its left side would
    then lie on its right."""


Glances = tuple[Glance, ...]


@dataclass(frozen=True)
class Sizes:
    """Widths and heights in square pixels of the pictures the network sees, before they are turned."""

    tiny: tuple[int, int]
    small: tuple[int, int]
    large: tuple[int, int]
    stored: tuple[int, int] | None = None
    """The small picture as it is stored, where the film says that its pixels are far from square: a film may say so
    wrongly, and stretched by that, no face is like one any more."""

    @property
    def near(self) -> Glance:
        width, height = self.tiny
        longest = max(width, height)
        size = max(32, round(CLOSE_SIDE * width / longest)), max(32, round(CLOSE_SIDE * height / longest))
        return Glance(size, close=True)

    @property
    def usual(self) -> Glances:
        return self.near, Glance(self.tiny, TINY_COUNTS), Glance(self.small), *self._as_stored

    @property
    def all(self) -> Glances:
        return self.near, Glance(self.tiny), Glance(self.small), Glance(self.large), *self._as_stored

    @property
    def _as_stored(self) -> Glances:
        return () if self.stored is None else (Glance(self.stored),)

    @staticmethod
    def tried(turns: Collection[int], *sizes: tuple[int, int]) -> Glances:
        return tuple(Glance(size, turn=turn, least=TURNED) for turn in sorted(turns) for size in sizes)

    @staticmethod
    def turned(turns: Collection[int], *sizes: tuple[int, int]) -> Glances:
        return tuple(Glance(size, turn=turn) for turn in sorted(turns) for size in sizes)


def sizes(info: VideoInfo) -> Sizes:
    """Small: half of the displayed picture, 640 to 960 on its long side. Tiny: half of that. Large: the picture itself,
    from 960 on; but of one wider than 1280 three quarters, to 1920 at most."""
    shapes = shapes_of(float(info.width * info.sample_aspect), float(info.height))
    if 1 / SQUARE <= info.sample_aspect <= SQUARE:
        return shapes
    return replace(shapes, stored=shapes_of(float(info.width), float(info.height)).small)


def shapes_of(width: float, height: float) -> Sizes:
    """The same for a picture of square pixels."""
    longest = max(width, height)
    large = min(max(min(longest, 1280.0), 0.75 * longest, 960.0), 1920.0)
    small = min(max(longest / 2, 640.0), 960.0)

    def scaled(side: float) -> tuple[int, int]:
        return max(32, round(width * side / longest)), max(32, round(height * side / longest))

    return Sizes(scaled(small / 2), scaled(small), scaled(large))


class Stir:
    """What changes in a film, and what of it is new: it lies where nothing moved in the frame before.

    The frames come as grey pictures of one size; ``nearby`` cells is how far what moves may move on.
    """

    def __init__(self, nearby: int) -> None:
        self._nearby = nearby
        self._before: deque[tuple[Fraction, F32, Mask]] = deque(maxlen=STIR_FRAMES)
        """Lately seen: when, the picture, and where it had changed."""

    def __call__(self, now: Fraction, grey: F32, fresh: bool) -> tuple[Mask, Mask]:
        """Where the picture changed, and where that is new. ``fresh``: it is the first of its scene."""
        if fresh or not self._before:
            self._before.clear()
            self._before.append((now, grey, np.zeros(grey.shape, bool)))
            return self._before[0][2], self._before[0][2]
        while len(self._before) > 1 and now - self._before[1][0] >= STIR_SECONDS:
            self._before.popleft()
        _, before, moved = self._before[0]
        moves = _changed(before, grey)
        self._before.append((now, grey, moves))
        return moves, moves & ~_grown(moved, self._nearby) if moved.any() and moves.any() else moves


class Scheme:
    """When there is a look within one segment, and at what."""

    def __init__(self, shapes: Sizes) -> None:
        self._shapes = shapes
        self._last_look = self._last_all = Fraction(-(10**6))
        self._since_look = self._since_all = 0
        self._latest = self._last_look
        self._before = 0, False
        """The look before came so many frames after another, and whether because something moved."""
        self._first = True
        self.sudden = False
        """Much changed all at once at the frame that was asked about last: whoever was somewhere may be elsewhere."""
        self._stir = Stir(NEARBY)
        self._stirred = False
        self._turns: set[int] = set()
        self._trial: Callable[[], Collection[int]] | None = None
        self._answer = Fraction(0)
        self._mirrored = False

    def due(self, now: Fraction, tiny: F32, fresh: bool, large: bool = False, all_of_it: bool = False) -> Glances:
        """The glances at a frame; none where there is no look. ``fresh``: it is the first of its scene; ``large``:
        something is new in a large place; ``all_of_it``: in so many that all sizes are to be looked at."""
        fresh |= self._first  # a segment begins like a scene
        shapes, self.sudden = self._shapes, self._begins_to_move(now, tiny, fresh) or large or all_of_it
        self._since_look, self._since_all = self._since_look + 1, self._since_all + 1
        step, self._latest = now - self._latest, now
        if fresh or all_of_it or now - self._last_all >= ALL_SECONDS or self._since_all >= ALL_FRAMES:
            self._answer = min(self._answer, now)  # the next trial takes its place
            known = self._known(now)
            tried = shapes.tried(TURNS - known, shapes.small if fresh else shapes.tiny)
            if self._first:
                tried += shapes.tried(UPSIDE_DOWN, shapes.large)  # on its side it would be a network more in memory
            # right after a cut the answer is awaited; later it may take its time, two looks, for what is a rare thing
            self._answer = now if fresh else now + 2 * LOOK_SECONDS
            self._last_look = self._last_all = now
            self._since_look = self._since_all = 0
            self._first = self._stirred = False
            return self.all(now) + tried
        often = LOOK_SECONDS / 2 if self._stirred else LOOK_SECONDS
        due = now - self._last_look >= often or self._since_look >= LOOK_FRAMES
        if self.sudden or due or self._in_step(step):
            self._before = 0 if self.sudden else self._since_look, self._stirred
            self._last_look, self._since_look, self._stirred = now, 0, False
            return self.usual(now)
        return ()

    def _in_step(self, step: Fraction) -> bool:
        """Whether the look before came an even number of frames after another, and the next would come as many after
        that: what is there in every other frame alone would be in none of them. It moves all the time, or never where
        frames are many (`Stir`), and so is nothing new. The frame before was ``step`` seconds ago."""
        again = self._since_look % 2 == 1 and self._before == (self._since_look + 1, self._stirred)
        return again and (self._stirred or step < STIR_SECONDS)

    def usual(self, now: Fraction) -> Glances:
        """Those of the next look between two at all sizes: every other one is mirrored."""
        self._mirrored = not self._mirrored
        usual = tuple(replace(one, mirrored=self._mirrored) for one in self._shapes.usual)
        return usual + self._shapes.turned(self._known(now), self._shapes.tiny, self._shapes.small)

    def all(self, now: Fraction) -> Glances:
        shapes = self._shapes
        return shapes.all + shapes.turned(self._known(now), shapes.tiny, shapes.small, shapes.large)

    def asked(self, glances: Sequence[Glance], answer: Callable[[], Collection[int]]) -> None:
        """``answer`` will tell, when it is called, at which turns these glances showed a face."""
        if any(one.least for one in glances):
            self._trial = answer

    def _known(self, now: Fraction) -> frozenset[int]:
        """The turns at which there was a face in this segment."""
        if self._trial is not None and now >= self._answer:
            self._turns |= set(self._trial())
            self._trial = None
        return frozenset(self._turns)

    def _begins_to_move(self, now: Fraction, tiny: F32, fresh: bool) -> bool:
        moves, new = self._stir(now, tiny, fresh)
        self._stirred |= float(moves.mean()) > STIR_SHARE
        return float(new.mean()) > SUDDEN_SHARE


def _changed(before: F32, now: F32) -> Mask:
    """Which cells changed much, for how bright they are, and for how unlike each other the cells of the picture are:
    in a lesson in the dark, or in bright fog, the same step of the same person is a few grey levels."""
    enough = np.minimum(STIR_OF_LIGHT * np.maximum(before, now), now.std())
    return np.asarray(np.abs(now - before) > np.clip(enough, STIR_LEAST, STIRRED))


def _grown(cells: Mask, by: int) -> Mask:
    """With all cells at most so many away, in a row, a column or both."""
    grown = cells.copy()
    for way in (grown, grown.T):  # views: what is set in one is in the other
        known = way.copy()
        for step in range(1, by + 1):
            way[step:] |= known[:-step]
            way[:-step] |= known[step:]
    return grown

"""Faces followed: detections become tracks, gaps are filled, ends are drawn out.

Linking is generous, because a wrong link between two hidden faces only hides the space between them. Who may be
kept clear is decided elsewhere (``identify.py``), from evidence on both sides of every stretch; a track alone never
carries an identity across.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from statistics import median

import numpy as np
import numpy.typing as npt

from pipeline.geometry import closeness, larger
from pipeline.glances import shapes_of
from pipeline.pace import HALF, beats
from pipeline.records import F32, F64, I32, Detections, Support, Track

GAP_SECONDS = 1.2
"""A face not seen for longer than this starts a new track."""

QUICK_SECONDS, FAR, FARTHEST = 0.3, 2.0, 4.0
"""Between looks at most so many seconds apart a face may jump by two of its sizes, and one that is seen well before and
after by four: what is hidden in between is then the way, instead of two places beside it. Within AT_ONCE_SECONDS,
from one frame to the next, nobody does: what is elsewhere then is a jump cut, or another picture on the wall."""

AT_ONCE_SECONDS = 0.05

PROVEN = 3
"""A track of this many detections comes before a younger one when both could take a detection."""

HOLD_SECONDS = 0.35
"""A track goes on this long beyond its first and last sight."""

WEAK_HOLD_SECONDS = 0.08
"""So does one that was never seen surely: most of those are no faces. (docs/measured/finding.md)"""

PERSISTS = 3
"""Sights that together make a face of what is not sure enough alone: the best of a track, so half a second's worth."""

USUAL = 0.055
"""Height of an ordinary face as a share of the picture's shorter side. The detector is sure of large faces, so a large
faint sight is more likely no face than a small one, and needs more behind it, by the power SIZE_COUNTS."""

SIZE_COUNTS = 0.5

NEAR_SECONDS = 0.6
"""Sights at most this far from a moment tell whether there is a face at that moment."""

TO_STAY = 0.6
"""Share of what makes a face that is enough for it to stay one, as it turns away: high to begin, low to go on."""

ROUNDING = 0.01
"""Beats by which times may be off that are rounded to the ticks of their film."""

SEEN_WELL = 0.5
"""Score of a last sight from which the next look would have found the face again, were it still there."""

MOVING = 0.06
"""Speed, in heights of the face per beat (`pace.py`), from which a held box would soon lie beside the face."""

ONWARD = 6
"""A face that comes into sight or goes out of it is taken to have moved on at its speed for this many beats."""

AT_BORDER = 0.1
"""Share of its height by which a face may lie beside the picture's border to count as one that comes in or goes out."""

TINY = 16.0
"""Height in the small picture (`glances.py`) under which it may not show a face that the large one shows. Real faces
that score 0.5 or more in the large one and under 0.07 in the small one were 7 to 9 pixels high there."""

GROWTH = 0.02
"""Per beat away from the nearest sight, a filled box grows by this share of its size on every side, up to GROWN."""

GROWN = 0.15

GLIMPSED = 0.2
"""Score from which a face of the usual height counts that was seen in one glimpse."""

BRIEFLY, BRIEF = 0.1, 0.5
"""GROWTH and GROWN of its box: nobody knows where it goes."""

SAME_HEIGHT, SAME_PLACE = (0.4, 1.25), 0.3
"""Between these shares of the height of a track's box a glimpse whose middle lies in this share of it, of its width and
its height, is of that face, and lies within what is hidden around it."""


@dataclass(frozen=True)
class _Clock:
    """When frames come (frames,), in beats, and how many beats some times are; the height in pixels of a face that only
    the large picture may show; and width and height of the picture."""

    beat: F64
    tiny: float
    gap: float
    quick: float
    at_once: float
    near: float
    hold: int
    weak_hold: int
    size: tuple[int, int]


class _Open:
    """Tracks being built (T): the rows of their detections so far, and what is known of each at its latest sight.

    ``frame`` (T,), ``box`` (T, 4), ``score`` (T,), and ``velocity`` (T, 2) of the centre in pixels per beat.
    """

    def __init__(self) -> None:
        self.rows: list[array[int]] = []
        self.frame = np.empty(0, np.int32)
        self.box = np.empty((0, 4), np.float32)
        self.score = np.empty(0, np.float32)
        self.velocity = np.empty((0, 2), np.float32)

    def predict(self, since: F64) -> F32:
        """Where the boxes would be (T, 4) so many beats (T,) after they were seen."""
        # motion fades: a face that went unseen for a while has as likely stopped as gone on
        ahead = np.minimum(since, 12).astype(np.float32)
        return np.asarray(self.box + np.tile(self.velocity * ahead[:, None], 2), np.float32)

    def give_up(self, which: npt.NDArray[np.bool_]) -> list[array[int]]:
        """The rows of those (T,) that do not go on."""
        if not which.any():
            return []
        gone = [self.rows[at] for at in np.flatnonzero(which).tolist()]
        self.rows = [self.rows[at] for at in np.flatnonzero(~which).tolist()]
        self.frame, self.box = self.frame[~which], self.box[~which]
        self.score, self.velocity = self.score[~which], self.velocity[~which]
        return gone

    def go_on(self, which: list[int], rows: list[int], frame: int, since: F64, box: F32, score: F32) -> None:
        """One more sight for some (K,): the rows of their detections, so many beats (K,) after the one before, boxes
        (K, 4) and scores (K,)."""
        before = self.box[which]
        step = np.maximum(1, since).astype(np.float32)[:, None]
        moved = _middle(box - before) / step
        speed = self.velocity[which]
        guessed = [len(self.rows[at]) == 1 and bool(self.velocity[at].any()) for at in which]
        speed[guessed] = moved[guessed]
        self.velocity[which] = 0.5 * speed + 0.5 * moved
        self.frame[which], self.box[which], self.score[which] = frame, box, score
        for at, row in zip(which, rows, strict=True):
            self.rows[at].append(row)

    def begin(self, rows: list[int], frame: int, box: F32, score: F32, velocity: F32) -> None:
        """New tracks of one sight each, with a guess at their ``velocity`` (K, 2), 0 where there is none."""
        self.rows += [array("i", [row]) for row in rows]
        self.frame = np.append(self.frame, np.full(len(rows), frame, np.int32))
        self.box, self.score = np.concatenate([self.box, box]), np.append(self.score, score)
        self.velocity = np.concatenate([self.velocity, velocity])


def follow(
    found: Detections, rate: Fraction, size: tuple[int, int], alone: float, together: float, sure: float
) -> list[Track]:
    """Tracks of one clip, numbered from 1 in order of first sight; those that rest on one glimpse come last.

    ``rate`` is in frames per second, ``size`` (width, height) that of the frames in pixels. A detection of score
    ``alone`` counts by itself, even if it joins no other; what is fainter counts only where it persists, for faces do
    and chance does not: the best PERSISTS scores of a track must come to ``together``. ``sure`` is the score
    that a track must come to at its best to be held for long.
    """
    usual = USUAL * min(size)
    beat, pace = beats(found, rate)
    clock = _Clock(
        beat,
        tiny=TINY * size[0] / shapes_of(*size).small[0],
        gap=max(1, round(GAP_SECONDS * pace)) + HALF,
        quick=max(1, round(QUICK_SECONDS * pace)) + HALF,
        at_once=int(AT_ONCE_SECONDS * pace) + HALF,
        near=NEAR_SECONDS * pace + ROUNDING,
        hold=round(HOLD_SECONDS * pace),
        weak_hold=round(WEAK_HOLD_SECONDS * pace),
        size=size,
    )
    series, leaps = _linked(found, clock, leaping=False)
    faces = partial(_faces, beat=beat, near=clock.near, usual=usual, together=together)
    is_face = faces(found, _linked(found, clock, leaping=True)[0] if leaps else series, alone=alone)
    if leaps:
        # A leap to another takes sights along without which somebody faint is not enough of a face any more: what is
        # one without any leap is one besides. A sure sight is one in either case, and does not count for others here.
        faint = replace(found, score=np.minimum(found.score, np.float32(alone)))
        is_face |= faces(faint, series, alone=np.inf)
    real: list[I32] = []
    for rows in series:
        stays = rows[is_face[rows]]
        # what is left of it may lie too far apart to be one
        parts = np.split(stays, np.flatnonzero(np.diff(beat[found.frame[stays]]) > clock.gap) + 1)
        real += parts if len(stays) else []
    leaps = [pair for pair in leaps if is_face[pair].all()]
    known = _known(real, leaps, found)
    closed = [(int(rows[0]), _close(rows, found, clock, known[int(rows[0])] < sure)) for rows in real]
    ends = {int(rows[0]) for rows in real}, {int(rows[-1]) for rows in real}
    closed += [(int(pair[0]), _way(pair, found, clock, known[int(pair[1])] < sure, ends)) for pair in leaps]
    closed.sort(key=lambda one: one[0])
    tracks = _with_glimpses([track for _, track in closed], found, clock, usual)
    return [replace(track, number=number) for number, track in enumerate(tracks, 1)]


def _known(series: list[I32], leaps: list[I32], found: Detections) -> dict[int, float]:
    """By each detection of some series the best score of its series, and of those that leaps join to it: who was seen
    surely before a leap, and is faint after it, is no less there."""
    of = {row: at for at, rows in enumerate(series) for row in rows.tolist()}
    best = [float(found.score[rows].max()) for rows in series]
    joined = [(of[int(one)], of[int(other)]) for one, other in leaps]
    while uneven := [pair for pair in joined if best[pair[0]] != best[pair[1]]]:
        for one, other in uneven:
            best[one] = best[other] = max(best[one], best[other])
    return {row: best[at] for row, at in of.items()}


def _linked(found: Detections, clock: _Clock, leaping: bool) -> tuple[list[I32], list[I32]]:
    """Detections as series of one face each; and pairs of which the second may be the first, far from there.

    With ``leaping`` such a pair goes on in one series: together they may be enough for a face. Without, both go their
    own ways: it may be somebody who ran, or one who went as another came.
    """
    beat, cuts = clock.beat, np.sort(found.cuts)
    live = _Open()
    done: list[array[int]] = []
    leaps: list[I32] = []
    for frame in np.unique(found.frame).tolist():
        first, last = np.searchsorted(found.frame, [frame, frame + 1]).tolist()
        crossed = np.searchsorted(cuts, live.frame, "right") < np.searchsorted(cuts, frame, "right")
        since = beat[frame] - beat[live.frame]
        gone = crossed | (since > clock.gap)
        done += live.give_up(gone)
        since = since[~gone]
        box, score = found.box[first:last], found.score[first:last]
        taken, leapt = _link(live, box, score, since, clock)
        velocity = np.zeros((last - first, 2), np.float32)
        if leaping:
            taken |= leapt
        else:
            for place, one in leapt.items():
                leaps.append(np.array([live.rows[one][-1], first + place], np.int32))
                velocity[place] = _middle(box[place] - live.box[one]) / max(1, since[one])
        places, new = list(taken), [place for place in range(last - first) if place not in taken]
        which = list(taken.values())
        live.go_on(which, [first + place for place in places], frame, since[which], box[places], score[places])
        live.begin([first + place for place in new], frame, box[new], score[new], velocity[new])
    done += live.rows
    done.sort(key=lambda track: (int(found.frame[track[0]]), track[0]))
    return [np.array(track, np.int32) for track in done], leaps


def _middle(boxes: F32) -> F32:
    """The middles (N, 2) of boxes (N, 4), or of one."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, np.float32)


def _sights(found: Detections, rows: I32) -> tuple[list[float], list[float]]:
    """Scores and heights of some detections."""
    return found.score[rows].tolist(), (found.box[rows, 3] - found.box[rows, 1]).tolist()


def _faces(
    found: Detections, series: list[I32], beat: F64, near: float, usual: float, alone: float, together: float
) -> npt.NDArray[np.bool_]:
    """Which detections (N,) are sights of a face, by what else is in their series."""
    is_face = np.zeros(len(found), bool)
    for rows in series:
        if _is_face(*_sights(found, rows), usual, alone, together):
            is_face[_staying(found, rows, beat, usual, TO_STAY * alone, TO_STAY * together, near)] = True
    return is_face


def _is_face(scores: list[float], heights: list[float], usual: float, alone: float, together: float) -> bool:
    """One sure enough sight makes a face; so do several that come to enough for their size."""
    best = sorted(scores)[-PERSISTS:]
    needed = together * (median(heights) / usual) ** SIZE_COUNTS
    return best[-1] >= alone or sum(best) >= needed


def _staying(found: Detections, rows: I32, beat: F64, usual: float, alone: float, together: float, near: float) -> I32:
    """The sights of a face around which there is enough of a face: chairs and patterns that were linked to somebody who
    left are not. Some always stay."""
    at = beat[found.frame[rows]]
    scores, heights = _sights(found, rows)
    first, last = np.searchsorted(at, at - near, "left"), np.searchsorted(at, at + near, "right")
    spans = zip(first.tolist(), last.tolist(), strict=True)
    stays = np.array([_is_face(scores[a:b], heights[a:b], usual, alone, together) for a, b in spans], bool)
    return rows[stays] if stays.any() else rows


def _link(live: _Open, boxes: F32, scores: F32, since: F64, clock: _Clock) -> tuple[dict[int, int], dict[int, int]]:
    """Which detection (its place) continues which track, seen so many beats (T,) ago, nearest first; each is used once.

    The second are leaps: what is left over after the near pairs may pair over a longer way if it lies at most
    ``quick`` beats back and more than ``at_once``: who runs, or is pushed through the picture, moves more than a head
    from look to look.
    """
    if not len(live.rows) or not len(boxes):
        return {}, {}
    predicted = live.predict(since)
    near = closeness(predicted, boxes)
    once = [len(rows) == 1 for rows in live.rows]  # whether it moves on or stays is not known yet
    near[once] = np.maximum(near[once], closeness(live.box[once], boxes))
    proven = near.copy()
    proven[[len(rows) < PROVEN for rows in live.rows]] = 0
    proven[proven < 0.3] = 0
    taken = _paired(proven, near)
    found = set(taken.values())
    lost = [which for which in range(len(live.rows)) if which not in found]
    fresh = [place for place in range(len(boxes)) if place not in taken]
    if not lost or not fresh:
        return taken, {}
    unlikely = (since[lost] > clock.quick) | (since[lost] <= clock.at_once)
    far = closeness(predicted[lost], boxes[fresh], reach=FAR, scale=1.4)
    far[unlikely] = 0
    farthest = closeness(live.box[lost], boxes[fresh], reach=FARTHEST, scale=1.4)
    way = _middle(boxes[None, fresh] - live.box[lost, None])
    back = (way * live.velocity[lost, None]).sum(axis=2) < 0
    farthest[back] = 0  # whoever goes one way does not leap the other: one left, and another came
    farthest[unlikely | (live.score[lost] < SEEN_WELL)] = 0
    farthest[:, scores[fresh] < SEEN_WELL] = 0
    return taken, {fresh[place]: lost[which] for place, which in _paired(far, farthest).items()}


def _paired(*each: F32) -> dict[int, int]:
    """Rows by columns, the nearest pairs first, of tables of one shape in turn; each row and column is used once, and
    what is 0 or less is no pair."""
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for nearness in each:
        flat = np.flatnonzero(nearness > 0)
        for at in flat[np.argsort(-nearness.ravel()[flat], kind="stable")].tolist():
            row, column = divmod(at, nearness.shape[1])
            if row not in used and column not in pairs:
                used.add(row)
                pairs[column] = row
    return pairs


def _way(pair: I32, found: Detections, clock: _Clock, weak: bool, ends: tuple[set[int], set[int]]) -> Track:
    """The way of a leap, as a track of its own: nobody was seen on it, and nobody can be recognised.

    ``ends`` are the detections with which a track begins, and those with which one ends: where a leap leads away from
    such a beginning, or up to such an end, nothing else tells that they were on their way before, or afterwards.
    """
    whole = _close(pair, found, clock, weak, held=(int(pair[0]) in ends[0], int(pair[1]) in ends[1]))
    return replace(whole, detections=np.empty(0, np.int32), support=np.maximum(whole.support, Support.FILLED))


def _with_glimpses(tracks: list[Track], found: Detections, clock: _Clock, usual: float) -> list[Track]:
    """The tracks, and those of faces seen in a glimpse that no track explains. Large ones must be surer, as everywhere;
    and where they pop up there is a look at all of the picture as well.

    A track that explains a glimpse is as sure a face as that: looks may show it faintly, from farther away.
    """
    known = list(tracks)
    start, stop = (np.array([getattr(track, end) for track in tracks], np.int64) for end in ("start", "stop"))
    lately: list[int] = []
    glimpses = found.glimpses
    rows = glimpses.frame.tolist(), glimpses.box, glimpses.score.tolist(), glimpses.cut.tolist()
    for frame, box, score, cut in zip(*rows, strict=True):
        if score < GLIMPSED * (float(box[3] - box[1]) / usual) ** SIZE_COUNTS:
            continue
        there = np.flatnonzero((start <= frame) & (frame < stop)).tolist()
        lately = [at for at in lately if known[at].stop > frame]
        explaining = [at for at in (*there, *lately) if _explains(known[at], frame, box, cut)]
        if explaining:
            theirs = np.stack([known[at].box[frame - known[at].start] for at in explaining])
            nearest = explaining[int(closeness(theirs, box[None]).argmax())]
            known[nearest] = _surer(known[nearest], frame, score, clock)
        else:
            lately.append(len(known))
            known.append(_popped(frame, box, score, found, clock))
    return known


def _surer(track: Track, frame: int, score: float, clock: _Clock) -> Track:
    """The track of a face that was seen with this score in one of its frames, besides its own sights."""
    near = np.abs(clock.beat[track.start : track.stop] - clock.beat[frame]) <= clock.near
    best = np.where(near, np.maximum(track.certainty, np.float32(score)), track.certainty)
    return replace(track, strength=max(track.strength, score), certainty=best)


def _explains(track: Track, frame: int, box: F32, cut: bool) -> bool:
    """Whether a glimpse at a face is one at this track's, in whose span it falls; at part of it if it is ``cut``."""
    its = track.box[frame - track.start]
    size = its[2:] - its[:2]
    low, high = (share * size[1] for share in (0 if cut else SAME_HEIGHT[0], SAME_HEIGHT[1]))
    beside = np.abs((box[:2] + box[2:]) - (its[:2] + its[2:])) / size
    return bool((beside < (1 if cut else SAME_PLACE)).all() and low <= box[3] - box[1] <= high)


def _popped(frame: int, box: F32, score: float, found: Detections, clock: _Clock) -> Track:
    """A face that was seen in one glimpse: it stays for as long as faces are held, whatever looks see of it, for they
    see less; one that only the large picture may show, until a look at that."""
    beat = clock.beat
    low, high = _scene(frame, frame, found)
    start = max(low, int(np.searchsorted(beat, beat[frame] - clock.at_once)))
    stop = min(high, int(np.searchsorted(beat, beat[frame] + clock.hold + HALF)))
    if box[3] - box[1] < clock.tiny:
        later = found.thorough[found.thorough > frame]
        stop = max(stop, min(high, int(later[0]) + 1 if len(later) else high))
    away = np.abs(beat[start:stop] - beat[frame])
    support = np.full(stop - start, Support.EXTENDED, np.uint8)
    support[frame - start] = Support.SEEN
    return Track(
        number=0,
        start=start,
        box=larger(np.tile(box, (stop - start, 1)), np.minimum(BRIEFLY * away, BRIEF)[:, None]).astype(np.float32),
        support=support,
        detections=np.empty(0, np.int32),
        strength=score,
        certainty=np.full(stop - start, score, np.float32),
    )


def _close(rows: I32, found: Detections, clock: _Clock, weak: bool, held: tuple[bool, bool] = (True, True)) -> Track:
    """Detections -> a box for every frame from the first to the last, and before and after them if ``held`` there, for
    less long if the face was never sure (``weak``). Its number is to come."""
    beat, near, at = clock.beat, clock.near, found.frame[rows]
    seen = beat[at]
    boxes = found.box[rows]
    strength = float(found.score[rows].max())
    start, stop = int(at[0]), int(at[-1]) + 1
    low, high = _scene(start, stop - 1, found)
    if held[0]:
        start = max(low, _end(-1, at[::-1], boxes[::-1], found.score[rows][::-1], found, clock, weak))
    if held[1]:
        stop = min(high, 1 + _end(1, at, boxes, found.score[rows], found, clock, weak))
    frames = np.arange(start, stop)
    now = beat[start:stop]
    dense = np.stack([np.interp(now, seen, boxes[:, side]) for side in range(4)], axis=1)
    dense += _onward(now, seen, boxes)
    away = np.abs(now - seen[_nearest(now, seen)])
    dense = larger(dense, np.minimum(GROWTH * away, GROWN)[:, None])
    support = np.full(len(frames), Support.FILLED, np.uint8)
    support[(frames < at[0]) | (frames > at[-1])] = Support.EXTENDED
    support[at - start] = Support.SEEN
    first, last = np.searchsorted(seen, now - near, "left"), np.searchsorted(seen, now + near, "right")
    best = np.maximum.reduceat(np.append(found.score[rows], 0), np.column_stack([first, last]).ravel())[::2]
    return Track(
        number=0,
        start=start,
        box=dense.astype(np.float32),
        support=support,
        detections=rows,
        strength=strength,
        certainty=np.where(last > first, best, 0).astype(np.float32),
    )


def _end(way: int, at: I32, boxes: F32, score: F32, found: Detections, clock: _Clock, weak: bool) -> int:
    """The last frame, forwards (``way`` 1) or backwards (-1), to which a track reaches beyond its last sight.

    A face that was seen well, or that moves, and is not found at the next look has gone: the track ends with that
    look, where half of the face may still be in sight beside whoever it goes behind. One that was faint or still may
    only have turned away: it is held. So is one at the picture's border, of which half may be in sight for a while
    before it is found, or after. Of a face that only the large picture shows, only looks at that one tell.
    """
    last, beat = int(at[-1]), clock.beat
    looked, hold = found.looked, clock.weak_hold if weak else clock.hold
    if not (weak and len(at) == 1) and boxes[-1, 3] - boxes[-1, 1] < clock.tiny and _missed(at, found):
        looked, hold = found.thorough, int(clock.gap)
    later = looked[looked > last] if way > 0 else looked[looked < last]
    if way > 0:
        free = int(np.searchsorted(beat, beat[last] + hold + HALF)) - 1
    else:
        free = int(np.searchsorted(beat, beat[last] - hold - HALF))
    if not len(later):
        return free
    gone = int(later[0 if way > 0 else -1])
    speed = 0.0
    if len(at) > 1:
        moved = np.hypot(*((boxes[-1, :2] + boxes[-1, 2:]) - (boxes[-2, :2] + boxes[-2, 2:]))) / 2
        speed = float(moved / abs(beat[last] - beat[at[-2]]) / max(float(boxes[-1, 3] - boxes[-1, 1]), 1.0))
    found_by_looks = (score[-1] >= SEEN_WELL or speed > MOVING) and not _at_border(boxes[-1], clock.size)
    if found_by_looks or looked is found.thorough:
        return min(free, gone) if way > 0 else max(free, gone)
    return free


def _at_border(box: F32, size: tuple[int, int]) -> bool:
    """Whether a box (4,) reaches the border of a picture of this width and height, but for AT_BORDER of its height."""
    near = AT_BORDER * float(box[3] - box[1])
    return bool(box[:2].min() <= near or (np.array(size) - box[2:]).min() <= near)


def _missed(at: I32, found: Detections) -> bool:
    """Whether other looks than those at the large picture seem to miss a face at this end of its track: it was seen in
    one, and not at some look from there to its sight before; if there was none, nothing speaks against it."""
    last = at[-1]
    if last not in found.thorough:
        return False
    if len(at) == 1:
        return True
    first, stop = sorted((int(last), int(at[-2])))
    return bool(((found.looked > first) & (found.looked < stop)).any())


def _onward(now: F64, at: F64, boxes: F32) -> F64:
    """How far the box has moved on (L, 4) in frames, of which the beats are given (L,), before the first and after the
    last sight, at the speed it had there; after ONWARD beats it stands still."""
    shift = np.zeros((len(now), 4))
    if len(at) > 1:
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        for end, inner, outside in ((0, 1, now < at[0]), (-1, -2, now > at[-1])):
            speed = (centre[end] - centre[inner]) / (at[end] - at[inner])
            ahead = np.clip(now[outside] - at[end], -ONWARD, ONWARD)
            shift[outside] = np.tile(ahead[:, None] * speed, 2)
    return shift


def _nearest(now: F64, at: F64) -> np.ndarray:
    """For each of ``now`` the index of the nearest of ``at`` (both sorted)."""
    right = np.clip(np.searchsorted(at, now), 0, len(at) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(at[left] - now) <= np.abs(at[right] - now), left, right)


def _scene(first: int, last: int, found: Detections) -> tuple[int, int]:
    """The frames between the cuts around ``first`` and ``last``, half-open."""
    cuts = np.sort(found.cuts)
    before = cuts[cuts <= first]
    after = cuts[cuts > last]
    return (int(before[-1]) if len(before) else 0), (int(after[0]) if len(after) else found.frames)

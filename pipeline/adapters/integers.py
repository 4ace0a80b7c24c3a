"""A network's layers in whole numbers of 8 bits: a third to a half of the time, and of the memory.

What flows into a layer is divided by the largest that flows there (pipeline/ranges.toml), its filters by their largest
weight, and both are rounded; sums are exact. Of a layer that has one filter for each channel, every channel has a
largest of its own, which costs nothing: they differ by a hundred times. (Jacob et al. 2018, arXiv 1712.05877; why by
channel: Nagel et al. 2019, arXiv 1906.04721.)
"""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice

import numpy as np

from pipeline.adapters.inference import core, ops, ov
from pipeline.adapters.weights import RANGES
from pipeline.records import F32

CONVOLUTIONS = ("Convolution", "GroupConvolution")

UNSIGNED, SIGNED = 255, 127
"""The largest whole number of what flows into a layer where nothing is below zero, and of all else."""

DEAD = 0.03
"""Of the layer's largest: a channel's own is at least that. One that was silent in every picture measured may speak."""

BESIDE_BFLOAT16 = 9
"""Layers that gain where floats are bfloat16 anyhow: those with the largest maps. All others would cost more to compile
than they save in a clip of seconds."""

CHANNELS = 64
"""Of the layer with which `exact` tries: more than a processor multiplies in one go."""


def ranges(network: str) -> dict[str, F32]:
    """The largest absolute values that flow into layers of a network: of each channel (C,), or of all (1,). By the name
    of what flows in, in the order of the network. What is not listed stays in floats."""
    read = tomllib.loads(RANGES.read_text(encoding="utf-8"))
    return {name: np.array(values, np.float32) for name, values in read[network].items()}


def worthwhile(network: str) -> dict[str, F32]:
    """Of `ranges`, what gains on this processor."""
    if not exact():
        return {}
    plain = core().get_property("CPU", "INFERENCE_PRECISION_HINT") != ov.Type.bf16
    return dict(islice(ranges(network).items(), None if plain else BESIDE_BFLOAT16))


def use(model: ov.Model, largest: Mapping[str, F32]) -> None:
    """Change the layers into which what is named in ``largest`` flows, so that they are done in whole numbers.

    Filters must be constants (`networks._folded`).
    """
    rounded: dict[str, ov.Output] = {}
    for layer in [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]:
        source = layer.input_value(0)
        name = source.get_node().get_friendly_name()
        if name in largest:
            if name not in rounded:
                rounded[name] = _rounded(source, largest[name])
            layer.input(0).replace_source_output(rounded[name])
            layer.input(1).replace_source_output(_rounded_filters(layer))
    model.validate_nodes_and_infer_types()


def _rounded(source: ov.Output, largest: F32) -> ov.Output:
    high = np.maximum(largest, DEAD * largest.max()).reshape(1, -1, 1, 1)
    unsigned = source.get_node().get_type_name() == "Relu"
    low = np.zeros_like(high) if unsigned else -high * (SIGNED + 1) / SIGNED
    ends = [ops.constant(values) for values in (low, high, low, high)]
    return ops.fake_quantize(source, *ends, UNSIGNED + 1).output(0)


def _rounded_filters(layer: ov.Node) -> ov.Output:
    """As 8-bit numbers and one factor for each filter."""
    filters = np.asarray(layer.input_value(1).get_node().data, np.float32)
    own = tuple(range(1 if layer.get_type_name() == "Convolution" else 2, filters.ndim))
    step = np.maximum(np.abs(filters).max(axis=own, keepdims=True), 1e-9) / SIGNED
    whole = np.clip(np.round(filters / step), -SIGNED, SIGNED).astype(np.int8)
    return ops.multiply(ops.convert(ops.constant(whole), "f32"), ops.constant(step.astype(np.float32))).output(0)


@lru_cache(maxsize=1)
def exact() -> bool:
    """Whether this processor adds products of 8-bit numbers exactly, and fast (VNNI: Intel from 2019, AMD from 2022).

    Others cut off what does not fit into 16 bits, and faint faces with it. It is tried with the largest numbers.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False  # not tried on any
    numbers = ops.parameter([1, CHANNELS, 8, 8], np.float32)
    flowing = ops.relu(numbers)
    layer = ops.convolution(
        flowing,
        ops.constant(np.full((CHANNELS, CHANNELS, 1, 1), SIGNED, np.float32)),
        [1, 1], [0, 0], [0, 0], [1, 1],
    )  # fmt: skip
    model = ov.Model([ops.result(layer)], [numbers], "sums")
    use(model, {flowing.get_friendly_name(): np.array([UNSIGNED], np.float32)})
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"})
    sums = compiled(np.full((1, CHANNELS, 8, 8), UNSIGNED, np.float32))[0]
    return bool((sums == UNSIGNED * SIGNED * CHANNELS).all())

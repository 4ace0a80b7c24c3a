"""OpenVINO, which runs the networks, with nothing leaving this machine. Whoever needs it imports it from here."""

from __future__ import annotations

import sys
from functools import lru_cache

# Before the import: openvino tells Google Analytics that it was imported, and no variable turns that off. Without the
# package that does so, openvino takes a stub. Nothing may leave this machine.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov
import openvino.passes
from openvino import opset1
from openvino import opset8 as ops

# The first look into a tensor links the bindings to numpy, once in a process. Two threads that did so at once would
# wait for each other for ever, one holding the interpreter, the other the link; so it is done here, where there is one.
_ = ov.Tensor(ov.Type.f32, [1]).data


@lru_cache(maxsize=1)
def core() -> ov.Core:
    """Compiled networks are not kept on disk: recognition would leave 22 MB there at every start, under a new name."""
    return ov.Core()


def device(wanted: str) -> str:
    """Where faces are looked for. "auto": on Intel graphics where OpenVINO sees any; else on the processor.

    OpenVINO's own AUTO moves from one to the other while it is at work, so that a film would not give the same twice.
    """
    graphics = [name for name in core().available_devices if name.split(".")[0] == "GPU"] if wanted == "auto" else []
    return graphics[0] if graphics else "CPU"


def compile_model(model: ov.Model, streams: int, precision: str | None = "f32", place: str = "CPU") -> ov.CompiledModel:
    """For ``streams`` callers at once with a core each: that wastes less than several cores on one picture.

    Not tied to particular cores: the first stream of every network would be tied to the same one, and wait there while
    another is idle.
    """
    if place != "CPU":
        try:
            return core().compile_model(model, place, {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError:
            pass  # a driver that does not do: the processor does it
    options = {"NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": str(streams), "ENABLE_CPU_PINNING": "NO"}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision
    return core().compile_model(model, "CPU", options)


__all__ = ["compile_model", "core", "device", "ops", "opset1", "ov"]

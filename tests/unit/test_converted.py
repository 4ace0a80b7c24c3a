"""A picture in another format is the same each time: the one that is written must be the one that was looked at."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pipeline.adapters.pictures import converted, converted_colour, cut_out, fingerprint, planar, planes, shrunk, whole


@pytest.mark.parametrize("size", [(321, 241), (322, 242), (321, 240)])
@pytest.mark.parametrize("name", ["yuv444p12le", "p010le", "rgb24"])
def test_a_picture_is_converted_to_the_same_samples_each_time(name: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(noise, format="rgb24")
    picture = picture if name == "rgb24" else picture.reformat(format=name)
    target, colour = planar(picture.format), converted_colour(picture)
    seen = set()
    for number in range(40):
        litter = av.VideoFrame(*size, target)  # what lies in memory before must not matter
        for plane in planes(litter, True):
            plane[:] = 6 * number
        del litter
        seen.add(fingerprint(converted(picture, target, colour)))
    assert len(seen) == 1


HANDED_OUT = {
    "yuv444p12le": "yuv444p10le",
    "yuva444p": "yuv444p",
    "nv24": "yuv444p",
    "xv30le": "yuv444p10le",
    "gbrp": "yuv444p",
    "pal8": "yuv444p",
    "yuv440p": "yuv444p",
    "yuv422p12le": "yuv422p10le",
    "yuyv422": "yuv422p",
    "yuv411p": "yuv422p",
    "p010le": "yuv420p10le",
    "nv12": "yuv420p",
    "yuv410p": "yuv420p",
    "gray": "yuv420p",
    "gray12le": "yuv420p10le",
    "ya8": "yuv420p",
    "monob": "yuv420p",
}


@pytest.mark.parametrize("name", HANDED_OUT)
def test_a_picture_is_handed_out_in_the_nearest_format_that_holds_it(name: str) -> None:
    assert planar(av.VideoFormat(name, 16, 16)) == HANDED_OUT[name]


@pytest.mark.parametrize("name", ["yuv444p12le", "yuva444p", "nv24"])
def test_full_chroma_is_kept(name: str) -> None:
    stripes = np.zeros((16, 32, 3), np.uint8)
    stripes[:, ::2, 0] = 255  # red and black in turn, a pixel wide
    picture = av.VideoFrame.from_ndarray(stripes, format="rgb24").reformat(format=name)
    out = converted(picture, planar(picture.format), converted_colour(picture))
    v = np.asarray(planes(out)[2], np.float64)
    assert abs(v[:, ::2].mean() - v[:, 1::2].mean()) > 20 * v.max() / 255


@pytest.mark.parametrize("looked_at", ["small", "cut out", "whole"])
def test_the_networks_see_a_pq_film_as_bright_as_a_usual_one(looked_at: str) -> None:
    def seen(transfer: int, code: int) -> int:
        picture = av.VideoFrame(64, 48, "yuv420p10le")
        for plane, level in zip(planes(picture, True), (code, 512, 512), strict=True):
            plane[:] = level
        picture.color_range, picture.color_trc = 1, transfer
        bgr = {"small": lambda: shrunk(picture, 32, 24), "whole": lambda: whole(picture)}.get(
            looked_at, lambda: cut_out(picture, (8, 8, 40, 40))[0]
        )()
        return int(bgr[5, 5, 1])

    # the numbers of 0, 4.5, 26, 203 and 1,000 candelas: a face lies about the third (ITU-R BT.2408)
    narrow = [64 + round(876 * share) for share in (0.0, 0.24, 0.38, 0.58, 0.75)]
    usual = [seen(16, code) for code in narrow]
    assert usual[0] == 0
    assert usual == sorted(usual)
    assert 40 < usual[1] < 50
    assert 90 < usual[2] < 110
    assert 200 < usual[3] <= 250
    assert usual[3] < usual[4] <= 255
    assert [seen(18, code) for code in narrow] == [seen(2, code) for code in narrow]  # HLG stays as it is


def test_what_the_networks_see_of_a_pq_film_is_not_what_is_written() -> None:
    picture = av.VideoFrame(64, 48, "yuv420p10le")
    for plane in planes(picture, True):
        plane[:] = 400
    picture.color_trc = 16
    before = fingerprint(picture)
    shrunk(picture, 32, 24)
    cut_out(picture, (8, 8, 40, 40))
    assert fingerprint(picture) == before

"""A picture in another format is the same each time: the one that is written must be the one that was looked at."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pipeline.adapters.pictures import converted, converted_colour, fingerprint, planar, planes


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

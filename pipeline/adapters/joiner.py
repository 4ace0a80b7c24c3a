"""A film put together from pieces that were encoded apart: their packets as they are, their sound made once.

Each piece begins with a keyframe that needs nothing before it (``forced-idr`` in video_out.py). Times of decoding are
dealt out anew over the whole, as one encoder would have done: picture ``n`` in decoding order is decoded when picture
``n - delay`` is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import numpy.typing as npt

from pipeline.adapters import files
from pipeline.adapters.video_in import ClipReader
from pipeline.adapters.video_out import ClipWriter

FEW = 2
"""Pictures that x264 puts in another order at most, as we call it; a piece of no more does not show how many."""


class JoinError(Exception):
    """These pieces cannot be one film; write it in one go."""


class Joiner(ClipWriter):
    """Writes a film from pieces that `ClipWriter` made of stretches of one clip, in order; closed and aborted like it.

    ``template`` is the first piece. The sound is made from the clip. What does not fit raises JoinError, at a later
    piece or at ``close``.
    """

    def __init__(
        self,
        path: Path,
        clip: ClipReader,
        template: Path,
        *,
        audio: Literal["keep", "mute", "disguise"],
        mutes: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._template = template
        self._recent: list[int] = []
        """Times, on the file's clock, of the pictures that may still give a picture to come its time of decoding."""
        super().__init__(path, clip, audio=audio, mutes=mutes)

    def add(self, piece: Path, pts: npt.NDArray[np.int64], seconds: float) -> None:
        """The next piece. ``pts`` (N,) are its pictures' times in order of display, on the source's clock; ``seconds``
        is from the first to the end of the last."""
        if self._failure is not None:
            self._give_up()
        first, last = int(pts[0]), int(pts[-1])
        if self._last is not None and first <= self._last:
            raise JoinError(f"a piece begins at {first}, not after {self._last}")
        self._first = first if self._first is None else self._first
        self._last_duration = max(1, first + round(seconds / self._time_base) - last)
        self._last = last
        self._frames += len(pts)
        self._queue.put((piece, pts - self._shift, self._last_duration))

    def _add_video(self, preset: str, crf: int, threads: int) -> Any:
        with av.open(files.url(self._template)) as piece:
            video = piece.streams.video[0]
            self._extradata = video.codec_context.extradata
            stream = self._container.add_stream_from_template(video)
        stream.time_base = self._time_base
        return stream

    def _encode(self, item: Any, last: bool) -> None:
        path, pts, last_duration = item
        self._ending = int(pts[-1]) if last else None
        with av.open(files.url(path)) as container:
            video = container.streams.video[0]
            if video.codec_context.extradata != self._extradata:
                raise JoinError("the pieces do not share their parameter sets")
            # In a file of ours every packet has its times.
            shown = sorted(int(p.pts or 0) for p in container.demux(video) if p.size)
            if len(shown) != len(pts) or len(set(shown)) != len(shown):
                raise JoinError(f"a piece has {len(shown)} pictures, not {len(pts)}")
        with av.open(files.url(path)) as container:
            video = container.streams.video[0]
            self._mux_piece(container.demux(video), {when: n for n, when in enumerate(shown)}, pts, last_duration)
        files.remove(path)  # what is in the film already need not lie on the disk twice

    def _mux_piece(self, packets: Any, order: dict[int, int], pts: npt.NDArray[np.int64], last_duration: int) -> None:
        times = [int(when) for when in pts]
        at, earliest = 0, min(order)
        if not self._recent:
            delay = 0
            ahead: list[Any] = []
            for packet in packets:
                if packet.size:
                    ahead.append(packet)
                    if int(packet.dts) >= earliest:
                        break
                    delay += 1
            # before the first picture is shown so many are decoded; the clock runs on from before zero
            if len(times) <= FEW:
                self._recent = [times[0] - n * self._step for n in range(FEW, 0, -1)]
            elif len(times) <= delay:
                raise JoinError("the first piece is too short")
            else:
                self._recent = [times[n] - (times[delay] - times[0]) for n in range(delay)]
            packets = (packet for group in (ahead, packets) for packet in group)
        clock = self._recent + times
        for packet in packets:
            if not packet.size:
                continue
            if at == 0 and not packet.is_keyframe:
                raise JoinError("a piece does not begin with a keyframe")
            place = order[int(packet.pts)]
            when, decoded = times[place], clock[at]
            if when < decoded:
                raise JoinError("a picture would be shown before it is decoded")
            following = times[place + 1] if place + 1 < len(times) else when + last_duration
            packet.pts, packet.dts, packet.time_base = when, decoded, self._time_base
            packet.duration = following - when
            packet.stream = self._video
            self._time(packet)
            self._container.mux(packet)
            self._hear((decoded + self._shift) * self._time_base)
            at += 1
        self._recent = clock[len(times) :]

    def _flush_video(self) -> None:
        pass

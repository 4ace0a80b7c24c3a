"""Writes the picture and at most one sound to an MP4 file, and nothing else that the source carried.

The file is H.264 and AAC with its index in front. Size, pixel format, sample aspect, colour description and the exact
time of every frame are the source's; titles, dates, places, device names, chapters, subtitles and data tracks are
left behind by never being copied.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import av
import av.bitstream
import av.codec.context
import av.error
import av.video.frame

from pipeline.adapters import encoders, files
from pipeline.adapters.sound import Sound
from pipeline.adapters.video_in import ClipReader, planes
from pipeline.errors import DiskFullError, LesveilError, OutputNotWritableError, QuarantinedError

AHEAD = 4
"""Pictures that may wait for the encoder."""

KEYFRAMES = 2
"""Seconds between keyframes at most, so that a reviewer can jump."""

DELAYS = 48_000
"""Ticks a second, at least, in which a film tells by how much its sound begins later than its picture: told in a
picture's own, which may be as long as the picture is shown, it would be rounded to that."""

KEEPS_ZERO = ("mp4", "matroska", "avi")
"""Containers whose clock starts at zero, so that a first frame later than zero means something."""


@dataclass(frozen=True)
class Written:
    """What was written. ``seconds`` is from the first frame's time to the end of the last.

    ``shift`` is what was taken off every time, in seconds (not 0 only where the source's clock starts anywhere).
    ``sound`` tells what became of it: "none" had none, "muted" or "disguised" on request, "lost" when
    nothing of it could be decoded.
    ``silences`` are stretches in seconds, on the source's clock, that are silent because nothing was decoded there.
    """

    frames: int
    seconds: float
    bytes: int
    shift: Fraction
    sound: Literal["kept", "disguised", "muted", "none", "lost"]
    silences: tuple[tuple[float, float], ...]


def hidden_frame(clip: ClipReader) -> av.VideoFrame:
    """A mid-grey picture of the clip's size, pixel format and colour description."""
    picture = av.VideoFrame(clip.info.width, clip.info.height, clip.info.pixel_format)
    grey = 512 if clip.info.pixel_format.endswith("10le") else 128
    for plane in planes(picture, writable=True):
        plane[:] = grey
    clip.colour.put_on(picture)
    return picture


def muxer_options(time_base: Fraction) -> dict[str, str]:
    """How an MP4 is to be written whose picture's times are whole ticks of ``time_base``: every pts is a whole number
    of ticks of the muxer's clock, and so is the delay of either stream, on the film's own clock, to 1 / DELAYS s."""
    ticks = time_base.denominator
    return {
        "movflags": "+faststart",
        "fflags": "+bitexact",
        "video_track_timescale": str(ticks),
        "movie_timescale": str(ticks * -(-DELAYS // ticks)),
    }


def encoded_format(pixel_format: str, width: int, height: int) -> str:
    """The pixel format to encode in.

    H.264 stores 4:2:0 and 4:2:2 in even sizes only, and cannot crop to an odd one. Such a picture becomes 4:4:4, which
    keeps its size and every luma value; the price is that some hardware players will not show it.
    """
    if (width % 2 and "444" not in pixel_format) or (height % 2 and "420" in pixel_format):
        return pixel_format.replace("420", "444").replace("422", "444")
    return pixel_format


class ClipWriter:
    """Encodes in a thread of its own while the caller prepares the next picture; a context manager.

    Leaving the ``with`` block by an exception aborts: the file is removed. Otherwise ``close()`` must have been
    called, and returns what was written. ``path`` is written over: give it a name that nobody takes for finished.
    ``mutes`` are stretches, in seconds on the source's clock, that are to be silent; those that begin with the first
    picture or end with the last take in what is heard before and after the picture. ``encoder`` as in `encoders`.
    """

    def __init__(
        self,
        path: Path,
        clip: ClipReader,
        *,
        preset: str = "superfast",
        crf: int = 21,
        audio: Literal["keep", "mute", "disguise"] = "keep",
        threads: int | None = None,
        mutes: Sequence[tuple[float, float]] = (),
        encoder: str = "software",
    ) -> None:
        self._wanted = encoder
        self._name: str | None = None
        self._mutes = mutes
        self.path = Path(path)
        self._clip = clip
        self._time_base = clip.info.time_base
        self._audio = audio
        self._step = max(1, round(1 / (clip.info.rate * self._time_base)))
        self._frames = 0
        self._first: int | None = None
        self._last: int | None = None
        self._last_duration = self._step
        self._keyed: int | None = None
        self._ending: int | None = None
        self._lead: int | None = None
        """Ticks by which the first picture is decoded before it is shown."""
        self._failure: BaseException | None = None
        self._finished = False
        self._sound: Sound | None = None
        self._container: Any = None
        with self._in_our_words():
            with self.path.open("wb"):
                pass  # before any work: may we write here at all?
            try:
                self._open(preset, crf, threads or min(8, os.cpu_count() or 1))
            except BaseException:
                self._remove()
                raise
        self._queue: queue.Queue[Any] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._work, name="lesveil-encode", daemon=True)
        self._thread.start()

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self.abort()

    def write(self, picture: av.VideoFrame, pts: int) -> None:
        """Hand over a picture to be shown at ``pts`` (``clip.info.time_base``, the source's clock), after the last.

        The picture belongs to the writer from here on. What went wrong with an earlier one is raised here or by
        ``close``: DiskFullError, OutputNotWritableError, or whatever it was.
        """
        if self._failure is not None:
            self._give_up()
        if self._last is not None and pts <= self._last:
            raise ValueError(f"frame at {pts} does not lie after {self._last}")
        if (picture.width, picture.height) != (self._clip.info.width, self._clip.info.height):
            raise ValueError(f"a picture of {picture.width}x{picture.height} does not belong to {self._clip.path}")
        self._first = pts if self._first is None else self._first
        self._last = pts
        self._frames += 1
        self._last_duration = picture.duration or self._step
        picture.pts = pts - self._shift
        picture.time_base = self._time_base
        picture.duration = self._last_duration
        self._queue.put(picture)

    def close(self) -> Written:
        """Finish the file and see it safely on the disk."""
        self._queue.put(None)
        self._thread.join()
        self._finished = True
        if self._failure is not None:
            self._give_up()
        try:
            with self._in_our_words():
                size = self._finish()
        except BaseException:
            self._remove()
            raise
        sound = self._sound
        state: Literal["kept", "disguised", "muted", "none", "lost"] = "none"
        if self._audio == "mute":
            state = "muted"
        elif sound is not None:
            heard: Literal["kept", "disguised"] = "disguised" if self._audio == "disguise" else "kept"
            state = heard if sound.start is not None else "lost"
        return Written(
            frames=self._frames,
            seconds=float((self._end() - (self._first or 0)) * self._time_base),
            bytes=size,
            shift=self._shift * self._time_base,
            sound=state,
            silences=() if sound is None else tuple(sound.silences),
        )

    def abort(self) -> None:
        """Stop and remove the file. Does nothing after ``close``."""
        if self._finished:
            return
        self._finished = True
        self._failure = self._failure or RuntimeError("aborted")  # the thread drops what still waits
        self._queue.put(None)
        self._thread.join()
        self._remove()

    def _open(self, preset: str, crf: int, threads: int) -> None:
        clip, info = self._clip, self._clip.info
        starts = [clip.start * self._time_base] if clip.start is not None else []
        if self._audio != "mute":
            first = starts[0] if starts else None
            sound = Sound(clip.path, clip.chapters, self._mutes, disguise=self._audio != "keep", first=first)
            if sound.present:
                self._sound = sound
                if sound.start is not None:
                    starts.append(sound.start)
        earliest = min(starts, default=Fraction(0))
        keeps = any(name in info.container for name in KEEPS_ZERO) and (clip.start or 0) >= 0
        self._shift = 0 if keeps else int(earliest // self._time_base)
        self._container = av.open(
            files.url(self.path), "w", format="mp4", container_options=muxer_options(self._time_base)
        )
        self._video = self._add_video(preset, crf, threads)
        if self._sound is not None:
            sound = self._sound
            track = self._container.add_stream("aac", rate=sound.rate, layout=sound.layout)
            track.bit_rate = sound.bit_rate
            track.codec_context.time_base = Fraction(1, sound.rate)
            track.codec_context.flags |= int(av.codec.context.Flags.bitexact)
            self._track = track
            origin = self._shift * self._time_base
            sound.begin(max(origin, starts[0]) if sound.start is None else origin)
            self._sound_origin = round(origin * sound.rate)
        self._container.start_encoding()

    def _add_video(self, preset: str, crf: int, threads: int) -> Any:
        """The picture's stream in the file."""
        clip, info = self._clip, self._clip.info
        pixel_format = encoded_format(info.pixel_format, info.width, info.height)
        name = self._name = encoders.chosen(self._wanted, pixel_format, info.width, info.height)
        options = encoders.options(name, preset, crf)
        stream = self._container.add_stream(name, rate=info.rate, options=options)
        stream.time_base = self._time_base
        context = stream.codec_context
        context.time_base = self._time_base
        context.width, context.height, context.pix_fmt = info.width, info.height, pixel_format
        context.sample_aspect_ratio = info.sample_aspect
        context.gop_size = max(1, int(KEYFRAMES * info.rate))
        context.thread_count = threads
        context.thread_type = "FRAME"  # several pictures at once: in slices of one picture, threads wait for each other
        context.color_range = clip.colour.range
        context.color_primaries = clip.colour.primaries
        context.color_trc = clip.colour.transfer
        context.colorspace = clip.colour.space
        # without frame_duration the last picture lasts as long as at the average rate, not as long as in the source
        context.flags |= int(av.codec.context.Flags.bitexact | av.codec.context.Flags.frame_duration)
        self._pixel_format = pixel_format
        self._unsigned: Any = None
        return stream

    def _work(self) -> None:
        picture = self._queue.get()
        while picture is not None:
            following = self._queue.get()
            if self._failure is None:  # after one the caller must still never be left waiting at a full queue
                try:
                    self._encode(picture, following is None)
                except BaseException as error:  # noqa: BLE001 -- raised again where the caller stands
                    self._failure = error
            picture = following
        if self._failure is None:
            try:
                self._flush()
            except BaseException as error:  # noqa: BLE001 -- likewise
                self._failure = error

    def _encode(self, picture: av.VideoFrame, last: bool) -> None:
        if picture.format.name != self._pixel_format:
            full = 2 if self._clip.colour.range == 2 else 1
            converted = picture.reformat(format=self._pixel_format, src_color_range=full, dst_color_range=full)
            converted.pts, converted.time_base, converted.duration = picture.pts, self._time_base, picture.duration
            picture = converted
        pts = picture.pts
        assert pts is not None
        # The source's own picture types say nothing about this encoding.
        picture.pict_type = av.video.frame.PictureType.NONE
        self._ending = pts if last else None
        # The last one, too: MP4 tells how long a picture lasts in order of decoding, so how long the film's end is held
        # would go lost if another picture were decoded after it.
        if last or self._keyed is None or (pts - self._keyed) * self._time_base >= KEYFRAMES:
            picture.pict_type = av.video.frame.PictureType.I
            self._keyed = pts
        for packet in self._video.encode(picture):
            self._mux(packet)
        self._hear((pts + self._shift) * self._time_base)

    def _hear(self, time: Fraction) -> None:
        """Write the sound up to ``time``, in seconds on the source's clock."""
        if self._sound is not None:
            for frame in self._sound.until(time):
                self._mux_sound(frame)

    def _flush(self) -> None:
        self._flush_video()
        if self._sound is not None:
            for frame in self._sound.rest(self._end() * self._time_base, (self._last or 0) * self._time_base):
                self._mux_sound(frame)
            self._mux_sound(None)

    def _flush_video(self) -> None:
        for packet in self._video.encode(None):
            self._mux(packet)
        if self._unsigned is not None:
            for packet in self._unsigned.filter(None):
                self._container.mux(packet)

    def _mux(self, packet: Any) -> None:
        if self._unsigned is None:
            # x264 signs its work in a message inside the picture stream (SEI, NAL unit type 6).
            self._unsigned = av.bitstream.BitStreamFilterContext(
                "filter_units=remove_types=6", self._video, self._video
            )
        for clean in self._unsigned.filter(packet):
            clean.stream = self._video
            self._time(clean)
            self._container.mux(clean)

    def _time(self, packet: Any) -> None:
        """The last picture is decoded as long before it is shown as the first, so that all durations come to the film's
        length. What an encoder says is the time of an earlier picture, in an uneven film another distance."""
        if self._lead is None:
            self._lead = packet.pts - packet.dts
        if packet.pts == self._ending:
            packet.dts = max(packet.dts, packet.pts - self._lead)

    def _mux_sound(self, frame: av.AudioFrame | None) -> None:
        if frame is not None and frame.pts is not None:
            frame.pts -= self._sound_origin
        for packet in self._track.encode(frame):
            self._container.mux(packet)

    def _end(self) -> int:
        return 0 if self._last is None else self._last + self._last_duration

    def _finish(self) -> int:
        self._container.close()
        if self._sound is not None:
            self._sound.close()
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)

    def _give_up(self) -> None:
        self._finished = True
        failure = self._failure
        assert failure is not None
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._remove()
        with self._in_our_words():
            raise failure

    def _remove(self) -> None:
        with contextlib.suppress(av.error.FFmpegError, OSError):
            if self._container is not None:
                self._container.close()
        if self._sound is not None:
            self._sound.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    @contextlib.contextmanager
    def _in_our_words(self) -> Any:
        try:
            yield
        except LesveilError:
            raise
        except OSError as error:
            if files.is_full(error):
                raise DiskFullError(
                    "The disk is full while writing {file}; make room or choose another folder.", file=self.path
                ) from error
            self._blame_hardware(error)
            raise OutputNotWritableError(
                "{file} cannot be written: {why}; choose another folder.",
                file=self.path,
                why=error.strerror or error,
            ) from error
        except av.error.FFmpegError as error:
            self._blame_hardware(error)
            # what remains is the clip's own doing: times that no file can hold, a picture that does not fit
            raise QuarantinedError(
                "{clip} is too damaged to be written again ({why}); copy it from the card again.",
                clip=self._clip.path.name,
                why=error.strerror or error,
            ) from error

    def _blame_hardware(self, error: Any) -> None:
        """Hardware may work when it is tried and not an hour later: a driver starts anew, or others take its places."""
        if self._name not in (None, encoders.SOFTWARE):
            raise OutputNotWritableError(
                "{file} was not written, because {encoder} of this machine stopped ({why}); try again, or write "
                'encoder = "software" under [rendering] in lesveil.toml.',
                file=self.path,
                encoder=self._name,
                why=error.strerror or error,
            ) from error


__all__ = ["ClipWriter", "Written", "encoded_format", "hidden_frame", "muxer_options"]

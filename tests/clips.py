"""Odd clips, made on the spot: by ffmpeg (imageio-ffmpeg's binary, driven through ffmpeg-python), or broken by hand.

Also the oracle: what that ffmpeg, which shares no code with ours beyond the codecs, says of a clip's frames.
"""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec.context
import ffmpeg
import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def run(stream: Any, *options: str) -> bytes:
    """Run a graph of ffmpeg-python quietly; returns what it wrote to standard output."""
    out, _ = stream.global_args("-hide_banner", "-loglevel", "error", "-y", *options).run(
        cmd=FFMPEG, capture_stdout=True, capture_stderr=True
    )
    return bytes(out)


def picture(
    size: str = "128x96", rate: str = "25", frames: int = 12, pixel_format: str = "yuv420p", vf: str = ""
) -> Any:
    """A moving test picture."""
    seconds = float(frames / Fraction(rate))
    source = ffmpeg.input(f"testsrc2=size={size}:rate={rate}:duration={seconds:.6f}", f="lavfi").video
    filters = ",".join(part for part in (vf, f"format={pixel_format}") if part)
    return source, {"vf": filters, "frames:v": frames}


def sound(seconds: float = 0.5, rate: int = 48000, channels: int = 2) -> Any:
    """A tone with a click at each tenth of a second."""
    tone = "0.3*sin(2*PI*440*t)+0.6*lt(mod(t\\,0.1)\\,0.002)"
    return ffmpeg.input(f"aevalsrc={'|'.join([tone] * channels)}:s={rate}:d={seconds}", f="lavfi").audio


def make(path: Path, *, codec: str = "libx264", audio: str | None = None, **options: Any) -> Path:
    """Write a clip. Options of ``picture`` and ``sound`` go to them; the rest are output options of ffmpeg."""
    shape = {key: options.pop(key) for key in ("size", "rate", "frames", "pixel_format") if key in options}
    video, output = picture(**shape, vf=options.pop("picture_filter", ""))
    heard = {key[6:]: options.pop(key) for key in ("sound_seconds", "sound_rate", "sound_channels") if key in options}
    streams = [video]
    output |= {"c:v": codec}
    if codec in ("libx264", "libx265"):
        output |= {"preset": "ultrafast"}
    if codec == "libx265":
        output |= {"x265-params": "log-level=none"}
    if codec == "libsvtav1":
        output |= {"preset": "12", "svtav1-params": "tune=0"}
    if codec == "libvpx-vp9":
        output |= {"deadline": "realtime", "cpu-used": "8"}
    if audio is not None:
        streams.append(sound(**heard))
        output |= {"c:a": audio}
    run(ffmpeg.output(*streams, str(path), **(output | options)))
    return path


def uneven(path: Path, times: Sequence[Fraction], held: Fraction, **options: str) -> Path:
    """Grey pictures at the given times, seconds in whole milliseconds; the last lasts for ``held``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"} | options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.flags |= int(av.codec.context.Flags.frame_duration)
        ends = [*times[1:], times[-1] + held]
        for n, (since, until) in enumerate(zip(times, ends, strict=True)):
            one = av.VideoFrame(128, 96, "yuv420p")
            for plane in one.planes:
                plane.update(bytes([(7 * n) % 256]) * plane.buffer_size)
            one.pts, one.time_base, one.duration = int(since * 1000), Fraction(1, 1000), int((until - since) * 1000)
            container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, path: Path, *, inputs: dict[str, Any] | None = None, **options: Any) -> Path:
    """Copy all streams into another container or with other metadata."""
    given = {"map": "0", "c": "copy"} | options
    run(ffmpeg.output(ffmpeg.input(str(source), **(inputs or {})), str(path), **given))
    return path


def oracle(path: Path, vf: str | None = None) -> list[tuple[Fraction, str]]:
    """(exact time, MD5 of the planes) of every frame of the first video stream, turned upright, by ffmpeg's account."""
    options: dict[str, Any] = {"map": "0:V:0", "f": "framemd5", "fps_mode": "passthrough", "enc_time_base": "demux"}
    if vf:
        options["vf"] = vf
    text = run(ffmpeg.output(ffmpeg.input(str(path)), "pipe:", **options), "-copyts").decode()
    frames: list[tuple[Fraction, str]] = []
    base = Fraction(1)
    for line in text.splitlines():
        if line.startswith("#tb 0:"):
            base = Fraction(line.split(":")[1].strip())
        elif line and not line.startswith("#"):
            fields = [field.strip() for field in line.split(",")]
            frames.append((int(fields[2]) * base, fields[5]))
    return frames


def cut(source: Path, path: Path, share: float) -> Path:
    """The first ``share`` of the file's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def boxes(data: bytes | bytearray) -> list[tuple[str, int, int]]:
    """(type, start, stop) of an MP4's outermost boxes."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if size == 1:
            size = struct.unpack(">Q", data[at + 8 : at + 16])[0]
        size = size or len(data) - at
        found.append((kind.decode("latin-1"), at, at + size))
        at += size
    return found


def cropped(source: Path, path: Path, width: int, height: int) -> Path:
    """An MP4 of H.264 of whose picture only the middle is to be shown, by its container's word (a box ``clap``)."""

    def within(data: bytes) -> bytes:
        out = b""
        for kind, start, stop in boxes(data):
            body = data[start + 8 : stop]
            if kind in ("moov", "trak", "mdia", "minf", "stbl"):
                body = within(body)
            elif kind == "stsd" and body[12:16] == b"avc1":
                clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, 0, 1, 0, 1)
                body = body[:8] + struct.pack(">I", len(body) - 8 + 40) + body[12:] + clap
            out += struct.pack(">I4s", len(body) + 8, kind.encode("latin-1")) + body
        return out

    path.write_bytes(within(source.read_bytes()))  # its index lies behind, so that nothing moves
    return path


def flip(source: Path, path: Path, flips: int, seed: int = 1, start: float = 0.3, stop: float = 0.9) -> Path:
    """Bits flipped at random between two shares of the sound-and-picture data of an MP4, or of the whole file."""
    data = bytearray(source.read_bytes())
    spans = [(a, b) for kind, a, b in boxes(data) if kind == "mdat"] if data[4:8] == b"ftyp" else [(0, len(data))]
    first, last = spans[0]
    dice = random.Random(seed)
    for _ in range(flips):
        at = dice.randrange(int(first + (last - first) * start), int(first + (last - first) * stop))
        data[at] ^= 1 << dice.randrange(8)
    path.write_bytes(data)
    return path


def blank(source: Path, path: Path, start: float, length: int) -> Path:
    """``length`` bytes set to zero from a share of an MP4's picture data on: a bad sector."""
    data = bytearray(source.read_bytes())
    first, last = next((a, b) for kind, a, b in boxes(data) if kind == "mdat")
    at = int(first + (last - first) * start)
    data[at : at + length] = bytes(length)
    path.write_bytes(data)
    return path


def call(*arguments: str | Path) -> None:
    """ffmpeg with arguments that occur more than once, which ffmpeg-python cannot say."""
    subprocess.run([FFMPEG, "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def without_sound_between(source: Path, path: Path, start: float, stop: float) -> Path:
    """A copy from which the packets of sound between two times (seconds) are missing."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio" and start <= packet.pts * packet.time_base < stop:
                continue
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return path

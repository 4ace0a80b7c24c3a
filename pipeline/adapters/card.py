"""The camera's card: which files on it are takes, and which belong to them. Nothing here opens a file for writing.

Known by their folders: ``DCIM`` (Canon, Panasonic, phones, GoPro), ``AVCHD/BDMV/STREAM`` and Sony's ``M4ROOT/CLIP``.
A symbolic link is never followed, and never a clip; hidden files and folders are none either.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline.errors import CardError

Kind = Literal["dcim", "avchd", "m4root"]
ENDINGS = (
    "mp4 mov qt m4v mts m2ts m2t ts trp mkv avi divx webm mpg mpeg mpe m2v vob mod tod 3gp 3gpp 3g2 mxf wmv asf flv "
    "f4v ogv dv"
)
VIDEO = frozenset(f".{end}" for end in ENDINGS.split())
"""Ends of names, in small letters, that are taken for clips, on a card and in a folder alike."""

FOREIGN = frozenset({".360", ".insv", ".braw", ".crm", ".nev", ".r3d", ".rsv"})
"""Those of films that only their makers' programs read (all around, raw, cut short): they are no clips, and films."""
SIDECAR = {".thm", ".lrv", ".lrf", ".xml", ".xmp", ".aae", ".srt", ".scr"}
"""Thumbnails, proxies and notes that a camera writes beside a take under its name; photographs are not among them."""

CAMERAS = ("dcim", "private", "avchd", "m4root")
"""Folders at the top of a card in which cameras keep films."""

WINDOWS_OWN = ("system volume information", "$recycle.bin")
"""Windows keeps these folders to itself on every volume."""

_GOPRO = re.compile(r"(?i)g([hxs])(\d\d)(\d{4})$")
_GOPRO_OLD_FIRST = re.compile(r"(?i)gopr(\d{4})$")
_GOPRO_OLD = re.compile(r"(?i)gp(\d\d)(\d{4})$")
_COUNTER = re.compile(r"(.*?)(\d+)$")
GIB = 1 << 30
_NEARLY = 128 << 20
"""How far under its limit a camera closes a file: Canon and Panasonic stop some tens of MiB short of 4 GiB."""


@dataclass(frozen=True)
class CardClip:
    """One take on the card. ``paths`` are its films in order: more than one when the camera split it.

    ``sidecars`` (thumbnails, proxies, XML) show or describe the same lesson and go when it goes. ``guessed``: that the
    files are one take follows from their sizes and numbers alone; their times must agree (`pipeline.adapters.takes`).
    """

    card: Path
    paths: tuple[Path, ...]
    sidecars: tuple[Path, ...]
    kind: Kind
    guessed: bool = False

    @property
    def path(self) -> Path:
        return self.paths[0]

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.paths, *self.sidecars)

    def only(self, *paths: Path) -> CardClip:
        """These films of the take alone, with what belongs to them."""
        films = [_File(path, _parts(self, path), 0) for path in paths]
        beside = (path for path in self.sidecars if any(_belongs_to(self, path, film) for film in films))
        return replace(self, paths=tuple(paths), sidecars=tuple(beside), guessed=self.guessed and len(paths) > 1)

    def relative(self, path: Path) -> str:
        """``path`` as it is named on the card, with slashes, wherever the card is mounted."""
        return path.relative_to(self.card).as_posix()


@dataclass(frozen=True)
class _File:
    path: Path
    parts: tuple[str, ...]
    """Folders and name under the card's root, in lower case."""
    bytes: int

    @property
    def stem(self) -> str:
        return self.path.stem.lower()

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()


Unread = Callable[[Path, CardError], object]
"""Is told of a sub-folder that cannot be read to its end, and why."""


def find_clips(folder: Path, unread: Unread | None = None) -> list[CardClip]:
    """Every take on the card mounted at ``folder``, by path. A take of several files is one clip with several paths.

    Raises CardError when the card cannot be read to its end or has none of the known folders; with ``unread``, which is
    then told, a sub-folder that cannot be read is left out instead.
    """
    return _find(folder, unread)[1]


def is_film(name: str) -> bool:
    """Whether a file of this name is a film, be it one that only its maker's program reads."""
    return PurePosixPath(name).suffix.lower() in VIDEO | FOREIGN


def tied_files(folder: Path) -> list[Collection[str]]:
    """Per take on the card: the names on the card of all its files, as a wipe needs them to see what appeared; none
    where the camera's folders are gone. Raises CardError when the card cannot be read to its end."""
    takes = (
        take
        for clip in _find(folder, None, bare=True)[1]
        for take in ([clip.only(path) for path in clip.paths] if clip.guessed else [clip])
    )
    return [frozenset(take.relative(path) for path in take.files) for take in takes]


def other_files(folder: Path) -> list[Path]:
    """What lies on the card and belongs to no take: photographs, indexes, films outside of the camera's folders; not
    what lies in folders that cannot be read. Raises CardError."""
    known = {path for clip in _find(folder, _pass_over)[1] for path in clip.files}
    return [path for path in visible_files(folder) if path not in known]


def visible_files(folder: Path) -> list[Path]:
    """Every plain file on the card that a person sees in it: not the hidden ones, nor what Windows keeps for itself, or
    what lies in folders that cannot be read. Raises CardError."""
    try:
        found = sorted(_walk(folder.resolve(strict=True), (), _pass_over, everything=True), key=lambda file: file.parts)
    except OSError as error:
        raise _unreadable(Path(error.filename or folder), error) from error
    return [file.path for file in found]


def _pass_over(path: Path, error: CardError) -> None:
    """Nobody is told here."""


def all_files(folder: Path, unread: Unread | None = None) -> list[tuple[str, int]]:
    """Every plain file of the volume, hidden ones too: (name on the card, bytes), for the wipe of a whole card.

    Links are not followed and not listed. Raises CardError, or, of a sub-folder, tells ``unread`` and leaves it out.
    """

    def walk(at: Path, below: str) -> Iterator[tuple[str, int]]:
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    if entry.is_symlink() or getattr(entry, "is_junction", bool)():
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield from walk(Path(entry.path), f"{below}{entry.name}/")
                    elif entry.is_file(follow_symlinks=False):
                        yield f"{below}{entry.name}", entry.stat(follow_symlinks=False).st_size
        except OSError as error:
            if unread is None or not below:
                raise
            unread(at, _unreadable(Path(error.filename or at), error))

    try:
        return sorted(walk(folder.resolve(strict=True), ""))
    except OSError as error:
        raise _unreadable(Path(error.filename or folder), error) from error


def _find(folder: Path, unread: Unread | None, bare: bool = False) -> tuple[list[_File], list[CardClip]]:
    try:
        root = folder.resolve(strict=True)
        found = sorted(_walk(root, (), unread), key=lambda file: file.parts)
    except OSError as error:
        raise _unreadable(Path(error.filename or folder), error) from error
    if not bare and not any(_kind(file.parts) for file in found) and not _has_layout(root):
        raise CardError(
            "{folder} has no camera folders (DCIM, AVCHD or M4ROOT); name the top folder of the card, or, for clips "
            "that lie loose, make a folder DCIM there and put them in it.",
            folder=folder,
        )
    clips: list[CardClip] = []
    by_folder: dict[tuple[str, ...], list[_File]] = defaultdict(list)
    for file in found:
        if (kind := _kind(file.parts)) and kind[1] and file.suffix in VIDEO:
            by_folder[file.parts[:-1]].append(file)
    for parts, videos in by_folder.items():
        kind = _kind((*parts, ""))
        assert kind is not None  # it was one a moment ago
        for take in _takes(videos):
            tied = [f.path for f in found if f not in take and any(_belongs(f, video, kind[0]) for video in take)]
            guessed = len(take) > 1 and _chapter(take[0].stem) is None
            clips.append(CardClip(root, tuple(f.path for f in take), tuple(tied), kind[0], guessed))
    return found, clips


def _walk(folder: Path, parts: tuple[str, ...], unread: Unread | None, everything: bool = False) -> Iterator[_File]:
    """Plain files in the camera's folders (``everything``: on the card), never through a link or a Windows junction."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.lower()
                if name.startswith(".") or entry.is_symlink() or getattr(entry, "is_junction", bool)():
                    continue
                below = (*parts, name)
                if entry.is_dir(follow_symlinks=False):
                    if parts or name in CAMERAS or (everything and name not in WINDOWS_OWN):
                        yield from _walk(Path(entry.path), below, unread, everything)
                elif (parts or everything) and entry.is_file(follow_symlinks=False):
                    yield _File(Path(entry.path), below, entry.stat(follow_symlinks=False).st_size)
    except OSError as error:
        if unread is None or not parts:
            raise
        unread(folder, _unreadable(Path(error.filename or folder), error))


def _kind(parts: tuple[str, ...]) -> tuple[Kind, bool] | None:
    """The layout a file belongs to, and whether its folder is one that holds takes."""
    below = parts[1:] if parts[0] == "private" else parts
    if not below:
        return None
    if below[0] == "dcim":
        return "dcim", True
    if below[0] == "avchd":
        return "avchd", below[1:-1] == ("bdmv", "stream")
    if below[0] == "m4root":
        return "m4root", below[1:-1] == ("clip",)
    return None


def _has_layout(root: Path) -> bool:
    """An empty card is a card."""
    names = {name.lower() for name in os.listdir(root)}
    return bool(names & {"dcim", "avchd", "m4root"})


def _takes(videos: list[_File]) -> list[list[_File]]:
    """The films of one folder, grouped into takes: GoPro's chapters by name, others where a size limit cut them."""
    takes: dict[tuple[str, ...], list[_File]] = defaultdict(list)
    previous: _File | None = None
    key: tuple[str, ...] = ()
    for video in sorted(videos, key=lambda f: (_split_number(f.stem)[0], _split_number(f.stem)[1], f.parts)):
        chapter = _chapter(video.stem)
        if chapter is not None:
            takes[("gopro", *chapter[0])].append(video)
            previous = None
            continue
        if not (previous is not None and _was_cut(previous) and _follows(previous, video)):
            key = ("take", *video.parts)
        takes[key].append(video)
        previous = video
    for name, take in takes.items():
        if name[0] == "gopro":
            take.sort(key=lambda f: (_chapter(f.stem) or ((), 0))[1])
    return sorted(takes.values(), key=lambda take: take[0].parts)


def is_complete(clip: CardClip) -> bool:
    """False for a GoPro take of which a chapter is not on the card: the first, or one between two that are."""
    chapters = [chapter[1] for path in clip.paths if (chapter := _chapter(path.stem))]
    return not chapters or (chapters[0] <= 1 and chapters == list(range(chapters[0], chapters[-1] + 1)))


def _chapter(stem: str) -> tuple[tuple[str, str], int] | None:
    """GoPro's take and chapter: GX021234 is chapter 2 of 1234; GOPR1234 then GP011234 in the older scheme."""
    if match := _GOPRO.match(stem):
        return (match[1].lower(), match[3]), int(match[2])
    if match := _GOPRO_OLD_FIRST.match(stem):
        return ("old", match[1]), 1
    if match := _GOPRO_OLD.match(stem):
        return ("old", match[2]), int(match[1]) + 1
    return None


def _was_cut(video: _File) -> bool:
    """Whether the file ends where a file must: just under 4 GiB (FAT32), or 2 GiB for some AVCHD cameras (memory)."""
    limits = (4 * GIB, 2 * GIB) if video.suffix in (".mts", ".m2ts") else (4 * GIB,)
    return any(limit - _NEARLY <= video.bytes <= limit for limit in limits)


def _follows(first: _File, second: _File) -> bool:
    (a, n), (b, m) = _split_number(first.stem), _split_number(second.stem)
    return a == b and m == n + 1 and first.suffix == second.suffix


def _split_number(stem: str) -> tuple[str, int]:
    match = _COUNTER.match(stem)
    return (match[1], int(match[2])) if match else (stem, -1)


def _parts(clip: CardClip, path: Path) -> tuple[str, ...]:
    return tuple(part.lower() for part in path.relative_to(clip.card).parts)


def _belongs_to(clip: CardClip, path: Path, film: _File) -> bool:
    return _belongs(_File(path, _parts(clip, path), 0), film, clip.kind)


def _belongs(file: _File, video: _File, kind: Kind) -> bool:
    """Whether ``file`` is a thumbnail, proxy or note of ``video``."""
    here, there = file.parts[:-1], video.parts[:-1]
    if kind == "avchd":
        return file.suffix == ".cpi" and file.stem == video.stem and here == (*there[:-1], "clipinf")
    if kind == "m4root":
        beside = {("clip", ".xml"): "m", ("sub", ".mp4"): "s", ("thmbnl", ".jpg"): "t"}
        mark = beside.get((here[-1], file.suffix)) if here[:-1] == there[:-1] else None
        return mark is not None and re.fullmatch(re.escape(video.stem) + mark + r"\d\d", file.stem) is not None
    if here != there or file.suffix not in SIDECAR:
        return False
    if match := _GOPRO.match(video.stem):
        return file.stem in (video.stem, f"gl{match[2]}{match[3]}")
    return file.stem == video.stem


def _unreadable(path: Path, error: OSError) -> CardError:
    return CardError("{file} cannot be read: {why}; check the card and try again.", file=path, why=error.strerror)

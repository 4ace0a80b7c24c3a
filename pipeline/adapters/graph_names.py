"""Names that OneDrive takes, and the place of a clip by the school's layout; pure.

(Microsoft Support, "Restrictions and limitations in OneDrive and SharePoint".) A name always holds part of the clip's
id, so two clips never share one, whatever is cut off or replaced.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.adapters import files
from pipeline.errors import DeliveryError
from pipeline.layout import fields_of, in_words

ID_LENGTH = 12
"""Characters (hexadecimal) of a clip's id in its name: among a million clips the chance of a pair is 0.2 %, and then
the second one is refused, not written over."""
LONGEST_PART = 60
"""Characters of a field or a folder's name."""
LONGEST_PATH = 300
"""Characters of the whole path: OneDrive allows 400 with what it puts before it itself."""

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}")
_RESERVED = {".lock", "con", "prn", "aux", "nul", "desktop.ini", "forms"}
_RESERVED |= {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}


@dataclass(frozen=True)
class Labels:
    """What a person says of a lesson, for its place: a class and a teacher's code; "" where nothing was said."""

    school_class: str = ""
    teacher: str = ""


def legal(name: str) -> bool:
    """Whether OneDrive for work or school takes this as the name of one file or folder."""
    bare = name.casefold()
    return (
        0 < len(name) <= 255
        and not any(c in '"*:<>?/\\|' or unicodedata.category(c).startswith("C") for c in name)
        and name == name.strip(" ")
        and not name.endswith(".")
        and not name.startswith(("~", "."))
        and "_vti_" not in bare
        and bare not in _RESERVED
        and bare.split(".")[0] not in _RESERVED
    )


def made_legal(name: str) -> str:
    """``name`` as OneDrive takes it. Two names may become one: what must differ goes by the id."""
    clean = files.safe_name(name)[:LONGEST_PART].rstrip(" .") or "_"
    while "_vti_" in clean.casefold():
        clean = re.sub("(?i)_vti_", "_", clean)
    clean = clean.lstrip(" .~") or "_"
    if clean.casefold() in _RESERVED or clean.casefold().split(".")[0] in _RESERVED:
        clean = "_" + clean
    return clean


def place(layout: str, *, clip: str, film: str, filmed: str, labels: Labels, names: Iterable[str] = ()) -> str:
    """The path of a clip below the target folder, with slashes, ending in ``.mp4``.

    ``clip`` is its id, ``film`` the name of the film on the card without its ending, ``filmed`` the day as yyyy-mm-dd.
    ``names`` are those of the people in the register: a film that bears one (somebody renamed it on the card) loses it,
    a class or code that is one is refused. Raises DeliveryError.
    """
    fields = fields_of(layout)
    if fields is None:
        raise _bad(layout)
    words = _words(" ".join(names))
    for field, flag, value in (
        ("class", "--class", labels.school_class),
        ("teacher", "--teacher", labels.teacher),
    ):
        if field not in fields:
            continue
        if not value:
            raise DeliveryError(
                "The layout in lesveil.toml puts clips under {field}; say it with {flag}.",
                field="{" + field + "}",
                flag=flag,
            )
        # Codes of three letters are many, and so are first names: only longer ones count as a name here.
        if not _CODE.fullmatch(value) or any(len(word) > 3 for word in _words(value) & words):
            raise DeliveryError(
                "{value} is no code for {flag}: use at most 16 letters and digits, and nobody's name.",
                value=repr(value),
                flag=flag,
            )
    said = {
        "date": filmed,
        "year": filmed[:4],
        "month": filmed[5:7],
        "class": labels.school_class,
        "teacher": labels.teacher,
        "clip": "film" if _words(film) & words else made_legal(film)[:40],
        "id": clip[:ID_LENGTH],
    }
    parts = [_filled(part, said) for part in layout.split("/")]
    parts[-1] = _named(layout.rsplit("/", 1)[-1], said)
    path = "/".join(parts)
    if len(path) > LONGEST_PATH:
        raise _bad(layout)
    return path


def _filled(part: str, said: dict[str, str]) -> str:
    return made_legal(part.format(**said))


def _named(part: str, said: dict[str, str]) -> str:
    """The file's own name: whatever is cut or replaced, the whole id stays in it."""
    stem = made_legal(part.format(**said))
    if said["id"] not in stem:
        stem = f"{stem[: LONGEST_PART - ID_LENGTH - 1]}_{said['id']}"
    return f"{stem}.mp4"


def _words(text: str) -> set[str]:
    """The words of a text that could be somebody's name: three letters or more, without case or accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return {word for word in re.split(r"[\W\d_]+", plain) if len(word) >= 3}


def _bad(layout: str) -> DeliveryError:
    return DeliveryError(
        "[deliver] layout cannot be {layout}; its last part must hold {{id}}, and it may use {fields}.",
        layout=repr(layout),
        fields=in_words(),
    )

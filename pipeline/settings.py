"""lesveil.toml -> one frozen Settings, and its digest.

A key that is not known is refused by name: a misspelt safety setting must not silently do nothing.
"""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
import re
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline import layout as layouts
from pipeline import likeness
from pipeline.errors import SettingsError
from pipeline.records import Style

FILE_NAME = "lesveil.toml"

RANGES: dict[str, tuple[float, float]] = {
    "detection.faint": (0, 0.2),
    "detection.alone": (0, 0.5),
    "detection.together": (0, 1.0),
    "detection.sure": (0, 0.6),
    "recognition.smallest": (0, 1000),
    "rendering.quarantine_share": (0, 0.5),
    "rendering.crf": (0, 40),
    "engine.workers": (0, 256),
    "engine.priority": (-1000, 1000),
    "review.port": (0, 65535),
    "onedrive.simultaneous": (1, 8),
}
"""Numbers and what they lie between. Beyond it (or not a number) a safeguard would be off, so that nobody is found, or
it is a mistake in typing."""

DAYS = {"consent.grace_days": 92, "consent.warn_days": 366, "consent.list_days": 366}
DAYS |= {"retention.working_copy_days": 366, "retention.delivered_days": 3660, "retention.template_days": 1100}
DAYS |= {"retention.ledger_days": 7320, "retention.warn_days": 366}
"""Settings that count days, each with the most that it may be."""


@dataclass(frozen=True)
class Detection:
    """How faces are looked for. Scores are CenterFace's, 0..1; see docs/measured/finding.md."""

    faint: float = 0.07
    """From here on a detection counts where it persists."""
    alone: float = 0.28
    """From here on a detection counts by itself, though it is seen only once."""
    together: float = 0.49
    """So much must the three best sights of a fainter face of ordinary size come to; of a larger one more."""
    sure: float = 0.4
    """What was seen so surely at its best is held for a third of a second before and after; what was not, a twelfth."""
    device: Literal["cpu", "auto"] = "cpu"
    """Where faces are looked for. "auto": on Intel graphics, where there are any."""


@dataclass(frozen=True)
class Recognition:
    mode: Literal["on", "off"] = "off"
    """A workspace starts without recognition until [privacy] dpia names the assessment that covers it."""
    smallest: float = 24.0
    """Height in pixels under which a face is never recognised, so always hidden; under 24 nobody is (likeness.toml)."""
    false_accept: float = 0.0003
    """The share of strangers that may look enough like the people enrolled to be taken for one of them."""


@dataclass(frozen=True)
class Redaction:
    style: Style = Style.VEIL
    extent: Literal["head", "person"] = "head"
    """"person": everyone hidden is hidden from head to foot, by a box grown from the head."""


@dataclass(frozen=True)
class SecondOpinion:
    """Other networks look at the finished film; docs/measured/hiding.md says what that finds."""

    mode: Literal["auto", "on", "off"] = "auto"
    """"auto": where their weights are installed; "on": without them nothing is released."""
    on_finding: Literal["hide", "ask"] = "hide"
    """A face that they see where nobody should be clear is hidden, or waits for a person to decide."""


@dataclass(frozen=True)
class Rendering:
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"] = "superfast"
    crf: int = 21
    audio: Literal["keep", "mute", "disguise"] = "keep"
    encoder: Literal["software", "auto", "h264_nvenc", "h264_qsv", "h264_videotoolbox"] = "software"
    """"auto": this machine's hardware, where it has any that works; else, and by default, libx264."""
    quarantine_share: float = 0.10
    """A clip of which more than this share of frames is damaged is not released."""


@dataclass(frozen=True)
class Privacy:
    dpia: str = ""
    """Reference of the data protection impact assessment that covers recognition."""


@dataclass(frozen=True)
class ConsentColumns:
    """What the columns of the school's list are called in its export, where that is not recognised by itself."""

    number: str = ""
    first_name: str = ""
    infix: str = ""
    last_name: str = ""
    birth: str = ""
    group: str = ""
    filmed: str = ""
    recognised: str = ""
    giver: str = ""
    given_on: str = ""
    valid_until: str = ""
    withdrawn_on: str = ""
    portraits: str = ""


@dataclass(frozen=True)
class Consent:
    giver: Literal["", "administration"] = ""
    """"administration": the school states that it checked whose word each line of the list holds."""
    purpose: str = "beeldcoaching"
    preset: Literal["", "magister", "somtoday", "parnassys"] = ""
    """Words of one school system's exports, besides the usual ones."""
    asks_recognition: bool = True
    """False: the list has no column for consent to be recognised, because nobody is."""
    yes: tuple[str, ...] = ()
    """Words of the school's own for yes in the columns filmed and recognised; "no" likewise."""
    no: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    """Headers of columns that are about something else, so that they are passed over, even if the header is known."""
    columns: ConsentColumns = field(default_factory=ConsentColumns)
    grace_days: int = 0
    """Days after the 16th birthday on which a parent's word still carries."""
    warn_days: int = 60
    """How many days ahead consent that is about to end is told."""
    list_days: int = 30
    """Days after which doctor asks for a new export of the list."""
    teacher: str = ""
    """Number of the teacher whose lessons are filmed, where ``lesveil run`` does not name one."""
    teacher_required: bool = False
    """True: no clip is processed without a teacher being named."""


@dataclass(frozen=True)
class Deliver:
    target: Literal["", "folder", "onedrive"] = ""
    folder: str = ""
    folder_is_the_archive: bool = False
    """Said in so many words: a verified copy in this folder is enough to wipe the originals."""
    layout: str = layouts.USUAL
    """Folders and name below the target; see docs/onedrive.md for the fields."""


@dataclass(frozen=True)
class OneDrive:
    """How to reach the school's OneDrive; docs/onedrive.md walks through it."""

    tenant: str = ""
    client_id: str = ""
    sign_in: Literal["browser", "device_code", "certificate"] = "browser"
    certificate: str = ""
    """A PEM file with the certificate and its private key, for a server."""
    site: str = ""
    """A site's address as in the browser; empty: the signed-in person's own OneDrive."""
    folder: str = "Lesveil"
    simultaneous: int = 2
    """Clips that are uploaded at a time."""
    authority: str = "https://login.microsoftonline.com"
    graph: str = "https://graph.microsoft.com/v1.0"
    """These two are for tests on this machine; nothing but the real ones and 127.0.0.1 is accepted."""


@dataclass(frozen=True)
class Cards:
    """Which cards and cameras are the school's own."""

    registered: tuple[str, ...] = ()
    """Serials of volumes (``1234-ABCD``), labels, or serials of cameras, as ``lesveil cards`` shows them. When there
    are any, another card is refused unless the run is told to take it."""


@dataclass(frozen=True)
class Review:
    """The reviewers' page. It listens on this machine alone unless ``host`` says otherwise, and then only with TLS."""

    two_people: bool = False
    """A clip is released only when two different people approved it."""
    after_withdrawal: bool = False
    """True: a clip in which somebody was hidden again waits for approval like a new one. Until then what was delivered
    stays as it is; so by default it takes its place at once, since it shows less than what was approved."""
    host: str = "127.0.0.1"
    port: int = 8420
    names: str = ""
    """Names, with commas between, under which a shared server is reached: review.school.nl."""
    certificate: str = ""
    """PEM file with the server's certificate and those that vouch for it."""
    key: str = ""
    """PEM file with the certificate's private key."""


@dataclass(frozen=True)
class School:
    """What reports call the school: the controller of the register of processing, and its data protection officer."""

    controller: str = ""
    officer: str = ""


@dataclass(frozen=True)
class Retention:
    """How long things are kept; `lesveil purge` shows what is past its term, and deletes what it showed."""

    working_copy_days: int = 30
    """From the day on which a clip was copied: the sealed copy, and the finished clip on this machine."""
    delivered_days: int = 365
    """From the day on which a clip was first delivered. One that is ticked as used goes at once."""
    template_days: int = 365
    """From the day of somebody's newest portrait, or of enrolling where that day is not known."""
    ledger_days: int = 1826
    """From the ledger's last row, once nothing is left of what it tells about."""
    warn_days: int = 14
    """How many days ahead status tells what is about to be due."""


@dataclass(frozen=True)
class Engine:
    """Where the work runs; docs/cluster.md."""

    kind: Literal["here", "processes", "dask"] = "here"
    """In this process, in processes of this machine, or on a Dask cluster."""
    workers: int = 0
    """Worker processes on this machine. 0: half as many as there are cores; with a scheduler, those that it has."""
    scheduler: str = ""
    """Address of a Dask scheduler, tls://HOST:8786. Empty: workers on this machine."""
    ca: str = ""
    """PEM files for TLS, the same as the scheduler's: who vouches, our certificate, its private key."""
    certificate: str = ""
    key: str = ""
    priority: int = 0
    """Work of a higher number goes first. ``run --unattended`` takes ten less: nobody waits for a nightly run."""


@dataclass(frozen=True)
class Settings:
    language: Literal["", "nl", "en"] = ""
    detection: Detection = field(default_factory=Detection)
    recognition: Recognition = field(default_factory=Recognition)
    redaction: Redaction = field(default_factory=Redaction)
    rendering: Rendering = field(default_factory=Rendering)
    second_opinion: SecondOpinion = field(default_factory=SecondOpinion)
    privacy: Privacy = field(default_factory=Privacy)
    consent: Consent = field(default_factory=Consent)
    deliver: Deliver = field(default_factory=Deliver)
    cards: Cards = field(default_factory=Cards)
    onedrive: OneDrive = field(default_factory=OneDrive)
    review: Review = field(default_factory=Review)
    retention: Retention = field(default_factory=Retention)
    school: School = field(default_factory=School)
    engine: Engine = field(default_factory=Engine)

    def digest(self, *sections: str) -> str:
        """SHA-256 over the named sections (all when none is named), so that a receipt says what it was made with."""
        everything = dataclasses.asdict(self)
        chosen = {name: everything[name] for name in sections} if sections else everything
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def load(path: Path) -> Settings:
    """Read ``path``; a missing file, bad TOML, an unknown key or a value of the wrong kind raises SettingsError.

    A byte order mark, which editors on Windows write, is passed over.
    """
    try:
        raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise SettingsError("{file} cannot be read: {why}.", file=path, why=error.strerror) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(
            "{file}, line {line}: there are letters that are not UTF-8; save the file in your editor as UTF-8.",
            file=path,
            line=1 + raw.count(b"\n", 0, error.start),
        ) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, text, error) from error
    return typing.cast(Settings, _build(Settings, data, path, ""))


def _not_toml(path: Path, text: str, error: tomllib.TOMLDecodeError) -> SettingsError:
    """Which line it is, and what to write there instead: the parser's own words are for programmers."""
    found = re.search(r"\(at line (\d+), column", str(error))
    lines = text.splitlines() or [""]
    number = min(int(found[1]), len(lines)) if found else len(lines)
    where: dict[str, object] = {"file": path, "line": number}
    line = lines[number - 1]
    if "Unescaped" in str(error) or "hex value" in str(error):
        return SettingsError(
            "{file}, line {line}: write a path with slashes (C:/lessons) or between single quotes ('C:\\lessons').",
            **where,
        )
    if line.lstrip().startswith("[") and ("twice" in str(error) or "overwrite" in str(error)):
        return SettingsError(
            "{file}, line {line}: {section} stands there for the second time; put what is below it under the first "
            "one, and take this line out.",
            section=line.strip(),
            **where,
        )
    if "overwrite" in str(error) or "twice" in str(error):
        return SettingsError("{file}, line {line}: this setting stands there twice; take one out.", **where)
    return SettingsError(
        '{file}, line {line} cannot be understood; write name = "text" with quotes around a text, and numbers, true '
        "and false without.",
        **where,
    )


def _build(kind: type, data: dict[str, Any], path: Path, prefix: str) -> object:
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in data.items():
        name = prefix + key
        if key not in hints:
            known = ", ".join(sorted(hints))
            raise SettingsError(
                "{file}: {name} is not a setting; known here are {known}.", file=path, name=name, known=known
            )
        values[key] = _convert(hints[key], value, path, name)
    return kind(**values)


def _convert(hint: Any, value: Any, path: Path, name: str) -> object:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise SettingsError("{file}: {name} must be a table: [{name}].", file=path, name=name)
        return _build(hint, value, path, name + ".")
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    if hint is Style:
        choices = tuple(style.value for style in Style)
    if choices:
        if value not in choices:
            raise SettingsError(
                "{file}: {name} cannot be {value!r}; choose one of {choices}.",
                file=path,
                name=name,
                value=value,
                choices=", ".join(map(repr, choices)),
            )
        return Style(value) if hint is Style else value
    if hint == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise SettingsError('{file}: {name} must be a list of texts: ["…", "…"].', file=path, name=name)
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if name == "consent.purpose" and isinstance(value, str) and not value.strip():
        raise SettingsError("{file}: {name} is empty; say what consent is asked for.", file=path, name=name)
    if name == "deliver.layout" and isinstance(value, str) and layouts.fields_of(value) is None:
        raise SettingsError(
            "{file}: {name} cannot be {value!r}; its last part must hold {{id}}, it may use {fields}, and it may not"
            " lead out of the target folder.",
            file=path,
            name=name,
            value=value,
            fields=layouts.in_words(),
        )
    if name in DAYS and type(value) is int and not 0 <= value <= DAYS[name]:
        raise SettingsError(
            "{file}: {name} cannot be {value}; it must lie between 0 and {most} days.",
            file=path,
            name=name,
            value=value,
            most=DAYS[name],
        )
    if name == "recognition.false_accept" and isinstance(value, float):
        least, most = likeness.supported()
        if not least <= value <= most:
            raise SettingsError(
                "{file}: {name} cannot be {value}; what was measured tells people apart for {least} to {most} of"
                " strangers, so choose a share between these.",
                file=path,
                name=name,
                value=value,
                least=least,
                most=most,
            )
    if name in RANGES and type(value) in (int, float):
        least, most = RANGES[name]
        if not least <= value <= most:
            raise SettingsError(
                "{file}: {name} cannot be {value}; it must lie between {least} and {most}.",
                file=path,
                name=name,
                value=value,
                least=least,
                most=most,
            )
    if (
        isinstance(hint, types.GenericAlias)
        or not isinstance(value, hint)
        or (hint is not bool and isinstance(value, bool))
    ):
        said: dict[str, object] = {"file": path, "name": name, "key": name.rpartition(".")[2]}
        if hint is bool:
            raise SettingsError("{file}: {name}: write {key} = true or {key} = false, without quotes.", **said)
        if hint in (int, float):
            raise SettingsError("{file}: {name}: write a number without quotes, as in {key} = 30.", **said)
        raise SettingsError('{file}: {name}: write a text between quotes, {key} = "…".', **said)
    if isinstance(value, str) and not value.strip().isprintable():  # "C:\new" between double quotes holds a line's end
        raise SettingsError(
            "{file}: {name} holds signs that cannot be shown; write a path with slashes (C:/lessons) or between single "
            "quotes ('C:\\lessons').",
            file=path,
            name=name,
        )
    return typing.cast(object, value)

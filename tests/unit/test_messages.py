"""Every text that a person can meet has its Dutch, with the same named fields; and no Dutch is left over."""

from __future__ import annotations

import argparse
import ast
import errno
import os
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest

from pipeline import cli, consent, errors, messages, wipeable
from pipeline.commands import afterwards, doctor, house, terminal, unattended
from pipeline.lesson import audit, deleted, house_checks, recall, report_page, report_person, report_words, retention
from pipeline.lesson.failures import BROKEN_THERE
from pipeline.lesson.state import NOTHING_LEFT, State
from pipeline.stages import wipe
from pipeline.workspace.place import FIRST_SETTINGS

PIPELINE = Path(messages.__file__).parent
CATALOGUE = messages.CATALOGUES / "nl.po"
SPOKEN = {"tr", "say"}
KINDS = {kind.__name__ for kind in errors.all_errors()}
PASSED_ON = {"text", "stage", "reason", "error.template", "done.promise", "s.stage", "item.kind", "one.template"}
PASSED_ON |= {f"TEXTS[{why}]" for why in ("why", "answer.why", "end.why", "person.answer.why", "Why(one.reason)")}
PASSED_ON |= {
    "line.verdict",
    "title",
    "outcome",
    "HIDDEN",
    "RIGHTS",
    "FALLS_BACK",
    "NOTHING_LEFT",
    "item['action']",
    "item['kind']",
}
PASSED_ON |= {"item['because']", "clip['stage']", "one['verdict']", "one['promise']", "one['kind']", "one['because']"}
PASSED_ON |= {"last['result']", "first_line(kind)", "one if count == 1 else many"}
PASSED_ON |= {"state.deleted.because", "template", "LABELS[key]", "GIVERS[row['giver']]"}
PASSED_ON |= {"one.get('outcome') or 'was gone already'", "state.stage", "FIRST_SETTINGS"}
"""What ``tr`` is given besides texts: values whose every possibility is collected here."""


NEVER_ONE = {"faces", "gezichten", "clips", "tries", "pogingen", "characters", "tekens", "processes"}
NEVER_ONE |= {"werkprocessen", "lezen"}
"""Plurals of which there are always more than one: constants, and what is told only of several."""


def _calls() -> Iterator[tuple[str, str, ast.expr]]:
    """(place, name called, first argument) of each call in the package."""
    for path in sorted(PIPELINE.rglob("*.py")):
        if path.relative_to(PIPELINE).parts[0].startswith("_") and path.parent != PIPELINE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                yield f"{path.relative_to(PIPELINE)}:{node.lineno}", name, node.args[0]


def _text(argument: ast.expr) -> list[str] | None:
    """The text or texts (of a choice) that an argument is, known without running it."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    if isinstance(argument, ast.IfExp):
        one, other = _text(argument.body), _text(argument.orelse)
        return one + other if one is not None and other is not None else None
    return None


def _in_templates() -> Iterator[tuple[str, str]]:
    """(text, place) of each text in the pages' templates."""
    for path in sorted((PIPELINE / "review" / "templates").glob("*.html")):
        for text in re.findall(r'\btr\("([^"]*)"', path.read_text(encoding="utf-8")):
            yield text, path.name


def _function(module: str, name: str) -> ast.AST:
    tree = ast.parse((PIPELINE / module).read_text(encoding="utf-8"))
    return next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)


def _returned(module: str, name: str) -> set[str]:
    """Every text in the return statements of a function."""
    returns = [n for n in ast.walk(_function(module, name)) if isinstance(n, ast.Return) and n.value is not None]
    constants = [c.value for r in returns for c in ast.walk(r) if isinstance(c, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def _stages() -> set[str]:
    """The names of stages that progress is told under: progress("detect", done, total)."""
    return {
        text
        for _, name, argument in _calls()
        if name in ("progress", "told", "_progress")
        for text in _text(argument) or ()
    }


def _helps(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Every text of ``--help``, and every word for what is to be filled in, of a command and of all below it."""
    yield from (text for text in (parser.description,) if text)
    for action in parser._actions:
        if isinstance(action.metavar, str):
            yield action.metavar
        if action.help and action.help != argparse.SUPPRESS:
            yield action.help
        if isinstance(action, argparse._SubParsersAction):
            yield from (choice.help for choice in action._choices_actions if choice.help)
            for below in action.choices.values():
                yield from _helps(below)


def wanted() -> dict[str, str]:
    """Every text for people, and a place where it stands."""
    found: dict[str, str] = dict.fromkeys(terminal.ARGPARSE, "terminal.py")
    found |= {cli.first_line(kind): "errors.py" for kind in errors.all_errors()}
    found |= dict.fromkeys(_helps(cli.parser()), "--help")
    for place, name, argument in _calls():
        if name in SPOKEN or name in KINDS:
            for text in _text(argument) or ():
                found.setdefault(text, place)
    for text, place in _in_templates():
        found.setdefault(text, place)
    for text in _stages() | {"copy", "verify"}:
        found.setdefault(text, "a stage")
    for text in _returned("lesson/state.py", "stage"):
        found.setdefault(text, State.__name__)
    for text in _returned("wipeable.py", "missing_link"):
        found.setdefault(text, "wipeable.missing_link")
    for text in (
        wipe.PROMISE,
        wipe.DELETED_ONLY,
        wipe.NOT_ALL_THERE,
        wipeable.COPY,
        wipeable.FREE_SPACE,
        wipeable.OTHER,
        "video",
        "sidecar",
    ):
        found.setdefault(text, "stages/wipe.py")
    found.setdefault("it was never copied from this card", "wipeable.plan")
    found.setdefault(wipeable.NOT_HERE, "wipeable.NOT_HERE")
    found.setdefault(NOTHING_LEFT, "state.NOTHING_LEFT")
    found.setdefault(FIRST_SETTINGS, "place.FIRST_SETTINGS")
    found.setdefault(BROKEN_THERE, "failures.BROKEN_THERE")
    for text in consent.TEXTS.values():
        found.setdefault(text, "consent.TEXTS")
    for text in _remarks():
        found.setdefault(text, "a remark on the consent list")
    for text in audit.VERDICTS:
        found.setdefault(text, "audit.VERDICTS")
    for text in (deleted.USED, deleted.GIVEN_UP, deleted.TERM, deleted.TEACHER):
        found.setdefault(text, "why a clip was deleted")
    for text in (*retention.KINDS, retention.UNKNOWN, recall.HIDE, recall.EVERYBODY, recall.DELETE, *recall.OUTCOMES):
        found.setdefault(text, "what is recalled or purged")
    for text in (*afterwards.OUTCOMES, report_person.HIDDEN, report_page.RIGHTS, "rejected", "first"):
        found.setdefault(text, "a report")
    for text in unattended.RESULTS:
        found.setdefault(text, "unattended.RESULTS")
    for text in (doctor.OPENING, *(title for title, _ in doctor.SECTIONS)):
        found.setdefault(text, "doctor.SECTIONS")
    found.setdefault(house_checks.FALLS_BACK, "house_checks.FALLS_BACK")
    for text in (*(template for _, template in messages.KEPT), house.NO_HEAD):
        found.setdefault(text, "messages.KEPT")
    for text in (*report_words.LABELS.values(), *report_page.GIVERS.values()):
        found.setdefault(text, "report_words.LABELS")
    for text in messages.SYSTEM:
        found.setdefault(text, "messages.SYSTEM")
    return found


def _remarks() -> set[str]:
    """Every remark upon a row of the consent list: a text that begins with the row's number."""
    constants = {
        node.value
        for path in (PIPELINE / "adapters").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in constants if text.startswith("Row {row}: ")}


def _fields(text: str) -> Counter[str]:
    """The named fields of a template, with their conversions, each as often as it stands there.

    Choices by a number do not count: languages need them in other places.
    """
    parts = [(name, spec or "", how) for _, name, spec, how in string.Formatter().parse(text) if name]
    return Counter(f"{name}!{how or ''}:{spec}" for name, spec, how in parts if "|" not in spec)


def _choices(text: str) -> list[tuple[str, str]]:
    """What a template lets a number choose: (name, "one|many")."""
    return [(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name and spec and "|" in spec]


@pytest.fixture(scope="module")
def dutch() -> dict[str, str]:
    return {entry.msgid: entry.msgstr for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete}


def test_every_text_has_its_dutch(dutch: dict[str, str]) -> None:
    assert {text: place for text, place in wanted().items() if not dutch.get(text)} == {}


def test_no_dutch_is_left_over(dutch: dict[str, str]) -> None:
    assert sorted(set(dutch) - set(wanted())) == []


def test_whoever_may_give_their_word_has_a_name() -> None:
    assert set(report_page.GIVERS) == set(consent.Giver)


def test_nothing_waits_for_a_second_look() -> None:
    catalogue = polib.pofile(str(CATALOGUE), check_for_duplicates=True)
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete] == []


def test_the_named_fields_are_the_same(dutch: dict[str, str]) -> None:
    assert {text: said for text, said in dutch.items() if set(_fields(text)) != set(_fields(said))} == {}


def test_a_number_chooses_between_two_forms_and_stands_there_itself(dutch: dict[str, str]) -> None:
    for text in [*dutch, *dutch.values()]:
        for name, spec in _choices(text):
            one, many = spec.split("|")
            assert one, text
            assert many != one, text
            assert f"{name}!:" in _fields(text), text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT, errno.EIO, errno.EDQUOT])
def test_the_systems_reason_is_said_in_the_same_language(number: int, dutch: dict[str, str]) -> None:
    error = errors.OutputNotWritableError("{file} cannot be written: {why}.", file="a.mp4", why=os.strerror(number))
    assert os.strerror(number) in str(error)
    assert messages.Speech("en").told(error) == str(error)
    said = messages.Speech("nl").told(error)
    assert dutch[os.strerror(number)] in said
    assert os.strerror(number) not in said


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("row 29 was changed", "rij 29 is veranderd"),
        ("rows 3 to 8 were cut off the end", "de rijen 3 tot en met 8 zijn van het einde afgesneden"),
        ("DCIM/{les}.MP4 belongs to a clip that stays", "DCIM/{les}.MP4 hoort bij een clip die blijft"),
        (
            "its film lies on this card as (do lesveil run).mp4"
            " (do lesveil run; if that changes nothing: delete it there)",
            "de film staat op deze kaart als (do lesveil run).mp4"
            " (doe lesveil run; verandert dat niets: verwijder hem daar)",
        ),
        ("it was not rendered", None),
    ],
)
def test_what_is_kept_as_text_is_told_in_the_language_chosen(
    kept: str, told: str | None, dutch: dict[str, str]
) -> None:
    try:
        messages.choose("nl")
        assert messages.kept_in_words(kept) == (told or dutch[kept])
    finally:
        messages.choose("en")
    assert messages.kept_in_words(kept) == kept


def test_a_file_that_is_called_as_a_reason_keeps_its_name() -> None:
    assert "File exists" in messages.Speech("nl").tr("{file} cannot be written: {why}.", file="File exists", why="x")


def test_one_is_one_and_two_are_two_in_both_languages() -> None:
    text = "{n} {n:person|people} can be recognised."
    assert messages.tr(text, n=1) == "1 person can be recognised."
    assert messages.tr(text, n=0) == "0 people can be recognised."
    assert messages.Speech("nl").tr(text, n=1) == "1 persoon kan worden herkend."
    assert messages.Speech("nl").tr(text, n="2") == "2 mensen kunnen worden herkend."
    error = errors.PartialError("{bad} of {all} {all:clip|clips} {bad:was|were} not done.", bad=1, all=2)
    assert str(error) == "1 of 2 clips was not done."
    assert messages.Speech("nl").told(error) == "1 van de 2 clips is niet gelukt."


def test_no_text_counts_a_thing_as_if_there_were_always_many(dutch: dict[str, str]) -> None:
    """A number straight before a plural: only where there are at least two, or it is not a count of things."""
    plural = re.compile(r"\{(\w+)\} (?:[a-z-]+ )?([a-z]+(?:s|en))\b")
    counts = {"n", "count", "clips", "files", "copies", "doubts", "days", "minutes", "frames", "templates"}
    odd = {
        text
        for text in [*dutch, *dutch.values()]
        for name, word in plural.findall(text)
        if name in counts and word not in NEVER_ONE
    }
    assert odd == set()


def test_help_names_what_is_to_be_filled_in_as_the_messages_do(dutch: dict[str, str]) -> None:
    """The words in capitals: those of the Dutch messages stand in the Dutch help."""
    try:
        messages.choose("nl")
        there = set(_helps(cli.parser()))
    finally:
        messages.choose("en")
    after = re.compile(
        r"(?:--(?:by|gone|teacher|head|html|card|keep|remove|execute|call-off) |-C |import )([A-Z:]{2,})"
    )
    asked = {word for said in dutch.values() for word in after.findall(said)}
    assert {"NAAM", "MAP", "NUMMER"} <= asked
    assert asked - there == set()


ONE_WORD = {
    "bestemmingsmap": "doelmap",
    "commando": "opdracht",
    "eindpunt": "kop",
    "herstelling": "herstel",
    "kant-en-klare?": "voltooid",
    "leraar": "docent",
    "leraren": "docenten",
    "machine": "computer",
    "opnamen?": "clip",
    "werkers?": "werkproces",
}
"""Words that would be a second one for a thing, and the one that is used. *Opname* is what a camera cut: a take."""


def test_dutch_has_one_word_for_one_thing(dutch: dict[str, str]) -> None:
    second = re.compile(rf"\b({'|'.join(ONE_WORD)})\b", re.IGNORECASE)
    said = {said for text, said in dutch.items() if "take" not in text.split()}
    said |= {page.read_text(encoding="utf-8") for page in (PIPELINE.parent / "docs" / "nl").glob("*.md")}
    assert {word for text in said for word in second.findall(text)} == set()


def test_dutch_says_u_to_everybody(dutch: dict[str, str]) -> None:
    assert [said for said in dutch.values() if re.search(r"\b[Jj](?:e|ij|ou|ouw|ezelf)\b", said)] == []


def test_a_number_has_the_decimal_sign_of_the_language() -> None:
    try:
        messages.choose("nl")
        assert (messages.decimal(56.94), messages.decimal(12, 0)) == ("56,9", "12")
        messages.choose("en")
        assert messages.decimal(2.25, 2) == "2.25"
    finally:
        messages.choose("en")


def test_dutch_ends_as_the_english_does(dutch: dict[str, str]) -> None:
    def end(text: str) -> str:
        return text[-1] if text[-1] in ".:;!?" else ""

    assert {text: said for text, said in dutch.items() if end(text) != end(said)} == {}


def test_errors_and_messages_are_given_as_texts() -> None:
    """A text built on the spot could not be translated, and would not be collected here."""
    odd = [
        f"{place}: {name}({ast.unparse(argument)})"
        for place, name, argument in _calls()
        if (name in SPOKEN or name in KINDS) and _text(argument) is None and ast.unparse(argument) not in PASSED_ON
    ]
    assert odd == []


def test_collecting_finds_what_is_there() -> None:
    texts = wanted()
    assert len(texts) > 100
    some = {"detect", "wiped", "it was not rendered", wipe.PROMISE, "{file} exists already; nothing is written over."}
    assert some <= set(texts)


def test_an_error_is_told_in_the_language_chosen() -> None:
    error = errors.OutputExistsError("{file} exists already; nothing is written over.", file="les.mp4")
    try:
        assert messages.choose("nl") == "nl"
        assert messages.told(error) == "les.mp4 bestaat al; er wordt niets overschreven."
        assert messages.tr("no such text {n}", n=3) == "no such text 3"
        assert messages.choose("nl", "en") == "nl"
    finally:
        messages.choose("en")
    assert messages.told(error) == str(error) == "les.mp4 exists already; nothing is written over."


@pytest.mark.parametrize(
    ("wishes", "system", "language"),
    [
        (("", ""), "nl_NL.UTF-8", "nl"),
        (("", ""), "en_GB.UTF-8", "en"),
        (("", "nl"), "en_GB.UTF-8", "nl"),
        (("en", "nl"), "nl_NL.UTF-8", "en"),
        (("",), "de_DE.UTF-8", "en"),
        (("",), "C", "en"),
    ],
)
def test_the_first_known_wish_counts(
    wishes: tuple[str, ...], system: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", system)
    try:
        assert messages.choose(*wishes) == language
    finally:
        messages.choose("en")


def test_a_brace_in_the_name_of_a_file_is_no_field() -> None:
    assert messages.tr("DCIM/{les}.MP4 belongs to a clip that stays") == "DCIM/{les}.MP4 belongs to a clip that stays"


def test_the_name_of_a_file_stays_on_one_line() -> None:
    error = errors.ClipNotFoundError("{file} does not exist; check its name.", file=Path("les\n1\udcff.mp4"))
    assert messages.told(error) == "les\\n1\\udcff.mp4 does not exist; check its name."
    assert messages.tr("{clip}: {n}", clip="één", n=2) == "één: 2"


def test_every_argument_says_what_it_is_for() -> None:
    calls = [
        node
        for path in sorted(Path(cli.__file__).with_name("commands").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
    ]
    assert [ast.unparse(one) for one in calls if "help" not in {keyword.arg for keyword in one.keywords}] == []
    assert len(calls) > 50

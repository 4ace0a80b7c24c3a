"""Names that OneDrive takes, and that no two clips share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.graph_names import (
    ID_LENGTH,
    LONGEST_PATH,
    Labels,
    legal,
    made_legal,
    place,
)
from pipeline.errors import DeliveryError
from pipeline.layout import USUAL as LAYOUT
from pipeline.layout import fields_of
from pipeline.settings import Deliver
from tests.graph.rules import Refusal, check_name, check_path

IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
AWKWARD = st.one_of(
    st.text(max_size=300),
    st.sampled_from(("", " ", ".", "..", "con", "CON.mp4", "aux", "a.", " a", "a ", "~$les", ".lock", "desktop.ini")),
    st.sampled_from(("_vti_", "x_VTI_y", "_v_vti_ti_", "a/b", "a\\b", "com1", "LPT9.txt", "les\u202egnp", "forms")),
    st.sampled_from(("Zoë", "Zoe\u0308", "😀" * 200, "#%&{}")),
)


@given(AWKWARD)
def test_every_name_is_made_legal(name: str) -> None:
    made = made_legal(name)
    assert legal(made), made
    check_name(made)
    assert made_legal(made) == made


@given(AWKWARD)
def test_what_we_call_legal_the_documentation_does(name: str) -> None:
    if legal(name):
        try:
            check_name(name)
        except Refusal:  # pragma: no cover - the message of a failure
            raise AssertionError(name) from None


def put(clip: str = "ab" * 16, film: str = "MVI_0001", layout: str = LAYOUT, **more: object) -> str:
    return place(layout, clip=clip, film=film, filmed="2026-11-25", **({"labels": Labels()} | more))  # type: ignore[arg-type]


@given(AWKWARD, IDS, IDS, st.sampled_from([LAYOUT, "{year}/{clip}_{id}", "{id}", "{clip}{id}", "les {clip} {id}."]))
def test_two_clips_never_share_a_name(film: str, one: str, other: str, layout: str) -> None:
    paths = [put(one, film, layout), put(other, film, layout)]
    if one[:ID_LENGTH] != other[:ID_LENGTH]:
        assert paths[0].casefold() != paths[1].casefold()
    for path, id in zip(paths, (one, other), strict=True):
        assert id[:ID_LENGTH] in path.rsplit("/", 1)[-1]
        assert path.endswith(".mp4")
        for name in path.split("/"):
            check_name(name)
        check_path(path)
        assert len(path) <= LONGEST_PATH


def test_the_layout_of_the_docs() -> None:
    layout = "{class}/{date}_{teacher}/{clip}_{id}"
    said = put(layout=layout, labels=Labels("3B", "VRI"))
    assert said == "3B/2026-11-25_VRI/MVI_0001_abababababab.mp4"
    assert put() == "2026-11-25_MVI_0001_abababababab.mp4"
    assert Deliver().layout == LAYOUT


@pytest.mark.parametrize(
    "layout",
    [
        "",
        "{clip}",
        "{id}/{clip}",
        "{name}_{id}",
        "{id",
        "{}_{id}",
        "{id!r}",
        "{id:>9}",
        "/{id}",
        "a//{id}",
        "../{id}",
        "../../{id}",
        "a/../{id}",
        "./{id}",
        "{0}{id}",
    ],
)
def test_a_layout_that_is_none(layout: str) -> None:
    assert fields_of(layout) is None
    with pytest.raises(DeliveryError, match="layout cannot be"):
        put(layout=layout)


def test_what_the_layout_needs_is_asked_for() -> None:
    with pytest.raises(DeliveryError, match="--class"):
        put(layout="{class}/{id}")
    with pytest.raises(DeliveryError, match="--teacher"):
        put(layout="{teacher}/{id}", labels=Labels("3B", ""))


@pytest.mark.parametrize("code", ["Jan de Vries", "../x", "a/b", "x" * 17, "", "Ä", "-a", "hulzebosch", "HULZEBOSCH"])
def test_a_code_is_a_code(code: str) -> None:
    with pytest.raises(DeliveryError):
        put(layout="{teacher}/{id}", labels=Labels("", code), names=["Noor Hulzebosch"])


def test_a_code_of_three_letters_is_no_name() -> None:
    assert put(layout="{teacher}/{id}", labels=Labels("", "JAN"), names=["Jan Hulzebosch"]).startswith("JAN/")


@pytest.mark.parametrize("film", ["Noor Hulzebosch", "les_noor_2", "HULZEBOSCH-1", "Renée"])
def test_a_film_that_bears_a_pupils_name_loses_it(film: str) -> None:
    path = put(film=film, names=["Noor Hulzebosch", "Renee van Dam"])
    assert path == "2026-11-25_film_abababababab.mp4"

"""Why a clip failed, as the ledger keeps it and as it is told."""

from pathlib import Path

from pipeline import errors
from pipeline.lesson.failures import failure_in_words, failure_row


def test_files_lose_their_folders_and_numbers_stay() -> None:
    error = errors.QuarantinedError("{clip} is bad: {bad} of {all}.", clip=Path("/home/jansen/{les}.MP4"), bad=2, all=3)
    row = failure_row("DCIM/{les}.MP4", error, "abc")
    assert "jansen" not in str(row)
    assert (row["clip"], failure_in_words(row)) == ("abc", "{les}.MP4 is bad: 2 of 3.")


def test_a_text_that_might_hold_a_name_is_not_kept() -> None:
    row = failure_row("a.MP4", errors.LookAlikesError("{one} looks like {other}.", one="Zoe", other="Ada"))
    assert row == {"path": "a.MP4", "error": "LookAlikesError"}
    assert "LookAlikesError" not in failure_in_words(row)


def test_consent_that_is_not_in_force_is_told_as_that() -> None:
    row = failure_row("a.MP4", errors.NoConsentError("{person} did not agree.", person="HUL"), "abc")
    assert "HUL" not in str(row)
    assert failure_in_words(row).startswith("Consent that it needs is not in force")

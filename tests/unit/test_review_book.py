"""Who may sign in to the reviewers' page, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.adapters import review_book
from pipeline.adapters.review_book import Account, ReviewBook
from pipeline.errors import ReviewError

PASSWORD = "correct horse battery"


def test_a_link_goes_with_its_account(tmp_path: Path) -> None:
    """However its name is written; and a link from before lets nobody in under an account that is made anew."""
    with ReviewBook.open(tmp_path / "review.db") as book:
        book.add_account("B. de Vries", "reviewer", PASSWORD)
        links = [book.new_link(name, "coach") for name in ("B. de Vries", " b. de vries ")]
        others = book.new_link("Els", "reviewer")
        book.remove_account("b. DE vries")
        assert [book.use_link(link) for link in links] == [None, None]
        before = book.new_link("B. de vries", "coach")
        book.add_account("B. de Vries", "reviewer", PASSWORD)
        assert book.use_link(before) is None
        assert book.use_link(others) == Account("Els", "reviewer")


@pytest.mark.parametrize("name", ["", " ", "B.\nde Vries", "B" * 81])
def test_nobody_signs_in_without_a_name(tmp_path: Path, name: str) -> None:
    """What they hide and approve is written down under it."""
    with ReviewBook.open(tmp_path / "review.db") as book:
        with pytest.raises(ReviewError, match="is no name"):
            book.add_account(name, "reviewer", PASSWORD)
        with pytest.raises(ReviewError, match="is no name"):
            book.new_link(name, "reviewer")


def test_an_account_is_replaced_only_knowingly(tmp_path: Path) -> None:
    """However its name is written: else a slip takes a colleague's password, and whoever works by it is out."""
    with ReviewBook.open(tmp_path / "review.db") as book:
        book.add_account("B. de Vries", "coach", PASSWORD)
        session = book.begin(Account("B. de Vries", "coach"))
        with pytest.raises(ReviewError, match=r"an account B\. de Vries already"):
            book.add_account(" b. DE vries", "reviewer", "another long password")
        assert book.check_password("B. de Vries", PASSWORD) == Account("B. de Vries", "coach")
        assert book.session(session) is not None
        book.add_account("b. DE vries", "reviewer", "another long password", replace=True)
        assert book.check_password("B. de Vries", "another long password") == Account("B. de Vries", "reviewer")
        assert book.session(session) is None


def test_somebody_with_a_link_alone_can_be_removed(tmp_path: Path) -> None:
    with ReviewBook.open(tmp_path / "review.db") as book:
        waiting, used = book.new_link("Els", "reviewer"), book.new_link("Els", "reviewer")
        account = book.use_link(used)
        assert account is not None
        session = book.begin(account)
        book.remove_account("els")
        assert book.use_link(waiting) is None
        assert book.session(session) is None
        with pytest.raises(ReviewError, match="no account els"):
            book.remove_account("els")


def test_capital_letters_and_accents_make_no_other_person(tmp_path: Path) -> None:
    """Whoever was removed stays in with a session or a link of another spelling."""
    with ReviewBook.open(tmp_path / "review.db") as book:
        book.add_account("\u00c9lise", "coach", PASSWORD)
        sessions = [book.begin(Account(name, "coach")) for name in ("\u00c9lise", "\u00e9lise", "e\u0301lise")]
        link = book.new_link("e\u0301lise", "coach")
        assert book.check_password("E\u0301LISE", PASSWORD) == Account("\u00c9lise", "coach")
        with pytest.raises(ReviewError, match="already"):
            book.add_account("e\u0301lise", "reviewer", PASSWORD)
        book.remove_account("\u00e9lise")
        assert [book.session(one) for one in sessions] == [None] * 3
        assert book.use_link(link) is None
        assert book.accounts() == []


def test_two_accounts_of_an_older_book_each_have_their_own_password(tmp_path: Path) -> None:
    """They were told apart by capital letters with accents, by which nobody is now."""
    with ReviewBook.open(tmp_path / "review.db") as book:
        book.add_account("\u00e9lise", "coach", PASSWORD)
        with book._writing():
            book._connection.execute("UPDATE accounts SET name = 'Els'")
        book.add_account("\u00c9lise", "reviewer", "another long password")
        with book._writing():
            book._connection.execute("UPDATE accounts SET name = '\u00e9lise' WHERE name = 'Els'")
        assert book.check_password("\u00e9lise", PASSWORD) == Account("\u00e9lise", "coach")
        assert book.check_password("\u00c9lise", "another long password") == Account("\u00c9lise", "reviewer")
        book.add_account("\u00c9lise", "coach", "a third long password", replace=True)
        assert len(book.accounts()) == 1


def test_a_session_is_renewed_by_who_does_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking who it is renews nothing: an open page asks all the time."""
    with ReviewBook.open(tmp_path / "review.db") as book:
        left, busy = (book.begin(Account(name, "coach")) for name in ("Els", "Geertje"))
        real, later = review_book.time.time, 0
        monkeypatch.setattr(review_book.time, "time", lambda: real() + later)
        for later in range(0, review_book.IDLE_SECONDS + 600, 600):  # noqa: B007, the clock reads it
            there = book.session(left)
            worker = book.session(busy)
            assert worker is not None
            book.renew(busy, worker)
        assert there is None
        later = review_book.LONGEST_SECONDS + 1
        assert book.session(busy) is None

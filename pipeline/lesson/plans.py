"""Shown first, then done: a plan has a digest, and only what was shown under that digest is carried out.

A plan that was begun is finished under the same digest, whatever became due meanwhile; each thing in it that is done
leaves a row, also when a crash came between doing it and telling it. An item names the rows of the ledger by which what
it acts on came to be: the same thing, made or brought anew, is another item, and its plan another plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from pipeline.adapters.chain import canonical
from pipeline.adapters.ledger import Ledger
from pipeline.errors import LesveilError, PlanChangedError
from pipeline.lesson.failures import set_aside

Item = dict[str, Any]
T = TypeVar("T")


def digest_of(items: Sequence[Item]) -> str:
    """The digest of a plan, 16 digits to be typed; "" when there is nothing in it."""
    return hashlib.sha256(canonical(list(items)).encode()).hexdigest()[:16] if items else ""


def carry_out(
    ledger: Ledger,
    kind: str,
    digest: str,
    shown: Sequence[Item],
    still: Callable[[Item], bool],
    act: Callable[[Item], Item],
) -> list[tuple[Item, Item | LesveilError]]:
    """Do every item of the plan ``digest``: what ``act`` said of each (for its receipt), or why it failed.

    ``shown`` is the plan as it is now; ``still`` says whether an item of a plan that was begun earlier is still to be
    done. Items are told in the ledger by rows ``<kind>_begun`` and ``<kind>_done``. Raises PlanChangedError.
    """
    begun = [row.payload for row in ledger.entries(f"{kind}_begun") if row.payload["digest"] == digest]
    if begun:
        items: list[Item] = begun[-1]["items"]
    elif shown and digest == digest_of(shown):
        items = [dict(item) for item in shown]
        ledger.append(f"{kind}_begun", None, {"digest": digest, "items": items})
    else:
        raise PlanChangedError("{digest} is not the plan that was shown; look at the plan again.", digest=digest)
    done = _done(ledger.entries(f"{kind}_done"), digest)
    results: list[tuple[Item, Item | LesveilError]] = []
    for item in items:
        if canonical(item) in done:
            continue
        try:
            told = act(item) if still(item) else {"found": False}
        except Exception as unknown:  # noqa: BLE001 -- this item is not done; the others can be
            error = set_aside(unknown)
            ledger.append(
                f"{kind}_failed", item.get("clip"), {"digest": digest, "item": item, "error": type(error).__name__}
            )
            results.append((item, error))
            continue
        ledger.append(f"{kind}_done", item.get("clip"), {"digest": digest, "item": item, **told})
        results.append((item, told))
    return results


def _done(rows: Iterable[Any], digest: str) -> set[str]:
    return {canonical(row.payload["item"]) for row in rows if row.payload["digest"] == digest}

"""Who is in the sample: seven people, and which of them may be seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .people import Look, Person


@dataclass(frozen=True)
class Member:
    """Someone in the cast. ``id`` is the number on the consent list and the name of the portrait folder.

    ``may_be_seen`` holds on the sample's own day; ``portraits`` says whether the school holds pictures of them.
    """

    id: str
    look: Look
    may_be_seen: bool
    portraits: bool


# Chosen from 350 random looks by distance: README.md has the table.
CAST: dict[str, Member] = {
    "teacher": Member("90017", Look(0, 0, 0, 0, 0, hair="own", top=(74, 48, 40)), True, True),
    "zoe": Member("41207", Look(1, 1, 1, 1, 1, hair="own", top=(60, 95, 200)), True, True),
    "renee": Member(
        "41215",
        Look(
            0.23, 1, 0, 1, 1,
            {"eyes apart": -9.0, "eyes open": -2.4, "eyes wide": 2.1, "brows down": 3.0, "nose wide": -5.1,
             "mouth wide": -7.7, "mouth down": -5.0, "lips": 1.8, "jaw wide": 1.5, "face wide": 10.6, "chin down": 0.7},
            tone=(175, 143, 146), hair="photo", hair_colour=(22, 20, 24), brows=0.7, glasses="round", smooth=True,
            mirrored=True, top=(150, 130, 50),
        ),
        True,
        True,
    ),
    "jurgen": Member(
        "41222",
        Look(
            0.66, 1, 0, 0, 1,
            {"brows down": 1.8, "nose down": -8.1, "mouth wide": -3.4, "mouth down": 0.3, "lips": -1.4,
             "jaw wide": 0.6, "chin down": 10.4, "forehead up": 9.8},
            tone=(150, 147, 152), contrast=0.9, hair_colour=(30, 42, 60), brows=0.7, glasses="square", smooth=True,
            mirrored=True, top=(120, 90, 60),
        ),
        False,
        True,
    ),
    "aicha": Member(
        "41230",
        Look(
            -0.16, 1, 1, 1, 1,
            {"eyes open": -1.4, "nose wide": 0.4, "face wide": -2.2, "forehead up": -1.8},
            tone=(190, 141, 142), contrast=1.26, hair="scarf", hair_colour=(140, 120, 110), brows=1.1,
            glasses="square", smooth=True, top=(70, 60, 90),
        ),
        False,
        False,
    ),
    "chloe": Member(
        "41238",
        Look(
            1.02, 1, 0, 0, 1,
            {"eyes apart": -6.9, "eyes wide": 0.7, "brows down": -3.6, "nose wide": 5.3, "nose down": -3.5,
             "mouth down": 2.2, "forehead up": -7.7},
            tone=(175, 143, 146), contrast=0.83, hair="photo", hair_colour=(30, 42, 60), brows=1.1, smooth=True,
            mirrored=True, top=(80, 120, 70),
        ),
        False,
        False,
    ),
    "andre": Member(
        "41244",
        Look(
            0.07, 1, 1, 0, 1,
            {"eyes open": -0.5, "eyes wide": -2.5, "brows down": 5.9, "nose down": 8.7, "lips": 5.5,
             "jaw wide": -6.8, "face wide": 9.7, "chin down": -9.8},
            tone=(120, 148, 154), contrast=0.8, hair_colour=(30, 42, 60), brows=0.7, beard=0.9, moustache=0.8,
            smooth=True, top=(165, 165, 170),
        ),
        False,
        False,
    ),
}  # fmt: skip


@lru_cache(maxsize=16)
def drawn(name: str) -> Person:
    """The member of the cast called ``name``, drawn once per process."""
    return Person(CAST[name].look, 10 * list(CAST).index(name))

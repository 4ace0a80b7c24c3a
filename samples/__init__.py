"""A sample lesson made on the spot: card, portraits, consent list and the truth about them. See README.md."""

from .card import Samples, make_card, make_portraits, make_samples
from .cast import CAST
from .consent_list import make_consent_list
from .lesson import Truth, make_lesson

__all__ = [
    "CAST",
    "Samples",
    "Truth",
    "make_card",
    "make_consent_list",
    "make_lesson",
    "make_portraits",
    "make_samples",
]

"""How the school's list is to be read: what lesveil.toml says of it, and the presets for three school systems.

No vendor documents its export, and each school names its own columns in it: the presets hold words that such exports
are known or likely to use. What a preset does not know, [consent.columns] says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.consent import PURPOSE

FIELDS: Mapping[str, str] = {
    "number": "id",
    "first_name": "first_name",
    "infix": "infix",
    "last_name": "last_name",
    "birth": "birth",
    "group": "group",
    "filmed": "granted",
    "recognised": "recognition",
    "giver": "giver",
    "given_on": "start",
    "valid_until": "end",
    "withdrawn_on": "withdrawn",
    "portraits": "portrait_folder",
}
"""The keys of [consent.columns], each with our name of the field."""
KEYS: Mapping[str, str] = {name: key for key, name in FIELDS.items()}
"""And the other way round."""


@dataclass(frozen=True)
class Preset:
    """Headers by field (``{purpose}`` stands for the purpose), and the words for yes and no, of one school system."""

    headers: Mapping[str, str]
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()


_YES = frozenset({"toestemming", "wel toestemming", "toegestaan", "akkoord", "gegeven", "verleend"})
_NO = frozenset({"geen toestemming", "niet toegestaan", "niet akkoord", "geweigerd", "niet gegeven", "ingetrokken"})

PRESETS: Mapping[str, Preset] = {
    "magister": Preset(
        {
            "id": "Stamnr|stamnummer|leerlingnr",
            "infix": "Tussenv|tussenvoegsel",
            "birth": "Geb datum|geboortedatum",
            "group": "Klas|stamklas",
            "granted": "Toestemming {purpose}|privacy {purpose}|avg {purpose}",
            "recognition": "Toestemming gezichtsherkenning|privacy gezichtsherkenning|avg gezichtsherkenning",
            "giver": "Toestemming door|vastgelegd door|ingevuld door",
            "start": "Datum toestemming|datum akkoord|ingangsdatum toestemming",
            "end": "Einddatum toestemming",
        },
        _YES,
        _NO,
    ),
    "somtoday": Preset(
        {
            "id": "Leerlingnummer|llnr|leerling nummer",
            "infix": "Voorvoegsel|tussenvoegsel",
            "group": "Stamgroep|basisgroep",
            "granted": "Privacyvoorkeur {purpose}|toestemming {purpose}|voorkeur {purpose}",
            "recognition": "Privacyvoorkeur gezichtsherkenning|voorkeur gezichtsherkenning",
            "giver": "Ingevuld door|toestemming door|vastgelegd door",
            "start": "Ingevuld op|datum toestemming|vastgelegd op",
        },
        _YES,
        _NO,
    ),
    "parnassys": Preset(
        {
            "id": "Leerlingnummer|leerling id|administratienummer",
            "infix": "Voorvoegsel|tussenvoegsel|voorvoegsel achternaam",
            "group": "Groep|groepsnaam",
            "granted": "Akkoord {purpose}|privacyvoorkeur {purpose}|toestemming {purpose}",
            "recognition": "Akkoord gezichtsherkenning|privacyvoorkeur gezichtsherkenning",
            "giver": "Akkoord door|verzorger|ingevuld door",
            "start": "Datum akkoord|akkoord op|ingevuld op",
        },
        _YES,
        _NO,
    ),
}


@dataclass(frozen=True)
class Layout:
    """What is known of a list before it is read.

    ``giver`` is the setting [consent] giver. ``columns`` holds, by field, the header as it is exported. ``yes`` and
    ``no`` are words of the school's own. ``ignored`` are headers of columns that are about something else.
    ``asks_recognition``: the list has a column for consent to be recognised. ``staff``: it is the staff's own list.
    """

    purpose: str = PURPOSE
    giver: str = ""
    preset: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    asks_recognition: bool = True
    staff: bool = False

    @property
    def words(self) -> tuple[frozenset[str], frozenset[str]]:
        """Words for yes and for no besides the usual ones; in lower case."""
        preset = PRESETS.get(self.preset, Preset({}))
        yes = {" ".join(word.split()).casefold() for word in self.yes}
        no = {" ".join(word.split()).casefold() for word in self.no}
        return preset.yes | yes, preset.no | no

    def headers(self, name: str) -> list[str]:
        """The headers that the preset knows for a field."""
        words = PRESETS.get(self.preset, Preset({})).headers.get(name, "")
        return [word.replace("{purpose}", self.purpose) for word in words.split("|") if word]


USUAL = Layout()

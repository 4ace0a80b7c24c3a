"""Columns of the school's list that nobody reads: which may be passed over, and which may limit a yes beside them.

A column is passed over without a word only where its header holds nothing but words of the two lists below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.adapters import consent_cells as cells
from pipeline.adapters.consent_cells import NO_RESULT, Cell, plain
from pipeline.adapters.consent_headers import known
from pipeline.adapters.consent_layout import Layout


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_PARTICULARS = _words(
    "naam namen voornaam voornamen voorletters initialen roepnaam achternaam tussenvoegsel tussenvoegsels voorvoegsel",
    "voorvoegsels geslachtsnaam meisjesnaam aanhef titel name names initials surname",
    "klas klassen groep stamgroep stamklas basisgroep lesgroep leerjaar schooljaar cursusjaar cohort instroomjaar",
    "opleiding profiel niveau leerweg bouw afdeling locatie vestiging brin mentor mentoren mentorgroep tutor",
    "teamleider class group form year",
    "adres straat straatnaam huisnummer huisnr toevoeging postcode plaats woonplaats gemeente provincie land address",
    "street city town zip country",
    "telefoon telefoonnummer telefoonnr tel mobiel noodnummer contactpersoon phone telephone mobile",
    "email mail emailadres mailadres",
    "geslacht sekse gender sex geboorteplaats geboorteland nationaliteit leeftijd age",
    "bsn onderwijsnummer leerlingcode volgnummer volgnr",
    "inschrijving inschrijfdatum inschrijvingsdatum",
    "functie vak vakken sectie team aanstelling",
)
"""Words for what a list holds of a person besides consent."""
_OF_WHOM = _words(
    "van de het der en of e nr nummer number datum date 1 2 3 leerling leerlingen ouder ouders verzorger verzorgers",
    "voogd vader moeder docent medewerker school thuis prive parent mother father pupil student of the",
)
"""Words that may stand beside those."""
_ELSEWHERE = _words(
    "website schoolwebsite site schoolgids schoolkrant nieuwsbrief nieuwsbrieven newsletter sociale social",
    "socialmedia facebook instagram twitter tiktok linkedin parro klassenapp schoolapp klasbord jaarboek yearbook",
    "folder flyer brochure pers krant schoolfotograaf klassenlijst adreslijst klassenfoto schoolfoto",
)
"""Words for other uses of pictures or particulars, for which a school asks consent of its own."""
_CONSENT_TO = _words(
    "toestemming akkoord privacy privacyvoorkeur voorkeur avg consent media foto fotos s beeldmateriaal gebruik",
    "publicatie in op voor to on for",
)
"""Words that may stand beside those."""

_CONSENT = re.compile(r"toestemming|akkoord|consent")
_LIMIT = re.compile(
    r"geldig|verloop|verlop|vervalt|vervald|einddatum|\bvalid|expir|\btot\b|\buntil\b"
    r"|intrek|ingetrok|herroep|withdr|revok|bezwaar|weiger|\bobject|refus|\bopt out"
    r"|\bniet\b|\bgeen\b|\bnooit\b|\bnee\b|\bno\b|\bnot\b|\bnever\b|beperk|restrict|\balleen|\bslechts\b|\benkel\b"
    r"|\bonly\b|\bbehalve\b|\buitgezonderd\b|\btenzij\b|\bmits\b|\bexcept|\bunless\b|\bliever\b"
    r"|afgemeld|afmeld|uitgeschr|uitschrijv|vertrok|vertrek|\bverlaten\b|inactie|\bstop|gestopt"
    r"|onherken|anoniem|anonym|blokk|verborgen|afgescherm|afscherm|verwijder|geheim"
)
"""What limits consent, or says that it ended, in a header or a cell as `consent_cells.plain` gives them."""
_DAY = re.compile(r"datum|\bdate\b|\b(op|on|per|sinds|since|vanaf|gewijzigd|changed)$")
"""What a header of days has."""
_WHEN = re.compile(
    r"\b(19|20)\d\d\b|\b\d{1,2}[-/. ]+(\d{1,2}[-/.]\d\d\b|(jan|feb|maa|mrt|apr|mei|jun|jul|aug|sep|okt|nov|dec))"
)
"""A year or a day in text."""


def unread(row: Sequence[Cell], layout: Layout) -> list[int]:
    """The columns of a header that nobody reads, and that are not passed over without a word."""
    accounted = {plain(header) for header in (*layout.columns.values(), *layout.ignored)} | set(known(layout))
    return [at for at, cell in enumerate(row) if plain(cell) not in accounted and not _is_particular(cell)]


def may_limit(header: Cell, cell: Cell, layout: Layout) -> bool:
    """Whether a cell of an unread column may mean that somebody's yes does not hold, or not yet, or only for a time.

    So may every yes and no (for or against what, nobody said), a tick, a day, whose word it is, and whatever stands
    under a header that speaks of consent. Not so where the header names another use.
    """
    if _is_elsewhere(header, layout):
        return False
    try:
        if cells.yes_or_no(cell, *layout.words) is None:
            return False
    except ValueError:
        title, said = plain(header), plain(cell)
        return (
            any(speaks.search(title) for speaks in (_CONSENT, _LIMIT, _DAY))
            or _LIMIT.search(said) is not None
            or cells.looks_like_day(cell)
            or _WHEN.search(cells.text(cell).casefold()) is not None
            or cells.names_a_giver(cell)
            or (len(cells.text(cell)) == 1 and not said.isdigit())
            or cell == NO_RESULT
        )
    return True


def speaks_of_consent(header: Cell) -> bool:
    """Whether a header is about consent, its end or a limit, whatever stands under it."""
    return bool(_CONSENT.search(plain(header)) or _LIMIT.search(plain(header)))


def _is_particular(header: Cell) -> bool:
    words = set(plain(header).split())
    return bool(words & _PARTICULARS) and words <= _PARTICULARS | _OF_WHOM


def _is_elsewhere(header: Cell, layout: Layout) -> bool:
    words = set(plain(header).split())
    others = _ELSEWHERE - set(plain(layout.purpose).split())
    return bool(words & others) and words <= others | _CONSENT_TO | _OF_WHOM

"""Broken consent lists, made by atheris from whole ones: whatever the bytes, only a ConsentError may come out.

Run by ``python -m benchmarks.consent --fuzz 30``; needs ``pip install -e ".[bench]"`` (Linux).
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from datetime import date
from pathlib import Path

import atheris
import openpyxl

with atheris.instrument_imports(include=["pipeline.adapters", "pipeline.consent"]):
    from pipeline.adapters.consent_file import read_consent_file
    from pipeline.adapters.register import Register
    from pipeline.errors import ConsentError

TODAY = date(2026, 11, 25)
FOLDER = Path(tempfile.mkdtemp(prefix="lesveil-fuzz-"))
LIST = FOLDER / "lijst.bin"
REGISTER = Register.open(FOLDER / "register.db")


def _workbook(sheet: bytes) -> bytes:
    """An Excel file around the XML of a sheet: broken bytes of a whole file seldom get past its checksums."""
    made, out = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(made)
    with zipfile.ZipFile(made) as plain, zipfile.ZipFile(out, "w") as wrapped:
        for entry in plain.infolist():
            wrapped.writestr(entry, sheet if entry.filename.endswith("sheet1.xml") else plain.read(entry))
    return out.getvalue()


def one(data: bytes) -> None:
    LIST.write_bytes(_workbook(data) if data.startswith(b"<") else data)
    try:
        listed = read_consent_file(LIST, today=TODAY)
        plan = REGISTER.plan_import(listed, TODAY)
    except ConsentError:
        return
    for person in listed.people:
        if plan.answers[person.id].kept and not (person.says_yes and plan.answers[person.id].ground):
            raise AssertionError("somebody is kept without a yes")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()

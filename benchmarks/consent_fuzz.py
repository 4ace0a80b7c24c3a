"""Broken consent lists, made by atheris from whole ones: whatever the bytes, only a ConsentError may come out.

Run by ``python -m benchmarks.consent --fuzz 30``; needs ``pip install -e ".[bench]"`` (Linux). What is written after
the module's name goes to the fuzzer (``-max_total_time=30`` and a folder of whole lists, for instance).
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl

TODAY = date(2026, 11, 25)


def _workbook(sheet: bytes) -> bytes:
    """An Excel file around the XML of a sheet: broken bytes of a whole file seldom get past its checksums."""
    made, out = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(made)
    with zipfile.ZipFile(made) as plain, zipfile.ZipFile(out, "w") as wrapped:
        for entry in plain.infolist():
            wrapped.writestr(entry, sheet if entry.filename.endswith("sheet1.xml") else plain.read(entry))
    return out.getvalue()


def one_list(atheris: Any, folder: Path) -> Callable[[bytes], None]:
    """What is done with each list that the fuzzer makes; the code that reads it tells the fuzzer where it went."""
    with atheris.instrument_imports(include=["pipeline.adapters", "pipeline.consent"]):
        from pipeline.adapters.consent_file import read_consent_file
        from pipeline.adapters.register import Register
        from pipeline.errors import ConsentError

    path, register = folder / "lijst.bin", Register.open(folder / "register.db")

    def one(data: bytes) -> None:
        path.write_bytes(_workbook(data) if data.startswith(b"<") else data)
        try:
            listed = read_consent_file(path, today=TODAY)
            plan = register.plan_import(listed, TODAY)
        except ConsentError:
            return
        for person in listed.people:
            if plan.answers[person.id].kept and not (person.says_yes and plan.answers[person.id].ground):
                raise AssertionError("somebody is kept without a yes")

    return one


def main() -> None:
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False
    )
    words.add_argument("--help", action="help", help="show this help message and exit")
    words.parse_known_args()
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        raise SystemExit('atheris is not installed; run: pip install -e ".[bench]" (Linux).') from None
    atheris.Setup(sys.argv, one_list(atheris, Path(tempfile.mkdtemp(prefix="lesveil-fuzz-"))))
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Whoever asks a benchmark for help is helped, and nothing is measured."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import pytest

from benchmarks import ROOT

RUN = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", RUN)
def test_help_is_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.startswith("usage: ")


def test_the_fuzzer_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = importlib.import_module("benchmarks.consent_fuzz")
    monkeypatch.setattr(sys, "argv", ["consent_fuzz", "-max_total_time=1"])
    monkeypatch.setitem(sys.modules, "atheris", None)
    with pytest.raises(SystemExit, match=r"\.\[bench\]"):
        made.main()


def test_the_fuzzers_lists_are_workbooks(tmp_path: Path) -> None:
    import openpyxl

    made = importlib.import_module("benchmarks.consent_fuzz")
    sheet = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData/></worksheet>'
    (tmp_path / "a.xlsx").write_bytes(made._workbook(sheet))
    assert openpyxl.load_workbook(tmp_path / "a.xlsx").sheetnames == ["Sheet"]

"""10,000 people through ``lesveil consent import``: time and memory; and broken files for as long as one likes.

``python -m benchmarks.consent [--people N] [--fuzz SECONDS]``
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import openpyxl

from benchmarks import MEBIBYTE, ROOT, timed

HEADER = (
    *("Leerlingnummer", "Roepnaam", "Tussenvoegsel", "Achternaam", "Geboortedatum", "Klas", "Beeldcoaching"),
    *("Gezichtsherkenning", "Toestemming van", "Datum toestemming", "Datum intrekking", "Portretmap"),
)
SECONDS, MEMORY = 10.0, 300
READ = {
    "csv": "import csv, sys; list(csv.reader(open(sys.argv[1], encoding='cp1252', newline=''), delimiter=';'))",
    "xlsx": "import openpyxl, sys; list(openpyxl.load_workbook(sys.argv[1], read_only=True).active.values)",
}
"""What only reads each kind of list."""


def people(count: int, changed: bool) -> Iterator[tuple[str, ...]]:
    """A school: three in four agreed; ``changed``: as it is a month later, one in ten otherwise."""
    today = date.today()
    for n in range(count):
        grown = n % 3 == 0
        birth = today - timedelta(days=365 * (17 if grown else 13) + n % 300)
        agreed = n % 4 > 0 if not (changed and n % 10 == 0) else n % 4 == 0
        answer = "Ja" if agreed else ("Nee", "")[n % 2]
        given = (today - timedelta(days=60)).strftime("%d-%m-%Y")
        yield (
            f"{100_000 + n}", f"Voornaam{n}", "van" if n % 3 else "", f"Achternaam{n}", birth.strftime("%d-%m-%Y"),
            f"{n % 30}A", answer, answer, ("leerling" if grown else "ouder") if agreed else "", given if agreed else "",
            "", "",
        )  # fmt: skip


def write(path: Path, count: int, changed: bool) -> None:
    rows = [HEADER, *people(count, changed)]
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("Leerlingen")
        for row in rows:
            sheet.append([cell or None for cell in row])
        book.save(path)
        return
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";").writerows(rows)
    path.write_bytes(out.getvalue().encode("cp1252"))


def measure(count: int) -> bool:
    """Print the table; whether all targets are met."""
    good = True
    print(f"{count} people, each import a process of its own; the second changes one person in ten")
    print("| list | first import (CPU) | second import (CPU) | beside reading the file alone (CPU) | most memory |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix in ("csv", "xlsx"):
            place, runs = folder / suffix, []
            lesveil = [sys.executable, "-m", "pipeline", "-C", str(place), "--json"]
            subprocess.run([*lesveil, "init", str(place), "--key-file"], check=True, capture_output=True, cwd=ROOT)
            for changed in (False, True):
                path = folder / f"{changed}.{suffix}"
                write(path, count, changed)
                runs.append(timed([*lesveil, "consent", "import", path], folder / "log"))
            alone = timed([sys.executable, "-c", READ[suffix], path], folder / "log").cpu or 0.0
            cpu, peak = [run.cpu or 0.0 for run in runs], max(run.peak or 0 for run in runs) / MEBIBYTE
            told = [f"{run.seconds:.1f} s ({own:.1f})" for run, own in zip(runs, cpu, strict=True)]
            share = f"{max(cpu) / alone:.1f} times" if alone else "-"
            print(f"| {suffix} | {told[0]} | {told[1]} | {share} | {peak:.0f} MB |")
            good = good and max(run.seconds for run in runs) < SECONDS and peak < MEMORY
    print("Wall time grows with what else the machine does, CPU time hardly does.")
    print(f"targets: under {SECONDS:.0f} s and {MEMORY} MB: {'met' if good else 'MISSED'}")
    return good


def fuzz(seconds: int) -> int:
    """Run the fuzzer (a process of its own: atheris does not return) and return its exit code."""
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name)
        for suffix in ("csv", "xlsx"):
            write(corpus / f"whole.{suffix}", 6, False)
        with zipfile.ZipFile(corpus / "whole.xlsx") as book:
            (corpus / "sheet.xml").write_bytes(book.read("xl/worksheets/sheet1.xml"))
        (corpus / "utf16.csv").write_bytes((corpus / "whole.csv").read_bytes().decode("cp1252").encode("utf-16"))
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.consent_fuzz", f"-max_total_time={seconds}", "-max_len=16384",
             "-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={corpus}/", str(corpus)],
            cwd=ROOT, check=False,
        ).returncode  # fmt: skip


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--people", type=int, default=10_000)
    words.add_argument("--fuzz", type=int, metavar="SECONDS", default=0)
    args = words.parse_args()
    if args.fuzz:
        return fuzz(args.fuzz)
    return 0 if measure(args.people) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""The layout of the house, read from its source: imports point down only, and nothing lies where it should not."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.errors import INTERRUPTED, LesveilError, all_errors

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = ROOT / "pipeline"

FLOOR = {"records", "errors", "geometry", "columns", "interruption", "unforeseen"}
GROUND = {
    "consent",
    "columns",
    "settings",
    "likeness",
    "layout",
    "doubles",
    "doubt",
    "glances",
    "glimpses",
    "looks",
    "pace",
    "hiding",
    "wipeable",
    "regions",
} | FLOOR
MAY_IMPORT = {
    "records": set(),
    "errors": set(),
    "geometry": {"records"},
    "columns": set(),
    "interruption": set(),
    "unforeseen": {"errors"},
    "messages": {"records", "errors"},
    "consent": FLOOR,
    "likeness": {"records"},
    "layout": set(),
    "doubles": {"records"},
    "glances": {"records"},
    "glimpses": {"glances", "records"},
    "looks": {"geometry", "glances", "glimpses", "likeness", "records"},
    "pace": {"glances", "records"},
    "hiding": {"hiding", "records"},
    "doubt": {"records"},
    "wipeable": {"records"},
    "regions": {"records"},
    "settings": {"likeness", "layout"} | FLOOR,
    "engine": {"processes", "cluster"} | GROUND,
    "processes": GROUND,
    "cluster": GROUND,
    "jobs": {"stages", "adapters"} | GROUND,
    "elsewhere": {"jobs", "stages", "adapters", "engine"} | GROUND,
    "views": FLOOR,
    "adapters": {"adapters"} | GROUND,
    "stages": GROUND,
    "review": {"review", "adapters", "messages", "views"} | GROUND,
    "workspace": {"workspace", "adapters", "messages"} | GROUND,
    "opinion": {"stages", "adapters"} | GROUND,
    "run": {"jobs", "elsewhere", "opinion", "stages", "adapters", "engine", "messages", "workspace"} | GROUND,
    "lesson": {
        "lesson",
        "run",
        "elsewhere",
        "opinion",
        "workspace",
        "stages",
        "adapters",
        "engine",
        "messages",
        "views",
    }
    | GROUND,
    "demo": {"lesson", "run", "workspace", "adapters", "messages"} | GROUND,
    "commands": {
        "commands",
        "demo",
        "lesson",
        "run",
        "jobs",
        "review",
        "workspace",
        "stages",
        "adapters",
        "engine",
        "messages",
    }
    | {"opinion", "views"}
    | GROUND,
    "cli": {"commands", "messages"} | GROUND,
    "__main__": {"cli"},
}
"""Which rooms each room may import from. A new room is given its place here before anything imports it."""

WITH_ADAPTERS = {"ingest", "deliver", "deliver_onedrive", "wipe"}
"""Stages that use types and helpers of adapters by name. The others get adapters as arguments only."""

HEAVY = {".onnx", ".dat", ".bin", ".pt", ".pth", ".tflite", ".npz", ".npy", ".pkl"}
FOOTAGE = {".mp4", ".mov", ".mts", ".m2ts", ".mkv", ".avi", ".webm", ".wav", ".heic"}

FOLDERS = {"pipeline", "models", "samples", "benchmarks", "tests", "docs", ".ci", ".github"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name after ``pipeline.``; "" is the package itself."""
    found = {}
    for path in sorted(PIPELINE.rglob("*.py")):
        parts = list(path.relative_to(PIPELINE).with_suffix("").parts)
        if parts[0] not in ("_models", "_samples"):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> set[str]:
    """Every module that ``name`` imports, anywhere in it; ours as ``pipeline.…``, with what is taken from packages."""
    path = MODULES[name]
    package = ["pipeline", *name.split(".")] if path.name == "__init__.py" else ["pipeline", *name.split(".")[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([part for part in base if part] + ([node.module] if node.module else []))
            found.add(source)
            if source.split(".")[0] == "pipeline":
                known = {alias.name for alias in node.names if f"{source}.{alias.name}"[len("pipeline.") :] in MODULES}
                found |= {f"{source}.{one}" for one in known}
    return found


def ours(name: str) -> set[str]:
    """The modules of ours that ``name`` imports, without ``pipeline.``; the bare package (its version) is free."""
    return {one[len("pipeline.") :] for one in imports(name) if one.startswith("pipeline.")}


def room(name: str) -> str:
    return name.split(".")[0]


NAMES = [name for name in MODULES if name]


def test_the_reader_reads():
    assert {"run", "records", "stages.detect", "adapters.networks"} <= set(MODULES)
    assert {"adapters.files", "stages", "stages.decide", "settings"} <= ours("run")
    assert "numpy" in imports("records")


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_down(name):
    assert room(name) in MAY_IMPORT, f"{room(name)} has no place in the house yet: give it one in MAY_IMPORT"
    allowed = MAY_IMPORT[room(name)]
    if room(name) == "stages" and name.split(".")[-1] in WITH_ADAPTERS:
        allowed = allowed | {"adapters"}
    upwards = {one for one in ours(name) if room(one) not in allowed}
    assert not upwards, f"{name} imports {sorted(upwards)}"


def test_no_package_pulls_rooms_in():
    """The __init__ of pipeline, stages and adapters import nothing of ours: one stage does not load the others."""
    for package in ("", "stages", "adapters"):
        assert not ours(package), package or "pipeline"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "records",
            "geometry",
            "likeness",
            "doubles",
            "doubt",
            "consent",
            "wipeable",
            "regions",
            "glances",
            "pace",
            "stages.decide",
            "stages.track",
            "stages.naming",
        ),
        *("stages.check", "stages.mend", "stages.rehide"),
    ],
)
def test_pure_rooms_use_numpy_alone(name):
    allowed = set(sys.stdlib_module_names) | {"numpy", "pipeline"}
    assert {one.split(".")[0] for one in imports(name)} <= allowed


def test_errors_and_settings_need_nothing_installed():
    for name in ("errors", "settings"):
        assert {one.split(".")[0] for one in imports(name)} <= set(sys.stdlib_module_names) | {"pipeline"}


def test_nothing_of_the_house_needs_tests_or_benchmarks():
    for name in MODULES:
        assert not {"tests", "benchmarks"} & {one.split(".")[0] for one in imports(name)}, name


def test_sample_material_is_the_demos_business():
    for name in NAMES:
        if room(name) not in ("commands", "demo"):
            used = {one for one in imports(name) if one.split(".")[0] == "samples" or "_samples" in one}
            assert not used, name


def _tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [Path(name) for name in done.stdout.decode().split("\0") if name]


def test_top_level_folders():
    assert {path.parts[0] for path in _tracked() if len(path.parts) > 1} <= FOLDERS


def test_no_weights_and_no_footage_in_the_repository():
    assert not [path for path in _tracked() if path.suffix.lower() in HEAVY | FOOTAGE]
    assert {path.name for path in _tracked() if path.parts[0] == "models"} <= {"manifest.toml", "README.md"}


def test_exit_codes_are_unique():
    codes = Counter(kind.code for kind in all_errors())
    assert not [code for code, count in codes.items() if count > 1]


def test_exit_codes_are_their_own():
    """Each kind sets its own code, none that a shell or Ctrl-C uses, and none is 0."""
    for kind in all_errors():
        assert "code" in vars(kind), kind
        assert 0 < kind.code < 126, kind
        assert kind.code != INTERRUPTED


def test_errors_live_in_one_place():
    assert {kind.__module__ for kind in all_errors()} == {"pipeline.errors"}


def test_an_error_carries_its_message_in_parts():
    error = LesveilError("{file} is no {what}.", file="a{b}.mp4", what="video")
    assert str(error) == "a{b}.mp4 is no video."
    assert error.template == "{file} is no {what}."
    assert error.fields == {"file": "a{b}.mp4", "what": "video"}

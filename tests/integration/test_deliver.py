"""Into a folder: what arrived is what was approved."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.adapters import files
from pipeline.errors import DeliveryError, DiskFullError
from pipeline.stages.deliver import deliver_to_folder

BYTES = os.urandom(files.BLOCK + 77)
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def render(tmp_path: Path) -> Path:
    path = tmp_path / "render.mp4"
    path.write_bytes(BYTES)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "onedrive"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("is_archive", [True, False])
def test_it_arrives_and_is_read_back(render: Path, target: Path, is_archive: bool) -> None:
    delivery = deliver_to_folder(render, DIGEST, target, "les.mp4", is_archive, clip="abc")
    assert (target / "les.mp4").read_bytes() == BYTES
    assert os.listdir(target) == ["les.mp4"]
    assert (delivery.clip, delivery.sha256, delivery.bytes) == ("abc", DIGEST, len(BYTES))
    assert delivery.is_archive is is_archive
    assert delivery.where == str(target / "les.mp4")
    assert delivery.when.endswith("+00:00")


def test_a_second_delivery_finds_the_first(render: Path, target: Path) -> None:
    deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")
    render.unlink()
    assert deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc").sha256 == DIGEST


def test_another_file_of_that_name_is_left_and_no_other_name_is_chosen(render: Path, target: Path) -> None:
    (target / "les.mp4").write_bytes(b"theirs")
    with pytest.raises(DeliveryError, match=r"les\.mp4 exists and is not what was approved"):
        deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")
    assert os.listdir(target) == ["les.mp4"]
    assert (target / "les.mp4").read_bytes() == b"theirs"


def test_a_link_of_that_name_is_not_a_delivery(render: Path, target: Path) -> None:
    (target / "les.mp4").symlink_to(render)
    with pytest.raises(DeliveryError):
        deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")


def test_a_rendering_that_changed_since_it_was_approved_does_not_leave(render: Path, target: Path) -> None:
    render.write_bytes(BYTES + b"x")
    with pytest.raises(DeliveryError, match=r"render\.mp4 is not the file that was approved"):
        deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")
    assert os.listdir(target) == []


def test_what_reads_back_otherwise_is_no_delivery(render: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "drop_cache", lambda path: path.write_bytes(b"rot"))
    with pytest.raises(DeliveryError):
        deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")
    assert os.listdir(target) == []


def test_a_missing_target_is_not_made(render: Path, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="unplugged is not there"):
        deliver_to_folder(render, DIGEST, tmp_path / "unplugged", "les.mp4", True, clip="abc")
    assert not (tmp_path / "unplugged").exists()


@pytest.mark.parametrize("name", ["../les.mp4", "a/b.mp4", ".les.mp4", "les?.mp4", ""])
def test_a_name_stays_in_the_folder(render: Path, target: Path, name: str) -> None:
    with pytest.raises(DeliveryError, match="no name for a file"):
        deliver_to_folder(render, DIGEST, target, name, True, clip="abc")


def test_a_missing_rendering(render: Path, target: Path) -> None:
    render.unlink()
    with pytest.raises(DeliveryError, match="cannot be read"):
        deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")


def test_a_full_disk_leaves_nothing(render: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(DiskFullError, match=r"les\.mp4"):
        deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")
    assert os.listdir(target) == []


def test_what_a_killed_delivery_left_goes_with_the_next(render: Path, target: Path) -> None:
    files.partial_path(target / "les.mp4").write_bytes(b"half")
    deliver_to_folder(render, DIGEST, target, "les.mp4", True, clip="abc")
    assert os.listdir(target) == ["les.mp4"]

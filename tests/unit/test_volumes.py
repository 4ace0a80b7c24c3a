"""Which volumes may be cards: what Linux, macOS and Windows say, as recorded, and what is made of it.

Linux alone can be asked here; for the other two it is their recorded answers that are understood.
"""

from __future__ import annotations

import os
import plistlib
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters import volumes
from pipeline.adapters.cameras import camera_serials
from pipeline.adapters.volumes import (
    Volume,
    boot_sector,
    candidates,
    drives,
    from_diskutil,
    from_mountinfo,
    from_windows,
    has_layout,
    volume_of,
)

MOUNTINFO = r"""22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw,errors=remount-ro
35 22 8:1 / /boot/efi rw,relatime shared:2 - vfat /dev/sda1 rw,fmask=0077
91 22 179:1 / /media/an/LES\040KAART rw,nosuid,nodev shared:40 - exfat /dev/mmcblk0p1 rw,uid=1000,iocharset=utf8
92 22 8:17 / /media/an/EOS_DIGITAL ro,nosuid,nodev shared:41 - vfat /dev/sdb1 ro,uid=1000,codepage=437
93 22 0:77 / /home/an/telefoon rw,nosuid,nodev - fuse.jmtpfs jmtpfs rw,user_id=1000
94 22 8:17 / /media/an/kl\303\251 rw - vfat /dev/sdb1 rw
garbage
"""


def test_linux() -> None:
    asked: list[str] = []

    def names(device: str, source: str) -> tuple[str, str]:
        asked.append(source)
        return {"179:1": ("64B1-1E0F", "LES KAART"), "8:17": ("3934-6430", "EOS_DIGITAL")}.get(device, ("", ""))

    found = from_mountinfo(MOUNTINFO, {"179:1", "8:17"}.__contains__, names)
    assert [v.root.as_posix() for v in found if v.removable] == [
        "/media/an/LES KAART",
        "/media/an/EOS_DIGITAL",
        "/home/an/telefoon",
        "/media/an/klé",
    ]
    card, canon, phone = (v for v in found if v.removable and "kl" not in v.root.name)
    assert (card.serial, card.label, card.system, card.read_only) == ("64B1-1E0F", "LES KAART", "exfat", False)
    assert canon.read_only
    assert phone.mtp
    assert not card.mtp
    assert "jmtpfs" not in asked


def test_of_volumes_mounted_over_one_another_the_last_counts() -> None:
    text = MOUNTINFO + "95 22 0:80 / /media/an/EOS_DIGITAL rw - tmpfs tmpfs rw\n"
    (top,) = [v for v in from_mountinfo(text, lambda _: False, lambda *_: ("", "")) if v.root.name == "EOS_DIGITAL"]
    assert top.system == "tmpfs"


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_this_machine() -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    if "/" not in mounts:
        pytest.skip("the root of this file system is no mount (a chroot)")
    assert any(v.root == Path("/") for v in volumes.volumes())
    plain = volume_of(Path("/etc"))
    assert (plain.serial, plain.label, plain.removable) == ("", "", False)
    assert plain.identity == "/etc"


DISKUTIL: dict[str, Any] = {
    "DeviceIdentifier": "disk4s1",
    "Ejectable": True,
    "FilesystemType": "exfat",
    "Internal": False,
    "MountPoint": "/Volumes/LES KAART",
    "RemovableMedia": True,
    "RemovableMediaOrExternalDevice": True,
    "VolumeName": "LES KAART",
    "VolumeUUID": "6F9A5B4E-27D2-3E6F-A1C4-1B0B4C3F9D11",
    "WritableVolume": False,
}


def test_on_a_mac_a_volume_that_does_not_answer_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("away", "EOS_DIGITAL", "other"):
        (tmp_path / name).mkdir()

    def diskutil(words: list[Any], **_: Any) -> subprocess.CompletedProcess[bytes]:
        if words[-1].name == "away":
            raise subprocess.TimeoutExpired("diskutil", 20)
        return subprocess.CompletedProcess(words, 0, plistlib.dumps({**DISKUTIL, "VolumeName": words[-1].name}))

    monkeypatch.setattr(subprocess, "run", diskutil)
    monkeypatch.setattr(volumes, "MOUNTED", tmp_path)
    assert [volume.label for volume in volumes._macos()] == ["EOS_DIGITAL", "other"]


def test_macos() -> None:
    card = from_diskutil(plistlib.dumps(DISKUTIL))
    assert card == Volume(
        Path("/Volumes/LES KAART"), "6F9A5B4E-27D2-3E6F-A1C4-1B0B4C3F9D11", "LES KAART", "exfat", True, True
    )
    inside = {**DISKUTIL, "RemovableMedia": False, "RemovableMediaOrExternalDevice": False, "Ejectable": False}
    fixed = from_diskutil(plistlib.dumps(inside))
    assert fixed is not None
    assert not fixed.removable
    assert from_diskutil(plistlib.dumps({**DISKUTIL, "MountPoint": ""})) is None
    for odd in (b"", b"Could not find disk: /Volumes/x", b"<plist>"):
        with pytest.raises(ValueError, match="property list"):
            from_diskutil(odd)


def test_windows() -> None:
    assert drives(0b10100) == ["C:\\", "E:\\"]
    card = from_windows("E:\\", 2, "LES", 0x3934_6430, "FAT32", 0x00080006)
    assert (card.serial, card.label, card.removable, card.read_only) == ("3934-6430", "LES", True, True)
    assert not from_windows("C:\\", 3, "", -1, "NTFS", 0).removable
    assert from_windows("C:\\", 3, "", -1, "NTFS", 0).serial == "FFFF-FFFF", "a serial is 32 bits without a sign"


def sector(**at: bytes) -> bytes:
    data = bytearray(512)
    for place, value in at.items():
        data[int(place[1:]) : int(place[1:]) + len(value)] = value
    data[510:] = b"\x55\xaa"
    return bytes(data)


def test_boot_sectors() -> None:
    serial = struct.pack("<I", 0x3934_6430)
    assert boot_sector(sector(_67=serial, _71=b"EOS_DIGITAL", _82=b"FAT32   ")) == ("3934-6430", "EOS_DIGITAL")
    assert boot_sector(sector(_39=serial, _43=b"NO NAME    ", _54=b"FAT16   ")) == ("3934-6430", "")
    assert boot_sector(sector(_3=b"EXFAT   ", _100=serial)) == ("3934-6430", "")
    assert boot_sector(sector(_3=b"NTFS    ")) is None
    assert boot_sector(b"") is None
    assert boot_sector(bytes(512)) is None


def test_candidates_are_removable_and_bear_a_cameras_folders(tmp_path: Path) -> None:
    for name in ("a/DCIM", "b/PRIVATE/AVCHD", "c/Music", "d/dcim", "e/PRIVATE/other", "f/M4ROOT"):
        (tmp_path / name).mkdir(parents=True)
    found = [Volume(tmp_path / name, removable=name != "d") for name in "fedcba"]
    assert [v.root.name for v in candidates(found)] == ["a", "b", "f"]
    assert not has_layout(tmp_path / "gone")


def test_a_card_that_is_mounted_at_two_places_is_one_card(tmp_path: Path) -> None:
    """Where it may be written, if it may at one of them; two cards of one serial stay two, and so do two folders."""
    for name in "abcde":
        (tmp_path / name / "DCIM").mkdir(parents=True)
    mounts = (("a", "8:17 /", "ro"), ("c", "8:17 /", "rw"), ("b", "8:17 /", "rw"), ("d", "8:33 /", "rw"))
    mounts += (("e", "8:17 /old", "rw"),)
    text = "".join(f"9 2 {what} {tmp_path / name} {how} - vfat /dev/sdb1 rw\n" for name, what, how in mounts)
    found = from_mountinfo(text, lambda _: True, lambda *_: ("3934-6430", "EOS_DIGITAL"))
    assert [v.root.name for v in found] == ["a", "c", "b", "d", "e"], "each place can be named"
    assert [v.root.name for v in candidates(found)] == ["b", "d", "e"]


def test_a_camera_over_mtp_is_known_by_its_place() -> None:
    where = Path("/run/user/1000/gvfs/mtp:host=Canon/Internal storage")
    assert volume_of(where, []).mtp
    assert not volume_of(Path("/media/card"), []).mtp


def test_cameras_that_say_who_they_are(tmp_path: Path) -> None:
    (tmp_path / "MISC").mkdir()
    (tmp_path / "MISC/version.txt").write_text('{\n"info version":"2.0",\n"camera serial number":"C3441325012345",\n}')
    clips = tmp_path / "PRIVATE/M4ROOT/CLIP"
    clips.mkdir(parents=True)
    device = '<Device manufacturer="Sony" modelName="ILCE-7M3" serialNo="{}"/>'
    (clips / "C0001M01.XML").write_text("<NonRealTimeMeta>" + device.format("0001234") + "</NonRealTimeMeta>")
    (clips / "C0002M01.XML").write_text(device.format("4294967295"))
    (clips / "C0003M01.XML").write_bytes(os.urandom(1000))
    assert camera_serials(tmp_path) == {"C3441325012345", "0001234"}
    assert camera_serials(tmp_path / "gone") == set()

"""Which volumes are in the machine, which of them may be cards, and how each is known again.

Every system is asked in its own way (Linux: /proc and /sys; macOS: diskutil; Windows: the Win32 volume functions), and
what it answers is understood by pure functions, so that all three are tested everywhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

LAYOUTS = frozenset({"dcim", "avchd", "m4root"})
"""Folders by which a card is a camera's; AVCHD and M4ROOT may lie in PRIVATE."""

_MTP = re.compile(r"/gvfs/(mtp|gphoto2):|/\.gvfs/")
_MTP_SYSTEMS = (
    "fuse.jmtpfs",
    "fuse.simple-mtpfs",
    "fuse.go-mtpfs",
    "fuse.aft-mtp-mount",
    "fuse.mtpfs",
    "fuse.gphotofs",
)


@dataclass(frozen=True)
class Volume:
    """One mounted volume, or a plain folder that stands in for one (no ``serial``, no ``label``).

    ``serial`` as the system prints it: ``1234-ABCD`` for FAT and exFAT on Linux and Windows, a UUID elsewhere.
    ``mtp``: a camera or phone that answers file by file and lets nothing be overwritten in place.
    ``device``: which folder of which drive is mounted here, ``8:17/``, where the system says so (Linux); else "".
    """

    root: Path
    serial: str = ""
    label: str = ""
    system: str = ""
    removable: bool = False
    read_only: bool = False
    mtp: bool = False
    device: str = ""

    @property
    def drive(self) -> str:
        """The same wherever one drive is mounted, and another for another drive, though it may bear the same name."""
        return self.device or str(self.root)

    @property
    def identity(self) -> str:
        """What tells this card from another, in the ledger: its serial, else its label, else where it lies."""
        return self.serial or self.label or str(self.root)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.label or self.serial or self.root.name


def volumes() -> list[Volume]:
    """Every mounted volume that the system says something of. Never raises: a system that says nothing has none."""
    try:
        if sys.platform == "win32":
            return _windows()
        if sys.platform == "darwin":
            return _macos()
        return _linux()
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def volume_of(folder: Path, found: Iterable[Volume] | None = None) -> Volume:
    """The volume whose top folder is ``folder``; for any other folder a Volume without serial and label."""
    place = Path(os.path.realpath(folder))
    for volume in volumes() if found is None else found:
        if volume.root == place:
            return volume
    return Volume(place, mtp=bool(_MTP.search(place.as_posix() + "/")))


def size_of(root: Path) -> int:
    """Bytes of the volume that this folder lies on, used or free; 0 where nothing tells."""
    try:
        return shutil.disk_usage(root).total
    except OSError:
        return 0


def candidates(found: Iterable[Volume] | None = None) -> list[Volume]:
    """Removable volumes that bear a camera's folders, by place; of a drive that is mounted at several, one that may be
    written, the first."""
    some = [v for v in (volumes() if found is None else found) if v.removable and has_layout(v.root)]
    first: dict[str, Volume] = {}
    for volume in sorted(some, key=lambda volume: (volume.read_only, volume.root)):
        first.setdefault(volume.drive, volume)
    return sorted(first.values(), key=lambda volume: volume.root)


def has_layout(root: Path) -> bool:
    """Whether a camera wrote to this volume. A volume that cannot be read has no layout."""
    try:
        names = {name.lower() for name in os.listdir(root)}
        if "private" in names:
            private = next(name for name in os.listdir(root) if name.lower() == "private")
            names |= {name.lower() for name in os.listdir(root / private)} & {"avchd", "m4root"}
    except OSError:
        return False
    return bool(names & LAYOUTS)


# --- Linux ----------------------------------------------------------------------------------------------------------


def from_mountinfo(
    text: str, removable: Callable[[str], bool], names: Callable[[str, str], tuple[str, str]]
) -> list[Volume]:
    """The volumes of /proc/self/mountinfo (proc(5)); of those mounted over one another the last counts.

    ``removable`` is asked of a device number ``8:17``, ``names`` gives (serial, label) of a device number and source.
    """
    found: dict[str, Volume] = {}
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        parts, more = fields.split(" "), rest.split(" ")
        if len(parts) < 6 or len(more) < 3:
            continue
        device, place, options = parts[2], _unescaped(parts[4]), parts[5].split(",")
        system, source = more[0], _unescaped(more[1])
        mtp = system in _MTP_SYSTEMS
        portable = mtp or removable(device) or (system.startswith("fuse") and os.path.isfile(source))
        named = not mtp and (portable or source.startswith("/dev/"))
        serial, label = names(device, source) if named else ("", "")
        read_only = "ro" in options or "ro" in more[2].split(",")
        found[place] = Volume(
            Path(place), serial, label, system, portable, read_only, mtp, device + _unescaped(parts[3])
        )
    return list(found.values())


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text).encode("latin-1").decode(errors="replace")


def _linux() -> list[Volume]:
    text = Path("/proc/self/mountinfo").read_bytes().decode("latin-1")
    found = from_mountinfo(text, _is_removable, _names)
    phones = Path(f"/run/user/{os.getuid()}/gvfs")
    if phones.is_dir():
        found += [Volume(p, label=p.name, system="mtp", removable=True, mtp=True) for p in phones.glob("mtp:*/*")]
    return found


def _is_removable(device: str) -> bool:
    """A card reader or a stick: the kernel calls the drive removable, or it hangs on MMC or USB."""
    place = os.path.realpath(f"/sys/dev/block/{device}")
    if "/block/" not in place:
        return False
    if "/usb" in place or "/mmc_host" in place or "/mmcblk" in place:
        return True
    for folder in (place, os.path.dirname(place)):  # a partition's drive is the folder above it
        try:
            if Path(folder, "removable").read_text().strip() == "1":
                return True
        except OSError:
            continue
    return False


def _names(device: str, source: str) -> tuple[str, str]:
    """(serial, label): from udev's links, else from the volume's first sector, which only root may read on a drive."""
    serial, label = (_udev_name(kind, device) for kind in ("by-uuid", "by-label"))
    if not serial:
        try:
            with open(source, "rb") as drive:
                serial, label = boot_sector(drive.read(512)) or ("", label)
        except OSError:
            pass
    return serial, label


def _udev_name(kind: str, device: str) -> str:
    try:
        for link in Path("/dev/disk", kind).iterdir():
            number = os.stat(link).st_rdev
            if f"{os.major(number)}:{os.minor(number)}" == device:
                return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), link.name)
    except OSError:
        pass
    return ""


def boot_sector(sector: bytes) -> tuple[str, str] | None:
    """(serial, label) of a FAT12/16/32 or exFAT volume from its first 512 bytes; None when it is neither.

    exFAT keeps its label elsewhere: "". (Microsoft, FAT32 File System Specification 1.03, and exFAT specification.)
    """
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa":
        return None
    if sector[3:11] == b"EXFAT   ":
        return _serial(sector[100:104]), ""
    for kind, serial, label in ((b"FAT32", 67, 71), (b"FAT1", 39, 43)):
        if sector[label + 11 :].startswith(kind):
            name = sector[label : label + 11].decode("ascii", errors="replace").strip()
            return _serial(sector[serial : serial + 4]), "" if name == "NO NAME" else name
    return None


def _serial(little_endian: bytes) -> str:
    return "{:04X}-{:04X}".format(*divmod(int.from_bytes(little_endian, "little"), 1 << 16))


# --- macOS ----------------------------------------------------------------------------------------------------------


MOUNTED = Path("/Volumes")


def from_diskutil(data: bytes) -> Volume | None:
    """A volume from ``diskutil info -plist``; None when it is not mounted. Raises ValueError."""
    import plistlib
    from xml.parsers.expat import ExpatError

    try:
        told: dict[str, Any] = plistlib.loads(data)
    except (plistlib.InvalidFileException, ExpatError) as error:
        raise ValueError("diskutil said something else than a property list") from error
    if not told.get("MountPoint"):
        return None
    return Volume(
        Path(told["MountPoint"]),
        str(told.get("VolumeUUID", "")),
        str(told.get("VolumeName", "")),
        str(told.get("FilesystemType", "")),
        bool(told.get("RemovableMediaOrExternalDevice") or told.get("RemovableMedia") or told.get("Ejectable")),
        not told.get("WritableVolume", True),
    )


def _macos() -> list[Volume]:
    found = []
    for place in sorted(MOUNTED.iterdir()):
        try:
            done = subprocess.run(
                ["/usr/sbin/diskutil", "info", "-plist", place], capture_output=True, timeout=20, check=False
            )
            volume = from_diskutil(done.stdout) if done.returncode == 0 else None
        except (subprocess.TimeoutExpired, ValueError):  # a network share that is gone, say
            continue
        if volume is not None:
            found.append(replace(volume, root=Path(os.path.realpath(place))))
    return found


# --- Windows --------------------------------------------------------------------------------------------------------

DRIVE_REMOVABLE = 2
READ_ONLY_VOLUME = 0x00080000


def from_windows(drive: str, kind: int, label: str, serial: int, system: str, flags: int) -> Volume:
    """A volume from GetDriveTypeW and GetVolumeInformationW; ``drive`` is ``E:\\``."""
    return Volume(
        Path(drive),
        "{:04X}-{:04X}".format(*divmod(serial & 0xFFFFFFFF, 1 << 16)),
        label,
        system,
        kind == DRIVE_REMOVABLE,
        bool(flags & READ_ONLY_VOLUME),
    )


def drives(mask: int) -> list[str]:
    """The drives in GetLogicalDrives' bit mask: bit 0 is ``A:\\``."""
    return [f"{chr(ord('A') + n)}:\\" for n in range(26) if mask >> n & 1]


def _windows() -> list[Volume]:
    import ctypes

    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    kernel.SetErrorMode(1)  # an empty card reader must not open a dialogue
    found = []
    for drive in drives(int(kernel.GetLogicalDrives())):
        label, system = ctypes.create_unicode_buffer(261), ctypes.create_unicode_buffer(261)
        serial, flags = ctypes.c_ulong(), ctypes.c_ulong()
        told = kernel.GetVolumeInformationW(
            drive, label, 261, ctypes.byref(serial), None, ctypes.byref(flags), system, 261
        )
        if told:
            kind = int(kernel.GetDriveTypeW(drive))
            found.append(from_windows(drive, kind, label.value, serial.value, system.value, flags.value))
    return found

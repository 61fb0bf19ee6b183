"""Serial ports of this machine with what could keep a person from using them, as data for `ebnn doctor`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports


@dataclass(frozen=True)
class Port:
    """One serial port. ``holders`` are "PID NAME" of processes that have it open, as far as we may look; ``usb`` says
    whether it is a USB device's, as boards' are."""

    device: str
    description: str
    serial_number: str | None
    accessible: bool
    group: str | None
    holders: tuple[str, ...]
    usb: bool = False

    @property
    def problem(self) -> str | None:
        """A sentence with the way out, or None when the port can be used."""
        if not self.accessible:
            way = f": sudo usermod -aG {self.group} $USER, then log in again" if self.group else ""
            return f"no permission to read and write {self.device}{way}"
        if self.holders:
            return f"{self.device} is in use by {', '.join(self.holders)}: end that program first"
        return None


def ports() -> list[Port]:
    """List the serial ports, sorted by device name."""
    return sorted((_describe(info) for info in list_ports.comports()), key=lambda port: port.device)


def _describe(info: object) -> Port:
    device = info.device
    return Port(
        device=device,
        description=info.description or "",
        serial_number=info.serial_number,
        accessible=os.access(device, os.R_OK | os.W_OK),
        group=_group(device),
        holders=holders(device),
        usb=info.vid is not None,
    )


def _group(device: str) -> str | None:
    try:
        return Path(device).group()
    except (OSError, KeyError, NotImplementedError):
        return None


def holders(device: str) -> tuple[str, ...]:
    """Processes that have ``device`` open, as "PID NAME"; empty where /proc does not tell."""
    real = os.path.realpath(device)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.path.realpath(entry) == real for entry in (folder / "fd").iterdir()):
                found.append(f"{folder.name} {(folder / 'comm').read_text().strip()}")
        except OSError:  # it has ended, or is not ours to look at
            continue
    return tuple(sorted(found))

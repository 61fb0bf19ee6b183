"""The verb doctor: what is installed, what is missing and how to get it, ports and who holds them."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ebnn.extras import PACKAGES, Package
from ebnn.files import cache_dir
from ebnn.version import __version__

# (program, Debian package, what for)
PROGRAMS = (
    ("cc", "gcc", "the C engine on this computer, the unix board"),
    ("make", "make", "firmware"),
    ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi", "firmware for Arm boards"),
    ("qemu-system-arm", "qemu-system-arm", "emulated boards"),
)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked for, whether it is there, what it is, and what to do where it is not.

    What is not ``needed`` may be bad, for example a busy port, and yet nothing is missing.
    """

    what: str
    good: bool
    found: str
    advice: str = ""
    needed: bool = True

    @property
    def heading(self) -> str:
        """The line's first word."""
        if self.good:
            return "ok"
        return "missing" if self.needed else "note"


def add_verbs(verbs: argparse._SubParsersAction) -> None:
    """Add doctor."""
    doctor = verbs.add_parser("doctor", help="what is installed, what is missing and how to get it, serial ports")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=run_doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """ebnn doctor; exit status 1 where something is missing."""
    findings = [_python(), *map(_package, PACKAGES), *map(_program, PROGRAMS), _data(), _cache(), *_ports()]
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.heading:7}  {finding.what}: {finding.found}")
            if finding.advice:
                print(f"         {finding.advice}")
    return 0 if all(finding.good for finding in findings if finding.needed) else 1


def _python() -> Finding:
    version = platform.python_version()
    good = (3, 10) <= tuple(map(int, version.split(".")[:2])) <= (3, 13)
    return Finding("Python", good, f"{version}, ebnn {__version__}", "" if good else "take Python 3.10 to 3.13")


def _package(package: Package) -> Finding:
    name, purpose = package.distribution, f"for {package.purpose}"
    if importlib.util.find_spec(package.module) is None:
        return Finding(name, False, purpose, f"{package.advice}, or make setup")
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = "unknown version"
    return Finding(name, True, f"{version}, {purpose}")


def _program(row: tuple[str, str, str]) -> Finding:
    program, package, purpose = row
    path = shutil.which(program)
    if path is None:
        return Finding(program, False, f"for {purpose}", f"sudo apt-get install {package}")
    return Finding(program, True, f"{path}, for {purpose}")


def _data() -> Finding:
    folder = os.environ.get("EBNN_DATA_DIR")
    if not folder:
        return Finding("EBNN_DATA_DIR", True, "not set: MNIST comes from the cache or the web")
    good = Path(folder).is_dir()
    return Finding("EBNN_DATA_DIR", good, folder, "" if good else "no such folder: unset it, or name another")


def _cache() -> Finding:
    folder = cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    good = os.access(existing, os.W_OK)
    advice = "" if good else "not writable: set EBNN_CACHE_DIR to a folder of yours"
    return Finding("cache", good, str(folder), advice)


def _ports() -> list[Finding]:
    if importlib.util.find_spec("serial") is None:
        return []
    from ebnn.board.ports import ports

    found = [
        Finding(port.device, port.problem is None, port.description, port.problem or "", needed=False)
        for port in ports()
    ]
    return found or [Finding("serial ports", True, "none; the emulated boards need none")]

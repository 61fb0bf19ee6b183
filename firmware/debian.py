"""MicroPython's source out of Debian's archive, by the apt that is there, without touching its state.

apt keeps everything of its own (lists, cache, locks) below a private folder, so no privilege is needed; the
mirror is the one that this machine uses, and the archive keyring vouches for what comes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ebnn.errors import BuildError
from versions import Pins

KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)
UPDATE_SECONDS = 180

SOURCES = """\
Types: deb-src
URIs: {mirror}
Suites: {suite}
Components: main
Signed-By: {keyring}
"""


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=UPDATE_SECONDS)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{command[0]}: no end after {UPDATE_SECONDS} s") from None
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command[-3:])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def mirror() -> str:
    """The address that this machine gets Debian from; raises BuildError on a machine that does not."""
    if shutil.which("apt-get") is None:
        raise BuildError("no apt-get here")
    form = "$(REPO_URI)|$(ORIGIN)|$(LABEL)"
    known = _run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], Path("/"))
    # Before the first `apt-get update` (a fresh container) apt knows addresses only.
    return pick_mirror(known, _run(["apt-get", "--print-uris", "update"], Path("/")))


def pick_mirror(known: str, configured: str) -> str:
    """The address of a Debian archive: the first of ``known`` (lines "address|origin|label") that says it is one,
    else the first of ``configured`` (lines "'address/dists/...' ...") that is named so.

    Raises BuildError without one.
    """
    rows = [line.split("|") for line in known.splitlines()]
    found = [uri for uri, origin, label in rows if (origin, label) == ("Debian", "Debian")]
    found += re.findall(r"^'(.+/debian/)dists/", configured, re.MULTILINE)
    if not found:
        raise BuildError("apt has no Debian archive configured here")
    return found[0]


def apt_options(private: Path) -> list[str]:
    """Options that make apt-get keep to the folder ``private``."""
    settings = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": private / "sources",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": private / "state",
        "Dir::State::Lists": private / "state/lists",
        "Dir::State::status": private / "state/status",
        "Dir::Cache": private / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::http::Timeout": "15",
        "Acquire::Retries": "1",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _prepare(private: Path, pins: Pins) -> None:
    keyring = next((name for name in KEYRINGS if Path(name).is_file()), None)
    if keyring is None:
        raise BuildError(f"no {KEYRINGS[0]}: apt install debian-archive-keyring")
    for folder in ("sources", "state/lists/partial", "cache/archives/partial", "download"):
        (private / folder).mkdir(parents=True, exist_ok=True)
    (private / "state/status").touch()
    text = SOURCES.format(mirror=mirror(), suite=pins.debian_suite, keyring=keyring)
    (private / "sources/src.sources").write_text(text, encoding="utf-8")


def fetch(pins: Pins, private: Path) -> Path:
    """Download the orig tarball of ``pins.debian_package`` below ``private``; returns its path.

    Raises BuildError where there is no apt, no Debian archive, no network, or another version by now.
    """
    _prepare(private, pins)
    apt = ["apt-get", *apt_options(private)]
    _run([*apt, "--error-on=any", "update"], private)
    _run([*apt, "source", "--download-only", pins.debian_package], private / "download")
    found = sorted((private / "download").glob(f"{pins.debian_package}_*.orig.tar.*"))
    tarballs = [path for path in found if not path.name.endswith(".asc")]
    wanted = f"{pins.debian_package}_{pins.version}+"
    for path in tarballs:
        if path.name.startswith(wanted):
            return path
    names = ", ".join(path.name for path in tarballs) or "nothing"
    raise BuildError(f"Debian {pins.debian_suite} offers {names}, wanted {pins.version}")

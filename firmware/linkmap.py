"""The linker's map: what of the module's objects is really in the image, after unused functions were dropped."""

from __future__ import annotations

import re
from pathlib import Path

from ebnn.errors import BuildError
from elf import Sizes

_START = "Linker script and memory map"
# " .text.name  0xaddress  0xsize  object"; a long name stands on a line of its own before the rest.
_ENTRY = re.compile(r"^ (\.\S+|COMMON)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S+\.o)$", re.MULTILINE)


def sizes_by_object(map_file: Path, folder: Path) -> dict[str, Sizes]:
    """Linked bytes of each object below ``folder``, by its path there without ".o".

    Raises BuildError for a file that is no map of GNU ld.
    """
    _, found, text = map_file.read_text(encoding="utf-8", errors="replace").partition(_START)
    if not found:
        raise BuildError(f"{map_file}: not a map of GNU ld")
    joined = re.sub(r"^( \.\S+)\n +(?=0x)", r"\1 ", text, flags=re.MULTILINE)
    found_sizes: dict[str, Sizes] = {}
    for section, _, size, path in _ENTRY.findall(joined):
        if Path(path).is_relative_to(folder):
            name = Path(path).relative_to(folder).with_suffix("").as_posix()
            sizes = found_sizes.get(name, Sizes(0, 0, 0))
            found_sizes[name] = sizes + _sizes(section, int(size, 16))
    return found_sizes


def _sizes(section: str, size: int) -> Sizes:
    if section.startswith((".text", ".rodata")):
        return Sizes(size, 0, 0)
    if section.startswith(".data"):
        return Sizes(0, size, 0)
    if section.startswith(".bss") or section == "COMMON":
        return Sizes(0, 0, size)
    return Sizes(0, 0, 0)

"""The aligned frozen model, the ELF reader and the linker's map, on images that real tools linked."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import align
import linkmap
from ebnn.errors import BuildError
from elf import Image, Sizes

MODEL = bytes(range(7, 200))
SOURCE = """\
const struct {{
    unsigned char before[{shift}], blob[{count}];
}} frozen __attribute__((aligned(4))) = {{{{1}}, {{{data}}}}};
int counter = 1;
int zeros[100];
int used(void) {{ return zeros[3] + frozen.before[counter] + frozen.blob[counter]; }}
int unused(void) {{ return counter * 3; }}
int _start(void) {{ return used(); }}
"""
FLAGS = ("-O0", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-ffunction-sections", "-Wl,--gc-sections")
COMPILERS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("gcc", "arm-none-eabi-gcc")
]


def link(compiler: str, folder: Path, blob: bytes, shift: int = 1) -> Path:
    """An image that holds ``blob`` as constant bytes behind ``shift`` others, so at any address."""
    data = ",".join(map(str, blob))
    (folder / "main.c").write_text(SOURCE.format(shift=shift, count=len(blob), data=data))
    command = [compiler, *FLAGS, "-c", "main.c", "-o", "main.o"]
    subprocess.run(command, cwd=folder, check=True)
    command = [compiler, *FLAGS, "main.o", "-o", "image.elf", "-Wl,-Map=image.map"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "image.elf"


def padded(model: bytes, pad: int) -> bytes:
    return bytes(pad) + model + bytes(align.ALIGNMENT - pad)


@pytest.fixture
def linker(tmp_path: Path) -> Callable[[str, int], Callable[[int], Path]]:
    """A function that links MODEL with a padding, for a compiler and a shift."""

    def make(compiler: str, shift: int) -> Callable[[int], Path]:
        return lambda pad: link(compiler, tmp_path, padded(MODEL, pad), shift)

    return make


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("shift", [1, 2, 3, 4])
def test_model_gets_aligned(compiler: str, shift: int, linker: Callable) -> None:
    relink = linker(compiler, shift)
    placement = align.align(relink, MODEL)
    assert placement.address % 4 == 0
    assert 1 <= placement.pad <= 4
    assert align.locate(relink(placement.pad), MODEL) == placement.address
    assert align.align(relink, MODEL, placement.pad).links == 1


@pytest.mark.parametrize("compiler", COMPILERS)
def test_some_shift_needs_a_second_link(compiler: str, linker: Callable) -> None:
    assert {align.align(linker(compiler, shift), MODEL).links for shift in range(1, 5)} == {1, 2}


def test_restless_image_is_given_up(tmp_path: Path) -> None:
    def restless(pad: int) -> Path:
        # Moves the model back by just what the padding mends.
        return link("gcc", tmp_path, padded(MODEL, pad), 5 - pad)

    with pytest.raises(BuildError, match="no aligned place in 4 links"):
        align.align(restless, MODEL)


@pytest.mark.parametrize("pad", [1, 2, 3, 4])
@pytest.mark.parametrize("address", range(0x1000, 0x1008))
def test_next_pad(address: int, pad: int) -> None:
    better = align.next_pad(address, pad)
    assert 1 <= better <= 4
    assert (address - pad + better) % 4 == 0


def test_missing_and_double_models(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="the frozen model's 193 bytes are not in it"):
        align.locate(link("gcc", tmp_path, MODEL[:-1]), MODEL)
    with pytest.raises(BuildError, match=r"in it 2 times \(0x[0-9a-f]+, 0x[0-9a-f]+\): freeze it once"):
        align.locate(link("gcc", tmp_path, MODEL + b"between" + MODEL), MODEL)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_address_is_the_one_in_the_symbol_table(compiler: str, tmp_path: Path) -> None:
    image = link(compiler, tmp_path, MODEL, 3)
    listing = subprocess.run([compiler.replace("gcc", "nm"), image], check=True, capture_output=True, text=True).stdout
    address = next(int(line.split()[0], 16) for line in listing.splitlines() if line.endswith(" frozen"))
    assert Image(image).find(MODEL) == [address + 3]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", ["main.o", "image.elf"])
def test_sizes_are_those_of_the_size_program(compiler: str, name: str, tmp_path: Path) -> None:
    link(compiler, tmp_path, MODEL)
    command = [compiler.replace("gcc", "size"), name]
    row = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.splitlines()[1]
    assert Image(tmp_path / name).sizes() == Sizes(*(int(word) for word in row.split()[:3]))


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"MZ" + bytes(100), b"\x7fELF\x02\x02" + bytes(100)])
def test_not_an_elf_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BuildError, match="x: not a little-endian ELF file"):
        Image(tmp_path / "x")


def test_truncated_elf_file(tmp_path: Path) -> None:
    image = link("gcc", tmp_path, MODEL)
    image.write_bytes(image.read_bytes()[:1000])
    with pytest.raises(BuildError, match="its section headers are cut off"):
        Image(image).sizes()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_map_counts_what_is_linked(compiler: str, tmp_path: Path) -> None:
    link(compiler, tmp_path, MODEL)
    whole = Image(tmp_path / "main.o").sizes()
    # The map names objects as the linker was told: here relative, as the folder is.
    linked = linkmap.sizes_by_object(tmp_path / "image.map", Path("."))["main"]
    assert (linked.data, linked.bss) == (whole.data, whole.bss)
    assert len(MODEL) < linked.text < whole.text


def test_map_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "x.map").write_text("# Path: image\n")
    with pytest.raises(BuildError, match="not a map of GNU ld"):
        linkmap.sizes_by_object(tmp_path / "x.map", tmp_path)

"""Inputs from frames: engine, package and oracle make the same bytes, in memory of exactly their sizes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import driver
import numpy as np
import pytest

from ebnn import ops
from ebnn.cengine import CEngine, engine_sources
from ebnn.errors import ConfigError
from ebnn.prepare import Frame, Preparation
from evil.table import GOOD as GOOD_MODELS
from pictures import Shot, random_shots, waiting_model

SHOTS = 1080  # a multiple of formats, resizes and dtypes


@pytest.fixture(scope="module", params=[driver.SANITIZED, driver.SMALL], ids=["sanitized", "small"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver of frames."""
    return build(tmp_path_factory.mktemp("pictures"), request.param)


def build(folder: Path, flags: tuple[str, ...]) -> Path:
    """Compile the driver of frames and the engine into ``folder``; returns the program."""
    program, sources = folder / "pictures", engine_sources()
    files = [str(path) for path in (Path(__file__).with_name("pictures.c"), *sources) if path.suffix == ".c"]
    subprocess.run(["gcc", *driver.WARNINGS, *flags, f"-I{sources[0].parent}", *files, "-o", str(program)], check=True)
    return program


def numbers_of(shot: Shot) -> list[int]:
    """What the driver reads of a frame and its preparation."""
    frame, how = shot.frame, shot.preparation
    crop = frame.crop or (0, 0, 0, 0)
    return [frame.width, frame.height, frame.stride or 0, *crop, ops.FORMATS[frame.format], how.code, how.threshold]


def run(program: Path, cases: list[tuple[bytes, list[int], bytes]]) -> list[str]:
    """What the driver prints for models, numbers and frames, without the cases' own numbers."""
    parts = []
    for model, numbers, data in cases:
        sizes = np.array([*numbers, len(data)], "<u4").tobytes()
        parts += [len(model).to_bytes(4, "little"), model, sizes, data]
    done = subprocess.run([str(program)], input=b"".join(parts), capture_output=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout[-2000:].decode()}\n{done.stderr[-6000:].decode()}"
    return [line.split(" ", 2)[2] for line in done.stdout.decode().splitlines()]


def case_of(shot: Shot) -> tuple[bytes, list[int], bytes]:
    """A shot as the driver gets it."""
    return waiting_model(shot.shape, shot.dtype), numbers_of(shot), shot.data


@pytest.fixture(scope="module")
def shots() -> list[tuple[Shot, bytes]]:
    """Random shots with what the oracle makes of them."""
    return random_shots(SHOTS)


def test_random_frames_are_exact_in_the_package(shots: list) -> None:
    assert [shot for shot, wanted in shots if shot.packed() != wanted] == []
    assert sum(shot.frame.rectangle[2:] != shot.shape[::-1] for shot, _ in shots) > SHOTS / 2


def test_random_frames_are_exact_in_the_engine(program: Path, shots: list) -> None:
    lines = run(program, [case_of(shot) for shot, _ in shots])
    for (shot, wanted), line in zip(shots, lines, strict=True):
        assert line == f"size {shot.frame.size} input {wanted.hex()}", shot


def test_the_largest_sums_fit() -> None:
    for (width, height), shape in (((4096, 2048), (1, 1)), ((4096, 2048), (31, 37)), ((32767, 256), (3, 1000))):
        engine = CEngine(waiting_model(shape, "u8"))
        for name, byte in (("GS8", 255), ("GS8", 254), ("RGB565", 255)):
            frame = Frame(width, height, name)
            data, wanted = bytes([byte]) * frame.size, bytes([byte]) * (shape[0] * shape[1])
            assert engine.prepare(frame, Preparation("average"), data) == wanted


def test_halves_are_rounded_up() -> None:
    engine = CEngine(waiting_model((1, 2), "u8"))
    frame = Frame(4, 1, "GS8")
    assert engine.prepare(frame, Preparation("average"), bytes([0, 1, 254, 255])) == bytes([1, 255])
    assert engine.prepare(frame, Preparation("average", invert=True), bytes([0, 1, 254, 255])) == bytes([254, 0])


def test_a_part_of_a_pixel_counts_in_part() -> None:
    # Three pixels for two: each takes one and a half.
    engine, frame = CEngine(waiting_model((1, 2), "u8")), Frame(3, 1, "GS8")
    assert engine.prepare(frame, Preparation("average"), bytes([30, 90, 240])) == bytes([50, 190])
    assert engine.prepare(frame, Preparation("nearest"), bytes([30, 90, 240])) == bytes([30, 240])


def test_white_is_255_and_black_0_in_every_format() -> None:
    engine = CEngine(waiting_model((2, 2), "u8"))
    for name in ops.FORMATS:
        frame = Frame(9, 9, name)
        for byte in (0, 255):
            assert engine.prepare(frame, Preparation("average"), bytes([byte]) * frame.size) == bytes([byte] * 4), name


def test_every_gray_of_rgb565() -> None:
    engine = CEngine(waiting_model((256, 256), "u8"))
    values = np.arange(65536)
    wanted = (630 * (values >> 11) + 608 * (values >> 5 & 63) + 240 * (values & 31) + 128) // 256
    assert wanted.max() == 255
    for name, order in (("RGB565", "<u2"), ("RGB565_SWAPPED", ">u2")):
        data = values.astype(order).tobytes()
        assert engine.prepare(Frame(256, 256, name), Preparation("none"), data) == wanted.astype(np.uint8).tobytes()


GOOD = {"width": 9, "height": 7, "stride": 0, "x": 0, "y": 0, "w": 0, "h": 0, "format": 6, "prepare": 3, "threshold": 0}
REFUSED = [
    *((change, "FRAME") for name in ("width", "height") for change in ({name: 0}, {name: 32768}, {name: 2**32 - 1})),
    *(({"stride": stride}, "FRAME") for stride in (8, 32768, 2**32 - 1)),
    *(({"format": number}, "FRAME") for number in (2, 5, 7, 128, 130, 255)),
    *(({"x": x}, "CROP") for x in (9, 10, 2**32 - 1)),
    *(({"y": y}, "CROP") for y in (7, 8, 2**32 - 1)),
    ({"x": 5}, "CROP"), ({"y": 4}, "CROP"), ({"w": 9}, "CROP"), ({"h": 7}, "CROP"),
    *(({"w": w, "h": 7}, "CROP") for w in (4, 10, 2**32 - 1)),
    *(({"w": 9, "h": h}, "CROP") for h in (3, 8, 2**32 - 1)),
    ({"x": 1, "w": 9, "h": 7}, "CROP"), ({"y": 1, "w": 9, "h": 7}, "CROP"), ({"x": 2**32 - 1, "w": 9, "h": 7}, "CROP"),
    ({"width": 4096, "height": 2049}, "CROP"), ({"width": 32767, "height": 32767}, "CROP"),
    *(({"prepare": prepare}, "PICTURE") for prepare in (0, 2, 7, 16, 19, 255)),
    ({"prepare": 1}, "PICTURE"), ({"prepare": 1, "w": 5, "h": 5}, "PICTURE"), ({"threshold": 1}, "PICTURE"),
]  # fmt: skip
TAKEN = [
    {}, {"x": 4}, {"y": 3}, {"w": 5, "h": 4}, {"x": 4, "y": 3, "w": 5, "h": 4}, {"stride": 9}, {"stride": 32767},
    {"prepare": 1, "w": 5, "h": 4}, {"prepare": 9, "x": 1, "w": 5, "h": 4}, {"prepare": 13},
]  # fmt: skip


def test_what_cannot_be_is_refused(program: Path) -> None:
    model = waiting_model((4, 5), "u8")
    lines = run(program, [(model, list((GOOD | change).values()), b"") for change, _ in REFUSED])
    wanted = [f"error {ops.error_code(name)}" for _, name in REFUSED]
    assert list(zip(REFUSED, lines, strict=True)) == list(zip(REFUSED, wanted, strict=True))
    lines = run(program, [(model, list((GOOD | change).values()), b"") for change in TAKEN])
    assert all(line.startswith("short of ") for line in lines), lines


def test_inputs_that_no_picture_can_become(program: Path) -> None:
    numbers, with_threshold = list(GOOD.values()), list((GOOD | {"threshold": 9}).values())
    bits = waiting_model((4, 5), "bits")
    refused = f"error {ops.error_code('PICTURE')}"
    cases = [(bits, numbers, b""), (bits, with_threshold, b""), (GOOD_MODELS["chain"], numbers, b"")]
    assert run(program, cases) == [refused, "short of 63", refused]


def test_sizes_are_those_of_framebuf(program: Path) -> None:
    model = waiting_model((4, 5), "u8")
    for name, stride, size in (
        ("GS8", 0, 63), ("GS8", 11, 6 * 11 + 9), ("RGB565", 11, 2 * (6 * 11 + 9)), ("MONO_HLSB", 0, 14),
        ("MONO_HMSB", 17, 6 * 3 + 2), ("MONO_VLSB", 0, 9),
    ):  # fmt: skip
        numbers = list((GOOD | {"format": ops.FORMATS[name], "stride": stride}).values())
        for given in (size - 1, size):
            (line,) = run(program, [(model, numbers, bytes(given))])
            assert line.startswith(f"short of {size}" if given < size else f"size {size} "), name
        assert Frame(9, 7, name, stride or None).size == size


def test_the_package_refuses_what_the_engine_refuses() -> None:
    engine = CEngine(waiting_model((4, 5), "u8"))
    for frame, how in (
        (Frame(9, 7, "GS8", crop=(5, 0, 4, 7)), Preparation("average")),
        (Frame(9, 7, "GS8"), Preparation("none")),
    ):
        with pytest.raises(ConfigError) as theirs:
            engine.prepare(frame, how, bytes(63))
        with pytest.raises(ConfigError) as ours:
            Shot(frame, how, (4, 5), bytes(63)).packed()
        assert str(theirs.value) == str(ours.value)
    frame, short = Frame(9, 7, "GS8"), bytes(62)
    for call in (lambda: engine.prepare(frame, Preparation(), short), lambda: frame.gray(short)):
        with pytest.raises(ConfigError, match="frame must be 63 bytes, got 62"):
            call()

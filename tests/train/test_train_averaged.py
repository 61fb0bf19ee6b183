"""A data set averaged down: its images are what the engine makes of the large ones, and the model says so."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ebnn.cengine import CEngine
from ebnn.errors import ConfigError, DataError
from ebnn.format import decode
from ebnn.prepare import Frame, Preparation, parse
from ebnn.train import Config, data
from ebnn.train.runs import Wish, export_run, train_and_export
from pictures import waiting_model

TINY = Config(arch="4c3-p2-10", epochs=1, batch=32, lr=0.06)


def test_each_element_is_the_mean_of_its_share() -> None:
    """5 rows to 3 and 4 columns to 3, with rational numbers; a half is rounded up."""
    x = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 1), dtype=np.uint8)
    y = np.int32(np.arange(20) % 2)
    found = data.averaged(data.Dataset("mine", x, y, x[:7], y[:7], ("a", "b")), 3, 3)
    assert (found.name, found.shape, str(found.preparation)) == ("mine@3x3", (3, 3, 1), "average")
    for image, small in zip(x[..., 0], found.x_train[..., 0], strict=True):
        for row, column in np.ndindex(3, 3):
            down, across = shares(5, 3, row), shares(4, 3, column)
            mean = sum(int(image[i, j]) * down[i] * across[j] for i in down for j in across)
            assert small[row, column] == (mean + Fraction(1, 2)).__floor__()


def shares(side: int, parts: int, part: int) -> dict[int, Fraction]:
    """How much of each pixel of a side lies in a part, as shares of that part."""
    start, end = Fraction(part * side, parts), Fraction((part + 1) * side, parts)
    inside = {pixel: min(end, pixel + 1) - max(start, pixel) for pixel in range(side)}
    return {pixel: share / (end - start) for pixel, share in inside.items() if share > 0}


@pytest.mark.parametrize(("rows", "columns"), [(4, 4), (6, 5), (8, 8), (1, 3)])
def test_the_engine_makes_the_same_of_a_frame(rows: int, columns: int) -> None:
    large, small = data.load("digits"), data.load(f"digits@{rows}x{columns}")
    assert np.array_equal(large.y_test, small.y_test)
    assert engine_makes(large, small) == len(large.x_test)


def engine_makes(large: data.Dataset, small: data.Dataset) -> int:
    """Of how many test images the engine makes the small one."""
    engine, frame = CEngine(waiting_model(small.shape[:2], "u8")), Frame(large.shape[1], large.shape[0], "GS8")
    pairs = zip(large.x_test, small.x_test, strict=True)
    return sum(engine.prepare(frame, small.preparation, image.tobytes()) == part.tobytes() for image, part in pairs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on averaged digits."""
    folder = tmp_path_factory.mktemp("averaged")
    train_and_export(data.load("digits@6x6"), TINY, folder, lambda _: None)
    return folder


def test_a_model_takes_frames_of_the_large_images(folder: Path) -> None:
    """From the model file alone: the engine averages the 8x8 images and classifies them as the trainer says."""
    large, blob = data.load("digits"), (folder / "model.ebnn").read_bytes()
    model, engine = decode(blob), CEngine(blob)
    assert model.use.preparation == Preparation("average")
    frame = Frame(8, 8, "GS8")
    inputs = b"".join(engine.prepare(frame, model.use.preparation, image.tobytes()) for image in large.x_test)
    images = np.frombuffer(inputs, np.uint8).reshape(-1, *model.network.input.shape)
    assert np.array_equal(images, data.load("digits@6x6").x_test)
    right = float((engine.run(images).argmax(axis=1) == large.y_test).mean())
    metrics = (folder / "metrics.json").read_text(encoding="utf-8")
    assert f'"test_accuracy": {right!r}' in metrics
    assert '"prepare": "average"' in metrics


def test_an_export_keeps_how_the_images_were_made(folder: Path, tmp_path: Path) -> None:
    assert decode(export_run(folder, tmp_path)).use.preparation == Preparation("average")


def test_a_wish_that_the_images_belie_is_refused(folder: Path, tmp_path: Path) -> None:
    digits = data.load("digits@6x6")
    with pytest.raises(ConfigError, match="preparation nearest: the images of digits@6x6 were made by average"):
        train_and_export(digits, TINY, tmp_path, lambda _: None, Wish(preparation=parse("nearest")))
    assert not (tmp_path / "checkpoint.npz").exists()
    train_and_export(digits, TINY, folder, lambda _: None, Wish(preparation=parse("average,invert")))
    assert decode((folder / "model.ebnn").read_bytes()).use.preparation == Preparation("average", invert=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("digits@9x6", "digits@9x6: images of 8x8 cannot be averaged so .*as large as the input"),
        ("digits@6", "digits@6: no such file or folder"),
        ("digits@0x6", "digits@0x6: no such file or folder"),
    ],
)
def test_sizes_that_cannot_be(source: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        data.load(source)


def test_colours_are_not_averaged() -> None:
    digits = data.load("digits")
    colours = {name: np.repeat(getattr(digits, name), 3, axis=3) for name in ("x_train", "x_test")}
    with pytest.raises(DataError, match="digits@4x4: .*inputs of one channel, this one has 3"):
        data.averaged(replace(digits, **colours), 4, 4)


@pytest.mark.parametrize("side", [14, 16])
def test_mnist_as_the_engine_averages_it(mnist: data.Dataset, side: int) -> None:
    few = replace(
        mnist,
        x_train=mnist.x_train[:100],
        y_train=mnist.y_train[:100],
        x_test=mnist.x_test[:500],
        y_test=mnist.y_test[:500],
    )
    assert engine_makes(few, data.averaged(few, side, side)) == 500

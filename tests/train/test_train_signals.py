"""16-bit windows: from a person's samples to a model, with the bytes that a device computes itself."""

from __future__ import annotations

import json
import runpy
from array import array
from pathlib import Path

import numpy as np
import pytest

from ebnn.cengine import CEngine
from ebnn.cli import main
from ebnn.errors import DataError
from ebnn.examples import vibration
from ebnn.files import repo_root
from ebnn.train import data
from ebnn.train.scaling import Scaling, span_of


def device_bytes(window: list[int], low: int, high: int) -> bytes:
    """What docs/signals.md has a device do, in whole numbers."""
    span = high - low
    return bytes(min(max((510 * (v - low) + span) // (2 * span), 0), 255) for v in window)


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 training and 60 test windows of the example."""
    path = tmp_path_factory.mktemp("signals") / "few.npz"
    (x_train, y_train), (x_test, y_test) = vibration.draw_windows(30, 0), vibration.draw_windows(15, 1)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, labels=list(vibration.LABELS))
    return path


def test_whole_numbers_are_rounded_as_on_a_device() -> None:
    values = np.arange(-40, 60)
    for low, high in ((-7, 3), (-32, 33), (0, 1), (-40, 59), (5, 5 + 510)):
        found = Scaling(low, high).to_bytes(values.astype(np.int16))
        assert found.tobytes() == device_bytes(values.tolist(), low, high)
    assert Scaling(0, 510).to_bytes(np.array([0, 1, 2, 3, 509, 510])).tolist() == [0, 1, 1, 2, 255, 255]  # halves go up


def test_the_whole_range_of_16_bits() -> None:
    values = np.arange(-32768, 32768).astype(np.int16)
    found = span_of(values, "here").to_bytes(values)
    exact = [((value + 32768) * 255 * 2 + 65535) // (2 * 65535) for value in range(-32768, 32768)]
    assert found.tolist() == exact


def test_floats() -> None:
    values = np.array([-1.0, 0.0, 0.25, 1.0, 9.0])
    assert Scaling(0.0, 1.0).to_bytes(values).tolist() == [0, 0, 64, 255, 255]


def test_windows_of_an_archive(signals: Path) -> None:
    found, arrays = data.load(str(signals)), np.load(signals)
    low, high = int(arrays["x_train"].min()), int(arrays["x_train"].max())
    assert (found.shape, found.scaling, found.labels) == ((1, 256, 1), Scaling(low, high), vibration.LABELS)
    for part in ("train", "test"):
        expected = b"".join(device_bytes(window.tolist(), low, high) for window in arrays[f"x_{part}"])
        assert getattr(found, f"x_{part}").tobytes() == expected


def test_windows_of_a_csv(signals: Path, tmp_path: Path) -> None:
    windows, classes = vibration.draw_windows(8, 0)
    rows = [
        ",".join(map(str, [*window, vibration.LABELS[label]])) for window, label in zip(windows, classes, strict=True)
    ]
    (tmp_path / "few.csv").write_text("\n".join(rows))
    found = data.load(str(tmp_path / "few.csv"))
    low, high = found.scaling.low, found.scaling.high
    assert type(low) is type(high) is int
    expected = {device_bytes(window.tolist(), low, high) for window in windows}
    assert {window.tobytes() for window in (*found.x_train, *found.x_test)} == expected


@pytest.mark.parametrize("shape", [(1, 9), (4, 5), (4, 5, 3)])
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_images_of_16_bits_in_an_archive(tmp_path: Path, shape: tuple[int, ...], kind: type) -> None:
    x = np.random.default_rng(0).integers(0, 5000, (12, *shape)).astype(kind)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(12) % 2, x_test=x[:4], y_test=np.arange(4) % 2)
    found = data.load(str(tmp_path / "x.npz"))
    assert found.shape == (*shape, 1)[:3]
    low, high = int(x.min()), int(x.max())
    assert found.x_train.tobytes() == device_bytes(x.ravel().tolist(), low, high)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x_test": np.zeros((4, 9), np.uint8)}, "x_train is int16, but x_test uint8"),
        ({"x_train": np.full((12, 9), 3, np.int16)}, "every value is 3"),
        ({"x_train": np.zeros((0, 9), np.int16)}, "x_train must be uint8"),
        ({"x_train": np.zeros((12, 9), np.int32)}, "x_train must be uint8 .*, got int32"),
        ({"x_test": np.zeros((4, 8), np.int16)}, "training images are .1, 9, 1., test images .1, 8, 1."),
    ],
)
def test_archives_that_do_not_fit(tmp_path: Path, change: dict, said: str) -> None:
    x = np.arange(12 * 9).reshape(12, 9).astype(np.int16)
    arrays = {"x_train": x, "y_train": np.arange(12) % 2, "x_test": x[:4], "y_test": np.arange(4) % 2}
    np.savez(tmp_path / "x.npz", **arrays | change)
    with pytest.raises(DataError, match=said) as caught:
        data.load(str(tmp_path / "x.npz"))
    assert str(tmp_path / "x.npz") in str(caught.value)


def test_from_windows_to_a_model(signals: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The command records how samples became bytes; with that alone the engine reaches the trainer's accuracy."""
    arch, out = "8c1x16s1x4-p1x2-8c1x5-p1x2-4", tmp_path / "run"
    command = ["train", "--dataset", str(signals), "--arch", arch, "--epochs", "2", "--batch", "16", "--lr", "0.06"]
    assert main([*command, "--set", "augment=time8-scale-noise", "--out", str(out)]) == 0
    metrics, arrays = json.loads((out / "metrics.json").read_text()), np.load(signals)
    low, high = metrics["scaling"]["low"], metrics["scaling"]["high"]
    assert str(Scaling(low, high)) in capsys.readouterr().out
    inputs = b"".join(device_bytes(window.tolist(), low, high) for window in arrays["x_test"])
    images = np.frombuffer(inputs, np.uint8).reshape(-1, 1, 256, 1)
    found = CEngine((out / "model.ebnn").read_bytes()).run(images).argmax(axis=1)
    assert (found == arrays["y_test"]).mean() == metrics["test_accuracy"]


@pytest.mark.parametrize(
    ("low", "high"), [(-5571, 5879), (0, 4095), (-12345678, 99999999), (-2.5, 7.25), (0.1234567891, 1e6)]
)
def test_the_sentence_is_right(low: float, high: float) -> None:
    """It holds Python that a person copies: it must compute what the trainer did."""
    ends, _, formula = str(Scaling(low, high)).partition(": give")[0].partition(" became the bytes ")
    assert [float(word) for word in ends.removeprefix("samples v from ").split(" to ")] == [low, high]
    values = np.linspace(low, high, 57)
    values = np.rint(values).astype(np.int64) if isinstance(low, int) else values
    assert [eval(formula, {"v": v}) for v in values.tolist()] == Scaling(low, high).to_bytes(values).tolist()


def test_the_example_makes_the_same_windows_each_time(tmp_path: Path) -> None:
    first, again, other = (vibration.draw_windows(3, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.int16


def test_the_program_of_the_page(tmp_path: Path) -> None:
    """docs/signals.md: what it does with samples makes the bytes of the data set."""
    page = (repo_root() / "docs" / "signals.md").read_text(encoding="utf-8")
    vibration.main(tmp_path / "vibration.npz", tmp_path / "windows.py")
    found = data.load(str(tmp_path / "vibration.npz"))
    assert str(found.scaling) in page
    program: dict = {}
    exec(page.partition("```python\n")[2].partition("```")[0], program)
    windows = runpy.run_path(str(tmp_path / "windows.py"))["samples"]
    assert tuple(windows) == found.labels
    for index, samples in enumerate(windows.values()):
        out = bytearray(vibration.SAMPLES)
        program["to_bytes"](array("h", samples), out)
        assert out == found.x_test[index * vibration.TEST].tobytes()

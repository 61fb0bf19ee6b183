"""Augmentation: each step does what the table says, from its generator alone; errors name the step."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn.errors import ConfigError
from ebnn.train import augment
from ebnn.train.augment import bent, copy_of, parse, shifted


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dots(count: int = 50, value: int = 9) -> np.ndarray:
    """Images 5x5 with one dot in the middle."""
    x = np.zeros((count, 5, 5, 1), np.uint8)
    x[:, 2, 2] = value
    return x


@pytest.mark.parametrize("text", ["shift2", "crop4-flip", "affine", "affine50-shift1", "time3-scale-noise", "noise9"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (7, 9, 3)])
def test_form_and_randomness(text: str, shape: tuple[int, int, int]) -> None:
    x = rng(1).integers(0, 256, (70, *shape), dtype=np.uint8)
    before, augmentation = x.copy(), parse(text)
    made = augmentation(x, rng())
    assert (made.shape, made.dtype) == (x.shape, np.uint8)
    assert np.array_equal(made, augmentation(x, rng()))
    assert not np.array_equal(made, augmentation(x, rng(1)))
    assert np.array_equal(x, before)
    assert (made != x).any(axis=(1, 2, 3)).mean() > 0.4


def test_nothing() -> None:
    x = dots()
    assert parse("")(x, rng()) is x


def test_shift_moves_whole_images() -> None:
    x = dots()
    moved = shifted(x, 1, rng())
    assert (moved.sum(axis=(1, 2, 3)) == 9).all()
    assert set(zip(*np.nonzero(moved)[1:3], strict=True)) == {(y, x_) for y in (1, 2, 3) for x_ in (1, 2, 3)}
    assert set(np.nonzero(shifted(x[:, 2:3], 2, rng()))[2]) == {0, 1, 2, 3, 4}


def test_crop_mirrors_what_is_there() -> None:
    x = np.arange(1, 26, dtype=np.uint8).reshape(1, 5, 5, 1).repeat(300, axis=0)
    padded = np.pad(x[0, ..., 0], 2, "symmetric")
    possible = {padded[i : i + 5, j : j + 5].tobytes() for i in range(5) for j in range(5)}
    assert {image.tobytes() for image in parse("crop2")(x, rng())} == possible


def test_flip_mirrors_half_of_them() -> None:
    x = rng().integers(0, 256, (200, 3, 4, 3), dtype=np.uint8)
    made = parse("flip")(x, rng())
    mirrored = (made == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (made == x).all(axis=(1, 2, 3))).all()
    assert 70 < mirrored.sum() < 130


def test_steps_come_in_their_order() -> None:
    x, generator = rng().integers(0, 256, (40, 6, 6, 1), dtype=np.uint8), rng(5)
    by_hand = parse("noise3")(parse("flip")(parse("shift1")(x, generator), generator), generator)
    assert np.array_equal(parse("shift1-flip-noise3")(x, rng(5)), by_hand)


def naive_bilinear(image: np.ndarray, row: float, column: float) -> float:
    """The value at a place of an image (H, W), 0 outside."""
    top, left = int(np.floor(row)), int(np.floor(column))

    def at(i: int, j: int) -> float:
        return float(image[i, j]) if 0 <= i < image.shape[0] and 0 <= j < image.shape[1] else 0.0

    low, right = row - top, column - left
    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    return upper * (1 - low) + (at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right) * low


def test_affine_interpolates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixel by pixel in plain Python, with maps that also reach far outside."""
    x = rng().integers(0, 256, (6, 7, 9, 2), dtype=np.uint8)
    sources = rng(3).uniform(-4, 12, (2, 6, 7, 9)).astype(np.float32)
    monkeypatch.setattr(augment, "_sources", lambda draws, size: sources)
    made = bent(x, 100, rng())
    for n, i, j, c in np.ndindex(*x.shape):
        wanted = naive_bilinear(x[n, ..., c], sources[0, n, i, j], sources[1, n, i, j])
        assert abs(float(made[n, i, j, c]) - wanted) <= 0.51


@pytest.mark.parametrize(
    ("draw", "wanted"),
    [
        ((0, 0, 0, 0, 0, 0), lambda y, x: (y, x)),
        ((0, 0, 0, 0, 1, 0), lambda y, x: (y + 21 * augment.MOVE, x)),
        ((0, 0, 0, 0, 0, -1), lambda y, x: (y, x - 31 * augment.MOVE)),
        ((0, 0, 1, 0, 0, 0), lambda y, x: (10 + (y - 10) * (1 + augment.STRETCH), x)),
        ((0, 0, 0, 1, 0, 0), lambda y, x: (y, 15 + (x - 15) * (1 + augment.STRETCH))),
        ((0, 1, 0, 0, 0, 0), lambda y, x: (y, x + augment.SHEAR * (y - 10))),
        ((1, 0, 0, 0, 0, 0), lambda y, x: turned(y - 10, x - 15)),
    ],
)
def test_affine_maps(draw: tuple, wanted) -> None:
    rows, columns = augment._sources(np.float32([draw]), (21, 31))
    for y, x in ((0, 0), (20, 30), (10, 15), (3, 27)):
        assert (rows[0, y, x], columns[0, y, x]) == pytest.approx(wanted(y, x), abs=1e-4)


def turned(y: float, x: float) -> tuple[float, float]:
    """A turn around the middle (10, 15)."""
    cosine, sine = np.cos(augment.TURN), np.sin(augment.TURN)
    return 10 + cosine * y - sine * x, 15 + sine * y + cosine * x


def test_time_repeats_the_edge() -> None:
    x = np.uint8([[[[5], [6], [7], [8]]]]).repeat(60, axis=0)
    found = {tuple(row) for row in parse("time2")(x, rng())[:, 0, :, 0].tolist()}
    assert found == {(5, 6, 7, 8), (5, 5, 6, 7), (5, 5, 5, 6), (6, 7, 8, 8), (7, 8, 8, 8)}
    tall = rng().integers(0, 256, (30, 4, 1, 1), dtype=np.uint8)
    assert np.array_equal(parse("time2")(tall, rng()), tall)


def test_scale_keeps_the_mean_and_clips() -> None:
    x = np.uint8([[[[100], [140]]]]).repeat(300, axis=0)
    made = parse("scale50")(x, rng())[:, 0, :, 0].astype(int)
    assert (abs(made.sum(axis=1) - 240) <= 1).all()
    widths = np.diff(made)
    assert 20 <= widths.min() < 25 < 55 < widths.max() <= 60
    wide = parse("scale90")(np.uint8([[[[0], [255]]]]).repeat(99, axis=0), rng())[:, 0, :, 0]
    assert {tuple(row) for row in wide.tolist()} > {(0, 255)}


def test_noise_has_its_deviation() -> None:
    x = np.full((100, 1, 64, 1), 128, np.uint8)
    noise = parse("noise10")(x, rng()).astype(int) - 128
    assert abs(noise.mean()) < 0.5
    assert 9.5 < noise.std() < 10.5
    assert set(parse("noise10")(np.full_like(x, 255), rng()).ravel().tolist()) <= set(range(190, 256))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shift", "step 'shift' needs a number, for example shift2"),
        ("flip-wiggle", "unknown step 'wiggle'; there are shift, crop, flip, affine"),
        ("flip3", "step 'flip3' takes no number"),
        ("shift0", "number of step 'shift0' must be 1 to 1000"),
        ("noise2000", "number of step 'noise2000' must be"),
        ("crop4--flip", "unknown step ''"),
        ("shift1.5", "unknown step 'shift1.5'"),
    ],
)
def test_errors(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text)


def test_windows_have_no_room_to_turn_in() -> None:
    with pytest.raises(ConfigError, match="step 'affine' is for images, these are 1x64"):
        parse("affine")(np.zeros((2, 1, 64, 1), np.uint8), rng())


def test_copies_depend_on_seed_and_number_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "COPY_CHUNK", 30)
    x = rng().integers(0, 256, (70, 6, 6, 1), dtype=np.uint8)
    made = copy_of(x, "shift1-noise", 7, 0)
    assert np.array_equal(made, copy_of(x, "shift1-noise", 7, 0))
    others = [copy_of(x, "shift1-noise", 7, 1), copy_of(x, "shift1-noise", 8, 0), copy_of(x, "shift1-noise4", 7, 0)]
    assert [np.array_equal(made, other) for other in others] == [False, False, True]
    grey = copy_of(np.full_like(x, 128), "noise", 7, 0)
    assert not np.array_equal(grey[:30], grey[30:60])  # chunks of the same images are not made alike
    assert np.array_equal(copy_of(x, "", 7, 0), x)

"""Preparations and frames in the package; that they are exact stands in tests/engine/test_pictures.py."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn import ops
from ebnn.errors import ConfigError
from ebnn.prepare import Frame, Preparation, from_code, parse, prepare


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("average", Preparation()),
        ("none,invert", Preparation("none", True)),
        ("nearest,threshold=128", Preparation("nearest", False, 128)),
        ("average,invert,threshold=1", Preparation("average", True, 1)),
    ],
)
def test_preparations_as_text(text: str, wanted: Preparation) -> None:
    assert parse(text) == wanted
    assert str(wanted) == text


@pytest.mark.parametrize(
    "text",
    ["", "invert", "average,", "none,inverted", "none,threshold=", "none,threshold=-1", "none,threshold=1,invert"],
)
def test_texts_that_say_no_preparation(text: str) -> None:
    with pytest.raises(ConfigError, match="write none, average, nearest"):
        parse(text)


def test_codes() -> None:
    found = {}
    for resize in ("none", "average", "nearest"):
        for invert in (False, True):
            how = Preparation(resize, invert, 7)
            assert from_code(how.code, 7, "bits", 1) == how
            found[str(how)] = how.code
    assert sorted(found.values()) == [1, 3, 5, 9, 11, 13]
    assert from_code(0, 0, "u8", 3) is None


@pytest.mark.parametrize(
    ("how", "dtype", "channels", "text"),
    [
        (Preparation(), "u8", 3, "is for inputs of one channel, this one has 3"),
        (Preparation(), "bits", 1, "an input of bits needs a threshold from 1 to 255"),
        (Preparation(threshold=256), "bits", 1, "an input of bits needs a threshold from 1 to 255"),
        (Preparation(threshold=9), "u8", 1, "an input of bytes has no threshold"),
    ],
)
def test_preparations_that_do_not_fit(how: Preparation, dtype: str, channels: int, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        how.check(dtype, channels)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ((0, 7, "GS8"), "FRAME"), ((9, 0, "GS8"), "FRAME"), ((32768, 1, "GS8"), "FRAME"), ((1, 32768, "GS8"), "FRAME"),
        ((9, 7, "GS4_HMSB"), "FRAME"), ((9, 7, "GS8", 8), "FRAME"), ((9, 7, "GS8", 32768), "FRAME"),
        ((9, 7, "GS8", None, (-1, 0, 3, 3)), "CROP"), ((9, 7, "GS8", None, (0, -1, 3, 3)), "CROP"),
        ((9, 7, "GS8", None, (0, 0, 0, 3)), "CROP"), ((9, 7, "GS8", None, (0, 0, 3, 0)), "CROP"),
        ((9, 7, "GS8", None, (7, 0, 3, 3)), "CROP"), ((9, 7, "GS8", None, (0, 5, 3, 3)), "CROP"),
        ((4096, 2049, "GS8"), "CROP"),
    ],
)  # fmt: skip
def test_frames_that_cannot_be(frame: tuple, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Frame(*frame)
    assert str(caught.value) == ops.ERROR_TEXT[error]


def test_a_batch_of_training_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 30, 20), np.uint8)
    how = Preparation("average", True)
    found = prepare(images, how, (7, 9))
    assert found.shape == (5, 7, 9, 1) and found.dtype == np.uint8
    assert np.array_equal(found[3], prepare(images[3], how, (7, 9)))
    assert prepare(images, Preparation("none", threshold=9), (30, 20)).dtype == bool


@pytest.mark.parametrize(
    ("how", "shape", "error"),
    [("average", (31, 20), "CROP"), ("nearest", (30, 21), "CROP"), ("none", (29, 20), "PICTURE")],
)
def test_images_of_the_wrong_size(how: str, shape: tuple, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(np.zeros((2, 30, 20), np.uint8), Preparation(how), shape)
    assert str(caught.value) == ops.ERROR_TEXT[error]

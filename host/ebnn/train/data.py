"""Training and test data: one type for all sources, and the function that picks the source.

| source | what it is |
|---|---|
| ``mnist``, ``cifar10`` | from a data directory, the cache, or a download |
| ``digits`` | scikit-learn's handwritten digits, 8x8, which ship with the library |
| ``FILE.npz`` | x_train, x_test (N, H, W[, C]) or (N, samples) of 8 or 16 bits, y_train, y_test, perhaps labels |
| a folder | images by class: FOLDER/CLASS/*.png, .pgm, .jpg |
| ``FILE.csv`` | one window of numbers a row, its label in the last column |
| SOURCE ``@14x14`` | any of these with images of one channel, averaged to 14 rows and 14 columns as a device does it |
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ebnn.errors import ConfigError, DataError
from ebnn.geometry import MAX_BYTE
from ebnn.prepare import Preparation, prepare
from ebnn.train.scaling import Scaling

TEST_SHARE = 6  # one in so many images is a test image where a source has no split of its own
HELD_OUT_SHARE = 10  # one in so many training images is held out, and at most
HELD_OUT_MOST = 5000
AVERAGED = re.compile(r"(.+)@([1-9][0-9]*)x([1-9][0-9]*)")  # a source, rows and columns
CHUNK = 1000  # images averaged at once
SPLIT_SEED = 20170908  # of every split; the same in every run, so that no run selects on another's training images


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and classes.

    Args:
        name: short name, for reports.
        x_train, x_test: uint8 (N, height, width, channels); 1-D windows have height 1.
        y_train, y_test: int32 (N,), 0 to classes - 1.
        labels: names of the classes, of at most 255 bytes UTF-8 each.
        scaling: how the values became bytes, where they were not bytes; a device must do the same with its samples.
        note: a sentence for the person, for example that a substitute was taken.
        preparation: how the images were made from larger ones; the model records it.

    Raises:
        DataError: naming the array that does not fit.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    labels: tuple[str, ...]
    scaling: Scaling | None = None
    note: str = ""
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            _check_part(self, part)
        for label in self.labels:
            _check_label(label, self.name)
        missing = set(range(len(self.labels))) - set(self.y_train.tolist())
        if missing:
            names = ", ".join(self.labels[index] for index in sorted(missing))
            raise DataError(f"{self.name}: no training image of class {names}")
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise DataError(
                f"{self.name}: training images are {self.x_train.shape[1:]}, test images {self.x_test.shape[1:]}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of an image."""
        return self.x_train.shape[1:]

    @property
    def sha256(self) -> str:
        """Hash of all images and classes, to tell in a report what was trained on."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Indexes into the training images: those to train on, and those held out to select the model with."""
        order = np.random.default_rng(SPLIT_SEED).permutation(len(self.x_train))
        held_out = min(HELD_OUT_MOST, len(order) // HELD_OUT_SHARE)
        if held_out < 1:
            raise DataError(f"{self.name}: {len(order)} training images, at least {HELD_OUT_SHARE} are needed")
        return order[:-held_out], order[-held_out:]


def _check_part(data: Dataset, part: str) -> None:
    x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
    if x.dtype != np.uint8 or x.ndim != 4 or 0 in x.shape:
        raise DataError(f"{data.name}: x_{part} must be uint8 (N, H, W, C), got {x.dtype} {x.shape}")
    if y.shape != x.shape[:1]:
        raise DataError(f"{data.name}: {len(x)} images in x_{part}, but y_{part} is {y.shape}")
    if y.min() < 0 or y.max() >= len(data.labels):
        raise DataError(f"{data.name}: y_{part} must be 0 to {len(data.labels) - 1}, got {y.min()} to {y.max()}")


def _check_label(label: str, where: str) -> None:
    """Refuse before training what the model file could not hold after it."""
    try:
        size = len(label.encode())
    except UnicodeEncodeError:
        raise DataError(f"{where}: label {label!a} is not Unicode text: rename that class") from None
    if size > MAX_BYTE:
        raise DataError(f"{where}: label {label[:20]!r}... is {size} bytes long, at most {MAX_BYTE} are possible")


def split_by_class(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indexes of training and test examples, one in ``TEST_SHARE`` of every class a test example, by a fixed seed."""
    generator, train, test = np.random.default_rng(SPLIT_SEED), [], []
    for label in range(int(classes.max()) + 1):
        order = generator.permutation(np.flatnonzero(classes == label))
        count = len(order) // TEST_SHARE
        test.append(order[:count])
        train.append(order[count:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def from_examples(name: str, x: np.ndarray, y: np.ndarray, labels: tuple[str, ...], **more) -> Dataset:
    """A data set from examples without a split of their own; ``more`` are further fields of Dataset."""
    train, test = split_by_class(y)
    if not len(test):
        raise DataError(f"{name}: {len(y)} examples, every class needs at least {TEST_SHARE}")
    y = y.astype(np.int32)
    return Dataset(name, x[train], y[train], x[test], y[test], labels, **more)


def averaged(data: Dataset, rows: int, columns: int) -> Dataset:
    """The data set with images averaged by ``ebnn.prepare``, to the last bit as a device does it with a larger frame.

    Raises:
        DataError: images of several channels, or smaller ones.
    """
    name, how = f"{data.name}@{rows}x{columns}", Preparation("average")

    def small(images: np.ndarray) -> np.ndarray:
        parts = [images[start : start + CHUNK, ..., 0] for start in range(0, len(images), CHUNK)]
        return np.concatenate([prepare(part, how, (rows, columns)) for part in parts])

    try:
        how.check("u8", data.shape[2])
        return replace(data, name=name, x_train=small(data.x_train), x_test=small(data.x_test), preparation=how)
    except ConfigError as error:
        raise DataError(f"{name}: images of {data.shape[0]}x{data.shape[1]} cannot be averaged so ({error})") from None


def load(source: str, data_dir: str | None = None, digits_instead: bool = False) -> Dataset:
    """Load a data set.

    Args:
        source: see the table above.
        data_dir: where the files of ``mnist`` and ``cifar10`` lie; else ``EBNN_DATA_DIR``.
        digits_instead: take scikit-learn's digits where MNIST cannot be had; the data set's ``note`` says so.

    Raises:
        DataError: naming the file that is missing, truncated or of another kind.
    """
    from ebnn.train import cifar10, files, mnist, published

    small = AVERAGED.fullmatch(source)
    if small and not Path(source).exists():
        return averaged(load(small[1], data_dir, digits_instead), int(small[2]), int(small[3]))
    if source == "mnist":
        try:
            return mnist.load(data_dir)
        except published.NotFound as missing:
            if not digits_instead:
                raise
            return files.digits(note=f"{missing}; taking scikit-learn's handwritten digits (8x8) instead")
    if source == "cifar10":
        return cifar10.load(data_dir)
    if source == "digits":
        return files.digits()
    return files.load(Path(source))

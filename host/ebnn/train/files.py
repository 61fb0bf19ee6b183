"""A person's own data: npz archives, folders of images, CSV files; and scikit-learn's digits."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ebnn.errors import ConfigError, DataError
from ebnn.train import archive
from ebnn.train.data import Dataset, from_examples, split_by_class
from ebnn.train.scaling import Scaling, span_of

IMAGE_ENDINGS = (".png", ".pgm", ".jpg", ".jpeg")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
MOST_CLASSES = 65535
SIXTEEN_BITS = (np.int16, np.uint16)
GREY_16 = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of 16-bit grey images


def digits(note: str = "") -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8x8, with their 17 grey levels spread over the bytes."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ConfigError("the digits need scikit-learn: pip install 'ebnn[train]'") from None
    bunch = load_digits()
    x = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    return from_examples("digits", x, bunch.target, tuple("0123456789"), note=note)


def load(path: Path) -> Dataset:
    """Read ``path`` by its kind; raises DataError naming it where it is none that is known."""
    if path.is_dir():
        return read_folder(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder (known names are mnist, cifar10 and digits)")
    readers = {".npz": read_npz, ".csv": read_csv}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: must be a .npz or .csv file, or a folder of images by class")
    try:
        return readers[path.suffix.lower()](path)
    except DataError as error:
        # What Dataset finds wrong begins with the data set's short name.
        text = str(error)
        raise DataError(text if str(path) in text else f"{path}: {text.removeprefix(f'{path.stem}: ')}") from None


def read_npz(path: Path) -> Dataset:
    """x_train, y_train, x_test, y_test and perhaps labels from an npz archive; nothing in it is ever executed.

    Images are (N, H, W[, C]), windows (N, samples). 16-bit values become bytes, as ``scaling`` of the data set records.
    """
    try:
        arrays = archive.read(path, (*ARRAYS, "labels"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable npz archive ({error})") from None
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise DataError(f"{path}: lacks {', '.join(missing)}; it needs {', '.join(ARRAYS)}")
    for name in ("y_train", "y_test"):
        arrays[name] = _classes(arrays[name], f"{path}: {name}")
    scaling = _scaled(arrays, path)
    for name in ("x_train", "x_test"):
        arrays[name] = _images(arrays[name])
    count = int(arrays["y_train"].max()) + 1
    labels = _labels(arrays.pop("labels", np.arange(count).astype(str)), count, path)
    return Dataset(path.stem, **arrays, labels=labels, scaling=scaling)


def _scaled(arrays: dict[str, np.ndarray], path: Path) -> Scaling | None:
    """Make bytes of 16-bit images or windows in place, by the training values."""
    kind = arrays["x_train"].dtype
    if kind not in SIXTEEN_BITS:
        return None
    if arrays["x_test"].dtype != kind:
        raise DataError(f"{path}: x_train is {kind}, but x_test {arrays['x_test'].dtype}")
    scaling = span_of(arrays["x_train"], str(path)) if arrays["x_train"].size else Scaling(0, 1)
    arrays |= {name: scaling.to_bytes(arrays[name]) for name in ("x_train", "x_test")}
    return scaling


def _images(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C) of images (N, H, W) and of windows (N, samples), which have height 1; others as they are."""
    return x[:, None, :, None] if x.ndim == 2 else x[..., None] if x.ndim == 3 else x


def _classes(y: np.ndarray, where: str) -> np.ndarray:
    """int32 (N,); the range is checked before the cast, which would wrap around."""
    if y.dtype.kind not in "iu" or y.ndim != 1 or not y.size:
        raise DataError(f"{where} must hold integers (N,), got {y.dtype} {y.shape}")
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= MOST_CLASSES:
        raise DataError(f"{where} must be 0 to {MOST_CLASSES - 1}, got {least} to {most}")
    return y.astype(np.int32)


def _labels(labels: np.ndarray, count: int, path: Path) -> tuple[str, ...]:
    if labels.dtype.kind != "U" or labels.shape != (count,):
        got = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{path}: labels must be {count} strings, one for each class in y_train, got {got}")
    return tuple(labels.tolist())


def read_folder(path: Path) -> Dataset:
    """FOLDER/CLASS/image: each subfolder is a class; all images must have one size."""
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    images, labels = [], []
    for index, folder in enumerate(classes):
        found = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_ENDINGS)
        if not found:
            raise DataError(f"{folder}: no image ({', '.join(IMAGE_ENDINGS)}) of this class")
        images += found
        labels += [index] * len(found)
    if len(classes) < 2:
        raise DataError(f"{path}: needs one subfolder a class, at least 2, each with images")
    names = tuple(folder.name for folder in classes)
    return from_examples(path.name, _pixels(images), np.array(labels), names)


def _pixels(paths: list[Path]) -> np.ndarray:
    """uint8 (N, H, W, C), C = 1 where all images are grey, else 3."""
    images = [decoded(path, path) for path in paths]
    if any(image.mode != "L" for image in images):
        images = [image.convert("RGB") for image in images]
    for path, image in zip(paths, images, strict=True):
        if image.size != images[0].size:
            raise DataError(f"{path}: {image.size} pixels, but {paths[0]} has {images[0].size}: make them alike")
    array = np.stack([np.asarray(image) for image in images])
    return array if array.ndim == 4 else array[..., None]


def decoded(file: Path | BinaryIO, where: str | Path):
    """The picture of a file, of Pillow's mode L or RGB; raises DataError naming ``where``."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.mode in GREY_16:
                return Image.fromarray(_to_bytes(np.asarray(image).astype(np.int64)))
            return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: not a readable image ({error})") from None


def _to_bytes(grey: np.ndarray) -> np.ndarray:
    """round(value * 255 / 65535) of 16-bit values, as uint8: 65535 / 255 is 257, odd, so nothing is halfway."""
    if grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"grey values from {grey.min()} to {grey.max()}, they must be 0 to 65535")
    return ((grey + 128) // 257).astype(np.uint8)


def read_csv(path: Path) -> Dataset:
    """One window a row: numbers, then the label. A first row without any number is a heading.

    The least and the largest training value become the bytes 0 and 255; ``scaling`` records them.
    """
    rows = _rows(path)
    values = _whole(np.array([numbers for numbers, _ in rows]))
    names = tuple(sorted({label for _, label in rows}, key=_label_order))
    if len(names) < 2:
        raise DataError(f"{path}: needs at least 2 different labels in its last column")
    y = np.array([names.index(label) for _, label in rows])
    scaling = span_of(values[split_by_class(y)[0]], str(path))
    return from_examples(path.stem, scaling.to_bytes(values)[:, None, :, None], y, names, scaling=scaling)


def _whole(values: np.ndarray) -> np.ndarray:
    """Whole numbers of at most 32 bits as integers, so that a device can scale them as exactly; others as they are."""
    return values.astype(np.int64) if (values == np.rint(values)).all() and np.abs(values).max() < 2**31 else values


def _label_order(label: str) -> tuple[int, str]:
    return (int(label), "") if label.lstrip("-").isdigit() else (1 << 62, label)


def _rows(path: Path) -> list[tuple[list[float], str]]:
    rows, width = [], 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, cells in enumerate(csv.reader(file), 1):
                if not cells or (number == 1 and not any(map(_is_number, cells))):
                    continue
                width = width or len(cells)
                if len(cells) != width:
                    raise DataError(f"{path}, row {number}: {len(cells)} columns, the first one has {width}")
                rows.append(_row(cells, f"{path}, row {number}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file ({error})") from None
    if not rows:
        raise DataError(f"{path}: no rows of numbers")
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _row(cells: list[str], where: str) -> tuple[list[float], str]:
    for column, cell in enumerate(cells[:-1], 1):
        if not _is_number(cell) or not math.isfinite(float(cell)):
            raise DataError(f"{where}, column {column}: {cell[:20]!r} is not a finite number")
    if len(cells) < 2:
        raise DataError(f"{where}: needs numbers, then a label")
    return [float(cell) for cell in cells[:-1]], cells[-1].strip()

"""MNIST: found in a data directory or the cache, or downloaded; checked by the hash of its content."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ebnn.errors import DataError
from ebnn.train.data import Dataset
from ebnn.train.published import Download, NotFound, folders

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)

# sha256 of the uncompressed files: gzip containers of the same content differ.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def load(data_dir: str | None = None, mirrors: Sequence[str] = MIRRORS) -> Dataset:
    """MNIST from ``data_dir`` (else ``EBNN_DATA_DIR``), from the cache, or by download into the cache.

    Raises:
        NotFound: when there is no such file and no mirror answers.
        DataError: for a file that is damaged or not MNIST's.
    """
    contents = _from_folders(data_dir)
    if contents is None:
        contents = Download("MNIST", "mnist", [f"{name}.gz" for name in FILES], mirrors, _unpacked).run()
    images, classes = [], []
    for name, content in contents.items():
        array = read_idx(content, name)
        (images if array.ndim == 3 else classes).append(array)
    x_train, x_test = (array[..., None] for array in images)
    y_train, y_test = (array.astype(np.int32) for array in classes)
    return Dataset("mnist", x_train, y_train, x_test, y_test, tuple("0123456789"))


def _from_folders(data_dir: str | None) -> dict[str, bytes] | None:
    for folder in folders("mnist", data_dir):
        found = {name: _find(folder, name) for name in FILES}
        missing = [name for name, path in found.items() if path is None]
        if not missing:
            return {name: _read(path, name) for name, path in found.items()}
        if len(missing) < len(FILES):
            raise DataError(f"{folder}: has some of MNIST's files, but not {', '.join(missing)}[.gz]")
    if data_dir:
        raise NotFound(f"{data_dir}: no MNIST files here ({', '.join(FILES)}, each with or without .gz)")
    return None


def _find(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}.gz", folder / name)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path, name: str) -> bytes:
    content = path.read_bytes()
    return verified(unzipped(content, str(path)) if path.suffix == ".gz" else content, name, str(path))


def unzipped(content: bytes, where: str) -> bytes:
    """The content of gzip bytes; raises DataError naming ``where``."""
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{where}: truncated or not a gzip file ({error})") from None


def verified(content: bytes, name: str, where: str) -> bytes:
    """The content if it is MNIST's file ``name``; raises DataError naming ``where``."""
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[name]:
        read_idx(content, where)
        raise DataError(f"{where}: not MNIST's {name}: sha256 of the content is {found}, should be {FILES[name]}")
    return content


def read_idx(content: bytes, where: str) -> np.ndarray:
    """The uint8 array of an IDX file; raises DataError naming ``where`` for another kind or length."""
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{where}: not an IDX file of bytes: it begins with {content[:4].hex() or 'nothing'}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{where}: truncated inside of its header")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(f"{where}: truncated or too long: {len(content) - start} bytes of data for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unpacked(packed: bytes, name: str, where: str) -> bytes:
    return verified(unzipped(packed, where), name.removesuffix(".gz"), where)

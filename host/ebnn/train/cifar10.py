"""CIFAR-10: 50,000 + 10,000 photos, 32x32 in colour, of ten things (Krizhevsky 2009).

Looked for in a data directory and in the cache, else downloaded, in one of these forms:

| form | what it is |
|---|---|
| six files ``*.bin`` | the authors' binary version, unpacked; also in a folder ``cifar-10-batches-bin`` |
| ``cifar-10-binary.tar.gz`` | the same, packed |
| ``cifar10-jpeg.tar.xz`` | pictures ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``, with nearly the authors' pixels |
"""

from __future__ import annotations

import hashlib
import io
import lzma
import random
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ebnn.errors import DataError
from ebnn.files import cache_dir, write_atomic
from ebnn.train.data import Dataset
from ebnn.train.files import decoded
from ebnn.train.published import Download, NotFound, folders

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
ARCHIVE, FOLDER, PICTURES = "cifar-10-binary.tar.gz", "cifar-10-batches-bin", "cifar10-jpeg.tar.xz"
ARCHIVE_HASH = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"  # sha256
FILES = {  # sha256 of the authors' files; the last one holds the test images
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORDS = 10_000  # of a file
PLANES = (3, 32, 32)  # red, green, blue
RECORD = 1 + 3 * 32 * 32  # bytes: the class, then the planes
NOT_OFFICIAL = "not the authors' pixels, so accuracies can be compared among themselves only"

Contents = dict[str, bytes]  # of the six files


def load(data_dir: str | None = None, mirrors: Sequence[str] = MIRRORS) -> Dataset:
    """CIFAR-10 from ``data_dir`` (else ``EBNN_DATA_DIR``), from the cache, or by download into the cache.

    The data set's note says where the files are not the authors'.

    Raises:
        NotFound: when there is no such file and no mirror answers.
        DataError: for a file that is damaged or of another form.
    """
    contents, where = _from_folders(data_dir) or _download(mirrors)
    parts = [read_batch(contents[name], f"{where}, {name}") for name in FILES]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    official = all(hashlib.sha256(contents[name]).hexdigest() == FILES[name] for name in FILES)
    return Dataset("cifar10", x, y, *parts[-1], LABELS, note="" if official else f"{where}: {NOT_OFFICIAL}")


def read_batch(content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 3) and classes int32 (N,) of one binary file; raises DataError naming ``where``."""
    if len(content) != RECORDS * RECORD:
        raise DataError(f"{where}: {len(content)} bytes, a file of CIFAR-10 has {RECORDS * RECORD}")
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, RECORD)
    if records[:, 0].max() >= len(LABELS):
        raise DataError(f"{where}: class {records[:, 0].max()}, CIFAR-10 has 0 to {len(LABELS) - 1}")
    planes = records[:, 1:].reshape(RECORDS, *PLANES)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int32)


def _from_folders(data_dir: str | None) -> tuple[Contents, Path] | None:
    for folder in folders("cifar10", data_dir):
        for inner in (folder, folder / FOLDER):
            missing = [name for name in FILES if not (inner / name).is_file()]
            if not missing:
                return {name: (inner / name).read_bytes() for name in FILES}, inner
            if len(missing) < len(FILES):
                raise DataError(f"{inner}: has some of CIFAR-10's files, but not {', '.join(missing)}")
        for name, reader in ((ARCHIVE, _unpacked), (PICTURES, _from_pictures)):
            if (folder / name).is_file():
                return reader((folder / name).read_bytes(), folder / name), folder / name
    if data_dir:
        raise NotFound(f"{data_dir}: no CIFAR-10 here ({', '.join(FILES)}, or {ARCHIVE}, or {PICTURES})")
    return None


def _download(mirrors: Sequence[str]) -> tuple[Contents, str]:
    (contents,) = Download("CIFAR-10", "cifar10", [ARCHIVE], mirrors, _verified).run().values()
    return contents, ARCHIVE


def _verified(packed: bytes, name: str, where: str) -> Contents:
    found = hashlib.sha256(packed).hexdigest()
    if found != ARCHIVE_HASH:
        raise DataError(f"{where}: not CIFAR-10's {name}: its sha256 is {found}, should be {ARCHIVE_HASH}")
    return _unpacked(packed, where)


def _unpacked(packed: bytes, where: str | Path) -> Contents:
    contents = {Path(name).name: content for name, content in _members(packed, where)}
    missing = [name for name in FILES if name not in contents]
    if missing:
        raise DataError(f"{where}: lacks {', '.join(missing)}")
    return contents


def _from_pictures(packed: bytes, where: Path) -> Contents:
    """The six files that the pictures make; they are kept in the cache, because that takes a quarter of a minute."""
    kept = cache_dir() / "cifar10" / hashlib.sha256(packed).hexdigest()
    if not all((kept / name).is_file() for name in FILES):
        for name, content in _made_of_pictures(packed, where).items():
            read_batch(content, f"{where}, {name}")
            write_atomic(kept / name, content)
    return {name: (kept / name).read_bytes() for name in FILES}


def _made_of_pictures(packed: bytes, where: Path) -> Contents:
    """The images in an order that is drawn, since they lie there by class."""
    records: dict[str, list[bytes]] = {"train": [], "test": []}
    for name, content in _members(packed, where):
        part, _, rest = name.partition("/")
        label = rest.partition("/")[0]
        if part not in records or label not in LABELS:
            raise DataError(f"{where}: {name} is neither in train/CLASS nor in test/CLASS")
        pixels = np.asarray(decoded(io.BytesIO(content), f"{where}, {name}").convert("RGB"))
        records[part].append(bytes([LABELS.index(label)]) + pixels.transpose(2, 0, 1).tobytes())
    for rows in records.values():
        random.Random(0).shuffle(rows)
    *training, test = FILES
    slices = {name: records["train"][k * RECORDS : (k + 1) * RECORDS] for k, name in enumerate(training)}
    return {name: b"".join(rows) for name, rows in (slices | {test: records["test"]}).items()}


def _members(packed: bytes, where: str | Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of a tar archive; nothing of it is written to the disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{where}: truncated or not a tar archive ({error})") from None

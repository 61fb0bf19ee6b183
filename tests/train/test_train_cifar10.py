"""CIFAR-10 in each of its forms, and what is wrong with them."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ebnn.errors import DataError
from ebnn.train import cifar10, data, published

RECORDS = 12  # of a file of these tests
NOISE = np.random.default_rng(0).bytes(5000)


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Six small files in CIFAR-10's form, whose hashes stand for the authors'; the cache is empty."""
    generator, made = np.random.default_rng(0), {}
    for name in cifar10.FILES:
        records = generator.integers(0, 256, (RECORDS, cifar10.RECORD), dtype=np.uint8)
        records[:, 0] = np.arange(RECORDS) % 10
        made[name] = records.tobytes()
    monkeypatch.setattr(cifar10, "RECORDS", RECORDS)
    monkeypatch.setattr(cifar10, "FILES", {name: hashlib.sha256(text).hexdigest() for name, text in made.items()})
    monkeypatch.setattr(cifar10, "ARCHIVE_HASH", hashlib.sha256(packed(made)).hexdigest())
    monkeypatch.setattr(published, "CONNECT_SECONDS", 2.0)
    monkeypatch.setenv("EBNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("EBNN_DATA_DIR", raising=False)
    return made


def packed(files: dict[str, bytes], folder: str = "cifar-10-batches-bin/", mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("below", ["", "cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_from_the_authors_files(contents: dict, tmp_path: Path, below: str) -> None:
    write(tmp_path / "data" / below, contents)
    found = data.load("cifar10", str(tmp_path / "data"))
    assert (found.name, found.shape, found.note) == ("cifar10", (32, 32, 3), "")
    assert (len(found.x_train), len(found.x_test)) == (5 * RECORDS, RECORDS)
    assert found.labels[:3] == ("airplane", "automobile", "bird")
    record = contents["data_batch_2.bin"][3 * cifar10.RECORD :]
    assert found.y_train[RECORDS + 3] == record[0] == 3
    for row, column, channel in ((0, 0, 0), (31, 31, 2), (5, 17, 1)):
        assert found.x_train[RECORDS + 3, row, column, channel] == record[1 + 1024 * channel + 32 * row + column]
    assert found.y_test.tolist() == [index % 10 for index in range(RECORDS)]


def test_from_the_authors_archive(contents: dict, tmp_path: Path) -> None:
    write(tmp_path / "packed", {cifar10.ARCHIVE: packed(contents, mode="w:gz")})
    write(tmp_path / "files", contents)
    found = cifar10.load(str(tmp_path / "packed"))
    assert found.note == ""
    assert found.sha256 == cifar10.load(str(tmp_path / "files")).sha256


def test_other_pixels_are_told(contents: dict, tmp_path: Path) -> None:
    contents["test_batch.bin"] = contents["data_batch_1.bin"]
    assert "not the authors' pixels" in cifar10.load(str(write(tmp_path / "data", contents))).note


def test_from_pictures(contents: dict, tmp_path: Path) -> None:
    """PNG files keep every pixel, so the images must come back; JPEG files are read by the same code."""
    files, pixels = {}, {}
    for name, content in contents.items():
        x, y = cifar10.read_batch(content, name)
        part = "test" if name == "test_batch.bin" else "train"
        for index, (image, label) in enumerate(zip(x, y, strict=True)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "png")
            files[f"{part}/{cifar10.LABELS[label]}/{name}{index}.png"] = file.getvalue()
            pixels.setdefault(part, []).append((int(label), image.tobytes()))
    write(tmp_path / "data", {cifar10.PICTURES: packed(files, "", "w:xz")})
    found = cifar10.load(str(tmp_path / "data"))
    for part, x, y in (("train", found.x_train, found.y_train), ("test", found.x_test, found.y_test)):
        assert sorted((int(label), image.tobytes()) for image, label in zip(x, y, strict=True)) == sorted(pixels[part])
    assert "not the authors' pixels" in found.note
    (kept,) = (tmp_path / "cache" / "cifar10").iterdir()
    assert sorted(path.name for path in kept.iterdir()) == sorted(cifar10.FILES)
    assert found.sha256 == cifar10.load(str(tmp_path / "data")).sha256
    (kept / "test_batch.bin").unlink()
    assert found.sha256 == cifar10.load(str(tmp_path / "data")).sha256


def test_by_download_then_from_the_cache(contents: dict, tmp_path: Path) -> None:
    write(tmp_path / "web", {cifar10.ARCHIVE: packed(contents)})
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirrors = [f"http://127.0.0.1:{server.server_port}/"]
        first = cifar10.load(None, mirrors)
        write(tmp_path / "web", {cifar10.ARCHIVE: packed(contents)[:-1]})
        (tmp_path / "cache" / "cifar10" / cifar10.ARCHIVE).rename(tmp_path / "kept")
        with pytest.raises(DataError, match="not CIFAR-10's cifar-10-binary.tar.gz: its sha256 is"):
            cifar10.load(None, mirrors)
        server.shutdown()
    assert not (tmp_path / "cache" / "cifar10" / cifar10.ARCHIVE).exists()
    (tmp_path / "kept").rename(tmp_path / "cache" / "cifar10" / cifar10.ARCHIVE)
    assert cifar10.load(None, []).sha256 == first.sha256


def test_nowhere(contents: dict, tmp_path: Path) -> None:
    with pytest.raises(published.NotFound, match="CIFAR-10 is not here and cannot be .*--data-dir or EBNN_DATA_DIR"):
        cifar10.load(None, ("http://127.0.0.1:1/",))
    with pytest.raises(published.NotFound, match="no CIFAR-10 here .data_batch_1.bin, .* or cifar-10-binary.tar.gz"):
        data.load("cifar10", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("data_batch_3.bin", None, "some of CIFAR-10's files, but not data_batch_3.bin"),
        (
            "data_batch_3.bin",
            lambda content: content[:-1],
            "data_batch_3.bin: 36875 bytes, a file of CIFAR-10 has 36876",
        ),
        ("test_batch.bin", lambda content: b"\n" + content[1:], "test_batch.bin: class 10, CIFAR-10 has 0 to 9"),
    ],
)
def test_damaged_files(contents: dict, tmp_path: Path, name: str, damage, said: str) -> None:
    path = write(tmp_path / "data", contents) / name
    path.unlink() if damage is None else path.write_bytes(damage(contents[name]))
    with pytest.raises(DataError, match=said) as caught:
        cifar10.load(str(path.parent))
    assert str(path.parent) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (cifar10.ARCHIVE, b"garbage", "truncated or not a tar archive"),
        (cifar10.ARCHIVE, packed({"test_batch.bin": b"1" * 5000}, mode="w:gz")[:-40], "truncated or not a tar archive"),
        (cifar10.ARCHIVE, packed({"test_batch.bin": b"1"}), "lacks data_batch_1.bin"),
        (cifar10.PICTURES, packed({"train/dog/0.jpg": b"no picture"}, "", "w:xz"), r"0.jpg: not a readable image"),
        (cifar10.PICTURES, packed({"train/cow/0.jpg": b""}, "", "w:xz"), "train/cow/0.jpg is neither in"),
        (cifar10.PICTURES, packed({"train/dog/0.jpg": NOISE}, "", "w:xz")[:3000], "truncated or not a tar archive"),
        (cifar10.PICTURES, packed({}, "", "w:xz"), "data_batch_1.bin: 0 bytes"),
    ],
    ids=["no archive", "truncated", "no batches", "no picture", "another class", "truncated picture", "empty"],
)  # the archives hold the time, so their bytes name no test
def test_damaged_archives(contents: dict, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write(tmp_path / "data", {name: content})
    with pytest.raises(DataError, match=said) as caught:
        cifar10.load(str(tmp_path / "data"))
    assert str(tmp_path / "data" / name) in str(caught.value)

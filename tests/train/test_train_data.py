"""Data sources: every kind is read, every damage is named."""

from __future__ import annotations

import gzip
import http.server
import struct
import threading
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ebnn.errors import DataError
from ebnn.train import data, mnist, published

FORMS = {
    "train-images-idx3-ubyte": (30, 28, 28),
    "train-labels-idx1-ubyte": (30,),
    "t10k-images-idx3-ubyte": (20, 28, 28),
    "t10k-labels-idx1-ubyte": (20,),
}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Four small files in MNIST's format, whose hashes stand for MNIST's; the cache is empty."""
    generator, made = np.random.default_rng(0), {}
    for name, form in FORMS.items():
        values = generator.integers(0, 256, form) if len(form) == 3 else np.arange(form[0]) % 10
        made[name] = idx(values.astype(np.uint8))
    hashes = {name: mnist.hashlib.sha256(content).hexdigest() for name, content in made.items()}
    monkeypatch.setattr(mnist, "FILES", hashes)
    monkeypatch.setenv("EBNN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("EBNN_DATA_DIR", raising=False)
    monkeypatch.setattr(published, "CONNECT_SECONDS", 2.0)
    return made


def write(folder: Path, contents: dict[str, bytes], packed: bool) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize("below", ["", "mnist"])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_from_a_folder(contents: dict, tmp_path: Path, below: str, packed: bool) -> None:
    write(tmp_path / "data" / below, contents, packed)
    found = data.load("mnist", str(tmp_path / "data"))
    assert found.shape == (28, 28, 1)
    assert (len(found.x_train), len(found.x_test)) == (30, 20)
    assert found.x_train.tobytes() == contents["train-images-idx3-ubyte"][16:]
    assert found.y_test.tolist() == [index % 10 for index in range(20)]
    assert found.labels == tuple("0123456789")


def test_mnist_from_the_environment(contents: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBNN_DATA_DIR", str(write(tmp_path / "data", contents, True)))
    assert len(data.load("mnist").x_train) == 30


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_mnist_by_download_then_from_the_cache(contents: dict, tmp_path: Path) -> None:
    server = serve(write(tmp_path / "web", contents, True))
    mirrors = ["http://127.0.0.1:1/", f"http://127.0.0.1:{server.server_port}/"]
    first = mnist.load(None, mirrors)
    server.shutdown()
    server.server_close()
    assert mnist.load(None, []).sha256 == first.sha256


def test_download_of_other_content_is_refused(contents: dict, tmp_path: Path) -> None:
    contents["t10k-labels-idx1-ubyte"] = idx(np.zeros(20, np.uint8))
    server = serve(write(tmp_path / "web", contents, True))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte.gz: not MNIST's .* sha256"):
        mnist.load(None, [f"http://127.0.0.1:{server.server_port}/"])
    server.shutdown()
    server.server_close()


def test_no_mnist_anywhere(contents: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:1/",))
    with pytest.raises(published.NotFound, match="cannot be downloaded .*--data-dir or EBNN_DATA_DIR"):
        mnist.load(None, mnist.MIRRORS)


def test_digits_instead_of_mnist_say_so(contents: dict, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no MNIST files here"):
        data.load("mnist", str(tmp_path))
    found = data.load("mnist", str(tmp_path), digits_instead=True)
    assert found.name == "digits"
    assert "no MNIST files here" in found.note
    assert "scikit-learn's handwritten digits" in found.note


def test_some_files_are_missing(contents: dict, tmp_path: Path) -> None:
    folder = write(tmp_path / "data", contents, False)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="has some of MNIST's files, but not t10k-labels-idx1-ubyte"):
        data.load("mnist", str(folder))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda packed, _: packed[:-20], "truncated or not a gzip file"),
        (lambda _, content: b"hello", "truncated or not a gzip file"),
        (lambda _, content: gzip.compress(b"hello"), "not an IDX file"),
        (lambda _, content: gzip.compress(content[:9]), "truncated inside of its header"),
        (lambda _, content: gzip.compress(content[:-1]), "truncated or too long"),
        (lambda _, content: gzip.compress(content[:-1] + b"\x55"), "not MNIST's train-images-idx3-ubyte: sha256"),
    ],
)
def test_damaged_file_is_named(contents: dict, tmp_path: Path, damage, said: str) -> None:
    path = write(tmp_path / "data", contents, True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes(), contents["train-images-idx3-ubyte"]))
    with pytest.raises(DataError) as caught:
        data.load("mnist", str(path.parent))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_digits() -> None:
    found = data.load("digits")
    assert found.shape == (8, 8, 1)
    assert len(found.x_train) + len(found.x_test) == 1797
    assert found.x_train.max() == 255
    assert found.sha256 == data.load("digits").sha256
    training, held_out = found.split()
    assert sorted([*training, *held_out]) == list(range(len(found.x_train)))
    assert len(held_out) == len(found.x_train) // 10


def arrays() -> dict[str, np.ndarray]:
    x = np.random.default_rng(1).integers(0, 256, (12, 5, 4), dtype=np.uint8)
    return {"x_train": x, "y_train": np.arange(12) % 3, "x_test": x[:6], "y_test": np.arange(6) % 3}


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(), labels=["cat", "dog", "owl"])
    found = data.load(str(tmp_path / "mine.npz"))
    assert (found.name, found.shape, found.labels) == ("mine", (5, 4, 1), ("cat", "dog", "owl"))
    assert np.array_equal(found.x_train[..., 0], arrays()["x_train"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x_train": None}, "lacks x_train"),
        ({"x_train": np.zeros((12, 5, 4))}, "x_train must be uint8"),
        ({"y_test": np.zeros(6)}, "y_test must hold integers"),
        ({"y_test": np.zeros((6, 1), int)}, r"y_test must hold integers \(N,\), got int64 \(6, 1\)"),
        ({"y_train": np.arange(12) % 3 + (1 << 32)}, "y_train must be 0 to 65534, got 4294967296 to 4294967298"),
        ({"y_train": np.full(12, -1)}, "y_train must be 0 to 65534, got -1 to -1"),
        ({"y_test": np.full(6, 1 << 63, np.uint64)}, "y_test must be 0 to 65534, got 9223372036854775808"),
        ({"labels": np.array("abc")}, r"labels must be 3 strings, .*, got <U3 \(\)"),
        ({"labels": np.array(["a", "b"])}, r"labels must be 3 strings, .*, got <U1 \(2,\)"),
        ({"labels": np.arange(3)}, "labels must be 3 strings, .*, got int64"),
        ({"y_train": np.arange(11) % 3}, r"12 images in x_train, but y_train is \(11,\)"),
        ({"y_test": np.arange(6)}, "y_test must be 0 to 2"),
        ({"y_train": np.arange(12) % 2 * 2}, "no training image of class 1"),
        ({"x_test": np.zeros((6, 5, 5), np.uint8)}, "training images are"),
        ({"y_train": np.array([None] * 12)}, "its array y_train is damaged, or holds other things"),
    ],
)
def test_npz_errors(tmp_path: Path, change: dict, said: str) -> None:
    changed = {name: array for name, array in {**arrays(), **change}.items() if array is not None}
    np.savez(tmp_path / "mine.npz", **changed)
    with pytest.raises(DataError, match=said) as caught:
        data.load(str(tmp_path / "mine.npz"))
    assert str(tmp_path / "mine.npz") in str(caught.value)


@pytest.mark.parametrize("content", [b"garbage", b"\x80\x04K\x01.", b"PK\x03\x04 garbage", b"\x93NUMPY\x01\x00"])
def test_garbage_instead_of_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz: not a readable npz archive \((not an|a truncated)") as caught:
        data.load(str(tmp_path / "mine.npz"))
    assert "pickle" not in str(caught.value)


def test_zip_of_other_things_than_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x_train.npy", b"garbage")
    with pytest.raises(DataError, match=r"mine\.npz: not a readable npz archive \(its array x_train is damaged"):
        data.load(str(tmp_path / "mine.npz"))


@pytest.mark.parametrize(("label", "said"), [("ü" * 128, "is 256 bytes long, at most 255"), ("a\udcff", "not Unicode")])
def test_labels_that_no_model_file_could_hold(label: str, said: str) -> None:
    x, y = np.zeros((2, 1, 1, 1), np.uint8), np.int32([0, 1])
    with pytest.raises(DataError, match=f"mine: label .*{said}"):
        data.Dataset("mine", x, y, x, y, ("a", label))
    assert data.Dataset("mine", x, y, x, y, ("a", "ü" * 127)).labels[1] == "ü" * 127


@pytest.mark.parametrize("cut", [0, 10, 300, -30])
def test_truncated_npz(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **arrays())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="mine.npz"):
        data.load(str(path))


def make_images(folder: Path, mode: str, ending: str) -> None:
    generator = np.random.default_rng(2)
    for name in ("left", "right"):
        (folder / name).mkdir(parents=True)
        for index in range(7):
            form = (6, 5, 3) if mode == "RGB" else (6, 5)
            pixels = generator.integers(0, 256, form, dtype=np.uint8)
            Image.fromarray(pixels, mode=None).save(folder / name / f"{index}{ending}")


@pytest.mark.parametrize(
    ("mode", "ending", "channels"), [("L", ".png", 1), ("L", ".pgm", 1), ("RGB", ".png", 3), ("RGB", ".jpg", 3)]
)
def test_folder_of_images(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    make_images(tmp_path / "things", mode, ending)
    found = data.load(str(tmp_path / "things"))
    assert (found.name, found.shape, found.labels) == ("things", (6, 5, channels), ("left", "right"))
    assert (len(found.x_train), len(found.x_test)) == (12, 2)
    assert sorted(found.y_test.tolist()) == [0, 1]
    assert found.sha256 == data.load(str(tmp_path / "things")).sha256


@pytest.mark.parametrize("ending", [".png", ".pgm"])
def test_images_of_16_bits_are_scaled(tmp_path: Path, ending: str) -> None:
    values = np.uint16([0, 128, 129, 255, 256, 32767, 32768, 65406, 65407, 65535])
    for name in ("left", "right"):
        (tmp_path / "deep" / name).mkdir(parents=True)
        for index in range(7):
            Image.fromarray(values.reshape(2, 5)).save(tmp_path / "deep" / name / f"{index}{ending}")
    found = data.load(str(tmp_path / "deep"))
    assert found.x_train[0].ravel().tolist() == [round(int(value) * 255 / 65535) for value in values]
    assert found.shape == (2, 5, 1)


def test_folder_errors(tmp_path: Path) -> None:
    folder = tmp_path / "things"
    make_images(folder, "L", ".png")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / "right" / "9.png")
    with pytest.raises(DataError, match=r"right/9\.png: \(5, 5\) pixels, but"):
        data.load(str(folder))
    (folder / "right" / "9.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"right/9\.png: not a readable image"):
        data.load(str(folder))
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no image"):
        data.load(str(folder))
    with pytest.raises(DataError, match="needs one subfolder a class"):
        data.load(str(folder / "empty"))


def csv_text(heading: str = "") -> str:
    rows = [f"{index / 10},{-index},{1e2},{'walk' if index % 2 else 'rest'}" for index in range(14)]
    return heading + "\n".join(rows) + "\n"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("heading", ["", "a,b,c,label\n"])
def test_csv(tmp_path: Path, heading: str, mark: str) -> None:
    (tmp_path / "moves.csv").write_text(mark + csv_text(heading), encoding="utf-8")
    found = data.load(str(tmp_path / "moves.csv"))
    assert (found.name, found.shape, found.labels) == ("moves", (1, 3, 1), ("rest", "walk"))
    low, high = found.scaling.low, found.scaling.high
    assert high == 100
    assert found.x_train[:, 0, 2, 0].tolist() == [255] * 12
    expected = {round((value - low) * 255 / (high - low)) for value in (index / 10 for index in range(14))}
    assert set(found.x_train[:, 0, 0, 0].tolist()) <= expected
    assert len(found.x_train) + len(found.x_test) == 14


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("1,2,a\n1,b\n", "row 2: 2 columns, the first one has 3"),
        ("a,b,c\n1,2,a\n1,b\n", "row 3: 2 columns, the first one has 3"),
        ("1,2,a\n1,x,b\n", r"moves\.csv, row 2, column 2: 'x' is not a finite number"),
        ("1,x,a\n1,2,b\n", r"moves\.csv, row 1, column 2: 'x' is not a finite number"),
        ("1,2,a\n1,nan,b\n", "row 2, column 2: 'nan' is not a finite number"),
        ("1\n2\n", "row 1: needs numbers, then a label"),
        ("1,2,a\n" * 9, "at least 2 different labels"),
        ("1,1,a\n1,1,b\n" * 9, "every value is 1"),
        ("1,2,a\n3,4,b\n", "every class needs at least 6"),
    ],
)
def test_csv_errors(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "moves.csv").write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        data.load(str(tmp_path / "moves.csv"))
    assert "moves" in str(caught.value)


def test_csv_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "moves.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="moves.csv: not a CSV file"):
        data.load(str(tmp_path / "moves.csv"))


def test_unknown_sources(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="nothing.npz: no such file or folder .known names are mnist, cifar10 and digits."
    ):
        data.load(str(tmp_path / "nothing.npz"))
    (tmp_path / "data.txt").write_text("")
    with pytest.raises(DataError, match="data.txt: must be a .npz or .csv file, or a folder"):
        data.load(str(tmp_path / "data.txt"))

"""The C kernels of training against the same in array operations: sums in every bit, gradients but for roundings."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ebnn import compiler
from ebnn.errors import BuildError, ConfigError, NetworkError
from ebnn.geometry import Geometry, map_size
from ebnn.train import arrays, convolve, depthwise, native, normalize, pooling
from ebnn.train.convolve import Backward, Convolution

CASES = 60
SIZES = (1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 40, 64, 65)


@pytest.fixture(autouse=True)
def compiled() -> None:
    if native.library() is None:
        pytest.skip("no C compiler")


def random_case(seed: int) -> tuple[Convolution, np.ndarray, np.ndarray]:
    """A convolution with what it reads: bytes, signs or floats; also more filters or channels than a word has bits."""
    rng = np.random.default_rng(seed)
    while True:
        height, width, kernel_h, kernel_w = (int(rng.integers(1, top)) for top in (14, 14, 6, 6))
        stride, pool = (int(rng.integers(1, 4)) for _ in range(2)), (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        pad = tuple(int(rng.integers(0, 3)) for _ in range(4))
        stride = tuple(stride)
        if pad[0] + pad[2] >= kernel_h + 2 or height + pad[0] + pad[2] < kernel_h or width + pad[1] + pad[3] < kernel_w:
            continue
        size = map_size((height, width), (kernel_h, kernel_w), stride, pad)
        if size[0] >= pool[0] and size[1] >= pool[1]:
            break
    shape = (height, width, int(rng.choice(SIZES)))
    geometry = Geometry((kernel_h, kernel_w), stride, pad, int(rng.choice([-1, 1])), pool, pool)
    conv = Convolution.of(shape, int(rng.choice(SIZES)), geometry)
    images, kind = int(rng.choice([1, 2, 15, 33, 70])), int(rng.integers(0, 3))
    x = rng.integers(0, 256, (images, *shape), dtype=np.uint8)
    weights = rng.choice(np.float32([-1, 1]), (conv.filters, conv.taps))
    if kind:
        x = np.where(x < 128, np.float32(-1), np.float32(1))
    if kind == 2:  # small integers: sums are still exact, but they are not of bits
        x *= rng.integers(1, 4, x.shape).astype(np.float32)
        weights *= rng.integers(0, 3, weights.shape).astype(np.float32)
    return conv, x, weights


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal but for the roundings of float32 sums in another order."""
    return np.allclose(found, wanted, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("seed", range(CASES))
def test_convolution_equals_array_operations(seed):
    conv, x, weights = random_case(seed)
    y, winners = convolve.forward(x, weights, conv)
    wanted, first = arrays.conv_forward(conv, x, weights)
    assert y.dtype == np.float32 and (y == wanted).all()
    assert (winners is None) == (first is None) == (conv.phases == 1)
    assert first is None or (winners == first).all()
    gy = np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
    gweights, gx = Backward(x, weights, winners, conv).run(gy, True)
    wanted_weights, wanted_x = arrays.conv_backward(conv, (x, weights, gy, winners), True)
    assert close(gweights, wanted_weights) and close(gx, wanted_x)
    alone, nothing = Backward(x, weights, winners, conv).run(gy, False)
    assert nothing is None and (alone == gweights).all()


@pytest.mark.parametrize("shape", [(33, 7, 9, 1), (2, 8, 5, 17), (5, 9, 9, 64)])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [((3, 3), (1, 1), (1,) * 4), ((2, 5), (3, 2), (1, 4, 0, 2))])
@pytest.mark.parametrize("border", [-1, 0, 1])
def test_depthwise_equals_array_operations(shape, times, kernel, stride, pad, border, monkeypatch):
    rng, geometry = np.random.default_rng(3), Geometry(kernel, stride, pad, border)
    weights = rng.choice(np.float32([-1, 1]), (times * shape[3], *kernel, 1))
    for x in (rng.integers(0, 256, shape, dtype=np.uint8), rng.choice(np.float32([-1, 1]), shape)):
        y = depthwise.forward(x, weights, geometry)
        gy = rng.standard_normal(y.shape).astype(np.float32)
        gx, gweights = depthwise.backward(x, weights, gy, geometry)
        with monkeypatch.context() as patch:
            patch.setattr(native, "serves", lambda _: False)
            assert (y == depthwise.forward(x, weights, geometry)).all() and y.dtype == np.float32
            wanted_x, wanted_weights = depthwise.backward(x, weights, gy, geometry)
        assert close(gx, wanted_x) and close(gweights, wanted_weights) and gweights.shape == weights.shape


def test_cases_cover_what_they_should():
    """Bits, bytes and floats; with and without a pool; borders; kernels that are taken in slices."""
    found = [random_case(seed) for seed in range(CASES)]
    kinds = {(x.dtype.name, bool((np.abs(x.astype(int)) == 1).all()), conv.phases > 1) for conv, x, _ in found}
    assert len(kinds) == 6
    assert {conv.geometry.border for conv, _, _ in found if any(conv.geometry.pad)} == {-1, 1}
    assert max(4 * conv.taps * conv.phases * conv.output[1] for conv, _, _ in found) > 1 << 16


def test_one_odd_value_is_no_bit():
    """A map that is binary but for one value, the last of an image, must not be counted as bits."""
    geometry = Geometry((3, 3), (1, 1), (0,) * 4, -1)
    conv = Convolution.of((5, 5, 33), 5, geometry)
    x, weights = np.ones((2, 5, 5, 33), np.float32), np.ones((5, conv.taps), np.float32)
    x[1, 4, 4, 32] = 0.5
    y, _ = convolve.forward(x, weights, conv)
    assert y[0, 2, 2, 0] == conv.taps and y[1, 2, 2, 0] == conv.taps - 0.5
    weights[4, -1] = -2
    y, _ = convolve.forward(np.abs(x), weights, conv)
    assert y[0, 0, 0, 4] == conv.taps - 3


@pytest.mark.parametrize("shape", [(3, 4, 5, 1), (64, 7), (33, 3, 3, 40), (16, 1, 1, 16), (2, 9, 4, 64)])
def test_batch_norm_equals_array_operations(shape, monkeypatch):
    rng = np.random.default_rng(5)
    x = rng.integers(-400, 400, shape).astype(np.float32)
    gamma, beta = (rng.standard_normal(shape[-1]).astype(np.float32) for _ in range(2))
    gy = rng.standard_normal(shape).astype(np.float32)

    def both() -> list[np.ndarray]:
        y, mean, variance = normalize.forward(x, gamma, beta, 1e-4)
        inverse = normalize.inverse_deviation(variance, 1e-4)
        return [y, mean, variance, *normalize.backward(x, gy, mean, inverse, gamma)]

    found = both()
    monkeypatch.setattr(native, "serves", lambda _: False)
    assert all(a.dtype == np.float32 and close(a, b) for a, b in zip(found, both(), strict=True))


def test_sign_at_zero_and_clip_at_its_edge():
    edge = np.float32(1.25)
    x = np.float32([0.0, -0.0, 1e-30, -1e-30, edge, -edge, np.nextafter(edge, np.float32(2)), 3])
    assert native.sign(x).tolist() == [1, 1, 1, -1, 1, -1, 1, 1]
    assert native.clipped(x, np.full(8, 7, np.float32), 1.25).tolist() == [7, 7, 7, 7, 7, 7, 0, 0]


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_change_no_bit(threads, monkeypatch):
    conv, x, weights = random_case(3)
    x = np.concatenate([x] * 5)
    gy = np.random.default_rng(0).standard_normal((len(x), *conv.output)).astype(np.float32)

    def run() -> list[np.ndarray]:
        y, winners = convolve.forward(x, weights, conv)
        return [y, *Backward(x, weights, winners, conv).run(gy, True)]

    monkeypatch.setenv("EBNN_THREADS", "2")
    wanted = run()
    monkeypatch.setenv("EBNN_THREADS", threads)
    assert all((a == b).all() for a, b in zip(run(), wanted, strict=True))


def ask(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a line of Python beside this one."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_numpy_alone_is_a_choice():
    done = ask("from ebnn.train import native; print(native.library())", EBNN_KERNELS="numpy")
    assert done.stdout == "None\n" and not done.stderr


def test_no_compiler_is_told_once(tmp_path):
    code = "from ebnn.train import native; print(native.library(), native.library())"
    done = ask(code, PATH=str(tmp_path), CC="", EBNN_CACHE_DIR=str(tmp_path))
    assert done.stdout == "None None\n"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("training with NumPy alone, several times slower: no C compiler: install gcc")
    done = ask(code, PATH=str(tmp_path), CC="", EBNN_CACHE_DIR=str(tmp_path), EBNN_KERNELS="c")
    assert done.returncode and "BuildError: no C compiler" in done.stderr


def test_wrong_choice_is_refused():
    done = ask("from ebnn.train import native; native.library()", EBNN_KERNELS="fast")
    assert "ConfigError: EBNN_KERNELS must be c or numpy, got 'fast'" in done.stderr


def test_compiler_that_fails_says_why(tmp_path):
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return missing; }\n")
    with pytest.raises(BuildError, match="could not compile broken:(.|\n)*missing"):
        compiler.shared_library(compiler.find(""), [source], ["-shared"], tmp_path / "broken")
    assert not list(tmp_path.glob("broken-*"))
    with pytest.raises(BuildError, match="no-such-compiler: "):
        compiler.ask("no-such-compiler", "--version")


def test_sums_that_are_not_exact_are_refused():
    with pytest.raises(NetworkError, match="reach 16777216"):
        convolve.check_exact(1 << 24, 1, "layer")
    assert ConfigError is not NetworkError


@pytest.mark.parametrize("window,stride,pad", [
    ((3, 3), (2, 2), (0, 0)), ((3, 2), (1, 3), (1, 1)), ((2, 2), (2, 2), (0, 0)),
    ((9, 8), (1, 1), (4, 3)), ((1, 1), (2, 1), (0, 0)),
    ((20, 20), (1, 1), (9, 9)),
])  # fmt: skip
def test_max_pool_equals_array_operations(window, stride, pad, monkeypatch):
    rng, windows = np.random.default_rng(1), (window, stride, pad)
    x = rng.integers(-3, 4, (5, 9, 8, 17)).astype(np.float32)  # many ties
    y, winners = pooling.forward(x, windows)
    gy = rng.standard_normal(y.shape).astype(np.float32)
    gx = pooling.backward(winners, gy, x.shape[1:], windows)
    monkeypatch.setattr(native, "serves", lambda _: False)
    wanted, first = pooling.forward(x, windows)
    assert (y == wanted).all() and (winners == first).all() and winners.dtype == np.uint16
    assert close(gx, pooling.backward(first, gy, x.shape[1:], windows))


SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
AGAIN = """
import sys
import pytest
from ebnn.train import native
native.CFLAGS += {flags}
sys.exit(pytest.main(["-q", "-s", "-x", "-p", "no:cacheprovider", {file!r}, "-k", "equals_array or no_bit"]))
"""


def test_kernels_stay_within_their_memory(tmp_path):
    """The comparisons above once more, with sanitizers in the kernels."""
    program = compiler.find("")
    runtimes = [compiler.ask(program, f"-print-file-name=lib{name}.so").strip() for name in ("asan", "ubsan")]
    if not all(map(os.path.isabs, runtimes)):
        pytest.skip("no sanitizers of GCC")
    code = AGAIN.format(flags=SANITIZED, file=__file__)
    done = ask(code, LD_PRELOAD=" ".join(runtimes), ASAN_OPTIONS="detect_leaks=0", EBNN_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[:4000]
    assert list(tmp_path.rglob("*.so")) and " passed" in done.stdout

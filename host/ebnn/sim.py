"""Bit-exact simulator in NumPy, written from docs/SPEC.md, with the device's API.

Matrix products run on integers held in float32 or float64 (whichever is exact for the node), so BLAS does the
work and no summation order can change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ebnn import bits
from ebnn.errors import NetworkError
from ebnn.geometry import Pair, Sides, Value, acc_bound, value_bytes
from ebnn.network import Network, Node

BATCH = 256


def input_error(value: Value, size: int) -> str:
    """The sentence for a wrong input length, the same on host and device."""
    height, width, channels = value.shape
    kind = "uint8" if value.dtype == "u8" else "packed bits"
    return f"input must be {value_bytes(value)} bytes ({height}x{width}x{channels} {kind}), got {size}"


def selftest_elements(seed: int, count: int) -> np.ndarray:
    """The xorshift32 states of docs/SPEC.md, section 6, as uint32 (count,)."""
    state, states = seed, np.empty(count, np.uint32)
    for index in range(count):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        states[index] = state
    return states


def selftest_input(value: Value, seed: int) -> np.ndarray:
    """The self-test's input as an element array (1, h, w, c): uint8, or booleans for ``bits``."""
    states = selftest_elements(seed, int(np.prod(value.shape)))
    shift = np.uint32(24 if value.dtype == "u8" else 31)
    kind = np.uint8 if value.dtype == "u8" else bool
    return (states >> shift).astype(kind).reshape(1, *value.shape)


def margins(scores: np.ndarray) -> np.ndarray:
    """The predictions' margins, int64 (...), of scores int32 (..., K): docs/SPEC.md, section 2."""
    if scores.shape[-1] == 1:
        return np.full(scores.shape[:-1], (1 << 32) - 1)
    top = np.partition(scores.astype(np.int64), -2)
    return top[..., -1] - top[..., -2]


class Simulator:
    """Runs a network as the device does.

    Args:
        network: what to run.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    def infer(self, buf: bytes) -> int:
        """Class index for one input in the device's format; raises ValueError for a wrong length."""
        return int(np.argmax(self.scores(buf)))

    def scores(self, buf: bytes) -> np.ndarray:
        """int32 (K,) scores for one input in the device's format."""
        return self.run(self._elements(buf))[0]

    def trace(self, buf: bytes) -> list[bytes]:
        """The bytes of every node's output, as they lie in the device's arena."""
        return [_memory(array) for array in self.outputs(self._elements(buf))]

    def run(self, images: np.ndarray, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Scores int32 (N, K) for inputs (N, h, w, c): uint8, or booleans for an input of dtype ``bits``.

        ``progress`` is called with the number of images done after each batch.
        """
        shape = self.network.input.shape
        if images.ndim != 4 or images.shape[1:] != shape:
            raise NetworkError(f"images are {images.shape}, the network wants (N, {', '.join(map(str, shape))})")
        kind = np.uint8 if self.network.input.dtype == "u8" else bool
        if images.dtype != kind:
            raise NetworkError(f"images are {images.dtype}, the network wants {np.dtype(kind)}")
        scores = np.empty((len(images), self.network.classes), np.int32)
        for start in range(0, len(images), BATCH):
            scores[start : start + BATCH] = _last(self.outputs(images[start : start + BATCH]))
            if progress:
                progress(min(start + BATCH, len(images)))
        return scores

    def _elements(self, buf: bytes) -> np.ndarray:
        value = self.network.input
        data = np.frombuffer(buf, np.uint8)
        if len(data) != value_bytes(value):
            raise ValueError(input_error(value, len(data)))
        if value.dtype == "u8":
            return data.reshape(1, *value.shape)
        return bits.unpack_maps(data[None], value.shape)

    def outputs(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield every node's output for a batch: booleans (n, h, w, c), at last int32 (n, K)."""
        values = [images]
        for node in self.network.nodes:
            values.append(self._output(node, values[node.inputs[0]]))
            yield values[-1]

    def _output(self, node: Node, array: np.ndarray) -> np.ndarray:
        """A node's output for what it reads."""
        return _RUN[node.spec.source](node, self.network.values[node.inputs[0]], array)


def _last(arrays: Iterator[np.ndarray]) -> np.ndarray:
    *_, last = arrays
    return last


def _memory(array: np.ndarray) -> bytes:
    if array.dtype == bool:
        return bits.pack_maps(array).tobytes()
    return array.astype("<i4").tobytes()


def _windows(array: np.ndarray, window: Pair, stride: Pair) -> np.ndarray:
    """Views (n, oh, ow, c, window_h, window_w) on every window of (n, h, w, c)."""
    return sliding_window_view(array, window, (1, 2))[:, :: stride[0], :: stride[1]]


def _padded(array: np.ndarray, pad: Sides, filler: int | bool) -> np.ndarray:
    top, left, bottom, right = pad
    return np.pad(array, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=filler)


def _sums(node: Node, source: Value, patches: np.ndarray) -> np.ndarray:
    """acc, int32 (..., filters), of patches (..., taps) in elements (booleans or bytes)."""
    exact = np.float32 if acc_bound(node.spec, source, node.geometry) < 1 << 24 else np.float64
    taps = patches.astype(exact)
    if source.dtype == "bits":
        taps = 2 * taps - 1
    return (taps @ node.weights.reshape(node.filters, -1).T.astype(exact)).astype(np.int32)


def _epilogue(node: Node, acc: np.ndarray) -> np.ndarray:
    """Hits (booleans) or scores (int32) of sums (..., filters)."""
    return acc >= node.thresholds if node.offsets is None else acc + node.offsets


def _or_pool(node: Node, hits: np.ndarray) -> np.ndarray:
    geometry = node.geometry
    if geometry.pools:
        padded = _padded(hits, geometry.pool_pad, False)
        hits = _windows(padded, geometry.pool, geometry.pool_stride).any((-2, -1))
    return hits if node.flips is None else hits ^ node.flips


def _run_conv(node: Node, source: Value, array: np.ndarray) -> np.ndarray:
    geometry = node.geometry
    plus = geometry.border > 0
    filler = (255 if plus else 0) if source.dtype == "u8" else plus
    windows = _windows(_padded(array, geometry.pad, filler), geometry.kernel, geometry.stride)
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)
    return _or_pool(node, _epilogue(node, _sums(node, source, patches)))


def _run_dense(node: Node, source: Value, array: np.ndarray) -> np.ndarray:
    out = _epilogue(node, _sums(node, source, array.reshape(len(array), -1)))
    if out.dtype == np.int32:
        return out
    return _or_pool(node, out[:, None, None, :])


def _run_pool(node: Node, source: Value, array: np.ndarray) -> np.ndarray:
    return _or_pool(node, array)


_RUN = {"conv": _run_conv, "dense": _run_dense, "pool": _run_pool}

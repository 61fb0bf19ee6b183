"""Bit-exact simulator in NumPy, written from docs/SPEC.md, with the device's API.

Sums run on integers held in float32 or float64 (whichever is exact for the node), so BLAS does the work and no order
of summation can change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ebnn import bits
from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Pair, Sides, Value, acc_bound, map_size, value_bytes
from ebnn.network import Network, Node
from ebnn.ops import DTYPE

BATCH = 256
ELEMENTS = {"bits": np.dtype(bool), "u8": np.dtype(np.uint8), "i8": np.dtype(np.int8), "i16": np.dtype("<i2"),
            "i32": np.dtype("<i4")}  # fmt: skip


def input_error(value: Value, size: int) -> str:
    """The sentence for a wrong input length, the same on host and device."""
    height, width, channels = value.shape
    kind = "packed bits" if value.dtype == "bits" else ELEMENTS[value.dtype].name
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
    """The self-test's input as an element array (1, h, w, c): integers of the dtype, or booleans for ``bits``."""
    states = selftest_elements(seed, int(np.prod(value.shape)))
    kind = ELEMENTS[value.dtype]
    width = 1 if value.dtype == "bits" else 8 * kind.itemsize
    return (states >> np.uint32(32 - width)).astype(f"u{kind.itemsize}").view(kind).reshape(1, *value.shape)


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
        return [memory(array) for array in self.outputs(self._elements(buf))]

    def run(self, images: np.ndarray, progress: Callable[[int], None] | None = None) -> np.ndarray:
        """Scores int32 (N, K) for inputs (N, h, w, c): integers of the input's dtype, or booleans for ``bits``.

        ``progress`` is called with the number of images done after each batch.
        """
        shape = self.network.input.shape
        if images.ndim != 4 or images.shape[1:] != shape:
            raise NetworkError(f"images are {images.shape}, the network wants (N, {', '.join(map(str, shape))})")
        kind = ELEMENTS[self.network.input.dtype]
        if images.dtype != kind:
            raise NetworkError(f"images are {images.dtype}, the network wants {kind}")
        scores = np.empty((len(images), self.network.classes), np.int32)
        for start in range(0, len(images), BATCH):
            scores[start : start + BATCH] = _last(self.outputs(images[start : start + BATCH]))[:, 0, 0]
            if progress:
                progress(min(start + BATCH, len(images)))
        return scores

    def _elements(self, buf: bytes) -> np.ndarray:
        value = self.network.input
        data = np.frombuffer(buf, np.uint8)
        if len(data) != value_bytes(value):
            raise ValueError(input_error(value, len(data)))
        if value.dtype == "bits":
            return bits.unpack_maps(data[None], value.shape)
        return data.view(ELEMENTS[value.dtype]).reshape(1, *value.shape)

    def outputs(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Yield every node's output (n, h, w, c) for a batch: booleans, or integers of its dtype."""
        values = [images]
        for index, node in enumerate(self.network.nodes):
            values.append(self._output(index, [values[value] for value in node.inputs]))
            yield values[-1]

    def _output(self, index: int, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """A node's output for what it reads."""
        node = self.network.nodes[index]
        sums = _sums(node, self.network.values[node.inputs[0]], arrays[0])
        if node.output == "bits":
            return _hits(node, sums)
        return _integers(node, sums, arrays[1] if node.second is not None else None)


def _last(arrays: Iterator[np.ndarray]) -> np.ndarray:
    *_, last = arrays
    return last


def memory(array: np.ndarray) -> bytes:
    """The bytes of elements (n, h, w, c) as they lie on the device."""
    return bits.pack_maps(array).tobytes() if array.dtype == bool else array.tobytes()


# --- sums ---


def _sums(node: Node, source: Value, array: np.ndarray) -> np.ndarray:
    """v of docs/SPEC.md, section 2.2: what the pool makes of the sums, int32 (n, h, w, filters)."""
    exact = np.float32 if acc_bound(node, source) < 1 << 24 else np.float64
    x = array.astype(exact)
    if source.dtype == "bits":
        x = 2 * x - 1
    return _pooled(node.geometry, _SOURCES[node.op](node, source, x)).astype(np.int32)


def _windows(node: Node, source: Value, x: np.ndarray) -> np.ndarray:
    """Views (n, oh, ow, c, kernel_h, kernel_w) on every window of (n, h, w, c), with the border around it."""
    geometry = node.geometry
    # What does not count adds 0.
    border = {"bits": geometry.border, "u8": 255 if geometry.border > 0 else 0}.get(source.dtype, 0)
    windows = sliding_window_view(_padded(x, geometry.pad, border), geometry.kernel, (1, 2))
    return windows[:, :: geometry.stride[0], :: geometry.stride[1]]


def _padded(array: np.ndarray, pad: Sides, filler: float) -> np.ndarray:
    top, left, bottom, right = pad
    return np.pad(array, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=filler)


def _conv(node: Node, source: Value, x: np.ndarray) -> np.ndarray:
    windows = _windows(node, source, x)
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)
    return patches @ node.weights.reshape(node.filters, -1).T.astype(x.dtype)


def _depthwise(node: Node, source: Value, x: np.ndarray) -> np.ndarray:
    windows = _windows(node, source, x)
    weights = node.weights.reshape(-1, source.shape[2], *node.geometry.kernel).astype(x.dtype)
    sums = np.einsum("nyxcij,mcij->nyxmc", windows, weights)
    return sums.reshape(*windows.shape[:3], node.filters)


def _dense(node: Node, source: Value, x: np.ndarray) -> np.ndarray:
    sums = x.reshape(len(x), -1) @ node.weights.reshape(node.filters, -1).T.astype(x.dtype)
    return sums[:, None, None]


def _pool(node: Node, source: Value, x: np.ndarray) -> np.ndarray:
    return np.tile(x, node.filters // source.shape[2])


_SOURCES = {"conv": _conv, "depthwise": _depthwise, "dense": _dense, "pool": _pool}


def _pooled(geometry: Geometry, sums: np.ndarray) -> np.ndarray:
    """The largest or the sum of the sums in each window; positions outside do not count."""
    if not geometry.pools:
        return sums
    join, nothing = (np.add, 0) if geometry.pool_sum else (np.maximum, -np.inf)
    size = map_size(sums.shape[1:3], geometry.pool, geometry.pool_stride, geometry.pool_pad)
    padded, found = _padded(sums, geometry.pool_pad, nothing), None
    for y in range(geometry.pool[0]):
        for x in range(geometry.pool[1]):
            part = _every(padded, (y, x), geometry.pool_stride, size)
            found = part.copy() if found is None else join(found, part, out=found)
    return found


def _every(array: np.ndarray, start: Pair, stride: Pair, size: Pair) -> np.ndarray:
    """The view (n, *size, c) on (n, h, w, c) that begins at ``start`` and goes on by ``stride``."""
    ends = (start[axis] + stride[axis] * (size[axis] - 1) + 1 for axis in range(2))
    rows, columns = (slice(start[axis], end, stride[axis]) for axis, end in enumerate(ends))
    return array[:, rows, columns]


# --- endings ---


def _hits(node: Node, sums: np.ndarray) -> np.ndarray:
    """Booleans (n, h, w, channels) of v (n, h, w, filters)."""
    if node.thresholds is None:
        hits = sums >= 0
    else:
        levels = sums[..., None, :] >= node.thresholds.reshape(node.levels, node.filters)
        hits = np.logical_xor.reduce(levels, -2) if node.exclusive else levels.reshape(*sums.shape[:3], -1)
    return hits if node.flips is None else hits ^ node.flips


def _integers(node: Node, sums: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    """Integers of the output's dtype (n, h, w, filters) of v and of the second input (n, h, w, channels of it)."""
    t = sums.astype(np.int64) * (1 if node.gains is None else node.gains) + node.offsets
    out = t >> node.shift
    if second is not None:
        out[..., : second.shape[-1]] += second
    limits = DTYPE[node.output]
    return out.clip(limits.least, limits.most).astype(ELEMENTS[node.output])

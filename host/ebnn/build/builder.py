"""``Builder``: a network from NumPy arrays of another framework, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from ebnn.build import functions, weights, windows
from ebnn.build.emit import Emitter, narrowest
from ebnn.build.functions import Function, parameter
from ebnn.build.head import Certificate
from ebnn.build.tensors import Pool, Stored, Tensor, identity, last_binary, weighted
from ebnn.build.weights import Kernel
from ebnn.errors import ConfigError, ExportError
from ebnn.geometry import NO_PAD, Geometry, Pair, Shape, Sides, Value, value_fault
from ebnn.network import Network
from ebnn.ops import DTYPE, INPUT_DTYPES

ORDERS = {"NHWC": "HWC", "NCHW": "CHW"}
HEADS = ("exact", "nearest")
NEAR = 1e-5  # of 1: as near to a whole number is a padding that float32 constants make of it


class Builder:
    """Grows a network out of a framework's layers; every method takes tensors and gives one.

    What the framework computes is the float32 arithmetic of the functions in ``ebnn.build.functions``, on sums that
    are exact. Where the framework's own sums are rounded, because the input's scale or a gain of weights is no power
    of two, the exact sum rounded once is what counts, and ``notes`` says where the framework may see another bit.

    Args:
        shape: (height, width, channels) of an image, whatever the layout.
        dtype: what the device is given: u8, i8, i16 or bits (-1 and +1).
        layout: NHWC (TensorFlow, Keras, Larq: kernels HWIO, dense weights (inputs, units), flattened HWC) or NCHW
            (PyTorch, ONNX: kernels OIHW, dense weights (units, inputs), flattened CHW).
        scale, offset: the framework's input is scale * x + offset; the offset may be one a channel.
        head: "exact": refuse scores whose order integers cannot keep for all sums; "nearest": take the nearest, and
            note on how many pairs of sums they differ.

    Raises:
        ConfigError: an option that cannot be.
    """

    def __init__(
        self, shape: Shape, dtype: str = "u8", layout: str = "NHWC", scale: float = 1.0,
        offset: float | Sequence[float] = 0.0, head: str = "exact",
    ) -> None:  # fmt: skip
        if layout not in ORDERS or head not in HEADS or dtype not in INPUT_DTYPES:
            raise ConfigError(f"layout is one of {', '.join(ORDERS)}, head of {', '.join(HEADS)}, dtype of "
                              f"{', '.join(INPUT_DTYPES)}; got {layout}, {head}, {dtype}")  # fmt: skip
        value = Value(0, tuple(map(int, shape)), dtype)
        if len(value.shape) != 3 or value_fault(value):
            raise ConfigError(f"an image is (height, width, channels), got {shape}")
        if not np.isfinite(scale) or scale == 0 or not np.isfinite(offset).all():
            raise ConfigError(f"scale and offset of the input must be finite, the scale not 0; got {scale}, {offset}")
        self.layout, self.head = layout, head
        self._emitter = Emitter(value)
        limits, offsets = DTYPE[dtype], np.broadcast_to(np.asarray(offset, np.float64), value.shape[2])
        self.input = identity(
            Stored(0, value.shape, dtype, float(scale), offsets, limits.least, limits.most), name="input"
        )
        self.certificate: Certificate | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not exact to the framework's last rounding, a sentence each; empty where everything is."""
        return tuple(self._emitter.notes)

    def stored(self, tensor: Tensor) -> Stored | None:
        """The value of the network that holds a tensor, and what its integers mean; None where no layer reads it so."""
        if tensor.is_plain:
            return tensor.sums.source
        return self._emitter.made.get(tensor.key)

    # --- linear layers ---

    def conv(
        self, x: Tensor, kernel: np.ndarray | Kernel, stride: int | Pair = 1, padding: windows.Padding = "valid",
        pad_value: float = 0.0, name: str = "conv",
    ) -> Tensor:  # fmt: skip
        """A convolution.

        Args:
            x: what is read.
            kernel: weights of -1 and +1, these times one gain a filter, or whole numbers from -128 to 127, in the
                builder's layout.
            stride: one number, or (height, width).
            padding: "valid", "same" (as TensorFlow pads), or numbers: one, (height, width) or (top, left, bottom,
                right).
            pad_value: what the framework pads with: 0 mostly, 1 or -1 in Larq's ``pad_values``.
            name: of the layer, for messages.

        Raises:
            ExportError: naming the layer.
        """
        with _named(name):
            integers, gains = weights.conv_weights(kernel, self.layout)
            return self.windowed("conv", x, (integers, gains), (stride, padding, pad_value), name)

    def depthwise(
        self, x: Tensor, kernel: np.ndarray | Kernel, stride: int | Pair = 1, padding: windows.Padding = "valid",
        pad_value: float = 0.0, name: str = "depthwise",
    ) -> Tensor:  # fmt: skip
        """A convolution of each channel on its own, one filter a channel; otherwise as ``conv``."""
        with _named(name):
            integers, gains = weights.depthwise_weights(kernel, self.layout)
            return self.windowed("depthwise", x, (integers, gains), (stride, padding, pad_value), name)

    def windowed(self, op: str, x: Tensor, found: tuple[np.ndarray, np.ndarray], window: tuple, name: str) -> Tensor:
        """A ``conv`` or ``depthwise`` of weights and gains as ``ebnn.build.weights`` gives them.

        ``window`` is (stride, padding, pad_value).
        """
        with _named(name):
            _check_map(x)
            stored, (integers, gains) = self._emitter.stored(x), found
            channels = stored.shape[2]
            if integers.shape[3] != (channels if op == "conv" else 1) or (op != "conv" and len(integers) != channels):
                raise ExportError(f"weights {integers.shape} do not fit an input of {channels} channels")
            stride, kernel = windows.pair(window[0]), integers.shape[1:3]
            pad = windows.sides(window[1], stored.shape[:2], kernel, stride)
            _check_window(stored.shape, kernel, stride, pad)
            stored, border = self._bordered(stored, window[2], name) if pad != NO_PAD else (stored, -1)
            geometry = Geometry(kernel, stride, pad, border)
            return Tensor(weighted(op, stored, integers, gains, geometry), name=name)

    def dense(self, x: Tensor, kernel: np.ndarray | Kernel, name: str = "dense") -> Tensor:
        """A dense layer of a flattened tensor, or of one of 1 x 1; its weights are in the builder's layout.

        Raises:
            ExportError: naming the layer.
        """
        with _named(name):
            if not x.flat and x.shape[:2] != (1, 1):
                raise ExportError(f"reads a map of {x.shape[0]}x{x.shape[1]}: flatten it before")
            stored = self._emitter.stored(x)
            found = weights.dense_weights(kernel, self.layout, stored.shape, x.flat or ORDERS[self.layout])
            return Tensor(weighted("dense", stored, *found, Geometry()), name=name)

    # --- pools ---

    def max_pool(
        self, x: Tensor, window: int | Pair, stride: int | Pair | None = None, padding: windows.Padding = "valid",
        name: str = "max_pool",
    ) -> Tensor:  # fmt: skip
        """The largest of each window; padding never counts. ``stride`` is the window where none is given."""
        with _named(name):
            return self._pooled(x, (window, stride, padding), False, name)

    def average_pool(
        self, x: Tensor, window: int | Pair, stride: int | Pair | None = None, padding: windows.Padding = "valid",
        name: str = "average_pool",
    ) -> Tensor:  # fmt: skip
        """The mean of each window; padding counts as 0, and where it does not in the framework there is none."""
        with _named(name):
            return self._pooled(x, (window, stride, padding), True, name)

    def global_average_pool(self, x: Tensor, name: str = "global_average_pool") -> Tensor:
        """The mean of the whole map, a vector."""
        pooled = self.average_pool(x, x.shape[:2], name=name)
        return replace(pooled, flat=ORDERS[self.layout])

    def _pooled(self, x: Tensor, window: tuple, adds: bool, name: str) -> Tensor:
        _check_map(x)
        size = windows.pair(window[0])
        stride = size if window[1] is None else windows.pair(window[1])
        if x.shape[:2] == (1, 1) and size == (1, 1):
            return x
        pad = windows.sides(window[2], x.shape[:2], size, stride)
        _check_window(x.shape, size, stride, pad)
        if self._must_store(x, adds, pad):
            x = identity(self._emitter.stored(x))
        pool = Pool(size, stride, pad, adds)
        tensor = replace(x, pool=pool, name=x.name if x.sums.op != "pool" else name)
        return tensor.then(functions.Divide(np.float32(pool.count))) if adds else tensor

    @staticmethod
    def _must_store(x: Tensor, adds: bool, pad: Sides) -> bool:
        """Whether a pool reads a value and not the sums of the tensor itself."""
        if adds and pad != NO_PAD and x.sums.constant.any():
            raise ExportError("padding of an average of values with an offset has no meaning: pool without padding")
        followed = _holds_binary(x) and last_binary(x.functions) != len(x.functions) - 1
        return x.pool is not None or x.sums.op == "dense" or (adds and bool(x.functions)) or followed

    # --- functions of each channel ---

    def batch_norm(
        self, x: Tensor, statistics: Sequence[np.ndarray], epsilon: float = 1e-3, formula: str = "affine",
        name: str = "batch_norm",
    ) -> Tensor:  # fmt: skip
        """Batch norm with running statistics.

        Args:
            x: what is read.
            statistics: gamma, beta, mean and variance, a number or (channels,) each.
            epsilon: what is added to the variance.
            formula: in which order the framework computes it (``functions.Normalize``).
            name: of the layer, for messages.

        Raises:
            ExportError: NaN, infinite numbers, variance and epsilon of 0.
        """
        with _named(name):
            names = ("gamma", "beta", "mean", "variance")
            found = [parameter(values, what) for values, what in zip(statistics, names, strict=True)]
            return self.apply(x, functions.Normalize(*found, float(epsilon), formula), name)

    def add_bias(self, x: Tensor, bias: np.ndarray | float, name: str = "bias") -> Tensor:
        """x + bias, a number or (channels,)."""
        return self.apply(x, lambda: functions.Add(parameter(bias, "bias")), name)

    def multiply(self, x: Tensor, factor: np.ndarray | float, name: str = "multiply") -> Tensor:
        """x * factor, a number or (channels,)."""
        return self.apply(x, lambda: functions.Multiply(parameter(factor, "factor")), name)

    def divide(self, x: Tensor, divisor: np.ndarray | float, name: str = "divide") -> Tensor:
        """x / divisor, a number or (channels,)."""
        return self.apply(x, lambda: functions.Divide(parameter(divisor, "divisor")), name)

    def prelu(self, x: Tensor, slope: np.ndarray | float, name: str = "prelu") -> Tensor:
        """x where it is 0 or more, else x * slope; the slope may be negative; 0 is ReLU."""
        return self.apply(x, lambda: functions.Slope(parameter(slope, "slope")), name)

    def clip(self, x: Tensor, least: float, most: float, name: str = "clip") -> Tensor:
        """x limited to a range."""
        return self.apply(x, lambda: functions.Clip(parameter(least, "least"), parameter(most, "most")), name)

    def sign(self, x: Tensor, zero: int = 1, name: str = "sign") -> Tensor:
        """-1 or +1. ``zero``: the sign of 0, +1 (Larq, ebnn), -1, or 0 (NumPy, ONNX), which no sum may give then."""
        return self.apply(x, functions.Sign(zero), name)

    def compare(self, x: Tensor, limit: float, values: Sequence[float], strict: bool = False, name: str = "compare"):
        """values[1] where x >= limit (``strict``: above it), else values[0]."""
        below, above = (parameter(value, "value") for value in values)
        return self.apply(x, lambda: functions.Compare(parameter(limit, "limit"), above, below, strict), name)

    def apply(self, x: Tensor, function: Function | Callable[[], Function], name: str = "") -> Tensor:
        """Any of ``ebnn.build.functions``."""
        with _named(name):
            made = function if isinstance(function, Function) else function()
            if x.flat and x.shape[:2] != (1, 1):
                raise ExportError("functions of a flattened map: they must stand before it")
            made.check(x.shape[2])
            tensor = x.then(made)
            return replace(tensor, name=name) if x.is_plain else tensor

    # --- structure ---

    def flatten(self, x: Tensor, order: str = "") -> Tensor:
        """The elements in a row; ``order`` HWC or CHW, else the layout's."""
        return replace(x, flat=x.flat or order or ORDERS[self.layout])

    def add(self, x: Tensor, y: Tensor, name: str = "add") -> Tensor:
        """x + y, a residual; both must be exact multiples of a power of two.

        Raises:
            ExportError: they are not, or need more than 16 bits.
        """
        with _named(name):
            if x.shape != y.shape:
                raise ExportError(f"adds {x.shape} and {y.shape}")
            fresh, other = (x, y) if _is_fresh(x) or not _is_fresh(y) else (y, x)
            second = self._emitter.stored(other)
            if _holds_binary(fresh):
                fresh = identity(self._emitter.stored(fresh), name=name)
            return identity(self._emitter.integers(fresh, second), x.flat, name)

    def network(self, x: Tensor, labels: Sequence[str] = ()) -> Network:
        """The finished network, whose scores are ``x`` (1 x 1, a channel for each class).

        Raises:
            ExportError: the order of the scores is not kept (see ``head``), or the head is nothing that can be one.
            NetworkError: a layer that the device cannot run, by name.
        """
        with _named(x.name):
            if x.shape[:2] != (1, 1):
                raise ExportError(f"the scores are a map of {x.shape[0]}x{x.shape[1]}: flatten or average it")
            if _holds_binary(x):
                x = identity(self._emitter.stored(x), name=x.name)
            self.certificate = self._emitter.scores(x, self.head == "nearest")
        return self._emitter.network(labels)

    def _bordered(self, stored: Stored, value: float, name: str) -> tuple[Stored, int]:
        """The stored value, encoded anew where it must be, and the border that means ``value``."""
        places = (value - stored.offset) / stored.scale
        if stored.dtype == "bits" and _all_near(places, (-1, 0, 1)):
            return stored, int(np.rint(places[0]))
        if stored.dtype == "u8" and _all_near(places, (0, 255)):
            return stored, 1 if places[0] > 1 else -1
        if stored.dtype in ("i8", "i16") and _all_near(places, (0,)):
            return stored, -1
        # Padding that does not count is 0: put the 0 of a wider value there.
        for gain in (1, 2):
            offsets = -np.rint(gain * places)
            ends = (gain * stored.least + offsets.min(), gain * stored.most + offsets.max())
            wide = narrowest(ends)
            if wide and np.abs(gain * places + offsets).max() < NEAR:
                return self._emitter.encode(stored, wide, gain, offsets.astype(np.int64), name), -1
        raise ExportError(
            f"pads with {value:g}, which is {places[0]:g} of its input's {stored.dtype}: no whole number and no half; "
            "pad with a value that is, or not at all, or train with another normalization (x / 255, x / 127.5 - 1)"
        )


def _holds_binary(x: Tensor) -> bool:
    return last_binary(x.functions) >= 0


def _is_fresh(x: Tensor) -> bool:
    """Whether a tensor is sums of weights that are no node yet."""
    return x.sums.weights is not None and not _holds_binary(x)


def _all_near(places: np.ndarray, numbers: tuple[int, ...]) -> bool:
    """Whether all of these are the same one of the numbers."""
    return any((np.abs(places - number) < NEAR).all() for number in numbers)


def _check_map(x: Tensor) -> None:
    if x.flat and x.shape[:2] != (1, 1):
        raise ExportError("reads a flattened map")


def _check_window(shape: Shape, window: Pair, stride: Pair, pad: Sides) -> None:
    """Raise ExportError where a window does not fit, or lies in the padding alone."""
    if min(stride) < 1 or min(window) < 1 or any(pad[side] >= window[side % 2] for side in range(4)):
        raise ExportError(f"window {window}, stride {stride}, padding {pad}: padding must be below the window")
    if any(shape[axis] + pad[axis] + pad[axis + 2] < window[axis] for axis in range(2)):
        raise ExportError(f"window {window} is larger than its map of {shape[0]}x{shape[1]}")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the layer's name before what is said of it."""
    try:
        yield
    except ExportError as error:
        text = str(error)
        raise (error if text.startswith(f"{name}: ") else ExportError(f"{name}: {text}")) from None

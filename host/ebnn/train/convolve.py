"""A convolution with its pool: what is computed, and by what - C on a CPU, arrays without a compiler and on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Shape, map_size
from ebnn.train import arrays, native
from ebnn.train.arrays import Array
from ebnn.train.parallel import for_each, slices

EXACT_LIMIT = 1 << 24  # integers below are exact in float32
MOST_PHASES = 256  # positions of a pool window: which of them won is kept in a byte


@dataclass(frozen=True)
class Convolution:
    """What is computed: ``shape`` of one input image, windows and border, ``output`` (h, w, filters) of one image.

    ``geometry.pool`` must equal ``geometry.pool_stride``, have no padding and at most ``MOST_PHASES`` positions.
    """

    shape: Shape
    geometry: Geometry
    output: Shape

    @classmethod
    def of(cls, shape: Shape, filters: int, geometry: Geometry) -> Convolution:
        """The convolution of images of ``shape``; what is left over after the last pool window is dropped."""
        size = map_size(shape[:2], geometry.kernel, geometry.stride, geometry.pad)
        return cls(shape, geometry, (size[0] // geometry.pool[0], size[1] // geometry.pool[1], filters))

    @property
    def filters(self) -> int:
        """Number of filters."""
        return self.output[2]

    @property
    def taps(self) -> int:
        """Products in one sum."""
        return self.geometry.kernel[0] * self.geometry.kernel[1] * self.shape[2]

    @property
    def phases(self) -> int:
        """Positions in one pool window."""
        return self.geometry.pool[0] * self.geometry.pool[1]

    def border(self, x: Array) -> float:
        """What padding counts as."""
        return border_of(self.geometry, x)


def border_of(geometry: Geometry, x: Array) -> float:
    """What padding of a map counts as: -1 or +1, for bytes that of 0 or 255; or 0."""
    return float(geometry.border * (arrays.BYTE_MIDDLE if x.dtype == np.uint8 else 1))


def check_exact(taps: int, largest: int, where: str) -> None:
    """Raise NetworkError where a sum of ``taps`` products could leave the integers that float32 holds exactly."""
    if taps * largest >= EXACT_LIMIT:
        raise NetworkError(
            f"{where}: sums of {taps} taps with values up to {largest} reach {taps * largest}, "
            f"and only integers below {EXACT_LIMIT} are exact in float32: use a smaller kernel or input"
        )


def forward(x: Array, weights: Array, conv: Convolution) -> tuple[Array, Array | None]:
    """``arrays.conv_forward`` by the fastest means there is."""
    if not native.serves(x):
        return arrays.conv_forward(conv, x, weights)
    x, weights = np.ascontiguousarray(x), np.ascontiguousarray(weights)
    y = np.empty((len(x), *conv.output), np.float32)
    winners = np.empty(y.shape, np.uint8) if conv.phases > 1 else None

    def work(_: int, part: slice) -> None:
        native.conv_forward(conv, x[part], weights, y[part], None if winners is None else winners[part])

    for_each(work, slices(len(x)))
    return y, winners


@dataclass
class Backward:
    """Gradients of one ``forward`` call: its arguments and the winners it returned."""

    x: Array
    weights: Array
    winners: Array | None
    conv: Convolution

    def run(self, gy: Array, input_too: bool) -> tuple[Array, Array | None]:
        """Return the gradient of the weights, (filters, taps), and of x if ``input_too``, both float32."""
        if not native.serves(self.x):
            return arrays.conv_backward(self.conv, (self.x, self.weights, gy, self.winners), input_too)
        x, weights, gy = map(np.ascontiguousarray, (self.x, self.weights, gy))
        parts = slices(len(x))
        partial = np.empty((len(parts), *weights.shape), np.float32)
        gx = np.empty(x.shape, np.float32) if input_too else None

        def work(index: int, part: slice) -> None:
            winners = None if self.winners is None else self.winners[part]
            given = (x[part], weights, gy[part], winners)
            native.conv_backward(self.conv, given, partial[index], None if gx is None else gx[part])

        for_each(work, parts)
        return partial.sum(axis=0), gx

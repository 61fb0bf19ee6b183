"""Stateless functions of binarized networks as Chainer function nodes; maps are (image, height, width, channel)."""

from __future__ import annotations

import numpy as np

from ebnn.errors import NetworkError
from ebnn.geometry import Geometry, Pair, window_fault
from ebnn.train import arrays, convolve, depthwise, estimators, native, normalize, pooling
from ebnn.train.arrays import Array
from ebnn.train.compat import chainer
from ebnn.train.estimators import Estimator

Variable = chainer.Variable
Arrays = tuple[np.ndarray, ...]


def pair(size: int | Pair) -> Pair:
    """(size, size), or the pair itself."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def binarize(x: Array) -> Array:
    """float32: +1 where x >= 0, else -1."""
    if native.serves(x):
        return native.sign(np.ascontiguousarray(x))
    xp = arrays.module(x)
    return xp.where(x >= 0, np.float32(1), np.float32(-1))


class BinaryConv2DFunction(chainer.FunctionNode):
    """sum over the taps of B * x, then the maximum of each pool window of ``geometry``.

    B, float32 (filters, kernel height, kernel width, channels), are the weights as used (``ebnn.train.weights``).
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry

    def forward(self, inputs: Arrays) -> Arrays:
        x, weights = inputs
        self.retain_inputs((0, 1))
        self._conv = convolve.Convolution.of(x.shape[1:], len(weights), self.geometry)
        y, self._winners = convolve.forward(x, weights.reshape(len(weights), -1), self._conv)
        return (y,)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, weights = (variable.array for variable in self.get_retained_inputs())
        call = convolve.Backward(x, weights.reshape(len(weights), -1), self._winners, self._conv)
        gweights, gx = call.run(gradients[0].array, 0 in indexes)
        found = {0: gx, 1: gweights.reshape(weights.shape)}
        return tuple(chainer.as_variable(found[index]) for index in indexes)


class BinaryDepthwise2DFunction(chainer.FunctionNode):
    """Filter f's sum over its taps of B * x, x of channel f mod C; B is (filters, kernel height, kernel width, 1).

    gB of a tap is the sum over the positions of gy * x there, gx of a pixel that of gy * B over the taps that read it.
    Source: Howard et al., "MobileNets" (2017).
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry

    def forward(self, inputs: Arrays) -> Arrays:
        self.retain_inputs((0, 1))
        return (depthwise.forward(*inputs, self.geometry),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, weights = (variable.array for variable in self.get_retained_inputs())
        gx, gweights = depthwise.backward(x, weights, gradients[0].array, self.geometry)
        found = {0: gx, 1: gweights}
        return tuple(chainer.as_variable(found[index]) for index in indexes)


class BinaryDenseFunction(chainer.FunctionNode):
    """x @ B.T with x flattened to (N, taps) and the weights as used, B, float32 (units, taps)."""

    def forward(self, inputs: Arrays) -> Arrays:
        self.retain_inputs((0, 1))
        return (self._flat(inputs[0]) @ inputs[1].T,)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, weights = (variable.array for variable in self.get_retained_inputs())
        gy, found = gradients[0].array, []
        for index in indexes:
            gradient = gy.T @ self._flat(x) if index else (gy @ weights).reshape(x.shape)
            found.append(chainer.as_variable(gradient))
        return tuple(found)

    @staticmethod
    def _flat(x: np.ndarray) -> np.ndarray:
        return arrays.to_floats(x).reshape(len(x), -1)


class MaxPoolFunction(chainer.FunctionNode):
    """Maximum of each window; see ``max_pool``."""

    def __init__(self, window: Pair, stride: Pair, pad: Pair) -> None:
        super().__init__()
        self.windows = (window, stride, pad)

    def forward(self, inputs: Arrays) -> Arrays:
        self._shape = inputs[0].shape[1:]
        y, self._winners = pooling.forward(inputs[0], self.windows)
        return (y,)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        gx = pooling.backward(self._winners, gradients[0].array, self._shape, self.windows)
        return (chainer.as_variable(gx),)


class SumPoolFunction(chainer.FunctionNode):
    """Sum of each window; see ``sum_pool``. Each position of a window has the gradient of its sum."""

    def __init__(self, window: Pair) -> None:
        super().__init__()
        self.windows = (window, window, (0, 0, 0, 0))

    def forward(self, inputs: Arrays) -> Arrays:
        self._shape = inputs[0].shape[1:]
        return (pooling.sums(inputs[0], self.windows),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        return (chainer.as_variable(pooling.spread(gradients[0].array, self._shape, self.windows)),)


class ThermometerFunction(chainer.FunctionNode):
    """Bytes as +1 and -1: [x >= T_k] for k = 1 to ``levels``, T_k = ceil(256 k / (levels + 1)); it has no gradient.

    Level after level, in each of them channel after channel.
    Source: Buckman et al., "Thermometer Encoding: One Hot Way to Resist Adversarial Examples" (2018).
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.thresholds = [-(-256 * k // (levels + 1)) for k in range(1, levels + 1)]

    def forward(self, inputs: Arrays) -> Arrays:
        xp = arrays.module(inputs[0])
        hits = [inputs[0] >= threshold for threshold in self.thresholds]
        return (xp.where(xp.concatenate(hits, axis=-1), np.float32(1), np.float32(-1)),)


class LevelsFunction(chainer.FunctionNode):
    """x - shift_k for each level k, level after level: float32 (..., levels * C) of x (..., C) and shifts (levels, C).

    gx is the sum of the levels' gradients, that of a shift minus the sum of its own.
    """

    def forward(self, inputs: Arrays) -> Arrays:
        x, shift = inputs
        self.levels = len(shift)
        return (arrays.module(x).concatenate([x - row for row in shift], axis=-1),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        gy = gradients[0].array
        each = gy.reshape(*gy.shape[:-1], self.levels, -1)
        found = {0: each.sum(axis=-2), 1: -each.reshape(-1, *each.shape[-2:]).sum(axis=0)}
        return tuple(chainer.as_variable(found[index]) for index in indexes)


class BatchNormFunction(chainer.FunctionNode):
    """Batch norm with the statistics of the batch; ``mean`` and ``variance`` hold them afterwards."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, inputs: Arrays) -> Arrays:
        x, gamma, beta = inputs
        self.retain_inputs((0, 1))
        y, self.mean, self.variance = normalize.forward(x, gamma, beta, self.eps)
        return (y,)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, gamma = (variable.array for variable in self.get_retained_inputs())
        inverse = normalize.inverse_deviation(self.variance, self.eps)
        found = normalize.backward(x, gradients[0].array, self.mean, inverse, gamma)
        return tuple(chainer.as_variable(found[index]) for index in indexes)


class FixedBatchNormFunction(chainer.FunctionNode):
    """Batch norm with given statistics, for inference: it has no gradient."""

    def __init__(self, mean: np.ndarray, variance: np.ndarray, eps: float) -> None:
        super().__init__()
        self._mean, self._inverse = mean, normalize.inverse_deviation(variance, eps)

    def forward(self, inputs: Arrays) -> Arrays:
        x, gamma, beta = inputs
        return (normalize.affine(x, self._mean, gamma * self._inverse, beta),)


class SignFunction(chainer.FunctionNode):
    """+1 where x >= 0, else -1, with the gradient of an estimator."""

    def __init__(self, factor: Estimator) -> None:
        super().__init__()
        self._factor = factor

    def forward(self, inputs: Arrays) -> Arrays:
        self.retain_inputs((0,))
        return (binarize(inputs[0]),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, gy = self.get_retained_inputs()[0].array, gradients[0].array
        at_once = getattr(self._factor, "gradient", None)
        return (chainer.as_variable(at_once(x, gy) if at_once else gy * self._factor(x)),)


class GainFunction(chainer.FunctionNode):
    """a s with a = mean|W| of each filter, the closed form of the best positive scale of sign(W).

    gs = a g, gW = sign(W) / taps * sum(g s). At inference a positive scale before batch norm changes nothing: it is
    folded into the threshold.
    Source: Rastegari et al., "XNOR-Net" (2016).
    """

    def forward(self, inputs: Arrays) -> Arrays:
        self.retain_inputs((0, 1))
        return (inputs[0] * self._gain(inputs[1]),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        sums, latent = (variable.array for variable in self.get_retained_inputs())
        gy, taps = gradients[0].array, np.float32(latent[0].size)
        each = _by_channel(gy * sums) / taps
        glatent = binarize(latent) * each.reshape(-1, *[1] * (latent.ndim - 1))
        found = {0: gy * self._gain(latent), 1: glatent}
        return tuple(chainer.as_variable(found[index]) for index in indexes)

    @staticmethod
    def _gain(latent: Array) -> Array:
        return arrays.module(latent).abs(latent).reshape(len(latent), -1).mean(axis=1)


class ShiftFunction(chainer.FunctionNode):
    """x - unit * shift, a learnable shift of each channel in steps of ``unit``."""

    def __init__(self, unit: float = 1.0) -> None:
        super().__init__()
        self._unit = np.float32(unit)

    def forward(self, inputs: Arrays) -> Arrays:
        return (inputs[0] - self._unit * inputs[1],)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        gy = gradients[0].array
        found = {0: gy, 1: -self._unit * _by_channel(gy)}
        return tuple(chainer.as_variable(found[index]) for index in indexes)


class PReLUFunction(chainer.FunctionNode):
    """x where x >= 0, else max(slope, 0) x; a slope that is not above 0 learns only upwards, so it stays about 0.

    It never falls with x: behind a linear layer and before sign it is folded into the threshold.
    Source: He et al., "Delving Deep into Rectifiers" (2015).
    """

    def forward(self, inputs: Arrays) -> Arrays:
        x, slope = inputs
        self.retain_inputs((0, 1))
        return (x * self._factor(x, slope),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, slope = (variable.array for variable in self.get_retained_inputs())
        gy = gradients[0].array
        gslope = _by_channel(gy * x * (x < 0))
        found = {0: gy * self._factor(x, slope), 1: gslope * ((slope > 0) | (gslope < 0))}
        return tuple(chainer.as_variable(found[index]) for index in indexes)

    @staticmethod
    def _factor(x: Array, slope: Array) -> Array:
        xp = arrays.module(x)
        return xp.where(x >= 0, xp.float32(1), xp.maximum(slope, xp.float32(0)))


class FreePReLUFunction(PReLUFunction):
    """x where x >= 0, else slope x, with a slope of any sign: gx = gy or slope gy, gslope = sum(gy x) where x < 0.

    With a slope below 0 it falls, then rises: behind a linear layer and before batch norm and sign the bit switches at
    two sums at most.
    """

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        x, slope = (variable.array for variable in self.get_retained_inputs())
        gy = gradients[0].array
        found = {0: gy * self._factor(x, slope), 1: _by_channel(gy * x * (x < 0))}
        return tuple(chainer.as_variable(found[index]) for index in indexes)

    @staticmethod
    def _factor(x: Array, slope: Array) -> Array:
        xp = arrays.module(x)
        return xp.where(x >= 0, xp.float32(1), slope)


def _by_channel(x: Array) -> Array:
    """float32 (C,): sums over all axes but the last."""
    return x.reshape(-1, x.shape[-1]).sum(axis=0)


class ScoresFunction(chainer.FunctionNode):
    """exp(log_scale) * (s + B), B = 2 bias rounded to multiples of ``step``; the gradient passes through unchanged.

    ``integers`` holds s + B, float32, afterwards.
    """

    def __init__(self, step: float = 2.0) -> None:
        super().__init__()
        self._step = step

    def forward(self, inputs: Arrays) -> Arrays:
        sums, bias, log_scale = inputs
        self.retain_inputs((2,))
        self.integers = sums + offsets_of(bias, self._step)
        return (np.exp(log_scale) * self.integers,)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        scale, gy = np.exp(self.get_retained_inputs()[0].array), gradients[0].array
        gsums = scale * gy
        found = {0: gsums, 1: 2 * gsums.sum(axis=0), 2: (gy * self.integers).sum().reshape(1) * scale}
        return tuple(chainer.as_variable(found[index]) for index in indexes)


def offsets_of(bias: np.ndarray, step: float) -> np.ndarray:
    """float32 2 bias, in steps: sums of -1 and +1 are all even or all odd, so even steps are their resolution."""
    return np.float32(step) * np.rint(bias * np.float32(2 / step))


def max_pool(x: Variable, window: int | Pair, stride: int | Pair | None = None, pad: int | Pair = 0) -> Variable:
    """Maximum of each window of a map (N, H, W, C), float32.

    Only whole windows count: floor((H + 2 pad - window) / stride) + 1 rows. ``stride`` is the window's size where
    none is given; padding never counts. Right after a convolution, ``conv(x, pool=window)`` is the same and faster.

    Raises:
        NetworkError: when no window fits, or padding is as large as the window.
    """
    windows = (pair(window), pair(window if stride is None else stride), pair(pad))
    fault = window_fault("max_pool", windows[0], windows[1], windows[2] * 2)
    if fault:
        raise NetworkError(fault)
    if x.ndim != 4 or min(pooling.output_size(x.shape[1:], *windows)) < 1:
        raise NetworkError(f"max_pool: a window {windows[0]} does not fit into a map of shape {x.shape[1:]}")
    return MaxPoolFunction(*windows).apply((x,))[0]


def sum_pool(x: Variable, window: int | Pair) -> Variable:
    """Sum of each window of a map (N, H, W, C), float32; windows do not overlap, what is left over is dropped.

    Raises:
        NetworkError: when no window fits.
    """
    size = pair(window)
    fault = window_fault("sum_pool", size, size, (0,) * 4)
    if fault or x.ndim != 4 or x.shape[1] < size[0] or x.shape[2] < size[1]:
        raise NetworkError(fault or f"sum_pool: a window {size} does not fit into a map of shape {x.shape[1:]}")
    return SumPoolFunction(size).apply((x,))[0]


def thermometer(x: Variable, levels: int) -> Variable:
    """float32 (N, H, W, levels * C) of -1 and +1, of bytes (N, H, W, C) uint8; as the first function of a chain."""
    return ThermometerFunction(levels).apply((x,))[0]


def sign(x: Variable, estimator: str | Estimator = "ste") -> Variable:
    """Binarize: +1 where x >= 0 (so at 0), else -1, float32.

    ``estimator`` is a name or a function of ``ebnn.train.estimators``; it replaces the derivative.
    """
    return SignFunction(estimators.find(estimator)).apply((x,))[0]

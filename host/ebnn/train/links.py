"""Links of binarized networks, for a person's own ``chainer.Chain``; maps are (image, height, width, channel).

The order to use is convolution, pool, batch norm, sign; ``BinaryDense`` then ``Scores`` at the end:

    h = sign(self.bn1(self.conv1(x, pool=2)))
    h = sign(self.bn2(self.conv2(h, pool=2)))
    return self.scores(self.dense(h))

The first link takes the images as they are, uint8; a byte x then counts as the integer 2 x - 255. Between a linear
link and sign may stand any of ``PReLU``, ``RPReLU``, ``BatchNorm`` and ``Shift``, and one pool after a convolution:
they cost the device nothing, because all of them together are folded into one threshold a channel. ``Levels`` right
before sign makes more channels. A residual block is ``r = self.map1(self.conv1(h), r)``, then ``h = sign(r)``, with a
``maps.MapNorm``.
"""

from __future__ import annotations

import math

import numpy as np

from ebnn.errors import NetworkError
from ebnn.geometry import MAX_BYTE, Geometry, Pair, map_size, window_fault
from ebnn.train import functions, weights
from ebnn.train.compat import chainer
from ebnn.train.convolve import MOST_PHASES, check_exact
from ebnn.train.functions import Variable, pair

BN_EPS = 1e-4  # added to the variance; sums are integers, so real variances are far larger
BN_DECAY = 0.9  # weight of the old running statistics at each step
SLOPE_START = 0.25  # of PReLU where x < 0
SCALE_START = 1 / 16  # of the scores' learnable scale


def _largest(x: Variable) -> int:
    return MAX_BYTE if x.dtype == np.uint8 else 1


class BinaryLink(chainer.Link):
    """A link with latent float32 weights, which ``binarizer`` turns into those that are used.

    Args:
        shape: (filters, ...) of the weights.
        binarizer: a name of ``ebnn.train.weights``.
        gain: whether a filter's sums are multiplied with the mean magnitude of its latent weights
            (``functions.GainFunction``); not before Scores, which has one scale for all.
    """

    def __init__(self, shape: tuple[int, ...], binarizer: str = "clip", gain: bool = False) -> None:
        super().__init__()
        self.taps, self.gain = math.prod(shape[1:]), gain
        self.binarizer = weights.find(binarizer)
        check_exact(self.taps, max(1, self.binarizer.most), type(self).__name__)
        with self.init_scope():
            self.W = chainer.Parameter(chainer.initializers.Uniform(1.0), shape)

    @property
    def signs(self) -> np.ndarray:
        """int8 weights as used, in the shape of ``W``; raises NetworkError where the link's are floats."""
        if not self.is_integer:
            raise NetworkError(f"{self._where()}: its weights are floats, not -1 and +1")
        return chainer.backends.cuda.to_cpu(self.binarizer.values(self.W.array)).astype(np.int8)

    @property
    def is_binary(self) -> bool:
        """Whether the finished network's weights are -1 and +1."""
        return self.binarizer.most == 1

    @property
    def is_integer(self) -> bool:
        """Whether the finished network's weights are integers."""
        return self.binarizer.most > 0

    def keep_within(self, limit: float) -> None:
        """Clip latent weights to plus and minus ``limit``; floats may grow."""
        if self.is_integer:
            self.W.array.clip(-limit, limit, out=self.W.array)

    def _sums(self, function: chainer.FunctionNode, x: Variable, average: Pair = (1, 1)) -> Variable:
        sums = function.apply((x, weights.used(self.W, self.binarizer)))[0]
        if average != (1, 1):
            check_exact(self.taps * math.prod(average), _largest(x) * max(1, self.binarizer.most), self._where())
            sums = functions.sum_pool(sums, average)
        return functions.GainFunction().apply((sums, self.W))[0] if self.gain else sums

    def _where(self) -> str:
        return f"{self.name or ''} ({type(self).__name__})".strip()

    def _check_values(self, x: Variable) -> None:
        if x.dtype not in (np.uint8, np.float32):
            raise NetworkError(f"{self._where()}: input must be uint8 or float32, got {x.dtype}")
        check_exact(self.taps, _largest(x) * max(1, self.binarizer.most), self._where())


class BinaryConv2D(BinaryLink):
    """Convolution with weights -1 and +1: integer sums, float32 (N, h, w, filters).

    Args:
        in_channels: channels of the input, (N, H, W, in_channels) uint8, or float32 of -1 and +1.
        filters: channels of the output.
        kernel, stride, pad: one number or (height, width).
        border: what padding holds, -1 or +1, for bytes that is 0 or 255; 0 for float maps.
        options: ``binarizer`` and ``gain`` of ``BinaryLink``.

    Raises:
        NetworkError: for sizes that cannot be, or sums that float32 does not hold exactly.
    """

    def __init__(
        self,
        in_channels: int,
        filters: int,
        kernel: int | Pair,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        border: int = -1,
        **options,
    ) -> None:
        self.geometry = _geometry(f"BinaryConv2D({in_channels}, {filters})", kernel, stride, pad, border)
        if min(in_channels, filters) < 1:
            raise NetworkError(f"BinaryConv2D({in_channels}, {filters}): channels must be 1 or more")
        super().__init__((filters, *self.geometry.kernel, in_channels), **options)

    def forward(self, x: Variable | np.ndarray, pool: int | Pair = 1, average: int | Pair = 1) -> Variable:
        """The sums, or of each window the maximum (``pool``) or their sum, which batch norm makes an average of.

        Windows do not overlap, what is left over is dropped. There is one of the two at most.
        """
        x = chainer.as_variable(x)
        if x.ndim != 4 or x.shape[3] != self.W.shape[3]:
            raise NetworkError(f"{self._where()}: input must be (N, H, W, {self.W.shape[3]}), got {x.shape}")
        self._check_values(x)
        geometry = self._pooled(x, pair(pool))
        if math.prod(geometry.pool) > MOST_PHASES:
            return functions.max_pool(self.forward(x), pool)
        return self._sums(functions.BinaryConv2DFunction(geometry), x, pair(average))

    def _pooled(self, x: Variable, pool: Pair) -> Geometry:
        g = self.geometry
        size, fault = map_size(x.shape[1:3], g.kernel, g.stride, g.pad), window_fault("pool", pool, pool, (0,) * 4)
        if fault:
            raise NetworkError(f"{self._where()}: {fault}")
        if size[0] < pool[0] or size[1] < pool[1]:
            raise NetworkError(f"{self._where()}: no window fits into an input of shape {x.shape[1:]}")
        return Geometry(g.kernel, g.stride, g.pad, g.border, pool, pool)


class BinaryDepthwise2D(BinaryLink):
    """Convolution of each channel on its own, weights -1 and +1: integer sums, float32 (N, h, w, times * channels).

    Args:
        channels: of the input, (N, H, W, channels) uint8, or float32 of -1 and +1.
        times: filters of each channel; filter f reads channel f mod channels.
        kernel, stride, pad, border, options: as of ``BinaryConv2D``.

    Raises:
        NetworkError: for sizes that cannot be, or sums that float32 does not hold exactly.
    """

    def __init__(
        self,
        channels: int,
        times: int,
        kernel: int | Pair,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        border: int = -1,
        **options,
    ) -> None:
        self.geometry = _geometry(f"BinaryDepthwise2D({channels}, {times})", kernel, stride, pad, border)
        if min(channels, times) < 1:
            raise NetworkError(f"BinaryDepthwise2D({channels}, {times}): channels must be 1 or more")
        super().__init__((times * channels, *self.geometry.kernel, 1), **options)
        self.channels = channels

    def forward(self, x: Variable | np.ndarray, pool: int | Pair = 1, average: int | Pair = 1) -> Variable:
        """The sums, their maxima or their windows' sums, as of ``BinaryConv2D``."""
        x = chainer.as_variable(x)
        if x.ndim != 4 or x.shape[3] != self.channels:
            raise NetworkError(f"{self._where()}: input must be (N, H, W, {self.channels}), got {x.shape}")
        self._check_values(x)
        g = self.geometry
        if min(map_size(x.shape[1:3], g.kernel, g.stride, g.pad)) < 1:
            raise NetworkError(f"{self._where()}: no window fits into an input of shape {x.shape[1:]}")
        sums = self._sums(functions.BinaryDepthwise2DFunction(g), x, pair(average))
        return sums if pair(pool) == (1, 1) else functions.max_pool(sums, pool)


def _geometry(where: str, kernel: int | Pair, stride: int | Pair, pad: int | Pair, border: int) -> Geometry:
    """The geometry of a convolution; raises NetworkError, naming ``where``, for one that cannot be."""
    geometry = Geometry(pair(kernel), pair(stride), pair(pad) * 2, border)
    fault = window_fault("kernel", geometry.kernel, geometry.stride, geometry.pad)
    if border not in (-1, 0, 1):
        fault = f"border must be -1, 0 or +1, got {border}"
    if fault:
        raise NetworkError(f"{where}: {fault}")
    return geometry


class BinaryDense(BinaryLink):
    """Fully connected layer with weights -1 and +1: integer sums, float32 (N, units).

    Args:
        in_size: values of one input; maps are taken in the order row, column, channel.
        units: number of sums.
        options: ``binarizer`` and ``gain`` of ``BinaryLink``.
    """

    def __init__(self, in_size: int, units: int, **options) -> None:
        super().__init__((units, in_size), **options)

    def forward(self, x: Variable | np.ndarray) -> Variable:
        """``x`` is (N, ...) with ``in_size`` values each: uint8, or float32 of -1 and +1."""
        x = chainer.as_variable(x)
        if math.prod(x.shape[1:]) != self.taps:
            raise NetworkError(f"{self._where()}: input must be (N, {self.taps}) or a map of that size, got {x.shape}")
        self._check_values(x)
        return self._sums(functions.BinaryDenseFunction(), x)


class BatchNorm(chainer.Link):
    """Batch normalization of the last axis: gamma * (x - mean) / sqrt(variance + eps) + beta.

    While training, mean and variance are the batch's and the running ones follow with ``decay``; otherwise the
    running ones are used, computed as ((x - mean) * (gamma / sqrt(variance + eps))) + beta in float32, which the
    export folds exactly.

    Args:
        channels: size of the last axis.
        decay: weight of the old running statistics at each step.
        eps: added to the variance.
    """

    def __init__(self, channels: int, decay: float = BN_DECAY, eps: float = BN_EPS) -> None:
        super().__init__()
        self.decay, self.eps = decay, eps
        with self.init_scope():
            self.gamma = chainer.Parameter(np.ones(channels, np.float32))
            self.beta = chainer.Parameter(np.zeros(channels, np.float32))
        self.mean = np.zeros(channels, np.float32)
        self.variance = np.ones(channels, np.float32)
        self.register_persistent("mean")
        self.register_persistent("variance")

    def forward(self, x: Variable) -> Variable:
        """Normalize float32 (..., channels)."""
        if x.shape[-1] != len(self.gamma):
            raise NetworkError(f"{self.name} (BatchNorm): {len(self.gamma)} channels, but the input is {x.shape}")
        if not chainer.config.train:
            function = functions.FixedBatchNormFunction(self.mean, self.variance, self.eps)
            return function.apply((x, self.gamma, self.beta))[0]
        function = functions.BatchNormFunction(self.eps)
        (y,) = function.apply((x, self.gamma, self.beta))
        keep, new = np.float32(self.decay), np.float32(1 - self.decay)
        self.mean = keep * self.mean + new * function.mean
        self.variance = keep * self.variance + new * function.variance
        return y


class Shift(chainer.Link):
    """x - shift, learnable for each channel, right before sign: where a channel switches is learned by itself.

    Source: Liu et al., "ReActNet" (2020), there named RSign.

    Args:
        channels: size of the last axis.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        with self.init_scope():
            self.shift = chainer.Parameter(np.zeros(channels, np.float32))

    def forward(self, x: Variable) -> Variable:
        """Shift float32 (..., channels)."""
        return functions.ShiftFunction().apply((x, self.shift))[0]


class Levels(chainer.Link):
    """``levels`` shifts of each channel, so that sign makes as many bits of it: [x >= shift_k], a thermometer.

    They begin evenly spread between -1 and 1.
    Source: Lin, Zhao and Pan, "Towards Accurate Binary Convolutional Neural Network" (ABC-Net, 2017), whose activation
    bases these are; instead of a factor for each the next layer has weights for each.

    Args:
        channels: size of the last axis of what is read.
        levels: how often it is made.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        begin = (2 * np.arange(levels) + 1 - levels) / levels
        with self.init_scope():
            self.shift = chainer.Parameter(np.repeat(begin[:, None], channels, axis=1).astype(np.float32))

    def forward(self, x: Variable) -> Variable:
        """float32 (..., levels * channels), level after level, of (..., channels)."""
        return functions.LevelsFunction().apply((x, self.shift))[0]


class PReLU(chainer.Link):
    """x, or slope * x where x < 0, with a learnable slope for each channel (``functions.PReLUFunction``).

    Args:
        channels: size of the last axis.
        free: whether slopes may be below 0, which take a second threshold on the device; else they are 0 or more.
    """

    def __init__(self, channels: int, free: bool = False) -> None:
        super().__init__()
        self.free = free
        with self.init_scope():
            self.slope = chainer.Parameter(np.full(channels, SLOPE_START, np.float32))

    def forward(self, x: Variable) -> Variable:
        """Bend float32 (..., channels)."""
        kind = functions.FreePReLUFunction if self.free else functions.PReLUFunction
        return kind().apply((x, self.slope))[0]


class RPReLU(PReLU):
    """``PReLU`` between two learnable shifts: f(x - u before) - u after.

    Source: Liu et al., "ReActNet" (2020).

    Args:
        channels: size of the last axis.
        unit: u, about the deviation of x, so that shifts of sums learn as fast as other parameters.
        free: as of ``PReLU``.
    """

    def __init__(self, channels: int, unit: float = 1.0, free: bool = False) -> None:
        super().__init__(channels, free)
        self.unit = unit
        with self.init_scope():
            self.before = chainer.Parameter(np.zeros(channels, np.float32))
            self.after = chainer.Parameter(np.zeros(channels, np.float32))

    def forward(self, x: Variable) -> Variable:
        """Bend float32 (..., channels)."""
        (h,) = functions.ShiftFunction(self.unit).apply((x, self.before))
        (h,) = functions.ShiftFunction(self.unit).apply((super().forward(h), self.after))
        return h


class Scores(chainer.Link):
    """Head: logits = scale * (s + B), with integers B and one shared positive scale.

    So the class with the largest integer score s_k + B_k, which is what the device computes, is the class
    with the largest logit.

    Args:
        classes: number of scores.
        scale: with which training begins.
        step: of B: 2 for sums of -1 and +1; for those of averages and other maps of integers a power of two down to
            2^-fraction of theirs, since their sums are finer and smaller.
    """

    def __init__(self, classes: int, scale: float = SCALE_START, step: float = 2.0) -> None:
        super().__init__()
        self.step = step
        with self.init_scope():
            self.bias = chainer.Parameter(np.zeros(classes, np.float32))
            self.log_scale = chainer.Parameter(np.full(1, np.log(scale), np.float32))

    @property
    def offsets(self) -> np.ndarray:
        """float32 B, one a class: multiples of ``step``."""
        return functions.offsets_of(self.bias.array, self.step)

    def forward(self, sums: Variable) -> Variable:
        """Logits float32 (N, classes) from the integer sums of a ``BinaryDense``."""
        if sums.shape[1:] != self.bias.shape:
            raise NetworkError(f"{self.name} (Scores): {len(self.bias)} classes, but the input is {sums.shape}")
        return functions.ScoresFunction(self.step).apply((sums, self.bias, self.log_scale))[0]

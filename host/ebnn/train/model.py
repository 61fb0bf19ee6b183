"""A configuration's architecture as a Chainer chain."""

from __future__ import annotations

import math

import numpy as np

from ebnn import arch, ops
from ebnn.geometry import MAX_BYTE, Shape
from ebnn.train import estimators, functions, links, maps
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.functions import Variable
from ebnn.train.links import (
    BatchNorm,
    BinaryConv2D,
    BinaryDense,
    BinaryDepthwise2D,
    Levels,
    PReLU,
    RPReLU,
    Scores,
    Shift,
)
from ebnn.train.maps import Bases, MapNorm
from ebnn.train.weights import INT8

Step = tuple[str, str, dict]  # what to do, the link's name, further arguments

AVERAGE_SCALE = 1 / 2  # of scores that are sums of averages, when training begins
AVERAGE_STEP = 4  # their offsets are multiples of 2^-4, or of the averages' own step
DEVIATION = 1 / math.sqrt(3)  # of values spread evenly over -1 to 1


class Net(chainer.Chain):
    """Layers in a row, each a convolution or dense with what follows up to sign; at the end dense and scores.

    Between the linear link and sign stand, each where the configuration asks for it: the activation, batch norm and the
    learnable shift. A convolution's pool stands where ``order`` says. Layers with ``+`` add to a map of integers.

    Args:
        config: arch, and what the other fields say of its layers.
        input_shape: (height, width, channels) of an image.

    Raises:
        ConfigError: when a window does not fit.
    """

    def __init__(self, config: Config, input_shape: Shape) -> None:
        super().__init__()
        self.config, self.architecture = config, arch.parse(config.arch)
        self.estimator = estimators.find(config.estimator, config.ste_clip)
        self.steps: list[Step] = []
        self._number = 0  # of the layer that is being added, counted from 1 by those with weights
        self.map_shape: Shape | None = None
        self.shapes = [input_shape, *self.architecture.shapes(input_shape)]
        with self.init_scope():
            for index, layer in enumerate(self.architecture.layers):
                self._add(layer, index)

    def _add(self, layer: arch.Layer, index: int) -> None:
        before = self.architecture.layers[index - 1]
        self._number += isinstance(layer, arch.Conv | arch.Depthwise | arch.Dense)
        if isinstance(layer, arch.Conv | arch.Depthwise):
            self._add_conv(layer, index)
        elif isinstance(layer, arch.Dense):
            self._add_dense(layer, index)
        elif isinstance(layer, arch.Thermometer):
            self.steps.append(("encode", "", {"levels": layer.levels}))
        elif layer == arch.Average():
            self._add_average(index)
        elif isinstance(before, arch.Pool):
            self.steps.append(_pool_step(layer))

    def _add_conv(self, layer: arch.Conv | arch.Depthwise, index: int) -> None:
        after, is_last = self.architecture.layers[index + 1], self._makes_scores(index)
        pool = after if isinstance(after, arch.Pool) else None
        sums_up = layer.adds or layer.bases > 1
        first = pool is not None and (sums_up or self.config.order == "pool-norm-sign")
        window = self._window(index) if first or not pool else {}
        convs = [self._convolution(layer, index, self.config.gain and not is_last) for _ in range(layer.bases)]
        if layer.bases > 1:
            if first and not window:
                raise self.architecture.error(index + 1, "windows overlap, which a layer of several bases cannot pool")
            what = "map" if layer.adds else "link"
            self._add_link(f"bases{self._number}", self._bases(convs, layer, index), what, **window)
        else:
            self._add_link(f"conv{self._number}", convs[0], **window)
            if first and not window:
                self.steps.append(_pool_step(pool))
            if layer.adds:
                self._add_link(f"bn{self._number}", self._map_norm(convs[0], layer, index), "map")
        if not is_last and not (layer.adds and self._is_averaged(index)):
            self._add_features(convs[0], layer, None if first else pool)

    def _is_averaged(self, index: int) -> bool:
        """Whether an average over the whole map is behind a layer and its pool."""
        behind = self.architecture.layers[index + 1 : index + 3]
        has_pool = isinstance(behind[0], arch.Pool) or (isinstance(behind[0], arch.Average) and behind[0].window)
        return behind[bool(has_pool)] == arch.Average()

    def _window(self, index: int) -> dict:
        """What a convolution does of the pool behind it: whole windows, and averages."""
        after = self.architecture.layers[index + 1]
        if isinstance(after, arch.Average) and (after.window or self._makes_scores(index)):
            return {"average": after.window or self.shapes[index + 1][:2]}
        is_whole = isinstance(after, arch.Pool) and after.window == after.stride and after.pad == (0, 0)
        return {"pool": after.window} if is_whole else {}

    def _bases(self, convs: list[links.BinaryLink], layer: arch.Conv | arch.Depthwise, index: int) -> Bases:
        return Bases(convs, [self._map_norm(conv, layer, index) for conv in convs])

    def _makes_scores(self, index: int) -> bool:
        """Whether a convolution's sums over the whole map are the scores."""
        return index == len(self.architecture.layers) - 2 and self.architecture.layers[-1] == arch.Average()

    def _add_average(self, index: int) -> None:
        if self._makes_scores(index - 1):
            self.steps.append(("flat", "", {}))
            added = math.prod(self._window(index - 1)["average"]) * getattr(self, f"conv{self._number}").taps
            self._add_link("scores", Scores(self.architecture.classes, 2 / math.sqrt(added)))
        else:
            grid = maps.Grid.of(self.config.maps) if self.architecture.map_before(index) else None
            self.steps.append(("average", "", {"grid": grid}))

    def _of_averages(self, index: int) -> tuple[float, float]:
        """Scale and step of scores that are sums of averages, which are small and fine."""
        count = math.prod(self.shapes[index][:2])
        in_map = self.architecture.map_before(index)
        fraction = maps.FRACTIONS[self.config.maps] if in_map else round(math.log2(count))
        return AVERAGE_SCALE, 2.0 ** -min(fraction, AVERAGE_STEP)

    def _map_norm(self, linear: links.BinaryLink, layer: arch.Conv | arch.Depthwise, index: int) -> MapNorm:
        """Batch norm onto a map of integers."""
        after, channels = self.architecture.layers[index + 1], len(linear.W)
        pools = isinstance(after, arch.Pool) or (isinstance(after, arch.Average) and after.window)
        made = (*self.shapes[index + 1 + bool(pools)][:2], channels)
        fault = layer.adds and self.map_shape and maps.shortcut_fault(self.map_shape, made)
        if fault:
            raise self.architecture.error(index, fault)
        self.map_shape = made if layer.adds else self.map_shape
        added = math.prod(self._window(index).get("average", ()))
        reach = linear.taps * self._largest * added * (ops.INT8_MOST if linear.binarizer is INT8 else 1)
        return MapNorm(channels, reach, self.config.maps, self.config.shortcut)

    def _convolution(self, layer: arch.Conv | arch.Depthwise, index: int, gain: bool) -> links.BinaryLink:
        config, channels = self.config, self.shapes[index][2]
        border = -1 if self._largest > 1 and config.border == 0 else config.border
        border = 0 if self._number > 1 and config.features == "relu" else border
        windows = (layer.kernel, layer.stride, layer.pad)
        if isinstance(layer, arch.Depthwise):
            return BinaryDepthwise2D(channels, layer.times, *windows, border, binarizer=config.weights, gain=gain)
        if layer.int8 and config.weights != "float":
            return BinaryConv2D(channels, layer.filters, *windows, border, binarizer="int8")
        return BinaryConv2D(channels, layer.filters, *windows, border, binarizer=config.weights, gain=gain)

    def _add_dense(self, layer: arch.Dense, index: int) -> None:
        name, last = f"dense{self._number}", index == len(self.architecture.layers) - 1
        size, gain = math.prod(self.shapes[index]), self.config.gain and not last
        link = BinaryDense(size, layer.units, binarizer=self.config.weights, gain=gain)
        self._add_link(name, link)
        if last:
            averages = self.architecture.layers[index - 1] == arch.Average()
            self._add_link("scores", Scores(layer.units, *(self._of_averages(index - 1) if averages else ())))
        else:
            self._add_features(link, layer)

    def _add_features(self, linear: links.BinaryLink, layer: arch.Layer, pool: arch.Pool | None = None) -> None:
        """What stands between a linear link and its features, and the pool that has not been there yet."""
        number, channels, pools = self._number, len(linear.W), [_pool_step(pool)] if pool else []
        if self.config.activation != "none":
            self._add_link(f"act{number}", self._activation(linear))
        if isinstance(layer, arch.Dense) or not (layer.adds or layer.bases > 1):
            self._add_link(f"bn{number}", BatchNorm(channels))
        if self.config.order == "norm-pool-sign":
            self.steps += pools
        if getattr(layer, "levels", 1) > 1:
            self._add_link(f"levels{number}", Levels(channels, layer.levels))
        elif self.config.learnable_shift:
            self._add_link(f"shift{number}", Shift(channels))
        self.steps.append(("feature", "", {}))
        if self.config.order == "norm-sign-pool":
            self.steps += pools

    @property
    def _largest(self) -> int:
        """The largest magnitude of what the layer that is being added reads."""
        is_coded = isinstance(self.architecture.layers[0], arch.Thermometer)
        return MAX_BYTE if self._number == 1 and not is_coded else 1

    def _add_link(self, name: str, link: chainer.Link, what: str = "link", **arguments) -> None:
        setattr(self, name, link)
        self.steps.append((what, name, arguments))

    def _activation(self, linear: links.BinaryLink) -> chainer.Link:
        free = self.config.negative_slopes
        if self.config.activation == "prelu":
            return PReLU(len(linear.W), free)
        scale = linear.binarizer.most * DEVIATION if linear.binarizer is INT8 else 1
        unit = math.sqrt(linear.taps) * (MAX_BYTE * DEVIATION if self._largest > 1 else 1) * scale
        return RPReLU(len(linear.W), unit, free)

    def forward(self, x: np.ndarray) -> Variable:
        """Logits float32 (N, classes) of images uint8 (N, height, width, channels)."""
        h, r = x, None  # r: the map of integers
        for what, name, arguments in self.steps:
            if what == "map":
                h = r = getattr(self, name)(h, r, **arguments)
            elif what == "link":
                h = getattr(self, name)(h, **arguments)
            elif what == "feature":
                h = self._feature(h)
            else:
                h = FUNCTIONS[what](h, **arguments)
        return h

    def _feature(self, h: Variable) -> Variable:
        return chainer.functions.relu(h) if self.config.features == "relu" else functions.sign(h, self.estimator)


def _flat(h: Variable) -> Variable:
    return chainer.functions.reshape(h, (len(h), -1))


FUNCTIONS = {
    "pool": functions.max_pool,
    "average": maps.average,
    "encode": functions.thermometer,
    "flat": _flat,
}


def _pool_step(pool: arch.Pool) -> Step:
    return ("pool", "", {"window": pool.window, "stride": pool.stride, "pad": pool.pad})


def build(config: Config | str, input_shape: Shape, **changes: object) -> Net:
    """The chain of a configuration, with weights drawn from its ``seed``.

    Args:
        config: or an architecture such as ``16c3-p2-32c3-p2-10``, which stands for ``Config(arch=...)``.
        input_shape: (height, width, channels) of an image.
        changes: fields of the configuration.

    Raises:
        ConfigError: naming the token that is wrong or does not fit.
    """
    config = Config(arch=config, **changes) if isinstance(config, str) else config.replace(**changes)
    np.random.seed(config.seed)
    return Net(config, input_shape)


def binary_links(chain: chainer.Chain) -> list[links.BinaryLink]:
    """Every link with latent weights."""
    return [link for link in chain.links() if isinstance(link, links.BinaryLink)]

"""A configuration's architecture as a Chainer chain."""

from __future__ import annotations

import math

import numpy as np

from ebnn import arch
from ebnn.geometry import MAX_BYTE, Shape
from ebnn.train import estimators, functions, links, maps
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.functions import Variable
from ebnn.train.links import BatchNorm, BinaryConv2D, BinaryDense, BinaryDepthwise2D, PReLU, RPReLU, Scores, Shift
from ebnn.train.maps import MapNorm

Step = tuple[str, str, dict]  # what to do, the link's name, further arguments

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
        if isinstance(layer, arch.Average):
            grid = maps.Grid.of(self.config.maps) if getattr(before, "adds", False) else None
            self.steps.append(("average", "", {"grid": grid}))
        elif isinstance(layer, arch.Conv | arch.Depthwise):
            self._add_conv(layer, index)
        elif isinstance(layer, arch.Dense):
            self._add_dense(layer, index)
        elif isinstance(before, arch.Pool):
            self.steps.append(_pool_step(layer))

    def _add_conv(self, layer: arch.Conv | arch.Depthwise, index: int) -> None:
        name, after = f"conv{self._number}", self.architecture.layers[index + 1]
        pool = after if isinstance(after, arch.Pool) else None
        link = self._convolution(layer, index)
        setattr(self, name, link)
        first = pool is not None and (layer.adds or self.config.order == "pool-norm-sign")
        fused = first and pool.window == pool.stride and pool.pad == (0, 0)
        self.steps.append(("link", name, {"pool": pool.window} if fused else {}))
        if first and not fused:
            self.steps.append(_pool_step(pool))
        if layer.adds:
            self._add_map(link, index + 1 + first)
        if not (layer.adds and isinstance(after, arch.Average)):
            self._add_features(link, layer.adds, None if first else pool)

    def _add_map(self, linear: links.BinaryLink, made: int) -> None:
        """Batch norm onto the map of integers, of the form ``shapes[made]``."""
        fault = self.map_shape and maps.shortcut_fault(self.map_shape, self.shapes[made])
        if fault:
            raise self.architecture.error(made - 1, fault)
        self.map_shape = self.shapes[made]
        norm = MapNorm(len(linear.W), linear.taps * self._largest, self.config.maps, self.config.shortcut)
        self._add_link(f"bn{self._number}", norm, "map")

    def _convolution(self, layer: arch.Conv | arch.Depthwise, index: int) -> links.BinaryLink:
        config, channels = self.config, self.shapes[index][2]
        border = 0 if index > 0 and config.features == "relu" else -1
        windows, options = (layer.kernel, layer.stride, layer.pad), {"binarizer": config.weights, "gain": config.gain}
        if isinstance(layer, arch.Conv):
            return BinaryConv2D(channels, layer.filters, *windows, border, **options)
        return BinaryDepthwise2D(channels, layer.times, *windows, border, **options)

    def _add_dense(self, layer: arch.Dense, index: int) -> None:
        name, last = f"dense{self._number}", index == len(self.architecture.layers) - 1
        size, gain = math.prod(self.shapes[index]), self.config.gain and not last
        link = BinaryDense(size, layer.units, binarizer=self.config.weights, gain=gain)
        setattr(self, name, link)
        self.steps.append(("link", name, {}))
        if last:
            self._add_link("scores", Scores(layer.units))
        else:
            self._add_features(link)

    def _add_features(self, linear: links.BinaryLink, adds: bool = False, pool: arch.Pool | None = None) -> None:
        """What stands between a linear link and its features, and the pool that has not been there yet."""
        number, channels, pools = self._number, len(linear.W), [_pool_step(pool)] if pool else []
        if self.config.activation != "none":
            self._add_link(f"act{number}", self._activation(linear))
        if not adds:
            self._add_link(f"bn{number}", BatchNorm(channels))
        if self.config.order == "norm-pool-sign":
            self.steps += pools
        if self.config.learnable_shift:
            self._add_link(f"shift{number}", Shift(channels))
        self.steps.append(("feature", "", {}))
        if self.config.order == "norm-sign-pool":
            self.steps += pools

    @property
    def _largest(self) -> int:
        """The largest magnitude of what the layer that is being added reads."""
        return MAX_BYTE if self._number == 1 else 1

    def _add_link(self, name: str, link: chainer.Link, what: str = "link") -> None:
        setattr(self, name, link)
        self.steps.append((what, name, {}))

    def _activation(self, linear: links.BinaryLink) -> chainer.Link:
        if self.config.activation == "prelu":
            return PReLU(len(linear.W))
        return RPReLU(len(linear.W), math.sqrt(linear.taps) * (MAX_BYTE * DEVIATION if self._number == 1 else 1))

    def forward(self, x: np.ndarray) -> Variable:
        """Logits float32 (N, classes) of images uint8 (N, height, width, channels)."""
        h, r = x, None  # r: the map of integers
        for what, name, arguments in self.steps:
            if what == "map":
                h = r = getattr(self, name)(h, r)
            elif what == "link":
                h = getattr(self, name)(h, **arguments)
            elif what == "feature":
                h = self._feature(h)
            else:
                h = FUNCTIONS[what](h, **arguments)
        return h

    def _feature(self, h: Variable) -> Variable:
        return chainer.functions.relu(h) if self.config.features == "relu" else functions.sign(h, self.estimator)


FUNCTIONS = {"pool": functions.max_pool, "average": maps.average}


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

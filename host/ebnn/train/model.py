"""A configuration's architecture as a Chainer chain."""

from __future__ import annotations

import math

import numpy as np

from ebnn import arch
from ebnn.geometry import MAX_BYTE, Shape
from ebnn.train import estimators, functions, links
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.functions import Variable
from ebnn.train.links import BatchNorm, BinaryConv2D, BinaryDense, BinaryDepthwise2D, PReLU, RPReLU, Scores, Shift

Step = tuple[str, str, dict]  # what to do, the link's name, further arguments

DEVIATION = 1 / math.sqrt(3)  # of values spread evenly over -1 to 1


class Net(chainer.Chain):
    """Layers in a row, each a convolution or dense with what follows up to sign; at the end dense and scores.

    Between the linear link and sign stand, each where the configuration asks for it: the activation, batch norm and the
    learnable shift. A convolution's pool stands where ``order`` says.

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
        shapes = [input_shape, *self.architecture.shapes(input_shape)]
        with self.init_scope():
            for index, layer in enumerate(self.architecture.layers):
                self._add(layer, index, shapes[index])

    def _add(self, layer: arch.Layer, index: int, shape: Shape) -> None:
        layers, number = self.architecture.layers, sum(step[0] == "feature" for step in self.steps) + 1
        if isinstance(layer, arch.Pool):
            if isinstance(layers[index - 1], arch.Pool):
                self.steps.append(_pool_step(layer))
        elif isinstance(layer, arch.Conv | arch.Depthwise):
            after = layers[index + 1]
            self._add_conv(layer, after if isinstance(after, arch.Pool) else None, number, shape[2])
        else:
            self._add_dense(layer, number, math.prod(shape), index == len(layers) - 1)

    def _add_conv(self, layer: arch.Conv | arch.Depthwise, pool: arch.Pool | None, number: int, channels: int) -> None:
        config, name = self.config, f"conv{number}"
        border = 0 if number > 1 and config.features == "relu" else -1
        windows, options = (layer.kernel, layer.stride, layer.pad), {"binarizer": config.weights, "gain": config.gain}
        if isinstance(layer, arch.Conv):
            link = BinaryConv2D(channels, layer.filters, *windows, border, **options)
        else:
            link = BinaryDepthwise2D(channels, layer.times, *windows, border, **options)
        setattr(self, name, link)
        first = pool is not None and config.order == "pool-norm-sign"
        fused = first and pool.window == pool.stride and pool.pad == (0, 0)
        self.steps.append(("link", name, {"pool": pool.window} if fused else {}))
        if first and not fused:
            self.steps.append(_pool_step(pool))
        self._add_features(number, link, None if first else pool)

    def _add_dense(self, layer: arch.Dense, number: int, size: int, last: bool) -> None:
        name, gain = f"dense{number}", self.config.gain and not last
        link = BinaryDense(size, layer.units, binarizer=self.config.weights, gain=gain)
        setattr(self, name, link)
        self.steps.append(("link", name, {}))
        if last:
            self.scores = Scores(layer.units)
            self.steps.append(("link", "scores", {}))
        else:
            self._add_features(number, link)

    def _add_features(self, number: int, linear: links.BinaryLink, pool: arch.Pool | None = None) -> None:
        """What stands between a linear link and its features, and the pool that has not been there yet."""
        channels, pools = len(linear.W), [_pool_step(pool)] if pool else []
        if self.config.activation != "none":
            self._add_link(f"act{number}", self._activation(linear, number == 1))
        self._add_link(f"bn{number}", BatchNorm(channels))
        if self.config.order == "norm-pool-sign":
            self.steps += pools
        if self.config.learnable_shift:
            self._add_link(f"shift{number}", Shift(channels))
        self.steps.append(("feature", "", {}))
        if self.config.order == "norm-sign-pool":
            self.steps += pools

    def _add_link(self, name: str, link: chainer.Link) -> None:
        setattr(self, name, link)
        self.steps.append(("link", name, {}))

    def _activation(self, linear: links.BinaryLink, reads_bytes: bool) -> chainer.Link:
        if self.config.activation == "prelu":
            return PReLU(len(linear.W))
        return RPReLU(len(linear.W), math.sqrt(linear.taps) * (MAX_BYTE * DEVIATION if reads_bytes else 1))

    def forward(self, x: np.ndarray) -> Variable:
        """Logits float32 (N, classes) of images uint8 (N, height, width, channels)."""
        h = x
        for what, name, arguments in self.steps:
            if what == "pool":
                h = functions.max_pool(h, **arguments)
            elif what == "link":
                h = getattr(self, name)(h, **arguments)
            else:
                h = self._feature(h)
        return h

    def _feature(self, h: Variable) -> Variable:
        return chainer.functions.relu(h) if self.config.features == "relu" else functions.sign(h, self.estimator)


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

"""An architecture as a Chainer chain."""

from __future__ import annotations

import math

import numpy as np

from ebnn import arch
from ebnn.geometry import Shape
from ebnn.train import functions, links
from ebnn.train.compat import chainer
from ebnn.train.functions import Variable
from ebnn.train.links import BatchNorm, BinaryConv2D, BinaryDense, Scores

Step = tuple[str, str, dict]  # what to do, the link's name, further arguments


class Net(chainer.Chain):
    """Layers in a row: (convolution, pool, batch norm, sign) or (dense, batch norm, sign), then dense and scores.

    Args:
        architecture: parsed grammar.
        input_shape: (height, width, channels) of an image.
        estimator: of every sign, a name of ``ebnn.train.estimators``.

    Raises:
        ConfigError: when a window does not fit.
    """

    def __init__(self, architecture: arch.Architecture, input_shape: Shape, estimator: str = "ste") -> None:
        super().__init__()
        self.architecture, self.estimator = architecture, estimator
        self.steps: list[Step] = []
        shapes = [input_shape, *architecture.shapes(input_shape)]
        with self.init_scope():
            for index, layer in enumerate(architecture.layers):
                self._add(layer, index, shapes[index])

    def _add(self, layer: arch.Layer, index: int, shape: Shape) -> None:
        layers, number = self.architecture.layers, sum(step[0] == "normalize" for step in self.steps) + 1
        if isinstance(layer, arch.Pool):
            if isinstance(layers[index - 1], arch.Pool):
                self.steps.append(("pool", "", {"window": layer.window, "stride": layer.stride, "pad": layer.pad}))
        elif isinstance(layer, arch.Conv):
            after = layers[index + 1]
            self._add_conv(layer, after if isinstance(after, arch.Pool) else None, number, shape[2])
        else:
            self._add_dense(layer, number, math.prod(shape), index == len(layers) - 1)

    def _add_conv(self, layer: arch.Conv, pool: arch.Pool | None, number: int, channels: int) -> None:
        name = f"conv{number}"
        setattr(self, name, BinaryConv2D(channels, layer.filters, layer.kernel, layer.stride, layer.pad))
        fused = pool is not None and pool.window == pool.stride and pool.pad == (0, 0)
        self.steps.append(("link", name, {"pool": pool.window} if fused else {}))
        if pool is not None and not fused:
            self.steps.append(("pool", "", {"window": pool.window, "stride": pool.stride, "pad": pool.pad}))
        self._add_norm(number, layer.filters)

    def _add_dense(self, layer: arch.Dense, number: int, size: int, last: bool) -> None:
        name = f"dense{number}"
        setattr(self, name, BinaryDense(size, layer.units))
        self.steps.append(("link", name, {}))
        if last:
            self.scores = Scores(layer.units)
            self.steps.append(("link", "scores", {}))
        else:
            self._add_norm(number, layer.units)

    def _add_norm(self, number: int, channels: int) -> None:
        setattr(self, f"bn{number}", BatchNorm(channels))
        self.steps.append(("normalize", f"bn{number}", {}))

    def forward(self, x: np.ndarray) -> Variable:
        """Logits float32 (N, classes) of images uint8 (N, height, width, channels)."""
        h = x
        for what, name, arguments in self.steps:
            if what == "pool":
                h = functions.max_pool(h, **arguments)
            elif what == "link":
                h = getattr(self, name)(h, **arguments)
            else:
                h = functions.sign(getattr(self, name)(h), self.estimator)
        return h


def build(text: str, input_shape: Shape, estimator: str = "ste", seed: int = 0) -> Net:
    """The chain of an architecture such as ``16c3-p2-32c3-p2-10``, with weights drawn from ``seed``.

    Raises:
        ConfigError: naming the token that is wrong or does not fit.
    """
    np.random.seed(seed)
    return Net(arch.parse(text), input_shape, estimator)


def binary_links(chain: chainer.Chain) -> list[links.BinaryLink]:
    """Every link with latent weights."""
    return [link for link in chain.links() if isinstance(link, links.BinaryLink)]

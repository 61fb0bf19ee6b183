"""How latent weights, float32 (filters, ...), become the weights that a layer uses, and how the gradient comes back.

B are the weights as used, g is the gradient of B, means are over one filter. Whatever scale a filter would have in
the sources is left out of B: it is positive, so batch norm takes it away, and sums stay integers.
"""

from __future__ import annotations

import numpy as np

from ebnn.errors import ConfigError
from ebnn.train import arrays, stage
from ebnn.train.arrays import Array
from ebnn.train.compat import chainer
from ebnn.train.functions import Arrays, Variable, binarize

LEAST_SPREAD = np.float32(1e-3)  # of a filter's latent weights, below which gradients grow no further


class Clip:
    """B = sign(W); the gradient is g, and the loop keeps W within the latent clip.

    Source: Courbariaux et al., "BinaryConnect" (2015).
    """

    most = 1  # the largest magnitude in B, all of integers; 0: they are floats

    def values(self, latent: Array) -> Array:
        """B."""
        return binarize(latent)

    def gradient(self, latent: Array, g: Array) -> Array:
        """The gradient of W."""
        return g


class Standard(Clip):
    """B = sign(u), u = (W - mean(W)) / deviation(W), so that a filter has about as many +1 as -1.

    The gradient goes through u: (g - mean(g) - u mean(g u)) / deviation(W).
    Source: Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks" (IR-Net, 2020).
    """

    def values(self, latent: Array) -> Array:
        return binarize(_centred(latent)).reshape(latent.shape)

    def gradient(self, latent: Array, g: Array) -> Array:
        xp, centred, rows = arrays.module(latent), _centred(latent), g.reshape(len(g), -1)
        spread = xp.maximum(centred.std(axis=1, keepdims=True), LEAST_SPREAD)
        u = centred / spread
        found = rows - rows.mean(axis=1, keepdims=True) - u * (rows * u).mean(axis=1, keepdims=True)
        return (found / spread).reshape(g.shape)


class Magnitude(Clip):
    """B = sign(W); the gradient is g / mean|W|, so that filters of small weights, which flip easily, learn faster.

    In the source the layer uses mean|W| sign(W), whose gradient reaches W unchanged; batch norm after it divides the
    gradient by that very mean. Adam undoes most of it, SGD does not.
    Source: Liu et al., "Bi-Real Net" (2018).
    """

    def gradient(self, latent: Array, g: Array) -> Array:
        xp = arrays.module(latent)
        mean = xp.abs(latent).reshape(len(latent), -1).mean(axis=1)
        return g / xp.maximum(mean, LEAST_SPREAD).reshape(-1, *[1] * (g.ndim - 1))


class Floats(Clip):
    """B = W: no binarization, for a float twin or a teacher; such a layer cannot be exported."""

    most = 0

    def values(self, latent: Array) -> Array:
        return latent


class Int8(Clip):
    """B = round(127 W), within -127 and 127: weights of a byte, for a layer that is not binarized.

    The gradient is 127 g: that of 127 W, through round unchanged (straight-through). 127 is 2^(8-1) - 1.
    Source: Zhou et al., "DoReFa-Net" (2016), which keeps the first layer at more bits; the rounding is that of Jacob et
    al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (2018).
    """

    most = 127

    def values(self, latent: Array) -> Array:
        xp, most = arrays.module(latent), np.float32(self.most)
        return xp.rint(latent * most).clip(-most, most)

    def gradient(self, latent: Array, g: Array) -> Array:
        return g * np.float32(self.most)


BINARIZERS = {"clip": Clip(), "standard": Standard(), "magnitude": Magnitude(), "float": Floats()}
INT8 = Int8()  # of single layers, so it is no choice for a whole network


def _centred(latent: Array) -> Array:
    """float32 (filters, taps): W - mean(W)."""
    rows = latent.reshape(len(latent), -1)
    return rows - rows.mean(axis=1, keepdims=True)


def find(name: str) -> Clip:
    """The binarizer of that name, or ``int8``; raises ConfigError with the names there are."""
    if name == "int8":
        return INT8
    if name not in BINARIZERS:
        raise ConfigError(f"weights {name!r}: there are {', '.join(BINARIZERS)}")
    return BINARIZERS[name]


class WeightFunction(chainer.FunctionNode):
    """From latent weights to the weights as used."""

    def __init__(self, binarizer: Clip) -> None:
        super().__init__()
        self.binarizer = binarizer

    def forward(self, inputs: Arrays) -> Arrays:
        self.retain_inputs((0,))
        return (self.binarizer.values(inputs[0]),)

    def backward(self, indexes: tuple[int, ...], gradients: tuple[Variable, ...]) -> tuple[Variable, ...]:
        latent = self.get_retained_inputs()[0].array
        return (chainer.as_variable(self.binarizer.gradient(latent, gradients[0].array)),)


def used(latent: Variable, binarizer: Clip) -> Variable:
    """B; in the first of two stages W itself where weights will be -1 and +1.

    Source of the stages: Martinez et al., "Training Binary Neural Networks with Real-to-Binary Convolutions" (2020).
    """
    chosen = BINARIZERS["float"] if stage.has_float_weights() and binarizer.most == 1 else binarizer
    return WeightFunction(chosen).apply((latent,))[0]

"""Greedy flips: what is left to gain when the learning rate has come to 0.

Stochastic steps leave every weight at the mercy of its last batches. Here the gradient is of many images at once: the
weights that it most wants to be flipped (those whose product of gradient and sign is largest, the change of the loss to
the first order) are flipped together, and flipped back where the loss of these images has not fallen. The number of
flips doubles after a success and halves after a failure, layer by layer in turn, down to single weights.

Choice by the gradient as in Bop (Helwegen et al., "Latent Weights Do Not Exist", 2019), acceptance as in local search.
It pays where a network has few weights for its task; large ones fit these images better and new ones no better.
"""

from __future__ import annotations

import numpy as np

from ebnn.errors import ConfigError
from ebnn.train import arrays
from ebnn.train.compat import chainer
from ebnn.train.evaluate import estimate_statistics
from ebnn.train.links import BinaryLink
from ebnn.train.model import binary_links
from ebnn.train.weights import INT8, Clip, Floats, Standard

IMAGES = 20_000  # of a polishing epoch, drawn anew for each
TRIALS = 50  # sets of flips that are tried in one
STATISTICS_IMAGES = 5000  # for batch norm, after every set of flips
BATCH = 1000
FIRST_SHARE = 100  # one in so many weights of a layer are flipped at first
LEAST = np.float32(1e-6)  # magnitude of a latent weight whose sign can be turned round


class _Layer:
    """A layer's flips: how many are tried next, and by how much each weight's flip lowers the loss, to first order."""

    def __init__(self, link: BinaryLink) -> None:
        if not isinstance(link.binarizer, Clip) or isinstance(link.binarizer, Floats | Standard):
            raise ConfigError(f"polish must be 0: the weights of {link.name} are not the signs of latent ones")
        self.link = link
        self.count = max(1, link.W.size // FIRST_SHARE)

    def look(self) -> None:
        """Take the gradient that has been added up."""
        self.wish = (self.link.W.grad * self._signs()).ravel()

    def _signs(self) -> arrays.Array:
        latent = self.link.W.array
        return arrays.module(latent).where(latent >= 0, np.float32(1), np.float32(-1))

    def chosen(self) -> arrays.Array:
        """Indexes of the weights to flip: the most wanted first, none that is not wanted."""
        order = arrays.module(self.wish).argsort(-self.wish)[: self.count]
        return order[self.wish[order] > 0]

    def flip(self, chosen: arrays.Array) -> None:
        """Turn the signs of some latent weights round."""
        flat, xp = self.link.W.array.reshape(-1), arrays.module(self.wish)
        magnitude = xp.maximum(xp.abs(flat[chosen]), LEAST)
        flat[chosen] = xp.where(flat[chosen] >= 0, -magnitude, magnitude)

    def failed(self, chosen: arrays.Array) -> None:
        """Fewer next time; a single weight that did not help is not tried again with this gradient."""
        if len(chosen) <= 1:
            self.wish[chosen] = 0
        self.count = max(1, len(chosen) // 2)


def epoch(chain: chainer.Chain, images: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Try ``TRIALS`` sets of flips on a chain whose binary weights are the signs of its latent ones.

    Args:
        chain: is changed in place, batch norm's statistics too.
        images: uint8 (N, H, W, C); the loss is softmax cross entropy with ``classes`` (N,), outside of training.

    Returns:
        Loss and accuracy on these images at the end; the loss is never above that at the begin.

    Raises:
        ConfigError: a link whose weights are not the signs of its latent ones.
    """
    layers = [_Layer(link) for link in binary_links(chain) if link.binarizer is not INT8]
    best, right = _measure(chain, images, classes)
    _gradients(chain, images, classes, layers)
    for trial in range(TRIALS):
        layer = layers[trial % len(layers)]
        chosen = layer.chosen()
        if not len(chosen):
            continue
        layer.flip(chosen)
        found, hits = _measure(chain, images, classes)
        if found < best:
            best, right = found, hits
            layer.count = 2 * len(chosen)
            _gradients(chain, images, classes, layers)
        else:
            layer.flip(chosen)
            layer.failed(chosen)
    estimate_statistics(chain, images[:STATISTICS_IMAGES])
    return best, right


def _measure(chain: chainer.Chain, images: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Loss and accuracy outside of training, with batch norm's statistics of the weights as they are."""
    estimate_statistics(chain, images[:STATISTICS_IMAGES])
    loss = hits = 0.0
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        for part in _parts(len(images)):
            logits, wanted = chain(chain.device.send(images[part])), chain.device.send(classes[part])
            loss += chainer.functions.softmax_cross_entropy(logits, wanted).item() * len(wanted)
            hits += float((logits.array.argmax(axis=1) == wanted).sum())
    return loss / len(images), hits / len(images)


def _gradients(chain: chainer.Chain, images: np.ndarray, classes: np.ndarray, layers: list[_Layer]) -> None:
    chain.cleargrads()
    for part in _parts(len(images)):
        logits = chain(chain.device.send(images[part]))
        chainer.functions.softmax_cross_entropy(logits, chain.device.send(classes[part])).backward()
    for layer in layers:
        layer.look()


def _parts(count: int) -> list[slice]:
    return [slice(start, start + BATCH) for start in range(0, count, BATCH)]

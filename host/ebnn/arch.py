"""The architecture grammar: ``16c3-p2-32c3-p2-10``. Needs no trainer.

Tokens are joined by ``-``; sizes are one number or HEIGHTxWIDTH.

| token | layer |
|---|---|
| ``16c3`` | binary convolution, 16 filters 3x3, no padding; then batch norm and sign |
| ``16c5s2p2`` | the same 5x5 with stride 2 and padding 2; ``16c1x5p0x2`` is 1 high and 5 wide |
| ``d3s2p1``, ``2d3`` | convolution of each channel on its own, one filter or 2 for each; then batch norm and sign |
| ``16c3p1+``, ``d3p1+`` | the same, added to a map of integers, of which sign makes the bits; the first one begins it |
| ``p2`` | max pooling 2x2 with stride 2; ``p3s2``, ``p3s1p1``: window, stride, padding |
| ``64`` | fully connected layer of 64 units; then batch norm and sign |
| ``a`` | average over the whole map, before the last token |
| last ``10`` | fully connected layer to the scores of 10 classes |

A pool right after a convolution works on its sums, before batch norm and sign: that trains better and costs
the device nothing. A depthwise-separable layer is two tokens: ``d3p1-64c1``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebnn.errors import ConfigError
from ebnn.geometry import Pair, Shape, map_size

_SIZE = r"\d+(?:x\d+)?"
_TOKEN = re.compile(
    rf"(?P<count>\d*)(?:(?P<kind>[cdp])(?P<size>{_SIZE}))?(?:s(?P<stride>{_SIZE}))?(?:p(?P<pad>{_SIZE}))?(?P<adds>\+)?"
)


@dataclass(frozen=True)
class Conv:
    """A binary convolution, then batch norm and sign.

    ``adds``: batch norm is added to the map of integers of the last layer that did, and sign reads that.
    """

    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    adds: bool = False


@dataclass(frozen=True)
class Depthwise:
    """A binary convolution of each channel on its own, then batch norm and sign.

    ``times`` is how many filters a channel has, ``adds`` as in ``Conv``.
    """

    times: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    adds: bool = False


@dataclass(frozen=True)
class Pool:
    """A max pooling."""

    window: Pair
    stride: Pair
    pad: Pair = (0, 0)


@dataclass(frozen=True)
class Average:
    """The average over a whole map: of the map of integers, where the layer before it adds to one, or of bits."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; the last one of an architecture makes the scores."""

    units: int


Layer = Conv | Depthwise | Pool | Average | Dense


@dataclass(frozen=True)
class Architecture:
    """A parsed architecture: ``layers`` and, for messages, the ``tokens`` they were written as."""

    layers: tuple[Layer, ...]
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join(self.tokens)

    @property
    def adds(self) -> bool:
        """Whether any layer adds to a map of integers."""
        return any(getattr(layer, "adds", False) for layer in self.layers)

    @property
    def classes(self) -> int:
        """Number of scores."""
        return self.layers[-1].units

    def error(self, index: int, reason: str) -> ConfigError:
        """What is wrong with a token, counted from 0."""
        return _error(self.tokens, index, reason)

    def shapes(self, input_shape: Shape) -> list[Shape]:
        """(height, width, channels) after each layer, for an input of that form.

        Raises:
            ConfigError: naming the token whose window does not fit.
        """
        found, shape = [], input_shape
        for index, layer in enumerate(self.layers):
            shape = _output_shape(layer, shape)
            if min(shape) < 1:
                before = "x".join(map(str, found[-1] if found else input_shape))
                raise _error(self.tokens, index, f"no window fits into the {before} map before it")
            found.append(shape)
        return found


def parse(text: str) -> Architecture:
    """Read an architecture; raises ConfigError naming the token, its position and what would be right."""
    tokens = tuple(text.strip().lower().split("-"))
    layers = tuple(_layer(tokens, index) for index in range(len(tokens)))
    _check_order(tokens, layers)
    return Architecture(layers, tokens)


def _error(tokens: tuple[str, ...], index: int, reason: str) -> ConfigError:
    return ConfigError(f"architecture {'-'.join(tokens)}: token {index + 1} ({tokens[index]!r}): {reason}")


def _pair(text: str | None, default: Pair) -> Pair:
    if text is None:
        return default
    sizes = [int(part) for part in text.split("x")]
    return (sizes[0], sizes[-1])


def _layer(tokens: tuple[str, ...], index: int) -> Layer:
    if tokens[index] == "a":
        return Average()
    match = _TOKEN.fullmatch(tokens[index])
    if not match or not (match["count"] or match["kind"]) or (match["kind"] == "p" and match["count"]):
        raise _error(tokens, index, "expected a layer such as 16c3, 16c5s2p2, d3p1, 16c3p1+, p2, p3s2, a or 64")
    count, window = int(match["count"] or 1), _pair(match["size"], (1, 1))
    stride = _pair(match["stride"], window if match["kind"] == "p" else (1, 1))
    pad = _pair(match["pad"], (0, 0))
    if not match["kind"] and (match["stride"] or match["pad"]):
        raise _error(tokens, index, "a fully connected layer has neither stride nor padding")
    if match["adds"] and match["kind"] not in ("c", "d"):
        raise _error(tokens, index, "only a convolution can be added to a map")
    if min(count, *window, *stride) < 1:
        raise _error(tokens, index, "sizes must be 1 or more")
    if pad[0] >= window[0] or pad[1] >= window[1]:
        raise _error(tokens, index, "padding must be below the window's size")
    if match["kind"] == "p":
        return Pool(window, stride, pad)
    if not match["kind"]:
        return Dense(count)
    return {"c": Conv, "d": Depthwise}[match["kind"]](count, window, stride, pad, bool(match["adds"]))


def _check_order(tokens: tuple[str, ...], layers: tuple[Layer, ...]) -> None:
    if not isinstance(layers[-1], Dense):
        raise _error(tokens, len(tokens) - 1, "the last token must be the number of classes, for example 10")
    if layers[-1].units < 2:
        raise _error(tokens, len(tokens) - 1, "at least 2 classes are needed")
    if isinstance(layers[0], Pool | Average):
        raise _error(tokens, 0, "a pool needs a convolution before it")
    for index in range(1, len(layers)):
        if isinstance(layers[index - 1], Dense | Average) and not isinstance(layers[index], Dense):
            raise _error(tokens, index, "only fully connected layers can follow a fully connected layer")


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    if isinstance(layer, Dense):
        return (1, 1, layer.units)
    if isinstance(layer, Average):
        return (1, 1, shape[2])
    window = layer.window if isinstance(layer, Pool) else layer.kernel
    height, width = map_size(shape[:2], window, layer.stride, layer.pad * 2)
    return (height, width, filters(layer, shape[2]))


def filters(layer: Conv | Depthwise | Pool, channels: int) -> int:
    """Channels of a layer's map, of so many."""
    if isinstance(layer, Conv):
        return layer.filters
    return channels * (layer.times if isinstance(layer, Depthwise) else 1)

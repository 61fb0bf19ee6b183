"""The architecture grammar: ``16c3-p2-32c3-p2-10``. Needs no trainer.

Tokens are joined by ``-``; sizes are one number or HEIGHTxWIDTH.

| token | layer |
|---|---|
| ``16c3`` | binary convolution, 16 filters 3x3, no padding; then batch norm and sign |
| ``16c5s2p2`` | the same 5x5 with stride 2 and padding 2; ``16c1x5p0x2`` is 1 high and 5 wide |
| ``d3s2p1``, ``2d3`` | convolution of each channel on its own, one filter or 2 for each; then batch norm and sign |
| ``16c3p1+``, ``d3p1+`` | the same, added to a map of integers, of which sign makes the bits; the first one begins it |
| ``32i5p2`` | a convolution whose weights are integers from -127 to 127, a byte each: for the first layer |
| ``16c3p1m2`` | two convolutions of the same bits, each with batch norm of its own, added up: 16 channels |
| ``16c3p1l3`` | three bits of each filter, each with a threshold of its own: 48 channels |
| ``p2`` | max pooling 2x2 with stride 2; ``p3s2``, ``p3s1p1``: window, stride, padding |
| ``64`` | fully connected layer of 64 units; then batch norm and sign |
| ``a2`` | right after a convolution: average pooling 2x2 with stride 2 |
| ``a`` | average over the whole map, before fully connected layers; at the end, ``10c1-a``, its sums are the scores |
| first ``t7`` | 7 bits of each byte, which say how large it is: a thermometer |
| last ``10`` | fully connected layer to the scores of 10 classes |

A pool right after a convolution works on its sums, before batch norm and sign: that trains better and costs
the device nothing. A depthwise-separable layer is two tokens: ``d3p1-64c1``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ebnn.errors import ConfigError
from ebnn.geometry import MAX_BYTE, Pair, Shape, map_size

_SIZE = r"\d+(?:x\d+)?"
_TOKEN = re.compile(
    rf"(?P<count>\d*)(?:(?P<kind>[cdipa])(?P<size>{_SIZE}))?(?:s(?P<stride>{_SIZE}))?(?:p(?P<pad>{_SIZE}))?(?:m(?P<bases>\d+))?(?:l(?P<levels>\d+))?(?P<adds>\+)?"
)


@dataclass(frozen=True)
class Conv:
    """A binary convolution, then batch norm and sign.

    ``adds``: batch norm is added to the map of integers of the last layer that did, and sign reads that. ``levels`` is
    how many bits a filter makes, ``bases`` how many convolutions are added up, ``int8`` whether weights take a byte.
    """

    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    adds: bool = False
    levels: int = 1
    bases: int = 1
    int8: bool = False


@dataclass(frozen=True)
class Depthwise:
    """A binary convolution of each channel on its own, then batch norm and sign.

    ``times`` is how many filters a channel has, ``adds``, ``levels`` and ``bases`` as in ``Conv``.
    """

    times: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    adds: bool = False
    levels: int = 1
    bases: int = 1


@dataclass(frozen=True)
class Pool:
    """A max pooling."""

    window: Pair
    stride: Pair
    pad: Pair = (0, 0)


@dataclass(frozen=True)
class Average:
    """The average of each ``window`` of a convolution's sums, or, without one, over a whole map.

    That is the map of integers, where the layer before it adds to one, or bits.
    """

    window: Pair | None = None


@dataclass(frozen=True)
class Thermometer:
    """As many bits of each byte of the input: whether it reaches ``levels`` thresholds, evenly spread."""

    levels: int


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; the last one of an architecture makes the scores."""

    units: int


Layer = Conv | Depthwise | Pool | Average | Dense | Thermometer


@dataclass(frozen=True)
class Architecture:
    """A parsed architecture: ``layers`` and, for messages, the ``tokens`` they were written as."""

    layers: tuple[Layer, ...]
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join(self.tokens)

    @property
    def has_maps(self) -> bool:
        """Whether any layer adds something up in a map of integers."""
        convs = [layer for layer in self.layers if isinstance(layer, Conv | Depthwise)]
        return any(layer.adds or layer.bases > 1 for layer in convs)

    @property
    def has_levels(self) -> bool:
        """Whether any filter makes several bits."""
        return any(isinstance(layer, Conv | Depthwise) and layer.levels > 1 for layer in self.layers)

    def map_before(self, index: int) -> bool:
        """Whether the layer before, with its pool, adds to a map of integers, so that an average is of that."""
        return getattr(_before(self.layers, index), "adds", False)

    @property
    def classes(self) -> int:
        """Number of scores."""
        last = self.layers[-1]
        return last.units if isinstance(last, Dense) else self.layers[-2].filters

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
    if re.fullmatch(r"t\d+", tokens[index]):
        return _thermometer(tokens, index)
    match = _TOKEN.fullmatch(tokens[index])
    if not match or not (match["count"] or match["kind"]) or (match["kind"] in ("p", "a") and match["count"]):
        raise _error(tokens, index, "expected a layer such as 16c3, 16c5s2p2, d3p1, 16c3p1+, p2, p3s2, a2, a or 64")
    sizes = _Sizes.of(match)
    fault = _size_fault(match, sizes)
    if fault:
        raise _error(tokens, index, fault)
    return _of(match, sizes)


@dataclass(frozen=True)
class _Sizes:
    """The numbers of a token."""

    count: int
    window: Pair
    stride: Pair
    pad: Pair
    levels: int
    bases: int

    @classmethod
    def of(cls, match: re.Match) -> _Sizes:
        window = _pair(match["size"], (1, 1))
        stride = _pair(match["stride"], window if match["kind"] in ("p", "a") else (1, 1))
        count, levels, bases = (int(match[name] or 1) for name in ("count", "levels", "bases"))
        return cls(count, window, stride, _pair(match["pad"], (0, 0)), levels, bases)


def _size_fault(match: re.Match, sizes: _Sizes) -> str | None:
    kind = match["kind"]
    if not kind and (match["stride"] or match["pad"]):
        return "a fully connected layer has neither stride nor padding"
    if match["adds"] and kind not in ("c", "d", "i"):
        return "only a convolution can be added to a map"
    if (match["levels"] or match["bases"]) and kind not in ("c", "d", "i"):
        return "only a convolution has levels or bases"
    if kind == "a" and (match["stride"] or match["pad"]):
        return "an average pool has neither stride nor padding of its own"
    if min(sizes.count, *sizes.window, *sizes.stride, sizes.levels, sizes.bases) < 1 or sizes.levels > MAX_BYTE:
        return "sizes must be 1 or more" + (f", levels at most {MAX_BYTE}" if sizes.levels > MAX_BYTE else "")
    if sizes.pad[0] >= sizes.window[0] or sizes.pad[1] >= sizes.window[1]:
        return "padding must be below the window's size"
    return None


def _of(match: re.Match, sizes: _Sizes) -> Layer:
    kind, windows, adds = match["kind"], (sizes.window, sizes.stride, sizes.pad), bool(match["adds"])
    if kind == "p":
        return Pool(*windows)
    if kind == "a":
        return Average(sizes.window)
    if kind == "d":
        return Depthwise(sizes.count, *windows, adds, sizes.levels, sizes.bases)
    return Conv(sizes.count, *windows, adds, sizes.levels, sizes.bases, kind == "i") if kind else Dense(sizes.count)


def _thermometer(tokens: tuple[str, ...], index: int) -> Thermometer:
    levels = int(tokens[index][1:])
    if index or not 1 <= levels <= MAX_BYTE:
        raise _error(tokens, index, f"a thermometer is the first layer, and has 1 to {MAX_BYTE} levels")
    return Thermometer(levels)


def _check_order(tokens: tuple[str, ...], layers: tuple[Layer, ...]) -> None:
    last, before = layers[-1], layers[-2] if len(layers) > 1 else None
    plain = isinstance(before, Conv) and (before.adds, before.levels, before.bases) == (False, 1, 1)
    sums = last == Average() and plain
    if not (isinstance(last, Dense) or sums):
        raise _error(tokens, len(tokens) - 1, "the last token must be the number of classes, for example 10")
    if (last.units if isinstance(last, Dense) else before.filters) < 2:
        raise _error(tokens, len(tokens) - 1, "at least 2 classes are needed")
    first = 1 if isinstance(layers[0], Thermometer) else 0
    if isinstance(layers[first], Pool | Average):
        raise _error(tokens, first, "a pool needs a convolution before it")
    for index in range(1, len(layers)):
        _check_pair(tokens, index, layers[index - 1], layers[index])
        before = _before(layers, index)
        if layers[index] == Average() and getattr(before, "adds", False) and before.levels > 1:
            raise _error(tokens, index, "the average is that of the map of integers, which has no levels")


def _before(layers: tuple[Layer, ...], index: int) -> Layer:
    """The layer before one, without the pool that it has."""
    has_pool = index > 1 and (isinstance(layers[index - 1], Pool) or getattr(layers[index - 1], "window", None))
    return layers[index - 1 - bool(has_pool)]


def _check_pair(tokens: tuple[str, ...], index: int, before: Layer, layer: Layer) -> None:
    is_end = isinstance(before, Dense) or before == Average()
    if is_end and not isinstance(layer, Dense):
        raise _error(tokens, index, "only fully connected layers can follow a fully connected layer")
    if isinstance(layer, Average) and layer.window and not isinstance(before, Conv | Depthwise):
        raise _error(tokens, index, "an average pool stands right after a convolution")


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    height, width, channels = shape
    if isinstance(layer, Dense):
        return (1, 1, layer.units)
    if isinstance(layer, Thermometer):
        return (height, width, layer.levels * channels)
    if isinstance(layer, Average):
        window = layer.window or (height, width)
        return (height // window[0], width // window[1], channels)
    if isinstance(layer, Pool):
        return (*map_size(shape[:2], layer.window, layer.stride, layer.pad * 2), channels)
    filters = layer.filters if isinstance(layer, Conv) else layer.times * channels
    return (*map_size(shape[:2], layer.kernel, layer.stride, layer.pad * 2), layer.levels * filters)

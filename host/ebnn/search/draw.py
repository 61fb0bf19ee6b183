"""Architectures at random: one to three convolutions, perhaps pools, perhaps a hidden layer, then the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ebnn.geometry import Pair, Shape

CONVS = (2, 3, 2, 3, 1)  # convolutions of one candidate after the other: one alone is rarely good
FILTERS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128)
KERNELS = (3, 3, 4, 5, 5, 7, 1)
POOLS = ((), (2, 2), (3, 3), (3, 2))  # window and stride
HIDDEN = (16, 32, 48, 64, 96, 128)
HIDDEN_SHARE = 0.2
STRIDE_SHARE = 0.15  # of the convolutions have stride 2
PADDED_SHARE = 0.4

Item = TypeVar("Item")


def draw(generator: np.random.Generator, convs: int, shape: Shape, classes: int) -> str:
    """An architecture (``ebnn.arch``) of so many convolutions for images of that form; its windows may not fit.

    Images of height 1 get windows of height 1.
    """
    tokens, filters = [], 0
    for number in range(convs):
        filters = _one(generator, [count for count in FILTERS if 2 * count >= filters])  # more than half is not lost
        # A first kernel of one pixel of one channel would compare it with a number, and see nothing else.
        kernels = KERNELS if number else KERNELS[:-1]
        tokens.append(f"{filters}{_conv(generator, kernels, shape[0] == 1)}")
        pool = _one(generator, POOLS)
        if pool:
            tokens.append(_pool(pool, shape[0] == 1))
    if generator.random() < HIDDEN_SHARE:
        tokens.append(str(_one(generator, HIDDEN)))
    return "-".join([*tokens, str(classes)])


def _conv(generator: np.random.Generator, kernels: Sequence[int], flat: bool) -> str:
    side = _one(generator, kernels)
    padded, strided = generator.random() < PADDED_SHARE, generator.random() < STRIDE_SHARE
    token = f"c{_size(side, flat)}"
    if strided and side > 1:  # a stride beyond the kernel would leave pixels out
        token += f"s{_size(2, flat)}"
    pad = (side - 1) // 2
    return f"{token}p{'0x' if flat else ''}{pad}" if padded and pad else token


def _pool(pool: Pair, flat: bool) -> str:
    window, stride = pool
    return f"p{_size(window, flat)}" + (f"s{_size(stride, flat)}" if stride != window else "")


def _size(side: int, flat: bool) -> str:
    return f"1x{side}" if flat else str(side)


def _one(generator: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[generator.integers(len(items))]

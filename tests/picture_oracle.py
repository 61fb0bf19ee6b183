"""The naive oracle of frames: docs/SPEC.md, section 8, pixel by pixel and in fractions.

It shares no code with the package, and takes what is possible only.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass
class Picture:
    """A frame and what is done with it; the names are those of the SPEC."""

    width: int
    height: int
    stride: int
    crop: tuple  # x, y, w, h
    format: int
    resize: str
    inverted: bool
    threshold: int  # 0 for a u8 input
    n: int
    m: int


def gray(picture: Picture, data: bytes, x: int, y: int) -> int:
    """The gray of a frame's pixel."""
    stride = picture.stride
    if picture.format == 0:
        return 255 if data[y // 8 * stride + x] & (1 << y % 8) else 0
    if picture.format in (3, 4):
        place = y * ((stride + 7) // 8 * 8) + x
        bit = 7 - x % 8 if picture.format == 3 else x % 8
        return 255 if data[place // 8] & (1 << bit) else 0
    if picture.format == 6:
        return data[y * stride + x]
    pair = data[2 * (y * stride + x) : 2 * (y * stride + x) + 2]
    value = int.from_bytes(pair, "little" if picture.format == 1 else "big")
    red, green, blue = value >> 11, value >> 5 & 63, value & 31
    return (630 * red + 608 * green + 240 * blue + 128) // 256


def overlap(from_a: Fraction, to_a: Fraction, from_b: Fraction, to_b: Fraction) -> Fraction:
    """Length that two spans share."""
    return max(Fraction(0), min(to_a, to_b) - max(from_a, from_b))


def average(picture: Picture, data: bytes, row: int, column: int) -> int:
    """The mean of a box of the crop, by its area, rounded to the nearest, halves up."""
    x0, y0, w, h = picture.crop
    wide, high = Fraction(w, picture.n), Fraction(h, picture.m)
    left, top = column * wide, row * high
    total = Fraction(0)
    for j in range(int(top), h):
        for i in range(int(left), w):
            area = overlap(Fraction(i), Fraction(i + 1), left, left + wide)
            area *= overlap(Fraction(j), Fraction(j + 1), top, top + high)
            if area == 0:
                break
            total += area * gray(picture, data, x0 + i, y0 + j)
    mean = total / (wide * high) + Fraction(1, 2)
    return mean.numerator // mean.denominator


def nearest(picture: Picture, data: bytes, row: int, column: int) -> int:
    """The pixel of the crop that holds the middle of the box."""
    x0, y0, w, h = picture.crop
    half = Fraction(1, 2)
    x, y = (column + half) * Fraction(w, picture.n), (row + half) * Fraction(h, picture.m)
    return gray(picture, data, x0 + int(x), y0 + int(y))


def make_input(picture: Picture, data: bytes) -> list:
    """The input's elements, ``[y][x]``: 0 to 255, or 0 and 1 where there is a threshold."""
    of = {"average": average, "nearest": nearest, "none": nearest}[picture.resize]
    rows = []
    for row in range(picture.m):
        rows.append([])
        for column in range(picture.n):
            value = of(picture, data, row, column)
            value = 255 - value if picture.inverted else value
            rows[row].append(int(value >= picture.threshold) if picture.threshold else value)
    return rows

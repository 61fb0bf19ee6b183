"""From measured values, for example 16-bit samples, to the bytes that a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.errors import DataError


@dataclass(frozen=True)
class Scaling:
    """The value ``low`` becomes the byte 0, ``high`` 255, what lies between the nearest byte; what lies outside is cut.

    Of whole numbers the byte is (510 (value - low) + span) div (2 span), span = high - low: a half is rounded up. A
    device computes the same from its own samples, without floats.

    Args:
        low, high: whole numbers where the values are.
    """

    low: float
    high: float

    def __str__(self) -> str:
        """What a person's own program on the device has to do."""
        span = self.high - self.low
        if isinstance(span, int):
            how = f"(510 * (v - {self.low}) + {span}) // {2 * span}".replace("- -", "+ ")
        else:
            how = f"round((v - {self.low}) / {span} * 255)".replace("- -", "+ ")
        return f"samples v from {self.low} to {self.high} became the bytes {how}: give the model such bytes"

    def to_bytes(self, values: np.ndarray) -> np.ndarray:
        """uint8, of an array of any form."""
        if values.dtype.kind not in "iu":
            return np.rint(np.clip((values - self.low) / (self.high - self.low), 0, 1) * 255).astype(np.uint8)
        span = int(self.high) - int(self.low)
        above = np.clip(values.astype(np.int64), int(self.low), int(self.high)) - int(self.low)
        return ((510 * above + span) // (2 * span)).astype(np.uint8)


def span_of(values: np.ndarray, where: str) -> Scaling:
    """The scaling of the least and the largest training value; raises DataError naming ``where`` if they are equal."""
    low, high = values.min().item(), values.max().item()
    if low == high:
        raise DataError(f"{where}: every value is {low}")
    return Scaling(low, high)

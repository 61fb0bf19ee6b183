"""From a camera's or a display's picture to a network's input: docs/SPEC.md, section 8."""

from __future__ import annotations

from dataclasses import dataclass

from ebnn import ops

RESIZES = {"none": 0, "average": ops.PREPARE_AVERAGE, "nearest": ops.PREPARE_NEAREST}


@dataclass(frozen=True)
class Preparation:
    """How a gray picture becomes an input of one channel; a model records it.

    Args:
        resize: ``none`` (the crop has the input's size), ``average`` or ``nearest``.
        invert: whether gray g becomes 255 - g.
        threshold: for an input of dtype ``bits`` the least gray of a bit 1, 1 to 255; 0 for bytes.
    """

    resize: str = "average"
    invert: bool = False
    threshold: int = 0

    @property
    def code(self) -> int:
        """The header's field ``prepare``."""
        return ops.PREPARE_RECORDED | RESIZES[self.resize] | (ops.PREPARE_INVERT if self.invert else 0)


def from_code(code: int, threshold: int, dtype: str, channels: int) -> Preparation | None:
    """What a header records of an input of this dtype and so many channels; None: nothing.

    Raises:
        ValueError: bits that have no meaning, or not for such an input.
    """
    if (code, threshold) == (0, 0):
        return None
    resizes = {bit: name for name, bit in RESIZES.items()}
    resize = resizes.get(code & (ops.PREPARE_AVERAGE | ops.PREPARE_NEAREST))
    known = code & ops.PREPARE_RECORDED and not code & ~ops.PREPARE_KNOWN and resize is not None
    if not known or channels != 1 or (threshold != 0) != (dtype == "bits"):
        raise ValueError(f"prepare {code}, threshold {threshold}")
    return Preparation(resize, bool(code & ops.PREPARE_INVERT), threshold)

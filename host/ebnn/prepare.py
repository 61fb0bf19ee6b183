"""From a camera's or a display's picture to a network's input: docs/SPEC.md, section 8."""

from __future__ import annotations

from dataclasses import dataclass

from ebnn import ops
from ebnn.errors import ConfigError

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

    def __str__(self) -> str:
        """As ``parse`` reads it."""
        threshold = [f"threshold={self.threshold}"] if self.threshold else []
        return ",".join([self.resize, *(["invert"] if self.invert else []), *threshold])

    def check(self, dtype: str, channels: int) -> None:
        """Raise ConfigError where an input of this dtype and so many channels cannot be prepared so."""
        if channels != 1:
            raise ConfigError(f"preparation {self}: is for inputs of one channel, this one has {channels}")
        if dtype == "bits" and not 1 <= self.threshold <= 255:
            raise ConfigError(f"preparation {self}: an input of bits needs a threshold from 1 to 255")
        if dtype != "bits" and self.threshold:
            raise ConfigError(f"preparation {self}: an input of bytes has no threshold")


def parse(text: str) -> Preparation:
    """A preparation from a text like ``average``, ``nearest,invert`` or ``none,threshold=128``.

    Raises:
        ConfigError: another text.
    """
    resize, *rest = text.split(",")
    threshold = rest.pop().removeprefix("threshold=") if rest and rest[-1].startswith("threshold=") else "0"
    if resize not in RESIZES or rest not in ([], ["invert"]) or not (threshold.isascii() and threshold.isdigit()):
        raise ConfigError(f"preparation {text!r}: write {', '.join(RESIZES)}, then ,invert and ,threshold=N if wanted")
    return Preparation(resize, rest == ["invert"], int(threshold))


def from_code(code: int, threshold: int, dtype: str, channels: int) -> Preparation | None:
    """What a header records of an input of this dtype and so many channels; None: nothing.

    Raises:
        ConfigError: bits that have no meaning, or not for such an input.
    """
    if (code, threshold) == (0, 0):
        return None
    resizes = {bit: name for name, bit in RESIZES.items()}
    resize = resizes.get(code & (ops.PREPARE_AVERAGE | ops.PREPARE_NEAREST))
    if not code & ops.PREPARE_RECORDED or code & ~ops.PREPARE_KNOWN or resize is None:
        raise ConfigError(f"prepare {code}, threshold {threshold}")
    found = Preparation(resize, bool(code & ops.PREPARE_INVERT), threshold)
    found.check(dtype, channels)
    return found

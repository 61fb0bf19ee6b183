"""Where a frozen model lands, and the padding in front of it that makes that a multiple of four.

MicroPython gives frozen bytes no alignment, and a word load from an odd address is a fault on a Cortex-M0.
The frozen module (ebnn.freeze) therefore pads the model in front with 1 to 4 bytes and has the same length
for each: the layout of the image does not depend on the padding, and one look at a linked image tells the
right one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ebnn.errors import BuildError
from elf import Image

ALIGNMENT = 4
ATTEMPTS = 4


@dataclass(frozen=True)
class Placement:
    """The address of the model in the running image, the padding in front of it, and how many links it took."""

    address: int
    pad: int
    links: int


def locate(image: Path, model: bytes) -> int:
    """The address of ``model`` in ``image``; raises BuildError unless it is there exactly once."""
    addresses = Image(image).find(model)
    if len(addresses) == 1:
        return addresses[0]
    if not addresses:
        raise BuildError(f"{image}: the frozen model's {len(model)} bytes are not in it")
    places = ", ".join(f"0x{address:x}" for address in addresses)
    raise BuildError(f"{image}: the frozen model is in it {len(addresses)} times ({places}): freeze it once")


def next_pad(address: int, pad: int) -> int:
    """The padding, 1 to 4, that moves a model from ``address``, where ``pad`` put it, to a multiple of four."""
    return (pad - address - 1) % ALIGNMENT + 1


def align(link: Callable[[int], Path], model: bytes, pad: int = ALIGNMENT) -> Placement:
    """Call ``link(pad)``, which gives a linked image, until the model in it is aligned.

    ``pad`` is the first guess. Two links do unless the linker moves things about; raises BuildError when the
    image does not settle.
    """
    for links in range(1, ATTEMPTS + 1):
        address = locate(link(pad), model)
        if address % ALIGNMENT == 0:
            return Placement(address, pad, links)
        pad = next_pad(address, pad)
    raise BuildError(f"the frozen model found no aligned place in {ATTEMPTS} links: report this as a bug")

"""Model bytes -> source of a frozen module, and a C header."""

from __future__ import annotations

import zlib

from ebnn.format import decode
from ebnn.geometry import value_bytes

_MODULE = """\
# {origin}
# {size} bytes, CRC-32 {crc:#010x}. Freeze this module into the firmware: the bytes then stay in flash.
_DATA = (
{lines}
)
model = {expression}
"""

_HEADER = """\
// {origin}
// {size} bytes, CRC-32 {crc:#010x}.
#ifndef EBNN_MODEL_H
#define EBNN_MODEL_H

#include <stdint.h>

// What ebnn_open and ebnn_run want: nodes, bytes of the arena and of the input.
#define EBNN_MODEL_NODES {nodes}
#define EBNN_MODEL_ARENA_SIZE {arena}
#define EBNN_MODEL_INPUT_SIZE {input}

// Words, so that the model is aligned as ebnn_open wants it; little-endian cores only.
#define EBNN_MODEL_SIZE {size}
static const uint32_t ebnn_model[{count}] = {{
{lines}
}};

#endif
"""


def render_module(blob: bytes, pad: int = 0, origin: str = "An ebnn model.") -> str:
    """Python source of the module ``ebnn_model`` whose attribute ``model`` is the blob, in place in flash.

    Frozen bytes have no alignment. With ``pad`` (1 to 3) that many zero bytes stand before the model, and the
    constant has the same length for each pad from 1 to 4, so that a firmware driver can choose the pad that
    aligns the model without moving anything else. ``pad`` 0 is the plain form for file systems.

    Args:
        blob: the model file.
        pad: 0, or 1 to 4 zero bytes before the model (4 - pad behind it).
        origin: a line of comment.
    """
    if not 0 <= pad <= 4:
        raise ValueError(f"pad must be 0 to 4, got {pad}")
    data = b"\0" * pad + blob + (b"\0" * (4 - pad) if pad else b"")
    lines = "\n".join(f"    {data[start : start + 32]!r}" for start in range(0, len(data), 32))
    expression = f"memoryview(_DATA)[{pad}:{pad + len(blob)}]" if pad else "_DATA"
    crc = zlib.crc32(blob)
    return _MODULE.format(origin=origin, size=len(blob), crc=crc, lines=lines, expression=expression)


def render_header(blob: bytes, origin: str = "An ebnn model.") -> str:
    """A C header with the model as a constant array of 32-bit words, and what memory it wants.

    Raises:
        ModelError: ``blob`` is no sound model.
    """
    model = decode(blob)
    padded = blob + b"\0" * (-len(blob) % 4)
    words = [int.from_bytes(padded[place : place + 4], "little") for place in range(0, len(padded), 4)]
    rows = [words[start : start + 8] for start in range(0, len(words), 8)]
    lines = "\n".join("    " + " ".join(f"{word:#010x}," for word in row) for row in rows)
    sizes = {"size": len(blob), "crc": zlib.crc32(blob), "count": len(words), "nodes": len(model.network.nodes)}
    wanted = {"arena": model.plan.arena_size, "input": value_bytes(model.network.input)}
    return _HEADER.format(origin=origin, lines=lines, **sizes, **wanted)

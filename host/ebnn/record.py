"""A node's record in the model file: docs/SPEC.md, section 4.2."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from ebnn import ops
from ebnn.geometry import Geometry, Value, is_or
from ebnn.network import Node

RECORD = struct.Struct("<4B2H16B3I")
NO_WINDOW = (1, 1, 1, 1, 0, 0, 0, 0)
HAVE_KERNEL = ("conv", "depthwise")
PLACE = (1 << 24) - 1  # of the words that hold an arena place and a byte


@dataclass(frozen=True)
class Record:
    """One record, split into its fields; a ``geometry.Layer`` where its code is known.

    ``output_word`` and ``scratch_word`` are arena places, in words, with the dtype and the levels or shift above them.
    """

    code: int
    flags: int
    input: int
    second: int
    filters: int
    scratch_words: int
    conv: tuple[int, ...]
    pool: tuple[int, ...]
    output_word: int
    scratch_word: int
    params: int

    @staticmethod
    def read(blob: bytes, index: int) -> Record:
        """The record of a node."""
        fields = RECORD.unpack_from(blob, ops.HEADER_SIZE + ops.RECORD_SIZE * index)
        return Record(*fields[:6], fields[6:14], fields[14:22], *fields[22:])

    @property
    def op(self) -> str:
        """The operator's name; KeyError for an unknown code."""
        return ops.BY_CODE[self.code].name

    @property
    def output(self) -> str:
        """The output's dtype; the code as text where it is unknown."""
        code = self.output_word >> 24
        return ops.DTYPE_BY_CODE[code].name if code in ops.DTYPE_BY_CODE else str(code)

    @property
    def levels(self) -> int:
        """Thresholds a filter."""
        return self.scratch_word >> 24 if self.output == "bits" else 1

    @property
    def shift(self) -> int:
        """Of integers."""
        return 0 if self.output == "bits" else self.scratch_word >> 24

    @property
    def exclusive(self) -> bool:
        """Whether hits of levels are one bit."""
        return bool(self.flags & ops.FLAG_EXCLUSIVE)

    @property
    def has_int8(self) -> bool:
        """Whether weights are int8."""
        return bool(self.flags & ops.FLAG_INT8_WEIGHTS)

    @property
    def geometry(self) -> Geometry:
        """The windows; what the operator does not have is the default."""
        conv = self.conv if self.op in HAVE_KERNEL else NO_WINDOW
        pool = self.pool if self.op != "dense" else NO_WINDOW
        border = -1 if not self.flags & ops.FLAG_BORDER_NONE else 0
        border = 1 if self.flags & ops.FLAG_BORDER_PLUS else border
        is_sum = bool(self.flags & ops.FLAG_SUM)
        return Geometry(conv[:2], conv[2:4], conv[4:], border, pool[:2], pool[2:4], pool[4:], is_sum)

    @property
    def output_place(self) -> int:
        """Bytes from the arena's start."""
        return 4 * (self.output_word & PLACE)

    @property
    def scratch(self) -> tuple[int, int]:
        """(place, size) in bytes."""
        return 4 * (self.scratch_word & PLACE), 4 * self.scratch_words

    def fields_fit(self, source: Value) -> bool:
        """Whether fields and flags without a meaning for the node are 0."""
        unused = self.flags & ~self._allowed(source)
        unused |= any(self.conv) and self.op not in HAVE_KERNEL
        unused |= any(self.pool) and self.op == "dense"
        unused |= self.params and is_or(self, source)
        return not unused

    def _allowed(self, source: Value) -> int:
        """The flags that have a meaning for the node."""
        has_kernel, has_numbers, is_bits = self.op in HAVE_KERNEL, not is_or(self, source), self.output == "bits"
        has_plus = has_kernel and source.dtype in ("bits", "u8") and not self.flags & ops.FLAG_BORDER_NONE
        meanings = (
            (ops.FLAG_BORDER_PLUS, has_plus),
            (ops.FLAG_WIDE, has_numbers),
            (ops.FLAG_FLIPS, is_bits and has_numbers),
            (ops.FLAG_BORDER_NONE, has_kernel and source.dtype == "bits"),
            (ops.FLAG_INT8_WEIGHTS, self.op != "pool"),
            (ops.FLAG_SUM, self.op != "dense"),
            (ops.FLAG_GAINS, not is_bits),
            (ops.FLAG_EXCLUSIVE, is_bits and self.levels > 1),
        )
        return sum(flag for flag, has in meanings if has)


def is_wide(node: Node) -> bool:
    """Whether the thresholds or offsets need 32 bits."""
    numbers = node.thresholds if node.offsets is None else node.offsets
    return numbers is not None and bool((numbers != numbers.astype(np.int16)).any())


def flags(node: Node) -> int:
    """The flags of a node's record."""
    geometry = node.geometry
    meanings = (
        (ops.FLAG_BORDER_PLUS, geometry.border > 0),
        (ops.FLAG_WIDE, is_wide(node)),
        (ops.FLAG_FLIPS, node.flips is not None),
        (ops.FLAG_BORDER_NONE, geometry.border == 0),
        (ops.FLAG_INT8_WEIGHTS, node.has_int8),
        (ops.FLAG_SUM, geometry.pool_sum),
        (ops.FLAG_GAINS, node.gains is not None),
        (ops.FLAG_EXCLUSIVE, node.exclusive),
    )
    return sum(flag for flag, has in meanings if has)


def pack(node: Node, output_place: int, scratch: tuple[int, int], params: int) -> bytes:
    """The record of a node: places and sizes in bytes, and the file offset of its parameters."""
    g, (place, size) = node.geometry, scratch
    conv = (*g.kernel, *g.stride, *g.pad) if node.op in HAVE_KERNEL else (0,) * 8
    pool = (*g.pool, *g.pool_stride, *g.pool_pad) if node.op != "dense" else (0,) * 8
    ending = node.levels if node.output == "bits" else node.shift
    return RECORD.pack(
        *(ops.BY_NAME[node.op].code, flags(node), node.inputs[0], node.second or 0),
        *(node.filters, size // 4),
        *(*conv, *pool),
        *(output_place // 4 | ops.DTYPE[node.output].code << 24, place // 4 | ending << 24, params),
    )

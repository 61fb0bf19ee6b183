"""The tables of operators, flags, dtypes and errors, and the format's version: the only hand-written copy of each.

``tools/generate.py`` renders the C header ``usermod/ebnn/engine/ebnn_ops.h`` and the tables of
``docs/SPEC.md`` from here; a test says whether rendering again would change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FORMAT_MAJOR = 1
FORMAT_MINOR = 0
MAGIC = b"EBNN"

HEADER_SIZE = 48
RECORD_SIZE = 36


@dataclass(frozen=True)
class Flag:
    """A bit of a node record: its value, and the nodes that may have it (docs/SPEC.md, section 4.2)."""

    value: int
    name: str
    summary: str


FLAGS = (
    Flag(1, "border_plus", "padding holds +1, or the byte 255"),
    Flag(2, "wide", "thresholds or offsets are i32 instead of i16"),
    Flag(4, "flips", "a flip bit a channel"),
    Flag(8, "border_none", "taps on padding do not count"),
    Flag(16, "int8_weights", "weights are int8 instead of bits"),
    Flag(32, "sum", "the pool adds up instead of taking the largest"),
    Flag(64, "gains", "a gain a filter"),
    Flag(128, "exclusive", "the hits of a filter's levels are one bit, by exclusive or"),
)
FLAG_BORDER_PLUS, FLAG_WIDE, FLAG_FLIPS, FLAG_BORDER_NONE = (flag.value for flag in FLAGS[:4])
FLAG_INT8_WEIGHTS, FLAG_SUM, FLAG_GAINS, FLAG_EXCLUSIVE = (flag.value for flag in FLAGS[4:])

# The header's field `prepare`: how a gray picture became the input. Neither average nor nearest: its size as it is.
PREPARE_RECORDED = 1
PREPARE_AVERAGE = 2
PREPARE_NEAREST = 4
PREPARE_INVERT = 8
PREPARE_KNOWN = 15

# Pixel formats; up to 6 the numbers of MicroPython's framebuf.
FORMATS = {"MONO_VLSB": 0, "RGB565": 1, "MONO_HLSB": 3, "MONO_HMSB": 4, "GS8": 6, "RGB565_SWAPPED": 129}
MAX_SIDE = 32767  # pixels of a frame's side and stride
MAX_CROP = 1 << 23  # pixels of a crop: twice their sum stays inside 32 bits

# Bounds that keep every size and sum of the engine inside 32 bits.
MAX_BITS = 1 << 27  # bits of one feature map, of one filter, of all filters of a node
MAX_ARENA = 1 << 26  # bytes
MAX_SUM = 1 << 30  # of a filter, whatever the input
MAX_SHIFT = 31
INT8_MOST = 128  # the largest absolute weight of int8

# The lanes kernel for convolution of bits (usermod/ebnn/engine/ebnn_lanes.c): positions at once, and bytes for them;
# bytes of sums a filter; bytes of table a word of weights, for a chunk of so many words at most; taps its lanes hold.
LANES_TILE = 16
LANES_TILE_BYTES = 128
LANES_SUM_BYTES = 32
LANES_TABLE_BYTES = 1024
LANES_CHUNK_MAX = 7
LANES_TAPS_MAX = 32766
LANES_FILTERS_MIN = 2  # for fewer the tables are not worth their while; the exporter decides, not the engine

# The same for convolution of bytes (usermod/ebnn/engine/ebnn_bytes.c): its table is of one group of four taps, or of
# four groups.
BYTES_TILE = 4
BYTES_SUM_BYTES = 8
BYTES_GROUP_BYTES = 128
BYTES_GROUPS = 4
BYTES_TAPS_MAX = 128


@dataclass(frozen=True)
class Op:
    """One source of sums. Pools, endings and dtypes are attributes of a node and belong to every source."""

    code: int
    name: str
    summary: str


OPS = (
    Op(1, "conv", "convolution"),
    Op(2, "depthwise", "convolution of each channel on its own"),
    Op(3, "dense", "fully connected layer"),
    Op(4, "pool", "no weights: the input itself, to pool, compare, add or encode it"),
)
BY_NAME = {op.name: op for op in OPS}
BY_CODE = {op.code: op for op in OPS}


@dataclass(frozen=True)
class Dtype:
    """What elements of a value are: the least and the largest, and how many bits each takes (of ``bits``: packed)."""

    code: int
    name: str
    least: int
    most: int
    size: int

    @property
    def largest(self) -> int:
        """The largest absolute value."""
        return max(-self.least, self.most)


DTYPES = (
    Dtype(0, "bits", -1, 1, 1),
    Dtype(1, "u8", 0, 255, 8),
    Dtype(2, "i8", -128, 127, 8),
    Dtype(3, "i16", -(1 << 15), (1 << 15) - 1, 16),
    Dtype(4, "i32", -(1 << 31), (1 << 31) - 1, 32),
)
DTYPE = {dtype.name: dtype for dtype in DTYPES}
DTYPE_BY_CODE = {dtype.code: dtype for dtype in DTYPES}
INPUT_DTYPES = ("bits", "u8", "i8", "i16")
SECOND_DTYPES = ("u8", "i8", "i16")  # of a second input
SCORE_DTYPES = ("i8", "i16", "i32")

# (name, what the person reads). The code is minus the position, counted from 1.
ERRORS = (
    ("TRUNCATED", "model is truncated"),
    ("MAGIC", "not an ebnn model"),
    ("VERSION", "model format is not the one that this ebnn reads: update the firmware or export again"),
    ("SIZE", "model is longer than its header says"),
    ("CRC", "model is damaged: its checksum does not match"),
    ("HEADER", "model header is invalid"),
    ("OP", "model uses an operator that this ebnn does not have"),
    ("LINK", "a node reads a value that does not exist or has another type"),
    ("SHAPE", "a node's geometry does not fit its input"),
    ("RANGE", "a node's parameters lie outside of the model"),
    ("OVERFLOW", "a node's sums could pass 32 bits"),
    ("ARENA", "a node's memory lies outside of the arena"),
    ("LABELS", "the labels are damaged"),
    ("NODES", "model has more nodes than the caller's table"),
    ("ALIGN", "model and arena must be aligned to 4 bytes"),
    ("SPACE", "the arena is smaller than the model needs"),
    ("STOPPED", "stopped by the caller"),
    ("FRAME", "a frame needs a known format, and sides and a stride of 1 to 32767 pixels"),
    ("CROP", "the crop must lie inside of the frame, be at least as large as the input, and have at most 2^23 pixels"),
    ("PICTURE", "no such preparation for this input: it takes one channel, and its own size where nothing is resized"),
)
ERROR_TEXT = dict(ERRORS)


def error_code(name: str) -> int:
    """The engine's number for an error name, for example ``error_code("TRUNCATED") == -1``."""
    return -1 - [entry[0] for entry in ERRORS].index(name)


def _define(name: str, value: object) -> str:
    return f"#define EBNN_{name} ({value})"


def render_header() -> str:
    """The generated C header: format constants, X-macro list of operators, error enum, X-macro of error texts."""
    ops = [f"    X({op.code}, {op.name.upper()})" for op in OPS]
    errors = [f'    X(EBNN_E_{name}, {error_code(name)}, "{text}")' for name, text in ERRORS]
    constants = [
        ("FORMAT_MAJOR", FORMAT_MAJOR),
        ("FORMAT_MINOR", FORMAT_MINOR),
        ("HEADER_SIZE", HEADER_SIZE),
        ("RECORD_SIZE", RECORD_SIZE),
        *((f"FLAG_{flag.name.upper()}", flag.value) for flag in FLAGS),
        ("PREPARE_RECORDED", PREPARE_RECORDED),
        ("PREPARE_AVERAGE", PREPARE_AVERAGE),
        ("PREPARE_NEAREST", PREPARE_NEAREST),
        ("PREPARE_INVERT", PREPARE_INVERT),
        ("PREPARE_KNOWN", PREPARE_KNOWN),
        ("MAX_BITS", f"{MAX_BITS}UL"),
        ("MAX_ARENA", f"{MAX_ARENA}UL"),
        ("MAX_SUM", f"{MAX_SUM}UL"),
        ("MAX_SHIFT", MAX_SHIFT),
        ("LANES_TILE", f"{LANES_TILE}U"),
        ("LANES_TILE_BYTES", f"{LANES_TILE_BYTES}U"),
        ("LANES_SUM_BYTES", f"{LANES_SUM_BYTES}U"),
        ("LANES_TABLE_BYTES", f"{LANES_TABLE_BYTES}U"),
        ("LANES_CHUNK_MAX", f"{LANES_CHUNK_MAX}U"),
        ("LANES_TAPS_MAX", f"{LANES_TAPS_MAX}U"),
        ("BYTES_TILE", f"{BYTES_TILE}U"),
        ("BYTES_SUM_BYTES", f"{BYTES_SUM_BYTES}U"),
        ("BYTES_GROUP_BYTES", f"{BYTES_GROUP_BYTES}U"),
        ("BYTES_GROUPS", f"{BYTES_GROUPS}U"),
        ("BYTES_TAPS_MAX", f"{BYTES_TAPS_MAX}U"),
        *((f"PIXELS_{name}", number) for name, number in FORMATS.items()),
        ("MAX_SIDE", f"{MAX_SIDE}U"),
        ("MAX_CROP", f"{MAX_CROP}UL"),
        *((f"DTYPE_{dtype.name.upper()}", dtype.code) for dtype in DTYPES),
    ]
    return "\n".join(
        [
            "// Rendered by tools/generate.py from host/ebnn/ops.py: do not edit.",
            "#ifndef EBNN_OPS_H",
            "#define EBNN_OPS_H",
            "",
            *(_define(name, value) for name, value in constants),
            "",
            "// X(code, name)",
            "#define EBNN_OP_LIST(X) \\",
            " \\\n".join(ops),
            "",
            "// X(name, code, text)",
            "#define EBNN_ERROR_LIST(X) \\",
            " \\\n".join(errors),
            "",
            "#endif",
            "",
        ]
    )


def render_spec_tables() -> dict[str, str]:
    """Markdown tables of the SPEC by marker name (``ops``, ``flags``, ``errors``)."""
    ops = ["| code | operator | what |", "|---|---|---|"]
    ops += [f"| {o.code} | `{o.name}` | {o.summary} |" for o in OPS]
    flags = ["| flag | name | what |", "|---|---|---|"]
    flags += [f"| {f.value} | {f.name.replace('_', ' ')} | {f.summary} |" for f in FLAGS]
    errors = ["| code | name | text |", "|---|---|---|"]
    errors += [f"| {error_code(name)} | `{name}` | {text} |" for name, text in ERRORS]
    return {"ops": "\n".join(ops), "flags": "\n".join(flags), "errors": "\n".join(errors)}


def splice_tables(text: str) -> str:
    """Return SPEC text with the tables between ``<!-- NAME -->`` and ``<!-- /NAME -->`` rendered again."""
    for name, table in render_spec_tables().items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, rest = text.split(start, 1)
        text = before + start + table + "\n" + end + rest.split(end, 1)[1]
    return text


def generated_files(root: Path) -> dict[Path, str]:
    """Every generated file with the content that it should have."""
    spec = root / "docs" / "SPEC.md"
    header = root / "usermod" / "ebnn" / "engine" / "ebnn_ops.h"
    return {header: render_header(), spec: splice_tables(spec.read_text(encoding="utf-8"))}

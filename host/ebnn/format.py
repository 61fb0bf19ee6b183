"""(Network, Plan, SelfTest) <-> bytes: docs/SPEC.md, sections 4 and 7."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ebnn import bits, ops
from ebnn.errors import ConfigError, ModelError
from ebnn.geometry import (
    Geometry,
    Value,
    acc_bound,
    filter_bytes,
    filter_shape,
    filter_taps,
    geometry_fault,
    output_shape,
    value_bytes,
)
from ebnn.network import Network, Node
from ebnn.plan import Plan, make_plan, scratch_bytes
from ebnn.prepare import Preparation, from_code

HEADER = struct.Struct("<4s4BIII3H2B4I2BH")
RECORD = struct.Struct("<4B2H16B3I")
DTYPE_NAMES = {code: name for name, code in ops.DTYPES.items()}


@dataclass(frozen=True)
class SelfTest:
    """Seed of the pseudo-random input and CRC-32 of its scores (docs/SPEC.md, section 6)."""

    seed: int
    crc: int


@dataclass(frozen=True)
class Use:
    """What a model records of its use; no score depends on it.

    Args:
        margin: least difference of the two highest scores of a sure answer; 0: none is calibrated.
        preparation: how a picture becomes the input; None: nothing is recorded.
    """

    margin: int = 0
    preparation: Preparation | None = None


NO_USE = Use()


@dataclass(frozen=True)
class Model:
    """What a model file holds."""

    network: Network
    plan: Plan
    selftest: SelfTest
    use: Use = NO_USE


def model_crc(blob: bytes) -> int:
    """The checksum that bytes 12 to 15 of a model should hold."""
    return zlib.crc32(blob[16:], zlib.crc32(blob[:12]))


# --- writing -------------------------------------------------------------------------------------------------


def encode(network: Network, selftest: SelfTest, plan: Plan | None = None, use: Use = NO_USE) -> bytes:
    """The model file of a network; ``plan`` is made where none is given.

    Raises:
        ConfigError: the input cannot be prepared as ``use`` says.
    """
    if use.preparation is not None:
        use.preparation.check(network.input.dtype, network.input.shape[2])
    plan = plan or make_plan(network)
    start = ops.HEADER_SIZE + ops.RECORD_SIZE * len(network.nodes)
    records, blobs = [], []
    for index, node in enumerate(network.nodes):
        params = _params(node)
        records.append(_record(network, plan, index, start if params else 0))
        blobs.append(params)
        start += len(params)
    labels = b"".join(bytes([len(name.encode())]) + name.encode() for name in network.labels)
    body = b"".join([*records, *blobs, labels])
    return _sealed(Model(network, plan, selftest, use), body, start if labels else 0)


def _sealed(model: Model, body: bytes, labels_offset: int) -> bytes:
    network, selftest, use = model.network, model.selftest, model.use
    prepare = (0, 0) if use.preparation is None else (use.preparation.code, use.preparation.threshold)

    def header(crc: int) -> bytes:
        return HEADER.pack(
            ops.MAGIC,
            *(ops.FORMAT_MAJOR, ops.FORMAT_MINOR, ops.RECORD_SIZE, len(network.nodes)),
            *(ops.HEADER_SIZE + len(body), crc, model.plan.arena_size),
            *network.input.shape,
            *(ops.DTYPES[network.input.dtype], 0),
            *(labels_offset, selftest.seed, selftest.crc),
            *(use.margin, *prepare, 0),
        )

    return header(model_crc(header(0) + body)) + body


def _is_wide(node: Node) -> bool:
    """Whether the thresholds or offsets need 32 bits."""
    numbers = node.thresholds if node.offsets is None else node.offsets
    return numbers is not None and bool((numbers != numbers.astype(np.int16)).any())


def _flags(node: Node) -> int:
    return (
        (ops.FLAG_BORDER_PLUS if node.geometry.border > 0 else 0)
        | (ops.FLAG_WIDE if _is_wide(node) else 0)
        | (ops.FLAG_FLIPS if node.flips is not None else 0)
    )


def _record(network: Network, plan: Plan, index: int, params: int) -> bytes:
    node = network.nodes[index]
    g = node.geometry
    conv = (*g.kernel, *g.stride, *g.pad) if node.spec.source == "conv" else (0,) * 8
    pool = (*g.pool, *g.pool_stride, *g.pool_pad) if node.spec.source != "dense" else (0,) * 8
    offset, size = plan.scratch[index]
    return RECORD.pack(
        *(node.spec.code, _flags(node), node.inputs[0], 0),
        *(node.filters, size // 4),
        *(*conv, *pool),
        *(plan.outputs[index], offset, params),
    )


def _words(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _params(node: Node) -> bytes:
    """Weights, thresholds or offsets, flips: docs/SPEC.md, section 4.3."""
    if node.weights is None:
        return b""
    plus = node.weights > 0
    packed = bits.pack_maps(plus) if node.spec.input == "bits" else bits.pack_rows(plus.reshape(node.filters, -1))
    numbers = node.thresholds if node.offsets is None else node.offsets
    parts = [packed.tobytes(), _words(numbers.astype("<i4" if _is_wide(node) else "<i2").tobytes())]
    if node.flips is not None:
        parts.append(bits.pack_rows(node.flips).tobytes())
    return b"".join(parts)


# --- reading -------------------------------------------------------------------------------------------------


def refuse(code: str, detail: str = "") -> ModelError:
    """A ModelError of the table's text, with a detail behind it."""
    return ModelError(code, ops.ERROR_TEXT[code] + (f" ({detail})" if detail else ""))


def version_text(major: int, minor: int) -> str:
    """The sentence for a model of another format version, the same on host and device."""
    ours = f"{ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}"
    return f"model format {major}.{minor}, this ebnn reads {ours}: update the firmware or export again"


def decode(blob: bytes) -> Model:
    """Read and validate a model file.

    Raises:
        ModelError: whose ``code`` is the same that the C engine's ``ebnn_open`` gives.
    """
    return _Reader(bytes(blob)).read()


@dataclass(frozen=True)
class _Record:
    """One node record, split into its fields (docs/SPEC.md, section 4.2)."""

    code: int
    flags: int
    input: int
    second: int
    filters: int
    scratch_words: int
    conv: tuple[int, ...]
    pool: tuple[int, ...]
    output: int
    scratch: int
    params: int

    @staticmethod
    def read(blob: bytes, index: int) -> _Record:
        fields = RECORD.unpack_from(blob, ops.HEADER_SIZE + ops.RECORD_SIZE * index)
        return _Record(*fields[:6], fields[6:14], fields[14:22], *fields[22:])

    @property
    def op(self) -> ops.Op:
        return ops.BY_CODE[self.code]

    @property
    def geometry(self) -> Geometry:
        conv = self.conv if self.op.source == "conv" else (1, 1, 1, 1, 0, 0, 0, 0)
        pool = self.pool if self.op.source != "dense" else (1, 1, 1, 1, 0, 0, 0, 0)
        border = 1 if self.flags & ops.FLAG_BORDER_PLUS else -1
        return Geometry(conv[:2], conv[2:4], conv[4:], border, pool[:2], pool[2:4], pool[4:])

    def fields_fit(self) -> bool:
        """Whether fields and flags that the operator does not use are 0, and it has filters where it wants them."""
        op, unused = self.op, 0
        allowed = ops.FLAGS_KNOWN if op.source != "pool" else 0
        allowed &= ~ops.FLAG_BORDER_PLUS if op.source == "dense" else ~0
        allowed &= ~ops.FLAG_FLIPS if op.output == "i32" else ~0
        unused |= self.flags & ~allowed
        unused |= any(self.conv) and op.source != "conv"
        unused |= any(self.pool) and op.source == "dense"
        unused |= (self.filters or self.params) and op.source == "pool"
        return not unused and (self.filters >= 1 or op.source == "pool")


def read_blob(path: str | Path) -> bytes:
    """A model file's bytes, validated.

    Raises:
        ModelError: naming the file, with the reader's ``code``.
        OSError: it cannot be read.
    """
    blob = Path(path).read_bytes()
    try:
        decode(blob)
    except ModelError as error:
        raise ModelError(error.code, f"{path}: {error}") from None
    return blob


class _Reader:
    """Checks in the order of docs/SPEC.md, section 7; every later check may rely on the ones before."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def read(self) -> Model:
        self._check_file()
        self._check_header()
        values, nodes, records = [self.input], [], []
        for index in range(self.node_count):
            record = _Record.read(self.blob, index)
            node, value = self._node(record, values, f"node {index}")
            nodes.append(node)
            values.append(value)
            records.append(record)
        network = Network(self.input, tuple(nodes), self._labels(values[-1].shape[2]))
        places = tuple((record.scratch, 4 * record.scratch_words) for record in records)
        plan = Plan(tuple(record.output for record in records), places, self.arena_size)
        return Model(network, plan, self.selftest, self.use)

    def _check_file(self) -> None:
        blob = self.blob
        if len(blob) < ops.HEADER_SIZE:
            raise refuse("TRUNCATED", f"{len(blob)} bytes")
        if blob[:4] != ops.MAGIC:
            raise refuse("MAGIC")
        if (blob[4], blob[5]) != (ops.FORMAT_MAJOR, ops.FORMAT_MINOR):
            raise ModelError("VERSION", version_text(blob[4], blob[5]))
        total, crc = struct.unpack_from("<2I", blob, 8)
        if total != len(blob):
            raise refuse("TRUNCATED" if total > len(blob) else "SIZE", f"{len(blob)} bytes, header says {total}")
        if crc != model_crc(blob):
            raise refuse("CRC")

    def _check_header(self) -> None:
        fields = HEADER.unpack_from(self.blob)
        record_size, self.node_count = fields[3:5]
        self.arena_size, shape, (dtype, reserved) = fields[7], fields[8:11], fields[11:13]
        self.labels_offset, self.selftest = fields[13], SelfTest(*fields[14:16])
        good = (
            record_size == ops.RECORD_SIZE
            and self.node_count >= 1
            and self.arena_size % 4 == 0
            and self.arena_size <= ops.MAX_ARENA
            and min(shape) >= 1
            and dtype in (ops.DTYPES["bits"], ops.DTYPES["u8"])
            and reserved == 0
            and self.selftest.seed != 0
        )
        if not good:
            raise refuse("HEADER")
        self.input = Value(0, shape, DTYPE_NAMES[dtype])
        self.records_end = ops.HEADER_SIZE + ops.RECORD_SIZE * self.node_count
        if 8 * value_bytes(self.input) > ops.MAX_BITS or self.records_end > len(self.blob):
            raise refuse("HEADER")
        self.use = self._use(*fields[16:])

    def _use(self, margin: int, prepare: int, threshold: int, reserved: int) -> Use:
        try:
            preparation = from_code(prepare, threshold, self.input.dtype, self.input.shape[2])
        except ConfigError as error:
            raise refuse("HEADER", str(error)) from None
        if reserved != 0:
            raise refuse("HEADER")
        return Use(margin, preparation)

    def _node(self, record: _Record, values: list[Value], where: str) -> tuple[Node, Value]:
        if record.code not in ops.BY_CODE:
            raise refuse("OP", f"{where}: code {record.code}")
        op = record.op
        if record.input >= len(values) or record.second != 0 or values[record.input].dtype != op.input:
            raise refuse("LINK", where)
        source = values[record.input]
        channels = source.shape[2] if op.source == "pool" else record.filters
        is_last = len(values) == self.node_count
        if not record.fields_fit() or is_last != (op.output == "i32"):
            raise refuse("SHAPE", f"{where}: {op.name}")
        fault = geometry_fault(op, source, record.geometry, channels)
        if fault:
            raise refuse("SHAPE", f"{where}: {fault}")
        params = {} if op.source == "pool" else self._params(record, source, where)
        value = Value(len(values), output_shape(op, source, record.geometry, channels), op.output)
        self._check_arena(record, source, value, where)
        return Node(op.name, (record.input,), record.geometry, **params), value

    def _params(self, record: _Record, source: Value, where: str) -> dict:
        op, filters, start = record.op, record.filters, record.params
        rows = filters * filter_bytes(op, source, record.geometry)
        numbers = -(-filters * (4 if record.flags & ops.FLAG_WIDE else 2) // 4) * 4
        flips = 4 * bits.row_words(filters) if record.flags & ops.FLAG_FLIPS else 0
        if start % 4 or start < self.records_end or 8 * rows > ops.MAX_BITS:
            raise refuse("RANGE", where)
        if start + rows + numbers + flips > len(self.blob):
            raise refuse("RANGE", where)
        if source.dtype == "u8" and filter_taps(op, source, record.geometry) > ops.MAX_U8_TAPS:
            raise refuse("OVERFLOW", where)
        values = self._numbers(record, start + rows)
        if op.output == "i32":
            worst = acc_bound(op, source, record.geometry) + int(np.abs(values.astype(np.int64)).max())
            if worst >= 1 << 31:
                raise refuse("OVERFLOW", where)
        weights = _weights(record, source, np.frombuffer(self.blob, np.uint8, rows, start))
        inverted = np.frombuffer(self.blob, np.uint8, flips, start + rows + numbers)
        return {
            "weights": weights,
            "thresholds" if op.output == "bits" else "offsets": values,
            "flips": bits.unpack_rows(inverted, filters) if flips else None,
        }

    def _numbers(self, record: _Record, start: int) -> np.ndarray:
        kind = "<i4" if record.flags & ops.FLAG_WIDE else "<i2"
        return np.frombuffer(self.blob, kind, record.filters, start).astype(np.int32)

    def _check_arena(self, record: _Record, source: Value, value: Value, where: str) -> None:
        size = 4 * record.scratch_words
        for start, length in ((record.output, value_bytes(value)), (record.scratch, size)):
            if start % 4 or start + length > self.arena_size:
                raise refuse("ARENA", where)
        needed = scratch_bytes(record.op, source, record.geometry, record.filters)
        if size < needed:
            raise refuse("ARENA", f"{where}: {size} bytes of scratch, needs {needed}")

    def _labels(self, classes: int) -> tuple[str, ...]:
        if self.labels_offset == 0:
            return ()
        place, names = self.labels_offset, []
        if place < self.records_end:
            raise refuse("LABELS")
        for _ in range(classes):
            end = place + 1 + self.blob[place] if place < len(self.blob) else len(self.blob) + 1
            if end > len(self.blob):
                raise refuse("LABELS")
            names.append(_label(self.blob[place + 1 : end]))
            place = end
        return tuple(names)


def _label(text: bytes) -> str:
    """A label; of one that is no UTF-8 the ASCII characters."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("ascii", errors="ignore")


def _weights(record: _Record, source: Value, packed: np.ndarray) -> np.ndarray:
    """int8 (filters, kh, kw, c) of packed rows."""
    shape = filter_shape(record.op, source, record.geometry)
    rows = packed.reshape(record.filters, -1)
    if source.dtype == "bits":
        plus = bits.unpack_maps(rows, shape)
    else:
        plus = bits.unpack_rows(rows, shape[0] * shape[1] * shape[2]).reshape(-1, *shape)
    return np.where(plus, 1, -1).astype(np.int8)

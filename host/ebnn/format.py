"""(Network, Plan, SelfTest) <-> bytes: docs/SPEC.md, sections 4 and 7."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from ebnn import blocks, ops, record, rules
from ebnn.errors import ConfigError, ModelError
from ebnn.geometry import Value, output_shape, value_bytes
from ebnn.network import Network, Node
from ebnn.plan import Plan, make_plan, scratch_bytes
from ebnn.prepare import Preparation, from_code
from ebnn.record import Record

HEADER = struct.Struct("<4s4BIII3H2B4I2BH")


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
        params = blocks.pack(node, network.values[node.inputs[0]])
        records.append(record.pack(node, plan.outputs[index], plan.scratch[index], start if params else 0))
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
            *(ops.DTYPE[network.input.dtype].code, 0),
            *(labels_offset, selftest.seed, selftest.crc),
            *(use.margin, *prepare, 0),
        )

    return header(model_crc(header(0) + body)) + body


# --- reading -------------------------------------------------------------------------------------------------


def refuse(code: str, detail: str = "") -> ModelError:
    """A ModelError of the table's text, with a detail behind it."""
    return ModelError(code, ops.ERROR_TEXT[code] + (f" ({detail})" if detail else ""))


def _refuse_fault(code: str, where: str, fault: str | None) -> None:
    if fault:
        raise refuse(code, f"{where}: {fault}")


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
            records.append(Record.read(self.blob, index))
            nodes.append(self._node(records[-1], values, f"node {index}"))
            values.append(Value(len(values), output_shape(records[-1], values[records[-1].input]), nodes[-1].output))
        network = Network(self.input, tuple(nodes), self._labels(values[-1].shape[2]))
        places = tuple(found.scratch for found in records)
        plan = Plan(tuple(found.output_place for found in records), places, self.arena_size)
        return Model(network, plan, self.selftest, self.use)

    def _check_file(self) -> None:
        blob = self.blob
        if len(blob) < ops.HEADER_SIZE:
            raise refuse("TRUNCATED", f"{len(blob)} bytes")
        if blob[:4] != ops.MAGIC:
            raise refuse("MAGIC")
        if blob[4] != ops.FORMAT_MAJOR or blob[5] > ops.FORMAT_MINOR:
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
            and dtype in [ops.DTYPE[name].code for name in ops.INPUT_DTYPES]
            and reserved == 0
            and self.selftest.seed != 0
        )
        if not good:
            raise refuse("HEADER")
        self.input = Value(0, shape, ops.DTYPE_BY_CODE[dtype].name)
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

    def _node(self, found: Record, values: list[Value], where: str) -> Node:
        if found.code not in ops.BY_CODE:
            raise refuse("OP", f"{where}: code {found.code}")
        if max(found.input, found.second) >= len(values):
            raise refuse("LINK", where)
        source, second = values[found.input], values[found.second] if found.second else None
        _refuse_fault("LINK", where, rules.link_fault(source, second))
        self._check_shape(found, source, second, len(values) == self.node_count, where)
        self._check_range(found, source, where)
        params = blocks.unpack(found, source, self.blob)
        fault = rules.sums_fault(found, source, second, params.get("offsets"), params["gains"])
        _refuse_fault("OVERFLOW", where, fault)
        self._check_arena(found, source, where)
        inputs = (found.input, found.second) if second else (found.input,)
        attributes = {name: getattr(found, name) for name in ("output", "levels", "exclusive", "shift", "filters")}
        return Node(found.op, inputs, found.geometry, **attributes, **params)

    def _check_shape(self, found: Record, source: Value, second: Value | None, is_last: bool, where: str) -> None:
        fault = rules.shape_fault(found, source, second) or rules.score_fault(found, source, is_last)
        if not fault and not found.fields_fit(source):
            fault = f"flags {found.flags} or fields that mean nothing for {found.op} of {source.dtype}"
        _refuse_fault("SHAPE", where, fault)

    def _check_range(self, found: Record, source: Value, where: str) -> None:
        start, size = found.params, sum(blocks.sizes(found, source, found.flags).values())
        if size == 0:
            return
        _refuse_fault("RANGE", where, rules.size_fault(found, source))
        if start % 4 or start < self.records_end or start + size > len(self.blob):
            raise refuse("RANGE", where)

    def _check_arena(self, found: Record, source: Value, where: str) -> None:
        output = Value(0, output_shape(found, source), found.output)
        for start, size in ((found.output_place, value_bytes(output)), found.scratch):
            if start + size > self.arena_size:
                raise refuse("ARENA", where)
        size, needed = found.scratch[1], scratch_bytes(found, source)
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

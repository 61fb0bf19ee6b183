"""What a model takes: bytes of the file, multiplications, memory, for every node and in total.

Everything here follows from the model alone, is exact, and needs no run. A multiply-accumulate (MAC) is one weight
at one position; ``binary`` ones read bits, ``byte`` ones read u8. Positions of a convolution that no pool window
covers are not computed and not counted; taps on the border are. Temporaries "as float" are 4 bytes an element of
each node's output (after its pool: what a float network that fuses pools as this one does would keep).
"""

from __future__ import annotations

import math

from ebnn import bits, ops
from ebnn.format import RECORD, Model, encode
from ebnn.geometry import Geometry, Value, conv_size, filter_bytes, filter_taps, value_bytes
from ebnn.network import Network, Node
from ebnn.plan import chosen
from ebnn.tables import Table, plain

FLOAT_BYTES = 4


def describe(model: Model) -> dict:
    """Facts of a model as plain data; ``render_text`` prints them.

    The sizes are those of the file that ``format.encode`` writes.

    Returns:
        A dict with ``format`` ("major.minor"), ``input`` (shape, dtype, bytes), ``margin`` (of a sure answer; 0: none
        is calibrated), ``prepare`` (``prepare.Preparation`` as text, or None), ``feed`` (``row_bytes`` at once,
        ``window_rows`` and ``window_bytes`` that are kept, where the input comes row by row), ``labels``, ``selftest``
        (seed, crc), ``layers`` and ``totals``. A layer has its geometry, the engine's ``kernel`` for
        it and how many ``tables`` that keeps at once (``plan.chosen``), the number of ``weights``, ``bytes``
        in the file (record, weights, thresholds - or offsets -, flips, total: padding included),
        ``padding_bits`` of the same parts, ``macs_binary``, ``macs_byte``, ``float_bytes``, ``packed_bytes`` and
        ``ratio`` of its output, and ``arena`` (offsets and sizes of output and scratch; ``share`` is the part of
        the arena that the node's input, output and scratch take). ``totals`` adds them up; ``model_bytes`` =
        ``header_bytes`` + the layers' total bytes + ``label_bytes``.
    """
    network = model.network
    blob = encode(network, model.selftest, model.plan, model.use)
    layers = [_layer(model, index, _flags(blob, index)) for index in range(len(network.nodes))]
    return {
        "format": f"{ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}",
        "input": {**_value(network.input), "bytes": value_bytes(network.input)},
        "feed": _feed(network),
        "margin": model.use.margin,
        "prepare": None if model.use.preparation is None else str(model.use.preparation),
        "labels": list(network.labels),
        "selftest": {"seed": model.selftest.seed, "crc": model.selftest.crc},
        "layers": layers,
        "totals": _totals(model, layers, len(blob)),
    }


def _flags(blob: bytes, index: int) -> int:
    return RECORD.unpack_from(blob, ops.HEADER_SIZE + ops.RECORD_SIZE * index)[1]


def _value(value: Value) -> dict:
    return {"shape": list(value.shape), "dtype": value.dtype}


def _layer(model: Model, index: int, flags: int) -> dict:
    network = model.network
    node = network.nodes[index]
    source, output = network.values[node.inputs[0]], network.values[index + 1]
    taps = filter_taps(node.spec, source, node.geometry) if node.filters else 0
    macs = _macs(node, source, output, taps)
    floats = FLOAT_BYTES * math.prod(output.shape)
    choice = chosen(node, source, model.plan.scratch[index][1])
    return {
        "index": index,
        "name": node.name,
        "op": node.op,
        "reads": node.inputs[0],
        "input": _value(source),
        "output": _value(output),
        "geometry": _geometry(node),
        "kernel": choice.kernel,
        "tables": choice.tables,
        "weights": node.filters * taps,
        **_file_parts(node, source, flags),
        "macs_binary": 0 if source.dtype == "u8" else macs,
        "macs_byte": macs if source.dtype == "u8" else 0,
        "float_bytes": floats,
        "packed_bytes": value_bytes(output),
        "ratio": floats / value_bytes(output),
        "arena": _arena(model, index),
    }


def _geometry(node: Node) -> dict:
    """The windows that the operator has."""
    g, kind = node.geometry, node.spec.source
    conv = {"kernel": g.kernel, "stride": g.stride, "pad": g.pad} if kind == "conv" else {}
    pool = {"pool": g.pool, "pool_stride": g.pool_stride, "pool_pad": g.pool_pad} if g.pools or kind == "pool" else {}
    border = {"border": g.border} if any(g.pad) else {}
    return {name: list(window) for name, window in (conv | pool).items()} | border


def _file_parts(node: Node, source: Value, flags: int) -> dict:
    """Bytes of the node's parts in the file, and how many of their bits carry nothing."""
    number_bits = (32 if flags & ops.FLAG_WIDE else 16) * node.filters
    flip_bits = node.filters if flags & ops.FLAG_FLIPS else 0
    row = filter_bytes(node.spec, source, node.geometry) if node.filters else 0
    taps = filter_taps(node.spec, source, node.geometry) if node.filters else 0
    used = {"weights": taps * node.filters, "thresholds": number_bits, "flips": flip_bits}
    sizes = {
        "weights": row * node.filters,
        "thresholds": 4 * bits.row_words(number_bits),
        "flips": 4 * bits.row_words(flip_bits),
    }
    padding = {part: 8 * sizes[part] - used[part] for part in sizes}
    total = ops.RECORD_SIZE + sum(sizes.values())
    return {"bytes": {"record": ops.RECORD_SIZE, **sizes, "total": total}, "padding_bits": padding}


def _arena(model: Model, index: int) -> dict:
    network, plan = model.network, model.plan
    source = network.values[network.nodes[index].inputs[0]]
    output = value_bytes(network.values[index + 1])
    offset, scratch = plan.scratch[index]
    blocks = [(plan.outputs[index], output), (offset, scratch)]
    if source.id:
        blocks.append((plan.outputs[source.id - 1], value_bytes(source)))
    return {
        "output_offset": plan.outputs[index],
        "output_bytes": output,
        "scratch_offset": offset,
        "scratch_bytes": scratch,
        "share": _covered(blocks) / plan.arena_size,
    }


def _covered(blocks: list[tuple[int, int]]) -> int:
    """Bytes that (offset, size) blocks cover: an output may lie over rows of its input."""
    total, end = 0, 0
    for offset, size in sorted(blocks):
        total += max(0, offset + size - max(end, offset))
        end = max(end, offset + size)
    return total


def _feed(network: Network) -> dict:
    """What ``ebnn_feed`` takes at once and keeps of an input that comes row by row."""
    height, width, channels = network.input.shape
    first, others = network.nodes[0], network.nodes[1:]
    row = width * (8 * channels if network.input.dtype == "u8" else bits.pixel_stride(channels))
    rows = (
        height
        if first.spec.source == "dense" or any(0 in node.inputs for node in others)
        else min(height, first.geometry.kernel[0])
    )
    window = -(-value_bytes(network.input) // 4) if rows == height else bits.row_words(row) * rows
    return {"row_bytes": -(-row // 8), "window_rows": rows, "window_bytes": 4 * window}


# --- work ---


def _macs(node: Node, source: Value, output: Value, taps: int) -> int:
    return node.filters * taps * _POSITIONS[node.spec.source](node, source, output)


def _conv_positions(node: Node, source: Value, output: Value) -> int:
    """Positions of the map before the pool that lie in a pool window."""
    g = node.geometry
    size = conv_size(node.spec, source, g)
    return math.prod(covered(size[axis], output.shape[axis], g, axis) for axis in range(2))


def covered(size: int, windows: int, geometry: Geometry, axis: int) -> int:
    """How many of ``size`` positions lie in one of ``windows`` pool windows along an axis (0 down, 1 across)."""
    count = reached = 0
    for index in range(windows):
        start = index * geometry.pool_stride[axis] - geometry.pool_pad[axis]
        end = min(start + geometry.pool[axis], size)
        count += max(0, end - max(start, reached))
        reached = max(reached, end)
    return count


_POSITIONS = {
    "conv": _conv_positions,
    "dense": lambda node, source, output: 1,
    "pool": lambda node, source, output: 0,
}


# --- totals ---


def _totals(model: Model, layers: list[dict], size: int) -> dict:
    network = model.network

    def add(*keys: str) -> int:
        return sum(_dig(layer, keys) for layer in layers)

    labels = sum(1 + len(name.encode()) for name in network.labels)
    floats, packed = add("float_bytes"), add("packed_bytes")
    return {
        "model_bytes": size,
        "model_bytes_without_labels": size - labels,
        "header_bytes": ops.HEADER_SIZE,
        **{f"{part}_bytes": add("bytes", part) for part in ("record", "weights", "thresholds", "flips")},
        "label_bytes": labels,
        "padding_bits": sum(sum(layer["padding_bits"].values()) for layer in layers),
        "weights": add("weights"),
        "macs_binary": add("macs_binary"),
        "macs_byte": add("macs_byte"),
        "arena_bytes": model.plan.arena_size,
        "input_bytes": value_bytes(network.input),
        "scratch_bytes": max(layer["arena"]["scratch_bytes"] for layer in layers),
        "float_bytes": floats,
        "packed_bytes": packed,
        "ratio": floats / packed,
    }


def _dig(layer: dict, keys: tuple[str, ...]) -> int:
    found = layer
    for key in keys:
        found = found[key]
    return found


# --- printing ---


def render_text(facts: dict) -> str:
    """The facts of ``describe`` for a terminal."""
    parts = [summary(facts)]
    parts += [f"{table.title}\n{table.text()}" for table in tables(facts)]
    return "\n\n".join(parts)


def summary(facts: dict) -> str:
    """Format, size, input, memory, use, labels: a line each."""
    sure = f"from a margin of {facts['margin']:,} on" if facts["margin"] else "no margin is calibrated (ebnn calibrate)"
    totals, source, feed = facts["totals"], facts["input"], facts["feed"]
    names = ", ".join(plain(name) for name in facts["labels"]) or "none"
    return "\n".join(
        [
            f"model   format {facts['format']}, {totals['model_bytes']:,} bytes"
            f" ({totals['model_bytes_without_labels']:,} without labels),"
            f" self-test seed {facts['selftest']['seed']:#010x}",
            f"input   {_shape(source)}, {source['bytes']:,} bytes, which stay with the caller",
            f"feed    row by row ({feed['row_bytes']:,} bytes) it takes {feed['window_bytes']:,} bytes instead",
            f"arena   {totals['arena_bytes']:,} bytes: all memory that changes during a run",
            f"prepare {facts['prepare'] or 'nothing is recorded of how a picture becomes the input'}",
            f"sure    {sure}",
            f"labels  {names}",
        ]
    )


def tables(facts: dict) -> list[Table]:
    """Layers, bytes of the file, work and memory."""
    return [_layer_table(facts), _byte_table(facts), _work_table(facts)]


def layer_name(layer: dict) -> str:
    """How tables and plots call a layer."""
    return f"{layer['index']} {layer['op']}" + (f" ({layer['name']})" if layer["name"] else "")


def _shape(value: dict) -> str:
    return f"{'x'.join(map(str, value['shape']))} {value['dtype']}"


def _window(geometry: dict) -> str:
    """A geometry in words; what has its usual value is left out."""
    parts = []
    for window, stride, pad, usual in (
        ("kernel", "stride", "pad", [1, 1]),
        ("pool", "pool_stride", "pool_pad", geometry.get("pool")),
    ):
        if window in geometry:
            step = f" stride {_times(geometry[stride])}" if geometry[stride] != usual else ""
            side = f" pad {_sides(geometry[pad])}" if any(geometry[pad]) else ""
            parts.append(f"{'pool ' if window == 'pool' else ''}{_times(geometry[window])}{step}{side}")
        if window == "kernel" and "border" in geometry:
            parts[-1] += f" border {geometry['border']:+d}"
    return ", ".join(parts)


def _times(sizes: list[int]) -> str:
    return "x".join(map(str, sizes))


def _sides(pad: list[int]) -> str:
    """Top, left, bottom, right; one number where they are the same."""
    return ",".join(map(str, pad if len(set(pad)) > 1 else pad[:1]))


def _layer_table(facts: dict) -> Table:
    rows = [
        (layer_name(layer), _shape(layer["input"]), _shape(layer["output"]), _window(layer["geometry"]),
         layer["kernel"], f"{layer['weights']:,}")
        for layer in facts["layers"]
    ]  # fmt: skip
    rows.append(("total", "", "", "", "", f"{facts['totals']['weights']:,}"))
    head = ("layer", "input", "output", "window", "kernel", "weights (bits)")
    note = "A core that counts bits with an instruction takes plain instead of lanes."
    return Table("Layers", head, tuple(rows), note, left=5, emphasis=(len(rows) - 1,))


def _byte_table(facts: dict) -> Table:
    totals, parts = facts["totals"], ("record", "weights", "thresholds", "flips")
    rows = [
        (layer_name(layer), *(f"{layer['bytes'][part]:,}" for part in (*parts, "total")),
         f"{sum(layer['padding_bits'].values()):,}")
        for layer in facts["layers"]
    ]  # fmt: skip
    rows.append(("header", "", "", "", "", f"{totals['header_bytes']:,}", ""))
    rows.append(("labels", "", "", "", "", f"{totals['label_bytes']:,}", ""))
    sums = (f"{totals[f'{part}_bytes']:,}" for part in parts)
    rows.append(("total", *sums, f"{totals['model_bytes']:,}", f"{totals['padding_bits']:,}"))
    head = ("layer", *parts, "bytes", "padding bits in them")
    note = "Thresholds are offsets in the last layer."
    return Table("Bytes of the file", head, tuple(rows), note, emphasis=(len(rows) - 1,))


def _work_table(facts: dict) -> Table:
    columns = ("macs_byte", "macs_binary", "float_bytes", "packed_bytes")

    def row(name: str, figures: dict, scratch: int, share: str) -> tuple[str, ...]:
        return (name, *(f"{figures[c]:,}" for c in columns), f"{figures['ratio']:.1f}", f"{scratch:,}", share)

    rows = [
        row(layer_name(layer), layer, layer["arena"]["scratch_bytes"], f"{layer['arena']['share']:.0%}")
        for layer in facts["layers"]
    ]
    rows.append(row("total (scratch: most)", facts["totals"], facts["totals"]["scratch_bytes"], ""))
    head = ("layer", "byte MACs", "binary MACs", "out as float", "out in bits", "ratio", "scratch", "of arena")
    note = "Memory in bytes. Of arena: input (but the network's own), output and scratch of the layer."
    return Table("Work and memory", head, tuple(rows), note, emphasis=(len(rows) - 1,))

"""What a model takes: bytes of the file, multiplications, memory, for every node and in total.

Everything here follows from the model alone, is exact, and needs no run. A multiply-accumulate (MAC) is one weight
at one position; ``binary`` ones are of a bit and a bit, ``byte`` ones of wider weights or inputs. Positions of a
convolution that no pool window covers are not computed and not counted; taps on the border are. Temporaries "as float"
are 4 bytes an element of each node's output (after its pool: what a float network that fuses pools as this one does
would keep).
"""

from __future__ import annotations

import math

from ebnn import blocks, ops, record
from ebnn.bits import row_words
from ebnn.format import Model, encode
from ebnn.geometry import Geometry, Value, acc_bound, conv_size, packed_bits, value_bytes
from ebnn.network import Network, Node
from ebnn.plan import chosen
from ebnn.tables import Table, plain

FLOAT_BYTES = 4
PARTS = ("record", "weights", "thresholds", "gains", "flips")  # of a layer in the file


def describe(model: Model) -> dict:
    """Facts of a model as plain data; ``render_text`` prints them.

    The sizes are those of the file that ``format.encode`` writes.

    Returns:
        A dict with ``format`` ("major.minor"), ``input`` (shape, dtype, bytes), ``margin`` (of a sure answer; 0: none
        is calibrated), ``prepare`` (``prepare.Preparation`` as text, or None), ``feed`` (``row_bytes`` at once,
        ``window_rows`` and ``window_bytes`` that are kept, where the input comes row by row), ``labels``, ``selftest``
        (seed, crc), ``layers`` and ``totals``. A layer has its geometry, its ``ending`` (levels, exclusive, shift,
        whether there are gains, and as ``second`` the value that is added, or None), ``filters``, the engine's
        ``kernel`` for it and how many ``tables`` that keeps at once (``plan.chosen``), the number of ``weights`` and of
        the bits of each (``weight_bits``; 0: there are none), the ``bound`` of its sums, ``bytes`` in the file (record,
        weights, thresholds - or offsets -, gains, flips, total: padding included),
        ``padding_bits`` of the same parts, ``macs_binary``, ``macs_byte``, ``float_bytes``, ``packed_bytes`` and
        ``ratio`` of its output, and ``arena`` (offsets and sizes of output and scratch; ``share`` is the part of
        the arena that the node's input, output and scratch take). ``totals`` adds them up; ``model_bytes`` =
        ``header_bytes`` + the layers' total bytes + ``label_bytes``.
    """
    network = model.network
    blob = encode(network, model.selftest, model.plan, model.use)
    layers = [_layer(model, index) for index in range(len(network.nodes))]
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


def _value(value: Value) -> dict:
    return {"shape": list(value.shape), "dtype": value.dtype}


def _layer(model: Model, index: int) -> dict:
    network = model.network
    node = network.nodes[index]
    source, output = network.values[node.inputs[0]], network.values[index + 1]
    weights = 0 if node.weights is None else node.weights.size
    macs, is_binary = weights * _positions(node, source, output), source.dtype == "bits" and not node.has_int8
    floats = FLOAT_BYTES * math.prod(output.shape)
    choice = chosen(node, source, model.plan.scratch[index][1])
    return {
        "index": index,
        "name": node.name,
        "op": node.op,
        "reads": node.inputs[0],
        "input": _value(source),
        "output": _value(output),
        "geometry": _geometry(node, source),
        "ending": _ending(node),
        "filters": node.filters,
        "kernel": choice.kernel,
        "tables": choice.tables,
        "weights": weights,
        "weight_bits": (8 if node.has_int8 else 1) if weights else 0,
        "bound": acc_bound(node, source),
        **_file_parts(node, source),
        "macs_binary": macs if is_binary else 0,
        "macs_byte": 0 if is_binary else macs,
        "float_bytes": floats,
        "packed_bytes": value_bytes(output),
        "ratio": floats / value_bytes(output),
        "arena": _arena(model, index),
    }


def _geometry(node: Node, source: Value) -> dict:
    """The windows that the operator has."""
    g, has_kernel, has_pool = node.geometry, node.op in record.HAVE_KERNEL, node.geometry.pools or node.op == "pool"
    conv = {"kernel": g.kernel, "stride": g.stride, "pad": g.pad} if has_kernel else {}
    pool = {"pool": g.pool, "pool_stride": g.pool_stride, "pool_pad": g.pool_pad} if has_pool else {}
    border = {"border": g.border} if any(g.pad) and source.dtype in ("bits", "u8") else {}
    return {name: list(window) for name, window in (conv | pool).items()} | border | {"pool_sum": g.pool_sum}


def _ending(node: Node) -> dict:
    return {
        "levels": node.levels,
        "exclusive": node.exclusive,
        "shift": node.shift,
        "gains": node.gains is not None,
        "second": node.second,
    }


def _file_parts(node: Node, source: Value) -> dict:
    """Bytes of the node's parts in the file, and how many of their bits carry nothing."""
    flags = record.flags(node)
    sizes = blocks.sizes(node, source, flags)
    weights = 0 if node.weights is None else node.weights.size * (8 if node.has_int8 else 1)
    used = {"weights": weights} | blocks.number_bits(node, source, flags)
    padding = {part: 8 * sizes[part] - used[part] for part in sizes}
    total = ops.RECORD_SIZE + sum(sizes.values())
    return {"bytes": {"record": ops.RECORD_SIZE, **sizes, "total": total}, "padding_bits": padding}


def _arena(model: Model, index: int) -> dict:
    network, plan = model.network, model.plan
    output = value_bytes(network.values[index + 1])
    offset, scratch = plan.scratch[index]
    blocks = [(plan.outputs[index], output), (offset, scratch)]
    blocks += [(plan.outputs[v - 1], value_bytes(network.values[v])) for v in network.nodes[index].inputs if v]
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
    row, g = packed_bits((1, width, channels), network.input.dtype), first.geometry
    span = g.kernel[0] if first.is_hits else (g.pool[0] - 1) * g.stride[0] + g.kernel[0]
    is_whole = first.op == "dense" or any(0 in node.inputs for node in others)
    rows = height if is_whole else min(height, span)
    window = -(-value_bytes(network.input) // 4) if rows == height else row_words(row) * rows
    return {"row_bytes": -(-row // 8), "window_rows": rows, "window_bytes": 4 * window}


# --- work ---


def _positions(node: Node, source: Value, output: Value) -> int:
    """Positions of the map of sums that lie in a pool window."""
    size = conv_size(node, source)
    return math.prod(covered(size[axis], output.shape[axis], node.geometry, axis) for axis in range(2))


def covered(size: int, windows: int, geometry: Geometry, axis: int) -> int:
    """How many of ``size`` positions lie in one of ``windows`` pool windows along an axis (0 down, 1 across)."""
    count = reached = 0
    for index in range(windows):
        start = index * geometry.pool_stride[axis] - geometry.pool_pad[axis]
        end = min(start + geometry.pool[axis], size)
        count += max(0, end - max(start, reached))
        reached = max(reached, end)
    return count


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
        **{f"{part}_bytes": add("bytes", part) for part in PARTS},
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


def layer_kind(layer: dict) -> str:
    """What a layer is, like ``conv u8 -> bits``."""
    return f"{layer['op']} {layer['input']['dtype']} -> {layer['output']['dtype']}"


def layer_name(layer: dict) -> str:
    """How tables and plots call a layer."""
    return f"{layer['index']} {layer_kind(layer)}" + (f" ({layer['name']})" if layer["name"] else "")


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
            word = {"kernel": ""}.get(window, "sum " if geometry["pool_sum"] else "pool ")
            parts.append(f"{word}{_times(geometry[window])}{step}{side}")
        if window == "kernel" and "border" in geometry:
            parts[-1] += f" border {geometry['border']:+d}" if geometry["border"] else " border none"
    return ", ".join(parts)


def _makes(ending: dict) -> str:
    """An ending in words; what has its usual value is left out."""
    parts = [f"{ending['levels']} levels"] if ending["levels"] > 1 else []
    parts += ["exclusive"] if ending["exclusive"] else []
    parts += ["gains"] if ending["gains"] else []
    parts += [f"shift {ending['shift']}"] if ending["shift"] else []
    parts += [f"+ value {ending['second']}"] if ending["second"] is not None else []
    return ", ".join(parts)


def weights_text(layer: dict) -> str:
    """How many weights a layer has, with a word where they are not of a bit each."""
    return f"{layer['weights']:,}" + (" int8" if layer["weight_bits"] == 8 else "")


def _times(sizes: list[int]) -> str:
    return "x".join(map(str, sizes))


def _sides(pad: list[int]) -> str:
    """Top, left, bottom, right; one number where they are the same."""
    return ",".join(map(str, pad if len(set(pad)) > 1 else pad[:1]))


def _layer_table(facts: dict) -> Table:
    rows = [
        (layer_name(layer), _shape(layer["input"]), _shape(layer["output"]), _window(layer["geometry"]),
         _makes(layer["ending"]), layer["kernel"], weights_text(layer))
        for layer in facts["layers"]
    ]  # fmt: skip
    rows.append(("total", "", "", "", "", "", f"{facts['totals']['weights']:,}"))
    head = ("layer", "input", "output", "window", "ending", "kernel", "weights")
    note = "A core that counts bits with an instruction takes plain instead of lanes."
    return Table("Layers", head, tuple(rows), note, left=6, emphasis=(len(rows) - 1,))


def _byte_table(facts: dict) -> Table:
    totals, parts = facts["totals"], PARTS
    rows = [
        (layer_name(layer), *(f"{layer['bytes'][part]:,}" for part in (*parts, "total")),
         f"{sum(layer['padding_bits'].values()):,}")
        for layer in facts["layers"]
    ]  # fmt: skip
    rows += [
        (name, *[""] * len(parts), f"{size:,}", "")
        for name, size in (("header", totals["header_bytes"]), ("labels", totals["label_bytes"]))
    ]
    sums = (f"{totals[f'{part}_bytes']:,}" for part in parts)
    rows.append(("total", *sums, f"{totals['model_bytes']:,}", f"{totals['padding_bits']:,}"))
    head = ("layer", *parts, "bytes", "padding bits in them")
    note = "Thresholds are offsets where a layer makes integers, as the last one does."
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

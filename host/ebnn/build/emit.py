"""Tensors of the builder -> nodes of a network: thresholds by evaluation, integers only where they are exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ebnn.build import head
from ebnn.build.functions import CONSTANT, FALLS, RISES, TURNS, Compare, Function, Sign, apply, direction
from ebnn.build.switches import Grid, Switches, find
from ebnn.build.tensors import Pool, Stored, Tensor, common_unit, identity, last_binary
from ebnn.errors import ExportError
from ebnn.geometry import NO_PAD, Value, acc_bound, output_shape
from ebnn.network import Network, Node
from ebnn.ops import DTYPE

MOST_SUMS = 1 << 22  # that are evaluated one by one


@dataclass
class Emitter:
    """Grows the nodes of a network; ``notes`` says what is not exact to the last rounding."""

    input: Value
    nodes: list[Node] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    made: dict[tuple, Stored] = field(default_factory=dict)

    def add(self, node: Node) -> Value:
        """The value that a new node makes."""
        known = [self.input, *self.values]
        filters = node.filters or known[node.inputs[0]].shape[2]
        self.nodes.append(replace(node, filters=filters))
        shape = output_shape(self.nodes[-1], known[node.inputs[0]])
        self.values.append(Value(len(known), shape, node.output))
        return self.values[-1]

    def stored(self, tensor: Tensor) -> Stored:
        """The tensor as a value that a node can read.

        Raises:
            ExportError: it is not two values, nor integers exactly.
        """
        if tensor.is_plain:
            return tensor.sums.source
        if tensor.key not in self.made:
            try:
                self.made[tensor.key] = self._made(tensor)
            except ExportError as error:
                raise ExportError(f"reads {tensor.name}: {error}") from None
        return self.made[tensor.key]

    def _made(self, tensor: Tensor) -> Stored:
        if tensor.sums.op == "pool" and not tensor.pool and last_binary(tensor.before) < 0:
            return _meaning(tensor.sums.source, tensor.before)
        if not tensor.functions and tensor.pool and not tensor.pool.adds and tensor.sums.op == "pool":
            return self._largest(tensor)
        found = last_binary(tensor.functions)
        if found < 0 and tensor.pool and tensor.pool.adds:  # the divisor is a meaning, not a number to store
            return _meaning(self.integers(replace(tensor, after=())), tensor.after)
        if found < 0:
            return self.integers(tensor)
        inner = len(tensor.before)
        if tensor.pool and found < inner:  # a pool of bits that functions follow
            return _meaning(self.bits(replace(tensor, after=())), tensor.after)
        before, after = tensor.before[: found + 1], tensor.after[: max(found + 1 - inner, 0)]
        return _meaning(self.bits(replace(tensor, before=before, after=after)), tensor.functions[found + 1 :])

    def _largest(self, tensor: Tensor) -> Stored:
        """A pool of a stored value alone, which keeps its meaning."""
        source = tensor.sums.source
        if source.scale < 0:
            raise ExportError("takes the largest of values whose sign is turned around")
        params = {} if source.dtype == "bits" else {"offsets": np.zeros(source.shape[2], np.int32)}
        value = self.add(_node(tensor, source.dtype, **params))
        return replace(source, id=value.id, shape=value.shape)

    # --- bits ---

    def bits(self, tensor: Tensor) -> Stored:
        """The node that makes the two values which the last function of ``tensor`` gives."""
        scale, middle = _two_values(tensor.functions[last_binary(tensor.functions)])
        tensor = self._or_first(tensor)
        before = _course(tensor)
        largest = tensor.pool is not None and not tensor.pool.adds
        if largest and ((before == TURNS) | ((before == FALLS) & ~np.array(tensor.sums.can_negate))).any():
            value = self._bits_then_or(tensor)
        else:
            negated = (before == FALLS) & largest
            value = self.add(self._threshold_node(tensor, negated, middle))
        channels = value.shape[2]
        return Stored(value.id, value.shape, "bits", scale, np.full(channels, middle), -1, 1)

    def _or_first(self, tensor: Tensor) -> Tensor:
        """The same of a stored value that is pooled first: a pool of bits has no thresholds."""
        sums, pool = tensor.sums, tensor.pool
        if sums.op != "pool" or sums.source.dtype != "bits" or pool is None or pool.adds:
            return tensor
        if not np.isin(_course(tensor), (RISES, CONSTANT)).all():
            return tensor
        stored = self._largest(replace(tensor, before=(), after=()))
        return replace(identity(stored), before=tensor.functions, name=tensor.name)

    def _bits_then_or(self, tensor: Tensor) -> Value:
        """Two nodes: bits of every position, and a pool of them.

        With h after the pool: where h rises, h(largest g) >= 0 is OR of h(g) >= 0; where it falls it is their AND.
        """
        after = direction(tensor.after, tensor.sums.filters)
        if (after == TURNS).any():
            raise ExportError("a negative slope after a max pool of values that do not rise with the sums")
        whole = replace(tensor, before=tensor.functions, pool=None, after=())
        _, middle = _two_values(tensor.functions[-1])
        flips = after == FALLS
        made = self.add(self._threshold_node(whole, np.zeros_like(flips), middle, flips))
        joined = self.add(_node(replace(tensor, sums=identity(_bits(made)).sums), "bits"))
        if not flips.any():
            return joined
        alone = identity(_bits(joined), name=tensor.name)  # a pool of bits has no flips
        return self.add(_node(alone, "bits", thresholds=np.zeros(len(flips), int), flips=flips))

    def _threshold_node(
        self, tensor: Tensor, negated: np.ndarray, middle: float, flips: np.ndarray | None = None
    ) -> Node:
        """A node whose bits are those of ``tensor``, inverted where ``flips`` says so.

        The sums of the ``negated`` filters are negated.
        """
        sums = tensor.sums
        signs = np.where(negated, -1, 1)
        grid = _grid(tensor, signs)
        found = self._found(tensor, grid, signs, middle)
        fixed = np.array(tensor.pool is not None and not tensor.pool.adds) | (not sums.can_negate)
        falls = found.first & (np.array(list(map(len, found.places))) == 1) & ~fixed
        never = int(np.maximum(np.abs(grid.least), np.abs(grid.most)).max()) + grid.step
        levels = max(1, found.levels)
        thresholds = np.full((levels, sums.filters), never, np.int64)
        inverted = found.first & ~falls
        for channel, places in enumerate(found.places):
            if inverted[channel] and not places:  # always 1
                thresholds[0, channel], inverted[channel] = grid.least[channel], False
            thresholds[: len(places), channel] = places
        # Not [acc >= T] is [-acc >= step - T].
        thresholds[0] = np.where(falls, grid.step - thresholds[0], thresholds[0])
        weights = None if sums.weights is None else sums.weights * np.where(negated ^ falls, -1, 1)[:, None, None, None]
        inverted = inverted if flips is None else inverted ^ flips
        return _node(tensor, "bits", weights=weights, thresholds=thresholds.reshape(-1), levels=levels,
                     exclusive=levels > 1, flips=inverted)  # fmt: skip

    def _found(self, tensor: Tensor, grid: Grid, signs: np.ndarray, middle: float) -> Switches:
        """The switches of a tensor's last function, the same whatever it makes of 0."""
        real = _real(tensor, signs)
        above = lambda values: values > middle  # noqa: E731
        found = find(tensor.functions, real, above, grid)
        last = tensor.functions[-1]
        if (isinstance(last, Sign) and last.zero == 0
                and found != find(tensor.functions, real, lambda values: values >= middle, grid)):  # fmt: skip
            raise ExportError("its sign is of 0 for some sum, and sign(0) = 0 is no bit: a comparison with 0 gives one")
        self._note_doubts(tensor, found, lambda error: find(tensor.functions, _real(tensor, signs, error), above, grid))
        return found

    def _note_doubts(self, tensor: Tensor, found: Switches, again: Callable[[np.ndarray], Switches]) -> None:
        """Note the channels whose switch is nearer to a sum than the framework's own rounding of sums."""
        error = np.asarray(tensor.sums.error) * (tensor.pool.count if tensor.pool else 1)
        if not error.any():
            return
        moved = [again(side * error).places for side in (-1, 1)]
        doubtful = sum(len(set(places)) > 1 for places in zip(found.places, *moved, strict=True))
        if doubtful:
            self.notes.append(
                f"{tensor.name}: in {doubtful} of {len(found.places)} channels a bit may differ where the framework's "
                f"own sums, which it rounds in an order of its own, lie within {error.max():.2g} of the switch"
            )

    # --- integers ---

    def integers(self, tensor: Tensor, second: Stored | None = None) -> Stored:
        """The node that makes whole multiples of a unit, exactly what the framework has; ``second`` is added.

        Raises:
            ExportError: they are none, or do not fit into 16 bits.
        """
        gains, offsets, least, most = self._line(tensor)
        numbers = [*gains, *offsets, *((second.scale, *second.offset) if second else ())]
        unit = common_unit(numbers)
        whole = lambda values: np.array([int(Fraction(float(value)) / unit) for value in values], object)  # noqa: E731
        gains, offsets = whole(gains), whole(offsets)
        ends = np.concatenate([gains * least + offsets, gains * most + offsets])
        if second:
            second, low, high = self._in_unit(second, unit, tensor.name)
            reach = (int(ends.min()) + low, int(ends.max()) + high)
        else:
            reach = (int(ends.min()), int(ends.max()))
        dtype = narrowest((min(reach[0], ends.min()), max(reach[1], ends.max())))
        if not dtype or not narrowest((min(gains), max(gains))):
            raise ExportError(f"its values are multiples of {float(unit):g} and lie between {reach[0]} and {reach[1]} "
                              "of these: 16 bits do not hold them")  # fmt: skip
        plain = set(gains) == {1}
        value = self.add(
            _node(tensor, dtype, second, weights=tensor.sums.weights, gains=None if plain else gains.astype(np.int64),
                  offsets=offsets.astype(np.int64))
        )  # fmt: skip
        return Stored(value.id, value.shape, dtype, float(unit), np.zeros(value.shape[2]), *reach)

    def _in_unit(self, second: Stored, unit: Fraction, name: str) -> tuple[Stored, int, int]:
        """A second input as i8 or i16 whole numbers of a unit, with the least and the largest of them."""
        if second.error:
            raise ExportError("what it adds is rounded by the framework: it has no exact integers")
        gain = int(Fraction(second.scale) / unit)
        offsets = [int(Fraction(float(value)) / unit) for value in second.offset]
        ends = [gain * end + offset for end in (second.least, second.most) for offset in offsets]
        if gain == 1 and not any(offsets) and second.dtype != "bits" and second.id:
            return second, min(ends), max(ends)
        dtype = narrowest((min(ends), max(ends)))
        if not dtype or not narrowest((gain, gain)):
            raise ExportError(f"what it adds is up to {max(map(abs, ends))} times {float(unit):g}: 16 bits do not "
                              "hold it")  # fmt: skip
        encoded = self.encode(second, dtype, gain, np.array(offsets), name)
        return encoded, min(ends), max(ends)

    def encode(self, stored: Stored, dtype: str, gain: int, offsets: np.ndarray, name: str) -> Stored:
        """A node that makes gain * x + offset of a stored value's integers."""
        ends = np.concatenate([gain * stored.least + offsets, gain * stored.most + offsets])
        channels = stored.shape[2]
        gains = None if gain == 1 else np.full(channels, gain)
        node = Node("pool", (stored.id,), output=dtype, offsets=offsets, gains=gains, name=f"{name} (encode)")
        value = self.add(node)
        scale = stored.scale / gain
        return Stored(value.id, value.shape, dtype, scale, stored.offset - scale * offsets, int(ends.min()),
                      int(ends.max()), stored.error)  # fmt: skip

    def _line(self, tensor: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gains and offsets of which a tensor's float32 values are exactly made, and the least and largest sums."""
        if np.any(tensor.sums.error) or np.any(tensor.sums.source.error):
            raise ExportError("its sums are rounded by the framework, in an order of its own: they have no exact "
                              "integers")  # fmt: skip
        if tensor.pool and not tensor.pool.adds and (_course(tensor) != RISES).any():
            raise ExportError("a max pool of values that do not rise with the sums; sign must follow it")
        grid = _grid(tensor, np.ones(tensor.sums.filters, int))
        real = _real(tensor, 1)
        ends = (apply(tensor.functions, real(end[None]))[0] for end in (grid.least, grid.most))
        least, most = (end.astype(np.float64) for end in ends)
        span = np.maximum(grid.most - grid.least, 1)
        gains = (most - least) / span
        offsets = least - gains * grid.least
        count = int(grid.counts.max())
        if count * tensor.sums.filters > MOST_SUMS:
            raise ExportError(f"its {count} sums a channel are too many to be compared one by one")
        sums = np.minimum(grid.least + grid.step * np.arange(count)[:, None], grid.most)
        if (apply(tensor.functions, real(sums)).astype(np.float64) != gains * sums + offsets).any():
            raise ExportError("its values are no whole multiples of a power of two, so they have no exact integers: "
                              "sign must follow, or gains and offsets with which float32 does not round")  # fmt: skip
        return gains, offsets, grid.least, grid.most

    # --- scores ---

    def scores(self, tensor: Tensor, nearest: bool) -> head.Certificate:
        """The last node: scores whose order is that of the framework's values."""
        if not all(function.is_affine for function in tensor.functions):
            raise ExportError("the scores may go through gains, offsets and batch norm only")
        if tensor.pool and not tensor.pool.adds and (_course(tensor) != RISES).any():
            raise ExportError("a max pool of values that do not rise with the sums; scores cannot be made of it")
        grid = _grid(tensor, np.ones(tensor.sums.filters, int))
        floats = lambda sums: apply(tensor.functions, _real(tensor, 1)(sums))  # noqa: E731
        wide = lambda sums: apply(tensor.functions, _real(tensor, 1, dtype=np.float64)(sums))  # noqa: E731
        node = _node(tensor, "i32", weights=tensor.sums.weights, offsets=np.zeros(tensor.sums.filters, np.int32))
        found = head.fit(head.Head(floats, wide, grid, acc_bound(node, _value(tensor.sums.source))), nearest)
        gains = None if (found.gains == 1).all() else found.gains
        self.add(replace(node, gains=gains, offsets=found.offsets))
        if found.wrong:
            self.notes.append(f"{tensor.name}: {found.text}")
        return found

    def network(self, labels: Sequence[str]) -> Network:
        """The finished network."""
        return Network(self.input, tuple(self.nodes), tuple(labels))


def _course(tensor: Tensor) -> np.ndarray:
    """int (filters,): what the values before the pool do as the sums grow."""
    found = direction(tensor.before, tensor.sums.filters)
    return np.where(found == TURNS, TURNS, found * np.sign(tensor.sums.scale).astype(int))


def _two_values(function: Function) -> tuple[float, float]:
    """Half the difference of the two values that a function makes, and their middle."""
    if isinstance(function, Compare):
        if function.above.ndim or function.below.ndim or function.above == function.below:
            raise ExportError("a comparison must choose between two numbers, the same for all channels")
        above, below = float(function.above), float(function.below)
        return abs(above - below) / 2, (above + below) / 2
    return 1.0, 0.0


def _meaning(stored: Stored, functions: Sequence[Function]) -> Stored:
    """A stored value of which functions make something else, where that is scale * x + offset again."""
    if not functions:
        return stored
    if stored.dtype != "bits" and not all(function.is_affine for function in functions):
        raise ExportError("what is made of whole numbers here is no gain and no offset: only sign can follow it")
    channels = stored.shape[2]
    ends = np.array([[stored.least], [stored.most]], np.float64)
    made = apply(functions, stored.scale * ends + stored.offset)
    scales = (made[1] - made[0]) / (stored.most - stored.least)
    if not np.allclose(scales, scales[0], rtol=1e-6, atol=0) or not scales[0]:
        raise ExportError("a gain that is 0 or not the same for all channels: what reads it adds them up")
    offsets = made[0] - scales[0] * stored.least
    if stored.most - stored.least >= MOST_SUMS // channels:
        raise ExportError(f"{stored.most - stored.least} values of {channels} channels are too many to be compared")
    every = np.arange(stored.least, stored.most + 1, 2 if stored.dtype == "bits" else 1)[:, None]
    floats = apply(functions, (stored.scale * every + stored.offset).astype(np.float32))
    error = float(np.abs(floats - (scales[0] * every + offsets)).max()) + abs(scales[0] / stored.scale) * stored.error
    return replace(stored, scale=float(scales[0]), offset=offsets, error=error)


def _grid(tensor: Tensor, signs: np.ndarray) -> Grid:
    """The sums of a tensor that can occur, after its pool; of the negated filters negated."""
    sums, pool = tensor.sums, tensor.pool
    least, most, step = sums.least, sums.most, sums.step
    if pool and pool.adds:
        least, most = least * pool.count, most * pool.count
        if pool.pad != NO_PAD:
            least, most, step = np.minimum(least, 0), np.maximum(most, 0), 1
    return Grid(np.where(signs < 0, -most, least), np.where(signs < 0, -least, most), step)


def _real(
    tensor: Tensor, signs: np.ndarray | int, error: np.ndarray | float = 0.0, dtype: type = np.float32
) -> Callable[[np.ndarray], np.ndarray]:
    """From integer sums to what the framework has for them, rounded once."""
    count = tensor.pool.count if tensor.pool else 1
    scale, constant = tensor.sums.scale * signs, tensor.sums.constant * count + error
    return lambda sums: (scale * sums + constant).astype(dtype)


def _node(tensor: Tensor, output: str, second: Stored | None = None, **params) -> Node:
    """A tensor's node: its source, its pool, and the parameters of an ending."""
    sums, pool = tensor.sums, tensor.pool or Pool((1, 1), (1, 1))
    inputs = (sums.source.id,) if second is None else (sums.source.id, second.id)
    # A pool of bits that makes bits has thresholds only as a sum.
    alone = pool == Pool((1, 1), (1, 1)) and sums.op == "pool" and (sums.source.dtype, output) == ("bits", "bits")
    adds = pool.adds or (alone and bool(params))
    geometry = replace(sums.geometry, pool=pool.window, pool_stride=pool.stride, pool_pad=pool.pad, pool_sum=adds)
    if sums.op == "dense":
        geometry = sums.geometry
    return Node(sums.op, inputs, geometry, output, name=tensor.name, **params)


def _bits(value: Value) -> Stored:
    return Stored(value.id, value.shape, "bits", 1.0, np.zeros(value.shape[2]), -1, 1)


def _value(stored: Stored) -> Value:
    return Value(stored.id, stored.shape, stored.dtype)


def narrowest(ends: tuple[int, int]) -> str | None:
    """The dtype of a value of whole numbers between two: i8 or i16; None: they do not fit."""
    fitting = (name for name in ("i8", "i16") if DTYPE[name].least <= ends[0] and ends[1] <= DTYPE[name].most)
    return next(fitting, None)

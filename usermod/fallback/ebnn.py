# The module `ebnn` in plain Python, for boards that load no native code: copy it to /lib. All seven operators, and the
# same answers in every bit, some 200 times slower. docs/SPEC.md says what the bytes mean.
#
# Checked: magic, format, size and checksum of the model, its operators, and the size of an input. Not checked: all else
# in the model, so one that is wrong under a right checksum ends in any exception or in wrong scores. `arena` is not
# used: each value has memory of its own. `out` is anything with items. `feed` keeps the whole input. Left out: inputs
# from frames of cameras and displays.

try:
    from binascii import crc32
except ImportError:

    def crc32(data, crc=0):
        crc ^= 0xFFFFFFFF
        for byte in bytes(data):
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
        return crc ^ 0xFFFFFFFF


__version__ = "0.1.0"
FORMAT = (0, 4)
_HEADER = 48
_ONES = bytes(bin(i).count("1") for i in range(256))
_default = None


def _number(data, at, size):
    return int.from_bytes(data[at : at + size], "little")


def _signed(data, at, size):
    number = _number(data, at, size)
    return number - (number >> 8 * size - 1 << 8 * size)


def _stride(channels):
    # Bits of a pixel.
    if channels > 16:
        return (channels + 31) // 32 * 32
    return next(stride for stride in (1, 2, 4, 8, 16) if stride >= channels)


def _bit(data, i):
    return data[i >> 3] >> (i & 7) & 1


def _copy(out, to, data, at, size):
    # A pixel's bits, into zeros: fewer than 8 lie in one byte, more in whole bytes.
    if size < 8:
        out[to >> 3] |= (data[at >> 3] >> (at & 7) & (1 << size) - 1) << (to & 7)
    for i in range(size >> 3):
        out[(to >> 3) + i] = data[(at >> 3) + i]


def _windows(at, axis):
    # The windows that hold position `at` of an axis.
    count, size, stride, pad = axis
    return range(max(0, (at + pad - size) // stride + 1), min(count, (at + pad) // stride + 1))


def _axes(shape, window, pad):
    # For rows and columns: number of windows, their size, stride, and the padding before the first.
    counts = [(shape[i] + pad[i] + pad[i + 2] - window[i]) // window[i + 2] + 1 for i in (0, 1)]
    return [(counts[i], window[i], window[i + 2], pad[i]) for i in (0, 1)]


def _buffer(data, wanted):
    try:
        return memoryview(data)
    except TypeError:
        raise TypeError(wanted + ", got " + type(data).__name__)  # noqa: B904 (MicroPython does not chain)


def _check(blob):
    # The size of a model whose header is right.
    size, total, found = len(blob), _number(blob, 8, 4), tuple(blob[4:6])
    if size < _HEADER:
        raise ValueError("model is truncated")
    if bytes(blob[:4]) != b"EBNN":
        raise ValueError("not an ebnn model")
    if found != FORMAT:
        text = "model format {}.{}, this ebnn reads {}.{}: update the firmware or export again"
        raise ValueError(text.format(*(found + FORMAT)))
    if total != size:
        raise ValueError("model is truncated" if total > size else "model is longer than its header says")
    if crc32(blob[16:], crc32(blob[:12])) != _number(blob, 12, 4):
        raise ValueError("model is damaged: its checksum does not match")
    return size


class _Node:
    def __init__(self, blob, at, shapes):
        op, flags, self.source = blob[at : at + 3]
        if not 1 <= op <= 7:
            raise ValueError("model uses an operator that this ebnn does not have")
        self.shape = height, width, channels = shapes[self.source]
        self.u8, self.dense, self.scores, self.pools = op in (1, 3, 5), 3 <= op <= 6, op in (5, 6), op == 7
        self.plus, self.wide, self.flips = (flags & flag for flag in (1, 2, 4))
        self.filters = channels if self.pools else _number(blob, at + 4, 2)
        kernel = (height, width, 1, 1) if self.dense else (1, 1, 1, 1) if self.pools else blob[at + 8 : at + 12]
        self.kernel = _axes(self.shape, kernel, blob[at + 12 : at + 16])
        self.map = [axis[0] for axis in self.kernel]
        self.pool = _axes(self.map, (1, 1, 1, 1) if self.dense else blob[at + 16 : at + 20], blob[at + 20 : at + 24])
        self.output = self.pool[0][0], self.pool[1][0], self.filters
        # Bits of a pixel of the input; taps, bytes of weights of a filter; where weights, thresholds and flips are.
        self.size = 8 * channels if self.u8 else _stride(channels)
        self.taps = kernel[0] * kernel[1] * channels
        self.row = ((self.taps if self.u8 else kernel[0] * kernel[1] * self.size) + 31) // 32 * 4
        self.weights = _number(blob, at + 32, 4)
        self.constants = self.weights + self.filters * self.row
        self.flipped = self.constants + (self.filters * (4 if self.wide else 2) + 3) // 4 * 4

    def run(self, blob, data):
        # The bytes of the output.
        few = self.u8 and self.taps <= 256
        self.kept = [bytes(self.positive(blob, f)) for f in range(self.filters)] if few else None
        size = 4 if self.wide else 2
        places = range(self.constants, self.constants + size * self.filters, size)
        limits = None if self.pools else [_signed(blob, at, size) for at in places]  # thresholds or offsets
        if self.scores:
            sums = [self.sum(blob, data, f) + limits[f] for f in range(self.filters)]
            return b"".join((score & 0xFFFFFFFF).to_bytes(4, "little") for score in sums)
        rows, columns, filters = self.output
        stride = _stride(filters)
        out = bytearray((rows * columns * stride + 31) // 32 * 4)
        for y in range(self.map[0]):
            for x in range(self.map[1]):
                across = _windows(x, self.pool[1])
                places = [(row * columns + i) * stride for row in _windows(y, self.pool[0]) for i in across]
                patch = self.patch(data, y, x) if places else None
                for f in range(filters if places else 0):
                    for place in places:
                        if not out[place + f >> 3] >> (place + f & 7) & 1:
                            break
                    else:  # a pool's earlier hits are enough
                        continue
                    if _bit(patch, f) if self.pools else self.sum(blob, patch, f) >= limits[f]:
                        for place in places:
                            out[place + f >> 3] |= 1 << (place + f & 7)
        if self.flips:
            for place in range(0, rows * columns * stride, stride):
                for f in range(filters):
                    out[place + f >> 3] ^= _bit(blob[self.flipped :], f) << (place + f & 7)
        return out

    def patch(self, data, y, x):
        # What the kernel sees at a position of the map, in the order of the weights.
        if self.dense:
            return data
        height, width, channels = self.shape
        border = ((1 << (self.size if self.u8 else channels)) - 1 if self.plus else 0).to_bytes(
            self.size + 7 >> 3, "little"
        )
        (_, high, down, top), (_, wide, right, left) = self.kernel
        out = bytearray(self.taps if self.u8 else self.row)
        to = 0
        for row in range(y * down - top, y * down - top + high):
            for column in range(x * right - left, x * right - left + wide):
                inside = 0 <= row < height and 0 <= column < width
                _copy(
                    out, to, data if inside else border, (row * width + column) * self.size if inside else 0, self.size
                )
                to += self.size
        return out

    def positive(self, blob, f):
        # The taps of bytes whose weight is +1; kept while a node runs, if they are few.
        at = self.weights + f * self.row
        return (i for i in range(self.taps) if blob[at + (i >> 3)] >> (i & 7) & 1)

    def sum(self, blob, patch, f):
        # Sum over the taps of weight * value.
        total = 0
        if self.u8:
            for i in self.kept[f] if self.kept else self.positive(blob, f):
                total += patch[i]
            return 2 * total - sum(patch)
        at, ones = self.weights + f * self.row, _ONES
        for a, b in zip(patch, blob[at : at + self.row]):  # noqa: B905 (MicroPython)
            total += ones[a ^ b]
        return self.taps - 2 * total


class Model:
    copied = 0
    margin = None

    def __init__(self, model, arena=None):
        if isinstance(model, str):
            with open(model, "rb") as file:
                model = file.read()
        blob = _buffer(model, "model must be bytes, a buffer or the path of a file")
        self.size = _check(blob)
        self._blob, self._nodes, self._rows, self._u8 = model, [], 0, blob[26]
        self.arena_size = _number(blob, 16, 4)
        self.min_margin = _number(blob, 40, 4) or None
        self.input_shape = height, width, channels = tuple(_number(blob, at, 2) for at in (20, 22, 24))
        shapes = [self.input_shape]
        for i in range(blob[7]):
            self._nodes.append(_Node(blob, _HEADER + i * blob[6], shapes))
            shapes.append(self._nodes[i].output)
        self.classes = shapes[-1][2]
        self._pixel = 8 * channels if self._u8 else _stride(channels)
        self.row_size = (width * self._pixel + 7) // 8
        self.window_size = (height * width * self._pixel + 31) // 32 * 4
        self.input_size = height * self.row_size if self._u8 else self.window_size

    def __repr__(self):
        text = "<ebnn.Model {} -> {} scores, {} bytes, arena {}>"
        return text.format(self._kind(), self.classes, self.size, self.arena_size)

    def _kind(self):
        return "x".join(str(size) for size in self.input_shape) + (" uint8" if self._u8 else " packed bits")

    @property
    def labels(self):
        blob, labels = memoryview(self._blob), []
        at = _number(blob, 28, 4)
        while at and len(labels) < self.classes:
            text = bytes(blob[at + 1 : at + 1 + blob[at]])
            at += 1 + len(text)
            try:
                labels.append(str(text, "utf-8"))
            except UnicodeError:
                labels.append("".join(chr(byte) for byte in text if byte < 128))
        return tuple(labels) or None

    def _run(self, data, each=None):
        # The bytes of the scores; `each` is called with every node's output.
        self._rows = 0
        values = [_buffer(data, "input must be bytes or a buffer")]
        if len(data) != self.input_size:
            text = "input must be {} bytes ({}), got {}"
            raise ValueError(text.format(self.input_size, self._kind(), len(data)))
        blob = memoryview(self._blob)
        for i in range(len(self._nodes)):
            values.append(self._nodes[i].run(blob, values[self._nodes[i].source]))
            if each:
                each(values[-1])
            for k in range(i + 1):
                if not any(node.source == k for node in self._nodes[i + 1 :]):
                    values[k] = None
        best = sorted(_signed(values[-1], at, 4) for at in range(0, 4 * self.classes, 4))
        self.margin = best[-1] - best[-2] if self.classes > 1 else 0xFFFFFFFF
        return values[-1]

    def scores(self, data, out=None):
        if out is not None and len(out) != self.classes:
            raise ValueError("out must have {} items, got {}".format(self.classes, len(out)))  # noqa: UP032
        found = self._run(data)
        found = tuple(_signed(found, at, 4) for at in range(0, len(found), 4))
        for k in range(0 if out is None else self.classes):
            out[k] = found[k]
        return found if out is None else out

    def infer(self, data, out=None):
        scores = list(self.scores(data, out))
        return scores.index(max(scores))

    def classify(self, data):
        if not self.min_margin:
            raise ValueError("the model has no min_margin: calibrate it (ebnn calibrate), or use infer")
        found = self.infer(data)
        return found if self.margin >= self.min_margin else None

    def trace(self, data, hook=None):
        seen = []
        self._run(data, lambda output: seen.append(hook() if hook else crc32(output)))
        return tuple(seen)

    def feed(self, rows, out=None):
        rows = _buffer(rows, "rows must be bytes or a buffer")
        height, width, _ = self.input_shape
        missing = height - self._rows
        if not 0 < len(rows) <= missing * self.row_size or len(rows) % self.row_size:
            text = "rows must be 1 to {} times {} bytes, got {}"
            raise ValueError(text.format(missing, self.row_size, len(rows)))
        if not self._rows:
            self._window = bytearray(self.input_size)
        for at in range(0, len(rows), self.row_size):
            for x in range(width):
                to = (self._rows * width + x) * self._pixel
                _copy(self._window, to, rows, 8 * at + x * self._pixel, self._pixel)
            self._rows += 1
        return self.infer(self._window, out) if self._rows == height else None

    def selftest(self):
        height, width, channels = self.input_shape
        data = bytearray(self.input_size)
        x = _number(self._blob, 32, 4)
        for pixel in range(height * width):
            for c in range(channels):
                x ^= x << 13 & 0xFFFFFFFF
                x ^= x >> 17
                x ^= x << 5 & 0xFFFFFFFF
                to = pixel * self._pixel + (8 * c if self._u8 else c)
                data[to >> 3] |= x >> 24 if self._u8 else x >> 31 << (to & 7)
        return crc32(self._run(data)) == _number(self._blob, 36, 4)


def load(model=None):
    global _default
    if model is None:
        try:
            from ebnn_model import model
        except ImportError:
            raise ImportError("no module ebnn_model: freeze or copy one, or use ebnn.Model(blob)")  # noqa: B904
    _default = model if isinstance(model, Model) else Model(model)
    return _default


def infer(data):
    return (_default or load()).infer(data)


def classify(data):
    return (_default or load()).classify(data)

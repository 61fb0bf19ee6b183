# The module `ebnn` in plain Python, for boards that load no native code: copy it to /lib. All of format 1.0, and the
# same answers in every bit, some 200 times slower. docs/SPEC.md says what the bytes mean.
#
# Checked: magic, format, size and checksum of the model, its operators, and the size of an input. Not checked: all else
# in the model, so one that is wrong under a right checksum ends in any exception or in wrong scores. `arena` is not
# used: each value has memory of its own. `out` is anything with items. `feed` keeps the whole input. Left out: inputs
# from frames of cameras and displays.

from array import array as _array

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
FORMAT = (1, 0)
_HEADER = 48
# By dtype: bits, u8, i8, i16, i32.
_KINDS = "packed bits", "uint8", "int8", "int16"
_CODES = "BBbhi"  # of arrays; of bits those of packed bytes
_SIZES = 1, 1, 1, 2, 4
_LIMITS = None, (0, 255), (-128, 127), (-32768, 32767), (-0x80000000, 0x7FFFFFFF)
_BORDERS = (-1, 1), (0, 255), (0, 0), (0, 0)  # without and with flag 1
_MOST = 1 << 30  # the largest |sum|
_ONES = bytes(bin(i).count("1") for i in range(256))
_default = None


def _number(data, at, size):
    return int.from_bytes(data[at : at + size], "little")


def _signed(data, at, size):
    number = _number(data, at, size)
    return number - (number >> 8 * size - 1 << 8 * size)


def _numbers(data, at, size, count):
    return [_signed(data, i, size) for i in range(at, at + size * count, size)]


def _words(bits):
    # Bytes of the whole words that hold them.
    return (bits + 31) // 32 * 4


def _stride(channels, dtype):
    # Elements from a pixel to the next; of bits those of the packed map.
    if dtype:
        return channels
    if channels > 16:
        return 8 * _words(channels)
    return next(stride for stride in (1, 2, 4, 8, 16) if stride >= channels)


def _zeros(code, count, size):
    return _array(code, bytes(count * size))


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
    count, size, stride, pad, _ = axis
    return range(max(0, (at + pad - size) // stride + 1), min(count, (at + pad) // stride + 1))


def _last(i, axis):
    # The last position that window `i` of an axis holds.
    _, size, stride, pad, length = axis
    return min(i * stride - pad + size, length) - 1


def _axes(shape, window, pad):
    # For rows and columns: number of windows, their size, stride, the padding before the first, positions.
    counts = [(shape[i] + pad[i] + pad[i + 2] - window[i]) // window[i + 2] + 1 for i in (0, 1)]
    return [(counts[i], window[i], window[i + 2], pad[i], shape[i]) for i in (0, 1)]


def _buffer(data, wanted):
    try:
        return memoryview(data)
    except TypeError:
        raise TypeError(wanted + ", got " + type(data).__name__)  # noqa: B904 (MicroPython does not chain)


def _bytes(data, wanted):
    # The bytes of any array.
    return data if isinstance(data, (bytes, bytearray)) else bytes(_buffer(data, wanted))


def _check(blob):
    # The size of a model whose header is right.
    size, total, found = len(blob), _number(blob, 8, 4), tuple(blob[4:6])
    if size < _HEADER:
        raise ValueError("model is truncated")
    if bytes(blob[:4]) != b"EBNN":
        raise ValueError("not an ebnn model")
    if found[0] != FORMAT[0] or found[1] > FORMAT[1]:
        text = "model format {}.{}, this ebnn reads {}.{}: update the firmware or export again"
        raise ValueError(text.format(*(found + FORMAT)))
    if total != size:
        raise ValueError("model is truncated" if total > size else "model is longer than its header says")
    if crc32(blob[16:], crc32(blob[:12])) != _number(blob, 12, 4):
        raise ValueError("model is damaged: its checksum does not match")
    return size


class _Node:
    # A node while it runs. `value` and `values`: height, width, channels and dtype.
    def __init__(self, blob, at, values):
        op, flags, source, second = blob[at : at + 4]
        if not 1 <= op <= 4:
            raise ValueError("model uses an operator that this ebnn does not have")
        self.value = height, width, channels, dtype = values[source]
        self.is_depthwise, self.is_dense, self.is_pool = op == 2, op == 3, op == 4
        self.plus, self.wide, self.none, self.int8, self.adds = (flags & flag for flag in (1, 2, 8, 16, 32))
        self.filters = _number(blob, at + 4, 2)
        kernel = (height, width, 1, 1) if self.is_dense else (1, 1, 1, 1) if self.is_pool else blob[at + 8 : at + 12]
        self.kernel = _axes(self.value, kernel, blob[at + 12 : at + 16])
        pool = (1, 1, 1, 1) if self.is_dense else blob[at + 16 : at + 20]
        self.pool = _axes([axis[0] for axis in self.kernel], pool, blob[at + 20 : at + 24])
        self.dtype, last = blob[at + 27], blob[at + 31]
        self.shift, levels = (last, 1) if self.dtype else (0, last)
        self.added = values[second][2] if second else 0
        outs = self.filters if flags & 128 else levels * self.filters
        self.output = self.pool[0][0], self.pool[1][0], outs, self.dtype
        # Elements from a pixel to the next, in the input and in the weights; bytes of a row of weights.
        self.stride = _stride(channels, dtype)
        self.step = channels if self.int8 else self.stride
        self.taps = kernel[0] * kernel[1] * channels
        self.row = _words(kernel[0] * kernel[1] * self.step * (8 if self.int8 else 1))
        is_plain = op in (1, 3) and not self.int8
        self.is_packed = is_plain and not dtype  # bits are compared with bits
        self.is_few = is_plain and dtype and self.taps <= 256
        self.weights = _number(blob, at + 32, 4)
        self.read(blob, levels * self.filters, flags)

    def read(self, blob, count, flags):
        # Thresholds or offsets, gains, flips.
        rows = 0 if self.is_pool else self.filters // (self.value[2] if self.is_depthwise else 1)
        at, size = self.weights + rows * self.row, 4 if self.wide else 2
        self.limits = _numbers(blob, at, size, count) if self.weights else [0] * count
        at += _words(8 * size * count)
        self.gains = _numbers(blob, at, 2, self.filters) if flags & 64 else None
        self.flips = [c for c in range(self.output[2]) if _bit(blob, 8 * at + c)] if flags & 4 else []

    def run(self, blob, data, second):
        # The output's elements, or its packed bytes.
        rows, columns, channels, dtype = self.output
        count = rows * columns * _stride(channels, dtype)
        out = _zeros(_CODES[dtype], count if dtype else _words(count), _SIZES[dtype])
        # From which sum on a filter's largest one needs no other.
        hits = not dtype and not self.adds
        self.enough = [max(self.limits[f :: self.filters]) if hits else _MOST + 1 for f in range(self.filters)]
        self.kept = [bytes(self.positive(blob, f)) for f in range(self.filters)] if self.is_few else None
        begun = {}  # the windows' sums
        down, across = self.pool
        for y in range(down[4]):
            for x in range(across[4]):
                places = [(row, column) for row in _windows(y, down) for column in _windows(x, across)]
                for place in places:
                    if place not in begun:
                        begun[place] = [0 if self.adds else -_MOST] * self.filters
                if places:
                    self.join(blob, data, y, x, [begun[place] for place in places])
                for row, column in places:
                    if _last(row, down) == y and _last(column, across) == x:
                        self.end(out, row * columns + column, begun.pop((row, column)), second)
        return out

    def join(self, blob, data, y, x, windows):
        # A position's sums, into those of the windows that hold it.
        patch, total = self.patch(data, y, x)
        enough = self.enough
        for f in range(self.filters):
            for sums in windows:
                if sums[f] < enough[f]:
                    break
            else:
                continue
            found = self.sum(blob, patch, total, f)
            for sums in windows:
                if self.adds:
                    sums[f] += found
                elif found > sums[f]:
                    sums[f] = found

    def end(self, out, place, sums, second):
        # What is made of a window's sums.
        limits, filters, channels = self.limits, self.filters, self.output[2]
        if self.dtype:
            least, most = _LIMITS[self.dtype]
            for f in range(filters):
                number = sums[f] * (self.gains[f] if self.gains else 1) + limits[f] >> self.shift
                if f < self.added:
                    number += second[place * self.added + f]
                out[place * filters + f] = max(least, min(most, number))
            return
        at = place * _stride(channels, 0)
        for c in [k % channels for k in range(len(limits)) if sums[k % filters] >= limits[k]] + self.flips:
            out[at + c >> 3] ^= 1 << (at + c & 7)

    def pixels(self, y, x):
        # The pixels under the kernel at a position of the map, -1 for those outside of the input.
        (_, high, down, top, height), (_, wide, right, left, width) = self.kernel
        y, x = y * down - top, x * right - left
        return [
            row * width + column if 0 <= row < height and 0 <= column < width else -1
            for row in range(y, y + high)
            for column in range(x, x + wide)
        ]

    def patch(self, data, y, x):
        # What the kernel sees, in the order of the weights: packed bits and None, or elements and their sum.
        _, _, channels, dtype = self.value
        if self.is_dense and (dtype or self.is_packed):
            return data, sum(data) if dtype else None
        pixels, stride, step = self.pixels(y, x), self.stride, self.step
        if self.is_packed and not (self.none and -1 in pixels):
            border = ((1 << channels) - 1 if self.plus else 0).to_bytes(stride + 7 >> 3, "little")
            out = bytearray(self.row)
            for i in range(len(pixels)):
                at = pixels[i] * stride
                _copy(out, i * stride, border if at < 0 else data, max(at, 0), stride)
            return out, None
        border = 0 if self.none else _BORDERS[dtype][1 if self.plus else 0]
        out = _zeros("bBbh"[dtype], len(pixels) * step, _SIZES[dtype])
        for i in range(len(pixels)):
            at, to = pixels[i] * stride, i * step
            for c in range(channels):
                out[to + c] = border if at < 0 else data[at + c] if dtype else 2 * _bit(data, at + c) - 1
        return out, sum(out)

    def positive(self, blob, f):
        # The taps whose weight is +1; kept while a node runs, if they are few.
        at = self.weights + f * self.row
        return (i for i in range(8 * self.row) if blob[at + (i >> 3)] >> (i & 7) & 1)

    def sum(self, blob, patch, total, f):
        # Sum over the taps of weight * element.
        if self.is_depthwise or self.is_pool:
            return self.channel_sum(blob, patch, f)
        found, at = 0, self.weights + f * self.row
        if total is None:
            ones = _ONES
            for a, b in zip(patch, blob[at : at + self.row]):  # noqa: B905 (MicroPython)
                found += ones[a ^ b]
            return self.taps - 2 * found
        if self.int8:
            for x, w in zip(patch, blob[at : at + self.row]):  # noqa: B905 (MicroPython)
                found += x * (w ^ 128)
            return found - 128 * total
        for i in self.kept[f] if self.kept else self.positive(blob, f):
            found += patch[i]
        return 2 * found - total

    def channel_sum(self, blob, patch, f):
        # As sum, where a filter sees one channel.
        row, channel = divmod(f, self.value[2])
        if self.is_pool:
            return patch[channel]
        found, at = 0, self.weights + row * self.row
        for i in range(channel, len(patch), self.step):
            w = (blob[at + i] ^ 128) - 128 if self.int8 else 2 * (blob[at + (i >> 3)] >> (i & 7) & 1) - 1
            found += w * patch[i]
        return found


class Model:
    copied = 0
    margin = None

    def __init__(self, model, arena=None):
        if isinstance(model, str):
            with open(model, "rb") as file:
                model = file.read()
        blob = _buffer(model, "model must be bytes, a buffer or the path of a file")
        self.size = _check(blob)
        self._blob, self._rows, self._dtype = model, 0, blob[26]
        self.arena_size = _number(blob, 16, 4)
        self.min_margin = _number(blob, 40, 4) or None
        self.input_shape = height, width, channels = tuple(_number(blob, at, 2) for at in (20, 22, 24))
        self._nodes = range(_HEADER, _HEADER + blob[6] * blob[7], blob[6])  # where they are
        self._values = [self.input_shape + (self._dtype,)]
        for at in self._nodes:
            self._values.append(_Node(blob, at, self._values).output)
        self.classes = self._values[-1][2]
        self._pixel = _stride(channels, self._dtype) * (8 * _SIZES[self._dtype] if self._dtype else 1)
        self.row_size = (width * self._pixel + 7) // 8
        self.window_size = _words(height * width * self._pixel)
        self.input_size = height * self.row_size if self._dtype else self.window_size

    def __repr__(self):
        text = "<ebnn.Model {} -> {} scores, {} bytes, arena {}>"
        return text.format(self._kind(), self.classes, self.size, self.arena_size)

    def _kind(self):
        return "x".join(str(size) for size in self.input_shape) + " " + _KINDS[self._dtype]

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
        # The scores; `each` is called with every node's output.
        self._rows = 0
        data = _bytes(data, "input must be bytes or a buffer")
        if len(data) != self.input_size:
            text = "input must be {} bytes ({}), got {}"
            raise ValueError(text.format(self.input_size, self._kind(), len(data)))
        blob = memoryview(self._blob)
        values = [_array(_CODES[self._dtype], data) if self._dtype > 1 else data]
        for at in self._nodes:
            values.append(_Node(blob, at, self._values).run(blob, values[blob[at + 2]], values[blob[at + 3]]))
            if each:
                each(values[-1])
            later = [blob[i + k] for i in self._nodes if i > at for k in ((2, 3) if blob[i + 3] else (2,))]
            values = [value if k + 1 == len(values) or k in later else None for k, value in enumerate(values)]
        best = sorted(values[-1])
        self.margin = best[-1] - best[-2] if self.classes > 1 else 0xFFFFFFFF
        return values[-1]

    def scores(self, data, out=None):
        if out is not None and len(out) != self.classes:
            raise ValueError("out must have {} items, got {}".format(self.classes, len(out)))  # noqa: UP032
        found = tuple(self._run(data))
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
        rows = _bytes(rows, "rows must be bytes or a buffer")
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
        data = _zeros("BBBH"[self._dtype], self.input_size // _SIZES[self._dtype], _SIZES[self._dtype])
        x = _number(self._blob, 32, 4)
        for pixel in range(height * width):
            for c in range(channels):
                x ^= x << 13 & 0xFFFFFFFF
                x ^= x >> 17
                x ^= x << 5 & 0xFFFFFFFF
                to = pixel * self._pixel + c
                if self._dtype:
                    data[pixel * channels + c] = x >> 32 - 8 * _SIZES[self._dtype]
                else:
                    data[to >> 3] |= x >> 31 << (to & 7)
        scores = b"".join((score & 0xFFFFFFFF).to_bytes(4, "little") for score in self._run(data))
        return crc32(scores) == _number(self._blob, 36, 4)


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

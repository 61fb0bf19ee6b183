# The part of the harness that runs on the board: frames in, inferences, frames out. MicroPython's subset,
# frozen into the firmware as `ebnn_agent` or pasted; kept small, since the smallest board has 10 KB of heap.
# The host imports it for the constants, so what only a board has is imported inside functions.
#
# A frame is a header (magic, kind, flags, sequence, length, check), a payload and a CRC-32 of both; the
# check is the low half of the CRC-32 of the 8 bytes before it, so a damaged length is never believed.
# Without sys.stdin.buffer each frame is a line of base64.

import struct
import sys

VERSION = 3
MAGIC = b"\xebN"
HEAD = "<2sBBHHH"
HEAD_SIZE = 10
CRC_SIZE = 4
RESULT = "<hBBII"  # label, flags, number of values that follow, ticks, CRC-32 of the scores
RESULT_SIZE = 12
TEXT_SIZE = 240  # room for a hello or an error

IMAGE, QUIT = 73, 81  # from the host: I, Q
HELLO, ANSWER, NAK, ERROR = 72, 65, 78, 69  # from the board: H, A, N, E
WANT_SCORES, WANT_TRACE, WANT_CLOCK = 1, 2, 4  # flags of an image


class Damaged(Exception):
    pass


class Agent:
    def __init__(self, model, clock, text):
        import array
        import gc

        import ebnn

        self.collect = gc.collect
        self.model = model
        self.crc32 = ebnn.crc32
        self.clock = clock
        self.text = text
        size = self.size = model.input_size
        self.head = bytearray(HEAD_SIZE)
        self.checked = memoryview(self.head)[: HEAD_SIZE - 2]
        self.last = memoryview(self.head)[HEAD_SIZE - 1 :]
        self.body = bytearray(size + CRC_SIZE)
        self.image = memoryview(self.body)[:size]
        self.scores = array.array("i", model.scores(self.image))
        self.nodes = len(model.trace(self.image))
        room = max(TEXT_SIZE, RESULT_SIZE + 4 * max(len(self.scores), self.nodes + 1))
        self.out = bytearray(HEAD_SIZE + room + CRC_SIZE)

    def serve(self, hello):
        self.send_text(HELLO, hello)
        while True:
            try:
                kind = self.receive()
            except Damaged:
                self.send(NAK, 0)
                continue
            if kind == QUIT:
                return
            try:
                if kind == IMAGE:
                    self.answer()
            except Exception as error:
                self.send_text(ERROR, type(error).__name__ + ": " + str(error))

    def read(self, buf, size):
        if sys.stdin.buffer.readinto(buf, size) != size:
            raise EOFError

    def receive(self):
        if self.text:
            self.receive_line()
        else:
            self.read(self.head, HEAD_SIZE)
            while not self.head_fits():
                # Slide along until a header comes: the bytes between are the rest of a damaged frame.
                for i in range(HEAD_SIZE - 1):
                    self.head[i] = self.head[i + 1]
                self.read(self.last, 1)
            self.receive_body()
        size = self.length()
        crc = self.crc32(memoryview(self.body)[:size], self.crc32(self.head))
        if crc != struct.unpack_from("<I", self.body, size)[0]:
            raise Damaged
        return self.head[2]

    def length(self):
        return self.head[6] | self.head[7] << 8

    def head_fits(self):
        head = self.head
        if head[0] != MAGIC[0] or head[1] != MAGIC[1]:
            return False
        return head[8] | head[9] << 8 == self.crc32(self.checked) & 0xFFFF

    def receive_body(self):
        left = self.length() + CRC_SIZE
        fits = left <= len(self.body)
        while left:
            part = min(left, len(self.body))
            self.read(self.body, part)
            left -= part
        if not fits:
            raise Damaged

    def receive_line(self):
        import binascii

        try:
            line = sys.stdin.readline()
            data = binascii.a2b_base64(line)
        except ValueError:  # not UTF-8, or not base64
            raise Damaged  # noqa: B904 (MicroPython does not chain exceptions)
        if not line:
            raise EOFError
        if not HEAD_SIZE + CRC_SIZE <= len(data) <= HEAD_SIZE + len(self.body):
            raise Damaged
        self.head[:] = data[:HEAD_SIZE]
        if not self.head_fits() or self.length() != len(data) - HEAD_SIZE - CRC_SIZE:
            raise Damaged
        self.body[: len(data) - HEAD_SIZE] = data[HEAD_SIZE:]

    def answer(self):
        if self.length() != self.size:
            raise ValueError("the model takes {} bytes, not {}".format(self.size, self.length()))  # noqa: UP032
        flags = self.head[3]
        if self.head[4] % 8 == 0:
            self.collect()  # now and then, so that it does not fall into the measured time
        start = self.clock.now()
        label = self.model.infer(self.image)
        ticks = self.clock.since(start)
        self.model.scores(self.image, self.scores)
        values = ()
        if flags & WANT_SCORES:
            values = self.scores
        elif flags & WANT_TRACE:
            values = self.model.trace(self.image)
        elif flags & WANT_CLOCK:
            values = (self.clock.now(),) + self.model.trace(self.image, self.clock.now)
        struct.pack_into(RESULT, self.out, HEAD_SIZE, label, flags, len(values), ticks, self.crc32(self.scores))
        at = HEAD_SIZE + RESULT_SIZE
        for value in values:
            struct.pack_into("<I", self.out, at, value & 0xFFFFFFFF)
            at += 4
        self.send(ANSWER, at - HEAD_SIZE)

    def send_text(self, kind, text):
        data = text.encode()[:TEXT_SIZE]
        self.out[HEAD_SIZE : HEAD_SIZE + len(data)] = data
        self.send(kind, len(data))

    def send(self, kind, size):
        out = self.out
        sequence = self.head[4] | self.head[5] << 8
        struct.pack_into(HEAD, out, 0, MAGIC, kind, 0, sequence, size, 0)
        view = memoryview(out)
        struct.pack_into("<H", out, 8, self.crc32(view[: HEAD_SIZE - 2]) & 0xFFFF)
        end = HEAD_SIZE + size
        struct.pack_into("<I", out, end, self.crc32(view[:end]))
        if self.text:
            import binascii

            sys.stdout.write(binascii.b2a_base64(view[: end + CRC_SIZE]))
        else:
            sys.stdout.buffer.write(view[: end + CRC_SIZE])


class Counter:
    # A counter register that an emulator drives by executed instructions.

    unit = "count"

    def __init__(self, init, capture, read, bits, down):
        from machine import mem32

        self.mem32 = mem32
        self.capture = capture
        self.register = read
        self.mask = (1 << bits) - 1
        self.down = down
        for address, value in init:
            mem32[address] = value

    def now(self):
        if self.capture is not None:
            self.mem32[self.capture] = 1
        return self.mem32[self.register]

    def since(self, start):
        ticks = self.now() - start
        return (-ticks if self.down else ticks) & self.mask


class Microseconds:
    unit = "us"

    def __init__(self):
        import time

        self.now = time.ticks_us
        self.diff = time.ticks_diff

    def since(self, start):
        return self.diff(self.now(), start)


class NoClock:
    unit = "none"

    def now(self):
        return 0

    def since(self, start):
        return 0


def make_clock(count):
    if count:
        return Counter(*count)
    try:
        return Microseconds()
    except (ImportError, AttributeError):
        return NoClock()


def overhead(clock):
    least = 1 << 30
    for _ in range(8):
        start = clock.now()
        least = min(least, clock.since(start))
    return least


def run(count=None, text=False, blob=None):
    # count: what Counter takes; text: frames as lines; blob: the model's bytes, else those of ebnn_model.
    import micropython

    import ebnn

    model = ebnn.load() if blob is None else ebnn.Model(blob)
    if blob is None:
        import ebnn_model

        blob = ebnn_model.model
    agent = Agent(model, make_clock(count), text)
    hello = "agent", VERSION, "ebnn", ebnn.__version__, "unit", agent.clock.unit
    hello += "overhead", overhead(agent.clock), "input_size", agent.size
    hello += "scores", len(agent.scores), "nodes", agent.nodes
    hello += "model_size", len(blob), "model_crc", ebnn.crc32(blob)
    # In a binary frame byte 3 is data and not Ctrl-C. (The unix port is interrupted by a signal instead.)
    mask = not text and sys.platform != "linux"
    if mask:
        micropython.kbd_intr(-1)
    try:
        agent.serve(repr(hello))
    finally:
        if mask:
            micropython.kbd_intr(3)

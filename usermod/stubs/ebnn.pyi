"""Binarized neural networks on a microcontroller.

This file says what the C module has, in firmware and as a native module. The native module ``ebnn_small`` runs small
networks only and has ``load``, ``infer`` and ``Model`` with ``infer``, ``scores``, ``input_size``, ``classes`` and
``arena_size``; its ValueErrors hold a number (docs/SPEC.md, section 7). ``usermod/fallback/ebnn.py``, the module in
plain Python, has no ``Input`` and no pixel formats.

A **buffer** is anything with the buffer protocol: bytes, bytearray, memoryview, array. An input is such a buffer of
``Model.input_size`` bytes: uint8, int8 or int16 in the order (row, column, channel), or packed bits (docs/SPEC.md,
section 1). Of int16 the bytes are in the machine's order, as in ``array('h')``.
"""

from array import array
from collections.abc import Callable
from typing import Final, Literal, TypeVar, overload

_Buffer = bytes | bytearray | memoryview | array[int]
_Result = TypeVar("_Result")

__version__: str
"""Version of the module, such as "0.1.0"."""

FORMAT: Final[tuple[int, int]]
"""Major and minor version of the model format that this module reads."""

MONO_VLSB: Final[int]
"""Pixel format: one bit a pixel, eight rows a byte, as framebuf.MONO_VLSB; 1 is white."""

MONO_HLSB: Final[int]
"""Pixel format: one bit a pixel, eight columns a byte, the leftmost in bit 7, as framebuf.MONO_HLSB."""

MONO_HMSB: Final[int]
"""Pixel format: one bit a pixel, eight columns a byte, the leftmost in bit 0, as framebuf.MONO_HMSB."""

GS8: Final[int]
"""Pixel format: a byte of gray a pixel, as framebuf.GS8."""

RGB565: Final[int]
"""Pixel format: 16 bits a pixel, low byte first, as framebuf.RGB565."""

RGB565_SWAPPED: Final[int]
"""Pixel format: 16 bits a pixel, high byte first, as many cameras send it."""

class Model:
    """A model, ready to run.

    Its methods raise RuntimeError ("busy") where the model already runs (in a callback, or in another thread), and
    ValueError where the buffer that it was made of has moved. Ctrl-C and scheduled callbacks are looked for once a row.
    """

    def __init__(self, model: str | _Buffer, arena: bytearray | memoryview | array[int] | None = None) -> None:
        """Open a model; everything in it is checked.

        Allocates the arena (``arena_size`` bytes) unless one is given, and a record for each node. The model's bytes
        are used where they lie, if their address is a multiple of 4; else they are copied once (see ``copied``). A
        file is read into RAM.

        Args:
            model: the bytes, kept alive and used in place; or the path of a file.
            arena: a writable buffer of ``arena_size`` bytes, and up to 3 more where its address is no multiple of 4.
                Models that do not run at the same time may share one.

        Raises:
            ValueError: with what is wrong in the model; for an arena that is too small.
            TypeError: for something that is no buffer.
            MemoryError: the heap does not hold the arena.
            OSError: the file cannot be read.
        """

    def infer(self, input: _Buffer, /) -> int:
        """The index of the class with the highest score, the first one among equals. Allocates nothing.

        Raises:
            ValueError: for another number of bytes than ``input_size``.
            TypeError: for something that is no buffer.
        """

    def classify(self, input: _Buffer, /) -> int | None:
        """As ``infer``; None where the answer is not sure: its margin is below ``min_margin``. Allocates nothing.

        Raises:
            ValueError: also for a model without ``min_margin``.
        """

    @overload
    def scores(self, input: _Buffer, /) -> tuple[int, ...]: ...
    @overload
    def scores(self, input: _Buffer, out: array[int], /) -> array[int]:
        """All scores, one for each class: in a new tuple, or in ``out``, which is returned; that allocates nothing.

        Args:
            input: as for ``infer``.
            out: an array of type 'i' or 'l', of 32-bit items, with ``classes`` items.

        Raises:
            ValueError: also for an ``out`` of another size.
            TypeError: also for an ``out`` of another type.
        """

    def feed(self, rows: _Buffer, out: array[int] = ..., /) -> int | None:
        """Give the input row by row. None while rows are missing; the last one gives the index of the class.

        The first call allocates ``window_size`` bytes and its state, which stay; a later one allocates nothing.
        Any other run of this model in between begins the input anew. Wrong rows raise and change nothing.

        Args:
            rows: one row of ``row_size`` bytes, or several.
            out: takes the scores with the last row, as in ``scores``.

        Raises:
            ValueError: for a number of bytes that is no multiple of ``row_size``, or more rows than are missing.
        """

    @overload
    def trace(self, input: _Buffer, /) -> tuple[int, ...]: ...
    @overload
    def trace(self, input: _Buffer, hook: Callable[[], _Result], /) -> tuple[_Result, ...]:
        """Run, and give for each node the CRC-32 of its output, or what ``hook()`` returns after it. For tests.

        Allocates the tuple and its numbers.
        """

    def selftest(self) -> bool:
        """Whether the model's own test input gives the scores that it should. Allocates an input, and frees it."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels); height is 1 for signals. A new tuple."""

    @property
    def input_size(self) -> int:
        """Bytes of an input."""

    @property
    def row_size(self) -> int:
        """Bytes of a row for ``feed``; a row of bits fills whole bytes."""

    @property
    def window_size(self) -> int:
        """Bytes that ``feed`` keeps of the input."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes, or None where the model has none. A new tuple of new strings."""

    @property
    def classes(self) -> int:
        """Number of classes, which is the number of scores."""

    @property
    def margin(self) -> int | None:
        """Highest minus second highest score of the last run; None before the first one."""

    @property
    def min_margin(self) -> int | None:
        """The least margin of a sure answer; None where the model was not calibrated."""

    @property
    def arena_size(self) -> int:
        """Bytes of working memory."""

    @property
    def size(self) -> int:
        """Bytes of the model."""

    @property
    def copied(self) -> int:
        """Bytes of the copy that had to be made of the model, 0 where it is used where it lies."""

class Input:
    """Makes inputs of a model out of frames of a camera or a display. For models whose input has one channel."""

    def __init__(
        self,
        model: Model,
        width: int,
        height: int,
        format: int,
        *,
        crop: tuple[int, int, int, int] | list[int] | None = None,
        stride: int | None = None,
        resize: Literal["average", "nearest", "none"] | None = None,
        invert: bool | None = None,
        threshold: int | None = None,
    ) -> None:
        """Plan the way from frame to input. Allocates the buffer of the input (``Model.input_size`` bytes).

        What the model records of its training images is taken, and nothing else may be asked for.

        Args:
            model: whose input is made; it is not kept.
            width, height: of the frame, pixels, 1 to 32767.
            format: MONO_VLSB, MONO_HLSB, MONO_HMSB, GS8, RGB565 or RGB565_SWAPPED.
            crop: (x, y, width, height) of the part that is taken, pixels; at least as large as the input. None: all.
            stride: pixels from the start of a line to the next. None: ``width``.
            resize: the mean of each element's pixels, the pixel in its middle, or one pixel an element. None: as the
                model records, else "average".
            invert: whether 255 - gray is taken. None: as the model records, else not.
            threshold: gray from which on a bit is 1, 1 to 255, for models that take bits. None: as the model records,
                else 128.

        Raises:
            ValueError: saying which of these does not fit the frame or the model.
            TypeError: for a ``model`` that is none.
        """

    def __call__(self, frame: _Buffer, /) -> bytearray:
        """The input of a frame, always in the same bytearray. Allocates nothing.

        Raises:
            ValueError: the frame has fewer bytes than it should.
            TypeError: for something that is no buffer.
        """

def load(model: Model | str | _Buffer = ..., /) -> Model:
    """Make a model the default one, which ``ebnn.infer`` uses, and return it.

    Without an argument: ``model`` of the module ``ebnn_model``, in the firmware or on the file system.

    Raises:
        ImportError: there is no such module.
        ValueError, TypeError, MemoryError, OSError: as ``Model`` does.
    """

def infer(input: _Buffer, /) -> int:
    """``infer`` of the default model, which the first call loads. A later one allocates nothing."""

def classify(input: _Buffer, /) -> int | None:
    """``classify`` of the default model, which the first call loads. A later one allocates nothing."""

def crc32(data: _Buffer, crc: int = 0, /) -> int:
    """CRC-32 as zlib's, of ``data`` after what had ``crc``; 0 to 2^32 - 1."""

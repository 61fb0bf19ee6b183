"""A board that runs one of the tests' builds, ready to be talked to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from built import Built
from ebnn.board.session import Session, connect
from ebnn.board.targets import load_target

MODULE_BYTES = "module_bytes"  # a property of a test: bytes of heap that the module took


@contextlib.contextmanager
def booted(built: Built) -> Iterator[Session]:
    """A session in which ``ebnn``, ``gc``, ``sys`` and ``array`` are imported.

    ``session.module_bytes`` of the heap went for ebnn; ``session.small`` is the number of bytes of a case that the heap
    can take beside an arena, the inputs, and the text of all of them.
    """
    with connect(load_target(built.board), built.firmware().image) as session:
        session.board = built.board
        session.is_native = bool(built.native)
        if built.native:
            session.exec("import native_files")
        session.exec("import gc, sys\nfrom array import array\ngc.collect()")
        free = session.eval("gc.mem_free()")
        session.exec("import ebnn\ngc.collect()")
        session.module_bytes = free - session.eval("gc.mem_free()")
        if built.is_small:
            session.exec("native_files.forget()\ndel native_files\ngc.collect()")
        session.small = min(4000, session.eval("gc.mem_free()") // 14)
        yield session

"""Lines for a person, and below them, on a terminal, what changes: a table and a line on how far it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class Screen:
    """Prints lines; on a terminal that can move its cursor, also what is redrawn in place.

    Where the output is no terminal, ``show`` and ``status`` print nothing.

    Args:
        output: where to.
    """

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.moves = output.isatty() and os.environ.get("TERM") != "dumb"
        self.block, self.bottom, self.drawn = "", "", 0

    def line(self, text: str) -> None:
        """A line that stays."""
        self._erase()
        print(text, file=self.output)
        self._draw()

    def show(self, block: str) -> None:
        """Lines that the next ones take the place of."""
        self.block = block
        self._redraw()

    def status(self, text: str) -> None:
        """A line that the next one takes the place of."""
        self.bottom = text
        self._redraw()

    def close(self) -> None:
        """Take away what is redrawn."""
        self.block = self.bottom = ""
        self._redraw()

    @contextmanager
    def training(self, folder: Path) -> Iterator[None]:
        """Close at the end; where a person stops what trains into ``folder``, say how to go on, and pass it on."""
        try:
            yield
        except KeyboardInterrupt:
            self.line(f"stopped; what was trained is kept in {folder}: the same command goes on")
            raise
        finally:
            self.close()

    def _redraw(self) -> None:
        self._erase()
        self._draw()

    def _erase(self) -> None:
        if self.drawn:
            print(f"\x1b[{self.drawn}F\x1b[J", end="", file=self.output)  # up so many lines, then clear to the end
        self.drawn = 0

    def _draw(self) -> None:
        if self.moves:
            width, height = shutil.get_terminal_size()
            lines = [*self.block.splitlines()[: max(0, height - 2)], *self.bottom.splitlines()]
            for line in lines:
                print(line[: width - 1], file=self.output)
            self.drawn = len(lines)
        self.output.flush()

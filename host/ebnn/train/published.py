"""Where the files of a published data set are: in a data directory, in the cache, or on a server."""

from __future__ import annotations

import os
import queue
import threading
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ebnn.errors import DataError
from ebnn.files import cache_dir, write_atomic

CONNECT_SECONDS = 8.0  # for all mirrors together: on a closed network no more is lost
READ_SECONDS = 30.0  # a mirror that answered may pause for so long
BLOCK = 1 << 20  # bytes read at once

Check = Callable[[bytes, str, str], object]  # (content, file's name, where it is from): what it holds, or DataError


class NotFound(DataError):
    """The data set is neither here nor to be downloaded."""


def folders(name: str, data_dir: str | None) -> list[Path]:
    """Where to look: ``data_dir`` (else ``EBNN_DATA_DIR``), its folder ``name``, and the cache's."""
    named = data_dir or os.environ.get("EBNN_DATA_DIR")
    here = [Path(named), Path(named) / name] if named else []
    return [*here, cache_dir() / name]


@dataclass(frozen=True)
class Download:
    """Files that lie below each of several addresses.

    Args:
        title: of the data set, for errors.
        name: of its folder in the cache.
        files: their names.
        mirrors: addresses that end with a slash.
        check: is called with each file; what it returns is what ``run`` returns for that file.
    """

    title: str
    name: str
    files: Sequence[str]
    mirrors: Sequence[str]
    check: Check

    def run(self) -> dict[str, object]:
        """Download the files from the mirror that answers first, check them, put them into the cache.

        Raises:
            NotFound: no mirror answers, or one breaks off.
            DataError: what ``check`` raises.
        """
        mirror, found = self._first_answer(), {}
        for file in self.files:
            address = mirror + file
            try:
                content = _read(address)
            except OSError as error:
                raise NotFound(f"{self.title} is not here, and its download from {address} failed ({error})") from None
            found[file] = self.check(content, file, address)
            write_atomic(cache_dir() / self.name / file, content)
        return found

    def _first_answer(self) -> str:
        """The first mirror that answers; all are asked at once, on threads, since name lookups know no time limit."""
        answers: queue.Queue[tuple[str, str | None]] = queue.Queue()

        def ask(mirror: str) -> None:
            try:
                request = urllib.request.Request(mirror + self.files[0], method="HEAD")
                urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()
                answers.put((mirror, None))
            except OSError as error:
                answers.put((mirror, str(error)))

        for mirror in self.mirrors:
            threading.Thread(target=ask, args=(mirror,), daemon=True).start()
        return self._await_answer(answers)

    def _await_answer(self, answers: queue.Queue) -> str:
        end, reasons = monotonic() + CONNECT_SECONDS, []
        try:
            for _ in self.mirrors:
                mirror, reason = answers.get(timeout=max(0.0, end - monotonic()))
                if reason is None:
                    return mirror
                reasons.append(reason)
        except queue.Empty:
            reasons.append(f"no answer within {CONNECT_SECONDS:g} s")
        why = "; ".join(dict.fromkeys(reasons))
        raise NotFound(
            f"{self.title} is not here and cannot be downloaded ({why}): name its folder by --data-dir or EBNN_DATA_DIR"
        )


def _read(address: str) -> bytes:
    """The whole file, with a bar where somebody looks; raises OSError."""
    from tqdm import tqdm

    with urllib.request.urlopen(address, timeout=READ_SECONDS) as answer:
        size, content = int(answer.headers.get("Content-Length", 0)), bytearray()
        title = address.rpartition("/")[2]
        with tqdm(total=size or None, desc=title, leave=False, disable=None, unit="B", unit_scale=True) as bar:
            while block := answer.read(BLOCK):
                content += block
                bar.update(len(block))
    if len(content) < size:
        raise OSError(f"{len(content)} of {size} bytes came")
    return bytes(content)

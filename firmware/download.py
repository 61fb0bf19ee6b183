"""MicroPython's official release tarball, over HTTPS, with a bound on the time that a vain attempt costs."""

from __future__ import annotations

import shutil
import threading
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from ebnn.errors import BuildError

CONNECT_SECONDS = 4
STALL_SECONDS = 20


def _connect(url: str, answer: list) -> None:
    try:
        answer.append(urllib.request.urlopen(url, timeout=CONNECT_SECONDS))
    except (OSError, HTTPException, ValueError) as error:
        answer.append(error)


def open_url(url: str) -> HTTPResponse:
    """Open ``url`` or raise BuildError within ``CONNECT_SECONDS``, name look-up and redirects included.

    The look-up of a name cannot be given a time limit, hence the thread.
    """
    answer: list = []
    thread = threading.Thread(target=_connect, args=(url, answer), daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not answer:
        raise BuildError(f"{url}: no answer in {CONNECT_SECONDS} s")
    if isinstance(answer[0], Exception):
        raise BuildError(f"{url}: {getattr(answer[0], 'reason', answer[0])}")
    return answer[0]


def download(url: str, path: Path) -> Path:
    """Fetch ``url`` into ``path``; raises BuildError, with nothing left behind, when that fails."""
    try:
        with open_url(url) as response, open(path, "wb") as file:
            _set_stall_limit(response)
            shutil.copyfileobj(response, file, 1 << 20)
    except (OSError, HTTPException) as error:
        path.unlink(missing_ok=True)
        raise BuildError(f"{url}: broke off ({error})") from None
    return path


def _set_stall_limit(response: HTTPResponse) -> None:
    socket = getattr(getattr(response.fp, "raw", None), "_sock", None)
    if socket is not None:
        socket.settimeout(STALL_SECONDS)

"""Let Chainer 7.8.1 import on Python 3.10 to 3.13 and NumPy 2.

Chainer is no longer maintained. Two things stop its import today: ``numpy.sctypes``, which NumPy 2 removed, and
its environment check, which needs ``numpy.distutils`` and ``pkg_resources`` to print warnings about
optional packages. Nothing else that this package uses has to be mended.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types

import numpy as np

from ebnn.errors import ConfigError

_SCTYPES = {
    "int": [np.int8, np.int16, np.int32, np.int64],
    "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
    "float": [np.float16, np.float32, np.float64, np.longdouble],
    "complex": [np.complex64, np.complex128, np.clongdouble],
    "others": [bool, object, bytes, str, np.void],
}


def prepare() -> None:
    """Put back what Chainer's import needs; without effect once Chainer is imported."""
    if "chainer" in sys.modules:
        return
    os.environ.setdefault("CHAINER_CUDNN", "0")  # CuPy 14 has no cudnn
    if not hasattr(np, "sctypes"):
        np.sctypes = _SCTYPES
    name = "chainer._environment_check"
    if name not in sys.modules:
        check = types.ModuleType(name)
        check.check = lambda: None
        sys.modules[name] = check


def import_chainer() -> types.ModuleType:
    """Prepare and import Chainer.

    Raises:
        ConfigError: when Chainer is not installed, with the command that installs it.
    """
    prepare()
    if importlib.util.find_spec("chainer") is None:
        raise ConfigError("training needs Chainer, which is not installed: pip install 'ebnn[train]'")
    import chainer

    return chainer


def __getattr__(name: str) -> types.ModuleType:
    if name == "chainer":
        return import_chainer()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""ebnn: binarized neural networks for MicroPython and CircuitPython.

The host package: train (``ebnn.train``, with Chainer), export, inspect and simulate (NumPy alone), and drive boards
(``ebnn.board``, with pyserial). What a person needs most:

    ebnn.export(chain, x, "out")          a trained Chainer chain -> model file and frozen module
    ebnn.read_model("out/model.ebnn")     the integer network in a model file
    ebnn.Simulator(network).infer(buf)    what the device answers, in every bit
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ebnn.errors import EbnnError
from ebnn.format import Model, decode, read_blob
from ebnn.network import Network, Node
from ebnn.sim import Simulator
from ebnn.version import __version__

__all__ = ["EbnnError", "Model", "Network", "Node", "Simulator", "__version__", "export", "read_model"]


def read_model(path: str | Path) -> Model:
    """Read and validate a model file.

    Raises:
        ModelError: the file is not a sound model of a version that this package knows.
        OSError: it cannot be read.
    """
    return decode(read_blob(path))


def __getattr__(name: str) -> Any:
    # Exporting a chain needs Chainer, which takes a second to import.
    if name == "export":
        from ebnn.train.export import export

        return export
    raise AttributeError(f"module 'ebnn' has no attribute {name!r}")

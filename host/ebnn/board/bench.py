"""Stream test data through a board and collect answers, counts and faults. Knows nothing of networks."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ebnn.board import agent
from ebnn.board.client import AgentClient, Hello
from ebnn.board.results import ResultFile
from ebnn.board.session import Session
from ebnn.board.targets import Count
from ebnn.errors import BoardError

FILE_VERSION = 1


@dataclass(frozen=True)
class BenchOptions:
    """What to compare with and how to run.

    ``expected_scores``: int32 (N, K), what the board should answer. ``expected_nodes``: uint32 (M, nodes),
    the CRC-32 of every node's output for the first M images, which are then traced. ``hashes`` (firmware,
    model ...) go into the header that a continued run must match; ``model_crc`` is the CRC-32 of the model that
    must be on the board, ``model`` a model to send and run instead. ``progress(done, total)`` is called after
    each image. ``timeout`` is in seconds.
    """

    count: Count | None = None
    expected_scores: np.ndarray | None = None
    expected_nodes: np.ndarray | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    model_crc: int | None = None
    model: bytes | None = None
    fresh: bool = False
    timeout: float = 20.0
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest value."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Measurement:
    """The outcome of a run: accuracy in 0..1, ``instructions`` or ``microseconds`` an inference (never both).

    ``mismatches`` counts images whose scores or prediction differ from the expected, ``node_mismatches``
    those with a differing node; None where nothing was expected. ``first_mismatch`` describes the first.
    ``node_instructions`` are those of each node on the first image, None where the board cannot count.
    ``seconds`` and ``images_per_second`` are the harness's wall time, line included.
    """

    board: str
    images: int
    correct: int
    accuracy: float
    predictions: tuple[int, ...]
    mismatches: int | None
    node_mismatches: int | None
    first_mismatch: str | None
    instructions: Spread | None
    node_instructions: tuple[float, ...] | None
    microseconds: Spread | None
    retries: int
    seconds: float
    images_per_second: float
    header: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the measurement as plain data."""
        return asdict(self)


def run_bench(
    session: Session,
    images: np.ndarray,
    labels: np.ndarray,
    out_path: str | os.PathLike,
    options: BenchOptions | None = None,
) -> Measurement:
    """Run ``images`` uint8 (N, ...), each one input of the model, and write each result to ``out_path``.

    ``labels`` are (N,) integers. A run that was interrupted goes on where it was. Raises BoardError when the
    board is gone, carries another model, or ``out_path`` belongs to another run; results so far are kept.
    """
    options = options or BenchOptions()
    _check(images, labels, options)
    with AgentClient(session, options.count, options.timeout, options.model) as client:
        _check_model(session.name, client.hello, options)
        header = _header(session.name, client.hello, (images, labels), options)
        with ResultFile(out_path, header, options.fresh) as results:
            for index in range(len(images)):
                if index not in results.records:
                    results.append(_measure(client, index, images[index], options))
                if options.progress:
                    options.progress(index + 1, len(images))
            return _summary(header, results.records, labels, options)


def _check(images: np.ndarray, labels: np.ndarray, options: BenchOptions) -> None:
    if images.dtype != np.uint8 or len(images) == 0:
        raise BoardError(f"the bench needs at least one image of uint8, got {images.dtype} {images.shape}")
    if labels.shape != (len(images),):
        raise BoardError(f"the bench needs {len(images)} labels, got an array of {labels.shape}")
    scores, nodes = options.expected_scores, options.expected_nodes
    if scores is not None and len(scores) != len(images):
        raise BoardError(f"there are {len(images)} images but {len(scores)} expected scores")
    if nodes is not None and len(nodes) > len(images):
        raise BoardError(f"there are {len(images)} images but node CRCs of {len(nodes)}")


def _check_model(name: str, hello: Hello, options: BenchOptions) -> None:
    if options.model_crc is not None and hello.model_crc != options.model_crc:
        raise BoardError(
            f"{name}: the board carries another model (CRC {hello.model_crc:#010x}, wanted {options.model_crc:#010x}):"
            " build and flash again"
        )


def _header(name: str, hello: Hello, data: tuple[np.ndarray, np.ndarray], options: BenchOptions) -> dict[str, Any]:
    digest = hashlib.sha256()
    for array in data:
        digest.update(repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes())
    return {
        "ebnn_bench": FILE_VERSION,
        "board": name,
        "images": len(data[0]),
        "hashes": {**options.hashes, "data": digest.hexdigest()},
        "ebnn": hello.ebnn,
        "model_crc": hello.model_crc,
        "model_size": hello.model_size,
        "unit": hello.unit,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _measure(client: AgentClient, index: int, image: np.ndarray, options: BenchOptions) -> dict[str, Any]:
    """Classify one image; the record holds what the board said, the line's faults and the time it took."""
    retries, start = client.faults.retries, time.monotonic()
    data = image.tobytes()
    traced = options.expected_nodes is not None and index < len(options.expected_nodes)
    answer = client.classify(data, agent.WANT_TRACE if traced else 0)
    record = {"image": index, "predicted": answer.label, "scores_crc": answer.scores_crc, "ticks": answer.ticks}
    if traced:
        record["nodes"] = list(answer.values)
    if index == 0 and client.hello.unit == "count":
        record["node_ticks"] = list(client.node_ticks(data))
    if _differs(record, index, options):
        record["scores"] = list(client.classify(data, agent.WANT_SCORES).values)
    record["seconds"] = round(time.monotonic() - start, 6)
    record["retries"] = client.faults.retries - retries
    return record


def _differs(record: dict[str, Any], index: int, options: BenchOptions) -> bool:
    """Whether a record's scores or prediction are not the expected ones."""
    if options.expected_scores is None:
        return False
    row = np.ascontiguousarray(options.expected_scores[index], "<i4")
    return record["scores_crc"] != zlib.crc32(row.tobytes()) or record["predicted"] != int(row.argmax())


def _different_node(record: dict[str, Any], index: int, options: BenchOptions) -> int | None:
    """The first node whose CRC is not the expected one."""
    if options.expected_nodes is None or index >= len(options.expected_nodes):
        return None
    wanted = [int(crc) for crc in options.expected_nodes[index]]
    got = record.get("nodes", [])
    if len(got) != len(wanted):
        return min(len(got), len(wanted))
    return next((node for node, pair in enumerate(zip(got, wanted, strict=True)) if pair[0] != pair[1]), None)


def _summary(
    header: dict[str, Any], records: dict[int, dict[str, Any]], labels: np.ndarray, options: BenchOptions
) -> Measurement:
    ordered = [records[index] for index in range(len(labels))]
    predictions = tuple(record["predicted"] for record in ordered)
    correct = int(np.count_nonzero(np.array(predictions) == labels))
    wrong = [index for index, record in enumerate(ordered) if _differs(record, index, options)]
    nodes = {index: _different_node(record, index, options) for index, record in enumerate(ordered)}
    nodes = {index: node for index, node in nodes.items() if node is not None}
    ticks = np.array([record["ticks"] for record in ordered], np.int64)
    seconds = sum(record["seconds"] for record in ordered)
    return Measurement(
        board=header["board"],
        images=len(labels),
        correct=correct,
        accuracy=correct / len(labels),
        predictions=predictions,
        mismatches=None if options.expected_scores is None else len(wrong),
        node_mismatches=None if options.expected_nodes is None else len(nodes),
        first_mismatch=_first_mismatch(wrong, nodes, ordered),
        instructions=_instructions(ticks, header["unit"], options.count),
        node_instructions=_node_instructions(ordered[0], options.count),
        microseconds=_spread(ticks) if header["unit"] == "us" else None,
        retries=sum(record["retries"] for record in ordered),
        seconds=seconds,
        images_per_second=len(labels) / seconds if seconds else 0.0,
        header=header,
    )


def _instructions(ticks: np.ndarray, unit: str, count: Count | None) -> Spread | None:
    if unit != "count" or count is None:
        return None
    return _spread(np.round(ticks * count.instructions(1)))


def _node_instructions(record: dict[str, Any], count: Count | None) -> tuple[float, ...] | None:
    if count is None or "node_ticks" not in record:
        return None
    return tuple(round(count.instructions(ticks)) for ticks in record["node_ticks"])


def _spread(values: np.ndarray) -> Spread:
    return Spread(float(values.min()), float(np.median(values)), float(values.max()))


def _first_mismatch(wrong: list[int], nodes: dict[int, int], records: list[dict[str, Any]]) -> str | None:
    if nodes:
        index = min(nodes)
        return f"image {index}: node {nodes[index]} is the first that differs"
    if wrong:
        record = records[wrong[0]]
        return f"image {wrong[0]}: the board says {record['predicted']} with scores {record.get('scores')}"
    return None

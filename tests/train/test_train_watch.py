"""What is watched of a training: flips, clipped latents and histograms, and that a resumed run has seen the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ebnn.errors import ConfigError
from ebnn.train import Config, build, checkpoint, data, loop, train, watch

SMALL = Config(arch="4c3-p2-10", epochs=4, batch=32, lr=0.03, seed=7)


def silent(line: str) -> None:
    pass


def records(folder: Path) -> list[dict]:
    return checkpoint.load(folder / loop.CHECKPOINT)[1]["watch"]


def test_flips_are_counted_since_the_last_look() -> None:
    chain = build("4c3-10", (8, 8, 1))
    found = watch.Watch(chain, 1.0)
    assert set(found.links) == {"conv1", "dense2"}
    assert found.look(1) == 0
    chain.conv1.W.array[0] *= -1
    chain.dense2.W.array.flat[:5] *= -1
    total = chain.conv1.W.size + chain.dense2.W.size
    assert found.look(2) == 14 / total
    assert [found.records[1]["layers"][name]["flips"] for name in found.links] == [9, 5]
    assert found.look(3) == 0


def test_weights_of_zero_mean_flip_by_their_own_signs() -> None:
    chain = build("4c3-10", (8, 8, 1), weights="standard")
    found = watch.Watch(chain, 1.0)
    before = chain.conv1.signs
    chain.conv1.W.array[:] += np.float32(0.4)  # the mean goes with it
    assert found.look(1) == pytest.approx((before != chain.conv1.signs).sum() / (36 + chain.dense2.W.size), abs=1e-3)


def test_latents_are_counted_where_they_lie() -> None:
    chain = build("4c3-10", (8, 8, 1))
    chain.conv1.W.array[:] = -0.999
    chain.conv1.W.array[0] = 1.0
    found = watch.Watch(chain, 1.0)
    found.look(1)
    layer = found.records[0]["layers"]["conv1"]
    assert layer["clipped"] == 9 and layer["weights"] == 36
    assert layer["histogram"] == [27, *[0] * (watch.BINS - 2), 9]
    assert sum(found.records[0]["layers"]["dense2"]["histogram"]) == chain.dense2.W.size


def test_float_networks_have_no_flips(few: data.Dataset) -> None:
    lines: list[str] = []
    result = train(few, SMALL.replace(weights="float", features="relu", epochs=1), None, lines.append)
    assert result.epochs[0].flip_rate is None and len(lines[-1].split()) == len(watch.HEADING.split()) - 4


def test_a_resumed_run_has_seen_the_same(few: data.Dataset, tmp_path: Path) -> None:
    whole = train(few, SMALL, tmp_path / "whole", silent)

    def stop(line: str) -> None:
        if line.lstrip().startswith("2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few, SMALL, tmp_path / "cut", stop)
    again = train(few, SMALL, tmp_path / "cut", silent)
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    rates = [line.flip_rate for line in whole.epochs]
    assert [line.flip_rate for line in again.epochs] == rates and 0 < rates[0] < 1
    assert [record["epoch"] for record in records(tmp_path / "cut")] == [1, 2, 3, 4]
    assert [watch.flip_rate(record) for record in records(tmp_path / "cut")] == rates
    logged = [json.loads(line)["flip_rate"] for line in (tmp_path / "cut" / loop.LOG).read_text().splitlines()]
    assert logged == rates


@pytest.mark.parametrize("wrong", [7, [7], [{"epoch": 1, "layers": {"conv1": {"flips": -1}}}]])
def test_a_damaged_record_is_refused(few: data.Dataset, tmp_path: Path, wrong: object) -> None:
    train(few, SMALL.replace(epochs=1), tmp_path, silent)
    path = tmp_path / loop.CHECKPOINT
    parts, facts = checkpoint.load(path)
    checkpoint.save(path, parts, facts | {"watch": wrong})
    with pytest.raises(ConfigError, match="its watch"):
        train(few, SMALL.replace(epochs=1), tmp_path, silent)


def test_checkpoints_without_records_go_on(few: data.Dataset, tmp_path: Path) -> None:
    train(few, SMALL.replace(epochs=1), tmp_path, silent)
    path = tmp_path / loop.CHECKPOINT
    parts, facts = checkpoint.load(path)
    del facts["watch"], facts["epochs"][0]["flip_rate"]
    checkpoint.save(path, parts, facts)
    lines: list[str] = []
    result = train(few, SMALL.replace(epochs=1), tmp_path, lines.append)
    assert result.epochs[0].flip_rate is None and lines[-1].endswith("0:00")


def test_durations() -> None:
    assert [watch.duration(s) for s in (0, 59.6, 61, 3600, 36_061)] == ["0:00", "1:00", "1:01", "1:00:00", "10:01:01"]


def test_time_left_is_that_of_the_last_epochs() -> None:
    epochs = [loop.Epoch(n + 1, 0.1, 1, 0.5, 0.5, 0.5, s, 0.01) for n, s in enumerate((100, 1, 2, 3, 2, 2))]
    assert watch.table_line(epochs, 16).split()[-1] == "0:20"
    assert watch.table_line(epochs, 16).split()[-3] == "1.00"
    assert watch.table_line(epochs, 6).split()[-1] == "0:00"

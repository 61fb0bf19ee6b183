"""The breakdown of a training step: its products are the network's, its parts are there and add up."""

from __future__ import annotations

import numpy as np

from ebnn.train import model, speed


def test_products_are_those_of_the_layers():
    chain = model.build("4c3-p2-6c3s2p1-8-3", (12, 12, 1))
    images = np.zeros((5, 12, 12, 1), np.uint8)
    first, second = 5 * 10 * 10, 5 * 3 * 3  # sums of a filter, before the pool
    assert speed.products(chain, images) == [
        (first, 9, 4), (9, first, 4),
        (second, 36, 6), (36, second, 6), (second, 6, 36),
        (5, 54, 8), (54, 5, 8), (5, 8, 54),
        (5, 8, 3), (8, 5, 3), (5, 3, 8),
    ]  # fmt: skip


def test_command_prints_every_part(capsys, monkeypatch):
    monkeypatch.setattr(speed, "STEPS", 2)
    assert speed.main(["--dataset", "digits", "--arch", "8c3p1-p2-d3p1+-8c3p1-p3s1-10"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "digits, 8c3p1-p2-d3p1+-8c3p1-p3s1-10, batch 32"
    for part in (*speed.PARTS.values(), "scores and loss", "optimizer", "a step", "BLAS", "an epoch"):
        assert any(line.startswith(part) for line in lines), part
    blas = next(line for line in lines if line.startswith("BLAS"))
    assert blas.split()[-1] == "1.00" and float(blas.split()[-2]) > 0


def test_error_of_the_data_is_a_sentence(capsys):
    assert speed.main(["--dataset", "missing.npz"]) == 1
    assert "missing.npz" in capsys.readouterr().err

"""Greedy flips after training: the loss of their images falls, integers stay exact, a stopped run goes on."""

from __future__ import annotations

import numpy as np
import pytest

from ebnn.errors import ConfigError
from ebnn.sim import Simulator
from ebnn.train import checkpoint, data, evaluate, loop, model, polish
from ebnn.train.config import Config
from ebnn.train.lower import lower, predict_scores

PLAIN = Config(arch="8c3-p2-10", epochs=2, batch=32, lr=0.06)


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture
def few_trials(monkeypatch) -> None:
    monkeypatch.setattr(polish, "TRIALS", 12)


def silent(_: str) -> None:
    """No report."""


def trained(digits: data.Dataset):
    return loop.train(digits, PLAIN, None, silent).chain


def test_loss_of_its_images_falls_by_flips_alone(digits, few_trials):
    chain = trained(digits)
    rows = digits.split()[0][:500]
    images, classes = digits.x_train[rows], digits.y_train[rows]
    before = {name: param.array.copy() for name, param in chain.namedparams()}
    start, hits = polish._measure(chain, images, classes)
    assert hits == evaluate.accuracy(chain, images, classes)
    loss, right = polish.epoch(chain, images, classes)
    assert loss < start
    assert (loss, right) == polish._measure(chain, images, classes)
    flipped = 0
    for name, param in chain.namedparams():
        if name.endswith("/W"):
            assert (np.abs(param.array) == np.maximum(np.abs(before[name]), 0)).all()
            flipped += int((np.sign(param.array) != np.sign(before[name])).sum())
        else:
            assert (param.array == before[name]).all(), name
    assert flipped > 0


def test_failed_flips_are_taken_back(digits, few_trials, monkeypatch):
    """Where no set of flips lowers the loss, nothing changes."""
    chain = trained(digits)
    rows = digits.split()[0][:200]
    before = checkpoint.state_of(chain)
    monkeypatch.setattr(polish, "_measure", lambda *_: (1.0, 0.5))
    assert polish.epoch(chain, digits.x_train[rows], digits.y_train[rows]) == (1.0, 0.5)
    after = checkpoint.state_of(chain)
    assert all((after[name] == before[name]).all() for name in before if name.endswith("W"))


def test_a_latent_zero_can_be_flipped_and_back():
    link = model.build("4c3-10", (5, 5, 1)).conv1
    link.W.array.reshape(-1)[:2] = [0, -0.5]
    link.W.grad = np.ones_like(link.W.array)
    layer = polish._Layer(link)
    layer.look()
    layer.flip(np.array([0, 1]))
    assert (link.signs.reshape(-1)[:2] == [-1, 1]).all()
    layer.flip(np.array([0, 1]))
    assert (link.signs.reshape(-1)[:2] == [1, -1]).all()


@pytest.mark.parametrize("changes", [{}, {"gain": True}, {"optimizer": "bop", "lr": 0.01}, {"order": "norm-sign-pool"}])
def test_integers_stay_exact(digits, few_trials, changes):
    result = loop.train(digits, PLAIN.replace(polish=1, **changes), None, silent)
    assert len(result.epochs) == 3 and result.epochs[-1].lr == 0
    network = lower(result.chain, digits.x_test[:1])
    assert (Simulator(network).run(digits.x_test) == predict_scores(result.chain, digits.x_test)).all()


def test_a_stopped_run_goes_on_to_the_same_bytes(digits, few_trials, tmp_path):
    config, lines = PLAIN.replace(polish=2), []
    whole = loop.train(digits, config, tmp_path / "whole", silent)

    def stop(line: str) -> None:
        lines.append(line)
        if line.split()[:1] == ["3"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(digits, config, tmp_path / "parts", stop)
    again = loop.train(digits, config, tmp_path / "parts", silent)
    assert [(e.loss, e.held_out_accuracy) for e in again.epochs] == [
        (e.loss, e.held_out_accuracy) for e in whole.epochs
    ]
    states = checkpoint.state_of(whole.chain), checkpoint.state_of(again.chain)
    assert all((states[0][name] == states[1][name]).all() for name in states[0])


@pytest.mark.parametrize("changes", [{"weights": "standard"}, {"weights": "float"}, {"features": "relu"}])
def test_only_signs_are_flipped(changes):
    with pytest.raises(ConfigError, match="polish must be 0 where"):
        PLAIN.replace(polish=1, **changes)


def test_a_chain_with_other_weights_is_refused(digits):
    chain = model.build("4c3-10", digits.shape, weights="standard")
    with pytest.raises(ConfigError, match="the weights of conv1 are not the signs"):
        polish.epoch(chain, digits.x_train[:20], digits.y_train[:20])

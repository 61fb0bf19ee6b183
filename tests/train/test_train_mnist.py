"""The whole MNIST test set: trainer, simulator and C engine give the same scores for every image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ebnn.bundle import build_model
from ebnn.cengine import CEngine
from ebnn.files import repo_root
from ebnn.format import decode
from ebnn.measure import rows_that_differ
from ebnn.sim import Simulator
from ebnn.train import Config, Dataset, predict_scores
from ebnn.train.loop import train
from ebnn.train.lower import lower

ZOO = sorted((repo_root() / "firmware" / "models").glob("mnist*/model.ebnn"))


def test_a_trained_network_agrees_on_every_test_image(mnist: Dataset) -> None:
    few = replace(mnist, x_train=mnist.x_train[:6000], y_train=mnist.y_train[:6000])
    chain = train(few, Config(arch="8c5-p2-16c3-p2-10", epochs=1, lr=0.1), None, lambda _: None).chain
    network = lower(chain, mnist.x_test[:1])
    scores = Simulator(network).run(mnist.x_test)
    assert rows_that_differ(predict_scores(chain, mnist.x_test), scores) == 0
    assert rows_that_differ(CEngine(build_model(network)).run(mnist.x_test), scores) == 0
    assert (scores.argmax(axis=1) == mnist.y_test).mean() > 0.5  # it has learned something


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.parent.name)
def test_a_model_of_the_zoo_is_as_good_as_it_says(path: Path, mnist: Dataset) -> None:
    metrics = json.loads(path.with_name("metrics.json").read_text(encoding="utf-8"))
    blob = path.read_bytes()
    scores = CEngine(blob).run(mnist.x_test)
    assert rows_that_differ(Simulator(decode(blob).network).run(mnist.x_test), scores) == 0
    assert np.mean(scores.argmax(axis=1) == mnist.y_test) == metrics["test_accuracy"]
    assert len(blob) == metrics["model_bytes"]
    assert metrics["dataset_sha256"] == mnist.sha256
    assert CEngine(blob).selftest()

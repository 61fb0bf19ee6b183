"""The whole MNIST test set: trainer, simulator and C engine give the same scores for every image."""

from __future__ import annotations

from dataclasses import replace

from ebnn.bundle import build_model
from ebnn.cengine import CEngine
from ebnn.measure import rows_that_differ
from ebnn.sim import Simulator
from ebnn.train import Config, Dataset, predict_scores
from ebnn.train.loop import train
from ebnn.train.lower import lower


def test_a_trained_network_agrees_on_every_test_image(mnist: Dataset) -> None:
    few = replace(mnist, x_train=mnist.x_train[:6000], y_train=mnist.y_train[:6000])
    chain = train(few, Config(arch="8c5-p2-16c3-p2-10", epochs=1, lr=0.1), None, lambda _: None).chain
    network = lower(chain, mnist.x_test[:1])
    scores = Simulator(network).run(mnist.x_test)
    assert rows_that_differ(predict_scores(chain, mnist.x_test), scores) == 0
    assert rows_that_differ(CEngine(build_model(network)).run(mnist.x_test), scores) == 0
    assert (scores.argmax(axis=1) == mnist.y_test).mean() > 0.5  # it has learned something

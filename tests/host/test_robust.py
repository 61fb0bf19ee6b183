"""Random faults: none at probability 0, all at 1, half at 0.5, and the same ones for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import networks
from ebnn import cli, robust
from ebnn.errors import ConfigError
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, Node, conv_node, dense_node, pool_node
from ebnn.sim import ELEMENTS, Simulator

SEEDS = range(12)


def images_of(network: Network, count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (count, *network.input.shape)).astype(np.uint8)
    return pixels > 127 if network.input.dtype == "bits" else pixels.astype(ELEMENTS[network.input.dtype])


def negated(network: Network) -> Network:
    """All bits of all weights inverted: of int8 that is -1 - w."""
    return replace(network, nodes=tuple(map(_negated, network.nodes)))


def _negated(node: Node) -> Node:
    if node.weights is None:
        return node
    return replace(node, weights=~node.weights if node.has_int8 else -node.weights)


def wide() -> Network:
    """Two layers with feature maps large enough for statistics: 8 x 8 x 32 bits, then scores."""
    rng = np.random.default_rng(8)
    conv = conv_node(0, rng.choice([-1, 1], (32, 3, 3, 2)), Geometry(pad=(1, 1, 1, 1)),
                     thresholds=np.zeros(32, int))  # fmt: skip
    dense = dense_node(1, rng.choice([-1, 1], (10, 8, 8, 32)), offsets=np.zeros(10, int))
    return Network(Value(0, (8, 8, 2), "u8"), (conv, dense))


@pytest.mark.parametrize("kind", robust.KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_fault_changes_nothing(kind: str, seed: int) -> None:
    network = networks.random_network(seed)
    images = images_of(network)
    assert (robust.faulty(network, kind, 0.0, (seed,)).run(images) == Simulator(network).run(images)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_in_all_weights_negate_them(seed: int) -> None:
    network = networks.random_network(seed)
    images = images_of(network)
    found = robust.faulty(network, "weights", 1.0, (seed,)).run(images)
    assert (found == Simulator(negated(network)).run(images)).all()


def test_faults_in_all_activations_invert_every_map() -> None:
    network = wide()
    first, last = network.nodes
    inverted = replace(network, nodes=(replace(first, flips=np.ones(32, bool)), last))
    found = robust.faulty(network, "activations", 1.0, (0,)).run(images_of(network))
    assert (found == Simulator(inverted).run(images_of(network))).all()


def test_faults_in_all_bits_of_integers() -> None:
    """x becomes -1 - x: of a map of i16, whose scores are not touched."""
    first = pool_node(0, offsets=[0], output="i16")
    network = Network(Value(0, (1, 1, 1), "i16"), (first, pool_node(1, offsets=[0])))
    images = np.array([-300, 5, 32767], np.int16).reshape(3, 1, 1, 1)
    assert robust.faulty(network, "activations", 1.0, (0,)).run(images).tolist() == [[299], [-6], [-32768]]


@pytest.mark.parametrize("probability", [0.5, 0.1])
def test_so_many_weights_are_flipped(probability: float) -> None:
    network = wide()
    faults = robust.flip_weights(network, probability, np.random.default_rng(1))
    for before, after in zip(network.nodes, faults.nodes, strict=True):
        count, flipped = before.weights.size, (before.weights != after.weights).sum()
        deviation = (count * probability * (1 - probability)) ** 0.5
        assert abs(flipped - count * probability) < 4 * deviation
        rows = (before.weights != after.weights).reshape(before.filters, -1)
        assert len({row.tobytes() for row in rows}) > len(rows) / 2


def test_half_of_the_activations_flipped_leave_noise() -> None:
    network = wide()
    images = np.repeat(images_of(network, 1), 300, axis=0)
    scores = robust.faulty(network, "activations", 0.5, (0,)).run(images)
    # Sums of 2,048 independent signs, whatever the image: mean 0, deviation sqrt(2048); drawn anew for each image.
    assert abs(scores.mean()) < 4 * (2048 / scores.size) ** 0.5
    assert scores.std() == pytest.approx(2048**0.5, rel=0.1)
    assert len(np.unique(scores, axis=0)) > 290


def test_draws_are_those_of_the_seed_and_faults_only_grow() -> None:
    network, images = wide(), images_of(wide())

    def scores(kind: str, probability: float, *seed: int) -> list:
        return robust.faulty(network, kind, probability, seed).run(images).tolist()

    for kind in robust.KINDS:
        assert scores(kind, 0.2, 5, 0) == scores(kind, 0.2, 5, 0)
        assert scores(kind, 0.2, 5, 0) != scores(kind, 0.2, 5, 1) != scores(kind, 0.2, 6, 1)
    few, many = (robust.flip_weights(network, p, np.random.default_rng(4)).nodes[0].weights for p in (0.1, 0.4))
    clean = network.nodes[0].weights
    assert (many != clean)[few != clean].all() and (many != clean).sum() > (few != clean).sum()


def test_a_sweep_has_mean_and_spread_of_its_draws() -> None:
    network, images = wide(), images_of(wide(), 40)
    classes = Simulator(network).run(images).argmax(axis=1)
    done: list[int] = []
    found = robust.sweep(network, images, classes, [0, 0.3], (3, 7), done.append)
    assert [(part.kind, part.probability) for part in found] == [(k, p) for k in robust.KINDS for p in (0, 0.3)]
    assert done == list(range(1, 13))
    for part in found:
        assert part.mean == pytest.approx(np.mean(part.accuracies))
        assert part.spread == pytest.approx(np.std(part.accuracies, ddof=1))
        assert part.mean == 1 if part.probability == 0 else part.mean < 1
    assert robust.table(found).rows[0] == ("0", "100.00 +- 0.00", "100.00 +- 0.00")
    for wrong in ([-0.1], [1.5]):
        with pytest.raises(ConfigError, match="must be 0 to 1"):
            robust.sweep(network, images, classes, wrong)


def test_the_command_tells_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("matplotlib")
    model = Path(__file__).parents[2] / "firmware" / "models" / "mnist" / "model.ebnn"
    rng = np.random.default_rng(0)
    data = {"x_train": rng.integers(0, 256, (40, 28, 28), np.uint8), "y_train": np.arange(40) % 10}
    np.savez(tmp_path / "own.npz", **data, x_test=data["x_train"], y_test=data["y_train"])
    command = ["eval", str(model), "--dataset", str(tmp_path / "own.npz"), "--flip-bits", "0.1,0", "--draws", "2"]
    assert cli.main([*command, "--plot", str(tmp_path / "faults.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "+-" in line] == ["0", "0.1"]
    assert (tmp_path / "faults.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main([*command, "--plot", str(tmp_path / "faults.doc")]) == 1
    assert cli.main([*command[:4], "--plot", str(tmp_path / "faults.png")]) == 1

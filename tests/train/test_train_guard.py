"""Clear stops before and while training, and configurations of today and of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ebnn.cli import parser
from ebnn.cli.train import make_config
from ebnn.errors import ConfigError
from ebnn.train import Config, build, chainer, checkpoint, config, data, fit, guard, loop, train
from ebnn.train.functions import Variable

SMALL = Config(arch="4c3-p2-10", epochs=3, batch=32, lr=0.03)


def silent(line: str) -> None:
    pass


class Changed(chainer.Chain):
    """A chain whose logits are multiplied with a factor after a number of calls while training."""

    def __init__(self, inner: chainer.Chain, calls: int, factor: float) -> None:
        super().__init__()
        self.calls, self.factor = calls, factor
        with self.init_scope():
            self.inner = inner

    def forward(self, x: np.ndarray) -> Variable:
        self.calls -= chainer.config.enable_backprop
        logits = self.inner(x)
        return logits if self.calls >= 0 else logits * np.float32(self.factor)


@pytest.mark.parametrize(("factor", "said"), [(np.nan, "nan"), (np.inf, "nan"), (1e7, r"\d.*e\+0[67]")])
def test_loss_that_explodes_leaves_the_last_good_checkpoint(
    few: data.Dataset, tmp_path: Path, factor: float, said: str
) -> None:
    chain = Changed(build(SMALL, few.shape), 2 * (len(few.split()[0]) // SMALL.batch), factor)
    with pytest.raises(
        ConfigError, match=rf"the loss became {said} in epoch 3 at learning rate .*: take a lower lr"
    ) as e:
        fit(chain, few, SMALL, tmp_path, silent)
    assert "the state after epoch 2 is kept in" in str(e.value)
    parts, facts = checkpoint.load(tmp_path / loop.CHECKPOINT)
    assert len(facts["epochs"]) == 2
    assert all(np.isfinite(array).all() for array in parts["chain"].values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e7])
def test_parameter_that_explodes_unseen_by_the_loss(few: data.Dataset, tmp_path: Path, value: float) -> None:
    """The sign of NaN is -1 and a clipped latent is finite, so no loss would tell."""

    def spoil(line: str) -> None:
        if line.lstrip().startswith("1 "):
            chain.bn1.gamma.array[2] = value
            chain.bn1.disable_update()

    chain = build(SMALL, few.shape)
    with pytest.raises(ConfigError, match=r"/bn1/gamma reached .* in epoch 2; the state after epoch 1 is kept"):
        fit(chain, few, SMALL.replace(lr=1e-6), tmp_path, spoil)
    assert len(checkpoint.load(tmp_path / loop.CHECKPOINT)[1]["epochs"]) == 1


def test_class_that_is_held_out_whole(few: data.Dataset) -> None:
    y = few.y_train.copy()
    training, held_out = few.split()
    y[y == 9] = 0
    y[held_out[0]] = 9
    lost = data.Dataset("lost", few.x_train, y, few.x_test, few.y_test, few.labels)
    with pytest.raises(ConfigError, match="lost: all images of class 9 are held out, none is left to train on"):
        train(lost, SMALL, None, silent)
    guard.check_classes(few, training)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (lambda y: y[:, :7], r"Shaped: gives \(1, 7\) for one image of few, which has 10 classes: \(1, 10\) is needed"),
        (lambda y: chainer.functions.sum(y), r"gives \(\) for one image"),
        (lambda y: None, "gives NoneType for one image"),
    ],
)
def test_logits_of_another_form(few: data.Dataset, tmp_path: Path, form, said: str) -> None:
    class Shaped(chainer.Chain):
        def __init__(self) -> None:
            super().__init__()
            with self.init_scope():
                self.inner = build(SMALL, few.shape)

        def forward(self, x: np.ndarray) -> Variable:
            return form(self.inner(x))

    with pytest.raises(ConfigError, match=said):
        fit(Shaped(), few, SMALL, tmp_path, silent)


def test_test_images_are_seen_twice_and_only_at_the_end(few: data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with the last epoch, once with the selected one."""
    seen: list[bool] = []
    whole = loop.accuracy

    def counted(chain: chainer.Chain, images: np.ndarray, classes: np.ndarray) -> float:
        seen.append(images is few.x_test)
        return whole(chain, images, classes)

    monkeypatch.setattr(loop, "accuracy", counted)
    result = train(few, SMALL, None, silent)
    assert seen == [False] * SMALL.epochs + [True, True]
    assert result.metrics["last_epoch_held_out_accuracy"] == result.epochs[-1].held_out_accuracy
    last = train(few, SMALL.replace(epochs=1), None, silent).metrics
    assert last["last_epoch_test_accuracy"] == last["test_accuracy"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('weights = "sharp"', "weights 'sharp': there are clip, standard, magnitude, float"),
        ('order = "sign"', "order must be one of pool-norm-sign, norm-pool-sign, norm-sign-pool, got sign"),
        ('activation = "elu"', "activation must be one of none, prelu, rprelu"),
        ('features = "tanh"', "features must be one of sign, relu"),
        ('optimizer = "lion"', "optimizer must be one of adam, sgd, bop"),
        ('schedule = "up"', "schedule must be one of cosine, linear, geometric, step, constant"),
        ("gain = 1", "gain must be of type bool, got 1"),
        ("two_stage = 1.0", "two_stage must be at least 0 and below 1"),
        ("two_stage = 0.9\nepochs = 2", "two_stage must be 0 with so few epochs"),
        ("two_stage = 0.1\nepochs = 4", "two_stage must be 0 with so few epochs"),
        ('optimizer = "bop"\nweights = "standard"', "weights must be clip with optimizer bop, which keeps no latent"),
        ('optimizer = "bop"\ntwo_stage = 0.5', "two_stage must be 0 with optimizer bop"),
        ('optimizer = "bop"\nbnn_plus = 0.1', "bnn_plus must be 0 with optimizer bop"),
        ("distill = 0.5", "distill must be 0 without a teacher"),
        ("bop_rate = 0.0", "bop_rate must be above 0"),
        ("copies = -1", "copies must be 0 or more"),
        ("freeze = 0.6", "freeze must be 0 to 0.5"),
        ('freeze = 0.1\nweights = "standard"', "freeze must be 0 where weights are not the signs of latent ones"),
        ("copies = 2", "copies must be 0 without augment"),
        ("ste_clip = nan", "ste_clip must be above 0"),
        ('augment = "blur"', "blur"),
        ("shift = -1", "shift-1"),
        ('shift = 2\naugment = "flip"', "shift = 2 belongs into augment now, which is 'flip'"),
    ],
)
def test_configuration_errors(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "run.toml").write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        config.read(tmp_path / "run.toml")
    assert said in str(caught.value) and "run.toml" in str(caught.value)


def test_configuration_of_an_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('arch = "10"\nepochs = 2\nshift = 2\nestimator = "approxsign"\n')
    assert config.read(tmp_path / "run.toml") == Config(arch="10", epochs=2, augment="shift2", estimator="approxsign")
    (tmp_path / "run.toml").write_text("shift = 0\n")
    assert config.read(tmp_path / "run.toml") == Config()


def test_checkpoint_of_an_earlier_version_is_continued(few: data.Dataset, tmp_path: Path) -> None:
    """Its configuration has the fields of that time only."""
    whole = train(few, SMALL.replace(augment="shift1"), None, silent)

    def stop(line: str) -> None:
        if line.lstrip().startswith("2 "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(few, SMALL.replace(augment="shift1"), tmp_path, stop)
    parts, facts = checkpoint.load(tmp_path / loop.CHECKPOINT)
    names = ("arch", "epochs", "batch", "lr", "warmup", "seed", "estimator", "smoothing", "latent_clip")
    facts["run"]["config"] = {name: facts["run"]["config"][name] for name in names} | {"shift": 1}
    checkpoint.save(tmp_path / loop.CHECKPOINT, parts, facts)
    resumed = train(few, SMALL.replace(augment="shift1"), tmp_path, silent)
    states = [checkpoint.state_of(result.chain) for result in (whole, resumed)]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def chosen(arguments: list[str], base: Config = SMALL) -> Config:
    return make_config(parser().parse_args(["train", *arguments]), base)


# Those that contradict each other.
@pytest.mark.parametrize("left_out", [{"polish", "freeze", "order"}, {"weights", "features", "negative_slopes"}])
def test_command_line_reaches_every_field(left_out: set[str], tmp_path: Path) -> None:
    """What --set gives is what a file gives, and the saved file reads back as the same."""
    other = {bool: lambda value: not value, int: lambda value: value + 2, float: lambda value: 0.5}
    texts = {"arch": "7", "estimator": "reste", "weights": "standard", "features": "relu", "augment": "shift1"}
    texts |= {"order": "norm-sign-pool", "activation": "prelu", "optimizer": "sgd", "schedule": "step"}
    texts |= {"maps": "i8", "shortcut": "repeat"}
    base = Config(arch="10")
    wanted = {
        name: texts.get(name, "9") if isinstance(value, str) else other[type(value)](value)
        for name, value in vars(base).items()
        if name not in left_out
    }
    written = {name: value if isinstance(value, str) else json.dumps(value) for name, value in wanted.items()}
    arguments = [f"--set={name}={value}" for name, value in written.items()]
    found = chosen(arguments, base)
    assert vars(found) == vars(base) | wanted
    (tmp_path / "config.toml").write_text(found.to_toml())
    assert config.read(tmp_path / "config.toml") == found


def test_command_line_errors() -> None:
    assert chosen(["--set", "shift=2"]).augment == "shift2"
    assert chosen(["--lr", "0.5", "--set", "arch=12"]) == SMALL.replace(lr=0.5, arch="12")
    for text, said in (
        ("gain", "write NAME=VALUE"),
        ("speed=3", "unknown speed"),
        ("gain=yes", "must be of type bool"),
    ):
        with pytest.raises(ConfigError, match=said):
            chosen(["--set", text])

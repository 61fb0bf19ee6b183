"""The training loop: each epoch draws random numbers of its own, so that a run can be resumed exactly.

After each epoch the batch norm statistics are estimated anew, the held-out images are classified as the device
would, and a checkpoint is written. The chain of the best epoch is what comes out; the test images are looked at
at the end, once with the best epoch and once with the last. Where a run has two stages, the best is one of the second.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from ebnn import arch
from ebnn.bundle import METRICS_FILE, MODEL_FILE
from ebnn.errors import ConfigError
from ebnn.files import write_atomic
from ebnn.train import augment, checkpoint, device, distributed, guard, losses, model, optimizers, polish, stage, watch
from ebnn.train.compat import chainer
from ebnn.train.config import Config, from_dict
from ebnn.train.config import read as read_config
from ebnn.train.data import Dataset
from ebnn.train.evaluate import accuracy, estimate_statistics
from ebnn.train.parallel import one_blas_thread
from ebnn.train.schedule import factor

CHECKPOINT = "checkpoint.npz"
LOG = "log.jsonl"
CONFIG = "config.toml"
ESTIMATE_IMAGES = 10_000  # for the batch norm statistics after each epoch

Report = Callable[[str], None]


@dataclass(frozen=True)
class Epoch:
    """One line of the log: losses and accuracies (0 to 1) of an epoch, counted from 1."""

    epoch: int
    lr: float
    loss: float
    train_accuracy: float
    held_out_accuracy: float
    best_accuracy: float
    seconds: float
    flip_rate: float | None = None  # share of the binary weights with another sign; None: not known, or there are none


@dataclass
class Result:
    """A finished run: the chain of the best epoch on the held-out images, and all epochs."""

    chain: chainer.Chain
    epochs: list[Epoch]
    metrics: dict = field(default_factory=dict)


def train(data: Dataset, config: Config, folder: str | Path | None = None, report: Report = print) -> Result:
    """Build the chain of ``config.arch`` and ``fit`` it.

    Raises:
        ConfigError: when the architecture does not fit the data, and what ``fit`` raises.
    """
    classes = arch.parse(config.arch).classes
    if classes != len(data.labels):
        raise ConfigError(f"architecture {config.arch} has {classes} classes, {data.name} has {len(data.labels)}")
    chain = model.build(config, data.shape)
    device.place(chain)
    return fit(chain, data, config, folder, report)


def fit(
    chain: chainer.Chain,
    data: Dataset,
    config: Config | None = None,
    folder: str | Path | None = None,
    report: Report = print,
) -> Result:
    """Train a chain that maps uint8 images (N, H, W, C) to logits (N, classes).

    Args:
        chain: made with the links of this package; its parameters are changed in place. It is trained where it lies,
            on the CPU or a GPU, and comes back to the CPU.
        data: images; a fixed part of the training images is held out to select the epoch.
        config: epochs, rates, seed and so on; what the chain's layers are belongs to ``build``.
        folder: where config.toml, log.jsonl and the checkpoint go; a checkpoint of the same run in it is
            continued, and gives the same bytes as a run that was not interrupted. None: nothing is written.
        report: is called with each line of the table.

    Returns:
        The chain with the state of the best epoch, the epochs and the metrics.

    Raises:
        ConfigError: when ``folder`` holds another run or files of another program, or cannot be written to, when the
            chain does not fit the data, or training explodes.
        KeyboardInterrupt: passed on after a line that says how to go on.
    """
    first = distributed.team().first
    with one_blas_thread():
        run = Run(chain, data, config or Config(), Path(folder) if folder and first else None)
        return run.complete(report if first else lambda line: None)


class Run:
    """One run from its start or its checkpoint to its end."""

    def __init__(self, chain: chainer.Chain, data: Dataset, config: Config, folder: Path | None) -> None:
        self.chain, self.data, self.config, self.folder = chain, data, config, folder
        if folder is not None:
            prepare(folder)
        self.training, self.held_out = data.split()
        self.team = distributed.team()
        self.team.check(min(config.batch, len(self.training)))
        guard.check_classes(data, self.training)
        guard.check_logits(chain, data)
        self.steps = max(1, len(self.training) // config.batch)
        self.optimizer = optimizers.setup(chain, config, self.steps)
        self.augment = augment.parse(config.augment)
        self.epochs: list[Epoch] = []
        self.best = checkpoint.state_of(chain)
        self.first_loss: float | None = None
        self.latent = model.binary_links(chain)
        self.watch = watch.Watch(chain, config.latent_clip)

    def complete(self, report: Report) -> Result:
        """Train the epochs that are missing, then measure the best."""
        self._resume(report)
        self.objective = losses.objective(self.config, self.data, self.folder, report)
        report(watch.HEADING)
        for count in range(1, len(self.epochs) + 1):
            report(watch.table_line(self.epochs[:count], self.config.all_epochs))
        try:
            while len(self.epochs) < self.config.all_epochs:
                self._next_epoch()
                report(watch.table_line(self.epochs, self.config.all_epochs))
        except KeyboardInterrupt:
            report(self._how_to_go_on())
            raise
        last = {
            "last_epoch_held_out_accuracy": self.epochs[-1].held_out_accuracy,
            "last_epoch_test_accuracy": self._test_accuracy(),
        }
        checkpoint.restore(self.chain, self.best)
        self.chain.to_device("@numpy")
        return Result(self.chain, self.epochs, self._metrics() | last | self.objective.metrics())

    def _next_epoch(self) -> None:
        start, number = time.perf_counter(), len(self.epochs)
        first_binary = self.config.first_binary_epoch
        trains = number < self.config.epochs
        with stage.at(min(1.0, number / max(1, self.config.epochs - 1)), number < first_binary):
            loss, right = self.train_epoch(number) if trains else self._polish_epoch(number)
            if self.config.reestimate:
                rows = self.team.share(self.training[:ESTIMATE_IMAGES])
                estimate_statistics(self.chain, self.data.x_train[rows])
            self.team.average_statistics(self.chain)
            held_out = accuracy(self.chain, self.data.x_train[self.held_out], self.data.y_train[self.held_out])
        guard.check_parameters(self.chain, f"in epoch {number + 1}{self._kept()}")
        self.team.check_alike(self.chain)
        before = -1.0 if number in (0, first_binary) else self.epochs[-1].best_accuracy
        if held_out > before:
            self.best = checkpoint.state_of(self.chain)
        rate = self._rate(number * self.steps) if trains else 0.0
        flips = self.watch.look(number + 1)
        seconds = time.perf_counter() - start
        self.epochs.append(Epoch(number + 1, rate, loss, right, held_out, max(before, held_out), seconds, flips))
        self._save()

    def _polish_epoch(self, number: int) -> tuple[float, float]:
        """Loss and accuracy on the images that it drew; every process of a team does the same with the same ones."""
        generator = np.random.default_rng([self.config.seed, number])
        rows = generator.permutation(self.training)[: polish.IMAGES]
        return polish.epoch(self.chain, self.data.x_train[rows], self.data.y_train[rows])

    def _rate(self, step: int) -> float:
        """The learning rate of a step; each of two stages has its own schedule."""
        middle, end = (epochs * self.steps for epochs in (self.config.first_binary_epoch, self.config.epochs))
        start, end = (0, middle) if step < middle else (middle, end)
        warmup = self.config.warmup * self.steps
        return self.config.lr * factor(self.config.schedule, step - start, warmup, end - start)

    def train_epoch(self, number: int) -> tuple[float, float]:
        """Mean loss and accuracy over the epoch's batches; every random number is drawn from (seed, epoch)."""
        generator = np.random.default_rng([self.config.seed, number])
        np.random.seed(generator.integers(1 << 32))
        order = generator.permutation(self.training)
        copy = number % self.config.copies if self.config.copies else losses.FRESH
        images = self.data.x_train
        if copy != losses.FRESH:
            images = augment.copy_of(images, self.config.augment, self.config.seed, copy)
        total = hits = 0.0
        for step in _progress(range(self.steps), f"epoch {number + 1}"):
            rows = order[step * self.config.batch : (step + 1) * self.config.batch]
            batch = self.augment(images[rows], generator) if copy == losses.FRESH else images[rows]
            optimizers.set_rate(self.optimizer, self._rate(number * self.steps + step))
            loss, right = self.team.mean(*self._step(self.team.share(batch), self.team.share(rows), copy))
            self._check_loss(loss, number)
            total += loss
            hits += right
        return total / self.steps, hits / self.steps

    def _step(self, images: np.ndarray, rows: np.ndarray, copy: int) -> tuple[float, float]:
        send = self.chain.device.send  # a chain on a GPU is sent bytes; on the CPU nothing travels
        classes, logits = send(self.data.y_train[rows]), self.chain(send(images))
        loss = self.objective(logits, images, classes, (rows, copy))
        self.chain.cleargrads()
        loss.backward()
        self.team.average_gradients(self.chain)
        self.optimizer.update()
        for link in self.latent:
            link.keep_within(self.config.latent_clip)
        return loss.item(), float((logits.array.argmax(axis=1) == classes).mean())

    def _check_loss(self, loss: float, number: int) -> None:
        self.first_loss = loss if self.first_loss is None else self.first_loss
        if not loss < guard.EXPLODED * max(1.0, self.first_loss):  # true for NaN too
            rate = self._rate(number * self.steps)
            raise ConfigError(
                f"the loss became {loss:.4g} in epoch {number + 1} at learning rate {rate:.3g}: "
                f"take a lower lr than {self.config.lr:g}{self._kept()}"
            )

    def _kept(self) -> str:
        if self.folder is None or not self.epochs:
            return ""
        return f"; the state after epoch {len(self.epochs)} is kept in {self.folder / CHECKPOINT}"

    def _how_to_go_on(self) -> str:
        kept = self._kept()
        return f"stopped in epoch {len(self.epochs) + 1}{kept}" + (": the same call goes on from there" if kept else "")

    def _identity(self) -> dict:
        """What must be the same for a checkpoint to be continued."""
        forms = {name: list(param.shape) for name, param in sorted(self.chain.namedparams())}
        return {"config": asdict(self.config), "data": self.data.sha256, "parameters": forms}

    def _save(self) -> None:
        if self.folder is None:
            return
        parts = {
            "chain": checkpoint.state_of(self.chain),
            "optimizer": checkpoint.state_of(self.optimizer),
            "best": self.best,
        }
        lines = [asdict(line) for line in self.epochs]
        facts = {"run": self._identity(), "epochs": lines, "shape": self.data.shape, "labels": self.data.labels}
        facts["watch"] = self.watch.records
        checkpoint.save(self.folder / CHECKPOINT, parts, facts)
        write_atomic(self.folder / LOG, "".join(json.dumps(line) + "\n" for line in lines))
        write_atomic(self.folder / CONFIG, self.config.to_toml())

    def _resume(self, report: Report) -> None:
        path = self.folder / CHECKPOINT if self.folder else None
        kept = self.team.broadcast(checkpoint.load(path) if path and path.exists() else None)
        if kept is None:
            return
        parts, facts = kept
        # Fields that came after the checkpoint have their defaults.
        before = from_dict(facts["run"]["config"], str(path))
        facts["run"]["config"] = asdict(before.replace(dataset=self.config.dataset))  # the data themselves are compared
        for key, mine in self._identity().items():
            if facts["run"][key] != mine:
                difference = _difference(facts["run"][key], mine, key)
                raise ConfigError(
                    f"{path} is of another run ({difference}): name another folder, or remove it to begin anew"
                )
        # The best state is needed only at the end, but that it does not fit must be told now.
        checkpoint.restore(self.chain, parts["best"], path)
        checkpoint.restore(self.chain, parts["chain"], path)
        checkpoint.restore(self.optimizer, parts["optimizer"], path)
        _check_moments(self.chain, parts["optimizer"], path)
        self.best = parts["best"]
        self.epochs = [_epoch(line, path) for line in facts["epochs"]]
        self.watch.records = _records(facts, path)
        self.watch.begin()
        self.first_loss = self.epochs[0].loss if self.epochs else None
        report(f"going on after epoch {len(self.epochs)} of {path}")

    def _test_accuracy(self) -> float:
        return accuracy(self.chain, self.data.x_test, self.data.y_test)

    def _metrics(self) -> dict:
        candidates = self.epochs[self.config.first_binary_epoch :]
        best = max(candidates, key=lambda line: (line.held_out_accuracy, -line.epoch))
        scaling = {"scaling": asdict(self.data.scaling)} if self.data.scaling else {}
        return scaling | {
            "dataset": self.data.name,
            "dataset_sha256": self.data.sha256,
            "train_images": len(self.training),
            "held_out_images": len(self.held_out),
            "test_images": len(self.data.x_test),
            "selected_epoch": best.epoch,
            "held_out_accuracy": best.held_out_accuracy,
            "test_accuracy": self._test_accuracy(),
            "train_seconds": sum(line.seconds for line in self.epochs),
        }


def prepare(folder: Path) -> None:
    """Make the folder of a run and try to write into it, before hours of training.

    Raises:
        ConfigError: it cannot be written to, or belongs to others.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written to ({error.strerror}): name another folder") from None
    if (folder / CHECKPOINT).exists():
        return
    if (folder / CONFIG).exists():
        try:
            read_config(folder / CONFIG)
        except ConfigError as error:
            raise ConfigError(f"{error}: it is not of a run of ebnn, name another folder") from None
    elif (folder / METRICS_FILE).exists() and not (folder / MODEL_FILE).exists():
        raise ConfigError(f"{folder}: its {METRICS_FILE} is not of a run of ebnn: name another folder")


def _check_moments(chain: chainer.Chain, state: checkpoint.Arrays, path: Path) -> None:
    """Adam takes moments of any form; they must have those of the parameters."""
    forms = {name.lstrip("/"): param.shape for name, param in chain.namedparams()}
    for name, array in state.items():
        owner, _, slot = name.rpartition("/")
        if slot in ("m", "v") and array.shape != forms.get(owner):
            raise ConfigError(f"{path}: not a readable checkpoint (its {name} is {array.shape}): remove it")


def _epoch(line: object, path: Path) -> Epoch:
    names = [part.name for part in fields(Epoch)]
    sound = isinstance(line, dict) and list(line) in (names, names[:-1])  # flip_rate came later
    numbers = sound and all(type(line[name]) in (int, float) for name in names[:-1])
    if not numbers or type(line.get("flip_rate")) not in (float, type(None)):
        raise ConfigError(f"{path}: not a readable checkpoint (epoch {line}): remove it to begin anew")
    return Epoch(**line)


def _records(facts: dict, path: Path) -> list[dict]:
    """What was watched; nothing in checkpoints of earlier versions."""
    records = facts.get("watch", [])
    if not isinstance(records, list) or not all(map(watch.is_record, records)):
        raise ConfigError(f"{path}: not a readable checkpoint (its watch): remove it to begin anew")
    return records


def _difference(theirs: object, mine: object, name: str) -> str:
    if not isinstance(theirs, dict) or not isinstance(mine, dict):
        return f"{name} {theirs} instead of {mine}"
    changed = [key for key in {**theirs, **mine} if theirs.get(key) != mine.get(key)]
    return ", ".join(_difference(theirs.get(key), mine.get(key), key) for key in changed)


def _progress(steps: range, title: str) -> Iterator[int]:
    from tqdm import tqdm

    return tqdm(steps, desc=title, leave=False, disable=None, unit="batch")

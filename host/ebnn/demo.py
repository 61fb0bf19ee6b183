"""The main job end to end: train, export, check, build, boot, classify on the board, report.

Every stage can be repeated: a finished training, an unchanged firmware and images that were classified already
are taken as they are.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ebnn import cost, firmware, measure
from ebnn.board.bench import BenchOptions, run_bench
from ebnn.board.flash import flash
from ebnn.board.session import Session, connect
from ebnn.board.targets import Target
from ebnn.bundle import MODEL_FILE
from ebnn.cengine import CEngine
from ebnn.errors import BoardError
from ebnn.files import checkout_commit, repo_root
from ebnn.footprint import engine_footprint
from ebnn.format import decode
from ebnn.report import speed
from ebnn.train import recipes
from ebnn.train.config import Config

TRACES = 32  # images whose every node is compared

PEER = {
    "who": "eBNN (McDanel et al. 2017, Intel Curie)",
    "data": "MNIST",
    "accuracy": "95 %",
    "memory": "15 KB",
    "time": "< 50 ms",
}


@dataclass(frozen=True)
class Order:
    """What the demo runs on: the board, where data lie, how many images the board classifies, where to write."""

    target: Target
    folder: Path
    dataset: str = "mnist"
    data_dir: str | None = None
    limit: int = 1000


def demo_folder() -> Path:
    """build/demo of the checkout."""
    return repo_root() / "build" / "demo"


def prepare_board(target: Target, say: Callable[[str], None]) -> None:
    """Build and flash a board with the demo's model, or one that comes with the repository, or one trained now."""
    run = Run(Order(target, demo_folder()), say)
    for stage in (run.data, run.find_model, run.firmware, run.flash):
        run.stage(stage)


class Run:
    """One pass through the stages; what a stage finds out is kept here for the later ones and the report."""

    def __init__(self, order: Order, say: Callable[[str], None]) -> None:
        self.order, self.say = order, say
        self.stages: list[dict] = []

    def complete(self) -> dict:
        """Run every stage and return the report."""
        for stage in (self.data, self.train, self.check, self.firmware, self.flash, self.prompt, self.bench):
            self.stage(stage)
        return self.report()

    def stage(self, stage: Callable[[], str]) -> None:
        """Run one stage and print its line."""
        start = time.monotonic()
        note = stage()
        seconds = time.monotonic() - start
        self.stages.append({"name": stage.__name__, "seconds": round(seconds, 1), "note": note})
        self.say(f"{stage.__name__:10s} {seconds:6.1f} s  {note}")

    def data(self) -> str:
        """Load the data set; digits where MNIST cannot be had."""
        from ebnn.train import data

        self.dataset = data.load(self.order.dataset, self.order.data_dir, digits_instead=True)
        found = self.dataset
        about = f"{found.name}: {len(found.x_train)} training, {len(found.x_test)} test images"
        return f"{found.note}. {about}" if found.note else about

    @property
    def config(self) -> Config:
        """The data set's default configuration."""
        return recipes.default(self.dataset)

    @property
    def folder(self) -> Path:
        """Where this data set and configuration are trained."""
        return self.order.folder / f"{self.dataset.name}-{_key(self.dataset.sha256, self.config.to_toml())}"

    def find_model(self) -> str:
        """A model for the data set: trained by the demo, else from firmware/models, else trained now."""
        for folder in (self.folder, repo_root() / "firmware" / "models" / self.dataset.name):
            if (folder / MODEL_FILE).exists():
                self.model_path = folder / MODEL_FILE
                return str(_short(self.model_path))
        return self.train()

    def train(self) -> str:
        """Train with the data set's default configuration and export."""
        from ebnn.train.runs import train_and_export

        config = self.config
        self.metrics = train_and_export(self.dataset, config, self.folder, self.say)
        self.model_path = self.folder / MODEL_FILE
        self.blob = self.model_path.read_bytes()
        self.model = decode(self.blob)
        return f"{config.arch}, {config.epochs} epochs, {100 * self.metrics['test_accuracy']:.2f} % on test images"

    def check(self) -> str:
        """Trainer, simulator and C engine on every test image."""
        from ebnn.train.compare import compare
        from ebnn.train.runs import load_run

        images = self.dataset.x_test
        self.comparison = compare(load_run(self.folder), self.model.network, images)
        self.expected = measure.expect(self.blob, images, TRACES)
        self.trainer_differs = measure.rows_that_differ(self.comparison.trained, self.expected.scores)
        self.c_scores = CEngine(self.blob).run(images)
        self.c_differs = measure.rows_that_differ(self.c_scores, self.expected.scores)
        return (
            f"{len(images)} images: trainer and simulator differ in {self.comparison.images} (every bit), "
            f"C engine and simulator in {self.c_differs}"
        )

    def firmware(self) -> str:
        """Build MicroPython with the module, the model, the agent and sample images."""
        samples = firmware.render_samples(self.dataset.x_test, self.dataset.y_test, self.dataset.labels)
        self.built = firmware.build(self.order.target.name, self.model_path, samples)
        sizes = self.built.report["sizes"]
        return f"{self.order.target.name}: {sizes['text'] + sizes['data']} bytes of flash"

    def flash(self) -> str:
        """Put the image onto the board and boot it."""
        done = flash(self.order.target, self.built.image)
        return f"{self.order.target.name} answers as ebnn {done.ebnn}"

    def prompt(self) -> str:
        """Type at the board's prompt what a person would."""
        with connect(self.order.target) as session:
            self.transcript, self.free_heap = type_transcript(session, len(self.dataset.labels))
        return self.transcript[-1].splitlines()[-1]

    def bench(self) -> str:
        """Classify test images on the board and compare every score."""
        count, target = min(self.order.limit, len(self.dataset.x_test)), self.order.target
        how = BenchOptions(
            count=target.count,
            expected_scores=self.expected.scores[:count],
            expected_nodes=self.expected.nodes[:count],
            hashes={"model": self.expected.model_sha256, "firmware": self.built.report["image_sha256"]},
            model_crc=self.expected.model_crc,
        )
        with connect(target, counting=target.count is not None) as session:
            self.measured = run_bench(
                session, self.expected.inputs[:count], self.dataset.y_test[:count], self._results(), how
            )
        found = self.measured
        return f"{count} images: {100 * found.accuracy:.2f} %, {found.mismatches} differ from the simulator"

    def _results(self) -> Path:
        """One file a model and firmware: what was classified with another is not taken over."""
        key = _key(self.expected.model_sha256, self.built.report["image_sha256"])
        return self.folder / f"{self.order.target.name}-{key}.jsonl"

    def report(self) -> dict:
        """The demo's report (see ebnn.report for the keys)."""
        from ebnn.train import story

        return {
            "title": f"ebnn demo: {self.dataset.name} on {self.order.target.title}",
            "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            "commit": checkout_commit(),
            "board": board_facts(self.order.target),
            "dataset": {"name": self.dataset.name, "test_count": len(self.dataset.x_test), "note": self.dataset.note},
            "arch": self.config.arch,
            "labels": list(self.dataset.labels),
            "transcript": self.transcript,
            "accuracy": self._accuracy(),
            "mismatches": self._mismatches(),
            **speed(self.measured.to_json(), self.order.target.clock_hz),
            "bytes": self._bytes(),
            "network": cost.describe(self.model),
            **story.pictures(self.dataset, np.array(self.measured.predictions), self.expected.scores),
            "training": story.training(self.folder, self.metrics),
            "stages": self.stages,
            "comparison": [PEER],
            "next_steps": self._next_steps(),
        }

    def _accuracy(self) -> dict:
        from ebnn.train import story

        labels = self.dataset.y_test
        predictions = {
            "trainer": self.comparison.trained.argmax(axis=1),
            "simulator": self.expected.scores.argmax(axis=1),
            "c_engine": self.c_scores.argmax(axis=1),
            "device": np.array(self.measured.predictions),
        }
        return {name: story.accuracy(found, labels[: len(found)]) for name, found in predictions.items()}

    def _mismatches(self) -> dict:
        total, measured = len(self.dataset.x_test), self.measured
        return {
            "simulator_vs_trainer": {"compared": total, "different": self.trainer_differs},
            "trainer_nodes": {"compared": total, "different": self.comparison.images},
            "c_vs_simulator": {"compared": total, "different": self.c_differs},
            "device_vs_simulator": {"compared": measured.images, "different": measured.mismatches},
            "traces": {"compared": min(TRACES, measured.images), "different": measured.node_mismatches},
        }

    def _bytes(self) -> dict:
        build = self.order.target.build
        stack = engine_footprint(build.toolchain, self.order.target.cpu).stack if build.toolchain else None
        return {
            "model": len(self.blob),
            "code": self.built.report["ebnn"]["text"],
            "arena": self.model.plan.arena_size,
            "input": self.expected.inputs.shape[1],
            "stack": stack,
            "heap_free": self.free_heap,
        }

    def _next_steps(self) -> list[dict]:
        source = self.dataset.name
        return [
            {"text": "Try the board's prompt", "command": f"make repl BOARD={self.order.target.name}"},
            {"text": "See where bits and bytes go", "command": f".venv/bin/ebnn info {_short(self.folder)}"},
            {
                "text": "Train another network",
                "command": f".venv/bin/ebnn train --dataset {source} --arch 16c3-p2-16c3-p2-{len(self.dataset.labels)}",
            },
            {"text": "Write your own training script", "command": "cat host/ebnn/examples/train_mnist.py"},
            {"text": "What this computer has and lacks", "command": ".venv/bin/ebnn doctor"},
        ]


def _key(*parts: str) -> str:
    """A short name for what results depend on, so that those of other inputs are not taken over."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _short(path: Path) -> Path:
    root = repo_root()
    return path.relative_to(root) if path.is_relative_to(root) else path


def type_transcript(session: Session, classes: int) -> tuple[list[str], int | None]:
    """Type the tour's lines at the prompt; returns what a person saw and the bytes of free heap after loading.

    ``classes`` is the number of the model's classes. The image is a seven where the samples are digits.

    Raises:
        BoardError: the answer is not a class.
    """
    count = session.eval("len(__import__('ebnn_samples').images)")
    shown = [
        session.prompt("import ebnn, ebnn_samples"),
        session.prompt(f"buf = ebnn_samples.images[{min(7, count - 1)}]"),
        session.prompt("ebnn_samples.show(buf)"),
        session.prompt("ebnn.infer(buf)"),
    ]
    answer = shown[-1].splitlines()[-1].strip()
    if not answer.isdigit() or int(answer) >= classes:
        raise BoardError(f"{session.name}: ebnn.infer(buf) answered {shown[-1]!r}")
    session.exec("import gc; gc.collect()")
    return shown, session.eval("gc.mem_free()")


def board_facts(target: Target) -> dict:
    """What a report says of a board."""
    names = ("name", "title", "kind", "cpu", "clock_hz", "ram", "rom")
    return {name: getattr(target, name) for name in names}

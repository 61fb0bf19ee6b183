"""The report of a training run (the keys are those of ``ebnn.report``)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ebnn import cost
from ebnn.bundle import CONFIG_FILE, MODEL_FILE
from ebnn.files import checkout_commit
from ebnn.format import decode
from ebnn.train import checkpoint, config
from ebnn.train.compare import compare
from ebnn.train.data import Dataset
from ebnn.train.loop import CHECKPOINT
from ebnn.train.runs import load_run, read_log

SAMPLES_SHOWN = 24


def tell(folder: Path, data: Dataset, metrics: dict, summary: str) -> dict:
    """The report of a finished run in ``folder``: every test image is classified by trainer and integers.

    Args:
        folder: of the run, with its model.
        data: what it was trained with.
        metrics: as in metrics.json.
        summary: of the model, as text.
    """
    settings = config.read(folder / CONFIG_FILE)
    model, chain = decode((folder / MODEL_FILE).read_bytes()), load_run(folder)
    images, classes = data.x_test, data.y_test
    found = compare(chain, model.network, images)
    answers, unlike = found.scores.argmax(axis=1), (found.trained != found.scores).any(axis=1)
    return {
        "title": f"ebnn train: {data.name}",
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "commit": checkout_commit(),
        "dataset": {"name": data.name, "test_count": len(images), "note": data.note},
        "arch": settings.arch,
        "labels": list(data.labels),
        "accuracy": {
            "trainer": accuracy(found.trained.argmax(axis=1), classes),
            "simulator": accuracy(answers, classes),
        },
        "mismatches": {
            "simulator_vs_trainer": {"compared": len(images), "different": int(unlike.sum())},
            "trainer_nodes": {"compared": len(images), "different": found.images},
        },
        "bytes": {"model": metrics["model_bytes"], "arena": model.plan.arena_size, "input": images[0].nbytes},
        "network": cost.describe(model),
        "summary": summary,
        **pictures(data, answers, found.scores),
        "training": training(folder, metrics),
        "next_steps": _next_steps(folder, settings.dataset or data.name),
    }


def accuracy(answers: np.ndarray, classes: np.ndarray) -> dict:
    """``count``, ``correct`` and ``percent`` of answers (N,)."""
    correct = int((answers == classes).sum())
    return {"count": len(classes), "correct": correct, "percent": 100 * correct / len(classes)}


def pictures(data: Dataset, answers: np.ndarray, scores: np.ndarray) -> dict:
    """``confusion`` of the first test images, and ``samples``, half of them wrong ones where there are so many.

    Args:
        data: the data set.
        answers: integers (N,), for the first N test images.
        scores: int32 (N or more, K).
    """
    size, truth = len(data.labels), data.y_test[: len(answers)]
    confusion = np.zeros((size, size), int)
    np.add.at(confusion, (truth, answers), 1)
    wrong = np.flatnonzero(answers != truth)[: SAMPLES_SHOWN // 2]
    right = np.flatnonzero(answers == truth)[: SAMPLES_SHOWN - len(wrong)]
    samples = [
        {
            "index": int(index),
            "image": data.x_test[index].tolist(),
            "label": int(truth[index]),
            "answer": int(answers[index]),
            "scores": scores[index].tolist(),
        }
        for index in [*right, *wrong]
    ]
    return {"confusion": confusion.tolist(), "samples": samples}


def training(folder: Path, metrics: dict) -> dict:
    """``training``: the epochs, and what was watched of the weights."""
    history = [
        {
            "epoch": line["epoch"],
            "loss": line["loss"],
            "train_acc": line["train_accuracy"],
            "val_acc": line["held_out_accuracy"],
            "lr": line["lr"],
            "flip_rate": line.get("flip_rate"),
        }
        for line in read_log(folder)
    ]
    _, facts = checkpoint.load(folder / CHECKPOINT)
    return {
        "epochs": len(history),
        "seconds": metrics["train_seconds"],
        "selected_epoch": metrics["selected_epoch"],
        "history": history,
        "weights": facts.get("watch", []),
        "latent_clip": float(facts["run"]["config"]["latent_clip"]),
    }


def _next_steps(folder: Path, dataset: str) -> list[dict]:
    source = f"--dataset {dataset}"
    return [
        {"text": "See where bits and bytes go", "command": f"ebnn info {folder}"},
        {"text": "Put it onto a board that runs MicroPython", "command": f"ebnn install {folder}"},
        {"text": "See what random faults do to it", "command": f"ebnn eval {folder} {source} --flip-bits 0,0.001,0.01"},
    ]

"""A report with every key, around a real network; and text that a page must not take as its own."""

from __future__ import annotations

import numpy as np

from ebnn import cost, summary
from ebnn.format import Model, SelfTest
from ebnn.geometry import Geometry, Value
from ebnn.network import Network, conv_node, dense_node
from ebnn.plan import make_plan

NASTY = "<script>alert('x')</script> | `a` **b** $x$ & \x1b[31m"
DIGITS = tuple("0123456789")


def mnist_like(labels: tuple[str, ...] = DIGITS) -> Network:
    """A network of the demo's shape with random weights."""
    rng = np.random.default_rng(3)

    def conv(source: int, filters: int, channels: int, pool: int) -> object:
        weights = rng.choice(np.array([-1, 1]), (filters, 3, 3, channels))
        geometry = Geometry(pool=(pool, pool), pool_stride=(pool, pool))
        return conv_node(source, weights, geometry, thresholds=rng.integers(-9, 9, filters),
                         flips=rng.random(filters) < 0.3)  # fmt: skip

    nodes = (conv(0, 16, 1, 2), conv(1, 32, 16, 2),
             dense_node(2, rng.choice(np.array([-1, 1]), (10, 5, 5, 32)),
                        offsets=rng.integers(-40, 40, 10)))  # fmt: skip
    return Network(Value(0, (28, 28, 1), "u8"), nodes, labels)


def network_facts(labels: tuple[str, ...] = DIGITS) -> dict:
    network = mnist_like(labels)
    return cost.describe(Model(network, make_plan(network), SelfTest(0x45424E4E, 7)))


def sample(index: int, label: int, answer: int) -> dict:
    """An image of rings whose radius tells the label."""
    y, x = np.mgrid[-13.5:14, -13.5:14]
    rings = 255 * np.exp(-((np.hypot(x, y) - 1 - label) ** 2) / 3)
    return {"index": index, "image": rings.astype(np.uint8)[:, :, None].tolist(), "label": label, "answer": answer,
            "scores": [int(10 * (k == answer) - k) for k in range(10)]}  # fmt: skip


def confusion() -> list[list[int]]:
    rng = np.random.default_rng(1)
    counts = np.diag(rng.integers(85, 110, 10)) + (rng.random((10, 10)) < 0.12) * rng.integers(1, 4, (10, 10))
    return counts.tolist()


def history() -> list[dict]:
    return [
        {"epoch": e, "loss": 1 / e, "train_acc": 0.99 - 0.2 / e, "val_acc": 0.985 - 0.1 / e, "lr": 0.01,
         "flip_rate": 0.1 / e}
        for e in range(1, 16)
    ]  # fmt: skip


def watched(epoch: int, name: str = "dense3") -> dict:
    """What was watched of the weights in an epoch."""
    return {"epoch": epoch, "layers": {
        "conv1": {"weights": 144, "flips": 30 // epoch, "clipped": epoch, "histogram": [6] * 24},
        name: {"weights": 8000, "flips": 800 // epoch, "clipped": 100 * epoch,
               "histogram": [400 + 5 * epoch, *[300] * 22, 1000 - 5 * epoch]}}}  # fmt: skip


def full_report() -> dict:
    """Every key of the schema."""
    score = {"count": 10_000, "correct": 9_851, "percent": 98.51}
    same = {"compared": 10_000, "different": 0}
    facts = network_facts()
    totals = facts["totals"]
    return {
        "title": "ebnn demo: mnist on Arm MPS2 AN385, Cortex-M3 (emulated)",
        "date": "2026-11-21 10:00:00 UTC",
        "commit": "abc1234",
        "board": {"name": "mps2-an385", "title": "Arm MPS2 AN385, Cortex-M3 (emulated)", "cpu": "cortex-m3",
                  "clock_hz": 25_000_000, "kind": "emulated"},
        "dataset": {"name": "mnist", "test_count": 10_000, "note": ""},
        "arch": "16c3-p2-32c3-p2-10",
        "labels": list(DIGITS),
        "transcript": [
            ">>> import ebnn, ebnn_samples",
            ">>> buf = ebnn_samples.images[7]",
            ">>> ebnn_samples.show(buf)\n\n      .=+*##*=.\n      :%@@@@@@#\n            +@#\n           .%@:\n"
            "           #@+\n          +@%\n         .@@:\n         #@*\n",
            ">>> ebnn.infer(buf)\n7",
        ],
        "accuracy": {"trainer": score, "simulator": score, "c_engine": score,
                     "device": {"count": 1000, "correct": 984, "percent": 98.4}},
        "mismatches": {"simulator_vs_trainer": dict(same), "c_vs_simulator": dict(same),
                       "device_vs_simulator": {"compared": 1000, "different": 0},
                       "traces": {"compared": 32, "different": 0}, "trainer_nodes": dict(same)},
        "instructions": {"median": 1_234_567.0, "min": 1_230_000.0, "max": 1_240_000.0, "count": 1000},
        "node_instructions": [800_000, 420_000, 14_567],
        "estimated_ms": 49.38,
        "timed_us": None,
        "bytes": {"model": totals["model_bytes"], "code": 5_812, "arena": totals["arena_bytes"], "input": 784,
                  "stack": 312, "heap_free": 250_880},
        "network": facts,
        "summary": summary.text(facts),
        "confusion": confusion(),
        "samples": [sample(k, k % 10, (k % 10 + 3 * (k > 17)) % 10) for k in range(24)],
        "training": {"epochs": 15, "seconds": 212.4, "selected_epoch": 13, "history": history(),
                     "weights": [watched(epoch) for epoch in range(1, 16)], "latent_clip": 1.0},
        "stages": [{"name": "data", "seconds": 0.6, "note": "mnist: 60000 training, 10000 test images"},
                   {"name": "train", "seconds": 214.0, "note": "98.51 % on test images"},
                   {"name": "bench", "seconds": 61.2, "note": "1000 images: 98.40 %, 0 differ from the simulator"}],
        "comparison": [{"who": "eBNN (McDanel et al. 2017, Intel Curie)", "accuracy": "95 %", "memory": "15 KB",
                        "time": "< 50 ms", "data": "MNIST"}],
        "next_steps": [{"text": "Try the board's prompt", "command": "make repl BOARD=mps2-an385"},
                       {"text": "See where bits and bytes go", "command": "ebnn info build/demo/mnist"}],
    }  # fmt: skip


def minimal_report() -> dict:
    """Only what is demanded."""
    return {"title": "A run", "date": "2026-11-21"}


def nasty_report() -> dict:
    """Foreign text wherever a report has room for it."""
    report = full_report()
    labels = [NASTY, "a|b", r"$\no$", *DIGITS[3:]]
    report |= {"title": NASTY, "labels": labels, "arch": NASTY, "transcript": [NASTY, "```", "</pre>"],
               "network": network_facts(tuple(labels))}  # fmt: skip
    report["board"] |= {"title": NASTY}
    report["dataset"] |= {"name": NASTY, "note": NASTY}
    report["stages"][0] |= {"name": NASTY, "note": NASTY}
    report["comparison"][0] |= {"who": NASTY}
    report["next_steps"][0] |= {"text": NASTY, "command": NASTY}
    report["bytes"] |= {NASTY: 3}
    report["summary"] = NASTY
    report["training"]["weights"] = [watched(epoch, NASTY) for epoch in range(1, 16)]
    return report

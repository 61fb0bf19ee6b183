"""``python -m ebnn.train.speed``: what takes the time of a training step, and what the BLAS needs for its products.

One thread, CPU time. The products are those that a float network of that form needs: the sums of every linear layer,
the gradient of its weights and, but for the first layer, of its input, each as one call of the BLAS on arrays that are
unfolded already. Pixels, pools, batch norm, sign, loss and optimizer are not in it.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from ebnn.errors import EbnnError
from ebnn.tables import Table
from ebnn.train import data, evaluate, loop, losses, model, recipes
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.functions import BinaryConv2DFunction
from ebnn.train.links import BinaryLink
from ebnn.train.parallel import one_blas_thread
from ebnn.train.trace import calls

STEPS = 40
REPEATS = 3  # the least of so many: other programs only ever add
PARTS = {
    "BinaryConv2DFunction": "convolution and its pool",
    "BinaryDepthwise2DFunction": "depthwise",
    "BinaryDenseFunction": "dense",
    "RoundFunction": "maps of integers",
    "MaxPoolFunction": "pools of other windows",
    "BatchNormFunction": "batch norm",
    "SignFunction": "sign",
}

Product = tuple[int, int, int]  # rows, inner, columns


class _Stopwatch(chainer.FunctionHook):
    """CPU seconds of every function's forward and backward, by its label; inner calls count for the outer one."""

    name = "ebnn stopwatch"

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._starts: list[float] = []

    def forward_preprocess(self, function: chainer.FunctionNode, *_arrays: tuple) -> None:
        self._starts.append(time.process_time())

    backward_preprocess = forward_preprocess

    def forward_postprocess(self, function: chainer.FunctionNode, *_arrays: tuple) -> None:
        spent = time.process_time() - self._starts.pop()
        if not self._starts:
            self.seconds[function.label] += spent

    backward_postprocess = forward_postprocess


def products(chain: chainer.Chain, images: np.ndarray) -> list[Product]:
    """The matrix products of one training step on ``images``."""
    found: list[Product] = []
    for call in calls(chain, images):
        if not isinstance(call.link, BinaryLink) or call.kind == "depthwise":  # which is no matrix product
            continue
        filters, taps, positions = len(call.link.W), call.link.taps, len(images)
        if isinstance(call.function, BinaryConv2DFunction):
            positions *= _positions(call.function)
        found += [(positions, taps, filters), (taps, positions, filters)]
        if call.input_shape != images.shape[1:]:
            found.append((positions, filters, taps))
    return found


def _positions(function: BinaryConv2DFunction) -> int:
    """Sums of one filter on one image that reach the output."""
    (y,) = function.outputs
    return math.prod(y().shape[1:3]) * math.prod(function.geometry.pool)


def blas_seconds(wanted: Sequence[Product]) -> float:
    """CPU seconds of the products, each on arrays as large as its own."""
    total = 0.0
    for rows, inner, columns in wanted:
        generator = np.random.default_rng(0)
        a, b = (generator.standard_normal(shape, np.float32) for shape in ((rows, inner), (inner, columns)))
        total += _least(lambda a=a, b=b: a @ b)
    return total


def _least(work: Callable[[], object]) -> float:
    work()
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def measure(dataset: data.Dataset, config: Config) -> Table:
    """The table for one configuration on one data set."""
    chain = model.build(config, dataset.shape)
    run = loop.Run(chain, dataset, config, None)
    run.objective = losses.objective(config, dataset, None, lambda _line: None)
    run.steps, whole = STEPS, run.steps
    with _Stopwatch() as watch:
        _least(lambda: run.train_epoch(0))
    step = _least(lambda: run.train_epoch(0)) / STEPS
    blas = blas_seconds(products(chain, dataset.x_train[: config.batch]))
    held_out = dataset.x_train[run.held_out], dataset.y_train[run.held_out]
    tail = _least(lambda: evaluate.accuracy(chain, *held_out))
    if config.reestimate:
        statistics = dataset.x_train[run.training[: loop.ESTIMATE_IMAGES]]
        tail += _least(lambda: evaluate.estimate_statistics(chain, statistics))
    return _table(watch.seconds, step, blas, (whole, tail))


def _table(seconds: dict[str, float], step: float, blas: float, epoch: tuple[int, float]) -> Table:
    calls_made = (REPEATS + 1) * STEPS
    parts: dict[str, float] = defaultdict(float)
    for label, spent in seconds.items():
        parts[PARTS.get(label, "scores and loss")] += spent / calls_made
    parts["optimizer, batches, Chainer"] = max(0.0, step - sum(parts.values()))
    steps, tail = epoch
    whole = steps * step + tail
    rows = [(name, f"{1e3 * spent:.2f}", f"{spent / blas:.2f}") for name, spent in parts.items()]
    rows += [
        ("a step", f"{1e3 * step:.2f}", f"{step / blas:.2f}"),
        ("BLAS, the same products", f"{1e3 * blas:.2f}", "1.00"),
        (f"an epoch of {steps} steps", f"{1e3 * whole:.0f}", f"{whole / (steps * blas):.2f}"),
        ("of it statistics and held-out images", f"{1e3 * tail:.0f}", f"{tail / (steps * blas):.2f}"),
    ]
    return Table("", ("CPU time, one thread", "ms", "of the BLAS"), tuple(rows), left=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ebnn.train.speed", description=__doc__)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--arch", help="instead of the data set's own")
    options = parser.parse_args(arguments)
    os.environ["EBNN_THREADS"] = "1"
    try:
        dataset = data.load(options.dataset, options.data_dir)
        config = recipes.default(dataset)
        config = config.replace(arch=options.arch) if options.arch else config
        with one_blas_thread():
            table = measure(dataset, config)
    except EbnnError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 1
    print(f"{dataset.name}, {config.arch}, batch {config.batch}")
    print(table.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

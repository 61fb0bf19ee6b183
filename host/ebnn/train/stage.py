"""Where a run stands, as entries of Chainer's own configuration: functions deep inside of a chain look there.

Outside of a run the progress is 1 and weights are binary, as in the finished network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ebnn.train.compat import chainer


def progress() -> float:
    """Progress of the run: 0 in its first epoch, 1 in its last."""
    return getattr(chainer.config, "ebnn_progress", 1.0)


def has_float_weights() -> bool:
    """Whether weights are used as they are, in the first of two stages."""
    return getattr(chainer.config, "ebnn_float_weights", False)


@contextmanager
def at(share: float, float_weights: bool = False) -> Iterator[None]:
    """Within the context, progress is ``share`` and weights are used as floats or not."""
    with chainer.using_config("ebnn_progress", share), chainer.using_config("ebnn_float_weights", float_weights):
        yield

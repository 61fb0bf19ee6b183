"""What a network will take, before it is trained: the same facts as of a finished model, with random weights."""

from __future__ import annotations

import numpy as np

from ebnn import cost, summary
from ebnn.bundle import DEFAULT_FIT, build_model
from ebnn.format import Use, decode
from ebnn.plan import Fit
from ebnn.train import model
from ebnn.train.config import Config
from ebnn.train.data import Dataset
from ebnn.train.lower import lower
from ebnn.train.runs import telling


def preview(data: Dataset, config: Config, fit: Fit = DEFAULT_FIT) -> dict | None:
    """What ``cost.describe`` says of the architecture; None for a float network, which has no bytes.

    All of it is exact but what ``summary.growth`` tells.

    Raises:
        ConfigError: when the architecture does not fit the data.
    """
    if not config.is_binary:
        return None
    chain = model.build(config, data.shape)
    network = lower(chain, np.zeros((1, *data.shape), np.uint8), telling(data.labels))
    return cost.describe(decode(build_model(network, fit, Use(0, data.preparation))))


def text(facts: dict, board: summary.Board | None = None) -> str:
    """``summary.text`` of a network that is not trained yet."""
    more = summary.growth(facts)
    said = f"Training may add up to {more:,} bytes: channels that fall, and thresholds beyond 16 bits."
    return "\n".join([summary.text(facts, board), *([said] if more else [])])

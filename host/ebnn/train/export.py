"""``ebnn.export``: from a trained chain to the output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ebnn.bundle import DEFAULT_FIT, write_bundle
from ebnn.network import Network
from ebnn.plan import Fit
from ebnn.train.compat import chainer
from ebnn.train.lower import lower


def export(
    chain: chainer.Chain,
    x: np.ndarray,
    folder: str | Path,
    labels: Sequence[str] = (),
    metrics: Mapping | None = None,
    fit: Fit = DEFAULT_FIT,
) -> Network:
    """Fold a trained chain into integers and write model.ebnn, the frozen module, C header and the rest.

    Args:
        chain: maps images to the logits of ``Scores``; see ``ebnn.train.lower`` for what it may consist of.
        x: one image or more as the chain takes them, (N, H, W, C) uint8.
        folder: made where it is missing.
        labels: names of the classes.
        metrics: figures of the training, for metrics.json.
        fit: the device's memory for speed: small, balanced, fast, or a limit (``ebnn.plan.make_plan``).

    Returns:
        The network that was written.

    Raises:
        ExportError: naming the link or the function that cannot be exported, or what ``x`` must be.
    """
    network = lower(chain, x, labels)
    write_bundle(network, folder, metrics, fit=fit)
    return network

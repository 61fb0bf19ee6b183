"""What happens to binary weights during training, epoch by epoch: how many change sign, and where the latents lie.

A record of an epoch is plain data: ``epoch``, and for each layer by name ``weights`` (their number), ``flips`` (how
many have another sign than an epoch before), ``clipped`` (latent weights at the clip) and ``histogram`` (counts of
latent weights in ``BINS`` equal intervals from minus to plus the clip). Of Bop, which keeps no latents, all lie at +-1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ebnn.train.compat import chainer
from ebnn.train.links import BinaryLink

BINS = 24
COUNTS = ("weights", "flips", "clipped")

HEADING = "epoch       lr    loss  train %  held-out %   best %  flips %  seconds      left"


class Watch:
    """Looks at a chain's binary weights after each epoch.

    Args:
        chain: is not changed.
        clip: largest magnitude of latent weights.
    """

    def __init__(self, chain: chainer.Chain, clip: float) -> None:
        self.clip = clip
        self.links = {
            path.strip("/").replace("/", "."): link
            for path, link in sorted(chain.namedlinks())
            if isinstance(link, BinaryLink) and link.is_binary
        }
        self.records: list[dict] = []
        self.begin()

    def begin(self) -> None:
        """Take the signs as they are for those that the next epoch starts with."""
        self.signs = {name: link.signs > 0 for name, link in self.links.items()}

    def look(self, epoch: int) -> float | None:
        """Record an epoch, counted from 1; returns the share of weights with another sign, None without any weights."""
        layers = {name: self._layer(name, link) for name, link in self.links.items()}
        self.records.append({"epoch": epoch, "layers": layers})
        self.begin()
        return flip_rate(self.records[-1])

    def _layer(self, name: str, link: BinaryLink) -> dict:
        latent = chainer.backends.cuda.to_cpu(link.W.array)
        flips = int((self.signs[name] != (link.signs > 0)).sum())
        clipped = int((np.abs(latent) >= np.float32(self.clip)).sum())
        counts, _ = np.histogram(latent.clip(-self.clip, self.clip), BINS, (-self.clip, self.clip))
        return {"weights": latent.size, "flips": flips, "clipped": clipped, "histogram": counts.tolist()}


def flip_rate(record: dict) -> float | None:
    """Share of all binary weights that have another sign than an epoch before; None where there are none."""
    layers = record["layers"].values()
    weights = sum(layer["weights"] for layer in layers)
    return sum(layer["flips"] for layer in layers) / weights if weights else None


def is_record(found: object) -> bool:
    """Whether something read from a file is a record."""
    if not isinstance(found, dict) or set(found) != {"epoch", "layers"} or type(found["epoch"]) is not int:
        return False
    return isinstance(found["layers"], dict) and all(map(_is_layer, found["layers"].values()))


def _is_layer(found: object) -> bool:
    if not isinstance(found, dict) or set(found) != {*COUNTS, "histogram"}:
        return False
    counts = found["histogram"]
    sound = isinstance(counts, list) and len(counts) == BINS
    return sound and all(type(value) is int and value >= 0 for value in (*counts, *(found[key] for key in COUNTS)))


# --- the table ---


def table_line(epochs: Sequence, total: int) -> str:
    """The line of the last of ``epochs`` (``loop.Epoch``) of a run of ``total``, with the time that is left."""
    line = epochs[-1]
    flips = "-" if line.flip_rate is None else f"{100 * line.flip_rate:.2f}"
    recent = epochs[-5:]
    left = (total - line.epoch) * sum(part.seconds for part in recent) / len(recent)
    return (
        f"{line.epoch:5d} {line.lr:8.5f} {line.loss:7.4f} {100 * line.train_accuracy:8.2f} "
        f"{100 * line.held_out_accuracy:11.2f} {100 * line.best_accuracy:8.2f} {flips:>8s} {line.seconds:8.1f} "
        f"{duration(left):>9s}"
    )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, for example 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

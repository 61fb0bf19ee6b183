"""Freezing of weights that oscillate.

A binary weight whose best value lies between -1 and +1 has a latent one that hovers around 0 and changes its sign
every few steps, however small the learning rate is: Adam's steps and the latent weight shrink together. All that learns
from its output learns from noise. Here each weight has running averages of how often it flips and of its sign. One that
flips more often than a bound gets the sign that it had most of the time, and keeps it. The bound falls over the
training, geometrically, from one that no weight reaches.

Source: Nagel et al., "Overcoming Oscillations in Quantization-Aware Training" (2022), iterative freezing; with one bit
every change is a change back.
"""

from __future__ import annotations

import numpy as np

from ebnn.train import arrays
from ebnn.train.compat import chainer
from ebnn.train.links import BinaryLink

DECAY = np.float32(0.99)  # of the running averages, a step
HIGHEST = 0.5  # flips a step above which a weight is frozen at the beginning
LEAST = np.float32(1e-6)  # magnitude of a frozen latent weight


class Freezer:
    """Hooks of a link's update rule. The link keeps the averages and what is frozen, so a checkpoint has them.

    Args:
        link: its latent weights are changed in place.
        bound: flips a step at the end, above which a weight is frozen; above 0, at most ``HIGHEST``.
        first, last: steps between which the bound falls; before ``first`` nothing happens.
    """

    def __init__(self, link: BinaryLink, bound: float, first: int, last: int) -> None:
        self.link, self.bound, self.first, self.last = link, bound, first, last
        for name in ("flip_rate", "sign_mean", "frozen"):
            link.add_persistent(name, arrays.module(link.W.array).zeros_like(link.W.array))
        link.W.update_rule.add_hook(self.before, "signs", "pre")
        link.W.update_rule.add_hook(self.after, "freeze", "post")

    def before(self, rule: chainer.optimizer.UpdateRule, param: chainer.Parameter) -> None:
        """Look at the signs before a step."""
        self.signs = param.array >= 0

    def after(self, rule: chainer.optimizer.UpdateRule, param: chainer.Parameter) -> None:
        """Count the flips of a step, which is the rule's ``t``-th, and freeze the weights that flip too often."""
        if rule.t <= self.first:
            return
        share = (rule.t - self.first) / (self.last - self.first)
        link, latent, xp = self.link, param.array, arrays.module(param.array)
        signs = latent >= 0
        _follow(link.flip_rate, signs != self.signs)
        _follow(link.sign_mean, xp.where(signs, np.float32(1), np.float32(-1)))
        restless = (link.flip_rate > HIGHEST * (self.bound / HIGHEST) ** share) & (link.frozen == 0)
        magnitude = xp.maximum(xp.abs(latent), LEAST)
        xp.copyto(link.frozen, xp.where(link.sign_mean >= 0, magnitude, -magnitude), where=restless)
        xp.copyto(latent, link.frozen, where=link.frozen != 0)


def _follow(average: arrays.Array, value: arrays.Array) -> None:
    average *= DECAY
    average += (1 - DECAY) * value

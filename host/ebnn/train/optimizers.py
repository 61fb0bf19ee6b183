"""Optimizers, and what is done to the gradient of latent weights before they move."""

from __future__ import annotations

from dataclasses import dataclass

from ebnn.train import arrays
from ebnn.train.compat import chainer
from ebnn.train.config import Config
from ebnn.train.freeze import Freezer
from ebnn.train.model import binary_links

MOMENTUM = 0.9  # of sgd


class Bop(chainer.optimizer.UpdateRule):
    """Flips binary weights without latent ones: m = (1 - r) m + r g; w = -w where m w > threshold.

    r is ``bop_rate``, which follows the schedule of the learning rate. The weights are -1 and +1 from the start.
    Source: Helwegen et al., "Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization" (2019).
    """

    def __init__(self, parent: chainer.optimizer.Hyperparameter, config: Config) -> None:
        super().__init__(parent_hyperparam=parent)
        self._relative_rate, self._threshold = config.bop_rate / config.lr, config.bop_threshold

    def init_state(self, param: chainer.Parameter) -> None:
        """The average of the gradients, 0."""
        self.state["m"] = arrays.module(param.array).zeros_like(param.array)

    def update_core(self, param: chainer.Parameter) -> None:
        """One step."""
        xp, average = arrays.module(param.array), self.state["m"]
        rate = xp.float32(self._relative_rate * self.hyperparam.alpha)
        average *= xp.float32(1) - rate
        average += rate * param.grad
        param.array[average * param.array > xp.float32(self._threshold)] *= -1


@dataclass(frozen=True)
class Pull:
    """Adds strength * sign(|W| - 1) * sign(W) to the gradient of W: that of strength * sum | 1 - |W| |.

    It pulls latent weights towards -1 and +1.
    Source: Darabi et al., "BNN+: Improved Binary Network Training" (2018), Manhattan regularization with scale 1.
    """

    strength: float

    def __call__(self, rule: chainer.optimizer.UpdateRule, param: chainer.Parameter) -> None:
        xp = arrays.module(param.array)
        param.grad += xp.float32(self.strength) * xp.sign(xp.abs(param.array) - 1) * xp.sign(param.array)


def setup(chain: chainer.Chain, config: Config, steps: int) -> chainer.Optimizer:
    """The optimizer of a run with ``steps`` an epoch, a rule for each parameter; its state is saved and restored."""
    if config.optimizer == "sgd":
        optimizer = chainer.optimizers.MomentumSGD(config.lr, MOMENTUM)
    else:
        optimizer = chainer.optimizers.Adam(alpha=config.lr)
    optimizer.setup(chain)
    for link in filter(lambda link: link.is_binary, binary_links(chain)):
        if config.optimizer == "bop":
            link.W.array[...] = link.binarizer.values(link.W.array)  # where the chain lies
            link.W.update_rule = Bop(optimizer.hyperparam, config)
        if config.bnn_plus:
            link.W.update_rule.add_hook(Pull(config.bnn_plus), "pull")
        if config.freeze:
            Freezer(link, config.freeze, steps * config.first_binary_epoch, steps * config.epochs)
    return optimizer


def set_rate(optimizer: chainer.Optimizer, rate: float) -> None:
    """The learning rate of the next steps."""
    setattr(optimizer, "lr" if isinstance(optimizer, chainer.optimizers.MomentumSGD) else "alpha", rate)

"""What a chain computes: its functions in order, with the links they belong to, read from Chainer's own graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.errors import ExportError
from ebnn.geometry import Shape
from ebnn.train import functions
from ebnn.train.arrays import Array
from ebnn.train.compat import chainer
from ebnn.train.weights import WeightFunction

KINDS = {
    functions.BinaryConv2DFunction: "conv",
    functions.BinaryDenseFunction: "dense",
    functions.MaxPoolFunction: "pool",
    functions.GainFunction: "monotone",
    functions.PReLUFunction: "monotone",
    functions.ShiftFunction: "monotone",
    functions.FixedBatchNormFunction: "monotone",
    functions.SignFunction: "sign",
    functions.ScoresFunction: "scores",
}


@dataclass(frozen=True)
class Call:
    """One function of the chain: its ``kind``, the node of the graph, its link, and the form of what it reads.

    ``where`` names it for a person: the link's path and class, or the function's name and the link before it.
    A monotone one never falls or never rises with what it reads, channel by channel.
    """

    kind: str
    function: chainer.FunctionNode
    link: chainer.Link | None
    path: str
    where: str
    input_shape: Shape

    def again(self, x: Array) -> Array:
        """What the function makes of other data, float32 (N, channels), with the parameters that it has read."""
        parameters = [variable.get_variable().array for variable in self.function.inputs[1:]]
        return self.function.forward((x, *parameters))[0]


def run(chain: chainer.Chain, x: np.ndarray) -> chainer.Variable:
    """The chain's output outside of training, with the graph that leads to it."""
    with chainer.using_config("train", False), chainer.force_backprop_mode():
        y = chain(x)
    if not isinstance(y, chainer.Variable) or y.creator_node is None:
        raise ExportError(f"{type(chain).__name__}: must return the Variable that Scores makes, got {type(y).__name__}")
    return y


def calls(chain: chainer.Chain, x: np.ndarray) -> list[Call]:
    """The functions from the images ``x`` to the chain's output, in the order of running.

    Raises:
        ExportError: naming the function where data come from more than one side.
    """
    owners, found = _owners(chain), []
    node = run(chain, x).creator_node
    while node is not None:
        data, links = _inputs(node, owners)
        found.append((node, links, data))
        node = data[0].creator_node if data else None
    result = _named(found[::-1])
    for call, (_, _, data) in zip(result, found[::-1], strict=True):
        if len(data) != 1:
            raise ExportError(f"{call.where}: reads {len(data)} maps; ebnn exports one path of functions")
    return result


def _owners(chain: chainer.Chain) -> dict[int, tuple[str, chainer.Link]]:
    """Path and link of every parameter, by the parameter's id."""
    links = dict(chain.namedlinks())
    paths = {id(param): name.rpartition("/")[0] or "/" for name, param in chain.namedparams()}
    return {key: (path, links[path]) for key, path in paths.items()}


def _inputs(node: chainer.FunctionNode, owners: dict) -> tuple[list, list]:
    data, links = [], []
    for variable in node.inputs:
        binarizer = variable.creator_node
        latent = binarizer.inputs[0] if isinstance(binarizer, WeightFunction) else variable
        owner = owners.get(id(latent.get_variable_or_none()))
        if owner:
            links.append(owner)
        else:
            data.append(variable)
    return data, links


def _named(found: list) -> list[Call]:
    result, before = [], ""
    for node, links, data in found:
        path, link = links[0] if links else ("", None)
        if link is None:
            where = f"function {node.label} " + (f"after {before}" if before else "at the input")
        else:
            where = before = f"{path} ({type(link).__name__})"
        shape = tuple(data[0].shape[1:]) if data else ()
        result.append(Call(KINDS.get(type(node), ""), node, link, path.strip("/"), where, shape))
    return result

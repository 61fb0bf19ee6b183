"""What a chain computes: its functions in order, with the links they belong to, read from Chainer's own graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ebnn.errors import ExportError
from ebnn.geometry import Shape
from ebnn.train import functions, maps
from ebnn.train.arrays import Array
from ebnn.train.compat import chainer
from ebnn.train.weights import WeightFunction

KINDS = {
    functions.BinaryConv2DFunction: "conv",
    functions.BinaryDepthwise2DFunction: "depthwise",
    functions.BinaryDenseFunction: "dense",
    functions.MaxPoolFunction: "pool",
    functions.SumPoolFunction: "sum",
    functions.ThermometerFunction: "encode",
    functions.FreePReLUFunction: "bend",
    functions.LevelsFunction: "levels",
    functions.GainFunction: "monotone",
    functions.PReLUFunction: "monotone",
    functions.ShiftFunction: "monotone",
    functions.FixedBatchNormFunction: "monotone",
    functions.SignFunction: "sign",
    functions.ScoresFunction: "scores",
    maps.FixedMapFunction: "map",
    maps.AverageFunction: "average",
}


JOINS = ("map",)  # kinds that may read two maps
IMAGES = 0  # the key of what the chain was given


@dataclass(frozen=True)
class Call:
    """One function of the chain: its ``kind``, the node of the graph, its link, and the form of what it reads.

    ``where`` names it for a person: the link's path and class, or the function's name and the link before it.
    ``reads`` are the keys of the calls that made its data, IMAGES for the images themselves; ``places`` says which of
    its inputs these are.
    A monotone one never falls or never rises with what it reads, channel by channel; one that bends turns round once.
    """

    kind: str
    function: chainer.FunctionNode
    link: chainer.Link | None
    path: str
    where: str
    input_shape: Shape
    reads: tuple[int, ...] = (IMAGES,)
    places: tuple[int, ...] = (0,)

    @property
    def key(self) -> int:
        """What other calls read it by."""
        return id(self.function)

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
    """The functions from the images ``x`` to the chain's output, each behind those whose results it reads.

    Raises:
        ExportError: naming a function that reads no data, or several that cannot be added up.
    """
    owners = _owners(chain)
    found = [(node, *_inputs(node, owners)) for node in _in_order(run(chain, x).creator_node, owners)]
    result = _named(found)
    for call in result:
        if len(call.reads) != 1 and (call.kind not in JOINS or not call.reads):
            raise ExportError(f"{call.where}: reads {len(call.reads)} maps; ebnn exports one path of functions")
    return result


def _in_order(last: chainer.FunctionNode, owners: dict) -> list[chainer.FunctionNode]:
    """The functions that ``last`` follows from, it too, each behind those that it reads."""
    found, seen, open_ = [], set(), [(last, False)]
    while open_:
        node, is_read = open_.pop()
        if is_read:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            makers = [variable.creator_node for variable in _inputs(node, owners)[1]]
            open_ += [(node, True), *((maker, False) for maker in makers[::-1] if maker is not None)]
    return found


def _owners(chain: chainer.Chain) -> dict[int, tuple[str, chainer.Link]]:
    """Path and link of every parameter, by the parameter's id."""
    links = dict(chain.namedlinks())
    paths = {id(param): name.rpartition("/")[0] or "/" for name, param in chain.namedparams()}
    return {key: (path, links[path]) for key, path in paths.items()}


def _inputs(node: chainer.FunctionNode, owners: dict) -> tuple[list, list]:
    """(path, link) of each parameter, and the variables that are data."""
    data, links = [], []
    for variable in node.inputs:
        binarizer = variable.creator_node
        latent = binarizer.inputs[0] if isinstance(binarizer, WeightFunction) else variable
        owner = owners.get(id(latent.get_variable_or_none()))
        if owner:
            links.append(owner)
        else:
            data.append(variable)
    return links, data


def _named(found: list) -> list[Call]:
    result, before = [], ""
    for node, links, data in found:
        path, link = links[0] if links else ("", None)
        if link is None:
            where = f"function {node.label} " + (f"after {before}" if before else "at the input")
        else:
            where = before = f"{path} ({type(link).__name__})"
        shape = tuple(data[0].shape[1:]) if data else ()
        reads = tuple(id(made.creator_node) if made.creator_node is not None else IMAGES for made in data)
        places = tuple(index for index, variable in enumerate(node.inputs) if any(variable is made for made in data))
        result.append(Call(KINDS.get(type(node), ""), node, link, path.strip("/"), where, shape, reads, places))
    return result

"""The network of ``torch_like`` as an ONNX file, as an exporter writes it, for docs/import.md (needs ebnn[onnx]):

python -m ebnn.examples.onnx_file FILE.onnx
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ebnn.examples import torch_like


class Graph:
    """Grows a graph; its method gives the name of what a node makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str | np.ndarray | float, **attributes) -> str:
        """A node; arrays among its inputs become initializers."""
        names = []
        for value in inputs:
            if not isinstance(value, str):
                self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), f"c{len(self.constants)}"))
                value = self.constants[-1].name
            names.append(value)
        name = f"/{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], name=name, **attributes))
        return name

    def sign(self, x: str) -> str:
        """``torch.where(x >= 0, 1., -1.)``: 0 becomes +1."""
        return self.op("Where", self.op("GreaterOrEqual", x, 0.0), 1.0, -1.0)

    def norm(self, x: str, statistics: np.ndarray) -> str:
        """Batch norm with running statistics."""
        return self.op("BatchNormalization", x, *statistics, epsilon=torch_like.EPSILON)


def model(found: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The ONNX model of the arrays."""
    g, signs = Graph(), {name: torch_like.sign(array) for name, array in found.items()}
    x = g.op("Conv", "input", signs["conv0"], pads=[2, 2, 2, 2])
    x = g.sign(g.norm(g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), found["norm0"]))
    y = g.norm(g.op("Conv", x, signs["conv1"], pads=[1, 1, 1, 1]), found["norm1"])
    y = g.sign(g.op("Sub", g.op("PRelu", y, found["slope1"][:, None, None]), 0.5))
    x = g.sign(g.op("Add", y, x))
    x = g.sign(g.norm(g.op("Conv", x, signs["conv2"], pads=[1, 1, 1, 1]), found["norm2"]))
    x = g.op("Flatten", g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]))
    x = g.op("Gemm", x, signs["dense"], found["bias"], transB=1)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("input", ["N", 1, 28, 28]), (x, ["N", torch_like.CLASSES]))]  # fmt: skip
    graph = helper.make_graph(g.nodes, "torch_like", ends[:1], ends[1:], g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main(path: str) -> None:
    """Write the file."""
    onnx.save(model(torch_like.arrays(1)), path)


if __name__ == "__main__":
    main(*sys.argv[1:])

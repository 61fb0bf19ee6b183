"""Numbers of an ONNX file that are known before anything runs: initializers, and what nodes make of them alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from ebnn.build import Kernel
from ebnn.errors import ExportError

QUANTIZERS = ("BipolarQuant", "Quant", "DequantizeLinear")
MOVERS = ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True, eq=False)
class Quantized:
    """Constants that are integers times scales, both of the same shape."""

    integers: np.ndarray
    scales: np.ndarray

    @property
    def floats(self) -> np.ndarray:
        """float32, as the framework has them."""
        return (self.integers * self.scales).astype(np.float32)

    def kernel(self, axis: int) -> Kernel:
        """Weights whose filters are along ``axis``; raises ExportError where one has two scales."""
        scales = np.moveaxis(self.scales, axis, 0).reshape(self.scales.shape[axis], -1)
        if (scales != scales[:, :1]).any():
            raise ExportError("weights with several scales a filter")
        return Kernel(self.integers, scales[:, 0])


Constant = np.ndarray | Quantized


def floats(constant: Constant) -> np.ndarray:
    """The numbers of a constant."""
    return constant.floats if isinstance(constant, Quantized) else constant


def attributes(node: onnx.NodeProto) -> dict:
    """A node's attributes by name, bytes as text."""
    found = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def evaluate(node: onnx.NodeProto, inputs: list[Constant | None]) -> list[Constant]:
    """What a node makes of constants.

    Raises:
        ExportError: ONNX's reference cannot run it, or a quantization that has no int8.
    """
    if node.op_type in QUANTIZERS:
        return [quantized(node.op_type, attributes(node), [floats(value) for value in inputs])]
    if node.op_type in MOVERS and isinstance(inputs[0], Quantized):
        rest = inputs[1:]
        parts = [_run(node, [part, *rest]) for part in (inputs[0].integers, inputs[0].scales)]
        return [Quantized(*(part[0] for part in parts))]
    return _run(node, [None if value is None else floats(value) for value in inputs])


def _run(node: onnx.NodeProto, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
    feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
    try:
        return list(ReferenceEvaluator(node).run(None, feeds))
    except Exception as error:  # whatever the reference says, it is about this node
        raise ExportError(f"constants that ONNX's reference cannot compute: {error}") from None


def quantized(kind: str, options: dict, inputs: list[np.ndarray]) -> Quantized:
    """What a quantizer of constants makes: ``inputs`` are the numbers, scale, zero point and bit width.

    Raises:
        ExportError: more than 8 bits, or a zero point.
    """
    numbers, scale = inputs[0].astype(np.float32), inputs[1].astype(np.float32)
    if kind == "BipolarQuant":
        return _spread(np.where(numbers >= 0, 1.0, -1.0), scale)
    if len(inputs) > 2 and np.any(inputs[2]):
        raise ExportError("weights with a zero point")
    if kind == "DequantizeLinear":
        axis = options.get("axis", 1)
        scale = scale.reshape([-1 if a == axis else 1 for a in range(numbers.ndim)]) if scale.ndim else scale
        return _spread(numbers.astype(np.float64), scale)
    bits = float(inputs[3]) if len(inputs) > 3 else 8.0
    signed, narrow, mode = (options.get(name, most) for name, most in (("signed", 1), ("narrow", 0),
                                                                        ("rounding_mode", "ROUND")))  # fmt: skip
    if bits > 8 or not signed or mode.upper() not in ("ROUND", "HALF_EVEN"):
        raise ExportError(f"Quant to {bits:g} bits, signed {signed}, rounding {mode}: weights take at most 8 signed "
                          "bits, rounded to the nearest")  # fmt: skip
    most = 2 ** (bits - 1) - 1
    return _spread(np.clip(np.rint(numbers / scale), -most if narrow else -most - 1, most).astype(np.float64), scale)


def _spread(integers: np.ndarray, scale: np.ndarray) -> Quantized:
    return Quantized(integers, np.broadcast_to(scale.astype(np.float64), integers.shape))

"""Networks from elsewhere: ``Builder`` makes an exact network of another framework's arrays (docs/import.md)."""

from __future__ import annotations

from ebnn.build.builder import Builder
from ebnn.build.tensors import Tensor
from ebnn.build.weights import Kernel, binarize

__all__ = ["Builder", "Kernel", "Tensor", "binarize"]

"""Networks in files of other frameworks: ``read_onnx`` reads ONNX and QONNX (docs/import.md)."""

from __future__ import annotations

from ebnn.importers.graph import Imported, Input, read_onnx

__all__ = ["Imported", "Input", "read_onnx"]

"""The model that ``ebnn.load()`` and ``ebnn.infer`` take: frozen into the firmware, or on the file system."""

model: bytes | memoryview | str
"""The model's bytes, or the path of its file."""

"""Test images in the firmware, the first of each class (ebnn firmware --samples)."""

shape: tuple[int, int, int]
"""(height, width, channels) of an image."""

classes: tuple[str, ...]
"""The label of each image."""

images: tuple[bytes, ...]
"""uint8 in the order (row, column, channel)."""

def show(image: bytes) -> None:
    """Draw an image with characters."""

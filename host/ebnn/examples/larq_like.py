"""A network as Larq trains it (NHWC, HWIO), brought to ebnn from its arrays alone:

    python -m ebnn.examples.larq_like [FOLDER]

Convolution, pool, batch norm, sign; SAME padding, with +1 (``pad_values=1``); images x / 127.5 - 1. ``forward`` is the
framework's float32 arithmetic in NumPy. On random images no bit and no class may differ. The arrays are random here;
yours come from ``layer.get_weights()``.
"""

from __future__ import annotations

import sys

import numpy as np

from ebnn.build import Builder, binarize
from ebnn.bundle import write_bundle
from ebnn.network import Network
from ebnn.sim import Simulator

EPSILON = 1e-3  # of Keras
FILTERS = (24, 40)
CLASSES = 10


def arrays(seed: int) -> dict[str, np.ndarray]:
    """What a trained model would give: latent kernels, and (gamma, beta, mean, variance) of each batch norm."""
    generator = np.random.default_rng(seed)
    found, channels = {}, 3
    for index, filters in enumerate(FILTERS):
        found[f"kernel{index}"] = generator.normal(size=(3, 3, channels, filters)).astype(np.float32)
        found[f"norm{index}"] = statistics(generator, filters, 1 + 2 * index)
        channels = filters
    found["kernel2"] = generator.normal(size=(4 * 4 * channels, CLASSES)).astype(np.float32)
    found["norm2"] = statistics(generator, CLASSES, 8)
    return found


def statistics(generator: np.random.Generator, channels: int, spread: float) -> np.ndarray:
    """float32 (4, channels) of a batch norm, with gammas of both signs."""
    draw = generator.normal(size=(3, channels)) * [[1], [0.5], [spread]]
    return np.stack([*draw, generator.uniform(0.5, 1.5, channels) * spread**2]).astype(np.float32)


# --- the framework, in NumPy ---


def forward(found: dict[str, np.ndarray], images: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The bits (N, h, w, c) after each sign, and the logits (N, classes), of uint8 images (N, 32, 32, 3)."""
    x, bits = images.astype(np.float32) / np.float32(127.5) - np.float32(1), []
    for index, stride in enumerate((1, 2)):
        x = conv_same(x, sign(found[f"kernel{index}"]), stride)
        x = normalize(max_pool(x), found[f"norm{index}"])
        bits.append(x >= 0)
        x = sign(x)
    logits = x.reshape(len(x), -1) @ sign(found["kernel2"])
    return bits, normalize(logits, found["norm2"])


def sign(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, np.float32(1), np.float32(-1))


def conv_same(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's SAME: an odd row or column of padding is at the bottom or right."""
    pads = []
    for size in x.shape[1:3]:
        total = max((-(-size // stride) - 1) * stride + kernel.shape[0] - size, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=1)
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))[:, ::stride, ::stride]
    return np.einsum("nyxcij,ijcf->nyxf", windows, kernel, optimize=True)


def max_pool(x: np.ndarray) -> np.ndarray:
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def normalize(x: np.ndarray, found: np.ndarray) -> np.ndarray:
    gamma, beta, mean, variance = found
    a = gamma / np.sqrt(variance + np.float32(EPSILON))
    return x * a + (beta - mean * a)


# --- the same for ebnn ---


def build(found: dict[str, np.ndarray]) -> tuple[Builder, Network]:
    """The network of these arrays; its builder has the notes."""
    net = Builder((32, 32, 3), "u8", "NHWC", scale=1 / 127.5, offset=-1, head="nearest")
    x = net.input
    for index, stride in enumerate((1, 2)):
        kernel = binarize(found[f"kernel{index}"])
        x = net.conv(x, kernel, stride, "same", pad_value=1, name=f"conv{index}")
        x = net.max_pool(x, 2)
        x = net.batch_norm(x, found[f"norm{index}"], EPSILON)
        x = net.sign(x)
    x = net.dense(net.flatten(x), binarize(found["kernel2"]), name="dense")
    x = net.batch_norm(x, found["norm2"], EPSILON)
    return net, net.network(x)


def differences(found: dict[str, np.ndarray], network: Network, images: np.ndarray) -> tuple[list[int], int]:
    """Bits that differ, by node, and classes that differ."""
    bits, logits = forward(found, images)
    *ours, scores = Simulator(network).outputs(images)
    wrong = [int((theirs != own).sum()) for theirs, own in zip(bits, ours, strict=True)]
    return wrong, int((scores[:, 0, 0].argmax(axis=1) != logits.argmax(axis=1)).sum())


def main(folder: str = "") -> None:
    """Build, compare on 200 random images, and write the model where a folder is given."""
    found = arrays(2)
    net, network = build(found)
    images = np.random.default_rng(1).integers(0, 256, (200, *network.input.shape), dtype=np.uint8)
    bits, classes = differences(found, network, images)
    print(f"{len(images)} images: {bits} bits and {classes} classes differ", *net.notes, sep="\n")
    if folder:
        blob = write_bundle(network, folder)
        print(f"{folder}: model of {len(blob)} bytes; next: ebnn info {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])

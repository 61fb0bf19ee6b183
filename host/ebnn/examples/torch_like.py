"""A network as PyTorch trains it (NCHW, OIHW), brought to ebnn from its arrays alone:

    python -m ebnn.examples.torch_like [FOLDER]

Convolutions padded with zeros, pools before batch norm and after sign, a PReLU with slopes of both signs, a
residual, a dense layer after ``flatten``; images x / 255. ``forward`` is the framework's float32
arithmetic in NumPy. On random images no bit and no class may differ. The arrays are random here; yours come from
``state_dict()``.
"""

from __future__ import annotations

import sys

import numpy as np

from ebnn.build import Builder, binarize
from ebnn.bundle import write_bundle
from ebnn.network import Network
from ebnn.sim import Simulator

EPSILON = 1e-5  # of PyTorch
CHANNELS = 20
CLASSES = 10


def arrays(seed: int) -> dict[str, np.ndarray]:
    """What ``state_dict`` would give: latent kernels, and (gamma, beta, mean, variance) of each batch norm."""
    generator = np.random.default_rng(seed)

    def statistics(spread: float) -> np.ndarray:
        draw = generator.normal(size=(3, CHANNELS)) * [[1], [0.5], [spread]]
        return np.stack([*draw, generator.uniform(0.5, 1.5, CHANNELS) * spread**2]).astype(np.float32)

    def latent(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    return {
        "conv0": latent(CHANNELS, 1, 5, 5), "norm0": statistics(3),
        "conv1": latent(CHANNELS, CHANNELS, 3, 3), "norm1": statistics(12), "slope1": latent(CHANNELS) / 4,
        "conv2": latent(CHANNELS, CHANNELS, 3, 3), "norm2": statistics(12),
        "dense": latent(CLASSES, CHANNELS * 7 * 7), "bias": latent(CLASSES) * 4,
    }  # fmt: skip


# --- the framework, in NumPy ---


def forward(found: dict[str, np.ndarray], images: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What comes after each step of uint8 images (N, 1, 28, 28): values (N, c, h, w) by name, logits (N, classes)."""
    made = {}
    x = conv(images.astype(np.float32) / np.float32(255), sign(found["conv0"]), 2)
    made["sign0"] = x = sign(normalize(max_pool(x), found["norm0"]))
    y = conv(x, sign(found["conv1"]), 1)
    made["sign1"] = y = sign(prelu(normalize(y, found["norm1"]), found["slope1"]) - np.float32(0.5))
    made["added"] = x = y + x
    made["sign2"] = x = sign(normalize(conv(sign(x), sign(found["conv2"]), 1), found["norm2"]))
    made["pooled"] = x = max_pool(x)
    return made, x.reshape(len(x), -1) @ sign(found["dense"]).T + found["bias"]


def sign(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, np.float32(1), np.float32(-1))


def conv(x: np.ndarray, kernel: np.ndarray, pad: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], (2, 3))
    return np.einsum("ncyxij,fcij->nfyx", windows, kernel, optimize=True)


def max_pool(x: np.ndarray) -> np.ndarray:
    n, channels, height, width = x.shape
    return x.reshape(n, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))


def normalize(x: np.ndarray, found: np.ndarray) -> np.ndarray:
    gamma, beta, mean, variance = found[:, :, None, None]
    a = gamma / np.sqrt(variance + np.float32(EPSILON))
    return x * a + (beta - mean * a)


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, x * slope[:, None, None])


# --- the same for ebnn ---


def build(found: dict[str, np.ndarray]) -> tuple[Builder, Network]:
    """The network of these arrays; its builder has the notes."""
    net = Builder((28, 28, 1), "u8", "NCHW", scale=1 / 255)
    x = net.conv(net.input, binarize(found["conv0"]), padding=2, name="conv0")
    x = net.sign(net.batch_norm(net.max_pool(x, 2), found["norm0"], EPSILON))
    y = net.batch_norm(net.conv(x, binarize(found["conv1"]), padding=1, name="conv1"), found["norm1"], EPSILON)
    y = net.sign(net.add_bias(net.prelu(y, found["slope1"]), -0.5))
    x = net.sign(net.add(y, x, name="residual"))
    x = net.conv(x, binarize(found["conv2"]), padding=1, name="conv2")
    x = net.max_pool(net.sign(net.batch_norm(x, found["norm2"], EPSILON)), 2)
    x = net.dense(net.flatten(x), binarize(found["dense"]), name="dense")
    return net, net.network(net.add_bias(x, found["bias"]))


def differences(found: dict[str, np.ndarray], network: Network, images: np.ndarray) -> tuple[dict[str, int], int]:
    """Values that differ, by step, and classes that differ; the images are (N, 1, 28, 28)."""
    made, logits = forward(found, images)
    outputs = dict(zip((node.name for node in network.nodes), Simulator(network).outputs(_last(images)), strict=True))
    wrong = {}
    for step, node in (("sign0", "conv0"), ("sign1", "conv1"), ("added", "residual"), ("pooled", "conv2")):
        ours = outputs[node]
        ours = 2 * ours.astype(int) - 1 if ours.dtype == bool else ours
        wrong[step] = int((_last(made[step]) != ours).sum())
    return wrong, int((outputs["dense"][:, 0, 0].argmax(axis=1) != logits.argmax(axis=1)).sum())


def _last(x: np.ndarray) -> np.ndarray:
    """(N, h, w, c) of (N, c, h, w)."""
    return x.transpose(0, 2, 3, 1)


def main(folder: str = "") -> None:
    """Build, compare on 200 random images, and write the model where a folder is given."""
    found = arrays(1)
    net, network = build(found)
    images = np.random.default_rng(1).integers(0, 256, (200, 1, 28, 28), dtype=np.uint8)
    values, classes = differences(found, network, images)
    print(f"{len(images)} images: {values} values and {classes} classes differ", *net.notes, sep="\n")
    if folder:
        blob = write_bundle(network, folder)
        print(f"{folder}: model of {len(blob)} bytes; next: ebnn info {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])

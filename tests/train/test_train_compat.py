"""What happens with Chainer, and without it."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
sys.modules["chainer"] = None
from ebnn import EbnnError
from ebnn.train import load
print(load("digits").name)
try:
    from ebnn.train import fit
except EbnnError as error:
    print(error)
"""

AFTERWARDS = """
import sys
import ebnn.train
assert "chainer" not in sys.modules
import chainer
assert chainer.functions.relu(chainer.as_variable(ebnn.train.compat.np.float32([-1, 2]))).array.tolist() == [0, 2]
print(chainer.__version__)
"""


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_without_chainer_data_load_and_training_says_what_to_install() -> None:
    assert run(WITHOUT) == ["digits", "training needs Chainer, which is not installed: pip install 'ebnn[train]'"]


def test_chainer_imports_after_this_package() -> None:
    assert run(AFTERWARDS) == ["7.8.1"]

"""What firmware/examples and firmware/models/motion say of themselves."""

from __future__ import annotations

import re
import runpy

from ebnn.files import repo_root
from ebnn.format import decode

EXAMPLES = repo_root() / "firmware" / "examples"
MOTION = repo_root() / "firmware" / "models" / "motion"
MOST_LINES = 60


def test_every_example_is_short_and_in_the_index() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}
    assert sorted(re.findall(r"\| `(\w+\.py)` \|", index)) == sorted(sizes)
    assert {name: size for name, size in sizes.items() if size >= MOST_LINES} == {}


def test_the_model_of_motion_has_the_labels_of_its_signals() -> None:
    signals = runpy.run_path(str(MOTION / "signals.py"))
    assert decode((MOTION / "model.ebnn").read_bytes()).network.labels == signals["LABELS"]

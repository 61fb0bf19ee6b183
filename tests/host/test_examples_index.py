"""What firmware/examples and firmware/models/motion say of themselves."""

from __future__ import annotations

import json
import re
import runpy

from ebnn.files import repo_root
from ebnn.format import decode
from ebnn.sim import Simulator

EXAMPLES = repo_root() / "firmware" / "examples"
MOTION = repo_root() / "firmware" / "models" / "motion"
MOST_LINES = 60


def test_every_example_is_short_and_in_the_index() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}
    assert sorted(re.findall(r"\| `(\w+\.py)` \|", index)) == sorted(sizes)
    assert {name: size for name, size in sizes.items() if size >= MOST_LINES} == {}


def test_the_model_of_motion_is_as_good_as_its_metrics_say() -> None:
    signals = runpy.run_path(str(MOTION / "signals.py"))
    windows, classes = signals["draw"](signals["TEST"], 1)
    metrics = json.loads((MOTION / "metrics.json").read_text(encoding="utf-8"))
    network = decode((MOTION / "model.ebnn").read_bytes()).network
    right = Simulator(network).run(windows[..., None]).argmax(axis=1) == classes
    assert (float(right.mean()), len(right)) == (metrics["test_accuracy"], metrics["test_images"])
    assert network.labels == signals["LABELS"]

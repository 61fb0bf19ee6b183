"""A quick exactness check of the package that is first on the path: the judge of ``mutants.py``.

``python quick.py python|c RECORDS ROOT`` exits with 0 where the code in ROOT agrees with the records, which come
from the oracle and the table of damaged models, and were made with the unchanged code.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "host"))
sys.path.insert(0, str(Path(__file__).parent / "engine"))

import test_fold
import test_kernels
import test_networks

import networks
from ebnn import cengine
from ebnn.errors import ModelError
from ebnn.format import SelfTest, decode, encode
from ebnn.plan import make_plan
from exact import run_engine, simulate
from vectors import random_fit


def check_damaged(records: dict, read: object) -> None:
    """The same error for every damaged model."""
    for name, blob, error in records["damaged"]:
        try:
            read(blob)
            found = None
        except ModelError as caught:
            found = caught.code
        assert found == error, f"{name}: {found} instead of {error}"


def check_python(records: dict) -> None:
    """Folding, writing, reading, simulating."""
    for low, high, step in ((-9, 9, 2), (-255 * 2, 255 * 2, 1), (0, 0, 2)):
        test_fold.test_every_sum_gives_the_same_bit(low, high, step)
    test_fold.test_constant_channels_are_rising_with_thresholds_at_the_ends()
    test_fold.test_switch_at_either_end()
    test_fold.test_thresholds_on_bytes_mean_the_same()
    test_fold.test_negated_filters_hit_where_the_given_ones_do_not()
    test_networks.test_sums_beyond_float32_are_exact()
    for seed, blob in records["models"]:
        selftest = SelfTest(*(int.from_bytes(blob[place : place + 4], "little") for place in (32, 36)))
        network = networks.random_network(seed)
        assert encode(network, selftest, make_plan(network, random_fit(seed))) == blob, f"model of seed {seed}"
    for case in records["cases"]:
        assert simulate(case) == case.runs, case.name
    check_damaged(records, decode)


def check_c(records: dict) -> None:
    """Opening, running, self-tests."""
    cengine.CFLAGS = ("-std=c99", "-O1", "-fPIC", "-shared")
    test_kernels.test_lanes_at_every_length_of_a_chunk(15, 33)
    test_kernels.test_bytes_at_every_number_of_taps(64, 33, test_kernels.BYTES)
    for case in records["cases"]:
        assert run_engine(case) == case.runs, case.name
        assert cengine.CEngine(case.blob).selftest(), case.name
    check_damaged(records, cengine.CEngine)


def main() -> None:
    """Check one language."""
    root = Path(sys.argv[3]).resolve()
    assert root in Path(cengine.__file__).resolve().parents, f"{cengine.__file__} is not in {root}"
    records = pickle.loads(Path(sys.argv[2]).read_bytes())
    {"python": check_python, "c": check_c}[sys.argv[1]](records)


if __name__ == "__main__":
    main()

"""A quick exactness check of the package that is first on the path: the judge of ``mutants.py``.

``python quick.py python|c RECORDS ROOT`` exits with 0 where the code in ROOT agrees with the records, which come
from the oracle and the table of damaged models, and were made with the unchanged code; with NO_BUILD where the
engine in ROOT cannot be compiled, which says nothing about the check.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "host"))
sys.path.insert(0, str(Path(__file__).parent / "engine"))

import driver
import test_calibrate
import test_fold
import test_format
import test_kernels
import test_networks
import test_pictures
import test_plan
import test_prepare

import networks
from ebnn import cengine
from ebnn.errors import BuildError, ModelError
from ebnn.format import SelfTest, decode, encode
from ebnn.geometry import Value
from ebnn.plan import make_plan
from exact import simulate
from mutants import NO_BUILD
from vectors import Case

LIMIT_S = 20  # of the driver, which has to end before this program is ended
# A mistake may leave a variable unused, which is no reason to refuse it.
FLAGS = ("-O1", "-w")
FIRST = ("-O0", "-w")  # compiled soon, for the few cases that notice nearly every mistake
COUNTING = (*FLAGS, *(flag for flag in driver.COUNTING if flag.startswith("-D")))


def check_damaged(records: dict, read: object) -> None:
    """The same error for every damaged model."""
    for name, blob, error in records["damaged"]:
        try:
            read(blob)
            found = None
        except ModelError as caught:
            found = caught.code
        assert found == error, f"{name}: {found} instead of {error}"


def check_plans(records: dict) -> None:
    """The same places in the arena; and a limit, which none of these plans reaches."""
    for seed, plan in enumerate(records["plans"]):
        network = networks.random_network(seed)
        assert make_plan(network, networks.random_fit(network, seed)) == plan, f"plan of seed {seed}"
    test_plan.test_a_limit_of_scratch_holds_where_the_arena_has_more()


def check_python(records: dict) -> None:
    """Folding, planning, writing, reading, simulating."""
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
        assert encode(network, selftest, records["plans"][seed]) == blob, f"model of seed {seed}"
    for case in records["some"]:
        assert simulate(case) == case.runs, case.name
    check_damaged(records, decode)
    check_plans(records)
    for shot, wanted in records["shots"]:
        assert shot.packed() == wanted, shot
    test_prepare.test_codes()
    for use in test_format.USES:
        test_format.test_what_a_model_records_of_its_use(*use)
    test_calibrate.test_least_margin_with_enough_right_ones()
    test_calibrate.test_equal_margins_are_sure_together()
    test_calibrate.test_equal_scores_are_never_sure()
    test_calibrate.test_measure()


def check_driver(cases: list[Case], wanted_lines: list[str], folder: Path, flags: tuple[str, ...]) -> None:
    """Opening, running, input row by row, self-tests, in memory that is not clean."""
    program = driver.build_driver(folder, flags)
    lines = driver.run_driver(program, cases, LIMIT_S)
    for found, wanted in zip(lines, wanted_lines, strict=True):
        assert found == wanted, f"{found} instead of {wanted}"


def check_pictures(records: dict, folder: Path) -> None:
    """Inputs from frames, and what is refused."""
    program = test_pictures.build(folder, FLAGS)
    test_pictures.test_random_frames_are_exact_in_the_engine(program, records["shots"])
    test_pictures.test_what_cannot_be_is_refused(program)
    test_pictures.test_sizes_are_those_of_framebuf(program)


def check_c(records: dict, folder: Path) -> None:
    """The engine as it is for a core that cannot count bits, and for one that can."""
    check_driver(records["some"], records["some_lines"], folder, FIRST)
    for flags in (FLAGS, COUNTING):
        check_driver(records["cases"], records["lines"], folder, flags)
    cengine.CFLAGS = ("-std=c99", *FLAGS, "-fPIC", "-shared")
    test_kernels.test_lanes_at_every_length_of_a_chunk(15, 33)
    test_kernels.test_lanes_hold_32766_taps_and_no_more()
    test_kernels.test_bytes_at_every_number_of_taps(33, 33, "bytes")
    for border in (-1, 1):
        test_kernels.test_lanes_at_every_border(40, 11, border)
        test_kernels.test_bytes_at_every_border(3, 5, border)
    for shape, dtype in (((2, 30, 32), "bits"), ((2, 131, 1), "u8")):
        test_kernels.test_more_scratch_than_a_kernel_can_use(Value(0, shape, dtype))
    check_damaged(records, cengine.CEngine)
    check_pictures(records, folder)
    test_pictures.test_the_largest_sums_fit()


def main() -> int:
    """Check one language; the exit status."""
    language, records, root = sys.argv[1], pickle.loads(Path(sys.argv[2]).read_bytes()), Path(sys.argv[3]).resolve()
    assert root in Path(cengine.__file__).resolve().parents, f"{cengine.__file__} is not in {root}"
    try:
        if language == "c":
            check_c(records, root)
        else:
            check_python(records)
    except (BuildError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return NO_BUILD
    return 0


if __name__ == "__main__":
    sys.exit(main())

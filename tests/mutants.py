"""Seeded mistakes: each is put into a copy of the code, and the exactness check has to notice it.

``python tests/mutants.py [--jobs N] [--only WORD]`` prints a line a mutation; exit code 1 where one is missed, or
where its text stands no longer in the file.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutations import MUTATIONS, Mutation

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
FEW = 120  # so many random networks for the package, which is slower than the engine; and first for the engine
SHOTS = 540  # so many random frames
LIMIT_S = 60
NO_BUILD = 3  # exit status of the check where the mutated engine does not compile, which proves nothing
CANNOT_BUILD = "DOES NOT COMPILE"


def make_records(path: Path) -> None:
    """Write what the oracle and the table of damaged models say, made with the unchanged code."""
    sys.path[:0] = [str(TESTS), str(ROOT / "host")]
    sys.path.insert(0, str(TESTS / "engine"))
    import driver

    import make_golden
    import networks
    import pictures
    import vectors
    from ebnn.format import decode
    from evil.table import rows

    golden, random = make_golden.load(), [vectors.random_case(seed) for seed in networks.SEEDS]
    shrinking = [vectors.shrinking_case(seed) for seed in networks.SHRINKING]
    cases = golden + random + vectors.tight_cases(random + shrinking)
    some = golden + random[:FEW]
    records = {
        "cases": cases,
        "some": some,
        "some_lines": driver.expected_lines(some),
        "lines": driver.expected_lines(cases),
        "models": [(seed, case.blob) for seed, case in enumerate(random[:FEW])],
        "plans": [decode(case.blob).plan for case in random],
        "shots": pictures.random_shots(SHOTS),
        "damaged": [(row.name, row.blob(), row.error) for row in rows()],
    }
    path.write_bytes(pickle.dumps(records))


def copy_tree(folder: Path) -> None:
    """Copy what a mutation may change: the core of the package, and the engine."""
    (folder / "host" / "ebnn").mkdir(parents=True)
    (folder / "firmware").mkdir()
    for path in (ROOT / "host" / "ebnn").glob("*.py"):
        shutil.copy(path, folder / "host" / "ebnn")
    shutil.copytree(ROOT / "usermod" / "ebnn" / "engine", folder / "usermod" / "ebnn" / "engine")


def judge(folder: Path, language: str, records: Path) -> str:
    """Run the check on a tree: what it says at last where it fails, empty where it passes."""
    command = [sys.executable, str(TESTS / "quick.py"), language, str(records), str(folder)]
    # One thread, because several checks run side by side.
    environment = {**os.environ, "PYTHONPATH": str(folder / "host"), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT_S} s"
    if done.returncode == 0:
        return ""
    if done.returncode == NO_BUILD:
        return CANNOT_BUILD
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def apply(mutation: Mutation, folder: Path) -> bool:
    """Change the copy; False where the text does not stand in the file exactly once."""
    path = folder / mutation.file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text.count(mutation.old) != 1:
        return False
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    return True


def try_mutation(mutation: Mutation, records: Path) -> tuple[bool, str]:
    """(caught, what the check said or what is wrong with the mutation)."""
    with tempfile.TemporaryDirectory(prefix="ebnn-mutant-") as name:
        copy_tree(Path(name))
        if not apply(mutation, Path(name)):
            return False, "DOES NOT APPLY: its text does not stand in the file exactly once"
        said = judge(Path(name), mutation.language, records)
        return said not in ("", CANNOT_BUILD), said or "MISSED"


def baseline_fault(records: Path, languages: set[str]) -> str:
    """What the checks of these languages say about the unchanged code; it has to be nothing."""
    with tempfile.TemporaryDirectory(prefix="ebnn-mutant-") as name:
        copy_tree(Path(name))
        found = (judge(Path(name), language, records) for language in sorted(languages))
        return next((fault for fault in found if fault), "")


def run_all(mutations: list[Mutation], jobs: int, show: Callable[[str], None]) -> list[str]:
    """Try every mutation; returns the lines of those that are not caught, or of a check that fails by itself."""
    with tempfile.TemporaryDirectory(prefix="ebnn-mutants-") as name:
        records = Path(name) / "records.pickle"
        make_records(records)
        fault = baseline_fault(records, {mutation.language for mutation in mutations})
        if fault:
            return [f"the check fails without any mutation: {fault}"]
        wrong = []
        with ThreadPoolExecutor(jobs) as pool:
            found = pool.map(lambda mutation: try_mutation(mutation, records), mutations)
            for mutation, (caught, said) in zip(mutations, found, strict=True):
                line = f"{'caught' if caught else 'FAILED'}  {Path(mutation.file).name}: {mutation.name}: {said[:100]}"
                show(line)
                wrong += [] if caught else [line]
    return wrong


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Check that the exactness tests notice seeded mistakes.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="checks side by side")
    parser.add_argument("--only", default="", help="only mutations whose file or name holds this")
    parser.add_argument("--language", choices=("c", "python"), help="only those of the engine, or of the package")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth of them")
    args = parser.parse_args()
    chosen = [m for m in MUTATIONS if args.only in f"{m.file} {m.name}" and args.language in (None, m.language)]
    chosen = chosen[:: args.every]
    wrong = run_all(chosen, args.jobs, lambda line: print(line, flush=True))
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} caught")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

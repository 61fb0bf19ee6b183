"""Fuzzes the engine with libFuzzer: damaged and hostile models, every buffer in a block of exactly its size.

``python tests/fuzz/fuzz.py run [--minutes N] [--target NAME]`` goes on where the last run ended: corpus and progress
lie in build/fuzz. ``status`` shows how much was run on which engine, ``coverage`` which lines the corpora do not reach,
``pack`` writes the small corpus that the tests replay; these need clang with its runtime and llvm. ``flips`` flips
every bit of some models.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

import driver

import make_golden
import networks
import vectors
from ebnn.cengine import engine_sources
from ebnn.files import repo_root, write_atomic
from ebnn.geometry import Value
from ebnn.network import Network, dense_node, pool_node
from evil.table import GOOD, rows

HERE = Path(__file__).resolve().parent
FOLDER = repo_root() / "build" / "fuzz"
PACKED = HERE / "corpus.xz"
PROGRESS = FOLDER / "progress.jsonl"
MOST_BYTES = 1024  # of a model
SESSION_S = 240  # so often the progress is written
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# Counters alone: callbacks at each comparison would cost most of the speed, and the mutator knows the fields.
COVERED = ("-g", "-O2", *SANITIZERS, "-fsanitize-coverage=inline-8bit-counters,pc-table")
# The second counts bits with an instruction; the third is the engine for the least memory.
TARGETS = {"kernels": (), "plain": driver.PLAIN_ONLY, "small": ("-DEBNN_SMALL",)}
TURNS = ("kernels", "small", "kernels", "plain", "kernels")
FUZZER = (
    "-len_control=0", "-reload=0", "-print_final_stats=1", "-timeout=20", "-rss_limit_mb=1024", "-verbosity=0",
    f"-max_len={MOST_BYTES}",
)  # fmt: skip


@dataclass(frozen=True)
class Session:
    """One run of the fuzzer; ``engine`` names the state of the engine and of the harness."""

    date: str
    engine: str
    target: str
    runs: int
    seconds: int
    corpus: int
    finding: str


def engine_files(target: str = "kernels") -> list[Path]:
    """The C files that a model goes through, and the harness for them."""
    if target == "small":
        return [driver.small_source(), HERE / "harness_small.c"]
    engine = (path for path in engine_sources() if path.suffix == ".c" and path.stem != "ebnn_input")
    return [*engine, HERE / "harness.c"]


def state(target: str = "kernels") -> str:
    """A digest of what the executions are counted for: the files that a model goes through, and the harness."""
    sources = [*engine_files(target), engine_sources()[0].parent / "ebnn_core.h"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def link_fuzzer(program: Path, target: str, engine: list[Path]) -> None:
    """Compile the engine and the harness with sanitizers and counters, the mutator and the entry without."""
    include, folder, objects = (f"-I{engine_sources()[0].parent}", f"-I{HERE}"), program.parent, []
    for path in (*engine, HERE / "mutator.c", HERE / "target.c"):
        flags = ("-O2",) if path.stem in ("mutator", "target") else COVERED
        objects.append(str(folder / f"{path.stem}.o"))
        command = ["clang", "-std=c99", *flags, *TARGETS[target], *include, "-c", str(path), "-o", objects[-1]]
        subprocess.run(command, check=True)
    subprocess.run(["clang", "-fsanitize=fuzzer", *SANITIZERS, *objects, "-o", str(program)], check=True)


def build_target(target: str) -> Path:
    """The fuzzer's program, compiled unless it is there."""
    sources = [*engine_sources(), driver.small_source(), *HERE.glob("*.[ch]")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]
    program = FOLDER / "programs" / f"{target}-{digest}" / "fuzzer"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.with_suffix(".part")
        link_fuzzer(partial, target, engine_files(target))
        partial.rename(program)
    return program


def seeds() -> list[bytes]:
    """Models to begin with: golden, random and tight ones, the damaged ones, and what was found before."""
    random = [vectors.random_case(seed) for seed in networks.SEEDS]
    shrinking = [vectors.shrinking_case(seed) for seed in networks.SHRINKING]
    least = [vectors.least_case(seed) for seed in networks.LEAST]
    cases = make_golden.load() + least + random + vectors.tight_cases(random[:100] + shrinking)
    blobs = [case.blob for case in cases] + [row.blob() for row in rows()] + (unpack() if PACKED.exists() else [])
    return [blob for blob in blobs if len(blob) <= MOST_BYTES]


def corpus_of(target: str) -> Path:
    """The folder of a target's corpus; seeded where it is not there."""
    folder = FOLDER / f"corpus-{target}"
    if not folder.exists():
        partial = folder.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for blob in seeds():
            (partial / hashlib.sha1(blob).hexdigest()).write_bytes(blob)
        partial.rename(folder)
    return folder


def run_fuzzer(program: Path, corpus: Path, findings: Path, seconds: int) -> subprocess.CompletedProcess:
    """Run the fuzzer for so long, or until it finds something; what it finds becomes a file in ``findings``."""
    findings.mkdir(exist_ok=True)
    command = ["nice", "-n", "19", str(program), str(corpus), *FUZZER, f"-artifact_prefix={findings}/"]
    options = {"ASAN_OPTIONS": "detect_leaks=0:malloc_context_size=0:quarantine_size_mb=4"}
    return subprocess.run(
        [*command, f"-max_total_time={seconds}"], env={**os.environ, **options}, stderr=subprocess.PIPE, text=True
    )


def seconds_to_a_finding(folder: Path, engine: list[Path], limit_s: int) -> int | None:
    """How long the fuzzer needs to find something in another engine; None where it finds nothing."""
    link_fuzzer(folder / "fuzzer", "kernels", engine)
    start = time.time()
    done = run_fuzzer(folder / "fuzzer", corpus_of("kernels"), folder / "findings", limit_s)
    return round(time.time() - start) if done.returncode else None


def fuzz(target: str, seconds: int) -> Session:
    """One session of a target."""
    engine, program = state(target), build_target(target)  # first, because either may change meanwhile
    corpus, start = corpus_of(target), time.time()
    done = run_fuzzer(program, corpus, FOLDER / "findings", seconds)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    if done.returncode:
        sys.stderr.write(done.stderr[-8000:])
    return Session(
        date=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        engine=engine,
        target=target,
        runs=int(runs[1]) if runs else 0,
        seconds=round(time.time() - start),
        corpus=sum(1 for _ in corpus.iterdir()),
        finding="" if done.returncode == 0 else f"exit status {done.returncode}",
    )


def run(minutes: float, targets: tuple[str, ...]) -> int:
    """Sessions of the targets by turns until the time is over; the exit status."""
    end, turn = time.time() + 60 * minutes, 0
    while end - time.time() > 1:
        found = fuzz(targets[turn % len(targets)], max(1, min(SESSION_S, round(end - time.time()))))
        turn += 1
        with PROGRESS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found.__dict__) + "\n")
        print(found, flush=True)
        if found.finding:
            return 1
    return 0


def status() -> None:
    """Print the executions of each state of the engine and each target, in the order in which they began."""
    sessions = [Session(**json.loads(line)) for line in PROGRESS.read_text(encoding="utf-8").splitlines()]
    for key in dict.fromkeys((session.engine, session.target) for session in sessions):
        mine = [session for session in sessions if (session.engine, session.target) == key]
        runs, seconds = sum(session.runs for session in mine), sum(session.seconds for session in mine)
        findings = sum(bool(session.finding) for session in mine)
        ours = "now" if key[0] == state(key[1]) else "before"
        span = f"{mine[0].date} to {mine[-1].date}"
        print(f"{key[0]} ({ours}) {key[1]:8} {runs:>12,} executions {seconds:>6} s {findings} findings, {span}")


# --- the corpus in one file ---


def pack(blobs: Iterable[bytes]) -> bytes:
    """What ``replay.c`` reads: u32 size, model."""
    return b"".join(struct.pack("<I", len(blob)) + blob for blob in blobs)


def unpack() -> list[bytes]:
    """The models of the packed corpus."""
    data, blobs = lzma.decompress(PACKED.read_bytes()), []
    while data:
        (size,) = struct.unpack_from("<I", data)
        blobs.append(data[4 : 4 + size])
        data = data[4 + size :]
    return blobs


def snapshot(target: str) -> Path:
    """A copy of a target's corpus, because a fuzzer that runs replaces files by smaller ones."""
    folder = FOLDER / "snapshot"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in corpus_of(target).iterdir():
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(path, folder)
    return folder


def write_packed() -> None:
    """Take the small models that reach all that the corpora reach, and write them."""
    few = FOLDER / "few"
    shutil.rmtree(few, ignore_errors=True)
    few.mkdir()
    for target in TARGETS:
        command = [str(build_target(target)), "-merge=1", f"-max_len={MOST_BYTES}", "-verbosity=0"]
        subprocess.run([*command, str(few), str(snapshot(target))], check=True, stderr=subprocess.DEVNULL)
    models = sorted((path.read_bytes() for path in few.iterdir()), key=lambda blob: (len(blob), blob))
    write_atomic(PACKED, lzma.compress(pack(models), preset=9 | lzma.PRESET_EXTREME))
    print(f"{len(models)} models, {sum(map(len, models))} bytes, packed {PACKED.stat().st_size}")


# --- replay and coverage ---


def build_program(name: str, folder: Path, compiler: str, flags: tuple[str, ...], target: str = "kernels") -> Path:
    """A program that drives models without a fuzzer: ``replay`` or ``flips``."""
    files = [str(path) for path in (HERE / f"{name}.c", *engine_files(target))]
    flags = (*driver.WARNINGS, *flags, *TARGETS[target], f"-I{engine_sources()[0].parent}", f"-I{HERE}")
    subprocess.run([compiler, *flags, *files, "-o", str(folder / name)], check=True)
    return folder / name


def drive(program: Path, blobs: list[bytes], *words: str) -> list[str]:
    """The line that a program prints for each model; AssertionError with its messages where something is wrong."""
    done = subprocess.run([str(program), *words], input=pack(blobs), capture_output=True)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr.decode()[-8000:]}"
    return done.stdout.decode().splitlines()


def flipped_models() -> dict[str, bytes]:
    """Models with all operators and all endings."""
    rng = np.random.default_rng(4)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice(np.array([-1, 1]), shape)

    hidden = dense_node(0, signs(9, 3, 5, 2), thresholds=np.arange(-400, 500, 100))
    scores = dense_node(0, signs(3, 3, 5, 2), offsets=np.array([5, -70_000, 2]))
    dense = Network(Value(0, (3, 5, 2), "u8"), (hidden, pool_node(1), scores))
    mnist = repo_root() / "firmware" / "models" / "mnist" / "model.ebnn"
    return {"mnist": mnist.read_bytes(), "chain": GOOD["chain"], "mixed": GOOD["mixed"], "dense": vectors.seal(dense)}


def flips() -> None:
    """Flip every bit of some models; change every byte of the small ones, while they are open, to every value."""
    folder = FOLDER / "flips"
    folder.mkdir(parents=True, exist_ok=True)
    program = build_program("flips", folder, "gcc", SANITIZERS + ("-O2", "-g"))
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}, engine {state()}")
    for name, blob in flipped_models().items():
        (line,) = drive(program, [blob], "closed", "1")
        runs, *errors = line.split()
        print(f"{name}: {8 * len(blob)} bits, all refused; behind a mended checksum {runs} run, {' '.join(errors)}")
        step = "1" if len(blob) < MOST_BYTES else "51"
        (runs,) = drive(program, [blob], "open", step)
        print(f"{name}: {runs} runs with a byte changed after it was opened")


def coverage() -> None:
    """Print the report of llvm-cov and the lines that the corpora do not reach."""
    for target in TARGETS:
        engine = [str(path) for path in engine_files(target) if path.parent != HERE]
        folder = FOLDER / f"coverage-{target}"
        folder.mkdir(parents=True, exist_ok=True)
        counted = ("-g", "-O1", "-fprofile-instr-generate", "-fcoverage-mapping")
        program = build_program("replay", folder, "clang", counted, target)
        os.environ["LLVM_PROFILE_FILE"] = str(folder / "raw")
        found = drive(program, [path.read_bytes() for path in sorted(snapshot(target).iterdir())])
        profile = str(folder / "profile")
        subprocess.run(["llvm-profdata", "merge", str(folder / "raw"), "-o", profile], check=True)
        print(f"{target}: {len(found)} models, {found.count('0')} of them open")
        report = ["llvm-cov", "report", str(program), f"-instr-profile={profile}", *engine]
        print(subprocess.run(report, check=True, capture_output=True, text=True).stdout)
        for path in engine:
            shown = ["llvm-cov", "show", str(program), f"-instr-profile={profile}", path]
            text = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
            for line in re.findall(r"^ *\d+\| +0\|.*", text, re.MULTILINE):
                print(f"{Path(path).name}: {line}")


COMMANDS = {"run": run, "status": status, "coverage": coverage, "pack": write_packed, "flips": flips}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(COMMANDS))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--target", choices=tuple(TARGETS), help="only this one")
    args = parser.parse_args()
    if args.what == "run":
        return run(args.minutes, (args.target,) if args.target else TURNS)
    COMMANDS[args.what]()
    return 0


if __name__ == "__main__":
    sys.exit(main())

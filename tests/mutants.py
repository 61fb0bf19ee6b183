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
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
RUN, OPEN, CORE, PLAIN, LANES, BYTES = (
    f"usermod/ebnn/engine/ebnn_{name}" for name in ("run.c", "open.c", "core.h", "plain.c", "lanes.c", "bytes.c")
)
SIM, FOLD, FORMAT, BITS, PLAN, GEOMETRY = (
    f"host/ebnn/{name}.py" for name in ("sim", "fold", "format", "bits", "plan", "geometry")
)
SEEDS = range(150)
LIMIT_S = 60


@dataclass(frozen=True)
class Mutation:
    """A mistake: in ``file`` the text ``old``, which stands there once, becomes ``new``."""

    name: str
    file: str
    old: str
    new: str

    @property
    def language(self) -> str:
        """Which half of the check has to notice it."""
        return "python" if self.file.endswith(".py") else "c"


ENGINE = (
    Mutation("hit on > instead of >=", PLAIN, "acc >= ebnn_number(", "acc > ebnn_number("),
    Mutation(
        "unused bits counted as taps",
        PLAIN,
        "node->taps - 2 * count_mismatches(",
        "32 * node->row_words - 2 * count_mismatches(",
    ),
    Mutation("border +1 ignored for bits", PLAIN, "if (run->node->flags & EBNN_FLAG_BORDER_PLUS) {", "if (0) {"),
    Mutation("border +1 sets unused channels", PLAIN, "c < run->in->channels; c++", "c < run->in_stride; c++"),
    Mutation("border of bytes is 1", PLAIN, "EBNN_FLAG_BORDER_PLUS ? 255 : 0", "EBNN_FLAG_BORDER_PLUS ? 1 : 0"),
    Mutation(
        "stride of the other axis", PLAIN, "cursor->x * node->kernel.stride_w", "cursor->x * node->kernel.stride_h"
    ),
    Mutation("padding of the other side", PLAIN, "- node->kernel.left", "- node->kernel.right"),
    Mutation(
        "kernel one column short",
        PLAIN,
        "size - start < kernel ? size - start",
        "size - start <= kernel ? size - start - 1",
    ),
    Mutation(
        "window one position too long", RUN, "span->leave <= (int32_t)position", "span->leave < (int32_t)position"
    ),
    Mutation(
        "pool padding of the other side",
        RUN,
        "start_span(node->pool.height, node->pool.top)",
        "start_span(node->pool.height, node->pool.bottom)",
    ),
    Mutation(
        "pool stride of the other axis",
        RUN,
        "cursor->x, run->node->pool.stride_w",
        "cursor->x, run->node->pool.stride_h",
    ),
    Mutation(
        "flip before the pool",
        RUN,
        "run->out_stride + channel, bits, 0)",
        "run->out_stride + channel, run->node->flips ? ~bits & 1 : bits, 0)",
    ),
    Mutation(
        "flips of the first 32 channels only",
        RUN,
        "get_bits(run->flips, c, ebnn_block(",
        "get_bits(run->flips, 0, ebnn_block(",
    ),
    Mutation(
        "pixels of narrow maps not masked",
        CORE,
        "return bits & UINT32_MAX >> (32 - count);",
        "return bits;",
    ),
    Mutation("sum of bytes counts all as +1", PLAIN, "2 * plus - all", "plus"),
    Mutation(
        "last byte of a row skipped", PLAIN, "left != 0 ? *w : 0; left != 0;", "left != 0 ? *w : 0; left > 1;"
    ),
    Mutation(
        "offsets not added",
        RUN,
        "uint32_t offset = (uint32_t)ebnn_number(node, run->numbers, f + i);",
        "uint32_t offset = 0;",
    ),
    Mutation("last of equal scores", RUN, "if (scores[i] > scores[best])", "if (scores[i] >= scores[best])"),
    Mutation("self-test by another generator", RUN, "x ^= x >> 17;", "x ^= x >> 16;"),
    Mutation("wide parameters read as narrow", CORE, "filter * (node->flags & EBNN_FLAG_WIDE ? 4 : 2)", "filter * 2"),
    Mutation("narrow parameters without a sign", CORE, "return (int16_t)low;", "return (int32_t)low;"),
    Mutation("pixel stride not rounded up", CORE, "(channels + 31) / 32 * 32", "channels"),
    Mutation("checksum misses the end", OPEN, "p + 16, size - 16", "p + 16, size - 20"),
    Mutation("padding as large as the kernel", OPEN, "w->top < w->height", "w->top <= w->height"),
    Mutation("map above 65535", OPEN, "(count > UINT16_MAX ? 0 : count)", "count"),
    Mutation("arena off by one", OPEN, "start <= net->arena_size - length", "start <= net->arena_size - length + 4"),
    Mutation(
        "parameters may end behind the file",
        OPEN,
        "rows + numbers + flips > blob->size - start",
        "rows + numbers > blob->size - start",
    ),
    Mutation("scores that overflow", OPEN, "size + bound > INT32_MAX", "size + bound > UINT32_MAX / 2 + 1"),
    Mutation(
        "too little scratch",
        PLAIN,
        "return plain_scratch(node) <= node->scratch_size",
        "return plain_scratch(node) <= node->scratch_size + 4",
    ),
    Mutation("label one byte behind the file", OPEN, "bytes[place] > size - place - 1", "bytes[place] > size - place"),
)

TILES = (
    Mutation(
        "nothing in a nibble's upper half",
        LANES,
        "a1 += n0 >> 4 & nibbles",
        "a1 += n0 >> 3 & nibbles",
    ),
    Mutation(
        "widening after 5 look-ups",
        LANES,
        "NEXT(2, bits >> 5), WIDEN();\n        FIRST(3,",
        "NEXT(2, bits >> 5);\n        NEXT(3,",
    ),
    Mutation(
        "look-up in the neighbouring group",
        LANES,
        "NEXT(7, bits >> 25)",
        "NEXT(6, bits >> 25)",
    ),
    Mutation(
        "step of the table",
        LANES,
        "ones - 2 * d",
        "ones - 2 * c",
    ),
    Mutation(
        "border is all ones",
        LANES,
        "return UINT32_MAX >> (32 - ebnn_block(run->in->channels, 32 * part));",
        "return UINT32_MAX;",
    ),
    Mutation(
        "border +1 ignored",
        LANES,
        "if (!(run->node->flags & EBNN_FLAG_BORDER_PLUS))",
        "if (1)",
    ),
    Mutation(
        "stride of the other axis",
        LANES,
        "cursor.x * kernel->stride_w",
        "cursor.x * kernel->stride_h",
    ),
    Mutation(
        "padding of the other side",
        LANES,
        "- kernel->left",
        "- kernel->right",
    ),
    Mutation(
        "limit rounded up",
        LANES,
        "(taps - threshold) / 2",
        "(taps - threshold + 1) / 2",
    ),
    Mutation(
        "never is sometimes",
        LANES,
        "return -1;",
        "return 0;",
    ),
    Mutation(
        "hits one mismatch early",
        LANES,
        "0x7fff - limit",
        "0x7ffe - limit",
    ),
    Mutation(
        "places swapped",
        LANES,
        "{ 0, 2, 1, 3, 8",
        "{ 0, 1, 2, 3, 8",
    ),
    Mutation(
        "filters behind 32 read the first sums",
        LANES,
        "SUMS * (filter + f)",
        "SUMS * f",
    ),
    Mutation(
        "table of the first word only",
        LANES,
        "fetch_words(&lanes, word + i)",
        "fetch_words(&lanes, word)",
    ),
    Mutation(
        "last chunk one word short",
        LANES,
        "node->row_words - word < lanes.chunk ? node->row_words - word :",
        "node->row_words - word < lanes.chunk ? node->row_words - word - 1 :",
    ),
    Mutation(
        "unused groups not zero",
        BYTES,
        "table[0] = table[1] = 0;\n            continue;",
        "table[0] = table[1] = 1;\n            continue;",
    ),
    Mutation(
        "step of the table",
        BYTES,
        "2 * v[2], 2 * v[3]",
        "2 * v[2], v[3]",
    ),
    Mutation(
        "no carry between lanes",
        BYTES,
        "(sums[0] + 0x8000) >> 16",
        "(sums[0]) >> 16",
    ),
    Mutation(
        "hit on > instead of >=",
        BYTES,
        "(sum) - threshold) >> 31",
        "(sum) - threshold - 1) >> 31",
    ),
    Mutation(
        "limit wraps",
        BYTES,
        "threshold > INT16_MAX ? INT16_MAX : threshold",
        "threshold",
    ),
    Mutation(
        "padding of the other side",
        BYTES,
        "kernel->stride_w - kernel->left",
        "kernel->stride_w - kernel->right",
    ),
    Mutation(
        "steps rounded down",
        BYTES,
        "(taps + 15) / 16",
        "taps / 16",
    ),
    Mutation(
        "rows of a kernel without a gap",
        BYTES,
        "offset += bytes->skip",
        "offset += 0",
    ),
)

HOST = (
    Mutation("hit on > instead of >=", SIM, "acc >= node.thresholds", "acc > node.thresholds"),
    Mutation(
        "flip before the pool",
        SIM,
        "    if geometry.pools:",
        "    hits = hits if node.flips is None else hits ^ node.flips\n    if geometry.pools:",
    ),
    Mutation(
        "pool padding counts as hits",
        SIM,
        "_padded(hits, geometry.pool_pad, False)",
        "_padded(hits, geometry.pool_pad, True)",
    ),
    Mutation("border of bytes is 1", SIM, "(255 if plus else 0)", "(1 if plus else 0)"),
    Mutation("border +1 ignored", SIM, "plus = geometry.border > 0", "plus = False"),
    Mutation("stride of the other axis", SIM, ":: stride[1]]", ":: stride[0]]"),
    Mutation("padding of the other side", SIM, "(top, bottom), (left, right)", "(top, bottom), (right, left)"),
    Mutation("taps in another order", SIM, "transpose(0, 1, 2, 4, 5, 3)", "transpose(0, 1, 2, 5, 4, 3)"),
    Mutation("bit 0 is 0", SIM, "taps = 2 * taps - 1", "taps = 1 * taps"),
    Mutation("sums in float32 where they are not exact", SIM, "else np.float64", "else np.float32"),
    Mutation(
        "last of equal scores",
        SIM,
        "return int(np.argmax(self.scores(buf)))",
        "return self.network.classes - 1 - int(np.argmax(self.scores(buf)[::-1]))",
    ),
    Mutation("threshold on bytes rounded down", FOLD, "(-((-total) // 2))", "(total // 2)"),
    Mutation("threshold on bytes off by one", FOLD, "255 * weight_sums", "256 * weight_sums"),
    Mutation("negated threshold off by one", FOLD, "(1 - thresholds", "(0 - thresholds"),
    Mutation("switch one sum early", FOLD, "thresholds = low + step * above", "thresholds = low + step * below"),
    Mutation(
        "constant 0 hits at the top", FOLD, "(high - low) // step + 1, np.int64", "(high - low) // step, np.int64"
    ),
    Mutation("falling taken for rising", FOLD, "falling = first & ~last", "falling = ~first & ~last"),
    Mutation("wide parameters stored as narrow", FORMAT, "bool((numbers != numbers.astype(np.int16)).any())", "False"),
    Mutation("checksum misses bytes", FORMAT, "zlib.crc32(blob[16:], ", "zlib.crc32(blob[20:], "),
    Mutation("border flag lost", FORMAT, "if node.geometry.border > 0", "if node.geometry.border > 1"),
    Mutation("newer minor accepted", FORMAT, "blob[5] > ops.FORMAT_MINOR", "blob[5] > ops.FORMAT_MINOR + 1"),
    Mutation("second input accepted", FORMAT, "or record.second != 0", "or record.second > 1"),
    Mutation("parameters inside of the records", FORMAT, "start < self.records_end or", "start < 40 or"),
    Mutation("arena off by one", FORMAT, "start + length > self.arena_size", "start + length > self.arena_size + 4"),
    Mutation(
        "weights of bytes in pixel strides",
        FORMAT,
        "bits.pack_rows(plus.reshape(node.filters, -1))",
        "bits.pack_maps(plus)",
    ),
    Mutation("most significant bit first", BITS, 'axis=-1, bitorder="little")', 'axis=-1, bitorder="big")'),
    Mutation("unpacked from the other end", BITS, 'count=count, bitorder="little"', 'count=count, bitorder="big"'),
    Mutation("pixel stride of 24", BITS, "return -(-channels // 32) * 32", "return -(-channels // 8) * 8"),
    Mutation("value freed before its last reader", PLAN, "return max([value - 1, *readers])", "return value - 1"),
    Mutation(
        "output size rounded up",
        GEOMETRY,
        "(size[0] + top + bottom - window[0]) // stride[0] + 1",
        "-(-(size[0] + top + bottom - window[0]) // stride[0]) + 1",
    ),
)

MUTATIONS = ENGINE + TILES + HOST


def make_records(path: Path) -> None:
    """Write what the oracle and the table of damaged models say, made with the unchanged code."""
    sys.path[:0] = [str(TESTS), str(ROOT / "host")]
    import make_golden
    import vectors
    from evil.table import rows

    random = [vectors.random_case(seed) for seed in SEEDS]
    records = {
        "cases": make_golden.load() + random,
        "models": [(seed, case.blob) for seed, case in zip(SEEDS, random, strict=True)],
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
        return bool(said), said or "MISSED"


def baseline_fault(records: Path) -> str:
    """What the check says about the unchanged code; it has to be nothing."""
    with tempfile.TemporaryDirectory(prefix="ebnn-mutant-") as name:
        copy_tree(Path(name))
        return judge(Path(name), "python", records) or judge(Path(name), "c", records)


def run_all(mutations: list[Mutation], jobs: int, show: Callable[[str], None]) -> list[str]:
    """Try every mutation; returns the lines of those that are not caught, or of a check that fails by itself."""
    with tempfile.TemporaryDirectory(prefix="ebnn-mutants-") as name:
        records = Path(name) / "records.pickle"
        make_records(records)
        fault = baseline_fault(records)
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
    args = parser.parse_args()
    chosen = [mutation for mutation in MUTATIONS if args.only in f"{mutation.file} {mutation.name}"]
    wrong = run_all(chosen, args.jobs, lambda line: print(line, flush=True))
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} caught")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The golden cases: the networks of ``golden_cases.py`` as models, with inputs and values from the oracle.

``python tests/make_golden.py`` writes the files of the current version of the format again; a test says whether that
changes them. What is committed of a version stays (docs/SPEC.md, section 9).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ebnn import ops
from ebnn.files import write_atomic
from ebnn.geometry import value_bytes
from ebnn.network import Network
from ebnn.plan import Plan, scratch_bytes
from golden_cases import FAMILIES, Hand
from vectors import Case, from_text, make_case, to_text

FOLDER = Path(__file__).parent / "golden"
CURRENT = FOLDER / f"{ops.FORMAT_MAJOR}.{ops.FORMAT_MINOR}"
ROOM = 2048  # bytes of scratch for the fast kernels
# Of these cases the outputs lie as far over what they are made from as the order of section 5 lets them: their places.
OVER = {
    "bases": (4, 4, 4, 0, 164),
    "branches": (4, 44, 0, 40, 72),
    "downsampling_option_a": (100, 316, 100, 352, 92, 0, 408),
    "downsampling_repeated": (8, 224, 8, 260, 0, 260, 368),
    "network": (8, 0, 44, 48),
    "residual": (0, 408, 216, 444),
    "resize_average": (4, 0, 16),
    "signal": (12, 0, 152),
}


def layout(name: str, network: Network) -> Plan:
    """A plan that asks no planner: outputs one behind the other or as ``OVER`` says, then all scratch.

    Every other case has scratch for the fast kernels, the rest the least that the SPEC asks for.
    """
    sizes = [-(-value_bytes(value) // 4) * 4 for value in network.values[1:]]
    places = OVER.get(name, [sum(sizes[:k]) for k in range(len(sizes))])
    end = max(place + size for place, size in zip(places, sizes, strict=True))
    least = [scratch_bytes(node, network.values[node.inputs[0]]) for node in network.nodes]
    scratch = [max(size, ROOM * (len(name) % 2)) for size in least]
    return Plan(tuple(places), tuple((end, size) for size in scratch), end + max(scratch))


def cases() -> Iterator[Case]:
    """Every golden case of the current version."""
    for family in FAMILIES:
        for name, note, network in family():
            inputs = Hand(name + " input").images(network.input)
            yield make_case(name, note, network, inputs, layout(name, network))


def load() -> list[Case]:
    """The committed golden cases of every version."""
    return [from_text(path.stem, path.read_text(encoding="ascii")) for path in sorted(FOLDER.glob("*/*.txt"))]


def rendered() -> dict[Path, str]:
    """Every golden file of the current version with the content that it should have."""
    return {CURRENT / f"{case.name}.txt": to_text(case) for case in cases()}


def main() -> None:
    """Write the files of the current version."""
    wanted = rendered()
    CURRENT.mkdir(exist_ok=True)
    for path, text in wanted.items():
        write_atomic(path, text)
    print(f"{len(wanted)} cases, {sum(map(len, wanted.values()))} bytes")


if __name__ == "__main__":
    main()

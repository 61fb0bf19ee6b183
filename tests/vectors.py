"""Test vectors: a model, inputs and what the oracle says about them; as readable text and as a binary file.

Text, one file a case (``tests/golden/1.0/*.txt``); hex may break over indented lines:

    # what the case covers
    model HEX
    input HEX
    node 0 conv HEX                  a node's output bytes ...
    node 1 conv crc 01234567 of 260  ... or, where long, their CRC-32 and length
    scores 1 -2 3
    prediction 2
    margin 5

An ``input`` opens a run; a case has one or more.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

import networks
import oracle
from ebnn.format import SelfTest, decode, encode
from ebnn.network import Network
from ebnn.plan import Plan, make_plan

LONG = 64  # bytes of output from which a text holds the CRC only
WIDTH = 96  # hex digits a line


@dataclass
class Run:
    """One input with every node's output as text (see ``show``), scores, prediction and its margin."""

    data: bytes
    nodes: list[str] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)
    prediction: int = 0
    margin: int = 0


@dataclass
class Case:
    """A model with its runs."""

    name: str
    note: str
    blob: bytes
    operators: list[str]
    runs: list[Run]


def show(output: bytes) -> str:
    """A node's output as text: hex, or CRC-32 and length where it is long."""
    if len(output) <= LONG:
        return output.hex()
    return f"crc {zlib.crc32(output):08x} of {len(output)}"


def seal(network: Network, seed: int = 1, plan: Plan | None = None) -> bytes:
    """The model of a network, laid out small where no plan is given, with the self-test CRC that the oracle says."""
    crc = oracle.selftest(oracle.decode(encode(network, SelfTest(seed, 0), plan)))
    return encode(network, SelfTest(seed, crc), plan)


def make_case(
    name: str, note: str, network: Network, inputs: list[bytes], plan: Plan | None = None, seed: int = 1
) -> Case:
    """The case of a network: every value in it comes from the oracle."""
    blob = seal(network, seed, plan)
    model = oracle.decode(blob)
    runs = []
    for data in inputs:
        outputs = oracle.trace(model, data)
        scores = oracle.scores_of(model, outputs[-1])
        shown = [show(output) for output in outputs]
        runs.append(Run(data, shown, scores, oracle.predict(scores), oracle.margin_of(scores)))
    return Case(name, note, blob, [node.op for node in model.nodes], runs)


def random_case(seed: int) -> Case:
    """The case of the random network of ``seed``."""
    network = networks.random_network(seed)
    plan = make_plan(network, networks.random_fit(network, seed))
    return make_case(f"random {seed}", "", network, networks.random_inputs(network, seed), plan, seed + 1)


def least_case(seed: int) -> Case:
    """The case of the network of ``seed`` for the engine for the least memory."""
    network = networks.least_network(seed)
    return make_case(f"least {seed}", "", network, networks.random_inputs(network, seed), seed=seed + 1)


def shrinking_case(seed: int) -> Case:
    """The case of the shrinking network of ``seed``."""
    network = networks.shrinking_network(seed)
    return make_case(f"shrinking {seed}", "", network, networks.random_inputs(network, seed), seed=seed + 1)


def tight_cases(cases: list[Case]) -> list[Case]:
    """The same cases, each laid out twice with its outputs as far over their inputs as can be."""
    found = []
    for case in cases:
        model = decode(case.blob)
        plans = [networks.tight_plan(model.network, has_most) for has_most in (False, True)]
        blobs = [encode(model.network, model.selftest, plan) for plan in plans]
        found += [replace(case, name=f"{case.name}, tight", blob=blob) for blob in blobs]
    return found


def _wrapped(head: str, hex_text: str) -> str:
    if len(hex_text) <= WIDTH:
        return f"{head} {hex_text}"
    lines = [hex_text[start : start + WIDTH] for start in range(0, len(hex_text), WIDTH)]
    return "\n    ".join([head, *lines])


def to_text(case: Case) -> str:
    """The text of a case."""
    lines = [f"# {case.note}", _wrapped("model", case.blob.hex())]
    for run in case.runs:
        lines += ["", _wrapped("input", run.data.hex())]
        for index, (name, shown) in enumerate(zip(case.operators, run.nodes, strict=True)):
            lines.append(_wrapped(f"node {index} {name}", shown))
        lines += ["scores " + " ".join(map(str, run.scores)), f"prediction {run.prediction}", f"margin {run.margin}"]
    return "\n".join(lines) + "\n"


def from_text(name: str, text: str) -> Case:
    """The inverse of ``to_text``."""
    case = Case(name, "", b"", [], [])
    for line in text.replace("\n    ", " ").splitlines():
        key, _, rest = line.partition(" ")
        if key == "#":
            case.note = rest
        elif key == "model":
            case.blob = bytes.fromhex(rest)
        elif key == "input":
            case.runs.append(Run(bytes.fromhex(rest)))
        elif key == "node":
            _, operator, shown = rest.split(" ", 2)
            case.runs[-1].nodes.append(shown if shown.startswith("crc") else shown.replace(" ", ""))
            if len(case.runs) == 1:
                case.operators.append(operator)
        elif key == "scores":
            case.runs[-1].scores = [int(score) for score in rest.split()]
        elif key == "prediction":
            case.runs[-1].prediction = int(rest)
        elif key == "margin":
            case.runs[-1].margin = int(rest)
    return case


def pack_cases(cases: list[Case]) -> bytes:
    """What ``tests/engine/driver.c`` reads: a case is u32 model size, model, u32 inputs, u32 input size, inputs."""
    parts = []
    for case in cases:
        parts += [
            _u32(len(case.blob)),
            case.blob,
            _u32(len(case.runs)),
            _u32(len(case.runs[0].data) if case.runs else 0),
        ]
        parts += [run.data for run in case.runs]
    return b"".join(parts)


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")

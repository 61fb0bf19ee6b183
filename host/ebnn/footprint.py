"""Stack and code bytes of the engine alone on a core, from the compiler's own report."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ebnn.cengine import engine_sources
from ebnn.errors import BuildError

CFLAGS = ("-std=c99", "-Os", "-ffunction-sections")
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?\\n(\d+) bytes')
_INDIRECT = "__indirect_call"
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


@dataclass(frozen=True)
class Footprint:
    """Bytes of machine code and constants, and the deepest stack below a function's caller."""

    text: int
    stack: int


def engine_footprint(toolchain: str, cpu: str, root: str = "ebnn_run") -> Footprint:
    """Compile the engine for a core and add up the deepest chain of calls from ``root``.

    Library functions (memcpy, division) and the poll and trace callbacks are not in the figure: the compiler
    does not know their stack.

    Raises:
        BuildError: the compiler is missing or fails.
    """
    arguments = ["-mthumb", f"-mcpu={cpu}"] if toolchain.startswith("arm") else []
    with tempfile.TemporaryDirectory() as folder:
        text, graphs = 0, []
        for source in (path for path in engine_sources() if path.suffix == ".c"):
            target = Path(folder) / f"{source.stem}.o"
            command = [f"{toolchain}gcc", *CFLAGS, *arguments, "-fcallgraph-info=su", "-c", str(source)]
            run_tool([*command, "-o", str(target)])
            text += int(run_tool([f"{toolchain}size", str(target)]).splitlines()[1].split()[0])
            graphs.append(target.with_suffix(".ci").read_text(encoding="utf-8"))
    return Footprint(text, deepest_stack("\n".join(graphs), root))


def run_tool(command: list[str]) -> str:
    """The output of a program; raises BuildError with its messages where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed: make toolchain installs it") from None
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{command[0]} failed:\n{error.stderr}") from None


def public_functions() -> set[str]:
    """Names that ebnn.h declares."""
    (header,) = (path for path in engine_sources() if path.name == "ebnn.h")
    return set(re.findall(r"^\w[\w *]*?(ebnn_\w+)\(", header.read_text(encoding="utf-8"), re.MULTILINE))


def deepest_stack(graph: str, root: str) -> int:
    """Bytes of stack of the deepest chain of calls from ``root`` in gcc's call graphs (VCG text).

    A call through a pointer may reach every function that nobody calls by name and ebnn.h does not declare; one such
    step is followed in a chain, since the callbacks of the caller are called that way, too.

    Raises:
        BuildError: recursion, or no such root.
    """
    frames = {name.split(":")[-1]: int(size) for name, size in _NODE.findall(graph)}
    calls: dict[str, set[str]] = {}
    for caller, callee in _EDGE.findall(graph):
        calls.setdefault(caller.split(":")[-1], set()).add(callee.split(":")[-1])
    hidden = set(frames) - set().union(*calls.values()) - public_functions()

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise BuildError(f"{name} calls itself: its stack has no bound")
        below = [0]
        for callee in calls.get(name, ()):
            reached = {callee} if callee != _INDIRECT else set() if above.count(_INDIRECT) else hidden
            chain = (*above, name, _INDIRECT) if callee == _INDIRECT else (*above, name)
            below += [depth(target, chain) for target in reached]
        return frames.get(name, 0) + max(below)

    if root not in frames:
        raise BuildError(f"no function {root} in the call graph")
    return depth(root)

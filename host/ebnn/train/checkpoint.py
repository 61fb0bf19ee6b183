"""The state of a run in one file, written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ebnn.errors import ConfigError
from ebnn.files import write_atomic
from ebnn.train import archive
from ebnn.train.compat import chainer

Arrays = dict[str, np.ndarray]
PARTS = ("chain", "optimizer", "best")
FACTS = {"run": dict, "epochs": list, "shape": list, "labels": list}
RUN_FACTS = {"config": dict, "data": str, "parameters": dict}


def state_of(target: object) -> Arrays:
    """The arrays of a Chainer chain or optimizer, by name."""
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(target)
    return {name: np.array(array) for name, array in serializer.target.items()}


def restore(target: object, state: Mapping[str, np.ndarray], where: str | Path = "state") -> None:
    """Put a state back into the same kind of chain or optimizer; raises ConfigError naming ``where`` if it is none."""
    # Chainer broadcasts what has another form.
    for name, array in state_of(target).items():
        if array.dtype != object and name in state and state[name].shape != array.shape:
            raise ConfigError(f"{where}: its {name} is {state[name].shape}, but {array.shape} here")
    try:
        chainer.serializers.NpzDeserializer(state).load(target)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{where}: holds no state of this {type(target).__name__} ({error})") from None


def save(path: Path, parts: dict[str, Arrays], facts: dict) -> None:
    """Write several states and JSON-able facts to ``path``, atomically."""
    arrays = {f"{part}:{name}": array for part, state in parts.items() for name, array in state.items()}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomic(path, content.getvalue())


def load(path: Path) -> tuple[dict[str, Arrays], dict]:
    """Read the state and the facts of a run; raises ConfigError naming the file where it is damaged."""
    try:
        arrays = archive.read(path)
        facts = json.loads(arrays.pop("facts", np.zeros(0, np.uint8)).tobytes())
        _check_facts(facts)
        parts: dict[str, Arrays] = {}
        for name, array in arrays.items():
            part, _, key = name.partition(":")
            parts.setdefault(part, {})[key] = array
        if set(parts) != set(PARTS):
            raise ValueError(f"it has the parts {sorted(parts)}, not {sorted(PARTS)}")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable checkpoint ({error}): remove it to begin anew") from None
    return parts, facts


def _check_facts(facts: object) -> None:
    _check_keys(facts, FACTS, "facts")
    _check_keys(facts["run"], RUN_FACTS, "run")
    if len(facts["shape"]) != 3 or not all(type(size) is int and size > 0 for size in facts["shape"]):
        raise ValueError(f"its shape is {facts['shape']}")
    if not all(isinstance(label, str) for label in facts["labels"]):
        raise ValueError("its labels are no strings")


def _check_keys(found: object, wanted: dict[str, type], what: str) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"its {what} are no table")
    for key, kind in wanted.items():
        if not isinstance(found.get(key), kind):
            raise ValueError(f"its {what} have no {key} of the right form")

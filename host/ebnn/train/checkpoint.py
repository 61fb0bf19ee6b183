"""The state of a run in one file, written whole or not at all."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ebnn.errors import ConfigError
from ebnn.files import write_atomic
from ebnn.train.compat import chainer

Arrays = dict[str, np.ndarray]


def state_of(target: object) -> Arrays:
    """The arrays of a Chainer chain or optimizer, by name."""
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(target)
    return {name: np.array(array) for name, array in serializer.target.items()}


def restore(target: object, state: Mapping[str, np.ndarray]) -> None:
    """Put a state back into the same kind of chain or optimizer."""
    chainer.serializers.NpzDeserializer(state).load(target)


def save(path: Path, parts: dict[str, Arrays], facts: dict) -> None:
    """Write several states and JSON-able facts to ``path``, atomically."""
    arrays = {f"{part}:{name}": array for part, state in parts.items() for name, array in state.items()}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, **arrays)
    write_atomic(path, content.getvalue())


def load(path: Path) -> tuple[dict[str, Arrays], dict]:
    """Read what ``save`` wrote; raises ConfigError naming the file where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays.pop("facts").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: not a readable checkpoint ({error}): remove it to begin anew") from None
    parts: dict[str, Arrays] = {}
    for name, array in arrays.items():
        part, _, key = name.partition(":")
        parts.setdefault(part, {})[key] = array
    return parts, facts

"""Frozen modules and C headers hold the model's very bytes."""

from __future__ import annotations

import re
import struct
import zlib

import pytest

from ebnn.cengine import CEngine
from ebnn.errors import ModelError
from ebnn.freeze import render_header, render_module
from evil.table import GOOD

BLOBS = {**GOOD, "odd": GOOD["chain"] + b"'\"\\\n\0{}", "short": b"EBNN1"}


def executed(source: str) -> dict:
    """The names that a module's source makes."""
    names: dict = {}
    exec(compile(source, "ebnn_model.py", "exec"), names)
    return names


@pytest.mark.parametrize("name", BLOBS)
@pytest.mark.parametrize("pad", range(5))
def test_module_holds_the_model(name: str, pad: int) -> None:
    blob = BLOBS[name]
    names = executed(render_module(blob, pad, "An origin."))
    assert bytes(names["model"]) == blob
    assert isinstance(names["model"], memoryview if pad else bytes)
    assert names["_DATA"][pad : pad + len(blob)] == blob


def test_constant_has_the_same_length_for_each_pad() -> None:
    lengths = {len(executed(render_module(GOOD["chain"], pad))["_DATA"]) for pad in (1, 2, 3, 4)}
    assert lengths == {len(GOOD["chain"]) + 4}


def test_module_says_what_it_holds() -> None:
    text = render_module(GOOD["chain"], origin="Made of sand.")
    assert text.startswith("# Made of sand.\n")
    assert f"{len(GOOD['chain'])} bytes, CRC-32 {zlib.crc32(GOOD['chain']):#010x}" in text
    text.encode("ascii")


@pytest.mark.parametrize("pad", [-1, 5])
def test_other_pads_are_refused(pad: int) -> None:
    with pytest.raises(ValueError, match=f"pad must be 0 to 4, got {pad}"):
        render_module(GOOD["chain"], pad)


@pytest.mark.parametrize("name", GOOD)
def test_header_holds_the_model_as_words(name: str) -> None:
    blob, text = GOOD[name], render_header(GOOD[name])
    body = text[text.index("= {") : text.index("};")]
    words = [int(word, 16) for word in re.findall(r"0x[0-9a-f]{8}", body)]
    assert struct.pack(f"<{len(words)}I", *words)[: len(blob)] == blob
    assert f"ebnn_model[{len(words)}]" in text
    assert re.search(rf"#define EBNN_MODEL_SIZE {len(blob)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", GOOD)
def test_header_says_what_memory_the_model_wants(name: str) -> None:
    sizes = dict(
        re.findall(r"#define EBNN_MODEL_(NODES|ARENA_SIZE|INPUT_SIZE) (\d+)$", render_header(GOOD[name]), re.M)
    )
    net = CEngine(GOOD[name]).net
    wanted = {"NODES": net.node_count, "ARENA_SIZE": net.arena_size, "INPUT_SIZE": net.input_size}
    assert {key: int(value) for key, value in sizes.items()} == wanted


def test_a_header_is_of_sound_models_only() -> None:
    with pytest.raises(ModelError):
        render_header(b"EBNN1")

"""Inputs from frames, and answers that may be unsure, on real MicroPython: the package says what is right."""

from __future__ import annotations

import numpy as np
import pytest
from test_device import raised

import built
from ebnn import ops
from ebnn.board.session import RemoteError, Session
from ebnn.format import SelfTest, Use, decode, encode
from ebnn.geometry import Value
from ebnn.network import Network, dense_node
from ebnn.prepare import Frame, Preparation
from ebnn.sim import Simulator, margins
from pictures import Shot, random_shot, waiting_model

KINDS = len(ops.FORMATS) * 3 * 2  # what random_shot takes turns with
SHOTS = range(2 * KINDS)


def options(shot: Shot) -> str:
    """The arguments of a shot's ebnn.Input behind the model."""
    frame, how = shot.frame, shot.preparation
    text = f"{frame.width}, {frame.height}, ebnn.{frame.format}, resize={how.resize!r}, invert={how.invert}"
    text += "" if frame.stride is None else f", stride={frame.stride}"
    text += "" if frame.crop is None else f", crop={frame.crop}"
    return text + (f", threshold={how.threshold}" if how.threshold else "")


def load_model(device: Session, blob: bytes) -> None:
    """Make ``m`` of a model."""
    device.exec(f"m = p = x = None\ngc.collect()\nm = ebnn.Model({blob!r})")


def test_random_frames(device: Session) -> None:
    for shot in map(random_shot, SHOTS):
        load_model(device, waiting_model(shot.shape, shot.dtype))
        device.exec(f"p = ebnn.Input(m, {options(shot)})\ngc.collect()")
        device.exec(f"x = {shot.data!r}")  # by itself: a small board's heap holds little beside its text
        assert device.eval("bytes(p(x))") == shot.packed(), shot
        assert device.eval("m.infer(p(x))") == 0


def test_formats(device: Session) -> None:
    assert device.eval(f"({', '.join(f'ebnn.{name}' for name in ops.FORMATS)})") == tuple(ops.FORMATS.values())


def test_a_frame_buffer_is_a_frame(device: Session) -> None:
    try:
        device.exec("import framebuf")
    except RemoteError:
        pytest.skip("this board has no framebuf")
    device.exec(f"m = ebnn.Model({waiting_model((4, 5), 'u8')!r})")
    for name in ("MONO_VLSB", "MONO_HLSB", "MONO_HMSB", "GS8", "RGB565"):
        device.exec(
            f"b = framebuf.FrameBuffer(bytearray(400), 11, 9, framebuf.{name}, 13)\n"
            f"b.fill(0)\nb.rect(3, 1, 5, 6, {0xFFFF if name == 'RGB565' else 255}, True)\n"
            f"p = ebnn.Input(m, 11, 9, framebuf.{name}, stride=13, crop=(2, 1, 5, 4))"
        )
        wanted = [[0 if x == 0 else 255 for x in range(5)] for y in range(4)]
        assert device.eval("bytes(p(b))") == bytes(sum(wanted, [])), name


def network_of(height: int, width: int, dtype: str = "u8") -> Network:
    """Three scores of a picture."""
    rng = np.random.default_rng(7)
    weights = rng.choice(np.array([-1, 1]), (3, height, width, 1))
    node = dense_node(0, weights, offsets=np.array([1, 2, 3]))
    return Network(Value(0, (height, width, 1), dtype), (node,))


def calibrated(margin: int, preparation: Preparation | None = None, dtype: str = "u8") -> bytes:
    """A model with an input of 6 x 8 that records this."""
    return encode(network_of(6, 8, dtype), SelfTest(1, 0), use=Use(margin, preparation))


def answers(count: int) -> list[tuple[bytes, int, int]]:
    """Inputs of that model with class and margin."""
    images = np.random.default_rng(3).integers(0, 256, (count, 6, 8, 1), np.uint8)
    scores = Simulator(network_of(6, 8)).run(images)
    return [
        (image.tobytes(), int(row.argmax()), int(margin))
        for image, row, margin in zip(images, scores, margins(scores), strict=True)
    ]


def test_sure_answers(device: Session) -> None:
    found = answers(9)
    least = sorted(margin for _, _, margin in found)[4]
    load_model(device, calibrated(least))
    assert device.eval("(m.margin, m.min_margin)") == (None, least)
    for data, label, margin in found:
        wanted = label if margin >= least else None
        assert device.eval(f"(m.classify({data!r}), m.margin)") == (wanted, margin)
        assert device.eval(f"(m.infer({data!r}), m.margin)") == (label, margin)
    # An answer that is on its way changes nothing yet.
    data, label, other = found[0]
    assert device.eval(f"[m.feed({data[:8]!r}), m.margin]") == [None, margin]
    assert device.eval(f"[m.feed({data[8:]!r}), m.margin]") == [label, other]
    assert "AttributeError" in raised(device, "m.margin = 1")
    assert "AttributeError" in raised(device, "m.min_margin = 1")


def test_the_margin_of_a_single_score(device: Session) -> None:
    load_model(device, waiting_model((1, 1), "u8"))
    assert device.eval("(m.infer(b'x'), m.margin)") == (0, 2**32 - 1)


def test_the_default_model_classifies(device: Session) -> None:
    found = answers(6)
    least = sorted(margin for _, _, margin in found)[3]
    device.exec(f"ebnn.load({calibrated(least)!r})")
    try:
        for data, label, margin in found:
            assert device.eval(f"ebnn.classify({data!r})") == (label if margin >= least else None)
    finally:
        device.exec("ebnn.load()")
    run = built.frozen_case().runs[0]
    assert decode(built.frozen_case().blob).use.margin == 0
    for call in ("ebnn", "ebnn.load()"):
        text = raised(device, f"{call}.classify({run.data!r})")
        assert text == "ValueError: the model has no min_margin: calibrate it (ebnn calibrate), or use infer"
    assert device.eval("ebnn.load().min_margin") is None


def test_nothing_is_allocated(device: Session) -> None:
    code = f"""
import micropython
x = bytes(range(256)) * 2
out = array("i", [0] * 3)
m = ebnn.load({calibrated(1, Preparation("average", True))!r})
p = ebnn.Input(m, 16, 16, ebnn.RGB565, crop=(1, 2, 13, 11))
label = sure = margin = None
micropython.heap_lock()
try:
    label = ebnn.infer(p(x))
    sure = ebnn.classify(p(x))
    sure = m.classify(p(x))
    margin = m.margin >= m.min_margin
finally:
    micropython.heap_unlock()
print(label, sure, margin)
"""
    label, sure, margin = device.exec(code).split()
    assert label == sure and margin == "True"
    device.exec("ebnn.load()")


def test_what_the_model_records_is_taken(device: Session) -> None:
    data = bytes(range(13 * 11))
    for how, dtype in ((Preparation("nearest", True), "u8"), (Preparation("average", False, 77), "bits")):
        load_model(device, calibrated(0, how, dtype))
        device.exec(f"x = {data!r}\np = ebnn.Input(m, 13, 11, ebnn.GS8)")
        shot = Shot(Frame(13, 11, "GS8"), how, (6, 8), data)
        assert device.eval("bytes(p(x))") == shot.packed()
        assert device.eval(f"bytes(ebnn.Input(m, {options(shot)})(x))") == shot.packed()


def test_what_contradicts_the_model_is_refused(device: Session) -> None:
    load_model(device, calibrated(0, Preparation("average", False, 77), "bits"))
    wrong = {
        "resize='nearest'": "ValueError: the model records resize='average', not 'nearest'",
        "resize='none'": "ValueError: the model records resize='average', not 'none'",
        "invert=True": "ValueError: the model records invert=False, not True",
        "threshold=78": "ValueError: the model records threshold=77, not 78",
    }
    assert {how: raised(device, f"ebnn.Input(m, 13, 11, ebnn.GS8, {how})") for how in wrong} == wrong
    load_model(device, calibrated(0, Preparation("nearest", True)))
    wrong = {
        "resize='average'": "ValueError: the model records resize='nearest', not 'average'",
        "invert=0": "ValueError: the model records invert=True, not False",
    }
    assert {how: raised(device, f"ebnn.Input(m, 13, 11, ebnn.GS8, {how})") for how in wrong} == wrong


def test_wrong_calls_get_a_sentence(device: Session) -> None:
    frame, crop, picture = (f"ValueError: {ops.ERROR_TEXT[name]}" for name in ("FRAME", "CROP", "PICTURE"))
    wrong = {
        "7, 13, 11, ebnn.GS8": "TypeError: not an ebnn.Model",
        "m, 0, 11, ebnn.GS8": frame,
        "m, 13, -1, ebnn.GS8": frame,
        "m, 13, 11, 2": frame,
        "m, 13, 11, 256 + ebnn.GS8": frame,
        "m, 13, 11, ebnn.GS8, stride=12": frame,
        "m, 13, 11, ebnn.GS8, stride=0": frame,
        "m, 7, 11, ebnn.GS8": crop,
        "m, 13, 5, ebnn.GS8": crop,
        "m, 13, 11, ebnn.GS8, crop=(0, 0, 0, 0)": crop,
        "m, 13, 11, ebnn.GS8, crop=(-1, 0, 9, 9)": crop,
        "m, 13, 11, ebnn.GS8, crop=(5, 0, 9, 9)": crop,
        "m, 13, 11, ebnn.GS8, crop=(1, 2, 9)": "ValueError: crop must be (x, y, width, height)",
        "m, 13, 11, ebnn.GS8, crop=9": "ValueError: crop must be (x, y, width, height)",
        "m, 13, 11, ebnn.GS8, resize='none'": picture,
        "m, 13, 11, ebnn.GS8, resize='bilinear'": "ValueError: resize must be 'average', 'nearest' or 'none'",
        "m, 13, 11, ebnn.GS8, resize=1": "ValueError: resize must be 'average', 'nearest' or 'none'",
        "m, 13, 11, ebnn.GS8, threshold=9": "ValueError: threshold must be 1 to 255, and is for inputs of bits",
        "m, 13, 11": "TypeError: ",
    }
    load_model(device, calibrated(0))
    assert {call: raised(device, f"ebnn.Input({call})")[: len(text)] for call, text in wrong.items()} == wrong
    device.exec("p = ebnn.Input(m, 13, 11, ebnn.GS8)")
    assert raised(device, "p(bytes(142))") == "ValueError: frame must be 143 bytes, got 142"
    assert raised(device, "p(7)") == "TypeError: frame must be bytes or a buffer, got int"
    assert "TypeError" in raised(device, "p()")
    assert device.eval("bytes(p(bytes(150)))") == bytes(48)


def test_inputs_of_several_channels_are_refused(device: Session) -> None:
    load_model(device, built.frozen_case().blob)
    assert device.eval("m.input_shape[2]") == 1
    node = dense_node(0, np.ones((1, 2, 2, 3)), offsets=[0])
    load_model(device, encode(Network(Value(0, (2, 2, 3), "u8"), (node,)), SelfTest(1, 0)))
    assert raised(device, "ebnn.Input(m, 4, 4, ebnn.GS8)") == f"ValueError: {ops.ERROR_TEXT['PICTURE']}"


def test_a_buffer_that_grows_is_refused(device: Session) -> None:
    load_model(device, calibrated(0))
    device.exec("p = ebnn.Input(m, 13, 11, ebnn.GS8)\nx = p(bytes(143))")
    assert device.eval("p(bytes(143)) is x") is True
    device.exec("x.extend(bytes(900))")
    text = "ValueError: the buffer of the input has changed its size: make a new ebnn.Input"
    assert raised(device, "p(bytes(143))") == text

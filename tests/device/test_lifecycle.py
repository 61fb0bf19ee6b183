"""The module's life on real MicroPython: docs/lifecycle.md is the specification."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest
from test_device import raised

import built
import make_golden
from ebnn.board.session import CTRL_C, CTRL_D, RemoteError, Session
from ebnn.cengine import CEngine
from ebnn.count.cases import Case, build_network
from ebnn.format import SelfTest, Use, decode, encode
from ebnn.plan import make_plan
from exact import rows_of

FROZEN = built.frozen_case()
RUN = FROZEN.runs[0]
OTHER = built.golden("conv_bits_plain")
CHUNK = 3000  # bytes of a model that are sent at once

# A file system of files in a dict, for boards that have none.
FILES = """
import io, vfs
class Files:
    def mount(self, *_):
        pass
    umount = mount
    def stat(self, path):
        if path.lstrip("/") in files:
            return (0x8000,) + (0,) * 9
        raise OSError(2)
    def open(self, path, mode):
        if path.lstrip("/") in files:
            return io.BytesIO(files[path.lstrip("/")])
        raise OSError(2)
files = {}
vfs.mount(Files(), "/life")
"""


@pytest.fixture(autouse=True)
def life(device: Session, tidy: None) -> Iterator[None]:
    """``v``: bytes of the frozen model; ``x``: an input of it; afterwards no model is loaded."""
    device.exec(f"import ebnn_model, micropython\nv = ebnn_model.model\nx = {RUN.data!r}")
    device.exec("sys.modules.pop('__ebnn_default__', 0)")
    yield
    device.exec("sys.modules.pop('__ebnn_default__', 0)")


@pytest.fixture
def files(device: Session) -> Iterator[None]:
    """``files``: a dict that is the folder /life, where modules are looked for first."""
    device.exec(f"{FILES}sys.path.insert(0, '/life')\nsys.modules.pop('ebnn_model', 0)")
    yield
    device.exec("sys.path.remove('/life')\nvfs.umount('/life')\nsys.modules.pop('ebnn_model', 0)\nfiles = Files = None")


def works(device: Session, model: str = "m") -> bool:
    """Whether a model of the frozen case gives its scores."""
    return device.eval(f"{model}.scores(x)") == tuple(RUN.scores)


def send(device: Session, name: str, data: bytes) -> None:
    """A bytearray of any length, in parts that a small heap takes."""
    device.exec(f"from binascii import a2b_base64\n{name} = bytearray()")
    for at in range(0, len(data), CHUNK):
        device.exec(f"{name}.extend(a2b_base64({base64.b64encode(data[at : at + CHUNK])!r}))")
    device.exec("gc.collect()")


def needs(device: Session, name: str) -> None:
    """Skip where ``micropython`` has no such function."""
    if not device.eval(f"hasattr(micropython, {name!r})"):
        pytest.skip(f"this board has no micropython.{name}")


def needs_room(device: Session) -> None:
    """Skip where the heap is small."""
    if device.small < 4000:
        pytest.skip("the board's heap does not hold this test beside a model")


# --- the default model ---


def test_the_first_infer_loads_the_default_model(device: Session) -> None:
    assert device.eval("'__ebnn_default__' in sys.modules") is False
    assert device.eval("ebnn.infer(x)") == RUN.prediction
    assert works(device, "sys.modules['__ebnn_default__']")
    device.exec("m = sys.modules['__ebnn_default__']\ngc.collect()")
    assert device.eval("(ebnn.infer(x), sys.modules['__ebnn_default__'] is m)") == (RUN.prediction, True)
    assert device.eval("ebnn.load() is m") is False, "load() without an argument makes a new one"


def test_load_takes_blobs_and_models(device: Session) -> None:
    device.exec(f"m = ebnn.load({OTHER.blob!r})\np = {OTHER.runs[0].data!r}")
    assert device.eval("(m is sys.modules['__ebnn_default__'], ebnn.infer(p))") == (True, OTHER.runs[0].prediction)
    device.exec("m = ebnn.Model(v)")
    assert device.eval("(ebnn.load(m) is m, ebnn.infer(x))") == (True, RUN.prediction)
    assert raised(device, "ebnn.load(7)").startswith("TypeError")
    assert raised(device, "ebnn.load(v[:-1])").startswith("ValueError")
    assert device.eval("(m is sys.modules['__ebnn_default__'], ebnn.infer(x))") == (True, RUN.prediction)


def test_anything_under_the_name_of_the_default_model(device: Session) -> None:
    for value in ("7", "sys", "ebnn.Model", "type('', (), {})()"):
        device.exec(f"sys.modules['__ebnn_default__'] = {value}")
        assert device.eval("ebnn.infer(x)") == RUN.prediction


def import_all(device: Session) -> None:
    """What the tests want to find after a reset. The stock boards' file system is mounted anew; unix's own stays."""
    device.exec("try:\n    import ebnn\nexcept ImportError:\n    import native_files\n    import ebnn")
    device.exec("import gc, sys, micropython, ebnn_model\nfrom array import array\nv = ebnn_model.model")


def restart(device: Session) -> None:
    """A soft reset, which gives back what machine code was loaded."""
    device.soft_reset()
    import_all(device)


@pytest.mark.parametrize("prompt", ["raw", "friendly"])
def test_a_soft_reset_forgets_the_default_model(device: Session, prompt: str) -> None:
    device.exec(f"ebnn.load({OTHER.blob!r})")
    if prompt == "raw":
        device.soft_reset()
    else:
        device.enter_friendly()
        device.link.write(CTRL_D)
        device.wait_prompt(time.monotonic() + 20)
    import_all(device)
    assert device.eval("'__ebnn_default__' in sys.modules") is False
    assert device.eval(f"ebnn.infer({RUN.data!r})") == RUN.prediction


def test_the_module_is_imported_again(device: Session) -> None:
    device.exec("m = ebnn.load(v)\na = ebnn\nsys.modules.pop('ebnn', 0)\ngc.collect()")
    for code in ("a.Model(v).infer(x)", "a.load(v).infer(x)", "a.infer(x)", "m.infer(x)"):
        assert device.eval(code) == RUN.prediction, "before it is imported again"
    device.exec("m = a.load(v)\ndel ebnn\nimport ebnn\ngc.collect()")
    assert device.eval("(ebnn.Model is a.Model, isinstance(m, ebnn.Model), ebnn.__version__ == a.__version__)") == (
        (True,) * 3
    )
    assert device.eval("(a.infer(x), ebnn.infer(x), sys.modules['__ebnn_default__'] is m)") == (
        RUN.prediction, RUN.prediction, True,
    )  # fmt: skip
    restart(device)


def test_two_modules_share_the_default_model(device: Session) -> None:
    device.exec("a, b = {}, {}\nfor p in (a, b):\n    exec('import ebnn\\ndef f(x):\\n    return ebnn.infer(x)', p)")
    device.exec(f"a['ebnn'].load({OTHER.blob!r})\np = {OTHER.runs[0].data!r}")
    assert device.eval("(a['f'](p), b['f'](p), ebnn.infer(p))") == (OTHER.runs[0].prediction,) * 3


def test_no_model_module(device: Session) -> None:
    device.exec("p = sys.path[:]\nsys.path[:] = []\nsys.modules.pop('ebnn_model', 0)")
    try:
        text = raised(device, "ebnn.infer(b'')")
    finally:
        device.exec("sys.path[:] = p")
    assert text == "ImportError: no module ebnn_model: freeze or copy one, or use ebnn.Model(blob)"
    assert device.eval("ebnn.infer(x)") == RUN.prediction


def test_a_model_module_that_is_wrong_and_mended(device: Session, files: None) -> None:
    device.exec("sys.modules['life'] = p = type('', (), {})()\np.good = v\np.bad = bytearray(v)\np.bad[-1] ^= 1")
    wrong = {
        "1 / 0": "ZeroDivisionError",
        "x = (": "SyntaxError",
        "import nothing_here": "ImportError",
        "x = 1": "AttributeError",
        "model = 7": "TypeError",
        "model = None": "TypeError",
        "model = b'EBNN'": "ValueError",
        "import life\nmodel = life.bad": "ValueError",
    }
    for source, error in wrong.items():
        device.exec(f"files['ebnn_model.py'] = {source.encode()!r}")
        for _ in range(2):
            assert raised(device, "ebnn.infer(x)").startswith(error), source
        assert device.eval("'__ebnn_default__' in sys.modules") is False
        device.exec("files['ebnn_model.py'] = b'import life\\nmodel = life.good'")
        device.exec("sys.modules.pop('ebnn_model', 0)")
        assert device.eval("ebnn.infer(x)") == RUN.prediction, source
        device.exec("del sys.modules['__ebnn_default__'], sys.modules['ebnn_model']")
    device.exec("del sys.modules['life']")


# --- blobs ---


@pytest.mark.parametrize(
    "blob",
    [
        "v", "bytes(v)", "bytearray(v)", "memoryview(v)", "memoryview(bytearray(3) + v)[3:]", "array('B', v)",
        "memoryview(array('B', v))",
    ],
)  # fmt: skip
def test_blobs_of_every_kind(device: Session, blob: str) -> None:
    device.exec(f"m = ebnn.Model({blob})\ngc.collect()")
    assert works(device)


def test_blobs_of_words(device: Session) -> None:
    assert len(OTHER.blob) % 4 == 0
    device.exec(f"m = ebnn.Model(array('I', {OTHER.blob!r}))\ngc.collect()")
    assert device.eval(f"m.infer({OTHER.runs[0].data!r})") == OTHER.runs[0].prediction
    assert raised(device, f"ebnn.Model(array('I', {OTHER.blob!r} + bytes(4)))").startswith("ValueError")


def test_a_model_from_a_file(device: Session, files: None) -> None:
    device.exec("files['m.ebnn'] = v\nm = ebnn.Model('/life/m.ebnn')\nfiles.clear()\ngc.collect()")
    assert works(device)
    device.exec("files['m.ebnn'] = v\nebnn.load('/life/m.ebnn')\nfiles['bad.ebnn'] = v[:-1]")
    assert device.eval("ebnn.infer(x)") == RUN.prediction
    assert raised(device, "ebnn.Model('/life/bad.ebnn')").startswith("ValueError: model is truncated")
    assert raised(device, "ebnn.Model('/life/none.ebnn')").startswith("OSError")
    device.exec("files['ebnn_model.py'] = b\"model = '/life/m.ebnn'\"\nebnn.load()")
    assert device.eval("ebnn.infer(x)") == RUN.prediction


def test_a_model_whose_bytes_change(device: Session) -> None:
    """Weights, thresholds, records and labels: wrong answers at worst."""
    device.exec("b = bytearray(v)\nm = ebnn.Model(b)")
    for value in (0xFF, 0, 0x55, 0x80):
        device.exec(f"for i in range(len(b)):\n    b[i] = {value}")
        assert len(device.eval("m.scores(x)")) == len(RUN.scores)
        device.eval("(m.infer(x), len(m.trace(x)), m.selftest(), m.labels, repr(m))")
    device.exec("b[:] = v")
    assert works(device)


def test_a_model_whose_buffer_is_resized(device: Session) -> None:
    for change in ("b.extend(bytes(600))", "b[:] = b[:-1]", "b.append(0)"):
        device.exec(f"b = bytearray(v)\nm = ebnn.Model(b)\nassert m.infer(x) == {RUN.prediction}\n{change}")
        assert raised(device, "m.infer(x)").startswith("ValueError")


def test_a_view_of_a_buffer_that_is_resized(device: Session) -> None:
    """MicroPython's view goes on showing the old memory."""
    device.exec("b = bytearray(v)\nm = ebnn.Model(memoryview(b))\nb.extend(bytes(900))\ngc.collect()")
    device.exec("a = [bytes(range(64)) for i in range(9)]")
    assert len(device.eval("m.scores(x)")) == len(RUN.scores)


@pytest.mark.parametrize("moved", ["arena", "input", "model"])
def test_buffers_that_move_while_the_model_runs(device: Session, moved: str) -> None:
    device.exec(
        "b = {'model': bytearray(v), 'input': bytearray(x), 'arena': bytearray(ebnn.Model(v).arena_size + 3)}\n"
        "b['behind'] = bytearray(len(b['arena']))\n"  # so that the arena does not grow where it lies
        "m = ebnn.Model(b['model'], b['arena'])\n"
        f"def hook():\n    b['{moved}'].extend(bytes(800))\n    gc.collect()\n    return bytes(50)"
    )
    assert raised(device, "m.trace(b['input'], hook)").startswith("ValueError: ")
    device.exec("m = ebnn.Model(v)")
    assert works(device)


def test_an_output_that_moves_while_the_model_runs(device: Session) -> None:
    needs(device, "schedule")
    device.exec(
        f"m = ebnn.Model(v)\nout = array('i', [0] * {len(RUN.scores)})\n"
        "def grow(_):\n    out.append(1)\n"
        "micropython.schedule(grow, 0)"
    )
    # The callback runs before the call or inside of it; either way nothing may be written behind the array.
    text = raised(device, "m.scores(x, out)")
    assert text.startswith("ValueError: out must have")
    assert works(device)


# --- garbage, memory that ends, a heap that is locked ---


def test_collection_at_every_allocation(device: Session) -> None:
    rows = rows_of(decode(FROZEN.blob).network.input, RUN.data)
    code = f"""
def live():
    rows = {rows!r}
    m = ebnn.Model(bytearray(v))
    f, g, h = m.infer, m.feed, m.scores
    m = None
    found = [f(x), h(x), h(x, array('i', [0] * {len(RUN.scores)}))]
    for row in rows:
        junk = [bytes(64)]
        last = g(row)
    f = h = None
    for row in rows:
        again = g(row)
    m = ebnn.Model(memoryview(bytes(1) + v)[1:], bytearray(ebnn.Model(v).arena_size + 3))
    found += [last, again, m.trace(x, lambda: [0] * 9) and m.scores(x), m.selftest(), ebnn.infer(x)]
    return found
gc.threshold(1)
try:
    r = live()
finally:
    gc.threshold(-1)
"""
    device.exec(code)
    answer, scores = RUN.prediction, tuple(RUN.scores)
    assert device.eval("[r[0], r[1], tuple(r[2])] + r[3:]") == [
        answer, scores, scores, answer, answer, scores, True, answer,
    ]  # fmt: skip


def test_dropped_models_give_their_memory_back(device: Session) -> None:
    device.exec(
        "def rounds(n):\n"
        "    for i in range(n):\n"
        "        m = ebnn.Model(memoryview(bytes(1) + v)[1:])\n"
        "        m.infer(x)\n"
        "        m.scores(x)\n"
        "        m.selftest(), m.trace(x), m.feed(x[:m.row_size])\n"
        "    m = None\n"
        "    gc.collect()\n"
        "    return gc.mem_alloc()\n"
        "rounds(2)"
    )
    # The collector may take a word on the stack for an address, even of a whole model, but not of one more each time.
    used = [device.eval("rounds(40)") for _ in range(4)]
    assert min(later - earlier for earlier, later in itertools.pairwise(used)) < 40 * 16, "a block a round is lost"


STARVE = """
def starve(call, n):
    # How often a call fails while the free memory grows block by block, until it succeeds.
    left = [None] * n
    hole = bytearray(16 * n)
    hog = None
    for size in (4096, 256, 16):
        try:
            while True:
                hog = (hog, bytearray(size))
        except MemoryError:
            pass
    i = failed = 0
    try:
        while True:
            hog = (hog,)
    except MemoryError:
        hole = None
    try:
        while i < n:
            left[i] = (i,)
            i += 1
        while True:
            hog = (hog,)
    except MemoryError:
        pass
    while True:
        try:
            call()
            break
        except MemoryError:
            failed += 1
        if m.infer(x) != answer:
            raise ValueError
        if i == 0:
            return None  # the hole is not free: some word on the stack looks like its address
        i -= 1
        left[i] = None
    return failed
"""
ALLOCATING = {
    "Model": "ebnn.Model(v)",
    "copied": "ebnn.Model(odd)",
    "load": "ebnn.load(v)",
    "default": "sys.modules.pop('__ebnn_default__', 0) and 0 or ebnn.infer(x)",
    "scores": "m.scores(x)",
    "trace": "m.trace(x)",
    "hook": "m.trace(x, list)",
    "selftest": "m.selftest()",
    "feed": "ebnn.Model(v).feed(x)",
    "repr": "repr(m)",
    "shape": "m.input_shape",
    "Input": "ebnn.Input(m, 20, 20, ebnn.GS8)",
}


def starved(device: Session) -> int:
    """How often ``call`` fails before it has the memory that it needs."""
    found = (device.eval(f"starve(call, {blocks})") for blocks in range(400, 480, 10))
    return next(failed for failed in found if failed is not None)


@pytest.mark.parametrize("name", ALLOCATING)
def test_memory_ends_at_each_allocation(device: Session, name: str) -> None:
    if device.board == "unix":
        pytest.skip("the unix port's heap grows")
    needs_room(device)
    device.exec(STARVE)
    device.exec(f"m = ebnn.Model(v)\nanswer = {RUN.prediction}\nodd = memoryview(bytes(1) + v)[1:]")
    device.exec(f"def call():\n    return {ALLOCATING[name]}")
    rounds, left = [], []
    for _ in range(4):
        rounds.append(starved(device))
        left.append(device.eval("(gc.collect(), gc.mem_free())[1]"))
    assert works(device)
    assert rounds[0] > 0
    # The collector may take a word on the stack for an address, even of the largest hog, but not of one more each
    # round; one lost block a failure would be more than these few.
    assert max(later - earlier for earlier, later in itertools.pairwise(left)) >= -128, "what failed is lost"
    device.exec("starve = call = odd = None")


def test_nothing_is_allocated_after_loading(device: Session) -> None:
    model = decode(FROZEN.blob)
    blob = encode(model.network, model.selftest, model.plan, Use(margin=1))
    code = f"""
out = array("i", [0] * {len(RUN.scores)})
m = ebnn.load({blob!r})
rows = memoryview(x)
n = m.row_size
last = a = b = row = None  # a new global may need a larger dict
m.feed(rows)
p = [rows[i:i + n] for i in range(0, len(x), n)]
micropython.heap_lock()
try:
    last = ebnn.infer(x)
    a = m.infer(x)
    m.scores(x, out)
    b = (m.classify(x) == ebnn.classify(x)) and m.margin > 0
    for row in p:
        last = m.feed(row)
finally:
    micropython.heap_unlock()
print([last, a, b] + list(out))
"""
    assert device.exec(code).strip() == str([RUN.prediction, RUN.prediction, True, *RUN.scores])


@pytest.mark.parametrize("name", ["conv_u8_stride", "conv_bits_c9", "dense_bits_input"])
def test_feed_allocates_nothing_after_the_first_row(device: Session, name: str) -> None:
    case = next(case for case in make_golden.load() if case.name == name)
    rows = rows_of(decode(case.blob).network.input, case.runs[0].data)
    code = f"""
m = ebnn.Model({case.blob!r})
rows = {rows!r}
out = array("i", [0] * {len(case.runs[0].scores)})
label = row = None
for row in rows:
    label = m.feed(row)
micropython.heap_lock()
try:
    for row in rows:
        label = m.feed(row, out)
finally:
    micropython.heap_unlock()
print([label] + list(out))
"""
    assert device.exec(code).strip() == str([case.runs[0].prediction, *case.runs[0].scores])


def test_errors_while_the_heap_is_locked(device: Session) -> None:
    calls = (
        "m.infer(b'')", "m.infer(3)", "m.scores(x)", "m.scores(x, [1])", "m.scores(x, x)", "m.feed(x)", "m.feed(b'')",
        "m.trace(x)", "m.selftest()", "m.classify(x)", "ebnn.Model(v)", "ebnn.load(v)", "ebnn.load()", "repr(m)",
        "m.input_shape", "ebnn.infer(b'')", "ebnn.Model(3)", "m.nothing", "ebnn.Input(m, 20, 20, ebnn.GS8)",
    )  # fmt: skip
    device.exec("m = ebnn.Model(v)")
    for call in calls:
        device.exec(
            f"a = b = e = None\nmicropython.heap_lock()\ntry:\n    b = {call}\nexcept Exception as e:\n    a = e\n"
            "finally:\n    micropython.heap_unlock()"
        )
        assert device.eval("isinstance(a, Exception) or b is not None"), call
        assert works(device), call
        assert device.eval("m.feed(x)") == RUN.prediction


# --- Python code while a model runs ---


def test_other_models_run_inside_and_the_same_one_is_busy(device: Session) -> None:
    needs(device, "schedule")
    code = f"""
p = ebnn.Model({OTHER.blob!r})
r = {OTHER.runs[0].data!r}
m = ebnn.Model(v)
seen = []
def cb(n):
    if n:
        micropython.schedule(cb, n - 1)
    seen.append(p.infer(r))
    m.infer(x)
def go():
    micropython.schedule(cb, 5)
    return m.scores(x)
"""
    device.exec(code)
    said = device.exec("a = go()")
    assert "RuntimeError: busy" in said
    device.exec("for i in range(20):\n    pass")  # whatever was still scheduled
    assert device.eval("a") == tuple(RUN.scores)
    assert device.eval("seen") == [OTHER.runs[0].prediction] * 6
    assert works(device)


def test_the_same_model_is_busy_for_every_method(device: Session) -> None:
    device.exec("m = ebnn.Model(v)")
    for call in ("infer(x)", "scores(x)", "feed(x)", "feed(x[:m.row_size])", "trace(x)", "selftest()"):
        assert raised(device, f"m.trace(x, lambda: m.{call})") == "RuntimeError: busy"
        assert works(device)
        assert device.eval("m.feed(x)") == RUN.prediction
    assert raised(device, "m.trace(x, lambda: 1 / 0)").startswith("ZeroDivisionError")
    assert works(device)


def test_models_in_turn(device: Session) -> None:
    device.exec(f"p = ebnn.Model({OTHER.blob!r})\nm = ebnn.Model(v)\nr = {OTHER.runs[0].data!r}")
    for _ in range(3):
        assert device.eval("(p.feed(r[:p.row_size]), m.infer(x))") == (None, RUN.prediction)
        assert device.eval("(p.infer(r), m.feed(x))") == (OTHER.runs[0].prediction, RUN.prediction)


def test_the_stack_ends_at_every_depth(device: Session) -> None:
    """Somewhere the model begins and its poll has no stack left: it must not stay busy."""
    code = """
def deep(n):
    global a
    try:
        m.infer(x)
    except RuntimeError as e:
        if 'busy' in str(e):
            a = n
    return deep(n + 1)
a = None
m = ebnn.Model(v)
"""
    device.exec(code)
    for pad in range(6):  # frames of different sizes end at different places
        arguments = ", ".join(["0"] * pad)
        device.exec(f"def start({', '.join(f'p{i}' for i in range(pad))}):\n    deep(0)")
        assert raised(device, f"start({arguments})").startswith("RuntimeError: maximum recursion")
        assert works(device)
    assert device.eval("a") is None


def slow_model(device: Session) -> tuple[bytes, bytes]:
    """A model that takes some tenths of a second on the board, and an input."""
    side = 200 if device.board == "unix" else 40
    case = Case("slow", "32c3p1-64c7p3-p8-4", (side, side, 1))
    network = build_network(case)
    image = np.random.default_rng(1).integers(0, 256, side * side, np.uint8)
    return encode(network, SelfTest(1, 0), make_plan(network, "small")), image.tobytes()


def test_ctrl_c_ends_a_long_inference(device: Session) -> None:
    needs_room(device)
    blob, image = slow_model(device)
    send(device, "b", blob)
    send(device, "r", image)
    device.exec(
        "m = ebnn.Model(b)\n"
        "def go(call):\n    global seen\n    seen = 'began'\n    print('go')\n    call(r)\n    seen = 'ended'"
    )
    scores = tuple(int(score) for score in CEngine(blob).scores(image))
    for call in ("m.infer", "m.scores", "m.feed"):
        device.begin(f"go({call})")
        shown = b""
        while b"go" not in shown:
            shown += device.read(10)
        device.push_back(shown)
        device.link.interrupt() if device.board == "unix" else device.link.write(CTRL_C)
        with pytest.raises(RemoteError, match="KeyboardInterrupt"):
            device.finish()
        assert device.eval("seen") == "began", f"{call} was not interrupted"
    assert device.eval("m.scores(r)") == scores


def test_threads(device: Session) -> None:
    """The same model from two threads is busy or works; models of their own always work."""
    try:
        device.exec("import _thread")
    except RemoteError:
        pytest.skip("this board has no threads")
    other = next(run for run in FROZEN.runs if run.scores != RUN.scores)
    code = f"""
m, p = ebnn.Model(v), ebnn.Model(v)
seen = []
def work(shared, own, x, right, rounds):
    out = array("i", right)
    busy = wrong = 0
    for i in range(rounds):
        try:
            wrong += shared.scores(x) != right
            shared.scores(x, out)
            wrong += tuple(out) != right
        except RuntimeError:
            busy += 1
        wrong += own is not None and own.scores(x) != right
    seen.append((busy, wrong))
_thread.start_new_thread(work, (m, p, x, {tuple(RUN.scores)}, 3000))
work(m, None, {other.data!r}, {tuple(other.scores)}, 6000)
while len(seen) < 2:
    pass
"""
    device.exec(code)
    found = device.eval("seen")
    assert [wrong for _, wrong in found] == [0, 0]
    assert sum(busy for busy, _ in found) > 0, "they never met"
    assert works(device)


# --- the class ---


@pytest.mark.parametrize("builtins", ["ebnn", "type('', (), {'ValueError': 3, 'TypeError': 3, 'RuntimeError': 5})"])
def test_another_module_under_the_name_of_the_builtins(device: Session, builtins: str) -> None:
    """Native modules find the exceptions there: another one may be raised, and all goes on."""
    device.exec(f"a = sys.modules.get('builtins')\nm = ebnn.Model(v)\nsys.modules['builtins'] = {builtins}")
    for call in ("m.scores(x, bytearray(40))", "m.infer(b'')", "m.trace(x, 5)", "m.trace(x, lambda: 1 // 0)"):
        raised(device, call)
    device.exec("if a is None:\n    del sys.modules['builtins']\nelse:\n    sys.modules['builtins'] = a")
    assert works(device)


def test_an_import_after_one_that_failed(device: Session) -> None:
    """Whatever lies under the native module's own name: what is imported is whole."""
    device.exec("a = sys.modules.get('__ebnn__')\nsys.modules['__ebnn__'] = sys\nsys.modules.pop('ebnn', 0)")
    device.exec("import ebnn\nm = ebnn.Model(v)")
    assert works(device)
    device.exec("if a is None:\n    del sys.modules['__ebnn__']")
    restart(device)  # machine code that was loaded stays in memory until then


def test_derived_classes(device: Session) -> None:
    needs_room(device)
    code = """
class A(ebnn.Model):
    pass
class B(ebnn.Model):
    def __init__(self, blob, name):
        self.early = []
        for get in (lambda: self.infer(x), lambda: self.classes, lambda: ebnn.load(self)):
            try:
                self.early.append(get())
            except (TypeError, AttributeError):
                self.early.append(None)
        super().__init__(blob)
        self.name = name
    def infer(self, x):
        return super().infer(x) + 100
class C(B):
    def __init__(self, blob):
        super().__init__(blob, "c")
a, b, p = A(v), B(v, "b"), C(v)
"""
    device.exec(code)
    answer, scores = RUN.prediction, tuple(RUN.scores)
    assert device.eval("(a.infer(x), b.infer(x), p.infer(x))") == (answer, answer + 100, answer + 100)
    assert device.eval("(a.scores(x), b.scores(x), p.scores(x))") == (scores,) * 3
    assert device.eval("(b.early, p.name, p.classes, isinstance(p, ebnn.Model))") == (
        [None] * 3, "c", len(scores), True,
    )  # fmt: skip
    assert device.eval("(ebnn.load(p) is p, ebnn.infer(x))") == (True, answer), "the default model is the Model in it"
    assert raised(device, "class D(ebnn.Model):\n    def __init__(self):\n        pass\nD()").startswith("TypeError")
    device.exec("class D(ebnn.Model):\n    def __init__(self, blob):\n        pass\nm = D(v)")
    assert works(device), "MicroPython makes what __init__ has not made, with the same arguments"


def test_an_input_for_a_derived_class(device: Session) -> None:
    device.exec("class A(ebnn.Model):\n    pass\nm = A(v)\np = ebnn.Input(m, 28, 28, ebnn.GS8)")
    assert device.eval("len(p(bytes(784)))") == len(RUN.data)


def test_a_wrong_self(device: Session) -> None:
    for name in ("infer", "scores", "classify", "feed", "trace"):
        for self in ("3", "None", "ebnn.Model", "x", "ebnn", "object()"):
            assert raised(device, f"ebnn.Model.{name}({self}, x)").startswith("TypeError"), (name, self)
    device.exec("m = ebnn.Model(v)")
    assert works(device)


def test_attributes_are_read_only_and_identity_is_all(device: Session) -> None:
    device.exec("m, p = ebnn.Model(v), ebnn.Model(v)")
    for code in ("m.classes = 3", "m.new = 3", "del m.classes", "m.infer = None", "del m.infer"):
        assert raised(device, code).startswith("AttributeError"), code
    assert device.eval("(m == m, m != m, m == p, len({m: 0, p: 1}), hash(m) == hash(m), bool(m))") == (
        True, False, False, 2, True, True,
    )  # fmt: skip
    for code in ("len(m)", "m[0]", "m < p", "m + p", "iter(m)", "m(x)", "bytes(m)", "ebnn.Model(m)"):
        assert raised(device, code).startswith("TypeError"), code
    assert works(device)

"""Networks of ONNX files: the same bits, integers and classes as ONNX's reference, or a refusal that names the node."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from ebnn import read_model
from ebnn.bundle import build_model
from ebnn.cli import main
from ebnn.errors import DataError, EbnnError, ExportError
from ebnn.examples import onnx_file, torch_like
from ebnn.importers import Imported, Input, read_onnx
from ebnn.importers.graph import as_images
from ebnn.sim import ELEMENTS, Simulator

QONNX = "qonnx.custom_op.general"
IMAGES = 16


class BipolarQuant(OpRun):
    op_domain = QONNX

    def _run(self, x, scale):
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)


class Quant(OpRun):
    op_domain = QONNX

    def _run(self, x, scale, zero, bits, signed=1, narrow=0, rounding_mode="ROUND"):
        low, high = -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
        if not signed:
            low, high = 0, 2**bits - 1 - narrow
        return (((np.clip(np.rint(x / scale + zero), low, high) - zero) * scale).astype(np.float32),)


class Graph:
    """Grows an ONNX graph; every method gives the name of what a node makes."""

    def __init__(self, seed: int, shape: Sequence[int], kind: int = TensorProto.FLOAT) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants = [], []
        self.entry = helper.make_tensor_value_info("input", kind, ["N", *shape])
        self.shape, self.kind = tuple(shape), kind

    def constant(self, array: np.ndarray | float) -> str:
        name = f"constant{len(self.constants)}"
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str | np.ndarray | float, **attributes) -> str:
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = f"{kind.lower()}{len(self.nodes)}"
        domain = QONNX if kind in ("BipolarQuant", "Quant") else ""
        self.nodes.append(helper.make_node(kind, names, [output], name=output, domain=domain, **attributes))
        return output

    def signs(self, *shape: int) -> np.ndarray:
        return self.random.choice(np.float32([-1, 1]), shape)

    def norm(self, x: str, channels: int, spread: float) -> str:
        gamma, beta, mean = self.random.normal(size=(3, channels)) * [[1], [0.5], [spread]]
        variance = self.random.uniform(0.5, 1.5, channels) * spread**2
        return self.op("BatchNormalization", x, gamma, beta, mean, variance, epsilon=1e-5)

    def model(self, output: str) -> onnx.ModelProto:
        known = [entry.name for entry in self.constants]
        assert output not in known
        made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", "K"])]
        graph = helper.make_graph(self.nodes, "graph", [self.entry], made, self.constants)
        sets = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8)


def images(found: Imported, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Random inputs of the device's dtype in the graph's axes."""
    random, dtype = np.random.default_rng(seed), found.network.input.dtype
    if dtype == "bits":
        return random.integers(0, 2, (IMAGES, *shape)).astype(bool)
    limits = np.iinfo(ELEMENTS[dtype])
    return random.integers(limits.min, limits.max + 1, (IMAGES, *shape)).astype(ELEMENTS[dtype])


def check_equal(graph: Graph, output: str, source: Input | None = None, layout: str = "NCHW", **options) -> Imported:
    """Import a graph and compare with ONNX's reference every stored value and all classes of random images."""
    model = graph.model(output)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/net.onnx")
        found = read_onnx(f"{folder}/net.onnx", source, **options)
    given = images(found, graph.shape)
    source = source or Input()
    x = 2 * given.astype(np.float32) - 1 if given.dtype == bool else given
    if graph.kind == TensorProto.FLOAT:
        x = (source.scale * x.astype(np.float64) + np.asarray(source.offset)).astype(np.float32)
    computed = [node.output[0] for node in model.graph.node]
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in computed)
    theirs = dict(zip(computed, ReferenceEvaluator(model, new_ops=[BipolarQuant, Quant]).run(None, {"input": x}),
                      strict=True))  # fmt: skip
    ours = list(Simulator(found.network).outputs(as_images(given, layout)))
    compared = 0
    for name, tensor in found.tensors.items():
        stored = found.builder.stored(tensor)
        if stored is None or stored.id == 0 or name not in theirs or theirs[name].ndim < 3:
            continue
        own = ours[stored.id - 1]
        own = 2 * own.astype(int) - 1 if own.dtype == bool else own
        floats = (stored.scale * own + stored.offset).astype(np.float32)
        wanted = theirs[name] if floats.shape == theirs[name].shape and layout == "NHWC" else as_images(theirs[name])
        assert (floats == wanted).all(), name
        compared += 1
    assert compared
    scores = theirs[output]
    scores = scores if scores.ndim == 1 else scores.reshape(IMAGES, -1).argmax(axis=1)
    assert (ours[-1][:, 0, 0].argmax(axis=1) == scores).all()
    return found


def test_convolutions_pools_and_norms_in_either_order() -> None:
    g = Graph(0, (3, 20, 18))
    x = g.op("Conv", "input", g.signs(24, 3, 3, 3), pads=[1, 1, 1, 1])
    x = g.op("Sign", g.norm(g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 24, 900))
    x = g.op("Conv", x, g.signs(40, 24, 3, 3), strides=[2, 1], auto_pad="SAME_UPPER")
    x = g.op("Sign", g.norm(x, 40, 15))
    x = g.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = g.op("Conv", x, g.signs(10, 40, 1, 1), g.random.normal(size=10))
    x = g.op("Sign", x)
    x = g.op("Gemm", g.op("Flatten", x), g.signs(7, 10 * 3 * 5), g.random.normal(size=7), transB=1)
    found = check_equal(g, g.op("Softmax", x), Input("u8"))
    assert found.notes == ()
    assert found.builder.certificate.wrong == 0


def test_a_scaled_input_with_padding_by_zero_is_encoded() -> None:
    g = Graph(1, (1, 12, 12))
    x = g.op("Div", g.op("Cast", "input", to=TensorProto.FLOAT), 128.0)
    x = g.op("Sub", x, 1.0)
    x = g.op("Sign", g.norm(g.op("Conv", x, g.signs(16, 1, 3, 3), pads=[1, 1, 1, 1]), 16, 2))
    x = g.op("Conv", x, g.signs(5, 16, 12, 12))
    found = check_equal(g, g.op("Flatten", x), Input("u8"))
    assert [node.output for node in found.network.nodes] == ["i8", "bits", "i32"]
    assert found.notes == ()


def test_integer_inputs_need_no_words_and_halves_are_encoded_twice_as_wide() -> None:
    g = Graph(2, (2, 9, 9), TensorProto.UINT8)
    x = g.op("Sub", g.op("Cast", "input", to=TensorProto.FLOAT), 127.5)
    x = g.op("Sign", g.norm(g.op("Conv", x, g.signs(8, 2, 3, 3), pads=[1, 1, 1, 1]), 8, 300))
    found = check_equal(g, g.op("MatMul", g.op("Flatten", x), g.signs(8 * 81, 4)))
    assert [node.output for node in found.network.nodes] == ["i16", "bits", "i32"]


def test_residuals_groups_dilations_and_averages() -> None:
    g = Graph(3, (4, 16, 16))
    x = g.op("Sign", g.norm(g.op("Conv", "input", g.signs(16, 4, 3, 3)), 16, 3))
    y = g.op("Conv", x, g.signs(16, 1, 3, 3), group=16, pads=[1, 1, 1, 1])
    x = g.op("Add", g.op("Mul", y, 0.5), x)
    y = g.op(
        "Conv", g.op("Sign", g.op("Add", x, 0.25)), g.signs(16, 4, 3, 3), group=4, dilations=[2, 2], pads=[2, 2, 2, 2]
    )
    x = g.op("Add", x, y)
    x = g.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("Sign", g.norm(x, 16, 4))
    x = g.op("Conv", x, g.random.integers(-128, 128, (6, 16, 3, 3)).astype(np.float32))
    x = g.op("GlobalAveragePool", x)
    found = check_equal(g, g.op("ArgMax", g.op("Flatten", x), axis=1, keepdims=0), Input("bits"))
    assert {"depthwise", "conv", "pool"} == {node.op for node in found.network.nodes}


def test_prelu_with_falling_slopes_and_a_pool_behind_it() -> None:
    g = Graph(4, (1, 12, 12))
    x = g.norm(g.op("Conv", "input", g.signs(16, 1, 3, 3)), 16, 400)
    x = g.op("PRelu", x, g.random.normal(size=(16, 1, 1)))
    x = g.op("MaxPool", g.op("Sub", x, 0.5), kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("Sign", g.op("Clip", x, np.float32(-1), np.float32(1)))
    x = g.op("Where", g.op("GreaterOrEqual", g.norm(g.op("Conv", x, g.signs(12, 16, 3, 3)), 12, 9), 0.25), 1.0, 0.0)
    x = g.op("Reshape", x, np.int64([-1, 12 * 9]))
    found = check_equal(g, g.op("Gemm", x, g.signs(3, 12 * 9), transB=1), Input("u8"))
    assert any(node.exclusive for node in found.network.nodes)


@pytest.mark.parametrize("kind", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
def test_comparisons_and_their_ties(kind: str) -> None:
    g = Graph(5, (8, 6, 6))
    x = g.op("Conv", "input", g.signs(20, 8, 3, 3))
    x = g.op("Where", g.op(kind, x, 2.0), 1.0, -1.0)
    check_equal(g, g.op("Flatten", g.op("Conv", x, g.signs(4, 20, 4, 4))), Input("bits"))


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_padding_that_follows_from_the_sizes(kind: str) -> None:
    g = Graph(12, (3, 10, 9))
    x = g.op("Conv", "input", g.signs(9, 3, 3, 3), strides=[2, 2], auto_pad=kind)
    x = g.op("Where", g.op("Greater", x, 0.0), 1.0, -1.0)
    x = g.op("GlobalAveragePool", g.op("Conv", x, g.signs(4, 9, 3, 3)))
    check_equal(g, g.op("Flatten", x), Input("bits"))


def test_averages_whose_padding_counts() -> None:
    g = Graph(11, (3, 9, 9))
    x = g.op("Conv", "input", g.signs(64, 3, 3, 3))
    x = g.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    x = g.op("Where", g.op("Greater", x, g.random.integers(-20, 20, (64, 1, 1)) / 9), 1.0, -1.0)
    x = g.op("AveragePool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1)
    x = g.op("Conv", x, g.signs(32, 64, 1, 1), np.full(32, 1 / 8))
    check_equal(g, g.op("Flatten", g.op("Conv", g.op("Sign", x), g.signs(4, 32, 4, 4))), Input("bits"))


def test_channels_at_the_end_as_from_tensorflow() -> None:
    g = Graph(6, (11, 13, 3))
    x = g.op("Transpose", "input", perm=[0, 3, 1, 2])
    x = g.op("Conv", x, g.signs(9, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER")
    x = g.op("Sign", g.norm(x, 9, 900))
    x = g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 3, 1]), np.int64([-1, 9 * 6 * 7]))
    check_equal(g, g.op("MatMul", x, g.signs(9 * 6 * 7, 5)), Input("u8"), layout="NHWC")


def test_larqs_sign_and_padding_by_a_pad_node() -> None:
    g = Graph(7, (4, 8, 8))
    x = g.op("Pad", "input", np.int64([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(1))
    x = g.op("Conv", x, g.signs(12, 4, 3, 3))
    x = g.op("Sign", g.op("Add", g.op("Sign", x), 0.1))
    check_equal(g, g.op("Flatten", g.op("Conv", x, g.signs(3, 12, 8, 8))), Input("bits"))


def test_qonnx_weights_and_activations() -> None:
    g = Graph(8, (1, 10, 10))
    x = g.op("Quant", "input", 1 / 256, 0.0, 8.0, signed=0, narrow=0, rounding_mode="ROUND")
    latent = g.op(
        "Quant", g.random.normal(size=(8, 1, 3, 3)), 1 / 32, 0.0, 6.0, signed=1, narrow=1, rounding_mode="ROUND"
    )
    x = g.op("BipolarQuant", g.norm(g.op("Conv", x, latent, pads=[1, 1, 1, 1]), 8, 2), 0.5)
    x = g.op("Conv", x, g.op("BipolarQuant", g.random.normal(size=(8, 8, 3, 3)), 0.25), pads=[1, 1, 1, 1])
    x = g.op("BipolarQuant", g.norm(x, 8, 1), 1.0)
    turned = g.op("Transpose", g.op("Quant", g.random.normal(size=(5, 800)), 1 / 16, 0.0, 4.0), perm=[1, 0])
    found = check_equal(g, g.op("MatMul", g.op("Flatten", x), turned), Input("u8", 1 / 256))
    assert found.notes == ()
    assert [node.has_int8 for node in found.network.nodes] == [True, False, True]


def test_signals_and_vectors() -> None:
    g = Graph(9, (3, 64))
    x = g.op("Sign", g.norm(g.op("Conv", "input", g.signs(8, 3, 5), pads=[2, 2], strides=[2]), 8, 200000))
    x = g.op("Conv", g.op("MaxPool", x, kernel_shape=[2], strides=[2]), g.signs(8, 8, 3), np.full(8, 0.5))
    x = g.op("Flatten", g.op("Sign", x))
    check_equal(g, g.op("Gemm", x, g.signs(4, 8 * 14), transB=1), Input("i16"))
    g = Graph(10, (40,))
    x = g.op("Gemm", "input", g.signs(33, 40), g.random.normal(size=33), transB=1)
    x = g.op("Gemm", g.op("Sign", x), g.signs(5, 33), transB=1)
    model = g.model(x)
    found = read_onnx(model, Input("bits"))
    given = images(found, (40,))
    (scores,) = ReferenceEvaluator(model).run(None, {"input": 2 * given.astype(np.float32) - 1})
    assert (Simulator(found.network).run(as_images(given)) * 1.0).argmax(axis=1).tolist() == scores.argmax(1).tolist()


def test_a_file_of_the_example_is_the_network_of_its_arrays() -> None:
    arrays = torch_like.arrays(1)
    found = read_onnx(onnx_file.model(arrays), Input("u8", 1 / 255), formula="affine")
    assert build_model(found.network) == build_model(torch_like.build(arrays)[1])


@pytest.mark.parametrize("seed", range(8))
def test_random_chains(seed: int) -> None:
    g = Graph(seed, (2, 20, 22))
    draw, x, channels = g.random, "input", 2
    for _ in range(2):
        filters = int(draw.integers(3, 40))
        pads = [int(pad) for pad in draw.integers(0, 2, 4)]
        x = g.op("Conv", x, g.signs(filters, channels, 3, 3), pads=pads, strides=[1, int(draw.integers(1, 3))])
        steps = [("pool", "norm", "slope", "norm"), ("norm", "pool"), ("slope", "norm", "pool"), ("norm", "clip")]
        for step in steps[draw.integers(len(steps))]:
            if step == "norm":
                x = g.norm(x, filters, 6)
            elif step == "slope":
                x = g.op("PRelu", x, draw.uniform(-0.7, 1, (filters, 1, 1)))
            elif step == "clip":
                x = g.op("Clip", x, np.float32(-1), np.float32(1))
            else:
                # With strides of 1 ONNX's reference mixes up the sides of uneven padding.
                x = g.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=pads)
        x = g.op("Where", g.op(draw.choice(["Greater", "GreaterOrEqual"]), x, 0.0), 1.0, -1.0)
        channels = filters
    x = g.op("GlobalAveragePool", g.op("Conv", x, g.signs(6, channels, 1, 1)))
    check_equal(g, g.op("Flatten", x), Input("bits"))


# --- what is refused ---


def small(extra: str = "", *inputs, seed: int = 0, **attributes) -> onnx.ModelProto:
    """A network of one convolution and a dense layer, with one node more between them."""
    g = Graph(seed, (2, 8, 8))
    x = g.op("Conv", "input", g.signs(4, 2, 3, 3), np.full(4, 0.5 + 1 / 512))
    if extra:
        x = g.op(extra, x, *inputs, **attributes)
    x = g.op("Sign", x)
    return g.model(g.op("Flatten", g.op("Conv", x, g.signs(3, 4, 6, 6))))


@pytest.mark.parametrize(("model", "text"), [
    (small("Tanh"), r"tanh1: Tanh is not supported; these are: Add, "),
    (small("Mul", "conv0"), "mul1: takes a tensor and a constant"),
    (small("Add", np.ones((1, 4, 6, 6))), r"add1: a constant of \(1, 4, 6, 6\)"),
    (small("Transpose", perm=[0, 1, 3, 2]), r"transpose1: axes \[0, 1, 3, 2\]"),
    (small("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), "averagepool1: padding that does not count"),
    (small("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), "maxpool1: dilations"),
    (small("Pad", np.int64([0, 0, 1, 1, 0, 0, 1, 1])), "sign2: reads what a Pad node has padded"),
    (small("Pad", np.int64([0, 1, 0, 0, 0, 1, 0, 0])), "pad1: only rows and columns"),
    (small("Quant", 0.5, 0.0, 4.0), "quant1: quantizes to several bits"),
    (small("Reshape", np.int64([-1, 2, 72])), r"reshape1: to \[-1, 2, 72\]"),
    (small("BatchNormalization", np.ones(4), np.ones(4), np.ones(4), np.zeros(4), epsilon=0.0),
     "batchnormalization1: variance plus epsilon 0 must be above 0"),
    (small("Mul", np.float32(np.nan)), "mul1: factor must be finite"),
    (small("Sub", np.float32(0.5 + 1 / 512)), r"conv3: reads conv0: .*sign\(0\) = 0 is no bit"),
    (small("Softmax", axis=1), "sign2: follows Softmax, which can only be at the end"),
    (small("Softmax", axis=2), "softmax1: must be over the classes"),
    (small("Cast", to=TensorProto.INT32), "cast1: only to float"),
    (small("Conv", np.random.default_rng(0).normal(size=(4, 4, 1, 1))), "conv1: weights must be -1 and"),
])  # fmt: skip
def test_what_is_not_supported_is_refused_by_its_nodes_name(model: onnx.ModelProto, text: str) -> None:
    with pytest.raises(EbnnError, match=f"^{text}"):
        read_onnx(model, Input("bits"))


def test_nodes_without_a_name_are_called_by_what_they_make() -> None:
    model = small("Tanh")
    model.graph.node[1].name = ""
    with pytest.raises(ExportError, match="^Tanh of tanh1: "):
        read_onnx(model, Input("bits"))


def test_files_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="input is float: say what the device is given"):
        read_onnx(small())
    (tmp_path / "bad.onnx").write_bytes(b"\x0anothing")
    with pytest.raises(DataError, match=r"bad.onnx: is no sound ONNX file"):
        read_onnx(tmp_path / "bad.onnx")
    model = small()
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    with pytest.raises(DataError, match=r"must be \(N, C, H, W\)"):
        read_onnx(model, Input("bits"))
    model = small()
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(DataError, match="2 inputs and 1 outputs"):
        read_onnx(model, Input("bits"))


# --- the verb ---


def test_the_verb_writes_what_export_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    onnx.save(small(), tmp_path / "net.onnx")
    out = tmp_path / "out"
    words = ["import", str(tmp_path / "net.onnx"), "--out", str(out), "--input", "u8", "--scale", "1/128"]
    assert main([*words, "--offset", "-1", "--labels", "a,b,c"]) == 0
    model = read_model(out / "model.ebnn")
    assert model.network.labels == ("a", "b", "c")
    assert {path.name for path in out.iterdir()} >= {"model.ebnn", "ebnn_model.py", "ebnn_model.h"}
    given = np.random.default_rng(0).integers(0, 256, (IMAGES, 2, 8, 8), dtype=np.uint8)
    (logits,) = ReferenceEvaluator(small()).run(None, {"input": given.astype(np.float32) / 128 - np.float32(1)})
    assert (Simulator(model.network).run(as_images(given)).argmax(axis=1) == logits.argmax(axis=1)).all()
    said = capsys.readouterr().out
    assert "Summary" in said and f"model of {(out / 'model.ebnn').stat().st_size} bytes; next: ebnn info {out}" in said


def test_the_verb_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    onnx.save(small("Tanh"), tmp_path / "net.onnx")
    words = ["import", str(tmp_path / "net.onnx"), "--out", str(tmp_path / "out")]
    assert main(words) == 1 and main([*words, "--input", "bits"]) == 1
    assert main(["import", str(tmp_path / "none.onnx"), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "input is float" in said and "tanh1: Tanh is not supported" in said and "none.onnx: no such file" in said
    assert not (tmp_path / "out").exists()

"""ONNX files whose shapes, graphs or bytes are not what they must be are refused in a sentence."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import normal, save
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx_files import conv, dense, node, refusal, refused

from optimizer import inference
from optimizer.onnx_import import load

# --- shapes, types and sizes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((), "of rank 0"),
        (("batch", 3, "height", 8), "(N, 3, ?, 8), with sizes that are not fixed: give data"),
        (("batch", 3, 8, 9), "dimension mismatch"),
        (("batch", 0, 8, 8), "0 is not a size"),
        (("batch", -3, 8, 8), "-3 is not a size"),
        (("batch", 3, 2**40, 8), "2^28"),
        (("batch", 2**40), "2^28"),
    ],
)
def test_shapes_of_the_input(tmp_path, shape, reason):
    weights: dict[str, np.ndarray] = {}
    assert reason in refused(tmp_path, dense("x", 192, weights), weights, shape)


def test_weights_of_no_size_and_of_other_types(tmp_path):
    weights: dict[str, np.ndarray] = {}
    nodes = [conv(weights), *dense("c", 180, weights)]
    for dtype in (np.float64, np.float16, np.int8):
        weights["w"] = normal(1, 5, 3, 3, 3).astype(dtype)
        assert "onnxruntime cannot read" in refused(tmp_path, nodes, weights)
    weights["w"] = np.zeros((5, 3, 0, 3), np.float32)
    assert "onnxruntime cannot" in refused(tmp_path, nodes, weights)


def test_a_bias_of_a_convolution_has_one_number_an_output(tmp_path):
    for shape in ((1,), (4,), (5, 1), ()):
        weights = {"b": normal(2, *shape)}
        nodes = [conv(weights, bias=("b",)), *dense("c", 180, weights)]
        text = refused(tmp_path, nodes, weights)
        assert "'conv'" in text or "node name: conv" in text


def change(tmp_path, edit):
    """A good network's file after ``edit`` of its model."""
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    load(path)
    model = onnx.load(path)
    edit(model)
    path.write_bytes(model.SerializeToString())
    return refusal(path)


def test_graphs_that_are_none(tmp_path):
    def cycle(model):
        model.graph.node[0].input[0] = "loop"
        model.graph.node.append(node("Relu", ["c"], ["loop"]))

    def missing(model):
        model.graph.node[1].input[0] = "nowhere"

    def absent(model):
        model.graph.node[0].input[0] = ""

    def twice(model):
        model.graph.node.append(node("Relu", ["x"], ["c"]))

    def same_weights(model):
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "w"))

    def no_output(model):
        model.graph.node[1].output[0] = ""

    for edit, reason in (
        (cycle, "topologically sorted"),
        (missing, "nowhere"),
        (absent, "empty string"),
        (twice, "single static assignment"),
        (same_weights, "not unique"),
        (no_output, "empty string"),
    ):
        text = change(tmp_path, edit)
        assert reason in text and "breaks the rules of ONNX" in text


def test_what_the_checker_lets_pass(tmp_path):
    def newer(model):
        model.opset_import[0].version = 999

    def two_versions(model):
        model.opset_import.append(helper.make_opsetid("ai.onnx", 9))

    def reference(model):
        attribute = model.graph.node[0].attribute.add()
        attribute.name, attribute.type = "auto_pad", AttributeProto.STRING
        attribute.ref_attr_name = "outer"

    def sparse(model):
        model.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                numpy_helper.from_array(np.ones(1, np.float32), "few"),
                numpy_helper.from_array(np.zeros(1, np.int64), "where"),
                [3],
            )
        )

    def sequence(model):
        model.graph.input[0].type.CopyFrom(
            helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [3]))
        )

    def unknown_type(model):
        model.graph.input[0].type.tensor_type.elem_type = 77

    for edit, reason in (
        (newer, "opset 999"),
        (two_versions, "opset 17, 9"),
        (reference, "'outer'"),
        (sparse, "'few'"),
        (sequence, "not a tensor"),
        (unknown_type, "77"),
    ):
        assert reason in change(tmp_path, edit)


def test_sizes_that_the_data_does_not_have(tmp_path):
    def large(model):
        model.graph.initializer[0].dims[0] = 2**40

    def short(model):
        model.graph.initializer[0].raw_data = b"1234"

    def negative(model):
        model.graph.initializer[0].dims[0] = -5

    for edit, reason in (
        (large, "118747255799808 bytes required"),  # 2^40 · 3 · 3 · 3 float32
        (short, "(4 bytes) is too small"),
        (negative, "Negative dimension value"),
    ):
        text = change(tmp_path, edit)
        assert reason in text and "tensor name: w)" in text


def test_constants_that_would_be_too_large(tmp_path):
    """Doubled forty times, and a table of 2^32 numbers."""
    weights = {"w0": normal(1, 192, 4), "column": np.zeros((2**16, 1), np.float32)}
    nodes = [node("Concat", [f"w{i}", f"w{i}"], [f"w{i + 1}"], axis=0) for i in range(40)]
    assert "at most 2^28" in refused(tmp_path, [*nodes, *dense("x", 192, weights)], weights)
    weights["row"] = np.zeros((1, 2**16), np.float32)
    nodes = [node("Add", ["column", "row"], ["sum"])]
    assert "at most 2^28" in refused(tmp_path, [*nodes, *dense("x", 192, weights)], weights)


# --- files ----------------------------------------------------------------------------------


def test_truncated_files(tmp_path):
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    whole = path.read_bytes()
    for length in (1, 10, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "a damaged one (Error parsing" in refusal(path)
    assert "not a file" in refusal(tmp_path)


@pytest.mark.parametrize("text", [b"conv", b"Conv", b"flat", b"batch"])
def test_text_that_is_not_utf_8(tmp_path, text):
    """Names of nodes and tensors, operators, sizes."""
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    whole = path.read_bytes()
    assert text in whole
    path.write_bytes(whole.replace(text, text[:-1] + b"\xff"))
    assert "not UTF-8" in refusal(path)


def test_weights_in_other_files(tmp_path):
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="n.data", size_threshold=0)
    load(path)
    whole = (tmp_path / "n.data").read_bytes()
    (tmp_path / "n.data").write_bytes(whole[:-100])
    text = refusal(path)
    assert "weights in other files" in text and "2880) exceeds available data (2780" in text
    (tmp_path / "n.data").unlink()
    text = refusal(path)
    assert "n.data" in text and "breaks the rules" not in text
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../../etc/passwd"
    path.write_bytes(model.SerializeToString())
    assert "'../../etc/passwd' points outside the directory" in refusal(path)


def test_operators_that_onnxruntime_does_not_know(tmp_path):
    nodes = [node("Conjure", ["x"], ["y"], domain="com.example", name="q")]
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
    result = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])]
    graph = helper.make_graph(nodes, "g", values, result)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=sets), tmp_path / "n.onnx")
    text = refusal(tmp_path / "n.onnx")
    assert "com.example:Conjure" in text and "onnxruntime cannot read" in text


def test_functions_of_the_model_are_written_out(tmp_path):
    weights: dict[str, np.ndarray] = {}
    path = save(tmp_path / "n.onnx", [conv(weights), *dense("c", 180, weights)], weights)
    plain = load(path)
    model = onnx.load(path)
    sets = [helper.make_opsetid("", 17)]
    body = [node("Neg", ["a"], ["n"]), node("Neg", ["n"], ["b"])]
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, sets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.insert(1, node("Twice", ["c"], ["c2"], domain="own"))
    model.graph.node[2].input[0] = "c2"
    onnx.save(model, path)
    x = normal(4, 2, 3, 8, 8)
    np.testing.assert_array_equal(inference.run(load(path), x), inference.run(plain, x))


def test_the_input_as_the_output(tmp_path):
    nodes = [node("Relu", ["x"], ["r"])]
    path = save(tmp_path / "n.onnx", nodes, {}, ("batch", 4), outputs=("x",))
    assert "nothing to quantise" in refusal(path)


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [-1, -1]},
        {"strides": [0, 0], "auto_pad": "SAME_UPPER"},
        {"pads": [2**40] * 4},
        {"dilations": [0, 1]},
        {"dilations": [2**62, 2**62]},
        {"kernel_shape": [0, 3]},
    ],
)
def test_windows_of_no_size(tmp_path, attributes):
    """Some of them end the process in onnxruntime."""
    weights: dict[str, np.ndarray] = {}
    nodes = [conv(weights, **attributes), *dense("c", 180, weights)]
    text = refused(tmp_path, nodes, weights)
    assert "is of no window" in text and "'conv'" in text

"""What is computed of constants alone: as onnx computes it, or refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import normal, save
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx_files import dense, node, refused

from optimizer import inference
from optimizer.onnx_import import load


def test_identity_of_a_bias(tmp_path):
    """What torch's exporter writes for two biases that are equal."""
    weights = {"w1": normal(1, 192, 6), "w2": normal(2, 6, 6), "b": normal(3, 6)}
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Identity", ["b"], ["b2"]),
        node("Gemm", ["f", "w1", "b"], ["h"]),
        node("Gemm", ["h", "w2", "b2"], ["y"]),
    ]
    path = save(tmp_path / "n.onnx", nodes, weights)
    x = normal(4, 2, 3, 8, 8)
    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": x})
    np.testing.assert_allclose(inference.run(load(path), x), expected, rtol=1e-4, atol=1e-3)


def test_arithmetic_of_constants(tmp_path):
    weights = {
        "wt": normal(1, 4, 192),
        "three": np.array([3, 4, 5]),
        "first": np.array([1]),
        "whole": np.array(-1),
        "axes": np.array([0]),
        "zero": np.array([0]),
        "offset": normal(2, 2, 4),
        "half": np.float32(0.5).reshape(()),
    }
    nodes = [
        node("Unsqueeze", ["whole", "axes"], ["rest"]),
        node("Concat", ["zero", "rest"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["f"]),
        node("Transpose", ["wt"], ["w0"], perm=[1, 0]),
        node("Mul", ["w0", "half"], ["w"]),
        node("Gather", ["offset", "first"], ["row"], axis=0),
        node("Squeeze", ["row", "axes"], ["b0"]),
        node("Cast", ["three"], ["three_f"], to=TensorProto.FLOAT),
        node("Slice", ["three_f", "zero", "first"], ["three_1"]),
        node("Div", ["b0", "three_1"], ["b"]),
        node("Gemm", ["f", "w", "b"], ["y"]),
    ]
    path = save(tmp_path / "n.onnx", nodes, weights)
    x = normal(4, 2, 3, 8, 8)
    expected = x.reshape(2, -1) @ weights["wt"].T * 0.5 + weights["offset"][1] / 3
    np.testing.assert_allclose(inference.run(load(path), x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("damaged", "opset", "right"),
    [
        # Axes are those of the result, in any order.
        (node("Unsqueeze", ["b"], ["c"], axes=[3, 0]), 11, "[1, 4, 2, 1, 3]"),
        # From before the start down to the start: the first one.
        (node("Slice", ["b", "before", "below", "axis", "back"], ["c"]), 17, "[1, 2, 3]"),
        # None, for the end is before the start.
        (node("Shape", ["b"], ["c"], start=0, end=-4), 17, "[0]"),
    ],
)
def test_where_the_evaluator_of_constants_is_wrong(tmp_path, damaged, opset, right):
    """Onnx 1.23's gives other shapes than the standard: refused, until it gives these."""
    weights = {
        "b": normal(1, 4, 2, 3),
        "before": np.array([-9]),
        "below": np.array([-10]),
        "axis": np.array([0]),
        "back": np.array([-1]),
    }
    text = refused(tmp_path, [damaged, *dense("x", 192, weights)], weights, opset=opset)
    assert f"{right} by onnx's shape inference" in text


def test_constants_that_do_not_fit_each_other(tmp_path):
    weights = {"a": normal(1, 3), "b": normal(2, 4)}
    nodes = [node("Add", ["a", "b"], ["c"], name="sum"), *dense("x", 192, weights)]
    assert "'sum'" in refused(tmp_path, nodes, weights)
    # A division of integers by zero has no value.
    weights = {"zero": np.array([0]), "rest": np.array([-1]), "f": np.array([192])}
    nodes = [
        node("Div", ["f", "zero"], ["size"]),
        node("Concat", ["rest", "size"], ["shape"], axis=0),
        node("Reshape", ["x", "shape"], ["r"]),
        *dense("r", 192, weights),
    ]
    assert "divide by zero" in refused(tmp_path, nodes, weights)
    nodes = [node("Constant", [], ["c"], value_int=3), node("Identity", ["c"], ["y"])]
    assert "does not depend on the image" in refused(tmp_path, nodes, weights)

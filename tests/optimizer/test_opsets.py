"""Operator sets older or newer than what runs them."""

from __future__ import annotations

import numpy as np
from graphs import normal
from onnx_files import dense, node, read

from optimizer import inference


def test_an_old_operator_set_is_converted(tmp_path):
    """Opset 6 says what is broadcast where, and whether a Dropout is training."""
    weights = {"w": normal(1, 192, 4), "b": normal(2, 4), "k": normal(3, 3)}
    nodes = [
        node("Add", ["x", "k"], ["a"], broadcast=1, axis=1),
        node("Dropout", ["a"], ["d"], is_test=1),
        node("Flatten", ["d"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["y"], broadcast=1),
    ]
    network = read(tmp_path, nodes, weights, opset=6)
    x = normal(4, 5, 3, 8, 8)
    expected = (x + weights["k"][:, None, None]).reshape(5, -1) @ weights["w"] + weights["b"]
    np.testing.assert_allclose(inference.run(network, x), expected, rtol=1e-4, atol=1e-4)


def test_an_operator_set_newer_than_onnxruntime_is_converted(tmp_path):
    """It has no QuantizeLinear of opset 28."""
    weights = {"s": np.float32(0.5).reshape(()), "z": np.zeros((), np.int8)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        *dense("d", 192, weights),
    ]
    network = read(tmp_path, nodes, weights, opset=28)
    x = normal(4, 5, 3, 8, 8)
    expected = (np.rint(x * 2) / 2).reshape(5, -1) @ weights["wt"]
    np.testing.assert_allclose(inference.run(network, x), expected, rtol=1e-4, atol=1e-4)

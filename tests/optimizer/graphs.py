"""Small ONNX networks for the tests, and a crude area formula in the cost model's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwgen.spec import DotProduct


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    input_shape: Sequence[int | str] = ("batch", 3, 8, 8),
    opset: int = 17,
    outputs: Sequence[str] = ("y",),
) -> Path:
    """Write a graph from x (float32) to ``outputs``."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None])
            for name in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, path)
    return path


def normal(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def residual_network(path: Path, channels: int = 6, size: int = 8, classes: int = 5) -> Path:
    """Three convolutions with a shortcut, global pooling and a dense layer."""
    c = channels
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], name="/conv/Conv", pads=[1] * 4),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node(
            "Conv",
            ["r0", "w1", "b1"],
            ["c1"],
            name="/block/conv1/Conv",
            pads=[1] * 4,
            strides=[2, 2],
        ),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r0", "w2"], ["c2"], name="/block/shortcut/Conv", strides=[2, 2]),
        helper.make_node("Add", ["r1", "c2"], ["s"]),
        helper.make_node("Relu", ["s"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="/dense/Gemm", transB=1),
    ]
    weights = {
        "w0": normal(1, c, 3, 3, 3, scale=0.3),
        "b0": normal(2, c, scale=0.1),
        "w1": normal(3, c, c, 3, 3, scale=0.3),
        "b1": normal(4, c, scale=0.1),
        "w2": normal(5, c, c, 1, 1),
        "w3": normal(6, classes, c),
        "b3": normal(7, classes),
    }
    return save(path, nodes, weights, ("batch", 3, size, size))


@dataclass(frozen=True)
class Range:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    lut: Range


def crude_cost(spec: DotProduct) -> Cost:
    """Partial products of the significands, alignment, and the accumulator: only plausible."""

    def significand(f):
        return f.bits if f.is_integer else f.mantissa_bits + 1

    product = 1.1 * significand(spec.a) * significand(spec.b) + 0.6 * spec.product_width
    lut = spec.lanes * (product + spec.product_width) + 1.5 * spec.accumulator_width
    return Cost(Range(lut, 0.9 * lut, 1.1 * lut))

"""Operators with products that become no datapath: how many products, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from onnx import NodeProto, TensorProto, helper

Shapes = Mapping[str, tuple[int, ...]]

#: Gates of a recurrent operator: matrix products of a step.
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
#: Operators with sums of products, and why they stay in float; those that can be layers first.
REASONS = {
    "Conv": "",
    "ConvTranspose": "",
    "Gemm": "",
    "MatMul": "",
    **dict.fromkeys(GATES, "it is recurrent: its products wait for each other"),
    "Einsum": "its products are not written as a MatMul",
    "Attention": "its products are not written as MatMul and Softmax",
    "MultiHeadAttention": "its products are not written as MatMul and Softmax",
    "DeformConv": "its inputs are placed by other inputs",
    "QLinearConv": "it is quantised in a way that is not read",
    "QLinearMatMul": "it is quantised in a way that is not read",
    "ConvInteger": "it is quantised in a way that is not read",
    "MatMulInteger": "it is quantised in a way that is not read",
    "LinearClassifier": "its products are not written as a MatMul",
    "LinearRegressor": "its products are not written as a MatMul",
    "SVMClassifier": "its products are not written as a MatMul",
    "SVMRegressor": "its products are not written as a MatMul",
    "DFT": "it is a transform",
    "STFT": "it is a transform",
}
CONTROL = {
    "If": "what it computes depends on the input",
    "Loop": "how often it computes depends on the input",
    "Scan": "its products wait for each other",
}


def has_products(node: NodeProto) -> bool:
    """Whether ``node`` multiplies and accumulates, by itself or in a graph inside it."""
    if node.op_type in CONTROL:
        graphs = [g for a in node.attribute for g in (a.g, *a.graphs)]
        return any(has_products(inner) for graph in graphs for inner in graph.node)
    return node.op_type in REASONS


def reason(node: NodeProto) -> str:
    """Why an operator with products, none of those that can be layers, stays in float."""
    return {**REASONS, **CONTROL}[node.op_type] or f"it is {node.op_type} of {node.domain}"


def macs(node: NodeProto, shapes: Shapes, constants: Mapping[str, TensorProto]) -> int | None:
    """Multiply-accumulates of ``node``; None where they are not counted.

    ``shapes``: of the tensors that depend on an input.
    """
    given: dict[str, Any] = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def shape(name: str) -> Sequence[int]:
        return tuple(constants[name].dims) if name in constants else shapes[name]

    try:
        operands = [shape(name) if name else () for name in node.input]
        result = math.prod(shape(node.output[0])) if node.output[0] else 0
        if node.op_type in ("Conv", "ConvInteger", "DeformConv"):
            return result * math.prod(operands[1][1:])
        if node.op_type == "QLinearConv":
            return result * math.prod(operands[3][1:])
        if node.op_type == "ConvTranspose":
            return math.prod(operands[0]) * math.prod(operands[1][1:])
        if node.op_type in ("MatMul", "MatMulInteger", "QLinearMatMul"):
            return result * operands[0][-1]
        if node.op_type == "Gemm":
            return result * operands[0][0 if given.get("transA") else 1]
        if node.op_type in GATES:
            steps, images, features = operands[0]
            directions, _, hidden = operands[2]
            return steps * images * directions * GATES[node.op_type] * hidden * (features + hidden)
        if node.op_type == "Einsum":
            return _einsum(given["equation"].decode(), operands)
        if node.op_type in ("LinearClassifier", "LinearRegressor"):
            return operands[0][0] * len(given["coefficients"])
    except (KeyError, IndexError, ValueError):  # a shape that is not known
        return None
    return None


def _einsum(equation: str, operands: Sequence[Sequence[int]]) -> int | None:
    """The product of all sizes; None for an ellipsis."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if "." in equation or len(operands) < 2:
        return None
    sizes = {c: n for term, shape in zip(terms, operands, strict=True)
             for c, n in zip(term, shape, strict=True)}  # fmt: skip
    return math.prod(sizes.values()) * (len(operands) - 1)

"""Gemm, MatMul and Einsum as layers: one matrix product, and what is done around it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from optimizer import einsum, float_work
from optimizer.draft import (
    Draft,
    Stays,
    attributes,
    formats,
    renamed,
    require_finite,
    transposed,
)
from optimizer.lowering import MatrixProduct
from optimizer.network import Node


def gemm(draft: Draft, node: NodeProto, name: str) -> tuple[list[NodeProto], Node, list[NodeProto]]:
    """A Gemm as a matrix product: transposed, scaled, and with the bias behind it."""
    given, out = attributes(node), node.output[0]
    before: list[NodeProto] = []
    operands = []
    for tensor, key in zip(node.input[:2], ("transA", "transB"), strict=True):
        constant = draft.array(tensor)
        if not given.get(key, 0):
            operands.append(tensor)
        elif constant is not None:
            operands.append(renamed(draft, tensor, f"{out}/{key}", constant.T))
        else:
            operands.append(transposed(draft, tensor, (1, 0), f"{out}/{key}", before))
    alpha, beta = np.float32(given.get("alpha", 1.0)), np.float32(given.get("beta", 1.0))
    behind: list[NodeProto] = []
    bias = node.input[2] if len(node.input) > 2 else ""
    # From the end: what is behind is found first, and each is named for what follows.
    result = out
    if bias:
        constant = draft.array(bias)
        if constant is not None:
            bias = draft.keep(f"{out}/bias", constant * beta)
        elif beta != 1:
            factor = draft.keep(f"{out}/beta", np.asarray(beta))
            behind.append(helper.make_node("Mul", [bias, factor], [f"{out}/scaled"]))
            bias = draft.typed(f"{out}/scaled")
        result = draft.typed(f"{out}/product")
        behind.append(helper.make_node("Add", [result, bias], [out]))
    if alpha != 1:
        position = 1 if draft.array(operands[1]) is not None else 0
        constant = draft.array(operands[position])
        if constant is not None:
            scaled = constant * alpha
            operands[position] = renamed(
                draft, operands[position], f"{out}/alpha", scaled, float(alpha)
            )
        else:
            factor = draft.keep(f"{out}/alpha", np.asarray(alpha))
            unscaled = draft.typed(f"{out}/unscaled")
            behind.insert(0, helper.make_node("Mul", [unscaled, factor], [result]))
            result = unscaled
    shapes = {**draft.shapes, result: draft.shapes[out]}
    for proto in before:
        shapes[proto.output[0]] = draft.shapes[proto.input[0]][::-1]
    inner = replace(draft, shapes=shapes)
    more, layer, last = product(inner, node, name, operands, result)
    before += more
    only_bias = len(behind) == 1 and behind[0].op_type == "Add" and not last
    if only_bias and (vector := _bias_row(draft, behind[0].input[1], layer)) is not None:
        return before, replace(layer, bias=vector, output=out), []
    return before, layer, [*last, *behind]


def of_einsum(
    draft: Draft, node: NodeProto, name: str
) -> tuple[list[NodeProto], Node, list[NodeProto]]:
    """An Einsum of two operands as a matrix product, with what puts its tensors into order."""
    indices, out = einsum.read(attributes(node)["equation"].decode()), node.output[0]
    if indices is None:
        raise Stays(float_work.reason(node))
    sizes: dict[str, int] = {}
    images = ""
    for tensor, term in zip(node.input, (indices.first, indices.second), strict=True):
        constant = draft.array(tensor)
        shape = draft.shapes[tensor] if constant is None else constant.shape
        sizes.update(zip(term, shape, strict=True))
        # The images are on the first axis of activations, and are any number.
        images = images or ("" if constant is not None else term[0])
    before: list[NodeProto] = []
    operands, shapes = [], dict(draft.shapes)
    for second, (tensor, term) in enumerate(
        zip(node.input, (indices.first, indices.second), strict=True)
    ):
        groups = indices.groups(bool(second))
        order = tuple(term.index(i) for i in "".join(groups))
        matrix, constant = f"{out}/matrix{second}", draft.array(tensor)
        shape = tuple(sizes[i] for i in groups[0])
        shape += tuple(math.prod(sizes[i] for i in group) for group in groups[1:])
        if constant is not None:
            turned = constant.transpose(order).reshape(shape)
            operands.append(renamed(draft, tensor, matrix, turned))
            continue
        aside = transposed(draft, tensor, order, f"{out}/turned{second}", before)
        target = draft.keep(f"{out}/shape{second}", np.array(indices.target(groups, sizes, images)))
        before.append(helper.make_node("Reshape", [aside, target], [draft.typed(matrix)]))
        shapes[matrix] = shape
        operands.append(matrix)
    whole, apart = draft.typed(f"{out}/product"), draft.typed(f"{out}/apart")
    rows, columns = (math.prod(sizes[i] for i in g) for g in (indices.rows, indices.columns))
    shapes[whole] = (*(sizes[i] for i in indices.stack), rows, columns)
    single = (indices.stack, *indices.rows, *indices.columns)
    target = draft.keep(f"{out}/apart_shape", np.array(indices.target(single, sizes, images)))
    more, layer, last = product(replace(draft, shapes=shapes), node, name, operands, whole)
    order = tuple("".join(single).index(i) for i in indices.result)
    behind = [
        helper.make_node("Reshape", [whole, target], [apart]),
        helper.make_node("Transpose", [apart], [out], perm=order),
    ]
    return [*before, *more], layer, [*last, *behind]


def _bias_row(draft: Draft, name: str, layer: Node) -> npt.NDArray[np.float32] | None:
    """A constant bias as a number for each output channel, if it is one row for all images."""
    constant = draft.array(name)
    if constant is None or layer.weight is None or constant.dtype != np.float32:
        return None
    channels = layer.weight.shape[1]
    if constant.ndim > 2 or constant.shape[:-1] not in ((), (1,)):
        return None
    if constant.size not in (1, channels):
        return None
    require_finite(constant, layer.name, "bias", name)
    return np.array(np.broadcast_to(constant.reshape(-1), (channels,)))


def product(
    draft: Draft, node: NodeProto, name: str, operands: list[str], out: str
) -> tuple[list[NodeProto], Node, list[NodeProto]]:
    """A matrix product; a constant on the left is turned to the right."""
    before: list[NodeProto] = []
    behind: list[NodeProto] = []
    left = draft.array(operands[0])
    result = out
    if left is not None and left.ndim == 1:
        raise Stays("its weight is one row on the left of the input")
    if left is not None:
        rank = len(draft.shapes[operands[1]])
        turned = renamed(draft, operands[0], f"{out}/turned", np.swapaxes(left, -1, -2))
        x = before_turning = operands[1]
        if rank > 1:
            order = (*range(rank - 2), rank - 1, rank - 2)
            x = transposed(draft, x, order, f"{out}/columns", before)
        operands = [x, turned]
        shape = draft.shapes[out]
        if rank > 1:
            order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
            result = draft.typed(f"{out}/rows")
            behind.append(helper.make_node("Transpose", [result], [out], perm=order))
    a, b = operands
    weight = draft.array(b)
    a_shape = draft.shapes[a if left is None else before_turning]
    b_shape = draft.shapes[b] if weight is None else weight.shape
    lowering = MatrixProduct(len(a_shape), tuple(b_shape))
    if not math.prod(b_shape) or not math.prod(a_shape):
        raise Stays("its operands hold no numbers")
    if weight is not None:
        require_finite(weight, name, "weight", b)
    layer = Node(
        name,
        node.op_type,
        (a,) if weight is not None else (a, b),
        result,
        (helper.make_node("MatMul", [a, b], [result]),),
        lowering,
        math.prod(draft.shapes[out]) // draft.batch,
        None if weight is None else lowering.matrix(weight),
        None,
        None if weight is None else b,
        formats(draft, a, b, lowering),
    )
    return before, layer, behind

"""Which nodes of a graph are compute layers, and what they multiply.

A layer is a convolution or a transposed convolution of one or two dimensions with a constant
weight, or a matrix product: of a constant (Gemm, MatMul) or of two activations (attention). Factors
and shifts for each channel behind a layer (a batch normalisation, a bias) become part of it. Any
other operator with products stays in float, for a reason that is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwgen.errors import InputError
from optimizer import float_work, folding
from optimizer.given import Given
from optimizer.graph import reads
from optimizer.lowering import Convolution, Lowering, MatrixProduct, TransposedConvolution
from optimizer.network import FloatOperator, Node
from optimizer.windows import Window

PRODUCTS = ("Conv", "ConvTranspose", "MatMul")


class Stays(Exception):
    """Why an operator becomes no datapath."""


@dataclass(eq=False)
class Draft:
    """A graph while its layers are looked for.

    ``nodes`` in order; ``constants`` by name; ``shapes`` of the other tensors, of ``batch`` images;
    ``types`` as ``onnx.TensorProto.DataType`` numbers them; ``outputs`` of the graph; ``given``:
    formats that the file asks for, by tensor; ``called``: names for people.
    """

    nodes: list[NodeProto]
    constants: dict[str, TensorProto]
    shapes: Mapping[str, tuple[int, ...]]
    types: dict[str, int]
    batch: int
    outputs: Sequence[str]
    given: dict[str, Given]
    called: Callable[[NodeProto], str]
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def array(self, name: str) -> npt.NDArray[Any] | None:
        """The values of a constant, None for any other tensor."""
        if name not in self.arrays and name in self.constants:
            self.arrays[name] = numpy_helper.to_array(self.constants[name])
        return self.arrays.get(name)

    def keep(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.arrays[name] = values
        return name


def find(draft: Draft) -> tuple[list[NodeProto], tuple[Node, ...], tuple[FloatOperator, ...]]:
    """The graph's nodes with the layers rewritten, the layers, and the products that stay in float.

    InputError for a layer with a weight that is not finite.
    """
    consumers: dict[str, list[NodeProto]] = {}
    for node in draft.nodes:
        for name in reads(node):
            consumers.setdefault(name, []).append(node)
    result: list[NodeProto] = []
    layers: list[Node] = []
    stays: list[FloatOperator] = []
    absorbed: set[int] = set()
    for node in draft.nodes:
        if id(node) in absorbed:
            continue
        if not float_work.has_products(node):
            result.append(node)
            continue
        name = draft.called(node)
        try:
            before, layer, behind = _layer(draft, node, name)
        except Stays as reason:
            macs = float_work.macs(node, draft.shapes, draft.constants)
            macs = None if macs is None else macs // draft.batch
            stays.append(FloatOperator(name, node.op_type, macs, str(reason)))
            result.append(node)
            continue
        if not behind:
            layer, taken = _with_what_follows(draft, layer, consumers)
            absorbed.update(taken)
        layer = _written(draft, layer)
        layers.append(layer)
        result += [*before, *layer.protos, *behind]
    return result, tuple(layers), tuple(stays)


# --- reading ----------------------------------------------------------------------------------


def _layer(
    draft: Draft, node: NodeProto, name: str
) -> tuple[list[NodeProto], Node, list[NodeProto]]:
    """The layer of ``node``, and what is to be computed in front of it and behind it.

    Stays, with the reason, if there is none.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in (*PRODUCTS, "Gemm"):
        raise Stays(float_work.reason(node))
    for tensor in (node.output[0], *node.input):
        kind = draft.constants[tensor].data_type if tensor in draft.constants else None
        kind = draft.types.get(tensor) if kind is None else kind
        if tensor and kind != TensorProto.FLOAT:
            known = TensorProto.DataType.Name(kind) if kind else "an unknown type"
            raise Stays(f"computes in {known}, and datapaths stand for float32")
    if any(tensor and draft.array(tensor) is None and tensor not in draft.shapes
           for tensor in (*node.input, node.output[0])):  # fmt: skip
        raise Stays("the shapes of its operands are not known")
    if node.op_type == "Gemm":
        return _gemm(draft, node, name)
    if node.op_type == "MatMul":
        return _product(draft, node, name, list(node.input), node.output[0])
    return [], _convolution(draft, node, name), []


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _convolution(draft: Draft, node: NodeProto, name: str) -> Node:
    weight = draft.array(node.input[1])
    if weight is None:
        raise Stays("its weight is computed from the input")
    shape, axes = draft.shapes[node.input[0]], weight.ndim - 2
    if axes not in (1, 2):
        raise Stays(f"it is a convolution of {axes} dimensions, datapaths have one or two")
    if not weight.size:
        raise Stays("its weight holds no numbers")
    bias = _finite(draft, node, 2, name)
    weight = _finite(draft, node, 1, name)
    assert weight is not None
    given = _attributes(node)
    groups = given.get("group", 1)

    def pair(key: str, default: int) -> tuple[int, int]:
        values = tuple(given.get(key, (default,) * axes))
        return (default, values[0]) if axes == 1 else (values[0], values[1])

    pads = tuple(given.get("pads", (0,) * (2 * axes)))
    image_pads = (0, pads[0], 0, pads[1]) if axes == 1 else (pads[0], pads[1], pads[2], pads[3])
    kernel = (1, weight.shape[2]) if axes == 1 else (weight.shape[2], weight.shape[3])
    window = Window(kernel, pair("strides", 1), pair("dilations", 1), image_pads)
    auto_pad = given.get("auto_pad", b"NOTSET").decode()
    lowering: Lowering
    if node.op_type == "Conv":
        lowering = Convolution(axes, window, auto_pad, shape[1], len(weight), groups)
    else:
        wanted = given.get("output_shape")
        size = None if not wanted else (1, wanted[-1]) if axes == 1 else tuple(wanted[-2:])
        outputs = weight.shape[1] * groups
        padding = pair("output_padding", 0)
        lowering = TransposedConvolution(
            axes, window, auto_pad, shape[1], outputs, groups, padding, size
        )
    return Node(
        name,
        node.op_type,
        (node.input[0],),
        node.output[0],
        (node,),
        lowering,
        math.prod(draft.shapes[node.output[0]]) // draft.batch,
        lowering.matrix(weight),
        bias,
        node.input[1],
        _formats(draft, node.input[0], node.input[1], lowering),
    )


def _gemm(
    draft: Draft, node: NodeProto, name: str
) -> tuple[list[NodeProto], Node, list[NodeProto]]:
    """A Gemm as a matrix product: transposed, scaled, and with the bias behind it."""
    given, out = _attributes(node), node.output[0]
    before: list[NodeProto] = []
    operands = []
    for tensor, key in zip(node.input[:2], ("transA", "transB"), strict=True):
        constant = draft.array(tensor)
        if not given.get(key, 0):
            operands.append(tensor)
        elif constant is not None:
            operands.append(_renamed(draft, tensor, f"{out}/{key}", constant.T))
        else:
            operands.append(_transposed(draft, tensor, (1, 0), f"{out}/{key}", before))
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
            bias = _typed(draft, f"{out}/scaled")
        result = _typed(draft, f"{out}/product")
        behind.append(helper.make_node("Add", [result, bias], [out]))
    if alpha != 1:
        position = 1 if draft.array(operands[1]) is not None else 0
        constant = draft.array(operands[position])
        if constant is not None:
            scaled = constant * alpha
            operands[position] = _renamed(
                draft, operands[position], f"{out}/alpha", scaled, float(alpha)
            )
        else:
            factor = draft.keep(f"{out}/alpha", np.asarray(alpha))
            unscaled = _typed(draft, f"{out}/unscaled")
            behind.insert(0, helper.make_node("Mul", [unscaled, factor], [result]))
            result = unscaled
    shapes = {**draft.shapes, result: draft.shapes[out]}
    for proto in before:
        shapes[proto.output[0]] = draft.shapes[proto.input[0]][::-1]
    inner = replace(draft, shapes=shapes)
    more, layer, last = _product(inner, node, name, operands, result)
    before += more
    only_bias = len(behind) == 1 and behind[0].op_type == "Add" and not last
    if only_bias and (vector := _bias_row(draft, behind[0].input[1], layer)) is not None:
        return before, replace(layer, bias=vector, output=out), []
    return before, layer, [*last, *behind]


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
    _require_finite(constant, layer.name, "bias", name)
    return np.array(np.broadcast_to(constant.reshape(-1), (channels,)))


def _product(
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
        turned = _renamed(draft, operands[0], f"{out}/turned", np.swapaxes(left, -1, -2))
        x = operands[1]
        if rank > 1:
            order = (*range(rank - 2), rank - 1, rank - 2)
            x = _transposed(draft, x, order, f"{out}/columns", before)
        operands = [x, turned]
        shape = draft.shapes[out]
        if rank > 1:
            order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
            result = _typed(draft, f"{out}/rows")
            behind.append(helper.make_node("Transpose", [result], [out], perm=order))
    a, b = operands
    weight = draft.array(b)
    a_shape = draft.shapes[node.input[1]] if left is not None else draft.shapes[a]
    b_shape = draft.shapes[b] if weight is None else weight.shape
    lowering = MatrixProduct(len(a_shape), tuple(b_shape))
    if not math.prod(b_shape) or not math.prod(a_shape):
        raise Stays("its operands hold no numbers")
    if weight is not None:
        _require_finite(weight, name, "weight", b)
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
        _formats(draft, a, b, lowering),
    )
    return before, layer, behind


def _transposed(
    draft: Draft, name: str, order: Sequence[int], result: str, before: list[NodeProto]
) -> str:
    """A node in front of a layer that transposes ``name``; returns its output."""
    before.append(helper.make_node("Transpose", [name], [_typed(draft, result)], perm=order))
    return result


def _typed(draft: Draft, name: str) -> str:
    draft.types[name] = TensorProto.FLOAT
    return name


def _renamed(
    draft: Draft, old: str, name: str, values: npt.NDArray[Any], factor: float = 1.0
) -> str:
    """A constant made of another one, which keeps the format that the file gives it."""
    if old in draft.given:
        known = draft.given[old]
        draft.given[name] = replace(known, scale=known.scale * factor)
    return draft.keep(name, values)


# --- formats that the file gives --------------------------------------------------------------


def _formats(draft: Draft, a: str, b: str, lowering: Lowering) -> tuple[Given | None, Given | None]:
    """The formats that the file gives to a layer's operands."""
    first, second, weight = draft.given.get(a), draft.given.get(b), draft.array(b)
    if first is not None:
        first = first.of_activations()
    if second is not None and weight is not None:
        return first, second.of_weights(lowering.matrix(weight))
    return first, None if second is None else second.of_activations()


# --- finite numbers ---------------------------------------------------------------------------


def _finite(draft: Draft, node: NodeProto, index: int, name: str) -> npt.NDArray[Any] | None:
    """A constant operand that must be finite, None if it is absent."""
    if index >= len(node.input) or not node.input[index]:
        return None
    values = draft.array(node.input[index])
    what = "bias" if index == 2 else "weight"
    if values is None:
        raise Stays(f"its {what} is computed from the input")
    _require_finite(values, name, what, node.input[index])
    return values


def _require_finite(values: npt.NDArray[Any], layer: str, what: str, tensor: str) -> None:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise InputError(
            f"layer {layer!r}: its {what} ({tensor!r}) holds {bad} numbers that are NaN or "
            "infinite: give a trained network with finite weights"
        )


# --- what follows, and the rewritten nodes ----------------------------------------------------


def _with_what_follows(
    draft: Draft, layer: Node, consumers: Mapping[str, list[NodeProto]]
) -> tuple[Node, set[int]]:
    """The layer with the factors and shifts behind it, and the nodes that these were."""
    taken: set[int] = set()
    while layer.weight is not None and layer.output not in draft.outputs:
        following = consumers.get(layer.output, [])
        shape = draft.shapes.get(layer.output)
        if len(following) != 1 or shape is None or following[0].domain not in ("", "ai.onnx"):
            break
        (node,) = following
        axis = 1 if layer.op in ("Conv", "ConvTranspose") else len(shape) - 1
        lone = isinstance(layer.lowering, MatrixProduct) and len(layer.lowering.shape) != 2
        constants = {name: draft.array(name) for name in node.input}
        change = None if lone else folding.affine(node, layer.output, shape, axis, constants)
        if change is None:
            break
        with np.errstate(all="ignore"):
            weight = (layer.weight * change.factor).astype(np.float32)
            old = np.zeros(weight.shape[1]) if layer.bias is None else layer.bias
            bias = (old * change.factor + change.shift).astype(np.float32)
        # Past float32: both stay apart.
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            break
        a, b = layer.given
        if b is not None and (change.factor != 1).any():
            b = replace(b, scale=b.scale * change.factor)
        layer = replace(layer, weight=weight, bias=bias, output=node.output[0], given=(a, b))
        taken.add(id(node))
    return layer, taken


def _written(draft: Draft, layer: Node) -> Node:
    """The layer with nodes of its own: the product, and the bias."""
    old = layer.protos[0]
    if layer.weight is None:
        return layer
    weight = draft.keep(f"{layer.output}/weight", layer.lowering.weight(layer.weight))
    inputs = [layer.inputs[0], weight]
    protos = []
    if layer.bias is not None and old.op_type != "MatMul":
        inputs.append(draft.keep(f"{layer.output}/bias", layer.bias))
    product = onnx.NodeProto()
    product.CopyFrom(old)
    del product.input[:], product.output[:]
    product.input.extend(inputs)
    separate = layer.bias is not None and old.op_type == "MatMul"
    product.output.append(_typed(draft, f"{layer.output}/sum") if separate else layer.output)
    protos.append(product)
    if separate:
        assert layer.bias is not None
        bias = draft.keep(f"{layer.output}/bias", layer.lowering.per_channel(layer.bias))
        protos.append(helper.make_node("Add", [product.output[0], bias], [layer.output]))
    _typed(draft, layer.output)
    return replace(layer, protos=tuple(protos), weight_name=weight)

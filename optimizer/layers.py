"""Which nodes of a graph are compute layers, and what they multiply.

A layer is a convolution or a transposed convolution of one or two dimensions with a constant
weight, or a matrix product: of a constant (Gemm, MatMul) or of two activations (attention). Factors
and shifts for each channel behind a layer (a batch normalisation, a bias) become part of it. Any
other operator with products stays in float, for a reason that is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from optimizer import float_work, folding, products
from optimizer.draft import Draft, Stays, attributes, finite, formats
from optimizer.graph import reads
from optimizer.lowering import Convolution, Lowering, MatrixProduct, TransposedConvolution
from optimizer.network import FloatOperator, Node
from optimizer.windows import Window

PRODUCTS = ("Conv", "ConvTranspose", "MatMul")


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
    if node.domain not in ("", "ai.onnx") or node.op_type not in (*PRODUCTS, "Gemm", "Einsum"):
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
        return products.gemm(draft, node, name)
    if node.op_type == "Einsum":
        return products.of_einsum(draft, node, name)
    if node.op_type == "MatMul":
        return products.product(draft, node, name, list(node.input), node.output[0])
    return [], _convolution(draft, node, name), []


def _convolution(draft: Draft, node: NodeProto, name: str) -> Node:
    weight = draft.array(node.input[1])
    if weight is None:
        raise Stays("its weight is computed from the input")
    shape, axes = draft.shapes[node.input[0]], weight.ndim - 2
    if axes not in (1, 2):
        raise Stays(f"it is a convolution of {axes} dimensions, datapaths have one or two")
    if not weight.size:
        raise Stays("its weight holds no numbers")
    bias = finite(draft, node, 2, name)
    weight = finite(draft, node, 1, name)
    assert weight is not None
    given = attributes(node)
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
        formats(draft, node.input[0], node.input[1], lowering),
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
    product.output.append(draft.typed(f"{layer.output}/sum") if separate else layer.output)
    protos.append(product)
    if separate:
        assert layer.bias is not None
        bias = draft.keep(f"{layer.output}/bias", layer.lowering.per_channel(layer.bias))
        protos.append(helper.make_node("Add", [product.output[0], bias], [layer.output]))
    draft.typed(layer.output)
    return replace(layer, protos=tuple(protos), weight_name=weight)

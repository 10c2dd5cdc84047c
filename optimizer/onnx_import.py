"""Reads an ONNX file into a ``Network``.

Supported are the operators of ``optimizer.operators`` and Constant. A BatchNormalization after
a convolution or a dense layer is folded into it, a softmax at the end is dropped (it changes
neither the predicted class nor, being known, the comparison of logits).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from hwgen.errors import InputError
from hwgen.fields import require_path
from optimizer import onnx_constants, onnx_file
from optimizer.network import Network, Node, channels_first
from optimizer.onnx_source import Source
from optimizer.operators import OPERATORS, Operator
from optimizer.windows import MOST_VALUES

LAYER_OPERATORS = ("Conv", "Gemm", "MatMul")

#: Operators behind a softmax that leave its values as they are, or put them into another shape.
_KEEPS_CLASSES = ("Identity", "Dropout", "Flatten", "Reshape")

_NAME_LENGTH = 60


def load(path: str | Path) -> Network:
    """The network in the ONNX file ``path``.

    InputError, one line, for a missing or damaged file, an operator that is not supported,
    more than one input or output, a dynamic shape other than the batch, or no weights.
    """
    source = require_path("path", path)
    model = onnx_file.read(source)
    graph = model.graph
    constants = {
        tensor.name: onnx_constants.array(tensor, f"network {source.name}: tensor {tensor.name!r}")
        for tensor in graph.initializer
    }
    # Old files list the weights among the inputs.
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"network {source.name} has {len(inputs)} inputs and {len(graph.output)} outputs: "
            "only one of each is supported, export the network with one input and the logits as "
            "its output"
        )
    batch, shape = _input_shape(inputs[0], source)
    reader = _Reader(source, onnx_file.opset(model), batch, constants)
    network = reader.network(graph, inputs[0].name, shape)
    if not network.layers:
        raise InputError(
            f"network {source.name} has no layer with weights ({', '.join(LAYER_OPERATORS)} "
            "with a constant) before its output: there is nothing to quantise, give a trained "
            "network"
        )
    return network


def _input_shape(value: onnx.ValueInfoProto, path: Path) -> tuple[int | None, tuple[int, ...]]:
    """The batch, None if it is dynamic, and the shape without it.

    The shape is as in the file: (channels, height, width) or (features,).
    """
    what = f"network {path.name}: input {value.name!r}"
    supported = "(batch, features) or (batch, channels, height, width)"
    if not value.type.HasField("tensor_type"):
        raise InputError(f"{what} is not a tensor: export the network with one, {supported}")
    tensor = value.type.tensor_type
    given = [
        d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in tensor.shape.dim
    ]
    if len(given) not in (2, 4):
        raise InputError(
            f"{what} has the shape {given}, of rank {len(given)}: only {supported} are "
            "supported, export the network with one of these"
        )
    dynamic = [size for size in given[1:] if isinstance(size, str) or size < 1]
    if dynamic:
        raise InputError(
            f"{what} has the shape {given}: only the batch, the first size, may be dynamic and "
            f"{dynamic[0]!r} is not a size of at least 1, export the network with fixed sizes"
        )
    sizes = tuple(d.dim_value for d in tensor.shape.dim)
    if math.prod(sizes[1:]) > MOST_VALUES:
        raise InputError(
            f"{what} has the shape {given}: at most 2^28 numbers an image are supported, export "
            "the network for smaller ones"
        )
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kinds = onnx.TensorProto.DataType
        known = tensor.elem_type in kinds.values()
        kind = kinds.Name(tensor.elem_type) if known else tensor.elem_type
        raise InputError(
            f"{what} is of type {kind}; only FLOAT (float32) is supported, export the network in "
            "float32"
        )
    # Some exporters write a dynamic batch as 0 or -1.
    return (sizes[0] if sizes[0] > 0 else None), sizes[1:]


class _Reader:
    """Reads a graph node by node.

    ``constants`` grows by what is computed of constants; ``shapes`` has the tensors that depend
    on the image, in this package's axis order and without the batch.
    """

    def __init__(
        self, path: Path, opset: int, batch: int | None, constants: dict[str, npt.NDArray[Any]]
    ) -> None:
        self.path, self.opset, self.batch, self.constants = path, opset, batch, constants
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.names: set[str] = set()

    def network(self, graph: onnx.GraphProto, name: str, shape: tuple[int, ...]) -> Network:
        """The network of ``graph``, whose input ``name`` has ``shape`` an image."""
        self.shapes[name] = shape if len(shape) == 1 else (*shape[1:], shape[0])
        nodes = [node for proto in graph.node if (node := self.node(proto)) is not None]
        output = graph.output[0].name
        if output not in self.shapes:
            raise InputError(
                f"network {self.path.name}: output {output!r} does not depend on the image: "
                "export the logits as the output"
            )
        nodes, output = _simplify(nodes, output)
        tensors = {name, *(node.output for node in nodes)}
        shapes = {name: shape for name, shape in self.shapes.items() if name in tensors}
        if math.prod(shapes[output][:-1]) != 1:
            raise InputError(
                f"network {self.path.name}: output {output!r} has the shape "
                f"{channels_first(shapes[output])} an image: only class scores, (batch, classes), "
                "are supported, end the network in them"
            )
        return Network(self.path.stem, name, shape, output, tuple(nodes), shapes)

    def node(self, proto: onnx.NodeProto) -> Node | None:
        """The node, or None for one that depends on constants alone."""
        name = _display_name(proto, self.names)
        given = [i for i in proto.input if i]
        if proto.op_type == "Constant":
            attributes = _attributes(proto, name)
            self.constants[proto.output[0]] = onnx_constants.constant(proto, attributes, name)
            return None
        if proto.op_type in onnx_constants.FOLDED and all(i in self.constants for i in given):
            constants = {i: self.constants[i] for i in given}
            self.constants[proto.output[0]] = onnx_constants.fold(
                proto, constants, self.opset, name
            )
            return None
        operator = OPERATORS.get(proto.op_type)
        if operator is None:
            raise InputError(
                f"operator {proto.op_type} (node {name!r}) is not supported; supported are "
                f"{', '.join((*OPERATORS, 'Constant'))}, and of constants alone "
                f"{', '.join(o for o in onnx_constants.FOLDED if o not in OPERATORS)}: rewrite "
                "the network with these"
            )
        source = self.source(proto, name, operator)
        node = operator.read(source)
        # One image of zeros gives the shape of the output.
        images = (np.zeros((1, *self.shapes[i]), np.float32) for i in node.inputs)
        with np.errstate(all="ignore"):
            self.shapes[node.output] = operator.run(node, *images).shape[1:]
        return node

    def source(self, proto: onnx.NodeProto, name: str, operator: Operator) -> Source:
        schema = onnx.defs.get_schema(proto.op_type, self.opset)
        defaults = {
            key: onnx.helper.get_attribute_value(attribute.default_value)
            for key, attribute in schema.attributes.items()
            if attribute.default_value.name
        }
        given = _attributes(proto, name)
        source = Source(
            name,
            proto.op_type,
            self.opset,
            self.batch,
            tuple(proto.input),
            tuple(proto.output),
            {**defaults, **given},
            tuple(self.constants.get(i) for i in proto.input),
            tuple(self.shapes.get(i) for i in proto.input),
        )
        unknown = [i for i in proto.input if i and i not in self.constants and i not in self.shapes]
        if unknown:
            source.fail(
                f"its input {unknown[0]!r} is an output beside the first of its operator, which "
                "is not supported"
            )
        for key, value in given.items():
            if key not in operator.attributes and (key not in defaults or value != defaults[key]):
                only = f": only {key}={defaults[key]} is" if key in defaults else ", leave it out"
                source.fail(f"attribute {key}={value} is not supported{only}")
        return source


def _attributes(proto: onnx.NodeProto, name: str) -> Mapping[str, Any]:
    """The attributes of a node of a checked graph by name."""
    for attribute in proto.attribute:
        # Only within a function's body; the checker lets it pass outside.
        if attribute.ref_attr_name:
            raise InputError(
                f"operator {proto.op_type} (node {name!r}): attribute {attribute.name} refers to "
                f"{attribute.ref_attr_name!r} of a function that is not there: export it again"
            )
    return {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}


def _display_name(proto: onnx.NodeProto, names: set[str]) -> str:
    """A short name, unique in the network: '/stage1/conv1/Conv' becomes 'stage1.conv1'.

    It stands in tables, pictures and on the terminal: signs that mean something there (or end a
    line) are replaced.
    """
    parts = [part for part in proto.name.split("/") if part]
    if len(parts) > 1 and parts[-1].split("_")[0] == proto.op_type:
        parts = parts[:-1]
    base = ".".join(parts) or proto.op_type.lower()
    base = "".join(c if c.isalnum() or c in "._-:" else "_" for c in base)[:_NAME_LENGTH]
    name, count = base, 1
    while name in names:
        count += 1
        name = f"{base}_{count}"
    names.add(name)
    return name


def _without_softmax(nodes: list[Node], output: str) -> tuple[list[Node], str]:
    """Nodes and output without a softmax at the end, if nothing after it changes the classes."""
    made_by = {node.output: node for node in nodes}
    node = made_by.get(output)
    after_softmax = []
    while node is not None and node.op in _KEEPS_CLASSES:
        after_softmax.append(node)
        node = made_by.get(node.inputs[0])
    if node is None or node.op != "Softmax":
        return nodes, output
    if not after_softmax:
        return nodes, node.inputs[0]
    first = after_softmax[-1]
    scores = dataclasses.replace(first, inputs=node.inputs)
    return [scores if n is first else n for n in nodes], output


def _simplify(nodes: list[Node], output: str) -> tuple[list[Node], str]:
    """Batch normalisations folded, a final softmax and what nothing reads dropped."""
    nodes, output = _without_softmax(nodes, output)
    needed, live = {output}, []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            live.append(node)
    live.reverse()
    folded: list[Node] = []
    for node in live:
        producer = next((n for n in folded if n.output == node.inputs[0]), None)
        if (
            node.op == "BatchNormalization"
            and producer is not None
            and producer.weight is not None
            and producer.bias is not None
            and sum(producer.output in n.inputs for n in live) == 1
            and producer.output != output
        ):
            scale, shift = node.attributes["scale"], node.attributes["shift"]
            with np.errstate(over="ignore"):
                weight, bias = producer.weight * scale, producer.bias * scale + shift
            # Too large for float32: the layer and the normalisation stay apart.
            if np.isfinite(weight).all() and np.isfinite(bias).all():
                folded[folded.index(producer)] = dataclasses.replace(
                    producer, output=node.output, weight=weight, bias=bias
                )
                continue
        folded.append(node)
    return folded, output

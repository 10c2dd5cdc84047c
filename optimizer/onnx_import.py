"""Reads an ONNX file into a ``Network``.

Supported are the operators of ``optimizer.operators`` and Constant. A BatchNormalization after
a convolution or a dense layer is folded into it, a softmax at the end is dropped (it changes
neither the predicted class nor, being known, the comparison of logits).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from hwgen.errors import InputError
from optimizer.network import Network, Node
from optimizer.operators import OPERATORS, Source

LAYER_OPERATORS = ("Conv", "Gemm", "MatMul")


def load(path: str | Path) -> Network:
    """The network in the ONNX file ``path``.

    InputError, one line, for a missing or damaged file, an operator that is not supported,
    more than one input or output, a dynamic shape other than the batch, or no weights.
    """
    source = Path(path)
    model = _read(source)
    graph = model.graph
    constants = {tensor.name: _array(tensor, source) for tensor in graph.initializer}
    # Old files list the weights among the inputs.
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"network {source.name} has {len(inputs)} inputs and {len(graph.output)} outputs: "
            "only one of each is supported, export the network with one image input and the "
            "logits as its output"
        )
    shape = _input_shape(inputs[0], source)
    network = _build(graph, source, constants, inputs[0].name, shape)
    if not network.layers:
        raise InputError(
            f"network {source.name} has no layer with weights ({', '.join(LAYER_OPERATORS)} "
            "with a constant): there is nothing to quantise, give a trained network"
        )
    return network


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise InputError(f"network '{path}' is not a file: give the path of an ONNX file")
    try:
        # External weights are taken from the file's own folder.
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's, the checker's and the loader's: all "not usable"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"network '{path}' is not a valid ONNX file ({reason}): give a file written by "
            "torch.onnx.export or another ONNX exporter"
        ) from error
    if not model.graph.node:
        raise InputError(f"network '{path}' is empty: it has no nodes, give an exported network")
    return model


def _array(tensor: onnx.TensorProto, path: Path) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"network {path.name}: weights {tensor.name!r} contain NaN or infinity: give a "
            "trained network with finite weights"
        )
    return array


def _input_shape(value: onnx.ValueInfoProto, path: Path) -> tuple[int, ...]:
    """The shape without the batch, as in the file: (channels, height, width) or (features,)."""
    tensor = value.type.tensor_type
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
    if len(sizes) not in (2, 4) or any(size < 1 for size in sizes[1:]):
        given = [d.dim_param or d.dim_value or "?" for d in tensor.shape.dim]
        raise InputError(
            f"network {path.name}: input {value.name!r} has the shape {given}; only the batch "
            "may be dynamic, as in (batch, 1, 28, 28) or (batch, 784): export it with fixed sizes"
        )
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise InputError(
            f"network {path.name}: input {value.name!r} is of type {kind}; only FLOAT (float32) "
            "is supported, export the network in float32"
        )
    return tuple(sizes[1:])


def _build(
    graph: onnx.GraphProto,
    path: Path,
    constants: dict[str, npt.NDArray[Any]],
    input_name: str,
    input_shape: tuple[int, ...],
) -> Network:
    own = input_shape if len(input_shape) == 1 else (*input_shape[1:], input_shape[0])
    # One image of zeros goes along: it gives every shape, and a shape that does not fit is
    # found at its node.
    values = {input_name: np.zeros((1, *own), np.float32)}
    nodes: list[Node] = []
    names: set[str] = set()
    for proto in graph.node:
        name = _display_name(proto, names)
        if proto.op_type == "Constant" and proto.domain in ("", "ai.onnx"):
            constants[proto.output[0]] = _constant(proto, name)
            continue
        operator = OPERATORS.get(proto.op_type)
        if operator is None or proto.domain not in ("", "ai.onnx"):
            raise InputError(
                f"operator {proto.op_type} (node {name!r}) is not supported; supported are "
                f"{', '.join((*OPERATORS, 'Constant'))}: rewrite the network with these"
            )
        source = Source(
            name,
            proto.op_type,
            tuple(proto.input),
            proto.output[0],
            {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute},
            tuple(constants.get(i) for i in proto.input),
            tuple(values[i].shape[1:] if i in values else None for i in proto.input),
        )
        unknown = [i for i in proto.input if i and i not in constants and i not in values]
        if unknown:
            source.fail(f"its input {unknown[0]!r} is nothing that this importer computes")
        node = operator.read(source)
        try:
            value = operator.run(node, *(values[i] for i in node.inputs))
        except ValueError as error:
            source.fail(f"its operands do not fit each other ({error})")
        nodes.append(node)
        values[node.output] = value
    output = graph.output[0].name
    if output not in values:
        raise InputError(
            f"network {path.name}: output {output!r} does not depend on the image: export the "
            "logits as the output"
        )
    nodes, output = _simplify(nodes, output)
    kept = {input_name, *(node.output for node in nodes)}
    shapes = {name: value.shape[1:] for name, value in values.items() if name in kept}
    if len(shapes[output]) != 1 and int(np.prod(shapes[output][:-1])) != 1:
        raise InputError(
            f"network {path.name}: output {output!r} has the shape {shapes[output]} an image; "
            "only class scores, (batch, classes), are supported"
        )
    return Network(path.stem, input_name, input_shape, output, tuple(nodes), shapes)


def _display_name(proto: onnx.NodeProto, names: set[str]) -> str:
    """A short name, unique in the network: '/stage1/conv1/Conv' becomes 'stage1.conv1'."""
    parts = [part for part in proto.name.split("/") if part]
    if len(parts) > 1 and parts[-1].split("_")[0] == proto.op_type:
        parts = parts[:-1]
    base = ".".join(parts) or proto.op_type.lower()
    name, count = base, 1
    while name in names:
        count += 1
        name = f"{base}_{count}"
    names.add(name)
    return name


def _constant(proto: onnx.NodeProto, name: str) -> npt.NDArray[Any]:
    attribute = proto.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        tensor: npt.NDArray[Any] = numpy_helper.to_array(value)
        return tensor
    if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
        return np.asarray(value, np.float32 if "float" in attribute.name else np.int64)
    raise InputError(
        f"operator Constant (node {name!r}): {attribute.name} is not supported, use a tensor"
    )


def _simplify(nodes: list[Node], output: str) -> tuple[list[Node], str]:
    """Batch normalisations folded, a final softmax and what nothing reads dropped."""
    if nodes[-1].op == "Softmax" and nodes[-1].output == output:
        output = nodes[-1].inputs[0]
    needed, kept = {output}, []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    kept.reverse()
    folded: list[Node] = []
    for node in kept:
        producer = next((n for n in folded if n.output == node.inputs[0]), None)
        if (
            node.op == "BatchNormalization"
            and producer is not None
            and producer.weight is not None
            and producer.bias is not None
            and sum(producer.output in n.inputs for n in kept) == 1
            and producer.output != output
        ):
            scale, shift = node.attributes["scale"], node.attributes["shift"]
            folded[folded.index(producer)] = dataclasses.replace(
                producer,
                output=node.output,
                weight=producer.weight * scale,
                bias=producer.bias * scale + shift,
            )
        else:
            folded.append(node)
    return folded, output

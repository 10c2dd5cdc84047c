"""Operator sets that onnxruntime does not know, converted by onnx.

These are 1 to 6, and those that are newer than it. What an operator of two inputs broadcasts where,
an attribute says before 7; onnx 1.23's converter places it wrongly, so constants are reshaped here.
"""

from __future__ import annotations

import onnx
import onnx.version_converter
from onnx import helper, numpy_helper

#: The oldest operator set that onnxruntime computes, and what older ones are converted to.
OLDEST, CONVERTED = 7, 8
#: The newest of which onnxruntime 1.32 has all operators that a network usually has.
NEWEST = 26


def converted(model: onnx.ModelProto, version: int = CONVERTED) -> onnx.ModelProto:
    """``model`` in the operator set ``version``.

    ValueError, or an exception of onnx, for an operator that has no rule.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    # The converter wants sizes: the batch stands as one meanwhile.
    for value in (*fixed.graph.input, *fixed.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if not size.HasField("dim_value") or size.dim_value < 1:
                size.dim_value = 1
    _place_broadcasts(fixed)
    result = onnx.version_converter.convert_version(fixed, version)
    for new, old in (
        (result.graph.input, model.graph.input),
        (result.graph.output, model.graph.output),
    ):
        by_name = {value.name: value for value in old}
        for value in new:
            if value.name in by_name:
                value.CopyFrom(by_name[value.name])
    return result


def _place_broadcasts(model: onnx.ModelProto) -> None:
    """Every ``axis`` of a broadcast becomes part of the shape of the constant that is broadcast."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if not given.get("broadcast") or given.get("axis") is None or len(node.input) != 2:
            continue
        left, right = node.input
        if right not in constants or left not in ranks:
            raise ValueError(f"{node.op_type} broadcasts along axis {given['axis']} what varies")
        array = numpy_helper.to_array(constants[right])
        behind = ranks[left] - given["axis"] % ranks[left] - array.ndim
        if behind < 0:
            raise ValueError(f"{node.op_type} has axis={given['axis']}, and no such axes")
        placed = numpy_helper.from_array(
            array.reshape(array.shape + (1,) * behind), f"{node.output[0]}/broadcast"
        )
        model.graph.initializer.append(placed)
        # Up to version 3 of the file format weights are listed among the inputs.
        model.graph.input.append(
            helper.make_tensor_value_info(placed.name, placed.data_type, list(placed.dims))
        )
        node.input[1] = placed.name
        kept = [a for a in node.attribute if a.name != "axis"]
        del node.attribute[:]
        node.attribute.extend(kept)

"""Constants of an ONNX graph.

They are the tensors of the file, Constant nodes, and what is computed of constants alone.
Exporters write such computations: torch an Identity for two equal biases, others a Transpose of
a weight or the arithmetic of a shape. onnx's own reference evaluator computes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from hwgen.errors import InputError
from optimizer.onnx_file import one_line

#: Operators that are computed if all their inputs are constants: without state or chance, and
#: exact or rounded once, so that any evaluator gives the same.
FOLDED = (
    *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Slice"),
    *("Gather", "Shape", "Cast", "Neg", "Add", "Sub", "Mul", "Div", "Sqrt"),
)


#: Numbers that a computed constant may have, and more only if what it is computed of has them.
FREE_VALUES = 2**20


def array(tensor: onnx.TensorProto, what: str) -> npt.NDArray[Any]:
    """The values of ``tensor``; ``what`` names it in the InputError for a damaged one."""
    try:
        # numpy takes a negative size as one to be worked out, and so do older checkers of onnx.
        if any(size < 0 for size in tensor.dims):
            raise ValueError(f"a size is negative in {list(tensor.dims)}")
        values: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    except Exception as error:  # numpy's and protobuf's: sizes and types that do not fit
        raise InputError(
            f"{what} cannot be read ({one_line(error)}): export the network again"
        ) from error
    return values


def constant(node: onnx.NodeProto, attributes: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    """The value of a Constant node; InputError for one without a value or of text."""
    what = f"operator Constant (node {name!r})"
    if len(attributes) != 1:
        raise InputError(
            f"{what}: it must have one value and has {len(attributes)}: export the network again"
        )
    ((kind, value),) = attributes.items()
    if kind == "value":
        return array(value, what)
    if kind in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    if kind in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    raise InputError(f"{what}: {kind} is not supported, write it as a tensor (value)")


def fold(
    node: onnx.NodeProto, inputs: Mapping[str, npt.NDArray[Any]], opset: int, name: str
) -> npt.NDArray[Any]:
    """The first output of ``node``, an operator of ``FOLDED``, of constant ``inputs``.

    ``inputs``: by the names of the tensors; ``opset``: the version of the operator set; ``name``
    names the node in the InputError for what cannot be computed or is too large.
    """
    # Loaded late: most networks need no evaluator.
    from onnx.reference import ReferenceEvaluator

    what = f"operator {node.op_type} (node {name!r}) of constants"
    tensors = {key: numpy_helper.from_array(value) for key, value in inputs.items()}
    types = {
        key: onnx.helper.make_tensor_type_proto(t.data_type, tuple(t.dims))
        for key, t in tensors.items()
    }
    imports = [onnx.helper.make_opsetid("", opset)]
    try:
        schema = onnx.defs.get_schema(node.op_type, opset)
        result = onnx.shape_inference.infer_node_outputs(
            schema, node, types, tensors, opset_imports=imports
        )[node.output[0]].tensor_type
        sizes = [d.dim_value for d in result.shape.dim if d.HasField("dim_value")]
        known = result.HasField("shape") and len(sizes) == len(result.shape.dim)
    except Exception as error:  # the inference's: operands that do not fit each other
        raise InputError(f"{what} cannot be computed ({one_line(error)}): fold it yourself") from (
            error
        )
    # Before it is computed: a few operators can ask for more than the memory holds.
    most = max(FREE_VALUES, sum(value.size for value in inputs.values()))
    if not known or math.prod(sizes) > most:
        raise InputError(
            f"{what} has the shape {sizes if known else 'unknown'}: at most {most} numbers are "
            "computed of these, export the network with folded constants"
        )
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [onnx.helper.make_value_info(key, kind) for key, kind in types.items()],
        [onnx.helper.make_tensor_value_info(node.output[0], result.elem_type, sizes)],
    )
    model = onnx.helper.make_model(graph, opset_imports=imports)
    try:
        # Other numbers that are not finite are found where they are used; integers have none.
        with np.errstate(all="ignore", divide="raise"):
            value = np.asarray(ReferenceEvaluator(model).run(None, dict(inputs))[0])
    except Exception as error:  # any of numpy's: the operands are the file's
        raise InputError(f"{what} cannot be computed ({one_line(error)}): fold it yourself") from (
            error
        )
    # The evaluator is not right everywhere: axes of Unsqueeze out of order, steps of Slice below 0.
    if value.shape != tuple(sizes):
        raise InputError(
            f"{what} has the shape {sizes} by onnx's shape inference and {value.shape} by its "
            "evaluator: fold it yourself"
        )
    return value

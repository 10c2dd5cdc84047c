"""Constants of a graph that are computed once, and factors and shifts behind a layer.

Exporters write such computations: torch an Identity for two equal biases, others a Transpose of a
weight, the arithmetic of a shape, or a batch normalisation behind a convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from hwgen.errors import InputError
from optimizer import runtime
from optimizer.graph import reads

#: Operators that give something else each time.
RANDOM = (
    *("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"),
    *("Multinomial", "Bernoulli"),
)


def constants_of(
    model: onnx.ModelProto, nodes: Sequence[NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> tuple[list[NodeProto], dict[str, onnx.TensorProto]]:
    """The nodes that depend on an input, and all constants that they read.

    What depends on ``constants`` alone is computed by onnxruntime; InputError if it cannot be.
    """
    known = set(constants)
    fixed: list[NodeProto] = []
    left: list[NodeProto] = []
    for node in nodes:
        constant = all(name in known for name in reads(node)) and node.op_type not in RANDOM
        (fixed if constant else left).append(node)
        if constant:
            known.update(node.output)
    wanted = {name for node in left for name in reads(node)}
    wanted |= {value.name for value in model.graph.output}
    made = {name for node in fixed for name in node.output if name}
    outputs = sorted(wanted & made)
    if not outputs:
        return left, dict(constants)
    graph = helper.make_graph(
        fixed,
        "constants",
        [],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [constants[name] for name in constants if any(name in reads(node) for node in fixed)],
    )
    used = {"", "ai.onnx", *(node.domain for node in fixed)}
    part = helper.make_model(
        graph,
        opset_imports=[i for i in model.opset_import if i.domain in used],
        ir_version=model.ir_version,
    )
    values = runtime.session(part).run({})
    for name, value in values.items():
        if not isinstance(value, np.ndarray):
            raise InputError(
                f"the network's constant {name!r} is not a tensor: export it with folded constants"
            )
    return left, {**constants, **{k: numpy_helper.from_array(v, k) for k, v in values.items()}}


@dataclass(frozen=True, eq=False)
class Affine:
    """A factor and a shift for each output channel, float64, (channels,) or (1,)."""

    factor: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]


def affine(
    node: NodeProto, tensor: str, shape: Sequence[int], axis: int, constants: Mapping[str, Any]
) -> Affine | None:
    """What ``node`` does to each channel of ``tensor``, or None if that is anything else.

    ``shape``: of the tensor, whose channels are on ``axis`` (from the front); ``constants``: arrays
    by name.
    """
    others = [constants.get(name) for name in node.input if name != tensor]
    if any(other is None or other.dtype != np.float32 for other in others):
        return None
    if node.op_type == "BatchNormalization":
        return _normalisation(node, others) if axis == 1 and node.input[0] == tensor else None
    if len(others) != 1 or len(node.input) != 2:
        return None
    constant = others[0]
    assert constant is not None
    vector = _per_channel(constant, shape, axis)
    if vector is None or node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first = node.input[0] == tensor
    one, zero = np.ones(1), np.zeros(1)
    if node.op_type == "Add":
        return Affine(one, vector)
    if node.op_type == "Sub":
        return Affine(one, -vector) if first else Affine(-one, vector)
    if node.op_type == "Mul":
        return Affine(vector, zero)
    with np.errstate(divide="ignore"):
        return Affine(1 / vector, zero) if first else None


def _per_channel(
    constant: npt.NDArray[Any], shape: Sequence[int], axis: int
) -> npt.NDArray[np.float64] | None:
    """The constant as a number for each channel, unless it has others."""
    if constant.ndim > len(shape):
        return None
    full = (1,) * (len(shape) - constant.ndim) + constant.shape
    if constant.size != full[axis] or full[axis] not in (1, shape[axis]):
        return None
    return constant.reshape(-1).astype(np.float64)


def _normalisation(node: NodeProto, constants: Sequence[Any]) -> Affine | None:
    """What a batch normalisation does to each channel, in inference."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    training = given.get("training_mode", 0) or sum(map(bool, node.output)) > 1
    if len(constants) != 4 or training or not given.get("spatial", 1):
        return None
    scale, shift, mean, variance = (c.astype(np.float64).reshape(-1) for c in constants)
    divisor = variance + given.get("epsilon", 1e-5)
    if not (divisor > 0).all():
        return None
    factor = scale / np.sqrt(divisor)
    return Affine(factor, shift - mean * factor)

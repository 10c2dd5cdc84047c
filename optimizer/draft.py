"""A graph while its layers are looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwgen.errors import InputError
from optimizer.given import Given
from optimizer.lowering import Lowering


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

    def typed(self, name: str) -> str:
        """Note that the tensor ``name`` is of float32; returns the name."""
        self.types[name] = TensorProto.FLOAT
        return name

    def keep(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        self.arrays[name] = values
        return name


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def transposed(
    draft: Draft, name: str, order: Sequence[int], result: str, before: list[NodeProto]
) -> str:
    """A node in front of a layer that transposes ``name``; returns its output."""
    before.append(helper.make_node("Transpose", [name], [draft.typed(result)], perm=order))
    return result


def renamed(
    draft: Draft, old: str, name: str, values: npt.NDArray[Any], factor: float = 1.0
) -> str:
    """A constant made of another one, which keeps the format that the file gives it."""
    if old in draft.given:
        known = draft.given[old]
        draft.given[name] = replace(known, scale=known.scale * factor)
    return draft.keep(name, values)


def formats(draft: Draft, a: str, b: str, lowering: Lowering) -> tuple[Given | None, Given | None]:
    """The formats that the file gives to a layer's operands."""
    first, second, weight = draft.given.get(a), draft.given.get(b), draft.array(b)
    if first is not None:
        first = first.of_activations()
    if second is not None and weight is not None:
        return first, second.of_weights(lowering.matrix(weight))
    return first, None if second is None else second.of_activations()


def finite(draft: Draft, node: NodeProto, index: int, name: str) -> npt.NDArray[Any] | None:
    """A constant operand that must be finite, None if it is absent."""
    if index >= len(node.input) or not node.input[index]:
        return None
    values = draft.array(node.input[index])
    what = "bias" if index == 2 else "weight"
    if values is None:
        raise Stays(f"its {what} is computed from the input")
    require_finite(values, name, what, node.input[index])
    return values


def require_finite(values: npt.NDArray[Any], layer: str, what: str, tensor: str) -> None:
    """InputError, with the name of the ``layer``, unless ``values`` are finite."""
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise InputError(
            f"layer {layer!r}: its {what} ({tensor!r}) holds {bad} numbers that are NaN or "
            "infinite: give a trained network with finite weights"
        )

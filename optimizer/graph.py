"""A float network as an ONNX graph that can be cut: nodes in order, constants, types of tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from optimizer import runtime
from optimizer.runtime import Session


def reads(node: NodeProto) -> tuple[str, ...]:
    """The tensors that ``node`` needs, those of the graphs inside it (If, Loop, Scan) included."""
    names = dict.fromkeys(name for name in node.input if name)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            names.update(dict.fromkeys(_captured(inner)))
    return tuple(names)


def _captured(inner: onnx.GraphProto) -> Iterable[str]:
    """The tensors of the outer graph that a graph inside a node reads."""
    own = {value.name for value in inner.input} | {tensor.name for tensor in inner.initializer}
    for node in inner.node:
        yield from (name for name in reads(node) if name not in own)
        own.update(node.output)
    yield from (value.name for value in inner.output if value.name not in own)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in the order of execution, each tensor made once.

    ``constants``: tensors of the file by name; ``types``: the type of every other tensor, as
    ``onnx.TensorProto.DataType`` numbers them; ``imports``: the operator sets.
    """

    nodes: tuple[NodeProto, ...]
    constants: Mapping[str, onnx.TensorProto]
    types: Mapping[str, int]
    imports: tuple[onnx.OperatorSetIdProto, ...]
    ir_version: int

    def array(self, name: str) -> npt.NDArray[Any]:
        """The values of a constant."""
        values: npt.NDArray[Any] = numpy_helper.to_array(self.constants[name])
        return values

    def model(
        self,
        nodes: Sequence[NodeProto],
        outputs: Sequence[str],
        given: Collection[str] = (),
    ) -> onnx.ModelProto:
        """A model of ``nodes`` alone, a part of the graph in its order, that gives ``outputs``.

        Its inputs are the tensors that are made elsewhere, and the constants named in ``given``.
        """
        made = {name for node in nodes for name in node.output if name}
        needed = dict.fromkeys(name for node in nodes for name in reads(node) if name not in made)
        needed.update(dict.fromkeys(name for name in outputs if name not in made))
        fixed = [name for name in needed if name in self.constants and name not in given]
        inputs = [name for name in needed if name not in fixed]

        def value(name: str) -> onnx.ValueInfoProto:
            kind = self.constants[name].data_type if name in self.constants else self.types[name]
            return helper.make_tensor_value_info(name, kind, None)

        graph = helper.make_graph(
            list(nodes),
            "part",
            [value(name) for name in inputs],
            # onnxruntime finds the type of an output that onnx's inference did not.
            [value(n) if n in self.types else onnx.ValueInfoProto(name=n) for n in outputs],
            [self.constants[name] for name in fixed],
        )
        return helper.make_model(
            graph, opset_imports=list(self.imports), ir_version=self.ir_version
        )

    def session(
        self, nodes: Sequence[NodeProto], outputs: Sequence[str], given: Collection[str] = ()
    ) -> Session:
        """A session of ``model``."""
        return runtime.session(self.model(nodes, outputs, given))

    def before(self, outputs: Iterable[str]) -> tuple[NodeProto, ...]:
        """The nodes that ``outputs`` are computed by, in the order of execution."""
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(reads(node))
                nodes.append(node)
        return tuple(reversed(nodes))

    def after(self, tensors: Iterable[str]) -> tuple[NodeProto, ...]:
        """The nodes that depend on ``tensors``, in the order of execution."""
        changed, nodes = set(tensors), []
        for node in self.nodes:
            if changed.intersection(reads(node)):
                changed.update(node.output)
                nodes.append(node)
        return tuple(nodes)

"""A trained network: a graph of float operators, and the layers in it that become datapaths.

Tensors are as ONNX has them, the batch first and then the channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto

from hwgen.errors import InputError
from hwgen.formats import Format, Scalar
from optimizer.given import Given
from optimizer.graph import Graph, reads
from optimizer.inputs import Declared, Inputs, count, named, taken
from optimizer.lowering import Lowering
from optimizer.runtime import Session

Array = npt.NDArray[np.float32]

#: The tensors that are multiplied in ``Network.rest``.
OPERANDS = ("layer/a", "layer/b")
Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Node:
    """One compute layer, as it stands in the network's graph.

    ``op``: the operator in the file; ``inputs``: its activations, and the second operand where
    that is no constant; ``protos``: its nodes in the graph, the product and perhaps its bias.
    ``weight`` and ``bias``: float32 (dot length, output channels), rows in the order of
    ``lowering``, and (output channels,), None where there is none; ``weight_name``: the constant
    in the graph. ``outputs``: output values of an image. ``given``: the formats of both operands
    that the file asks for, or None.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    protos: tuple[NodeProto, ...]
    lowering: Lowering
    outputs: int
    weight: Array | None = None
    bias: Array | None = None
    weight_name: str | None = None
    given: tuple[Given | None, Given | None] = (None, None)

    @property
    def given_formats(self) -> tuple[Scalar | None, Scalar | None]:
        """The formats that the file gives to activations and weights, None where it does not."""
        a, b = (None if given is None else given.number_format for given in self.given)
        return (a, b)

    def tried(self, formats: Sequence[Format]) -> tuple[Format, ...]:
        """``formats``, and those that the file gives to this layer."""
        given = (f for f in self.given_formats if f is not None)
        return tuple(dict.fromkeys((*formats, *given)))

    @property
    def operands(self) -> tuple[str, str]:
        """The tensors that are multiplied: activations, and weights or other activations."""
        return (self.inputs[0], self.weight_name or self.inputs[1])


@dataclass(frozen=True)
class Layer:
    """The work of one compute layer for one image.

    ``dot_length``: products of one output value; ``outputs``: output values of an image.
    """

    name: str
    op: str
    dot_length: int
    outputs: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.dot_length * self.outputs


@dataclass(frozen=True)
class FloatOperator:
    """An operator with products that stays in float: why, and how many an image.

    ``macs`` is None where they cannot be counted.
    """

    name: str
    op: str
    macs: int | None
    reason: str


@dataclass(frozen=True)
class Input:
    """An input of a network: its shape without the batch, and its type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    ``nodes``: its layers in the order of execution; ``output``: the tensor of class scores, (batch,
    ``classes``) but for axes of one; ``batch``: how many images it takes at once, None for any
    number. ``float_operators``: products that become no datapath.
    """

    name: str
    graph: Graph
    inputs: tuple[Input, ...]
    output: str
    classes: int
    batch: int | None
    nodes: tuple[Node, ...]
    float_operators: tuple[FloatOperator, ...] = ()

    @cached_property
    def layer_nodes(self) -> dict[str, Node]:
        """The compute layers by name, in the order of execution."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The work of each compute layer, in the order of execution."""
        return tuple(
            Layer(node.name, node.op, node.lowering.dot_length, node.outputs) for node in self.nodes
        )

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each input without the batch, by name."""
        return {value.name: value.shape for value in self.inputs}

    @property
    def declared(self) -> tuple[Declared, ...]:
        """The inputs, as data are read for them."""
        return tuple(Declared(i.name, i.shape, i.dtype) for i in self.inputs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the only, or first, input without the batch."""
        return self.inputs[0].shape

    def layer_node(self, name: str) -> Node:
        """The compute layer called ``name``; InputError if there is none."""
        if name not in self.layer_nodes:
            raise InputError(
                f"the network has no layer {name!r}: use one of {', '.join(self.layer_nodes)}"
            )
        return self.layer_nodes[name]

    def weight(self, name: str) -> Array:
        """The FP32 weights of the layer called ``name``, (dot length, output channels)."""
        weight = self.layer_node(name).weight
        assert weight is not None
        return weight

    @property
    def float_share(self) -> float:
        """The part of the multiplications, as far as counted, that stays in float."""
        stays = sum(operator.macs or 0 for operator in self.float_operators)
        return stays / max(1, stays + sum(layer.macs for layer in self.layers))

    # --- how it is run ------------------------------------------------------------------------

    def session(self, outputs: Sequence[str]) -> Session:
        """FP32, from the network's inputs to ``outputs``."""
        return self.graph.session(self.graph.before(outputs), outputs)

    @cached_property
    def whole(self) -> Session:
        """FP32, from the network's inputs to the class scores."""
        return self.session([self.output])

    @cached_property
    def parts(self) -> tuple[Session | None, ...]:
        """What is computed in float before the first layer and behind each, None for nothing.

        Part ``i`` follows layer ``i - 1``: all that depends on that layer and on none after it.
        """
        layer_of = {proto.output[0]: i for i, n in enumerate(self.nodes) for proto in n.protos}
        part_of: dict[str, int] = {}
        parts: list[list[NodeProto]] = [[] for _ in range(len(self.nodes) + 1)]
        needed = {name for node in self.nodes for name in node.inputs} | {self.output}
        for proto in self.graph.before(needed):
            layer = layer_of.get(proto.output[0])
            part = (
                max((part_of.get(name, 0) for name in reads(proto)), default=0)
                if layer is None
                else layer + 1
            )
            part_of.update(dict.fromkeys(proto.output, part))
            if layer is None:
                parts[part].append(proto)
        for i, protos in enumerate(parts):
            for proto in protos:
                needed.update(name for name in reads(proto) if part_of.get(name) != i)
        return tuple(
            self.graph.session(
                protos, [name for proto in protos for name in proto.output if name in needed]
            )
            if protos
            else None
            for protos in parts
        )

    @cached_property
    def last_uses(self) -> Mapping[str, int]:
        """The last part or layer that reads a tensor: layer ``i`` counts as 2i + 1, a part 2i."""
        uses = {}
        for i, part in enumerate(self.parts):
            uses.update(dict.fromkeys(part.inputs if part else (), 2 * i))
            if i < len(self.nodes):
                uses.update(dict.fromkeys(self.nodes[i].inputs, 2 * i + 1))
        return {**uses, self.output: 2 * len(self.parts)}

    @cached_property
    def layer_sessions(self) -> tuple[Session, ...]:
        """Each layer in FP32, from its inputs to its output."""
        return tuple(self.graph.session(node.protos, [node.output]) for node in self.nodes)

    def rest(self, node: Node) -> Session:
        """FP32, from both operands of ``node``, called ``OPERANDS``, to the class scores."""
        after = {id(proto) for proto in self.graph.after([node.output])}
        needed = [proto for proto in self.graph.before([self.output]) if id(proto) in after]
        # Others may read the layer's activations too: the operands get names of their own.
        product = onnx.NodeProto()
        product.CopyFrom(node.protos[0])
        product.input[0], product.input[1] = OPERANDS
        types = {**self.graph.types, **dict.fromkeys(OPERANDS, onnx.TensorProto.FLOAT)}
        graph = replace(self.graph, types=types)
        return graph.session([product, *node.protos[1:], *needed], [self.output])

    def behind(self, node: Node) -> Session:
        """FP32, from the output of ``node`` to the class scores."""
        after = {id(proto) for proto in self.graph.after([node.output])}
        needed = [proto for proto in self.graph.before([self.output]) if id(proto) in after]
        return self.graph.session(needed, [self.output])

    def batches(self, images: Inputs, size: int) -> Iterator[tuple[int, Tensors]]:
        """The network's inputs, ``size`` images at a time, each with how many of them count.

        A network that takes a number of its own gets as many, the last ones more than once.
        """
        size = self.batch or size
        arrays = named(images, self.inputs[0].name)
        whole = {i.name: np.asarray(arrays[i.name], i.dtype) for i in self.inputs}
        for start in range(0, count(images), size):
            part = taken(whole, slice(start, start + size))
            length = count(part)
            if self.batch is not None and length < size:
                part = taken(part, np.minimum(np.arange(size), length - 1))
            yield length, dict(named(part, ""))

    def require_images(self, images: Inputs, what: str = "the images") -> None:
        """InputError unless ``images`` has the shape (N, *input_shape), N at least 1."""
        arrays = named(images, self.inputs[0].name)
        for value in self.inputs:
            if value.name not in arrays:
                raise InputError(
                    f"{what} are of {', '.join(arrays)} and network {self.name} takes "
                    f"{value.name!r} too: give data of each input"
                )
            shape = arrays[value.name].shape
            if shape[1:] != value.shape or not shape or not shape[0]:
                wanted = ", ".join(map(str, ("N", *value.shape)))
                of = f" of input {value.name!r}" * (len(self.inputs) > 1)
                raise InputError(
                    f"{what}{of} have the shape {shape} and network {self.name} takes "
                    f"({wanted}): give data of that shape"
                )


def scores(values: npt.NDArray[Any]) -> Array:
    """A network's output as (images, classes), float32."""
    return values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float32, copy=False)

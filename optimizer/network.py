"""A trained network as plain data: nodes in order, weights as numpy arrays.

Tensors with a height and a width are kept as (batch, height, width, channels): the patches of
a convolution are then runs of contiguous channels, and a layer's output is the matrix product
without a transposition. Everything outside (images, ONNX) has the channels first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError

Array = npt.NDArray[np.float32]


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A tensor's shape without the batch as users give it: (channels, height, width)."""
    return (shape[2], *shape[:2]) if len(shape) == 3 else shape


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    ``attributes`` are those of ``optimizer.operators``; ``weight`` and ``bias`` are set for
    compute layers only: float32, shape (dot length, output channels) and (output channels,).
    A convolution's rows are in the order kernel row, kernel column, input channel.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weight: Array | None = None
    bias: Array | None = None

    @property
    def is_layer(self) -> bool:
        """Whether the node is a convolution or a dense layer: what a datapath computes."""
        return self.weight is not None


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


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network: its nodes in the order of execution.

    ``input_shape`` is (channels, height, width) or (features,), without the batch.
    ``input`` and ``output`` are the names of tensors; ``shapes`` gives every tensor's shape
    without the batch, in this package's axis order.
    """

    name: str
    input: str
    input_shape: tuple[int, ...]
    output: str
    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def layer_nodes(self) -> dict[str, Node]:
        """The compute layers by name, in the order of execution."""
        return {node.name: node for node in self.nodes if node.is_layer}

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The work of each compute layer, in the order of execution."""
        return tuple(
            Layer(name, node.op, len(weight), math.prod(self.shapes[node.output]))
            for name, node in self.layer_nodes.items()
            if (weight := node.weight) is not None
        )

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

    def after(self, node: Node) -> tuple[Node, ...]:
        """The nodes that depend on ``node``'s output, in the order of execution."""
        changed, dependents = {node.output}, []
        for other in self.nodes:
            if changed.intersection(other.inputs):
                changed.add(other.output)
                dependents.append(other)
        return tuple(dependents)

    def require_images(self, images: npt.NDArray[Any], what: str = "the images") -> None:
        """InputError unless ``images`` has the shape (N, *input_shape), N at least 1."""
        if images.shape[1:] != self.input_shape or not len(images):
            wanted = ", ".join(map(str, ("N", *self.input_shape)))
            raise InputError(
                f"{what} have the shape {images.shape} and network {self.name} takes "
                f"({wanted}): give data of that shape"
            )

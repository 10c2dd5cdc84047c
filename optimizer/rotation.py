"""A network whose operands are rotated before they are rounded, and which computes the same.

A rotated layer sums over whole blocks of the rotation: what its dot product lacks of them is filled
up with zeros before. Which layers are rotated: those whose output has the smaller error with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimizer.lowering import Lowering, MatrixProduct, Rows, TransposedConvolution, Values
from optimizer.network import Network, Node
from optimizer.ptq.hadamard import additions, padded, rotated, rotated_back


@dataclass(frozen=True)
class Rotated:
    """The geometry of a layer whose matrices are rotated in blocks of ``size``."""

    inner: Lowering
    size: int

    @property
    def dot_length(self) -> int:
        """Products of one output value, those with zeros that fill up included."""
        return padded(self.inner.dot_length, self.size)

    @property
    def groups(self) -> int:
        """Those of a convolution; AttributeError for another layer, as without rotation."""
        groups: int = self.inner.groups  # type: ignore[attr-defined]
        return groups

    def matrix(self, weight: Values) -> Values:
        """The rotated weight, (K, channels)."""
        return rotated(self.inner.matrix(weight), self.size, 0)

    def weight(self, matrix: Values) -> Values:
        """The inverse of ``matrix``, up to rounding."""
        return self.inner.weight(rotated_back(matrix, self.size, self.inner.dot_length))

    def right(self, matrix: Values) -> Values:
        """The stack of right matrices of rotated weights."""
        # A weight of two axes is its own matrix, with as many rows as there are.
        return matrix if isinstance(self.inner, MatrixProduct) else self.inner.right(matrix)

    def left(self, x: Values, rows: Rows = None) -> Values:
        """The stack of rotated left matrices."""
        return rotated(self.inner.left(x, rows), self.size)

    def output(self, sums: Values, shape: Sequence[int]) -> Values:
        """As without rotation."""
        return self.inner.output(sums, shape)

    def per_channel(self, vector: Values) -> Values:
        """As without rotation."""
        return self.inner.per_channel(vector)


def can_rotate(node: Node) -> bool:
    """Whether a layer is a convolution, or has weights of two axes."""
    if node.weight is None or node.given != (None, None):
        return False
    if isinstance(node.lowering, MatrixProduct):
        return len(node.lowering.shape) == 2
    return not isinstance(node.lowering, TransposedConvolution)


def rotated_node(node: Node, size: int) -> Node:
    """A layer of an unrotated network, rotated."""
    assert node.weight is not None
    weight = rotated(node.weight.astype(np.float64), size, 0).astype(np.float32)
    return replace(node, lowering=Rotated(node.lowering, size), weight=weight)


def rotated_network(network: Network, names: Collection[str], size: int) -> Network:
    """``network`` with the layers called ``names`` rotated; its graph stays as it is."""
    nodes = (rotated_node(n, size) if n.name in names else n for n in network.nodes)
    return replace(network, nodes=tuple(nodes))


@dataclass(frozen=True)
class RotationCost:
    """What the rotation of a layer's activations takes: ``additions`` an image."""

    layer: str
    size: int
    additions: int


def costs(network: Network) -> tuple[RotationCost, ...]:
    """Of each rotated layer: one rotation for each row of its left matrices."""
    found = []
    for node in network.nodes:
        lowering = node.lowering
        if isinstance(lowering, Rotated):
            assert node.weight is not None
            groups = getattr(lowering, "groups", 1)
            rows = node.outputs // node.weight.shape[1] * groups
            each = additions(lowering.inner.dot_length, lowering.size)
            found.append(RotationCost(node.name, lowering.size, rows * each))
    return tuple(found)

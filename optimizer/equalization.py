"""A network whose channels have other factors, and which computes the same.

Between two layers a channel can be divided by a factor behind the first and multiplied by it in
front of the second, where all that stands between them is positively homogeneous in each channel:
f(s·x) = s·f(x) for s > 0. A ReLU, a maximum or mean over positions are. A clamp is not, such as
ReLU6; it becomes one at limits of their own for each channel, max(l/s, min(x, h/s)), which is the
same function exactly: hardware then has a limit for each channel. Which factors:
``ptq.cross_layer`` and ``ptq.smoothquant``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper, numpy_helper

from optimizer.graph import Graph, reads
from optimizer.inputs import Inputs
from optimizer.lowering import MatrixProduct
from optimizer.network import Network, Node
from optimizer.ptq.cross_layer import cross_layer_factors
from optimizer.ptq.smoothquant import STRENGTH, smoothing_factors

Floats = npt.NDArray[np.float64]

#: Homogeneous in each number, whatever the shape.
_POINTWISE = ("Relu", "LeakyRelu", "Identity", "Dropout", "Clip")
#: Over the positions of a channel.
_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
#: Channels stay in their order, each with all its positions.
_FLAT = ("Flatten", "Reshape", "Squeeze")
#: From this operator set on Min and Max take operands of other shapes.
_OPSET = 8
#: Passes over all pairs: each changes what the next one sees.
_PASSES = 20
#: Factors are kept within this of 1, so that float32 holds all numbers.
_LARGEST = 1e3


@dataclass(frozen=True, eq=False)
class Pair:
    """Two layers with what stands between them, in order; ``repeats``: inputs of one channel."""

    first: Node
    second: Node
    between: tuple[NodeProto, ...]
    repeats: int


def pairs(network: Network) -> tuple[Pair, ...]:
    """All pairs of layers whose channels can have factors."""
    consumers: dict[str, list[NodeProto]] = {}
    for proto in network.graph.nodes:
        for name in reads(proto):
            consumers.setdefault(name, []).append(proto)
    layer_of = {id(node.protos[0]): node for node in network.nodes}
    found = (_pair(network, node, consumers, layer_of) for node in network.nodes)
    return tuple(pair for pair in found if pair is not None)


def _pair(
    network: Network,
    first: Node,
    consumers: Mapping[str, list[NodeProto]],
    layer_of: Mapping[int, Node],
) -> Pair | None:
    if first.weight is None or first.given != (None, None):
        return None
    image = not isinstance(first.lowering, MatrixProduct)
    if not image and len(first.lowering.shape) != 2:  # type: ignore[attr-defined]
        return None
    between: list[NodeProto] = []
    tensor, flat = first.output, False
    while tensor != network.output and len(following := consumers.get(tensor, [])) == 1:
        (proto,) = following
        second = layer_of.get(id(proto))
        if second is not None:
            repeats = _repeats(first, second, tensor, flat or not image)
            return Pair(first, second, tuple(between), repeats) if repeats else None
        pools = proto.op_type in _POOLS or (
            proto.op_type == "ReduceMean" and _spatial(network, proto)
        )
        known = proto.op_type in _POINTWISE or (image and (pools or proto.op_type in _FLAT))
        limits = proto.op_type == "Clip" and (flat or not _new_enough(network.graph))
        if not known or limits or proto.input[0] != tensor or proto.domain not in ("", "ai.onnx"):
            return None
        flat = flat or proto.op_type in _FLAT
        between.append(proto)
        tensor = proto.output[0]
    return None


def _repeats(first: Node, second: Node, tensor: str, rows: bool) -> int:
    """How many inputs of ``second`` a channel of ``first`` is; 0 if they do not belong together."""
    assert first.weight is not None
    if second.weight is None or second.given != (None, None) or second.inputs[0] != tensor:
        return 0
    channels = first.weight.shape[1]
    if not isinstance(second.lowering, MatrixProduct):
        inputs: int = second.lowering.inputs  # type: ignore[attr-defined]
        return int(inputs == channels and not rows)
    if len(second.lowering.shape) != 2 or not rows or second.lowering.left_axes != 2:
        return int(second.lowering.shape == first.weight.shape[1:] and rows)
    whole = len(second.weight)
    return whole // channels if whole % channels == 0 else 0


def _spatial(network: Network, proto: NodeProto) -> bool:
    """Whether a mean is over positions alone."""
    given = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    axes = given.get("axes")
    if axes is None and len(proto.input) > 1 and proto.input[1] in network.graph.constants:
        axes = network.graph.array(proto.input[1]).tolist()
    return bool(axes) and all(axis in (2, 3, -1, -2) for axis in axes or ())


def _new_enough(graph: Graph) -> bool:
    return all(i.version >= _OPSET for i in graph.imports if i.domain in ("", "ai.onnx"))


# --- factors ----------------------------------------------------------------------------------


def cross_layer(network: Network) -> Network:
    """Both layers of each pair with weights of the same range in each channel."""
    changed = {node.name: node for node in network.nodes}
    factors = {}
    for pair in pairs(network):
        factors[pair.first.name] = np.ones(_channels(pair))
    for _ in range(_PASSES):
        for pair in pairs(network):
            first, second = changed[pair.first.name], changed[pair.second.name]
            s = cross_layer_factors(_outgoing(first), _incoming(second, pair.repeats))
            _scale(changed, factors, pair, s)
    return _rewritten(network, changed, factors)


def smooth(network: Network, images: Inputs) -> Network:
    """Activations between each pair with ranges that are more alike, for ``images``."""
    found = pairs(network)
    tensors = dict.fromkeys(pair.second.inputs[0] for pair in found)
    largest = _largest(network, images, found) if tensors else {}
    changed = {node.name: node for node in network.nodes}
    factors = {pair.first.name: np.ones(_channels(pair)) for pair in found}
    for pair in found:
        second = changed[pair.second.name]
        weights = _incoming(second, pair.repeats)
        alone = getattr(second.lowering, "groups", 1) == len(weights)
        s = smoothing_factors(largest[pair.first.name], weights, 1.0 if alone else STRENGTH)
        _scale(changed, factors, pair, s)
    return _rewritten(network, changed, factors)


def _channels(pair: Pair) -> int:
    assert pair.first.weight is not None
    return int(pair.first.weight.shape[1])


def _largest(network: Network, images: Inputs, found: tuple[Pair, ...]) -> dict[str, Floats]:
    """The largest magnitude of each channel in front of each second layer, by the first's name."""
    session = network.session(list(dict.fromkeys(pair.second.inputs[0] for pair in found)))
    result = {pair.first.name: np.zeros(_channels(pair)) for pair in found}
    for _, feed in network.batches(images, 16):
        values = session.run(feed)
        for pair in found:
            x = np.abs(values[pair.second.inputs[0]])
            channels = _channels(pair)
            if isinstance(pair.second.lowering, MatrixProduct):
                x = x.reshape(-1, channels, pair.repeats).max(axis=(0, 2))
            else:
                x = x.reshape(len(x), channels, -1).max(axis=(0, 2))
            result[pair.first.name] = np.maximum(result[pair.first.name], x)
    return result


def _outgoing(node: Node) -> Floats:
    """The largest magnitude of the weights of each output channel."""
    assert node.weight is not None
    return np.asarray(np.abs(node.weight).max(axis=0), np.float64)


def _incoming(node: Node, repeats: int) -> Floats:
    """The largest magnitude of the weights of each channel of the layer's input."""
    weight = np.abs(_by_input(node))
    return np.asarray(weight.reshape(-1, repeats * weight.shape[1]).max(axis=1), np.float64)


def _by_input(node: Node) -> npt.NDArray[Any]:
    """The weights with a row for each input, (inputs, others)."""
    assert node.weight is not None
    if isinstance(node.lowering, MatrixProduct):
        return node.weight
    weight = node.lowering.weight(node.weight)
    if node.op == "ConvTranspose":
        return weight.reshape(len(weight), -1)
    groups: int = node.lowering.groups  # type: ignore[attr-defined]
    split = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
    return split.transpose(0, 2, 1, 3).reshape(groups * weight.shape[1], -1)


def _times(node: Node, s: Floats, repeats: int) -> npt.NDArray[np.float32]:
    """The weights with each input's times its channel's factor, (K, channels)."""
    assert node.weight is not None
    factors = np.repeat(s, repeats)
    if isinstance(node.lowering, MatrixProduct):
        return (node.weight * factors[:, None]).astype(np.float32)
    weight = node.lowering.weight(node.weight)
    ones = (1,) * (weight.ndim - 2)
    if node.op == "ConvTranspose":
        return node.lowering.matrix((weight * factors.reshape(-1, 1, *ones)).astype(np.float32))
    groups: int = node.lowering.groups  # type: ignore[attr-defined]
    each = np.repeat(factors.reshape(groups, -1), len(weight) // groups, axis=0)
    scaled = weight * each.reshape(*weight.shape[:2], *ones)
    return node.lowering.matrix(scaled.astype(np.float32))


def _scale(changed: dict[str, Node], factors: dict[str, Floats], pair: Pair, s: Floats) -> None:
    """Divides the first layer's channels by ``s`` and multiplies the second's inputs."""
    total = np.clip(factors[pair.first.name] * s, 1 / _LARGEST, _LARGEST)
    s = total / factors[pair.first.name]
    factors[pair.first.name] = total
    first = changed[pair.first.name]
    assert first.weight is not None
    bias = None if first.bias is None else (first.bias / s).astype(np.float32)
    changed[first.name] = replace(first, weight=(first.weight / s).astype(np.float32), bias=bias)
    second = changed[pair.second.name]
    changed[second.name] = replace(second, weight=_times(second, s, pair.repeats))


# --- the graph --------------------------------------------------------------------------------


def _rewritten(
    network: Network, changed: Mapping[str, Node], factors: Mapping[str, Floats]
) -> Network:
    """The network with the changed layers, and clamps at a limit for each channel."""
    constants = dict(network.graph.constants)
    for node in changed.values():
        if node.weight is None or node.weight_name is None:
            continue
        _keep(constants, node.weight_name, node.lowering.weight(node.weight))
        if node.bias is not None:
            product = node.protos[0]
            separate = len(node.protos) > 1
            name = node.protos[1].input[1] if separate else product.input[2]
            _keep(constants, name, node.lowering.per_channel(node.bias) if separate else node.bias)
    clamps = {}
    for pair in pairs(network):
        for proto in pair.between:
            if proto.op_type == "Clip":
                limits = _limits(network.graph, proto)
                s = pair.first.lowering.per_channel(factors[pair.first.name])
                clamps[id(proto)] = _clamp(proto, limits, s, constants)
    nodes = [new for proto in network.graph.nodes for new in clamps.get(id(proto), [proto])]
    types = dict(network.graph.types)
    for made in clamps.values():
        types.update({name: types[made[-1].output[0]] for p in made for name in p.output})
    graph = replace(network.graph, nodes=tuple(nodes), constants=constants, types=types)
    return replace(network, graph=graph, nodes=tuple(changed[n.name] for n in network.nodes))


def _keep(constants: dict[str, Any], name: str, values: npt.NDArray[Any]) -> None:
    array = np.ascontiguousarray(values, np.float32)
    constants[name] = numpy_helper.from_array(array, name)


def _limits(graph: Graph, proto: NodeProto) -> tuple[float, float]:
    """The limits of a clamp, infinite where it has none."""
    given = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    limits = [given.get("min", -math.inf), given.get("max", math.inf)]
    for place, name in enumerate(proto.input[1:3]):
        if name:
            limits[place] = float(graph.array(name).reshape(()))
    return limits[0], limits[1]


def _clamp(
    proto: NodeProto, limits: tuple[float, float], s: Floats, constants: dict[str, Any]
) -> list[NodeProto]:
    """max(low/s, ·) and then min(high/s, ·), as the nodes that stand for the clamp ``proto``."""
    made: list[NodeProto] = []
    tensor, out = proto.input[0], proto.output[0]
    for op, limit in zip(("Max", "Min"), limits, strict=True):
        if math.isfinite(limit) and abs(limit) < np.finfo(np.float32).max:
            name = f"{out}/{op}"
            _keep(constants, f"{name}/limit", limit / s)
            made.append(helper.make_node(op, [tensor, f"{name}/limit"], [name]))
            tensor = name
    if not made:
        return [helper.make_node("Identity", [tensor], [out])]
    made[-1].output[0] = out
    return made

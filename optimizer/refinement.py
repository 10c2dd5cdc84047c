"""A quantised network, layer after layer: what each rounds its operands to, and its bias.

A layer is refined with what the refined layers in front of it give for calibration images, and so
that its output is that of the FP32 network: the methods of ``optimizer.ptq`` see both as moments
(``optimizer.ptq.moments``). Layers of two activations stay as calibrated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.formats import BlockFormat
from optimizer import blocks
from optimizer.calibration import Calibration, Pairs
from optimizer.inference import run_layer
from optimizer.inputs import Inputs
from optimizer.network import Array, Network, Node, Tensors
from optimizer.parallel import in_parallel, one_blas_thread
from optimizer.ptq.bias_correction import corrected_bias
from optimizer.ptq.methods import ROUNDINGS, Recipe
from optimizer.ptq.moments import Floats, Moments
from optimizer.ptq.rounding import Problem, Rounded, nearest
from optimizer.quantization import LayerQuantization, rounded

#: Images a batch.
BATCH = 16
#: Rows of a layer's operand that are looked at, spread over all images.
ROWS = 2**13
SEED = 7

#: Scale and zero point of activations.
Range = tuple[np.float32, float]


@dataclass(frozen=True, eq=False)
class Reference:
    """What the FP32 network makes of calibration images.

    ``feeds``: the network's inputs, a batch each; ``rows``: those of each layer's operand that are
    looked at, and ``targets``: what the layer makes of them, without its bias, float32 (groups,
    rows, columns), by layer and batch.
    """

    network: Network
    feeds: tuple[Tensors, ...]
    rows: dict[str, tuple[npt.NDArray[np.intp], ...]]
    targets: dict[str, tuple[Array, ...]]


def adjustable(node: Node) -> bool:
    """Whether a layer has weights that belong to one operand, or one a group."""
    if node.weight is None:
        return False
    return node.lowering.right(node.weight).ndim == 2 or hasattr(node.lowering, "groups")


def reference(network: Network, images: Inputs, workers: int | None = None) -> Reference:
    """The FP32 outputs of all layers that can be refined, of ``images`` (N, *input shape)."""
    nodes = [node for node in network.nodes if adjustable(node)]
    made = dict.fromkeys(node.inputs[0] for node in nodes)
    wanted = [name for name in made if name not in network.input_shapes]
    session = network.session(wanted) if wanted else None
    feeds = tuple(dict(feed) for _, feed in network.batches(images, BATCH))
    each = max(1, ROWS // len(feeds))

    def of_batch(index: int) -> list[tuple[npt.NDArray[np.intp], Array]]:
        values = dict(feeds[index])
        if session is not None:
            values.update(session.run(values))
        found = []
        for place, node in enumerate(nodes):
            x = values[node.inputs[0]]
            count = _row_count(node, x)
            drawn = np.random.default_rng([SEED, place, index]).permutation(count)
            rows = np.sort(drawn[:each])
            found.append((rows, node.lowering.left(x, rows) @ _right(node)))
        return found

    batches = list(in_parallel(of_batch, range(len(feeds)), workers))
    return Reference(
        network,
        feeds,
        {node.name: tuple(b[i][0] for b in batches) for i, node in enumerate(nodes)},
        {node.name: tuple(b[i][1] for b in batches) for i, node in enumerate(nodes)},
    )


def _right(node: Node) -> Array:
    """The weights as (groups, K, columns), float32."""
    assert node.weight is not None
    right = node.lowering.right(node.weight)
    return right if right.ndim == 3 else right[None]


def _row_count(node: Node, x: Array) -> int:
    """Rows of the left matrix of activations ``x``."""
    if not hasattr(node.lowering, "groups"):
        return int(x.size // x.shape[-1])
    return int(node.lowering.left(x[:1]).shape[1]) * len(x)


def refined(
    calibration: Calibration,
    fp32: Reference,
    pairs: Pairs,
    recipe: Recipe,
    workers: int | None = None,
) -> dict[str, LayerQuantization]:
    """The operands of every layer in the formats of ``pairs``, made by ``recipe``."""
    network = fp32.network
    states = [dict(feed) for feed in fp32.feeds]
    result: dict[str, LayerQuantization] = {}

    def drop(state: Tensors, names: Sequence[str], step: int) -> None:
        for name in names:
            if network.last_uses[name] == step:
                state.pop(name, None)

    for i, node in enumerate(network.nodes):
        part, start = network.parts[i], calibration.layer(node.name, *pairs[node.name])
        tuned = node.name in fp32.targets
        ranges = _ranges(calibration, start, recipe)

        def reach(
            index: int,
            i: int = i,
            start: LayerQuantization = start,
            ranges: Sequence[Range] = ranges,
        ) -> list[Array]:
            state, part = states[index], network.parts[i]
            if part is not None:
                state.update(part.run(state))
                drop(state, part.inputs, 2 * i)
            return _rows(ranges, fp32, start, state, index)

        if part is not None or tuned:
            found = list(in_parallel(reach, range(len(states)), workers))
            if tuned:
                targets = np.concatenate(fp32.targets[node.name], axis=1)
                with one_blas_thread():
                    start = _refined_layer(calibration, start, ranges, found, targets, recipe)
        result[node.name] = start

        def leave(
            index: int, i: int = i, node: Node = node, start: LayerQuantization = start
        ) -> None:
            state = states[index]
            state[node.output] = run_layer(start, [state[name] for name in node.inputs])
            drop(state, node.inputs, 2 * i + 1)

        if i + 1 < len(network.nodes):
            list(in_parallel(leave, range(len(states)), workers))
    return result


def _ranges(
    calibration: Calibration, start: LayerQuantization, recipe: Recipe
) -> tuple[Range, ...]:
    """The scales and zero points that a layer's activations may have."""
    key = start.node.name, start.a_format
    ranges = [(scale, 0.0) for scale in calibration.activation_scales[key]]
    if recipe.asymmetric and key in calibration.zero_points:
        ranges.append(calibration.zero_points[key])
    return tuple(ranges)


def _rows(
    ranges: Sequence[Range],
    fp32: Reference,
    start: LayerQuantization,
    state: Tensors,
    index: int,
) -> list[Array]:
    """The rows of a layer's operand in one batch, as rounded in each range: (groups, rows, K)."""
    node = start.node
    if node.name not in fp32.targets:
        return []
    operand = node.lowering.left(state[node.inputs[0]], fp32.rows[node.name][index])
    values = (rounded(start.a_format, operand, scale, zero) * scale for scale, zero in ranges)
    return [array.astype(np.float32, copy=False) for array in values]


def _refined_layer(
    calibration: Calibration,
    start: LayerQuantization,
    ranges: Sequence[Range],
    batches: Sequence[Sequence[Array]],
    targets: Array,
    recipe: Recipe,
) -> LayerQuantization:
    """The layer with the ranges, values and bias of least output error."""
    weight = _right(start.node).astype(np.float64)
    of_range = []
    for rows in zip(*batches, strict=True):
        moments = Moments.of(np.concatenate(rows, axis=1), targets)
        of_range.append(moments if recipe.bias else moments.about_zero)
    best = int(np.argmin([m.error(weight).sum() for m in of_range]))
    moments, rounding = of_range[best], ROUNDINGS[recipe.rounding]
    candidates: list[Rounded] = []
    for problem in _problems(calibration, start, weight, moments):
        candidates.append(nearest(problem))
        if rounding is not nearest:
            candidates.append(rounding(problem))
    chosen = _best_columns(candidates, moments)
    bias = start.bias
    if recipe.bias:
        groups, _, outputs = chosen.weight.shape
        old = np.zeros(groups * outputs) if bias is None else bias.astype(np.float64)
        bias = corrected_bias(old.reshape(groups, outputs), chosen.weight, moments).reshape(-1)
    scale, zero = ranges[best]
    moved = dataclasses.replace(start, activation_scale=scale, zero_point=zero, bias=bias)
    return _with_weights(moved, chosen)


def _problems(
    calibration: Calibration, start: LayerQuantization, weight: Floats, moments: Moments
) -> list[Problem]:
    """The weights, (groups, K, N), with each of the scales that they may have."""
    name, f = start.node.name, start.b_format
    if not isinstance(f, BlockFormat):
        scales = (s.reshape(len(weight), 1, -1) for s in calibration.weight_scales[name, f])
        return [Problem(weight, s, f, moments, calibration.fixed_scales) for s in scales]
    tensor = float(start.weight_scale[0])
    codes = [calibration.weight_codes(name, f, rule) for rule in calibration.block_rules]
    # The scale of each weight is that of its block: none of them changes any more.
    steps = (_stacked(blocks.steps(c), len(weight)) * tensor for c in codes)
    return [Problem(weight, s, f.element, moments, fixed_scale=True) for s in steps]


def _with_weights(start: LayerQuantization, chosen: Rounded) -> LayerQuantization:
    """The layer with the weights ``chosen``."""
    rows = chosen.values.shape[1]
    values = np.ascontiguousarray(chosen.values.transpose(1, 0, 2)).reshape(rows, -1)
    if start.weight_codes is None:
        scale = np.ascontiguousarray(chosen.scale).reshape(-1)
        return dataclasses.replace(start, weight=values, weight_scale=scale)
    steps = np.ascontiguousarray(chosen.scale.transpose(1, 0, 2)).reshape(rows, -1)
    assert isinstance(start.b_format, BlockFormat)
    tensor = float(start.weight_scale[0])
    codes = blocks.of_steps(start.b_format, values, steps / tensor, 0, tensor)
    return dataclasses.replace(start, weight=blocks.values(codes), weight_codes=codes)


def _stacked(matrix: Floats, groups: int) -> Floats:
    """(K, channels) as (groups, K, channels of a group)."""
    return matrix.reshape(len(matrix), groups, -1).transpose(1, 0, 2)


def _best_columns(candidates: Sequence[Rounded], moments: Moments) -> Rounded:
    """Of each column the candidate with the least output error."""
    best = candidates[0]
    lowest = moments.error(best.weight)
    for other in candidates[1:]:
        error = moments.error(other.weight)
        better = (error < lowest)[:, None]
        best = Rounded(
            np.where(better, other.values, best.values), np.where(better, other.scale, best.scale)
        )
        lowest = np.minimum(lowest, error)
    return best

"""The plans that an exploration may choose among: pairs of formats, their datapaths, the search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from hwgen import formats as number_formats
from hwgen.errors import InputError
from hwgen.formats import Format
from optimizer import datapaths, sensitivity, sizing
from optimizer.datapaths import Datapath
from optimizer.network import Layer, Network
from optimizer.plan import LayerPlan, Plan
from optimizer.ptq.asymmetric import unsigned
from optimizer.search import Limits, pareto_front
from optimizer.settings import AS_GIVEN, NOT_GIVEN, Settings, references
from optimizer.text import printable

#: Formats of activations and of weights.
Pair = tuple[Format, Format]
#: Names of layers whose activations are never negative, and get formats without sign.
Positive = frozenset[str]
NONE: Positive = frozenset()
#: A datapath in one pair of formats, activations and weights: its array, units and LUTs.
Priced = Mapping[Pair, tuple[sizing.Size, Datapath, sizing.LutRange]]
#: Its layers in that pair, by the pair.
Choices = Mapping[Pair, tuple[LayerPlan, ...]]


def require_arrays(network: Network, settings: Settings) -> None:
    """InputError where no array is fast enough, or no candidate suits a datapath.

    And if formats of the file are to be kept that cannot be.
    """
    if settings.given == "fixed":
        _require_given(network, settings)
    for layers in _groups(network, settings.style):
        sizing.sizes(layers, settings.cycle_budget)  # Those of the references.
        if not options(network, settings, layers):
            raise InputError(
                f"layer {printable(layers[0].name, 40)}: none of the formats "
                f"{', '.join(map(str, settings.formats))} suits it at this frame rate: give one of "
                "single numbers too, such as int8"
            )


def sizes(layers: Sequence[Layer], settings: Settings, pair: Pair) -> tuple[sizing.Size, ...]:
    """The arrays that compute ``layers`` in ``pair`` fast enough: none if there are none."""
    if not datapaths.is_possible(*pair):
        return ()
    return sizing.sizes_in_steps(
        tuple(layers),
        settings.cycle_budget,
        datapaths.lane_step(*pair),
        datapaths.most_lanes(*pair),
        datapaths.is_whole(*pair),
    )


def require_price(network: Network, settings: Settings, sizer: sizing.Sizer) -> None:
    """InputError where a target's model does not know the datapaths: before any long work."""
    for layers in _groups(network, settings.style):
        for pair in options(network, settings, layers)[:1]:
            sizer.best(sizes(layers, settings, pair), *pair)


def _require_given(network: Network, settings: Settings) -> None:
    """InputError unless the file gives formats, which a datapath of each layer can have."""
    if all(node.given_formats == (None, None) for node in network.nodes):
        raise InputError(
            f"given=fixed: network {network.name} is not quantised and gives no formats: leave it "
            "out"
        )
    if settings.style == "shared":
        raise InputError(
            "given=fixed: the file gives formats to each layer, and one datapath for all has one "
            "pair: use the style streaming, or given=start"
        )


def price(
    network: Network,
    settings: Settings,
    sizer: sizing.Sizer,
    positive: Positive = NONE,
    dsp_worth: float | None = None,
) -> list[Priced]:
    """The cheapest array of each datapath in every pair of formats that is asked about.

    That is every pair of candidates, and each reference's format for both operands. ``positive``:
    see ``options``; ``dsp_worth``: see ``Sizer.best_of_each``.
    """
    return [
        sizer.best_of_each(
            {
                pair: sizes(layers, settings, pair)
                for pair in _asked(network, settings, layers, positive)
            },
            dsp_worth,
        )
        for layers in _groups(network, settings.style)
    ]


def activation_formats(
    network: Network, settings: Settings, positive: Positive = NONE
) -> dict[str, tuple[Format, ...]]:
    """The formats of each layer's activations that are asked about."""
    return {
        layer.name: tuple(dict.fromkeys(a for a, _ in _asked(network, settings, group, positive)))
        for group in _groups(network, settings.style)
        for layer in group
    }


def _asked(
    network: Network, settings: Settings, layers: Sequence[Layer], positive: Positive
) -> list[Pair]:
    uniform = [(f, f) for f in references().values()]
    chosen = options(network, settings, layers, positive)
    return list(dict.fromkeys((*chosen, *uniform, *_given(network, settings, layers))))


def options(
    network: Network, settings: Settings, layers: Sequence[Layer], positive: Positive = NONE
) -> list[Pair]:
    """The pairs of formats that the search may choose for a datapath of ``layers``.

    Those of the candidates that a unit takes; and with an operand in the format that the file gives
    to it, or only those where ``settings.given`` is fixed. ``positive``: layers whose activations
    are never negative: a candidate for activations is there the format of as many bits without
    sign.
    """
    candidates = settings.formats
    firsts = candidates
    if all(layer.name in positive for layer in layers):
        firsts = tuple(dict.fromkeys(map(unsigned, candidates)))
    pairs = [(a, b) for a in firsts for b in candidates]
    for given in _given(network, settings, layers, whole=False):
        firsts, seconds = (
            others if f is None else (f,)
            for f, others in zip(given, (firsts, candidates), strict=True)
        )
        own = [(a, b) for a in firsts for b in seconds]
        pairs = own if settings.given == "fixed" else list(dict.fromkeys((*pairs, *own)))
    return [pair for pair in pairs if _suits(network, settings, layers, pair)]


def _suits(network: Network, settings: Settings, layers: Sequence[Layer], pair: Pair) -> bool:
    """Whether a datapath of ``layers`` can be of the pair: there is a unit, fast enough."""
    lowerings = (network.layer_node(layer.name).lowering for layer in layers)
    takes = all(datapaths.takes(lowering, pair[0]) for lowering in lowerings)
    return takes and bool(sizes(layers, settings, pair))


@overload
def _given(network: Network, settings: Settings, layers: Sequence[Layer]) -> list[Pair]: ...


@overload
def _given(
    network: Network, settings: Settings, layers: Sequence[Layer], whole: bool
) -> list[tuple[Format | None, Format | None]]: ...


def _given(
    network: Network, settings: Settings, layers: Sequence[Layer], whole: bool = True
) -> Any:
    """The pair that the file gives to the layer of a datapath, if it gives any.

    None for an operand without, or ``NOT_GIVEN`` where it is to be a ``whole`` pair. A datapath
    that all layers share has none.
    """
    if settings.style == "shared":
        return []
    pair = network.layer_node(layers[0].name).given_formats
    if pair == (None, None):
        return []
    other = number_formats.parse_scalar(NOT_GIVEN) if whole else None
    return [tuple(other if f is None else f for f in pair)]


def choices_of(
    network: Network,
    settings: Settings,
    priced: Sequence[Priced],
    damages: sensitivity.Sensitivities,
) -> list[Choices]:
    """The layers of each datapath as planned in each pair of formats that was priced."""
    return [
        {
            (a, b): tuple(
                LayerPlan(
                    layer,
                    spec,
                    size,
                    sizing.cycles([layer], size.lanes, size.units),
                    lut,
                    damages.pair(layer.name, a, b),
                )
                for layer in layers
            )
            for (a, b), (size, spec, lut) in of_pair.items()
        }
        for layers, of_pair in zip(_groups(network, settings.style), priced, strict=True)
    ]


def search(
    network: Network,
    ways: Sequence[Sequence[Choices]],
    settings: Settings,
    sizer: sizing.Sizer,
    positive: Positive = NONE,
) -> list[Plan]:
    """The plans on the front of LUTs against added damages, by falling LUTs.

    Those within the limits of the settings: none if there is none. ``ways``: what ``choices_of``
    says of each way to map the datapaths.
    """
    groups = _groups(network, settings.style)
    tried = [
        [
            choice[pair]
            for choice in of_group
            for pair in options(network, settings, layers, positive)
        ]
        for layers, *of_group in zip(groups, *ways, strict=True)
    ]
    limits = settings.limits
    budget = limits.pop("lut", None)
    taken = [
        np.array([sizer.taken(p[0].spec, p[0].size.units, list(limits)) for p in group], np.float64)
        for group in tried
    ]
    solutions = pareto_front(
        [[_size(layers) for layers in group] for group in tried],
        settings.resolution,
        budget,
        Limits(taken, np.array(list(limits.values()), np.float64)) if limits else None,
    )
    plans = [
        Plan(
            settings.style,
            tuple(p for group, i in zip(tried, solution.choice, strict=True) for p in group[i]),
            gap=solution.gap,
        )
        for solution in solutions
    ]
    small = sum(p.sensitivity <= settings.min_divergence for p in plans)
    # The first point is kept whatever its damage, so that there is always one.
    return [
        p
        for i, p in enumerate(plans[max(0, small - 1) :])
        if i == 0 or p.sensitivity <= settings.max_divergence
    ]


def exceeded(plan: Plan, settings: Settings, sizer: sizing.Sizer) -> str | None:
    """What a plan takes too much of, such as '30,000 of 20,644 lut'; None if it fits."""
    limits = settings.limits
    taken = [sizer.taken(d.spec, d.size.units, list(limits)) for d in plan.datapaths]
    over = [
        f"{sum(column):,} of {most:,} {name}"
        for column, (name, most) in zip(zip(*taken, strict=True), limits.items(), strict=True)
        if sum(column) > most
    ]
    return ", ".join(over) or None


def smallest(
    network: Network,
    choices: Sequence[Choices],
    settings: Settings,
    positive: Positive = NONE,
) -> Plan:
    """The plan of the fewest LUTs, whatever its damage."""
    groups = _groups(network, settings.style)
    chosen = [
        min((choice[pair] for pair in options(network, settings, layers, positive)), key=_size)
        for choice, layers in zip(choices, groups, strict=True)
    ]
    return Plan(settings.style, tuple(layer for layers in chosen for layer in layers))


def _size(layers: Sequence[LayerPlan]) -> tuple[int, float]:
    return layers[0].lut.value, math.fsum(layer.sensitivity for layer in layers)


def reference_plans(
    network: Network, choices: Sequence[Choices], settings: Settings
) -> dict[str, Plan]:
    """The references' plans by name: one format for all operands, or those of the file."""
    plans = {
        name: Plan(settings.style, tuple(layer for choice in choices for layer in choice[f, f]))
        for name, f in references().items()
    }
    groups = _groups(network, settings.style)
    given = [_given(network, settings, layers) for layers in groups]
    if any(given):
        other = number_formats.parse_scalar(NOT_GIVEN)
        layers = (
            choice[pairs[0] if pairs else (other, other)]
            for choice, pairs in zip(choices, given, strict=True)
        )
        plans[AS_GIVEN] = Plan(settings.style, tuple(layer for group in layers for layer in group))
    return plans


def allowed(
    network: Network,
    references: Mapping[str, Plan],
    settings: Settings,
    sizer: sizing.Sizer,
    positive: Positive = NONE,
) -> list[Plan]:
    """The references that the search may choose, within the limits: they may be of the front."""
    groups = _groups(network, settings.style)
    tried = [options(network, settings, layers, positive) for layers in groups]
    return [
        plan
        for plan in references.values()
        if exceeded(plan, settings, sizer) is None
        and all(
            layer.formats in pairs
            for layer, pairs in zip(
                plan.layers, tried if settings.style != "shared" else tried * len(plan.layers),
                strict=True,
            )
        )
    ]  # fmt: skip


def _groups(network: Network, style: str) -> list[tuple[Layer, ...]]:
    """The layers that share a datapath."""
    return sizing.datapaths(network.layers, style)

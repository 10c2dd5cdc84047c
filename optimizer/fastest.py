"""The highest frame rate of a plan that fits a device: the lanes of all layers, balanced for it.

Formats decide the accuracy, lanes the rate: a plan's formats are kept, and the fewest clock cycles
an image are looked for that arrays within the limits can do. Formats are then chosen once more for
that rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hwgen import formats as number_formats
from hwgen.errors import InputError
from optimizer import candidates, evaluation, sizing
from optimizer.data import ImageData
from optimizer.explore import Exploration, explore, sizer_of
from optimizer.knapsack import Knapsack
from optimizer.network import Network
from optimizer.plan import Plan
from optimizer.settings import Settings
from optimizer.stages import Progress

#: The formats of the first guess, of all layers.
FIRST = "int4"
#: Cycles an image that are allowed at most: 20 minutes at 50 MHz.
MOST_CYCLES = 2**36
#: What arrays take, and where of it LUTs and DSP blocks are.
RESOURCES = ("lut", "ff", "carry", "dsp")
LUT, DSP = 0, 3


def explore_fastest(
    network: Network,
    data: ImageData,
    settings: Settings,
    *,
    predict: sizing.Predict | None = None,
    progress: Progress = lambda text: None,
    workers: int | None = None,
) -> Exploration:
    """As ``explore``, at the highest frame rate at which an accurate enough plan fits.

    First without limits, at the rate at which a plan with all layers in ``FIRST`` would fit: which
    formats are accurate enough does not hang on the rate. Then, within the limits, at the highest
    rate of those, whose plan is a point too. InputError without limits, and where not even
    ``FIRST`` fits.
    """
    if "lut" not in settings.limits:
        raise InputError("the highest frame rate needs limits: give a device, or the most LUTs")
    sizer = sizer_of(settings.target, predict)
    first = number_formats.parse_scalar(FIRST)
    start = highest_rate(
        network, dict.fromkeys(network.layer_nodes, (first, first)), settings, sizer
    )
    asked: dict[str, Any] = {"predict": predict, "progress": progress, "workers": workers}
    progress(f"highest frame rate of all layers in {FIRST}: {start:,.0f} images/s")
    free = dataclasses.replace(settings, fps=start, device=None, most={})
    found = explore(network, data, free, **asked)
    accurate = evaluation.accurate(found.front, found.fp32_selection, settings) or [found.chosen]
    rates = [highest_rate(network, plan.pairs, settings, sizer) for plan in accurate]
    rate, plan = max(zip(rates, accurate, strict=True), key=lambda pair: pair[0])
    progress(f"highest frame rate of an accurate plan: {rate:,.0f} images/s")
    final = dataclasses.replace(settings, fps=rate)
    known = _resized(plan, network, final, sizer)
    return explore(network, data, final, known=known, **asked)


def _resized(
    plan: Plan, network: Network, settings: Settings, sizer: sizing.Sizer
) -> tuple[Plan, ...]:
    """An evaluated plan on arrays for another frame rate: its formats are what was evaluated."""
    arrays = _arrays(network, plan.pairs, settings.cycle_budget, settings, sizer)
    if arrays is None:
        return ()
    of_layer = arrays * len(plan.layers) if settings.style == "shared" else arrays
    layers = tuple(
        dataclasses.replace(
            layer,
            spec=spec,
            size=size,
            cycles=sizing.cycles([layer.layer], size.lanes, size.units),
            lut=lut,
        )
        for layer, (size, spec, lut) in zip(plan.layers, of_layer, strict=True)
    )
    return (dataclasses.replace(plan, layers=layers),)


def highest_rate(
    network: Network, pairs: Mapping[str, sizing.Pair], settings: Settings, sizer: sizing.Sizer
) -> float:
    """Images a second, at most, of layers in the formats of ``pairs``.

    InputError if nothing fits.
    """
    low, high = 1, MOST_CYCLES
    if _arrays(network, pairs, high, settings, sizer) is None:
        raise InputError(f"{settings.device or 'the limits'}: not even one lane a layer fits")
    while low < high:
        middle = (low + high) // 2
        if _arrays(network, pairs, middle, settings, sizer) is not None:
            high = middle
        else:
            low = middle + 1
    return _rate(settings, high)


def _rate(settings: Settings, cycles: int) -> float:
    """Images a second of so many cycles; a little less, as rounding may not take a cycle away."""
    return settings.clock_mhz * 1e6 / (cycles + 1e-6)


def _arrays(
    network: Network,
    pairs: Mapping[str, sizing.Pair],
    budget: int,
    settings: Settings,
    sizer: sizing.Sizer,
) -> list[sizing.Option] | None:
    """Arrays that need ``budget`` cycles an image at most, a datapath each; None if none fit.

    Those with the fewest LUTs that the DSP blocks allow.
    """
    limits, asked = settings.limits, dataclasses.replace(settings, fps=_rate(settings, budget))
    ways, options = [], []
    for layers in sizing.datapaths(network.layers, settings.style):
        pair = pairs[layers[0].name]
        sizes = candidates.sizes(layers, asked, pair)
        if not sizes:
            return None
        arrays = [sizer.best_of_each({pair: sizes}, w)[pair] for w in settings.dsp_worths]
        options.append(arrays)
        ways.append(
            np.array([sizer.taken(spec, size.units, list(RESOURCES)) for size, spec, _ in arrays])
        )
    blocks = limits.get("dsp", 0)
    best = Knapsack([w[:, DSP] for w in ways], [w[:, LUT] for w in ways]).best(blocks)
    if best is None:
        return None
    total = sum(w[i] for w, i in zip(ways, best.candidates, strict=True))
    taken = dict(zip(RESOURCES, total, strict=True))
    if any(taken[name] > most for name, most in limits.items()):
        return None
    return [arrays[i] for arrays, i in zip(options, best.candidates, strict=True)]

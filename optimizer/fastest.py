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
    rate of those. InputError without limits, and where not even ``FIRST`` fits.
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
    progress(f"highest frame rate of an accurate plan: {max(rates):,.0f} images/s")
    return explore(network, data, dataclasses.replace(settings, fps=max(rates)), **asked)


def highest_rate(
    network: Network, pairs: Mapping[str, sizing.Pair], settings: Settings, sizer: sizing.Sizer
) -> float:
    """Images a second, at most, of layers in the formats of ``pairs``.

    InputError if nothing fits.
    """
    low, high = 1, MOST_CYCLES
    if not _fits(network, pairs, high, settings, sizer):
        raise InputError(f"{settings.device or 'the limits'}: not even one lane a layer fits")
    while low < high:
        middle = (low + high) // 2
        if _fits(network, pairs, middle, settings, sizer):
            high = middle
        else:
            low = middle + 1
    return _rate(settings, high)


def _rate(settings: Settings, cycles: int) -> float:
    """Images a second of so many cycles; a little less, as rounding may not take a cycle away."""
    return settings.clock_mhz * 1e6 / (cycles + 1e-6)


def _fits(
    network: Network,
    pairs: Mapping[str, sizing.Pair],
    budget: int,
    settings: Settings,
    sizer: sizing.Sizer,
) -> bool:
    """Whether arrays that need ``budget`` cycles an image at most are within the limits.

    Those with the fewest LUTs that the DSP blocks allow.
    """
    limits, asked = settings.limits, dataclasses.replace(settings, fps=_rate(settings, budget))
    ways = []
    for layers in sizing.datapaths(network.layers, settings.style):
        pair = pairs[layers[0].name]
        sizes = candidates.sizes(layers, asked, pair)
        if not sizes:
            return False
        arrays = [sizer.best_of_each({pair: sizes}, w)[pair] for w in settings.dsp_worths]
        ways.append(
            np.array([sizer.taken(spec, size.units, list(RESOURCES)) for size, spec, _ in arrays])
        )
    blocks = limits.get("dsp", 0)
    best = Knapsack([w[:, DSP] for w in ways], [w[:, LUT] for w in ways]).best(blocks)
    if best is None:
        return False
    total = sum(w[i] for w, i in zip(ways, best.candidates, strict=True))
    taken = dict(zip(RESOURCES, total, strict=True))
    return all(taken[name] <= most for name, most in limits.items())

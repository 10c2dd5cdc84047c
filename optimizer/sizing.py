"""How many lanes and units a layer's datapath needs for the wanted frame rate.

A layer of P outputs an image, each a dot product of K products, on ``units`` dot-product units
of ``lanes`` lanes takes ceil(P / units) · ceil(K / lanes) cycles an image, and may take
clock / frame rate. Lanes of block formats are whole blocks: what K lacks is filled up with zeros,
whose products are paid for as all others. Counted are the cycles of the arithmetic only: filling
the pipelines and fetching the operands are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from hwgen.errors import InputError
from hwgen.formats import Format
from hwgen.spec import MAX_PRODUCTS
from optimizer.datapaths import MAX_LANES, Datapath, unit
from optimizer.network import Layer
from optimizer.text import printable


class Estimate(Protocol):
    """A resource of a unit: value and the range it probably lies in."""

    @property
    def value(self) -> float:
        """The most probable count."""

    @property
    def low(self) -> float:
        """The lower end of the range."""

    @property
    def high(self) -> float:
        """The upper end of the range."""


class Cost(Protocol):
    """What the cost model says of one unit."""

    @property
    def lut(self) -> Estimate:
        """Look-up tables of the unit."""


Predict = Callable[[Datapath], Cost]


@dataclass(frozen=True)
class Size:
    """An array of ``units`` units; ``cycles`` an image, ``max_products`` of one output."""

    lanes: int
    units: int
    cycles: int
    max_products: int


@dataclass(frozen=True)
class LutRange:
    """Look-up tables of all units of a datapath."""

    value: int
    low: int
    high: int

    def __add__(self, other: LutRange) -> LutRange:
        return LutRange(self.value + other.value, self.low + other.low, self.high + other.high)


def cycles(layers: Sequence[Layer], lanes: int, units: int) -> int:
    """Cycles an image for ``layers`` one after the other on one array."""
    return sum(
        math.ceil(layer.outputs / units) * math.ceil(layer.dot_length / lanes) for layer in layers
    )


def cycle_budget(clock_mhz: float, fps: float) -> int:
    """Cycles an image at the frame rate; InputError unless both are positive."""
    if not (math.isfinite(fps) and fps > 0 and math.isfinite(clock_mhz) and clock_mhz > 0):
        raise InputError(
            f"fps={fps} at clock_mhz={clock_mhz}: both must be positive, such as fps=1000 at "
            "clock_mhz=50"
        )
    return int(clock_mhz * 1e6 / fps)


def sizes(layers: Sequence[Layer], budget: int) -> tuple[Size, ...]:
    """The arrays that do ``layers`` in turn within ``budget`` cycles an image.

    For each lane count that changes the cycles, the fewest units; one with neither fewer lanes
    nor fewer units than another is left out. InputError if no array is fast enough.
    """
    arrays = sizes_in_steps(tuple(layers), budget)
    if not arrays:
        names = ", ".join(printable(layer.name, 40) for layer in layers[:3])
        names += f" and {len(layers) - 3} more" * (len(layers) > 3)
        lanes = min(MAX_LANES, max(layer.dot_length for layer in layers))
        least = cycles(layers, lanes, max(layer.outputs for layer in layers))
        raise InputError(
            f"{names}: {budget} cycles an image are too few, even with {lanes} lanes for every "
            f"output at once it takes {least}: lower the frame rate or raise the clock"
        )
    return arrays


@lru_cache(maxsize=4096)
def sizes_in_steps(
    layers: tuple[Layer, ...],
    budget: int,
    step: int = 1,
    most: int = MAX_LANES,
    whole: bool = False,
) -> tuple[Size, ...]:
    """As ``sizes``, with lanes that are multiples of ``step``, at most ``most``; none if too slow.

    ``whole``: an output's products all in one cycle.
    """
    longest = max(layer.dot_length for layer in layers)
    useful = {
        lanes
        for layer in layers
        for lanes in range(step, min(layer.dot_length + step - 1, most) + 1, step)
        # A step less would take another cycle.
        if lanes == step
        or math.ceil(layer.dot_length / lanes) < math.ceil(layer.dot_length / (lanes - step))
    }
    arrays: list[Size] = []
    outputs = max(layer.outputs for layer in layers)
    fewest = outputs + 1
    for lanes in sorted(useful):
        if cycles(layers, lanes, outputs) > budget or (whole and lanes < longest):
            continue
        low, high = 1, outputs
        while low < high:
            middle = (low + high) // 2
            if cycles(layers, lanes, middle) <= budget:
                high = middle
            else:
                low = middle + 1
        products = math.ceil(longest / lanes) * lanes
        if low < fewest and products <= MAX_PRODUCTS:
            arrays.append(Size(lanes, low, cycles(layers, lanes, low), products))
            fewest = low
    return tuple(arrays)


class Sizer:
    """Chooses the array with the fewest predicted LUTs, and asks for each spec only once."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._known: dict[Datapath, Cost] = {}

    def cost(self, spec: Datapath) -> Cost:
        """The prediction for one unit."""
        if spec not in self._known:
            self._known[spec] = self._predict(spec)
        return self._known[spec]

    def best(
        self, candidates: Sequence[Size], a_format: Format, b_format: Format
    ) -> tuple[Size, Datapath, LutRange]:
        """The array, the spec of its units and the LUTs of all units."""

        def option(size: Size) -> tuple[Size, Datapath, LutRange]:
            spec = unit(a_format, b_format, size.lanes, size.max_products)
            lut = self.cost(spec).lut
            value, low, high = (round(size.units * n) for n in (lut.value, lut.low, lut.high))
            return size, spec, LutRange(value, low, high)

        return min(map(option, candidates), key=lambda o: (o[2].value, o[0].lanes))

    @property
    def predictions(self) -> int:
        """How many different specs were asked for."""
        return len(self._known)

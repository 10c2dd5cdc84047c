"""How many lanes and units a layer's datapath needs for the wanted frame rate.

A layer of P outputs an image, each a dot product of K products, on ``units`` dot-product units
of ``lanes`` lanes takes ceil(P / units) · ceil(K / lanes) cycles an image, and may take
clock / frame rate. Lanes of block formats are whole blocks: what K lacks is filled up with zeros,
whose products are paid for as all others. Counted are the cycles of the arithmetic only: filling
the pipelines and fetching the operands are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

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
#: The costs of many units, each a ``Cost`` whose figures are known, in their order.
PredictEach = Callable[[Sequence[Datapath]], Iterable[Any]]
#: An array, its units, the LUTs of all of these.
Option = tuple["Size", Datapath, "LutRange"]
Pair = tuple[Format, Format]


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


def datapaths(layers: Sequence[Layer], style: str) -> list[tuple[Layer, ...]]:
    """The layers that share a datapath: all of them in the shared style, else none."""
    return [tuple(layers)] if style == "shared" else [(layer,) for layer in layers]


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

    def __init__(self, predict_each: PredictEach) -> None:
        self._predict_each = predict_each
        self._specs: dict[tuple[Format, Format, int, int, str], Datapath] = {}
        self._known: dict[Datapath, Cost] = {}

    def cost(self, spec: Datapath) -> Cost:
        """The prediction for one unit."""
        self._ask([spec])
        return self._known[spec]

    def _ask(self, specs: Iterable[Datapath]) -> None:
        new = [spec for spec in dict.fromkeys(specs) if spec not in self._known]
        self._known.update(zip(new, self._predict_each(new), strict=True))

    def taken(self, spec: Datapath, units: int, resources: Sequence[str]) -> list[int]:
        """How many of each of ``resources`` so many units take.

        Of DSP blocks the high end: a unit has a few of them or one, and one too many has no place.
        """
        cost = self.cost(spec)
        ends = [getattr(getattr(cost, n), "high" if n == "dsp" else "value") for n in resources]
        return [round(units * end) for end in ends]

    def _spec(self, pair: Pair, size: Size, mapping: str) -> Datapath:
        """The unit of an array; made once, since its pipeline is planned meanwhile."""
        key = (*pair, size.lanes, size.max_products, mapping)
        if key not in self._specs:
            self._specs[key] = unit(*pair, size.lanes, size.max_products, mapping)
        return self._specs[key]

    def best(self, candidates: Sequence[Size], a_format: Format, b_format: Format) -> Option:
        """The array, the spec of its units and the LUTs of all units."""
        return self.best_of_each({(a_format, b_format): candidates})[a_format, b_format]

    def best_of_each(
        self, candidates: Mapping[Pair, Sequence[Size]], dsp_worth: float | None = None
    ) -> dict[Pair, Option]:
        """What ``best`` says of each pair of formats; the units are asked for together.

        ``dsp_worth``: with multiplications in DSP blocks, of which each counts as so many LUTs.
        """
        mapping = "lut" if dsp_worth is None else "dsp"
        options = {
            pair: [(size, self._spec(pair, size, mapping)) for size in sizes]
            for pair, sizes in candidates.items()
        }
        self._ask(spec for tried in options.values() for _, spec in tried)

        def key(option: Option) -> tuple[float, int]:
            size, spec, lut = option
            blocks = dsp_worth * self.taken(spec, size.units, ["dsp"])[0] if dsp_worth else 0
            return lut.value + blocks, size.lanes

        return {
            pair: min(((size, spec, self._lut(size, spec)) for size, spec in tried), key=key)
            for pair, tried in options.items()
        }

    def _lut(self, size: Size, spec: Datapath) -> LutRange:
        """The LUTs of all units of an array."""
        lut = self._known[spec].lut
        return LutRange(*(round(size.units * n) for n in (lut.value, lut.low, lut.high)))

    @property
    def predictions(self) -> int:
        """How many different specs were asked for."""
        return len(self._known)

"""A plan: which formats, lanes and units every layer gets, what it costs, how accurate it is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cost_models.query import RESOURCES, Cost
from hwgen.formats import BlockFormat, Format
from optimizer.datapaths import Datapath
from optimizer.network import Layer
from optimizer.ptq.methods import Recipe
from optimizer.sizing import LutRange, Size

STYLES = ("streaming", "shared")


@dataclass(frozen=True)
class Accuracy:
    """How many of ``images`` are classified as labelled: ``correct``."""

    correct: int
    images: int

    @property
    def percent(self) -> float:
        """Images classified as labelled, of a hundred."""
        return 100 * self.correct / self.images

    @property
    def standard_error(self) -> float:
        """The standard error of ``percent`` on other images of the kind: sqrt(p (1 − p) / n)."""
        p = self.correct / self.images
        return 100 * math.sqrt(p * (1 - p) / self.images)

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(self.correct + other.correct, self.images + other.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "percent": self.percent,
            "correct": self.correct,
            "images": self.images,
            "standard_error": self.standard_error,
        }


def bits(number_format: Format) -> float:
    """Bits of a number, with its part of the block's scale."""
    f = number_format
    return f.bits_per_value if isinstance(f, BlockFormat) else f.bits


@dataclass(frozen=True)
class LayerPlan:
    """One layer on its datapath: ``size.units`` units of ``spec``.

    ``lut`` is predicted, of all units; ``measured`` is the measured cost of one unit, or None.
    ``sensitivity``: mean KL divergence in nats of this layer's formats alone. In the shared
    style every layer names the same array.
    """

    layer: Layer
    spec: Datapath
    size: Size
    cycles: int
    lut: LutRange
    sensitivity: float
    measured: Cost | None = None

    @property
    def measured_lut(self) -> int | None:
        """Measured LUTs of all units, or None."""
        if self.measured is None or self.measured.lut.value is None:
            return None
        return round(self.size.units * self.measured.lut.value)

    @property
    def measured_fmax_mhz(self) -> float | None:
        """Measured clock of one unit; None if not measured or not placed on this target."""
        return None if self.measured is None else self.measured.fmax_mhz.value

    @property
    def filled_products(self) -> int:
        """Products of one output that are computed: those of zeros that fill up lanes included."""
        return math.ceil(self.layer.dot_length / self.size.lanes) * self.size.lanes

    @property
    def formats(self) -> tuple[Format, Format]:
        """The format of the activations and that of the weights."""
        return self.spec.a, self.spec.b

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.layer.name,
            "operator": self.layer.op,
            "dot_length": self.layer.dot_length,
            "outputs": self.layer.outputs,
            "a_format": str(self.spec.a),
            "b_format": str(self.spec.b),
            "lanes": self.size.lanes,
            "units": self.size.units,
            "cycles": self.cycles,
            "spec": self.spec.to_dict(),
            "predicted_lut": dataclasses.asdict(self.lut),
            "measured_lut": self.measured_lut,
            "measured_unit": (
                None
                if self.measured is None
                else {
                    **{name: getattr(self.measured, name).value for name in RESOURCES},
                    "basis": self.measured.basis,
                }
            ),
            "sensitivity": self.sensitivity,
        }


@dataclass(frozen=True)
class Plan:
    """A format pair and a datapath for every layer.

    None until evaluated: ``accuracy`` on the test images, ``selection`` on those that chose among
    plans; ``recipe``: the methods of post-training quantisation that it got, and
    ``divergences``, in nats on selection images, of each that was tried. ``gap``: the part of its
    ``sensitivity`` by which another plan within its LUTs may be better; 0 where none is, and where
    it was not searched for.
    """

    style: str
    layers: tuple[LayerPlan, ...]
    accuracy: Accuracy | None = None
    selection: Accuracy | None = None
    recipe: Recipe | None = None
    divergences: tuple[tuple[Recipe, float], ...] = ()
    gap: float = 0.0

    @property
    def datapaths(self) -> tuple[LayerPlan, ...]:
        """One layer of each datapath, which stands for it."""
        return self.layers[:1] if self.style == "shared" else self.layers

    @property
    def lut(self) -> LutRange:
        """Predicted LUTs of all datapaths; the range adds the datapaths' ranges."""
        return sum((d.lut for d in self.datapaths), LutRange(0, 0, 0))

    @property
    def measured_lut(self) -> int | None:
        """Measured LUTs of all datapaths, or None if not all are measured."""
        measured = [d.measured_lut for d in self.datapaths if d.measured_lut is not None]
        return sum(measured) if len(measured) == len(self.datapaths) else None

    @property
    def sensitivity(self) -> float:
        """The sum of the layers' sensitivities, in nats, as the search adds it."""
        return math.fsum(layer.sensitivity for layer in self.layers)

    @property
    def cycles(self) -> int:
        """Cycles between two images: of the slowest layer, or of all in turn on a shared array."""
        cycles = [layer.cycles for layer in self.layers]
        return sum(cycles) if self.style == "shared" else max(cycles)

    @property
    def pairs(self) -> dict[str, tuple[Format, Format]]:
        """Formats by layer: activations, weights."""
        return {layer.layer.name: layer.formats for layer in self.layers}

    @property
    def specs(self) -> tuple[Datapath, ...]:
        """The different units that the plan needs."""
        return tuple(dict.fromkeys(layer.spec for layer in self.layers))

    def with_measured(self, cost_of_unit: Mapping[Datapath, Cost]) -> Plan:
        """The plan with the measured costs of the units that are given."""
        layers = tuple(
            dataclasses.replace(layer, measured=cost_of_unit.get(layer.spec, layer.measured))
            for layer in self.layers
        )
        return dataclasses.replace(self, layers=layers)

    def too_slow(self, clock_mhz: float) -> tuple[LayerPlan, ...]:
        """Layers whose datapath was placed and does not reach the clock."""
        return tuple(
            layer
            for layer in self.layers
            if layer.measured_fmax_mhz is not None and layer.measured_fmax_mhz < clock_mhz
        )

    def summary(self) -> str:
        """The formats in a few words, such as 'A int4–int8, W e2m1–int5' by width."""
        parts = []
        for letter, position in (("A", 0), ("W", 1)):
            used = sorted(
                {layer.formats[position] for layer in self.layers}, key=lambda f: (bits(f), str(f))
            )
            ends = [str(used[0])] if len(used) == 1 else [str(used[0]), str(used[-1])]
            parts.append(f"{letter} {'–'.join(ends)}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "style": self.style,
            "predicted_lut": dataclasses.asdict(self.lut),
            "measured_lut": self.measured_lut,
            "sensitivity": self.sensitivity,
            "search_gap": self.gap,
            "cycles": self.cycles,
            "accuracy": self.accuracy.to_dict() if self.accuracy else None,
            "selection_accuracy": self.selection.to_dict() if self.selection else None,
            "ptq": {
                "kept": list(self.recipe.names) if self.recipe else None,
                "divergences": [
                    {"methods": list(recipe.names), "nats": nats}
                    for recipe, nats in self.divergences
                ],
            },
            "layers": [layer.to_dict() for layer in self.layers],
        }


@dataclass(frozen=True)
class LayerCheck:
    """The Verilog of one layer's unit, simulated on the layer's own numbers.

    ``cycles`` compared with the golden model, ``mismatches`` of them wrong; ``outputs`` sums
    compared with those that the accuracy was computed from, ``wrong_outputs`` of them wrong.
    """

    layer: str
    module: str
    cycles: int
    mismatches: int
    outputs: int
    wrong_outputs: int

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.mismatches == 0 and self.wrong_outputs == 0 and self.outputs > 0

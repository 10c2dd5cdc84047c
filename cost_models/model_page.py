"""The tables and the picture of docs/models.md: what the cost model's errors are.

``python -m cost_models.model_page`` predicts every design of the hold-out, which no fit has seen,
and writes both.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import yosys_scripts
from cost_models import energy_page, measurement, model
from cost_models.structure import inputs
from hwgen.arguments import Parser, parsed, run_module
from hwgen.files import require_between, whole_file, write_between
from hwgen.spec import from_dict

PAGE, PICTURE = Path("docs") / "models.md", Path("docs") / "models.png"
BEGIN, END = "<!-- python -m cost_models.model_page {} -->", "<!-- end of {} -->"
#: What figures are called on the page.
NAMES = {"lut": "LUT", "carry": "carry cells", "ff": "registers", "dsp": "DSP blocks"}
NAMES[model.PERIOD] = "clock period"


@dataclass(frozen=True)
class Checked:
    """One figure of a design of the hold-out: what was measured, and what is predicted."""

    target: str
    resource: str
    group: str
    measured: float
    predicted: model.Prediction

    @property
    def error(self) -> float:
        """How far they are from each other: larger ÷ smaller, minus 1."""
        offset = 0.0 if self.resource == model.PERIOD else 1.0
        ratio = (self.measured + offset) / (self.predicted.value + offset)
        return max(ratio, 1 / ratio) - 1

    @property
    def inside(self) -> bool:
        """The interval holds what was measured."""
        slack = 0.0 if self.resource == model.PERIOD else 0.5
        return self.predicted.low - slack <= self.measured <= self.predicted.high + slack


def holdout() -> Iterator[Checked]:
    """All figures of the hold-out."""
    for m in measurement.held_out():
        spec = from_dict(m.spec)
        group = inputs(spec).group
        for resource in model.RESOURCES:
            value = m.result["fmax_mhz" if resource == model.PERIOD else resource]
            if value is not None:
                value = 1000 / value if resource == model.PERIOD else float(value)
                predicted = model.of(m.target, resource).predict(spec, m.target)
                yield Checked(m.target, resource, group, value, predicted)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _grouped(
    checked: Iterable[Checked], key: Callable[[Checked], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Checked]]:
    groups: dict[tuple[str, ...], list[Checked]] = defaultdict(list)
    for one in checked:
        groups[key(one)].append(one)
    return groups


def _error_table(checked: Sequence[Checked]) -> str:
    """Errors and intervals by resource, kind of units and target."""
    groups = _grouped(checked, lambda one: (one.resource, one.group, one.target))
    groups |= _grouped(checked, lambda one: (one.resource, "all", "all"))
    order = {name: index for index, name in enumerate((*yosys_scripts.TARGETS, "all"))}
    rows = []
    for (resource, group, target), members in sorted(
        groups.items(),
        key=lambda item: (model.RESOURCES.index(item[0][0]), item[0][1], order[item[0][2]]),
    ):
        if not any(one.measured for one in members):
            continue  # Of DSP blocks where there are none.
        errors = [one.error for one in members]
        stated = [one for one in members if one.predicted.checked]
        rows.append(
            (
                *(NAMES[resource], group, target, str(len(members))),
                *(f"{np.quantile(errors, q):.1%}" for q in (0.5, 0.95)),
                f"{sum(one.inside for one in stated)} of {len(stated)}",
            )
        )
    head = ("figure", "units", "target", "designs", "median error", "95% within")
    return _table((*head, "inside their interval"), rows)


def _stand_table(checked: Sequence[Checked]) -> str:
    """What the models stand on, and the intervals that they state."""
    rows = []
    for (target, resource), fitted in model.shipped().items():
        for name, stratum in sorted(fitted.strata.items()):
            rows.append(
                (
                    *(target, NAMES[resource], name, f"{fitted.samples:,}", f"{stratum.count:,}"),
                    f"{stratum.error:.1%}" if np.isfinite(stratum.error) else "not known",
                )
            )
    head = ("target", "figure", "designs like it", "measurements fitted", "left out in turn")
    return _table((*head, "90% within"), rows)


TABLES: dict[str, Callable[[Sequence[Checked]], str]] = {
    "errors": _error_table,
    "strata": _stand_table,
    "terms of energy": lambda _: _table(*energy_page.terms()),
    "calibration of energy": lambda _: _table(*energy_page.calibration()),
    "errors of energy": lambda _: _table(*energy_page.errors()),
    "strata of energy": lambda _: _table(*energy_page.strata()),
}


def draw(checked: Sequence[Checked], file: Path) -> None:
    """Predicted against measured: LUTs of each target, and the clock where it is placed."""
    from matplotlib.figure import Figure  # Here, as it takes long to import.

    panels = [(t, "lut") for t in yosys_scripts.TARGETS if any(c.target == t for c in checked)]
    panels += [key for key in model.shipped() if key[1] == model.PERIOD]
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
    for index, (target, resource) in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, index)
        shown = [c for c in checked if (c.target, c.resource) == (target, resource)]
        for group, members in _grouped(shown, lambda one: (one.group,)).items():
            measured = [one.measured for one in members]
            values = [one.predicted.value for one in members]
            axes.plot(measured, values, "o", markersize=3.5, alpha=0.8, label=group[0])
        ends = [function(one.measured for one in shown) for function in (min, max)]
        axes.plot(ends, ends, color="#8a8a8a", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yscale("log")
        unit = "ns" if resource == model.PERIOD else "LUT"
        axes.set_title(f"{target}: {NAMES[resource]}", fontsize=10)
        axes.set_xlabel(f"measured, {unit}")
        axes.set_ylabel(f"predicted, {unit}")
        axes.grid(alpha=0.3)
        if index == 1:
            axes.legend(fontsize=7)
    with whole_file(file) as new:
        figure.savefig(new, dpi=110)


def main(arguments: Sequence[str]) -> None:
    """Predicts the hold-out, and writes the tables and the picture; it has no options."""
    parsed(Parser(prog="python -m cost_models.model_page", description=main.__doc__), arguments)
    for name in TABLES:
        require_between(PAGE, BEGIN.format(name), END.format(name))
    checked = list(holdout())
    for name, table in TABLES.items():
        write_between(PAGE, BEGIN.format(name), END.format(name), table(checked))
    draw(checked, PICTURE)


if __name__ == "__main__":
    sys.exit(run_module(main))

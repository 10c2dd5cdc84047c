"""The tables of docs/models.md on energy: its terms, and its errors on designs that no fit saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

import yosys_scripts
from cost_models import energy_fit, energy_model, energy_terms
from cost_models.energy_fit import Sample, error
from cost_models.energy_terms import PARTS, Activity
from cost_models.structure import inputs

Rows = Sequence[Sequence[str]]
#: What parts are called on the page.
NAMES = dict(
    zip(PARTS, ("toggles of nets", "of registers", "clocked registers", "of DSP pins"), strict=True)
)


def terms() -> tuple[Sequence[str], Rows]:
    """The terms of each target: the head of a table, and its rows."""
    rows = []
    for target in yosys_scripts.TARGETS:
        of = energy_terms.terms(target)
        if of.absolute:
            figures = (f"{n:.4f}" for n in (of.net, of.clock, of.dsp))
            rows.append((target, *figures, f"{of.low:.2f} to {of.high:.2f}"))
        else:
            rows.append((target, *["–"] * 3, "a ratio to a named design"))
    head = ("target", "net, pJ a toggle", "clock, pJ a register", "DSP, pJ a toggle", "times")
    return head, rows


def calibration() -> tuple[Sequence[str], Rows]:
    """What was measured of the iCE40, and what the terms say."""
    rows = [
        (
            *(row["name"], "fitted" if row["fitted"] else "predicted"),
            *(f"{row['measured']:.3f}", f"{row['told']:.3f}"),
            f"{row['told'] / row['measured'] - 1:+.0%}",
        )
        for row in energy_terms.rows()
    ]
    return ("row", "", "measured, pJ a cycle", "told", "error"), rows


def errors() -> tuple[Sequence[str], Rows]:
    """Errors on the hold-out, by target, by kind of unit, by operands, and of each part."""
    model, held_out = energy_model.shipped(), energy_fit.samples(energy_fit.HELD_OUT)
    groups: dict[tuple[str, str], list[tuple[float, bool, bool]]] = defaultdict(list)
    for s in held_out:
        told = model.predict(s.spec, s.target, s.words)
        found = error(model, s)
        for key in _keys(s):
            groups["energy", key].append((found, told.checked, found <= told.error))
        for part, off in _of_parts(told.activity, s.activity):
            groups[NAMES[part], "all"].append((off, False, False))
    rows = []
    for (figure, key), members in groups.items():
        stated = [inside for _, checked, inside in members if checked]
        errors_of = [found for found, _, _ in members]
        rows.append(
            (
                *(figure, key, str(len(members))),
                *(f"{np.quantile(errors_of, q):.1%}" for q in (0.5, 0.9)),
                f"{sum(stated)} of {len(stated)}" if figure == "energy" else "",
            )
        )
    rows.sort(key=lambda row: (row[0] != "energy", row[1] != "all", row[0], row[1]))
    head = ("figure", "of", "simulations", "median error", "90% within")
    return (*head, "inside their interval"), rows


def _keys(s: Sample) -> tuple[str, ...]:
    return ("all", s.target, energy_model.likeness(inputs(s.spec)), f"operands {s.operands}")


def _of_parts(told: Activity, counted: Activity) -> Iterator[tuple[str, float]]:
    """How far each part that is there is off, one added to both."""
    first, second = told.to_dict(), counted.to_dict()
    for part in PARTS:
        if first[part] or second[part]:
            ratio = (first[part] + 1) / (second[part] + 1)
            yield part, max(ratio, 1 / ratio) - 1


def strata() -> tuple[Sequence[str], Rows]:
    """The intervals that the model states."""
    rows = [
        (
            *(target, name, str(stratum.count)),
            f"{stratum.error:.1%}" if np.isfinite(stratum.error) else "not known",
        )
        for (target, name), stratum in sorted(energy_model.shipped().strata.items())
    ]
    return ("target", "designs like it", "left out in turn", "90% within"), rows

"""Measuring a unit: from the store if it is known, else with the tools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yosys_scripts
from cost_models.combinational import TOP, combinational_rtlil
from hwgen import emit, records, store
from hwgen.errors import InputError
from hwgen.spec import Spec

SYNTHESIS, COMBINATIONAL = "synthesis", "combinational"
TIME_LIMIT_S = 900.0
#: Of a synthesis: what a measurement has elsewhere, and what goes without saying.
_OUTSIDE_RESULT, _FITS = ("tools", "target", "mapping"), ("too_large", None)
#: Figures, where a result has them, are of these types and not negative.
_FIGURES: dict[str, records.FieldType] = {
    **dict.fromkeys(("lut", "carry", "ff", "dsp", "cycles"), int),
    **dict.fromkeys(("toggles_per_cycle", "seconds"), (int, float)),
    "fmax_mhz": (int, float, type(None)),
}
#: Those that a kind of measurement has.
_NEEDED = {
    "synthesis": ("lut", "carry", "ff", "dsp", "fmax_mhz"),
    "activity": ("toggles_per_cycle",),
}


@dataclass(frozen=True)
class Measurement:
    """One result of the tools.

    ``kind`` is what was measured (``synthesis``, ``activity``); ``result`` its figures;
    ``tools`` the versions that gave it; ``created`` the date, UTC.
    """

    key: str
    kind: str
    spec: dict[str, Any]
    target: str
    result: dict[str, Any]
    tools: dict[str, str]
    created: str


def checked(row: store.Row) -> Measurement:
    """The measurement that a row describes.

    ValueError, TypeError, KeyError if it is not what a tool could have measured.
    """
    texts = dict.fromkeys(("key", "kind", "target", "created"), str)
    records.require(row, {**texts, "spec": dict, "result": dict, "tools": dict})
    result = row["result"]
    records.require(result, {name: kind for name, kind in _FIGURES.items() if name in result})
    records.require(result, {name: _FIGURES[name] for name in _NEEDED.get(row["kind"], ())})
    date.fromisoformat(row["created"])
    if result.get("fmax_mhz") == 0:
        raise ValueError("its fmax_mhz is 0")
    return Measurement(**row)


KIND = store.Kind("measurement", checked, ships="cost_models/measurements.jsonl")
STORE = store.Store(KIND)


def shipped() -> Iterable[Measurement]:
    """The measurements that come with the package (``hwgen sweep`` made them)."""
    return KIND.shipped.values()


def export(file: Path, measurements: Iterable[Measurement]) -> None:
    """Writes measurements as those that ship, without the raw cells, which no model reads."""
    rows = [asdict(measurement) for measurement in measurements]
    for row in rows:
        row["result"].pop("cells", None)
    store.export(file, rows)


def synthesis_key(mapping: str, target: str, rtlil: str, place: bool, kind: str = SYNTHESIS) -> str:
    """Key of a synthesis in the store, a hexadecimal digest.

    It is of the hardware itself, how it is mapped, the target's flow and the tools; where it is
    placed, of how that is done too.
    """
    placing = yosys_scripts.placing_digest(target) if place else None
    return store.digest(
        kind,
        rtlil,
        mapping,
        target,
        yosys_scripts.flow_digest(target),
        yosys_scripts.tool_versions(target, place),
        *([placing] if placing else []),
    )


def stored(spec: Spec, target: str) -> Measurement | None:
    """What is known of ``spec``: its placed measurement, or one that was only mapped.

    InputError for an unknown target or a mapping that the target lacks.
    """
    yosys_scripts.target(target).script(spec.mapping)
    return _find(spec.mapping, target, emit.rtlil(spec), (True, False))


def known(spec: Spec) -> list[dict[str, Any]]:
    """What the store has of ``spec``, a row a target; nothing is measured.

    A row has the target's name, the resources, Fmax in MHz (None if it was not placed) and the
    tools.
    """
    rows = []
    for target in yosys_scripts.TARGETS:
        try:
            measurement = stored(spec, target)
        except InputError:  # The target lacks the mapping.
            continue
        if measurement is not None:
            rows.append({"target": target, **measurement.result, "tools": measurement.tools})
    return rows


def _find(
    mapping: str, target: str, rtlil: str, places: tuple[bool, ...], kind: str = SYNTHESIS
) -> Measurement | None:
    """The first stored measurement, in the order of ``places``: placed or only mapped."""
    candidates = (
        STORE.find(synthesis_key(mapping, target, rtlil, place, kind)) for place in places
    )
    return next((m for m in candidates if m is not None), None)


def measure(
    spec: Spec, target: str, *, place: bool = True, time_limit_s: float = TIME_LIMIT_S
) -> tuple[Measurement, bool]:
    """The measurement of ``spec``, and whether it was in the store already.

    With ``place``, targets that have a placer are placed and routed for Fmax. A new result
    is committed to the user's store at once. InputError, ToolError as in ``yosys_scripts``.
    """
    return measure_design(
        SYNTHESIS,
        emit.rtlil(spec),
        spec.name,
        spec,
        target,
        place=place,
        time_limit_s=time_limit_s,
    )


def measure_design(
    kind: str,
    rtlil: str,
    top: str,
    spec: Spec,
    target: str,
    *,
    mapping: str | None = None,
    place: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
) -> tuple[Measurement, bool]:
    """As ``measure``, of another design than the unit of ``spec``, such as its sum alone.

    ``kind`` tells the measurement from that of the unit; ``top`` is the module of ``rtlil`` to
    synthesise; ``mapping`` is by default that of ``spec``.
    """
    mapping = mapping or spec.mapping
    placed = place and yosys_scripts.target(target).placer is not None
    known = _find(mapping, target, rtlil, (True,) if placed else (True, False), kind)
    if known is not None:
        return known, True
    key = synthesis_key(mapping, target, rtlil, place, kind)

    def synthesised() -> store.Row:
        figures = asdict(
            yosys_scripts.synthesise(
                rtlil,
                top,
                target=target,
                mapping=mapping,
                place=placed,
                time_limit_s=time_limit_s,
            )
        )
        return {
            "kind": kind,
            "spec": spec.to_dict(),
            "target": target,
            "result": {
                k: v for k, v in figures.items() if k not in _OUTSIDE_RESULT and (k, v) != _FITS
            },
            "tools": figures["tools"],
            "created": store.today(),
        }

    return STORE.once(key, synthesised)


def synthesise(spec: Spec, target: str, *, combinational: bool = False) -> dict[str, Any]:
    """One synthesis as the ``synth`` command reports it.

    The row has the fields of the spec, counts, Fmax in MHz, tools, seconds, and whether it was
    ``stored`` before. ``combinational``: of the unit's arithmetic alone, without registers and so
    without Fmax (``cost_models.combinational``). InputError, ToolError as in ``yosys_scripts``.
    """
    if combinational:
        text = combinational_rtlil(spec)
        measurement, known = measure_design(COMBINATIONAL, text, TOP, spec, target, place=False)
    else:
        measurement, known = measure(spec, target)
    return {
        **spec.to_dict(),
        "target": target,
        **measurement.result,
        "tools": measurement.tools,
        "created": measurement.created,
        "stored": known,
        "does_not_fit": yosys_scripts.does_not_fit(measurement.result, target),
    }

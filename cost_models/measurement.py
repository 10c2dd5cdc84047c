"""Measuring a unit: through the store if it is known, else with the tools."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yosys_scripts
from cost_models import store
from hwgen import emit
from hwgen.errors import InputError
from hwgen.spec import Spec

SYNTHESIS = "synthesis"
TIME_LIMIT_S = 900.0
#: Of a synthesis: what a measurement has elsewhere, and what goes without saying.
_BESIDE, _FITS = ("tools", "target", "mapping"), ("too_large", None)


def synthesis_key(mapping: str, target: str, rtlil: str, place: bool, kind: str = SYNTHESIS) -> str:
    """Key of a synthesis: the hardware itself, how it is mapped, the target's flow, the tools;
    where it is placed, how that is done too."""
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


def stored(spec: Spec, target: str) -> store.Measurement | None:
    """What is known of ``spec``: its placed measurement, or one that was only mapped.

    InputError for an unknown target or a mapping that the target lacks.
    """
    yosys_scripts.target(target).script(spec.mapping)
    return _find(spec.mapping, target, emit.rtlil(spec), (True, False))


def known(spec: Spec) -> list[dict[str, Any]]:
    """What the store has of ``spec``, a row a target: its name, resources, Fmax (None if it
    was not placed) and the tools. Nothing is measured."""
    rows = []
    for target in yosys_scripts.TARGETS:
        try:
            found = stored(spec, target)
        except InputError:  # The target lacks the mapping.
            continue
        if found is not None:
            rows.append({"target": target, **found.result, "tools": found.tools})
    return rows


def _find(
    mapping: str, target: str, rtlil: str, places: tuple[bool, ...], kind: str = SYNTHESIS
) -> store.Measurement | None:
    """The first stored measurement, in the order of ``places``: placed or only mapped."""
    found = (store.find(synthesis_key(mapping, target, rtlil, place, kind)) for place in places)
    return next((m for m in found if m is not None), None)


def measure(
    spec: Spec, target: str, *, place: bool = True, time_limit_s: float = TIME_LIMIT_S
) -> tuple[store.Measurement, bool]:
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
) -> tuple[store.Measurement, bool]:
    """As ``measure``, of a design of its own ``kind`` that stands beside the unit of ``spec``; by
    default it is mapped as that is."""
    mapping = mapping or spec.mapping
    placed = place and yosys_scripts.target(target).placer is not None
    found = _find(mapping, target, rtlil, (True,) if placed else (True, False), kind)
    if found is not None:
        return found, True
    store.require_writable()
    key = synthesis_key(mapping, target, rtlil, place, kind)
    with store.measuring(key):
        # Another process may have measured it while this one waited.
        if (found := store.find(key)) is not None:
            return found, True
        found_now = asdict(
            yosys_scripts.synthesise(
                rtlil,
                top,
                target=target,
                mapping=mapping,
                place=placed,
                time_limit_s=time_limit_s,
            )
        )
        measurement = store.Measurement(
            key=key,
            kind=kind,
            spec=spec.to_dict(),
            target=target,
            result={k: v for k, v in found_now.items() if k not in _BESIDE and (k, v) != _FITS},
            tools=found_now["tools"],
            created=store.now(),
        )
        store.add(measurement)
    return measurement, False


def synthesise(spec: Spec, target: str) -> dict[str, Any]:
    """One synthesis as the ``synth`` command reports it: counts, Fmax in MHz, tools, seconds,
    and whether it was ``stored`` before."""
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

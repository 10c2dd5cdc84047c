"""Measuring a unit: from the store if it is known, else with the tools."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yosys_scripts
from hwgen import records, store
from hwgen.errors import InputError
from hwgen.files import writing
from hwgen.generator import generator_digest
from hwgen.spec import Spec, from_dict

SYNTHESIS, COMBINATIONAL = "synthesis", "combinational"
TIME_LIMIT_S = 900.0
#: Of a synthesis: what a measurement has elsewhere, and what goes without saying.
_OUTSIDE_RESULT, _FITS = ("tools", "target", "mapping"), ("too_large", None)
#: What a simulation of a netlist counts, a cycle: see ``cost_models.activity.Activity``.
ACTIVITY_PARTS = ("nets", "registers", "clocked", "dsp_toggles")
#: Figures, where a result has them, are of these types and not negative.
_FIGURES: dict[str, records.FieldType] = {
    **dict.fromkeys(("lut", "carry", "ff", "dsp", "cycles"), int),
    **dict.fromkeys((*ACTIVITY_PARTS, "seconds"), (int, float)),
    "fmax_mhz": (int, float, type(None)),
}
#: Those that a kind of measurement has.
_NEEDED = {
    "synthesis": ("lut", "carry", "ff", "dsp", "fmax_mhz"),
    "activity": (*ACTIVITY_PARTS, "cycles"),
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


@functools.cache
def held_out() -> tuple[Measurement, ...]:
    """Measurements that no fit sees, of ``plans/holdout.toml``."""
    return tuple(KIND.read("cost_models/holdout.jsonl").values())


def export(file: Path, measurements: Iterable[Measurement]) -> None:
    """Writes measurements as those that ship, without the raw cells, which no model reads.

    InputError if ``file`` cannot be written; its folder is made.
    """
    rows = [asdict(measurement) for measurement in measurements]
    for row in rows:
        row["result"].pop("cells", None)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    store.export(file, rows)


#: The ``rtlil_digest`` that a spec was found to have, so that its RTLIL need not be made again.
#: Those of the shipped measurements ship (``python -m cost_models.hardware`` writes them).
_HARDWARE = store.Store(
    store.Kind("hardware", lambda row: str(row["rtlil"]), ships="cost_models/hardware.jsonl")
)


def _hardware_key(spec: Spec) -> str:
    return store.digest("hardware", spec.to_dict(), generator_digest())


def point_key(spec: Spec, target: str, place: bool) -> str:
    """What tells a synthesis from all others, without making the hardware."""
    return synthesis_key(spec.mapping, target, _hardware_key(spec), place)


def rtlil_digest(rtlil: str) -> str:
    """SHA-256 of hardware as RTLIL text, by which it is known in the store."""
    return hashlib.sha256(rtlil.encode()).hexdigest()


def synthesis_key(mapping: str, target: str, rtlil: str, place: bool, kind: str = SYNTHESIS) -> str:
    """Key of a synthesis in the store, a hexadecimal digest.

    It is of the hardware itself (``rtlil``: its ``rtlil_digest``), how it is mapped, the target's
    flow and the tools; where it is placed, of how that is done too.
    """
    return store.digest(kind, rtlil, mapping, target, *_flow(target, place))


def _flow(target: str, place: bool) -> tuple[Any, ...]:
    """What a measurement depends on beside the hardware: scripts and tools."""
    placing = yosys_scripts.placing_digest(target) if place else None
    flow, tools = yosys_scripts.flow_digest(target), yosys_scripts.tool_versions(target, place)
    return (flow, tools, *([placing] if placing else []))


@functools.cache
def _first_flow(target: str, place: bool) -> tuple[Any, ...]:
    """The same as it was when this process first asked, which queries may go by."""
    return _flow(target, place)


@functools.cache
def require_mapping(target: str, mapping: str) -> None:
    """InputError for an unknown target or a mapping that the target lacks."""
    yosys_scripts.target(target).script(mapping)


def stored(spec: Spec, target: str) -> Measurement | None:
    """What is known of ``spec``: its placed measurement, or one that was only mapped.

    InputError for an unknown target or a mapping that the target lacks.
    """
    require_mapping(target, spec.mapping)
    digest = _known_digest(spec)
    if digest is None:
        return None
    keys = (
        store.digest(SYNTHESIS, digest, spec.mapping, target, *_first_flow(target, place))
        for place in (True, False)
    )
    return _first(keys)


@functools.lru_cache(maxsize=100_000)
def _made_digest(spec: Spec) -> str:
    from hwgen import emit  # Amaranth, which queries of what ships do without.

    return rtlil_digest(emit.rtlil(spec))


def _known_digest(spec: Spec) -> str | None:
    """The digest of the RTLIL of ``spec``; None where this generator measured nothing of it.

    It is made to be looked for where measurements of another generator may be of it too.
    """
    digest = _HARDWARE.find(_hardware_key(spec))
    if digest is not None or _ships_of_this_generator():
        return digest
    return _made_digest(spec)


@functools.cache
def _ships_of_this_generator() -> bool:
    """The hardware of the shipped measurements is that of this generator."""
    first = KIND.first_shipped
    return first is not None and (
        _HARDWARE.kind.one_shipped(_hardware_key(from_dict(first.spec))) is not None
    )


def hardware_rows() -> Iterator[store.Row]:
    """The digest of the RTLIL of each shipped measurement, by spec and generator."""
    for spec in dict.fromkeys(from_dict(m.spec) for m in (*shipped(), *held_out())):
        key = _hardware_key(spec)
        yield {"key": key, "rtlil": _HARDWARE.find(key) or _made_digest(spec)}


def rough_design(spec: Spec) -> tuple[Any, ...]:
    """What two specs that have the same measurement have the same: part of their modules' name."""
    a, b = (getattr(spec, name, None) for name in ("a", "b"))
    texts = [None if f is None else str(f) for f in (a, b)]
    return (spec.unit, *texts, getattr(spec, "lanes", None))


def rough_designs() -> frozenset[tuple[Any, ...]]:
    """The ``rough_design`` of all that was measured: of others nothing is known."""
    state = store.state()
    return _rough_designs() if state is None else _remembered_designs(state)


@functools.lru_cache(maxsize=1)
def _remembered_designs(state: store.State) -> frozenset[tuple[Any, ...]]:
    return _rough_designs()


def _rough_designs() -> frozenset[tuple[Any, ...]]:
    fields = ("unit", "a", "b", "lanes")
    found = {tuple(m.spec.get(name) for name in fields) for m in shipped()}
    found.update(STORE.distinct(*(f"spec.{name}" for name in fields)))
    return frozenset(found)


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
    return _first(synthesis_key(mapping, target, rtlil, place, kind) for place in places)


def _first(keys: Iterable[str]) -> Measurement | None:
    """The first of the stored measurements with these keys."""
    return next((m for m in map(STORE.find, keys) if m is not None), None)


def measure(
    spec: Spec, target: str, *, place: bool = True, time_limit_s: float = TIME_LIMIT_S
) -> tuple[Measurement, bool]:
    """The measurement of ``spec``, and whether it was in the store already.

    With ``place``, targets that have a placer are placed and routed for Fmax. A new result
    is committed to the user's store at once. InputError, ToolError as in ``yosys_scripts``.
    """
    known = measured_before(spec, target, place=place)
    if known is not None:
        return known, True
    from hwgen import emit  # Amaranth, which queries of what ships do without.

    rtlil = emit.rtlil(spec)
    with contextlib.suppress(InputError):  # What ships is there without a store too.
        store.require_writable()
        keep_hardware(spec, rtlil_digest(rtlil))
    return measure_design(
        SYNTHESIS, rtlil, spec.name, spec, target, place=place, time_limit_s=time_limit_s
    )


def measured_before(spec: Spec, target: str, *, place: bool) -> Measurement | None:
    """What ``measure`` takes from the store, if that knows the hardware of ``spec``.

    Quick: the hardware is not made, as it is by ``stored``.
    """
    digest = hardware(spec)
    if digest is None:
        return None
    places = (True,) if _is_placed(target, place) else (True, False)
    return _find(spec.mapping, target, digest, places)


def hardware(spec: Spec) -> str | None:
    """The ``rtlil_digest`` of the hardware of ``spec``, if this generator has made it before."""
    return _HARDWARE.find(_hardware_key(spec))


def keep_hardware(spec: Spec, digest: str) -> None:
    """Commits to the user's store which hardware ``spec`` has, if that is not known."""
    if hardware(spec) is None:
        _HARDWARE.add({"key": _hardware_key(spec), "rtlil": digest})


def _is_placed(target: str, place: bool) -> bool:
    return place and yosys_scripts.target(target).placer is not None


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
    placed, digest = _is_placed(target, place), rtlil_digest(rtlil)
    known = _find(mapping, target, digest, (True,) if placed else (True, False), kind)
    if known is not None:
        return known, True
    key = synthesis_key(mapping, target, digest, place, kind)

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
        from cost_models.combinational import TOP, combinational_rtlil  # As above.

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

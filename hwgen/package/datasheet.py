"""A unit's datasheet: one page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwgen.emit import generate_command
from hwgen.formats.facts import facts, specials
from hwgen.pins import module_name, pins
from hwgen.spec import Spec

#: Columns of the table of costs: the name in a measurement, and the heading.
COST_COLUMNS = {
    "target": "target",
    "lut": "LUT",
    "carry": "carry cells",
    "ff": "registers",
    "dsp": "DSP",
    "fmax_mhz": "Fmax (MHz)",
    "tools": "measured with",
}

#: Which mapping the costs are of.
MAPPED_BY = (
    "By the mapping of `hwgen synth`, which the files of `hwgen generate … --primitives TARGET` "
    "keep in any build. Yosys' own scripts take more LUTs for the portable Verilog, less with "
    "`--style lut4` or `lut6`."
)


def datasheet(
    spec: Spec,
    *,
    stream: bool = False,
    diagram: str | None = None,
    costs: Sequence[Mapping[str, Any]] = (),
) -> str:
    """What the unit computes, its pins, formats, latency, facts and costs.

    ``diagram``: file name of the timing diagram, if there is one. ``costs``: a row a target
    with the keys of ``COST_COLUMNS``, of the unit without its stream ports; nothing is measured
    here.
    """
    name = module_name(spec, stream=stream)
    parts = [f"# {name}", f"```\n{chr(10).join(spec.description)}\n```"]
    parts.append(_latency(spec, stream))
    if diagram is not None:
        parts.append(f"![Timing diagram]({diagram})")
    connections = [
        (
            f"`{pin.name}`",
            "out" if pin.output else "in",
            f"{pin.width}{' signed' if pin.signed else ''}",
            pin.meaning,
        )
        for pin in pins(spec, stream=stream)
    ]
    parts += ["## Pins", _table(("pin", "direction", "bits", "meaning"), connections)]
    used = {str(p.format): p.format for p in (*spec.inputs, *spec.outputs) if p.format is not None}
    if used:
        keys = ("bits", "min", "max", "smallest")
        rows = [
            (name, *(_number(facts(f)[key]) for key in keys), specials(f))
            for name, f in used.items()
        ]
        heads = ("format", "bits", "min", "max", "smallest above zero", "special codes")
        parts += ["## Formats", _table(heads, rows)]
    if spec.facts:
        known = [(key.replace("_", " "), str(value)) for key, value in spec.facts.items()]
        parts += ["## Facts", _table(("fact", "value"), known)]
    if costs:
        parts += ["## Cost", MAPPED_BY]
        if stream:
            parts.append("Measured without the stream ports.")
        parts.append(
            _table(
                tuple(COST_COLUMNS.values()),
                [tuple(_cell(row[key]) for key in COST_COLUMNS) for row in costs],
            )
        )
    parts.append(f"Made by: `{generate_command(spec, stream=stream)}`")
    return "\n\n".join(parts) + "\n"


def _latency(spec: Spec, stream: bool) -> str:
    if stream:
        summary = spec.stream_summary
        return (
            f"{summary[0].upper()}{summary[1:]}, {spec.latency} cycles later where nothing waits; "
            "a new beat every cycle. No combinational path leads from one side to the other."
        )
    return (
        f"The result comes {spec.latency} enabled cycles after its input; a new input every "
        "enabled cycle."
    )


def _number(value: float) -> str:
    return f"{value:.9g}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{tool} {version}" for tool, version in value.items())
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    # A bar would end the cell.
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)

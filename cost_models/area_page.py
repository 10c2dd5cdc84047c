"""The tables of docs/area.md and docs/units.md: what each named format costs, beside plain RTL.

``python -m cost_models.area_page`` measures what the store lacks, a line each as it ends, and
writes the tables; a run that was stopped goes on where it was. Given names of ``TABLES``, it does
those.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yosys_scripts
from cost_models import unit_tables
from cost_models.area_points import (
    PLAIN,
    STYLED,
    STYLES,
    SUM,
    UNIT,
    VENDOR,
    Point,
    Results,
    Table,
    count,
    ratio,
    run,
    table,
    text,
)
from hwgen.arguments import Parser, parsed, run_module
from hwgen.errors import InputError
from hwgen.files import require_between, write_between
from hwgen.formats import GROUPS, Scalar, parse
from hwgen.progress import tell
from hwgen.spec import BlockDot, DotProduct

#: Around each table of the page.
BEGIN, END = "<!-- python -m cost_models.area_page {} -->", "<!-- end of {} -->"
PAGE = Path("docs") / "area.md"
#: Formats of the table by lanes, and LUTs of the prior open RTL (combinational, 32 lanes, no DSP
#: blocks: Samson et al., FPL 2024, through Yosys 0.70's own scripts) by target, counted as ours: on
#: ECP5 each CCU2C is two.
BY_LANES: dict[str, dict[str, int]] = {
    "int8": {"xc7": 5452, "ecp5": 10786},
    "int4": {"xc7": 1667, "ecp5": 2771},
    "e2m1": {"xc7": 1343, "ecp5": 3022},
    "e4m3fn": {"xc7": 5593, "ecp5": 13573},
    "int6": {},
    "e2m3": {},
    "e3m2": {},
    "e5m2ieee": {},
}
LANES, PRIOR_LANES, MANY_LANES = (8, 32), 32, 128
#: Targets of the tables by lanes and by scripts; the table of formats has all.
FEW_TARGETS = ("ecp5", "xc7", "ice40")
#: Lanes of the table of every format.
FEW_LANES = 4
MAPPINGS = ("lut", "dsp")
#: What is placed there: mappings, and formats of up to so many bits. nextpnr-nexus takes half a
#: minute for a thousand cells, and more than a minute for two DSP blocks.
PLACED = {"ecp5": (MAPPINGS, 16), "ice40": (MAPPINGS, 16), "nexus": (("lut",), 4)}
#: Bits of the widest exact sums that are placed: those of BF16 and E8M0 take a quarter of an hour.
PLACED_WIDTH = 256


def _in_luts() -> tuple[str, ...]:
    """Targets that map differently without DSP blocks.

    UltraScale+ would repeat the figures of 7-series.
    """
    by_script: dict[str, str] = {}
    for name in yosys_scripts.TARGETS:
        by_script.setdefault(yosys_scripts.target(name).script("lut"), name)
    return tuple(by_script.values())


IN_LUTS = _in_luts()


def scalars() -> Iterator[str]:
    """Names of the scalar formats that hardware multiplies, of up to 16 bits, each once."""
    known: set[Scalar] = set()
    for name in (name for group in GROUPS.values() for name in group):
        number_format = parse(name)
        if number_format.scale is not None or number_format.element in known:
            continue
        known.add(number_format.element)
        try:
            spec = DotProduct(a=name, b=name, lanes=FEW_LANES)
        except InputError:  # No hardware decodes it.
            continue
        if spec.a.bits <= 16:
            yield name


def by_lanes() -> Iterator[Point]:
    """Exact sums of a few formats, as the unit makes them and by plain operators.

    Those of the unit are placed too on ECP5. Of ``MANY_LANES`` lanes: the formats of which there
    are figures of the prior RTL.
    """
    for target in FEW_TARGETS:
        for name, prior_luts in BY_LANES.items():
            for lanes in LANES:
                spec = DotProduct(a=name, b=name, lanes=lanes)
                yield Point(SUM, spec, target, lanes == PRIOR_LANES and target == "ecp5")
                yield Point(PLAIN, spec, target, False)
                yield Point(VENDOR, spec, target, False)
            if target in prior_luts:
                yield Point(SUM, DotProduct(a=name, b=name, lanes=MANY_LANES), target, False)


def by_script() -> Iterator[Point]:
    """Exact sums of a few formats by this package's mapping, and by Yosys' own scripts."""
    for name in BY_LANES:
        for target in FEW_TARGETS:
            spec = DotProduct(a=name, b=name, lanes=min(LANES))
            for kind in (SUM, STYLED):
                yield Point(kind, spec, target, False)


def by_format() -> Iterator[Point]:
    """Units of every scalar format in every mapping.

    Without DSP blocks their sums alone and those by plain operators too.
    """
    for name in scalars():
        for target in yosys_scripts.TARGETS:
            for mapping in MAPPINGS if target in IN_LUTS else MAPPINGS[1:]:
                spec = DotProduct(a=name, b=name, lanes=FEW_LANES, mapping=mapping)
                mappings, bits = PLACED.get(target, ((), 0))
                few = spec.a.bits <= bits and spec.accumulator_width <= PLACED_WIDTH
                yield Point(UNIT, spec, target, few and mapping in mappings)
                if mapping == "lut":
                    yield Point(SUM, spec, target, False)
                    yield Point(PLAIN, spec, target, False)


def by_block() -> Iterator[Point]:
    """Block dot products of one block of every named block format, rounded to FP32.

    Not on iCE40, where hardly one of them fits the device.
    """
    for name in GROUPS["blocks"]:
        for target in ("ecp5", "xc7"):
            spec = BlockDot(a=name, b=name, output="fp32")
            yield Point(UNIT, spec, target, False)


def _lanes_table(results: Results) -> str:
    rows = []
    for point in (p for p in by_lanes() if p.kind == SUM):
        spec, target = point.spec, point.target
        assert isinstance(spec, DotProduct)
        lut = count(results, point, "lut")
        plain, vendor = (
            count(results, other, "lut") if other in results else None
            for other in (Point(kind, spec, target, False) for kind in (PLAIN, VENDOR))
        )
        prior = BY_LANES[str(spec.a)].get(target) if spec.lanes == PRIOR_LANES else None
        placer = yosys_scripts.target(target).placer
        placed = (count(results, point, "placed") or {}) if point.place else {}
        rows.append(
            [
                *(str(spec.a), str(spec.lanes), target),
                *(text(prior), text(vendor), text(plain), f"**{text(lut)}**"),
                *(ratio(prior, lut), ratio(vendor, lut), ratio(plain, lut)),
                text(placed.get(placer.logic) if placer is not None else None),
            ]
        )
    head = ("format", "lanes", "target", "prior RTL", "plain, Yosys' script", "plain")
    ratios = ("prior ÷ this", "Yosys' ÷ this", "plain ÷ this")
    return table((*head, "this package", *ratios, "cells placed"), rows)


def _script_table(results: Results) -> str:
    rows = []
    for point in (p for p in by_script() if p.kind == SUM):
        spec, target = point.spec, point.target
        ours, styled = (
            count(results, Point(kind, spec, target, False), "lut") for kind in (SUM, STYLED)
        )
        style = f"`--style {STYLES[target]}`"
        name = str(spec.to_dict()["a"])
        rows.append([name, target, text(ours), style, text(styled), ratio(styled, ours)])
    head = ("format", "target", "this mapping", "unit", "Yosys' script", "script ÷ this mapping")
    return table(head, rows)


def _format_table(results: Results) -> str:
    rows = []
    for unit in (p for p in by_format() if p.kind == UNIT):
        spec, target = unit.spec, unit.target
        exact_sum, plain = (
            count(results, point, "lut") if point in results else None
            for point in (Point(kind, spec, target, False) for kind in (SUM, PLAIN))
        )
        fields = spec.to_dict()
        counts = [text(count(results, unit, n)) for n in ("lut", "carry", "ff", "dsp", "fmax_mhz")]
        rows.append(
            [
                *(fields["a"], target, fields["mapping"], *counts),
                *(text(exact_sum), text(plain), ratio(plain, exact_sum)),
            ]
        )
    head = ("format", "target", "mapping", "LUT", "carry", "FF", "DSP", "Fmax, MHz")
    return table((*head, "sum alone", "plain", "plain ÷ this"), rows)


def _block_table(results: Results) -> str:
    rows = [
        [
            *(str(point.spec.to_dict()["a"]), point.target),
            *(text(count(results, point, n)) for n in ("lut", "carry", "ff")),
        ]
        for point in by_block()
    ]
    return table(("format", "target", "LUT", "carry", "FF"), rows)


#: By name.
TABLES: dict[str, Table] = {
    "lanes": Table(PAGE, by_lanes, _lanes_table),
    "scripts": Table(PAGE, by_script, _script_table),
    "formats": Table(PAGE, by_format, _format_table),
    "blocks": Table(PAGE, by_block, _block_table),
    **unit_tables.TABLES,
}


def update(name: str, results: Results, page: Path | None = None) -> None:
    """Puts the table called ``name``, of ``results``, in its place on its page, or another."""
    versions = {
        tool: version
        for target, place in dict.fromkeys((p.target, p.place) for p in results)
        for tool, version in yosys_scripts.tool_versions(target, place).items()
    }
    tools = ", ".join(f"{tool} {version}" for tool, version in versions.items())
    chosen = TABLES[name]
    text = f"{chosen.markdown(results)}\n\nMeasured with {tools}."
    write_between(page or chosen.page, BEGIN.format(name), END.format(name), text)


def main(arguments: Sequence[str]) -> None:
    """Measures what the tables need, and writes each when it is there."""
    parser = Parser(prog="python -m cost_models.area_page", description=main.__doc__)
    parser.add_argument("tables", nargs="*", default=[], metavar="TABLE", help=", ".join(TABLES))
    names = parsed(parser, arguments).tables or list(TABLES)
    for name in names:
        if name not in TABLES:
            raise InputError(f"unknown table {name!r}: use some of {', '.join(TABLES)}")
        if names.count(name) > 1:
            raise InputError(f"table {name!r} is given twice: give it once")
        # Before the work: the page is that of a checkout.
        require_between(TABLES[name].page, BEGIN.format(name), END.format(name))
    for name in names:
        results = run(TABLES[name].points(), tell)
        update(name, results)
        for reason in dict.fromkeys(r for r in results.values() if isinstance(r, str)):
            print(f"not measured: {reason}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(run_module(main))

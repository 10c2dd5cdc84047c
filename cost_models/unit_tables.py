"""The tables of docs/units.md: units beside the ``dot`` that does the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cost_models.area_points import TIED, UNIT, Point, Results, Table, count, table, text
from hwgen.formats import parse_scalar
from hwgen.spec import BlockDot, DotProduct, FixedDot, MultiDot, Spec, SumSquares

PAGE = Path("docs") / "units.md"
TARGETS = ("ecp5", "xc7")
LANES, MODE_LANES = 32, 16


def _units(specs: Sequence[Spec]) -> Iterator[Point]:
    for spec in specs:
        for target in TARGETS:
            yield Point(UNIT, spec, target, False)


def _luts(results: Results, spec: Spec, kind: str = UNIT) -> list[int | None]:
    return [count(results, Point(kind, spec, target, False), "lut") for target in TARGETS]


def _beside(names: Sequence[str], rows: Sequence[tuple[str, list[Any], list[Any]]]) -> str:
    """A row each: LUTs of a ``dot`` and of the unit on both targets."""
    cells = [
        [
            name,
            *(
                c
                for pair in zip(dot, unit, strict=True)
                for c in (text(pair[0]), f"**{text(pair[1])}**")
            ),
        ]
        for name, dot, unit in rows
    ]
    return table((*names, "ECP5, dot", "ECP5", "7-series, dot", "7-series"), cells)


# -- constant weights ------------------------------------------------------------------------------

FIXED = (("int8", "int8"), ("int8", "int4"), ("int4", "int4"), ("e2m1", "int8"), ("e4m3", "e2m1"))


def _fixed(a: str, b: str) -> FixedDot:
    f = parse_scalar(b)
    numbers = np.random.default_rng(1).standard_normal(LANES)
    weights = f.quantize(numbers * f.max / np.abs(numbers).max())
    return FixedDot(a=a, b=b, weights=[float(weight) for weight in weights])


def fixed_points() -> Iterator[Point]:
    """``fixeddot``, and the ``dot`` with the same constants at its port."""
    for a, b in FIXED:
        for kind in (UNIT, TIED):
            for target in TARGETS:
                yield Point(kind, _fixed(a, b), target, False)


def _fixed_table(results: Results) -> str:
    rows = []
    for a, b in FIXED:
        spec = _fixed(a, b)
        rows.append((f"{a} × {b}", _luts(results, spec, TIED), _luts(results, spec)))
    return _beside(("a × weights",), rows)


# -- squares ---------------------------------------------------------------------------------------

SQUARED = ("int8", "int4", "e2m1", "e4m3")


def square_points() -> Iterator[Point]:
    """``sumsquares``, and the ``dot`` of a vector with itself."""
    for f in SQUARED:
        yield from _units([DotProduct(a=f, b=f, lanes=LANES), SumSquares(a=f, lanes=LANES)])


def _square_table(results: Results) -> str:
    rows = []
    for f in SQUARED:
        dot = _luts(results, DotProduct(a=f, b=f, lanes=LANES))
        rows.append((f, dot, _luts(results, SumSquares(a=f, lanes=LANES))))
    return _beside(("a",), rows)


# -- formats that change at run time ---------------------------------------------------------------

MODES = ("int8,int4", "int8,int4,int2", "e4m3fn,e3m2,e2m1", "e5m2ieee,e4m3fn")


def _alone(unit: MultiDot) -> list[DotProduct]:
    """For each mode the ``dot`` that does in a cycle what it does."""
    pairs = zip(unit.formats.pairs, unit.products, strict=True)
    return [DotProduct(a=pair.a, b=pair.b, lanes=unit.lanes * many) for pair, many in pairs]


def mode_points() -> Iterator[Point]:
    """``multidot``, and a ``dot`` for each of its modes."""
    for formats in MODES:
        unit = MultiDot(formats=formats, lanes=MODE_LANES)
        yield from _units([unit, *_alone(unit)])


def _mode_table(results: Results) -> str:
    rows = []
    for formats in MODES:
        unit = MultiDot(formats=formats, lanes=MODE_LANES)
        alone = [_luts(results, spec) for spec in _alone(unit)]
        for index, target in enumerate(TARGETS):
            luts = [found[index] for found in alone]
            known = [n for n in luts if n is not None]
            together = sum(known) if len(known) == len(luts) else None
            one = _luts(results, unit)[index]
            widest = max(known, default=None)
            rows.append([formats, target, *(text(n) for n in (one, widest, together))])
    return table(
        ("format", "target", "multidot", "the widest dot alone", "all dots together"), rows
    )


# -- several blocks --------------------------------------------------------------------------------

BLOCKS, KINDS = (2, 4), ("exact", "aligned:32")


def _several(blocks: int, kind: str) -> BlockDot:
    return BlockDot(a="mxfp4", b="mxfp4", blocks=blocks, accumulator=kind, output="fp32")


def block_points() -> Iterator[Point]:
    """Sums of several MXFP4 blocks, exact and aligned."""
    for blocks in BLOCKS:
        yield from _units([_several(blocks, kind) for kind in KINDS])


def _several_table(results: Results) -> str:
    rows = []
    for blocks in BLOCKS:
        for kind in KINDS:
            luts = _luts(results, _several(blocks, kind))
            rows.append([f"{blocks} of mxfp4", kind, *map(text, luts)])
    return table(("format", "unit", "ECP5", "7-series"), rows)


#: By name.
TABLES: dict[str, Table] = {
    "constants": Table(PAGE, fixed_points, _fixed_table),
    "squares": Table(PAGE, square_points, _square_table),
    "modes": Table(PAGE, mode_points, _mode_table),
    "several": Table(PAGE, block_points, _several_table),
}

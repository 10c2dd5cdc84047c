"""``hwgen compare``: costs of many units side by side."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from hwgen.arguments import Parser, output_file, shown, whole
from hwgen.cli.parser import command
from hwgen.cli.spec_options import spec_of, spec_options
from hwgen.errors import InputError
from hwgen.spec import UNITS, Spec

#: Fields whose values have commas of their own: one each.
SINGLE = ("formats", "weights", "constants")
#: As operand b: the format of operand a.
LIKE_A = "like-a"
#: The most units of a table, and numbers of a range.
MOST = 10_000


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    sub.add_argument("unit", metavar="UNIT", help=f"one of {', '.join(UNITS)}")
    sub._negative_number_matcher = re.compile(r"-\.?\d")
    for name, (kind, metavar, summary) in spec_options().items():
        several = f"{summary}; several: {_how(name, kind)}" if name not in SINGLE else summary
        sub.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind if name in SINGLE else str,
            metavar=metavar,
            help=several,
        )
    sub.add_argument("--target", default="ecp5", metavar="LIST", help="FPGA families")
    sub.add_argument("--csv", action="store_true", help="print CSV and nothing else")
    sub.add_argument("--json", action="store_true", help="print a JSON list and nothing else")
    sub.add_argument(
        "--picture", type=output_file, metavar="FILE", help="draw LUTs against the lanes"
    )


def _how(name: str, kind: Callable[[str], Any]) -> str:
    if kind is whole:
        return "1,2,8 or 1:64"
    return f"with commas{f', or {LIKE_A}' if name == 'b' else ''}"


def run(options: argparse.Namespace) -> int:
    """Print a table of what the units cost; returns the exit code."""
    import cost_models

    if options.csv and options.json:
        raise InputError("--csv and --json: give one of them")
    specs, left_out = [], []
    for fields in _combinations(options):
        try:
            specs.append(_spec(options, fields))
        except InputError as problem:
            left_out.append(problem)
    if not specs:
        raise left_out[0]
    table = cost_models.compare(dict.fromkeys(specs), options.target.split(","))
    if options.picture is not None:
        table.draw(options.picture)
    print(table.to_csv() if options.csv else table.to_json() if options.json else table, end="")
    if not options.csv:
        print()
    if left_out:
        print(f"{len(left_out)} combinations left out; the first: {left_out[0]}", file=sys.stderr)
    return 0


def _combinations(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The values of the fields that are given, in all combinations."""
    axes: dict[str, list[Any]] = {}
    for name, (kind, _, _) in spec_options().items():
        value = getattr(options, name)
        if value is None:
            continue
        axes[name] = [value] if name in SINGLE else list(_values(name, kind, value))
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST:
        raise InputError(f"{count:,} units to compare: use up to {MOST:,}")
    for combination in itertools.product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))


def _values(name: str, kind: Callable[[str], Any], text: str) -> Iterator[Any]:
    flag = f"--{name.replace('_', '-')}"
    for item in text.split(","):
        try:
            if kind is whole and ":" in item:
                low, high = map(whole, item.split(":"))
                if not 0 < high - low + 1 <= MOST:
                    raise InputError(f"{flag} {item}: a range is from a number to a larger one")
                yield from range(low, high + 1)
            elif name == "b" and item == LIKE_A:
                yield LIKE_A
            else:
                yield kind(item)
        except (ValueError, argparse.ArgumentTypeError) as problem:
            raise InputError(f"{flag} {shown(text)}: {problem}") from problem


def _spec(options: argparse.Namespace, fields: dict[str, Any]) -> Spec:
    if fields.get("b") == LIKE_A:
        fields = {**fields, "b": fields.get("a")}
    given = dict.fromkeys(spec_options()) | fields
    return spec_of(
        argparse.Namespace(
            command="compare", unit=options.unit, fmax_mhz=None, target=None, **given
        )
    )

"""``hwgen compare``: costs of many units side by side."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
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
    units_command(sub, run, one=True)
    sub.add_argument("--csv", action="store_true", help="print CSV and nothing else")
    sub.add_argument("--json", action="store_true", help="print a JSON list and nothing else")
    sub.add_argument(
        "--picture", type=output_file, metavar="FILE", help="draw LUTs against the lanes"
    )


def units_command(
    sub: Parser, run: Callable[[argparse.Namespace], int], *, one: bool = False
) -> None:
    """As ``command``, of one that takes a unit and several values of the fields of its spec.

    ``one``: the unit and the target are told, or are the usual ones; else all are meant.
    """
    command(sub, run)
    sub.add_argument(
        "unit",
        nargs=None if one else "?",
        metavar="UNIT",
        help=f"one of {', '.join(UNITS)}{'' if one else ' (default: dot, of all listed formats)'}",
    )
    sub._negative_number_matcher = re.compile(r"-\.?\d")
    for name, (kind, metavar, summary) in spec_options().items():
        several = f"{summary}; several: {_how(name, kind)}" if name not in SINGLE else summary
        sub.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind if name in SINGLE else str,
            metavar=metavar,
            help=several,
        )
    usual = "ecp5" if one else None
    words = "FPGA families" if one else "FPGA families (default: all)"
    sub.add_argument("--target", default=usual, metavar="LIST", help=words)


def _how(name: str, kind: Callable[[str], Any]) -> str:
    if kind is whole:
        return "1,2,8 or 1:64"
    return f"with commas{f', or {LIKE_A}' if name == 'b' else ''}"


def run(options: argparse.Namespace) -> int:
    """Print a table of what the units cost; returns the exit code."""
    import cost_models

    if options.csv and options.json:
        raise InputError("--csv and --json: give one of them")
    specs, left_out = specs_of(options)
    table = cost_models.compare(specs, options.target.split(","))
    if options.picture is not None:
        table.draw(options.picture)
    print(table.to_csv() if options.csv else table.to_json() if options.json else table, end="")
    if not options.csv:
        print()
    tell_left_out(left_out)
    return 0


def specs_of(options: argparse.Namespace) -> tuple[list[Spec], list[InputError]]:
    """The specs of all combinations, each once, and why others are left out; at least one spec."""
    specs, left_out = [], []
    for fields in _combinations(options):
        try:
            specs.append(_spec(options, fields))
        except InputError as problem:
            left_out.append(problem)
    if not specs:
        raise left_out[0]
    return list(dict.fromkeys(specs)), left_out


def tell_left_out(left_out: Sequence[InputError]) -> None:
    """On standard error, how many combinations are no units, and why the first is none."""
    if left_out:
        print(f"{len(left_out)} combinations left out; the first: {left_out[0]}", file=sys.stderr)


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

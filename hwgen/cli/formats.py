"""``hwgen formats``: what each number format is."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from hwgen import formats
from hwgen.arguments import Parser, output_file
from hwgen.cli.parser import command, json_option, print_json


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    sub.add_argument(
        "names", nargs="*", default=[], metavar="FORMAT", help="a format, such as e4m3fn"
    )
    sub.add_argument(
        "--picture", type=output_file, metavar="FILE", help="draw their values: .png, .svg or .pdf"
    )
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """List formats, print the facts of some, or draw them; returns the exit code."""
    from hwgen.formats.facts import facts

    # All before the first is printed.
    given = [formats.parse(name) for name in options.names]
    if options.picture is not None:
        from hwgen.formats.picture import draw

        chosen = given or [formats.parse(name) for name in formats.DRAWN]
        file = draw(chosen, options.picture)
        if options.json:
            print_json({"picture": str(file), "formats": [str(f) for f in chosen]})
        else:
            print(file)
        return 0
    if options.json:
        names = options.names or [name for group in formats.GROUPS.values() for name in group]
        rows = [facts(formats.parse(name)) for name in names]
        print_json(rows[0] if len(options.names) == 1 else {"formats": rows})
        return 0
    for number_format in given:
        _print_facts(facts(number_format))
    if not given:
        _list_formats()
    return 0


def _print_facts(facts: dict[str, Any]) -> None:
    values = facts.pop("values", None)
    for name, value in facts.items():
        shown = value
        if isinstance(value, float):
            shown = f"{value:.12g}"
        elif isinstance(value, list):
            shown = ", ".join(value)
        print(f"{name.replace('_', ' '):17} {shown}")
    if values is not None:
        listed = textwrap.wrap(" ".join(f"{v:.12g}" for v in values), 82)
        print("values            " + "\n                  ".join(listed))


def _list_formats() -> None:
    from hwgen.formats.facts import facts, specials

    columns = f"{'bits':>5} {'min':>12} {'max':>12} {'smallest':>12} {'dB':>6}"
    for group, names in formats.GROUPS.items():
        print(f"{group:26} {columns}")
        for name in names:
            f = formats.parse(name)
            row = facts(f)
            if f.scale is None:
                bits = f"{row['bits']:5}"
                also = [str(f), *row["other_names"]]
                note = ", ".join(dict.fromkeys(n for n in also if n != name))
                note = f"{specials(f.element):8}  {note}"
            else:
                bits, note = f"{row['bits_per_value']:5.4g}", row["systematic_name"]
            print(
                f"  {name:24} {bits} {row['min']:12.6g} {row['max']:12.6g} "
                f"{row['smallest']:12.6g} {row['dynamic_range_db']:6.1f}  {note}".rstrip()
            )
        print()
    print("\n".join(textwrap.wrap(f"others: {formats.GRAMMAR}", 100)))

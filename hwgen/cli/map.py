"""``hwgen map``: the package's mapping on any design."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hwgen.arguments import Parser, input_file, input_path, output_file, shown
from hwgen.cli.parser import (
    command,
    json_option,
    print_json,
    target_option,
    timeout_option,
)
from hwgen.errors import InputError
from hwgen.files import write_text

if TYPE_CHECKING:
    from yosys_scripts import Size

#: What the endings of an output file stand for, by the name of the netlist's field.
_WRITTEN = {".json": "netlist_json", ".v": "verilog"}


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    sub.add_argument(
        "files", nargs="+", type=input_file, metavar="FILE", help="Verilog (.v, .sv) or RTLIL (.il)"
    )
    sub.add_argument("--top", required=True, metavar="NAME", help="the design's outermost module")
    target_option(sub)
    sub.add_argument(
        "--mapping",
        default="lut",
        metavar="lut|dsp|auto",
        help="DSP blocks for no product, for each, or for the larger ones",
    )
    sub.add_argument(
        "--output",
        dest="netlist",
        type=output_file,
        metavar="FILE",
        help="the netlist: .json, which nextpnr takes, or .v, Verilog of the target's primitives",
    )
    for name, kind, metavar, words in (
        ("--include", _input_folder, "FOLDER", "folders of the files that `include names"),
        ("--define", _named("1"), "NAME", "macros: NAME or NAME=TEXT"),
        ("--parameter", _named(None), "NAME", "parameters of the top: NAME=N"),
    ):
        sub.add_argument(name, type=kind, nargs="+", default=[], metavar=metavar, help=words)
    sub.add_argument("--pads", action="store_true", help="with buffers at the ports")
    timeout_option(sub, 900, "the longest time that a script may take, in seconds (default: 900)")
    json_option(sub)


def _input_folder(text: str) -> Path:
    """A folder to read from."""
    path = input_path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{shown(text)} is no folder: it is a file")
    return path


def _named(usual: str | None) -> Callable[[str], tuple[str, str]]:
    """A name and a value; the value is the ``usual`` one if none is given and there is one."""

    def parse(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not name or not (value if equals else usual):
            raise argparse.ArgumentTypeError(f"{shown(text)}: give a name, '=' and a value")
        return name, value if equals else str(usual)

    return parse


def run(options: argparse.Namespace) -> int:
    """Map a design, write its netlist and print what it takes; returns the exit code."""
    from yosys_scripts import map_design

    output: Path | None = options.netlist
    if output is not None and output.suffix not in _WRITTEN:
        raise InputError(f"--output '{output}': use a name that ends in {' or '.join(_WRITTEN)}")
    mapped = map_design(
        options.files,
        options.top,
        target=options.target,
        mapping=options.mapping,
        parameters=dict(options.parameter),
        defines=dict(options.define),
        include=options.include,
        pads=options.pads,
        time_limit_s=options.timeout,
    )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, getattr(mapped, _WRITTEN[output.suffix]))
    if options.json:
        fields = dataclasses.asdict(mapped)
        for name in _WRITTEN.values():
            del fields[name]
        print_json({**fields, "file": None if output is None else str(output)})
        return 0
    print(f"{mapped.top} on {mapped.target}: {_words(mapped.size)}")
    if mapped.kept == "ours":
        print(f"Yosys' own script: {_words(mapped.stock)}")
    else:
        print(f"this is Yosys' own script's, which is smaller than ours: {_words(mapped.ours)}")
    if output is not None:
        print(f"wrote {output}")
    return 0


def _words(size: Size) -> str:
    memories = f", {size.ram_lut} LUT of distributed RAM" if size.ram_lut else ""
    return (
        f"{size.lut} LUT{memories}, {size.carry} carry cells, {size.ff} registers, "
        f"{size.bram} block RAM, {size.dsp} DSP"
    )

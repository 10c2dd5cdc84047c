"""``hwgen generate``: a unit's Verilog and what goes with it."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path

from hwgen.arguments import Parser, names, output_folder
from hwgen.cli.parser import (
    clock_target_option,
    json_option,
    print_json,
    stream_option,
    unit_command,
)
from hwgen.cli.spec_options import spec_of
from hwgen.errors import InputError
from hwgen.files import require_writable, write_text
from hwgen.pipelining import modelled
from hwgen.spec import Spec

#: What can be written beside the Verilog.
_EXTRAS = ("core", "datasheet", "template", "vectors")


def add(sub: Parser) -> None:
    """Add the options of the command."""
    unit_command(sub, run)
    sub.add_argument(
        "--out", type=output_folder, default=Path("build"), metavar="FOLDER", help="where to"
    )
    stream_option(sub)
    sub.add_argument(
        "--name", type=identifier, metavar="NAME", help="of the module (default: what it computes)"
    )
    sub.add_argument(
        "--with",
        dest="extras",
        type=names,
        metavar="LIST",
        help=f"also write, separated by commas: {', '.join(_EXTRAS)}",
    )
    sub.add_argument("--all", action="store_true", help="also write all of these")
    sub.add_argument(
        "--primitives",
        metavar="TARGET",
        help="also write the unit mapped to this FPGA family's primitives, with the same ports",
    )
    sub.add_argument(
        "--style",
        default="plain",
        metavar="plain|lut4|lut6",
        help="lut4, lut6: products and sums as Yosys' own scripts map them well to LUTs of so many "
        "inputs (default: plain)",
    )
    clock_target_option(sub)
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Write a unit's Verilog and what goes with it; returns the exit code."""
    from hwgen.emit import verilog
    from hwgen.pins import module_name

    spec, stream = spec_of(options), options.stream
    extras = _wanted_extras(options)
    folder = require_writable(options.out)
    module = module_name(spec, stream=stream)
    texts = {"verilog": (".v", verilog(spec, stream=stream, style=options.style))}
    for extra in extras:
        texts |= _extra_files(spec, extra, options)
    if options.primitives is not None:
        texts |= _primitives(spec, options)
    if options.name is not None:
        texts = {kind: (end, renamed(text, module, options)) for kind, (end, text) in texts.items()}
        module = options.name
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        kind: str(write_text(folder / f"{module}{end}", text))
        for kind, (end, text) in texts.items()
    }
    facts = spec.facts
    clock = modelled(spec) if spec.pipeline_target else None
    if options.json:
        print_json(
            {
                **spec.to_dict(),
                "file": files["verilog"],
                "files": files,
                "module": module,
                "latency": spec.latency,
                **facts,
                **({} if clock is None else {"modelled_clock": dataclasses.asdict(clock)}),
            }
        )
    else:
        more = "".join(f", {name.replace('_', ' ')} {value}" for name, value in facts.items())
        print(f"{files['verilog']}: module {module}, latency {spec.latency} cycles{more}")
        if clock is not None:
            print(
                f"{spec.stages} stage{'s' * (spec.stages > 1)}, tuned for {spec.pipeline_target}: "
                f"{clock.fmax_mhz:.0f} MHz by its delay model, {clock.low_mhz:.0f} to "
                f"{clock.high_mhz:.0f} for 90% of placed units; "
                f"{' + '.join(clock.bounded_by)} bounds it"
            )
        for kind, file in files.items():
            if kind != "verilog":
                print(f"{file}: {kind}")
    return 0


def identifier(text: str) -> str:
    """An option's value that names a module in Verilog."""
    from hwgen.verilog_text import is_identifier

    if not is_identifier(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} names no module in Verilog: use letters, digits and _, no digit first, and "
            "no word of the language"
        )
    return text


def renamed(text: str, module: str, options: argparse.Namespace) -> str:
    """``text`` with the module's name, and those of modules inside of it, begun by another.

    Its ``hwgen generate`` command gets the option that does so.
    """
    text = re.sub(rf"\b{module}(?=\b|_)", options.name, text)
    command = rf"(hwgen generate {options.unit} [^\n`]*[^\n`\s])"
    return re.sub(command, rf"\1 --name {options.name}", text)


def _primitives(spec: Spec, options: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """The mapped unit, and the cells that only the open tools know, as ``_extra_files``."""
    from hwgen import emit
    from hwgen.pins import module_name
    from yosys_scripts import cells_of_open_tools, primitives

    stream, target = options.stream, options.primitives
    command = emit.generate_command(spec, stream=stream) + f" --primitives {target}"
    head = emit.stream_header if stream else emit.header
    mapped = primitives(
        emit.rtlil(spec, stream=stream),
        module_name(spec, stream=stream),
        target=target,
        mapping=spec.mapping,
    )
    texts = {"primitives": (f"_{target}.v", head(spec, command) + mapped)}
    if cells := cells_of_open_tools(target):
        texts["cells"] = (f"_{target}_cells.v", cells)
    return texts


def _wanted_extras(options: argparse.Namespace) -> list[str]:
    given = options.extras or []
    if given and options.all:
        raise InputError("--all writes what --with can name: give one of them")
    unknown = [name for name in given if name not in _EXTRAS]
    if unknown:
        raise InputError(f"--with {unknown[0]}: use some of {', '.join(_EXTRAS)}")
    return [name for name in _EXTRAS if options.all or name in given]


def _extra_files(spec: Spec, extra: str, options: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """The texts that ``extra`` means, by what they are: end of the file's name, and text."""
    from hwgen import package
    from hwgen.pins import module_name

    stream = options.stream
    if extra == "core":
        return {extra: (".core", package.core(spec, stream=stream, primitives=options.primitives))}
    if extra == "template":
        return {extra: ("_template.v", package.template(spec, stream=stream))}
    if extra == "vectors":
        from sim.vectors import vectors_csv

        return {extra: ("_vectors.csv", vectors_csv(spec, stream=stream))}
    from cost_models.measurement import known

    diagram = f"{module_name(spec, stream=stream)}.svg"
    page = package.datasheet(spec, stream=stream, diagram=diagram, costs=known(spec))
    return {extra: (".md", page), "timing": (".svg", package.timing_diagram(spec, stream=stream))}

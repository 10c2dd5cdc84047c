"""The command line. A command imports what it needs when it runs, and nothing before."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from hwgen import formats
from hwgen.errors import InputError, ToolError
from hwgen.files import require_writable, write_text
from hwgen.pipelining import modelled, pipelined
from hwgen.spec import MAPPINGS, MAX_LANES, UNITS, Spec
from hwgen.spec.array import DATAFLOWS, MOVEMENTS
from hwgen.spec.base import spec_fields


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other error: one line, exit 2."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see '{self.prog} --help')")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of an option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 for a mismatch, 2 for bad input."""
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        options = _parser().parse_args(given)
        options.arguments = given
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except (InputError, ToolError) as error:
        print(f"hwgen: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hwgen: interrupted; finished measurements are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone (``hwgen … | head``); keep Python from flushing into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hwgen",
        description="Datapaths for FPGAs in any number format: Verilog, proof, cost.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hwgen {version('hwgen')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int], summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary,
            allow_abbrev=False,
            formatter_class=_HelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    def unit_command(name: str, run: Callable[[Any], int], summary: str) -> argparse.ArgumentParser:
        sub = command(name, run, summary)
        sub.add_argument("unit", metavar="UNIT", help=f"one of {', '.join(UNITS)}")
        for name, (kind, metavar, summary) in _SPEC_OPTIONS.items():
            sub.add_argument(
                f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=summary
            )
        sub.add_argument(
            "--fmax-mhz",
            type=float,
            metavar="F",
            help="as few stages as a clock of F needs on the target, by its delay model",
        )
        return sub

    def json_option(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--json", action="store_true", help="print one JSON object and nothing else"
        )

    sub = command("formats", _formats, "list the number formats, or one format's facts")
    sub.add_argument("names", nargs="*", metavar="FORMAT", help="a format, such as e4m3fn")
    sub.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw their values: .png, .svg or .pdf"
    )
    json_option(sub)

    json_option(command("units", _units, "list the units and their options"))

    sub = unit_command("generate", _generate, "write a unit's Verilog")
    sub.add_argument("--out", type=Path, default=Path("build"), metavar="FOLDER", help="where to")
    _stream_option(sub)
    sub.add_argument(
        "--with",
        dest="extras",
        default=None,
        metavar="LIST",
        help=f"also write, separated by commas: {', '.join(_EXTRAS)}",
    )
    sub.add_argument("--all", action="store_true", help="also write all of these")
    _clock_target_option(sub)
    json_option(sub)

    sub = unit_command("verify", _verify, "simulate a unit against the golden model")
    sub.add_argument(
        "--vectors",
        type=_whole,
        default=2000,
        metavar="N",
        help="random cycles, after the directed ones",
    )
    sub.add_argument("--seed", type=_whole, default=1, metavar="S", help="seed of the random ones")
    _stream_option(sub)
    _clock_target_option(sub)
    json_option(sub)

    sub = command("regress", _regress, "verify a whole matrix of units, formats and settings")
    sub.add_argument(
        "matrix",
        nargs="?",
        metavar="MATRIX",
        help="formats, random, levels, exhaustive, long (millions of vectors), or full: all",
    )
    sub.add_argument("--spec", metavar="JSON", help="instead of a matrix: one unit's spec")
    sub.add_argument("--unit", metavar="LIST", help="only these units, separated by commas")
    sub.add_argument(
        "--level", metavar="LIST", help="rtl, or a target, for its netlist; only these levels"
    )
    sub.add_argument("--check", default="bench", metavar="bench|exhaustive", help="of --spec")
    sub.add_argument("--lint", action="store_true", help="of --spec: also with two linters")
    sub.add_argument("--coverage", action="store_true", help="of --spec: every bin has to be hit")
    sub.add_argument(
        "--simulator", default="verilator", metavar="LIST", help="verilator, icarus, or both"
    )
    sub.add_argument("--vectors", type=_whole, default=200, metavar="N", help="random cycles")
    sub.add_argument(
        "--seed", type=_whole, default=1, metavar="S", help="seed of all that is random"
    )
    sub.add_argument("--count", type=_whole, default=1000, metavar="N", help="specs of 'random'")
    sub.add_argument(
        "--jobs", type=_whole, default=0, metavar="N", help="processes; 0: a core each"
    )
    sub.add_argument("--again", action="store_true", help="also what has passed before")
    sub.add_argument("--wave", type=Path, metavar="FILE", help="of --spec: waveform, .fst or .vcd")
    sub.add_argument(
        "--out", type=Path, default=Path("regression"), metavar="FOLDER", help="results and reports"
    )
    sub.add_argument(
        "--page", type=Path, metavar="FILE", help="run nothing: put the table of results there"
    )
    json_option(sub)

    sub = unit_command("mutate", _mutate, "put faults into a unit's RTL: does the bench find them?")
    _unit_or_all(sub)
    sub.add_argument("--mutants", type=_whole, default=100, metavar="N", help="faults of each unit")
    sub.add_argument("--vectors", type=_whole, default=2000, metavar="N", help="random cycles")
    sub.add_argument(
        "--seed", type=_whole, default=1, metavar="S", help="seed of all that is random"
    )
    sub.add_argument(
        "--timeout", type=_whole, default=60, metavar="S", help="seconds for each survivor's proof"
    )
    sub.add_argument(
        "--all", action="store_true", help="instead of a unit: a spec of each unit, resumably"
    )
    sub.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="with --all: where scores are kept, a JSON object a line",
    )
    json_option(sub)

    sub = unit_command("prove", _prove, "prove properties of a unit, formally")
    _unit_or_all(sub)
    sub.add_argument(
        "--property",
        metavar="NAME",
        help="reference, netlist, pipeline, accumulator or stream (default: all of them)",
    )
    sub.add_argument(
        "--target",
        metavar="NAME",
        help="FPGA family of the property netlist (default: every one)",
    )
    sub.add_argument(
        "--timeout", type=_whole, default=300, metavar="S", help="seconds for each property"
    )
    sub.add_argument(
        "--all",
        action="store_true",
        help="instead of a unit: the list of what the package stands for, resumably",
    )
    sub.add_argument(
        "--store",
        type=Path,
        metavar="FILE",
        help="with --all: where answers are kept, a JSON object a line",
    )
    json_option(sub)

    sub = unit_command("synth", _synth, "synthesise a unit and measure it")
    _target_option(sub)
    json_option(sub)

    sub = unit_command("cost", _cost, "what a unit costs: measured if known, else estimated")
    _target_option(sub)
    sub.add_argument(
        "--energy", action="store_true", help="also energy, from a gate-level simulation"
    )
    json_option(sub)

    sub = command("sweep", _sweep, "measure the shipped set of units, resumably")
    sub.add_argument("--export", type=Path, metavar="FILE", help="then write all of them to FILE")

    sub = command("optimize", _optimize, "choose a format for every layer of a network")
    sub.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="ONNX network (default, with --data: the shipped ResNet-8 on Fashion-MNIST)",
    )
    sub.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="images: an .npz, or a folder of Fashion-MNIST's idx files",
    )
    sub.add_argument(
        "--test-data",
        type=Path,
        metavar="PATH",
        help="images to test FP32 and the chosen plan on once more "
        "(default: the installed Fashion-MNIST, for the shipped data)",
    )
    _target_option(sub)
    sub.add_argument("--fps", type=float, default=1000.0, metavar="F", help="frames a second")
    sub.add_argument("--clock-mhz", type=float, default=50.0, metavar="F", help="datapath clock")
    sub.add_argument(
        "--style",
        default="streaming",
        metavar="streaming|shared",
        help="a datapath for every layer, or one for all",
    )
    sub.add_argument(
        "--formats",
        default=None,
        metavar="LIST",
        help="candidates, separated by commas (default: all that 'hwgen formats' lists)",
    )
    sub.add_argument(
        "--max-drop",
        type=float,
        default=0.5,
        metavar="P",
        help="accuracy that the chosen plan may lose, in points",
    )
    sub.add_argument("--out", type=Path, default=Path("out"), metavar="FOLDER", help="where to")
    return parser


def _unit_or_all(sub: argparse.ArgumentParser) -> None:
    """Without a unit with --all only, as the command itself says."""
    unit = next(action for action in sub._actions if action.dest == "unit")
    unit.nargs = "?"


def _stream_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--stream", action="store_true", help="the unit with AXI4-Stream ports")


def _target_option(sub: argparse.ArgumentParser) -> None:
    from yosys_scripts import TARGETS

    # Not restricted here: yosys_scripts checks the name itself, for callers from Python too.
    sub.add_argument("--target", default="ecp5", metavar="|".join(TARGETS), help="FPGA family")


def _clock_target_option(sub: argparse.ArgumentParser) -> None:
    from yosys_scripts import TARGETS

    sub.add_argument(
        "--target",
        metavar="|".join(TARGETS),
        help="FPGA family that --fmax-mhz is for (default: ecp5)",
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return text.lower() == "true"


#: Fields of specs as options: type, what stands for the value, help. A unit takes those that
#: its spec has.
_SPEC_OPTIONS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "a": (str, "FORMAT", "format of operand a, or of what comes in"),
    "b": (str, "FORMAT", "format of operand b, or of what comes out"),
    "formats": (
        str,
        "LIST",
        "operand formats of each mode, such as int8,int4,int2 or int8:int4,int4",
    ),
    "lanes": (_whole, "N", f"lanes, 1 to {MAX_LANES}"),
    "blocks": (_whole, "N", "blocks that are summed"),
    "rows": (_whole, "N", "rows of an array"),
    "columns": (_whole, "N", "columns of an array"),
    "dataflow": (str, "|".join(DATAFLOWS), "what stays in an array's elements"),
    "movement": (str, "|".join(MOVEMENTS), "how operands come to an array's elements"),
    "max_products": (_whole, "N", "products that the accumulator sums exactly"),
    "bits": (_whole, "N", "bits of the sum that comes in"),
    "lsb_exponent": (_whole, "N", "that sum counts units of 2^N"),
    "scale": (str, "FORMAT", "format of the scale that it is multiplied by"),
    "addend": (str, "FORMAT", "format of a number c that each dot product adds"),
    "accumulator": (
        str,
        "KIND",
        "exact, fixed:W, fixed:W:F, or a format such as fp32; of blocks exact or aligned:W",
    ),
    "output": (str, "FORMAT", "format that results are rounded to"),
    "offset": (_whole, "L", "L-Mul adds 2^-L to the mantissas"),
    "rounding": (str, "MODE", "how results round, such as nearest_even"),
    "overflow": (str, "RULE", "saturate, special or propagate"),
    "stages": (_whole, "N", "register stages"),
    "tuned_for": (str, "TARGET", "place the registers by this target's delay model"),
    "scale_rule": (str, "RULE", "how a block's scale is chosen, such as floor or ceil"),
    "symmetric": (_truth, "True|False", "whether integers leave the most negative code unused"),
    "nonfinite": (str, "element|scale", "whether NaN and infinities make elements or blocks NaN"),
    "random": (str, "port|lfsr", "where stochastic rounding has its random bits from"),
    "random_seed": (_whole, "N", "what a shift register inside the unit begins with"),
    "tensor_scale": (str, "port|one", "where the scale of the tensor comes from"),
    "mapping": (str, "|".join(MAPPINGS), "where multiplications go"),
}


def _spec(options: argparse.Namespace) -> Spec:
    if options.unit not in UNITS:
        raise InputError(f"unknown unit {options.unit!r}: use one of {', '.join(UNITS)}")
    kind = UNITS[options.unit]
    given = {name: getattr(options, name) for name in _SPEC_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    fields = {f.name: f for f in spec_fields(kind)}
    flags = {name: f"--{name.replace('_', '-')}" for name in fields}
    for name in given:
        if name not in fields:
            raise InputError(
                f"unit {options.unit} has no --{name.replace('_', '-')}: "
                f"use {', '.join(flags.values())}"
            )
    missing = [
        flags[name]
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and name not in given
    ]
    if missing:
        raise InputError(f"unit {options.unit} needs {', '.join(missing)}")
    if options.fmax_mhz is None:
        if options.command in ("generate", "verify") and options.target is not None:
            raise InputError(
                f"--target {options.target}: the hardware is the same for every target, unless "
                "--fmax-mhz says how fast it has to be there, or --tuned-for"
            )
        return kind(**given)
    for name in ("stages", "tuned_for"):
        if name in given:
            raise InputError(
                f"--fmax-mhz chooses the stages and places them: leave out {flags[name]}, or give "
                "it alone"
            )
    return pipelined(kind(**given), fmax_mhz=options.fmax_mhz, target=options.target or "ecp5")


def _print_json(fields: dict[str, Any]) -> None:
    print(json.dumps(fields, indent=2))


def _formats(options: argparse.Namespace) -> int:
    from hwgen.formats.facts import facts

    if options.picture is not None:
        from hwgen.formats.picture import draw

        chosen = [formats.parse(name) for name in options.names or formats.DRAWN]
        print(draw(chosen, options.picture))
        return 0
    if options.json:
        names = options.names or [name for group in formats.GROUPS.values() for name in group]
        rows = [facts(formats.parse(name)) for name in names]
        _print_json(rows[0] if len(options.names) == 1 else {"formats": rows})
        return 0
    for name in options.names:
        _print_facts(facts(formats.parse(name)))
    if not options.names:
        _list_formats()
    return 0


def _print_facts(found: dict[str, Any]) -> None:
    values = found.pop("values", None)
    for name, value in found.items():
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
            if isinstance(f, formats.Scalar):
                bits = f"{row['bits']:5}"
                also = [str(f), *row["other_names"]]
                note = ", ".join(dict.fromkeys(n for n in also if n != name))
                note = f"{specials(f):8}  {note}"
            else:
                bits, note = f"{row['bits_per_value']:5.4g}", row["systematic_name"]
            print(
                f"  {name:24} {bits} {row['min']:12.6g} {row['max']:12.6g} "
                f"{row['smallest']:12.6g} {row['dynamic_range_db']:6.1f}  {note}".rstrip()
            )
        print()
    print("\n".join(textwrap.wrap(f"others: {formats.GRAMMAR}", 100)))


def _units(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = [
        {
            "unit": name,
            "summary": (kind.__doc__ or "").partition("\n")[0].replace("``", ""),
            "options": {
                f"--{f.name.replace('_', '-')}": (
                    None if f.default is dataclasses.MISSING else str(f.default)
                )
                for f in spec_fields(kind)
            },
        }
        for name, kind in UNITS.items()
    ]
    if options.json:
        _print_json({"units": rows})
        return 0
    for row in rows:
        print(f"{row['unit']}: {row['summary']}")
        shown = [
            f"[{flag} …]" if value in ("", "0", "None") else f"{flag} {value or '…'}"
            for flag, value in row["options"].items()
        ]
        for line in textwrap.wrap("  ".join(shown), 92, break_on_hyphens=False):
            print(f"    {line}")
    return 0


#: What can be written beside the Verilog.
_EXTRAS = ("core", "datasheet", "template", "vectors")


def _wanted_extras(options: argparse.Namespace) -> list[str]:
    given = options.extras.split(",") if options.extras else []
    unknown = [name for name in given if name not in _EXTRAS]
    if unknown:
        raise InputError(f"--with {unknown[0]}: use some of {', '.join(_EXTRAS)}")
    return [name for name in _EXTRAS if options.all or name in given]


def _extra_files(spec: Spec, extra: str, stream: bool) -> dict[str, tuple[str, str]]:
    """The texts that ``extra`` means, by what they are: end of the file's name, and text."""
    from hwgen import package
    from hwgen.pins import module_name

    if extra == "core":
        return {extra: (".core", package.core(spec, stream=stream))}
    if extra == "template":
        return {extra: ("_template.v", package.template(spec, stream=stream))}
    if extra == "vectors":
        from sim.vectors import vectors_csv

        return {extra: ("_vectors.csv", vectors_csv(spec, stream=stream))}
    from cost_models.measurement import known

    diagram = f"{module_name(spec, stream=stream)}.svg"
    page = package.datasheet(spec, stream=stream, diagram=diagram, costs=known(spec))
    return {extra: (".md", page), "timing": (".svg", package.timing_diagram(spec, stream=stream))}


def _generate(options: argparse.Namespace) -> int:
    from hwgen.emit import verilog
    from hwgen.pins import module_name

    spec, stream = _spec(options), options.stream
    extras = _wanted_extras(options)
    folder = require_writable(options.out)
    module = module_name(spec, stream=stream)
    texts = {"verilog": (".v", verilog(spec, stream=True) if stream else spec.verilog())}
    for extra in extras:
        texts |= _extra_files(spec, extra, stream)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        kind: str(write_text(folder / f"{module}{end}", text))
        for kind, (end, text) in texts.items()
    }
    facts = spec.facts
    clock = modelled(spec) if spec.tuned_for else None
    if options.json:
        _print_json(
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
                f"{spec.latency} stages, tuned for {spec.tuned_for}: {clock.fmax_mhz:.0f} MHz by "
                f"its delay model, {clock.low_mhz:.0f} to {clock.high_mhz:.0f} for 90% of placed "
                f"units; {' + '.join(clock.bounded_by)} bounds it"
            )
        for kind, file in files.items():
            if kind != "verilog":
                print(f"{file}: {kind}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from hwgen.pins import module_name
    from sim import verify, verify_stream

    spec = _spec(options)
    run = verify_stream if options.stream else verify
    outcome = run(spec, vectors=options.vectors, seed=options.seed)
    if options.json:
        _print_json(outcome.to_dict())
    else:
        print(
            f"{module_name(spec, stream=options.stream)}: {outcome.vectors} "
            f"{'beats' if options.stream else 'cycles'} checked, {outcome.mismatches} mismatches "
            f"(seed {outcome.seed}, {outcome.seconds} s, {outcome.simulator})"
        )
    for mismatch in outcome.shown:
        print(f"mismatch: {mismatch}", file=sys.stderr)
    return 0 if outcome.passed else 1


def _regress(options: argparse.Namespace) -> int:
    from sim import matrix, regression, report

    if options.page is not None:
        count = report.update_page(options.page, options.out)
        print(f"{options.page}: table of {count} results")
        return 0
    if (options.matrix is None) == (options.spec is None):
        raise InputError(f"regress needs a matrix, {', '.join(matrix.MATRICES)}, or --spec JSON")
    if options.spec is not None:
        return _regress_one(options)
    if options.wave is not None:
        raise InputError("--wave is of one case: give its --spec (a failure prints it)")
    wanted = matrix.chosen(
        options.matrix,
        seed=options.seed,
        vectors=options.vectors,
        count=options.count,
        units=_list(options.unit),
        levels=_list(options.level),
        simulators=_list(options.simulator),
    )
    folder = require_writable(options.out)
    live = sys.stderr.isatty()
    said = [0.0]
    told: set[str] = set()

    def progress(summary: regression.Summary, seconds: float) -> None:
        for result in summary.results:
            if result.status != regression.PASSED and result.case.command not in told:
                told.add(result.case.command)
                print("\r\033[K" * live + report.trouble(result), file=sys.stderr, flush=True)
        if live:
            print(f"\r\033[K{report.progress(summary)}", end="", file=sys.stderr, flush=True)
        elif seconds - said[0] > 10:
            said[0] = seconds
            print(report.progress(summary), file=sys.stderr, flush=True)

    found = regression.run(
        wanted.cases,
        folder,
        jobs=options.jobs,
        again=options.again,
        refused=wanted.refused,
        progress=progress,
    )
    if live:
        print(file=sys.stderr)
    files = report.write(found, folder)
    if options.json:
        _print_json(report.to_dict(found))
    else:
        print(report.line(found))
        print(f"written to {folder}: {', '.join(file.name for file in files)}")
    if found.interrupted:
        print("the same command goes on from here", file=sys.stderr)
        return 130
    return 0 if found.passed else 1


def _regress_one(options: argparse.Namespace) -> int:
    from sim import matrix, regression, report

    try:
        fields = json.loads(options.spec)
    except ValueError as error:
        raise InputError(f"--spec is no JSON ({error}): {options.spec!r}") from error
    case = matrix.case_of(
        {
            "spec": fields,
            "level": options.level or matrix.RTL,
            "check": options.check,
            "vectors": options.vectors,
            "seed": options.seed,
            "simulator": options.simulator,
            "lint": options.lint,
            "coverage": options.coverage,
        }
    )
    (result,) = regression.examine([case], wave=options.wave)
    if options.json:
        _print_json(result.to_dict())
    elif result.status == regression.PASSED:
        print(f"{case.title}: {result.vectors} vectors checked, 0 mismatches")
    else:
        print(report.trouble(result))
    if options.wave is not None and options.wave.exists():
        print(f"waveform: {options.wave}", file=sys.stderr)
    return 0 if result.status == regression.PASSED else 1


def _list(text: str | None) -> list[str]:
    return [part for part in text.split(",") if part] if text else []


def _prove(options: argparse.Namespace) -> int:
    from sim import formal

    if options.timeout < 1:
        raise InputError(f"--timeout {options.timeout}: use a number of seconds from 1 on")
    if options.all == (options.unit is not None):
        raise InputError("give either a unit or --all (see 'hwgen prove --help')")
    if options.store is not None and not options.all:
        raise InputError("--store goes with --all")
    tasks = (
        formal.matrix.tasks()
        if options.all
        else formal.tasks_of(_spec(options), options.property, options.target)
    )
    if options.all:
        tasks = [
            task
            for task in tasks
            if options.property in (None, task.property) and options.target in (None, task.target)
        ]
    store = formal.Store((options.store or formal.default_store()) if options.all else None)
    quiet = options.json
    rows = []
    for row in formal.prove_all(tasks, store, timeout_s=options.timeout):
        rows.append(row)
        if quiet:
            continue
        print(formal.line(row), flush=True)
        if row["counterexample"] is not None:
            for text in formal.counterexample_lines(row["counterexample"]):
                print(f"  {text}", flush=True)
    counts = {result: sum(row["result"] == result for row in rows) for result in formal.RESULTS}
    if quiet:
        _print_json({"proofs": rows, "counts": counts})
    elif len(rows) > 1:
        print(", ".join(f"{n} {result}" for result, n in counts.items()))
    return 1 if counts[formal.DISPROVED] or counts[formal.NOT_PROVED] else 0


def _mutate(options: argparse.Namespace) -> int:
    from sim import formal, matrix, mutation

    if options.all == (options.unit is not None):
        raise InputError("give either a unit or --all (see 'hwgen mutate --help')")
    if options.store is not None and not options.all:
        raise InputError("--store goes with --all")
    if options.timeout < 1:
        raise InputError(f"--timeout {options.timeout}: use a number of seconds from 1 on")
    specs = matrix.level_specs()[::3] if options.all else [_spec(options)]
    store = formal.Store((options.store or mutation.default_store()) if options.all else None)
    rows = []
    for row in mutation.mutate_all(
        specs,
        store,
        mutants=options.mutants,
        vectors=options.vectors,
        seed=options.seed,
        time_limit_s=options.timeout,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    ):
        rows.append(row)
        if not options.json:
            print(mutation.line(row), flush=True)
    if options.json:
        _print_json({"scores": rows})
    return 0 if all(row["passed"] for row in rows) else 1


def _synth(options: argparse.Namespace) -> int:
    import cost_models

    spec = _spec(options)
    fields = cost_models.synthesise(spec, options.target)
    if options.json:
        _print_json(fields)
        return 0
    fmax = fields["fmax_mhz"]
    print(
        f"{spec.name} on {options.target}: {fields['lut']} LUT, {fields['carry']} carry cells, "
        f"{fields['ff']} registers, {fields['dsp']} DSP, "
        + (f"Fmax {fmax:.1f} MHz" if fmax is not None else "not placed")
        + f" ({', '.join(f'{k} {v}' for k, v in fields['tools'].items())}, "
        f"{fields['seconds']:.1f} s{', from the store' if fields['stored'] else ''})"
    )
    return 0


def _cost(options: argparse.Namespace) -> int:
    import cost_models

    spec = _spec(options)
    # Energy first: it synthesises the unit, whose area is then measured.
    energy = cost_models.energy(spec, options.target) if options.energy else None
    cost = cost_models.estimate(spec, options.target)
    fields = {**spec.to_dict(), "target": options.target, **cost.to_dict()}
    if energy is not None:
        fields["energy_pj"] = energy.to_dict()
    if options.json:
        _print_json(fields)
    else:
        print(f"{spec.name} on {options.target}")
        print(cost_models.table(fields))
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from cost_models import sweep

    sweep.run(progress=lambda line: print(line, file=sys.stderr, flush=True))
    if options.export is not None:
        count = sweep.export(options.export)
        print(f"{options.export}: {count} measurements")
    return 0


def _optimize(options: argparse.Namespace) -> int:
    try:
        from optimizer import main_job, report
        from optimizer.workloads import fashion_mnist
    except ImportError as error:
        raise ToolError(
            f"optimize needs {error.name}, which is not installed: pip install 'hwgen[optimize]'"
        ) from error

    if (options.model is None) != (options.data is None):
        raise InputError(
            "a network and its images belong together: give both --model and --data, or neither "
            "for the shipped ResNet-8 on Fashion-MNIST"
        )
    found = main_job.run(
        options.model or fashion_mnist.MODEL,
        options.data or fashion_mnist.DATA,
        options.out,
        target=options.target,
        test_data=options.test_data,
        fps=options.fps,
        clock_mhz=options.clock_mhz,
        style=options.style,
        formats=options.formats.split(",") if options.formats else None,
        max_drop=options.max_drop,
        command=shlex.join(["hwgen", *options.arguments]),
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(report.table(found))
    print(f"\nwritten to {options.out}: {', '.join(report.FILES)}, {report.VERILOG}/")
    return 0

"""A design that this package did not make, through its mapping: ``map_design``.

The arithmetic gets the forms of ``synth.ys``; memories, enables and resets of registers, state
machines and shift registers get what Yosys' own script gives them (``map.ys`` of each target). The
own script runs too, and its netlist is kept where it is the smaller one.
"""

from __future__ import annotations

import json
import math
import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hwgen.errors import InputError, ToolError
from hwgen.processes import read_json

from . import flow, isolation
from .targets import MAP_FACTS, MAP_SCRIPT, VENDOR, Target, target

#: How Yosys reads a file, by its ending.
READ = {".v": "read_verilog", ".sv": "read_verilog -sv", ".il": "read_rtlil"}
#: Sections of ``map.ys`` behind those of ``synth.ys`` for a mapping; the last ones are with pads.
_BEHIND, _PADS, _CELLS, _CLOCK_BUFFERS = ("memories", "gates"), "pads", "cells", "clock_buffers"
#: What is for simulation and proofs, and no hardware.
_NOT_HARDWARE = ("print", "check", "assert", "assume", "cover", "live", "fair")
_ERROR = re.compile(r"^(?:\S.*?:\d+: )?ERROR: ?.*$", re.MULTILINE)
_WARNING = re.compile(r"^Warning: (.*)$", re.MULTILINE)
_PARAMETER_VALUE = re.compile(r"-?\d+|\d*'s?[bodhBODH][0-9a-fA-FxXzZ_]+")
_VERILOG = (
    "setattr -unset src a:src",
    "setattr -unset hdlname a:hdlname",
    "write_verilog -noexpr mapped.v",
)


@dataclass(frozen=True)
class Size:
    """What a netlist takes.

    ``lut`` to ``dsp`` are as in ``Synthesis``; ``ram_lut`` counts the LUTs that distributed RAM and
    shift registers take, and ``bram`` block RAMs.
    """

    lut: int
    ram_lut: int
    carry: int
    ff: int
    bram: int
    dsp: int

    def larger(self, other: Size) -> bool:
        """It takes more of something: LUTs, LUTs and registers, block RAMs or DSP blocks.

        LUTs do not compare with those of a netlist with more DSP blocks.
        """
        if self.bram > other.bram or self.dsp > other.dsp:
            return True
        luts, of_other = self.lut + self.ram_lut, other.lut + other.ram_lut
        more = luts > of_other or luts + self.ff > of_other + other.ff
        return more and self.dsp == other.dsp


@dataclass(frozen=True)
class MappedDesign:
    """A design's netlist on a target.

    ``size`` is that of the netlist, ``ours`` and ``stock`` those of this package's mapping and of
    Yosys' own script. ``kept``: which of these two the netlist is of. ``netlist_json`` is what
    nextpnr takes, ``verilog`` the same in primitives.
    """

    target: str
    mapping: str
    top: str
    kept: str
    ours: Size
    stock: Size
    cells: dict[str, int]
    tools: dict[str, str]
    seconds: float
    netlist_json: str
    verilog: str

    @property
    def size(self) -> Size:
        """What the netlist takes."""
        return self.ours if self.kept == "ours" else self.stock


def map_design(
    files: Sequence[str | Path],
    top: str,
    *,
    target: str = "ecp5",
    mapping: str = "lut",
    parameters: Mapping[str, str | int] | None = None,
    defines: Mapping[str, str] | None = None,
    include: Sequence[str | Path] = (),
    pads: bool = False,
    time_limit_s: float = 900,
) -> MappedDesign:
    """Map the module ``top`` of Verilog (.v, .sv) or RTLIL (.il) ``files`` to cells of a target.

    ``mapping`` as for ``synthesise``; ``parameters`` are those of ``top`` and ``defines`` macros,
    by name; ``include``: folders; ``pads``: buffers at the ports, and on clocks. The result is
    flat, without assertions and printing.

    Raises:
        InputError: for an unknown target or mapping, a file or module that is not there, and for
            what Yosys refuses, in its words.
        ToolError: a tool is missing or crashes, or a script takes ``time_limit_s`` seconds.

    """
    start = time.monotonic()
    facts = _target(target)
    known = tomllib.loads((facts.folder / MAP_FACTS).read_text())
    scripts = {
        "ours": _script(facts, mapping, pads),
        "stock": _stock_script(facts, known["stock"], mapping, pads),
    }
    flow.require(facts)
    with flow.working_folder(facts) as folder:
        _read(files, top, parameters or {}, defines or {}, include, folder, time_limit_s)
        netlists = {
            # What multipliers become in Yosys' own script takes ABC minutes to check.
            name: _run(script, top, folder, time_limit_s, verify=name == "ours")
            for name, script in scripts.items()
        }
        sizes = {name: _size(facts, known["count"], n.cells) for name, n in netlists.items()}
        kept = "stock" if sizes["ours"].larger(sizes["stock"]) else "ours"
        if kept == "stock":
            netlists[kept] = _run(scripts[kept], top, folder, time_limit_s, verify=True)
    if facts.placer is not None:
        facts.placer.prepare(netlists[kept].netlist["modules"][top])
    return MappedDesign(
        target=target,
        mapping=mapping,
        top=top,
        kept=kept,
        ours=sizes["ours"],
        stock=sizes["stock"],
        cells=netlists[kept].cells,
        tools=flow.tool_versions(target, place=False),
        seconds=time.monotonic() - start,
        netlist_json=json.dumps(netlists[kept].netlist),
        verilog=netlists[kept].verilog,
    )


@dataclass(frozen=True)
class _Netlist:
    """``cells``: how many of each type; ``netlist``: in Yosys' JSON."""

    cells: dict[str, int]
    netlist: dict[str, Any]
    verilog: str


# ``map_design`` has a parameter that is called ``target`` too.
_target = target


def _script(facts: Target, mapping: str, pads: bool) -> list[str]:
    """The commands of this package's mapping; InputError if the target has no such one."""
    names = [name for name in facts.mappings if name != VENDOR]
    if mapping not in names:
        raise InputError(
            f"target {facts.name} has no mapping {mapping!r} for any design: use one of "
            + ", ".join(names)
        )
    sections = facts.sections() | facts.sections(MAP_SCRIPT)
    if pads and _PADS not in sections:
        raise InputError(f"nextpnr makes the pads of {facts.name} itself: leave them out")
    order = [*facts.mappings[mapping], *_BEHIND, *((_PADS,) if pads else ()), _CELLS]
    if pads and _CLOCK_BUFFERS in sections:
        order.append(_CLOCK_BUFFERS)
    return "".join(sections[name] for name in order).splitlines()


def _stock_script(facts: Target, stock: dict[str, str], mapping: str, pads: bool) -> list[str]:
    dsp = stock.get("without_dsp", "") if mapping == "lut" else stock.get("with_dsp", "")
    script = (stock["script"], dsp, stock["pads" if pads else "without_pads"])
    return [" ".join(part for part in script if part), "opt_clean -purge", "blackbox =A:whitebox"]


def _read(
    files: Sequence[str | Path],
    top: str,
    parameters: Mapping[str, str | int],
    defines: Mapping[str, str],
    include: Sequence[str | Path],
    folder: Path,
    time_limit_s: float,
) -> None:
    """Leave ``design.il`` in ``folder``, with ``top`` under its name; InputError if it cannot."""
    if not files:
        raise InputError("no file is given: name one of " + ", ".join(READ))
    options = "".join(f" -D{_word(n, 'macro')}={_word(v, n)}" for n, v in defines.items())
    for number, path in enumerate(include):
        if not Path(path).is_dir():
            raise InputError(f"there is no folder '{path}' to include from")
        (folder / f"include{number}").symlink_to(Path(path).absolute())
        options += f" -Iinclude{number}"
    chosen = "".join(f" -chparam {_parameter(n, v)}" for n, v in parameters.items())
    commands = [
        *(_reading(Path(path), options) for path in files),
        "tee -q -o modules.txt ls",
        f"hierarchy -top {_word(top, 'module')}{chosen}",
        f"rename -top {top}",
        # A netlist is of one module: the mapping does not look into others.
        "setattr -mod -unset keep_hierarchy *",
        "setattr -unset keep_hierarchy a:keep_hierarchy",
        "proc",
        *(f"delete */t:${kind}" for kind in _NOT_HARDWARE),
        "write_rtlil design.il",
        "write_json netlist.json",
    ]
    job = {"kind": "yosys", "commands": commands, "top": top}
    try:
        isolation.run("yosys", job, folder, time_limit_s=time_limit_s)
    except ToolError as error:
        raise _refusal(error, top, folder) from error


def _reading(path: Path, options: str) -> str:
    """The command that reads a file; InputError if there is none, or of another kind."""
    if not path.is_file():
        raise InputError(f"there is no file '{path}'")
    if path.suffix not in READ:
        raise InputError(f"'{path}' is no file that can be read: use one of {', '.join(READ)}")
    if '"' in str(path.absolute()):
        raise InputError(f"'{path}' has a quotation mark in its path, which Yosys does not take")
    return f'{READ[path.suffix]}{options if path.suffix != ".il" else ""} "{path.absolute()}"'


def _parameter(name: str, value: str | int) -> str:
    if not _PARAMETER_VALUE.fullmatch(str(value)):
        raise InputError(
            f"parameter {name} cannot be {value!r}: use a whole number or a constant as 8'hff"
        )
    return f"{_word(name, 'parameter')} {value}"


def _word(text: str, what: str) -> str:
    """The text, if Yosys takes it as one word."""
    if not re.fullmatch(r"[^\s\";#]+", text):
        raise InputError(f"{what} {text!r}: use a word without spaces, quotes and semicolons")
    return text


def _refusal(error: ToolError, top: str, folder: Path) -> InputError | ToolError:
    """What Yosys refuses, as an error of the input; others as they are."""
    modules = folder / "modules.txt"
    refused = _ERROR.search((folder / "yosys.log").read_text(errors="replace"))
    if refused is None:
        return error
    if refused[0] == f"ERROR: Module `{top}' not found!" and modules.exists():
        names = re.findall(r"^  (\S+)$", modules.read_text(), re.MULTILINE)
        return InputError(f"there is no module {top!r}: there are {', '.join(names) or 'none'}")
    said = re.sub("ERROR: ?", "", refused[0])
    if "check -assert" in said:  # What it does not like is in the warnings before.
        said = _WARNING.findall((folder / "yosys.log").read_text(errors="replace"))[-1]
    return InputError(f"Yosys does not take the design: {said}")


def _run(
    script: list[str], top: str, folder: Path, time_limit_s: float, *, verify: bool
) -> _Netlist:
    """Map ``design.il`` by a script, with ABC's check of its result if asked."""
    commands = [
        "read_rtlil design.il",
        f"hierarchy -top {top}",
        *script,
        "delete */t:$scopeinfo",
        "write_json netlist.json",
        *_VERILOG,
    ]
    job = {"kind": "yosys", "commands": commands, "top": top, "verify": verify}
    try:
        cells = isolation.run("yosys", job, folder, time_limit_s=time_limit_s)["cells"]
    except ToolError as error:
        raise _refusal(error, top, folder) from error
    netlist = read_json(folder / "netlist.json")
    _require_primitives(netlist, top, set(cells), folder)
    # The primitives that it has, and not all of the vendor's.
    netlist["modules"] = {n: m for n, m in netlist["modules"].items() if n == top or n in cells}
    return _Netlist(cells, netlist, (folder / "mapped.v").read_text())


def _require_primitives(netlist: dict[str, Any], top: str, used: set[str], folder: Path) -> None:
    """InputError unless the netlist has cells, and each is the vendor's."""
    if not used:
        raise InputError(f"module {top!r} has no logic to map: its outputs are wires and constants")
    foreign = [
        name
        for name in sorted(used)
        if not name.startswith("$")
        and not _is_vendors(netlist["modules"].get(name, {}).get("attributes", {}), folder)
    ]
    if foreign:
        raise InputError(
            f"no definition of module {', '.join(map(repr, foreign))} is given, and it is no "
            "primitive of the target: add its file"
        )


def _is_vendors(attributes: dict[str, str], folder: Path) -> bool:
    """A module was read from Yosys' share folder, or from a file of the target."""
    source = attributes.get("src", "").rsplit(":", 1)[0]
    return source.startswith(str(flow.share_folder())) or source in {
        p.name for p in folder.iterdir()
    }


def _size(facts: Target, more: dict[str, dict[str, float]], cells: dict[str, int]) -> Size:
    counts = {
        resource: math.ceil(
            sum(w * n for p, w in weights.items() for c, n in cells.items() if fnmatchcase(c, p))
        )
        for resource, weights in more.items()
    }
    return Size(**facts.resources(cells), **counts)

"""From the RTLIL text of a design to measured area and Fmax, and to the mapped netlist."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hwgen.errors import InputError, ToolError
from hwgen.processes import read_json, temporary_folder

from . import harness, isolation, passes
from .targets import PLACE_FACTS, Device, Placer, Target, target

# Raise it when this module or worker.py changes what a design is mapped to; the digest covers the
# rest.
FLOW_VERSION = 3
# Raise it when this module, worker.py or harness.py changes how a mapped design is placed or timed:
# areas of designs that are not placed stand.
PLACE_VERSION = 1
# A device is tried when the design takes at most this part of each resource.
_FILL = 0.9

# What nextpnr says of a design that its device has no room for.
_NO_ROOM = re.compile(r"unable to (place|find)|failed to (place|expand)", re.IGNORECASE)


@dataclass(frozen=True)
class Synthesis:
    """What one run measured.

    ``lut``, ``carry``, ``ff`` and ``dsp`` count cells of the mapped netlist (weights:
    ``target.toml``), ``cells`` has every cell type of it. ``placed`` is the placer's utilisation by
    its own names, of the design alone, and ``fmax_mhz`` the slowest clock's frequency: both None
    where the target was not placed. Fmax is that of the design between registers: all ways from its
    inputs, to its outputs and inside count (``harness.py``). ``too_large`` says why there is no
    place on the largest device, if so. ``tools`` has versions, and the device.
    """

    target: str
    mapping: str
    lut: int
    carry: int
    ff: int
    dsp: int
    fmax_mhz: float | None
    placed: dict[str, int] | None
    cells: dict[str, int]
    tools: dict[str, str]
    seconds: float
    too_large: str | None = None


@dataclass(frozen=True)
class Netlist:
    """A mapped netlist in Verilog, and what a simulator needs to compile it.

    Ports are the design's; nets inside are n0, n1, … (Verilator traces no long or ``_`` names).
    """

    target: str
    mapping: str
    top: str
    verilog: str
    cell_models: list[Path]
    verilator_flags: list[str]


def synthesise(
    rtlil: str,
    top: str,
    *,
    target: str,
    mapping: str = "lut",
    place: bool = True,
    seed: int = 1,
    time_limit_s: float = 900,
) -> Synthesis:
    """Map module ``top`` of ``rtlil`` to the cells of a target, place and route it, and count.

    ``mapping`` is ``lut`` (no DSP blocks), ``dsp`` (a DSP block for every product) or ``auto`` (for
    the larger products). A target without a placer is only mapped. The same text and seed give the
    same counts.

    InputError for an unknown target or mapping, and if there is no module ``top``. ToolError if a
    tool is missing, fails or crashes, or ``time_limit_s`` seconds are over.
    """
    start = time.monotonic()
    facts = _check(rtlil, top, target, mapping)
    placer = facts.placer if place else None
    require(facts, placer)
    tools = tool_versions(target, place)
    with working_folder(facts) as folder:
        cells = _map(facts, rtlil, top, mapping, folder, time_limit_s)
        counts = facts.resources(cells)
        placed, fmax_mhz, too_large = None, None, None
        if placer is not None:
            remaining_s = time_limit_s - (time.monotonic() - start)
            try:
                device, report = _place(placer, counts, top, seed, folder, remaining_s)
                placed, fmax_mhz = report["placed"], report["fmax_mhz"]
                tools["device"] = device.name
            except TooLarge as reason:
                too_large = str(reason)
    return Synthesis(
        target=target,
        mapping=mapping,
        **counts,
        fmax_mhz=fmax_mhz,
        placed=placed,
        cells=cells,
        tools=tools,
        seconds=time.monotonic() - start,
        too_large=too_large,
    )


class TooLarge(ToolError):
    """A design has no room on the largest device of its target."""


@dataclass(frozen=True)
class Timing:
    """When the slowest signal arrives at each register.

    ``arrivals_ns``: by the name of the register's output, at its data input, from the clock edge
    on, setup included; of ways from an input too, which begin at a register in front of it.
    ``clock_way_ns``: what the placer counts beside, of the clock's way to a register. ``lut``,
    ``ff``: counts of the mapped netlist.
    """

    fmax_mhz: float
    arrivals_ns: dict[str, float]
    clock_way_ns: float
    lut: int
    ff: int
    tools: dict[str, str]


def timing(
    rtlil: str, top: str, *, target: str, seed: int = 1, time_limit_s: float = 900
) -> Timing:
    """Place and route ``top``, without DSP blocks, and read the arrival at every register.

    Errors as for ``synthesise``; InputError also for a target that is not placed.
    """
    return timings(rtlil, top, target=target, seeds=[seed], time_limit_s=time_limit_s)[0]


def timings(
    rtlil: str, top: str, *, target: str, seeds: Sequence[int], time_limit_s: float = 900
) -> list[Timing]:
    """As ``timing``, for several ``seeds``, each of which places the one netlist.

    The time limit is for the mapping, and for each seed.
    """
    facts = _check(rtlil, top, target, "lut")
    if facts.placer is None:
        raise InputError(f"target {target} is not placed: this flow has no placer for it")
    require(facts, facts.placer)
    measured = []
    with working_folder(facts) as folder:
        cells = _map(facts, rtlil, top, "lut", folder, time_limit_s)
        counts = facts.resources(cells)
        for seed in seeds:
            device, report = _place(
                facts.placer, counts, top, seed, folder, time_limit_s, arrivals=True
            )
            measured.append(
                Timing(
                    fmax_mhz=report["fmax_mhz"],
                    arrivals_ns=report["arrivals_ns"],
                    clock_way_ns=report["clock_way_ns"],
                    lut=counts["lut"],
                    ff=counts["ff"],
                    tools={**tool_versions(target, True), "device": device.name},
                )
            )
    return measured


def netlist(
    rtlil: str, top: str, *, target: str, mapping: str = "lut", time_limit_s: float = 900
) -> Netlist:
    """The mapped netlist, for simulation at the level of LUTs and registers.

    Errors as for ``synthesise``.
    """
    facts = _check(rtlil, top, target, mapping)
    require(facts, None)
    with working_folder(facts) as folder:
        commands = [
            "splitnets",
            "rename -hide",
            "rename -enumerate -pattern n%",
            "write_verilog -noattr -noexpr netlist.v",
        ]
        _map(facts, rtlil, top, mapping, folder, time_limit_s, commands)
        verilog = (folder / "netlist.v").read_text()
    share = share_folder()
    return Netlist(
        target=target,
        mapping=mapping,
        top=top,
        verilog=verilog,
        cell_models=[_locate(p, facts, share) for p in facts.cell_models],
        verilator_flags=[
            *(f"-I{_locate(p, facts, share)}" for p in facts.include),
            "--timescale",
            "1ns/1ps",
            # The vendors' models are not written for lint, and their delays are not simulated.
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "-Wno-MULTITOP",
            "-Wno-SPECIFYIGN",
        ],
    )


def available(target: str, place: bool = True) -> list[str]:
    """The pip packages that ``synthesise`` needs and this environment lacks."""
    facts = _target(target)
    return _missing(facts, facts.placer if place else None)


@functools.cache
def _version(package: str) -> str:
    return version(package)


def tool_versions(target: str, place: bool) -> dict[str, str]:
    """Versions of the tools that a run uses; "missing" for one that is not installed."""
    packages = {"yosys": "pyosys"}
    placer = _target(target).placer
    if place and placer is not None:
        packages[placer.tool] = placer.package
    versions = {}
    for tool, package in packages.items():
        try:
            versions[tool] = _version(package)
        except PackageNotFoundError:
            versions[tool] = "missing"
    return versions


def does_not_fit(counts: Mapping[str, float | None], target: str) -> str | None:
    """Why a design of these ``counts`` has room on no device of the ``target``.

    ``counts``: of lut, carry, ff and dsp. None if it may have room on one.
    """
    return _target(target).does_not_fit(counts)


def flow_digest(target: str) -> str:
    """SHA-256 of all that the mapping of a design depends on.

    That is the flow's version and each script, pass, techmap and fact.
    """
    digest = hashlib.sha256(f"flow {FLOW_VERSION}\n".encode())
    written_in = [Path(__file__).parent / name for name in passes.FILES]
    for path in (*_target(target).files(), *written_in):
        content = path.read_bytes()
        digest.update(f"{path.parent.name}/{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def placing_digest(target: str) -> str | None:
    """SHA-256 of what the placing of a mapped design depends on beside ``flow_digest``.

    None for a target that is not placed.
    """
    facts = _target(target)
    if facts.placer is None:
        return None
    digest = hashlib.sha256(f"place {PLACE_VERSION}\n".encode())
    for file in (facts.folder / PLACE_FACTS, facts.placer.change):
        digest.update(file.read_bytes() if file is not None and file.exists() else b"")
    return digest.hexdigest()


# The public functions have a parameter that is called ``target`` too.
_target = target


def _check(rtlil: str, top: str, name: str, mapping: str) -> Target:
    facts = _target(name)
    facts.script(mapping)
    if not re.search(rf"^\s*module \\{re.escape(top)}\s*$", rtlil, re.MULTILINE):
        modules = re.findall(r"^\s*module \\(\S+)", rtlil, re.MULTILINE)
        raise InputError(
            f"the design has no module {top!r}: it has {', '.join(modules) or 'no module'}"
        )
    return facts


def _missing(facts: Target, placer: Placer | None) -> list[str]:
    needed = {"pyosys": "pyosys"}
    if placer is not None:
        needed[placer.module] = placer.package
    return [pkg for module, pkg in needed.items() if importlib.util.find_spec(module) is None]


def require(facts: Target, placer: Placer | None = None) -> None:
    """ToolError unless Yosys is there, and the ``placer``."""
    missing = _missing(facts, placer)
    if missing:
        raise ToolError(f"target {facts.name} needs: pip install {' '.join(missing)}")


@contextlib.contextmanager
def working_folder(facts: Target) -> Iterator[Path]:
    """A temporary folder with the target's techmaps, so that scripts name them plainly."""
    with temporary_folder() as folder:
        for path in facts.files():
            shutil.copy(path, folder)
        yield folder


def _map(
    facts: Target,
    rtlil: str,
    top: str,
    mapping: str,
    folder: Path,
    time_limit_s: float,
    more_commands: list[str] | None = None,
) -> dict[str, int]:
    """Run the target's script; leave ``netlist.json`` in ``folder``; return the cells' counts."""
    (folder / "design.il").write_text(rtlil)
    commands = [
        "read_rtlil design.il",
        f"hierarchy -check -top {top}",
        *facts.script(mapping).splitlines(),
        "write_json netlist.json",
        *(more_commands or []),
    ]
    job = {"kind": "yosys", "commands": commands, "top": top}
    result = isolation.run("yosys", job, folder, time_limit_s=time_limit_s)
    cells: dict[str, int] = result["cells"]
    return cells


def _place(
    placer: Placer,
    counts: dict[str, int],
    top: str,
    seed: int,
    folder: Path,
    time_limit_s: float,
    *,
    arrivals: bool = False,
) -> tuple[Device, dict[str, Any]]:
    """Place ``netlist.json`` between registers on the smallest device that holds it.

    It is on its harness if the placer needs one; the report has the arrivals at its registers too,
    if asked.
    """
    netlist = read_json(folder / "netlist.json")
    module = netlist["modules"][top]
    placer.prepare(module)
    try:
        ring = harness.between_registers(module, placer.ring.cells)
    except ValueError as reason:
        raise ToolError(str(reason)) from reason
    bits = {"inputs": 0, "outputs": 0}
    if placer.harness is not None:
        bits = harness.on_pins(module, placer.harness.cells)
    file = "placed.json"
    (folder / file).write_text(json.dumps(netlist))
    needed = {
        **counts,
        "lut": counts["lut"] + bits["outputs"],
        "ff": counts["ff"] + ring["registers"] + bits["inputs"] + bits["outputs"],
    }
    job: dict[str, Any] = {
        "kind": "place",
        "module": placer.module,
        "function": placer.function,
        "netlist": file,
    }
    if arrivals:
        job |= {"arrivals_of": top, "control_pins": placer.control_pins}
    for device in placer.devices:
        if any(needed[r] > (_FILL if r != "dsp" else 1) * n for r, n in device.capacity.items()):
            continue
        job["options"] = [*device.options, *placer.options, "--seed", str(seed)]
        try:
            report = isolation.run(placer.tool, job, folder, time_limit_s=time_limit_s)
        except ToolError as error:
            if not _NO_ROOM.search(str(error)):
                raise
            continue
        if placer.harness is not None:
            report["placed"] = placer.harness.without(report["placed"], bits)
        # Where a cell holds a LUT and a register, one that is alone behind a LUT takes none.
        shared = ring["behind_luts"] if placer.logic in placer.ring.takes else 0
        report["placed"] = placer.ring.without(report["placed"], ring["registers"] - shared)
        return device, report
    raise _too_large(placer, ring["registers"], bits)


def _too_large(placer: Placer, registers: int, bits: Mapping[str, int]) -> TooLarge:
    """No device of the placer holds a design with so much around it."""
    surroundings = f"{registers} registers at its ports"
    if placer.harness is not None:
        surroundings += f", in a harness of {sum(bits.values())} bits"
    return TooLarge(
        f"too large, with {surroundings}, for {placer.devices[-1].name}, the largest device that "
        f"{placer.tool} is given"
    )


def share_folder() -> Path:
    """Yosys' share folder, which holds the vendors' cell models."""
    spec = importlib.util.find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise ToolError("Yosys is missing: pip install pyosys")
    return Path(spec.origin).parent / "share"


def _locate(path: str, facts: Target, share: Path) -> Path:
    return share / path[2:] if path.startswith("+/") else facts.folder / path

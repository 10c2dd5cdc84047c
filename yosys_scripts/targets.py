"""The targets: one folder each, with its synthesis script, techmaps and a ``target.toml`` of facts.

A folder beside this file that holds a ``target.toml`` is a target, and its name is the target's.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import runpy
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hwgen.errors import InputError
from hwgen.fields import unknown
from hwgen.sizes.dsp_multiplier import PACKED_FOR, SIZED, Multiplier

FOLDER = Path(__file__).resolve().parent
TECHMAPS = FOLDER / "techmaps"
#: Beside ``target.toml``, for what concerns placing alone, and what devices hold.
PLACE_FACTS, DEVICE_FACTS = "place.toml", "devices.toml"
#: The commands of the mappings, and what ``foreign.py`` needs beside to map any design.
SCRIPT, MAP_SCRIPT, MAP_FACTS = "synth.ys", "map.ys", "map.toml"
#: What the mapped netlist needs before it is placed: ``apply`` changes a module of it.
PLACE_CHANGE = "place.py"
#: The section of ``synth.ys`` that puts every product into DSP blocks.
DSP_SECTION = "dsp_all"
#: And that which puts the larger ones there.
DSP_WIDE_SECTION = "dsp_wide"
#: Bits of the factors of the least product that becomes a DSP block.
LEAST_FACTOR = 2
#: The mapping by Yosys' own script, for comparisons: no spec has it.
VENDOR = "vendor"


@dataclass(frozen=True)
class Device:
    """A device of the place-and-route tool; ``capacity`` counts LUTs, registers and DSP blocks."""

    name: str
    options: tuple[str, ...]
    capacity: dict[str, int]


@dataclass(frozen=True)
class Harness:
    """The shift registers of a placer that has a pin for every port (``harness.py``).

    ``cells`` says of what they are made. ``takes`` has, for ``inputs``, ``outputs`` and ``always``,
    what each bit and the rest of it take, by the placer's own names; ``pins`` names what is no
    logic.
    """

    cells: dict[str, Any]
    takes: dict[str, dict[str, int]]
    pins: tuple[str, ...]

    def without(self, placed: dict[str, int], bits: dict[str, int]) -> dict[str, int]:
        """What a design takes that was ``placed`` with this around it, on so many ``bits``."""
        remaining = {name: n for name, n in placed.items() if name not in self.pins}
        for part, cells in self.takes.items():
            for name, n in cells.items():
                remaining[name] = remaining.get(name, 0) - n * bits.get(part, 1)
        return remaining


@dataclass(frozen=True)
class Ring:
    """The registers at the ports of a design that is placed (``harness.py``).

    ``cells`` says of what they are made, and ``takes`` what each takes, by the placer's own names.
    """

    cells: dict[str, Any]
    takes: dict[str, int]

    def without(self, placed: dict[str, int], registers: int) -> dict[str, int]:
        """What a design takes that was ``placed`` with so many ``registers`` around it."""
        return {name: n - registers * self.takes.get(name, 0) for name, n in placed.items()}


@dataclass(frozen=True)
class Placer:
    """How a target is placed and routed: a YoWASP package and the devices, smallest first.

    ``logic`` is its name of a cell with a LUT, ``control_pins`` are those of registers that enable
    and reset them. ``change`` is a script whose ``apply`` changes the netlist of a module before it
    is placed, if there is one. ``ring`` is around every design; ``harness`` is None where the
    placer takes a design without pins.
    """

    tool: str
    package: str
    module: str
    function: str
    options: tuple[str, ...]
    devices: tuple[Device, ...]
    logic: str
    control_pins: tuple[str, ...]
    change: Path | None
    ring: Ring
    harness: Harness | None

    def prepare(self, module: dict[str, Any]) -> None:
        """Change a module of a mapped netlist, in Yosys' JSON, to what the placer takes."""
        if self.change is not None:
            runpy.run_path(str(self.change))["apply"](module)


@dataclass(frozen=True)
class Target:
    """The facts of one target.

    ``base`` is the folder of the target whose sections of ``synth.ys`` and files this one takes
    where it has none of its own. ``count`` gives, for each of lut, carry, ff and dsp, the weight of
    each cell type (a pattern, as in ``fnmatch``). ``mappings`` gives the sections of ``synth.ys``
    that each mapping runs. A path in ``cell_models`` and ``include`` that begins with ``+/`` is in
    Yosys' share folder. ``devices`` are the largest of the family, if not all that are placed;
    ``parts`` are devices by the names that they are bought by.
    """

    name: str
    title: str
    folder: Path
    base: Path | None
    count: dict[str, dict[str, float]]
    mappings: dict[str, tuple[str, ...]]
    cell_models: tuple[str, ...]
    include: tuple[str, ...]
    placer: Placer | None
    devices: tuple[Device, ...]
    parts: tuple[Device, ...]

    def resources(self, cells: dict[str, int]) -> dict[str, int]:
        """Weighted counts (lut, carry, ff, dsp) of a netlist's cells, rounded up."""
        return {
            resource: math.ceil(
                sum(
                    weight * n
                    for pattern, weight in weights.items()
                    for cell, n in cells.items()
                    if fnmatchcase(cell, pattern)
                )
            )
            for resource, weights in self.count.items()
        }

    def does_not_fit(self, counts: Mapping[str, float | None]) -> str | None:
        """Why a design of these ``counts`` has room on none of the target's ``devices``.

        ``counts``: of lut, carry, ff and dsp; None: not known. None if it may have room on one.
        """
        reasons = []
        for device in self.devices:
            over = [
                f"{device.name} has {has:,} {resource}, not {n:,.0f}"
                for resource, has in device.capacity.items()
                if (n := counts.get(resource)) is not None and n > has
            ]
            if not over:
                return None
            reasons = over  # Of the largest, which is the last.
        return ", ".join(reasons) or None

    def script(self, mapping: str) -> str:
        """The Yosys commands of a mapping.

        Those of the mappings that pack products for a certain multiplier are those of ``dsp``.
        InputError if the target has no such mapping, or a smaller multiplier.
        """
        if mapping in SIZED and "dsp" in self.mappings:
            needed = PACKED_FOR[mapping]
            if not self.multiplier.takes(needed.wide, needed.narrow):
                raise InputError(
                    f"target {self.name} has multipliers of {self.multiplier} bits, and mapping "
                    f"{mapping!r} packs products for {needed}: use one of "
                    + ", ".join(self._with_sizes)
                )
            mapping = "dsp"
        if mapping not in self.mappings:
            raise InputError(
                f"target {self.name} has no mapping {mapping!r}: use one of "
                + ", ".join(self._with_sizes)
            )
        return "".join(self.sections()[section] for section in self.mappings[mapping])

    @property
    def multiplier(self) -> Multiplier:
        """The largest of a DSP block, as ``synth.ys`` uses it."""
        used = self.sections()[DSP_SECTION]
        sides = (re.findall(rf"DSP_{side}_MAXWIDTH=(\d+)", used) for side in "AB")
        sizes = [sorted(map(int, pair)) for pair in zip(*sides, strict=True)]
        narrow, wide = max(sizes)
        return Multiplier(wide, narrow)

    @functools.cached_property
    def _multipliers(self) -> list[tuple[Multiplier, float]]:
        """Those that DSP blocks have, the smallest first, and which part of a block each takes."""
        named = [(re.match(r"MULT(\d+)X(\d+)", cell), n) for cell, n in self.count["dsp"].items()]
        sizes = [(sorted(map(int, name.groups())), n) for name, n in named if name is not None]
        found = [(Multiplier(wide, narrow), n) for (narrow, wide), n in sorted(sizes)]
        return found or [(self.multiplier, 1)]

    @functools.cached_property
    def _least_product_bits(self) -> int:
        """Those of the products that mapping ``auto`` puts into DSP blocks."""
        used = self.sections().get(DSP_WIDE_SECTION, "")
        return min(map(int, re.findall(r"DSP_Y_MINWIDTH=(\d+)", used)), default=0)

    def dsp_blocks(self, mapping: str, products: Iterable[tuple[int, int, int]]) -> int:
        """The DSP blocks of products: of each bits of both factors, and how many there are."""
        if mapping == "lut":
            return 0
        least = self._least_product_bits if mapping == "auto" else 0
        blocks = 0.0
        for x, y, count in products:
            if min(x, y) >= LEAST_FACTOR and x + y >= least:
                takes = (part for size, part in self._multipliers if size.takes(x, y))
                blocks += count * next(takes, self._parts_of(x, y))
        return math.ceil(blocks)

    def _parts_of(self, x: int, y: int) -> float:
        """Blocks of a product that is larger than a multiplier, and made of several."""
        largest, part = self._multipliers[-1]
        wide, narrow = max(x, y), min(x, y)
        return part * math.ceil(wide / largest.wide) * math.ceil(narrow / largest.narrow)

    @property
    def _with_sizes(self) -> tuple[str, ...]:
        """The mappings that a spec can have.

        Among them those that pack for a multiplier that this target has.
        """
        sizes = [name for name in SIZED if "dsp" in self.mappings]
        fitting = [
            n for n in sizes if self.multiplier.takes(PACKED_FOR[n].wide, PACKED_FOR[n].narrow)
        ]
        return (*(name for name in self.mappings if name != VENDOR), *fitting)

    def sections(self, script: str = SCRIPT) -> dict[str, str]:
        """The sections of a ``script`` of this target and of its base, by name."""
        sections: dict[str, str] = {}
        for folder in self._folders:
            sections |= sections_of((folder / script).read_text())
        return sections

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (self.folder,) if self.base is None else (self.base, self.folder)

    def files(self) -> list[Path]:
        """Every file that the mapping depends on."""
        folders = (*self._folders, TECHMAPS)
        return sorted(
            p
            for f in folders
            for p in f.iterdir()
            if p.is_file()
            and p.name not in (PLACE_FACTS, PLACE_CHANGE, DEVICE_FACTS, MAP_SCRIPT, MAP_FACTS)
        )


def target(name: str) -> Target:
    """The target of this name; InputError if there is none."""
    if name not in TARGETS:
        raise unknown("target", name, TARGETS)
    return _read(name)


@functools.cache
def _read(name: str) -> Target:
    folder = FOLDER / name
    facts = tomllib.loads((folder / "target.toml").read_text())
    simulation = facts["simulation"]
    base = FOLDER / facts["base"] if "base" in facts else None
    folders = (folder,) if base is None else (folder, base)
    changes = [f / PLACE_CHANGE for f in folders if (f / PLACE_CHANGE).exists()]
    placer = None
    if "place" in facts:
        placer = _placer(facts["place"] | _facts(folder / PLACE_FACTS), *changes[:1])
    return Target(
        name=name,
        title=facts["title"],
        folder=folder,
        base=base,
        count=facts["count"],
        mappings={k: tuple(v) for k, v in facts["mappings"].items()},
        cell_models=tuple(simulation["cell_models"]),
        include=tuple(simulation.get("include", ())),
        placer=placer,
        devices=_devices(folder, placer),
        parts=_named(_facts(folder / DEVICE_FACTS), "parts"),
    )


def _facts(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text()) if file.exists() else {}


def _devices(folder: Path, placer: Placer | None) -> tuple[Device, ...]:
    """With their carry cells: those that are placed, or else those that the folder names."""
    facts = _facts(folder / DEVICE_FACTS)
    if placer is None:
        return _named(facts, "devices")
    return tuple(_with_carries(device, facts) for device in placer.devices)


def _named(facts: dict[str, Any], table: str) -> tuple[Device, ...]:
    devices = (Device(d["name"], (), dict(d["capacity"])) for d in facts.get(table, ()))
    return tuple(_with_carries(device, facts) for device in devices)


def _with_carries(device: Device, facts: dict[str, Any]) -> Device:
    if "carries_per_lut" not in facts:
        return device
    carries = int(device.capacity["lut"] * facts["carries_per_lut"])
    return dataclasses.replace(device, capacity={**device.capacity, "carry": carries})


def _placer(facts: dict[str, Any], change: Path | None = None) -> Placer:
    harness = facts.get("harness")
    # The registers of a harness serve for the ring too.
    ring = {"cells": harness["cells"], "takes": harness["takes"]["inputs"]} if harness else {}
    return Placer(
        tool=facts["tool"],
        package=facts["package"],
        module=facts["module"],
        function=facts["function"],
        options=tuple(facts["options"]),
        devices=tuple(
            Device(d["name"], tuple(d["options"]), dict(d["capacity"])) for d in facts["devices"]
        ),
        logic=facts["logic"],
        control_pins=tuple(facts["control_pins"]),
        change=change,
        ring=Ring(**(ring | facts.get("ring", {}))),
        harness=Harness(**{**harness, "pins": tuple(harness["pins"])}) if harness else None,
    )


def sections_of(script: str) -> dict[str, str]:
    """Split a script at its ``label:`` lines; comments and blank lines go."""
    sections: dict[str, str] = {}
    label = ""
    for line in script.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.endswith(":") and " " not in line:
            label = line[:-1]
            sections[label] = ""
        else:
            sections[label] += line + "\n"
    return sections


TARGETS: tuple[str, ...] = tuple(sorted(p.parent.name for p in FOLDER.glob("*/target.toml")))

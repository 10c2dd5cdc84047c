"""The targets: one folder each, with its synthesis script, techmaps and a `target.toml` of facts.

A folder beside this file that holds a `target.toml` is a target, and its name is the target's.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hwgen.errors import InputError

FOLDER = Path(__file__).resolve().parent
TECHMAPS = FOLDER / "techmaps"


@dataclass(frozen=True)
class Device:
    """A device of the place-and-route tool; `capacity` counts LUTs, registers and DSP blocks."""

    name: str
    options: tuple[str, ...]
    capacity: dict[str, int]


@dataclass(frozen=True)
class Placer:
    """How a target is placed and routed: a YoWASP package and the devices, smallest first."""

    tool: str
    package: str
    module: str
    function: str
    options: tuple[str, ...]
    devices: tuple[Device, ...]


@dataclass(frozen=True)
class Target:
    """The facts of one target.

    `count` gives, for each of lut, carry, ff and dsp, the weight of each cell type (a pattern, as
    in `fnmatch`). `mappings` gives the sections of `synth.ys` that each mapping runs. A path in
    `cell_models` and `include` that begins with `+/` is in Yosys' share folder.
    """

    name: str
    title: str
    folder: Path
    count: dict[str, dict[str, int]]
    mappings: dict[str, tuple[str, ...]]
    cell_models: tuple[str, ...]
    include: tuple[str, ...]
    placer: Placer | None

    def resources(self, cells: dict[str, int]) -> dict[str, int]:
        """Weighted counts (lut, carry, ff, dsp) of a netlist's cells."""
        return {
            resource: sum(
                weight * n
                for pattern, weight in weights.items()
                for cell, n in cells.items()
                if fnmatchcase(cell, pattern)
            )
            for resource, weights in self.count.items()
        }

    def script(self, mapping: str) -> str:
        """The Yosys commands of a mapping.

        Raises:
            InputError: the target has no such mapping.
        """
        if mapping not in self.mappings:
            raise InputError(
                f"target {self.name} has no mapping {mapping!r}: use one of "
                + ", ".join(self.mappings)
            )
        sections = _sections((self.folder / "synth.ys").read_text())
        return "".join(sections[section] for section in self.mappings[mapping])

    def files(self) -> list[Path]:
        """Every file that the result of a synthesis depends on."""
        return sorted(p for f in (self.folder, TECHMAPS) for p in f.iterdir() if p.is_file())


def target(name: str) -> Target:
    """The target of this name.

    Raises:
        InputError: there is no such target.
    """
    if name not in TARGETS:
        raise InputError(f"unknown target {name!r}: use one of {', '.join(TARGETS)}")
    folder = FOLDER / name
    facts = tomllib.loads((folder / "target.toml").read_text())
    simulation = facts["simulation"]
    return Target(
        name=name,
        title=facts["title"],
        folder=folder,
        count=facts["count"],
        mappings={k: tuple(v) for k, v in facts["mappings"].items()},
        cell_models=tuple(simulation["cell_models"]),
        include=tuple(simulation.get("include", ())),
        placer=_placer(facts["place"]) if "place" in facts else None,
    )


def _placer(facts: dict[str, Any]) -> Placer:
    return Placer(
        tool=facts["tool"],
        package=facts["package"],
        module=facts["module"],
        function=facts["function"],
        options=tuple(facts["options"]),
        devices=tuple(
            Device(d["name"], tuple(d["options"]), dict(d["capacity"])) for d in facts["devices"]
        ),
    )


def _sections(script: str) -> dict[str, str]:
    """Split a script at its `label:` lines; comments and blank lines go."""
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

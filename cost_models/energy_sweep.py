"""Simulates the netlists of a plan with several operands each, resumably, one after the other.

A plan is one of ``cost_models.sweep_plan`` whose tables also have

``operands``
    A list of texts: the operands of the ports ``a`` and ``b``, with a comma between, as
    ``cost_models.operands`` has them, or the name of a tensor that is made here (``TENSORS``).
``each``
    How many of those each design is simulated with, drawn from ``seed``; by default all.

Each result goes to the store when it is finished, and what is there is not simulated again; all
operands of a design are simulated on one build of its netlist.
``python -m cost_models.energy_sweep PLAN FILE`` writes them to FILE.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cost_models import activity, measurement, sweep_plan
from cost_models.operands import Operands, Tensor, elements, operands, stimulus
from hwgen import store
from hwgen.arguments import Parser, input_file, output_file, parsed, run_module
from hwgen.errors import InputError, ToolError
from hwgen.fields import shown
from hwgen.files import writing
from hwgen.formats import Scalar
from hwgen.progress import Pace, tell
from hwgen.spec import Spec

#: Cycles of each simulation.
CYCLES = 500
#: Standard deviations of a made tensor that its format's largest number is away.
CREST = 4.0
#: How near a number of a slow signal is to the one before it in its lane.
NEAR = 0.95


def _rectified(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """As behind a rectifier: half of the numbers are zero, the others positive."""
    return np.maximum(rng.standard_normal(shape), 0)


def _slow(rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Each number is near the one before: an autoregressive process of first order."""
    numbers = rng.standard_normal(shape)
    for cycle in range(1, len(numbers)):
        numbers[cycle] *= (1 - NEAR**2) ** 0.5
        numbers[cycle] += NEAR * numbers[cycle - 1]
    return numbers


#: Tensors that a plan may name: the numbers of (cycles, lanes), of standard deviation 1.
TENSORS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Any]] = {
    "rectified": _rectified,
    "slow": _slow,
}


@dataclass(frozen=True)
class Point:
    """A netlist, and the operands it is simulated with: texts of ``a`` and ``b``, and seeds."""

    spec: Spec
    target: str
    operands: tuple[tuple[str, int], ...]


def points(file: Path) -> list[Point]:
    """The points of a plan, each netlist once, with the operands of all tables that have it.

    Raises:
        InputError: the file is no such plan; the message says where.

    """
    found: list[Point] = []
    for index, table in enumerate(sweep_plan.tables(file), 1):
        where = f"{file}, table {index} of designs"
        found += _points(where, dict(table) if isinstance(table, dict) else table)
    operands: dict[tuple[Spec, str], dict[tuple[str, int], None]] = {}
    for point in found:
        operands.setdefault((point.spec, point.target), {}).update(dict.fromkeys(point.operands))
    return [Point(*netlist, tuple(given)) for netlist, given in operands.items()]


def _points(where: str, table: Any) -> Iterator[Point]:
    given = table.pop("operands", None) if isinstance(table, dict) else None
    each = table.pop("each", None) if isinstance(table, dict) else None
    designs = sweep_plan.designs(where, table)
    if not isinstance(given, list) or not given or not all(isinstance(t, str) for t in given):
        raise InputError(f"{where}: operands={shown(given)}: give a list of texts")
    count = len(given) if each is None else each
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(given):
        raise InputError(f"{where}: each={shown(each)}: use a whole number up to {len(given)}")
    rng = np.random.default_rng([designs.seed, len(given)])
    for point in designs.points():
        for text in given:
            pair(text, point.spec, 0)
        chosen = sorted(rng.choice(len(given), count, replace=False).tolist())
        seeds = rng.integers(1, 2**31, count).tolist()
        texts = tuple((given[i], seed) for i, seed in zip(chosen, seeds, strict=True))
        yield Point(point.spec, point.target, texts)


def pair(text: str, spec: Spec, seed: int) -> dict[str, Operands]:
    """The operands of each port of ``spec`` that a plan's ``text`` means.

    InputError for a text that means none.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2:
        raise InputError(f"operands {text!r}: give those of a and of b, with a comma between")
    given: dict[str, Operands] = {}
    for (name, port), part in zip(elements(spec).items(), parts, strict=False):
        if part in TENSORS:
            assert port.format is not None
            shape = (CYCLES if seed else 2, port.count)
            rng = np.random.default_rng([seed, ord(name)])
            given[name] = _scaled(TENSORS[part](rng, shape), port.format)
        else:
            given[name] = operands(name, part)
    return given


def _scaled(numbers: Any, f: Scalar) -> Tensor:
    low = f.symmetric_min if f.signed else 0.0
    scaled = numbers if f.signed else np.abs(numbers)
    made = operands("tensor", np.clip(scaled * (f.symmetric_max / CREST), low, f.symmetric_max))
    assert isinstance(made, Tensor)
    return made


def run(
    plan: Sequence[Point], progress: Callable[[str], None]
) -> tuple[list[measurement.Measurement], list[str]]:
    """The results of all points, in their order, and why some have none.

    Raises:
        InputError: a store that cannot be written.

    """
    store.require_writable()
    pace, failed = Pace(len(plan)), list[str]()
    found: dict[int, list[measurement.Measurement]] = {}
    # In no order, so that what is there when it is stopped stands for all.
    for index in random.Random(len(plan)).sample(range(len(plan)), len(plan)):
        point = plan[index]
        try:
            found[index] = simulate(point)
            line = f"{point.target} {point.spec.name}"
        except ToolError as error:
            line = f"{point.target} {point.spec.name}: failed: {error}"
            failed.append(line)
        pace.part_done()
        progress(f"{pace}: {line}")
    return [one for index in sorted(found) for one in found[index]], failed


def simulate(point: Point) -> list[measurement.Measurement]:
    """The results of one point, from the store if they are there."""
    stimuli = [
        stimulus(point.spec, pair(text, point.spec, seed), CYCLES, seed)
        for text, seed in point.operands
    ]
    about: list[Mapping[str, str | int]] = [
        {"operands": text, "seed": seed} for text, seed in point.operands
    ]
    return activity.simulated(point.spec, point.target, stimuli, about)


def export(file: Path, found: Sequence[measurement.Measurement]) -> None:
    """Writes results as those that ship; InputError if ``file`` cannot be written."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    store.export(file, [asdict(one) for one in found])


def main(arguments: Sequence[str]) -> None:
    """Simulates the netlists of a plan, and writes the results to a file."""
    parser = Parser(prog="python -m cost_models.energy_sweep", description=main.__doc__)
    parser.add_argument("plan", type=input_file, metavar="PLAN", help="a TOML file")
    parser.add_argument("file", type=output_file, metavar="FILE", help="JSON lines")
    options = parsed(parser, arguments)
    plan = points(options.plan)
    print(f"{len(plan)} netlists, {sum(len(p.operands) for p in plan)} simulations")
    found, failed = run(plan, tell)
    export(options.file, found)
    print(f"{options.file}: {len(found)} simulations; {len(failed)} netlists failed")


if __name__ == "__main__":
    sys.exit(run_module(main))

"""Measurements that no fit sees: designs drawn from a seed, not chosen.

``calibration`` gives the errors at lane counts at which nothing was measured for the fit, and so
the width of the intervals there. ``holdout`` is looked at by the tests alone, which count how many
of its measurements lie within. ``python -m cost_models.holdout`` measures what the store lacks of
them, a line each as it ends, and writes both files.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from cost_models import measurement
from hwgen.arguments import Parser, parsed, run_module
from hwgen.formats import NAMES
from hwgen.spec import DotProduct

#: Lane counts, from and to: one, two, between those that were measured, and beyond.
ONE, TWO, BETWEEN, BEYOND = (1, 1), (2, 2), (5, 15), (26, 48)

Draws = tuple[tuple[str, str, tuple[tuple[tuple[int, int], int], ...]], ...]


@dataclasses.dataclass(frozen=True)
class Draw:
    """What is drawn from ``seed``: for each target and mapping how many designs of which lanes."""

    seed: int
    designs: Draws


IN_LUTS = ("ecp5", "xc7", "ice40")
SETS = {
    "calibration": Draw(
        20261129, tuple((t, "lut", ((ONE, 10), (TWO, 10), (BEYOND, 10))) for t in IN_LUTS)
    ),
    "holdout": Draw(
        20261127,
        (
            *((t, "lut", ((ONE, 4), (TWO, 4), (BETWEEN, 5), (BEYOND, 4))) for t in IN_LUTS),
            *(
                (target, mapping, ((ONE, 1), (TWO, 1), (BETWEEN, 2), (BEYOND, 1)))
                for target in ("ecp5", "xc7")
                for mapping in ("dsp", "auto")
            ),
        ),
    ),
}


def drawn(name: str) -> Iterator[tuple[DotProduct, str]]:
    """The designs of a set, a key of ``SETS``, and their targets.

    None of another set is in the hold-out.
    """
    held_out = set() if name == "holdout" else set(drawn("holdout"))
    rng = np.random.default_rng(SETS[name].seed)
    for target, mapping, classes in SETS[name].designs:
        for (least, most), count in classes:
            for _ in range(count):
                a, b = rng.choice(NAMES, 2)
                lanes = int(rng.integers(least, most + 1))
                spec = DotProduct(a=str(a), b=str(b), lanes=lanes, mapping=mapping)
                if (spec, target) not in held_out:
                    yield spec, target


@functools.cache
def shipped(name: str) -> tuple[measurement.Measurement, ...]:
    """The measurements of a set, which come with the package."""
    return tuple(measurement.KIND.read(f"cost_models/{name}.jsonl").values())


def main(arguments: Sequence[str]) -> None:
    """Measures what the store lacks, and writes the files; it has no options."""
    parsed(Parser(prog="python -m cost_models.holdout", description=main.__doc__), arguments)
    for name in SETS:
        measured = []
        for spec, target in drawn(name):
            design, _ = measurement.measure(spec, target, place=False)
            measured.append(design)
            print(f"{target} {spec.name}: {design.result['lut']} LUT", file=sys.stderr, flush=True)
        file = resources.files("cost_models").joinpath(f"{name}.jsonl")
        measurement.export(Path(str(file)), measured)


if __name__ == "__main__":
    sys.exit(run_module(main))

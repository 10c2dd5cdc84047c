"""Writes which hardware the shipped measurements are of: ``python -m cost_models.hardware``.

With it a query finds what was measured of a spec without making its RTLIL. It is of one generator:
after a change in ``hwgen/`` queries make the RTLIL, until this is run again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from cost_models import measurement
from hwgen import store
from hwgen.arguments import Parser, parsed, run_module


def main(arguments: Sequence[str]) -> None:
    """Writes ``hardware.jsonl``; it has no options."""
    parsed(Parser(prog="python -m cost_models.hardware", description=main.__doc__), arguments)
    file = resources.files("cost_models").joinpath("hardware.jsonl")
    store.export(Path(str(file)), list(measurement.hardware_rows()))


if __name__ == "__main__":
    sys.exit(run_module(main))

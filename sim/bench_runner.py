"""Builds a bench's simulation and runs it: ``python bench_runner.py steps.json``.

Started by ``sim.verification`` in a process of its own, because cocotb's runner starts programs
that only their whole process group's end reaches. Imports nothing of this package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Builds and runs the bench that the file of the first argument describes."""
    steps = json.loads(Path(sys.argv[1]).read_text())
    # The benches are imported by the simulator, whose path this process's becomes.
    sys.path[:] = steps["path"]
    from cocotb_tools.runner import get_runner  # From that path.

    runner = get_runner("verilator")
    runner.log.setLevel("WARNING")
    try:
        runner.build(**steps["build"])
        runner.test(**steps["test"])
    except RuntimeError as error:  # What failed has said why.
        sys.exit(str(error))


if __name__ == "__main__":
    main()

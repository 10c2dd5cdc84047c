"""Runs the cases of a matrix on all cores, keeps what each found, and goes on where it was.

Cases of one kind share a build. Results are lines of JSON in a file, written as each case ends:
whatever stops a run, the next one has them. A case that has passed is not run again unless
what decides it has changed: the unit's Verilog, the golden model, the bench, the tools.
"""

from sim.regression.cases import examine
from sim.regression.pool import run
from sim.regression.results import (
    ERROR,
    FAILED,
    NOT_RUN,
    PASSED,
    RESULTS,
    Result,
    Summary,
    load,
)

__all__ = [
    "ERROR",
    "FAILED",
    "NOT_RUN",
    "PASSED",
    "RESULTS",
    "Result",
    "Summary",
    "examine",
    "load",
    "run",
]

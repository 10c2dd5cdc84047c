"""Proofs of units: see ``sim.formal.properties`` for what is proved."""

from sim.formal import page, task_list
from sim.formal.proofs import (
    NOT_APPLICABLE,
    PROOF,
    RESULTS,
    Proof,
    Task,
    chosen,
    counterexample_lines,
    line,
    prove,
    prove_all,
    tasks_of,
)
from sim.formal.properties import PROPERTIES
from sim.formal.solve import DISPROVED, NOT_PROVED, PROVED

__all__ = [
    "DISPROVED",
    "NOT_APPLICABLE",
    "NOT_PROVED",
    "PROOF",
    "PROPERTIES",
    "PROVED",
    "RESULTS",
    "Proof",
    "Task",
    "chosen",
    "counterexample_lines",
    "line",
    "page",
    "prove",
    "prove_all",
    "task_list",
    "tasks_of",
]

"""What the repository keeps of proofs and mutants is of what is to be proved, and of each unit."""

import numpy as np

from hwgen.spec import UNITS, from_dict
from sim import mutation
from sim.formal import PROOF, task_list
from sim.formal.proofs import key_of


def test_each_proof_of_the_list_is_kept_and_some_are_of_this_hardware():
    """Other ones each time."""
    rows = PROOF.shipped
    tasks = list(task_list.tasks())
    listed = {(task.spec.name, task.property, task.target) for task in tasks}
    assert {(r["name"], r["property"], r["target"]) for r in rows.values()} == listed
    assert len(rows) == len(tasks) and {r["result"] for r in rows.values()} == {"proved"}
    for index in np.random.default_rng().choice(len(tasks), 20, replace=False):
        row = rows.get(key_of(tasks[index]))
        assert row, f"{tasks[index]} is stale: run 'hwgen prove --all --store ...' again"


def test_mutants_of_every_unit_are_kept():
    rows = mutation.SCORE.shipped
    assert sorted(row["spec"]["unit"] for row in rows.values()) == sorted(UNITS)
    for row in rows.values():
        assert row["passed"] and row["mutants"] == mutation.DEFAULT_MUTANTS
    for key in np.random.default_rng().choice(list(rows), 3, replace=False):
        spec, seed = from_dict(rows[key]["spec"]), rows[key]["seed"]
        now = mutation.key_of(spec, mutation.DEFAULT_MUTANTS, mutation.DEFAULT_VECTORS, seed)
        assert now == key, f"{spec.name} is stale: run 'hwgen mutate --all' again"

"""What ``hwgen prove --all`` proves.

The properties that the package stands for, as the units' models say them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from hwgen.spec import UNITS, Spec
from sim import unit_model
from sim.formal.proofs import Task
from sim.formal.properties import targets_of


def examples() -> tuple[Spec, ...]:
    """One of every unit, with its usual stages."""
    return tuple(kind(**unit_model.of(kind).example) for kind in UNITS.values())


#: Stages of units with streams that are proved: with each the proof of the queue takes longer, of a
#: block dot product two minutes with 6 and more than ten with 8.
STREAM_STAGES = 6


def streamed() -> Iterator[Spec]:
    """The examples, with ``STREAM_STAGES`` at most."""
    for spec in examples():
        yield dataclasses.replace(spec, stages=min(spec.stages, STREAM_STAGES))


def groups() -> dict[str, list[Task]]:
    """The tasks by the group's name."""
    tasks_by_group = {
        "streams": [Task(spec, "stream") for spec in streamed()],
        "pipelines": [Task(spec, "pipeline") for spec in examples()],
    }
    for kind in UNITS.values():
        for group, rows in unit_model.of(kind).proofs.items():
            for fields, properties in rows:
                tasks_by_group.setdefault(group, []).extend(_tasks(kind(**fields), properties))
    return tasks_by_group


def _tasks(spec: Spec, properties: Iterable[str]) -> Iterator[Task]:
    for name in properties:
        for target in targets_of(name, spec):
            yield Task(spec, name, target)


def tasks(*names: str) -> list[Task]:
    """The tasks of some groups, or of all."""
    tasks_by_group = groups()
    return [task for name in names or tasks_by_group for task in tasks_by_group[name]]

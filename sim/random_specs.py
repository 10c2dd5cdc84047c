"""Legal specs of any unit, drawn at random.

What is legal only the spec knows: fields are drawn by their names, or by their types, and a
draw that the spec refuses is made again. So a new unit is drawn as it is, unless a field that
it needs has a new name: that gets an entry in ``draws`` of its model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwgen.errors import InputError
from hwgen.spec import UNITS, Spec
from hwgen.spec.base import spec_fields
from sim import unit_model
from sim.draws import FIELDS, TYPES

#: Draws after which a unit is taken to have no legal spec among them.
TRIES = 10_000


def legal_specs(seed: int) -> Iterator[Spec]:
    """Specs without end, of all units alike; the same ``seed`` gives the same ones."""
    rng = np.random.default_rng(seed)
    kinds = tuple(UNITS.values())
    while True:
        yield legal_spec(kinds[int(rng.integers(len(kinds)))], rng)


def examples(seed: int, count: int) -> list[Spec]:
    """``count`` legal specs of each unit."""
    rng = np.random.default_rng(seed)
    return [legal_spec(kind, rng) for kind in UNITS.values() for _ in range(count)]


def legal_spec(
    kind: type[Spec], rng: np.random.Generator, given: Mapping[str, Any] | None = None
) -> Spec:
    """A spec of the unit with the fields ``given``, the others drawn.

    One with a default keeps it half the time. InputError if it is not known how a field without
    default is drawn, or no draw is legal.
    """
    fields, model_draws = given or {}, unit_model.of(kind).draws
    draws = {}
    for field in spec_fields(kind):
        required = field.default is dataclasses.MISSING
        draw = (
            model_draws.get(field.name)
            or FIELDS.get(field.name)
            or TYPES.get(str(field.type).partition(" ")[0])
        )
        if field.name in fields:
            continue
        if draw is not None:
            draws[field.name] = (draw, required)
        elif required:
            raise InputError(
                f"unit {kind.unit}: say how {field.name!r} is drawn, in draws of its model"
            )
    for _ in range(TRIES):
        drawn = {
            name: draw(rng)
            for name, (draw, required) in draws.items()
            if required or rng.random() < 0.5
        }
        try:
            return kind(**drawn, **fields)
        except InputError:
            continue
    raise InputError(f"unit {kind.unit}: none of {TRIES} drawn specs is legal")

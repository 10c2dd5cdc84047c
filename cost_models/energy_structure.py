"""What a unit is made of, by where it stands between operands and result: inputs of energy's model.

Each step of the plan is in a zone, whose words toggle alike (``RATES_OF``): codes as they come in,
significands and their products, aligned products, their sums, the running sum, what it is rounded
to. Logic counts as in ``cost_models.structure``, registers by the bits in front of their step.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from cost_models.structure import AMOUNTS, block_mapping
from hwgen.plan import logic
from hwgen.plan.step import Step
from hwgen.spec import Spec

DECODE, MULTIPLY, ALIGN, SUM, ACCUMULATE, RESULT = (
    *("decode", "multiply", "align", "sum", "accumulate", "result"),
)
#: Of the words of a zone, the rates that its logic and registers may toggle by.
RATES_OF = {
    DECODE: ("operand", "exponent"),
    MULTIPLY: ("operand", "significand", "product"),
    ALIGN: ("significand", "product"),
    SUM: ("product", "sum"),
    ACCUMULATE: ("sum", "accumulator", "result"),
    RESULT: ("accumulator", "result"),
}
#: What the names of steps in front of the running sum begin with, by their zone.
_NAMES = {
    DECODE: ("operands", "decode"),
    MULTIPLY: ("row", "add"),
    ALIGN: ("shift", "aligned", "place"),
    SUM: ("level",),
}
_PRODUCTS = ("products", "multiply")


@dataclass(frozen=True)
class Zones:
    """Amounts of logic, by zone and name, and bits of registers, by zone.

    Products in DSP blocks are not among them. ``blocks``: the amounts of those.
    """

    logic: Mapping[tuple[str, str], float]
    registers: Mapping[str, float]
    blocks: Mapping[str, float]


@functools.lru_cache(maxsize=8_000)
def zones(spec: Spec) -> Zones:
    """What ``spec`` is made of."""
    made_of: dict[tuple[str, str], float] = defaultdict(float)
    blocks: dict[str, float] = defaultdict(float)
    registers: dict[str, float] = defaultdict(float)
    where = DECODE
    for index, step in enumerate(spec.steps):
        if index in spec.register_boundaries:  # They hold what the step before makes.
            registers[where] += (step.bits or 0) * step.copies
        where = _zone(index, step, spec.state_step)
        for primitive in step.primitives:
            copies = primitive.count * step.copies
            in_block = bool(block_mapping(primitive, spec.mapping))
            for name, amount in AMOUNTS[type(primitive)](primitive).items():
                if in_block:
                    blocks[name] += amount * copies
                else:
                    made_of[where, name] += amount * copies
            if in_block:
                blocks["blocks"] += copies
    registers[where] += sum(port.width for port in spec.outputs)
    return Zones(dict(made_of), dict(registers), dict(blocks))


def _zone(index: int, step: Step, state: int | None) -> str:
    """The zone of a step; ``state``: the index of the step that has the running sum, if any."""
    if state is not None and index >= state:
        return ACCUMULATE if index == state else RESULT
    if step.name.startswith(_PRODUCTS):  # With rows of their own these have signs alone.
        kinds = logic.Multiplier | logic.Square
        return MULTIPLY if any(isinstance(one, kinds) for one in step.primitives) else DECODE
    for zone, starts in _NAMES.items():
        if step.name.startswith(starts) and not step.name.startswith("place_"):
            return zone
    return RESULT

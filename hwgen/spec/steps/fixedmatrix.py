"""The steps of the product of a constant matrix and a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.formats.widths import value_range
from hwgen.plan import levels
from hwgen.plan.logic import Adder, Decoder, Negation, Series, Shifter
from hwgen.plan.step import Step, Steps, with_bits
from hwgen.sizes.constant_sum import number_bits
from hwgen.sizes.decode import operand_bits

if TYPE_CHECKING:
    from hwgen.spec.fixedmatrix import FixedMatrix


def steps(spec: FixedMatrix) -> Steps:
    """Each number in fixed point, then the plan's additions, level by level."""
    a, plan, columns = spec.a, spec.plan, spec.columns
    bits = value_range(a)[1].bit_length()
    fixed: Series = ()
    if not a.is_integer:
        fixed = (Shifter(bits, a.exponent_bits, count=columns),)
    if not a.is_integer and a.signed:
        fixed = (*fixed, Negation(bits, count=columns))
    adders = [
        (level, Adder(plan.width_at(level), count=plan.adders_at(level)))
        for level in range(1, plan.levels + 1)
    ]
    made = (
        Step("operands", "operands", (Decoder(a, count=columns),), levels.decoder(a)),
        Step("numbers", "place_numbers", fixed, levels.one_shift(a)),
        *(
            Step(f"level{level}", "add_numbers", (adder,), levels.adder(adder.width), (level,))
            for level, adder in adders
        ),
        Step("sums", "place_sums", ()),
    )
    flags = 3 * spec.rows if spec.has_specials else 0
    inputs = {i: (plan.nodes[i].shape().width, False) for i in range(columns)}
    numbers = [flags + bits for bits in number_bits(plan, inputs)]
    return with_bits(made, (columns * a.bits, columns * operand_bits(a), *numbers))

"""The steps of a dot product whose weights are constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.formats.widths import value_range
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Decoder, Negation, Series, Shifter
from hwgen.plan.step import Step, Steps
from hwgen.spec.steps import accumulating, dot

if TYPE_CHECKING:
    from hwgen.spec.fixeddot import FixedDot


def steps(spec: FixedDot) -> Steps:
    """The lanes' sum by the plan's additions, or as of a dot product; then the accumulator."""
    accumulator_steps = accumulating.steps(spec, spec.sum_width, spec.sum_width)
    addend = dot.addend_steps(spec, spec.width_of_sum(spec.lanes))
    return (*lane_steps(spec), *addend, *accumulator_steps)


def lane_steps(spec: FixedDot) -> Steps:
    """The steps up to the sum of the lanes."""
    total = Step("sum", "place_sum", ())
    if not spec.in_fixed_point:
        multiply = product.multiplication(spec.a, spec.b, spec.lanes)
        align = product.shift(spec.a, spec.b, spec.product_width, spec.lanes)
        products = dot.product_steps(spec, (spec.a,), multiply, align)
        return (*products, *dot.level_steps(spec), total)
    a, plan, numbers = spec.a, spec.plan, sum(map(bool, spec.whole_weights))
    bits = value_range(a)[1].bit_length()
    fixed: Series = ()
    if not a.is_integer:
        fixed = (Shifter(bits, a.exponent_bits, count=numbers),)
        if plan.last_input is not None and a.signed:
            fixed = (*fixed, Negation(bits))
    adders = [
        (level, Adder(plan.width_at(level), count=plan.adders_at(level)))
        for level in range(1, plan.levels + 1)
    ]
    return (
        Step("operands", "operands", (Decoder(a, count=spec.lanes),), levels.decoder(a)),
        Step("numbers", "place_numbers", fixed, levels.one_shift(a)),
        *(
            Step(f"level{level}", "add_numbers", (adder,), levels.adder(adder.width), (level,))
            for level, adder in adders
        ),
        total,
    )

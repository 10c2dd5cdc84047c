"""The steps of a dot product whose weights are constants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.formats.widths import value_range
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Decoder, Negation, Series, Shifter
from hwgen.plan.step import Step, Steps, with_bits
from hwgen.sizes.constant_sum import number_bits
from hwgen.sizes.decode import operand_bits
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
        made = dot.products_bits(spec)
        products = dot.product_steps(spec, (spec.a,), multiply, align, made)
        bits = dot.lanes_width(spec) + accumulating.beside_bits(spec) + dot.addend_bits(spec)
        adding = dot.level_steps(spec, dot.product_shapes(spec))
        return (*products, *adding, replace(total, bits=bits))
    a, plan, numbers = spec.a, spec.plan, sum(map(bool, spec.whole_weights))
    bits = value_range(a)[1].bit_length()
    fixed: Series = ()
    if not a.is_integer:
        fixed = (Shifter(bits, a.exponent_bits, count=numbers),)
        if plan.last_input is not None and a.signed:
            fixed = (*fixed, Negation(bits))
    beside, sign = accumulating.beside_bits(spec) + dot.addend_bits(spec), a.sign_apart
    inputs = {
        lane: (a.bits if a.is_integer else bits + int(sign and is_last), sign and not is_last)
        for lane, weight in enumerate(spec.whole_weights)
        if weight
        for is_last in [lane == plan.last_input]
    }
    decoded = spec.lanes * operand_bits(a) + accumulating.control_bits(spec)
    decoded += operand_bits(spec.addend) if spec.addend is not None else 0
    adders = [
        (level, Adder(plan.width_at(level), count=plan.adders_at(level)))
        for level in range(1, plan.levels + 1)
    ]
    adding_numbers = (
        Step(f"level{level}", "add_numbers", (adder,), levels.adder(adder.width), (level,))
        for level, adder in adders
    )
    return (
        Step("operands", "operands", (Decoder(a, count=spec.lanes),), levels.decoder(a)),
        Step("numbers", "place_numbers", fixed, levels.one_shift(a), bits=decoded),
        *with_bits((*adding_numbers, total), (n + beside for n in number_bits(plan, inputs))),
    )

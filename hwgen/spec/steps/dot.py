"""The steps of a dot product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.arithmetic.adder_tree import tree_adders, tree_levels
from hwgen.arithmetic.decode import shift_shape, significand_bits
from hwgen.formats import Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Series, Shifter
from hwgen.plan.product import shift_bits
from hwgen.plan.step import Step, Steps
from hwgen.spec.steps import accumulating

if TYPE_CHECKING:
    from hwgen.spec.dot import DotProduct


def steps(spec: DotProduct) -> Steps:
    """The exact sum of a cycle, or its only product with an exponent, and the accumulator."""
    if spec.adds_product:
        split: Steps = ()
        multiply = product.multiplication(spec.a, spec.b, spec.lanes)
        if spec.is_tuned:
            multiply = product.factors(spec.a, spec.b, spec.lanes)
            factors = product.factor_bits(spec.a, spec.b)
            split = product.split_steps_of(*factors, 0, spec.product_width, spec.lanes)
        products = product_steps(spec, (spec.a, spec.b), multiply, (), split)[:-1]
        return (*products, *accumulating.product_steps(spec, products_bits(spec)))
    after = accumulating.steps(spec, spec.sum_width, made_width(spec))
    return (*sum_steps(spec), *after)


def sum_steps(spec: DotProduct) -> Steps:
    """The steps up to the exact sum of a cycle."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    if spec.is_tuned:  # Smaller steps make the product of the factors.
        split = product.split_steps(a, b, spec.product_width, lanes)
        products = product_steps(spec, (a, b), product.factors(a, b, lanes), (), split)
    else:
        align = product.shift(a, b, spec.product_width, lanes)
        products = product_steps(spec, (a, b), product.multiplication(a, b, lanes), align)
    return (*products, *level_steps(spec), *addend_steps(spec, lanes_width(spec)))


def made_width(spec: DotProduct) -> int:
    """Bits of the sum of a cycle as its adders make it."""
    return spec.sum_width if spec.addend is not None else lanes_width(spec)


def lanes_width(spec: DotProduct) -> int:
    """Bits of the lanes' sum as adders make it."""
    plan = spec.lane_sum
    if not plan.whole:
        return plan.merged_bits(plan.merge_levels)
    if spec.packing is not None:  # Cut, as terms of two lanes and of one meet.
        return spec.width_of_sum(spec.lanes)
    return spec.product_width + tree_levels(spec.lanes)


def product_steps(
    spec: DotProduct,
    formats: tuple[Scalar, ...],
    multiply: Series,
    align: Series,
    split: Steps = (),
) -> Steps:
    """The steps from codes of these formats to products in their places.

    There is one code of each format a lane; ``split``: steps between ``multiply`` and ``align``.
    """
    a, b, c, lanes = spec.a, spec.b, spec.addend, spec.lanes
    decoding, to_align = product.decoders(formats, lanes), levels.shift(a, b)
    codes = lanes * sum(f.bits for f in formats) + (c.bits if c is not None else 0)
    decoded = lanes * sum(map(_decoded_bits, formats))
    decoded += _decoded_bits(c) if c is not None else 0
    if spec.packing is not None:
        corrected = spec.packing.corrected_bits
        to_align = levels.adder(corrected) if corrected else 0.0
    return (
        Step("operands", "operands", decoding, levels.decoder(a, b), bits=codes),
        Step("products", "multiply", multiply, levels.product(a, b), bits=decoded),
        *split,
        Step("aligned", "align", align, to_align, bits=None if split else products_bits(spec)),
    )


def _decoded_bits(f: Scalar) -> int:
    """Bits of a decoded code: sign, significand, shift, and whether it is infinite or NaN."""
    shift = shift_shape(f)
    flags = int(f.sign_apart) + int(f.has_nan) + int(f.has_infinity)
    return significand_bits(f) + (shift.width if shift is not None else 0) + flags


def products_bits(spec: DotProduct) -> int:
    """Bits of all products, before they are in their places, and of the addend."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    if spec.packing is not None:
        bits = lanes // 2 * spec.packing.product_bits + lanes % 2 * spec.product_width
    else:
        factors, has_sign = significand_bits(a) + significand_bits(b), a.sign_apart or b.sign_apart
        bits = lanes * (factors + int(has_sign) + shift_bits(a, b))
    return bits + _addend_bits(spec)


def _addend_bits(spec: DotProduct) -> int:
    """Bits of an addend's product with one."""
    c = spec.addend
    return 0 if c is None else significand_bits(c) + int(c.sign_apart) + 1 + shift_bits(c)


def level_steps(spec: DotProduct) -> Steps:
    """The steps of the adders of the lanes, a step a level, and of those of their bins."""
    plan, steps_of_levels, terms = spec.lane_sum, [], [0]
    if spec.packing is not None:
        lanes = spec.lanes
        terms = lanes // 2 * [spec.packing.bits] + lanes % 2 * [spec.product_width]
    for level in range(1, tree_levels(spec.summed_terms) + 1):
        width, bits = plan.width_behind(level), sum(terms)
        adders = Adder(width, count=tree_adders(spec.summed_terms, level) * len(plan.bins))
        taken = levels.adder(width)
        if spec.packing is not None:
            pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
            terms = [max(pair) + len(pair) - 1 for pair in pairs]
            taken = levels.adder(max(terms))
        else:
            bits = plan.bits_after(level - 1) if level > 1 else spec.lanes * plan.lane_bits
        bits += _addend_bits(spec)
        steps_of_levels.append(Step(f"level{level}", "add", (adders,), taken, (level,), bits))
    width = spec.width_of_sum(spec.lanes)
    for level in range(1, plan.merge_levels + 1):
        adders = Adder(width, count=tree_adders(len(plan.bins), level))
        taken, bits = levels.adder(width), plan.merged_bits(level - 1) + _addend_bits(spec)
        steps_of_levels.append(Step(f"merged{level}", "merge", (adders,), taken, (level,), bits))
    return tuple(steps_of_levels)


def addend_steps(spec: DotProduct, width: int) -> Steps:
    """The steps that align the addend and add the lanes' sum, which has ``width`` bits."""
    if spec.addend is None:
        return ()
    aligned = signed_width(*value_range(spec.addend))
    shift, adder = Shifter(aligned, shift_bits(spec.addend)), Adder(spec.sum_width)
    taken, bits = levels.one_shift(spec.addend), width + _addend_bits(spec)
    adding = levels.adder(spec.sum_width)
    return (
        Step("addend", "align_addend", (shift,), taken, bits=bits),
        Step("plus", "add_addend", (adder,), adding, bits=width + aligned),
    )

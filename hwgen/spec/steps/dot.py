"""The steps of a dot product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.arithmetic.adder_tree import tree_levels
from hwgen.formats import Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Series, Shifter
from hwgen.plan.product import decoded_bits, shift_bits
from hwgen.plan.step import Step, Steps
from hwgen.spec.steps import accumulating

if TYPE_CHECKING:
    from hwgen.spec.dot import DotProduct


def steps(spec: DotProduct) -> Steps:
    """The exact sum of a cycle, and the accumulator."""
    after = accumulating.steps(spec, spec.sum_width, made_width(spec))
    return (*sum_steps(spec), *after)


def sum_steps(spec: DotProduct) -> Steps:
    """Up to the exact sum of a cycle."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    if spec.is_tuned:  # All is in finer steps between the factors and their product.
        fine = product.fine_steps(a, b, spec.product_width, lanes)
        products = product_steps(spec, (a, b), product.factors(a, b, lanes), (), fine)
    else:
        align = product.shift(a, b, spec.product_width, lanes)
        products = product_steps(spec, (a, b), product.multiplication(a, b, lanes), align)
    return (*products, *level_steps(spec), *addend_steps(spec))


def made_width(spec: DotProduct) -> int:
    """Bits of the sum of a cycle as its adders make it."""
    if spec.addend is not None or not spec.lane_sum.whole:
        return spec.sum_width
    return spec.product_width + tree_levels(spec.summed_terms)


def product_steps(
    spec: DotProduct,
    formats: tuple[Scalar, ...],
    multiply: Series,
    align: Series,
    fine: Steps = (),
) -> Steps:
    """From codes of these formats, one of each a lane, to products in their places."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    decoding, to_align = product.decoders(formats, lanes), levels.shift(a, b)
    codes, decoded = sum(f.bits for f in formats), sum(map(decoded_bits, formats))
    if spec.packing is not None:
        corrected = spec.packing.corrected_bits
        to_align = levels.adder(corrected) if corrected else 0.0
    return (
        Step("operands", "operands", decoding, levels.decoder(a, b), bits=lanes * codes),
        Step("products", "multiply", multiply, levels.product(a, b), bits=lanes * decoded),
        *fine,
        Step("aligned", "align", align, to_align, bits=_products_bits(spec)),
    )


def _products_bits(spec: DotProduct) -> int:
    """Of all products, before they are in their places."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    if spec.packing is not None:
        return lanes // 2 * spec.packing.product_bits + lanes % 2 * spec.product_width
    has_sign = a.sign_apart or b.sign_apart
    return lanes * (a.factor_bits + b.factor_bits + int(has_sign) + shift_bits(a, b))


def level_steps(spec: DotProduct) -> Steps:
    """The levels of adders of the lanes, and of their bins."""
    plan, found, terms = spec.lane_sum, [], [0]
    if spec.packing is not None:
        lanes = spec.lanes
        terms = lanes // 2 * [spec.packing.bits] + lanes % 2 * [spec.product_width]
    for level in range(1, tree_levels(spec.summed_terms) + 1):
        width, bits = plan.width_behind(level), sum(terms)
        adders = Adder(width, count=(spec.summed_terms >> level) * len(plan.bins))
        taken = levels.adder(width)
        if spec.packing is not None:
            pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
            terms = [max(pair) + len(pair) - 1 for pair in pairs]
            taken = levels.adder(max(terms))
        else:
            bits = plan.bits_after(level - 1) if level > 1 else spec.lanes * plan.lane_bits
        found.append(Step(f"level{level}", "add", (adders,), taken, (level,), bits))
    width = spec.width_of_sum(spec.lanes)
    for level in range(1, plan.merge_levels + 1):
        adders = Adder(width, count=len(plan.bins) >> level)
        taken, bits = levels.adder(width), plan.merged_bits(level - 1)
        found.append(Step(f"merged{level}", "merge", (adders,), taken, (level,), bits))
    return tuple(found)


def addend_steps(spec: DotProduct) -> Steps:
    """The addend at its place, and its sum with the lanes'."""
    if spec.addend is None:
        return ()
    width = spec.width_of_sum(spec.lanes)
    shift = Shifter(signed_width(*value_range(spec.addend)), shift_bits(spec.addend))
    taken, bits = levels.one_shift(spec.addend), width + decoded_bits(spec.addend)
    return (
        Step("addend", "align_addend", (shift,), taken, bits=bits),
        Step(
            "plus",
            "add_addend",
            (Adder(spec.sum_width),),
            levels.adder(spec.sum_width),
            bits=width + spec.sum_width,
        ),
    )

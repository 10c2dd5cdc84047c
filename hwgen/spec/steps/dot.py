"""The steps of a dot product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwgen.formats import Integer, Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Multiplier, Series, Shifter, parallel
from hwgen.plan.product import shift_bits
from hwgen.plan.shape import Shape
from hwgen.plan.step import Step, Steps, with_bits
from hwgen.sizes.adder_tree import Terms, tree_adders, tree_levels
from hwgen.sizes.decode import operand_bits
from hwgen.sizes.pair_packing import fixed_sizes
from hwgen.sizes.product import ProductShape, factor_sizes, product_shape
from hwgen.sizes.product_rows import product_bits
from hwgen.spec.steps import accumulating

if TYPE_CHECKING:
    from hwgen.spec.dot import DotProduct

#: The format of the one that an addend is multiplied by.
ONE = Integer(1, False)


def steps(spec: DotProduct) -> Steps:
    """The exact sum of a cycle, or its only product with an exponent, and the accumulator."""
    if spec.adds_product:
        split: Steps = ()
        if not spec.is_tuned:
            multiply = _multiplication(spec)
        else:
            multiply = product.factors(spec.a, spec.b, spec.lanes)
            factors = product.factor_bits(spec.a, spec.b)
            split = product.split_steps_of(*factors, 0, spec.product_width, spec.lanes)
        bits = products_bits(spec, split)
        products = product_steps(spec, (spec.a, spec.b), multiply, (), bits, split)[:-1]
        made = product_shape(spec.a, spec.b, sign_apart=True)
        if split:
            made = ProductShape(Shape(bits[-1] - made.shift), made.shift)
        return (*products, *accumulating.product_steps(spec, made))
    accumulator_steps = accumulating.steps(spec, spec.sum_width, made_width(spec))
    return (*sum_steps(spec), *accumulator_steps)


def sum_steps(spec: DotProduct) -> Steps:
    """The steps up to the exact sum of a cycle."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    split: Steps = ()
    if not spec.is_tuned:
        multiply = _multiplication(spec)
        align = product.shift(a, b, spec.product_width, lanes)
    else:  # Smaller steps make the product of the factors.
        multiply, align = product.factors(a, b, lanes), ()
        split = product.split_steps(a, b, spec.product_width, lanes)
    products = product_steps(spec, (a, b), multiply, align, products_bits(spec, split), split)
    return (
        *products,
        *level_steps(spec, product_shapes(spec)),
        *addend_steps(spec, lanes_width(spec)),
    )


def _multiplication(spec: DotProduct) -> Series:
    """The multipliers of all lanes' products, and what is in front of them, in one step."""
    a, b, lanes = spec.a, spec.b, spec.lanes
    first = Multiplier(*factor_sizes(a, b, sign_apart=spec.adds_product))
    other = Multiplier(*factor_sizes(a, b, sign_apart=True), count=lanes - 1)
    if spec.packing is not None:
        wide, narrow = sorted(spec.packing.operand_bits, reverse=True)
        first = Multiplier(*fixed_sizes(a, b), count=lanes % 2)
        other = Multiplier(wide, narrow, count=lanes // 2)
    multipliers = [(one,) for one in (first, other) if one.count]
    return (*product.factors(a, b, lanes), *parallel(*multipliers))


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
    products: Sequence[int],
    split: Steps = (),
) -> Steps:
    """The steps from codes of these formats to products in their places.

    There is one code of each format a lane; ``split``: steps between ``multiply`` and ``align``.
    ``products``: bits of all lanes' products in front of each of the ``split`` steps that make
    them, and of that which aligns them.
    """
    a, b, c, lanes = spec.a, spec.b, spec.addend, spec.lanes
    decoding, to_align = product.decoders(formats, lanes), levels.shift(a, b)
    codes = lanes * sum(f.bits for f in formats) + (c.bits if c is not None else 0)
    decoded = lanes * sum(map(operand_bits, formats))
    decoded += operand_bits(c) if c is not None else 0
    if spec.packing is not None:
        corrected = spec.packing.corrected_bits
        to_align = levels.adder(corrected) if corrected else 0.0
    beside = accumulating.control_bits(spec)
    multiplying = Step(
        *("products", "multiply", multiply, levels.product(a, b)),
        bits=decoded + beside,
        data_bits=decoded,
    )
    aligning = Step("aligned", "align", align, to_align, data_bits=products[-1] + addend_bits(spec))
    past_products = accumulating.beside_bits(spec) + addend_bits(spec)
    return (
        Step("operands", "operands", decoding, levels.decoder(a, b), data_bits=codes),
        multiplying,
        *with_bits((*split, aligning), (bits + past_products for bits in products)),
    )


def product_shapes(spec: DotProduct) -> tuple[ProductShape, ProductShape]:
    """The widths of the products of the first lane, and of another."""
    first = product_shape(spec.a, spec.b, sign_apart=spec.adds_product)
    return first, product_shape(spec.a, spec.b, sign_apart=True)


def products_bits(spec: DotProduct, split: Steps = ()) -> list[int]:
    """Bits of all lanes' products in front of the ``split`` steps, and of that behind them."""
    lanes = spec.lanes
    if spec.packing is not None:
        return [lanes // 2 * spec.packing.product_bits + lanes % 2 * spec.product_width]
    bits = product_bits(spec.a, spec.b, spec.product_width, split)
    return [lanes * n for n in bits]


def addend_bits(spec: DotProduct) -> int:
    """Bits of an addend's product with one."""
    c = spec.addend
    return 0 if c is None else product_shape(c, ONE, sign_apart=False).bits


def level_steps(spec: DotProduct, shapes: tuple[ProductShape, ProductShape]) -> Steps:
    """The levels of adders of the lanes, and of their bins.

    ``shapes``: of the products of the first lane, and of another.
    """
    plan, steps_of_levels, lanes = spec.lane_sum, [], spec.lanes
    terms = Terms(lanes, spec.product_width, spec.product_width)
    if spec.packing is not None:
        last = spec.product_width if lanes % 2 else spec.packing.bits
        terms = Terms((lanes + 1) // 2, spec.packing.bits, last)
    beside = accumulating.beside_bits(spec) + addend_bits(spec)
    for level in range(1, tree_levels(spec.summed_terms) + 1):
        width, bits = plan.width_behind(level), terms.bits
        adders = Adder(width, count=tree_adders(spec.summed_terms, level) * len(plan.bins))
        taken, data_bits = levels.adder(width), bits
        if plan.whole:
            terms = terms.added()
            taken = levels.adder(terms.widest) if spec.packing is not None else taken
        elif level == 1:
            bits = data_bits = plan.lanes_bits(*shapes)
        else:
            bits, data_bits = plan.terms_bits(level - 1, shapes[1]), plan.bits_after(level - 1)
        data_bits += addend_bits(spec)
        steps_of_levels.append(
            Step(f"level{level}", "add", (adders,), taken, (level,), bits + beside, data_bits)
        )
    width = spec.width_of_sum(lanes)
    for level in range(1, plan.merge_levels + 1):
        adders = Adder(width, count=tree_adders(len(plan.bins), level))
        taken, bits = levels.adder(width), plan.merged_bits(level - 1)
        name, data_bits = f"merged{level}", bits + addend_bits(spec)
        steps_of_levels.append(
            Step(name, "merge", (adders,), taken, (level,), bits + beside, data_bits)
        )
    return tuple(steps_of_levels)


def addend_steps(spec: DotProduct, width: int) -> Steps:
    """The steps that align the addend and add the lanes' sum, which has ``width`` bits."""
    if spec.addend is None:
        return ()
    aligned = signed_width(*value_range(spec.addend))
    shift, adder = Shifter(aligned, shift_bits(spec.addend)), Adder(spec.sum_width)
    taken, bits = levels.one_shift(spec.addend), width + accumulating.beside_bits(spec)
    adding = levels.adder(spec.sum_width)
    return (
        Step("addend", "align_addend", (shift,), taken, bits=bits + addend_bits(spec)),
        Step("plus", "add_addend", (adder,), adding, bits=bits + aligned),
    )

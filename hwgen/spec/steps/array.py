"""The steps of an array: what is between the ports of one element, with its column.

They tell of one element and one column, and how many of these there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.accumulator import Float
from hwgen.formats import Format
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Gates, Multiplier, parallel
from hwgen.plan.shape import ZERO, Shape, either
from hwgen.plan.step import Segment, Step, Steps, copied, in_segments, passed_by
from hwgen.sizes.adder_tree import level_widths, tree_adders, tree_levels
from hwgen.sizes.decode import operand_bits
from hwgen.sizes.float_add import normalised_segments
from hwgen.sizes.grid_packing import GridPlan
from hwgen.sizes.product import factor_shapes
from hwgen.spec.steps import accumulating, blockdot, dot
from hwgen.spec.steps.accumulating import STATE

if TYPE_CHECKING:
    from hwgen.spec.array import Array

#: Steps of weights that stay, and of a column's sum.
WEIGHTS, COLUMN = "weights", "column"
#: How operands move.
BROADCAST, SYSTOLIC = "broadcast", "systolic"


def steps(spec: Array) -> Steps:
    """What is between the ports of one element, with its column."""
    made = element_steps(spec)
    products, behind_products = made[:1], made[1:]
    return (
        *operand_steps(spec),
        *copied(products, _multiplying(spec)),
        *copied(behind_products, spec.rows * spec.columns),
        *copied(column_steps(spec), spec.columns),
        *copied(sum_steps(spec), spec.sums),
    )


def operand_steps(spec: Array) -> Steps:
    """The steps that decode the operands of all rows and columns, and keep weights."""
    sides = ((spec.a, spec.rows * spec.lanes), (spec.b, spec.columns * spec.lanes))
    decoding = parallel(
        *(product.decoders((f.element,), count) for f, count in sides),
        *(product.decoders((f.scale,), n // f.block_size) for f, n in sides if f.scale is not None),
    )
    elements = (spec.a.element, spec.b.element)
    operands = Step("operands", "operands", decoding, levels.decoder(*elements))
    # Weights stay in registers of their own, behind no logic.
    weights: Steps = ()
    if spec.is_weight_stationary:
        weights = (Step(WEIGHTS, "", (), bits=_decoded_bits(spec), has_state=True),)
    return (operands, *weights)


def element_steps(spec: Array) -> Steps:
    """The steps from decoded operands to their exact sum, as in the units of that name.

    There decoding is a step too, which here is that of whole rows and columns: so is the register
    behind it, but for weights.
    """
    if spec.has_blocks:
        products, *later = _block_steps(spec)[0]
    else:
        element, sign = spec.scalar_element, int(spec.zero_rounding is not None)
        products, *later = dot.sum_steps(element)[1:]
        # No control passes an element by, and the sign of a zero does where the array has it.
        unlike = sign - accumulating.control_bits(element)
        later = [replace(s, bits=None if s.bits is None else s.bits + unlike) for s in later]
    bits, packing = _decoded_bits(spec), spec.packing
    if packing is not None:
        (products, *later) = _packed(spec, packing, products, *later)
    held = bits
    if spec.is_weight_stationary:
        a, b = (operand_bits_of(f, spec) for f in (spec.a, spec.b))
        rows, columns = (1, 1) if packing is None else (packing.rows, packing.columns)
        bits = rows * a + columns * b
        held = _multiplying(spec) * a + spec.rows * spec.columns * b
    return (replace(products, bits=bits, held_bits=held), *later)


def _multiplying(spec: Array) -> int:
    """How many of the step of the products there are: of elements, or of those packed together."""
    if spec.packing is None:
        return spec.rows * spec.columns
    return spec.packing.multipliers(spec.rows, spec.columns)


def _packed(
    spec: Array, packing: GridPlan, products: Step, aligned: Step, *later: Step
) -> Iterator[Step]:
    """The steps of elements that share multipliers.

    The first is that of all in a multiplier. What an element has of its own beside the products,
    for signs, flags and scales, is told with the step behind, of which each element has one.
    """
    a, b, lanes = spec.a.element, spec.b.element, spec.lanes
    wide, narrow = sorted(packing.operand_bits, reverse=True)
    halves = (Adder(packing.products * packing.bits, count=lanes),) if packing.is_signed else ()
    yield replace(products, logic=(Multiplier(wide, narrow, count=lanes), *halves))
    own = product.factors(a, b, lanes)
    if spec.has_blocks:
        own = (*own, *blockdot.scale_products(spec.block_element, spec.blocks))
    assert aligned.bits is not None
    more = packing.product_bits(a, b) - sum(s.width for s in factor_shapes(a, b))
    yield replace(aligned, logic=(*own, *aligned.logic), bits=aligned.bits + lanes * more)
    yield from later


def _block_steps(spec: Array) -> tuple[Steps, int]:
    sign = spec.zero_rounding is not None
    aligned = spec.aligns_blocks
    block_steps, bits = blockdot.sum_steps(spec.block_element, aligned=aligned, has_zero_sign=sign)
    return block_steps[1:], bits


def operand_bits_of(f: Format, spec: Array) -> int:
    """Bits of the decoded operands of one row or column."""
    scales = 0 if f.scale is None else spec.lanes // f.block_size * operand_bits(f.scale)
    return spec.lanes * operand_bits(f.element) + scales


def _decoded_bits(spec: Array) -> int:
    """Bits of the decoded operands of all rows and columns."""
    return spec.rows * operand_bits_of(spec.a, spec) + spec.columns * operand_bits_of(spec.b, spec)


def flag_bits(spec: Array) -> int:
    """Bits of the flags that are beside an element's or a column's sum, and of a zero's sign."""
    return 3 * int(spec.has_special) + int(spec.zero_rounding is not None)


def element_bits(spec: Array) -> int:
    """Bits of an element's sum, of the flags beside it, and of the scales that it is without."""
    if spec.has_blocks:
        return _block_steps(spec)[1]
    return dot.made_width(spec.scalar_element) + flag_bits(spec)


def column_steps(spec: Array) -> Steps:
    """The sum of the rows, where one is made."""
    if spec.summed_rows == 1:
        return ()
    width = spec.width_of_sum(spec.rows * spec.lanes)
    taken, adder = levels.adder(width), Adder(width)
    if spec.movement == SYSTOLIC:  # In each row one addition.
        bits = element_bits(spec)
        held = spec.rows * spec.columns * bits
        return (Step(COLUMN, "", (adder,), taken, bits=bits, held_bits=held),)
    terms, flags = spec.rows * [element_bits(spec) - flag_bits(spec)], flag_bits(spec)
    adding = []
    for level in range(1, tree_levels(spec.rows) + 1):
        logic = (adder.times(tree_adders(spec.rows, level)),)
        step = Step(f"{COLUMN}{level}", "add_rows_of_column", logic, taken, (level,))
        adding.append(replace(step, bits=sum(terms) + flags))
        terms = level_widths(terms)
    return tuple(adding)


def sum_steps(spec: Array) -> Steps:
    """The steps from an exact sum to the result."""
    sum_width = spec.width_of_sum(spec.summed_rows * spec.lanes)
    if isinstance(spec.accumulator, Float) and spec.window is None:
        return _float_steps(spec, spec.accumulator, sum_width)
    fixed_steps = accumulating.steps(spec, sum_width, _made_width(spec), _partial_bits(spec))
    if not spec.is_weight_stationary:
        return fixed_steps
    return tuple(
        replace(s, build="add_to_partial", has_state=False) if s.name == STATE else s
        for s in fixed_steps
    )


def _partial_bits(spec: Array) -> int:
    """Bits of the earlier sum that comes in with a column's, and of its flags."""
    if not spec.is_weight_stationary:
        return 0
    return spec.accumulator_width + len(spec.accumulator_flags)


def _float_steps(spec: Array, accumulator: Float, sum_width: int) -> Steps:
    segments, total = normalised_segments(_made_width(spec), spec.lsb_exponent)
    scaled, apart = spec.has_blocks and not spec.aligns_blocks, spec.is_tuned
    passing = accumulating.control_bits(spec) + 3 * int(spec.has_special) + _partial_bits(spec)
    if scaled:
        shift = spec.block_element.shift_bits
        shifted = either(total.exponent + Shape(shift), ZERO)
        scaled_total = replace(total, exponent=shifted)
        adding = Segment("scaled", (Adder(shifted.width), Gates(shifted.width)), scaled_total.bits)
        segments, total = (*passed_by(segments, shift), adding), scaled_total
    before = _made_width(spec) + passing + int(spec.zero_rounding is not None)
    build = "normalise_scaled" if scaled else "normalise_sum"
    normalising = in_segments(
        "normalised",
        build,
        passed_by(segments, passing),
        (sum_width - 1).bit_length(),
        apart=apart,
        bits=before + (spec.block_element.shift_bits if scaled else 0),
    )
    beside = passing - _partial_bits(spec) - 1  # The clear.
    before = total.bits + passing
    if not spec.is_weight_stationary:
        adding_total = accumulating.float_steps(accumulator, total, beside, before, apart=apart)
        return (*normalising, *adding_total)
    below = total.below(accumulator.format)
    build = "round_to_partial"
    adding_total = accumulating.float_steps(
        accumulator, below, beside, before, apart=apart, build=build, has_state=False
    )
    return (*normalising, *adding_total)


def _made_width(spec: Array) -> int:
    """Bits of an exact sum as adders make it."""
    if spec.summed_rows > 1 and spec.movement == SYSTOLIC:
        return spec.width_of_sum(spec.rows * spec.lanes)
    grown = tree_levels(spec.summed_rows)
    if spec.has_blocks:
        return blockdot.made_width(spec.block_element, aligned=spec.aligns_blocks) + grown
    return dot.made_width(spec.scalar_element) + grown

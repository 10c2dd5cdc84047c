"""The steps of an array: what is between the ports of one element, with its column.

Their logic is counted once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.accumulator import Float
from hwgen.arithmetic.adder_tree import tree_adders, tree_levels
from hwgen.arithmetic.float_add import normalised_segments
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Gates
from hwgen.plan.shape import ZERO, Shape, either
from hwgen.plan.step import Segment, Step, Steps, in_segments, without_bits
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
    elements = element_steps(spec)
    return without_bits((*operand_steps(spec), *elements, *column_steps(spec), *sum_steps(spec)))


def operand_steps(spec: Array) -> Steps:
    """The steps that decode the operands of all rows and columns, and keep weights."""
    numbers = spec.numbers
    decoding = product.decoders(numbers, (spec.rows + spec.columns) * spec.lanes)
    operands = Step("operands", "operands", decoding, levels.decoder(*numbers[:2]))
    # Weights stay in registers of their own, behind no logic.
    weights = (Step(WEIGHTS, "", (), has_state=True),) if spec.is_weight_stationary else ()
    return (operands, *weights)


def element_steps(spec: Array) -> Steps:
    """The steps from decoded operands to their exact sum, as in the units of that name.

    There decoding is a step too, which here is that of whole rows and columns.
    """
    if spec.has_blocks:
        return blockdot.sum_steps(spec.block_element, aligned=spec.aligns_blocks)[0][1:]
    return dot.sum_steps(spec.scalar_element)[1:]


def column_steps(spec: Array) -> Steps:
    """The sum of the rows, where one is made."""
    if spec.summed_rows == 1:
        return ()
    width = spec.width_of_sum(spec.rows * spec.lanes)
    taken, adder = levels.adder(width), Adder(width)
    if spec.movement == SYSTOLIC:  # In each row one addition.
        return (Step(COLUMN, "", (adder,), taken),)
    return tuple(
        Step(
            f"{COLUMN}{n}",
            "add_rows_of_column",
            (adder.times(tree_adders(spec.rows, n)),),
            taken,
            (n,),
        )
        for n in range(1, tree_levels(spec.rows) + 1)
    )


def sum_steps(spec: Array) -> Steps:
    """The steps from an exact sum to the result."""
    sum_width = spec.width_of_sum(spec.summed_rows * spec.lanes)
    if isinstance(spec.accumulator, Float):
        return _float_steps(spec, spec.accumulator, sum_width)
    fixed_steps = accumulating.steps(spec, sum_width, _made_width(spec))
    if not spec.is_weight_stationary:
        return fixed_steps
    return tuple(
        replace(s, build="add_to_partial", has_state=False) if s.name == STATE else s
        for s in fixed_steps
    )


def _float_steps(spec: Array, accumulator: Float, sum_width: int) -> Steps:
    segments, total = normalised_segments(_made_width(spec), spec.lsb_exponent)
    scaled, apart = spec.has_blocks and not spec.aligns_blocks, spec.is_tuned
    if scaled:
        shifted = either(total.exponent + Shape(spec.block_element.shift_bits), ZERO)
        adding = Segment("scaled", (Adder(shifted.width), Gates(shifted.width)))
        segments, total = (*segments, adding), replace(total, exponent=shifted)
    build = "normalise_scaled" if scaled else "normalise_sum"
    normalising = in_segments(
        "normalised", build, segments, (sum_width - 1).bit_length(), apart=apart
    )
    if not spec.is_weight_stationary:
        return (*normalising, *accumulating.float_steps(accumulator, total, 0, apart=apart))
    below = total.below(accumulator.format)
    build = "round_to_partial"
    adding_total = accumulating.float_steps(
        accumulator, below, 0, apart=apart, build=build, has_state=False
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

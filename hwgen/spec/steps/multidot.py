"""The steps of a dot product whose formats are switched at run time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hwgen.arithmetic.adder_tree import tree_adders, tree_levels
from hwgen.arithmetic.decode import shift_shape, significand_bits
from hwgen.formats import Scalar
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Gates, Multiplier, Selection, Series, Shifter, parallel
from hwgen.plan.shape import Shape
from hwgen.plan.step import Step, Steps, in_segments, lockstep
from hwgen.spec.steps import accumulating

if TYPE_CHECKING:
    from hwgen.spec.multidot import MultiDot


def steps(spec: MultiDot) -> Steps:
    """Products of any mode, their sum over the lanes, its place, and the accumulator."""
    modes, lanes, width = len(spec.pairs), spec.lanes, spec.lanes_width(spec.lanes)
    adding = []
    for level in range(1, tree_levels(lanes) + 1):
        bits = spec.lanes_width(min(1 << level, lanes))
        adders = Adder(bits, count=tree_adders(lanes, level))
        adding.append(Step(f"level{level}", "add_lanes", (adders,), levels.adder(bits), (level,)))
    integers, selected = spec.formats.are_integers, Selection(width, modes)
    term = spec.width_of_sum(lanes * max(spec.products))
    products = _integer_products(spec) if integers else _float_products(spec)
    row_steps: Steps = ()
    if integers:
        plan = spec.row_plan
        # Terms have their places up to the highest row.
        combining = (Adder(width + plan.rows[-1].high),)
        row_steps = (
            Step("signed", "apply_signs", (selected, Gates(width)), 0.5),
            *(
                Step(f"combined{n}", "combine", combining, levels.adder(width), (n,))
                for n in range(1, tree_levels(plan.term_count) + 1)
            ),
        )
    return (
        *products,
        *adding,
        *row_steps,
        Step("placed", "place", (selected,), 1.0),
        # The spec has what these steps read.
        *accumulating.steps(spec, width, term),  # type: ignore[arg-type]
    )


def _integer_products(spec: MultiDot) -> Steps:
    """The terms of the rows of one multiplier a lane."""
    # No register between choosing codes and the ANDs of the rows, unless a target asks for it:
    # both fit one LUT.
    rows = max(rows.high - rows.low for rows in spec.row_plan.rows)
    taken = 1.5 + 1.5 * tree_levels(rows)
    segments = lockstep(spec.row_plan.segments_of_products, spec.lanes)
    return in_segments("products", "multiply_packed", segments, taken, apart=spec.is_tuned)


def _float_products(spec: MultiDot) -> Steps:
    """The steps from codes of minifloats to products in their place.

    They are of the widest fields that any mode has.
    """
    pairs, lanes, width = [(p.a, p.b) for p in spec.pairs], spec.lanes, spec.lanes_width(1)
    formats = [f for pair in pairs for f in pair]
    wide, narrow, shift = _factor_bits(spec)
    chosen = Selection(max(map(significand_bits, formats)), len(pairs), count=2 * lanes)
    multiply = parallel(*(product.factors(*pair, lanes) for pair in pairs))
    align: Series = ()
    if not spec.is_tuned:
        multiply = (*multiply, Multiplier(wide, narrow, count=lanes))
        align = (Shifter(width, shift, count=lanes),)
    split = product.split_steps_of(wide, narrow, shift, width, lanes) if spec.is_tuned else ()
    decoding = (*product.decoders(formats, lanes), chosen)
    return (
        Step("operands", "decode_modes", decoding, 1 + levels.decoder(*formats)),
        Step("products", "multiply", multiply, max(levels.product(*p) for p in pairs)),
        *split,
        Step("aligned", "align", align, max(levels.shift(*p) for p in pairs)),
    )


def _factor_bits(spec: MultiDot) -> tuple[int, int, int]:
    """Bits of a lane's wider and narrower factor, and of its product's shift."""
    sides = [[p.a for p in spec.pairs], [p.b for p in spec.pairs]]
    bits = sorted(max(map(significand_bits, side)) for side in sides)
    signs = [any(f.signed for f in side) for side in sides]
    shifts = [shape.width for side in sides for shape in [_widest_shift(side)] if shape]
    if all(signs):  # The narrower significand takes the sign of the product.
        bits[0] += 1
    else:
        bits = [max(map(significand_bits, s)) + sign for s, sign in zip(sides, signs, strict=True)]
    shift = max(shifts) + len(shifts) - 1 if shifts else 0
    return max(bits), min(bits), shift


def _widest_shift(formats: Iterable[Scalar]) -> Shape | None:
    """The widest shape of the shifts of one side's operands."""
    shapes = [shape for f in formats for shape in [shift_shape(f)] if shape is not None]
    return max(shapes, key=lambda shape: shape.width, default=None)

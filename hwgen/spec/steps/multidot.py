"""The steps of a dot product whose formats are switched at run time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hwgen.formats import Scalar
from hwgen.plan import levels, product
from hwgen.plan.logic import Adder, Gates, Multiplier, Selection, Series, Shifter, parallel
from hwgen.plan.shape import Shape
from hwgen.plan.step import Step, Steps, in_segments, lockstep, passed_by, with_bits
from hwgen.sizes.adder_tree import level_widths, tree_adders, tree_levels
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.packed_product import added_shapes
from hwgen.sizes.product_rows import product_bits_of
from hwgen.spec.steps import accumulating

if TYPE_CHECKING:
    from hwgen.spec.multidot import MultiDot


def steps(spec: MultiDot) -> Steps:
    """Products of any mode, their sum over the lanes, its place, and the accumulator."""
    modes, lanes, width = len(spec.pairs), spec.lanes, spec.lanes_width(spec.lanes)
    integers, selected = spec.formats.are_integers, Selection(width, modes)
    term = spec.width_of_sum(lanes * max(spec.products))
    products = _integer_products(spec) if integers else _float_products(spec)
    # Of each list of terms, one a lane: bits of each term.
    terms = [spec.lanes_width(1)]
    if integers:
        terms = spec.row_plan.product_widths(split=spec.is_tuned)
    lists = [lanes * [bits] for bits in terms]
    adding, beside = [], _beside_bits(spec)
    for level in range(1, tree_levels(lanes) + 1):
        bits = spec.lanes_width(min(1 << level, lanes))
        adders = Adder(bits, count=tree_adders(lanes, level))
        before = beside + sum(map(sum, lists))
        taken = levels.adder(bits)
        adding.append(Step(f"level{level}", "add_lanes", (adders,), taken, (level,), before))
        lists = [level_widths(widths) for widths in lists]
    sums = [bits for (bits,) in lists]
    placing = Step("placed", "place", (selected,), 1.0, bits=sum(sums) + beside)
    return (
        *products,
        *adding,
        *(_row_steps(spec, sums, placing) if integers else (placing,)),
        # The spec has what these steps read.
        *accumulating.steps(spec, width, term),  # type: ignore[arg-type]
    )


def _beside_bits(spec: MultiDot) -> int:
    """Bits of all that passes the products by."""
    return accumulating.beside_bits(spec) + spec.mode_bits  # type: ignore[arg-type]


def _control_bits(spec: MultiDot) -> int:
    return accumulating.control_bits(spec) + spec.mode_bits  # type: ignore[arg-type]


def _row_steps(spec: MultiDot, sums: Sequence[int], placing: Step) -> Steps:
    """The steps that add the lanes' sums of each rows, of so many bits, and ``placing``."""
    plan, width, beside = spec.row_plan, spec.lanes_width(spec.lanes), _beside_bits(spec)
    # Terms have their places up to the highest row.
    combining = (Adder(width + plan.rows[-1].high),)
    logic = (Selection(width, len(spec.pairs)), Gates(width))
    steps = [Step("signed", "apply_signs", logic, 0.5, bits=sum(sums) + beside)]
    terms = plan.signed_shapes(sums)
    for n in range(1, tree_levels(plan.term_count) + 1):
        bits = beside + sum(shape.width for _, shape in terms)
        steps.append(Step(f"combined{n}", "combine", combining, levels.adder(width), (n,), bits))
        terms = added_shapes(terms)
    return (*steps, replace(placing, bits=beside + sum(shape.width for _, shape in terms)))


def _integer_products(spec: MultiDot) -> Steps:
    """The terms of the rows of one multiplier a lane."""
    # No register between choosing codes and the ANDs of the rows, unless a target asks for it:
    # both fit one LUT.
    rows = max(rows.high - rows.low for rows in spec.row_plan.rows)
    taken = 1.5 + 1.5 * tree_levels(rows)
    segments = lockstep(spec.row_plan.segments_of_products, spec.lanes)
    segments = passed_by(segments, _control_bits(spec))
    return in_segments("products", "multiply_packed", segments, taken, apart=spec.is_tuned)


def _float_products(spec: MultiDot) -> Steps:
    """The steps from codes of minifloats to products in their place.

    They are of the widest fields that any mode has.
    """
    pairs, lanes, width = [(p.a, p.b) for p in spec.pairs], spec.lanes, spec.lanes_width(1)
    formats = [f for pair in pairs for f in pair]
    factors, shift = _factor_shapes(spec), _shift_bits(spec)
    wide, narrow = (factor.width for factor in factors)
    chosen = Selection(max(map(significand_bits, formats)), len(pairs), count=2 * lanes)
    multiply = parallel(*(product.factors(*pair, lanes) for pair in pairs))
    align: Series = ()
    if not spec.is_tuned:
        multiply = (*multiply, Multiplier(wide, narrow, count=lanes))
        align = (Shifter(width, shift, count=lanes),)
    split = product.split_steps_of(wide, narrow, shift, width, lanes) if spec.is_tuned else ()
    decoding = (*product.decoders(formats, lanes), chosen)
    decoded = lanes * sum(map(_operand_bits, _sides(spec))) + _control_bits(spec)
    products, beside = product_bits_of(factors, shift, width, split), _beside_bits(spec)
    aligning = Step("aligned", "align", align, max(levels.shift(*p) for p in pairs))
    multiplying = Step("products", "multiply", multiply, max(levels.product(*p) for p in pairs))
    return (
        Step("operands", "decode_modes", decoding, 1 + levels.decoder(*formats)),
        replace(multiplying, bits=decoded),
        *with_bits((*split, aligning), (lanes * bits + beside for bits in products)),
    )


def _sides(spec: MultiDot) -> list[list[Scalar]]:
    """The formats of either operand."""
    return [[p.a for p in spec.pairs], [p.b for p in spec.pairs]]


def _operand_bits(formats: Sequence[Scalar]) -> int:
    """Bits of a decoded operand with the widest fields of the formats."""
    shift = _widest_shift(formats)
    flags = [[f.signed for f in formats], [f.has_nan for f in formats]]
    flags.append([f.has_infinity for f in formats])
    bits = max(map(significand_bits, formats)) + (0 if shift is None else shift.width)
    return bits + sum(map(any, flags))


def _factor_shapes(spec: MultiDot) -> tuple[Shape, Shape]:
    """The shapes of a lane's wider and narrower factor."""
    sides = _sides(spec)
    x, y = (max(map(significand_bits, side)) for side in sides)
    signs = [any(f.signed for f in side) for side in sides]
    if all(signs):  # The narrower significand takes the sign of the product.
        factors = Shape(max(x, y)), Shape(min(x, y) + 1, True)
    else:
        factors = Shape(x + signs[0], signs[0]), Shape(y + signs[1], signs[1])
    wide, narrow = factors
    return (wide, narrow) if wide.width >= narrow.width else (narrow, wide)


def _shift_bits(spec: MultiDot) -> int:
    """Bits of the shift of a lane's product."""
    shifts = [shape.width for side in _sides(spec) for shape in [_widest_shift(side)] if shape]
    return max(shifts) + len(shifts) - 1 if shifts else 0


def _widest_shift(formats: Iterable[Scalar]) -> Shape | None:
    """The widest shape of the shifts of one side's operands."""
    shapes = [shape for f in formats for shape in [shift_shape(f)] if shape is not None]
    return max(shapes, key=lambda shape: shape.width, default=None)

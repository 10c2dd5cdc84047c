"""The steps of products of decoded codes, and what they take.

Two steps multiply and shift, as long as the factors are wide; of a unit that is tuned for a target
there are more, of which each is short (``hwgen.units.split_product``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from hwgen.fields import changed
from hwgen.formats import Scalar
from hwgen.plan.logic import (
    Adder,
    AnyBit,
    Decoder,
    FactorRows,
    Gates,
    Logic,
    Multiplexer,
    Multiplier,
    Negation,
    Series,
    Shifter,
    parallel,
    times,
)
from hwgen.plan.step import Step, Steps


def decoders(formats: Iterable[Scalar], count: int) -> Series:
    """The decoders of ``count`` codes of each format."""
    return parallel(*((Decoder(f, count=count),) for f in formats))


def factors(a: Scalar, b: Scalar, lanes: int) -> Series:
    """The logic from decoded codes to the factors, and to the flags, of ``lanes`` products."""
    signs = [f.precision for f in (a, b) if f.sign_apart]
    logic: Series = (Negation(min(signs), count=lanes),) if signs else ()
    if any(f.has_nan or f.has_infinity for f in (a, b)):
        logic = parallel(logic, (Gates(levels=3, count=lanes), AnyBit(lanes)))
    return logic


def multiplication(a: Scalar, b: Scalar, lanes: int) -> Series:
    """The multipliers of significands, and what is in front of them, in one step."""
    return (*factors(a, b, lanes), Multiplier(*factor_bits(a, b), count=lanes))


def shift(a: Scalar, b: Scalar, width: int, lanes: int) -> Series:
    """The shifters of products to their places in ``width`` bits, in one step."""
    return (Shifter(width, shift_bits(a, b), count=lanes),)


def split_steps(a: Scalar, b: Scalar, width: int, lanes: int, key: str = "products") -> Steps:
    """The steps from factors to products in their place, in at most ``width`` bits.

    ``key``: the value with the factors: a product, a list of them, or of lists of them.
    """
    return split_steps_of(*factor_bits(a, b), shift_bits(a, b), width, lanes, key)


def split_steps_of(
    wide: int, narrow: int, shift_bits: int, width: int, lanes: int, key: str = "products"
) -> Steps:
    """As ``split_steps``, for factors of ``wide`` and ``narrow`` bits.

    ``shift_bits``: of the product's shift.
    """
    of_one = _split_steps_of_one(wide, narrow, shift_bits, width, key)
    return tuple(changed(step, logic=times(step.logic, lanes)) for step in of_one)


@functools.lru_cache(maxsize=10_000)
def _split_steps_of_one(wide: int, narrow: int, shift_bits: int, width: int, key: str) -> Steps:
    def step(name: str, build: str, logic: Logic, *arguments: int) -> Step:
        return Step(name, build, (logic,), arguments=(key, name, *arguments))

    steps = (
        step("rows", "multiply_rows", FactorRows(wide, narrow)),
        *(
            step(f"row_sums{level}", "add_rows", adder)
            for level, adder in enumerate(row_sums(wide, narrow), 1)
        ),
        *(
            step(f"shift{bit}", "shift_products", Multiplexer(width), width)
            for bit in range(shift_bits)
        ),
    )
    for one in steps:
        _ = one.path  # Which steps of several lanes have too.
    return steps


def row_sums(wide: int, narrow: int) -> list[Adder]:
    """The longest adder of each level that adds the rows of a product in pairs.

    The factors have ``wide`` and ``narrow`` bits; the first level is behind ``FactorRows``.
    """
    if wide + narrow <= FactorRows.SMALL:
        return []
    levels = ((narrow + 1) // 2 - 1).bit_length()
    # Low bits of the lower part are below the sum.
    return [Adder(min(wide + (1 << level), wide + narrow)) for level in range(1, levels + 1)]


def factor_bits(a: Scalar, b: Scalar) -> tuple[int, int]:
    """Bits of the wider and of the narrower factor."""
    if a.sign_apart and b.sign_apart:
        # The narrower significand takes the sign of the product.
        narrow, wide = sorted((a.precision, b.precision))
        bits = [wide, narrow + 1]
    else:
        bits = [f.factor_bits + int(f.sign_apart) for f in (a, b)]
    return max(bits), min(bits)


def shift_bits(*operands: Scalar) -> int:
    """Bits of the sum of the operands' shifts."""
    bits = [f.exponent_bits for f in operands if f.exponent_bits > int(f.subnormals)]
    return max(bits) + len(bits) - 1 if bits else 0

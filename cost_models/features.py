"""What of a spec takes area and time, in bits: the inputs of the cost model.

All of it is derived from the spec, without making the hardware.
"""

from __future__ import annotations

from hwgen.formats import Minifloat, Scalar
from hwgen.spec import DotProduct


def significand_bits(number_format: Scalar) -> int:
    """Width of the significand with its leading bit (minifloat) or sign (integer)."""
    if isinstance(number_format, Minifloat):
        return number_format.mantissa_bits + 1
    return number_format.bits


def exponent_bits(number_format: Scalar) -> int:
    """Width of the exponent field; 0 for an integer."""
    return number_format.exponent_bits if isinstance(number_format, Minifloat) else 0


def tree_widths(spec: DotProduct) -> list[int]:
    """Widths of all two-input adders of the lanes' tree."""
    widths = [spec.product_width] * spec.lanes
    adders = []
    while len(widths) > 1:
        paired = [max(widths[i : i + 2]) + 1 for i in range(0, len(widths) - 1, 2)]
        adders += paired
        widths = paired + widths[len(paired) * 2 :]
    return adders


def shift_stages(spec: DotProduct) -> int:
    """Two-to-one stages of the shifter that moves a product to its place."""
    return sum((2 * 2 ** exponent_bits(f)).bit_length() - 2 for f in (spec.a, spec.b))


def area(spec: DotProduct) -> dict[str, float]:
    """Bits of each kind of structure in the whole unit."""
    x, y = significand_bits(spec.a), significand_bits(spec.b)
    signs = isinstance(spec.a, Minifloat) + isinstance(spec.b, Minifloat)
    adders = tree_widths(spec)
    lanes = spec.lanes
    return {
        "partial_product_bits": lanes * x * y,
        "significand_bits": lanes * (x + y),
        "negated_bits": lanes * signs * min(x, y),
        "exponent_bits": lanes * (exponent_bits(spec.a) + exponent_bits(spec.b)),
        "shifter_bits": lanes * spec.product_width * shift_stages(spec),
        "tree_bits": sum(adders),
        "tree_adders": len(adders),
        "accumulator_bits": spec.accumulator_width,
        "operand_bits": lanes * (spec.a.bits + spec.b.bits),
        "product_bits": lanes * spec.product_width,
        "sum_bits": spec.sum_width,
        "control": 1,
    }


def delay(spec: DotProduct) -> dict[str, float]:
    """Levels and carry lengths on the longest path, operands to sum."""
    x, y = significand_bits(spec.a), significand_bits(spec.b)
    return {
        "row_levels": min(x, y).bit_length(),
        "product_bits": x + y,
        "negations": isinstance(spec.a, Minifloat) + isinstance(spec.b, Minifloat),
        "shift_stages": shift_stages(spec),
        "tree_levels": (spec.lanes - 1).bit_length(),
        "sum_bits": spec.sum_width,
        "log_cells": (spec.lanes * spec.product_width).bit_length(),
        "start": 1,
    }

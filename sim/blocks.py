"""Exact dot products of block-scaled operands.

Dot and DotGeneral of OCP Microscaling (MX) Formats v1.0, section 6, and of other formats with a
scale a block. The sum is exact, including the scales; ``sim.rounding.round_to`` then rounds it
once, so that the result is correctly rounded and no order of blocks or lanes matters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Aligned
from hwgen.errors import InputError
from hwgen.formats import Scalar
from sim import exact
from sim.exact import ExactArray, decode, from_values, multiply, total
from sim.rounding import round_to_multiples


@dataclass(frozen=True, kw_only=True, eq=False)
class Blocks:
    """Block-scaled numbers: an element counts element·2^exponent·scale·tensor scale.

    ``elements``: codes of ``element_format``, shape (..., blocks, block size). ``scales``:
    codes of ``scale_format``, shape (..., blocks). ``exponents``: whole numbers of the
    elements' shape, shared micro-exponents (arXiv 2302.08007). ``tensor_scale``: float64
    values, shape (...), taken as they are, such as NVFP4's fp32 scale.
    """

    element_format: Scalar
    elements: npt.NDArray[np.integer]
    scale_format: Scalar
    scales: npt.NDArray[np.integer]
    exponents: npt.NDArray[np.integer] | None = None
    tensor_scale: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.elements)
        if len(shape) < 2 or np.shape(self.scales) != shape[:-1]:
            raise InputError(
                f"elements of shape {shape}, scales of {np.shape(self.scales)}: use "
                "(..., blocks, block size) and (..., blocks)"
            )
        if self.exponents is not None and np.shape(self.exponents) != shape:
            raise InputError(
                f"exponents of shape {np.shape(self.exponents)}: use the elements' shape {shape}"
            )


def block_dot(a: Blocks, b: Blocks) -> ExactArray:
    """Σ over blocks of X_A·X_B·Σ P_A·P_B, exact, without the last two axes.

    The axes before broadcast. A NaN scale makes NaN; infinite and NaN elements and products
    follow IEEE 754 (an infinite sum times a zero scale is NaN). Blocks of a size that is a
    multiple of the other operand's are several of that size, of one scale. InputError for other
    sizes, and other numbers of elements.
    """
    a, b = _of_one_size(a, b)
    result = total(_terms(a, b))
    if all(f.is_integer for x in (a, b) for f in (x.element_format, x.scale_format)):
        result = exact.integer_zeros(result)
    for operand in (a, b):
        if operand.tensor_scale is not None:
            result = multiply(result, from_values(operand.tensor_scale))
    return result


def aligned_block_dot(a: Blocks, b: Blocks, accumulator: Aligned) -> ExactArray:
    """The sum of ``block_dot``, without tensor scales, as ``hwgen.accumulator.Aligned`` says.

    What is infinite or NaN is as for ``block_dot``.
    """
    a, b = _of_one_size(a, b)
    terms = _terms(a, b)
    exponents = scale_exponents(a.scale_format, a.scales) + scale_exponents(
        b.scale_format, b.scales
    )
    reference = exponents.max(axis=-1)
    unit = _unit_exponent(a, b, accumulator.bits)
    relative = exact.scale(terms, -np.broadcast_to(reference[..., None], terms.shape))
    multiples = round_to_multiples(relative, unit, accumulator.rounding).sum(axis=-1)
    special = total(terms).special
    integers = np.where(special == 0, multiples, 0).astype(object)
    return exact.scale(ExactArray(integers, unit, special), reference)


def scale_exponents(f: Scalar, codes: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The exponents of the binades of scales, int64 of the shape of ``codes``.

    What lies below the lowest binade has its exponent. Of NaN it does not matter.
    """
    values = np.nan_to_num(f.decode(codes))
    lowest = f.lsb_exponent + f.precision - 1
    # The exponent that frexp has for zero is another.
    exponents = np.where(values > 0, np.frexp(values)[1].astype(np.int64) - 1, lowest)
    return np.maximum(exponents, lowest)


def _unit_exponent(a: Blocks, b: Blocks, bits: int) -> int:
    """The exponent of the smallest unit in which ``bits`` bits hold the largest sums of all blocks.

    Each block's sum is rounded away from zero.
    """
    blocks, size = np.shape(a.elements)[-2:]
    products = [
        Fraction(x) * Fraction(y)
        for x in (a.element_format.min, a.element_format.max)
        for y in (b.element_format.min, b.element_format.max)
    ]
    factor = size * _largest_fraction(a.scale_format) * _largest_fraction(b.scale_format)
    low, high = min(products) * factor, max(products) * factor
    exponent = -(2**11)
    while blocks * math.ceil(high / Fraction(2) ** exponent) >= 2 ** (
        bits - 1
    ) or blocks * math.floor(low / Fraction(2) ** exponent) < -(2 ** (bits - 1)):
        exponent += 1
    return exponent


def _largest_fraction(f: Scalar) -> Fraction:
    """The largest that a scale is over the power of two of its binade."""
    values = f.finite_values()
    exponents = scale_exponents(f, f.encode(values))
    return max(Fraction(v) / Fraction(2) ** int(e) for v, e in zip(values, exponents, strict=True))


def _of_one_size(a: Blocks, b: Blocks) -> tuple[Blocks, Blocks]:
    """Both with the smaller of their block sizes."""
    (blocks_a, size_a), (blocks_b, size_b) = (np.shape(x.elements)[-2:] for x in (a, b))
    size = min(size_a, size_b)
    if size_a % size or size_b % size or blocks_a * size_a != blocks_b * size_b:
        raise InputError(
            f"{blocks_a} blocks of {size_a} and {blocks_b} of {size_b}: use block sizes of which "
            "one is a multiple of the other, and as many elements of both"
        )
    return _of_size(a, size), _of_size(b, size)


def _of_size(x: Blocks, size: int) -> Blocks:
    """Each block as several of ``size`` elements, which have its scale."""
    *outer, blocks, block_size = np.shape(x.elements)
    shape = (*outer, blocks * block_size // size, size)
    return replace(
        x,
        elements=x.elements.reshape(shape),
        scales=np.repeat(x.scales, block_size // size, axis=-1),
        exponents=None if x.exponents is None else x.exponents.reshape(shape),
    )


def _terms(a: Blocks, b: Blocks) -> ExactArray:
    """X_A·X_B·Σ P_A·P_B of each block."""
    scales = multiply(decode(a.scale_format, a.scales), decode(b.scale_format, b.scales))
    return multiply(_element_dot(a, b), scales)


def _element_dot(a: Blocks, b: Blocks) -> ExactArray:
    """Σ P_A·P_B of each block."""
    if a.exponents is None and b.exponents is None:
        return exact.dot(a.element_format, b.element_format, a.elements, b.elements)
    products = exact.product(a.element_format, b.element_format, a.elements, b.elements)
    for operand in (a, b):
        if operand.exponents is not None:
            products = exact.scale(products, operand.exponents)
    result = total(products)
    if a.element_format.is_integer and b.element_format.is_integer:
        return exact.integer_zeros(result)
    return result

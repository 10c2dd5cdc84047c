"""Exact dot products of block-scaled operands: Dot and DotGeneral of OCP Microscaling (MX)
Formats v1.0, section 6, and other formats with a scale a block.

The sum is exact, including the scales; ``sim.rounding.round_to`` then rounds it once, so that
the result is correctly rounded and no order of blocks or lanes matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar
from sim import exact
from sim.exact import ExactArray, decode, from_values, multiply, total


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
    follow IEEE 754 (an infinite sum times a zero scale is NaN). InputError for blocks of
    different number or size.
    """
    if np.shape(a.elements)[-2:] != np.shape(b.elements)[-2:]:
        raise InputError(
            f"{np.shape(a.elements)[-2:]} and {np.shape(b.elements)[-2:]} blocks and elements a "
            "block: both operands have the same"
        )
    scales = multiply(decode(a.scale_format, a.scales), decode(b.scale_format, b.scales))
    result = total(multiply(_element_dot(a, b), scales))
    for operand in (a, b):
        if operand.tensor_scale is not None:
            result = multiply(result, from_values(operand.tensor_scale))
    return result


def _element_dot(a: Blocks, b: Blocks) -> ExactArray:
    """Σ P_A·P_B of each block."""
    if a.exponents is None and b.exponents is None:
        return exact.dot(a.element_format, b.element_format, a.elements, b.elements)
    products = exact.product(a.element_format, b.element_format, a.elements, b.elements)
    for operand in (a, b):
        if operand.exponents is not None:
            products = exact.scale(products, operand.exponents)
    return total(products)

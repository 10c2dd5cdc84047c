"""The steps of an exact product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.plan import product
from hwgen.plan.step import Step, Steps, with_bits
from hwgen.sizes.decode import operand_bits
from hwgen.sizes.product import special_bits
from hwgen.sizes.product_rows import product_bits

if TYPE_CHECKING:
    from hwgen.spec.mul import Multiply


def steps(spec: Multiply) -> Steps:
    """The steps from codes to the product in its place."""
    a, b, width = spec.a, spec.b, spec.product_width
    bits = min(f.precision for f in (a, b))
    tuned = spec.is_tuned
    multiply = product.factors(a, b, 1) if tuned else product.multiplication(a, b, 1)
    placing = Step("place", "placed", () if tuned else product.shift(a, b, width, 1), 3)
    split = product.split_steps(a, b, width, 1, "found") if tuned else ()
    products = product_bits(a, b, width, split)
    flags = special_bits(a, b)
    return (
        Step("decode", "decoded", product.decoders((a, b), 1), 1),
        Step(
            "multiply",
            "products",
            multiply,
            1 + bits.bit_length() * 2,
            bits=operand_bits(a) + operand_bits(b),
        ),
        *with_bits((*split, placing), (n + flags for n in products)),
    )

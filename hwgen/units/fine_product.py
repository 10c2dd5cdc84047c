"""The steps of a product of which each is short: for units that are tuned for a target.

Beside them ``multiply`` and ``align`` of ``hwgen.arithmetic.product`` are two steps, as long as
the factors are wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed

from hwgen.arithmetic import path, product_parts
from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import Product
from hwgen.formats import Scalar
from hwgen.units.unit import Step

Change = Callable[[Module, Product, str], Product]


def factored(
    m: Module, x: Operand, y: Operand, a_format: Scalar, b_format: Scalar, name: str
) -> Product:
    """A product whose significand is what ``steps`` multiply: in place of ``multiply``."""
    found = product_parts.factors(m, x, y, a_format, b_format, name)
    bare: Any = replace(found, shift=None, special=None)
    return Product(bare, found.shift, found.special)


def factors_path(a: Scalar, b: Scalar, terms: int) -> path.Path:
    """The way through ``factored``, and to the flags of so many products."""
    signs = [f.precision for f in (a, b) if f.sign_apart]
    found = path.negation(min(signs)) if signs else path.Path()
    if any(f.has_nan or f.has_infinity for f in (a, b)):
        found = path.longer(found, path.Path(luts=3) + path.any_of(terms))
    return found


def steps(a: Scalar, b: Scalar, width: int, key: str = "products") -> list[Step]:
    """From factors in the value ``key`` (a product, a list of them, or of lists of them) to
    products in their place, in at most ``width`` bits."""
    return steps_of(*factor_bits(a, b), _shift_bits(a, b), width, key)


def steps_of(
    wide: int, narrow: int, shift_bits: int, width: int, key: str = "products"
) -> list[Step]:
    """The same for factors of so many bits, and shifts."""
    found = [_step("rows", product_parts.rows_path(wide, narrow), _rows, key)]
    if wide + narrow > product_parts.SMALL:
        for level in range(1, product_parts.levels(narrow) + 1):
            # Low bits of the lower part are below the sum.
            bits = min(wide + (1 << level), wide + narrow)
            found.append(_step(f"row_sums{level}", path.adder(bits), _add, key))
    for bit in range(shift_bits):
        found.append(_step(f"shift{bit}", path.shifter(1), _shift_by(width), key))
    return found


def factor_bits(a: Scalar, b: Scalar) -> tuple[int, int]:
    """Bits of the wider and of the narrower factor."""
    if a.sign_apart and b.sign_apart:
        # The narrower significand takes the sign of the product.
        narrow, wide = sorted((a.precision, b.precision))
        bits = [wide, narrow + 1]
    else:
        bits = [f.factor_bits + int(f.sign_apart) for f in (a, b)]
    return max(bits), min(bits)


def _shift_bits(a: Scalar, b: Scalar) -> int:
    """Bits of the sum of the operands' shifts."""
    bits = [f.exponent_bits for f in (a, b) if f.exponent_bits > int(f.subnormals)]
    return max(bits) + len(bits) - 1 if bits else 0


def _step(name: str, longest: path.Path, change: Change, key: str) -> Step:
    def build(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
        return {**live, key: _each(m, live[key], change, name)}

    return Step(name, longest.luts + 1.5 * longest.chains, build, path=longest)


def _each(m: Module, products: Any, change: Change, name: str) -> Any:
    if isinstance(products, list):
        return [_each(m, p, change, f"{name}_of_{i}") for i, p in enumerate(products)]
    return change(m, products, name)


def _rows(m: Module, product: Product, name: str) -> Product:
    found: Any = product_parts.parts(m, _as_any(product.significand), name)
    return _summed(replace(product, significand=found))


def _add(m: Module, product: Product, name: str) -> Product:
    if not isinstance(product.significand, list):
        # Decoded factors may be shorter than their formats' precision, as of e0m3.
        return product
    found: Any = product_parts.added_parts(m, _as_any(product.significand), name)
    return _summed(replace(product, significand=found))


def _summed(product: Product) -> Product:
    """With the number in place of the only part that is left."""
    terms: Any = product.significand
    return replace(product, significand=terms[0].value) if len(terms) == 1 else product


def _shift_by(width: int) -> Change:
    def change(m: Module, product: Product, name: str) -> Product:
        """The shift by its lowest bit; what is left counts steps of twice as many bits."""
        shift, step = product.shift, product.step
        if shift is None:
            return product
        value = product.significand
        bits = min(len(value) + step, width)
        moved = Signal(signed(bits) if value.shape().signed else bits, name=name)
        m.d.comb += moved.eq(Mux(shift[0], value << step, value))
        rest = shift[1:] if len(shift) > 1 else None
        return replace(product, significand=moved, shift=rest, step=2 * step)

    return change


def _as_any(value: Value) -> Any:
    return value

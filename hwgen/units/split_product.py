"""The steps of a product of which each is short, for units that are tuned for a target.

``hwgen.plan.product`` describes them. Of other units ``multiply`` and ``align`` of
``hwgen.arithmetic.product`` are two steps, as long as the factors are wide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed

from hwgen.arithmetic import product_rows
from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import Product
from hwgen.formats import Scalar
from hwgen.units.unit import Signals

Change = Callable[[Module, Product, str], Product]


def factored(
    m: Module, x: Operand, y: Operand, a_format: Scalar, b_format: Scalar, name: str
) -> Product:
    """A product whose significand is what ``SplitProducts`` multiply: for ``multiply``."""
    factors = product_rows.factors(m, x, y, a_format, b_format, name)
    bare: Any = replace(factors, shift=None, special=None)
    return Product(bare, factors.shift, factors.special)


class SplitProducts:
    """The builders of ``hwgen.plan.product.split_steps``.

    ``key`` is the value with the products, ``name`` that of the step.
    """

    def multiply_rows(self, m: Module, signals: Signals, key: str, name: str) -> dict[str, Any]:
        """The products as pairs of rows, each pair added."""
        return {**signals, key: _each(m, signals[key], _rows, name)}

    def add_rows(self, m: Module, signals: Signals, key: str, name: str) -> dict[str, Any]:
        """The terms of each product in pairs, added."""
        return {**signals, key: _each(m, signals[key], _add, name)}

    def shift_products(
        self, m: Module, signals: Signals, key: str, name: str, width: int
    ) -> dict[str, Any]:
        """The products shifted by the next bit of their shift, in at most ``width`` bits."""
        return {**signals, key: _each(m, signals[key], _shift_by(width), name)}


def _each(m: Module, products: Any, change: Change, name: str) -> Any:
    if isinstance(products, list):
        return [_each(m, p, change, f"{name}_of_{i}") for i, p in enumerate(products)]
    return change(m, products, name)


def _rows(m: Module, product: Product, name: str) -> Product:
    terms: Any = product_rows.row_pairs(m, _as_any(product.significand), name)
    return _summed(replace(product, significand=terms))


def _add(m: Module, product: Product, name: str) -> Product:
    if not isinstance(product.significand, list):
        # Decoded factors may be shorter than their formats' precision, as of e0m3.
        return product
    terms: Any = product_rows.pair_sums(m, _as_any(product.significand), name)
    return _summed(replace(product, significand=terms))


def _summed(product: Product) -> Product:
    """``product`` with a number as significand where only one term is left."""
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
        shifted = Signal(signed(bits) if value.shape().signed else bits, name=name)
        m.d.comb += shifted.eq(Mux(shift[0], value << step, value))
        higher_bits = shift[1:] if len(shift) > 1 else None
        return replace(product, significand=shifted, shift=higher_bits, step=2 * step)

    return change


def _as_any(value: Value) -> Any:
    return value

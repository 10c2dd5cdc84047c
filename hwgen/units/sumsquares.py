"""The sum of squares with a running accumulator."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import Product, special_of
from hwgen.arithmetic.square import square
from hwgen.formats import Scalar
from hwgen.spec.sumsquares import SumSquares
from hwgen.units.dot import DotProductSteps
from hwgen.units.unit import Signals, Unit


class SumSquaresUnit(Unit):
    """Hardware of a :class:`hwgen.SumSquares` spec; initiation interval 1.

    Its ports are those of ``hwgen.units.dot.DotProductUnit`` without ``b``.
    """

    spec: SumSquares

    @cached_property
    def builder(self) -> SumSquaresSteps:
        """The builders of the spec's steps."""
        return SumSquaresSteps(self.spec)

    def state(self) -> dict[str, Signal]:
        """The registers of the accumulator, by name."""
        return self.builder.registers()


class SumSquaresSteps(DotProductSteps):
    """The builders of a dot product in which each lane has one operand."""

    spec: SumSquares

    def _operand_formats(self) -> dict[str, Scalar]:
        return {"a": self.spec.a}

    def multiply(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``products``: the square of each lane's operand."""
        products = [self._square(m, x, f"lane_{lane}") for lane, x in enumerate(signals["a"])]
        return self.behind_products(m, signals, products, [])  # Squares of zeros are positive.

    def _square(self, m: Module, x: Operand, name: str) -> Product:
        """The sign does not count, and the shift counts twice."""
        shift = None if x.shift is None else Cat(Const(0, 1), x.shift)
        special = special_of(m, (x, self.spec.a), (x, self.spec.a), name)
        return Product(square(m, x.significand, name), shift, special)


component = SumSquaresUnit

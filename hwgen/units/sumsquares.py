"""The sum of squares with a running accumulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module

from hwgen.arithmetic import path
from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.product import Product, special_of
from hwgen.arithmetic.square import square
from hwgen.formats import Scalar
from hwgen.spec.sumsquares import SumSquares
from hwgen.units.accumulating import Live
from hwgen.units.dot import DotProductSteps
from hwgen.units.unit import Step, Unit


class SumSquaresUnit(Unit):
    """Hardware of a :class:`hwgen.SumSquares` spec; initiation interval 1.

    Its ports are those of ``hwgen.units.dot.DotProductUnit`` without ``b``.
    """

    spec: SumSquares

    def steps(self) -> Sequence[Step]:
        return SumSquaresSteps(self.spec).steps()


class SumSquaresSteps(DotProductSteps):
    """The steps of a dot product in which each lane has one operand."""

    spec: SumSquares

    def sum_steps(self) -> list[Step]:
        """Up to the exact sum of a cycle."""
        a = self.spec.a
        bits, shifts = a.factor_bits, a.exponent_bits
        ways = {
            "products": path.multiplier(bits, max(bits // 2, 1)),
            "aligned": path.shifter(shifts) if shifts else path.Path(),
        }
        return [
            dataclasses.replace(step, path=ways.get(step.name, step.path))
            for step in super().sum_steps()
        ]

    def _operand_formats(self) -> dict[str, Scalar]:
        return {"a": self.spec.a}

    def _fine_products(self) -> list[Step]:
        return []

    def _products(self, m: Module, live: Live) -> dict[str, Any]:
        products = [self._square(m, x, f"lane_{lane}") for lane, x in enumerate(live["a"])]
        return self.behind_products(m, live, products, [])  # Squares of zeros are positive.

    def _square(self, m: Module, x: Operand, name: str) -> Product:
        """The sign does not count, and the shift counts twice."""
        shift = None if x.shift is None else Cat(Const(0, 1), x.shift)
        special = special_of(m, (x, self.spec.a), (x, self.spec.a), name)
        return Product(square(m, x.significand, name), shift, special)

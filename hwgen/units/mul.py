"""The exact product of two numbers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.product import align, multiply
from hwgen.spec.mul import Multiply
from hwgen.units.split_product import SplitProducts, factored
from hwgen.units.unit import Signals, Unit


class MultiplyUnit(SplitProducts, Unit):
    """Hardware of a :class:`hwgen.spec.Multiply` spec."""

    spec: Multiply

    def decoded(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Both decoded operands, by port."""
        spec = self.spec
        return {name: decode(m, signals[name], getattr(spec, name), name) for name in ("a", "b")}

    def products(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The product of significands, its shift and its flags."""
        spec = self.spec
        multiplied = factored if spec.pipeline_target else multiply
        return {"found": multiplied(m, signals["a"], signals["b"], spec.a, spec.b, "multiplied")}

    def placed(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``product`` as a fixed-point number, and its flags."""
        special = signals["found"].special
        flags = {f.name: getattr(special, f.name) for f in fields(special)} if special else {}
        return {"product": align(m, signals["found"], self.spec.product_width, "placed"), **flags}


component = MultiplyUnit

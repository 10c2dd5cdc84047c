"""The exact product of two numbers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.product import align, multiply
from hwgen.spec.mul import Multiply
from hwgen.units.fine_product import FineProducts, factored
from hwgen.units.unit import Live, Unit


class MultiplyUnit(FineProducts, Unit):
    """Hardware of a :class:`hwgen.spec.Multiply` spec."""

    spec: Multiply

    def decoded(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        return {name: decode(m, live[name], getattr(spec, name), name) for name in ("a", "b")}

    def products(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        multiplied = factored if spec.tuned_for else multiply
        return {"found": multiplied(m, live["a"], live["b"], spec.a, spec.b, "multiplied")}

    def placed(self, m: Module, live: Live) -> dict[str, Any]:
        special = live["found"].special
        flags = {f.name: getattr(special, f.name) for f in fields(special)} if special else {}
        return {"product": align(m, live["found"], self.spec.product_width, "placed"), **flags}


component = MultiplyUnit

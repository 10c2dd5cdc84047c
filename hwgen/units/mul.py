"""The exact product of two numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from amaranth.hdl import Module

from hwgen.arithmetic import path
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.product import align, multiply
from hwgen.spec.mul import Multiply
from hwgen.units import fine_product
from hwgen.units.fine_product import factored
from hwgen.units.unit import Step, Unit


class MultiplyUnit(Unit):
    """Hardware of a :class:`hwgen.spec.Multiply` spec."""

    spec: Multiply

    def steps(self) -> Sequence[Step]:
        spec = self.spec

        def decoded(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
            return {name: decode(m, live[name], getattr(spec, name), name) for name in ("a", "b")}

        def products(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
            multiplied = factored if spec.tuned_for else multiply
            return {"found": multiplied(m, live["a"], live["b"], spec.a, spec.b, "multiplied")}

        def place(m: Module, live: Mapping[str, Any]) -> dict[str, Any]:
            special = live["found"].special
            flags = {f.name: getattr(special, f.name) for f in fields(special)} if special else {}
            return {"product": align(m, live["found"], spec.product_width, "placed"), **flags}

        bits = min(f.precision for f in (spec.a, spec.b))
        decode_path = max((path.decoder(f) for f in (spec.a, spec.b)), key=lambda p: p.luts)
        multiplied = fine_product.factors_path(spec.a, spec.b, 1)
        fine = fine_product.steps(spec.a, spec.b, spec.product_width, "found")
        placed = path.Path()
        if not spec.tuned_for:
            multiplied += path.multiplier(*fine_product.factor_bits(spec.a, spec.b))
            placed = sum((step.longest for step in fine if step.name.startswith("shift")), placed)
            fine = []
        return [
            Step("decode", 1, decoded, path=decode_path),
            Step("multiply", 1 + bits.bit_length() * 2, products, path=multiplied),
            *fine,
            Step("place", 3, place, path=placed),
        ]

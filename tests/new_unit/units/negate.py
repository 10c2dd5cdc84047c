"""The negative of an integer."""

from __future__ import annotations

from amaranth.hdl import Mux

from hwgen.units.unit import Unit


class NegateUnit(Unit):
    """Hardware of a ``hwgen.spec.negate.Negate``."""

    def negated(self, m, signals):
        bits = self.spec.a.bits
        a = signals["a"].as_signed()
        lowest = a == -(1 << (bits - 1))
        saturates = self.spec.lowest == "saturate"
        return {"result": Mux(lowest & saturates, (1 << (bits - 1)) - 1, -a)[:bits]}


component = NegateUnit

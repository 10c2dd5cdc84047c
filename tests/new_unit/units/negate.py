"""The negative of an integer."""

from __future__ import annotations

from amaranth.hdl import Mux

from hwgen.arithmetic import path
from hwgen.units.unit import Step, Unit


class NegateUnit(Unit):
    """Hardware of a ``hwgen.spec.negate.Negate``."""

    def steps(self):
        bits = self.spec.a.bits

        def negated(m, live):
            a = live["a"].as_signed()
            lowest = a == -(1 << (bits - 1))
            saturates = self.spec.lowest == "saturate"
            return {"result": Mux(lowest & saturates, (1 << (bits - 1)) - 1, -a)[:bits]}

        return [Step("negate", 2, negated, path=path.Path(luts=1, chains=1, chain_bits=bits))]

"""Two units in a design of your own: a dot product whose result becomes a code of E4M3.

Run it to write the design as Verilog: ``python docs/example_design.py > dot_to_e4m3.v``.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import hwgen
from hwgen import emit
from hwgen.spec import Convert, DotProduct

# Sums of up to 16 products of four lanes, exact in a fixed-point accumulator …
DOT = DotProduct(a="e2m1", b="int4", lanes=4, max_products=16)
# … whose word is the fixed-point format of that width, rounded once.
CONVERT = Convert(
    a=f"fixed{DOT.accumulator_width}_{-DOT.lsb_exponent}", b="e4m3fn", overflow="saturate"
)


class DotToE4M3(wiring.Component):
    """Ports as the units': see their datasheets. A result comes ``latency`` cycles after."""

    valid_in: In(1)
    clear: In(1)
    a: In(DOT.lanes * DOT.a.bits)
    b: In(DOT.lanes * DOT.b.bits)
    valid_out: Out(1)
    result: Out(CONVERT.b.bits)

    latency = DOT.latency + CONVERT.latency

    def elaborate(self, platform):
        """Make the two units, one behind the other."""
        m = Module()
        m.submodules.dot = dot = hwgen.component(DOT)
        m.submodules.convert = convert = hwgen.component(CONVERT)
        m.d.comb += [
            dot.enable.eq(1),
            dot.valid_in.eq(self.valid_in),
            dot.clear.eq(self.clear),
            dot.a.eq(self.a),
            dot.b.eq(self.b),
            convert.enable.eq(1),
            convert.valid_in.eq(dot.valid_out),
            convert.a.eq(dot.accumulator),
            self.valid_out.eq(convert.valid_out),
            self.result.eq(convert.result),
        ]
        return m


if __name__ == "__main__":
    print(emit.component(DotToE4M3(), "dot_to_e4m3"))

"""The exact dot product with a running accumulator."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.arithmetic.adder_tree import adder_tree
from hwgen.arithmetic.product import exact_product
from hwgen.spec import DotProduct


class DotProductUnit(wiring.Component):
    """Hardware of a :class:`hwgen.DotProduct` spec; initiation interval 1.

    Ports
    -----
    enable : In(1)
        Clock enable: the whole pipeline stands still while it is 0.
    valid_in : In(1)
        The operands of this cycle count.
    clear : In(1)
        The accumulator restarts with this cycle's sum (with ``valid_in``).
    a, b : In(lanes * bits)
        Codes, lane 0 in the lowest bits.
    valid_out : Out(1)
        ``accumulator`` holds the result of the cycle ``latency`` enabled cycles ago.
    accumulator : Out(signed(accumulator_width))
        The running sum in units of 2**lsb_exponent; it keeps its value between results.
    """

    def __init__(self, spec: DotProduct) -> None:
        self.spec = spec
        super().__init__(
            {
                "enable": In(1),
                "valid_in": In(1),
                "clear": In(1),
                "a": In(spec.lanes * spec.a.bits),
                "b": In(spec.lanes * spec.b.bits),
                "valid_out": Out(1),
                "accumulator": Out(signed(spec.accumulator_width)),
            }
        )

    @property
    def latency(self) -> int:
        """Enabled cycles from ``valid_in`` to ``valid_out``."""
        return self.spec.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self.spec

        # Data registers need no reset: nothing reads them before their valid bit is set.
        a = Signal.like(self.a, name="a_operands", reset_less=True)
        b = Signal.like(self.b, name="b_operands", reset_less=True)
        products = [
            Signal(signed(spec.product_width), name=f"product_{lane}", reset_less=True)
            for lane in range(spec.lanes)
        ]
        lanes_sum = Signal(signed(spec.sum_width), reset_less=True)

        with m.If(self.enable):
            m.d.sync += [a.eq(self.a), b.eq(self.b)]
            for lane, product in enumerate(products):
                a_code = a.word_select(lane, spec.a.bits)
                b_code = b.word_select(lane, spec.b.bits)
                found = exact_product(m, a_code, b_code, spec.a, spec.b, f"lane_{lane}")
                m.d.sync += product.eq(found.value)
            m.d.sync += lanes_sum.eq(adder_tree(m, products, "sum"))

            # Valid and clear travel beside the data, a register a stage.
            valid, clear = self.valid_in, self.clear
            for stage in spec.STAGES[:-1]:
                next_valid = Signal(name=f"valid_{stage}")
                next_clear = Signal(name=f"clear_{stage}", reset_less=True)
                m.d.sync += [next_valid.eq(valid), next_clear.eq(clear)]
                valid, clear = next_valid, next_clear
            m.d.sync += self.valid_out.eq(valid)
            with m.If(valid):
                m.d.sync += self.accumulator.eq(Mux(clear, 0, self.accumulator) + lanes_sum)
        return m

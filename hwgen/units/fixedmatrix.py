"""The product of a constant matrix and a vector."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.constant_sum import Number, add_level
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.product import Special, sign_of
from hwgen.formats.widths import signed_width, value_range
from hwgen.spec.fixedmatrix import FixedMatrix
from hwgen.units.unit import Signals, Unit


class FixedMatrixUnit(Unit):
    """Hardware of a :class:`hwgen.FixedMatrix` spec."""

    spec: FixedMatrix

    def operands(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The decoded operands."""
        a = self.spec.a
        codes = [signals["a"].word_select(i, a.bits) for i in range(self.spec.columns)]
        return {"a": [decode(m, code, a, f"a_{i}") for i, code in enumerate(codes)]}

    def place_numbers(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``numbers``: the operands in fixed point; ``special``: what each sum is instead."""
        numbers = {i: Number(self._number(m, x, i)) for i, x in enumerate(signals["a"])}
        made: dict[str, Any] = {"numbers": numbers}
        if self.spec.has_specials:
            rows = enumerate(self.spec.whole_weights)
            made["special"] = [self._special(m, signals["a"], row, j) for j, row in rows]
        return made

    def _number(self, m: Module, x: Operand, index: int) -> Value:
        if self.spec.a.is_integer:
            return x.significand
        least, most = value_range(self.spec.a)
        magnitude = Signal(most.bit_length(), name=f"a_{index}_magnitude")
        m.d.comb += magnitude.eq(x.significand if x.shift is None else x.significand << x.shift)
        if x.sign is None:
            return magnitude
        number = Signal(signed(signed_width(least, most)), name=f"a_{index}_number")
        m.d.comb += number.eq(Mux(x.sign, -magnitude, magnitude))
        return number

    def _special(
        self, m: Module, operands: list[Operand], row: tuple[int, ...], index: int
    ) -> Special:
        """IEEE 754: NaN of a NaN, of infinity times zero, and of infinities of both signs."""
        nan = [x.nan for x in operands if x.nan is not None]
        infinities: dict[bool, list[Value]] = {False: [], True: []}
        for x, weight in zip(operands, row, strict=True):
            if x.infinity is None:
                continue
            if weight == 0:
                nan.append(x.infinity)
                continue
            negative = sign_of(x, self.spec.a) ^ Const(int(weight < 0), 1)
            for is_negative in (False, True):
                infinities[is_negative].append(x.infinity & (negative == is_negative))
        plus, minus = (Cat(infinities[negative]).any() for negative in (False, True))
        special = Special(*(Signal(name=f"sum_{index}_{k}") for k in ("nan", "plus", "minus")))
        is_nan = Cat(nan).any() | (plus & minus)
        m.d.comb += [
            special.nan.eq(is_nan),
            special.positive_infinity.eq(plus & ~is_nan),
            special.negative_infinity.eq(minus & ~is_nan),
        ]
        return special

    def add_numbers(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """``numbers`` behind that level of the plan's additions, counted from 1."""
        return {**signals, "numbers": add_level(m, self.spec.plan, signals["numbers"], level)}

    def place_sums(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The output ports."""
        spec = self.spec
        sums = []
        for j, total in enumerate(spec.plan.totals):
            placed = Signal(signed(spec.sum_width), name=f"sum_{j}")
            if total is not None:
                m.d.comb += placed.eq(signals["numbers"][total.node].value << total.shift)
            sums.append(placed)
        flags = {}
        if spec.has_specials:
            names = ("nan", "positive_infinity", "negative_infinity")
            flags = {k: Cat(getattr(x, k) for x in signals["special"]) for k in names}
        return {"sums": Cat(sums), **flags}


component = FixedMatrixUnit

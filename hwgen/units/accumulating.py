"""The steps behind an exact sum: the accumulator, and what is rounded from it."""

from __future__ import annotations

import dataclasses
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.arithmetic import zero_sign
from hwgen.arithmetic.coding import rounded_integer, to_code
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.float_add import Scaled, float_sum, normalised
from hwgen.arithmetic.magnitude import magnitude
from hwgen.arithmetic.parts import Part, Parts, beside
from hwgen.arithmetic.product import Special
from hwgen.arithmetic.rounder import FixedPoint, normalise
from hwgen.formats.rounding import DOWN, RANDOM_BITS, STOCHASTIC
from hwgen.spec.accumulating import FLAGS, AccumulatingSpec
from hwgen.units.unit import Live, passed

#: What passes the exact sum by: controls, flags, and the sign of a zero sum's terms together.
BESIDE_SUM = ("clear", "random_bits", "special", "zero_sign")


class Accumulating:
    """The builders of ``hwgen.spec.accumulating.accumulating_steps``.

    They take ``terms`` (the sum alone), ``clear``, ``special``, ``zero_sign`` and ``random_bits``
    where there are such, and what the accumulator held before.
    """

    def __init__(self, spec: AccumulatingSpec) -> None:
        self._accumulating = spec

    @property
    def _fine(self) -> bool:
        return self._accumulating.is_tuned

    def registers(self) -> dict[str, Signal]:
        """What is kept from one input to the next."""
        spec = self._accumulating
        width = spec.accumulator_width
        if isinstance(spec.accumulator, Float):
            return {"accumulator": Signal(width, name="running")}
        flags = FLAGS if spec.has_special else ()
        signs = () if spec.zero_rounding is None else ("kept_zero_sign",)
        return {
            "accumulator": Signal(signed(width), name="running"),
            **{name: Signal(name=f"running_{name}") for name in (*flags, *signs)},
        }

    def round_term(self, m: Module, live: Live) -> dict[str, Any]:
        accumulator = self._accumulating.accumulator
        assert isinstance(accumulator, Fixed)
        term = rounded_integer(
            m,
            live["terms"][0],
            self._accumulating.lsb_exponent,
            -accumulator.fraction_bits,
            accumulator.rounding,
            "term",
            live.get("random_bits"),
        )
        return {**live, "terms": [term]}

    def accumulate_fixed(self, m: Module, live: Live) -> dict[str, Any]:
        spec, register = self._accumulating, live["accumulator"]
        clear, (term,) = live["clear"], live["terms"]
        if spec.has_special:
            # A cycle with an infinity or NaN adds nothing beside its flag.
            new: Special = live["special"]
            term = Mux(new.nan | new.positive_infinity | new.negative_infinity, 0, term)
        total = Mux(clear, 0, register) + term
        accumulator = spec.accumulator
        if isinstance(accumulator, Fixed) and accumulator.overflow != WRAP:
            total = _saturated(m, total, spec.accumulator_width)
        found = {**passed(live, "random_bits"), "accumulator": total}
        if spec.zero_rounding is not None:
            # A partial sum that comes in is an integer, and its zero positive.
            before = live.get("kept_zero_sign", register[-1])
            before = zero_sign.restarted(before, clear, spec.zero_rounding)
            signs = (before, live["zero_sign"])
            found["kept_zero_sign"] = zero_sign.together(
                m, signs, spec.zero_rounding, "next_zero_sign"
            )
        if spec.has_special:
            kept = {flag: live[flag] & ~clear for flag in FLAGS}
            plus = kept["positive_infinity"] | new.positive_infinity
            minus = kept["negative_infinity"] | new.negative_infinity
            nan = Signal(name="next_nan")
            m.d.comb += nan.eq(kept["nan"] | new.nan | (plus & minus))
            found |= dict(zip(FLAGS, (nan, plus & ~nan, minus & ~nan), strict=True))
        return found

    def normalise_sum(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        rest: Any = {k: v for k, v in live.items() if k not in ("terms", "zero_sign")}
        lsb_exponent, (term,) = self._accumulating.lsb_exponent, live["terms"]
        sign = self.sign_of_sum(live)
        parts = normalised(m, term, sign, lsb_exponent, "sum", fine=self._fine)
        total, rest = yield from beside(parts, rest)
        return {**rest, "sum": total}

    def sign_of_sum(self, live: Live) -> Value:
        """Of a cycle's sum, which becomes a float; of a zero too."""
        (term,), rounding = live["terms"], self._accumulating.zero_rounding
        if rounding is None:
            return zero_sign.of_sum(term, None, "")
        return zero_sign.of_sum(term, live["zero_sign"], rounding)

    def accumulate_float(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        """``sum`` and what was kept, rounded: the code to keep."""
        accumulator = self._accumulating.accumulator
        assert isinstance(accumulator, Float)
        f, clear = accumulator.format, live["clear"]
        kept = decode(m, live["accumulator"], f, "running")
        assert kept.sign is not None
        rounding = accumulator.rounding
        value = Scaled(
            self._kept_sign(kept.sign, clear, accumulator),
            Mux(clear, 0, kept.significand),
            Mux(clear, 0, kept.shift) if kept.shift is not None else Const(0),
            f.lsb_exponent,
        )
        flags = {"clear": clear, "kept": [kept.nan, kept.infinity, kept.sign]}
        decoded = [value, live["sum"], {**flags, **passed(live, "special", "random_bits")}]
        value, term, rest = yield Part("decoded", decoded)
        drawn = RANDOM_BITS if accumulator.rounding == STOCHASTIC else 0
        adding = float_sum(m, value, term, f.precision + drawn, rounding, "step", fine=self._fine)
        total, rest = yield from beside(adding, rest)
        clear = rest["clear"]
        kept_nan, kept_infinity, kept_sign = rest["kept"]
        nan, plus, minus = (Const(0), Const(0), Const(0))
        if "special" in rest:
            new: Special = rest["special"]
            nan, plus, minus = new.nan, new.positive_infinity, new.negative_infinity
        if kept_nan is not None:
            nan = nan | (kept_nan & ~clear)
        if kept_infinity is not None:
            plus = plus | (kept_infinity & ~clear & ~kept_sign)
            minus = minus | (kept_infinity & ~clear & kept_sign)
        infinity = plus | minus
        number = dataclasses.replace(
            total,
            sign=Mux(infinity, minus, total.sign),
            nan=nan | (plus & minus),
            infinity=infinity,
        )
        random_bits = rest.get("random_bits")
        placing = normalise(m, number, f, rounding, "placed", fine=self._fine)
        placed, random_bits = yield from beside(placing, random_bits)
        args = (rounding, accumulator.overflow, "next", random_bits)
        code = yield from to_code(m, placed, f, *args, fine=self._fine)
        return {"accumulator": code}

    def _kept_sign(self, sign: Value, clear: Value, accumulator: Float) -> Value:
        """Of the accumulator: with ``clear`` it has no say in a zero's sign."""
        positive = self._accumulating.zero_rounding is None and accumulator.rounding != DOWN
        if positive or not accumulator.format.has_minus_zero:
            return sign  # New sums' zeros are positive, and so are those of all, or have no sign.
        return zero_sign.restarted(sign, clear, accumulator.rounding)

    def normalise_output(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec, total = self._accumulating, live["accumulator"]
        assert spec.output is not None
        nan = infinity = None
        sign = total[-1]
        if spec.zero_rounding is not None:
            sign = sign | (live["kept_zero_sign"] & ~total.any())
        if spec.has_special:
            nan = live["nan"]
            infinity = live["positive_infinity"] | live["negative_infinity"]
            sign = Mux(infinity, live["negative_infinity"], sign)
        found = magnitude(m, total, "magnitude", fine=self._fine)
        number = FixedPoint(found, spec.accumulator_lsb_exponent, sign, nan, infinity)
        values = [number, passed(live, "random_bits")]
        number, rest = yield Part("magnitude", values)
        placing = normalise(m, number, spec.output, spec.rounding, "placed", fine=self._fine)
        placed, rest = yield from beside(placing, rest)
        return {**rest, "placed": placed}

    def round_output(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec = self._accumulating
        assert spec.output is not None
        args = (spec.rounding, spec.overflow, "rounded", live.get("random_bits"))
        code = yield from to_code(m, live["placed"], spec.output, *args, fine=self._fine)
        return {"result": code}


def _saturated(m: Module, total: Value, width: int) -> Signal:
    """``total`` clamped to ``width`` bits of two's complement."""
    wide = Signal(total.shape(), name="unbounded")
    found = Signal(signed(width), name="bounded")
    above = wide[width - 1 :]
    fits = above.all() | ~above.any()
    bound = Cat((~wide[-1]).replicate(width - 1), wide[-1])
    m.d.comb += [wide.eq(total), found.eq(Mux(fits, wide[:width], bound))]
    return found

"""The steps behind an exact sum: the accumulator, and what is rounded from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.arithmetic import path, zero_sign
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.float_add import Scaled, float_sum, normalised
from hwgen.arithmetic.magnitude import magnitude, magnitude_path
from hwgen.arithmetic.parts import Part, Parts, beside
from hwgen.arithmetic.path import Path
from hwgen.arithmetic.product import Special
from hwgen.arithmetic.rounder import FixedPoint, normalise, rounded_integer, to_code
from hwgen.formats.rounding import DOWN, RANDOM_BITS, STOCHASTIC
from hwgen.spec.accumulating import FLAGS, AccumulatingSpec
from hwgen.units.unit import Step, in_parts

Live = Mapping[str, Any]

#: The step that holds the running sum.
STATE = "accumulate"
#: What passes the exact sum by: controls, flags, and the sign of a zero sum's terms together.
BESIDE_SUM = ("clear", "random_bits", "special", "zero_sign")


def accumulating_outline(spec: AccumulatingSpec, sum_width: int) -> dict[str, tuple[float, int]]:
    """The steps in their order, from a cycle's sum on: delay in levels of LUTs, and bits of the
    data in front."""
    found: dict[str, tuple[float, int]] = {}
    width = spec.accumulator_width
    if isinstance(spec.accumulator, Float):
        found["normalised"] = ((sum_width - 1).bit_length(), sum_width)
        return {**found, STATE: (16.0, sum_width)}
    if isinstance(spec.accumulator, Fixed):
        found["term"] = (adder_delay(width), sum_width)
    found[STATE] = (adder_delay(width), sum_width)
    if spec.output is not None:
        found["normalise"] = (width.bit_length() + adder_delay(width), width)
        found["round"] = (adder_delay(spec.output.bits) + 2, width + 2)
    return found


def accumulating_paths(spec: AccumulatingSpec, sum_width: int) -> dict[str, Path]:
    """The longest way through each step of ``accumulating_outline`` that is not in parts."""
    found: dict[str, Path] = {}
    width, accumulator = spec.accumulator_width, spec.accumulator
    if isinstance(accumulator, Float):
        return {}
    if isinstance(accumulator, Fixed):
        found["term"] = path.any_of(sum_width) + path.adder(width)
    # The clear, and the flags that hold a term back, are in front of the chain; limits behind.
    saturates = isinstance(accumulator, Fixed) and accumulator.overflow != WRAP
    limits = path.any_of(width) + Path(luts=1) if saturates else Path()
    found[STATE] = Path(luts=1) + path.adder(width) + limits
    return found


class AccumulatingSteps:
    """The steps of a spec that has an accumulator.

    They take ``terms`` (the sum alone), ``clear``, ``special``, ``zero_sign`` and ``random_bits``
    where there are such, and what the accumulator held before.
    """

    def __init__(self, spec: AccumulatingSpec) -> None:
        self._accumulating = spec

    def steps(self, sum_width: int, state: Mapping[str, Signal]) -> list[Step]:
        """Those of ``accumulating_outline``; ``state``: the registers of the running sum."""
        longest = accumulating_paths(self._accumulating, sum_width)
        found = []
        for name, (levels, _) in accumulating_outline(self._accumulating, sum_width).items():
            kept = state if name == STATE else {}
            if name in longest:
                build = self._round_term if name == "term" else self.accumulate_fixed
                found.append(Step(name, levels, build, kept, longest[name]))
            else:
                found.append(in_parts(name, levels, self._in_parts[name], kept))
        return found

    @property
    def _in_parts(self) -> dict[str, Callable[[Module, Live], Parts[dict[str, Any]]]]:
        return {
            "normalised": self._normalise_sum,
            STATE: self.accumulate_float,
            "normalise": self._normalise_output,
            "round": self._round_output,
        }

    @property
    def _fine(self) -> bool:
        return bool(self._accumulating.tuned_for)

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

    def _round_term(self, m: Module, live: Live) -> dict[str, Any]:
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

    def _normalise_sum(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
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
        way = path.decoder(f) + Path(luts=1)
        value, term, rest = yield Part("decoded", way, decoded)
        # Bits below these are no more than a bit that tells of them: none that rounding adds to.
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

    def _normalise_output(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
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
        number, rest = yield Part("magnitude", magnitude_path(len(total)), values)
        placing = normalise(m, number, spec.output, spec.rounding, "placed", fine=self._fine)
        placed, rest = yield from beside(placing, rest)
        return {**rest, "placed": placed}

    def _round_output(self, m: Module, live: Live) -> Parts[dict[str, Any]]:
        spec = self._accumulating
        assert spec.output is not None
        args = (spec.rounding, spec.overflow, "rounded", live.get("random_bits"))
        code = yield from to_code(m, live["placed"], spec.output, *args, fine=self._fine)
        return {"result": code}


def passed(live: Live, *names: str) -> dict[str, Any]:
    return {name: live[name] for name in names if name in live}


def _saturated(m: Module, total: Value, width: int) -> Signal:
    """``total`` clamped to ``width`` bits of two's complement."""
    wide = Signal(total.shape(), name="unbounded")
    found = Signal(signed(width), name="bounded")
    above = wide[width - 1 :]
    fits = above.all() | ~above.any()
    bound = Cat((~wide[-1]).replicate(width - 1), wide[-1])
    m.d.comb += [wide.eq(total), found.eq(Mux(fits, wide[:width], bound))]
    return found


def adder_delay(width: int) -> float:
    """Levels of LUTs that an adder is worth: getting on and off the carry chain, and the chain."""
    return 1.5 + width / 16

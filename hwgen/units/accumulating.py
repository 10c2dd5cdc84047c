"""The steps behind an exact sum: the accumulator, and what is rounded from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.float_add import Scaled, float_sum, normalised
from hwgen.arithmetic.product import Special
from hwgen.arithmetic.rounder import FixedPoint, normalise, rounded_integer, to_code
from hwgen.formats import Minifloat
from hwgen.spec.accumulating import FLAGS, AccumulatingSpec
from hwgen.units import delay
from hwgen.units.delay import Path

Live = Mapping[str, Any]
Build = Callable[[Module, Live], dict[str, Any]]

#: The step that holds the running sum.
STATE = "accumulate"


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
    """The longest way through each step of ``accumulating_outline``."""
    found: dict[str, Path] = {}
    width, accumulator = spec.accumulator_width, spec.accumulator
    if isinstance(accumulator, Float):
        found["normalised"] = delay.magnitude(sum_width) + delay.leading_one(sum_width)
        return {**found, STATE: _float_path(sum_width, accumulator.format)}
    if isinstance(accumulator, Fixed):
        found["term"] = delay.any_of(sum_width) + delay.adder(width)
    # The clear, and the flags that hold a term back, are in front of the chain; limits behind.
    saturates = isinstance(accumulator, Fixed) and accumulator.overflow != WRAP
    limits = delay.any_of(width) + Path(luts=1) if saturates else Path()
    found[STATE] = Path(luts=1) + delay.adder(width) + limits
    if spec.output is not None:
        found["normalise"] = delay.magnitude(width) + delay.placing(width, 0, spec.output)
        found["round"] = delay.rounding(width, spec.output)
    return found


def _float_path(width: int, f: Minifloat) -> Path:
    """One rounded addition: order, distance, alignment, sum, leading one, rounding."""
    bits = max(width, f.precision) + 4
    exponent = delay.adder(f.exponent_bits + 2)
    order = delay.in_turn([delay.decoder(f), exponent, exponent, exponent, Path(luts=2)])
    add = (
        delay.shifter(bits.bit_length())
        + delay.any_of(bits)
        + delay.in_turn([delay.adder(bits), delay.adder(bits), Path(luts=2)])
    )
    return order + add + delay.placing(bits, f.exponent_bits, f) + delay.rounding(bits, f)


class AccumulatingSteps:
    """The steps of a spec that has an accumulator.

    They take ``terms`` (the sum alone), ``clear``, ``special`` and ``random_bits`` where
    there are such, and what the accumulator held before.
    """

    def __init__(self, spec: AccumulatingSpec) -> None:
        self._accumulating = spec

    def builds(self) -> dict[str, Build]:
        """The steps of ``accumulating_outline``, by name."""
        is_float = isinstance(self._accumulating.accumulator, Float)
        return {
            "term": self._round_term,
            "normalised": self._normalise_sum,
            STATE: self._accumulate_float if is_float else self._accumulate_fixed,
            "normalise": self._normalise_output,
            "round": self._round_output,
        }

    def registers(self) -> dict[str, Signal]:
        """What is kept from one input to the next."""
        spec = self._accumulating
        width = spec.accumulator_width
        if isinstance(spec.accumulator, Float):
            return {"accumulator": Signal(width, name="running")}
        flags = FLAGS if spec.has_special else ()
        return {
            "accumulator": Signal(signed(width), name="running"),
            **{flag: Signal(name=f"running_{flag}") for flag in flags},
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

    def _accumulate_fixed(self, m: Module, live: Live) -> dict[str, Any]:
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
        if spec.has_special:
            kept = {flag: live[flag] & ~clear for flag in FLAGS}
            plus = kept["positive_infinity"] | new.positive_infinity
            minus = kept["negative_infinity"] | new.negative_infinity
            nan = Signal(name="next_nan")
            m.d.comb += nan.eq(kept["nan"] | new.nan | (plus & minus))
            found |= dict(zip(FLAGS, (nan, plus & ~nan, minus & ~nan), strict=True))
        return found

    def _normalise_sum(self, m: Module, live: Live) -> dict[str, Any]:
        total = normalised(m, live["terms"][0], self._accumulating.lsb_exponent, "sum")
        rest = {name: value for name, value in live.items() if name != "terms"}
        return {**rest, "sum": total}

    def _accumulate_float(self, m: Module, live: Live) -> dict[str, Any]:
        accumulator = self._accumulating.accumulator
        assert isinstance(accumulator, Float)
        f, clear = accumulator.format, live["clear"]
        kept = decode(m, live["accumulator"], f, "running")
        assert kept.sign is not None
        value = Scaled(
            kept.sign,
            Mux(clear, 0, kept.significand),
            Mux(clear, 0, kept.shift) if kept.shift is not None else Const(0),
            f.lsb_exponent,
        )
        total = float_sum(m, value, live["sum"], f.precision, "step")
        nan, plus, minus = (Const(0), Const(0), Const(0))
        if "special" in live:
            new: Special = live["special"]
            nan, plus, minus = new.nan, new.positive_infinity, new.negative_infinity
        if kept.nan is not None:
            nan = nan | (kept.nan & ~clear)
        if kept.infinity is not None:
            plus = plus | (kept.infinity & ~clear & ~kept.sign)
            minus = minus | (kept.infinity & ~clear & kept.sign)
        infinity = plus | minus
        number = dataclasses.replace(
            total,
            sign=Mux(infinity, minus, total.sign),
            nan=nan | (plus & minus),
            infinity=infinity,
        )
        placed = normalise(m, number, f, accumulator.rounding, "placed")
        code = to_code(
            m,
            placed,
            f,
            accumulator.rounding,
            accumulator.overflow,
            "next",
            live.get("random_bits"),
        )
        return {"accumulator": code}

    def _normalise_output(self, m: Module, live: Live) -> dict[str, Any]:
        spec, total = self._accumulating, live["accumulator"]
        assert spec.output is not None
        nan = infinity = None
        sign = total[-1]
        if spec.has_special:
            nan = live["nan"]
            infinity = live["positive_infinity"] | live["negative_infinity"]
            sign = Mux(infinity, live["negative_infinity"], sign)
        magnitude = Signal(len(total), name="magnitude")
        m.d.comb += magnitude.eq(abs(total))
        number = FixedPoint(magnitude, spec.accumulator_lsb_exponent, sign, nan, infinity)
        placed = normalise(m, number, spec.output, spec.rounding, "placed")
        return {**passed(live, "random_bits"), "placed": placed}

    def _round_output(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self._accumulating
        assert spec.output is not None
        code = to_code(
            m,
            live["placed"],
            spec.output,
            spec.rounding,
            spec.overflow,
            "rounded",
            live.get("random_bits"),
        )
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

"""The steps behind an exact sum: the accumulator, and what is rounded from it."""

from __future__ import annotations

import dataclasses
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.arithmetic import fused, zero_sign
from hwgen.arithmetic.coding import rounded_integer, to_code
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.float_add import Scaled, float_sum, normalised
from hwgen.arithmetic.magnitude import magnitude
from hwgen.arithmetic.partial_sums import PartialSums, partial_sums
from hwgen.arithmetic.pending_sum import fitted_term, pending_step
from hwgen.arithmetic.product import Special
from hwgen.arithmetic.rounder import FixedPoint, normalise
from hwgen.arithmetic.segmented import Boundary, Segmented, along, carry_along, cut, whole
from hwgen.formats.rounding import DOWN, drawn_bits
from hwgen.formats.scalar import SPECIAL
from hwgen.sizes.rounding import GROUP
from hwgen.spec.accumulating import FLAGS, AccumulatingSpec
from hwgen.units.unit import Signals, passed

#: What passes the exact sum by: controls, flags, and the sign of a zero sum's terms together.
PAST_SUM = ("clear", "random_bits", "special", "zero_sign")


class Accumulating:
    """The builders of the steps of ``hwgen.spec.steps.accumulating``.

    They take ``terms`` (the sum alone), ``clear``, ``special``, ``zero_sign`` and ``random_bits``
    where there are such, and what the accumulator held before.
    """

    def __init__(self, spec: AccumulatingSpec) -> None:
        self._accumulating = spec

    @property
    def _split(self) -> bool:
        return self._accumulating.is_tuned

    def registers(self) -> dict[str, Signal]:
        """The registers that hold what stays from one input to the next, by name."""
        spec = self._accumulating
        width = spec.accumulator_width
        if spec.interleave > 1:
            return {}  # They are those of ``partial_sums``.
        if spec.pending is not None:
            width = spec.pending.width
        elif isinstance(spec.accumulator, Float):
            return {"accumulator": Signal(width, name="running")}
        flags = FLAGS if spec.keeps_flags else ()
        signs = ("kept_zero_sign",) if spec.keeps_zero_sign else ()
        return {
            "accumulator": Signal(signed(width), name="running"),
            **{name: Signal(name=f"running_{name}") for name in (*flags, *signs)},
        }

    def partial_sums(self) -> PartialSums:
        """New registers of the partial sums of an accumulator that has several."""
        spec = self._accumulating
        return partial_sums(spec.accumulator_width, spec.interleave, "running")

    def round_term(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms``, the sum rounded to the accumulator's fraction bits."""
        accumulator = self._accumulating.accumulator
        assert isinstance(accumulator, Fixed)
        term = rounded_integer(
            m,
            signals["terms"][0],
            self._accumulating.lsb_exponent,
            -accumulator.fraction_bits,
            accumulator.rounding,
            "term",
            signals.get("random_bits"),
        )
        return {**signals, "terms": [term]}

    def accumulate_fixed(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The running sum with this cycle's term, the flags it has, and the sign of its zero.

        A :class:`hwgen.Fixed` accumulator that does not wrap is clamped to its width.
        """
        spec, register = self._accumulating, signals["accumulator"]
        clear, (term,) = signals["clear"], signals["terms"]
        if spec.has_special:
            # A cycle with an infinity or NaN adds nothing beside its flag.
            new: Special = signals["special"]
            term = Mux(new.nan | new.positive_infinity | new.negative_infinity, 0, term)
        total = Mux(clear, 0, register) + term
        accumulator = spec.accumulator
        if isinstance(accumulator, Fixed) and accumulator.overflow != WRAP:
            total = _saturated(m, total, spec.accumulator_width)
        values = {**passed(signals, "random_bits"), "accumulator": total}
        if spec.zero_rounding is not None:
            # A partial sum that comes in is an integer, and its zero positive.
            sign_before = signals.get("kept_zero_sign", register[-1])
            sign_before = zero_sign.restarted(sign_before, clear, spec.zero_rounding)
            signs = (sign_before, signals["zero_sign"])
            values["kept_zero_sign"] = zero_sign.sign_of_zeros(
                m, signs, spec.zero_rounding, "next_zero_sign"
            )
        if spec.has_special:
            values |= _flags(m, {flag: signals[flag] & ~clear for flag in FLAGS}, new)
        return values

    def fit_term(self, m: Module, signals: Signals) -> dict[str, Any]:
        """``terms``, the sum in units of a ``fast`` accumulator; its sign, of a zero too."""
        spec, (term,) = self._accumulating, signals["terms"]
        assert spec.pending is not None
        fitted: Value = fitted_term(m, term, spec.lsb_exponent, spec.pending, "term")
        values = passed(signals, "clear", "special")
        if spec.has_special:
            new: Special = signals["special"]
            fitted = Mux(new.nan | new.positive_infinity | new.negative_infinity, 0, fitted)
        if spec.keeps_zero_sign:
            values["zero_sign"] = self.sign_of_sum(signals)
        return {**values, "terms": [fitted.as_signed()]}

    def accumulate_pending(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The running sum, rounded, with this cycle's term; its flags, and its sign as a zero."""
        spec, total, clear = self._accumulating, signals["accumulator"], signals["clear"]
        plan, (_, rounding, overflow) = spec.pending, spec.rounded_to
        assert plan is not None
        step = pending_step(m, total, signals["terms"][0], clear, plan, rounding, "step")
        values: dict[str, Any] = {"accumulator": step.total}
        if spec.keeps_zero_sign:
            # A number that rounds to zero leaves its sign.
            before = zero_sign.restarted(self._sign_of_kept(signals), clear, rounding)
            signs = (before, signals["zero_sign"])
            values["kept_zero_sign"] = zero_sign.sign_of_zeros(m, signs, rounding, "next_zero_sign")
        if spec.keeps_flags:
            held = {flag: signals[flag] for flag in FLAGS}
            if overflow == SPECIAL:
                is_number = ~Cat(held.values()).any()
                held["positive_infinity"] |= is_number & step.above
                held["negative_infinity"] |= is_number & step.below
            held = {flag: value & ~clear for flag, value in held.items()}
            values |= _flags(m, held, signals.get("special"))
        return values

    def _sign_of_kept(self, signals: Signals) -> Value:
        """The sign of the running sum in fixed point, of a zero too."""
        total = signals["accumulator"]
        if not self._accumulating.keeps_zero_sign:
            return total[-1]
        return total[-1] | (signals["kept_zero_sign"] & ~total.any())

    def normalise_sum(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``sum``, the cycle's sum as a float: a significand with a leading one, and its shift."""
        carried: Any = {k: v for k, v in signals.items() if k not in ("terms", "zero_sign")}
        lsb_exponent, (term,) = self._accumulating.lsb_exponent, signals["terms"]
        sign = self.sign_of_sum(signals)
        normalising = normalised(m, term, sign, lsb_exponent, "sum", split=self._split)
        total, carried = yield from carry_along(normalising, carried)
        return {**carried, "sum": total}

    def sign_of_sum(self, signals: Signals) -> Value:
        """The sign bit of a cycle's sum, which becomes a float; of a zero too."""
        (term,), rounding = signals["terms"], self._accumulating.zero_rounding
        if rounding is None:
            return zero_sign.of_sum(term, None, "")
        return zero_sign.of_sum(term, signals["zero_sign"], rounding)

    def accumulate_float(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """The code to hold: of ``sum`` and what the accumulator held, rounded once."""
        accumulator = self._accumulating.accumulator
        assert isinstance(accumulator, Float)
        f, clear = accumulator.format, signals["clear"]
        held = decode(m, signals["accumulator"], f, "running")
        assert held.sign is not None
        rounding = accumulator.rounding
        value = Scaled(
            self._kept_sign(held.sign, clear, accumulator),
            Mux(clear, 0, held.significand),
            Mux(clear, 0, held.shift) if held.shift is not None else Const(0),
            f.lsb_exponent,
        )
        flags = {"clear": clear, "kept": [held.nan, held.infinity, held.sign]}
        decoded = [value, signals["sum"], {**flags, **passed(signals, "special", "random_bits")}]
        value, term, carried = yield Boundary("decoded", decoded)
        precision = f.precision + drawn_bits(rounding)
        adding = float_sum(m, value, term, precision, rounding, "step", split=self._split)
        total, carried = yield from carry_along(adding, carried)
        clear = carried["clear"]
        held_nan, held_infinity, held_sign = carried["kept"]
        nan, infinity, minus = _special_of_step(
            carried.get("special"), held_nan, held_infinity, held_sign, clear
        )
        number = dataclasses.replace(
            total, sign=Mux(infinity, minus, total.sign), nan=nan, infinity=infinity
        )
        random_bits = carried.get("random_bits")
        placing = normalise(m, number, f, rounding, "placed", split=self._split)
        placed, random_bits = yield from carry_along(placing, random_bits)
        args = (rounding, accumulator.overflow, "next", random_bits)
        code = yield from to_code(m, placed, f, *args, split=self._split)
        return {"accumulator": code}

    def place_term(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``term``: the only product, in the window of the sum with what the accumulator held."""
        window, (product,) = self._accumulating.window, signals["products"]
        assert window is not None
        placing = fused.term(m, product, signals.get("zero_sign"), window, "term")
        carried = passed(signals, "clear", "random_bits", "special")
        placed, carried = yield from carry_along(placing, carried)
        return {**carried, "term": placed}

    def accumulate_fused(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """The code to keep: of ``term``, or the cycle's sum, and what was kept, rounded once."""
        accumulator, window = self._accumulating.accumulator, self._accumulating.window
        assert isinstance(accumulator, Float) and window is not None
        f, rounding = accumulator.format, accumulator.rounding
        clear, term = signals["clear"], signals.get("term")
        if term is None:
            (total,) = signals["terms"]
            total = total[: window.term_bits + 1].as_signed()
            term = fused.sum_term(total, self.sign_of_sum(signals), window)
        held = decode(m, signals["accumulator"], f, "running", raised=True, special_is_zero=False)
        if accumulator.interleave > 1:
            return (yield from self._fused_in_segments(m, term, held, signals))
        number = whole(fused.fused_sum(m, term, held, clear, window, "step", split=False))
        placing = fused.placed_sum(m, number, window, f, rounding, "placed", split=False)
        placed, _ = whole(placing)
        sign = fused.sign_of(m, number, term, held, clear, placed, rounding, "step_sign")
        assert held.sign is not None
        nan, infinity, minus = _special_of_step(
            signals.get("special"), held.nan, held.infinity, held.sign, clear
        )
        placed = dataclasses.replace(
            placed, sign=Mux(infinity, minus, sign), nan=nan, infinity=infinity
        )
        args = (rounding, accumulator.overflow, "next", signals.get("random_bits"))
        code = yield from to_code(m, placed, f, *args, split=False)
        return {"accumulator": code}

    def _fused_in_segments(
        self, m: Module, term: fused.Term, held: Operand, signals: Signals
    ) -> Segmented[dict[str, Any]]:
        """As ``accumulate_fused``, in a loop of partial sums.

        ``held``: the one that the ``term`` meets, or nothing of it with ``clear``.
        """
        accumulator, window = self._accumulating.accumulator, self._accumulating.window
        assert isinstance(accumulator, Float) and window is not None
        f, rounding = accumulator.format, accumulator.rounding
        values = [term.significand, term.place, term.sign, term.zero_sign]
        values += [held.significand, held.sign, held.shift, held.nan, held.infinity]
        beside = [signals["clear"], signals.get("special"), signals.get("random_bits")]
        in_halves = f.special_binade and held.nan is not None and held.infinity is not None
        if in_halves:
            # Behind a register they are NaN and infinity, which take longer than the rest.
            code = signals["accumulator"]
            exponent = code[f.mantissa_bits : f.magnitude_bits]
            fraction = code[: f.mantissa_bits]
            parts = [fraction[i : i + GROUP].any() for i in range(0, len(fraction), GROUP)]
            values[-2:] = [parts, exponent.all()]
        values = yield from cut("decoded", [values, beside])
        (*of_term, significand, sign, shift, nan, infinity), (clear, special, random) = values
        if in_halves:
            nan, infinity = Cat(nan).any() & infinity, infinity & ~Cat(nan).any()
        term, held = fused.Term(*of_term), Operand(significand, sign, shift, nan, infinity)
        is_nan, is_infinite, minus = _special_of_step(special, nan, infinity, sign, clear)
        zero, sign = fused.zero_sign_of(term, held, clear, rounding), term.sign
        may_be_nan = nan is not None or special is not None
        may_be_infinite = infinity is not None or special is not None
        if may_be_infinite:
            zero, sign = Mux(is_infinite, minus, zero), Mux(is_infinite, minus, sign)
        beside = [is_nan if may_be_nan else None, is_infinite if may_be_infinite else None]
        adding = fused.fused_sum(m, term, held, clear, window, "step", split=True)
        number, beside = yield from along(adding, [*beside, zero, sign, random])
        values = [number.number, number.negative, number.lost, number.exponent]
        values, beside = yield from cut("total", [values, beside])
        number = fused.Sum(*values)
        is_nan, is_infinite, zero, sign, random = beside
        sign ^= number.negative if is_infinite is None else number.negative & ~is_infinite
        placing = fused.placed_sum(m, number, window, f, rounding, "placed", split=True)
        beside = [is_nan, is_infinite, zero, sign, random]
        (placed, nonzero), beside = yield from along(placing, beside)
        is_nan, is_infinite, zero, sign, random = beside
        step_sign = Signal(name="step_sign")
        m.d.comb += step_sign.eq(Mux(nonzero, sign, zero))
        placed = dataclasses.replace(placed, sign=step_sign, nan=is_nan, infinity=is_infinite)
        args = (rounding, accumulator.overflow, "next", random)
        return {"accumulator": (yield from to_code(m, placed, f, *args, split=True))}

    def _kept_sign(self, sign: Value, clear: Value, accumulator: Float) -> Value:
        """The accumulator's sign bit: with ``clear`` it has no say in a zero's sign."""
        positive = self._accumulating.zero_rounding is None and accumulator.rounding != DOWN
        if positive or not accumulator.format.has_minus_zero:
            return sign  # New sums' zeros are positive, and so are those of all, or have no sign.
        return zero_sign.restarted(sign, clear, accumulator.rounding)

    def normalise_output(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``placed``, the running sum's leading bits where the output's rounding takes them."""
        spec, total = self._accumulating, signals["accumulator"]
        target, rounding, _ = spec.rounded_to
        nan = infinity = None
        sign = self._sign_of_kept(signals)
        if spec.keeps_flags:
            nan = signals["nan"]
            infinity = signals["positive_infinity"] | signals["negative_infinity"]
            sign = Mux(infinity, signals["negative_infinity"], sign)
        significand = magnitude(m, total, "magnitude", split=self._split)
        unit = spec.accumulator_lsb_exponent if spec.pending is None else spec.pending.lsb_exponent
        number = FixedPoint(significand, unit, sign, nan, infinity)
        values = [number, passed(signals, "random_bits")]
        number, carried = yield Boundary("magnitude", values)
        placing = normalise(m, number, target, rounding, "placed", split=self._split)
        placed, carried = yield from carry_along(placing, carried)
        return {**carried, "placed": placed}

    def round_output(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """``result``, the output's code of the running sum; of a ``fast`` one ``accumulator``."""
        spec = self._accumulating
        target, rounding, overflow = spec.rounded_to
        args = (rounding, overflow, "rounded", signals.get("random_bits"))
        code = yield from to_code(m, signals["placed"], target, *args, split=self._split)
        return {"accumulator" if spec.output is None else "result": code}


def _flags(m: Module, held: dict[str, Value], new: Special | None) -> dict[str, Value]:
    """What a running sum is instead of a number, by the flags it had, and a cycle's sum has."""
    nan, plus, minus = (held[flag] for flag in FLAGS)
    if new is not None:
        nan, plus = nan | new.nan, plus | new.positive_infinity
        minus = minus | new.negative_infinity
    is_nan = Signal(name="next_nan")
    m.d.comb += is_nan.eq(nan | (plus & minus))
    return dict(zip(FLAGS, (is_nan, plus & ~is_nan, minus & ~is_nan), strict=True))


def _special_of_step(
    new: Special | None, nan: Value | None, infinity: Value | None, sign: Value, clear: Value
) -> tuple[Value, Value, Value]:
    """Whether a float accumulator becomes NaN, whether infinite, and then whether negative.

    ``new``: of a cycle's sum; the others: of what was kept.
    """
    is_nan, plus, minus = (Const(0), Const(0), Const(0))
    if new is not None:
        is_nan, plus, minus = new.nan, new.positive_infinity, new.negative_infinity
    if nan is not None:
        is_nan = is_nan | (nan & ~clear)
    if infinity is not None:
        plus = plus | (infinity & ~clear & ~sign)
        minus = minus | (infinity & ~clear & sign)
    return is_nan | (plus & minus), plus | minus, minus


def _saturated(m: Module, total: Value, width: int) -> Signal:
    """``total`` clamped to ``width`` bits of two's complement."""
    unbounded = Signal(total.shape(), name="unbounded")
    bounded = Signal(signed(width), name="bounded")
    above = unbounded[width - 1 :]
    fits = above.all() | ~above.any()
    bound = Cat((~unbounded[-1]).replicate(width - 1), unbounded[-1])
    m.d.comb += [unbounded.eq(total), bounded.eq(Mux(fits, unbounded[:width], bound))]
    return bounded

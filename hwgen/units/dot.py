"""The dot product with a running accumulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.accumulator import WRAP, Fixed, Float
from hwgen.arithmetic.adder_tree import tree_level, tree_levels
from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.float_add import Scaled, float_sum, normalised
from hwgen.arithmetic.product import Special, align, multiply
from hwgen.arithmetic.rounder import FixedPoint, normalise, rounded_integer, to_code
from hwgen.formats import Integer, Minifloat, Scalar
from hwgen.formats.widths import signed_width, value_range
from hwgen.spec.dot import DotProduct
from hwgen.units.unit import Step, Unit, cuts_of

FLAGS = ("nan", "positive_infinity", "negative_infinity")

Live = Mapping[str, Any]
Build = Callable[[Module, Live], dict[str, Any]]


#: The step that holds the running sum.
STATE = "accumulate"


def outline(spec: DotProduct) -> dict[str, tuple[float, int]]:
    """The steps in their order: delay in levels of LUTs, and bits of the data in front."""
    a, b, lanes, accumulator = spec.a, spec.b, spec.lanes, spec.accumulator
    sum_width, width = spec.sum_width, spec.accumulator_width
    product_bits = a.precision + b.precision + 1 + _shift_bits(a, b)
    found = {
        "operands": (max(decode_delay(f) for f in (a, b)), lanes * (a.bits + b.bits)),
        "products": (product_delay(a, b), lanes * (_decoded_bits(a) + _decoded_bits(b))),
        "aligned": (shift_delay(a, b), lanes * product_bits),
    }
    terms = [1] * lanes
    for level in range(1, tree_levels(lanes) + 1):
        bits = sum(spec.width_of_sum(count) for count in terms)
        terms = [sum(terms[i : i + 2]) for i in range(0, len(terms), 2)]
        found[f"level{level}"] = (adder_delay(spec.width_of_sum(max(terms))), bits)
    if spec.addend is not None:
        bits = spec.width_of_sum(lanes)
        found["addend"] = (_one_shift_delay(spec.addend), bits + _decoded_bits(spec.addend))
        found["plus"] = (adder_delay(sum_width), bits + sum_width)
    if isinstance(accumulator, Float):
        found["normalised"] = ((sum_width - 1).bit_length(), sum_width)
        return {**found, STATE: (16.0, sum_width)}
    if isinstance(accumulator, Fixed):
        found["term"] = (adder_delay(width), sum_width)
    found[STATE] = (adder_delay(width), sum_width)
    if spec.output is not None:
        found["normalise"] = (width.bit_length() + adder_delay(width), width)
        found["round"] = (adder_delay(spec.output.bits) + 2, width + 2)
    return found


def cuts(spec: DotProduct) -> frozenset[str]:
    """The steps that have a register in front, beside the one behind the accumulator."""
    names = list(outline(spec))
    delays = [delay for delay, _ in outline(spec).values()]
    return frozenset(names[i] for i in cuts_of(delays, spec.latency, names.index(STATE)))


class DotProductUnit(Unit):
    """Hardware of a :class:`hwgen.DotProduct` spec; initiation interval 1.

    Ports beside those of every unit
    --------------------------------
    clear : In(1)
        The accumulator restarts with this cycle's sum (with ``valid_in``).
    a, b : In(lanes * bits)
        Codes, lane 0 in the lowest bits.
    c : In(bits)
        Code of the addend, with an addend format only.
    random_bits : In(32)
        For stochastic rounding only.
    accumulator : Out(signed(accumulator_width)), or Out(bits) of a float one's codes
        Without an output format: the running sum, in units of 2**accumulator_lsb_exponent; it
        keeps its value between results.
    nan, positive_infinity, negative_infinity : Out(1)
        Beside a fixed-point accumulator, where operands can be such.
    result : Out(output.bits)
        With an output format: the code of the running sum, kept between results.
    """

    spec: DotProduct

    def steps(self) -> Sequence[Step]:
        builds: dict[str, Build] = {
            "operands": self._operands,
            "products": self._products,
            "aligned": self._align,
            "addend": self._align_addend,
            "plus": self._add_addend,
            "term": self._round_term,
            "normalised": self._normalise_sum,
            STATE: self._accumulate_fixed,
            "normalise": self._normalise_output,
            "round": self._round_output,
        }
        if isinstance(self.spec.accumulator, Float):
            builds[STATE] = self._accumulate_float
        for level in range(1, tree_levels(self.spec.lanes) + 1):
            builds[f"level{level}"] = partial(self._add, level)
        return [
            Step(name, delay, builds[name], self._registers() if name == STATE else {})
            for name, (delay, _) in outline(self.spec).items()
        ]

    def _registers(self) -> dict[str, Signal]:
        """What is kept from one input to the next."""
        spec = self.spec
        width = spec.accumulator_width
        if isinstance(spec.accumulator, Float):
            return {"accumulator": Signal(width, name="running")}
        flags = FLAGS if spec.has_special else ()
        return {
            "accumulator": Signal(signed(width), name="running"),
            **{flag: Signal(name=f"running_{flag}") for flag in flags},
        }

    def _operands(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        addend = {}
        if spec.addend is not None:
            addend = {"c": decode(m, live["c"], spec.addend, "c")}
        return {
            **passed(live, "clear", "random_bits"),
            **addend,
            **{
                name: [
                    decode(m, live[name].word_select(lane, f.bits), f, f"lane_{lane}_{name}")
                    for lane in range(spec.lanes)
                ]
                for name, f in (("a", spec.a), ("b", spec.b))
            },
        }

    def _products(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        products = [
            multiply(m, x, y, spec.a, spec.b, f"lane_{lane}")
            for lane, (x, y) in enumerate(zip(live["a"], live["b"], strict=True))
        ]
        found: dict[str, Any] = passed(live, "clear", "random_bits")
        terms = list(products)
        if spec.addend is not None:
            # An addend is its product with one.
            addend = multiply(
                m, live["c"], Operand(Const(1, 1)), spec.addend, Integer(1, False), "c"
            )
            terms.append(addend)
            found["addend"] = dataclasses.replace(addend, special=None)
        special = any_special([p.special for p in terms if p.special is not None])
        if special is not None:
            found["special"] = special
        return {**found, "products": [dataclasses.replace(p, special=None) for p in products]}

    def _align(self, m: Module, live: Live) -> dict[str, Any]:
        width = self.spec.product_width
        terms = [align(m, p, width, f"lane_{i}") for i, p in enumerate(live["products"])]
        return {**passed(live, "clear", "random_bits", "special", "addend"), "terms": terms}

    def _align_addend(self, m: Module, live: Live) -> dict[str, Any]:
        spec = self.spec
        assert spec.addend is not None
        steps = align(m, live["addend"], signed_width(*value_range(spec.addend)), "addend")
        return {**live, "addend": steps}

    def _add_addend(self, m: Module, live: Live) -> dict[str, Any]:
        """The finer of the two steps is the sum's."""
        spec = self.spec
        assert spec.addend is not None
        total = Signal(signed(spec.sum_width), name="sum_with_addend")
        products = live["terms"][0] << (spec.product_lsb_exponent - spec.lsb_exponent)
        addend = live["addend"] << (spec.addend.lsb_exponent - spec.lsb_exponent)
        m.d.comb += total.eq(products + addend)
        return {**passed(live, "clear", "random_bits", "special"), "terms": [total]}

    def _add(self, level: int, m: Module, live: Live) -> dict[str, Any]:
        return {**live, "terms": tree_level(m, live["terms"], f"sum_level{level}")}

    def _round_term(self, m: Module, live: Live) -> dict[str, Any]:
        accumulator = self.spec.accumulator
        assert isinstance(accumulator, Fixed)
        term = rounded_integer(
            m,
            live["terms"][0],
            self.spec.lsb_exponent,
            -accumulator.fraction_bits,
            accumulator.rounding,
            "term",
            live.get("random_bits"),
        )
        return {**live, "terms": [term]}

    def _accumulate_fixed(self, m: Module, live: Live) -> dict[str, Any]:
        spec, register = self.spec, live["accumulator"]
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
        total = normalised(m, live["terms"][0], self.spec.lsb_exponent, "sum")
        return {**passed(live, "clear", "random_bits", "special"), "sum": total}

    def _accumulate_float(self, m: Module, live: Live) -> dict[str, Any]:
        accumulator = self.spec.accumulator
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
        spec, total = self.spec, live["accumulator"]
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
        spec = self.spec
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


def any_special(terms: Sequence[Special]) -> Special | None:
    """The flags of a sum: those that any of its terms has."""
    if not terms:
        return None
    return Special(
        Cat(s.nan for s in terms).any(),
        Cat(s.positive_infinity for s in terms).any(),
        Cat(s.negative_infinity for s in terms).any(),
    )


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


def _decoded_bits(number_format: Scalar) -> int:
    """Sign, significand and shift."""
    f = number_format
    if not isinstance(f, Minifloat):
        return f.bits
    return int(f.signed) + f.precision + (f.exponent_bits if f.exponent_bits > 1 else 0)


def _shift_bits(a: Scalar, b: Scalar) -> int:
    """Bits of the sum of the operands' shifts."""
    bits = [f.exponent_bits for f in (a, b) if isinstance(f, Minifloat) and f.exponent_bits > 1]
    return max(bits) + len(bits) - 1 if bits else 0


def _one_shift_delay(number_format: Scalar) -> float:
    """Levels of the shifter of one decoded number."""
    return 0.7 * number_format.exponent_bits if isinstance(number_format, Minifloat) else 0.0


def decode_delay(number_format: Scalar) -> float:
    if not isinstance(number_format, Minifloat):
        return 0.0
    return 1.0 if number_format.exponent_bits <= 3 else 2.0


def product_delay(a: Scalar, b: Scalar) -> float:
    """Rows of the narrower significand, added in pairs."""
    rows = min(f.precision for f in (a, b))
    return 1.0 + 1.5 * (rows - 1).bit_length()


def shift_delay(a: Scalar, b: Scalar) -> float:
    """Levels of the shifter."""
    return 0.7 * _shift_bits(a, b)

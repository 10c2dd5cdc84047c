"""The properties, as data: what each claims of a unit, for runs from a given start.

A property is a function that lists claims. All of them together are the property: if each is
proved from an arbitrary state, it holds at all times.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from hwgen import emit
from hwgen.accumulator import Exact, Fixed, Float
from hwgen.errors import InputError
from hwgen.formats import Integer, Minifloat, Scalar
from hwgen.pins import module_name
from hwgen.spec import AccumulatorToFloat, DotProduct, FixedDot, Multiply, Spec, SumSquares
from hwgen.spec.accumulating import FLAGS
from sim.formal.aig import FALSE, TRUE
from sim.formal.circuit import Circuit, Words, from_netlist, from_rtlil, from_verilog
from sim.formal.references import (
    DEFINED_MODES,
    TOLD_BITS,
    Addend,
    addend,
    has_plain_numbers,
    has_plain_value,
    is_rounded,
    leading_one_cases,
    meanings,
    rounded_sum,
    tabulated,
    truth_table,
    value,
)
from sim.formal.run import RUNNING, Result, Start, compared, control, outputs_of, result, run
from sim.formal.solve import TABLE_INPUTS, Claim
from sim.formal.stream import stream_claims
from sim.formal.words import Word
from yosys_scripts import flow

#: Some lanes of a dot product, rising.
Lanes = tuple[int, ...]


class NotApplicable(Exception):
    """The property says nothing about this unit; the message says why."""


@dataclass(frozen=True)
class Subject:
    """A unit under proof, and its hardware when it is needed.

    ``verilog`` stands in for the unit's own, or for the mapped netlist where ``target`` is
    given: for tests that break it. ``read``: the unit, if it has been read already.
    """

    spec: Spec
    target: str | None = None
    verilog: str | None = None
    read: Circuit | None = None

    @cached_property
    def unit(self) -> Circuit:
        """The unit at register-transfer level."""
        if self.verilog is not None and self.target is None:
            return from_verilog(self.verilog, self.spec.name)
        if self.read is not None:
            return self.read
        return from_rtlil({self.spec.name: emit.rtlil(self.spec)})[self.spec.name]

    @cached_property
    def netlist(self) -> Circuit:
        """After synthesis, in the vendor's cells."""
        assert self.target is not None
        rtlil = emit.rtlil(self.spec)
        spec = self.spec
        found = flow.netlist(rtlil, spec.name, target=self.target, mapping=spec.mapping)
        if self.verilog is not None:
            found = dataclasses.replace(found, verilog=self.verilog)
        return from_netlist(found)

    @cached_property
    def least(self) -> Circuit:
        """The same unit with as few registers as it can have."""
        least = least_stages(self.spec)
        return from_rtlil({least.name: emit.rtlil(least)})[least.name]

    @cached_property
    def stream(self) -> Circuit:
        """The AXI4-Stream form."""
        text = self.verilog
        if text is None:
            text = emit.verilog(self.spec, stream=True)
        return from_verilog(text, module_name(self.spec, stream=True))


def least_stages(spec: Spec) -> Spec:
    """The spec with the fewest stages that it takes."""
    given: Any = spec
    for stages in range(1, spec.latency):
        try:
            return dataclasses.replace(given, stages=stages)  # type: ignore[no-any-return]
        except InputError:
            continue
    return spec


def netlist(start: Start, subject: Subject) -> Iterable[Claim]:
    """Netlist and RTL have the same outputs for the same inputs; the netlist stands still, is
    reset and says what is valid as every unit does. A dot product whose claims of ``reference``
    define it is compared by them: both have to keep all of them."""
    spec = subject.spec
    yield from control(start, spec, subject.netlist)
    if isinstance(spec, DotProduct) and why_not_plain(spec) is None:
        yield from _dot(start, spec, subject.unit, "RTL ")
        yield from _dot(start, spec, subject.netlist, "netlist ")
        return
    yield from _alike("results", start, spec, subject.unit, spec, subject.netlist)


def pipeline(start: Start, subject: Subject) -> Iterable[Claim]:
    """Results are those of the form with the fewest registers, as many cycles later."""
    spec, least = subject.spec, least_stages(subject.spec)
    yield from control(start, spec, subject.unit)
    if least == spec:
        return
    yield from _alike("results", start, least, subject.least, spec, subject.unit)


def _alike(
    name: str, start: Start, x_spec: Spec, x: Circuit, y_spec: Spec, y: Circuit
) -> Iterable[Claim]:
    """Both circuits' results of the same inputs, with the same kept outputs before them."""
    wanted = result(start, x_spec, x, "expected")
    got = result(start, y_spec, y, "unit", first=wanted.first, before=wanted.before)
    ports = outputs_of(y_spec, got.outputs, wanted.outputs)
    yield compared(name, start, got.cycles, ports)


def reference(start: Start, subject: Subject) -> Iterable[Claim]:
    """Results are those of the plain definition."""
    spec = subject.spec
    yield from control(start, spec, subject.unit)
    if isinstance(spec, DotProduct):
        if _rounds_small_sums(spec):
            yield _rounded_sums(start, spec, subject.unit)
            return
        yield from _dot(start, spec, subject.unit)
        return
    got = result(start, spec, subject.unit, "unit")
    ports: dict[str, tuple[list[int], list[int]]]
    if isinstance(spec, Multiply) and has_plain_value(spec.a) and has_plain_value(spec.b):
        product = _product(start, spec.a, spec.b, got.first["a"], got.first["b"])
        ports = {"product": (got.outputs["product"], product.cut(spec.product_width))}
        yield compared("product", start, got.cycles, ports)
    elif isinstance(spec, AccumulatorToFloat) and spec.rounding in DEFINED_MODES:
        code = got.outputs["result"]
        right = is_rounded(start.aig, spec, got.first["sum"], code)
        ports = {"result is the one that the sum rounds to": ([right], [TRUE])}
        claim = compared("rounding", start, got.cycles, ports)
        yield dataclasses.replace(claim, cases=leading_one_cases(got.first["sum"]))
    elif sum(port.width for port in spec.inputs) <= TABLE_INPUTS:
        wanted = truth_table(start.aig, spec, got.first)
        ports = outputs_of(spec, got.outputs, wanted)
        yield compared("results", start, got.cycles, ports)
    else:
        raise NotApplicable(
            f"no plain definition of unit {spec.unit} is written for these formats, and a truth "
            f"table is made for up to {TABLE_INPUTS} bits of inputs"
        )


def _rounds_small_sums(spec: DotProduct) -> bool:
    """Its sums are rounded to a minifloat of numbers, and few bits decide each result."""
    f = _result_format(spec)
    return (
        isinstance(f, Minifloat)
        and f.has_minus_zero
        and not (f.has_nan or f.has_infinity or spec.has_special)
        and not isinstance(spec.accumulator, Fixed)
        and _rounding(spec) in DEFINED_MODES
        and all(x.bits <= TOLD_BITS for x in (spec.a, spec.b))
    )


def _result_format(spec: DotProduct) -> Scalar | None:
    return spec.accumulator.format if isinstance(spec.accumulator, Float) else spec.output


def _rounding(spec: DotProduct) -> str:
    return spec.accumulator.rounding if isinstance(spec.accumulator, Float) else spec.rounding


def _rounded_sums(start: Start, spec: DotProduct, unit: Circuit) -> Claim:
    """Each result, with the sign of zeros. Of a float accumulator: the rounded sum of what it was
    and of the products, or of these alone with ``clear``. Of an exact one, whose signs and sums no
    port shows: of one cycle with ``clear``, and of one that adds to it if few bits decide."""
    f = _result_format(spec)
    assert isinstance(f, Minifloat)
    lanes = sum(port.width for port in spec.inputs if port.name != "clear")
    name = spec.outputs[0].name
    if isinstance(spec.accumulator, Float):
        got = result(start, spec, unit, "unit")
        sources = [got.before[name], got.first["clear"], *_operand_bits(spec, got.first)]
        outputs, cycles = got.outputs[name], got.cycles
    else:
        count = 2 if 2 * lanes <= TABLE_INPUTS else 1
        clears: list[Words] = [{"clear": [TRUE]}, {"clear": [FALSE]}]
        driven = [{**RUNNING, "valid_in": [TRUE], **clear} for clear in clears[:count]]
        found = run(start, unit, [*driven, *[RUNNING] * spec.latency], "unit")
        outputs, cycles = found.outputs[count - 1 + spec.latency][name], found.inputs
        sources = [bits for given in cycles[:count] for bits in _operand_bits(spec, given)]
    bits = [literal for source in sources for literal in source]
    if len(bits) > TABLE_INPUTS:
        raise NotApplicable(
            f"{len(bits)} bits decide a rounded sum, and a table is made for up to {TABLE_INPUTS}"
        )
    table = np.array([_code_of(spec, f, sources, pattern) for pattern in range(1 << len(bits))])
    wanted = tabulated(start.aig, bits, table, f.bits)
    return compared("rounded sums", start, cycles, {name: (list(outputs), wanted)})


def _operand_bits(spec: DotProduct, inputs: Words) -> list[Sequence[int]]:
    return [inputs[port.name] for port in spec.inputs if port.name != "clear"]


def _code_of(spec: DotProduct, f: Minifloat, sources: Sequence[Any], pattern: int) -> int:
    """The result for a pattern of all bits of ``sources``, the first in the lowest bits."""
    words = []
    for source in sources:
        words.append(pattern & ((1 << len(source)) - 1))
        pattern >>= len(source)
    addends: list[Addend] = []
    if isinstance(spec.accumulator, Float):
        kept, clear, *words = words
        addends = [] if clear else [addend(f, kept)]
    names = [port.name for port in spec.inputs if port.name != "clear"]
    for first in range(0, len(words), len(names)):
        cycle = dict(zip(names, words[first : first + len(names)], strict=True))
        products = [
            addend(spec.a, _lane(cycle["a"], spec.a, i))
            * addend(spec.b, _lane(cycle["b"], spec.b, i))
            for i in range(spec.lanes)
        ]
        if isinstance(spec.a, Integer) and isinstance(spec.b, Integer):
            # An integer, which has no -0.
            total = sum((p.value for p in products), Fraction(0))
            products = [Addend(total, total < 0)]
        addends += products
        if spec.addend is not None:
            addends.append(addend(spec.addend, cycle["c"]))
    return rounded_sum(f, _rounding(spec), addends)


def _lane(word: int, f: Scalar, lane: int) -> int:
    return word >> lane * f.bits & ((1 << f.bits) - 1)


def _product(
    start: Start, a_format: Scalar, b_format: Scalar, a: Sequence[int], b: Sequence[int]
) -> Word:
    return value(start.aig, a, a_format) * value(start.aig, b, b_format)


def why_not_plain(spec: Spec) -> str | None:
    """Why sums of the spec's products have no plain definition here; None if they have."""
    if not isinstance(spec, DotProduct):
        return f"unit {spec.unit} has no accumulator"
    if not isinstance(spec.accumulator, Exact) or spec.output is not None:
        return "only of an exact accumulator that is an output itself"
    if spec.addend is not None:
        return "only without an addend"
    if not (has_plain_numbers(spec.a) and has_plain_numbers(spec.b)):
        return f"only with subnormals; with infinities or NaN only up to {TOLD_BITS} bits"
    return None


def _plain_dot(spec: Spec) -> DotProduct:
    why_not = why_not_plain(spec)
    if why_not is not None:
        raise NotApplicable(why_not)
    assert isinstance(spec, DotProduct)
    return spec


def _operands(spec: DotProduct) -> dict[str, Scalar]:
    """The formats of what comes in for each lane."""
    there = {port.name for port in spec.inputs}
    return {name: f for name, f in (("a", spec.a), ("b", spec.b)) if name in there}


def _lane_codes(spec: DotProduct, inputs: Words, lane: int) -> tuple[Sequence[int], Sequence[int]]:
    """The codes that a lane multiplies; a fixed weight is a constant code of b, of a square b is
    a."""
    a = inputs["a"][lane * spec.a.bits : (lane + 1) * spec.a.bits]
    if isinstance(spec, SumSquares):
        return a, a
    if not isinstance(spec, FixedDot):
        return a, inputs["b"][lane * spec.b.bits : (lane + 1) * spec.b.bits]
    code = int(spec.b.encode([spec.weights.values[lane]])[0])
    return a, [TRUE if code >> bit & 1 else FALSE for bit in range(spec.b.bits)]


def _lane_product(start: Start, spec: DotProduct, inputs: Words, lane: int) -> Word:
    """aᵢ·bᵢ in units of the sum."""
    product = _product(start, spec.a, spec.b, *_lane_codes(spec, inputs, lane))
    # Sums with fixed weights count larger units than a's step times b's, of which all products
    # are multiples.
    below = spec.lsb_exponent - spec.a.lsb_exponent - spec.b.lsb_exponent
    return Word.signed(start.aig, product.cut(len(product.bits) + below)[below:])


def _dot(start: Start, spec: DotProduct, unit: Circuit, prefix: str = "") -> Iterable[Claim]:
    """The sum by parts: together they say that, modulo 2^width,
    accumulator ← (clear ? 0 : accumulator) + Σ aᵢ·bᵢ.

    - lane i: alone, with all other operands zero, it adds aᵢ·bᵢ;
    - lanes i to k: what they add is what two parts of them add by themselves;
    - accumulate: without ``clear`` the same is added to what was there.

    That is of operands that are finite numbers; others are a claim of their own (``_specials``).
    """
    _plain_dot(spec)
    aig, all_lanes = start.aig, tuple(range(spec.lanes))
    whole = result(start, spec, unit, f"{prefix}all")
    inputs = whole.first
    if spec.has_special:
        yield _specials(start, spec, whole, f"{prefix}infinities and NaN")
        numbers = {name: _numbers(start, f, inputs[name]) for name, f in _operands(spec).items()}
        inputs = {**inputs, **numbers}

    def zeroed(name: str, bits: int, lanes: Lanes) -> list[int]:
        """The operands of some lanes; code zero, which is zero, for others."""
        return [
            literal if place // bits in lanes else FALSE
            for place, literal in enumerate(inputs[name])
        ]

    def added(lanes: Lanes, clear: int = TRUE) -> Result:
        operands = {name: zeroed(name, f.bits, lanes) for name, f in _operands(spec).items()}
        name = f"{prefix}{lanes[0]} to {lanes[-1] + 1}"
        return result(start, spec, unit, name, first={"clear": [clear], **operands})

    width = len(unit.outputs["accumulator"])
    sums: dict[Lanes, Result] = {(lane,): added((lane,)) for lane in all_lanes}
    for lane in all_lanes:
        got = sums[lane,]
        product = _lane_product(start, spec, inputs, lane).cut(width)
        ports = {"accumulator": (got.outputs["accumulator"], product)}
        yield compared(f"{prefix}lane {lane}", start, got.cycles, ports)
    groups = [all_lanes]
    while groups:
        group = groups.pop()
        if len(group) < 2:
            continue
        halves = _halves(spec, group)
        groups += halves
        parts = [sums.setdefault(half, added(half)) for half in halves]
        got = sums.setdefault(group, added(group))
        x, y = (Word.signed(aig, part.outputs["accumulator"]) for part in parts)
        ports = {"accumulator": (got.outputs["accumulator"], (x + y).cut(width))}
        yield compared(f"{prefix}lanes {_shown(group)}", start, got.cycles, ports)
    got = added(all_lanes, FALSE)
    x = Word.signed(aig, sums[all_lanes].outputs["accumulator"])
    y = Word.signed(aig, got.before["accumulator"])
    ports = {"accumulator": (got.outputs["accumulator"], (x + y).cut(width))}
    yield compared(f"{prefix}accumulate", start, got.cycles, ports)


def _numbers(start: Start, f: Scalar, codes: Sequence[int]) -> list[int]:
    """The codes, with zero in place of infinities and NaN."""
    aig, found = start.aig, []
    for place in range(0, len(codes), f.bits):
        code = codes[place : place + f.bits]
        nan, infinite, _ = meanings(aig, code, f)
        number = aig.or_(nan, infinite) ^ 1
        found += [aig.and_(bit, number) for bit in code]
    return found


def _specials(start: Start, spec: DotProduct, whole: Result, name: str) -> Claim:
    """With any infinity or NaN among the operands, the accumulator keeps what it had, or zero
    with ``clear``; and the flags are what IEEE 754 makes of all products since ``clear``."""
    aig, (clear,) = start.aig, whole.first["clear"]
    nans, plus, minus, any_special = [], [], [], []
    for lane in range(spec.lanes):
        a, b = _lane_codes(spec, whole.first, lane)
        a_nan, a_infinite, a_zero = meanings(aig, a, spec.a)
        b_nan, b_infinite, b_zero = meanings(aig, b, spec.b)
        undefined = aig.or_(aig.and_(a_infinite, b_zero), aig.and_(b_infinite, a_zero))
        nan = aig.any([a_nan, b_nan, undefined])
        infinity = aig.and_(aig.or_(a_infinite, b_infinite), nan ^ 1)
        signs = [code[-1] for code, f in ((a, spec.a), (b, spec.b)) if f.signed]
        negative = functools.reduce(aig.xor, signs, FALSE)
        nans.append(nan)
        plus.append(aig.and_(infinity, negative ^ 1))
        minus.append(aig.and_(infinity, negative))
        any_special += [nan, infinity]
    kept = {flag: aig.and_(whole.before[flag][0], clear ^ 1) for flag in FLAGS}
    rises = aig.any([kept["positive_infinity"], *plus])
    falls = aig.any([kept["negative_infinity"], *minus])
    nan = aig.any([kept["nan"], *nans, aig.and_(rises, falls)])
    wanted = dict(
        zip(FLAGS, (nan, aig.and_(rises, nan ^ 1), aig.and_(falls, nan ^ 1)), strict=True)
    )
    ports = {flag: (list(whole.outputs[flag]), [literal]) for flag, literal in wanted.items()}
    special = aig.any(any_special)
    got, before = whole.outputs["accumulator"], whole.before["accumulator"]
    still = [aig.and_(bit, clear ^ 1) for bit in before]
    ports["accumulator, unless all are finite"] = (
        [aig.mux(special, bit, other) for bit, other in zip(got, still, strict=True)],
        still,
    )
    return compared(name, start, whole.cycles, ports)


def _halves(spec: DotProduct, lanes: Lanes) -> list[Lanes]:
    """Two parts of some lanes, as sums are usually made; any others would do, and take longer."""
    if not isinstance(spec, FixedDot) or not spec.in_fixed_point:
        # In pairs of pairs.
        middle = 1 << ((len(lanes) - 1).bit_length() - 1)
        return [lanes[:middle], lanes[middle:]]
    plan, number = spec.plan, spec.plan.total
    while number is not None and number >= plan.inputs:
        node = plan.nodes[number]
        low = tuple(lane for lane in lanes if lane in plan.inputs_of(node.low))
        high = tuple(lane for lane in lanes if lane in plan.inputs_of(node.high))
        if low and low != lanes:
            return [low, tuple(lane for lane in lanes if lane not in low)]
        number = node.low if low and len(low) >= len(high) else node.high
    return [lanes[:1], lanes[1:]]


def _shown(lanes: Lanes) -> str:
    whole = range(lanes[0], lanes[-1] + 1)
    if lanes == tuple(whole):
        return f"{whole[0]} to {whole[-1]}"
    return ", ".join(map(str, lanes))


def accumulator(start: Start, subject: Subject) -> Iterable[Claim]:
    """No sum of up to ``max_products`` products overflows, by induction over the cycles.

    Invariant: after ``clear`` and n more products the accumulator is from n·least to n·most,
    the least and most product of two codes (with fixed weights: of each lane). The step is
    ``reference``'s claims (what a cycle adds is the sum of the lanes' products, modulo 2^width)
    with these:

    - lane i: its product is from least to most;
    - width: max_products times either is in the accumulator's range, so that the sum modulo
      2^width is the sum.
    """
    spec = _plain_dot(subject.spec)
    aig, unit = start.aig, subject.unit
    yield from control(start, spec, unit)
    yield from _dot(start, spec, unit)
    extremes = [_extremes(spec, lane) for lane in range(spec.lanes)]
    for lane, (least, most) in enumerate(extremes):
        first = {"clear": [TRUE]}
        for name, f in _operands(spec).items():
            bits = aig.inputs(f"{name} of {lane}", f.bits)
            first[name] = [FALSE] * (lane * f.bits) + bits
            first[name] += [FALSE] * ((spec.lanes - 1 - lane) * f.bits)
        got = result(start, spec, unit, f"lane {lane}", first=first)
        product = Word.signed(aig, got.outputs["accumulator"])
        ports = {
            f"product below {least}": ([product < least], [FALSE]),
            f"product above {most}": ([Word.constant(aig, most) < product], [FALSE]),
        }
        yield compared(f"lane {lane} in range", start, got.cycles, ports)
    yield _fits(start, spec, len(unit.outputs["accumulator"]), extremes)


def _extremes(spec: DotProduct, lane: int) -> tuple[int, int]:
    """The least and most product of a lane, in units of the sum."""
    if isinstance(spec, SumSquares):
        return 0, max(_least(spec.a) ** 2, _most(spec.a) ** 2)
    corners = [x * y for x in (_least(spec.a), _most(spec.a)) for y in _multipliers(spec, lane)]
    return min(corners), max(corners)


def _multipliers(spec: DotProduct, lane: int) -> tuple[int, ...]:
    """The least and most number that a lane's a is multiplied by, which is one if it is fixed."""
    if not isinstance(spec, FixedDot):
        return _least(spec.b), _most(spec.b)
    unit = spec.lsb_exponent - spec.a.lsb_exponent
    return (int(spec.weights.values[lane] * 2.0**-unit),)


def _fits(start: Start, spec: DotProduct, width: int, extremes: Sequence[tuple[int, int]]) -> Claim:
    """Plain arithmetic: the last values of the invariant in the port's range. If they are not,
    the counterexample has the operands whose sum leaves it."""
    bound = 1 << (width - 1)
    cycles = spec.max_products // spec.lanes
    ends = [sum(ends) for ends in zip(*extremes, strict=True)]
    sums = [end * cycles for end in ends]
    beyond = [s for s in sums if not -bound <= s < bound]
    # Of a cycle that is not whole its part of a whole one counts.
    fits = all(-bound * spec.lanes <= end * spec.max_products < bound * spec.lanes for end in ends)
    wrong = beyond[0] if beyond else sums[1]
    wanted = Word.constant(start.aig, wrong).cut(wrong.bit_length() + 1)
    shown: dict[str, list[int]] = {"clear": [TRUE], **{name: [] for name in _operands(spec)}}
    for lane, worst in enumerate(extremes):
        a, b = next(
            (x, y)
            for x in (_least(spec.a), _most(spec.a))
            for y in _multipliers(spec, lane)
            if x * y == worst[wrong != sums[0]]
        )
        for name, f in _operands(spec).items():
            code = int(f.encode([(a if name == "a" else b) * 2.0**f.lsb_exponent])[0])
            shown[name] += [(code >> bit) & 1 for bit in range(f.bits)]
    after = f"accumulator after {cycles} cycles of the last inputs, clear in the first"
    return Claim(
        f"width of {width} bits",
        start.aig,
        [(int(fits), TRUE)],
        cycles=[shown],
        outputs={after: (wanted[:width], wanted)},
    )


def _least(f: Scalar) -> int:
    """The least number, in units of 2^lsb_exponent, by the format's definition."""
    if isinstance(f, Integer):
        return -(1 << (f.bits - 1)) if f.signed else 0
    return -_most(f) if f.signed else 0


def _most(f: Scalar) -> int:
    if isinstance(f, Integer):
        return (1 << (f.bits - int(f.signed))) - 1
    magnitudes = f.decode(range(2 ** (f.bits - int(f.signed))))
    return int(max(magnitudes[np.isfinite(magnitudes)]) * 2.0**-f.lsb_exponent)


def stream(start: Start, subject: Subject) -> Iterable[Claim]:
    """The AXI4-Stream form keeps the protocol's rules; no beat is lost, repeated or changed."""
    yield from stream_claims(start, subject.spec, subject.stream)


Property = Callable[[Start, Subject], Iterable[Claim]]

PROPERTIES: Mapping[str, Property] = {
    f.__name__: f for f in (reference, netlist, pipeline, accumulator, stream)
}
#: Those that are of a target.
OF_A_TARGET = ("netlist",)

"""Claims of exact sums of products in an accumulator: a plain definition by lanes and parts."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import cast

from hwgen.accumulator import Exact
from hwgen.formats import Scalar
from hwgen.spec import DotProduct, Spec
from hwgen.spec.accumulating import FLAGS
from sim import unit_model
from sim.formal import partial_sums, rounded_sums
from sim.formal.aig import FALSE, TRUE
from sim.formal.circuit import Circuit, Words
from sim.formal.references import TOLD_BITS, NotApplicable, has_plain_numbers, meanings, value
from sim.formal.run import Result, Start, compared, result
from sim.formal.solve import Claim
from sim.formal.words import Word
from sim.unit_model import LaneProducts

#: Some lanes of a dot product, rising.
Lanes = tuple[int, ...]


def reference(start: Start, spec: DotProduct, unit: Circuit) -> Iterable[Claim]:
    """Of sums that are rounded to a small format each result; of others ``claims``."""
    if rounded_sums.are_small(spec):
        yield rounded_sums.claim(start, spec, unit, lanes_of(spec))
        if spec.loop is not None:
            yield from partial_sums.order(start, spec, unit)
    else:
        yield from claims(start, spec, unit)


def why_not_plain(spec: Spec) -> str | None:
    """Why sums of the spec's products have no plain definition here; None if they have."""
    if not unit_model.sums_products(spec):
        return f"unit {spec.unit} has no accumulator"
    if not isinstance(spec.accumulator, Exact) or spec.output is not None:
        return "only of an exact accumulator that is an output itself"
    if spec.addend is not None:
        return "only without an addend"
    if not (has_plain_numbers(spec.a) and has_plain_numbers(spec.b)):
        return f"only with subnormals; with infinities or NaN only up to {TOLD_BITS} bits"
    return None


def require_plain(spec: Spec) -> DotProduct:
    """The spec. NotApplicable if ``claims`` does not define its sums."""
    why_not = why_not_plain(spec)
    if why_not is not None:
        raise NotApplicable(why_not)
    return cast(DotProduct, spec)


def _operands(spec: DotProduct) -> dict[str, Scalar]:
    """The formats of what comes in for each lane."""
    names = {port.name for port in spec.inputs}
    return {name: f for name, f in (("a", spec.a), ("b", spec.b)) if name in names}


def lanes_of(spec: Spec) -> LaneProducts:
    """What the unit's lanes multiply; of a unit that has lanes."""
    lanes = unit_model.of(spec).lanes
    assert lanes is not None
    return lanes


def _lane_product(start: Start, spec: DotProduct, inputs: Words, lane: int) -> Word:
    """aᵢ·bᵢ in units of the sum."""
    a, b = lanes_of(spec).codes(spec, inputs, lane)
    product = value(start.aig, a, spec.a) * value(start.aig, b, spec.b)
    # Sums with fixed weights count larger units than a's step times b's, of which all products
    # are multiples.
    below = spec.lsb_exponent - spec.a.lsb_exponent - spec.b.lsb_exponent
    return Word.signed(start.aig, product.cut(len(product.bits) + below)[below:])


def claims(start: Start, given: Spec, unit: Circuit, prefix: str = "") -> Iterable[Claim]:
    """The sum by parts: together they define what the accumulator becomes.

    That is, modulo 2^width: accumulator ← (clear ? 0 : accumulator) + Σ aᵢ·bᵢ.

    - lane i: alone, with all other operands zero, it adds aᵢ·bᵢ;
    - lanes i to k: what they add is what two parts of them add by themselves;
    - accumulate: without ``clear`` the same is added to what was there.

    That is of operands that are finite numbers; others are a claim of their own (``_specials``).
    NotApplicable as ``require_plain``.
    """
    spec = require_plain(given)
    aig, all_lanes = start.aig, tuple(range(spec.lanes))
    of_all_lanes = result(start, spec, unit, f"{prefix}all")
    inputs = of_all_lanes.first
    if spec.has_special:
        yield _specials(start, spec, of_all_lanes, f"{prefix}infinities and NaN")
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
        halves = lanes_of(spec).halves(spec, group)
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
    aig, finite_bits = start.aig, []
    for place in range(0, len(codes), f.bits):
        code = codes[place : place + f.bits]
        nan, infinite, _ = meanings(aig, code, f)
        number = aig.or_(nan, infinite) ^ 1
        finite_bits += [aig.and_(bit, number) for bit in code]
    return finite_bits


def _specials(start: Start, spec: DotProduct, of_all_lanes: Result, name: str) -> Claim:
    """What an infinity or a NaN among the operands does.

    The accumulator stays, or is zero with ``clear``; and the flags are what IEEE 754 makes of all
    products since ``clear``.
    """
    aig, (clear,) = start.aig, of_all_lanes.first["clear"]
    nans, plus, minus, any_special = [], [], [], []
    for lane in range(spec.lanes):
        a, b = lanes_of(spec).codes(spec, of_all_lanes.first, lane)
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
    earlier = {flag: aig.and_(of_all_lanes.before[flag][0], clear ^ 1) for flag in FLAGS}
    rises = aig.any([earlier["positive_infinity"], *plus])
    falls = aig.any([earlier["negative_infinity"], *minus])
    nan = aig.any([earlier["nan"], *nans, aig.and_(rises, falls)])
    wanted = dict(
        zip(FLAGS, (nan, aig.and_(rises, nan ^ 1), aig.and_(falls, nan ^ 1)), strict=True)
    )
    ports = {
        flag: (list(of_all_lanes.outputs[flag]), [literal]) for flag, literal in wanted.items()
    }
    special = aig.any(any_special)
    got = of_all_lanes.outputs["accumulator"]
    before = of_all_lanes.before["accumulator"]
    unchanged = [aig.and_(bit, clear ^ 1) for bit in before]
    ports["accumulator, unless all are finite"] = (
        [aig.mux(special, bit, other) for bit, other in zip(got, unchanged, strict=True)],
        unchanged,
    )
    return compared(name, start, of_all_lanes.cycles, ports)


def _shown(lanes: Lanes) -> str:
    span = range(lanes[0], lanes[-1] + 1)
    if lanes == tuple(span):
        return f"{span[0]} to {span[-1]}"
    return ", ".join(map(str, lanes))


def bounds(start: Start, spec: DotProduct, unit: Circuit) -> Iterable[Claim]:
    """No sum of up to ``max_products`` products overflows, by induction over the cycles.

    Invariant: after ``clear`` and n more products the accumulator is from n·least to n·most,
    the least and most product of two codes (with fixed weights: of each lane). The step is
    ``claims`` (what a cycle adds is the sum of the lanes' products, modulo 2^width)
    with these:

    - lane i: its product is from least to most;
    - width: max_products times either is in the accumulator's range, so that the sum modulo
      2^width is the sum.
    """
    aig = start.aig
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
    products = [x * y for x, y in lanes_of(spec).corners(spec, lane)]
    return min(products), max(products)


def _fits(start: Start, spec: DotProduct, width: int, extremes: Sequence[tuple[int, int]]) -> Claim:
    """Plain arithmetic: the last values of the invariant in the port's range.

    If they are not, the counterexample has the operands whose sum leaves it.
    """
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
            for x, y in lanes_of(spec).corners(spec, lane)
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

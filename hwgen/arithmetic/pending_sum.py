"""A floating-point running sum in fixed point, whose rounding is still to be done.

The register holds the exact sum of a step: of the number that was rounded before, and the step's
term. The next step rounds it where it stands, without a shifter: bits below the last place that its
leading digit leaves are all set to the increment, which also enters the adder's chain as its
carry, where they pass it on to that place. So rounding and adding are one carry chain, and what is
in front of it only finds the leading digit and what rounding asks. Two's complement has its leading
digit where the first bit differs from the sign; where it is lower than the magnitude's, the number
is a power of two, which any rounding keeps.

The number stands in as many bits as its format's range and the terms' have together, so this is for
formats and terms of narrow range.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.formats.rounding import (
    DOWN,
    NEAREST_AWAY,
    NEAREST_EVEN,
    TOWARD_ZERO,
    UP,
)
from hwgen.sizes.pending_sum import PendingSum


@dataclass(frozen=True)
class Step:
    """The next sum, not rounded yet.

    ``above``, ``below``: the one before rounds to what is past the largest number, or the lowest.
    """

    total: Value
    above: Value
    below: Value


def fitted_term(m: Module, term: Value, unit: int, plan: PendingSum, name: str) -> Signal:
    """A term, in units of 2^``unit``, in those of the sum: low bits together, and limited."""
    dropped = plan.lsb_exponent - unit
    if dropped > 0:
        term = Cat(term[: dropped + 1].any(), term[dropped + 1 :]).as_signed()
    fitted = Signal(signed(plan.term_bits + 1), name=name)
    if len(term) <= len(fitted):
        m.d.comb += fitted.eq(term)
        return fitted
    sign, above = term[-1], term[plan.term_bits : -1]
    fits = Signal(name=f"{name}_fits")
    m.d.comb += fits.eq(~(above ^ sign.replicate(len(above))).any())
    # Past this, no number that the sum can be brings it back to the largest.
    limit = Cat((~sign).replicate(plan.term_bits), sign)
    m.d.comb += fitted.eq(Mux(fits, Cat(term[: plan.term_bits], sign), limit).as_signed())
    return fitted


def pending_step(
    m: Module,
    total: Value,
    term: Value,
    clear: Value,
    plan: PendingSum,
    rounding: str,
    name: str,
) -> Step:
    """``total``, rounded, + ``term`` or, with ``clear``, the term alone."""
    sign, ends, width = total[-1], plan.ends, plan.width
    past, largest, lowest = (Signal(name=f"{name}_{end}") for end in ("past", "largest", "lowest"))
    if plan.saturates:
        top_bits = total[ends : plan.top]
        m.d.comb += past.eq(_differ(total[plan.top :]))
        m.d.comb += largest.eq(~sign & top_bits.all())
        m.d.comb += lowest.eq(sign & ~top_bits.any())
    none = Signal(name=f"{name}_none")
    m.d.comb += none.eq(clear | past)
    rounded_off, up = _rounded_off(m, total, none, largest, plan, rounding, name)
    increment = Signal(name=f"{name}_increment")
    above = total[ends:]
    m.d.comb += increment.eq(up | (~clear & sign & (past | lowest)))
    if plan.saturates:
        # The largest numbers are ones above zeros, and that in two's complement.
        top_bits = Cat(Mux(past, ~sign, bit) for bit in total[ends : plan.top])
        above = Cat(top_bits, sign.replicate(width - plan.top))
    above = above & ~clear.replicate(width - ends)
    gone = Signal(ends, name=f"{name}_gone")
    m.d.comb += gone.eq(Cat(rounded_off))
    sums = []
    for carry, low in ((0, total[:ends] & ~gone), (1, total[:ends] | gone)):
        # The carry-in, written so that it stays one chain.
        following = Signal(signed(width + 1), name=f"{name}_total_{carry}")
        x, y = Cat(Const(carry, 1), term).as_signed(), Cat(Const(carry, 1), low, above).as_signed()
        m.d.comb += following.eq(x + y)
        sums.append(following[1:])
    chosen = Signal(signed(width), name=f"{name}_total")
    m.d.comb += chosen.eq(Mux(increment, sums[1], sums[0]))
    infinite = _infinite(total, past, largest, lowest, plan, rounding)
    return Step(chosen, infinite & ~sign, infinite & sign)


def _infinite(
    total: Value, past: Value, largest: Value, lowest: Value, plan: PendingSum, rounding: str
) -> Value:
    """Whether a sum rounds to what is past the largest number, and does not stop at that."""
    if not plan.saturates or rounding == TOWARD_ZERO:
        return Const(0)
    half, sign = plan.ends - 1, total[-1]
    sure, unless_zero = _rounds_up(total, half, half, sign, rounding)
    up = sure | (unless_zero & total[:half].any())
    infinite = past | (largest & up) | (lowest & ~up)
    if rounding in (UP, DOWN):
        return infinite & (sign if rounding == DOWN else ~sign)
    return infinite


def _rounded_off(
    m: Module,
    total: Value,
    none: Value,
    largest: Value,
    plan: PendingSum,
    rounding: str,
    name: str,
) -> tuple[list[Value], Value]:
    """Which bits are below the last place, of those that can be; whether they round up."""
    groups, digits = plan.groups, plan.precision
    leading = Signal(len(groups), name=f"{name}_leading")
    m.d.comb += leading.eq(Cat(_differ(total[g[0] + digits : g[-1] + digits + 2]) for g in groups))
    rounded_off: list[Value] = [Const(1) for _ in range(plan.first)]
    ups: list[Value] = []
    for index, group in enumerate(groups):
        above = Signal(name=f"{name}_above_{index}")
        below = Signal(name=f"{name}_below_{index}")
        m.d.comb += above.eq(leading[index + 1 :].any() | none)
        m.d.comb += below.eq(total[: group[0]].any())
        sure: list[Value] = []
        unless_zero: list[Value] = []
        for place in group:
            higher = _differ(total[place + 1 + digits : group[-1] + digits + 2])
            last = place == plan.first and plan.lowest > 0
            local = Signal(name=f"{name}_local_{place}")
            m.d.comb += local.eq(
                Const(1) if last else _differ(total[place + digits : group[-1] + digits + 2])
            )
            rounded_off.append(above | local)
            here = local & ~higher
            by_group, by_rest = _rounds_up(total, place, group[0], total[-1], rounding)
            sure.append(here & by_group)
            unless_zero.append(here & by_rest)
        sure_of = Signal(name=f"{name}_sure_{index}")
        maybe = Signal(name=f"{name}_maybe_{index}")
        stays = largest if group[-1] == plan.ends - 1 else Const(0)
        m.d.comb += sure_of.eq(_any(sure) & ~stays)
        m.d.comb += maybe.eq(_any(unless_zero) & ~stays)
        ups.append(~above & (sure_of | (maybe & below)))
    up = Signal(name=f"{name}_up")
    m.d.comb += up.eq(_any(ups))
    return rounded_off, up


def _differ(bits: Value) -> Value:
    """Whether they are not all the same."""
    return bits.any() & ~bits.all() if len(bits) > 1 else Const(0)


def _rounds_up(
    total: Value, half: int, start: int, sign: Value, rounding: str
) -> tuple[Value, Value]:
    """Whether a number rounds up whose first bit below the last place is bit ``half``.

    For sure, by bits from ``start`` on; and if there is something below these.
    """
    rest = _any(total[start:half]) if half > start else Const(0)
    bit = total[half]
    if rounding == NEAREST_EVEN:
        return bit & (rest | total[half + 1]), bit
    if rounding == NEAREST_AWAY:
        return bit & (rest | ~sign), bit
    if rounding == TOWARD_ZERO:
        return sign & (bit | rest), sign
    if rounding == UP:
        return bit | rest, Const(1)
    assert rounding == DOWN
    return Const(0), Const(0)


def _any(bits: Iterable[Value] | Sequence[Value]) -> Value:
    bits = list(bits)
    return Cat(bits).any() if bits else Const(0)

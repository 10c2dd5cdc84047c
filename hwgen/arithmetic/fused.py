"""The sum of a fused multiply-add: near enough to the exact one to be rounded once.

A product, or an exact sum of such, is added to a floating-point number.
``alignment_window`` says where both stand. Their sum is two's complement; what comes out is its
magnitude, normalised, except that a negative number's last place is still to be added: rounding
adds it with its own (``rounder.Normalised.carry``), so that no second carry chain is needed.

``fused_sum`` and ``placed_sum`` are in segments: whole in a loop that is one step, and ``split`` in
one of partial sums, where shifts are in two parts. ``fused_plan`` says what the segments are then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.decode import Operand
from hwgen.arithmetic.leading_digits import leading_first
from hwgen.arithmetic.product import Product
from hwgen.arithmetic.rounder import Normalised
from hwgen.arithmetic.segmented import Segmented, along, cut
from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN
from hwgen.plan.shape import Shape
from hwgen.sizes.alignment_window import Window
from hwgen.sizes.decode import shift_raised
from hwgen.sizes.fused import limit_bits, needs_magnitude, shift_digits


@dataclass(frozen=True)
class Term:
    """(−1)^sign · significand at its ``place`` in a window; ``zero_sign``: of a zero."""

    significand: Value
    place: Value
    sign: Value
    zero_sign: Value


@dataclass(frozen=True)
class Sum:
    """What a window holds, in two's complement, and is negated if the term's sign is set.

    ``negative``: its top bit, which ``number`` lacks; ``lost``: there is something below;
    ``exponent``: how far left the number goes at most, before it is subnormal, less what
    ``limit_bits`` adds.
    """

    number: Value
    negative: Value
    lost: Value
    exponent: Value


def term(
    m: Module, product: Product, zero_sign: Value | None, window: Window, name: str
) -> Segmented[Term]:
    """A product of ``raised`` operands, in its window.

    A zero is where no addend is shifted out for its sake.
    """
    significand = product.significand
    sign = product.sign if product.sign is not None else Const(0)
    product_sign = significand[-1] if significand.shape().signed else sign
    shape = window.places
    place = Signal(_shape(shape), name=f"{name}_place")
    exponent: Value = Const(0) if product.shift is None else product.shift
    nonzero = significand.any() if window.loses else Const(1)
    product_sign = product_sign if zero_sign is None else zero_sign
    # The sign of a zero has its place in any term, if it is a constant too.
    values = [significand, exponent, nonzero, sign, Cat(product_sign)]
    values = yield from cut("nonzero", values)
    significand, exponent, nonzero, sign, product_sign = values
    if window.loses:
        exponent = Mux(nonzero, exponent, 0)
    m.d.comb += place.eq(exponent + window.place)
    values = yield from cut("placed", [significand, place, sign, product_sign])
    return Term(*values)


def sum_term(total: Value, sign: Value, window: Window) -> Term:
    """An exact sum, in its window; ``sign``: of it, and of zero."""
    return Term(total, Const(window.place, _shape(window.places)), Const(0), sign)


def fused_sum(
    m: Module, x: Term, held: Operand, clear: Value, window: Window, name: str, *, split: bool
) -> Segmented[Sum]:
    """``x`` + ``held`` or, with ``clear``, ``x`` alone. ``held`` is a ``raised`` operand."""
    assert held.sign is not None
    exponent = Signal(max(window.most_addend.bit_length(), 1), name=f"{name}_exponent")
    if held.shift is not None:
        m.d.comb += exponent.eq(Mux(clear, 0, held.shift))
    distance = Signal(signed(window.distance_bits), name=f"{name}_distance")
    m.d.comb += distance.eq(x.place - exponent)
    differs = (held.sign ^ x.sign) & ~clear
    values = [distance, clear, held.significand, x.significand, differs, exponent, x.place]
    values = yield from cut("distance", values)
    distance, clear, addend, significand, differs, exponent, place = values
    above = distance[-1] if window.least_distance < 0 else Const(0)
    larger_exponent = Mux(above, exponent, place)
    moving = _moved(m, addend, distance, above, clear, window, name, split=split)
    values = [significand, differs, larger_exponent]
    (shifted, lost), values = yield from along(moving, values)
    significand, differs, larger_exponent = values
    differ = Signal(name=f"{name}_differ")
    m.d.comb += differ.eq(differs)
    # In a loop in segments the inversion shares the shift's LUTs.
    values = [differ & ~lost, shifted ^ differ.replicate(len(shifted)), differ]
    values = [values, significand, lost, larger_exponent]
    addends, significand, lost, larger_exponent = yield from cut("moved", values)
    # The carry-in, written so that it stays one chain. What is lost borrows it.
    product = Cat(Const(1, 1), Const(0, window.below), significand)
    if not significand.shape().signed:
        product = Cat(product, Const(0, 1))
    addend = Cat(addends)
    total = Signal(signed(window.width + 3), name=f"{name}_total")
    m.d.comb += total.eq(product.as_signed() + addend.as_signed())
    number = total[1:]
    larger = Signal(window.exponent_bits, name=f"{name}_larger")
    m.d.comb += larger.eq(larger_exponent)
    return Sum(number[:-1], number[-1], lost, larger)


def _moved(
    m: Module,
    significand: Value,
    distance: Value,
    above: Value,
    clear: Value,
    window: Window,
    name: str,
    *,
    split: bool,
) -> Segmented[tuple[Value, Value]]:
    """An addend, moved right in the window, and whether bits that are set leave that.

    With ``clear`` nothing of it remains.
    """
    levels = window.levels
    far: Value = clear
    if window.loses and window.most_distance >> levels:
        far = far | (distance[levels:-1].any() & ~above)
    amount = Signal(levels, name=f"{name}_amount")
    near = distance[:levels] & ~above.replicate(levels)
    m.d.comb += amount.eq(near | far.replicate(levels))
    addend = Cat(Const(0, window.left), significand)
    lost: Value = Const(0)
    if split:
        return (yield from _moved_by_digits(m, addend, amount, clear, window, name))
    if window.loses:
        lost = Signal(name=f"{name}_lost")
        out = [bit & (amount > window.left + place) for place, bit in enumerate(significand)]
        m.d.comb += lost.eq(Cat(out).any() & ~clear)
    shifted = Signal(window.width, name=f"{name}_moved")
    m.d.comb += shifted.eq(addend >> amount)
    return shifted, lost


def _moved_by_digits(
    m: Module, addend: Value, amount: Value, clear: Value, window: Window, name: str
) -> Segmented[tuple[Value, Value]]:
    """As ``_moved``, two bits of the amount at a time; each tells of what leaves for its sake."""
    lost: Value = Const(0)
    clear = clear if window.loses else Const(0)
    shifted, digits = addend, shift_digits(window)
    leaving = _leaving(shifted, *digits[0], window)
    values = [amount, clear, shifted[window.left :], leaving]
    amount, clear, significand, leaving = yield from cut("amount", values)
    shifted = Cat(Const(0, window.left), significand)
    for low, bits in digits:
        if low < digits[0][0]:
            leaving = _leaving(shifted, low, bits, window)
        digit = amount[low : low + bits]
        lost = Cat(lost, *(bit & (digit > n) for n, bit in enumerate(leaving))).any()
        moved = Signal(window.width, name=f"{name}_moved_{low}")
        m.d.comb += moved.eq(shifted >> Cat(Const(0, low), digit))
        shifted = moved
        if low:
            values = [shifted, amount[:low], clear, lost if window.loses else Const(0)]
            shifted, amount, clear, lost = yield from cut(f"moved_{low}", values)
    return shifted, lost & ~clear if window.loses else Const(0)


def _leaving(number: Value, low: int, bits: int, window: Window) -> list[Value]:
    """Whether there is anything in each of the lowest groups that a digit of a shift can drop."""
    groups = [number[n << low : (n + 1) << low] for n in range((1 << bits) - 1)]
    return [group.any() for group in groups if window.loses and len(group)]


def placed_sum(
    m: Module, x: Sum, window: Window, target: Scalar, rounding: str, name: str, *, split: bool
) -> Segmented[tuple[Normalised, Value]]:
    """The sum with its rounding point where ``target`` has it; no sign is given.

    If ``split``, then also whether it is not zero.
    """
    number, negative, lost, exponent = x.number, x.negative, x.lost, x.exponent
    if needs_magnitude(target, rounding):
        # Bits below the last are asked for more than whether there are any.
        magnitude = Signal(len(number), name=f"{name}_magnitude")
        low = Cat(Const(1, 1), number ^ negative.replicate(len(number)))
        m.d.comb += magnitude.eq((low + (negative & ~lost))[1:])
        number, negative = magnitude, Const(0)
        number, lost, exponent = yield from cut("magnitude", [number, lost, exponent])
    limit = exponent + (1 - shift_raised(target) + window.above)
    limit = limit[: limit_bits(window, target)]
    limit = Cat(limit, Const(0, max(len(number).bit_length() - len(limit), 0)))
    count = target.precision + window.drawn
    finding = leading_first(m, number, negative, limit, count, name, split=split)
    leading, (lost,) = yield from along(finding, [lost])
    negative, limit = leading.negative, leading.limit
    sticky = leading.sticky | lost
    top, fraction = leading.number[-target.precision :], leading.number[: -target.precision]
    hidden = Signal(name=f"{name}_hidden")
    field = Signal(len(limit) + 1, name=f"{name}_field")
    m.d.comb += hidden.eq(top[-1] ^ negative)
    m.d.comb += field.eq(Mux(hidden, limit + 1 - leading.shift, 0))
    mantissa = top[:-1] ^ negative.replicate(len(top) - 1)
    # Of the two's complement of what is below the last place, one bit carries into it.
    half = fraction ^ (negative & sticky).replicate(len(fraction))
    carry = negative & ~fraction.any() & ~sticky
    if split and isinstance(negative, Const):
        mantissa, half, carry = top[:-1], fraction, Const(0)
    values = [Cat(mantissa, field), Cat(sticky, half), carry, leading.nonzero | negative | lost]
    whole, fraction, carry, nonzero = yield from cut("field", values)
    carry = None if isinstance(carry, Const) else carry
    return Normalised(whole, fraction, carry=carry), nonzero


def sign_of(
    m: Module,
    total: Sum,
    x: Term,
    held: Operand,
    clear: Value,
    placed: Normalised,
    rounding: str,
    name: str,
) -> Signal:
    """The sign bit of the sum.

    A zero has that of both numbers; where they differ, it is negative if rounding down.
    """
    sign_of_zero = zero_sign_of(x, held, clear, rounding)
    # A number that is negative in two's complement is not zero.
    zero = ~(total.negative | placed.whole.any() | placed.fraction.any())
    sign = Signal(name=name)
    m.d.comb += sign.eq(Mux(zero, sign_of_zero, x.sign ^ total.negative))
    return sign


def zero_sign_of(x: Term, held: Operand, clear: Value, rounding: str) -> Value:
    """The sign bit of the sum where that is zero."""
    assert held.sign is not None
    differ = (held.sign ^ x.zero_sign) & ~clear
    return x.zero_sign | differ if rounding == DOWN else x.zero_sign & ~differ


def _shape(shape: Shape) -> Any:
    return signed(shape.width) if shape.signed else shape.width

"""The power-of-two scale of a block of numbers, in hardware.

Of the rules for a scale those are cheap that ask for the block's largest magnitude alone: with
M = m·2^e, 1 ≤ m < 2, the scale's exponent is e plus a constant, and one more from some m on.
Both constants come from the rule itself (``hwgen.formats.block_scale``), so that there is no
second description of it. Lanes are compared by codes, which order magnitudes as values do, and
only by the part of the codes that can change the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.decode import Operand, decode, shift_shape, significand_bits
from hwgen.arithmetic.leading_one import leading_one_first, leading_one_segments, leading_one_shift
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.errors import InputError
from hwgen.formats import Scalar, block_scale
from hwgen.formats.block_scale import ScaleRule, nearest_power, rule_called
from hwgen.formats.rounding import DOWN, UP
from hwgen.plan.logic import Adder, AnyBit, Comparator, Decoder, Gates, Multiplexer
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments, passed_by

#: Rules that hardware has: they ask for a block's largest magnitude alone.
HARDWARE_RULES = tuple(name for name, rule in block_scale.RULES.items() if rule.of_largest)


@dataclass(frozen=True)
class PowerScale:
    """How the largest magnitude M of a block of ``source`` numbers sets its scale.

    The wanted exponent is that of M plus ``offset``, and one more where M's significand, as a
    whole number of ``significand_bits`` bits, is at least ``threshold`` (2^significand_bits:
    never). The scale's code is that plus ``bias``, from ``lowest_code`` to ``highest_code``; a
    block of zeros has the lowest. ``wanted``: the exponents that the smallest and the largest
    magnitude ask for. ``by_exponent``: numbers with exponent field 0 all have the lowest scale;
    then exponent fields, and whether significands reach the threshold, are enough to compare.
    ``furthest``: how far below the block's scale a part of the block may have its own.
    """

    source: Scalar
    offset: int
    threshold: int
    significand_bits: int
    bias: int
    lowest_code: int
    highest_code: int
    wanted: tuple[int, int]
    by_exponent: bool
    furthest: int = 0

    @property
    def can_be_too_small(self) -> bool:
        """Whether some blocks want a larger scale than there is, and saturate."""
        return self.wanted[1] > self.highest_code - self.bias

    @property
    def smallest_exponent(self) -> int:
        """Exponent of the smallest scale that a block, or a part, which is not zero can have."""
        highest = self.highest_code - self.bias
        return min(max(self.wanted[0], self.lowest_code - self.bias - self.furthest), highest)


def require_rule(rule: str) -> None:
    """InputError unless hardware knows the rule for a block's scale."""
    if rule in HARDWARE_RULES:
        return
    why = ""
    if isinstance(rule, str) and rule in block_scale.RULES:
        why = " needs more than a block's largest magnitude, and has no hardware"
    raise InputError(f"scale_rule={rule!r}{why}: use one of {', '.join(HARDWARE_RULES)}")


def require_power_scale(rule: str, element: Scalar, scale: Scalar) -> None:
    """InputError unless ``power_scale`` knows the rule and the formats."""
    require_rule(rule)
    if not (scale.has_hardware and scale.exponent_bits and scale.mantissa_bits == 0):
        raise InputError(
            f"no hardware makes scales in {scale} yet: use a block format whose scales are powers "
            "of two, such as e8m0"
        )
    if scale.zero and rule_called(rule).rounding not in (DOWN, UP):
        raise InputError(
            f"scale_rule={rule!r} with scales in {scale}, which has a zero: ties would go to the "
            "even code; use floor, ceil, ceil_power or even, or e8m0"
        )
    if not element.max > 0:
        raise InputError(f"elements of {element} are never above zero: use a wider format")


def wanted_exponent(rule: ScaleRule, element: Scalar, largest: float) -> int:
    """Exponent of the scale, of any range, for a block whose magnitudes are up to ``largest``."""
    wanted = rule.wanted(np.array([[largest]]), element)
    return int(nearest_power(wanted, rule.rounding)[0])


def power_scale(
    source: Scalar, element: Scalar, scale: Scalar, rule: str, furthest: int = 0
) -> PowerScale:
    """The rule called ``rule`` for blocks of ``source`` numbers; see ``require_power_scale``."""
    require_power_scale(rule, element, scale)
    bits, scale_rule = significand_bits(source), rule_called(rule)

    def exponent(significand: int) -> int:
        return wanted_exponent(scale_rule, element, float(np.ldexp(significand, 1 - bits)))

    # Rules are monotone, and twice the number has twice the scale: there is at most one step.
    below, above = 1 << (bits - 1), 1 << bits
    offset = exponent(below)
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (middle, above) if exponent(middle) == offset else (below, middle)
    largest = max(source.max, -source.min if element.signed else 0.0)
    lowest_code, by_exponent = int(scale.zero), False
    if source.exponent_bits:
        low = float(source.decode(min((1 << source.mantissa_bits) - 1, source.largest_code)))
        lowest = lowest_code - scale.bias - furthest
        by_exponent = low == 0 or wanted_exponent(scale_rule, element, low) <= lowest
    return PowerScale(
        source=source,
        offset=offset,
        threshold=above,
        significand_bits=bits,
        bias=scale.bias,
        lowest_code=lowest_code,
        highest_code=scale.largest_code,
        wanted=(
            wanted_exponent(scale_rule, element, source.smallest),
            wanted_exponent(scale_rule, element, largest),
        ),
        by_exponent=by_exponent,
        furthest=furthest,
    )


def key(code: Value, magnitude: Value, counts: Value, scale: PowerScale) -> Value:
    """What is compared to find the lane that sets the scale; zero unless ``counts``.

    ``code``: of the source format; ``magnitude``: its significand as it was decoded.
    """
    f = scale.source
    if not scale.by_exponent:
        return magnitude_key(code, magnitude, counts, f)
    mantissa = code[: f.mantissa_bits]
    exponent = code[f.mantissa_bits : f.magnitude_bits]
    least = scale.threshold - (1 << f.mantissa_bits)
    never = least >> f.mantissa_bits
    bits = exponent if never else Cat(mantissa >= least, exponent)
    return bits & counts.replicate(len(bits))


def magnitude_key(code: Value, magnitude: Value, counts: Value, source: Scalar) -> Value:
    """What orders numbers of ``source`` by their magnitudes: all of it; zero unless ``counts``."""
    f = source
    bits = magnitude if f.is_integer else code[: f.magnitude_bits]
    if _has_mark(f):
        bits = Cat(bits, Const(1, 1))
    return bits & counts.replicate(len(bits))


def key_bits(scale: PowerScale) -> int:
    """Bits of a ``key``."""
    f = scale.source
    if not scale.by_exponent:
        return magnitude_key_bits(f)
    never = (scale.threshold >> f.mantissa_bits) - 1
    return f.exponent_bits + int(not never)


def magnitude_key_bits(source: Scalar) -> int:
    """Bits of a ``magnitude_key``."""
    f = source
    return (f.bits if f.is_integer else f.magnitude_bits) + int(_has_mark(f))


def decode_key(m: Module, number_key: Value, source: Scalar, name: str) -> Operand:
    """The number that has this ``magnitude_key``; zero where none counts."""
    magnitude = number_key[: source.magnitude_bits]
    operand = decode(m, Cat(magnitude, Const(0, int(source.signed))), source, name)
    if not _has_mark(source):
        return operand
    has_number = number_key[-1].replicate(len(operand.significand))
    return replace(operand, significand=operand.significand & has_number)


def _has_mark(f: Scalar) -> bool:
    """Whether keys have one more bit, which says that there is a number.

    Without zero, code 0 is a number, and where some code is none, a block may have no number.
    """
    return not f.zero and (f.has_nan or f.has_infinity)


def larger_of_pairs(m: Module, keys: Sequence[Value], name: str) -> list[Value]:
    """The larger of each two keys: one level of a tree that finds the largest."""
    larger_keys: list[Value] = []
    for i in range(0, len(keys) - 1, 2):
        larger = Signal(len(keys[i]), name=f"{name}_{i // 2}")
        m.d.comb += larger.eq(Mux(keys[i] > keys[i + 1], keys[i], keys[i + 1]))
        larger_keys.append(larger)
    return larger_keys + list(keys[len(larger_keys) * 2 :])


def larger_segment(bits: int, count: int) -> Segment:
    """The segment of a level of ``larger_of_pairs``: ``count`` pairs of ``bits`` bits."""
    return Segment("larger", (Comparator(bits, count=count), Multiplexer(bits, count=count)))


def scale_code_segments(scale: PowerScale) -> Segments:
    """The segments of ``scale_code``."""
    wanting, exact = _wanting(scale)
    bounds = (Comparator(exact.width, count=2), Gates(exact.width, levels=2))
    return (*wanting, Segment("bounded", bounds, scale.highest_code.bit_length()))


def micro_exponent_segments(scale: PowerScale) -> Segments:
    """The segments of ``micro_exponent``."""
    wanting, exact = _wanting(scale)
    code = scale.highest_code.bit_length()
    below, micro = max(exact.width, code) + 2, scale.furthest.bit_length()
    return (
        *passed_by(wanting, code),
        Segment("below", (Adder(below),), below + 1),
        Segment("micro", (Comparator(below), Gates(micro, levels=2)), micro),
    )


def _wanting(scale: PowerScale) -> tuple[Segments, Shape]:
    """The segments of ``_wanted_code`` where it is split, and the code's shape."""
    f = scale.source
    if scale.by_exponent:
        wanted = Shape(f.exponent_bits) + ZERO
        exact = wanted + (scale.offset - f.bias + scale.bias)
        reaches = (AnyBit(f.exponent_bits), Gates())
        finding: Segments = (Segment("reaches", reaches, f.exponent_bits + 2),)
    else:
        bits, shift = significand_bits(f), shift_shape(f)
        beside = 0 if shift is None else shift.width
        wanted = (shift or ZERO) - leading_one_shift(bits, split=True)
        decoded = () if f.is_integer else (Segment("decoded", (Decoder(f),), bits + beside),)
        finding = (
            *decoded,
            *passed_by(leading_one_segments(bits), beside),
            Segment("compared", (Comparator(max(bits, wanted.width)),), wanted.width + 2),
        )
        wanted = wanted + ZERO
        top = bits - 1 + f.lsb_exponent
        exact = wanted + (top + scale.offset + scale.bias)
    ends = (
        Segment("exponent", (Adder(wanted.width),), wanted.width + 1),
        Segment("wanted", (Adder(exact.width),), exact.width + 1),
    )
    return (*finding, *ends), exact


def scale_code(
    m: Module, largest: Value, scale: PowerScale, name: str, *, split: bool
) -> Segmented[Signal]:
    """The scale's code, from the largest of the blocks' keys."""
    exact, zero = yield from _wanted_code(m, largest, scale, name, split)
    code = Signal(range(scale.highest_code + 1), name=f"{name}_code")
    below = (exact < scale.lowest_code) | zero
    above = exact > scale.highest_code
    m.d.comb += code.eq(
        Mux(below, scale.lowest_code, Mux(above, scale.highest_code, exact)),
    )
    return (yield from last("bounded", code))


def micro_exponent(
    m: Module, largest: Value, code: Value, scale: PowerScale, name: str, *, split: bool
) -> Segmented[Signal]:
    """How far below the block's scale, of that ``code``, the scale of a part of the block is.

    ``largest``: the largest of the part's keys. It is as far as it may be where the part is zero.
    """
    (exact, zero), code = yield from carry_along(_wanted_code(m, largest, scale, name, split), code)
    below: Value = Signal(signed(max(len(exact), len(code)) + 2), name=f"{name}_below")
    micro = Signal(range(scale.furthest + 1), name=f"{name}_micro")
    m.d.comb += below.eq(code - exact)
    below, zero = yield Boundary("below", [below, zero])
    m.d.comb += micro.eq(
        Mux(zero | (below > scale.furthest), scale.furthest, Mux(below < 0, 0, below)),
    )
    return (yield from last("micro", micro))


def _wanted_code(
    m: Module, largest: Value, scale: PowerScale, name: str, split: bool
) -> Segmented[tuple[Signal, Value]]:
    """The scale's code if there were all, and whether it does not count.

    The latter where the block is zero, or as small as that.
    """
    f = scale.source
    if scale.by_exponent:
        exponent, reaches = largest[-f.exponent_bits :], largest[: -f.exponent_bits]
        if len(reaches) == 0:
            reaches = Const(0)
        # The threshold is for significands with a leading one.
        reaches, zero = reaches & exponent.any(), ~exponent.any()
        exponent, reaches, zero = yield Boundary("reaches", [exponent, reaches, zero])
        wanted = exponent + reaches
        wanted, zero = yield Boundary("exponent", [wanted, zero])
        wanted = wanted + (scale.offset - f.bias + scale.bias)
    else:
        magnitude, shift, lsb_exponent = largest, None, f.lsb_exponent
        if not f.is_integer:
            operand = decode_key(m, largest, f, name)
            magnitude, shift = operand.significand, operand.shift
            values = [magnitude, shift]
            magnitude, shift = yield Boundary("decoded", values)
        search = leading_one_first(m, magnitude, name, split=split)
        (normalised, leading), shift = yield from carry_along(search, shift)
        reaches, zero = normalised >= scale.threshold, ~normalised[-1]
        top = len(magnitude) - 1 + lsb_exponent
        wanted = (shift if shift is not None else Const(0)) - leading
        values = [wanted, reaches, zero]
        wanted, reaches, zero = yield Boundary("compared", values)
        wanted = wanted + reaches
        wanted, zero = yield Boundary("exponent", [wanted, zero])
        wanted = wanted + (top + scale.offset + scale.bias)
    exact: Value = Signal(wanted.shape(), name=f"{name}_wanted")
    m.d.comb += exact.eq(wanted)
    exact, zero = yield Boundary("wanted", [exact, zero])
    return exact, zero

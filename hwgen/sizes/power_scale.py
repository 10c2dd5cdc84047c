"""How blocks' scales that are powers of two are made: the plan.

The hardware is in ``hwgen.arithmetic.power_scale``, which has the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgen.errors import InputError
from hwgen.formats import Scalar, block_scale
from hwgen.formats.block_scale import ScaleRule, nearest_power, rule_called
from hwgen.formats.rounding import DOWN, UP
from hwgen.plan.logic import Adder, AnyBit, Comparator, Decoder, Gates, Multiplexer
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments, passed_by
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.leading_one import leading_one_segments, leading_one_shift

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
    return (f.bits if f.is_integer else f.magnitude_bits) + int(has_mark(f))


def has_mark(f: Scalar) -> bool:
    """Whether keys have one more bit, which says that there is a number.

    Without zero, code 0 is a number, and where some code is none, a block may have no number.
    """
    return not f.zero and (f.has_nan or f.has_infinity)


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

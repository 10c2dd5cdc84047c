"""The segments of rounding, from widths: what ``hwgen.arithmetic.rounder`` builds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwgen.arithmetic.decode import shift_shape, significand_bits
from hwgen.arithmetic.leading_one import FEW, leading_one_segments
from hwgen.arithmetic.shift import shift_segments
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    DOWN,
    NEAREST_AWAY,
    NEAREST_EVEN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
)
from hwgen.formats.scalar import SATURATE, SPECIAL
from hwgen.plan.logic import (
    Adder,
    AnyBit,
    Comparator,
    Decoder,
    Gates,
    Multiplexer,
    Negation,
    Series,
    parallel,
)
from hwgen.plan.shape import Shape
from hwgen.plan.step import Segment, Segments

#: So many bits are asked at once whether any is set, in two LUTs.
GROUP = 16


@dataclass(frozen=True)
class NumberShape:
    """The widths of a number to be rounded.

    magnitude · 2^lsb_exponent of ``width`` bits or, with a ``shift``, times 2 to that; whether it
    has a ``sign``, and may be ``nan``.
    """

    width: int
    lsb_exponent: int = 0
    shift: Shape | None = None
    sign: bool = True
    nan: bool = False


def operand_shape(number_format: Scalar) -> NumberShape:
    """The widths of a decoded code, as sign and magnitude."""
    f = number_format
    return NumberShape(significand_bits(f), f.lsb_exponent, shift_shape(f), f.signed, f.has_nan)


def operand_logic(number_format: Scalar) -> Series:
    """The logic from a code to its sign and magnitude."""
    f = number_format
    if f.is_integer and f.signed:
        return (Decoder(f), Gates(f.bits), Adder(f.bits))
    return (Decoder(f),)


@dataclass(frozen=True)
class PlacedShape:
    """The widths of a magnitude in place: bits of whole codes or steps, and below."""

    whole: int
    fraction: int
    sign: bool = True
    nan: bool = False

    @property
    def bits(self) -> int:
        """Bits of all of it, with flags of infinity and NaN where there are such."""
        return self.whole + self.fraction + int(self.sign) + 2 * int(self.nan)


def placing_bias(target: Scalar) -> int:
    """The bias of a format with subnormals that has its lowest full binade where ``target`` has it.

    That is the target's own, or one more where it has no subnormals.
    """
    return 1 - target.mantissa_bits - target.lsb_exponent


def normalising(number: NumberShape, target: Scalar, rounding: str) -> tuple[Segments, PlacedShape]:
    """The segments of ``rounder.normalise``, and what comes of it."""
    has_field = target.exponent_bits > 0
    segments: Segments = ()
    if number.shift is not None:
        if has_field:
            return _placing_significand(number, number.shift, target, rounding)
        segments = shift_segments("out", number.width, number.shift.width)
        width = number.width + (1 << number.shift.width) - 1
        number = replace(number, width=width, shift=None)
    if has_field:
        return _placing_leading_one(number, target)
    dropped = target.lsb_exponent - number.lsb_exponent
    whole = max(number.width - dropped, 0)
    return segments, PlacedShape(whole, max(dropped, 0), number.sign, number.nan)


def _placing_significand(
    number: NumberShape, shift: Shape, target: Scalar, rounding: str
) -> tuple[Segments, PlacedShape]:
    leading = Shape((number.width - 1).bit_length())
    exponent = shift - leading
    highest = number.width - 1 + number.lsb_exponent + placing_bias(target)
    field = exponent + highest
    lowest = highest - (number.width - 1)
    placing, placed = placing_normal(number, field, lowest, target, rounding)
    segments = (
        *leading_one_segments(number.width),
        Segment("exponent", (Adder(exponent.width),)),
        Segment("field", (Adder(field.width),)),
        *placing,
    )
    return segments, placed


def placing_normal(
    number: NumberShape, field: Shape, lowest: int, target: Scalar, rounding: str
) -> tuple[Segments, PlacedShape]:
    """The segments of ``rounder.place_normal``, and what comes of it."""
    significand_bits = target.mantissa_bits + 1
    width = max(number.width, significand_bits)
    segments: list[Segment] = []
    if lowest < 1:
        most = significand_bits + (RANDOM_BITS if rounding == STOCHASTIC else 1)
        most = min(most, 1 - lowest)
        needed, down = (1 - field).width, most.bit_length()
        width += most
        segments += [
            Segment("subnormal", (Adder(needed),)),
            Segment("too_small", (Comparator(needed),)),
            Segment("down", (Multiplexer(down),)),
            *shift_segments("moved", width, down),
        ]
    field_bits = field.width - int(field.signed)
    segments.append(Segment("placed", (Multiplexer(field_bits),)))
    whole, fraction = target.mantissa_bits + field_bits, width - significand_bits
    return tuple(segments), PlacedShape(whole, fraction, number.sign, number.nan)


def _placing_leading_one(number: NumberShape, target: Scalar) -> tuple[Segments, PlacedShape]:
    significand_bits = target.mantissa_bits + 1
    above = number.width - 1 + number.lsb_exponent - (1 - placing_bias(target))
    width, above = number.width + max(-above, 0), max(above, 0)
    if width <= significand_bits:
        width = significand_bits + 1
    most = min(above, width - 1)
    segments: list[Segment] = []
    search, zeros = most + 1, 1
    for level in reversed(range(most.bit_length())):
        step = 1 << level
        if search <= step:
            continue
        path: Series = (AnyBit(step),)
        if step > FEW:
            segments.append(Segment(f"empty_{level}", path))
            path = ()
        segments.append(Segment(f"leading_{level}", (*path, Multiplexer(width + search))))
        search, zeros = step, max(zeros, (Shape(1) << level).width)
    segments.append(Segment("place", (Adder(zeros + 1),)))
    whole = (above + 1).bit_length() + significand_bits
    segments.append(Segment("placed", (Gates(above.bit_length()), Adder(whole))))
    return tuple(segments), PlacedShape(whole, width - significand_bits, number.sign, number.nan)


def coding(placed: PlacedShape, target: Scalar, rounding: str, overflow: str) -> Segments:
    """The segments of ``hwgen.arithmetic.coding.to_code``."""
    rounded = placed.whole + 1
    segments = [*_incrementing(placed, target, rounding), Segment("rounded", (Adder(rounded),))]
    if target.is_integer:
        return (*segments, *_coding_integer(placed, rounded, target))
    if not target.subnormals:
        drawn = RANDOM_BITS if rounding == STOCHASTIC else 0
        compared = Comparator(placed.whole + drawn)
        segments.append(
            Segment("above", (AnyBit(placed.fraction), compared, Gates(rounded, levels=2)))
        )
    return (*segments, *_coding_minifloat(placed, rounded, target, rounding, overflow))


def actual_rounding(target: Scalar, rounding: str) -> str:
    """How magnitudes in place are rounded for ``rounding`` to ``target``.

    The upper of two codes of powers of two without a zero has the even significand, so that ties go
    up.
    """
    powers = not target.zero and not target.mantissa_bits
    return NEAREST_AWAY if powers and rounding == NEAREST_EVEN else rounding


def _incrementing(placed: PlacedShape, target: Scalar, rounding: str) -> list[Segment]:
    rounding = actual_rounding(target, rounding)
    if placed.fraction == 0 or rounding == TOWARD_ZERO:
        return []
    if rounding == STOCHASTIC:
        return [Segment("increment", (Adder(RANDOM_BITS),))]
    segments = []
    if rounding != NEAREST_AWAY:
        below = placed.fraction - int(rounding not in (UP, DOWN))
        if below > GROUP:
            groups = -(-below // GROUP)
            segments.append(Segment("groups", (AnyBit(GROUP, count=groups),)))
            below = groups
        segments.append(Segment("rest", (AnyBit(below),)))
    return [*segments, Segment("increment", (Gates(),))]


def _coding_integer(placed: PlacedShape, rounded: int, target: Scalar) -> Segments:
    bits = target.bits
    beyond: Series = (Gates(), Comparator(rounded))
    if fits_integer(rounded, target, has_sign=placed.sign):
        beyond = ()
    code: Series = (Negation(bits),) if target.signed else ()
    if placed.nan:
        code = (*code, Gates(bits))
    return (
        Segment("beyond", beyond),
        Segment("limited", (Multiplexer(bits),)),
        Segment("code", code),
    )


def fits_integer(rounded: int, target: Scalar, *, has_sign: bool) -> bool:
    """Whether no magnitude of ``rounded`` bits is beyond ``target``.

    A negative number is beyond what has no sign, however small.
    """
    largest = (1 << (target.bits - int(target.signed))) - 1
    return (1 << rounded) - 1 <= largest and (target.signed or not has_sign)


def _coding_minifloat(
    placed: PlacedShape, rounded: int, target: Scalar, rounding: str, overflow: str
) -> Segments:
    f, path = target, Gates(target.bits)
    # A comparison that the widths decide is one that linters warn of.
    compares = f.largest_code < (1 << rounded) - 1
    code: Series = (path,)
    if overflow == SPECIAL != SATURATE and not f.saturates and rounding in (UP, DOWN):
        code = (*code, Gates(f.bits))
    if f.signed:
        if f.nan_at_minus_zero:
            code = parallel(code, (AnyBit(rounded), Gates(levels=2)))
    elif placed.sign or not f.zero:
        bits = rounded if f.zero else placed.whole + placed.fraction
        code = (*code, AnyBit(bits), Gates(f.bits))
    return (
        Segment("passes", (Comparator(rounded),) if compares else ()),
        Segment("beyond", (Gates(),)),
        Segment("code", code),
    )

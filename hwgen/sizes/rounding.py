"""The segments of rounding, from widths: what ``hwgen.arithmetic.rounder`` builds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.rounding import (
    DOWN,
    MODES,
    NEAREST_AWAY,
    NEAREST_EVEN,
    RANDOM_BITS,
    STOCHASTIC,
    TOWARD_ZERO,
    UP,
    drawn_bits,
)
from hwgen.formats.scalar import OVERFLOWS, SATURATE, SPECIAL
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
from hwgen.plan.step import Segment, Segments, passed_by
from hwgen.sizes.decode import shift_shape, significand_bits
from hwgen.sizes.leading_one import FEW, leading_one_segments, leading_one_shift
from hwgen.sizes.shift import shift_segments, window_segments

#: So many bits are asked at once whether any is set, in two LUTs.
GROUP = 16


@dataclass(frozen=True)
class NumberShape:
    """The widths of a number to be rounded.

    magnitude · 2^lsb_exponent of ``width`` bits or, with a ``shift``, times 2 to that; whether it
    has a ``sign``, and may be ``nan`` or an ``infinity``.
    """

    width: int
    lsb_exponent: int = 0
    shift: Shape | None = None
    sign: bool = True
    nan: bool = False
    infinity: bool = False

    @property
    def flags(self) -> int:
        """Bits of the sign and of what the number may be instead."""
        return int(self.sign) + int(self.nan) + int(self.infinity)

    @property
    def bits(self) -> int:
        """Bits of all of it."""
        return self.width + (0 if self.shift is None else self.shift.width) + self.flags


def operand_shape(number_format: Scalar) -> NumberShape:
    """The widths of a decoded code, as sign and magnitude."""
    f = number_format
    shift, infinity = shift_shape(f), f.has_infinity
    return NumberShape(
        significand_bits(f), f.lsb_exponent, shift, f.signed, f.has_nan, infinity=infinity
    )


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
    infinity: bool = False

    @property
    def bits(self) -> int:
        """Bits of all of it, with its sign and the flags that it has."""
        flags = int(self.sign) + int(self.nan) + int(self.infinity)
        return self.whole + self.fraction + flags


@dataclass(frozen=True)
class StepWindow:
    """Where a significand is moved to, to be rounded to a format whose steps are all alike.

    It stands at the top at shift ``nearest``, and for each less one place lower, to ``furthest``
    places, where nothing of it is left but that there is something, if that counts (``sticky``).
    Of larger shifts any number is beyond the format. ``whole`` bits of the window are steps,
    ``guard`` bits lie below.
    """

    nearest: int
    furthest: int
    whole: int
    guard: int
    sticky: bool

    @property
    def bits(self) -> int:
        """Bits of the window."""
        return self.whole + self.guard

    @property
    def levels(self) -> int:
        """Bits of the distance from the top."""
        return self.furthest.bit_length()

    @property
    def fraction(self) -> int:
        """Bits below whole steps, with the one that tells of what was lost."""
        return self.guard + int(self.sticky)


def step_window(number: NumberShape, target: Scalar, rounding: str) -> StepWindow | None:
    """The window for a number with a shift; None where all that shifts make of it is no wider.

    ``target`` has no exponent. Rounding asks for no more below a step than the quantizer's does.
    """
    assert number.shift is not None
    shifts = (1 << number.shift.width) - 1
    below = number.lsb_exponent - target.lsb_exponent
    # Where the lowest bit stands at the bits that the format has, any number is beyond it.
    nearest = min(target.bits - below, shifts)
    whole, guard = nearest + below + number.width, guard_bits(rounding)
    if not nearest > 0 or whole < 1 or whole + guard >= number.width + shifts:
        return None
    sticky = rounding not in (TOWARD_ZERO, NEAREST_AWAY, STOCHASTIC)
    return StepWindow(nearest, min(whole + guard, nearest), whole, guard, sticky)


def guard_bits(rounding: str) -> int:
    """Bits below a step that a rounding asks for, beside whether there is anything below them."""
    one_half = {NEAREST_EVEN: 1, NEAREST_AWAY: 1, STOCHASTIC: RANDOM_BITS}
    return one_half.get(rounding, 0)


def _placed(whole: int, fraction: int, number: NumberShape) -> PlacedShape:
    return PlacedShape(whole, fraction, number.sign, number.nan, number.infinity)


def placing_bias(target: Scalar) -> int:
    """The bias of a format with subnormals that has its lowest full binade where ``target`` has it.

    That is the target's own, or one more where it has no subnormals.
    """
    return 1 - target.mantissa_bits - target.lsb_exponent


def normalising(
    number: NumberShape, target: Scalar, rounding: str, *, split: bool
) -> tuple[Segments, PlacedShape]:
    """The segments of ``rounder.normalise``, and what comes of it."""
    has_field = target.exponent_bits > 0
    segments: Segments = ()
    if number.shift is not None:
        if has_field:
            return _placing_significand(number, number.shift, target, rounding, split)
        window = step_window(number, target, rounding)
        if window is not None:
            return _placing_in_window(number, number.shift, window, target)
        width = number.width + (1 << number.shift.width) - 1
        shifting = shift_segments("out", number.width, number.shift.width, most=width)
        segments = passed_by(shifting, number.flags)
        number = replace(number, width=width, shift=None)
    if has_field:
        return _placing_leading_one(number, target)
    dropped = target.lsb_exponent - number.lsb_exponent
    whole = max(number.width - dropped, 0)
    return segments, _placed(whole, max(dropped, 0), number)


def _placing_in_window(
    number: NumberShape, shift: Shape, window: StepWindow, target: Scalar
) -> tuple[Segments, PlacedShape]:
    exact, beside = window.nearest - shift, number.width + number.flags
    above = window.whole - target.bits - 1
    whole = min(window.whole, target.bits + 1)
    placed = _placed(whole, window.fraction, number)
    bounding = (Comparator(exact.width), Multiplexer(window.levels))
    segments = (
        Segment("exact", (Adder(exact.width),), beside + exact.width),
        Segment("distance", bounding, beside + window.levels),
        *passed_by(window_segments(window.bits, window.levels, sticky=window.sticky), number.flags),
        Segment("window", (AnyBit(above),) if above > 0 else (), placed.bits),
    )
    return segments, placed


def _placing_significand(
    number: NumberShape, shift: Shape, target: Scalar, rounding: str, split: bool
) -> tuple[Segments, PlacedShape]:
    leading = leading_one_shift(number.width, split=split)
    exponent = shift - leading
    highest = number.width - 1 + number.lsb_exponent + placing_bias(target)
    field = exponent + highest
    lowest = highest - (number.width - 1)
    placing, placed = placing_normal(number, field, lowest, target, rounding)
    significand = number.width + number.flags
    segments = (
        *passed_by(leading_one_segments(number.width), shift.width + number.flags),
        Segment("exponent", (Adder(exponent.width),), significand + exponent.width),
        Segment("field", (Adder(field.width),), significand + field.width),
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
        # The number as it is, and whether it is subnormal or, then, keeps its field.
        beside = number.width + field.width + number.flags + 1
        segments += [
            Segment("subnormal", (Adder(needed),), beside + needed),
            Segment("too_small", (Comparator(needed),), beside + needed + 1),
            Segment("down", (Multiplexer(down),), beside + down),
            *passed_by(shift_segments("moved", width, down), beside),
        ]
    field_bits = field.width - int(field.signed)
    placed = _placed(target.mantissa_bits + field_bits, width - significand_bits, number)
    return (*segments, Segment("placed", (Multiplexer(field_bits),), placed.bits)), placed


def _placing_leading_one(number: NumberShape, target: Scalar) -> tuple[Segments, PlacedShape]:
    significand_bits = target.mantissa_bits + 1
    above = number.width - 1 + number.lsb_exponent - (1 - placing_bias(target))
    width, above = number.width + max(-above, 0), max(above, 0)
    if width <= significand_bits:
        width = significand_bits + 1
    most = min(above, width - 1)
    segments: list[Segment] = []
    search, zeros = most + 1, 1
    # The magnitude, its flags and, as it is, the place above it.
    beside = width + number.flags + max(above.bit_length(), 1)
    for level in reversed(range(most.bit_length())):
        step = 1 << level
        if search <= step:
            continue
        path: Series = (AnyBit(step),)
        if step > FEW:
            segments.append(Segment(f"empty_{level}", path, beside + 1 + search + zeros))
            path = ()
        logic = (*path, Multiplexer(width + search))
        search, zeros = step, max(zeros, (Shape(1) << level).width)
        segments.append(Segment(f"leading_{level}", logic, beside + search + zeros))
    place = (above - Shape(zeros)).width
    segments.append(Segment("place", (Adder(zeros + 1),), width + number.flags + place))
    whole = (above + 1).bit_length() + significand_bits
    placed = _placed(whole, width - significand_bits, number)
    segments.append(Segment("placed", (Gates(above.bit_length()), Adder(whole)), placed.bits))
    return tuple(segments), placed


def coding(
    placed: PlacedShape,
    target: Scalar,
    rounding: str,
    overflow: str,
    *,
    random_bits: int | None = None,
) -> Segments:
    """The segments of ``hwgen.arithmetic.coding.to_code``.

    ``random_bits``: how many come with the number, if not as many as the rounding takes.
    """
    rounded, drawn = placed.whole + 1, drawn_bits(rounding)
    passing = drawn if random_bits is None else random_bits
    adding = Segment("rounded", (Adder(rounded),), rounded + placed.bits)
    segments = [*passed_by((*_incrementing(placed, target, rounding), adding), passing)]
    if target.is_integer:
        return (*segments, *_coding_integer(placed, rounded, target))
    if not target.subnormals:
        compared = Comparator(placed.whole + drawn)
        above = (AnyBit(placed.fraction), compared, Gates(rounded, levels=2))
        segments.append(Segment("above", above, rounded + placed.bits))
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
        return [Segment("increment", (Adder(RANDOM_BITS),), 1 + placed.bits)]
    segments = []
    if rounding != NEAREST_AWAY:
        below = placed.fraction - int(rounding not in (UP, DOWN))
        if below > GROUP:
            groups = -(-below // GROUP)
            anything = (AnyBit(GROUP, count=groups),)
            segments.append(Segment("groups", anything, groups + placed.bits))
            below = groups
        segments.append(Segment("rest", (AnyBit(below),), 1 + placed.bits))
    return [*segments, Segment("increment", (Gates(),), 1 + placed.bits)]


def _coding_integer(placed: PlacedShape, rounded: int, target: Scalar) -> Segments:
    bits = target.bits
    beyond: Series = (Gates(), Comparator(rounded))
    if fits_integer(rounded, target, has_sign=placed.sign):
        beyond = ()
    code: Series = (Negation(bits),) if target.signed else ()
    if placed.nan:
        code = (*code, Gates(bits))
    beside = 1 + int(placed.nan)  # A sign, of what has none too.
    return (
        Segment("beyond", beyond, 1 + rounded + beside),
        Segment("limited", (Multiplexer(bits),), bits + beside),
        Segment("code", code, bits),
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
    values = 1 + rounded + 1 + placed.bits  # A sign apart, of what has none too.
    return (
        Segment("passes", (Comparator(rounded),) if compares else (), values),
        Segment("beyond", (Gates(),), values),
        Segment("code", code, f.bits),
    )


def rounded_width(width: int, dropped: int) -> int:
    """Bits of a ``rounded_integer`` of ``width`` bits, of which the lowest are ``dropped``."""
    return width - dropped if dropped <= 0 else max(width, dropped + 1) - dropped + 1


def require_rounding(target: Scalar, rounding: str, overflow: str) -> None:
    """InputError unless hardware rounds to ``target`` so."""
    if rounding not in MODES:
        raise InputError(f"rounding={rounding!r}: use one of {', '.join(MODES)}")
    if overflow not in OVERFLOWS:
        raise InputError(f"overflow={overflow!r}: use one of {', '.join(OVERFLOWS)}")
    if overflow != SATURATE and not (target.has_infinity or target.has_nan):
        raise InputError(f"{target} has neither infinity nor NaN: use overflow='saturate'")
    if not target.has_hardware:
        raise InputError(
            f"{target} cannot be rounded to in hardware: use an integer, a fixed-point format or "
            "a minifloat, such as int8, bf16 or e4m3fn"
        )

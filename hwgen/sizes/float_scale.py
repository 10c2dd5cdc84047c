"""How scales that are not powers of two are made and divided by: their plan.

The hardware is in ``hwgen.arithmetic.float_scale``, which has the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp

import numpy as np

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.formats.block_scale import largest_power, rule_called
from hwgen.formats.rounding import NEAREST_AWAY, STOCHASTIC, TOWARD_ZERO
from hwgen.formats.scalar import SATURATE
from hwgen.plan.logic import Adder, AnyBit, Gates, Multiplier, Series, parallel
from hwgen.plan.shape import ZERO, Shape
from hwgen.plan.step import Segment, Segments, passed_by
from hwgen.sizes import divide
from hwgen.sizes.decode import significand_bits
from hwgen.sizes.leading_operand import (
    has_leading_zeros,
    leading_segments,
    leading_significand_segments,
)
from hwgen.sizes.power_scale import require_rule
from hwgen.sizes.product_rows import multiplied_segments
from hwgen.sizes.quantizer_alignment import Alignment
from hwgen.sizes.rounding import NumberShape, PlacedShape, coding, guard_bits, normalising

#: Elements whose range takes up to so many bits are divided in fixed point.
_FIXED_STEPS = 12


def largest_shift(f: Scalar) -> int:
    """The largest shift of a decoded operand."""
    return (1 << f.exponent_bits) - 1


@dataclass(frozen=True)
class FloatScale:
    """How a block's scale is made, of its largest magnitude M.

    M is a number of ``source``, first rounded to ``rounded_bits`` bits, ties away from zero, unless
    that is 0. It is divided by ``odd`` · 2^``power`` and, where there is one, by the tensor's
    scale, of the format ``tensor_scale``; the quotient is rounded to ``scale`` by ``rounding``.
    ``smallest``: the scale of the smallest M, as a real number.
    """

    source: Scalar
    scale: Scalar
    tensor_scale: Scalar | None
    odd: int
    power: int
    rounded_bits: int
    rounding: str
    smallest: float

    @property
    def _largest_bits(self) -> tuple[int, int]:
        """Bits of M's significand, and how many of its top ones may be zero."""
        bits = significand_bits(self.source)
        return (self.rounded_bits + 1, 1) if 0 < self.rounded_bits < bits else (bits, 0)

    @property
    def divisor_bits(self) -> tuple[int, int]:
        """The most and the least that the divisor of M has."""
        most = self.odd.bit_length()
        if self.tensor_scale is None:
            return most, most
        bits = significand_bits(self.tensor_scale)
        return (most + bits, most + bits - 1) if self.odd > 1 else (bits, bits)

    @property
    def padding(self) -> int:
        """Zeros below M's significand, for a quotient that can be rounded."""
        bits, zeros = self._largest_bits
        return max(0, self.scale.precision + 1 + self.divisor_bits[0] + zeros - bits)

    @property
    def quotient_lsb_exponent(self) -> int:
        """Exponent of the lowest bit of M's quotient, which is its sticky bit."""
        bits = significand_bits(self.source)
        lsb_exponent = self.source.lsb_exponent - (bits - 1) - self.power - self.padding - 1
        if 0 < self.rounded_bits < bits:
            lsb_exponent += bits - self.rounded_bits
        if self.tensor_scale is not None:
            lsb_exponent -= self.tensor_scale.lsb_exponent + largest_shift(self.tensor_scale)
        return lsb_exponent

    @property
    def divides(self) -> bool:
        """Whether there is something to divide by that is not a power of two."""
        return self.divisor_bits[0] > 1

    @property
    def divisions(self) -> int:
        """Steps of the division."""
        if not self.divides:
            return 0
        return divide.steps_of(self._largest_bits[0] + self.padding, self.divisor_bits[1])

    @property
    def dividing_bits(self) -> int:
        """Bits of the division under way, or of the dividend if there is none."""
        dividend = self._largest_bits[0] + self.padding
        return divide.bits_of(dividend, *self.divisor_bits) if self.divides else dividend

    @property
    def element_divisor_bits(self) -> int:
        """Bits of the significand of block scale times tensor scale."""
        tensor = 0 if self.tensor_scale is None else significand_bits(self.tensor_scale)
        return significand_bits(self.scale) + tensor

    @property
    def element_divisor_exponent(self) -> int:
        """The exponent of the leading bit of ``element_divisor``, less its own ``exponent``."""
        formats = [self.scale] if self.tensor_scale is None else [self.scale, self.tensor_scale]
        return sum(f.lsb_exponent + significand_bits(f) - 1 for f in formats)

    def begun_segments(self, tensor: Shape | None, *, split: bool) -> tuple[Segments, Shape]:
        """The segments of ``begun``, and the shape of the exponent.

        ``tensor``: the shape of the tensor scale's exponent.
        """
        bits = significand_bits(self.source)
        if self.source.is_integer:
            finding, exponent = leading_significand_segments(bits, ZERO, split=split)
        else:
            finding, exponent = leading_segments(self.source, split=split)
        finding = passed_by(finding, self._tensor_bits(tensor))
        total = exponent + (bits - 1)
        timing_paths: list[Series] = [
            (Adder(self.rounded_bits + 1),) if 0 < self.rounded_bits < bits else ()
        ]
        if tensor is not None:
            assert self.tensor_scale is not None
            total = total - tensor + largest_shift(self.tensor_scale)
            if self.odd > 1:
                timing_paths.append((Multiplier(self.divisor_bits[0], self.odd.bit_length()),))
            timing_paths.append((Adder(total.width), Adder(total.width)))
        timing_paths.append((Adder(total.width),))
        made = self._largest_bits[0] + self.divisor_bits[0] + total.width
        divisor = Segment("divisor", parallel(*timing_paths), made)
        return (*finding, divisor), Shape(total.width)

    def _tensor_bits(self, exponent: Shape | None) -> int:
        """Bits of the tensor's scale with its leading one on top, if there is one."""
        if exponent is None or self.tensor_scale is None:
            return 0
        return significand_bits(self.tensor_scale) + exponent.width

    def placed_segments(self, exponent: Shape, *, split: bool) -> tuple[Segments, PlacedShape]:
        """The segments of ``placed``, and what comes of it."""
        remainder = self.divisor_bits[0] if self.divides else 1
        quotient = self.divisions if self.divides else self._largest_bits[0] + self.padding
        number = NumberShape(quotient + 1, self.quotient_lsb_exponent, exponent, sign=False)
        placing, placed = normalising(number, self.scale, self.rounding, split=split)
        return (Segment("quotient", (AnyBit(remainder),), number.bits), *placing), placed

    def code_segments(self, placed: PlacedShape) -> Segments:
        """The segments of ``code``."""
        bits = self.scale.bits
        not_zero = Segment("not_zero", (AnyBit(bits), Gates(bits)), bits)
        return (*coding(placed, self.scale, self.rounding, SATURATE), not_zero)

    def element_divisor_segments(
        self, tensor: Shape | None, *, split: bool
    ) -> tuple[Segments, Shape]:
        """The segments of ``element_divisor``, and the shape of its exponent."""
        finding, exponent = leading_segments(self.scale, split=split)
        if tensor is None or self.tensor_scale is None:
            return finding, exponent
        finding = passed_by(finding, self._tensor_bits(tensor))
        factors = (Shape(significand_bits(f)) for f in (self.scale, self.tensor_scale))
        multiplying, _ = multiplied_segments("scales", *factors)
        multiplying = passed_by(multiplying, exponent.width + tensor.width)
        total = exponent + tensor + ZERO
        logic = (Adder(total.width), Adder(total.width))
        adding = Segment("scales_exponent", logic, self.element_divisor_bits + total.width)
        return (*finding, *multiplying, adding), total


def require_float_scale(
    rule: str, element: Scalar, scale: Scalar, tensor_scale: Scalar | None
) -> None:
    """InputError unless ``float_scale`` knows the rule and the formats."""
    require_rule(rule)
    for name, f in (("block", scale), ("tensor", tensor_scale)):
        if f is not None and not (f.has_hardware and f.exponent_bits):
            raise InputError(
                f"no hardware quantizes with a scale of the {name} in {f}: use a "
                "floating-point format, such as ue4m3, e8m0 or fp32"
            )
    if not element.has_hardware:
        raise InputError(f"{element} cannot be rounded to in hardware: use int4 or e2m1, say")
    if not element.max > 0:
        raise InputError(f"elements of {element} are never above zero: use a wider format")


def float_scale(
    source: Scalar, element: Scalar, scale: Scalar, tensor_scale: Scalar | None, rule: str
) -> FloatScale:
    """The rule called ``rule`` for blocks of ``source`` numbers; see ``require_float_scale``."""
    require_float_scale(rule, element, scale, tensor_scale)
    odd, power, rounded_bits, scale_rule = 1, largest_power(element), 0, rule_called(rule)
    if scale_rule.divides_by_largest:
        numerator, denominator = float(element.symmetric_max).as_integer_ratio()
        power = (numerator & -numerator).bit_length() - denominator.bit_length()
        odd = numerator >> ((numerator & -numerator).bit_length() - 1)
    if rule == "even":
        # Bits of the largest element: from its leading one to its step.
        step = element.max - float(element.quantize(np.nextafter(element.max, 0), "down"))
        rounded_bits = largest_power(element) - (frexp(step)[1] - 1) + 1
    wanted = scale_rule.wanted(np.array([[source.smallest]]), element)
    clipped = np.clip(wanted, scale.smallest, scale.max)
    return FloatScale(
        source=source,
        scale=scale,
        tensor_scale=tensor_scale,
        odd=odd,
        power=power,
        rounded_bits=rounded_bits,
        rounding=scale_rule.rounding,
        smallest=float(scale.quantize(clipped, scale_rule.rounding)[0]),
    )


@dataclass(frozen=True)
class Quotients:
    """How numbers are divided by their scale, to become elements.

    ``where`` places a number beside the scale's leading bit: in fixed point, down to where the
    quotient's last bit needs it, or as an exponent of the quotient, whose dividend then has
    ``padding`` zeros below. ``leading_ones``: the number's leading one has to be found first.
    """

    where: Alignment
    element: Scalar
    divisor_bits: int
    leading_ones: bool
    padding: int
    guard: int

    @property
    def divisions(self) -> int:
        """Steps of the division."""
        return divide.steps_of(self._dividend_bits, self.divisor_bits)

    @property
    def dividing_bits(self) -> int:
        """Bits of a division under way."""
        return divide.bits_of(self._dividend_bits, self.divisor_bits, self.divisor_bits)

    @property
    def _dividend_bits(self) -> int:
        bits = self.where.window if self.where.fixed else self.where.significand_bits
        return bits + self.padding

    @property
    def lsb_exponent(self) -> int:
        """Exponent of a quotient's lowest bit, its sticky bit, without a shift that it has."""
        if self.where.fixed:
            return self.element.lsb_exponent - self.guard - 1
        lowest = self.where.top - self.where.furthest - (self.where.significand_bits - 1)
        return lowest + self.divisor_bits - 1 - self.padding - 1


def quotients(scale: FloatScale, element: Scalar, rounding: str) -> Quotients:
    """The quotients of ``source`` numbers of ``scale``, rounded to elements by ``rounding``."""
    source, bits, divisor_bits = (
        scale.source,
        significand_bits(scale.source),
        scale.element_divisor_bits,
    )
    highest_bit = bits - 1 + source.lsb_exponent  # of a significand that is not shifted
    # A quotient is less than a factor of two below its number over the scale's leading bit: what
    # is clamped to this place is too large for any element.
    top = frexp(max(element.max, -element.min))[1] + 1
    guard = guard_bits(rounding)
    has_binades = element.exponent_bits > 0
    span = top - element.lsb_exponent + 1
    fixed = not has_binades or span <= _FIXED_STEPS
    smallest = frexp(scale.smallest)[1] - 1
    close = scale.tensor_scale is not None or highest_bit - smallest > top
    padding = 0 if fixed else max(0, element.precision + max(guard, 1) + divisor_bits - bits)
    below = guard + divisor_bits - 1 if fixed else guard + 2
    where = Alignment(
        element=element,
        significand_bits=bits,
        top=top,
        largest_exponent=top,
        base=top - highest_bit + scale.element_divisor_exponent,
        furthest=span + below,
        guard=below,
        sticky=rounding not in (TOWARD_ZERO, NEAREST_AWAY, STOCHASTIC),
        fixed=fixed,
        clamped=True,
    )
    return Quotients(
        where=where,
        element=element,
        divisor_bits=divisor_bits,
        leading_ones=has_leading_zeros(source) and (close or not fixed),
        padding=padding,
        guard=guard,
    )

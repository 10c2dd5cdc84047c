"""Where a product, or a sum, and the addend of a fused multiply-add stand, from formats alone.

The product is fixed in a window of bits, and the addend is shifted right from a place left of it
(Montoye, Hokenek and Runyon, *Design of the IBM RISC System/6000 floating-point execution unit*,
IBM J. Res. Dev. 34(1), 1990; Muller et al., *Handbook of Floating-Point Arithmetic*, 2nd ed.,
section 8.5). Between the two leftmost places are as many bits that an addend far above has the
product below all that rounding looks at; below the product are as many that what an addend far
below loses, a sticky bit tells. So the window is about three significands wide, whatever the
exponents, and the sum is still rounded as the exact one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hwgen.formats import Scalar
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.formats.widths import value_range
from hwgen.plan.shape import Shape, shape_of
from hwgen.sizes.decode import shift_raised, shift_shape, significand_bits


@dataclass(frozen=True)
class Window:
    """Of a term, the product of significands or an exact sum, and an addend of ``precision`` bits.

    Bit 0 of the term, which has ``term_bits`` of magnitude, is bit ``below`` of the window; the
    addend's bit 0 is at most at bit ``leftmost`` of the term. ``place`` is how far right of there
    it goes for the lowest exponents of both: the term's exponent, up to ``most_exponent``, moves it
    further, its own, up to ``most_addend``, back. ``drawn``: bits below a result's last that
    rounding looks at, beside the sticky one. ``loses``: set bits of the addend can be shifted out.
    """

    precision: int
    term_bits: int
    leftmost: int
    below: int
    drawn: int
    place: int
    most_exponent: int
    most_addend: int
    loses: bool

    @property
    def width(self) -> int:
        """Bits from the lowest kept one to the highest of term and addend."""
        return self.below + max(self.precision + self.leftmost, self.term_bits)

    @property
    def above(self) -> int:
        """Bits of the window above an addend at its leftmost place."""
        return self.width - self.left - self.precision

    @property
    def levels(self) -> int:
        """Bits of a shift of the addend; the longest one leaves nothing of it."""
        return self.width.bit_length()

    @property
    def places(self) -> Shape:
        """The shape of the product's exponent, with ``place``."""
        return shape_of(self.place, self.place + self.most_exponent)

    @property
    def left(self) -> int:
        """How far above the lowest kept bit the addend's bit 0 is, at most."""
        return self.leftmost + self.below

    @property
    def least_distance(self) -> int:
        """The shift of the addend to the right, before it is limited, at least."""
        return self.place - self.most_addend

    @property
    def most_distance(self) -> int:
        """The shift of the addend to the right, before it is limited, at most."""
        return self.place + self.most_exponent

    @property
    def distance_bits(self) -> int:
        """Bits of that shift, with its sign."""
        return max(abs(self.least_distance), abs(self.most_distance)).bit_length() + 1

    @property
    def exponent_bits(self) -> int:
        """Bits of the larger exponent."""
        return max(self.most_distance, self.most_addend, 1).bit_length()


@lru_cache(maxsize=256)
def product_window(a: Scalar, b: Scalar, target: Scalar, rounding: str) -> Window:
    """Of the product of ``a`` and ``b``, beside its exponent, and a running sum in ``target``.

    No bits are kept for other addends than running sums can be (``sum_unit``). Of an operand with
    subnormals, small significands have small exponents, so that bits that a leading zero takes are
    seldom missed.
    """
    unit = a.lsb_exponent + b.lsb_exponent
    over, drawn = unit - sum_unit(unit, target), _drawn(rounding)
    depths = [
        (min(target.precision + drawn - leading, exponent + over), exponent + over)
        for leading, exponent in _products(a, b)
    ]
    return _window(
        term_bits=_largest_significand(a, b).bit_length(),
        unit=unit - shift_raised(a) - shift_raised(b),
        most_exponent=sum((1 << s.width) - 1 for s in map(shift_shape, (a, b)) if s is not None),
        depths=(max(kept for kept, _ in depths), max(all_bits for _, all_bits in depths)),
        target=target,
        drawn=drawn,
    )


@lru_cache(maxsize=256)
def sum_window(unit: int, most: int, target: Scalar, rounding: str) -> Window:
    """Of an exact sum in fixed point, and a running sum of such in ``target``.

    The exact one is a multiple of 2^``unit``, its magnitude at most ``most`` of these.
    """
    over, drawn = unit - sum_unit(unit, target), _drawn(rounding)
    return _window(
        term_bits=most.bit_length(),
        unit=unit,
        most_exponent=0,
        depths=(min(target.precision + drawn, over), over),
        target=target,
        drawn=drawn,
    )


def _drawn(rounding: str) -> int:
    return RANDOM_BITS if rounding == STOCHASTIC else 1


def _window(
    *,
    term_bits: int,
    unit: int,
    most_exponent: int,
    depths: tuple[int, int],
    target: Scalar,
    drawn: int,
) -> Window:
    """The window of a term; ``depths``: how far below it bits of the addend are kept, and are."""
    own, below = shift_shape(target), max(depths[0], 0)
    most_addend = (1 << own.width) - 1 if own is not None else 0
    # How far the addend's bit 0 is from the term's, for the lowest exponents of both.
    offset = target.lsb_exponent - shift_raised(target) - unit
    # What is above all that the term can reach has it below all that rounding looks at.
    leftmost = max(min(term_bits + 1 + drawn, most_addend + offset), 0)
    return Window(
        precision=target.precision,
        term_bits=term_bits,
        leftmost=leftmost,
        below=below,
        drawn=drawn,
        place=leftmost - offset,
        most_exponent=most_exponent,
        most_addend=most_addend,
        loses=depths[1] > below,
    )


def sum_unit(unit: int, target: Scalar) -> int:
    """Running sums in ``target`` of multiples of 2^``unit`` are multiples of 2 to this.

    Rounding keeps such multiples, or makes them coarser; but the largest number, at which sums
    saturate, need not be one.
    """
    largest = value_range(target)[1]
    of_largest = (largest & -largest).bit_length() - 1 + target.lsb_exponent
    return min(max(unit, target.lsb_exponent), of_largest)


def _largest_significand(a: Scalar, b: Scalar) -> int:
    return _most_significand(a) * _most_significand(b)


def _most_significand(f: Scalar) -> int:
    return max(map(abs, value_range(f))) if f.is_integer else (1 << significand_bits(f)) - 1


def _products(a: Scalar, b: Scalar) -> Iterator[tuple[int, int]]:
    """Kinds of products that are not zero.

    Of each how low its leading one may be, and how high its exponent.
    """
    for a_leading, a_exponent in _operands(a):
        for b_leading, b_exponent in _operands(b):
            yield a_leading + b_leading, a_exponent + b_exponent


def _operands(f: Scalar) -> Iterator[tuple[int, int]]:
    shift = shift_shape(f)
    if f.is_integer or f.subnormals:
        yield 0, 0
    if not f.is_integer and (f.exponent_bits or not f.subnormals):
        most = (1 << shift.width) - 1 - shift_raised(f) if shift is not None else 0
        yield f.mantissa_bits, most

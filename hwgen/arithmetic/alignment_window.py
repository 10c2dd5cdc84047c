"""Where the product and the addend of a fused multiply-add stand: widths and offsets, from formats.

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

from hwgen.arithmetic.decode import shift_raised, shift_shape, significand_bits
from hwgen.formats import Scalar
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.formats.widths import value_range
from hwgen.plan.shape import Shape, shape_of


@dataclass(frozen=True)
class Window:
    """The window of a product of significands and an addend of ``precision`` bits.

    Bit 0 of the product is bit ``below`` of the window; the addend's bit 0 is at most at bit
    ``leftmost`` of the product, and then the window ends with it. ``place`` is how far right of
    there it goes for the lowest exponents of both: the product's exponent, up to ``most_exponent``,
    moves it further, its own, up to ``most_addend``, back. ``drawn``: bits below a result's last
    that rounding looks at, besides the sticky one. ``loses``: set bits of the addend can be shifted
    out.
    """

    precision: int
    leftmost: int
    below: int
    drawn: int
    place: int
    most_exponent: int
    most_addend: int
    loses: bool

    @property
    def width(self) -> int:
        """Bits from the lowest kept one to the highest of an addend."""
        return self.precision + self.leftmost + self.below

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
def window(a: Scalar, b: Scalar, target: Scalar, rounding: str) -> Window:
    """Of the product of ``a`` and ``b``, and a running sum of such in ``target``.

    No bits are kept for other addends than running sums can be (``sum_unit``). Of an operand with
    subnormals, small significands have small exponents, so that bits that a leading zero takes are
    seldom missed.
    """
    drawn = RANDOM_BITS if rounding == STOCHASTIC else 1
    unit = a.lsb_exponent + b.lsb_exponent
    over = unit - sum_unit(unit, target)
    below, deepest = 0, 0
    for leading, exponent in _products(a, b):
        depth = exponent + over
        below = max(below, min(target.precision + drawn - leading, depth))
        deepest = max(deepest, depth)
    leftmost = _largest_significand(a, b).bit_length() + 1 + drawn
    raised = shift_raised(a) + shift_raised(b)
    own = shift_shape(target)
    return Window(
        precision=target.precision,
        leftmost=leftmost,
        below=below,
        drawn=drawn,
        place=leftmost + unit - raised - target.lsb_exponent + shift_raised(target),
        most_exponent=sum((1 << s.width) - 1 for s in map(shift_shape, (a, b)) if s is not None),
        most_addend=(1 << own.width) - 1 if own is not None else 0,
        loses=deepest > below,
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
    """The kinds of products that are not zero.

    How low their leading one may be, and how high their exponent.
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

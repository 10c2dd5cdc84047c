"""How lanes' products that stand at different places are summed: the plan.

The hardware is in ``hwgen.arithmetic.lane_sum``, which has the source.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwgen.formats import Scalar
from hwgen.formats.widths import product_range, signed_width, value_range
from hwgen.plan.shape import Shape
from hwgen.sizes.adder_tree import tree_levels
from hwgen.sizes.decode import shift_raised
from hwgen.sizes.product import ProductShape


@dataclass(frozen=True)
class Bin:
    """The lanes of one value, ``index``, of the shift's high bits.

    ``place``: of its sum's lowest bit in the whole sum; ``drop``: low bits of the moved products
    that are zero here; ``low``, ``high``: the extremes of a lane.
    """

    index: int
    place: int
    drop: int
    low: int
    high: int

    def width(self, lanes: int, pending: bool) -> int:
        """Bits of a sum of ``lanes`` lanes; ``pending``: it may lack a one."""
        return signed_width(self.low * lanes - int(pending), self.high * lanes)


@dataclass(frozen=True)
class LaneSum:
    """How the products of ``a`` and ``b`` in ``lanes`` lanes are summed.

    ``fine_bits``: low bits of the products' shift that move them; ``moved_bits``: of a moved
    product without its sign, which is a bit apart (``has_sign``), or in the significand too.
    """

    lanes: int
    fine_bits: int
    bins: tuple[Bin, ...]
    moved_bits: int
    has_sign: bool
    signed_significands: bool
    whole: bool = False

    @property
    def merge_levels(self) -> int:
        """Levels of adders that the sums of the bins take."""
        return tree_levels(len(self.bins))

    @property
    def has_gates(self) -> bool:
        """Whether there are several bins, so that each lane is gated into one of them."""
        return len(self.bins) > 1

    def shifter_bits(self, product_bits: int) -> int:
        """Multiplexers that move one lane's product of ``product_bits`` bits."""
        return sum(
            min(product_bits + (2 << step) - 1, self.moved_bits) for step in range(self.fine_bits)
        )

    def bits_after(self, level: int) -> int:
        """Bits of all partial sums, and carries, behind ``level`` levels of the lanes' trees."""
        counts = [1] * self.lanes
        for _ in range(level):
            counts = [sum(counts[i : i + 2]) for i in range(0, len(counts), 2)]
        return sum(
            bin.width(count, self.has_sign and i > 0) + int(self.has_sign and i > 0)
            for bin in self.bins
            for i, count in enumerate(counts)
        )

    def width_behind(self, level: int) -> int:
        """Bits of the widest partial sum behind ``level`` levels of the lanes' trees."""
        return max(bin.width(min(1 << level, self.lanes), self.has_sign) for bin in self.bins)

    def lanes_bits(self, first: ProductShape, other: ProductShape) -> int:
        """Bits of all lanes that ``place`` makes of products of these shapes."""
        gates = len(self.bins) if self.has_gates else 0
        signs = int(first.sign) + (self.lanes - 1) * int(other.sign)
        moved = self._moved(first).width + (self.lanes - 1) * self._moved(other).width
        return moved + signs + self.lanes * gates

    def terms_bits(self, level: int, other: ProductShape) -> int:
        """Bits of all terms behind ``level`` levels of the trees, one at least.

        ``other``: the products of lanes but for the first. A last lane may have none to be added
        to yet.
        """
        size, bits = 1 << level, 0
        groups, rest = divmod(self.lanes, size)
        for bin in self.bins:
            bits += bin.width(min(size, self.lanes), False)
            if groups == 0:
                continue
            bits += (groups - 1) * bin.width(size, self.has_sign)
            if rest:
                alone = rest == 1
                bits += self._alone(bin, other) if alone else bin.width(rest, self.has_sign)
        carries = max(groups + int(rest > 0) - 1, 0) if other.sign else 0
        return bits + carries * len(self.bins)

    def _moved(self, product: ProductShape) -> Shape:
        """The shape of a product that ``place`` has moved."""
        width, signed = product.significand.width, product.significand.signed
        if product.shift and self.fine_bits:
            width += (1 << min(self.fine_bits, product.shift)) - 1
        drop = 0 if self.has_gates else self.bins[0].drop
        return Shape(min(width - drop, self.moved_bits + int(signed)), signed)

    def _alone(self, bin: Bin, product: ProductShape) -> int:
        """Bits of a term of one lane."""
        moved = self._moved(product)
        width = moved.width + int(product.sign and not moved.signed)
        return min(width - bin.drop, bin.width(1, self.has_sign)) if self.has_gates else width

    def merged_bits(self, level: int) -> int:
        """Bits of all sums of bins behind ``level`` levels of adders between bins."""
        step = 1 << level
        groups = [self.bins[i : i + step] for i in range(0, len(self.bins), step)]
        return sum(group_width(group, self.lanes) for group in groups)


@functools.cache
def lane_sum(a: Scalar, b: Scalar, lanes: int, *, whole: bool = False) -> LaneSum:
    """The plan with the number of bins that makes a lane smallest, in LUTs of four inputs.

    ``whole``: products come with their signs and stand at their places.
    """
    most = sum(_largest_shift(f) for f in (a, b))
    if whole:
        return replace(_plan(a, b, lanes, most.bit_length()), has_sign=False, whole=True)
    product_bits = signed_width(*_significand_range(a, b)) - 1
    best, least = _plan(a, b, lanes, most.bit_length()), math.inf
    for fine_bits in reversed(range(most.bit_length() + 1)):
        if 4 * (most >> fine_bits) > least:  # A lane's LUTs in each bin's tree, and no less.
            break
        plan = _plan(a, b, lanes, fine_bits)
        luts = _lane_luts(plan, product_bits)
        if luts <= least:
            best, least = plan, luts
    return best


def _plan(a: Scalar, b: Scalar, lanes: int, fine_bits: int) -> LaneSum:
    least = sum(shift_raised(f) for f in (a, b))
    most = sum(_largest_shift(f) for f in (a, b))
    low, high = _significand_range(a, b)
    bins = []
    for index in range(least >> fine_bits, (most >> fine_bits) + 1):
        first = index << fine_bits
        place = max(first - least, 0)
        drop = max(least - first, 0)
        furthest = min((1 << fine_bits) - 1, most - first) - drop
        bins.append(Bin(index, place, drop, low << furthest, high << furthest))
    if len(bins) == 1:
        # The last of the significands' products are not all at the last of places.
        low, high = product_range(a, b)
        bins = [Bin(bins[0].index, bins[0].place, bins[0].drop, low, high)]
    dropped_late = len(bins) > 1
    moved_bits = max(signed_width(bin.low, bin.high) - 1 + dropped_late * bin.drop for bin in bins)
    has_sign = a.sign_apart or b.sign_apart
    signed_significands = any(f.is_integer and f.signed for f in (a, b))
    return LaneSum(lanes, fine_bits, tuple(bins), moved_bits, has_sign, signed_significands)


#: What a lane takes for each of several bins beside its share of the tree: the gate, the carry of a
#: negative lane in that bin, and the inversion, which first adders take where there are no gates.
#: Such that the choice is what was measured to be smaller (LUTs, ECP5 / 7-series / iCE40): 16 lanes
#: of E3M2 in one bin 1335 / 704 / 1413, in two 1350 / 822 / 1573; 32 of E5M2 on 7-series in two
#: 3728, in four 4417 (16 on ECP5: 3188, 3086). E4M3 is a compromise: 32 lanes in one bin 5067 /
#: 2565 / 5441, in two 4644 / 2683 / 5791.
BIN_LUTS = 10


def _lane_luts(plan: LaneSum, product_bits: int) -> float:
    """About the LUTs of a lane: its shifter's multiplexers, and its share of adders and gates."""
    trees = sum(bin.width(4, True) for bin in plan.bins)
    gates = BIN_LUTS * len(plan.bins) if plan.has_gates else 0
    merging = sum(group_width([bin], plan.lanes) + 8 for bin in plan.bins[1:])
    return plan.shifter_bits(product_bits) + 1.05 * trees + gates + merging / plan.lanes


def _largest_shift(number_format: Scalar) -> int:
    """The largest raised shift of a decoded operand."""
    f = number_format
    if f.subnormals and f.exponent_bits == 1:
        return 0
    return (1 << f.exponent_bits) - 1


def _significand_range(a: Scalar, b: Scalar) -> tuple[int, int]:
    """Smallest and largest product of two significands with their signs."""
    ranges = []
    for f in (a, b):
        if f.is_integer:
            ranges.append(value_range(f))
        else:
            most = (1 << f.precision) - 1
            ranges.append((-most if f.signed else 0, most))
    corners = [x * y for x in ranges[0] for y in ranges[1]]
    return min(corners), max(corners)


def group_width(group: Sequence[Bin], lanes: int) -> int:
    """Bits of the sum of these neighbouring bins, of all lanes."""
    first = group[0].place
    low = sum(bin.low * lanes << (bin.place - first) for bin in group)
    high = sum(bin.high * lanes << (bin.place - first) for bin in group)
    return signed_width(low, high)

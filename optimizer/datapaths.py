"""The unit that computes a layer in a pair of formats, and how its lanes come.

Numbers with scales of their own go through ``dot``. Two block formats go through ``blockdot``
where a cycle takes the whole of an output's sum, and through an ``array`` of one element, which
adds up cycles exactly, where it does not. Lanes then come in whole blocks.
"""

from __future__ import annotations

from hwgen.formats import BlockFormat, Format
from hwgen.spec import Array, BlockDot, DotProduct
from hwgen.spec.blockdot import MAX_BLOCKS
from hwgen.spec.blockdot import MAX_LANES as MAX_BLOCK_LANES
from optimizer.lowering import Lowering, TransposedConvolution

Datapath = DotProduct | BlockDot | Array

#: Lanes of one unit, where predictions are checked up to 48; a block that is larger gets more.
MAX_LANES = 64


def is_possible(a: Format, b: Format) -> bool:
    """Whether a unit multiplies the pair: two formats of single numbers, or blocks that fit."""
    if not (isinstance(a, BlockFormat) and isinstance(b, BlockFormat)):
        return a.scale is None and b.scale is None
    small, large = sorted((a.block_size, b.block_size))
    return large % small == 0 and large // small <= MAX_BLOCKS and large <= MAX_BLOCK_LANES


def takes(lowering: Lowering, a: Format) -> bool:
    """Whether a layer's activations can be in the format ``a``.

    The sums of a transposed convolution have holes of their own for each place: blocks do not.
    """
    return a.scale is None or not isinstance(lowering, TransposedConvolution)


def lane_step(a: Format, b: Format) -> int:
    """Lanes come in multiples of this."""
    return max(a.block_size, b.block_size)


def is_whole(a: Format, b: Format) -> bool:
    """Whether an output's sum must be done in one cycle: no unit adds micro-exponents up."""
    return any(isinstance(f, BlockFormat) and f.micro_bits > 0 for f in (a, b))


def most_lanes(a: Format, b: Format) -> int:
    """Lanes of a unit at most."""
    if not is_whole(a, b):
        return max(MAX_LANES, lane_step(a, b))
    return min(MAX_BLOCK_LANES, MAX_BLOCKS * min(a.block_size, b.block_size))


def unit(a: Format, b: Format, lanes: int, max_products: int, mapping: str = "lut") -> Datapath:
    """The unit of ``lanes`` lanes that sums ``max_products`` products of the pair.

    ``mapping``: of single numbers; blocks are in LUTs.
    """
    if not isinstance(a, BlockFormat):
        assert not isinstance(b, BlockFormat)
        return DotProduct(a=a, b=b, lanes=lanes, max_products=max_products, mapping=mapping)
    assert isinstance(b, BlockFormat)
    blocks = lanes // min(a.block_size, b.block_size)
    if lanes >= max_products:
        return BlockDot(a=a, b=b, blocks=blocks)
    return Array(a=a, b=b, rows=1, columns=1, blocks=blocks, max_products=max_products)

"""What is done to numbers or codes before or after they get a block format.

- ``Hadamard``: random rotations that spread outliers over a block (*INT v.s. FP*, arXiv
  2510.25602; *Quartet*, arXiv 2505.14669).
- ``k_sort``: channels of like size into the same block (*Accurate Block Quantization in LLMs
  with Outliers*, arXiv 2403.20137).
- ``clip_symmetric``: integers without their most negative code (*INT v.s. FP*).
- ``narrow_codes``: low-precision integers from stored ones of a higher precision (*Double
  Rounding*, the one-model-many-precisions scheme), or by truncation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.fields import check_fields, require_kind, shown
from hwgen.formats.integer import Integer
from hwgen.formats.reals import real_numbers
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC, round_to_integer
from hwgen.formats.scalar import Scalar

Floats = npt.NDArray[np.float64]

MAX_HADAMARD_SIZE = 4096

#: Layouts of rotary embeddings: which two channels of a head turn together. ``halves``: i and
#: i + d/2 (GPT-NeoX, Hugging Face's Llama); ``neighbours``: 2i and 2i + 1 (Meta's Llama, GPT-J).
ROPE_LAYOUTS = ("halves", "neighbours")


@dataclass(frozen=True)
class Hadamard:
    """Rotation of each ``size`` consecutive numbers by R = D·H/√size.

    H is the Sylvester-Hadamard matrix, D random signs from ``seed``, the same for all blocks.
    Both operands of a matrix product rotated along the axis that it sums over leave it as it
    is: (X·R)·(Rᵀ·W) = X·W. ``size``: a power of two from 1 to 4096; InputError for another.
    """

    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if not 1 <= self.size <= MAX_HADAMARD_SIZE or self.size & (self.size - 1):
            raise InputError(
                f"size={self.size}: Hadamard matrices here have a power of two of rows, 1 to "
                f"{MAX_HADAMARD_SIZE}"
            )

    @property
    def matrix(self) -> Floats:
        """R, float64 (size, size), orthogonal."""
        return _rotation(self.size, self.seed)

    def apply(self, values: npt.ArrayLike, axis: int = -1) -> Floats:
        """``values`` (any shape) with each block along ``axis`` times R from the right, float64.

        X·R for axis −1 of X, Rᵀ·W for axis 0 of W.

        Raises:
            InputError: an axis that is not there, or no whole number of blocks long.

        """
        return self._times(values, axis, self.matrix)

    def inverse(self, values: npt.ArrayLike, axis: int = -1) -> Floats:
        """What ``apply`` made into ``values``, to within rounding; errors as there."""
        return self._times(values, axis, self.matrix.T)

    def _times(self, values: npt.ArrayLike, axis: int, matrix: Floats) -> Floats:
        numbers = real_numbers(values).floats.astype(np.float64)
        axis = require_kind("axis", axis, ("int",))
        if not -numbers.ndim <= axis < numbers.ndim:
            raise InputError(f"axis={axis}: values of shape {numbers.shape} have no such axis")
        if numbers.shape[axis] % self.size:
            raise InputError(
                f"axis {axis} of values of shape {numbers.shape} is no multiple of the rotation's "
                f"size {self.size}: choose a smaller power of two, or fill up with zeros"
            )
        rows = np.moveaxis(numbers, axis, -1)
        turned = (rows.reshape(-1, self.size) @ matrix).reshape(rows.shape)
        return np.ascontiguousarray(np.moveaxis(turned, -1, axis))


@lru_cache(maxsize=16)
def _rotation(size: int, seed: int) -> Floats:
    signs = np.random.default_rng(seed).integers(0, 2, size) * 2.0 - 1.0
    rows = np.ones((1, 1))
    while len(rows) < size:
        rows = np.block([[rows, rows], [rows, -rows]])
    rotation: Floats = signs[:, None] * rows / np.sqrt(size)
    rotation.flags.writeable = False
    return rotation


#: More than any network has: what is larger is a mistake, whose order would fill the memory.
MOST_HEADS = 65_536


def k_sort(
    keys: npt.ArrayLike,
    *,
    heads: int = 1,
    query_heads: int | None = None,
    rope: str | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Orders of the rows of a key and a query projection that put rows of like norm together.

    ``keys``: weights (rows, inputs) of the key projection, ``heads`` heads one after the
    other. ``query_heads``: heads of the query projection, a multiple of ``heads`` of which each
    key head serves as many in a row (default: as many as ``heads``). ``rope``: a layout in
    ``ROPE_LAYOUTS``: the two channels that a rotary embedding turns together then move
    together, to a place of the same layout; its frequencies move with the pairs, so the
    embedding's table must be put in the same order. None: no rotary embedding.
    *Accurate Block Quantization in LLMs with Outliers* (arXiv 2403.20137).

    Returns:
        (key order, query order), int64: ``keys[key_order]`` has, in each head, the row (or pair)
        with the largest norm first; ``queries[query_order]`` goes with it, and the products of
        queries and keys stay the same.

    Raises:
        InputError: sizes that do not divide, or an unknown layout.

    """
    weights = real_numbers(keys).floats.astype(np.float64)
    heads = require_kind("heads", heads, ("int",))
    query_heads = require_kind("query_heads", query_heads, ("int", "None"))
    rope = require_kind("rope", rope, ("str", "None"))
    query_heads = heads if query_heads is None else query_heads
    if weights.ndim != 2 or heads < 1 or weights.shape[0] % heads:
        raise InputError(
            f"keys of shape {weights.shape} with heads={heads}: give (rows, inputs) weights whose "
            "rows are the same number for each head"
        )
    if not heads <= query_heads <= MOST_HEADS or query_heads % heads:
        raise InputError(
            f"query_heads={query_heads}: give a multiple of heads={heads}, at most {MOST_HEADS}"
        )
    size = weights.shape[0] // heads
    if rope is not None and (rope not in ROPE_LAYOUTS or size % 2):
        raise InputError(
            f"rope={rope!r} with heads of {size} rows: use one of {', '.join(ROPE_LAYOUTS)} with "
            "an even number of rows, or None"
        )
    within = _order_within(np.square(weights).sum(axis=1).reshape(heads, size), rope)
    return _all_rows(within), _all_rows(np.repeat(within, query_heads // heads, axis=0))


def _order_within(squares: Floats, rope: str | None) -> npt.NDArray[np.int64]:
    """Rows of each head by falling squares of their norms, (heads, size) to the same shape."""
    heads, size = squares.shape
    # Channels that move together are in one column: (heads, members, units).
    if rope == "halves":
        members = np.arange(size).reshape(2, -1)
    elif rope == "neighbours":
        members = np.arange(size).reshape(-1, 2).T
    else:
        members = np.arange(size)[None, :]
    units = np.argsort(-squares[:, members].sum(axis=1), axis=1, kind="stable")
    order = members[:, units].transpose(1, 0, 2)
    if rope == "neighbours":
        order = order.transpose(0, 2, 1)
    return order.reshape(heads, size)


def _all_rows(within: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows within each head (heads, size) to rows of the whole matrix."""
    heads, size = within.shape
    first = size * np.arange(heads, dtype=np.int64)[:, None]
    return np.asarray((within + first).reshape(-1), dtype=np.int64)


def clip_symmetric(codes: npt.ArrayLike, number_format: Integer) -> npt.NDArray[Any]:
    """Codes of a signed integer format (any shape) without the most negative.

    −2^(b−1) is replaced by the one above, −(2^(b−1) − 1).

    Raises:
        InputError: an unsigned format, or codes that it does not have.

    """
    _check_signed(number_format)
    values = np.maximum(number_format.decode(codes), -number_format.max)
    return number_format.encode(values)


def narrow_codes(
    codes: npt.ArrayLike, high: Integer, low: Integer, rounding: str = NEAREST_EVEN
) -> npt.NDArray[Any]:
    """Codes of ``high`` (any shape) to codes of ``low``, of fewer bits.

    With W whole numbers and h, l bits, W_l = clip(round(W_h / 2^(h−l)), −2^(l−1), 2^(l−1) − 1).
    The scale of the codes grows by 2^(h−l). ``rounding``: one of ``rounding.MODES`` but the
    stochastic; ``down`` keeps the upper bits as they are: truncation.

    Raises:
        InputError: unsigned formats, a ``low`` of more bits, codes that ``high`` does not have, an
            unknown or stochastic rounding.

    """
    _check_signed(high)
    _check_signed(low)
    if low.bits > high.bits:
        raise InputError(f"{high} to {low}: the second format must not have more bits")
    if require_kind("rounding", rounding, ("str",)) == STOCHASTIC:
        raise InputError(f"rounding={rounding!r}: use another mode for codes")
    whole = np.ldexp(high.decode(codes), high.fraction_bits)
    rounded = round_to_integer(np.ldexp(whole, low.bits - high.bits), rounding)
    return low.encode(np.ldexp(rounded, -low.fraction_bits))


def _check_signed(number_format: Integer) -> None:
    if not isinstance(number_format, Integer) or not number_format.signed:
        name = number_format if isinstance(number_format, Scalar) else shown(number_format)
        raise InputError(f"{name}: give a signed integer format such as int8")

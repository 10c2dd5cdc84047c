"""The spec of the dot product whose weights are known when it is made."""

from __future__ import annotations

import hashlib
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwgen.accumulator import MIN_BITS, Accumulator
from hwgen.errors import InputError
from hwgen.fields import set_fields, shown
from hwgen.formats import Scalar
from hwgen.formats.rounding import NEAREST_EVEN
from hwgen.formats.widths import signed_width, value_range
from hwgen.plan import constant_sum
from hwgen.plan.step import Steps
from hwgen.spec.base import Port, option, require_decoded
from hwgen.spec.dot import MAX_LANES, DotProduct
from hwgen.spec.steps import fixeddot

#: Bits of a's magnitudes in fixed point up to which that is taken to be smaller than bins. Of 16
#: lanes on ECP5 and 7-series it was, by 13% and 16% with 41 bits (fp16), and larger by 18% and 22%
#: with 66 (e6m3).
WIDEST = 52
#: Digits of a digest that tells weights apart in a module's name.
DIGEST_DIGITS = 10


@dataclass(frozen=True)
class Weights:
    """A constant for each lane (1 to 256); ``str``: the numbers with commas between them.

    InputError for what is not a finite float64.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple):
            raise InputError(
                f"weights: {shown(self.values)}: give a tuple of numbers; Weights.parse "
                "takes text, sequences and arrays"
            )
        set_fields(self, values=tuple(_number(value) for value in self.values))
        if not self.values:
            raise InputError("weights: none are given: give one for each lane, such as 3,-5,7")
        if len(self.values) > MAX_LANES:
            raise InputError(
                f"weights: {len(self.values)} are given: up to {MAX_LANES} are taken, one for each "
                "lane; divide longer sums among several units"
            )

    def __str__(self) -> str:
        return ",".join(map(_shown, self.values))

    @classmethod
    def parse(cls, given: Any) -> Weights:
        """The weights of text such as ``3,-5,0.5``, or of a sequence or array of numbers.

        They are kept as float64.

        Raises:
            InputError: something else, a number that is no finite float64, none, or more than
                lanes.

        """
        if isinstance(given, Weights):
            return given
        if isinstance(given, str):
            parts = [part.strip() for part in given.split(",")] if given.strip() else []
            return cls(tuple(_from_text(part) for part in parts))
        require_ordered(given, 1, "weights", "give one number for each lane, such as 3,-5,7")
        return cls(tuple(_number(item) for item in given))


def require_ordered(given: Any, dimensions: int, name: str, how: str) -> None:
    """InputError, which says ``how``, unless it is a sequence or an array of so many dimensions."""
    is_array = isinstance(given, np.ndarray)
    if is_array and given.ndim != dimensions:
        raise InputError(f"{name}: an array of shape {given.shape}: {how}")
    if not is_array and (not isinstance(given, Sequence) or isinstance(given, bytes | bytearray)):
        raise InputError(f"{name}: {shown(given)}: {how}")


def _number(item: Any) -> float:
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, bool) or not isinstance(item, Real):
        raise InputError(f"weights: {shown(item)} is no number")
    try:
        number = float(item)
    except OverflowError:
        number = math.inf
    if math.isfinite(number) and Fraction(number) != item:
        raise InputError(f"weights: {shown(item)} is no float64, and so no weight of any format")
    return _finite(number, item)


def _from_text(text: str) -> float:
    if re.fullmatch("[+-]?[0-9]{1,400}", text, re.ASCII):
        return _number(int(text))  # As a float one past 2^53 would become its neighbour.
    try:
        number = float(text)
    except ValueError:
        raise InputError(
            f"weights: {shown(text)} is no number: give one for each lane, such as 3,-5,0.5"
        ) from None
    return _finite(number, text)


def _finite(number: float, given: Any) -> float:
    if not math.isfinite(number):
        text = given if isinstance(given, str) else shown(given)
        raise InputError(f"weights: {text} is not finite, or beyond float64: weights are numbers")
    return number + 0.0  # Minus zero is zero.


def _shown(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def require_numbers_of(b: Scalar, values: Sequence[float], place: str) -> None:
    """Check that the format ``b`` has the weights; ``place``: what a weight's index is of.

    Raises:
        InputError: a weight that is no number of it.

    """
    nearest = b.decode(b.encode(values, nan=0.0)).tolist()
    for index, (weight, rounded) in enumerate(zip(values, nearest, strict=True)):
        if weight != rounded:
            raise InputError(
                f"weights: {_shown(weight)}, {place}{index}, is no number of b={b}: the "
                f"nearest is {rounded!r}; its range is {b.min:g} to {b.max:g}. Round the "
                "weights first, or use another format"
            )


def in_steps(b: Scalar, values: Sequence[float]) -> list[int]:
    """The weights in units of the format's step."""
    return [int(weight * 2.0**-b.lsb_exponent) for weight in values]


def common_shift(numbers: Sequence[int]) -> int:
    """The largest power of two that divides all numbers; 0 of zeros."""
    common = math.gcd(*numbers)
    return max((common & -common).bit_length() - 1, 0)


@dataclass(frozen=True, kw_only=True)
class FixedDot(DotProduct):
    """A dot product whose weights are constants.

    Each valid cycle adds Σ wᵢ·aᵢ to the accumulator, or restarts it with that sum. ``weights``:
    wᵢ, one for each lane, as numbers; each is exactly one of the format ``b``. There is no port
    ``b``: weights become shifts and additions (``hwgen.plan.constant_sum``), and those that
    are zero nothing. ``lanes`` is how many they are, and need not be given. The rest is as of
    ``dot`` with constants at ``b``; infinities and NaN too, so that zero times infinity is NaN. But
    sums count units of the largest power of two that divides all weights, and are as wide as
    these weights need.
    """

    unit: ClassVar[str] = "fixeddot"
    exchangeable: ClassVar[bool] = False

    lanes: int = 0
    weights: Weights = field(
        metadata=option(
            "LIST|FILE",
            "the constants, such as 3,-5,7, or a file of them: .npy, or text (.csv, .txt)",
        )
    )

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | Scalar,
            weights: str | Weights | Sequence[float],
            lanes: int = 0,
            addend: str | Scalar | None = None,
            max_products: int = 4096,
            mapping: str = "lut",
            accumulator: str | Accumulator = "exact",
            output: str | Scalar | None = None,
            rounding: str = NEAREST_EVEN,
            overflow: str = "",
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        require_decoded("a", self.a)
        set_fields(self, weights=Weights.parse(self.weights))
        require_numbers_of(require_decoded("b", self.b), self.weights.values, "of lane ")
        count = len(self.weights.values)
        if self.lanes not in (0, count):
            raise InputError(
                f"lanes={self.lanes!r}: {count} weights are given, one for each lane: leave lanes "
                "out, or give as many weights"
            )
        set_fields(self, lanes=count)
        if self.mapping != "lut":
            raise InputError(
                f"mapping={self.mapping!r}: fixed weights leave no multiplication for a DSP block: "
                "use mapping='lut'"
            )
        super()._settle()

    @cached_property
    def whole_weights(self) -> tuple[int, ...]:
        """The weights in units of 2**weight_lsb_exponent."""
        shift = self.weight_lsb_exponent - self.b.lsb_exponent
        return tuple(number >> shift for number in self._b_steps)

    @property
    def weight_lsb_exponent(self) -> int:
        """The largest power of two of which all weights are multiples; b's, if all are zero."""
        return self.b.lsb_exponent + common_shift(self._b_steps)

    @property
    def _b_steps(self) -> list[int]:
        return in_steps(self.b, self.weights.values)

    @cached_property
    def plan(self) -> constant_sum.Plan:
        """The additions that make the lanes' sum."""
        return constant_sum.plan(self.whole_weights, *value_range(self.a))

    @property
    def in_fixed_point(self) -> bool:
        """The lanes' numbers are brought to fixed point, and then summed by ``plan``.

        Where that is very wide, products are summed in bins as those of a ``dot``.
        """
        narrow = value_range(self.a)[1].bit_length() <= WIDEST
        return narrow or self.lanes == 1 or bool(self.pipeline_target)

    @property
    def has_flags(self) -> bool:
        """Products of decoded weights have those of the weights' format."""
        of_weights = self.b.has_nan or self.b.has_infinity
        return self.has_special or (not self.in_fixed_point and of_weights)

    @property
    def _product_window(self) -> None:
        """None: products with constants are summed first."""
        return None

    @property
    def _steps(self) -> Steps:
        return fixeddot.steps(self)

    @property
    def product_lsb_exponent(self) -> int:
        """Products count units of 2 to this: a's step times what divides all weights."""
        return self.a.lsb_exponent + self.weight_lsb_exponent

    @property
    def _operand_ports(self) -> tuple[Port, ...]:
        return tuple(port for port in super()._operand_ports if port.name != "b")

    @cached_property
    def product_range(self) -> tuple[int, int]:
        """Smallest and largest product of any lane, in units of 2**product_lsb_exponent."""
        ends = [weight * number for weight in self.whole_weights for number in value_range(self.a)]
        return min(ends), max(ends)

    @property
    def product_width(self) -> int:
        """Bits of one signed product, of any lane."""
        return signed_width(*self.product_range)

    def _range_of_sum(self, products: int) -> tuple[int, int]:
        """Of as many cycles as those products take."""
        low, high = self.plan.range
        cycles = -(-products // self.lanes)
        return low * cycles, high * cycles

    @property
    def _width_of_all(self) -> int:
        return max(super()._width_of_all, MIN_BITS)

    @property
    def _b_description(self) -> tuple[str, ...]:
        listed = textwrap.wrap(str(self.weights).replace(",", ", "), 80)
        additions = f", made of {self.plan.adders} additions" if self.in_fixed_point else ""
        return (
            f"  b            constants of {self.b}, lane 0 first{additions}:",
            *(f"               {line}" for line in listed),
        )

    @property
    def _mapping_description(self) -> tuple[str, ...]:
        return ()

    @property
    def _lanes_name(self) -> list[str]:
        digest = hashlib.sha256(str(self.weights).encode()).hexdigest()
        return [*super()._lanes_name, f"weights{digest[:DIGEST_DIGITS]}"]

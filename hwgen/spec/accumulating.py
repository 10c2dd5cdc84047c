"""What the specs of units with an accumulator have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from hwgen.accumulator import Accumulator, Exact, Fixed, Float
from hwgen.accumulator import parse as parse_accumulator
from hwgen.errors import InputError
from hwgen.fields import set_fields
from hwgen.formats import Format, Scalar
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC
from hwgen.formats.scalar import SATURATE, SPECIAL
from hwgen.sizes.alignment_window import Window
from hwgen.sizes.pending_sum import MAX_BITS, PendingSum, is_all_ones
from hwgen.sizes.rounding import require_rounding
from hwgen.spec.base import Port, Spec, code_port, require_rounded

#: What a sum can be instead of a number: a port each, beside a fixed-point accumulator.
FLAGS = ("nan", "positive_infinity", "negative_infinity")


class AccumulatingSpec(Spec):
    """A spec with the fields below, whose exact sums of products go to an ``accumulator``.

    From there, if there is an ``output`` format, they are rounded once to that.
    """

    if TYPE_CHECKING:
        a: Format
        b: Format
        max_products: int
        accumulator: Accumulator
        output: Scalar | None
        rounding: str
        overflow: str

    @property
    @abstractmethod
    def lsb_exponent(self) -> int:
        """Sums count units of 2**lsb_exponent."""

    @property
    def factors(self) -> tuple[Scalar, ...]:
        """The formats of what is multiplied; of blocks their elements'."""
        return self.a.element, self.b.element

    @property
    @abstractmethod
    def has_special(self) -> bool:
        """Some operand can be infinite or NaN."""

    @property
    def has_flags(self) -> bool:
        """A cycle's sum comes with flags, whether or not they can be set."""
        return self.has_special

    @abstractmethod
    def width_of_sum(self, products: int) -> int:
        """Bits of a signed sum of ``products`` products, from their true extremes."""

    @property
    def _terms(self) -> str:
        """What is summed."""
        return f"{self.a} times {self.b}"

    @property
    def _width_of_all(self) -> int:
        """Bits of the exact sum of ``max_products`` products and what comes with them."""
        return self.width_of_sum(self.max_products)

    def _require_accumulation(self) -> None:
        """Reads the names of accumulator and output.

        Raises:
            InputError: what no unit does.

        """
        set_fields(self, accumulator=parse_accumulator(self.accumulator))
        self._require_accumulator()
        self._require_output()

    def _require_accumulator(self) -> None:
        accumulator = self.accumulator
        if isinstance(accumulator, Float):
            f = accumulator.format
            require_rounding(f, accumulator.rounding, accumulator.overflow)
            if accumulator.fast and not self._has_fast_loop:
                raise InputError(
                    f"accumulator={accumulator}: the fast loop is one of dot and its kin: leave "
                    "'fast' out"
                )
            if accumulator.interleave > 1 and not self._has_fast_loop:
                raise InputError(
                    f"accumulator={accumulator}: partial sums take turns in a dot and its kin: "
                    f"leave 'interleave:{accumulator.interleave}' out"
                )
            if f.exponent_bits == 0:
                raise InputError(f"accumulator={accumulator}: a format with exponent is needed")
            if self.has_special and not f.has_nan:
                raise InputError(
                    f"accumulator={accumulator} has no NaN, which {self._terms} may be: "
                    "use an accumulator format with NaN, such as fp32, or a fixed or exact one"
                )

    def _require_output(self) -> None:
        if self.output is None:
            if self.rounding != NEAREST_EVEN or self.overflow:
                raise InputError(
                    "rounding and overflow are those of the output format: give an output, or "
                    "an accumulator with a rounding of its own, such as fixed:24:8:toward_zero"
                )
            return
        if isinstance(self.accumulator, Float):
            raise InputError(
                f"accumulator={self.accumulator} holds rounded numbers, and is the output: leave "
                "output out, or use a fixed or exact accumulator"
            )
        output, overflow = require_rounded("output", self.output, self.rounding, self.overflow)
        set_fields(self, output=output, overflow=overflow)
        if self.rounding == self._accumulator_rounding == STOCHASTIC:
            raise InputError("only one of accumulator and output can round stochastically")

    @property
    def _accumulator_rounding(self) -> str:
        return NEAREST_EVEN if isinstance(self.accumulator, Exact) else self.accumulator.rounding

    @property
    def is_stochastic(self) -> bool:
        """Random bits come in with the operands."""
        return STOCHASTIC in (self.rounding, self._accumulator_rounding)

    @property
    def zero_rounding(self) -> str | None:
        """The rounding by which a zero sum has a sign; None where it has none.

        That is where the format that sums are rounded to has no −0, the accumulator is a
        fixed-point number of a given width, or no term can be −0.
        """
        target: Scalar
        if isinstance(self.accumulator, Float):
            target, rounding = self.accumulator.format, self.accumulator.rounding
        elif isinstance(self.accumulator, Exact) and self.output is not None:
            target, rounding = self.output, self.rounding
        else:
            return None
        return rounding if target.has_minus_zero and self._has_signed_zeros(rounding) else None

    @abstractmethod
    def _has_signed_zeros(self, rounding: str) -> bool:
        """The sum of a cycle can be −0."""

    @property
    def keeps_flags(self) -> bool:
        """Beside a running sum in fixed point is kept whether it is infinite or NaN."""
        if self.pending is None:
            return self.has_special and not isinstance(self.accumulator, Float)
        return self.has_special or (self.pending.saturates and self.rounded_to[2] == SPECIAL)

    @property
    def keeps_zero_sign(self) -> bool:
        """Beside a running sum in fixed point is kept the sign that it has as a zero."""
        if self.pending is None:
            return self.zero_rounding is not None and not isinstance(self.accumulator, Float)
        return self.rounded_to[0].has_minus_zero

    @property
    def rounded_to(self) -> tuple[Scalar, str, str]:
        """What a running sum in fixed point is rounded to: format, rounding and overflow."""
        if self.output is not None:
            return self.output, self.rounding, self.overflow
        assert isinstance(self.accumulator, Float)
        return self.accumulator.format, self.accumulator.rounding, self.accumulator.overflow

    @property
    def rounds_in_loop(self) -> bool:
        """The accumulator is a float."""
        return isinstance(self.accumulator, Float)

    @property
    def interleave(self) -> int:
        """Partial sums that take turns in the loop of a float accumulator; 1 where there is one."""
        return self.accumulator.interleave if isinstance(self.accumulator, Float) else 1

    @property
    def storage_bits(self) -> int:
        """Bits of the registers in which partial sums wait, and that say which do."""
        return self.interleave * (self.accumulator_width + 1) if self.interleave > 1 else 0

    @property
    def window(self) -> Window | None:
        """Where what a cycle adds and a float accumulator are added, in one step; None if not."""
        return None

    #: The unit has float accumulators that are ``fast``, and those that have partial sums.
    _has_fast_loop: ClassVar[bool] = False

    @property
    def pending(self) -> PendingSum | None:
        """Where a ``fast`` accumulator stands in fixed point; None if there is no such."""
        return None

    @property
    def accumulator_lsb_exponent(self) -> int:
        """The accumulator counts units of 2 to this, or its format does."""
        if isinstance(self.accumulator, Fixed):
            return -self.accumulator.fraction_bits
        if isinstance(self.accumulator, Float):
            return self.accumulator.format.lsb_exponent
        return self.lsb_exponent

    @property
    def accumulator_width(self) -> int:
        """Bits of the accumulator."""
        if isinstance(self.accumulator, Fixed):
            return self.accumulator.bits
        if isinstance(self.accumulator, Float):
            return self.accumulator.format.bits
        return self._width_of_all

    @property
    def accumulator_flags(self) -> tuple[str, ...]:
        """The names of the flags beside the accumulator."""
        return FLAGS if self.has_special and not isinstance(self.accumulator, Float) else ()

    def _result_ports(self, count: int = 1) -> tuple[Port, ...]:
        """The output ports of ``count`` accumulators."""
        if self.output is not None:
            return (code_port("result", self.output, count),)
        if isinstance(self.accumulator, Float):
            return (code_port("accumulator", self.accumulator.format, count),)
        unit = self.accumulator_lsb_exponent
        meaning = f"running sum in units of 2^{unit}, kept between results"
        return (
            Port("accumulator", self.accumulator_width, meaning, count, signed=True),
            *(Port(flag, 1, "what the sum is instead", count) for flag in self.accumulator_flags),
        )

    @property
    def facts(self) -> dict[str, int]:
        """Width of the accumulator, and the exponent of its unit."""
        return {
            "accumulator_width": self.accumulator_width,
            "lsb_exponent": self.accumulator_lsb_exponent,
        }

    @property
    def _accumulation_name(self) -> list[str]:
        """What the unit's name says of it."""
        parts = []
        if not isinstance(self.accumulator, Exact):
            parts.append(str(self.accumulator).replace(":", "_").replace("-", "n"))
        if self.output is not None:
            parts += [f"to_{self.output}", self.rounding, self.overflow]
        return parts

    @property
    def _output_description(self) -> tuple[str, ...]:
        if self.output is None:
            return ()
        rules = f"rounding {self.rounding}, overflow {self.overflow}"
        return (f"  result <- accumulator rounded once to {self.output}: {rules}",)

    @property
    def _accumulator_description(self) -> str:
        if isinstance(self.accumulator, Float):
            if self.interleave > 1:
                return f"{self.accumulator}: partial sums take turns, rounded once an input"
            return f"{self.accumulator}: rounded once a cycle"
        width = f"{self.accumulator_width} bits signed"
        if isinstance(self.accumulator, Fixed):
            return f"{width}, {self.accumulator}: each cycle's sum is rounded to its unit"
        return f"{width}, exact for {self.max_products} products, then it wraps"


def require_pending(accumulator: Float, plan: PendingSum | None, *, has_special: bool) -> None:
    """Check that there is a fast loop for an accumulator; ``has_special``: of its terms.

    Raises:
        InputError: random bits, a format whose numbers do not stand alike, infinities that become
            the largest number, or a sum that is too wide.

    """
    f, reason = accumulator.format, ""
    if accumulator.rounding == STOCHASTIC:
        reason = "none rounds by random bits"
    elif f.mantissa_bits == 0 or not f.subnormals:
        # Without mantissa bits the even of two codes is told by the exponent.
        reason = "its format needs mantissa bits and subnormals"
    elif plan is not None and plan.saturates and not is_all_ones(f):
        reason = "its format's largest significand needs to be ones alone"
    elif (accumulator.overflow == SPECIAL or has_special) and not f.has_infinity:
        reason = "its format has no infinity, which a sum may be"
    elif has_special and (accumulator.overflow == SATURATE or f.saturates):
        reason = "none makes infinities its largest number"
    elif plan is not None and plan.width > MAX_BITS:
        reason = f"its sum has {plan.width} bits in fixed point, and up to {MAX_BITS} are taken"
    if reason:
        raise InputError(
            f"accumulator={accumulator}: there is no fast loop of it: {reason}; leave 'fast' out"
        )

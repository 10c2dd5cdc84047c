"""Accumulators: what a unit keeps of the sums that it is fed, as data.

In each step (one cycle) an accumulator takes the exact sum of the step's exact products.
``Exact`` keeps everything, ``Fixed`` is a two's-complement register of a given width, and
``Float`` holds a code of a floating-point format, rounded once a step. ``str(accumulator)``
is its name and ``parse`` reads it back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from hwgen import formats
from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, set_fields, shown
from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN, MODES, NEAREST_EVEN, STOCHASTIC
from hwgen.formats.scalar import OVERFLOWS, SATURATE

WRAP = "wrap"
#: What a float accumulator's name has at its end where it is ``fast``, and where it has several
#: partial sums, before their number.
FAST, INTERLEAVE = "fast", "interleave"
MAX_INTERLEAVE = 32
FIXED_OVERFLOWS = (SATURATE, WRAP)
MIN_BITS, MAX_BITS = 2, 4096
MAX_FRACTION_BITS = 4096


@dataclass(frozen=True)
class Exact:
    """Fixed-point and as wide as the sums need: nothing is lost."""

    def __str__(self) -> str:
        return "exact"


@dataclass(frozen=True)
class Fixed:
    """Two's-complement register of ``bits`` bits that counts units of 2^−``fraction_bits``.

    The step's exact sum is rounded to the unit (``rounding``), added, and the result saturates
    or wraps (``overflow``). ``fraction_bits`` is 0 unless given, whatever the operands are: with
    products finer than 1 choose it, negative values count units above 1.
    """

    bits: int
    fraction_bits: int = 0
    overflow: str = SATURATE
    rounding: str = NEAREST_EVEN

    def __post_init__(self) -> None:
        check_fields(self)
        _require_int("bits", self.bits, MIN_BITS, MAX_BITS)
        _require_int("fraction_bits", self.fraction_bits, -MAX_FRACTION_BITS, MAX_FRACTION_BITS)
        require_choice("overflow", self.overflow, FIXED_OVERFLOWS)
        require_choice("rounding", self.rounding, MODES)

    def __str__(self) -> str:
        return _joined(
            f"fixed:{self.bits}:{self.fraction_bits}",
            "" if self.overflow == SATURATE else self.overflow,
            "" if self.rounding == NEAREST_EVEN else self.rounding,
        )


@dataclass(frozen=True)
class Float:
    """A code of ``format``, a signed minifloat, which is rounded once in each step.

    In a step it becomes the sum of its value and the step's exact sum (of one product: a fused
    multiply-add). A zero has the sign of IEEE 754-2019, section 6.3; a restart leaves nothing, not
    +0, before the first sum.

    ``overflow``: what becomes of a sum past the largest number, as for the format's ``encode``. By
    default what the format's standard says: ``special`` if it has infinities, else ``saturate``. A
    saturating accumulator holds no infinity: the largest number stands for it.

    ``fast``: the same numbers, from hardware with a shorter loop, which rounds a sum where it adds
    the next one to it (see ``hwgen.arithmetic.pending_sum``); of sums of narrow range only.

    ``interleave``: so many partial sums take turns. An input is added to what became of the one so
    many inputs before, ``acc[i] = round(acc[i - interleave] + x[i])``, and a restart is of that sum
    alone. The loop has room for as many registers (see ``hwgen.arithmetic.partial_sums``). Inputs
    are those that are valid: cycles between them do not count.
    """

    format: Scalar
    rounding: str = NEAREST_EVEN
    overflow: str = ""
    fast: bool = False
    interleave: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        _require_int(INTERLEAVE, self.interleave, 1, MAX_INTERLEAVE)
        if self.fast and self.interleave > 1:
            raise InputError(
                f"accumulator={self.format}: fast and interleave:{self.interleave} are two ways to "
                "a higher clock, the same numbers and partial sums: choose one"
            )
        f = formats.parse(self.format)
        if f.scale is not None or not (f.has_hardware and f.sign_apart):
            raise InputError(
                f"accumulator format {f}: use a floating-point format with sign, such as "
                "fp32, or a fixed accumulator"
            )
        set_fields(self, format=f, overflow=self.overflow or f.usual_overflow)
        require_choice("rounding", self.rounding, MODES)
        require_choice("overflow", self.overflow, OVERFLOWS)
        if self.overflow != SATURATE and not (f.has_infinity or f.has_nan):
            raise InputError(f"{f} has neither infinity nor NaN: use overflow={SATURATE!r}")

    def __str__(self) -> str:
        return _joined(
            str(self.format),
            "" if self.overflow == self.format.usual_overflow else self.overflow,
            "" if self.rounding == NEAREST_EVEN else self.rounding,
            FAST if self.fast else "",
            f"{INTERLEAVE}:{self.interleave}" if self.interleave > 1 else "",
        )


Accumulator = Exact | Fixed | Float


@dataclass(frozen=True)
class Aligned:
    """Several blocks' sums in a window of ``bits`` bits, aligned to the largest scale.

    The cheap alternative to an exact sum of blocks in the designs for FPGAs and for MX dot
    products (MX-for-FPGA: Samson et al., *Exploring FPGA designs for MX and beyond*, FPL 2024;
    24 bits are usual), made precise. Each block's sum T is exact, with the scales' significands.
    The exponent of a block is the sum of its scales' exponents (subnormal scales have that of the
    lowest binade); E is the largest exponent of all blocks, zero or not. Every T is rounded to
    a whole multiple of u·2^E (``rounding``; ``down`` cuts bits of two's complement off, as the
    cheapest hardware does), and the multiples are added. u is the smallest power of two for
    which all sums of that many blocks fit ``bits`` bits, rounding included: there is no
    overflow.
    """

    bits: int
    rounding: str = DOWN

    def __post_init__(self) -> None:
        check_fields(self)
        _require_int("bits", self.bits, MIN_BITS, MAX_BITS)
        choices = tuple(mode for mode in MODES if mode != STOCHASTIC)
        require_choice("rounding", self.rounding, choices)

    def __str__(self) -> str:
        return _joined(f"aligned:{self.bits}", "" if self.rounding == DOWN else self.rounding)


def parse_alignment(name: str | Exact | Aligned) -> Exact | Aligned:
    """How several blocks are summed, by its ``name``.

    ``exact``, or ``aligned:W`` with W bits, with a rounding at the end if wanted:
    ``aligned:24:nearest_even``. Raises InputError for anything else.
    """
    if isinstance(name, Exact | Aligned):
        return name
    usage = (
        f"accumulator {shown(name)}: blocks are summed exact, or aligned:W in a window of W bits, "
        "such as aligned:32 or aligned:32:nearest_even"
    )
    if not isinstance(name, str):
        raise InputError(usage)
    if name == "exact":
        return Exact()
    match = re.fullmatch(r"aligned:([1-9][0-9]{0,4})(?::(.+))?", name, re.ASCII)
    if match is None:
        raise InputError(usage)
    return Aligned(int(match[1]), match[2] or DOWN)


def parse(name: str | Accumulator) -> Accumulator:
    """The accumulator called ``name``; an accumulator is returned as it is.

    ``exact``; ``fixed:W`` or ``fixed:W:F`` (width, fraction bits); or a floating-point format
    such as ``fp32``. The last two take an overflow and a rounding at the end: ``fixed:24:8:wrap``,
    ``fixed:24:8:toward_zero``, ``bf16:saturate:stochastic``; a float one behind these ``fast``, or
    ``interleave:K`` for K partial sums. InputError if unknown.
    """
    if isinstance(name, Exact | Fixed | Float):
        return name
    usage = (
        f"accumulator {shown(name)}: use exact, fixed:W or fixed:W:F (width and fraction bits), or "
        "a floating-point format such as fp32; then, if wanted, overflow and rounding, such as "
        "fixed:24:8:wrap or fp32:toward_zero; of a format last fast, such as fp32:fast, or "
        f"interleave and the number of partial sums, up to {MAX_INTERLEAVE}: fp32:interleave:12"
    )
    if not isinstance(name, str):
        raise InputError(usage)
    kind, *fields = name.split(":")
    if kind == "exact" and not fields:
        return Exact()
    numbers = []
    while kind == "fixed" and fields and re.fullmatch("-?(0|[1-9][0-9]{0,4})", fields[0], re.ASCII):
        numbers.append(int(fields.pop(0)))
    overflows = FIXED_OVERFLOWS if kind == "fixed" else OVERFLOWS
    options: dict[str, Any] = {}
    if fields and fields[0] in overflows:
        options["overflow"] = fields.pop(0)
    if fields and fields[0] in MODES:
        options["rounding"] = fields.pop(0)
    if kind != "fixed" and fields[:1] == [FAST]:
        options["fast"] = bool(fields.pop(0))
    match = re.fullmatch(f"{INTERLEAVE}:([1-9][0-9]{{0,4}})", ":".join(fields), re.ASCII)
    if kind != "fixed" and match is not None:
        options["interleave"], fields = int(match[1]), []
    if fields or (kind == "fixed" and not 1 <= len(numbers) <= 2):
        raise InputError(usage)
    if kind == "fixed":
        bits, fraction_bits = [*numbers, 0][:2]
        return Fixed(bits, fraction_bits, **options)
    try:
        number_format = formats.parse(kind)
    except InputError as error:
        raise InputError(f"{usage} ({error})") from error
    return Float(number_format, **options)  # type: ignore[arg-type]  # checked by Float


def _joined(*fields: str) -> str:
    return ":".join(field for field in fields if field)


def _require_int(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"{name}={value!r}: use a whole number from {low} to {high}")

"""Number formats: what a code means.

Every scalar format is a frozen dataclass that ``hwgen.formats.scalar`` gives ``decode``,
``quantize`` and ``encode`` on numpy arrays of any shape; ``str(format)`` is its name and
``parse`` reads it back. A code is the bit pattern as an unsigned integer, a value is a float64.
Encoding rounds to nearest even and saturates unless told otherwise. A new kind of format is
one new module and one entry in ``KINDS``, another name for one an entry in ``ALIASES``.
"""

from __future__ import annotations

from collections.abc import Callable

from hwgen.errors import InputError
from hwgen.formats import p3109
from hwgen.formats.integer import Integer
from hwgen.formats.logarithmic import Logarithmic
from hwgen.formats.minifloat import Minifloat
from hwgen.formats.scalar import Scalar

#: What reads the names of each kind of format, or returns None.
KINDS: tuple[Callable[[str], Scalar | None], ...] = (
    Integer.parse,
    Minifloat.parse,
    Logarithmic.parse,
    p3109.parse,
)

#: The operand formats that are measured and tested exhaustively; any other signed,
#: finite one of at most 8 bits is generated and verified in the same way.
NAMES: tuple[str, ...] = (
    *(f"int{bits}" for bits in range(2, 9)),
    *("e2m1", "e2m2", "e3m1", "e2m3", "e3m2", "e3m4", "e4m3", "e5m2"),
)
ALIASES: dict[str, str] = {
    **{"fp32": "e8m23ieee", "tf32": "e8m10ieee", "bf16": "e8m7ieee", "fp16": "e5m10ieee"},
    **{"fp8_e4m3": "e4m3fn", "fp8_e5m2": "e5m2ieee"},
    **{"fp6_e2m3": "e2m3", "fp6_e3m2": "e3m2", "fp4_e2m1": "e2m1"},
    **{"float32": "e8m23ieee", "bfloat16": "e8m7ieee", "float16": "e5m10ieee"},
    **{"float8_e3m4": "e3m4ieee", "float8_e4m3": "e4m3ieee", "float8_e5m2": "e5m2ieee"},
    **{"float8_e4m3fn": "e4m3fn", "float8_e4m3fnuz": "e4m3fnuz", "float8_e5m2fnuz": "e5m2fnuz"},
    **{"float8_e4m3b11fnuz": "e4m3fnuzb11", "float4_e2m1fn": "e2m1"},
    **{"float6_e2m3fn": "e2m3", "float6_e3m2fn": "e3m2", "float8_e8m0fnu": "e8m0"},
}


def parse(name: str | Scalar) -> Scalar:
    """The format called ``name``; a format is returned as it is. InputError if unknown."""
    if isinstance(name, Scalar):
        return name
    if isinstance(name, str):
        for read in KINDS:
            found = read(ALIASES.get(name, name))
            if found is not None:
                return found
    raise InputError(
        f"unknown format {name!r}: use one of {', '.join(NAMES)}, another int or uint of up to "
        "16 bits, another minifloat e{exponent bits}m{mantissa bits} with fn, fnuz or ieee for "
        f"special codes, or {', '.join(list(ALIASES)[:9])}"
    )


__all__ = ["ALIASES", "KINDS", "NAMES", "Integer", "Logarithmic", "Minifloat", "Scalar", "parse"]

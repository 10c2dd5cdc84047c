"""Names of scalar formats: which there are, other names for them, and reading them."""

from __future__ import annotations

from collections.abc import Callable

from hwgen.errors import InputError, near
from hwgen.fields import shown
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

#: Other names: the usual ones of the field, and those of ml_dtypes.
ALIASES: dict[str, str] = {
    **{"fp32": "e8m23ieee", "tf32": "e8m10ieee", "bf16": "e8m7ieee", "fp16": "e5m10ieee"},
    **{"fp8_e4m3": "e4m3fn", "fp8_e5m2": "e5m2ieee"},
    **{"fp6_e2m3": "e2m3", "fp6_e3m2": "e3m2", "fp4_e2m1": "e2m1"},
    **{"float32": "e8m23ieee", "bfloat16": "e8m7ieee", "float16": "e5m10ieee"},
    **{"float8_e3m4": "e3m4ieee", "float8_e4m3": "e4m3ieee", "float8_e5m2": "e5m2ieee"},
    **{"float8_e4m3fn": "e4m3fn", "float8_e4m3fnuz": "e4m3fnuz", "float8_e5m2fnuz": "e5m2fnuz"},
    **{"float8_e4m3b11fnuz": "e4m3fnuzb11", "float8_e8m0fnu": "e8m0"},
    **{"float4_e2m1fn": "e2m1", "float6_e2m3fn": "e2m3", "float6_e3m2fn": "e3m2"},
}

#: What a name can look like, for whoever has given another.
GRAMMAR = (
    "int1 to int16 and uint1 to uint16; fixed{bits}_{fraction bits}; minifloats "
    "e{exponent bits}m{mantissa bits} with fn, fnuz, ext, sat or ieee for special codes, ns for no "
    "subnormals and b{bias}, and u before them for no sign; lns{bits}f{fraction bits}; "
    "Binary{K}p{P}{s|u}{e|f}"
)


def read(name: str) -> Scalar | None:
    """The scalar format called ``name``, or None. InputError for one that cannot be."""
    for kind in KINDS:
        number_format = kind(ALIASES.get(name, name))
        if number_format is not None:
            return number_format
    return None


def parse_scalar(name: object) -> Scalar:
    """The scalar format called ``name``; a format is returned as it is. InputError if unknown."""
    if isinstance(name, Scalar):
        return name
    number_format = read(name) if isinstance(name, str) else None
    if number_format is None:
        raise InputError(
            f"unknown format {shown(name)} of single numbers{near(name, (*NAMES, *ALIASES))}: use "
            f"one of {', '.join([*NAMES, *list(ALIASES)[:9]])}; or {GRAMMAR}"
        )
    return number_format


def other_names(number_format: Scalar) -> list[str]:
    """Names that stand for the format beside its own: aliases, and P3109's."""
    names = [alias for alias, name in ALIASES.items() if read(name) == number_format]
    if isinstance(number_format, Minifloat):
        names += filter(None, [p3109.name_of(number_format)])
    return names

"""Number formats: what a code means.

A scalar format is a frozen dataclass that ``hwgen.formats.scalar`` gives ``decode``,
``quantize`` and ``encode`` on numpy arrays of any shape; a block format (``hwgen.formats.block``)
is scalar formats that share a scale. ``str(format)`` is its name and ``parse`` reads it back. A
code is the bit pattern as an unsigned integer, a value is a float64. Encoding rounds to nearest
even and saturates unless told otherwise.

A new kind of scalar format is one new module and one entry in ``names.KINDS``: what hardware and
models ask of a kind is in ``encoding``, and nothing outside of this package asks for its class.
Another name is an entry in ``names.ALIASES``, a named block format one in ``block.NAMED``.
"""

from __future__ import annotations

import functools

from hwgen.errors import InputError, near
from hwgen.fields import shown
from hwgen.formats import block
from hwgen.formats.block import BlockFormat
from hwgen.formats.integer import Integer
from hwgen.formats.logarithmic import Logarithmic
from hwgen.formats.minifloat import Minifloat
from hwgen.formats.names import ALIASES, GRAMMAR, KINDS, NAMES, parse_scalar, read
from hwgen.formats.scalar import Scalar

Format = Scalar | BlockFormat

#: What ``hwgen formats`` lists: formats with names of their own, by what they are for.
GROUPS: dict[str, tuple[str, ...]] = {
    "operands of the hardware": NAMES,
    "integers and fixed point": ("int16", "uint4", "uint8", "uint16", "fixed8_6", "ufixed8_4"),
    "minifloats": (
        *("fp32", "tf32", "bf16", "fp16", "fp8_e4m3", "fp8_e5m2", "e4m3fnuz", "e5m2fnuz"),
        *("e4m3fnuzb11", "e3m4ieee", "e4m3ieee", "e3m0", "e0m3"),
    ),
    "P3109": tuple(f"Binary8p{precision}se" for precision in (1, 2, 3, 4, 5, 6)),
    "scales": ("e8m0", "ue4m3", "ue5m3", "ue5m3ieee"),
    "logarithms, powers of two": ("lns4f3", "lns5f10", "lns3f0"),
    "blocks": (*block.NAMED, "bfp4_b32"),
}

#: What a picture shows unless told otherwise.
DRAWN: tuple[str, ...] = ("int4", "e2m1", "e3m0", "lns3f2", "e2m3", "e3m2", "int8", "e4m3", "e5m2")


def parse(name: str | Format) -> Format:
    """The format called ``name``; a format is returned as it is. InputError if unknown."""
    if isinstance(name, Scalar | BlockFormat):
        return name
    if isinstance(name, str):
        number_format = _called(name)
        if number_format is not None:
            return number_format
    raise InputError(
        f"unknown format {shown(name)}{near(name, (*NAMES, *ALIASES, *block.NAMED))}: use one of "
        f"{', '.join([*NAMES, *list(ALIASES)[:9]])}; or {GRAMMAR}; or a block format, "
        f"{', '.join(block.NAMED)}, bfp{{m}}_b{{size}} or {{element}}_b{{size}}_{{scale}}"
    )


@functools.lru_cache(maxsize=2_000)
def _called(name: str) -> Format | None:
    return BlockFormat.parse(name) or read(name)


__all__ = [
    "ALIASES",
    "DRAWN",
    "GRAMMAR",
    "GROUPS",
    "KINDS",
    "NAMES",
    "BlockFormat",
    "Format",
    "Integer",
    "Logarithmic",
    "Minifloat",
    "Scalar",
    "parse",
    "parse_scalar",
]

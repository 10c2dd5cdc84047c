"""Number formats: what a code means.

Every format is a frozen dataclass with ``bits``, ``lsb_exponent``, ``min``, ``max``,
``decode``, ``quantize`` and ``encode`` on numpy arrays of any shape; ``str(format)`` is its
name and ``parse`` reads it back. A code is the bit pattern as an unsigned integer, a value
is a float64. Encoding rounds to nearest even and saturates. A new kind of format is one
new module and one entry in ``KINDS``.
"""

from __future__ import annotations

from hwgen.errors import InputError
from hwgen.formats.integer import Integer
from hwgen.formats.minifloat import Minifloat

Format = Integer | Minifloat

KINDS: tuple[type[Integer] | type[Minifloat], ...] = (Integer, Minifloat)

#: The formats that are listed, measured and tested exhaustively; any other that ``parse``
#: accepts is generated and verified in the same way.
NAMES: tuple[str, ...] = (
    *(f"int{bits}" for bits in range(2, 9)),
    *("e2m1", "e2m2", "e3m1", "e2m3", "e3m2", "e3m4", "e4m3", "e5m2"),
)


def parse(name: str | Format) -> Format:
    """The format called ``name``; a format is returned as it is. InputError if unknown."""
    if isinstance(name, KINDS):
        return name
    if isinstance(name, str):
        for kind in KINDS:
            found = kind.parse(name)
            if found is not None:
                return found
    raise InputError(
        f"unknown format {name!r}: use one of {', '.join(NAMES)}, "
        "or another finite minifloat e{exponent bits}m{mantissa bits} of at most 8 bits"
    )


__all__ = ["KINDS", "NAMES", "Format", "Integer", "Minifloat", "parse"]

"""Names of IEEE P3109 (interim report on binary floating-point formats for machine learning, 4.0).

``Binary{K}p{P}{s|u}{e|f}`` has K > 2 bits in all, P of precision, a sign or none, and is extended
(with infinities) or finite. All have one zero, one NaN, subnormals, and the bias 2^(E−1).

The standard's saturation (section 4.7.5) goes by the names ``saturate`` (SatFinite), ``propagate``
(SatPropagate) and ``special`` (OvfInf) here. With ``special``, rounding toward zero stops at the
largest and the least number, and so does rounding down or up on its side; otherwise extended
formats overflow to infinity, and a negative number without sign to NaN. Finite formats saturate
under all three: they are ``sat``, not ``fnuz``, whose overflow in other libraries is NaN.
"""

from __future__ import annotations

import re

from hwgen.formats.minifloat import Minifloat

MIN_BITS = 3


def parse(name: str) -> Minifloat | None:
    """The minifloat that ``name`` stands for, or None if it is not a name of P3109."""
    number = "([1-9][0-9]?)"
    match = re.fullmatch(rf"[Bb]inary{number}p{number}([su])([ef])", name, re.ASCII)
    if match is None:
        return None
    bits, precision, signed = int(match[1]), int(match[2]), match[3] == "s"
    exponent_bits = bits - precision + (not signed)
    if bits < MIN_BITS or exponent_bits < 1:
        return None
    specials = "ext" if match[4] == "e" else "sat"
    return Minifloat(exponent_bits, precision - 1, signed=signed, specials=specials)


def name_of(number_format: Minifloat) -> str | None:
    """The name in P3109, or None if the standard does not have the format."""
    f = number_format
    if f.bits < MIN_BITS or f.exponent_bits < 1 or not f.subnormals:
        return None
    if f.bias != 1 << (f.exponent_bits - 1):
        return None
    domain = {"ext": "e", "sat": "f"}.get(f.specials)
    sign = "s" if f.signed else "u"
    return f"Binary{f.bits}p{f.precision}{sign}{domain}" if domain else None

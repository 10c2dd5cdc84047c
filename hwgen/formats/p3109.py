"""Names of IEEE P3109 (interim report on binary floating-point formats for machine learning).

``Binary{K}p{P}{s|u}{e|f}`` has K bits in all, P of precision, a sign or none, and is extended
(with infinities) or finite. All have one zero, one NaN, subnormals, and the bias 2^(E−1).
"""

from __future__ import annotations

import re

from hwgen.formats.minifloat import Minifloat


def parse(name: str) -> Minifloat | None:
    """The minifloat that ``name`` stands for, or None if it is not a name of P3109."""
    number = "([1-9][0-9]?)"
    match = re.fullmatch(rf"[Bb]inary{number}p{number}([su])([ef])", name, re.ASCII)
    if match is None:
        return None
    bits, precision, signed = int(match[1]), int(match[2]), match[3] == "s"
    exponent_bits = bits - precision + (not signed)
    if exponent_bits < 1:
        return None
    # Without sign, NaN is the all-ones code, which is what "fn" says.
    specials = "ext" if match[4] == "e" else "fnuz" if signed else "fn"
    bias = 1 << max(exponent_bits - 1, 0)
    return Minifloat(exponent_bits, precision - 1, bias, signed, specials)


def name_of(number_format: Minifloat) -> str | None:
    """The name in P3109, or None if the standard does not have the format."""
    f = number_format
    if not f.exponent_bits >= 1 or f.bias != 1 << (f.exponent_bits - 1) or not f.subnormals:
        return None
    domain = {"ext": "e", "fnuz" if f.signed else "fn": "f"}.get(f.specials)
    sign = "s" if f.signed else "u"
    return f"Binary{f.bits}p{f.precision}{sign}{domain}" if domain else None

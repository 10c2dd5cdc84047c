"""One format's facts, for people and programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwgen.formats import Minifloat, Scalar

#: Formats of up to this many bits have all their values listed.
LISTED_BITS = 8


def facts(number_format: Scalar) -> dict[str, Any]:
    """Plain JSON types: widths, range, precision, special codes; for small formats all finite
    values, rising, each once.

    ``dynamic_range_db``: 20·log10 of the largest magnitude over the smallest that is not zero.
    """
    f = number_format
    smallest = 2.0**f.lsb_exponent
    largest = max(f.max, -f.min)
    found: dict[str, Any] = {
        "name": str(f),
        "bits": f.bits,
        "signed": f.signed,
        "min": f.min,
        "max": f.max,
        "smallest": smallest,
        "dynamic_range_db": round(20 * math.log10(largest / smallest), 2),
    }
    if isinstance(f, Minifloat):
        found |= {
            "exponent_bits": f.exponent_bits,
            "mantissa_bits": f.mantissa_bits,
            "bias": f.bias,
            "smallest_normal": f.smallest_normal,
            "infinity": f.has_infinity,
            "nan": f.has_nan,
        }
    if f.bits <= LISTED_BITS:
        values = f.decode(np.arange(2**f.bits))
        # Adding zero makes −0 and 0 the one value that they are.
        found["values"] = [float(v) for v in np.unique(values[np.isfinite(values)] + 0.0)]
    return found

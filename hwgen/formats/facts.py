"""One format's facts, for people and programs."""

from __future__ import annotations

import math
from typing import Any

from hwgen.formats.block import BlockFormat
from hwgen.formats.names import other_names
from hwgen.formats.scalar import Scalar

#: Formats of up to this many bits have all their values listed.
LISTED_BITS = 8


def facts(number_format: Scalar | BlockFormat) -> dict[str, Any]:
    """What is to be told of a format, by name and in plain JSON types.

    Widths, range, precision, special codes; of scalar formats of up to 8 bits all finite values,
    rising, each once. ``dynamic_range_db`` is 20·log10 of the largest magnitude over the smallest
    that is not zero. Of a block format, the range is that of its elements with their scales,
    without a tensor scale.
    """
    f = number_format
    return _block_facts(f) if isinstance(f, BlockFormat) else _scalar_facts(f)


def specials(number_format: Scalar) -> str:
    """Which special values there are, in a word or two."""
    kinds = [("inf", number_format.has_infinity), ("NaN", number_format.has_nan)]
    return " ".join(name for name, has in kinds if has) or "none"


def _decibels(largest: float, smallest: float) -> float:
    return round(20 * (math.log10(largest) - math.log10(smallest)), 2)


def _scalar_facts(f: Scalar) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": str(f),
        "other_names": other_names(f),
        "bits": f.bits,
        "signed": f.signed,
        "min": f.min,
        "max": f.max,
        "smallest": f.smallest,
        "dynamic_range_db": _decibels(max(f.max, -f.min), f.smallest),
        "infinity": f.has_infinity,
        "nan": f.has_nan,
        **f.own_facts,
    }
    if f.bits <= LISTED_BITS:
        facts["values"] = [float(v) for v in f.finite_values()]
    return facts


def _block_facts(f: BlockFormat) -> dict[str, Any]:
    largest = f.element.max * f.scale.max
    smallest = f.element.smallest * f.scale.smallest * 2.0 ** -(2**f.micro_bits - 1)
    return {
        "name": str(f),
        "systematic_name": f.systematic_name,
        "element": str(f.element),
        "block_size": f.block_size,
        "scale": str(f.scale),
        "tensor_scale": None if f.tensor_scale is None else str(f.tensor_scale),
        "micro_block": f.micro_block,
        "micro_bits": f.micro_bits,
        "bits_per_value": f.bits_per_value,
        "min": f.element.min * f.scale.max,
        "max": largest,
        "smallest": smallest,
        "dynamic_range_db": _decibels(largest, smallest),
        "nan": f.has_nan,
        **{key: getattr(f.recipe, key) for key in ("scale_rule", "rounding", "arithmetic")},
    }

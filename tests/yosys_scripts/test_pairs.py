"""No exact dot product takes more LUTs than one of wider formats, or in another order.

So the flow maps products, of which each is whole where a unit has one stage. Where registers may
stand inside of products, their parts are the unit's.
"""

import functools
import itertools

import pytest

import yosys_scripts
from cost_models import baseline
from hwgen.formats import NAMES, parse
from hwgen.formats.widths import value_range
from hwgen.spec import DotProduct

TARGETS = ["xc7", "ecp5", "ice40"]
LANES = 4

INTEGERS = [name for name in NAMES if parse(name).is_integer]
PAIRS = list(itertools.combinations_with_replacement(INTEGERS, 2))

#: Pairs of which the second is the wider one and, in rows or in digits, made otherwise.
NARROW_AND_WIDE = [
    (("int3", "int3"), ("int3", "int4")),
    (("int3", "int4"), ("int4", "int4")),
    (("uint3", "int4"), ("int4", "int4")),
    (("uint3", "uint3"), ("uint3", "int4")),
    (("int5", "int7"), ("int6", "int7")),
]


@functools.cache
def luts(target: str, a: str, b: str) -> int:
    text = baseline.unit_rtlil(DotProduct(a=a, b=b, lanes=LANES, stages=1))
    return yosys_scripts.synthesise(text, baseline.TOP, target=target, place=False).lut


def contains(wide: tuple[str, str], narrow: tuple[str, str]) -> bool:
    """Whether operands of the wide pair can be any of the narrow one, in one of both orders."""
    wide_ranges = [value_range(parse(name)) for name in wide]
    narrow_ranges = [value_range(parse(name)) for name in narrow]
    return any(
        all(
            low <= x_low and x_high <= high
            for (low, high), (x_low, x_high) in zip(*orders, strict=True)
        )
        for orders in ((wide_ranges, narrow_ranges), (wide_ranges, narrow_ranges[::-1]))
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "pair", [("uint3", "int4"), ("int3", "int4"), ("uint4", "int4")], ids="-".join
)
def test_operands_may_change_places(pair, target):
    assert luts(target, *pair) == luts(target, *reversed(pair))


@pytest.mark.parametrize("target", TARGETS)
def test_a_wider_form_is_not_cheaper(target):
    for narrow, wide in NARROW_AND_WIDE:
        assert contains(wide, narrow)
        assert luts(target, *narrow) <= luts(target, *wide), (narrow, wide)


@pytest.mark.parametrize("target", TARGETS)
def test_no_listed_integers_are_cheaper_wider(target):
    for narrow, wide in itertools.permutations(PAIRS, 2):
        if contains(wide, narrow):
            assert luts(target, *narrow) <= luts(target, *wide), (narrow, wide)

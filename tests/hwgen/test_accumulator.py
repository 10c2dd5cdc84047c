"""Names and limits of accumulators."""

import pytest

from hwgen import InputError, parse
from hwgen.accumulator import Exact, Fixed, Float
from hwgen.accumulator import parse as parse_accumulator


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("exact", Exact()),
        ("fixed:24", Fixed(24)),
        ("fixed:24:8", Fixed(24, 8)),
        ("fixed:24:-2", Fixed(24, -2)),
        ("fixed:24:wrap", Fixed(24, 0, "wrap")),
        ("fixed:24:8:wrap", Fixed(24, 8, "wrap")),
        ("fixed:24:8:toward_zero", Fixed(24, 8, rounding="toward_zero")),
        ("fixed:24:8:saturate:up", Fixed(24, 8, "saturate", "up")),
        ("fp32", Float(parse("fp32"), overflow="special")),
        ("bf16:saturate:stochastic", Float(parse("bf16"), "stochastic", "saturate")),
        ("e5m10ieee:propagate", Float(parse("fp16"), overflow="propagate")),
        ("e4m3", Float(parse("e4m3"), overflow="saturate")),
        ("e4m3fn:special:down", Float(parse("e4m3fn"), "down", "special")),
    ],
)
def test_names_parse_and_parse_back(name, wanted):
    accumulator = parse_accumulator(name)
    assert accumulator == wanted
    assert parse_accumulator(str(accumulator)) == accumulator
    assert parse_accumulator(accumulator) is accumulator


def test_every_accumulator_has_a_name_of_its_own():
    accumulators = [
        Fixed(bits, fraction_bits, overflow, rounding)
        for bits in (2, 24)
        for fraction_bits in (-3, 0, 8)
        for overflow in ("saturate", "wrap")
        for rounding in ("nearest_even", "toward_zero", "stochastic")
    ]
    accumulators += [
        Float(parse(name), rounding, overflow)
        for name in ("fp32", "e4m3fn")
        for rounding in ("nearest_even", "up")
        for overflow in ("saturate", "special", "propagate")
    ]
    assert len({str(a) for a in accumulators}) == len(accumulators)
    assert all(parse_accumulator(str(a)) == a for a in accumulators)


@pytest.mark.parametrize(
    "name",
    ["", "exact:8", "fixed", "fixed:", "fixed:a", "fixed:8:1:2", "fixed:8:special", "fixed:8.5",
     "fixed:8:wrap:wrap", "fixed:8:up:wrap", "fp32:wrap", "fp32:8", "fp99", "fixed:٨", "fixed:08",
     "fixed:" + "9" * 5000, None, 8],
)  # fmt: skip
def test_unknown_names_are_refused(name):
    with pytest.raises(InputError, match="use exact, fixed:W or fixed:W:F"):
        parse_accumulator(name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(1), "bits=1: use a whole number from 2 to 4096"),
        (lambda: Fixed(True), "bits=True"),
        (lambda: Fixed(8, 5000), "fraction_bits=5000"),
        (lambda: Fixed(8, 0, "special"), "overflow='special': use one of saturate, wrap"),
        (lambda: Fixed(8, 0, rounding="nearest"), "rounding='nearest'"),
        (lambda: Float(parse("fp32"), overflow="wrap"), "overflow='wrap'"),
        (lambda: Float(parse("fp32"), "nearest"), "rounding='nearest'"),
        (lambda: Float(parse("e4m3"), overflow="special"), "neither infinity nor NaN"),
        (lambda: Float(parse("int8")), "with sign"),
        (lambda: Float(parse("ue4m3")), "with sign"),
        (lambda: parse_accumulator("int32"), "use exact"),
        (lambda: parse_accumulator("int8"), "fixed accumulator"),
    ],
)
def test_bad_choices_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()

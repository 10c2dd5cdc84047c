"""A kind of format that no room knows: used where its facts are enough, refused elsewhere."""

import bisect
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hwgen import InputError, parse
from hwgen.accumulator import Float
from hwgen.formats import BlockFormat, Scalar, names
from hwgen.formats.facts import facts
from hwgen.formats.rounding import NEAREST_EVEN, round_to_integer
from hwgen.formats.widths import accumulator_width
from hwgen.spec import BlockDot, Convert, DotProduct, LMul, Multiply, Quantizer, Requantize
from sim import exact, exhaustive
from sim.exhaustive import Case
from sim.models import convert
from sim.rounding import round_to


@dataclass(frozen=True)
class Posit(Scalar):
    """Posit numbers of 8 bits without exponent bits.

    A regime of equal bits, then the fraction; two's complement (Gustafson and Yonemoto, *Beating
    Floating Point at its Own Game*, 2017).
    """

    bits: int = field(default=8, init=False)
    signed: bool = field(default=True, init=False)

    @classmethod
    def parse(cls, name):
        return cls() if name == "posit8" else None

    def __str__(self):
        return "posit8"

    @property
    def lsb_exponent(self):
        return -6

    @property
    def precision(self):
        return 6

    @property
    def max(self):
        return 64.0

    @property
    def min(self):
        return -64.0

    @property
    def smallest(self):
        return 2.0**-6

    @property
    def has_nan(self):
        return True

    def _values(self, codes):
        return np.array([posit_value(int(code)) for code in codes.ravel()]).reshape(codes.shape)

    def _codes(self, numbers, rounding, overflow, random_bits):
        if rounding != NEAREST_EVEN:
            raise InputError(f"rounding={rounding!r}: posits round to nearest even")
        return np.array([0x80 if np.isnan(x) else posit_code(x) for x in numbers])


def posit_value(code):
    if code in (0, 0x80):
        return 0.0 if code == 0 else np.nan
    magnitude = f"{(256 - code if code > 0x80 else code) & 127:07b}"
    run = len(magnitude) - len(magnitude.lstrip(magnitude[0]))
    regime, fraction = (run - 1 if magnitude[0] == "1" else -run), magnitude[run + 1 :]
    value = 2.0**regime * (1 + int(fraction or "0", 2) / 2 ** len(fraction))
    return -value if code > 0x80 else value


POSIT_VALUES = [posit_value(code) for code in range(0x80)]


def posit_code(number):
    """Nearest by value, ties to the even code; what is not zero never becomes zero."""
    magnitude = min(abs(number), POSIT_VALUES[-1])
    code = min(bisect.bisect_left(POSIT_VALUES, magnitude), 0x7F)
    if POSIT_VALUES[code] != magnitude and code > 1:
        down, up = magnitude - POSIT_VALUES[code - 1], POSIT_VALUES[code] - magnitude
        code -= down < up or (down == up and code % 2 == 1)
    return (256 - code) % 256 if number < 0 else code


@dataclass(frozen=True)
class SignMagnitude(Scalar):
    """A sign beside a whole number: what hardware has to know of its codes is said here."""

    bits: int
    signed: bool = field(default=True, init=False)
    has_hardware: ClassVar[bool] = True

    def __post_init__(self):
        object.__setattr__(self, "mantissa_bits", self.bits - 1)

    @classmethod
    def parse(cls, name):
        return cls(int(name[2:])) if name in ("sm4", "sm5") else None

    def __str__(self):
        return f"sm{self.bits}"

    @property
    def lsb_exponent(self):
        return 0

    @property
    def precision(self):
        return self.bits - 1

    @property
    def max(self):
        return float(self.largest_code)

    @property
    def min(self):
        return -self.max

    @property
    def smallest(self):
        return 1.0

    @property
    def has_minus_zero(self):
        return True

    def _values(self, codes):
        magnitude = (codes & self.largest_code).astype(np.float64)
        return np.where(codes > self.largest_code, -magnitude, magnitude)

    def _codes(self, numbers, rounding, overflow, random_bits):
        bounded = np.clip(numbers, self.min, self.max)
        whole = np.abs(round_to_integer(bounded, rounding, random_bits)).astype(np.int64)
        return whole | np.signbit(numbers).astype(np.int64) << (self.bits - 1)


@pytest.fixture
def kinds(monkeypatch):
    monkeypatch.setattr(names, "KINDS", (*names.KINDS, Posit.parse, SignMagnitude.parse))


def test_names_and_facts(kinds):
    assert parse("posit8") == Posit()
    assert str(parse("posit8_b16_e8m0")) == "posit8_b16_e8m0"
    assert facts(Posit())["step"] == 2.0**-6
    assert facts(Posit())["nan"]
    assert accumulator_width(Posit(), Posit(), 4) == 1 + (4 * 2**24).bit_length()


def test_codes_and_values(kinds):
    f, rng = Posit(), np.random.default_rng(1)
    numbers = rng.normal(0, 4, 5000)  # Enough for the table of roundings.
    codes = f.encode(numbers)
    assert codes[:50].tolist() == [posit_code(x) for x in numbers[:50]]
    assert (f.decode(codes) == f.quantize(numbers)).all()
    assert f.encode([np.nan]).tolist() == [0x80]
    significands, exponents = f.significands(codes)
    assert (np.ldexp(significands.astype(float), exponents) == f.decode(codes)).all()


def test_golden_models_of_dot_and_convert(kinds):
    f, rng = Posit(), np.random.default_rng(2)
    a, b = rng.integers(0, 0x80, (2, 40, 9))
    sums = exact.dot(f, f, a, b)
    wanted = [
        sum(Fraction(x) * Fraction(y) for x, y in zip(*row, strict=True))
        for row in zip(f.decode(a).tolist(), f.decode(b).tolist(), strict=True)
    ]
    step = Fraction(2) ** sums.lsb_exponent
    assert [int(s) * step for s in sums.integers] == wanted
    assert round_to(sums, f).tolist() == [posit_code(float(total)) for total in wanted]
    every = f.decode(np.arange(256))
    eighths = convert.rounded(parse("fixed8_3"), every, NEAREST_EVEN, "saturate", None)
    assert eighths[0x80] == 0  # NaN has no other code there.
    finite = np.arange(256) != 0x80
    assert (eighths[finite] == parse("fixed8_3").encode(every[finite])).all()


def test_blocks(kinds):
    f, rng = BlockFormat.parse("posit8_b8_e8m0"), np.random.default_rng(3)
    numbers = rng.normal(0, 100, (3, 16))
    codes = f.encode(numbers)
    scales = np.repeat(codes.block_scales(), 8, axis=-1)
    assert (codes.decode() == Posit().quantize(numbers / scales) * scales).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Multiply(a="posit8", b="int4"),
        lambda: DotProduct(a="int4", b="posit8", lanes=2),
        lambda: Convert(a="posit8", b="int8"),
        lambda: Convert(a="int8", b="posit8"),
        lambda: LMul(a="posit8", b="e4m3"),
        lambda: Float("posit8"),
        lambda: BlockDot(a="posit8_b8_e8m0", b="posit8_b8_e8m0", output="fp32"),
        lambda: BlockDot(a="int8_b8_posit8", b="int8_b8_e8m0", output="fp32"),
        lambda: Quantizer(a="fp32", b="posit8_b8_e8m0"),
        lambda: Quantizer(a="fp32", b="int8_b8_posit8"),
        lambda: Requantize(bits=8, scale="posit8", b="int8"),
    ],
)
def test_hardware_refuses_what_it_cannot_take_apart(make, kinds):
    with pytest.raises(InputError, match=r"posit8.*use "):
        make()


def test_hardware_of_a_kind_that_says_its_fields(kinds):
    cases = [
        Case(Multiply(a="sm5", b="e2m1")),
        Case(Multiply(a="sm4", b="int4")),
        Case(Convert(a="e4m3", b="sm5", rounding="nearest_away")),
        Case(Convert(a="sm5", b="e2m1")),
        Case(DotProduct(a="sm4", b="sm4", lanes=2, accumulator="fp16"), {"clear": 1}),
    ]
    assert exhaustive.check(cases) == [[] for _ in cases]


def test_no_room_asks_for_the_class_of_a_format():
    root = Path(__file__).parents[3]
    rooms = ("hwgen", "sim", "cost_models", "optimizer", "yosys_scripts")
    files = [file for room in rooms for file in (root / room).rglob("*.py")]
    asked = re.compile(r"isinstance\([^)]*\b(Integer|Minifloat|Logarithmic)\b")
    asking = [file for file in files if asked.search(file.read_text("utf-8"))]
    assert len(files) > 200
    assert {file.parent for file in asking} == {root / "hwgen" / "formats"}

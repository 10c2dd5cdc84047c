"""Fast loops of float accumulators: rounding where the next number is added, in fixed point.

A unit of two register stages is one piece of logic up to the running sum, and one behind it. It is
evaluated as an and-inverter graph for two inputs in a row, from accumulators that are given.
"""

import numpy as np
import pytest

from hwgen import DotProduct, InputError, MultiplyAccumulate, emit
from hwgen.accumulator import parse as parse_accumulator
from sim import exact, formal
from sim.accumulate import accumulate_once
from sim.formal.circuit import from_rtlil
from tests.sim.machines import Machine

RNG_SEED = 23
FLAGS = ("nan", "positive_infinity", "negative_infinity")


def fast(a, b, accumulator, **more):
    name = f"{accumulator}:fast"
    if "lanes" in more:
        return DotProduct(a=a, b=b, accumulator=name, stages=2, **more)
    return MultiplyAccumulate(a=a, b=b, accumulator=name, stages=2, **more)


def kept_in(machine, spec, codes):
    """Put accumulators of these codes into the registers."""
    f, plan = spec.accumulator.format, spec.pending
    numbers = f.decode(codes.astype(f.code_dtype))
    finite = np.where(np.isfinite(numbers), numbers, 0)
    machine.keep("running", np.ldexp(finite, -plan.lsb_exponent).astype(np.int64))
    if spec.keeps_zero_sign:
        machine.keep("running_kept_zero_sign", ((finite == 0) & np.signbit(numbers)).astype(int))
    if spec.keeps_flags:
        flags = (np.isnan(numbers), np.isposinf(numbers), np.isneginf(numbers))
        for name, flag in zip(FLAGS, flags, strict=True):
            machine.keep(f"running_{name}", flag.astype(int))


def sums_of(spec, a, b):
    codes = [
        np.stack([word >> lane * f.bits & (1 << f.bits) - 1 for lane in range(spec.lanes)], axis=1)
        for f, word in ((spec.a, a), (spec.b, b))
    ]
    a, b = (c.astype(f.code_dtype) for c, f in zip(codes, (spec.a, spec.b), strict=True))
    return exact.dot(spec.a, spec.b, a, b)


def golden_codes(spec, codes, sums, clear):
    f = spec.accumulator.format
    start = exact.decode(f, codes.astype(f.code_dtype))
    words = accumulate_once(spec.accumulator, start, sums, clear.astype(bool)).words
    return words.astype(np.int64) & (1 << f.bits) - 1


def can_be_kept(spec, codes):
    """Which accumulators are numbers that running sums can be, in their units and their range."""
    f, plan = spec.accumulator.format, spec.pending
    numbers = f.decode(codes.astype(f.code_dtype))
    with np.errstate(invalid="ignore"):
        units = np.ldexp(np.where(np.isfinite(numbers), numbers, 0), -plan.lsb_exponent)
    special = np.isfinite(numbers) | spec.keeps_flags
    in_range = np.abs(units) <= 2.0**plan.top if not plan.saturates else True
    return (units == np.floor(units)) & special & in_range


def assert_right(circuit, spec, codes, first, second):
    """Two inputs in a row, (a, b, clear) each, from accumulators of these ``codes``."""
    counted = can_be_kept(spec, codes)
    codes = codes[counted]
    first, second = ([part[counted] for part in given] for given in (first, second))
    machine = Machine(spec, circuit, len(codes))
    kept_in(machine, spec, codes)
    wanted = codes
    for a, b, clear in (first, second):
        before = wanted
        wanted = golden_codes(spec, before, sums_of(spec, a, b), clear)
        machine.cycle(valid_in=np.ones(len(a), np.int64), a=a, b=b, clear=clear)
        seen = Machine(spec, circuit, len(codes))
        seen.values = dict(machine.values)
        seen.cycle()
        got = seen.output()
        wrong = np.flatnonzero(got != wanted)[:3]
        told = [(before[i], a[i], b[i], clear[i], got[i], wanted[i]) for i in wrong]
        assert not told, (spec.name, told)


MODES = ("nearest_even", "nearest_away", "toward_zero", "up", "down")

#: Formats of which all codes are accumulators: narrower and wider than terms and their unit,
#: with infinities, of integers, with sums that stop growing.
SMALL = [
    *(fast("e2m1", "e2m1", f"e3m2:{mode}") for mode in MODES),
    *(fast("e2m1", "e2m1", f"e3m2ieee:{mode}") for mode in MODES),
    *(fast("e3m1", "e3m1", f"e2m1:{mode}") for mode in MODES),
    *(fast("e2m1", "int3", name) for name in ("e4m3", "e3m2ieee:saturate", "e2m3")),
    *(fast("e3m2", "e2m1", f"e3m1:{mode}") for mode in MODES),
    *(fast("int3", "int3", name) for name in ("e3m2:down", "e5m2ieee", "e4m2ieee:nearest_away")),
    *(fast("e3m1ieee", "e2m1", f"e3m2ieee:{mode}") for mode in MODES),
    fast("uint2", "ue2m1", "e3m2"),
    *(fast("e1m1", "e1m1", f"e2m2:{mode}", lanes=2) for mode in ("nearest_even", "down")),
]

#: Formats as they are used, of which many codes are tried.
LARGE = [
    fast("e5m2", "e5m2", "e5m2"),
    *(fast("e4m3", "e4m3", name) for name in ("fp16", "fp32", "fp32:toward_zero", "fp16:saturate")),
    *(fast("e4m3fn", "e4m3fn", name) for name in ("fp16", "fp32:nearest_away")),
    *(fast("int8", "int8", name) for name in ("fp32", "fp16:up", "e5m2ieee")),
    *(fast("fp16", "fp16", name) for name in ("fp16", "fp16:down")),
    fast("e4m3", "e4m3", "fp16", lanes=3),
]


def drawn_inputs(spec, count, rng, clear):
    parts = [rng.integers(0, 1 << spec.lanes * f.bits, count) for f in (spec.a, spec.b)]
    return [*parts, (rng.random(count) < clear).astype(np.int64)]


@pytest.mark.parametrize("specs", [SMALL[i::4] for i in range(4)])
def test_two_steps_from_every_accumulator(specs):
    """The first term is any; the second one of some, so that each rounding in the loop is seen."""
    circuits = from_rtlil({spec.name: emit.rtlil(spec) for spec in specs})
    rng = np.random.default_rng(RNG_SEED)
    for spec in specs:
        f, lanes = spec.accumulator.format, spec.lanes
        a_bits, b_bits = lanes * spec.a.bits, lanes * spec.b.bits
        bits = f.bits + a_bits + b_bits
        assert bits <= 18
        pattern = np.tile(np.arange(1 << bits), max(1 << 17 - bits, 2))
        codes = pattern & (1 << f.bits) - 1
        a, b = pattern >> f.bits & (1 << a_bits) - 1, pattern >> f.bits + a_bits
        first = [a, b, np.zeros(len(a), np.int64)]
        assert_right(circuits[spec.name], spec, codes, first, drawn_inputs(spec, len(a), rng, 0.1))


def near(spec, sums, rng):
    """Accumulators at all distances from such sums, and codes next to these; half cancel."""
    f, count = spec.accumulator.format, len(sums.integers)
    numbers = np.ldexp(sums.integers.astype(float), sums.lsb_exponent)
    distances = np.where(rng.random(count) < 0.5, 0, rng.integers(-f.precision - 3, 16, count))
    signs = np.where(rng.random(count) < 0.7, -1.0, 1.0)
    codes = f.encode(np.ldexp(signs * numbers, distances), overflow="saturate").astype(np.int64)
    codes = np.clip(codes + rng.integers(-2, 3, count), 0, (1 << f.bits) - 1)
    plan = spec.pending
    end = f.max if plan.saturates else np.ldexp(1.0, plan.top + plan.lsb_exponent)
    largest = int(f.encode(end)) - rng.integers(0, 4, count)
    ends = largest | rng.integers(0, 2, count) << f.bits - 1
    return np.where(rng.random(count) < 0.2, ends, codes)


def test_sums_near_every_edge():
    circuits = from_rtlil({spec.name: emit.rtlil(spec) for spec in LARGE})
    rng, count = np.random.default_rng(RNG_SEED), 8_000
    for spec in LARGE:
        first, second = (drawn_inputs(spec, count, rng, 0.05) for _ in range(2))
        codes = near(spec, sums_of(spec, *first[:2]), rng)
        assert_right(circuits[spec.name], spec, codes, first, second)


def test_long_runs_that_drive_to_the_ends():
    """The largest terms of one sign for long: sums saturate, or become infinite and stay so."""
    specs = [spec for spec in LARGE if spec.pending.saturates][::2]
    circuits = from_rtlil({spec.name: emit.rtlil(spec) for spec in specs})
    rng, count = np.random.default_rng(RNG_SEED), 64
    for spec in specs:
        machine = Machine(spec, circuits[spec.name], count)
        wanted = np.zeros(count, np.int64)
        most = [int(f.encode(f.max)) for f in (spec.a, spec.b)]
        for cycle in range(24):
            a, b, clear = drawn_inputs(spec, count, rng, 0.0)
            ends = rng.random(count) < 0.9
            whole = [
                sum(m << lane * f.bits for lane in range(spec.lanes))
                for f, m in zip((spec.a, spec.b), most, strict=True)
            ]
            a, b = np.where(ends, whole[0], a), np.where(ends, whole[1], b)
            clear = np.full(count, int(cycle == 0))
            wanted = golden_codes(spec, wanted, sums_of(spec, a, b), clear)
            machine.cycle(valid_in=np.ones(count, np.int64), a=a, b=b, clear=clear)
        machine.cycle()
        assert (machine.output() == wanted).all(), spec.name


def test_the_name_says_fast_and_is_read_back():
    accumulator = parse_accumulator("bf16:saturate:down:fast")
    assert accumulator.fast
    assert str(accumulator) == "e8m7ieee:saturate:down:fast"
    assert parse_accumulator(str(accumulator)) == accumulator
    assert str(parse_accumulator("fp16:fast")) == "e5m10ieee:fast"
    with pytest.raises(InputError, match="of a format last fast"):
        parse_accumulator("fixed:24:fast")


@pytest.mark.parametrize(
    ("a", "accumulator", "reason"),
    [
        ("bf16", "bf16", "in fixed point, and up to 128"),
        ("e4m3", "fp32:stochastic", "random bits"),
        ("e4m3", "fp32:up", "in fixed point, and up to 128"),
        ("e4m3", "e4m3fn", "ones alone"),
        ("e2m1", "e3m2ns", "subnormals"),
        ("e2m1", "e3m0", "mantissa bits"),
        ("e5m2ieee", "fp16:saturate", "infinities"),
    ],
)
def test_what_has_no_fast_loop_says_why(a, accumulator, reason):
    with pytest.raises(InputError, match=reason):
        fast(a, a, accumulator)


def test_a_fast_sum_as_wide_as_its_range():
    """Of E4M3 in FP32 sums stop growing: 36 bits of a term, 24 of the sum, and two."""
    plan = fast("e4m3", "e4m3", "fp32").pending
    assert (plan.width, plan.saturates, plan.lowest) == (62, False, 0)
    plan = fast("e5m2", "e5m2", "e5m2").pending
    assert (plan.saturates, plan.lowest) == (True, 2)


@pytest.mark.parametrize("mode", ["nearest_even", "down"])
def test_two_terms_are_proved(mode):
    """By hand-written arithmetic of its own: two terms in a row, whatever was before."""
    proof = formal.prove(fast("e2m1", "e2m1", f"e3m2:{mode}"), "reference")
    assert proof.result == "proved"

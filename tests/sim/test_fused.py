"""Fused multiply-adds and sums: the next accumulator of every code, and near every edge.

A unit with one register stage is one piece of logic from operands and accumulator to the next
accumulator. It is evaluated as an and-inverter graph, and compared with the golden model.
"""

from fractions import Fraction

import numpy as np
import pytest

from hwgen import DotProduct, MultiplyAccumulate, emit, parse
from hwgen.formats.rounding import MODES
from hwgen.sizes.alignment_window import product_window, sum_unit, sum_window
from sim import exact
from sim.accumulate import accumulate_once
from sim.formal.aig import WORD
from sim.formal.circuit import from_rtlil

RNG_SEED = 17


def words_of_bits(values, width):
    """Words of patterns for each bit of some values."""
    padded = np.concatenate([values, np.zeros(-len(values) % WORD, np.uint64)]).astype(np.uint64)
    bits = [(padded >> np.uint64(place) & np.uint64(1)).astype(np.uint8) for place in range(width)]
    return [np.packbits(bit, bitorder="little").view(np.uint64) for bit in bits]


def packed_codes(codes, bits):
    """Words of several codes of a port, lane 0 in the lowest bits; or of one."""
    lanes = codes.reshape(len(codes), -1).astype(np.uint64)
    places = np.arange(lanes.shape[1], dtype=np.uint64) * np.uint64(bits)
    return (lanes << places).sum(axis=1, dtype=np.uint64)


class Logic:
    """The next accumulators of units, for accumulators and inputs given."""

    def __init__(self, specs):
        self.circuits = from_rtlil({spec.name: emit.rtlil(spec) for spec in specs})

    def next_codes(self, spec, kept, inputs):
        circuit, count = self.circuits[spec.name], len(kept)
        given = {"enable": np.ones(count), "valid_in": np.ones(count), "rst": np.zeros(count)}
        values = {}
        packed = {port.name: packed_codes(inputs[port.name], port.bits) for port in spec.inputs}
        for port, literals in circuit.inputs.items():
            port_words = words_of_bits({**given, **packed}[port], len(literals))
            values |= dict(zip((literal >> 1 for literal in literals), port_words, strict=True))
        kept_words = words_of_bits(kept, spec.accumulator_width)
        following = {}
        for register in circuit.registers:
            values[register.node] = np.zeros_like(kept_words[0])
            for place in range(spec.accumulator_width):
                if f"running[{place}]" in register.names:
                    values[register.node] = kept_words[place]
                    following[place] = register.next
        found = circuit.aig.evaluated([following[place] for place in sorted(following)], values)
        codes = np.zeros(count, np.uint64)
        for place, row in enumerate(found):
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")[:count]
            codes |= bits.astype(np.uint64) << np.uint64(place)
        return codes


def can_be_sums(spec, codes):
    """Which accumulators are multiples of the unit that running sums have."""
    f = spec.accumulator.format
    values = f.decode(codes.astype(f.code_dtype))
    unit = sum_unit(spec.lsb_exponent, f)
    with np.errstate(invalid="ignore"):
        whole = np.ldexp(np.where(np.isfinite(values), values, 0), -unit)
    saturates = spec.accumulator.overflow == "saturate"
    return (whole == np.floor(whole)) & ~(saturates & np.isinf(values))


def golden_codes(spec, kept, inputs):
    f = spec.accumulator.format
    a, b = (inputs[name].astype(x.code_dtype) for name, x in (("a", spec.a), ("b", spec.b)))
    random = inputs["random_bits"] if spec.is_stochastic else None
    start = exact.decode(f, kept.astype(f.code_dtype))
    sums, clear = exact.dot(spec.a, spec.b, a, b), inputs["clear"].astype(bool)
    if spec.addend is not None:
        addends = exact.decode(spec.addend, inputs["c"].astype(spec.addend.code_dtype))
        sums = exact.add(sums, addends)
    words = accumulate_once(spec.accumulator, start, sums, clear, random).words
    return words.astype(np.int64).astype(np.uint64) & np.uint64((1 << f.bits) - 1)


def assert_right(logic, spec, kept, inputs):
    counted = can_be_sums(spec, kept) | (inputs["clear"] == 1)
    kept, inputs = kept[counted], {name: values[counted] for name, values in inputs.items()}
    got, wanted = logic.next_codes(spec, kept, inputs), golden_codes(spec, kept, inputs)
    wrong = np.flatnonzero(got != wanted)[:3]
    told = [({k: int(v[i]) for k, v in inputs.items()}, kept[i], got[i], wanted[i]) for i in wrong]
    assert not told, (spec.name, told)


def mac(a, b, accumulator, **more):
    return MultiplyAccumulate(a=a, b=b, accumulator=accumulator, stages=1, **more)


def dot(a, b, lanes, accumulator, **more):
    return DotProduct(a=a, b=b, lanes=lanes, accumulator=accumulator, stages=1, **more)


#: Formats of which all codes meet all codes of the accumulator: the same, wider and narrower ones,
#: integers, no subnormals, no mantissa, one exponent bit, special codes; sums that saturate where
#: no multiple of their unit is.
SMALL = [
    *(mac("e3m2", "e3m2", f"e3m2:{mode}") for mode in MODES if mode != "stochastic"),
    *(mac("e2m1", "e2m1", name) for name in ("e3m2", "e4m3", "e3m0", "e4m3fn:special", "e2m1")),
    *(mac("int3", "int3", name) for name in ("e3m2:down", "e1m2", "e4m3fnuz")),
    *(mac("e2m1", "int4", name) for name in ("e3m2ns", "e3m2ns:up", "e5m2ieee:down")),
    *(mac("e3m2ieee", "e2m1", name) for name in ("e3m2ieee", "e3m1ieee:saturate:toward_zero")),
    *(mac("ue2m1", "uint2", name) for name in ("e3m2", "e2m3:nearest_away")),
    mac("e1m2", "e2m1ns", "e1m3"),
    *(dot("e1m1", "e1m1", 2, name) for name in ("e2m1", "e3m0:down", "e2m2ns")),
    *(dot("int2", "e1m1", 2, name) for name in ("e2m1", "e1m2:up", "e3m1ieee")),
]

#: Formats of sums near every edge of the window: each kind of format, window and rounding, and
#: several lanes.
LARGE = [
    *(mac("e5m2", "e5m2", name) for name in ("e5m2", "e5m2ieee:down", "fp16")),
    *(mac(name, name, name) for name in ("fp16", "bf16", "e4m3fn")),
    *(mac("e4m3", name, "fp32") for name in ("e4m3", "e2m1")),
    mac("int8", "int8", "bf16:up"),
    mac("fp16", "fp16", "fp16:stochastic"),
    mac("bf16", "e8m0", "bf16:nearest_away"),
    dot("e5m2", "e5m2", 2, "fp16:down"),
    dot("int8", "int8", 3, "fp32"),
    mac("e4m3", "e2m1", "bf16", addend="fp16"),
]
#: And wider ones.
LARGER = [
    mac("fp32", "fp32", "fp32"),
    mac("e4m3", "int8", "fp32"),
    mac("int8", "int8", "fp32"),
    mac("fp16", "fp16", "fp32:toward_zero"),
    mac("bf16", "e8m0", "fp32:stochastic"),
    *(dot("e5m2", "e5m2", 2, name) for name in ("fp16", "e5m2:stochastic")),
    dot("e4m3fn", "e4m3fn", 3, "fp32"),
]


@pytest.mark.parametrize("first", [0, 1])
def test_every_code_meets_every_accumulator(first):
    specs = SMALL[first::2]
    logic = Logic(specs)
    for spec in specs:
        f = spec.accumulator.format
        a_bits, b_bits, lanes = spec.a.bits, spec.b.bits, spec.lanes
        bits = lanes * (a_bits + b_bits) + f.bits + 1
        assert bits < 20
        pattern = np.arange(1 << bits, dtype=np.uint64)
        parts = []
        for width in (1, f.bits, *lanes * [a_bits], *lanes * [b_bits]):
            parts.append(pattern & np.uint64((1 << width) - 1))
            pattern = pattern >> np.uint64(width)
        clear, kept, *codes = parts
        a, b = (np.stack(found, axis=1) for found in (codes[:lanes], codes[lanes:]))
        assert_right(logic, spec, kept, {"clear": clear, "a": a, "b": b})


def extreme_codes(f, count, rng):
    """Codes of all exponents, with mantissas at and next to the ends and the middle.

    ``count``: their shape.
    """
    codes = rng.integers(0, 1 << f.bits, count, dtype=np.uint64)
    middle, top = 1 << max(f.mantissa_bits - 1, 0), (1 << f.mantissa_bits) - 1
    ends = [0, 1, top, top - 1, middle, middle - 1, middle + 1]
    mantissas = rng.choice(np.array(ends), count).astype(np.uint64) & np.uint64(top)
    return np.where(rng.random(count) < 0.7, codes & ~np.uint64(top) | mantissas, codes)


def near_codes(spec, a, b, rng):
    """Accumulators at all distances from the products, and codes next to these.

    Most are of the other sign, and many cancel.
    """
    f, count = spec.accumulator.format, len(a)
    with np.errstate(invalid="ignore"):
        values = [x.decode(c.astype(x.code_dtype)) for x, c in ((spec.a, a), (spec.b, b))]
        products = (values[0] * values[1]).sum(axis=1)
    reach = f.precision + spec.a.precision + spec.b.precision + 4
    distances = rng.integers(-reach, reach + 1, count)
    distances = np.where(rng.random(count) < 0.3, rng.integers(-2, 3, count), distances)
    signs = np.where(rng.random(count) < 0.7, -1.0, 1.0)
    finite = np.nan_to_num(products, nan=1.0, posinf=1.0, neginf=-1.0)
    near = f.encode(np.ldexp(finite * signs, distances)).astype(np.int64)
    return np.clip(near + rng.integers(-2, 3, count), 0, (1 << f.bits) - 1).astype(np.uint64)


@pytest.mark.parametrize(
    "specs",
    [LARGE[::3], [*LARGE[1::3], *LARGE[2::3]], LARGER],
    ids=["third of the large", "large", "larger"],
)
def test_sums_near_every_edge_of_the_window(specs):
    logic, rng, count = Logic(specs), np.random.default_rng(RNG_SEED), 3_000
    for spec in specs:
        a, b = (extreme_codes(x, (count, spec.lanes), rng) for x in (spec.a, spec.b))
        kept = near_codes(spec, a, b, rng)
        kept = np.where(rng.random(count) < 0.2, extreme_codes(parse("fp32"), count, rng), kept)
        kept &= np.uint64((1 << spec.accumulator.format.bits) - 1)
        inputs = {"clear": (rng.random(count) < 0.05).astype(np.uint64), "a": a, "b": b}
        if spec.addend is not None:
            inputs["c"] = extreme_codes(spec.addend, count, rng)
        if spec.is_stochastic:
            ends = np.array([0, 1, 2**31, 2**31 - 1, 2**32 - 1], np.uint64)
            drawn = rng.integers(0, 2**32, count, dtype=np.uint64)
            inputs["random_bits"] = np.where(
                rng.random(count) < 0.5, rng.choice(ends, count), drawn
            )
        assert_right(logic, spec, kept, inputs)


@pytest.mark.parametrize("name", ["e5m2", "fp16", "bf16", "fp32"])
def test_window_of_one_format_is_three_significands_and_four_bits(name):
    f = parse(name)
    window = product_window(f, f, f, "nearest_even")
    assert window.width == 3 * f.precision + 4
    assert window.loses


def test_window_of_a_sum_keeps_every_bit():
    of_integers = sum_window(0, 2**14, parse("fp32"), "nearest_even")
    assert of_integers.below == 0
    assert not of_integers.loses
    # The accumulator's range is within the sum's.
    of_e5m2 = sum_window(-32, 2**66 - 1, parse("fp16"), "nearest_even")
    assert of_e5m2.width == 66


@pytest.mark.parametrize(
    ("a", "b", "accumulator", "adds_product"),
    [
        ("e5m2", "e5m2", "e5m2", True),
        ("e4m3", "e4m3", "fp32", True),
        # A product in fixed point that is narrower than beside its exponent.
        ("e2m1", "e2m1", "fp16", False),
        ("e4m3", "e2m1", "fp16", False),
    ],
)
def test_the_narrower_window_is_taken(a, b, accumulator, adds_product):
    assert mac(a, b, accumulator).adds_product is adds_product


@pytest.mark.parametrize(
    ("unit", "name", "expected"),
    [
        (-2, "e4m3", -2),  # The products' unit.
        (-20, "e4m3", -9),  # The format's.
        (3, "e1m2", -1),  # Of its largest number, 3.5.
    ],
)
def test_unit_of_running_sums(unit, name, expected):
    f = parse(name)
    assert sum_unit(unit, f) == expected
    steps = Fraction(f.max) / Fraction(2) ** expected
    assert steps.denominator == 1

"""Every input of the logic of units: products, conversions, L-Mul."""

from itertools import product

import pytest

import hwgen.units.convert
from hwgen import DotProduct, InputError, parse
from hwgen.formats import NAMES
from hwgen.formats.rounding import MODES, NEAREST_AWAY, NEAREST_EVEN, STOCHASTIC
from hwgen.formats.scalar import OVERFLOWS, SATURATE
from hwgen.spec import Convert, LMul, Multiply
from sim import exhaustive
from sim.exhaustive import Case

#: Every kind of special code, of lowest codes, of sign and of spacing.
KINDS = (
    *("e4m3fn", "e5m2ieee", "e4m3fnuz", "e4m3ext", "ue4m3", "e8m0", "uint8", "fixed8_6"),
    *("e0m3", "e4m3ns", "e3m0", "int8"),
)
#: Of up to 8 bits, converted to each other where hardware rounds to them.
CONVERTED = (
    *KINDS,
    *("uint1", "ufixed8_3", "e2m1", "e5m2", "e2m1fn", "ue3m2ext", "ue5m3ieee", "e0m3ns"),
)
DETERMINISTIC = tuple(mode for mode in MODES if mode != STOCHASTIC)
RANDOM_WORDS = (0, 0x5A17C3E9, 2**31, 2**32 - 1)


def wrong_of(cases):
    """The first wrong results of each case that has some."""
    wrong_results = exhaustive.check(cases)
    assert len(wrong_results) == len(cases)
    return {
        case.spec.name: wrong[:3] for case, wrong in zip(cases, wrong_results, strict=True) if wrong
    }


def overflows(number_format):
    f = parse(number_format)
    return OVERFLOWS if f.has_nan or f.has_infinity else (SATURATE,)


def rounds_in_hardware(number_format):
    try:
        Convert(a="int2", b=number_format)
    except InputError:
        return False
    return True


def test_all_products_of_all_pairs_of_formats():
    cases = [Case(Multiply(a=a, b=b)) for a in NAMES for b in NAMES]
    assert len(cases) == len(NAMES) ** 2
    assert not wrong_of(cases)


@pytest.mark.parametrize("which", ["near", "far"])
def test_products_of_every_kind_of_format(which):
    """All pairs: of kinds that stand near each other in the list, and the others."""
    pairs = [
        (a, b)
        for i, a in enumerate(KINDS)
        for j, b in enumerate(KINDS[i:])
        if (j <= 2) is (which == "near")
    ]
    if which == "near":
        pairs += [(kind, other) for kind in KINDS for other in ("e2m1", "uint1")]
    # One of the two orders each.
    cases = [Case(Multiply(a=p[i % 2], b=p[1 - i % 2])) for i, p in enumerate(pairs)]
    assert not wrong_of(cases)


def conversions():
    """All pairs, each with one of the modes and one of the target's rules for overflow.

    Each target meets all of both, together; and there are stochastic ones.
    """
    targets = [name for name in CONVERTED if rounds_in_hardware(name)]
    for (row, target), (column, source) in product(enumerate(targets), enumerate(CONVERTED)):
        index = row + column
        rules = overflows(target)
        mode, rule = DETERMINISTIC[index % 5], rules[index // 5 % len(rules)]
        yield Case(Convert(a=source, b=target, rounding=mode, overflow=rule))
    for index, target in enumerate(targets):
        word = RANDOM_WORDS[index % len(RANDOM_WORDS)]
        for source in ("e5m2ieee", "fixed8_6"):
            spec = Convert(a=source, b=target, rounding=STOCHASTIC)
            yield Case(spec, {"random_bits": word})


def test_conversions_of_every_kind_of_format():
    cases = list(conversions())
    assert {case.spec.rounding for case in cases} == set(MODES)
    assert {case.spec.overflow for case in cases} == set(OVERFLOWS)
    assert not wrong_of(cases)


#: Formats without subnormals: with zero and without, of every kind of special code.
WITHOUT_SUBNORMALS = (
    *("e8m0", "e4m3ns", "ue4m3fnnz", "e3m2fnuzns", "e0m3ns", "ue2m0nz"),
    *("e5m2ieeens", "ue4m3extnz", "ue3m1ns", "e2m5extns", "ue3m0ieeenz"),
)


def to_every_mode_and_rule(targets, sources):
    """Every mode and every rule for overflow."""
    for i, target in enumerate(targets):
        for j, mode in enumerate(MODES):
            for k, rule in enumerate(overflows(target)):
                for source in sources:
                    word = RANDOM_WORDS[(i + j + k) % len(RANDOM_WORDS)]
                    fixed = {"random_bits": word} if mode == STOCHASTIC else {}
                    spec = Convert(a=source, b=target, rounding=mode, overflow=rule)
                    yield Case(spec, fixed)


def test_conversions_to_formats_without_subnormals():
    """The full matrix, 450 cases with sources e5m2ieee, fixed8_6 and e4m3fn, is right too."""
    cases = list(to_every_mode_and_rule(WITHOUT_SUBNORMALS, ("e5m2ieee",)))[::2]
    for mode, source, target in (
        (NEAREST_EVEN, "bf16", "e8m0"),
        ("up", "fp16", "e8m0"),
        (NEAREST_EVEN, "fp16", "e4m3ns"),
        ("down", "fp16", "e2m5extns"),
    ):
        cases.append(Case(Convert(a=source, b=target, rounding=mode)))
    assert not wrong_of(cases)


#: P3109's formats: with sign and without, finite and extended, of one bit of precision too.
P3109 = ("Binary6p3sf", "Binary6p3ue", "Binary5p2uf", "Binary5p1ue", "Binary4p2se")


def test_conversions_to_p3109_by_every_rule():
    cases = list(to_every_mode_and_rule(P3109, ("e4m3fn",)))
    for mode, rule in product((NEAREST_EVEN, "toward_zero", "up"), OVERFLOWS):
        cases.append(Case(Convert(a="fixed8_2", b="Binary6p4ue", rounding=mode, overflow=rule)))
        cases.append(Case(Convert(a="e5m2ieee", b="Binary6p4sf", rounding=mode, overflow=rule)))
    assert len(cases) == 108
    assert not wrong_of(cases)


def lmuls():
    """Every pair of operands to every kind of output; every kind of operand; other offsets."""
    operands = ("e4m3fn", "e5m2ieee", "e4m3", "e5m2", "e2m1")
    outputs = (None, "e4m3fnuz", "bf16", "int8", "e3m0", "ue5m3ieee", "e0m6", "e4m3ns", "e8m0")
    pairs = [
        (a, b, outputs[(2 * i + j + k) % len(outputs)], None)
        for i, a in enumerate(operands)
        for j, b in enumerate(operands)
        for k in range(3)
    ]
    kinds = ("e4m3fnuz", "e4m3ext", "e4m3ns", "e8m0", "ue4m3", "e3m0", "e0m3ns", "ue5m3ieee")
    pairs += [(kind, other, "e4m3ext", 1) for kind in kinds for other in ("e5m2ieee", "e4m3ns")]
    pairs += [("e2m1", "e3m0", "fp16", 0), ("e0m3ns", "e2m1", "e5m2ieee", 7)]
    for i, (a, b, output, offset) in enumerate(pairs):
        mode = MODES[i % len(MODES)]
        rules = overflows(output or a)
        fixed = {"random_bits": RANDOM_WORDS[i % 4]} if mode == STOCHASTIC else {}
        spec = LMul(
            a=a, b=b, output=output, offset=offset, rounding=mode, overflow=rules[i % len(rules)]
        )
        yield Case(spec, fixed)


def test_lmul_and_conversions_of_16_bits():
    sixteen = [
        Convert(a="bf16", b="e4m3fn"),
        Convert(a="fp16", b="e3m4", rounding=NEAREST_AWAY),
        Convert(a="int16", b="e5m2ieee", overflow="special"),
        Convert(a="ufixed16_12", b="bf16"),
        Convert(a="bf16", b="int8", rounding="down"),
    ]
    assert not wrong_of([*lmuls(), *map(Case, sixteen)])


def test_a_single_wrong_result_is_found(monkeypatch):
    genuine = exhaustive._logic

    def faulty(m, case, inputs):
        outputs = genuine(m, case, inputs)
        first = case.spec.outputs[0].name
        return {**outputs, first: outputs[first] ^ (inputs == 0x93)}

    monkeypatch.setattr(exhaustive, "_logic", faulty)
    specs = (Multiply(a="int4", b="e2m1"), Convert(a="e4m3fn", b="e5m2"), LMul(a="e2m1", b="e2m1"))
    product_, converted, lmul = exhaustive.check([Case(spec) for spec in specs])
    for (wrong,) in (product_, converted, lmul):
        assert wrong.got == wrong.expected ^ 1
    assert product_[0].inputs == lmul[0].inputs == {"a": 3, "b": 9}
    assert converted[0].inputs == {"a": 0x93}


def test_a_wrong_rounding_is_found(monkeypatch):
    genuine = hwgen.units.convert.to_code

    def faulty(m, number, target, rounding, *rest, split):
        return genuine(m, number, target, NEAREST_AWAY, *rest, split=split)

    monkeypatch.setattr(hwgen.units.convert, "to_code", faulty)
    (wrong,) = exhaustive.check(
        [Case(Convert(a="e4m3fn", b="e5m2", rounding=NEAREST_EVEN, stages=1))]
    )
    # The ties below an even code: a quarter of the odd ones.
    assert len(wrong) > 10 and all(w.got == w.expected + 1 for w in wrong)


def test_what_cannot_be_tried_is_refused():
    with pytest.raises(InputError, match="up to 16 bits"):
        Case(Multiply(a="int9", b="int8"))
    with pytest.raises(InputError, match="keeps something"):
        Case(DotProduct(a="int2", b="int2", lanes=1))

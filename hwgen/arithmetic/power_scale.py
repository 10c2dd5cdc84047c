"""The power-of-two scale of a block of numbers, in hardware.

Of the rules for a scale those are cheap that ask for the block's largest magnitude alone: with
M = m·2^e, 1 ≤ m < 2, the scale's exponent is e plus a constant, and one more from some m on.
Both constants come from the rule itself (``hwgen.formats.block_scale``), so that there is no
second description of it. Lanes are compared by codes, which order magnitudes as values do, and
only by the part of the codes that can change the scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from hwgen.arithmetic.decode import Operand, decode
from hwgen.arithmetic.leading_one import leading_one_first
from hwgen.arithmetic.segmented import Boundary, Segmented, carry_along, last
from hwgen.formats import Scalar
from hwgen.sizes.power_scale import PowerScale, has_mark


def key(code: Value, magnitude: Value, counts: Value, scale: PowerScale) -> Value:
    """What is compared to find the lane that sets the scale; zero unless ``counts``.

    ``code``: of the source format; ``magnitude``: its significand as it was decoded.
    """
    f = scale.source
    if not scale.by_exponent:
        return magnitude_key(code, magnitude, counts, f)
    mantissa = code[: f.mantissa_bits]
    exponent = code[f.mantissa_bits : f.magnitude_bits]
    least = scale.threshold - (1 << f.mantissa_bits)
    never = least >> f.mantissa_bits
    bits = exponent if never else Cat(mantissa >= least, exponent)
    return bits & counts.replicate(len(bits))


def magnitude_key(code: Value, magnitude: Value, counts: Value, source: Scalar) -> Value:
    """What orders numbers of ``source`` by their magnitudes: all of it; zero unless ``counts``."""
    f = source
    bits = magnitude if f.is_integer else code[: f.magnitude_bits]
    if has_mark(f):
        bits = Cat(bits, Const(1, 1))
    return bits & counts.replicate(len(bits))


def decode_key(m: Module, number_key: Value, source: Scalar, name: str) -> Operand:
    """The number that has this ``magnitude_key``; zero where none counts."""
    magnitude = number_key[: source.magnitude_bits]
    operand = decode(m, Cat(magnitude, Const(0, int(source.signed))), source, name)
    if not has_mark(source):
        return operand
    has_number = number_key[-1].replicate(len(operand.significand))
    return replace(operand, significand=operand.significand & has_number)


def larger_of_pairs(m: Module, keys: Sequence[Value], name: str) -> list[Value]:
    """The larger of each two keys: one level of a tree that finds the largest."""
    larger_keys: list[Value] = []
    for i in range(0, len(keys) - 1, 2):
        larger = Signal(len(keys[i]), name=f"{name}_{i // 2}")
        m.d.comb += larger.eq(Mux(keys[i] > keys[i + 1], keys[i], keys[i + 1]))
        larger_keys.append(larger)
    return larger_keys + list(keys[len(larger_keys) * 2 :])


def scale_code(
    m: Module, largest: Value, scale: PowerScale, name: str, *, split: bool
) -> Segmented[Signal]:
    """The scale's code, from the largest of the blocks' keys."""
    exact, zero = yield from _wanted_code(m, largest, scale, name, split)
    code = Signal(range(scale.highest_code + 1), name=f"{name}_code")
    below = (exact < scale.lowest_code) | zero
    above = exact > scale.highest_code
    m.d.comb += code.eq(
        Mux(below, scale.lowest_code, Mux(above, scale.highest_code, exact)),
    )
    return (yield from last("bounded", code))


def micro_exponent(
    m: Module, largest: Value, code: Value, scale: PowerScale, name: str, *, split: bool
) -> Segmented[Signal]:
    """How far below the block's scale, of that ``code``, the scale of a part of the block is.

    ``largest``: the largest of the part's keys. It is as far as it may be where the part is zero.
    """
    (exact, zero), code = yield from carry_along(_wanted_code(m, largest, scale, name, split), code)
    below: Value = Signal(signed(max(len(exact), len(code)) + 2), name=f"{name}_below")
    micro = Signal(range(scale.furthest + 1), name=f"{name}_micro")
    m.d.comb += below.eq(code - exact)
    below, zero = yield Boundary("below", [below, zero])
    m.d.comb += micro.eq(
        Mux(zero | (below > scale.furthest), scale.furthest, Mux(below < 0, 0, below)),
    )
    return (yield from last("micro", micro))


def _wanted_code(
    m: Module, largest: Value, scale: PowerScale, name: str, split: bool
) -> Segmented[tuple[Signal, Value]]:
    """The scale's code if there were all, and whether it does not count.

    The latter where the block is zero, or as small as that.
    """
    f = scale.source
    if scale.by_exponent:
        exponent, reaches = largest[-f.exponent_bits :], largest[: -f.exponent_bits]
        if len(reaches) == 0:
            reaches = Const(0)
        # The threshold is for significands with a leading one.
        reaches, zero = reaches & exponent.any(), ~exponent.any()
        exponent, reaches, zero = yield Boundary("reaches", [exponent, reaches, zero])
        wanted = exponent + reaches
        wanted, zero = yield Boundary("exponent", [wanted, zero])
        wanted = wanted + (scale.offset - f.bias + scale.bias)
    else:
        magnitude, shift, lsb_exponent = largest, None, f.lsb_exponent
        if not f.is_integer:
            operand = decode_key(m, largest, f, name)
            magnitude, shift = operand.significand, operand.shift
            values = [magnitude, shift]
            magnitude, shift = yield Boundary("decoded", values)
        search = leading_one_first(m, magnitude, name, split=split)
        (normalised, leading), shift = yield from carry_along(search, shift)
        reaches, zero = normalised >= scale.threshold, ~normalised[-1]
        top = len(magnitude) - 1 + lsb_exponent
        wanted = (shift if shift is not None else Const(0)) - leading
        values = [wanted, reaches, zero]
        wanted, reaches, zero = yield Boundary("compared", values)
        wanted = wanted + reaches
        wanted, zero = yield Boundary("exponent", [wanted, zero])
        wanted = wanted + (top + scale.offset + scale.bias)
    exact: Value = Signal(wanted.shape(), name=f"{name}_wanted")
    m.d.comb += exact.eq(wanted)
    exact, zero = yield Boundary("wanted", [exact, zero])
    return exact, zero

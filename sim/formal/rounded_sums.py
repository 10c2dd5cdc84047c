"""The claim of sums of products that are rounded to a small format, by a table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Fixed, Float
from hwgen.formats import Scalar
from hwgen.spec import DotProduct
from sim.formal import partial_sums
from sim.formal.aig import FALSE, TRUE
from sim.formal.circuit import Circuit, Words
from sim.formal.references import (
    DEFINED_MODES,
    TOLD_BITS,
    Addend,
    NotApplicable,
    addend,
    rounded_sum,
    tabulated,
)
from sim.formal.run import RUNNING, Start, compared, result, run
from sim.formal.solve import TABLE_INPUTS, Claim
from sim.unit_model import LaneProducts


def are_small(spec: DotProduct) -> bool:
    """Its sums are rounded to a minifloat of numbers, and few bits decide each result."""
    f = _result_format(spec)
    return (
        f is not None
        and f.has_minus_zero
        and not (f.has_nan or f.has_infinity or spec.has_special)
        and not isinstance(spec.accumulator, Fixed)
        and _rounding(spec) in DEFINED_MODES
        and all(x.bits <= TOLD_BITS for x in (spec.a, spec.b))
    )


def _result_format(spec: DotProduct) -> Scalar | None:
    return spec.accumulator.format if isinstance(spec.accumulator, Float) else spec.output


def _rounding(spec: DotProduct) -> str:
    return spec.accumulator.rounding if isinstance(spec.accumulator, Float) else spec.rounding


def _shows_sum(spec: DotProduct) -> bool:
    """Its output is all that it keeps of sums."""
    return isinstance(spec.accumulator, Float) and not spec.accumulator.fast


def claim(start: Start, spec: DotProduct, unit: Circuit, lanes: LaneProducts) -> Claim:
    """Each result, with the sign of zeros.

    Of a float accumulator: the rounded sum of what it was, or of the partial sum that the input
    meets, and of the products, or of these alone with ``clear``; what it was is a multiple of the
    unit of what is added, or as far from the largest number, since it begins at zero and rounding
    keeps it so. Of an exact one, whose signs and sums no port shows, and of a ``fast`` one: of one
    cycle with ``clear``, and of one that adds to it if few bits decide. NotApplicable if too many
    bits decide.
    """
    f = _result_format(spec)
    assert f is not None
    width = sum(port.width for port in spec.inputs if port.name != "clear")
    name = spec.outputs[0].name
    if _shows_sum(spec):
        if spec.loop is None:
            got = result(start, spec, unit, "unit")
            met: Sequence[int] = got.before[name]
        else:
            got, met = partial_sums.result(start, spec, unit, "unit")
        sources = [met, got.first["clear"], *_operand_bits(spec, got.first)]
        outputs, cycles = got.outputs[name], got.cycles
    else:
        count = 2 if 2 * width <= TABLE_INPUTS else 1
        clears: list[Words] = [{"clear": [TRUE]}, {"clear": [FALSE]}]
        driven = [{**RUNNING, "valid_in": [TRUE], **clear} for clear in clears[:count]]
        trace = run(start, unit, [*driven, *[RUNNING] * spec.latency], "unit")
        outputs, cycles = trace.outputs[count - 1 + spec.latency][name], trace.inputs
        sources = [bits for given in cycles[:count] for bits in _operand_bits(spec, given)]
    bits = [literal for source in sources for literal in source]
    if len(bits) > TABLE_INPUTS:
        raise NotApplicable(
            f"{len(bits)} bits decide a rounded sum, and a table is made for up to {TABLE_INPUTS}"
        )
    widths = [len(source) for source in sources]
    table = np.array([_code_of(spec, f, widths, lanes, p) for p in range(1 << len(bits))])
    wanted = tabulated(start.aig, bits, table, f.bits)
    if _shows_sum(spec):
        (below,) = tabulated(start.aig, bits, _below_unit(spec, f, len(bits)), 1)
        wanted = [start.aig.mux(below, *pair) for pair in zip(outputs, wanted, strict=True)]
    return compared("rounded sums", start, cycles, {name: (list(outputs), wanted)})


def _below_unit(spec: DotProduct, f: Scalar, bits: int) -> npt.NDArray[np.int64]:
    """For a pattern of all bits, whether the accumulator counts and is none that sums can be.

    Its bits are the lowest, and the next one is ``clear``.
    """
    kept = [addend(f, code).value for code in range(1 << f.bits)]
    unit = Fraction(2) ** spec.lsb_exponent
    ends = (Fraction(0), Fraction(f.max), -Fraction(f.max))
    added = [all((abs(value) - end) % unit != 0 for end in ends) for value in kept]
    added += [False] * len(kept)
    return np.tile(np.array(added, np.int64), 1 << (bits - f.bits - 1))


def _operand_bits(spec: DotProduct, inputs: Words) -> list[Sequence[int]]:
    return [inputs[port.name] for port in spec.inputs if port.name != "clear"]


def _code_of(
    spec: DotProduct, f: Scalar, widths: Sequence[int], lanes: LaneProducts, pattern: int
) -> int:
    """The result for a pattern of all bits of the sources, the first in the lowest bits."""
    words = []
    for width in widths:
        words.append([pattern >> place & 1 for place in range(width)])
        pattern >>= width
    addends: list[Addend] = []
    if _shows_sum(spec):
        previous, clear, *words = words
        addends = [] if clear == [1] else [addend(f, _number(previous))]
    names = [port.name for port in spec.inputs if port.name != "clear"]
    for first in range(0, len(words), len(names)):
        if first > 0 and isinstance(spec.accumulator, Float):
            addends = [addend(f, rounded_sum(f, _rounding(spec), addends))]
        cycle = dict(zip(names, words[first : first + len(names)], strict=True))
        codes = [lanes.codes(spec, cycle, lane) for lane in range(spec.lanes)]
        products = [addend(spec.a, _number(a)) * addend(spec.b, _number(b)) for a, b in codes]
        if spec.a.is_integer and spec.b.is_integer:
            # An integer, which has no -0.
            total = sum((p.value for p in products), Fraction(0))
            products = [Addend(total, total < 0)]
        addends += products
        if spec.addend is not None:
            addends.append(addend(spec.addend, _number(cycle["c"])))
    return rounded_sum(f, _rounding(spec), addends)


def _number(bits: Sequence[int]) -> int:
    return sum(bit << place for place, bit in enumerate(bits))

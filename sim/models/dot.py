"""The exact dot product with its running accumulator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import WRAP, Accumulator, Exact, Fixed, Float
from hwgen.formats import Scalar
from hwgen.formats.rounding import DOWN, NEAREST_EVEN, STOCHASTIC
from hwgen.spec import Array, DotProduct, MultiDot
from hwgen.spec.accumulating import AccumulatingSpec
from sim import exact
from sim.accumulate import Accumulated, accumulate
from sim.bins import carry_bins
from sim.extremes import extreme_codes
from sim.formal import sums
from sim.formal.references import least, most
from sim.rounding import round_to
from sim.unit_model import Code, Fields, LaneProducts, Patterns, ProofRow, Reach, UnitModel

#: Cycles spent on driving the accumulator to one end of its range.
MAX_BOUND_CYCLES = 4096
FLOAT_CYCLES = 64


def expected(spec: DotProduct, inputs: Patterns) -> Patterns:
    """The running sum after each cycle, or what it is rounded to.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; past ``max_products`` an exact
    accumulator wraps.
    """
    sums = exact.dot(spec.a, spec.b, inputs["a"], inputs["b"])
    if spec.addend is not None:
        sums = exact.add(sums, exact.decode(spec.addend, inputs["c"][:, 0]))
    return accumulated(spec, sums, inputs)


def accumulated(spec: DotProduct | MultiDot, sums: exact.ExactArray, inputs: Patterns) -> Patterns:
    """The output ports, (cycles, 1) each, for the exact sum of each cycle, (cycles,).

    ``inputs``: the ports beside the operands, ``clear`` and, of a stochastic unit, ``random_bits``.
    """
    random = inputs["random_bits"][:, 0] if spec.is_stochastic else None
    return results(spec, sums, inputs["clear"][:, 0].astype(np.bool_), random)


def results(
    spec: AccumulatingSpec | MultiDot,
    sums: exact.ExactArray,
    clear: npt.NDArray[np.bool_],
    random: npt.NDArray[np.integer] | None,
) -> Patterns:
    """The output ports of one accumulator, (cycles, 1) each.

    ``sums``: the exact sum of each cycle; ``clear``: whether the sum restarts in it; ``random``:
    bits for stochastic rounding; each (cycles,).
    """
    accumulator = bounded(spec)
    history = accumulate(accumulator, sums, clear, drawn_by(accumulator, random))
    return output_ports(spec, history, random)


def bounded(spec: AccumulatingSpec | MultiDot) -> Fixed | Float:
    """The accumulator as a register: an exact one wraps past its width."""
    if isinstance(spec.accumulator, Exact):
        return Fixed(spec.accumulator_width, -spec.lsb_exponent, WRAP)
    return spec.accumulator


def drawn_by(
    accumulator: Fixed | Float, random: npt.NDArray[np.integer] | None
) -> npt.NDArray[np.integer] | None:
    """The random bits, if it is the accumulator that they are for."""
    return random if accumulator.rounding == STOCHASTIC else None


def output_ports(
    spec: AccumulatingSpec | MultiDot, history: Accumulated, random: npt.NDArray[np.integer] | None
) -> Patterns:
    """The output ports, (cycles, 1) each, of an accumulator with this ``history``.

    ``random``: bits for stochastic rounding of an output format, (cycles,).
    """
    if spec.output is not None:
        numbers = exact.ExactArray(
            np.where(history.special == 0, history.words, 0),
            history.lsb_exponent,
            history.special,
            history.zero_sign,
        )
        if not isinstance(spec.accumulator, Exact) or sums_integers(spec):
            numbers = exact.integer_zeros(numbers)
        code = round_to(
            numbers,
            spec.output,
            spec.rounding,
            spec.overflow,
            random_bits=random if spec.rounding == STOCHASTIC else None,
            nan=None if spec.output.has_nan else 0.0,
        )
        return {"result": code[:, None]}
    outputs = {"accumulator": history.words[:, None]}
    if spec.has_special and not isinstance(spec.accumulator, Float):
        special = history.special[:, None]
        outputs |= {
            "nan": np.isnan(special),
            "positive_infinity": np.isposinf(special),
            "negative_infinity": np.isneginf(special),
        }
    return outputs


def sums_integers(spec: AccumulatingSpec | MultiDot) -> bool:
    """All that is multiplied and added is an integer."""
    formats = [port.format for port in spec.inputs if port.format is not None]
    # Not all that is multiplied has a port, or one whose codes are of one format.
    return all(f.is_integer for f in (*formats, *spec.factors))


def reach(spec: DotProduct) -> Reach:
    """The largest sum that an output or a float accumulator is rounded from, and its unit."""
    product = math.ldexp(max(map(abs, spec.product_range)), spec.product_lsb_exponent)
    addend = 0.0 if spec.addend is None else max(spec.addend.max, -spec.addend.min)
    largest = product * spec.max_products + addend * (spec.max_products // spec.lanes)
    if isinstance(spec.accumulator, Float):
        # Past this a step's sum is less than half of the accumulator's last place.
        step = product * spec.lanes + addend
        largest = min(largest, math.ldexp(step, spec.accumulator.format.precision + 1))
    if isinstance(spec.accumulator, Fixed):
        half = math.ldexp(1, spec.accumulator.bits - 1 - spec.accumulator.fraction_bits)
        largest = min(largest, half)
    return Reach(largest, lsb_exponent=spec.lsb_exponent)


def directed(spec: DotProduct) -> Patterns:
    """Extremes in all lanes, in alternating lanes and in single lanes.

    The accumulator is driven to both ends of its stated range.
    """
    a_codes, b_codes = extreme_codes(spec.a), extreme_codes(spec.b)
    pairs = [(x, y) for x in a_codes for y in b_codes]
    zero_a, zero_b = spec.a.encode(0.0), spec.b.encode(0.0)
    a_rows, b_rows, clears = [], [], []
    c_rows: list[list[int]] = []
    # Every kind of addend with every kind of product; at the bounds the largest with the largest.
    c_codes = [0] if spec.addend is None else extreme_codes(spec.addend)

    def add(a: npt.ArrayLike, b: npt.ArrayLike, clear: bool, c: int | None = None) -> None:
        c_rows.append([c_codes[len(c_rows) % len(c_codes)] if c is None else c])
        a_rows.append(np.broadcast_to(np.asarray(a, spec.a.code_dtype), spec.lanes))
        b_rows.append(np.broadcast_to(np.asarray(b, spec.b.code_dtype), spec.lanes))
        clears.append([clear])

    lane = np.arange(spec.lanes)
    for index, (x, y) in enumerate(pairs):
        add(x, y, True)
        # Alternating signs cancel: the other lanes get the negated value of a.
        negated = spec.a.encode(-spec.a.decode(x))
        add(np.where(lane % 2, negated, x), y, index % 3 == 0)
        hot = lane == index % spec.lanes
        add(np.where(hot, x, zero_a), np.where(hot, y, zero_b), index % 5 == 0)
    corners = {
        spec.a.decode(x) * spec.b.decode(y): (x, y)
        for x in spec.a.encode([spec.a.min, spec.a.max])
        for y in spec.b.encode([spec.b.min, spec.b.max])
    }
    longest = longest_run(spec.accumulator)
    for product in (min(corners), max(corners)):
        bound = 0
        if spec.addend is not None:
            f = spec.addend
            bound = int(f.encode(f.min if product == min(corners) else f.max))
        for cycle in range(min(spec.max_products // spec.lanes, longest)):
            add(*corners[product], cycle == 0, bound)
    return {
        "clear": np.array(clears, dtype=np.uint8),
        "a": np.array(a_rows),
        "b": np.array(b_rows),
        **({} if spec.addend is None else {"c": np.array(c_rows, spec.addend.code_dtype)}),
        **(
            {
                "random_bits": np.random.default_rng(1).integers(
                    0, 2**32, (len(clears), 1), np.uint64
                )
            }
            if spec.is_stochastic
            else {}
        ),
    }


class DirectedCycles:
    """Cycles of a unit with one port of codes, as they are added.

    Addends take turns among the extremes of their format.
    """

    def __init__(self, spec: DotProduct) -> None:
        self.spec = spec
        self._addends = [0] if spec.addend is None else extreme_codes(spec.addend).tolist()
        self._rows: list[tuple[bool, npt.NDArray[np.integer], int]] = []

    def add(self, clear: bool, codes: npt.ArrayLike, addend: int | None = None) -> None:
        """A cycle: one code for each lane or for all of them, and the addend's code."""
        c = self._addends[len(self._rows) % len(self._addends)] if addend is None else addend
        lanes = np.broadcast_to(np.asarray(codes, self.spec.a.code_dtype), self.spec.lanes)
        self._rows.append((clear, lanes, c))

    def patterns(self) -> Patterns:
        """The inputs of all cycles."""
        spec, rows = self.spec, self._rows
        patterns: Patterns = {
            "clear": np.array([[row[0]] for row in rows], np.uint8),
            "a": np.array([row[1] for row in rows]),
        }
        if spec.addend is not None:
            patterns["c"] = np.array([[row[2]] for row in rows], spec.addend.code_dtype)
        if spec.is_stochastic:
            random = np.random.default_rng(1)
            patterns["random_bits"] = random.integers(0, 2**32, (len(rows), 1), np.uint64)
        return patterns


def longest_run(accumulator: Accumulator) -> int:
    """Cycles to drive a sum to its end: a float accumulator has no bound that few would reach."""
    return FLOAT_CYCLES if isinstance(accumulator, Float) else MAX_BOUND_CYCLES


def restrict(
    spec: DotProduct | Array,
    inputs: Patterns,
    counted: npt.NDArray[np.intp],
    rng: np.random.Generator,
) -> None:
    """Sums restart at random, and always before they pass ``max_products``."""
    clear = inputs["clear"]
    clear[:, 0] = rng.random(len(clear)) < 0.1
    limit, length = spec.max_products // spec.lanes, 0
    for cycle in counted:
        clear[cycle, 0] |= length >= limit
        length = 1 if clear[cycle, 0] else length + 1


def signs_zeros(spec: DotProduct | Array) -> bool:
    """What is summed to a float has zeros of either sign."""
    return isinstance(spec.accumulator, Float) or spec.zero_rounding is not None


def _codes(spec: DotProduct, inputs: Mapping[str, Code], lane: int) -> tuple[Code, Code]:
    return lane_code(spec.a, inputs["a"], lane), lane_code(spec.b, inputs["b"], lane)


def lane_code(f: Scalar, codes: Code, lane: int) -> Code:
    """The part of ``codes``, all lanes' literals, that is the code of one ``lane``."""
    return codes[lane * f.bits : (lane + 1) * f.bits]


def _corners(spec: DotProduct, lane: int) -> Iterable[tuple[int, int]]:
    a, b = ((least(f), most(f)) for f in (spec.a, spec.b))
    return ((x, y) for x in a for y in b)


def in_pairs(spec: DotProduct, lanes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Two parts of some lanes that are summed in pairs of pairs."""
    middle = 1 << ((len(lanes) - 1).bit_length() - 1)
    return [lanes[:middle], lanes[middle:]]


#: What is proved of a sum, on all targets.
SUM_PROPERTIES = ("reference", "accumulator", "netlist")
#: Groups of proofs in which several units are.
SPECIALS, ZERO_SIGNS = "dot products with infinities and NaN", "signs of zeros"


def _proofs(lanes: int, *pairs: tuple[str, str], **fields: str) -> list[ProofRow]:
    return [({"a": a, "b": b, "lanes": lanes, **fields}, SUM_PROPERTIES) for a, b in pairs]


def _zero_signs() -> list[ProofRow]:
    into: list[Fields] = [
        {"a": "e2m1", "b": "e2m1", "lanes": 2},
        {"a": "e1m1", "b": "e1m1", "lanes": 2, "addend": "e2m1"},
    ]
    return [
        ({**fields, "output": "e3m2", "rounding": mode}, ("reference",))
        for mode in (NEAREST_EVEN, DOWN)
        for fields in into
    ]


#: Pairs of operands that are simulated for long.
LONG_PAIRS = (
    *(("int8", "int8"), ("int4", "int4"), ("e2m1", "e2m1"), ("e4m3", "e4m3"), ("e2m1", "int4")),
    *(("e4m3fn", "e4m3fn"), ("int8", "e4m3"), ("e3m2", "e2m3")),
)

MODEL = UnitModel(
    expected=expected,
    directed=directed,
    restrict=restrict,
    reach=reach,
    bins=carry_bins,
    signs_zeros=signs_zeros,
    settings=(
        {"lanes": 4, "max_products": 64},
        {"lanes": 3, "max_products": 48, "accumulator": "fp32"},
        {"lanes": 5, "max_products": 40, "accumulator": "fixed:24:8"},
        {"lanes": 2, "max_products": 32, "output": "bf16"},
        {"lanes": 2, "max_products": 32, "accumulator": "bf16:stochastic"},
        {"lanes": 3, "max_products": 48, "accumulator": "fp32:stochastic"},
        {"lanes": 3, "max_products": 48, "accumulator": "fp16:fast"},
        {"lanes": 2, "max_products": 32, "accumulator": "fp32:interleave:5"},
    ),
    long=tuple({"a": a, "b": b, "lanes": 32} for a, b in LONG_PAIRS),
    example={"a": "e2m1", "b": "int4", "lanes": 8},
    proofs={
        # Products with one bit.
        "adder trees": [
            ({"a": "int8", "b": "uint1", "lanes": lanes}, ("reference",))
            for lanes in (2, 3, 8, 13, 32)
        ],
        "dot products": [
            *_proofs(8, ("e2m1", "int4")),
            *_proofs(4, ("int8", "int8")),
            *_proofs(2, ("e4m3", "e2m1")),
        ],
        SPECIALS: _proofs(2, ("e4m3fn", "e2m1"), ("e5m2ieee", "int2"), ("e3m2ext", "e2m1fnuz")),
        # Two lanes in each multiplier.
        "packed dot products": _proofs(
            8, ("int4", "int4"), ("e2m1", "e2m1"), ("e2m1", "int4"), mapping="dsp"
        ),
        ZERO_SIGNS: _zero_signs(),
    },
    reference=sums.reference,
    lanes=LaneProducts(codes=_codes, corners=_corners, halves=in_pairs),
)

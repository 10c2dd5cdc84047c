"""The array: exact dot products of rows and columns, and their accumulators."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.accumulator import Fixed, Float
from hwgen.formats import Format
from hwgen.sizes.dsp_multiplier import SIZED
from hwgen.spec import MAPPINGS
from hwgen.spec.array import DATAFLOWS, MOVEMENTS, WEIGHT_STATIONARY, Array
from sim import exact
from sim.accumulate import accumulate_once
from sim.bins import carry_bins
from sim.blocks import Blocks, block_dot
from sim.draws import one_of, up_to
from sim.exact import ExactArray
from sim.extremes import extreme_codes
from sim.models import blockdot, dot
from sim.unit_model import Patterns, Reach, Streamed, UnitModel


def expected(spec: Array, inputs: Patterns) -> Patterns:
    """The accumulators of all rows and columns, or what they are rounded to.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; past ``max_products`` an exact
    accumulator wraps.
    """
    a = _by_member(inputs, "a", spec.rows)
    b = _by_member(inputs, "b", spec.columns)
    clear = inputs["clear"][:, 0].astype(np.bool_)
    random = inputs["random_bits"] if spec.is_stochastic else None
    if spec.is_weight_stationary:
        load = inputs["load"].astype(np.bool_)
        weights = _weights(spec, b, load)
        # (cycles, columns, rows, lanes or blocks)
        by_row = {name: codes[:, None] for name, codes in a.items()}
        sums = exact.total(_unless_unloaded(_sums(spec, by_row, weights), load))
        return _added_to_partial(spec, sums, inputs, clear, random)
    rows = {name: codes[:, :, None] for name, codes in a.items()}
    columns = {name: codes[:, None] for name, codes in b.items()}
    sums = _sums(spec, rows, columns)
    results = [
        dot.results(
            spec,
            sums[:, row, column],
            clear,
            None if random is None else random[:, row * spec.columns + column],
        )
        for row in range(spec.rows)
        for column in range(spec.columns)
    ]
    return _side_by_side(results)


def _by_member(inputs: Patterns, name: str, count: int) -> Patterns:
    """Codes of elements, and of scales if there are, (cycles, rows or columns, lanes or blocks)."""
    names = [kind for kind in (name, f"{name}_scale") if kind in inputs]
    return {kind: inputs[kind].reshape(len(inputs[kind]), count, -1) for kind in names}


def _weights(spec: Array, b: Patterns, load: npt.NDArray[np.bool_]) -> Patterns:
    """What every column multiplies by in each cycle, (cycles, columns, rows, lanes or blocks)."""
    cycles = np.arange(len(load))
    weights = {}
    for kind, codes in b.items():
        at_first = 0 if kind != "b" else int(spec.b.element.encode(0.0))
        # The last cycle, up to this, that loaded the row; before the first a cycle of zeros.
        with_zeros = np.concatenate([np.full_like(codes[:1], at_first), codes])
        last = np.maximum.accumulate(np.where(load, cycles[:, None] + 1, 0), axis=0)
        by_row = with_zeros[last]  # (cycles, rows, columns, lanes)
        weights[kind] = by_row.transpose(0, 2, 1, 3)
    return weights


def _unless_unloaded(sums: ExactArray, load: npt.NDArray[np.bool_]) -> ExactArray:
    """``sums``, (cycles, columns, rows), times zero where a row has had no weights yet.

    A format may have no zero that would say so.
    """
    idle = ~np.logical_or.accumulate(load, axis=0)[:, None]
    return ExactArray(
        np.where(idle, 0, sums.integers),
        sums.lsb_exponent,
        np.where(idle & (sums.special != 0), np.nan, sums.special),
        sums.sign,
    )


def _sums(spec: Array, a: Patterns, b: Patterns) -> ExactArray:
    """The exact sums of products along the last axis; the others broadcast."""
    if spec.has_blocks:
        return block_dot(_blocks(spec.a, a, "a"), _blocks(spec.b, b, "b"))
    return exact.dot(spec.a.element, spec.b.element, a["a"], b["b"])


def _blocks(f: Format, codes: Patterns, name: str) -> Blocks:
    assert f.scale is not None
    elements, scales = codes[name], codes[f"{name}_scale"]
    shape = (*scales.shape, f.block_size)
    return Blocks(
        element_format=f.element,
        elements=elements.reshape(shape),
        scale_format=f.scale,
        scales=scales,
    )


def _added_to_partial(
    spec: Array,
    sums: ExactArray,
    inputs: Patterns,
    clear: npt.NDArray[np.bool_],
    random: npt.NDArray[np.integer] | None,
) -> Patterns:
    """Each column's sum added once to the number that came in for it."""
    results = []
    accumulator = dot.bounded(spec)
    for column in range(spec.columns):
        drawn = None if random is None else random[:, column]
        start = _partial(spec, inputs, column)
        accumulated = accumulate_once(
            accumulator, start, sums[:, column], clear, dot.drawn_by(accumulator, drawn)
        )
        results.append(dot.output_ports(spec, accumulated, drawn))
    return _side_by_side(results)


def _partial(spec: Array, inputs: Patterns, column: int) -> ExactArray:
    """What a column's sums are added to, and the infinity or NaN that it is."""
    words = inputs["partial"][:, column]
    if isinstance(spec.accumulator, Float):
        return exact.decode(spec.accumulator.format, words)
    half = 1 << (spec.accumulator_width - 1)
    numbers = (words.astype(object) + half) % (2 * half) - half
    special = np.zeros(len(words))
    if spec.accumulator_flags:
        nan, plus, minus = (
            inputs[f"partial_{flag}"][:, column].astype(np.bool_) for flag in spec.accumulator_flags
        )
        special = np.select([nan | (plus & minus), plus, minus], [np.nan, np.inf, -np.inf], 0.0)
    return ExactArray(numbers, spec.accumulator_lsb_exponent, special)


def _side_by_side(results: list[Patterns]) -> Patterns:
    return {name: np.concatenate([r[name] for r in results], axis=1) for name in results[0]}


def reach(spec: Array) -> Reach:
    """The largest sum that an output or a float accumulator is rounded from, and its unit."""
    step = math.ldexp(max(map(abs, spec.product_range)), spec.lsb_exponent)
    largest = step * spec.max_products
    if isinstance(spec.accumulator, Float):
        # As of a dot product: past this a step changes nothing.
        bits = spec.accumulator.format.precision + 1
        largest = min(largest, math.ldexp(step * spec.summed_rows * spec.lanes, bits))
    if isinstance(spec.accumulator, Fixed):
        largest = math.ldexp(1, spec.accumulator.bits - 1 - spec.accumulator.fraction_bits)
    # A partial sum that comes in may be any number of a float accumulator's.
    any_unit = spec.is_weight_stationary and isinstance(spec.accumulator, Float)
    return Reach(largest, lsb_exponent=-math.inf if any_unit else spec.lsb_exponent)


def directed(spec: Array) -> Patterns:
    """Extremes in all lanes, mixed, and in single lanes, from row to row and column to column.

    Then sums driven to both ends of what accumulators are stated to hold.
    """
    rng = np.random.default_rng(11)
    codes = {p.name: extreme_codes(p.format) for p in spec.inputs if p.format is not None}
    for name in ("a_scale", "b_scale"):
        if name in codes:  # Every exponent, too.
            f = getattr(spec, name[0]).scale
            exponents = np.arange(0, 1 << f.bits, 1 << f.mantissa_bits, dtype=f.code_dtype)
            codes[name] = np.union1d(codes[name], exponents)
    counts = {p.name: p.count for p in spec.inputs}
    cycles: list[dict[str, npt.ArrayLike]] = []
    for index in range(max(map(len, codes.values()))):
        same = {name: choices[index % len(choices)] for name, choices in codes.items()}
        mixed = {name: rng.choice(choices, counts[name]) for name, choices in codes.items()}
        # One lane alone: what belongs to another row or column would show.
        hot = {
            name: np.where(np.arange(counts[name]) == rng.integers(counts[name]), mixed[name], zero)
            for name, f in (("a", spec.a), ("b", spec.b))
            for zero in [int(f.element.encode(0.0))]
        }
        other_inputs = _other_inputs(spec, rng)
        cycles += [
            {**other_inputs, **same, "load": 1, "clear": 1},
            {**other_inputs, **mixed, "clear": index % 3 == 0},
            {**other_inputs, **mixed, **hot, "clear": index % 5 == 0},
        ]
    for lowest in (True, False):
        corner = _corner(spec, lowest)
        count = 2 if spec.is_weight_stationary else spec.max_products // spec.lanes
        for cycle in range(min(count, dot.longest_run(spec.accumulator))):
            cycles.append({**corner, "load": 1, "clear": cycle == 0})
    return {
        port.name: np.array(
            [np.broadcast_to(np.asarray(c.get(port.name, 0)), port.count) for c in cycles],
            dtype=np.uint64 if port.bits <= 64 else object,
        )
        for port in spec.inputs
    }


def _other_inputs(spec: Array, rng: np.random.Generator) -> dict[str, npt.ArrayLike]:
    """For ports that have no codes: ends of what sums are added to, some flags, random bits."""
    inputs: dict[str, npt.ArrayLike] = {}
    for port in spec.inputs:
        ends = [0, 1, (1 << (port.bits - 1)) - 1, 1 << (port.bits - 1), (1 << port.bits) - 1]
        chosen = [ends[i] for i in rng.integers(len(ends), size=port.count)]
        inputs[port.name] = np.array(chosen, dtype=object)
        if port.bits == 1:
            inputs[port.name] = (rng.random(port.count) < 0.1).astype(np.uint8)
    return inputs


def _corner(spec: Array, lowest: bool) -> dict[str, npt.ArrayLike]:
    """The operands of the smallest or the largest product, with the largest scales."""
    a, b = spec.a.element, spec.b.element
    pairs = [(x, y) for x in (a.min, a.max) for y in (b.min, b.max)]
    x, y = (min if lowest else max)(pairs, key=lambda pair: pair[0] * pair[1])
    operands: dict[str, npt.ArrayLike] = {"a": int(a.encode(x)), "b": int(b.encode(y))}
    for name, f in (("a", spec.a), ("b", spec.b)):
        if f.scale is not None:
            operands[f"{name}_scale"] = int(f.scale.encode(f.scale.max))
    return operands


def restrict(
    spec: Array, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """Sums restart at random, and always before they pass ``max_products``.

    Weights are loaded at random, and all of them before their results count. Few of the flags
    beside a sum are set; half of the scales are near one, and half of a float's sums near the
    operands' own.
    """
    if spec.has_blocks:
        blockdot.scales_near_one(spec, inputs, rng)
    dot.restrict(spec, inputs, counted, rng)
    if not spec.is_weight_stationary:
        return
    cycles = len(inputs["load"])
    inputs["load"] = (rng.random((cycles, spec.rows)) < 0.2).astype(np.uint8)
    inputs["load"][counted[:1]] = 1
    inputs["clear"] = (rng.random((cycles, 1)) < 0.3).astype(np.uint8)
    shape = inputs["partial"].shape
    for flag in spec.accumulator_flags:
        inputs[f"partial_{flag}"] = (rng.random(shape) < 0.05).astype(np.uint8)
    if isinstance(spec.accumulator, Float):
        f = spec.accumulator.format
        largest = np.log2(float(max(spec.product_range)) + 1) + spec.lsb_exponent
        usual = rng.normal(size=shape) * np.exp2(rng.uniform(spec.lsb_exponent, largest, shape))
        chosen = rng.random(shape) < 0.5
        inputs["partial"] = np.where(chosen, f.encode(usual), inputs["partial"]).astype(
            f.code_dtype
        )


def streamed(spec: Array, inputs: Patterns, rng: np.random.Generator) -> Streamed:
    """Steps whose sums end where the next ``clear``s them; or rows of weights, then activations.

    Of the last tile of weights some rows may be missing, which nothing needs.
    """
    cycles = np.arange(len(inputs["clear"]))
    if not spec.is_weight_stationary:
        inputs["clear"][0] = 1
        last = np.append(inputs["clear"][1:, 0] != 0, True)
        taken = {"a": cycles, "b": cycles}
        return Streamed(inputs=inputs, taken=taken, last=last, answered=np.flatnonzero(last))
    rows: list[int] = []
    while len(rows) < len(cycles):
        rows += [*range(spec.rows), *[-1] * int(rng.integers(1, 3 * spec.rows + 2))]
    loaded = np.array(rows[: len(cycles)])
    inputs["load"] = (loaded[:, None] == np.arange(spec.rows)).astype(np.uint8)
    is_row = loaded >= 0
    answered, added = ~is_row, ~is_row & (inputs["clear"][:, 0] == 0)
    taken = {
        name: np.flatnonzero(chosen)
        for name, chosen in (("a", answered), ("b", is_row), ("partial", added))
    }
    last = answered & np.append(is_row[1:], True)
    return Streamed(inputs=inputs, taken=taken, last=last, answered=taken["a"])


MODEL = UnitModel(
    expected=expected,
    streamed=streamed,
    directed=directed,
    restrict=restrict,
    reach=reach,
    bins=carry_bins,
    signs_zeros=dot.signs_zeros,
    settings=(
        {"rows": 2, "columns": 1, "max_products": 256},
        {
            **{"rows": 2, "columns": 2, "max_products": 256},
            **{"dataflow": "weight_stationary", "movement": "systolic"},
        },
        {"rows": 1, "columns": 2, "movement": "systolic", "max_products": 256, "output": "bf16"},
        # Where no two products fit a multiplier, the next of the settings is taken.
        {"rows": 2, "columns": 2, "max_products": 256, "mapping": "dsp18x18"},
    ),
    draws={
        **dict.fromkeys(("rows", "columns"), up_to(3)),
        "mapping": one_of((*MAPPINGS, *SIZED)),
        **{"dataflow": one_of(DATAFLOWS), "movement": one_of(MOVEMENTS)},
    },
    typical=(
        {"a": "int4", "b": "int4", "rows": 2, "columns": 2, "max_products": 64},
        {
            **{"a": "e2m1", "b": "int8", "rows": 2, "columns": 2, "max_products": 64},
            **{"dataflow": "weight_stationary", "movement": "systolic"},
        },
        {
            **{"a": "e2m1_b4_ue4m3", "b": "int4_b4_ue4m3", "rows": 1, "columns": 2},
            **{"max_products": 64, "movement": "systolic", "output": "bf16"},
        },
    ),
    example={"a": "int4", "b": "e2m1", "rows": 2, "columns": 2},
    proofs={
        "streams of weights that stay": [
            (
                {
                    **{"a": "int3", "b": "int3", "rows": 2, "columns": 1, "stages": 3},
                    **{"dataflow": WEIGHT_STATIONARY, "movement": movement},
                },
                ("stream",),
            )
            for movement in MOVEMENTS
        ],
        blockdot.PACKED: [
            (
                {
                    **{"a": "int2_b2_ue1m0", "b": "int2_b2_ue1m0", "rows": 2, "columns": 1},
                    **{"mapping": "dsp18x18", "stages": 3, "max_products": 4},
                },
                ("pipeline", "netlist"),
            ),
        ],
    },
)

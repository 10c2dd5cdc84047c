"""The dot product whose formats are switched at run time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.formats import Scalar
from hwgen.spec import MultiDot
from sim import exact
from sim.draws import one_of
from sim.extremes import extreme_codes
from sim.models.dot import MAX_BOUND_CYCLES, accumulated
from sim.unit_model import Patterns, UnitModel

Codes = npt.NDArray[np.integer]


def expected(spec: MultiDot, inputs: Patterns) -> Patterns:
    """The running sum after each cycle, or what it is rounded to, each cycle in its mode.

    ``inputs`` and the outputs as of ``sim.unit_model.UnitModel``; past ``max_products`` the
    accumulator wraps.
    """
    modes = mode_of(spec, inputs)
    integers = np.zeros(len(modes), dtype=object)
    special = np.zeros(len(modes))
    zero_sign = np.ones(len(modes), np.int8)
    for mode, (pair, count) in enumerate(zip(spec.pairs, spec.products, strict=True)):
        in_mode = modes == mode
        a, b = (
            unpacked(f, count, inputs[name][in_mode]) for name, f in (("a", pair.a), ("b", pair.b))
        )
        sums = exact.dot(pair.a, pair.b, a, b)
        # Sums of the modes are numbers: what they count is the same for all.
        integers[in_mode] = sums.integers.astype(object) * 2 ** (
            sums.lsb_exponent - spec.lsb_exponent
        )
        special[in_mode] = sums.special
        zero_sign[in_mode] = sums.sign
    total = exact.ExactArray(integers, spec.lsb_exponent, special, zero_sign)
    return accumulated(spec, total, inputs)


def mode_of(spec: MultiDot, inputs: Patterns) -> npt.NDArray[np.integer]:
    """Each cycle's mode, (cycles,): what is above the last means the last."""
    return np.minimum(inputs["mode"][:, 0], len(spec.pairs) - 1)


def unpacked(number_format: Scalar, count: int, words: Codes) -> Codes:
    """The ``count`` lowest codes of each lane, (cycles, lanes · count), from (cycles, lanes)."""
    bits = number_format.bits
    places = np.arange(count, dtype=np.uint64) * np.uint64(bits)
    codes = (words.astype(np.uint64)[:, :, None] >> places) & np.uint64((1 << bits) - 1)
    return codes.reshape(len(words), words.shape[1] * count)


def packed(number_format: Scalar, codes: Codes) -> Codes:
    """Lanes with these codes, lowest bits first: (…) from (…, count)."""
    places = np.arange(codes.shape[-1], dtype=np.uint64) * np.uint64(number_format.bits)
    return np.asarray((codes.astype(np.uint64) << places).sum(axis=-1, dtype=np.uint64))


def directed(spec: MultiDot) -> Patterns:
    """Of every mode, extremes in all places, some in single ones and beside their negative.

    The modes in turn on one sum; the accumulator at both ends of its range; ones above the codes.
    """
    rows: list[tuple[bool, int, Codes, Codes]] = []

    def add(clear: bool, mode: int, a: Codes, b: Codes) -> None:
        pair, shape = spec.pairs[mode], (spec.lanes, spec.products[mode])
        lanes_a = packed(pair.a, np.broadcast_to(a, shape))
        rows.append((clear, mode, lanes_a, packed(pair.b, np.broadcast_to(b, shape))))

    extremes: list[tuple[float, int, Codes, Codes]] = []
    for mode, (pair, count) in enumerate(zip(spec.pairs, spec.products, strict=True)):
        a_codes, b_codes = extreme_codes(pair.a), extreme_codes(pair.b)
        place = np.arange(spec.lanes * count).reshape(spec.lanes, count)
        for index, (x, y) in enumerate((x, y) for x in a_codes for y in b_codes):
            add(True, mode, x, y)
            if index % 4 == 0:
                negated = pair.a.encode(-pair.a.decode(x), nan=0.0)
                add(index % 3 == 0, mode, np.where(place % 2, negated, x), y)
            steps = float(pair.a.decode(x)), float(pair.b.decode(y))
            if index % 4 == 1 or steps == (pair.a.smallest, pair.b.smallest):
                hot = place == index // 4 % place.size
                zeros = (pair.a.encode(0.0), pair.b.encode(0.0))
                add(index % 5 == 0, mode, np.where(hot, x, zeros[0]), np.where(hot, y, zeros[1]))
        for x in pair.a.encode([pair.a.min, pair.a.max]):
            for y in pair.b.encode([pair.b.min, pair.b.max]):
                extremes.append((float(pair.a.decode(x) * pair.b.decode(y)), mode, x, y))
    # Neighbouring rows of the interleaved list are of different modes, on one sum.
    largest = max(spec.products) * spec.lanes
    mixed = [row for index in range(4) for row in extremes[index::4]]
    for index, (_, mode, x, y) in enumerate(mixed):
        add(index % max(spec.max_products // largest, 1) == 0, mode, x, y)
    for end in (min, max):
        _, mode, x, y = end(extremes, key=lambda extreme: extreme[0])
        cycles = spec.max_products // (spec.lanes * spec.products[mode])
        for cycle in range(min(cycles, MAX_BOUND_CYCLES)):
            add(cycle == 0, mode, x, y)
    patterns: Patterns = {
        "clear": np.array([[row[0]] for row in rows], dtype=np.uint8),
        "mode": np.array([[row[1]] for row in rows], dtype=np.uint8),
        "a": np.array([row[2] for row in rows]),
        "b": np.array([row[3] for row in rows]),
    }
    for name, bits in (("a", spec.a_bits), ("b", spec.b_bits)):
        _fill(spec, patterns, name, bits)
    if spec.is_stochastic:
        random = np.random.default_rng(1)
        patterns["random_bits"] = random.integers(0, 2**32, (len(rows), 1), np.uint64)
    return patterns


def _fill(spec: MultiDot, inputs: Patterns, name: str, bits: int) -> None:
    """Ones above the codes of every other cycle: they do not count."""
    for mode, (pair, count) in enumerate(zip(spec.pairs, spec.products, strict=True)):
        used = count * getattr(pair, name).bits
        filled = (inputs["mode"][:, 0] == mode) & (np.arange(len(inputs[name])) % 2 == 1)
        inputs[name][filled] |= np.uint64((1 << bits) - (1 << used))


def restrict(
    spec: MultiDot, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """Sums restart at random, and always before they pass ``max_products``."""
    clear, modes = inputs["clear"], mode_of(spec, inputs)
    clear[:, 0] = rng.random(len(clear)) < 0.1
    total = 0
    for cycle in counted:
        count = spec.lanes * spec.products[modes[cycle]]
        clear[cycle, 0] |= total + count > spec.max_products
        total = count if clear[cycle, 0] else total + count


def _mode_names(rng: np.random.Generator) -> str:
    """Two to four modes, of integers or of minifloats, some of two formats."""
    integers = ("int8", "int4", "int2", "int3", "uint4", "uint8", "fixed6_2", "int1", "int12")
    minifloats = ("e4m3fn", "e5m2ieee", "e3m2", "e2m1", "e0m3", "ue4m3", "e4m3fnuz", "e3m0")
    draw = one_of((integers, minifloats)[int(rng.integers(2))])
    modes = [draw(rng) for _ in range(int(rng.integers(2, 5)))]
    return ",".join(f"{mode}:{draw(rng)}" if rng.random() < 0.3 else mode for mode in modes)


MODEL = UnitModel(
    expected=expected,
    directed=directed,
    restrict=restrict,
    settings=(
        {"lanes": 2, "max_products": 64},
        {"lanes": 3, "max_products": 48, "output": "bf16"},
        {"lanes": 4, "max_products": 64, "stages": 3},
    ),
    draws={"formats": _mode_names},
    example={"formats": "int4,int2", "lanes": 2},
)

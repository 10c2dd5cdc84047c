"""INT v.s. FP: which blocks want integers, and what either costs (arXiv 2510.25602)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwgen.formats import parse_scalar
from hwgen.formats.block import parse_block
from hwgen.formats.transforms import Hadamard
from hwgen.spec import BlockDot, DotProduct
from studies.bench import Bench
from studies.measuring import blocks, cost
from studies.study import (
    COMPUTED,
    MEASURED,
    Bounds,
    Data,
    Figure,
    Study,
    at_least,
    at_most,
    near,
)

#: Integer and minifloat of a pair, the numbers in a block, the crest factors between which they
#: are compared, the largest outlier; the paper's crest factor of equal noise and its QSNR in dB.
PAIRS: dict[str, tuple[str, str, int, float, float, float, float, float]] = {
    "MXINT8, MXFP8": ("fixed8_6_b1024_e8m0", "e4m3fn_b1024_e8m0", 1024, 4.5, 14, 25, 7.55, 31.86),
    "MXINT6, MXFP6": ("mxint6", "mxfp6_e2m3", 32, 1.6, 3.5, 4, 1.96, 31.54),
    "MXINT4, MXFP4": ("mxint4", "mxfp4", 32, 1.6, 3.5, 4, 2.04, 19.14),
    "NVINT4, NVFP4": ("nvint4", "nvfp4", 16, 1.6, 3.2, 4, 2.39, 21.14),
}
#: Formats, and the paper's mean QSNR in dB with rotation on a language model's tensors.
ROTATED = {
    **{"mxint8": 41.93, "mxfp8_e4m3": 31.51, "mxint6": 30.18, "mxfp6_e2m3": 31.03},
    **{"mxint4": 17.22, "mxfp4": 18.79, "nvint4": 21.65, "nvfp4": 20.35},
}
#: Area and energy of a unit of the same throughput over those of MXFP8, the paper's Table 5.
COSTS = {"mxint8": (0.79, 0.63), "nvfp4": (0.54, 0.55), "nvint4": (0.38, 0.34)}
BASE = "mxfp8_e4m3"
OPERANDS = "gaussian:crest=2.3"
BINS, LEAST_IN_BIN = 40, 30
ONE = "one unit of each format"


# -- measuring -------------------------------------------------------------------------------


def _by_crest(pair: str, count: int) -> list[list[float]]:
    """Crest factor, QSNR of integer and of minifloat, blocks: of ``count`` blocks, by crest factor.

    Blocks count alike, whatever their power.
    """
    integer, minifloat, size, low, high, outlier, _, _ = PAIRS[pair]
    edges = np.linspace(low, high, BINS + 1)
    sums = np.zeros((4, BINS + 2))
    rng = np.random.default_rng(1)
    for values in blocks.with_outliers(rng, count, size, outlier):
        found = blocks.crests(values)
        power = np.square(values).mean(axis=-1)
        noises = [
            np.square(values - blocks.quantized(values, f)).mean(axis=-1) / power
            for f in (integer, minifloat)
        ]
        bins = np.digitize(found, edges)
        for row, weights in enumerate((found, *noises, np.ones(len(values)))):
            sums[row] += np.bincount(bins, weights=weights, minlength=BINS + 2)
    kept = sums[3] >= LEAST_IN_BIN
    kept[[0, -1]] = False
    crest, *noise, weight = sums[:, kept]
    decibels = [-10 * np.log10(n / weight) for n in noise]
    return [list(map(float, row)) for row in (crest / weight, *decibels, weight)]


def _rotation(count: int) -> dict[str, list[float]]:
    """QSNR in dB of each format, plain and rotated, on ``count`` numbers of Student's t.

    Its five degrees of freedom give blocks of 32 a median crest factor of 2.6; the last entry has
    crest factors, median plain and rotated.
    """
    rng = np.random.default_rng(2)
    plain = rng.standard_t(5, (count // 1024, 1024))
    found: dict[str, list[float]] = {}
    for name in ROTATED:
        size = parse_block(name).block_size
        rotated = Hadamard(size, seed=3).apply(plain)
        found[name] = [blocks.qsnr_db(v, name) for v in (plain, rotated)]
    rotated = Hadamard(32, seed=3).apply(plain)
    found["crest"] = [float(np.median(blocks.crests(v.reshape(-1, 32)))) for v in (plain, rotated)]
    return found


def _most_negative(arithmetic: str, count: int) -> float:
    """Part of blocks of 32 in which INT8 scaling reaches ±128, all steps in ``arithmetic``.

    The scale is the largest magnitude over 127; numbers are divided by it.
    """
    f = parse_scalar(arithmetic)
    x = f.quantize(np.random.default_rng(4).standard_normal((count, 32)))
    scale = f.quantize(np.abs(x).max(axis=1, keepdims=True) / 127)
    codes = np.rint(f.quantize(x / scale))
    return float((np.abs(codes) > 127).any(axis=1).mean())


def measure(bench: Bench) -> Data:
    """Noise by crest factor, rotated, clipped; gates, LUTs and energy."""
    count = 2**17 if bench.quick else 2**19
    found: Data = {"by_crest": {}, "blocks": count, "numbers": 2**20 if bench.quick else 2**23}
    for pair, (_, _, size, *_) in PAIRS.items():
        found["by_crest"][pair] = bench.kept(_by_crest, pair, count if size < 100 else count // 8)
    found["rotation"] = bench.kept(_rotation, found["numbers"])
    found["most_negative"] = {
        f: bench.kept(_most_negative, f, count) for f in ("bf16", "fp16", "fp32")
    }
    names = (BASE, *COSTS)
    found["gates"] = {f: cost.gates(BlockDot(a=f, b=f)) for f in names}
    adder = DotProduct(a="fp32", b="uint1", lanes=1, accumulator="fp32")
    found["fp32_adder"] = cost.gates(adder)
    found["lanes"] = {f: BlockDot(a=f, b=f).lanes for f in names}
    specs = {f: BlockDot(a=f, b=f) for f in names}
    found["lut"] = {f: cost.luts(s, "xc7", measured=not bench.quick) for f, s in specs.items()}
    found["energy"] = {f: cost.energy(s, "ecp5", OPERANDS) for f, s in specs.items()}
    return found


# -- the paper's gate model ------------------------------------------------------------------


#: Two-input gates of a full adder, a multiplexer, and an AND, XOR or OR, as ``hwgen synth`` counts
#: them; the paper's own factors are of a process that it does not publish.
FULL_ADDER, MUX, GATE = 5, 3, 1


def table6(name: str) -> float:
    """Gates a lane of the multiply-accumulate of Table 6, without accumulator and scales."""
    f = parse_block(name)
    k, x = f.block_size, f.element.exponent_bits
    y = f.element.mantissa_bits if x else f.element.bits - 1
    multiplier_cell = GATE + FULL_ADDER
    if not x:
        return float((y + 1) ** 2 * multiplier_cell + 2 * (y + 1) * FULL_ADDER)
    n = min(2 ** (x + 1) + 2 * y, 24)
    subtractor, comparator = GATE + FULL_ADDER, 3 * GATE
    shift = n * math.log2(n)
    lane: float = (y + 1) ** 2 * multiplier_cell + n * FULL_ADDER + x * FULL_ADDER
    lane += x * (subtractor + comparator) + shift * MUX + shift * (MUX + GATE) / k
    return lane


# -- judging ---------------------------------------------------------------------------------


def _crossovers(data: Data) -> list[Figure]:
    why = {
        "MXINT8, MXFP8": "E4M3's own noise is 31.5 dB where the formula has 31.86, and scales that "
        "are rounded up to powers of two are 1.47 times too large in the square mean, not 1.5",
        "MXINT4, MXFP4": "the paper's formula takes 2^(b-1) for the largest integer; with the "
        "2^(b-1) - 1 that both use it gives 1.74, and of four bits that is much",
    }
    figures = []
    for pair, (_, _, size, *_, crest, decibels) in PAIRS.items():
        x, of_integer, of_minifloat, weight = map(np.array, data["by_crest"][pair])
        ours, error = blocks.crossing(x, of_integer - of_minifloat, weight)
        count = f"{int(weight.sum()):,} blocks of {size}"
        how = (
            "pooled noise of Gaussian blocks with an outlier, by crest factor; a parabola through "
            f"the differences of {len(x)} bins, ± one standard error"
        )
        figures.append(
            Figure(
                what=f"{pair}: crest factor below which the integer is better",
                paper=f"{crest}",
                ours=ours,
                low=ours - error,
                high=ours + error,
                source=MEASURED,
                how=how,
                samples=count,
                bounds=near(crest, 0.05, 0.2),
                why=why.get(pair, ""),
            )
        )
        there = float(np.interp(ours, x, of_minifloat))
        figures.append(
            Figure(
                what=f"{pair}: QSNR there",
                paper=f"{decibels}",
                ours=there,
                unit="dB",
                source=MEASURED,
                how=how,
                samples=count,
                bounds=Bounds((decibels - 0.5, decibels + 0.5), (decibels - 1.5, decibels + 1.5)),
            )
        )
    return figures


def _rotated(data: Data) -> list[Figure]:
    how = (
        "Student's t of five degrees of freedom, each block times a random Hadamard matrix of its "
        "size; all noise over all power"
    )
    samples = f"{data['numbers']:,} numbers"
    found = data["rotation"]
    figures = [
        Figure(
            what=f"QSNR of {name} with rotation",
            paper=f"{paper}",
            ours=found[name][1],
            unit="dB",
            source=MEASURED,
            how=how,
            samples=samples,
            bounds=Bounds((paper - 0.5, paper + 0.5), (paper - 1.5, paper + 1.5)),
            why="rotation of a block does not make these tails Gaussian to the last",
        )
        for name, paper in ROTATED.items()
    ]
    for what, place, wanted in (("without", 0, -0.05), ("with", 1, 1.30)):
        better = found["nvint4"][place] - found["nvfp4"][place]
        figures.append(
            Figure(
                what=f"NVINT4 over NVFP4 {what} rotation",
                paper=f"{wanted:+.2f}",
                ours=better,
                unit="dB",
                source=MEASURED,
                how=how,
                samples=samples,
                bounds=at_most(0.1, 0.5) if place == 0 else at_least(0.5, 0.0),
            )
        )
    return figures


def _clipped(data: Data) -> list[Figure]:
    how = (
        "scale and quotient rounded to the type; blocks of 32 in which a code beyond ±127 comes up"
    )
    papers = {"bf16": "16.8 (of values)", "fp16": "0.02", "fp32": "0"}
    bounds = {"bf16": at_least(1.0, 0.01), "fp16": at_most(0.1, 1.0), "fp32": at_most(0.0, 0.1)}
    return [
        Figure(
            what=f"INT8 scaled in {name}: blocks that need the code -128 or saturate",
            paper=papers[name],
            ours=100 * part,
            unit="%",
            source=MEASURED,
            how=how,
            samples=f"{data['blocks']:,} Gaussian blocks",
            bounds=bounds[name],
        )
        for name, part in data["most_negative"].items()
    ]


def _ratios(data: Data) -> list[Figure]:
    def lane(name: str) -> float:
        return float((data["gates"][name] + data["fp32_adder"]) / data["lanes"][name])

    figures = []
    for name, (area, energy) in COSTS.items():
        pair, lanes = f"{name} over mxfp8", data["lanes"][BASE] / data["lanes"][name]
        luts = cost.ratio(data["lut"][name], data["lut"][BASE], lanes)
        energies = cost.ratio(data["energy"][name], data["energy"][BASE])
        figures += [
            Figure(
                what=f"area, {pair}: gates",
                paper=f"{area}",
                ours=lane(name) / lane(BASE),
                source=MEASURED,
                bounds=near(area),
                how="two-input gates of a block's exact dot product and an FP32 adder behind it, a "
                "lane (Yosys, without registers)",
                samples=ONE,
                why="the aligner here is exact, not 24 bits, and both four-bit units end in the "
                "same normalising and rounding to FP32, which weighs more the smaller the block",
            ),
            Figure(
                what=f"area, {pair}: the paper's gate model",
                paper=f"{area}",
                ours=table6(name) / table6(BASE),
                source=COMPUTED,
                how="formulas of Table 6 with a full adder as 5 gates, a multiplexer as 3; without "
                "accumulator and scales, whose factors are not published",
                samples=ONE,
            ),
            Figure(
                what=f"area, {pair}: LUTs of 7-series",
                paper=f"{area}",
                **luts,
                how="block dot product rounded to FP32, a lane, with registers; of a prediction "
                "the interval is that of one unit",
                samples=ONE,
            ),
            Figure(
                what=f"energy, {pair}: ECP5",
                paper=f"{energy}",
                **energies,
                bounds=near(energy),
                how="energy model, Gaussian operands of crest factor 2.3, one multiply-accumulate; "
                "the interval is that of one unit",
                samples=ONE,
                why="an FPGA pays for clocks, registers and wires of every bit alike; the paper "
                "counts one toggle rate in a chip's cells, without registers",
            ),
        ]
    return figures


def judge(data: Data) -> list[Figure]:
    """The figures that the paper has."""
    return [*_crossovers(data), *_rotated(data), *_clipped(data), *_ratios(data)]


def draw(figure: Any, data: Data) -> None:
    """QSNR by crest factor, a panel a pair."""
    panels = figure.subplots(1, len(PAIRS))
    for axes, (pair, (*_, crest, _)) in zip(panels, PAIRS.items(), strict=True):
        x, *lines, _ = data["by_crest"][pair]
        for line, name, colour in zip(lines, pair.split(", "), ("#1f5fa8", "#c8501e"), strict=True):
            axes.plot(x, line, ".-", ms=4, lw=0.8, color=colour, label=name)
        axes.axvline(crest, color="black", lw=1, ls="--", label=f"paper: {crest}")
        axes.set_xlabel("crest factor of a block")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("QSNR, dB (measured)")


STUDY = Study(
    name="int_vs_fp",
    title="INT v.s. FP: integers against minifloats in blocks",
    paper="INT v.s. FP: A Comprehensive Study of Fine-Grained Low-bit Quantization Formats, "
    "arXiv 2510.25602",
    claim="Integers have less noise than minifloats of as many bits in blocks whose crest factor "
    "is below 7.55 (8 bits), 1.96 (6), 2.04 (4) and 2.39 (NVFP4); rotation by Hadamard matrices "
    "makes NVINT4 the better of the two; MXINT8, NVFP4 and NVINT4 take 0.79, 0.54 and 0.38 of "
    "MXFP8's area and 0.63, 0.55 and 0.34 of its energy.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="A block of 32 cannot have a crest factor above 5.66, the root of 32: in MX blocks of 8 "
    "bits the integer is always the better one, and the crossing is measured in blocks of 1,024. "
    "The paper's QSNRs with rotation are means over a language model's tensors. Not measured: "
    "training, the reuse of lanes in mixed units.",
)

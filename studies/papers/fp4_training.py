"""FP4 training: scales, rounding, grids, their error (arXiv 2509.17791, 2505.14669)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgen.formats import parse_scalar
from hwgen.formats.block import parse_block
from hwgen.formats.theory import best_gaussian_scale, uniform_levels
from hwgen.formats.transforms import Hadamard
from hwgen.spec import BlockDot, Quantizer
from studies.bench import Bench
from studies.colours import COLOURS
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

#: Least errors of grids on normal numbers, by bits, and of E2M1: Quartet's constants.
GRIDS = {2: 0.118846, 3: 0.0374397, 4: 0.0115429, 8: 8.7821e-5}
E2M1 = 0.0126849
#: That are rounded to a grid: large ones, which are few, have much of the error.
NUMBERS = 2**22
E4M3, UE5M3 = "e2m1_b16_ue4m3fn", "e2m1_b16_ue5m3"
#: Blocks of gradients differ by so many powers of two, against those of one deviation.
RANGES = {"gradients over 18 octaves": 18.0, "numbers of one deviation": 0.0}
#: How MXFP4 is rounded: the rule of its scale, and the rounding of its elements.
WAYS = {
    "nearest, largest of a block": ("ceil", "nearest_even"),
    "nearest, OCP's scale": ("floor", "nearest_even"),
    "QuEST's scale": ("quest", "nearest_even"),
    "stochastic, largest of a block": ("ceil", "stochastic"),
}


def _scales(octaves: float, count: int) -> dict[str, float]:
    """Mean QSNR in dB of blocks of 16 whose deviations differ, with each format of scale."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((count, 16)) * np.exp2(-octaves * rng.random((count, 1)))
    power = np.square(x).sum(axis=1)
    found = {}
    for name in (E4M3, UE5M3, "nvfp4"):
        error = np.square(parse_block(name).quantize(x) - x).sum(axis=1)
        found[name] = float(-10 * np.log10(error / power).mean())
    return found


def _rounded(way: str, count: int) -> dict[str, float]:
    """Error of Gaussian numbers in MXFP4 over their power, and by how much they shrink, in parts.

    The latter is that of the projection on what they were: 0 if rounding has no bias.
    """
    rule, rounding = WAYS[way]
    rng = np.random.default_rng(9)
    x = blocks.gaussian(rng, count, 32)
    bits = rng.integers(0, 2**32, x.shape) if rounding == "stochastic" else None
    q = parse_block("mxfp4").quantize(x, scale_rule=rule, rounding=rounding, random_bits=bits)
    power = float(np.square(x).sum())
    return {
        "mse": float(np.square(q - x).sum()) / power,
        "bias": float((q * x).sum()) / power - 1,
    }


def _sampled(bits: int, count: int) -> float:
    """Mean squared error of normal numbers on the best uniform grid; E2M1's for 0 bits."""
    levels = parse_scalar("e2m1").finite_values() if bits == 0 else uniform_levels(bits)
    grid = np.unique(levels) * best_gaussian_scale(levels)[0]
    x = np.random.default_rng(10).standard_normal(count)
    nearest = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, x)]
    return float(np.square(x - nearest).mean())


def _rotated(count: int) -> list[float]:
    """QSNR in dB of heavy-tailed numbers in MXFP4, as they are and rotated in blocks of 32."""
    x = np.random.default_rng(11).standard_t(3, (count, 32))
    return [blocks.qsnr_db(v, "mxfp4") for v in (x, Hadamard(32, seed=1).apply(x))]


def _quantizer(rounding: str) -> Quantizer:
    random = "lfsr" if rounding == "stochastic" else None
    return Quantizer(a="bf16", b="mxfp4", scale_rule="ceil", rounding=rounding, random=random)


def measure(bench: Bench) -> Data:
    """Errors of scales, roundings and grids; gates of quantizers, LUTs of dot products."""
    count = 2**15 if bench.quick else 2**18
    return {
        "scales": {what: bench.kept(_scales, octaves, count) for what, octaves in RANGES.items()},
        "ways": {way: bench.kept(_rounded, way, count) for way in WAYS},
        "grids": {str(bits): bench.kept(_sampled, bits, NUMBERS) for bits in (0, *GRIDS)},
        "integral": best_gaussian_scale(parse_scalar("e2m1").finite_values())[1],
        "rotated": bench.kept(_rotated, count),
        "quantizers": {r: cost.luts(_quantizer(r), "xc7") for r in ("nearest_even", "stochastic")},
        "dots": {f: cost.gates(BlockDot(a=f, b=f)) for f in (E4M3, UE5M3)},
        "blocks": count,
    }


def _of_grids(data: Data) -> list[Figure]:
    figures = [
        Figure(
            what="least squared error of E2M1's levels on normal numbers, by integrals",
            paper=f"{E2M1:g}",
            ours=data["integral"],
            source=COMPUTED,
            how="Gaussian integrals",
            samples="no samples",
            bounds=near(E2M1, 1e-4, 1e-2),
        )
    ]
    for bits, paper in ((0, E2M1), *GRIDS.items()):
        name = "E2M1" if bits == 0 else f"{bits} bits"
        figures.append(
            Figure(
                what=f"least squared error of a grid on normal numbers, {name}",
                paper=f"{paper:g}",
                ours=data["grids"][str(bits)],
                source=MEASURED,
                how="the best symmetric grid of evenly spaced levels, or E2M1's, nearest level",
                samples=f"{NUMBERS:,} numbers",
                bounds=near(paper, 0.02, 0.1),
            )
        )
    return figures


def _of_scales(data: Data) -> list[Figure]:
    figures = []
    for what, bounds, words in (
        ("gradients over 18 octaves", at_least(1.0, 0.0), "more (E4M3 does not converge)"),
        ("numbers of one deviation", Bounds((-0.1, 0.1), (-0.5, 0.5)), "0 (as many bits)"),
    ):
        row = data["scales"][what]
        figures.append(
            Figure(
                what=f"QSNR of UE5M3 over E4M3 scales, {what}",
                paper=words,
                ours=row[UE5M3] - row[E4M3],
                unit="dB",
                source=MEASURED,
                how="mean of blocks of 16 E2M1 elements, no scale of the tensor",
                samples=f"{data['blocks']:,} blocks",
                bounds=bounds,
            )
        )
    wide = data["scales"]["gradients over 18 octaves"]
    figures.append(
        Figure(
            what="QSNR of UE5M3 over E4M3 scales with an FP32 scale of the tensor (NVFP4)",
            ours=wide[UE5M3] - wide["nvfp4"],
            unit="dB",
            source=MEASURED,
            how="the same gradients",
            samples=f"{data['blocks']:,} blocks",
        )
    )
    gates = data["dots"]
    figures.append(
        Figure(
            what="gates that a block dot product takes more with UE5M3 than with E4M3 scales",
            unit="%",
            ours=100 * (gates[UE5M3] / gates[E4M3] - 1),
            source=MEASURED,
            how="16 lanes, rounded to FP32 (Yosys, without registers)",
            samples="one unit of each format",
        )
    )
    return figures


def _of_rounding(data: Data) -> list[Figure]:
    ways = data["ways"]
    nearest, ocp, quest, stochastic = (ways[way] for way in WAYS)
    common: dict[str, Any] = {
        "source": MEASURED,
        "how": "MXFP4, Gaussian numbers of random scale",
        "samples": f"{data['blocks']:,} blocks of 32",
    }
    return [
        Figure(
            what="by how much stochastic rounding shrinks numbers",
            paper="0 (no bias)",
            ours=100 * abs(stochastic["bias"]),
            unit="%",
            bounds=at_most(0.1, 0.3),
            **common,
        ),
        Figure(
            what="by how much rounding to nearest does",
            ours=100 * abs(nearest["bias"]),
            unit="%",
            **common,
        ),
        Figure(
            what="squared error of stochastic rounding over nearest",
            paper="more than 1",
            ours=stochastic["mse"] / nearest["mse"],
            bounds=at_least(1.0),
            **common,
        ),
        Figure(
            what="squared error with QuEST's scale over that of the block's largest",
            paper="less than 1",
            ours=quest["mse"] / nearest["mse"],
            bounds=at_most(1.0, 1.1),
            why="the rule rounds the best scale down to a power of two, by up to half, and of 32 "
            "normal numbers some are then clipped; the gain needs scales finer than E8M0",
            **common,
        ),
        Figure(
            what="squared error with OCP's scale over that of the block's largest",
            ours=ocp["mse"] / nearest["mse"],
            **common,
        ),
    ]


def _of_rotation(data: Data) -> list[Figure]:
    plain, rotated = data["rotated"]
    quantizers = data["quantizers"]
    return [
        Figure(
            what="QSNR that a Hadamard rotation brings",
            paper="more than 0",
            ours=rotated - plain,
            unit="dB",
            source=MEASURED,
            how="MXFP4, Student's t of three degrees of freedom, blocks of 32",
            samples=f"{data['blocks']:,} blocks",
            bounds=at_least(0.0, -0.5),
            why="scales of blocks hold outliers already",
        ),
        Figure(
            what="LUTs of a quantizer that rounds stochastically over one to nearest",
            **cost.ratio(quantizers["stochastic"], quantizers["nearest_even"]),
            how="cost model, BF16 to MXFP4, 32 lanes, a shift register of random bits each, "
            "7-series; the interval "
            "is that of one unit",
            samples="one unit of each kind",
        ),
    ]


def judge(data: Data) -> list[Figure]:
    """Grids, scales, rounding."""
    parts = (_of_grids, _of_scales, _of_rounding, _of_rotation)
    return [figure for part in parts for figure in part(data)]


def draw(figure: Any, data: Data) -> None:
    """Error of each way, and its bias."""
    for axes, what in zip(figure.subplots(1, 2), ("mse", "bias"), strict=True):
        values = [abs(row[what]) for row in data["ways"].values()]
        axes.barh(range(len(values)), values, color=COLOURS[: len(values)])
        axes.set_yticks(range(len(values)), list(data["ways"]) if what == "mse" else [])
        axes.invert_yaxis()
        name = "squared error over power" if what == "mse" else "shrinking, parts of the number"
        axes.set_xlabel(f"{name} (measured)")


STUDY = Study(
    name="fp4_training",
    title="FP4 training: scales, rounding, grids",
    paper="Elucidating the Design Space of FP4 Training, arXiv 2509.17791; Quartet, arXiv "
    "2505.14669",
    claim="UE5M3 scales hold what E4M3 scales cannot; stochastic rounding has no bias and more "
    "error, Hadamard rotation takes error away, and QuEST's grid has the least on normal numbers: "
    "0.0126849 of E2M1.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="No training is done here: what is measured is the error of one rounding. UE5M3 has "
    "114,688 "
    "as its largest number.",
)

"""MX on FPGAs: area of block dot products by format and block size, noise (arXiv 2407.01475)."""

from __future__ import annotations

from typing import Any

import numpy as np

import cost_models
from hwgen.spec import BlockDot, DotProduct
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import blocks, cost
from studies.study import MEASURED, PREDICTED, Bounds, Data, Figure, Study, at_least

#: Element formats by their bits.
ELEMENTS = {
    "int4": 4, "int5": 5, "int6": 6, "int7": 7, "int8": 8,
    "e2m1": 4, "e2m2": 5, "e2m3": 6, "e3m2": 6, "e3m3": 7, "e4m3": 8,
}  # fmt: skip
SIZES = (8, 16, 32)
#: Numbers as a network's: normal, each channel of 64 with a deviation of its own, a few outliers.
CHANNELS, SPREAD, OUTLIERS, LARGER = 64, 0.7, 1 / 256, 8.0
#: LUTs of the paper's exact dot products in Yosys' own script, 7-series, by format and lanes.
THEIRS = {("int4", 32): 1667, ("e2m1", 32): 1343, ("int8", 8): 1302, ("e4m3fn", 8): 1309}


def _block(element: str, size: int) -> str:
    return f"{element}_b{size}_e8m0"


def _numbers(count: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((count // CHANNELS, CHANNELS))
    x *= np.where(rng.random(x.shape) < OUTLIERS, LARGER, 1.0)
    return x * np.exp(SPREAD * rng.standard_normal((count // CHANNELS, 1)))


def _noise(element: str, count: int) -> dict[str, float]:
    """QSNR in dB by block size, and ``tensor`` of one scale for all, the best."""
    x = _numbers(count)
    found = {str(size): blocks.qsnr_db(x, _block(element, size)) for size in SIZES}
    return {**found, "tensor": cost_models.qsnr_db(x, element)}


def _ours(element: str, lanes: int) -> int:
    """LUTs of the sum of exact products, without registers, 7-series."""
    spec = DotProduct(a=element, b=element, lanes=lanes)
    return int(cost_models.synthesise(spec, "xc7", combinational=True)["lut"])


def measure(bench: Bench) -> Data:
    """Noise and LUTs of each format and size."""
    count = 2**19
    found: Data = {
        "noise": {e: bench.kept(_noise, e, count) for e in ELEMENTS},
        "luts": {
            e: {
                str(size): cost.luts(BlockDot(a=_block(e, size), b=_block(e, size)), "xc7")
                for size in SIZES
            }
            for e in ELEMENTS
        },
        "numbers": count,
        "ours": {},
    }
    if not bench.quick:
        found["ours"] = {f"{e} {n}": bench.kept(_ours, e, n) for e, n in THEIRS}
    return found


def points(data: Data) -> dict[tuple[str, int], tuple[float, float]]:
    """LUTs a lane and QSNR of each element and block size."""
    return {
        (e, size): (data["luts"][e][str(size)]["value"] / size, data["noise"][e][str(size)])
        for e in ELEMENTS
        for size in SIZES
    }


def front(data: Data) -> list[tuple[str, int]]:
    """Those that no other beats in both."""
    at = points(data)
    return [
        p for p, (lut, db) in at.items()
        if not any(x <= lut and y >= db and (x, y) != (lut, db) for x, y in at.values())
    ]  # fmt: skip


def judge(data: Data) -> list[Figure]:
    """What is on the front, what blocks are worth and cost."""
    best = front(data)
    shown = ", ".join(f"{e} b{s}" for e, s in sorted(best, key=lambda p: points(data)[p]))
    samples = f"{data['numbers']:,} numbers; one unit of each kind"
    how = (
        "QSNR of normal numbers, channels of 64 of log-normal deviation, one in 256 eight times as "
        "large; LUTs a lane of block dot products rounded to FP32, 7-series, by the cost model"
    )
    narrow = [p for p in best if p[0] in ("int4", "int5")]
    middle = [p for p in best if ELEMENTS[p[0]] in (6, 7)]
    integers = [p for p in best if p[0].startswith("int")]
    common: dict[str, Any] = {"source": PREDICTED, "samples": samples}
    figures = [
        Figure(
            what="narrow integers (4, 5 bits) on the front of QSNR and LUTs",
            paper="some",
            ours=len(narrow),
            bounds=at_least(1),
            how=f"{how}; on the front: {shown}",
            why="minifloats of as many bits have less noise here, for as many LUTs",
            **common,
        ),
        Figure(
            what="formats of 6 and 7 bits on the front",
            paper="some",
            ours=len(middle),
            bounds=at_least(1),
            how=f"{how}; on the front: {shown}",
            **common,
        ),
        Figure(
            what="integers among the points of the front",
            ours=100 * len(integers) / len(best),
            unit="%",
            how=f"{how}; on the front: {shown}",
            **common,
        ),
    ]
    return [*figures, *_of_blocks(data), *_of_sizes(data)]


def _of_blocks(data: Data) -> list[Figure]:
    figures = []
    gains = {e: row["32"] - row["tensor"] for e, row in data["noise"].items()}
    for kind, name in (("int", "integers"), ("e", "minifloats")):
        of = [gain for e, gain in gains.items() if e.startswith(kind)]
        figures.append(
            Figure(
                what=f"QSNR of blocks of 32 over one scale for all, least of {len(of)} {name}",
                paper="more than 0",
                ours=min(of),
                unit="dB",
                source=MEASURED,
                how="the same numbers; OCP's powers of two rounded up, against the best scale",
                samples=f"{data['numbers']:,} numbers",
                bounds=at_least(0.0, -1.0),
                why="the exponents of a minifloat do what a block's scale does, and a power of two "
                "is on average too large",
            )
        )
    return figures


def _of_sizes(data: Data) -> list[Figure]:
    figures = []
    for element in ("int8", "e4m3", "int4", "e2m1"):
        row = data["luts"][element]
        figures.append(
            Figure(
                what=f"LUTs a lane, blocks of 32 over blocks of 8, {element}",
                **cost.ratio(row["32"], row["8"], 8 / 32),
                how="cost model, block dot product "
                "rounded to FP32; the interval is that of one unit",
                samples="one unit of each size",
            )
        )
    for (element, lanes), theirs in THEIRS.items():
        if (name := f"{element} {lanes}") in data["ours"]:
            figures.append(
                Figure(
                    what=f"LUTs of an exact dot product, {element}, {lanes} lanes",
                    paper=f"{theirs:,}",
                    ours=data["ours"][name],
                    source=MEASURED,
                    how="arithmetic alone, 7-series, no DSP, this package's flow; the paper's RTL "
                    "through Yosys' own script",
                    samples="one unit",
                    bounds=Bounds((0, theirs), (0, 1.1 * theirs)),
                )
            )
    return figures


def draw(figure: Any, data: Data) -> None:
    """QSNR against LUTs a lane."""
    axes = figure.add_subplot()
    at, best = points(data), front(data)
    for size, marker in zip(SIZES, "^so", strict=True):
        for kind, colour in (("int", COLOURS[0]), ("e", COLOURS[1])):
            chosen = [p for p in at if p[1] == size and p[0].startswith(kind)]
            name = "integers" if kind == "int" else "minifloats"
            axes.plot(
                *zip(*(at[p] for p in chosen), strict=True),
                marker,
                color=colour,
                ms=5,
                label=f"{name}, blocks of {size}",
            )
    line = sorted(at[p] for p in best)
    axes.plot(*zip(*line, strict=True), "-", color=COLOURS[5], lw=1, zorder=1, label="front")
    for p in best:
        axes.annotate(f"{p[0]} b{p[1]}", at[p], (4, -9), textcoords="offset points", fontsize=7)
    axes.set_xlabel("LUTs a lane, 7-series (predicted)")
    axes.set_ylabel("QSNR, dB (measured)")
    axes.legend(fontsize=8)


STUDY = Study(
    name="mx_on_fpgas",
    title="MX on FPGAs: area and noise by format and block size",
    paper="Exploring FPGA Designs for MX and Beyond, arXiv 2407.01475",
    claim="Of error against area narrow integers in blocks (MXINT4, MXINT5) and formats of 6 and 7 "
    "bits are on the Pareto front; shared scales of blocks beat one scale for a tensor.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper's error is that of ResNet-18 on ImageNet, with and without training; here it "
    "is "
    "noise of random numbers. Its LUTs are not at hand; those compared are of its RTL, measured in "
    "Yosys' own script.",
)

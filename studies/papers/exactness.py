"""Exact against rounded accumulation: area, clock, error, and how wide sums must be."""

from __future__ import annotations

from typing import Any

import numpy as np

import cost_models
from hwgen.formats import parse_scalar
from hwgen.spec import DotProduct
from sim import golden
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import cost
from studies.study import MEASURED, Data, Figure, Study, at_least, at_most

FORMATS = ("e2m1", "int8", "e4m3", "e5m2")
#: What sums are kept in: everything, 24 bits of which 12 are below the point, a rounded float.
ACCUMULATORS = ("exact", "fixed:24:12", "fp16", "bf16", "fp32")
LANES, FULL_ADDER = 8, 5
#: Products of a dot product whose error is measured.
LENGTH = 1024
NETWORKS = ("resnet8", "mobilenet", "vit")
#: Bits of accumulators that wrap; of the last ones nothing ever does.
WIDTHS, WHOLE = range(10, 25), 40


def _unit(name: str, accumulator: str, lanes: int = LANES) -> DotProduct:
    return DotProduct(a=name, b=name, lanes=lanes, accumulator=accumulator)


def _gates(name: str, accumulator: str) -> int:
    """Two-input gates, the adder of a fixed-point accumulator among them."""
    spec = _unit(name, accumulator)
    wide = {"exact": spec.accumulator_width, "fixed:24:12": 24}.get(accumulator, 0)
    return cost.gates(spec) + FULL_ADDER * wide


def _error(name: str, accumulator: str, sums: int) -> float:
    """Root mean square error of dot products over that of the products' sums.

    Of Gaussian operands, a product a step; by the golden model.
    """
    f, rng = parse_scalar(name), np.random.default_rng(6)
    codes = [f.encode(rng.standard_normal((sums * LENGTH, 1))) for _ in "ab"]
    values = [f.decode(c).reshape(sums, LENGTH) for c in codes]
    exact = (values[0] * values[1]).sum(axis=1)
    clear = np.zeros((sums * LENGTH, 1), np.uint8)
    clear[::LENGTH] = 1
    spec = _unit(name, accumulator, 1)
    inputs = {"a": codes[0], "b": codes[1], "clear": clear}
    last = golden.expected(spec, inputs)["accumulator"][LENGTH - 1 :: LENGTH, 0]
    if accumulator.startswith("fixed"):
        found = last.astype(np.float64) * 2.0**-12
    else:
        found = parse_scalar(accumulator).decode(last)
    return float(np.sqrt(np.square(found - exact).mean() / np.square(exact).mean()))


def _wrapped(network: str, bits: int, count: int) -> dict[str, float]:
    """All layers in INT8, with accumulators of so many bits."""
    from studies.measuring import networks

    q = networks.quantized(network, "int8", tuned=False, unsigned=False)
    return networks.accuracy(network, networks.wrapped(q, bits), count)


def _worst(network: str) -> int:
    """Bits that any sums of the longest layer fit, whatever the weights."""
    from studies.measuring import networks

    longest = max(n.lowering.dot_length for n in networks.network(network).nodes)
    return DotProduct(a="int8", b="int8", lanes=1, max_products=longest).accumulator_width


def measure(bench: Bench) -> Data:
    """Gates, clocks, errors, and accuracy by width."""
    sums, count = 256, 250 if bench.quick else 500
    kept: Data = {"sums": sums, "images": count}
    kept["gates"] = {f: {a: _gates(f, a) for a in ("exact", "fp32")} for f in FORMATS}
    kept["fmax"] = {
        f: {a: cost_models.predict(_unit(f, a), "ecp5").fmax_mhz.to_dict() for a in ACCUMULATORS}
        for f in FORMATS
    }
    kept["luts"] = {f: {a: cost.luts(_unit(f, a), "ecp5") for a in ACCUMULATORS} for f in FORMATS}
    kept["errors"] = {
        f: {a: bench.kept(_error, f, a, sums) for a in ACCUMULATORS[1:]} for f in ("e4m3",)
    }
    kept["widths"] = {
        n: {str(w): bench.kept(_wrapped, n, w, count)["percent"] for w in (*WIDTHS, WHOLE)}
        for n in NETWORKS
    }
    kept["worst"] = {n: bench.kept(_worst, n) for n in NETWORKS}
    return kept


def _least_width(data: Data, network: str) -> int:
    """The fewest bits from which on nothing is lost: each wider one has the accuracy of all."""
    of = {int(w): p for w, p in data["widths"][network].items()}
    lossy = [w for w, percent in of.items() if abs(percent - of[WHOLE]) > 1e-9]
    return max(lossy, default=min(of) - 1) + 1


def judge(data: Data) -> list[Figure]:
    """Area, clock, error and width of exact sums against rounded ones."""
    figures = []
    gates_how = (
        f"two-input gates of a dot product of {LANES} lanes with its accumulator (Yosys, without "
        "registers), 4,096 extreme products; a full adder of a fixed-point one is 5"
    )
    for name, smaller in (("e2m1", True), ("int8", True), ("e4m3", False)):
        row = data["gates"][name]
        figures.append(
            Figure(
                what=f"gates of an exact over an FP32 accumulator, {name}",
                paper="less than 1" if smaller else "more than 1",
                ours=row["exact"] / row["fp32"],
                source=MEASURED,
                how=gates_how,
                samples="one unit of each kind",
                bounds=at_most(1.0, 1.1) if smaller else at_least(1.0, 0.9),
                why="the exact sum of a step is made in both, and rounding it to FP32 and "
                "adding it there takes more than a register of all bits",
            )
        )
    for name in FORMATS:
        fmax = data["fmax"][name]
        faster = cost.ratio(fmax["exact"], fmax["fp32"])
        figures.append(
            Figure(
                what=f"clock of an exact over an FP32 accumulator, {name}, ECP5",
                paper="more than 1",
                **faster,
                how="cost model, the usual registers; the interval is that of one unit",
                samples="one unit of each kind",
                bounds=at_least(1.0, 0.9),
            )
        )
    return [*figures, *_of_sums(data)]


def _of_sums(data: Data) -> list[Figure]:
    figures = []
    for accumulator, words, bounds in (
        ("fp32", "as exact", at_most(1e-6, 1e-5)),
        ("fixed:24:12", "as FP32", at_most(1e-3, 1e-2)),
        ("fp16", "–", None),
        ("bf16", "–", None),
    ):
        figures.append(
            Figure(
                what=f"error of sums in {accumulator}, e4m3",
                paper=words,
                ours=100 * data["errors"]["e4m3"][accumulator],
                unit="%",
                source=MEASURED,
                how=f"golden model, {LENGTH:,} products of Gaussian operands one a step; root mean "
                "square error over that of the sums",
                samples=f"{data['sums']} dot products",
                bounds=bounds,
                why="FP32 rounds each of the steps, and 12 bits below the point cut "
                "off small products",
            )
        )
    for name in NETWORKS:
        least = _least_width(data, name)
        figures.append(
            Figure(
                what=f"bits of an INT8 accumulator that lose nothing, {name}",
                paper="24 are enough",
                ours=least,
                source=MEASURED,
                how="all layers in INT8 for the largest of calibration; "
                "accumulators of 10 to 24 bits that wrap; the accuracy is that of exact sums from "
                f"there on; any weights would need {data['worst'][name]}",
                samples=f"{data['images']:,} test images of Fashion-MNIST",
                bounds=at_most(24, 28),
            )
        )
    return figures


def draw(figure: Any, data: Data) -> None:
    """Gates by accumulator, accuracy by width."""
    left, right = figure.subplots(1, 2)
    kinds = list(data["gates"]["e4m3"])
    for i, (name, row) in enumerate(data["gates"].items()):
        places = [j + (i - 1.5) * 0.2 for j in range(len(kinds))]
        left.bar(places, list(row.values()), 0.19, color=COLOURS[i], label=name)
    left.set_xticks(range(len(kinds)), kinds, fontsize=8)
    left.set_ylabel(f"two-input gates, {LANES} lanes (measured)")
    left.legend(fontsize=8)
    for (name, row), colour in zip(data["widths"].items(), COLOURS, strict=False):
        percents = [row[str(w)] for w in WIDTHS]
        right.plot(WIDTHS, percents, "o-", ms=4, color=colour, label=name)
    right.set_xlabel("bits of an INT8 accumulator that wraps")
    right.set_ylabel("accuracy, % (measured)")
    right.legend(fontsize=8)


STUDY = Study(
    name="exactness",
    title="Exact against rounded accumulation",
    paper="Cost of Exactness in MX dot products; accumulator widths of arXiv 2311.12359",
    claim="Exact fixed-point sums are cheaper than FP32 ones for FP4 and INT8, and dearer for "
    "E4M3, "
    "whose products need many bits; 24 bits of accumulator match FP32; they are faster, as nothing "
    "is aligned or rounded in the loop.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The first paper compares exact blocks with ones that are aligned and cut to 24 bits, "
    "area "
    "ratios of 0.55 (FP4), 0.75 (INT8) and 1.18 (E4M3) in ASAP7; no unit here cuts products of one "
    "block, so exact is compared with rounding each step's sum to FP32.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

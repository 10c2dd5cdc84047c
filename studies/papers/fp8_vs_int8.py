"""FP8 versus INT8: gates of multiply-accumulate units by accumulator (arXiv 2303.17951)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hwgen.spec import DotProduct
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import cost
from studies.study import MEASURED, Bounds, Data, Figure, Study, at_least, between, near

#: Eight-bit formats by exponent bits, as the paper names them.
FORMATS = {"INT8": "int8", "E2": "e2m5", "E3": "e3m4", "E4": "e4m3", "E5": "e5m2"}
#: What sums are held in: all of 4,096 products, as the paper's FX+12, or a rounded float.
ACCUMULATORS = {"fixed": "exact", "FP16": "fp16", "FP32": "fp32"}
PRODUCTS = 4096
#: Two-input gates of a full adder as ``hwgen synth`` counts them.
FULL_ADDER = 5
#: The short accumulator of 2401.14110, with E4M3 operands.
SHORT = "e4m7"


def _mac(number_format: str, accumulator: str) -> DotProduct:
    return DotProduct(
        a=number_format, b=number_format, lanes=1, accumulator=accumulator, max_products=PRODUCTS
    )


def _gates(number_format: str, accumulator: str) -> int:
    """Gates of one multiply-accumulate, the adder of a fixed-point accumulator among them."""
    spec = _mac(number_format, accumulator)
    found = cost.gates(spec)
    return found + (FULL_ADDER * spec.accumulator_width if accumulator == "exact" else 0)


def measure(bench: Bench) -> Data:
    """Gates of each format and accumulator; LUTs of some."""
    gates = {
        accumulator: {name: _gates(f, kept) for name, f in FORMATS.items()}
        for accumulator, kept in ACCUMULATORS.items()
    }
    luts = {
        accumulator: {n: cost.luts(_mac(FORMATS[n], kept), "xc7") for n in ("INT8", "E4")}
        for accumulator, kept in ACCUMULATORS.items()
    }
    widths = {name: _mac(f, "exact").accumulator_width for name, f in FORMATS.items()}
    return {"gates": gates, "luts": luts, "widths": widths, "short": _gates("e4m3", SHORT)}


GATES = (
    "two-input gates of a multiplier and what adds its product to the accumulator (Yosys, without "
    "registers); a fixed-point accumulator holds 4,096 extreme products, a full adder of it is 5"
)
ONE = "one unit of each format"
WHY = {
    "fixed": "logic synthesis makes less of the shifter and more of the 8-bit multiplier than the "
    "paper's count does; its gates by part are not published",
    "FP16": "the sum here is exact before its one rounding, a fused multiply-add with subnormals",
    "FP32": "the sum here is exact before its one rounding, a fused multiply-add with subnormals",
}


def judge(data: Data) -> list[Figure]:
    """What more FP8 takes than INT8, for each accumulator."""
    gates = data["gates"]
    base = gates["fixed"]["INT8"]

    def more(name: str, accumulator: str) -> float:
        return float(100 * (gates[accumulator][name] / base - 1))

    figures = []
    for accumulator, paper in {"fixed": None, "FP16": 53, "FP32": 183}.items():
        figures.append(
            Figure(
                what=f"E4M3 with {accumulator} accumulator over INT8 with fixed",
                paper="+50 to +180" if paper is None else f"+{paper}",
                ours=more("E4", accumulator),
                unit="% gates",
                source=MEASURED,
                how=GATES,
                samples=ONE,
                bounds=between(50, 180) if paper is None else near(paper),
                why=WHY[accumulator],
            )
        )
    order = [gates["fixed"][name] for name in ("E2", "E3", "E4", "E5")]
    rising = sum(b > a for a, b in pairwise(order))
    figures += [
        Figure(
            what="fixed accumulator: steps E2 to E5 at which an exponent bit more costs more",
            paper="3 of 3",
            ours=rising,
            source=MEASURED,
            how=GATES,
            samples=ONE,
            bounds=Bounds((3, 3), (2, 2)),
            why="mantissas shrink as exponents grow, and the multiplier with them",
        ),
        Figure(
            what="E2 with fixed accumulator over INT8: the cheapest FP8 is no cheaper",
            paper="more than 0",
            ours=more("E2", "fixed"),
            unit="% gates",
            source=MEASURED,
            how=GATES,
            samples=ONE,
            bounds=at_least(0, -10),
            why="a multiplier of 6-bit significands is smaller than one of 8 bits",
        ),
        Figure(
            what="saved by an E4M7 accumulator against FP32 (2401.14110)",
            paper="63",
            ours=100 * (1 - data["short"] / gates["FP32"]["E4"]),
            unit="% gates",
            source=MEASURED,
            how=GATES,
            samples=ONE,
            bounds=near(63),
            why="what aligns and rounds an 8-bit significand is a larger part of the whole here",
        ),
    ]
    return figures + _in_luts(data)


def _in_luts(data: Data) -> list[Figure]:
    figures = []
    for accumulator in ACCUMULATORS:
        luts = data["luts"][accumulator]
        fields = cost.ratio(luts["E4"], data["luts"]["fixed"]["INT8"], 100)
        fields |= {k: fields[k] - 100 for k in ("ours", "low", "high") if k in fields}
        figures.append(
            Figure(
                what=f"E4M3 with {accumulator} accumulator over INT8: LUTs of 7-series",
                **fields,
                unit="%",
                how="cost model, with registers; the interval is that of one unit",
                samples=ONE,
            )
        )
    return figures


def draw(figure: Any, data: Data) -> None:
    """Gates, a group of bars an accumulator."""
    axes = figure.add_subplot()
    for i, name in enumerate(FORMATS):
        heights = [data["gates"][accumulator][name] for accumulator in ACCUMULATORS]
        places = [j + (i - 2) * 0.16 for j in range(len(heights))]
        bars = axes.bar(places, heights, 0.15, color=COLOURS[i], label=name)
        axes.bar_label(bars, fontsize=7)
    axes.set_xticks(range(len(ACCUMULATORS)), [f"{a} accumulator" for a in ACCUMULATORS])
    axes.set_ylabel("two-input gates of one multiply-accumulate (measured)")
    axes.legend()


STUDY = Study(
    name="fp8_vs_int8",
    title="FP8 versus INT8: gates of multiply-accumulate units",
    paper="FP8 versus INT8 for efficient deep learning inference, arXiv 2303.17951",
    claim="A multiply-accumulate unit of FP8 takes 50 to 180% more two-input gates than one of "
    "INT8, by format and accumulator: E4M3 53% with an FP16 accumulator, 183% with FP32.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="To which accumulator the paper's 53% belongs is as remembered. The formats here have no "
    "special codes. An INT8 unit of the paper's holds 27 bits; here it is as many as 4,096 of the "
    "largest products take.",
)

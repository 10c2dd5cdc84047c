"""Minifloats on FPGAs: accuracy against LUTs beside integers (arXiv 2311.12359)."""

from __future__ import annotations

import math
from typing import Any

from hwgen.spec import DotProduct
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import cost
from studies.study import Bounds, Data, Figure, Study, at_least

#: Formats by their bits: the integer first, then minifloats; those of the quick form.
FORMATS = {
    4: ("int4", "e2m1"),
    5: ("int5", "e2m2", "e3m1"),
    6: ("int6", "e2m3", "e3m2"),
    8: ("int8", "e3m4", "e4m3"),
}
QUICK = {4: ("int4", "e2m1"), 6: ("int6", "e2m3"), 8: ("int8", "e3m4")}
#: Minifloats whose units are compared with the integer of their size, in the papers' range.
SIZED = {"e2m1": 4, "e2m2": 5, "e3m1": 5, "e2m3": 6, "e3m2": 6, "e3m4": 8, "e4m3": 8, "e5m2": 8}
#: The longest dot product of ResNet-18, which the paper's accumulators hold; lanes of a unit.
LONGEST, LANES, TARGET = 4608, 4, "xc7"


def _unit(name: str, output: str | None = None) -> DotProduct:
    return DotProduct(a=name, b=name, lanes=LANES, max_products=LONGEST, output=output)


def _accuracy(network: str, number_format: str, count: int) -> dict[str, float]:
    """All layers in one format, with signs, weights rounded with error feedback."""
    from studies.measuring import networks

    q = networks.quantized(network, number_format, tuned=True, unsigned=False)
    return networks.accuracy(network, q, count)


def _fp32(network: str, count: int) -> dict[str, float]:
    from studies.measuring import networks

    return networks.accuracy(network, None, count)


def measure(bench: Bench) -> Data:
    """Accuracy of each network and format, LUTs of each format's unit."""
    formats = QUICK if bench.quick else FORMATS
    count = 250 if bench.quick else 500
    found: Data = {"networks": {}, "fp32": {}, "formats": {b: list(f) for b, f in formats.items()}}
    for network in ("resnet8", "mobilenet", "vit"):
        found["fp32"][network] = bench.kept(_fp32, network, count)
        found["networks"][network] = {
            f: bench.kept(_accuracy, network, f, count) for names in formats.values() for f in names
        }
    found["lut"] = {
        f: cost.luts(_unit(f), TARGET)
        for f in dict.fromkeys([*(f for names in formats.values() for f in names), *SIZED])
    }
    for bits in SIZED.values():
        found["lut"][f"int{bits}"] = cost.luts(_unit(f"int{bits}"), TARGET)
    found["back"] = {f: cost.luts(_unit(f, f), TARGET) for f in SIZED}
    return {**found, "formats": {str(b): f for b, f in found["formats"].items()}}


def _best(data: Data, network: str, bits: str, what: str) -> tuple[float, float]:
    """Of the integer and of the best minifloat of so many bits: ``percent`` or ``kl``."""
    integer, *others = data["formats"][bits]
    of = data["networks"][network]
    values = [of[f][what] for f in others]
    return of[integer][what], min(values) if what == "kl" else max(values)


def _surplus(data: Data, what: str) -> dict[str, float]:
    """What more a minifloat's unit takes than the integer's of its size, in percent."""
    luts = data["lut"]
    return {
        f: 100 * (data[what][f]["value"] / luts[f"int{bits}"]["value"] - 1)
        for f, bits in SIZED.items()
    }


def _not_beaten(data: Data) -> tuple[int, int]:
    """Integers that no minifloat beats in LUTs and in divergence at once, and all of them."""
    free = total = 0
    for of in data["networks"].values():
        for integer, *_ in data["formats"].values():
            others = [f for f in of if not f.startswith("int")]
            mine = (data["lut"][integer]["value"], of[integer]["kl"])
            beaten = any(
                data["lut"][f]["value"] <= mine[0] and of[f]["kl"] <= mine[1] for f in others
            )
            free, total = free + (not beaten), total + 1
    return free, total


def judge(data: Data) -> list[Figure]:
    """Accuracy at equal bits, the front, what the units take."""
    images = next(iter(data["fp32"].values()))["images"]
    how = (
        "all layers of ResNet-8, MobileNet and a vision transformer in one format, exact sums, "
        "weights rounded with error feedback (GPTQ) and means corrected"
    )
    samples = f"{images:,} test images of Fashion-MNIST, each network"
    measured: dict[str, Any] = {"source": "measured", "how": how, "samples": samples}
    pairs = [(n, b) for n in data["networks"] for b in data["formats"] if int(b) >= 4]
    # Accuracies nearer than their standard error are equal: nobody wins.
    decided = []
    for network, bits in pairs:
        integer, minifloat = _best(data, network, bits, "percent")
        error = data["fp32"][network]["error"]
        if abs(integer - minifloat) > error:
            decided.append(minifloat > integer)
    closer = [m < i for i, m in (_best(data, n, b, "kl") for n, b in pairs)]
    figures = [
        Figure(
            what="4 bits and more: networks and sizes where a minifloat is nearer to FP32 (KL)",
            paper="most",
            ours=100 * sum(closer) / len(closer),
            unit=f"% of {len(closer)}",
            bounds=at_least(70, 40),
            **measured,
            why="in the transformer minifloats are nearer at every size; in the two networks of "
            "ReLUs, whose layers have few outliers, integers are from 5 or 6 bits on",
        ),
        Figure(
            what="4 bits and more: networks and sizes where a minifloat is more accurate by more "
            "than a standard error",
            paper="–",
            ours=sum(decided),
            unit=f"of {len(pairs)}",
            **measured,
        ),
        Figure(
            what="and where the integer is",
            paper="–",
            ours=len(decided) - sum(decided),
            unit=f"of {len(pairs)}",
            **measured,
        ),
    ]
    source = data["lut"]["int4"]["source"]
    return [*figures, *_fronts(data, measured, source), *_areas(data, source)]


def _fronts(data: Data, measured: dict[str, Any], source: str) -> list[Figure]:
    """What is on the front, and where minifloats are worth more."""
    how, samples, figures = measured["how"], measured["samples"], []
    free, total = _not_beaten(data)
    figures.append(
        Figure(
            what="integers that no minifloat beats in both LUTs and KL",
            paper="often",
            ours=100 * free / total,
            unit=f"% of {total}",
            bounds=at_least(50, 25),
            source=source,
            how=f"{how}; LUTs of a dot product of {LANES} lanes with the exact "
            f"accumulator of {LONGEST:,} products, 7-series, {source}",
            samples=samples,
        )
    )
    gains = {}
    for network in data["networks"]:
        found = [_best(data, network, b, "kl") for b in data["formats"] if int(b) >= 4]
        gains[network] = math.exp(sum(math.log(i / m) for i, m in found) / len(found))
    figures.append(
        Figure(
            what="KL of the integer over the minifloat's: transformer over ResNet-8",
            paper="more than 1",
            ours=gains["vit"] / gains["resnet8"],
            bounds=at_least(1.1, 0.9),
            **measured,
            why="this transformer is small and its activations have few outliers",
        )
    )
    return figures


def _areas(data: Data, source: str) -> list[Figure]:
    figures = []
    for what, where, (low, high) in (
        ("without conversion back to float", "lut", (20, 180)),
        ("with conversion back to the minifloat", "back", (60, 300)),
    ):
        surplus = _surplus(data, where)
        inside = [f for f, v in surplus.items() if low <= v <= high]
        how = (
            f"a dot product of {LANES} lanes, exact accumulator of {LONGEST:,} products, 7-series; "
            f"{', '.join(f'{f} {v:+.0f}%' for f, v in surplus.items())}"
        )
        figures.append(
            Figure(
                what=f"minifloats that take {low} to {high}% more LUTs than the integer, {what}",
                paper=f"all, {low} to {high}%",
                ours=len(inside),
                unit=f"of {len(surplus)}",
                source=source,
                how=how,
                samples="one unit of each format",
                bounds=Bounds((len(surplus), len(surplus)), (len(surplus) / 2, len(surplus))),
                why="the smaller multiplier of a short significand pays for most of the shifter "
                "here; the paper's figures are of its own library and compressor trees",
            )
        )
    return figures


def draw(figure: Any, data: Data) -> None:
    """Divergence against LUTs, a panel a network."""
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (network, of) in zip(panels, data["networks"].items(), strict=True):
        for kind, colour in (("int", COLOURS[0]), ("e", COLOURS[1])):
            names = [f for f in of if f.startswith(kind)]
            x, y = [data["lut"][f]["value"] for f in names], [of[f]["kl"] for f in names]
            label = "integers" if kind == "int" else "minifloats"
            axes.plot(x, y, "o", color=colour, label=label)
            for name, at in zip(names, zip(x, y, strict=True), strict=True):
                axes.annotate(name, at, (3, 3), textcoords="offset points", fontsize=7)
        axes.set_yscale("log")
        axes.set_title(network, fontsize=10)
        axes.set_xlabel(f"LUTs of {LANES} lanes ({data['lut']['int4']['source']})")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("KL divergence from FP32, nats (measured)")


STUDY = Study(
    name="minifloat_vs_int",
    title="Minifloats on FPGAs: accuracy against LUTs",
    paper="Shedding the Bits: Pushing the Boundaries of Quantization with Minifloats on FPGAs, "
    "arXiv 2311.12359; Parallel Accurate Minifloat MACCs (TCAD 2025)",
    claim="From 4 bits on minifloats are typically more accurate than integers of as many bits "
    "after post-training quantisation, most of all in vision transformers; with the LUTs of the "
    "units counted integers often stay on the Pareto front. A minifloat MAC takes 20 to 180% more "
    "than an integer one, 60 to 300% with conversion back to float.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper's networks are ResNet-18, MobileNetV2 and ViT-B-32 on ImageNet; its tables of "
    "accuracy and LUTs are not at hand: the claim is compared, and not its numbers. Formats are "
    "the paper's: with a sign, without infinities and NaN, activations of ReLU too.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

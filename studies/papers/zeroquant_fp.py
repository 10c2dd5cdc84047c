"""ZeroQuant-FP: FP4 weights, FP8 activations, scales of powers of two (arXiv 2307.09782)."""

from __future__ import annotations

from typing import Any

from hwgen.formats import parse_scalar
from hwgen.spec import DotProduct
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import cost
from studies.study import MEASURED, Bounds, Data, Figure, Study, at_least, at_most

NETWORKS = ("vit",)
#: Activations, weights, and the method of scales; the paper's M1 and M2 are the last two.
WAYS = {
    "FP8, FP4": ("e4m3", "e2m1", ""),
    "INT8, FP4": ("int8", "e2m1", ""),
    "FP8, INT4": ("e4m3", "int4", ""),
    "FP8, FP4, M1": ("e4m3", "e2m1", "pow2"),
    "FP8, FP4, M2": ("e4m3", "e2m1", "pow2-group"),
}


def _accuracy(network: str, way: str, count: int) -> dict[str, float]:
    """All layers; weights rounded with error feedback (GPTQ), as in the paper."""
    from optimizer import selection
    from optimizer.inputs import taken
    from optimizer.ptq.methods import Recipe, methods
    from studies.measuring import networks

    activations, weights, power = WAYS[way]
    ptq = ("mse", "gptq", *([power] if power else []))
    # Weights of a layer of two activations, as in attention, are activations.
    pair = (parse_scalar(activations), parse_scalar(weights))
    both = (pair[0], pair[0])
    scales = networks.calibration(network, (activations, weights), ptq)
    nodes = networks.network(network).nodes
    pairs = {n.name: both if n.weight is None else pair for n in nodes}
    data = networks.images(network)
    few = taken(data.calibration_images, slice(0, networks.CALIBRATION_IMAGES))
    tuner = selection.tuner(networks.network(network), scales, data, methods(ptq), 1, few)
    found = networks.accuracy(network, tuner.quantization(pairs, Recipe("gptq"), 1), count)
    return {**found, "fp32": networks.accuracy(network, None, count)["percent"]}


def measure(bench: Bench) -> Data:
    """Accuracy and divergence of each way, LUTs of its products."""
    count = 200 if bench.quick else 500
    units = {
        way: DotProduct(a=a, b=w, lanes=16) for way, (a, w, power) in WAYS.items() if not power
    }
    return {
        "networks": {n: {w: bench.kept(_accuracy, n, w, count) for w in WAYS} for n in NETWORKS},
        "luts": {way: cost.luts(unit, "xc7") for way, unit in units.items()},
    }


def judge(data: Data) -> list[Figure]:
    """Which operands and scales are nearer to FP32."""
    figures = []
    for network, rows in data["networks"].items():
        kl = {way: row["kl"] for way, row in rows.items()}
        images = rows["FP8, FP4"]["images"]
        common: dict[str, Any] = {
            "source": MEASURED,
            "how": "KL divergence from FP32, all layers, exact sums, weights "
            "rounded with error feedback",
            "samples": f"{images:,} test images of Fashion-MNIST",
        }
        base = kl["FP8, FP4"]
        figures += [
            Figure(
                what=f"KL with INT8 over FP8 activations, {network}",
                paper="more than 1",
                ours=kl["INT8, FP4"] / base,
                bounds=at_least(1.05, 0.95),
                **common,
                why="activations here have few outliers, and without them three mantissa bits are "
                "noisier than eight bits of an integer",
            ),
            Figure(
                what=f"KL with INT4 over FP4 weights, {network}",
                paper="1 or more",
                ours=kl["FP8, INT4"] / base,
                bounds=at_least(0.95, 0.8),
                **common,
                why="weights of a channel are near to normal, and their scale is the best for them",
            ),
            Figure(
                what=f"KL with scales that are powers of two (M1), {network}",
                paper="more than 1",
                ours=kl["FP8, FP4, M1"] / base,
                bounds=Bounds((1.0, 3.0), (0.9, 10.0)),
                **common,
            ),
            Figure(
                what=f"KL with powers times one number (M2) over M1, {network}",
                paper="less than 1",
                ours=kl["FP8, FP4, M2"] / kl["FP8, FP4, M1"],
                bounds=at_most(1.0, 1.1),
                **common,
                why="a scale is off by up to half either way, and a group's largest is as chance "
                "has it",
            ),
            Figure(
                what=f"accuracy that FP8 activations and FP4 weights lose, {network}",
                ours=_fp32_less(data, network),
                unit="points",
                **common,
            ),
        ]
    return figures + _in_luts(data)


def _in_luts(data: Data) -> list[Figure]:
    luts, figures = data["luts"], []
    for way in ("INT8, FP4", "FP8, INT4"):
        figures.append(
            Figure(
                what=f"LUTs of {way} over FP8, FP4",
                **cost.ratio(luts[way], luts["FP8, FP4"]),
                how="cost model, dot products of 16 lanes, exact accumulator, 7-series; the "
                "interval is that of one unit",
                samples="one unit of each kind",
            )
        )
    return figures


def _fp32_less(data: Data, network: str) -> float:
    rows = data["networks"][network]
    return float(rows["FP8, FP4"]["fp32"] - rows["FP8, FP4"]["percent"])


def draw(figure: Any, data: Data) -> None:
    """Divergence of each way."""
    axes = figure.add_subplot()
    for i, (network, rows) in enumerate(data["networks"].items()):
        places = [j + (i - 0.5) * 0.38 for j in range(len(rows))]
        axes.bar(places, [r["kl"] for r in rows.values()], 0.36, color=COLOURS[i], label=network)
    axes.set_xticks(range(len(WAYS)), list(WAYS))
    axes.set_ylabel("KL divergence from FP32, nats (measured)")
    axes.legend()


STUDY = Study(
    name="zeroquant_fp",
    title="ZeroQuant-FP: FP4 weights and FP8 activations",
    paper="ZeroQuant-FP: A Leap Forward in LLMs Post-Training W4A8 Quantization Using "
    "Floating-Point "
    "Formats, arXiv 2307.09782",
    claim="After training FP8 activations are better than INT8, FP4 weights as good as INT4 or "
    "better; scales that are powers of two cost little, less (M2) if within a group they are "
    "powers "
    "times one number.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper's networks are language models. Its low-rank compensation is not tried.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

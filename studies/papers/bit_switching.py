"""Double Rounding: one stored precision, several at run time (unit ``multidot``)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from hwgen.formats import parse_scalar
from hwgen.spec import DotProduct, MultiDot
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import cost
from studies.study import MEASURED, Data, Figure, Study, at_least, at_most

if TYPE_CHECKING:
    from optimizer.inference import Quantization

NETWORKS = ("resnet8", "vit")
#: Bits that weights are read with, of the eight that are stored, and how the rest is taken off.
LOW = (6, 5, 4)
ROUNDINGS = {"double rounding": "nearest_even", "truncation": "down"}
DIRECT = "quantised to them"
#: Modes of a unit, and dot products of one of them.
MODES, LANES = ("int8", "int4"), 16


def _narrowed(network: str, bits: int, rounding: str) -> Quantization:
    """Weights of ``bits`` bits from those of eight, activations in eight."""
    from hwgen.formats import Integer
    from hwgen.formats.transforms import narrow_codes
    from studies.measuring import networks

    high, low = Integer(8), Integer(bits)
    found = {}
    for name, q in networks.quantized(network, "int8", tuned=False).items():
        if q.weight is None:
            found[name] = q
            continue
        codes = narrow_codes(high.encode(q.weight), high, low, rounding)
        scale = q.weight_scale * 2.0 ** (8 - bits)
        found[name] = dataclasses.replace(
            q, b_format=low, weight=low.decode(codes).astype(float), weight_scale=scale
        )
    return found


def _direct(network: str, bits: int) -> Quantization:
    """Weights of ``bits`` bits with scales of their own, activations in eight."""
    from optimizer import selection
    from studies.measuring import networks

    names = ("int8", f"int{bits}")
    scales = networks.calibration(network, names, ("unsigned", "mse"))
    eight, low = map(parse_scalar, names)
    nodes = networks.network(network).nodes
    pairs = {n.name: (eight, eight if n.weight is None else low) for n in nodes}
    return scales.quantization(selection.with_unsigned(scales, pairs))


def _accuracy(network: str, way: str, bits: int, count: int) -> dict[str, float]:
    """All layers, weights of ``bits`` bits made in one of the ways."""
    from studies.measuring import networks

    q = _direct(network, bits) if way == DIRECT else _narrowed(network, bits, ROUNDINGS[way])
    return networks.accuracy(network, q, count)


def measure(bench: Bench) -> Data:
    """Accuracy and divergence of each way and size, gates of units."""
    count = 250 if bench.quick else 500
    ways = (*ROUNDINGS, DIRECT)
    return {
        "networks": {
            n: {w: {str(b): bench.kept(_accuracy, n, w, b, count) for b in LOW} for w in ways}
            for n in NETWORKS
        },
        "gates": {
            **{f: cost.gates(DotProduct(a=f, b=f, lanes=LANES)) for f in MODES},
            "switched": cost.gates(MultiDot(formats=",".join(MODES), lanes=LANES)),
        },
        "lanes": LANES,
    }


def judge(data: Data) -> list[Figure]:
    """Rounding against truncation, stored against direct, one unit against two."""
    figures = []
    for network, ways in data["networks"].items():
        for bits in map(str, LOW):
            kl = {way: max(rows[bits]["kl"], 1e-9) for way, rows in ways.items()}
            images = ways[DIRECT][bits]["images"]
            common: dict[str, Any] = {
                "source": MEASURED,
                "how": "KL divergence from FP32, all layers, activations of 8 "
                "bits, weights to nearest with the best range of 8 bits, then fewer",
                "samples": f"{images:,} test images of Fashion-MNIST",
            }
            figures += [
                Figure(
                    what=f"KL of truncated over rounded weights, {bits} bits, {network}",
                    paper="more than 1",
                    ours=kl["truncation"] / kl["double rounding"],
                    bounds=at_least(1.0, 0.9),
                    **common,
                ),
                Figure(
                    what=f"KL of twice rounded over directly quantised weights, {bits} bits, "
                    f"{network}",
                    paper="about 1",
                    ours=kl["double rounding"] / kl[DIRECT],
                    bounds=at_most(1.2, 2.0),
                    **common,
                    why="the range that is best for eight bits is too wide for few; training with "
                    "it, as the paper does, would make up for that",
                ),
            ]
    gates = data["gates"]
    how = "two-input gates of dot products, without accumulators (Yosys, without registers)"
    samples = "one unit of each kind"
    figures += [
        Figure(
            what="gates of one switched unit, INT8 and INT4, over one of each",
            paper="less than 1",
            ours=gates["switched"] / (gates["int8"] + gates["int4"]),
            source=MEASURED,
            how=how,
            samples=samples,
            bounds=at_most(1.0, 1.1),
            why="two lanes of four bits in the rows of one of eight need what joins and parts them",
        ),
        Figure(
            what="gates of the switched unit over INT8 alone",
            source=MEASURED,
            how=how,
            ours=gates["switched"] / gates["int8"],
            samples=samples,
        ),
    ]
    return figures


def draw(figure: Any, data: Data) -> None:
    """Divergence by bits, a panel a network."""
    panels = figure.subplots(1, len(data["networks"]), sharey=True)
    for axes, (network, ways) in zip(panels, data["networks"].items(), strict=True):
        for (way, rows), colour in zip(ways.items(), COLOURS, strict=False):
            axes.plot(list(rows), [r["kl"] for r in rows.values()], "o-", color=colour, label=way)
        axes.set_yscale("log")
        axes.set_title(network, fontsize=10)
        axes.set_xlabel("bits of weights")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("KL divergence from FP32, nats (measured)")


STUDY = Study(
    name="bit_switching",
    title="Bit switching: several precisions from one that is stored",
    paper="Nearly Lossless Adaptive Bit Switching (Double Rounding; arXiv, 2025)",
    claim="Weights that are stored with eight bits and rounded again to fewer lose almost nothing "
    "against weights of as few bits, and far less than truncated ones; one unit serves all.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper trains all precisions together; here weights are quantised after training. "
    "Those "
    "that are quantised to few bits at once have ranges of least squared error, which clip: in "
    "ResNet-8 that shifts means, which nothing corrects here, so that twice rounded weights do "
    "better. Truncation shifts all weights of a channel alike; in the transformer layers follow a "
    "normalisation, whose zero mean cancels that. Units are dot products whose formats are chosen "
    "each cycle.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

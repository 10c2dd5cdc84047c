"""To FP8 and Back Again: BF16 with fewer exponent or mantissa bits (arXiv 2405.18710)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from studies.bench import Bench
from studies.colours import COLOURS
from studies.study import MEASURED, Bounds, Data, Figure, Study, at_least

if TYPE_CHECKING:
    from hwgen.formats import Scalar
    from optimizer.inference import Quantization
    from optimizer.network import Node

NETWORKS = ("resnet8", "mobilenet", "vit")
#: BF16, and what is left of it: exponent and mantissa bits.
EXPONENT, MANTISSA = 8, 7
KINDS = {
    "exponent": [(EXPONENT - k, MANTISSA) for k in range(1, 7)],
    "mantissa": [(EXPONENT, MANTISSA - k) for k in range(1, 7)],
}


def _layers(network: str, number_format: Scalar) -> Quantization:
    """Both operands of every layer cast to the format, without scales; sums in float32."""
    from optimizer.ptq.grid import on_grid
    from optimizer.quantization import LayerQuantization
    from studies.measuring import networks

    @dataclass(frozen=True, eq=False)
    class FloatSums(LayerQuantization):
        """A layer whose sums are float32, as of BF16 products that are accumulated in FP32."""

        @cached_property
        def exact_in_float32(self) -> bool:
            return True

    def layer(node: Node) -> LayerQuantization:
        weight = (
            None if node.weight is None else on_grid(number_format, node.weight.astype(np.float64))
        )
        one = np.ones(1 if node.weight is None else node.weight.shape[1])
        return FloatSums(node, number_format, number_format, np.float32(1), weight, one, node.bias)

    return {node.name: layer(node) for node in networks.network(network).nodes}


def _cast(network: str, exponent: int, mantissa: int, count: int) -> dict[str, float]:
    """Accuracy and divergence with all operands in a float of so many bits, subnormals and all."""
    from hwgen.formats import parse_scalar
    from studies.measuring import networks

    # Eight exponent bits are as in BF16, whose largest are infinities: no float32 lies beyond.
    specials = "ieee" if exponent == EXPONENT else ""
    q = _layers(network, parse_scalar(f"e{exponent}m{mantissa}{specials}"))
    return networks.accuracy(network, q, count)


def measure(bench: Bench) -> Data:
    """Each network with fewer exponent bits, and with fewer mantissa bits."""
    count = 250 if bench.quick else 500
    whole = (EXPONENT, MANTISSA)
    return {
        "bf16": {n: bench.kept(_cast, n, *whole, count) for n in NETWORKS},
        **{
            kind: {n: [bench.kept(_cast, n, e, m, count) for e, m in steps] for n in NETWORKS}
            for kind, steps in KINDS.items()
        },
    }


def _removable(data: Data, kind: str, network: str) -> int:
    """Bits that can go before the accuracy falls by more than a standard error."""
    whole = data["bf16"][network]
    gone = 0
    for row in data[kind][network]:
        if row["percent"] < whole["percent"] - whole["error"]:
            break
        gone += 1
    return gone


def _steepest(data: Data, kind: str, network: str) -> float:
    """The largest factor by which one bit less raises the divergence, of those that it is seen in.

    From 1e-4 nats on: below, rounding of logits is all there is.
    """
    found = [max(row["kl"], 1e-4) for row in (data["bf16"][network], *data[kind][network])]
    return float(max(b / a for a, b in pairwise(found)))


def judge(data: Data) -> list[Figure]:
    """Bits that can go, and how sudden the fall is."""
    images = data["bf16"][NETWORKS[0]]["images"]
    how = (
        "weights and activations of all layers cast from BF16 to nearest, without scales, "
        "saturated, sums in FP32"
    )
    common: dict[str, Any] = {
        "source": MEASURED,
        "how": how,
        "samples": f"{images:,} test images of Fashion-MNIST",
    }
    figures = []
    for network in NETWORKS:
        steep = {kind: _steepest(data, kind, network) for kind in KINDS}
        gone = {kind: _removable(data, kind, network) for kind in KINDS}
        figures += [
            Figure(
                what=f"largest rise of KL by one exponent bit less over that by one mantissa bit, "
                f"{network}",
                paper="more than 1",
                ours=steep["exponent"] / steep["mantissa"],
                bounds=at_least(1.0, 0.5),
                **common,
                why="a mantissa bit less doubles each error, which counts here as much",
            ),
            Figure(
                what=f"mantissa bits less exponent bits that can go at no loss, {network}",
                paper="more than 0",
                ours=gone["mantissa"] - gone["exponent"],
                bounds=Bounds((1, 7), (0, 0)),
                **common,
                why="inference has no gradients: its numbers need few of the eight exponent bits, "
                "and mantissas may be short too",
            ),
        ]
        figures += [
            Figure(
                what=f"{kind} bits that can go within a standard error, {network}",
                unit=f"of {len(KINDS[kind])} tried",
                ours=gone[kind],
                **common,
            )
            for kind in KINDS
        ]
    return figures


def draw(figure: Any, data: Data) -> None:
    """Divergence by bits that are left out, a panel a network."""
    panels = figure.subplots(1, len(NETWORKS), sharey=True)
    for axes, network in zip(panels, NETWORKS, strict=True):
        for kind, colour in zip(KINDS, COLOURS, strict=False):
            rows = [data["bf16"][network], *data[kind][network]]
            kl = [max(row["kl"], 1e-7) for row in rows]
            axes.plot(range(len(kl)), kl, "o-", ms=4, color=colour, label=f"{kind} bits")
        axes.set_yscale("log")
        axes.set_title(network, fontsize=10)
        axes.set_xlabel("bits less than BF16")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("KL divergence from FP32, nats (measured)")


STUDY = Study(
    name="fp8_and_back",
    title="To FP8 and Back Again: bits of BF16, one by one",
    paper="To FP8 and Back Again: Quantifying Reduced Precision Effects on LLM Training Stability, "
    "arXiv 2405.18710",
    claim="Of a BF16 product's operands exponent bits are what stability hangs on: leaving them "
    "out "
    "does more harm than leaving out mantissa bits.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper trains language models; here it is the inference of trained networks. It "
    "masks "
    "bits; here numbers are rounded to the nearest of the shorter format, with its usual bias and "
    "subnormals, and saturate.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

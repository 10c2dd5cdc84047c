"""On the efficiency of CNNs: products are not latency, and not area."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import kendalltau

import cost_models
from hwgen.formats import parse_scalar
from studies.bench import Bench
from studies.colours import COLOURS
from studies.study import PREDICTED, Data, Figure, Study, at_least, at_most

NETWORKS = ("resnet8", "mobilenet", "vit")
#: One array for all layers in turn, and the frame rate and clock of a datapath for each.
LANES, UNITS = 16, 16
FPS, CLOCK_MHZ = 1000.0, 50.0


def _layers(network: str) -> list[dict[str, Any]]:
    """Of each layer: its products, cycles on the array, bytes moved, LUTs of its own datapath."""
    from optimizer import sizing
    from studies.measuring import networks

    int8 = parse_scalar("int8")
    sizer = sizing.Sizer(lambda specs: cost_models.predict_each(specs, "xc7"))
    budget = sizing.cycle_budget(CLOCK_MHZ, FPS)
    found = []
    net = networks.network(network)
    for node, layer in zip(net.nodes, net.layers, strict=True):
        weights = 0 if node.weight is None else node.weight.size
        found.append(
            {
                "name": layer.name,
                "macs": layer.macs,
                "products": layer.dot_length,
                "cycles": sizing.cycles([layer], LANES, UNITS),
                "bytes": int(weights + layer.outputs),
                "luts": sizer.best(sizing.sizes([layer], budget), int8, int8)[2].value,
            }
        )
    return found


def measure(bench: Bench) -> Data:
    """The layers of each network."""
    return {n: bench.kept(_layers, n) for n in NETWORKS}


def _used(layers: list[dict[str, Any]]) -> float:
    """Part of the array's products that are a layer's, all layers together."""
    macs, cycles = (sum(layer[k] for layer in layers) for k in ("macs", "cycles"))
    return float(macs / (cycles * LANES * UNITS))


def judge(data: Data) -> list[Figure]:
    """What products say of cycles and LUTs."""
    array = f"one array of {UNITS} dot products of {LANES} lanes, cycles of the arithmetic"
    every = [layer for layers in data.values() for layer in layers]
    depthwise = [layer for layer in data["mobilenet"] if "depthwise" in layer["name"]]
    others = [layer for layer in data["mobilenet"] if "depthwise" not in layer["name"]]
    whole = {n: {k: sum(x[k] for x in of) for k in ("macs", "cycles")} for n, of in data.items()}
    ratio = {k: whole["mobilenet"][k] / whole["resnet8"][k] for k in ("macs", "cycles")}
    per_mac = [layer["luts"] / layer["macs"] for layer in every if layer["macs"] > 20_000]
    tau = float(kendalltau([x["macs"] for x in every], [x["luts"] for x in every])[0])
    common: dict[str, Any] = {
        "source": PREDICTED,
        "how": array,
        "samples": f"{len(every)} layers of three networks",
    }
    own = {
        **common,
        "how": f"a datapath for each layer in INT8, {FPS:,.0f} images/s at {CLOCK_MHZ:g} MHz, LUTs "
        "of 7-series by the cost model",
    }
    return [
        Figure(
            what="MobileNet's cycles over ResNet-8's, over the same of products",
            paper="more than 1",
            ours=ratio["cycles"] / ratio["macs"],
            bounds=at_least(1.1, 1.0),
            **common,
        ),
        Figure(
            what="use of the array by depthwise layers over that by MobileNet's others",
            paper="less than 1",
            ours=_used(depthwise) / _used(others),
            bounds=at_most(0.8, 1.0),
            **common,
        ),
        *(
            Figure(what=f"use of the array, {n}", ours=100 * _used(of), unit="%", **common)
            for n, of in data.items()
        ),
        Figure(
            what="products a byte of weights and results, least over most of all layers",
            **common,
            ours=min(x["macs"] / x["bytes"] for x in every)
            / max(x["macs"] / x["bytes"] for x in every),
        ),
        Figure(
            what="LUTs a product, the layer that takes most over the one that takes least",
            paper="more than 1",
            ours=max(per_mac) / min(per_mac),
            bounds=at_least(1.5, 1.1),
            **own,
        ),
        Figure(
            what="Kendall's tau of products and LUTs, all layers",
            paper="–",
            ours=tau,
            **own,
        ),
    ]


def draw(figure: Any, data: Data) -> None:
    """Cycles and LUTs against products."""
    for axes, what in zip(figure.subplots(1, 2), ("cycles", "luts"), strict=True):
        for (network, layers), colour in zip(data.items(), COLOURS, strict=False):
            x, y = ([layer[k] for layer in layers] for k in ("macs", what))
            axes.loglog(x, y, "o", color=colour, ms=5, label=network)
        edge = np.array([min(x["macs"] for of in data.values() for x in of), 2e6])
        if what == "cycles":
            axes.loglog(edge, edge / (LANES * UNITS), "--", color="black", lw=0.8, label="full use")
        axes.set_xlabel("products of a layer")
        words = "cycles on the array" if what == "cycles" else "LUTs of its own datapath, 7-series"
        axes.set_ylabel(f"{words} (predicted)")
        axes.legend(fontsize=8)


STUDY = Study(
    name="macs_are_not_cost",
    title="Products are not latency, and not area",
    paper="On the Efficiency of Convolutional Neural Networks (arXiv, 2024)",
    claim="Latency is products over peak times efficiency, and efficiency differs from layer to "
    "layer: networks of depthwise layers have few products and use an array badly.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper measures GPUs. Cycles here are those of the arithmetic: filling pipelines and "
    "fetching operands are not in them.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

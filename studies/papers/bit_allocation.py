"""Bits for each layer: proxies that rank plans, allocation against one size (HAWQ)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy.optimize import Bounds as Limits
from scipy.optimize import LinearConstraint, milp
from scipy.stats import kendalltau

from hwgen.formats import parse_scalar
from studies.bench import Bench
from studies.colours import COLOURS
from studies.study import MEASURED, Data, Figure, Study, at_least, at_most

NETWORKS = ("resnet8", "mobilenet")
#: Bits of a layer's weights, all tried; activations stay at eight.
BITS = (2, 3, 4, 5, 6)
ACTIVATIONS = "int8"
#: What is known of a layer's weights in so many bits, and what a plan's sum of it is called.
PROXIES = {
    "kl": "KL of one layer at a time",
    "noise": "squared error of weights, as HAWQ-V2 without the trace",
    "relative": "squared error of weights over their power",
    "bits": "bits of weights saved",
}


def _layers(network: str, images: int) -> dict[str, dict[str, list[float]]]:
    """Of each layer with weights: its proxies by ``BITS``, and how many ``weights`` it has."""
    from optimizer import sensitivity
    from optimizer.inputs import taken
    from studies.measuring import networks

    net, names = networks.network(network), tuple(f"int{b}" for b in BITS)
    scales = networks.calibration(network, (ACTIVATIONS, *names), ("unsigned", "mse"))
    formats = [parse_scalar(name) for name in names]
    few = taken(networks.images(network).calibration_images, slice(0, images))
    damage = sensitivity.measure(net, few, scales, formats, workers=1)
    found = {}
    for node in net.nodes:
        if node.weight is None:
            continue
        noise = []
        for f in formats:
            values = scales.weight(node.name, f)
            assert values is not None
            error = values * scales.weight_scales[node.name, f][0] - node.weight
            noise.append(float(np.square(error).sum()))
        power, size = float(np.square(node.weight).sum()), float(node.weight.size)
        found[node.name] = {
            "kl": [damage.weights[node.name, f] for f in formats],
            "noise": noise,
            "relative": [n / power for n in noise],
            "bits": [-size * b for b in BITS],
            "weights": [size],
        }
    return found


def _plan(network: str, bits: dict[str, int], count: int) -> dict[str, float]:
    """Accuracy and divergence of a network whose layers have weights of these bits."""
    from optimizer import selection
    from studies.measuring import networks

    names = (ACTIVATIONS, *(f"int{b}" for b in BITS))
    scales = networks.calibration(network, names, ("unsigned", "mse"))
    eight = parse_scalar(ACTIVATIONS)
    nodes = networks.network(network).nodes
    pairs = {n.name: (eight, parse_scalar(f"int{bits[n.name]}")) for n in nodes}
    q = scales.quantization(selection.with_unsigned(scales, pairs))
    return networks.accuracy(network, q, count)


def allocated(layers: dict[str, Any], proxy: str, budget: float) -> dict[str, int]:
    """Bits of each layer with the least sum of ``proxy`` within ``budget`` bits of weights."""
    names = list(layers)
    cost = np.array([layers[n][proxy] for n in names])
    sizes = np.array([[layers[n]["weights"][0] * b for b in BITS] for n in names])
    one = np.kron(np.eye(len(names)), np.ones(len(BITS)))
    found = milp(
        cost.ravel() / np.abs(cost).max(),
        constraints=[LinearConstraint(one, 1, 1), LinearConstraint(sizes.ravel(), -np.inf, budget)],
        integrality=np.ones(cost.size),
        bounds=Limits(0, 1),
    )
    chosen = found.x.reshape(cost.shape).argmax(axis=1)
    return {name: BITS[i] for name, i in zip(names, chosen, strict=True)}


def measure(bench: Bench) -> Data:
    """Proxies, random plans, and allocated ones against four bits everywhere."""
    plans = 48
    count, images = (250, 64) if bench.quick else (500, 256)
    found: Data = {}
    for network in NETWORKS:
        layers = bench.kept(_layers, network, images)
        rng = np.random.default_rng(12)
        random = [{n: int(rng.choice(BITS)) for n in layers} for _ in range(plans)]
        whole = sum(layer["weights"][0] for layer in layers.values())
        chosen = {p: allocated(layers, p, 4 * whole) for p in ("kl", "noise")}
        found[network] = {
            "layers": layers,
            "plans": [[plan, bench.kept(_plan, network, plan, count)] for plan in random],
            "uniform": bench.kept(_plan, network, dict.fromkeys(layers, 4), count),
            "allocated": {p: bench.kept(_plan, network, plan, count) for p, plan in chosen.items()},
            "bits": chosen,
        }
    return found


def _taus(of: dict[str, Any]) -> dict[str, float]:
    """Kendall's tau of each proxy's sum over layers with the divergence of the plans."""
    true = [row["kl"] for _, row in of["plans"]]
    found = {}
    for proxy in PROXIES:
        sums = [
            sum(of["layers"][n][proxy][BITS.index(b)] for n, b in plan.items())
            for plan, _ in of["plans"]
        ]
        found[proxy] = float(kendalltau(sums, true)[0])
    return found


def judge(data: Data) -> list[Figure]:
    """What ranks plans, and what choosing by it is worth."""
    figures = []
    for network, of in data.items():
        taus, plans, images = _taus(of), len(of["plans"]), of["uniform"]["images"]
        # Of Kendall's tau of as many pairs that have nothing to do with each other.
        error = math.sqrt(2 * (2 * plans + 5) / (9 * plans * (plans - 1)))
        common: dict[str, Any] = {
            "source": MEASURED,
            "samples": f"{plans} random plans, {images:,} test images each",
            "how": "weights of each layer in 2 to 6 bits at random, activations in 8, to nearest; "
            "the proxy's sum over layers against the measured KL from FP32; ± one standard error",
        }
        figures += [
            Figure(
                what=f"Kendall's tau, {words}, {network}",
                ours=taus[proxy],
                **common,
                paper="more than of bits" if proxy == "noise" else "–",
                low=taus[proxy] - error,
                high=taus[proxy] + error,
                bounds=at_least(taus["bits"], taus["bits"] - error) if proxy == "noise" else None,
                why="errors of layers count differently, which the trace of the Hessian is for",
            )
            for proxy, words in PROXIES.items()
        ]
        for proxy in ("kl", "noise"):
            shown = "/".join(str(b) for b in of["bits"][proxy].values())
            figures.append(
                Figure(
                    what=f"KL of bits allocated by {PROXIES[proxy]}, over 4 bits everywhere, "
                    f"{network}",
                    paper="less than 1",
                    ours=of["allocated"][proxy]["kl"] / of["uniform"]["kl"],
                    source=MEASURED,
                    bounds=at_most(0.9, 1.0),
                    how="integer programming (HiGHS) within the bits of weights of 4 everywhere; "
                    f"layers in their order: {shown}",
                    samples=f"{images:,} test images",
                    why="what is small in the proxy is not what the network is insensitive to",
                )
            )
    return figures


def draw(figure: Any, data: Data) -> None:
    """Measured divergence of plans against the sums of two proxies."""
    panels = figure.subplots(1, 2 * len(data))
    for axes, (network, proxy) in zip(
        panels, itertools.product(data, ("kl", "noise")), strict=True
    ):
        of = data[network]
        x = [
            sum(of["layers"][n][proxy][BITS.index(b)] for n, b in plan.items())
            for plan, _ in of["plans"]
        ]
        y = [row["kl"] for _, row in of["plans"]]
        axes.loglog(x, y, "o", ms=4, color=COLOURS[0], label=f"tau {_taus(of)[proxy]:.2f}")
        axes.set_title(network, fontsize=10)
        axes.xaxis.set_minor_formatter("")
        axes.set_xlabel("sum of KL" if proxy == "kl" else "squared error of weights")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("KL divergence from FP32, nats (measured)")


STUDY = Study(
    name="bit_allocation",
    title="Bits for each layer: proxies and allocation",
    paper="HAWQ-V2, arXiv 1911.03852; AdaQuant and integer programming, arXiv 2006.10518; EMQ; "
    "Augmenting Hessians, arXiv 2306.04879",
    claim="Bits that are allocated to layers by their sensitivity lose less than one size for all "
    "within the same memory, and the errors of weights rank plans better than their bits do.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="HAWQ-V2 weighs the squared error of a layer's weights by the mean trace of its Hessian, "
    "which is not computed here; the KL of one layer at a time, as AdaQuant's integer programme "
    "uses it, stands for all that a second order would say.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

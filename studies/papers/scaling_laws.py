"""Scaling laws of floating point: the best split of a format's bits (arXiv 2501.02423)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import cost_models
from hwgen.formats import Minifloat
from hwgen.formats.theory import EXPONENT_POWER, MANTISSA_POWER, best_split
from studies.bench import Bench
from studies.colours import COLOURS
from studies.study import COMPUTED, MEASURED, Bounds, Data, Figure, Study, at_most, near

BITS = (4, 5, 6, 7, 8)
#: What the law's optimum is by the paper, exponent and mantissa bits.
PAPER = {3: (1, 1), 4: (2, 1), 5: (2, 2), 6: (3, 2), 7: (3, 3), 8: (4, 3), 16: (8, 7)}
SAMPLES = ("Gaussian", "Student's t, 3", "activations")
#: Constants of the law, and critical amounts of data in 10^12 tokens by exponent and mantissa bits:
#: of a model of 10^9 parameters with blocks of 128.
N_POWER, DATA, D_POWER, G = 0.2368, 68973.0621, 0.5162, 11334.5197
CRITICAL = {"BF16": (8, 7, 1730.0), "E4M3": (4, 3, 27.0), "E2M1": (2, 1, 0.4)}


def _values(kind: str, count: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(5)
    if kind == "Gaussian":
        return rng.standard_normal(count)
    if kind != "activations":
        return rng.standard_t(3, count)
    from optimizer import inference
    from optimizer.inputs import taken
    from studies.measuring import networks

    # What goes into the layers of the transformer, each over its root mean square.
    network, few = networks.network("vit"), networks.images("vit").calibration_images
    parts = []
    for node in network.nodes:
        first = inference.layer_inputs(network, taken(few, slice(0, 16)), {}, node.name)[0]
        drawn = rng.choice(first.ravel(), count // len(network.nodes))
        parts.append(drawn / max(float(np.sqrt(np.square(drawn).mean())), 1e-30))
    return np.concatenate(parts)


def _qsnr(kind: str, bits: int, count: int) -> dict[str, float]:
    """QSNR in dB by the exponent bits of a format of ``bits`` bits, with the best scale for all."""
    values = _values(kind, count)
    return {
        str(e): cost_models.qsnr_db(values, Minifloat(e, bits - 1 - e)) for e in range(1, bits - 1)
    }


def measure(bench: Bench) -> Data:
    """The QSNR of each split of each number of bits."""
    count = 2**16 if bench.quick else 2**18
    qsnr = {
        kind: {str(bits): bench.kept(_qsnr, kind, bits, count) for bits in BITS} for kind in SAMPLES
    }
    splits = {str(bits): list(best_split(bits)) for bits in PAPER}
    critical = {n: critical_tokens(e, m, 1e9, 128) / 1e12 for n, (e, m, _) in CRITICAL.items()}
    return {"qsnr": qsnr, "splits": splits, "critical": critical, "numbers": count}


def critical_tokens(exponent: int, mantissa: int, parameters: float, block: float) -> float:
    """The amount of data, in tokens, beyond which more makes the loss worse: the paper's D_crit."""
    merit = (exponent + 0.5) ** EXPONENT_POWER * (mantissa + 0.5) ** MANTISSA_POWER
    inner = DATA * G * parameters**N_POWER * merit / math.log2(block)
    return float(inner ** (1 / (2 * D_POWER)))


def judge(data: Data) -> list[Figure]:
    """The law against itself and against measured noise."""
    wrong = sum(tuple(data["splits"][str(b)]) != split for b, split in PAPER.items())
    figures = [
        Figure(
            what="sizes whose best split by the law is not the paper's",
            paper="0 of 7",
            ours=wrong,
            source=COMPUTED,
            how="the law's powers, whole numbers of bits",
            samples="3–8, 16 bits",
            bounds=Bounds((0, 0), (1, 2)),
        )
    ]
    for name, (*_, paper) in CRITICAL.items():
        figures.append(
            Figure(
                what=f"critical amount of data, {name}",
                paper=f"{paper:g}",
                unit="10^12 tokens",
                ours=data["critical"][name],
                source=COMPUTED,
                how="the law, 10^9 parameters, blocks of 128",
                samples="one formula",
                bounds=near(paper),
            )
        )
    for kind, by_bits in data["qsnr"].items():
        best = {int(b): int(max(row, key=row.__getitem__)) for b, row in by_bits.items()}
        off = [abs(e - PAPER[b][0]) for b, e in best.items()]
        shown = ", ".join(f"E{e}M{b - 1 - e}" for b, e in best.items())
        lost = max(max(row.values()) - row[str(PAPER[int(b)][0])] for b, row in by_bits.items())
        common: dict[str, Any] = {
            "source": MEASURED,
            "how": f"{kind}: one scale for all numbers, the best of 48; best of 4 to 8 bits: "
            f"{shown}",
            "samples": f"{data['numbers']:,} numbers",
            "why": "noise of one tensor asks for mantissa; exponents pay for what one scale must "
            "hold beside it in training, gradients and ranges that move",
        }
        figures += [
            Figure(
                what=f"exponent bits of least noise off the law's, mean of 5 sizes, {kind}",
                paper="0",
                ours=float(np.mean(off)),
                bounds=at_most(0.2, 1.0),
                **common,
            ),
            Figure(
                what=f"QSNR that the law's split loses at most, {kind}",
                ours=lost,
                unit="dB",
                **common,
            ),
        ]
    return figures


def draw(figure: Any, data: Data) -> None:
    """QSNR by exponent bits, a panel a kind of numbers."""
    panels = figure.subplots(1, len(SAMPLES), sharey=True)
    for axes, (kind, by_bits) in zip(panels, data["qsnr"].items(), strict=True):
        for (bits, row), colour in zip(by_bits.items(), COLOURS, strict=False):
            x, y = [int(e) for e in row], list(row.values())
            axes.plot(x, y, "o-", ms=4, color=colour, label=f"{bits} bits")
            law = PAPER[int(bits)][0]
            axes.plot(law, row[str(law)], "*", ms=14, color=colour, mec="black", mew=0.6)
        axes.set_title(kind, fontsize=10)
        axes.set_xlabel("exponent bits (star: the law's)")
        axes.legend(fontsize=8)
    panels[0].set_ylabel("QSNR, dB (measured)")


STUDY = Study(
    name="scaling_laws",
    title="Scaling laws of floating point: how to split the bits",
    paper="Scaling Laws for Floating-Point Quantization Training, arXiv 2501.02423",
    claim="Of 3 to 8 bits the best splits are E1M1, E2M1, E2M2, E3M2, E3M3 and E4M3: exponent bits "
    "are worth slightly more than mantissa bits; a model of 10^9 parameters in E2M1 has a critical "
    "amount of data of 0.4, in E4M3 of 27, in BF16 of 1,730 times 10^12 tokens.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The law is of the loss after training with quantised products, which is not done here: "
    "what is measured is the noise of single tensors. Activations are what goes into the layers of "
    "the shipped vision transformer, each over its root mean square.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

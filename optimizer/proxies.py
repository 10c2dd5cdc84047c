"""Cheap predictions of what a plan loses: each an entry of ``PROXIES``, with its source.

A proxy gives a number for a layer in a pair of formats; the sum over the layers ranks plans, the
least first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hwgen.formats import Scalar
from optimizer.sensitivity import Sensitivities
from optimizer.traces import Operand, Traits

#: The number for a layer with formats of activations and weights.
Score = Callable[[Traits, Sensitivities, Scalar, Scalar], float]


@dataclass(frozen=True)
class Proxy:
    """A proxy: its ``score``, what it is in a few words, where it comes from.

    ``passes``: what it needs of the network: "none", "one" pass of the images, "formats" (a pass
    for each layer, operand and format), or "probes" (two for each layer, operand and probe).
    """

    score: Score
    summary: str
    source: str
    passes: str


def _noise(operand: Operand, f: Scalar) -> float:
    """The part of an operand's power that rounding changes, at least 1e-12."""
    return max(operand.noise[f] / operand.power, 1e-12) if operand.power else 1e-12


def _one_layer(t: Traits, s: Sensitivities, a: Scalar, b: Scalar) -> float:
    return s.pair(t.name, a, b)


def _qsnr(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return 10 * math.log10(_noise(t.operands[0], a) + _noise(t.operands[1], b))


def _noise_to_signal(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return _noise(t.operands[0], a) + _noise(t.operands[1], b)


def _perturbation(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return t.operands[1].noise[b]


def _bit_operations(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return -t.macs * a.bits * b.bits


def _size(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return -t.operands[1].size * b.bits


def _fisher(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return sum(o.fisher / o.size * o.noise[f] for o, f in zip(t.operands, (a, b), strict=True))


def _hessian(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return sum(o.hessian / o.size * o.noise[f] for o, f in zip(t.operands, (a, b), strict=True))


def _hessian_weights(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return t.operands[1].hessian / t.operands[1].size * t.operands[1].noise[b]


def _orthogonality(t: Traits, _: Sensitivities, a: Scalar, b: Scalar) -> float:
    return -math.exp(-t.likeness) * (a.bits + b.bits)


PROXIES = {
    "one-layer": Proxy(
        _one_layer, "KL divergence with one operand of one layer quantised", "sensitivity.py",
        "formats",
    ),
    "fisher": Proxy(
        _fisher, "mean trace of the Fisher information times squared rounding error, both operands",
        "HAWQ-V2, arXiv 1911.03852, with the Fisher information for the Hessian", "probes",
    ),
    "hessian": Proxy(
        _hessian, "mean Hessian trace times squared rounding error, both operands",
        "HAWQ-V2, arXiv 1911.03852", "probes",
    ),
    "hessian-weights": Proxy(
        _hessian_weights, "the same of weights alone", "HAWQ-V2, arXiv 1911.03852", "probes"
    ),
    "qsnr": Proxy(
        _qsnr, "signal to rounding noise of both operands, in dB, the mean over layers",
        "arXiv 2302.08007", "one",
    ),
    "noise": Proxy(
        _noise_to_signal, "rounding noise to signal of both operands, the sum over layers",
        "Lin, Talathi & Annapureddy, arXiv 1511.06393", "one",
    ),
    "perturbation": Proxy(
        _perturbation, "squared rounding error of the weights", "HAWQ-V2's second factor", "none"
    ),
    "orthogonality": Proxy(
        _orthogonality, "bits, weighted by how unlike other layers' a layer's activations are",
        "OMPQ, arXiv 2109.07865", "one",
    ),
    "bit-operations": Proxy(
        _bit_operations, "products times bits of both operands", "arXiv 2105.03536", "none"
    ),
    "size": Proxy(_size, "bits of all weights", "EMQ's bparams, arXiv 2307.10554", "none"),
}  # fmt: skip

"""The shipped networks with the formats of a study, on the shipped images, and their accuracy."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from hwgen.errors import InputError
from hwgen.formats import Integer, parse_scalar
from optimizer import data as image_data
from optimizer import inference, onnx_import, selection
from optimizer.calibration import Calibration, calibrate
from optimizer.data import ImageData
from optimizer.inference import Quantization
from optimizer.inputs import taken
from optimizer.network import Array, Network, Tensors
from optimizer.ptq.methods import Recipe, methods
from optimizer.quantization import LayerQuantization
from optimizer.runtime import Session
from optimizer.selection import Part
from optimizer.sensitivity import divergence, log_softmax
from optimizer.workloads import fashion_mnist

#: Networks by the names of their files.
NETWORKS = {"resnet8": "ResNet-8", "mobilenet": "MobileNet", "vit": "vision transformer"}
#: What is tried after calibration, best first by experience: rounding with error feedback, means.
TUNED = Recipe("gptq", bias=True)
CALIBRATION_IMAGES = 256


@functools.cache
def network(name: str) -> Network:
    """A shipped network."""
    return onnx_import.load(fashion_mnist.MODEL.with_name(f"{name}.onnx"))


@functools.cache
def images(name: str) -> ImageData:
    """The shipped images as a network takes them."""
    inputs = onnx_import.declared(fashion_mnist.MODEL.with_name(f"{name}.onnx"))
    return image_data.load(fashion_mnist.DATA, None, inputs)


@functools.cache
def test_part(name: str, count: int) -> Part:
    """The first ``count`` of the test images, which nothing is chosen by."""
    part = selection.parts(images(name))[1]
    return Part(taken(part.images, slice(0, count)), part.labels[:count])


@functools.cache
def calibration(name: str, formats: tuple[str, ...], ptq: tuple[str, ...]) -> Calibration:
    """Scales of all layers in all ``formats``; ``ptq``: names of methods."""
    data = images(name)
    few = taken(data.calibration_images, slice(0, CALIBRATION_IMAGES))
    scalars = [parse_scalar(f) for f in formats]
    return calibrate(network(name), few, scalars, 1, methods(ptq))


def quantized(name: str, number_format: str, *, tuned: bool, unsigned: bool = True) -> Quantization:
    """All layers of a network with activations and weights in one format.

    ``tuned``: weights rounded with error feedback and means corrected, on calibration images, else
    all to the nearest; ``unsigned``: activations that are never negative without a sign.
    """
    ptq = ("unsigned", "mse", "bias", "gptq") if unsigned else ("mse", "bias", "gptq")
    scales = calibration(name, (number_format,), ptq)
    f = parse_scalar(number_format)
    pairs: Any = dict.fromkeys(network(name).layer_nodes, (f, f))
    if unsigned:
        pairs = selection.with_unsigned(scales, pairs)
    if not tuned:
        return scales.quantization(pairs)
    few = taken(images(name).calibration_images, slice(0, CALIBRATION_IMAGES))
    made = selection.tuner(network(name), scales, images(name), methods(ptq), 1, few)
    return made.quantization(pairs, TUNED, 1)


@dataclass(frozen=True, eq=False)
class WrappedSums(LayerQuantization):
    """A layer of integers whose sums are kept in so many ``bits``, two's complement, and wrap.

    However a sum wraps on its way, what is left of it is the exact sum modulo 2^bits.
    """

    bits: int = 64

    @cached_property
    def product(self) -> Session:
        """The layer's operator, its result wrapped."""
        return cast(Session, _Wrapping(super().product, self.bits))


@dataclass(frozen=True)
class _Wrapping:
    exact: Session
    bits: int

    @property
    def inputs(self) -> Sequence[str]:
        return self.exact.inputs

    def run(self, values: Tensors) -> Tensors:
        half = np.float64(2 ** (self.bits - 1))
        return {
            name: ((sums.astype(np.float64) + half) % (2 * half) - half).astype(np.float32)
            for name, sums in self.exact.run(values).items()
        }


def wrapped(quantization: Quantization, bits: int) -> Quantization:
    """The same operands, with accumulators of so many bits. InputError where sums need float64."""
    found = {}
    for name, q in quantization.items():
        integers = isinstance(q.a_format, Integer) and isinstance(q.b_format, Integer)
        if not (integers and q.exact_in_float32):
            raise InputError(f"{name}: sums of {q.a_format} and {q.b_format} are not wrapped here")
        fields = {f.name: getattr(q, f.name) for f in dataclasses.fields(q)}
        found[name] = WrappedSums(**fields, bits=bits)
    return found


def answers(name: str, quantization: Quantization | None, count: int) -> Array:
    """Class scores, float32 (images, classes), of the first ``count`` test images."""
    return inference.run(network(name), test_part(name, count).images, quantization)


@functools.cache
def fp32(name: str, count: int) -> Array:
    """The class scores of FP32."""
    return answers(name, None, count)


def accuracy(name: str, quantization: Quantization | None, count: int) -> dict[str, float]:
    """As ``scored`` of the answers, and ``kl``: their mean divergence from FP32's, in nats.

    FP32 without formats. ``kl_error``: the standard error of ``kl``.
    """
    logits = fp32(name, count) if quantization is None else answers(name, quantization, count)
    return scored(name, logits)


def scored(name: str, logits: Array) -> dict[str, float]:
    """Of class scores of the first test images: images, correct ones, percent and standard error.

    And ``kl`` and ``kl_error``, as of ``accuracy``.
    """
    count = len(logits)
    share = inference.correct(logits, test_part(name, count).labels) / count
    kl = divergence(log_softmax(fp32(name, count)), logits)
    return {
        "images": count,
        "percent": 100 * share,
        "error": 100 * math.sqrt(share * (1 - share) / count),
        "kl": float(kl.mean()),
        "kl_error": float(kl.std() / math.sqrt(count)),
    }

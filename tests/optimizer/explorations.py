"""Results of a search that nobody made, for the tests of what is said of them."""

from __future__ import annotations

from types import SimpleNamespace

from hwgen.formats import parse
from hwgen.spec import DotProduct
from optimizer.explore import Exploration, Settings
from optimizer.network import Layer
from optimizer.plan import Accuracy, LayerPlan, Plan
from optimizer.ptq.methods import Recipe
from optimizer.sizing import LutRange, Size

IMAGES = 2000


def plan(lut, percent, a="int4", b="int4"):
    layer = Layer("layer", "Gemm", 16, 10)
    part = LayerPlan(
        layer,
        DotProduct(a=a, b=b, lanes=4),
        Size(4, 1, 40, 16),
        40,
        LutRange(lut, lut, lut),
        0.01,
    )
    measured = Accuracy(round(percent / 100 * IMAGES), IMAGES)
    return Plan("streaming", (part,), measured, measured, Recipe())


def exploration(front, fp32, chosen=0, references=(), network="net", data="data"):
    named = dict(zip(("all-INT8", "all-INT4", "all-E4M3"), references, strict=False))
    return Exploration(
        network=SimpleNamespace(name=network, float_operators=(), float_share=0.0, nodes=()),
        calibration=None,
        quantization={},
        settings=Settings(target="ecp5", fps=1000, formats=(parse("int4"),)),
        data_name=data,
        calibration_images=512,
        fp32=Accuracy(round(fp32 / 100 * IMAGES), IMAGES),
        fp32_selection=Accuracy(round(fp32 / 100 * IMAGES), IMAGES),
        points=tuple(front),
        front=tuple(front),
        references=named,
        chosen=front[chosen],
        reason="",
    )

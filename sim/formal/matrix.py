"""What ``hwgen prove --all`` proves: the properties that the package stands for, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hwgen.formats import NAMES, Scalar
from hwgen.formats import parse as parse_format
from hwgen.formats.rounding import DOWN, NEAREST_EVEN
from hwgen.spec import (
    MAPPINGS,
    AccumulatorToFloat,
    Array,
    BlockDot,
    Convert,
    DotProduct,
    FixedDot,
    LMul,
    MultiDot,
    Multiply,
    MultiplyAccumulate,
    Quantizer,
    Requantize,
    Spec,
    SumSquares,
)
from sim.formal.proofs import Task
from sim.formal.references import DEFINED_MODES
from yosys_scripts import TARGETS


def _scalar(name: str) -> Scalar:
    found = parse_format(name)
    assert isinstance(found, Scalar)
    return found


#: Bits of significands whose products are proved on every target.
SIGNIFICAND_BITS = range(1, 7)
#: Scalar formats of up to 8 bits with special codes, of OCP and IEEE kinds.
WITH_SPECIALS = ("e4m3fn", "e5m2ieee", "e4m3fnuz")
#: One of every unit, with its usual stages.
UNITS: tuple[Spec, ...] = (
    Multiply(a="int4", b="e2m1"),
    Convert(a="e4m3fn", b="e2m1"),
    LMul(a="e4m3", b="e4m3"),
    MultiplyAccumulate(a="e2m1", b="int4"),
    DotProduct(a="e2m1", b="int4", lanes=8),
    FixedDot(a="int8", b="int8", weights="3,-77,0,64,-128"),
    SumSquares(a="int8", lanes=2),
    MultiDot(formats="int4,int2", lanes=2),
    Array(a="int4", b="e2m1", rows=2, columns=2),
    AccumulatorToFloat(bits=20, b=_scalar("bf16")),
    Requantize(bits=12, scale="ufixed8_7", b="int8"),
    BlockDot(a="mxfp4", b="mxfp4", output="bf16"),
    Quantizer(a="e5m2", b="e2m1_b4_e8m0"),
)


def _products() -> Iterator[Task]:
    """The largest first, of unsigned integers: each pair of widths of significands."""
    for y in reversed(SIGNIFICAND_BITS):
        for x in range(y, 0, -1):
            for mapping in MAPPINGS:
                spec = Multiply(a=f"uint{x}", b=f"uint{y}", mapping=mapping)
                yield Task(spec, "reference")
                for target in TARGETS:
                    yield Task(spec, "netlist", target)


def _signed_products() -> Iterator[Task]:
    for a, b in (("int6", "int6"), ("e2m5", "e2m5"), ("e3m3", "int5")):
        for mapping in MAPPINGS:
            for target in TARGETS:
                yield Task(Multiply(a=a, b=b, mapping=mapping), "netlist", target)


def _eight_bit_products() -> Iterator[Task]:
    for name in ("int8", "uint8"):
        for mapping in ("lut", "dsp"):
            spec = Multiply(a=name, b=name, mapping=mapping)
            yield Task(spec, "reference")
            for target in TARGETS:
                yield Task(spec, "netlist", target)


def _converters() -> Iterator[Task]:
    names = (*NAMES, *WITH_SPECIALS)
    for a in names:
        for b in names:
            yield Task(Convert(a=a, b=b), "reference")


def _adder_trees() -> Iterator[Task]:
    """Lanes of 8 bits: products with one bit."""
    for lanes in (2, 3, 8, 13, 32):
        yield Task(DotProduct(a="int8", b="uint1", lanes=lanes), "reference")


def _rounders() -> Iterator[Task]:
    """To FP32: within its range, down to its subnormals, and past its largest."""
    for lsb_exponent in (0, -160, 110):
        spec = AccumulatorToFloat(bits=32, lsb_exponent=lsb_exponent, b=_scalar("fp32"))
        yield Task(spec, "reference")


def _streams() -> Iterator[Task]:
    for spec in UNITS:
        yield Task(spec, "stream")


def _pipelines() -> Iterator[Task]:
    for spec in UNITS:
        yield Task(spec, "pipeline")


def _dots() -> Iterator[Task]:
    for a, b, lanes in (("e2m1", "int4", 8), ("int8", "int8", 4), ("e4m3", "e2m1", 2)):
        spec = DotProduct(a=a, b=b, lanes=lanes)
        yield Task(spec, "reference")
        yield Task(spec, "accumulator")
        for target in TARGETS:
            yield Task(spec, "netlist", target)


def _special_dots() -> Iterator[Task]:
    """Of formats with infinities or NaN, which a sum leaves out."""
    for a, b in (("e4m3fn", "e2m1"), ("e5m2ieee", "int2"), ("e3m2ext", "e2m1fnuz")):
        spec = DotProduct(a=a, b=b, lanes=2)
        yield Task(spec, "reference")
        yield Task(spec, "accumulator")
        for target in TARGETS:
            yield Task(spec, "netlist", target)
    for other in (
        FixedDot(a="e4m3fn", b="e2m1", weights="6,-0.5,1.5,0"),
        SumSquares(a="e5m2ieee", lanes=2),
    ):
        yield Task(other, "reference")
        yield Task(other, "accumulator")


def _zero_signs() -> Iterator[Task]:
    """Sums rounded to small formats that have −0, with the signs of their zeros."""
    blocks = "e1m1_b2_ue1m1"
    for mode in DEFINED_MODES:
        kept = f"e3m2:{mode}"
        into = MultiplyAccumulate(a="e2m1", b="e2m1", accumulator=kept)
        yield Task(into, "reference")
        yield Task(BlockDot(a=blocks, b=blocks, output="e3m2", rounding=mode), "reference")
        if mode not in (NEAREST_EVEN, DOWN):
            continue
        for target in TARGETS:
            yield Task(into, "netlist", target)
        yield Task(into, "pipeline")
        for a, b in (("int4", "e2m1"), ("int4", "int4")):
            yield Task(MultiplyAccumulate(a=a, b=b, accumulator=kept), "reference")
        rounded: dict[str, Any] = {"output": "e3m2", "rounding": mode}
        for spec in (
            MultiplyAccumulate(a="e2m1", b="e2m1", **rounded),
            DotProduct(a="e2m1", b="e2m1", lanes=2, **rounded),
            DotProduct(a="e1m1", b="e1m1", lanes=2, addend="e2m1", **rounded),
        ):
            yield Task(spec, "reference")
    yield Task(LMul(a="e4m3", b="e4m3"), "reference")
    yield Task(Requantize(bits=8, scale="e4m3", b="e3m2"), "reference")


def _fixed_dots() -> Iterator[Task]:
    """Weights of every kind: zero, powers of two, equal ones, the extremes, no positive one."""
    many = FixedDot(a="int8", b="int8", weights="3,-77,0,64,-128,127,3")
    yield Task(many, "reference")
    yield Task(many, "accumulator")
    for a, b, weights in (
        ("int8", "int8", "-77,127,3,-128"),
        ("int4", "int4", "-8,-1,-4,-5"),
        ("e2m1", "int8", "93,-128,4,-93"),
        ("e4m3", "e2m1", "6,-0.5,1.5,0"),
    ):
        spec = FixedDot(a=a, b=b, weights=weights)
        yield Task(spec, "reference")
        yield Task(spec, "accumulator")
        for target in TARGETS:
            yield Task(spec, "netlist", target)


def _squares() -> Iterator[Task]:
    for a in ("int8", "int4", "e4m3", "e2m3"):
        spec = SumSquares(a=a, lanes=2)
        yield Task(spec, "reference")
        yield Task(spec, "accumulator")
        for target in TARGETS:
            yield Task(spec, "netlist", target)


def _packed_dots() -> Iterator[Task]:
    """Two lanes in each multiplier."""
    for a, b in (("int4", "int4"), ("e2m1", "e2m1"), ("e2m1", "int4")):
        spec = DotProduct(a=a, b=b, lanes=8, mapping="dsp")
        yield Task(spec, "reference")
        yield Task(spec, "accumulator")
        for target in TARGETS:
            yield Task(spec, "netlist", target)


GROUPS: dict[str, Callable[[], Iterator[Task]]] = {
    "streams": _streams,
    "pipelines": _pipelines,
    "adder trees": _adder_trees,
    "rounders": _rounders,
    "8-bit products": _eight_bit_products,
    "converters": _converters,
    "dot products": _dots,
    "dot products with infinities and NaN": _special_dots,
    "packed dot products": _packed_dots,
    "signs of zeros": _zero_signs,
    "fixed dot products": _fixed_dots,
    "sums of squares": _squares,
    "products": _products,
    "signed products": _signed_products,
}


def tasks(*groups: str) -> list[Task]:
    """The tasks of some groups, or of all."""
    return [task for name in groups or GROUPS for task in GROUPS[name]()]

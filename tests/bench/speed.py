"""Speed of the parts that a user waits for: ``make bench`` prints a table of medians."""

from __future__ import annotations

import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np

import hwgen
from hwgen import DotProduct, parse
from hwgen.formats import parse_scalar
from hwgen.spec import Multiply
from sim import compiled, exact, exhaustive, golden, verify

RUNS = 5
#: float32 numbers that are encoded.
VALUES = 10_000_000
#: Formats of at most 8 bits, with the cast of ml_dtypes and the format of gfloat that are theirs.
ENCODED = {
    "int8": (None, None),
    "e2m1": (ml_dtypes.float4_e2m1fn, gfloat.formats.format_info_ocp_e2m1),
    "e2m3": (ml_dtypes.float6_e2m3fn, gfloat.formats.format_info_ocp_e2m3),
    "e3m2": (ml_dtypes.float6_e3m2fn, gfloat.formats.format_info_ocp_e3m2),
    "e4m3fn": (ml_dtypes.float8_e4m3fn, gfloat.formats.format_info_ocp_e4m3),
    "e5m2ieee": (ml_dtypes.float8_e5m2, gfloat.formats.format_info_ocp_e5m2),
    "e4m3fnuz": (ml_dtypes.float8_e4m3fnuz, gfloat.formats.format_info_p3109(8, 4)),
    "e8m0": (ml_dtypes.float8_e8m0fnu, gfloat.formats.format_info_ocp_e8m0),
}
DOTS = [("int8", "int8"), ("e4m3", "e4m3"), ("e4m3fn", "e4m3fn"), ("e5m2", "e5m2"),
        ("e5m2ieee", "e5m2ieee"), ("e2m1", "int8")]  # fmt: skip

Row = tuple[str, float, str]


def median_seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median of ``runs`` timed calls, after one that warms up."""
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def encoding() -> Iterator[Row]:
    """Encoding beside the casts of ml_dtypes and gfloat, and its memory beside the input."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(VALUES, dtype=np.float32)
    few = values[: VALUES // 100].astype(np.float64)
    for name, (library, info) in ENCODED.items():
        f = parse_scalar(name)
        seconds = median_seconds(lambda f=f: f.encode(values))
        rate = f"{VALUES / seconds / 1e6:5.0f} M values/s"
        if library is not None:
            theirs = median_seconds(lambda library=library: values.astype(library), runs=3)
            rate += f", {theirs / seconds:.1f} x ml_dtypes"
        if info is not None:

            def encode_with_gfloat(info=info) -> object:
                return gfloat.encode_ndarray(info, gfloat.round_ndarray(info, few, sat=True))

            theirs = median_seconds(encode_with_gfloat, runs=3) * (VALUES / few.size)
            rate += f", {theirs / seconds:.0f} x gfloat"
        tracemalloc.start()
        f.encode(values)
        peak = tracemalloc.get_traced_memory()[1] / values.nbytes
        tracemalloc.stop()
        yield f"encode {name}, 10⁷ float32", seconds, f"{rate}, memory {peak:.2f} x input"
    for name in ("mxfp8_e4m3", "mxfp4", "mxint8", "nvfp4"):
        number_format = parse(name)
        block_values = values[: VALUES // 10]
        seconds = median_seconds(lambda f=number_format, v=block_values: f.encode(v), runs=3)
        yield f"encode {name}, 10⁶ float32", seconds, f"{1 / seconds:5.1f} M values/s"


def golden_sums() -> Iterator[Row]:
    """Exact dot products and matrix products."""
    rng = np.random.default_rng(0)
    for names in DOTS:
        a, b = map(parse_scalar, names)
        x, y = (rng.integers(0, 2**f.bits, (200_000, 32), dtype=np.uint8) for f in (a, b))
        seconds = median_seconds(lambda a=a, b=b, x=x, y=y: exact.dot(a, b, x, y))
        yield (
            f"exact dots {names[0]} × {names[1]}, 200,000 of 32",
            seconds,
            f"{x.size / seconds / 1e6:5.0f} M products/s",
        )
    for name in ("int8", "e4m3", "e5m2"):
        f = parse_scalar(name)
        x = f.decode(rng.integers(0, 2**f.bits, (1000, 576)))
        y = f.decode(rng.integers(0, 2**f.bits, (576, 64)))
        seconds = median_seconds(lambda f=f, x=x, y=y: golden.matmul(f, f, x, y))
        rate = x.shape[0] * x.shape[1] * y.shape[1] / seconds / 1e6
        yield f"exact matmul {name}, 1000×576×64", seconds, f"{rate:5.0f} M products/s"


def units() -> Iterator[Row]:
    """Generating and simulating."""
    spec = DotProduct(a="e4m3", b="int8", lanes=32)
    yield "Verilog of 32 lanes e4m3 × int8", median_seconds(lambda: hwgen.verilog(spec)), ""
    spec = DotProduct(a="int8", b="int8", lanes=32)
    cycles = 20_000
    seconds = median_seconds(lambda: verify(spec, vectors=cycles), runs=3)
    what = f"verify 32 lanes int8, {cycles} cycles and build"
    yield what, seconds, f"{cycles / seconds:5.0f} cycles/s"


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(w)[:2]) for w in whose)


def compiled_bench() -> Iterator[Row]:
    """The compiled bench and its build.

    Cycles with random patterns, golden model, bubbles and stalls, and every pair of codes of a
    product.
    """
    for name in ("int8", "e4m3", "e2m1"):
        spec = DotProduct(a=name, b=name, lanes=32)
        run = compiled.Run(spec, hwgen.verilog(spec), 3_000_000)
        started, used = time.perf_counter(), processor_seconds()
        (outcome,) = compiled.check([run])
        seconds, used = time.perf_counter() - started, processor_seconds() - used
        assert outcome.mismatches == 0
        yield (
            f"compiled bench 32 lanes {name}, {outcome.cycles / 1e6:.1f} M cycles",
            seconds,
            f"{outcome.cycles / seconds:5.0f} cycles/s, {outcome.cycles / used:5.0f} a processor "
            f"second; {outcome.vectors} results checked",
        )
    spec = Multiply(a="int8", b="e4m3")
    used = processor_seconds()
    seconds = median_seconds(lambda: exhaustive.check([exhaustive.Case(spec)]), runs=3)
    used = (processor_seconds() - used) / 4
    yield "all 65,536 pairs int8 × e4m3, and build", seconds, f"{used:5.2f} processor seconds"


def main() -> None:
    """Prints what, median, and rate."""
    print(f"{'what':48} {'median':>10}  rate")
    for part in (encoding, golden_sums, units, compiled_bench):
        for what, seconds, rate in part():
            print(f"{what:48} {1000 * seconds:7.1f} ms  {rate}", flush=True)


if __name__ == "__main__":
    main()

"""Speed of the parts that a user waits for: ``make bench`` prints a table of medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from hwgen import DotProduct, parse
from sim import exact, golden, verify

RUNS = 5


def median_seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median of ``runs`` timed calls, after one that warms up."""
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Prints what, median, and rate."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=1_000_000)
    rows = []
    for name in ("int8", "e2m1", "e4m3"):
        number_format = parse(name)
        seconds = median_seconds(lambda f=number_format: f.encode(values))
        rows.append((f"encode {name}, 10⁶ float64", seconds, f"{1 / seconds:.0f} M values/s"))
    for name in ("int8", "e4m3", "e5m2"):
        f = parse(name)
        x = f.decode(rng.integers(0, 2**f.bits, (1000, 576)))
        y = f.decode(rng.integers(0, 2**f.bits, (576, 64)))
        seconds = median_seconds(lambda f=f, x=x, y=y: golden.matmul(f, f, x, y))
        rate = x.shape[0] * x.shape[1] * y.shape[1] / seconds / 1e6
        rows.append((f"exact matmul {name}, 1000×576×64", seconds, f"{rate:.0f} M products/s"))
    for a, b, cycles in (
        ("int8", "int8", 100_000),
        ("e4m3", "e4m3", 100_000),
        ("e4m3fn", "e5m2ieee", 100_000),
        ("e5m2", "e5m2", 100_000),
        ("e5m2ieee", "e5m2ieee", 100_000),
        ("fp16", "fp16", 10_000),
        ("fp32", "fp32", 10_000),
    ):
        fa, fb = parse(a), parse(b)
        x = rng.integers(0, 2**fa.bits, (cycles, 32), fa.code_dtype)
        y = rng.integers(0, 2**fb.bits, (cycles, 32), fb.code_dtype)
        seconds = median_seconds(lambda fa=fa, fb=fb, x=x, y=y: exact.dot(fa, fb, x, y))
        rate = x.size / seconds / 1e6
        rows.append((f"exact dots {a} × {b}, {cycles}×32", seconds, f"{rate:.0f} M products/s"))
    spec = DotProduct(a="e4m3", b="int8", lanes=32)
    seconds = median_seconds(spec.verilog)
    rows.append(("Verilog of 32 lanes e4m3 × int8", seconds, ""))
    spec = DotProduct(a="int8", b="int8", lanes=32)
    cycles = 20_000
    seconds = median_seconds(lambda: verify(spec, vectors=cycles), runs=3)
    rate = cycles / seconds
    rows.append(
        (f"verify 32 lanes int8, {cycles} cycles and build", seconds, f"{rate:.0f} cycles/s")
    )
    print(f"{'what':48} {'median':>10}  rate")
    for what, seconds, rate in rows:
        print(f"{what:48} {1000 * seconds:7.1f} ms  {rate}")


if __name__ == "__main__":
    main()

"""Time and memory of a unit's Verilog against its lanes.

``python tests/bench/elaboration.py`` prints a table and draws docs/elaboration.png. Each unit is
made in a process of its own, several times, and the quickest counts: processor seconds and peak
memory are of it and of the Yosys that it starts, without the start of Python.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hwgen

LANES = (32, 64, 128, 256)
TIMES = 3
PICTURE = Path(__file__).parents[2] / "docs" / "elaboration.png"


def _kinds() -> dict[str, Callable[[int], object]]:
    from hwgen.spec import BlockDot, DotProduct

    def blocks(name: str) -> Callable[[int], object]:
        return lambda lanes: BlockDot(a=name, b=name, blocks=lanes // 32, output="fp32")

    def one_block(element: str) -> Callable[[int], object]:
        return lambda lanes: BlockDot(
            a=f"{element}_b{lanes}_e8m0", b=f"{element}_b{lanes}_e8m0", output="fp32"
        )

    return {
        "dot e2m1": lambda lanes: DotProduct(a="e2m1", b="e2m1", lanes=lanes),
        "dot e4m3": lambda lanes: DotProduct(a="e4m3", b="e4m3", lanes=lanes),
        "blockdot, one block, e2m1": one_block("e2m1"),
        "blockdot, one block, e4m3fn": one_block("e4m3fn"),
        "blockdot mxfp4": blocks("mxfp4"),
        "blockdot mxfp8_e4m3": blocks("mxfp8_e4m3"),
    }


def measure(kind: str, lanes: int) -> None:
    """Prints processor seconds, seconds, and peak memory of the processes in MB."""
    spec = _kinds()[kind](lanes)
    hwgen.verilog(_kinds()["dot e2m1"](1))  # Imports.
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    def processor() -> float:
        return sum(sum(resource.getrusage(w)[:2]) for w in whose)

    before, started = processor(), time.perf_counter()
    hwgen.verilog(spec)
    used, seconds = processor() - before, time.perf_counter() - started
    # Both are there at once while Yosys runs.
    peak = sum(resource.getrusage(w).ru_maxrss for w in whose) / 1024
    print(used, seconds, peak)


def draw(rows_by_kind: dict[str, list[tuple[float, float, float]]]) -> None:
    """Seconds against lanes, with lines of time in proportion to lanes."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.5), layout="constrained")
    for (kind, rows), marker in zip(rows_by_kind.items(), "osv^Dp", strict=False):
        axes.loglog(LANES, [row[0] for row in rows], marker=marker, label=kind)
    for start in (0.15, 0.6):
        line = [start * lanes / LANES[0] for lanes in LANES]
        label = "in proportion to lanes" if start == 0.6 else None
        axes.loglog(LANES, line, "--", color="0.6", label=label, zorder=0)
    axes.set_xticks(LANES, [str(lanes) for lanes in LANES])
    axes.minorticks_off()
    axes.set_yticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "0.5", "1", "2", "5", "10"])
    axes.set_xlabel("lanes")
    axes.set_ylabel("processor seconds to Verilog")
    axes.grid(True, which="major", color="0.9")
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    """Measures all in turn."""
    head = ("processor s", "elapsed s", "peak MB", "growth")
    print(f"{'unit':28} {'lanes':>5} {head[0]:>12} {head[1]:>10} {head[2]:>8} {head[3]:>7}")
    rows_by_kind: dict[str, list[tuple[float, float, float]]] = {}
    for kind in _kinds():
        for lanes in LANES:
            command = [sys.executable, __file__, kind, str(lanes)]
            runs = [
                subprocess.run(command, capture_output=True, text=True, check=True).stdout
                for _ in range(TIMES)
            ]
            used, seconds, peak = min(tuple(map(float, text.split())) for text in runs)
            rows_by_kind.setdefault(kind, []).append((used, seconds, peak))
            growth = used / rows_by_kind[kind][0][0]
            line = f"{kind:28} {lanes:5} {used:12.2f} {seconds:10.2f} {peak:8.0f} {growth:7.1f}"
            print(line, flush=True)
    draw(rows_by_kind)
    print(PICTURE)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()

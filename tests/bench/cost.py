"""How long answers of the cost query take: ``python tests/bench/cost.py [LANES]``.

Times are of the processor, so that other work on the machine counts less; the import of numpy is a
measure of how fast it is. Starts are the least of several processes. ``LANES``: the lanes of the
grid, of formats a × b on all targets, 64 by default.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import cost_models
import yosys_scripts
from cost_models import query, structure
from cost_models.features import Features
from hwgen import DotProduct

RUNS = 5
START = """
import time
def part(name, code):
    started = time.process_time()
    exec(code, globals())
    print(name, time.process_time() - started, sep="|")
part("import numpy", "import numpy")
part("import cost_models", "import cost_models")
part("from hwgen import DotProduct, and a spec",
     "from hwgen import DotProduct; spec = DotProduct(a='e4m3', b='int5', lanes=17)")
part("the first answer", "cost_models.estimate(spec, 'ecp5')")
"""
LINE = ["cost", "dot", "--a", "e4m3", "--b", "int5", "--lanes", "17"]


def tell(what: str, seconds: float) -> None:
    """Print a row."""
    unit, scale = ("ms", 1e3) if seconds > 1e-3 else ("µs", 1e6)
    print(f"{what:64} {scale * seconds:8.1f} {unit}", flush=True)


def used(work: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def starts() -> None:
    """From nothing to the first answer, and the command line."""
    least: dict[str, float] = {}
    for _ in range(RUNS):
        printed = subprocess.run(
            [sys.executable, "-c", START], capture_output=True, text=True, check=True
        ).stdout
        for name, seconds in (line.split("|") for line in printed.splitlines()):
            least[name] = min(least.get(name, 1e9), float(seconds))
    for name, line in (("hwgen cost", LINE), ("hwgen --version", ["--version"])):
        code = f"from hwgen.__main__ import main; import sys; sys.argv = ['hwgen', *{line}]"
        code += "; import atexit, time; atexit.register(lambda: print(time.process_time(),"
        code += " file=sys.stderr)); main()"
        for _ in range(RUNS):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            least[name] = min(least.get(name, 1e9), float(done.stderr.splitlines()[-1]))
    for name, seconds in least.items():
        tell(name, seconds)


def answers() -> None:
    """One design, many in a list, and a grid."""
    count = 200
    specs: list[DotProduct] = []

    def make() -> None:
        specs.extend(DotProduct(a="e3m3", b="int6", lanes=n) for n in range(1, count + 1))

    cost_models.estimate(DotProduct(a="int3", b="int6", lanes=5), "ecp5")
    tell("a spec, with its step plan", used(make) / count)
    for target in ("ecp5", "xc7"):
        every = used(lambda t=target: [cost_models.estimate(s, t) for s in specs])
        tell(f"estimate of a new spec, {target}", every / count)
        again = used(lambda t=target: [cost_models.estimate(s, t) for s in specs])
        tell(f"estimate of the same spec again, {target}", again / count)
    tell(
        "in a batch, what the model reads of a spec",
        used(lambda: [structure.read(s) for s in specs]) / count,
    )
    features = Features(specs)
    query.figures(features, "ecp5")
    for target in ("ecp5", "xc7"):
        seconds = used(lambda t=target: query.figures(features, t)) / count
        tell(f"in a batch, all figures of a spec that was read, {target}", seconds)


def energies() -> None:
    """Energy of new designs, with other operands, and again."""
    specs = [DotProduct(a="e4m3", b=b, lanes=n) for b in ("int5", "e2m1") for n in range(2, 22)]
    cost_models.energy(DotProduct(a="int3", b="int6", lanes=5), "ecp5")
    for what, target, operands in (
        ("of a new spec", "ecp5", "uniform"),
        ("of it on another target", "xc7", "uniform"),
        ("of it with other operands", "xc7", "gaussian:crest=4"),
        ("again", "xc7", "gaussian:crest=4"),
    ):
        seconds = used(lambda t=target, o=operands: [cost_models.energy(s, t, o) for s in specs])
        tell(f"energy {what}, {target}", seconds / len(specs))


def grid(lanes: int) -> None:
    """A grid as ``estimate_many`` takes it."""
    fields = {
        "unit": "dot",
        "a": ["int4", "int8", "e2m1", "e4m3"],
        "b": ["int4", "int8", "e2m1", "e4m3"],
        "lanes": range(1, lanes + 1),
    }
    targets = list(yosys_scripts.TARGETS)
    rows = len(cost_models.estimate_many({**fields, "lanes": [1]}, targets)) * lanes
    seconds = used(lambda: cost_models.estimate_many(fields, targets))
    tell(f"estimate_many, a row of a grid of {rows:,} ({len(targets)} targets)", seconds / rows)


def main() -> None:
    """Prints what, and the processor time."""
    starts()
    answers()
    energies()
    grid(int(sys.argv[1]) if len(sys.argv) > 1 else 64)


if __name__ == "__main__":
    main()

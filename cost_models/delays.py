"""The delay model of a target, fitted to placed units: ``hwgen/plan/delays.toml``.

``python -m cost_models.delays --target T`` places every unit of ``sampled`` that ``delays.jsonl``
lacks for a target, a line each as it ends, and then fits. ``--fit`` fits what is there, for all
targets; ``--check`` and ``--named`` place units for clocks that are asked of them. A sample is a
placed unit: between which registers how much time passed. Paths that nearly set the clock count in
the fit; others nobody made short. Of the first samples the paths from the ports were not timed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

import yosys_scripts
from hwgen import emit, records, store
from hwgen.arguments import Parser, mode, parsed, run_module
from hwgen.errors import InputError
from hwgen.files import write_text
from hwgen.formats import parse
from hwgen.pipelining import STATE, modelled, pipelined, timing_paths
from hwgen.plan import delay, logic
from hwgen.plan.delay import DelayModel, models
from hwgen.spec import (
    AccumulatorToFloat,
    BlockDot,
    Convert,
    DotProduct,
    LMul,
    MultiDot,
    Multiply,
    MultiplyAccumulate,
    Quantizer,
    Requantize,
    Spec,
    from_dict,
)
from hwgen.spec.base import require_scalar

#: Paths that take at least this part of the slowest path of their unit are fitted.
NEARLY = 0.75
#: Part of the held-out units that the stated error holds, and the margin.
COVERAGE, MARGIN_SHARE = 0.9, 0.8
#: Rounds after which the paths that set the clocks of samples without times of paths stay the same.
ROUNDS = 5

#: The target by whose delays the registers of the samples stand, and that the clocks of ``checked``
#: and ``named`` are for: samples of a target that has no model yet are tuned for it too.
REFERENCE = "ecp5"

FP16 = require_scalar("b", parse("fp16"))

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A placed unit: its period, and how long the paths between its registers take.

    ``timing_paths``: for each path the names of the steps on it, what it passes by the plan of that
    day, and the slowest arrival at its end, in ns; None where only the period is known, which one
    of the paths sets. ``ports_timed``: whether paths from the ports were among those that set the
    period, and are among ``timing_paths``.
    """

    spec: Spec
    target: str
    seed: int
    period_ns: float
    timing_paths: list[tuple[list[str], logic.Path, float | None]]
    tools: dict[str, str]
    ports_timed: bool = False


def sampled() -> Iterator[tuple[Spec, int]]:
    """Units to place for the fit, each with a seed: the most telling first."""
    dots = [
        *[("int8", "int8", 8, 6), ("e4m3", "e4m3", 4, 7), ("int4", "int4", 8, 5)],
        *[("e2m1", "e2m1", 8, 6), ("e4m3", "e4m3", 4, 12), ("int8", "int8", 4, 4)],
        *[("int4", "int4", 16, 7), ("e5m2", "e5m2", 4, 10), ("e3m2", "int6", 8, 7)],
        *[("e2m3", "e3m4", 4, 5), ("int6", "int6", 4, 8), ("e4m3", "int8", 4, 12)],
        *[("int2", "int8", 8, 5), ("e2m1", "int4", 4, 3), ("e2m1", "e2m1", 32, 9)],
        *[("int4", "int4", 32, 8), ("e4m3", "e4m3", 32, 10)],
    ]
    for seed, (a, b, lanes, stages) in enumerate(dots, 1):
        yield DotProduct(a=a, b=b, lanes=lanes, stages=stages, pipeline_target=REFERENCE), seed
    e4m3: dict[str, Any] = {"a": "e4m3", "b": "e4m3", "lanes": 4}
    few: dict[str, Any] = {"a": "e2m1_b8_e8m0", "b": "e2m1_b8_e8m0"}
    others: list[tuple[Spec, int]] = [
        (BlockDot(**few, output="bf16"), 16),
        (BlockDot(a="mxfp4", b="mxfp4", output="fp32"), 29),
        (BlockDot(**few, blocks=2, output="fp16"), 22),
        (Convert(a="fp16", b="e4m3fn"), 8),
        (Convert(a="fp32", b="bf16"), 6),
        (Multiply(a="e4m3", b="e4m3"), 5),
        (Multiply(a="fp16", b="fp16"), 8),
        (Multiply(a="int12", b="int12"), 4),
        (LMul(a="e4m3", b="e4m3"), 6),
        (Requantize(bits=24, scale="fp16", b="int8"), 12),
        (AccumulatorToFloat(bits=30, b=FP16), 9),
        (DotProduct(**e4m3, accumulator="fp16"), 14),
        (DotProduct(a="int8", b="int8", lanes=4, output="bf16"), 14),
        (MultiDot(formats="int8,int4,int2", lanes=4), 7),
        (MultiDot(formats="e4m3fn,e3m2", lanes=4), 10),
        (Quantizer(a="fp16", b="e2m1_b8_e8m0"), 16),
        (Quantizer(a="bf16", b="int4_b8_e8m0"), 10),
    ]
    for seed, (spec, stages) in enumerate(others, 1):
        fields = {**spec.to_dict(), "stages": stages, "pipeline_target": REFERENCE}
        yield from_dict(fields), seed


def measure(spec: Spec, target: str, seed: int) -> Sample:
    """Place a unit and sort its registers by the path that they end.

    InputError, ToolError as ``yosys_scripts.timing``.
    """
    report = yosys_scripts.timing(emit.rtlil(spec), spec.name, target=target, seed=seed)
    return Sample(
        spec=spec,
        target=target,
        seed=seed,
        period_ns=round(1000 / report.fmax_mhz, 3),
        timing_paths=by_path(spec, report.arrivals_ns),
        tools=report.tools,
        ports_timed=True,
    )


def by_path(
    spec: Spec, arrivals_ns: dict[str, float]
) -> list[tuple[list[str], logic.Path, float | None]]:
    """Of each path to a register its steps' names, itself, and the slowest arrival there, in ns.

    ``arrivals_ns``: by the name of the register, which tells the path that it ends.
    """
    all_paths = timing_paths(spec)
    ends = [path.end for path in all_paths]
    last = ends[-1]
    slowest: dict[str, float] = {}
    for register, ns in arrivals_ns.items():
        if register.startswith("valid_"):  # Of no step's logic.
            continue
        matching = [end for end in ends if register.startswith(f"{end}_")]
        end = max(matching, key=len, default=last)
        if STATE in ends and register.startswith(("running", "accumulate_beside")):
            end = STATE
        slowest[end] = round(max(slowest.get(end, 0.0), ns), 3)
    return [
        ([step.name for step in path.steps], path.path, slowest[path.end])
        for path in all_paths
        if path.end in slowest
    ]


def _sample(row: store.Row) -> Sample:
    records.require(row, {"target": str, "seed": int, "period_ns": (int, float), "tools": dict})
    paths = [(names, logic.Path(**passed), ns) for names, passed, ns in row["timing_paths"]]
    return Sample(**{**row, "spec": from_dict(row["spec"]), "timing_paths": paths})


def _key(row: store.Row) -> str:
    """The key of a sample: a digest of what was placed, and not of its hardware.

    What was measured between two registers stays true of what the path passes, which is kept.
    """
    return store.digest(from_dict(row["spec"]).to_dict(), row["target"], row["seed"])


KIND = store.Kind("delay sample", _sample, key=_key, ships="cost_models/delays.jsonl")


def shipped() -> list[Sample]:
    """The samples that come with the package."""
    return list(KIND.shipped.values())


def fit(samples: Sequence[Sample], target: str) -> DelayModel:
    """The model of a target, its errors those on units that were left out of the fit.

    Weights are the non-negative least squares of relative errors, and its errors are those of
    leave-one-out cross-validation: ``error`` the ``COVERAGE`` quantile of their magnitudes,
    ``margin`` the ``MARGIN_SHARE`` quantile of how much too short a predicted period was.
    """
    units = [_Unit.of(s) for s in samples if s.target == target]
    errors = []
    for index, unit in enumerate(units):
        weights = _weights([*units[:index], *units[index + 1 :]])
        errors.append(unit.period_ns / unit.predicted(weights) - 1)
    fitted = [round(float(w), 4) for w in _weights(units)]
    register, lut, chain, bit, lut_size, chain_size = fitted
    tools = next(s.tools for s in samples if s.target == target)
    before = models().get(target)
    return DelayModel(
        register_ns=register,
        lut_ns=lut,
        chain_ns=chain,
        chain_bit_ns=bit,
        lut_size_ns=lut_size,
        chain_size_ns=chain_size,
        usual_mhz=_usual_mhz(fitted) if before is None else before.usual_mhz,
        error=round(float(np.quantile(np.abs(errors), COVERAGE)), 3),
        margin=round(max(float(np.quantile(errors, MARGIN_SHARE)), 0.0), 3),
        margin_share=MARGIN_SHARE,
        samples=len(units),
        tools=", ".join(f"{tool} {version}" for tool, version in tools.items()),
    )


def _usual_mhz(weights: Sequence[float]) -> int:
    """The usual clock of a target that has none yet: of five LUTs in a unit of 64 input bits.

    To tens of MHz. It may be changed in the file: the next fit keeps it.
    """
    register, lut, _, _, lut_size, _ = weights
    return max(round(100 / (register + 5 * (lut + 6 * lut_size))) * 10, 10)


@dataclass(frozen=True)
class _Unit:
    """A placed unit as the fit sees it.

    ``rows``: features, (paths, features); ``paths_ns``: (paths,), where they were measured;
    ``period_ns``: of the whole unit.
    """

    rows: Array
    paths_ns: Array | None
    period_ns: float

    @staticmethod
    def of(sample: Sample) -> _Unit:
        rows = _rows(sample.spec, [path for _, path, _ in sample.timing_paths])
        times = [ns for _, _, ns in sample.timing_paths if ns is not None]
        return _Unit(rows, np.array(times) if times else None, sample.period_ns)

    def predicted(self, weights: Array) -> float:
        return float(np.max(self.rows @ weights))

    def to_fit(self, weights: Array | None) -> tuple[Array, Array]:
        """Rows and times that count in the fit.

        They are the measured paths that nearly set the clock, or the path that does by the
        ``weights`` of the round before.
        """
        if self.paths_ns is not None:
            near = self.paths_ns >= NEARLY * self.paths_ns.max()
            return self.rows[near], self.paths_ns[near]
        if weights is None:
            return self.rows[:0], np.array([])
        slowest = [int(np.argmax(self.rows @ weights))]
        return self.rows[slowest], np.array([self.period_ns])


def _rows(spec: Spec, paths: Sequence[logic.Path]) -> Array:
    bits = spec.input_bits
    return np.array([[1.0, *delay.features(path, bits)] for path in paths])


def _weights(units: Sequence[_Unit]) -> Array:
    """The weights of the features, not negative, with the least relative errors.

    A few rounds, for units of which only Fmax is known.
    """
    weights: Array | None = None
    for _ in range(ROUNDS):
        rows, times = zip(*(unit.to_fit(weights) for unit in units), strict=True)
        matrix, times_ns = np.concatenate(rows), np.concatenate(times)
        weights, _ = nnls(matrix / times_ns[:, None], np.ones(len(times_ns)))
    assert weights is not None
    return weights


def report(samples: Sequence[Sample]) -> str:
    """The text of ``hwgen/plan/delays.toml``."""
    lines = [
        "# What logic takes on each target, in ns: see hwgen/plan/delay.py.",
        "# Made by: python -m cost_models.delays --fit",
    ]
    for target in dict.fromkeys(s.target for s in samples):
        lines += ["", f"[{target}]"]
        for name, value in asdict(fit(samples, target)).items():
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def extend(target: str) -> None:
    """Place what the samples of a target lack, and write each as it ends.

    Those for which its devices are too small are left out.
    """
    samples = store.Lines(KIND, Path(str(resources.files("cost_models").joinpath("delays.jsonl"))))
    for spec, seed in sampled():
        fields = {"spec": spec.to_dict(), "target": target, "seed": seed}
        if samples.find(_key(fields)) is not None:
            continue
        try:
            sample = measure(spec, target, seed)
        except yosys_scripts.TooLarge as reason:
            print(f"{spec.name}: {reason}", file=sys.stderr, flush=True)
            continue
        samples.add(dict(sorted({**asdict(sample), **fields}.items())))
        print(f"{spec.name}: {1000 / sample.period_ns:.1f} MHz", file=sys.stderr, flush=True)


def checked() -> Iterator[tuple[Spec, float]]:
    """Units and the clocks that are asked of them; none of them is a sample."""
    for a, b, lanes, fmax_mhz in [
        *[("int8", "int8", 16, 100), ("int8", "int8", 6, 150), ("int8", "int8", 12, 175)],
        *[("int4", "int4", 12, 150), ("int4", "int4", 24, 190), ("e2m1", "e2m1", 16, 150)],
        *[("e2m1", "e2m1", 20, 190), ("e2m1", "int4", 16, 170), ("e4m3", "e4m3", 6, 125)],
        *[("e4m3", "e4m3", 8, 160), ("e3m2", "e3m2", 10, 140), ("int6", "e2m3", 8, 160)],
    ]:
        yield DotProduct(a=a, b=b, lanes=lanes), fmax_mhz
    yield Multiply(a="e4m3", b="int8"), 170
    yield Multiply(a="int9", b="int10"), 140
    yield Convert(a="bf16", b="e5m2"), 120
    yield BlockDot(a="nvfp4", b="nvfp4", output="bf16"), 150
    yield BlockDot(a="mxint8", b="mxfp4", output="fp32"), 180
    yield DotProduct(a="int4", b="e2m1", lanes=8, output="fp16"), 160
    yield MultiDot(formats="int8,int4", lanes=8), 150
    yield Quantizer(a="bf16", b="e2m1_b16_e8m0"), 120


def named() -> Iterator[tuple[Spec, float]]:
    """Dot products of 32 lanes, and the clocks that are asked of them."""
    yield BlockDot(a="mxfp4", b="mxfp4", output="fp32"), 230
    for name, fmax_mhz in [("int8", 200), ("int4", 200), ("e2m1", 200), ("e4m3", 170)]:
        yield DotProduct(a=name, b=name, lanes=32), fmax_mhz


def interleaved() -> Iterator[tuple[Spec, float]]:
    """Products that are added to a float: to partial sums, for 200 MHz placed, and to one sum."""
    for a, to, partial_sums, fmax_mhz in [
        *[("e4m3", "fp32", 19, 200), ("e5m2", "e5m2", 15, 200), ("e4m3", "fp16", 17, 200)],
        *[("int8", "fp32", 19, 200), ("bf16", "fp32", 19, 200)],
        *[("e4m3", "fp32", 1, 24), ("e5m2", "e5m2", 1, 32), ("e4m3", "fp16", 1, 27)],
        *[("int8", "fp32", 1, 24), ("bf16", "fp32", 1, 23)],
    ]:
        accumulator = f"{to}:interleave:{partial_sums}"
        yield MultiplyAccumulate(a=a, b=a, accumulator=accumulator), fmax_mhz


def _called(spec: Spec) -> str:
    fields = spec.to_dict()
    formats = [fields[name] for name in ("formats", "a", "b") if name in fields]
    output = f" to {fields['output']}" if fields.get("output") else ""
    lanes = f", {count} lanes" if (count := getattr(spec, "lanes", None)) else ""
    if spec.rounds_in_loop:
        output = f" to {fields['accumulator']}"
    return f"{spec.unit} {' × '.join(formats)}{output}{lanes}"


def scale(target: str) -> float:
    """How fast a target is, as a multiple of ``REFERENCE``.

    By a carry chain of 24 bits, an accumulator's, in a unit of 64 input bits.
    """
    path = logic.Path(chains=1, chain_bits=24)
    reference_ns, target_ns = (
        m.register_ns + m.price_fs(path, 64) / 1e6 for m in map(delay.model, (REFERENCE, target))
    )
    return reference_ns / target_ns


def check(
    units: Iterable[tuple[Spec, float]], target: str, seeds: Sequence[int] = (11, 12, 13)
) -> Iterator[str]:
    """Lines of Markdown: a table with a row a unit, and what came of it.

    ``units``: each with the clock that is asked of it on ``REFERENCE``, in MHz, here scaled to
    the ``target`` and to a multiple of 1 MHz. A row has what was asked, chosen, modelled, and
    placed (the median of the ``seeds``).
    """
    yield (
        f"| unit | asked MHz | stages | modelled MHz | placed MHz, median of {len(seeds)} seeds | "
        "range | LUT | registers |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    reached, ratios, refused = 0, [], []
    for spec, reference_mhz in units:
        fmax_mhz = round(reference_mhz * scale(target))
        try:
            unit = pipelined(spec, fmax_mhz=fmax_mhz, target=target)
            runs = yosys_scripts.timings(emit.rtlil(unit), unit.name, target=target, seeds=seeds)
        except (InputError, yosys_scripts.TooLarge) as reason:
            yield f"| {_called(spec)} | {fmax_mhz:g} |{' – |' * 6}"
            refused.append(f"{_called(spec)}: {reason}.")
            continue
        placed = [run.fmax_mhz for run in runs]
        median = float(np.median(placed))
        clock = modelled(unit).fmax_mhz
        reached += median >= fmax_mhz
        ratios.append(abs(clock / median - 1))
        cells = [
            *(_called(spec), f"{fmax_mhz:g}"),
            *(f"{unit.stages}", f"{clock:.0f}", f"{median:.0f}"),
            *(f"{min(placed):.0f} to {max(placed):.0f}", f"{runs[0].lut}", f"{runs[0].ff}"),
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield (
        f"{reached} of {len(ratios)} reach what was asked; the model's Fmax is off by "
        f"{np.median(ratios):.0%} (median), {max(ratios):.0%} (most)."
    )
    yield from refused


def main(arguments: Sequence[str]) -> None:
    """Places what is lacking, unless told ``--fit``; then fits and writes the models.

    With ``--check``, ``--named`` or ``--interleaved``: places units for clocks that are asked, and
    prints what they reach.
    """
    parser = Parser(prog="python -m cost_models.delays", description=main.__doc__)
    parser.add_argument("--target", default=REFERENCE, metavar="NAME", help="FPGA family")
    for name in ("fit", "check", "named", "interleaved"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.modes = (
        mode("--fit", lambda given: "fit" in given, "fit"),
        mode("--check", lambda given: "check" in given, "check", "target"),
        mode("--named", lambda given: "named" in given, "named", "target"),
        mode("--interleaved", lambda given: "interleaved" in given, "interleaved", "target"),
        mode("new samples", lambda given: True, "target"),
    )
    given = parsed(parser, arguments)
    if given.check or given.named or given.interleaved:
        units = (checked(), (11, 12, 13)) if given.check else (named(), range(1, 6))
        units = (interleaved(), range(1, 6)) if given.interleaved else units
        for line in check(units[0], given.target, units[1]):
            print(line, flush=True)
        return
    if not given.fit:
        extend(given.target)
    file = resources.files("hwgen.plan").joinpath(delay.FILE)
    write_text(Path(str(file)), report(shipped()))


if __name__ == "__main__":
    sys.exit(run_module(main))

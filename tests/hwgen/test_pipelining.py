"""Units for a clock: fewest stages, honest errors, right results; the model behind them."""

import dataclasses
import itertools
from importlib import resources

import numpy as np
import pytest

import yosys_scripts
from cost_models import delays
from hwgen import (
    Array,
    BlockDot,
    Convert,
    DotProduct,
    FixedDot,
    InputError,
    LMul,
    MultiDot,
    Multiply,
    Quantizer,
    Requantize,
    SumSquares,
    emit,
    pipelined,
)
from hwgen.cli import main
from hwgen.pipelining import STATE, modelled, timing_paths
from hwgen.plan import delay
from hwgen.plan.registers import register_places
from hwgen.spec import AccumulatorToFloat, MultiplyAccumulate, from_dict
from sim.batch import verify_batch

DOT = DotProduct(a="int8", b="int8", lanes=6, stages=4)


def test_the_shipped_model_is_the_fit_of_the_shipped_samples():
    text = resources.files("hwgen.plan").joinpath(delay.FILE).read_text("utf-8")
    assert delays.report(delays.shipped()) == text


def test_the_fit_finds_an_exact_law():
    """Samples made of known weights give these weights, and no error."""
    truth = np.array([1.5, 0.7, 1.4, 0.03, 0.02, 0.01])
    samples = []
    for sample in (s for s in delays.shipped() if s.timing_paths[0][2] is not None):
        rows = delays._Unit.of(sample).rows @ truth
        timed = zip(sample.timing_paths, rows, strict=True)
        made = [(names, path, ns) for (names, path, _), ns in timed]
        samples.append(
            dataclasses.replace(sample, timing_paths=made, period_ns=max(rows), target="none")
        )
    fitted = delays.fit(samples, "none")
    weights = (fitted.register_ns, fitted.lut_ns, fitted.chain_ns, fitted.chain_bit_ns)
    assert weights == pytest.approx(truth[:4], abs=2e-3)
    assert fitted.error < 1e-3 and fitted.margin < 1e-3


def test_samples_that_are_wrong_are_noticed():
    """Each unit's times times a factor from 0.6 to 1.4, as a fault in the measurement has it.

    The stated errors, those of units that were left out of the fit, are no longer small.
    """
    rng = np.random.default_rng(5)
    wrong = []
    for sample in delays.shipped():
        factor = rng.uniform(0.6, 1.4)
        times = [(n, path, ns and ns * factor) for n, path, ns in sample.timing_paths]
        wrong.append(
            dataclasses.replace(sample, timing_paths=times, period_ns=sample.period_ns * factor)
        )
    for target, model in delay.models().items():
        assert 0.05 < model.error < 0.25 < 0.4 < delays.fit(wrong, target).error
        assert 0 <= model.margin < model.error


@pytest.mark.parametrize(
    ("spec", "fmax_mhz", "target"),
    [
        (Multiply(a="int9", b="int10"), 140, "ecp5"),
        (Convert(a="bf16", b="e5m2"), 120, "ecp5"),
        (Convert(a="bf16", b="e5m2"), 40, "ice40"),
    ],
)
def test_units_that_are_no_samples_reach_what_is_modelled(spec, fmax_mhz, target):
    tuned = pipelined(spec, fmax_mhz=fmax_mhz, target=target)
    assert (spec.a, spec.b) not in {
        (s.spec.a, s.spec.b) for s in delays.shipped() if s.spec.unit == spec.unit
    }
    placed = yosys_scripts.timing(emit.rtlil(tuned), tuned.name, target=target, seed=11)
    assert placed.fmax_mhz >= fmax_mhz
    error = delay.model(target).error
    assert placed.fmax_mhz == pytest.approx(modelled(tuned).fmax_mhz, rel=error)


def test_units_that_are_tuned_for_no_target_do_not_know_the_models(monkeypatch):
    tuned = dataclasses.replace(DOT, stages=5, pipeline_target="ecp5")
    before = [emit.rtlil(spec) for spec in (DOT, tuned)]
    odd = dataclasses.replace(delay.model("ecp5"), lut_ns=5.0, chain_ns=0.1, chain_bit_ns=0.0)
    monkeypatch.setattr(delay, "models", lambda: {"ecp5": odd})
    # Others, as a spec works its boundaries out once.
    after = [emit.rtlil(dataclasses.replace(spec)) for spec in (DOT, tuned)]
    assert before[0] == after[0] and before[1] != after[1]


WEIGHTS = {"dataflow": "weight_stationary"}
SPECS = [
    DOT,
    DotProduct(a="e4m3", b="e5m2", lanes=8, accumulator="fp32"),
    DotProduct(a="e2m1", b="int4", lanes=5, output="bf16"),
    BlockDot(a="mxfp4", b="mxfp8_e4m3", output="fp32"),
    Multiply(a="fp16", b="int7"),
    Convert(a="fp16", b="e4m3fn"),
    LMul(a="e4m3", b="e4m3"),
    Requantize(bits=20, scale="e4m3fn", b="int8"),
    AccumulatorToFloat(bits=20, b="bf16"),
    MultiplyAccumulate(a="e4m3", b="e4m3", accumulator="bf16"),
    FixedDot(a="int8", b="int8", weights="3,-77,0,64,-128,127"),
    FixedDot(a="e4m3fn", b="e2m1", weights="3,-6,0.5", output="fp16"),
    SumSquares(a="int8", lanes=6),
    SumSquares(a="e4m3", lanes=3, output="bf16"),
    MultiDot(formats="int8,int4", lanes=2),
    MultiDot(formats="e4m3fn,e2m1", lanes=2, output="fp16"),
    Quantizer(a="fp16", b="e2m1_b4_e8m0"),
    Quantizer(a="bf16", b="e2m1_b2_ue4m3"),
    BlockDot(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", output="fp16", blocks=3),
    BlockDot(a="mxfp4", b="mxfp4", output="bf16", blocks=2, accumulator="aligned:24"),
    Array(a="int8", b="int8", rows=2, columns=2, lanes=2, movement="systolic"),
    Array(a="e4m3fn", b="e4m3fn", rows=2, columns=1, lanes=2, **WEIGHTS, accumulator="fp16"),
    Array(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", rows=2, columns=2, blocks=2, output="fp16"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_faster_clock_never_takes_fewer_stages(spec):
    margin = delay.model("ecp5").margin
    fmax_mhz, before = 5.0, 0
    while True:
        try:
            tuned = pipelined(spec, fmax_mhz=fmax_mhz, target="ecp5")
        except InputError as error:
            assert "the most is" in str(error) and "bounds" in str(error)
            break
        assert tuned.stages >= before and tuned.pipeline_target == "ecp5"
        assert modelled(tuned).fmax_mhz >= fmax_mhz * (1 + margin) - 1e-6
        if before and tuned.stages > before:
            # One less would not do.
            fewer = from_dict({**tuned.to_dict(), "stages": tuned.stages - 1})
            assert modelled(fewer).fmax_mhz < fmax_mhz * (1 + margin)
        before, fmax_mhz = tuned.stages, fmax_mhz * 1.07
    assert before > 1


def test_what_is_named_as_the_most_can_be_had():
    with pytest.raises(InputError, match="the most is") as error:
        pipelined(DOT, fmax_mhz=1000, target="ecp5")
    most = int(str(error.value).partition("the most is ")[2].split()[0])
    pipelined(DOT, fmax_mhz=most, target="ecp5")
    with pytest.raises(InputError, match=f"the most is {most} MHz"):
        pipelined(DOT, fmax_mhz=most + 1, target="ecp5")


@pytest.mark.parametrize(
    ("fmax_mhz", "target", "words"),
    [
        (0, "ecp5", "MHz above zero"),
        (-5.0, "ecp5", "MHz above zero"),
        (float("nan"), "ecp5", "MHz above zero"),
        (float("inf"), "ecp5", "MHz above zero"),
        (True, "ecp5", "MHz above zero"),
        ("fast", "ecp5", "MHz above zero"),
        (100, "xc7", "no delay model for target 'xc7', only for ecp5"),
        (100, "xc8", "no delay model for target 'xc8'"),
    ],
)
def test_bad_clocks(fmax_mhz, target, words):
    with pytest.raises(InputError, match=words):
        pipelined(DOT, fmax_mhz=fmax_mhz, target=target)


def test_no_model_of_dsp_blocks():
    with pytest.raises(InputError, match="mapping='dsp', pipeline_target='ecp5'"):
        pipelined(dataclasses.replace(DOT, mapping="dsp"), fmax_mhz=50, target="ecp5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fmax-mhz", "100", "--stages", "0"], "leave out --stages"),
        (["--fmax-mhz", "100", "--pipeline-target", "ecp5"], "leave out --pipeline-target"),
        (["--fmax-mhz", "100", "--target", "xcup"], "no delay model for target 'xcup'"),
        (["--fmax-mhz", "900"], "no number of stages of this dot reaches it on ecp5"),
        (["--fmax-mhz", "x"], "'x': use a number above 0"),
        (["--target", "ecp5"], "unless --fmax-mhz"),
        (
            ["--pipeline-target", "ecp5", "--stages", "99"],
            "stages=99: use a whole number from 1 to",
        ),
        (["--pipeline-target", "xc7"], "no delay model for target 'xc7'"),
    ],
)
def test_bad_options_are_one_line(capsys, monkeypatch, tmp_path, options, words):
    monkeypatch.chdir(tmp_path)
    unit = ["dot", "--a", "int8", "--b", "int8", "--lanes", "6"]
    assert main(["generate", *unit, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err and captured.err.count("\n") == 1


LOOPS = [
    MultiplyAccumulate(a="e2m1", b="e2m1", accumulator="fp16"),
    Array(a="mxfp4", b="mxfp4", rows=2, columns=2, accumulator="fp32"),
    MultiDot(formats="int8,int4", lanes=4),
]


@pytest.mark.parametrize("spec", LOOPS, ids=lambda spec: spec.unit)
def test_a_running_sum_bounds_the_clock(spec):
    """Nothing can stand in its loop; what is named as the most can be had."""
    with pytest.raises(InputError, match="which the step 'accumulate' bounds") as error:
        pipelined(spec, fmax_mhz=400, target="ecp5")
    most = int(str(error.value).partition("the most is ")[2].split()[0])
    tuned = pipelined(spec, fmax_mhz=most, target="ecp5")
    assert modelled(tuned).fmax_mhz >= most
    assert "accumulate" in [
        step.name for path in timing_paths(tuned) if path.end == STATE for step in path.steps
    ]


def test_weights_stay_in_registers_of_their_own():
    spec = Array(a="int4", b="int4", rows=2, columns=2, lanes=2, **WEIGHTS)
    tuned = pipelined(spec, fmax_mhz=150, target="ecp5")
    assert tuned.state_step == [step.name for step in tuned.steps].index("weights")
    assert {path.end for path in timing_paths(tuned)} >= {"accumulate"} or tuned.stages == 2


def test_a_block_dot_product_has_places_in_its_rounding():
    """Of a unit that is not tuned, these are two steps."""
    spec = BlockDot(a="mxfp4", b="mxfp4", output="fp32", stages=6)
    assert [step.name for step in spec.steps][-2:] == ["normalise", "round"]
    slow = modelled(dataclasses.replace(spec, pipeline_target="ecp5", stages=3)).fmax_mhz
    fast = pipelined(spec, fmax_mhz=200, target="ecp5")
    assert modelled(fast).fmax_mhz >= 200 > 3 * slow
    names = [step.name for step in fast.steps]
    assert sum(name.startswith("normalise_") for name in names) > 8
    assert sum(name.startswith("round_") for name in names) > 3


def test_generate_says_what_it_chose(capsys, tmp_path):
    unit = ["dot", "--a", "int8", "--b", "int8", "--lanes", "6", "--out", str(tmp_path)]
    assert main(["generate", *unit, "--fmax-mhz", "150"]) == 0
    tuned = pipelined(DOT, fmax_mhz=150, target="ecp5")
    out = capsys.readouterr().out
    assert f"latency {tuned.latency} cycles" in out
    assert f"{tuned.latency} stages, tuned for ecp5: " in out and "bounds it" in out
    # The command in the header makes the same file again.
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    (command,) = (line for line in text.splitlines() if "Made by: " in line)
    again = command.partition("Made by: hwgen ")[2].split()
    assert main([*again, "--out", str(tmp_path)]) == 0 and file.read_text() == text


def test_all_stages_that_a_tuned_unit_can_have():
    for spec in SPECS:
        tuned = dataclasses.replace(spec, pipeline_target="ecp5", stages=3)
        most = tuned.most_stages
        full = dataclasses.replace(tuned, stages=most)
        places = len(full.steps)
        # Registers that hold something have no place in front of what follows.
        assert len(timing_paths(full)) == places if full.state_step is None else places + 1
        with pytest.raises(InputError, match=f"from . to {most}"):
            dataclasses.replace(tuned, stages=most + 1)


def test_tuned_units_are_right():
    """Many places of registers in products of every kind of factors."""
    pairs = [("int5", "int8"), ("uint3", "int5"), ("e4m3fn", "e3m2")]
    rng = np.random.default_rng(2)
    specs = []
    for a, b in pairs:
        product, dot = Multiply(a=a, b=b), DotProduct(a=a, b=b, lanes=2)
        for unit, full in ((product, True), (dot, False)):
            most = dataclasses.replace(unit, pipeline_target="ecp5").most_stages
            stages = most if full else int(rng.integers(2, most))
            specs.append(dataclasses.replace(unit, pipeline_target="ecp5", stages=stages))
    outcome = verify_batch(specs, vectors=300)
    assert outcome.passed, outcome.shown


ROUNDED = [
    DotProduct(a="e4m3", b="e2m1", lanes=2, accumulator="fp16"),
    DotProduct(a="e2m1", b="int4", lanes=5, output="bf16"),
    BlockDot(a="e2m1_b4_e8m0", b="e4m3_b4_ue4m3", output="fp16", rounding="stochastic"),
    Convert(a="fp16", b="e4m3fn"),
    Convert(a="fp16", b="int8", rounding="up"),
    Convert(a="bf16", b="ue4m3", rounding="stochastic"),
    LMul(a="e4m3", b="e4m3"),
    Requantize(bits=20, scale="e4m3fn", b="int8"),
    AccumulatorToFloat(bits=20, b="e4m3fnuz"),
]
SHARED = [
    MultiDot(formats="int8,uint3", lanes=3, output="int8"),
    MultiDot(formats="e4m3fn,e3m2", lanes=2, output="bf16"),
    Quantizer(a="fp16", b="e2m1_b4_e8m0"),
    Quantizer(a="bf16", b="e2m1_b2_ue4m3", nonfinite="scale"),
    Quantizer(a="int8", b="int4_b4_e8m0_m2x1", rounding="stochastic", random="lfsr"),
    BlockDot(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", output="fp16", blocks=3),
    BlockDot(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", output="bf16", blocks=2, accumulator="aligned:24"),
    # Of one block no shift is the largest.
    BlockDot(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", output="bf16", accumulator="aligned:7"),
    Array(a="int8", b="int8", rows=2, columns=2, lanes=2, movement="systolic"),
    Array(a="e4m3", b="e4m3", rows=2, columns=2, lanes=2, **WEIGHTS, output="bf16"),
    Array(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", rows=2, columns=1, accumulator="fp16"),
]


@pytest.mark.parametrize("specs", [ROUNDED, SHARED], ids=["rounded", "shared"])
def test_units_in_parts_are_right(specs):
    """With registers at every place, and at some."""
    rng = np.random.default_rng(3)
    tuned = []
    for index, spec in enumerate(specs):
        most = dataclasses.replace(spec, pipeline_target="ecp5", stages=3).most_stages
        stages = most if index % 2 else int(rng.integers(3, most))
        tuned.append(dataclasses.replace(spec, pipeline_target="ecp5", stages=stages))
    outcome = verify_batch(tuned, vectors=300)
    assert outcome.passed, outcome.shown


@pytest.mark.parametrize(
    ("target", "clock_way_ns"), [("ecp5", (0, 0)), ("ice40", (0, 0.2)), ("nexus", (1, 4))]
)
def test_arrivals_are_sorted_by_the_paths_that_end_there(target, clock_way_ns):
    """The slowest is the period, but for the clock's own path: none on ECP5, which has no pins."""
    spec = DotProduct(
        a="int4", b="int4", lanes=4, stages=most_stages_of_int4(), pipeline_target="ecp5"
    )
    timing = yosys_scripts.timing(emit.rtlil(spec), spec.name, target=target)
    sample = dict((names[-1], ns) for names, _, ns in delays.by_path(spec, timing.arrivals_ns))
    period = pytest.approx(1000 / timing.fmax_mhz, abs=0.001)
    least, most = clock_way_ns
    assert least - 0.002 < timing.clock_way_ns < most + 0.002
    # The sum of rows has a carry chain, a decoder of integers has nothing: it is no path.
    assert {"rows", "row_sums1", "level1", "level2", "accumulate"} <= set(sample)
    assert max(sample.values()) == period
    assert sample["accumulate"] > sample["level1"] > sample["operands"]
    assert [path.end for path in timing_paths(spec)][-1] == STATE


def test_arrivals_need_a_placer():
    spec = DotProduct(a="int4", b="int4", lanes=4)
    with pytest.raises(InputError, match="not placed"):
        yosys_scripts.timing(emit.rtlil(spec), spec.name, target="xc7")


def most_stages_of_int4():
    return DotProduct(a="int4", b="int4", lanes=4, stages=2, pipeline_target="ecp5").most_stages


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_what_steps_take_is_counted_in_whole_numbers(spec):
    """Sums of floats differ with their order, and since Python 3.12 from those of ``sum``."""
    for pipeline_target in ("", "ecp5"):
        unit = dataclasses.replace(spec, pipeline_target=pipeline_target, stages=3)
        assert {type(taken) for taken in unit.step_delays} == {int}


def test_registers_stand_where_the_longest_path_is_shortest():
    """By trying all places. Tenths, of which many paths have the same sum, but not as floats."""
    rng = np.random.default_rng(12)
    assert sum([0.7, 0.1, 0.3]) != 0.7 + (0.1 + 0.3)
    for _ in range(200):
        tenths = [int(n) for n in rng.integers(0, 8, 7)]
        delays = [delay.millionths(n / 10) for n in tenths]
        count = int(rng.integers(0, 7))
        given = tuple(rng.permutation(range(1, 7))[: int(rng.integers(0, 2))].tolist())

        def longest(boundaries, tenths=tenths, given=given):
            ends = sorted({0, len(tenths), *boundaries, *given})
            return max(sum(tenths[i:j]) for i, j in itertools.pairwise(ends))

        free = [place for place in range(7) if place not in given]
        best = min(map(longest, itertools.combinations(free, min(count, len(free)))))
        boundaries = register_places(delays, count, given)
        assert longest(boundaries) == best and len(boundaries) <= count


@pytest.mark.parametrize(("asked_mhz", "fast"), [(20, False), (60, True)])
def test_a_clock_that_the_small_loop_does_not_reach_takes_the_fast_one(asked_mhz, fast):
    small = MultiplyAccumulate(a="e4m3", b="e4m3", accumulator="fp16")
    tuned = pipelined(small, fmax_mhz=asked_mhz, target="ecp5")
    assert tuned.accumulator.fast is fast
    assert modelled(tuned).fmax_mhz >= asked_mhz


def test_a_clock_that_no_loop_reaches_is_an_error():
    with pytest.raises(InputError, match="'accumulate' bounds"):
        pipelined(
            MultiplyAccumulate(a="e4m3", b="e4m3", accumulator="fp16"), fmax_mhz=300, target="ecp5"
        )
    # BF16's range is too wide for a fast one.
    with pytest.raises(InputError, match="no number of stages"):
        pipelined(
            MultiplyAccumulate(a="bf16", b="bf16", accumulator="bf16"), fmax_mhz=60, target="ecp5"
        )

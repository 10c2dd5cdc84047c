"""Malformed calls of everything public that makes or uses a format or a spec.

    python tests/fuzz/constructors.py --calls 5000 --seed 1

A call starts from arguments that are right; one to three of them are replaced by nonsense, or
left out, or joined by one that is unknown. Allowed are an InputError, a TypeError for what was left
out or is unknown, and, where nonsense made sense after all, an object that works: its repr
evaluates to it, its name parses to it, it can be hashed and pickled, its codes decode, and a
sample of the specs is made into hardware. Everything else is a fault: another exception, a call of
more than ten seconds, an object that fails later.
"""

from __future__ import annotations

import argparse
import collections
import pickle
import random
import re
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from amaranth.back import rtlil

import hwgen
from hwgen import InputError, accumulator, formats
from hwgen.formats import BlockFormat, Scalar, block, block_codes, theory, transforms
from hwgen.spec import UNITS, Spec, fixeddot, fixedmatrix, from_dict, multidot
from optimizer import data, explore
from optimizer.data import ImageData
from optimizer.workloads import fashion_mnist
from sim.random_specs import examples
from sim.verification import verify

SECONDS = 10
#: What Python says of arguments that are left out or unknown, and of nothing further in.
OF_THE_SIGNATURE = re.compile(r"missing (\d+|a) required|unexpected keyword argument")
#: One in so many accepted specs is made into hardware, if it is small.
ELABORATED = 8

INT8, E4M3, MXFP4 = (hwgen.parse(name) for name in ("int8", "e4m3fn", "mxfp4"))
NVFP4 = formats.parse("nvfp4")
CODES = NVFP4.encode(np.ones(16))

NONSENSE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 7, 32, -1, -5, 2**31, 2**40, 10**30, -(10**30), 10**5000),
    *(0.0, 1.5, 2.0, -3.0, float("nan"), float("inf"), 1j, Fraction(1, 3), Decimal("NaN")),
    *("", "x", "int8", "e4m3", "fp32", "mxfp4", "up", "dsp", "special", "exact", "fixed:24", "no"),
    *("ecp5", "a" * 5000, "\x00", "é", "1", "int8\n", b"int8", bytearray(b"up")),
    *([], [1], ["up"], (), (1, 2), {}, {"unit": "mul"}, {1}, frozenset(), range(3), [[1], [1, 2]]),
    *(np.array([1, 2]), np.array(3), np.array("up"), np.array(["up"]), np.zeros((2, 0))),
    *(np.array([]), np.int64(4), np.uint8(3), np.float32(2), np.bool_(True), np.str_("int8")),
    *(np.datetime64("now"), 3, 4, 5, 8, 10, 16, "down", "nearest_even", "saturate", "bf16"),
    *(object(), object, int, len, NotImplemented, Ellipsis, np.float32, slice(2)),
    *(INT8, E4M3, MXFP4, accumulator.Exact(), accumulator.Fixed(24), CODES),
    *([1.0, 2**70], np.array([2**63], np.uint64), np.array([None, 1], object), "float128"),
)


@dataclass(frozen=True)
class Target:
    """A function, and arguments that it takes."""

    function: Callable[..., Any]
    arguments: dict[str, Any]


def _units() -> list[Target]:
    """Two specs of each unit, with all of their fields."""
    return [
        Target(type(spec), {k: v for k, v in spec.to_dict().items() if k != "unit"})
        for spec in examples(seed=1, count=2)
    ]


def targets() -> list[Target]:
    """What is called."""
    named = [*_types(), *_parsers(), *_codings(), *_flows(), *_theory(), *_optimizer()]
    units = _units()
    dicts = [Target(_from_dict, {"unit": t.function.unit, **t.arguments}) for t in units]
    return [*named, *units, *units, *dicts]


def _types() -> list[Target]:
    """Formats, accumulators, and what specs are made of."""
    block_fields = {
        name: getattr(CODES, name)
        for name in ("format", "shape", "axis", "elements", "scales", "tensor_scale")
    }
    return [
        Target(hwgen.Integer, {"bits": 8, "signed": True, "fraction_bits": 2}),
        Target(
            hwgen.Minifloat,
            {
                "exponent_bits": 4,
                "mantissa_bits": 3,
                "bias": 7,
                "signed": True,
                "specials": "fn",
                "subnormals": True,
                "zero": True,
            },
        ),
        Target(
            hwgen.Logarithmic, {"exponent_bits": 4, "fraction_bits": 3, "bias": 7, "signed": True}
        ),
        Target(
            BlockFormat,
            {
                "element": INT8,
                "block_size": 8,
                "scale": E4M3,
                "tensor_scale": None,
                "micro_block": 2,
                "micro_bits": 1,
            },
        ),
        Target(block_codes.BlockCodes, block_fields),
        Target(transforms.Hadamard, {"size": 4, "seed": 1}),
        Target(
            accumulator.Fixed,
            {"bits": 24, "fraction_bits": 2, "overflow": "wrap", "rounding": "up"},
        ),
        Target(accumulator.Float, {"format": "fp32", "rounding": "up", "overflow": "special"}),
        Target(accumulator.Aligned, {"bits": 24, "rounding": "down"}),
        Target(fixeddot.Weights, {"values": (1.0, 2.0)}),
        Target(multidot.Pair, {"a": INT8, "b": INT8}),
        Target(multidot.Modes, {"pairs": multidot.Modes.parse("int8,int4").pairs}),
    ]


def _parsers() -> list[Target]:
    """What reads names."""
    return [
        Target(hwgen.parse, {"name": "int8"}),
        Target(formats.parse_scalar, {"name": "int8"}),
        Target(block.parse_block, {"name": "mxfp4"}),
        Target(accumulator.parse, {"name": "fixed:24"}),
        Target(accumulator.parse_alignment, {"name": "aligned:24"}),
        Target(fixeddot.Weights.parse, {"given": "1,2"}),
        Target(multidot.Modes.parse, {"names": "int8,int4"}),
    ]


def _codings() -> list[Target]:
    """Numbers to codes, codes to numbers, and codes to codes."""
    values = {
        "values": [1.0, -2.5],
        "rounding": "stochastic",
        "overflow": "special",
        "random_bits": np.array([1, 2], np.uint32),
        "nan": 0.0,
    }
    blocked = {
        "values": np.ones((2, 16)),
        "axis": -1,
        "scale_rule": "floor",
        "rounding": "up",
        "symmetric": True,
        "nonfinite": "element",
        "flush_subnormals": False,
        "smallest_scale": 2.0**-6,
        "tensor_scale": 1.0,
        "arithmetic": "exact",
    }
    return [
        Target(E4M3.encode, values),
        *(
            Target(f.encode, {**values, "overflow": "saturate"})
            for f in (INT8, hwgen.parse("lns4f3"))
        ),
        *(Target(f.quantize, {**values, "dtype": np.float64}) for f in (E4M3, hwgen.parse("fp32"))),
        *(Target(f.decode, {"codes": [1, 2], "dtype": "float32"}) for f in (E4M3, INT8)),
        Target(NVFP4.encode, blocked),
        Target(NVFP4.quantize, {**blocked, "dtype": np.float64}),
        Target(CODES.decode, {"dtype": np.float64}),
        Target(transforms.clip_symmetric, {"codes": [1, 128], "number_format": INT8}),
        Target(
            transforms.narrow_codes,
            {"codes": [1, 128], "high": INT8, "low": hwgen.Integer(4), "rounding": "down"},
        ),
        Target(
            transforms.k_sort,
            {"keys": np.ones((8, 2)), "heads": 2, "query_heads": 4, "rope": "halves"},
        ),
    ]


def _flows() -> list[Target]:
    """What takes a spec."""
    mul = hwgen.Multiply(a="int2", b="int2")
    return [
        Target(hwgen.pipelined, {"spec": mul, "fmax_mhz": 200, "target": "ecp5"}),
        Target(_refused_verify, {"spec": mul, "vectors": 0, "seed": 1}),
    ]


def _theory() -> list[Target]:
    """Formulas of quantization's noise."""
    return [
        Target(theory.integer_qsnr_db, {"bits": 8, "crest": 3.0, "exact_scale_block": 16}),
        Target(
            theory.minifloat_qsnr_db,
            {"mantissa_bits": 1, "bias": 1, "largest": 6.0, "crest": 2.0, "rho": 1.5},
        ),
        Target(theory.gaussian_mse, {"levels": [-1.0, 0.0, 2.0]}),
        Target(theory.best_gaussian_scale, {"levels": [-1.0, 0.0, 2.0]}),
        Target(theory.uniform_levels, {"bits": 4}),
        Target(theory.best_split, {"bits": 8}),
    ]


def _optimizer() -> list[Target]:
    """What the optimizer is given."""
    return [
        Target(
            explore.settings,
            {
                **{"formats": ["int4"], "target": "ecp5", "fps": 10.0, "clock_mhz": 50},
                **{"style": "shared", "max_drop": 1, "resolution": 0.1, "max_divergence": 1.0},
                "sensitivity_images": 8,
            },
        ),
        Target(
            ImageData,
            {
                "calibration_images": np.zeros((2, 3), np.float32),
                "calibration_labels": np.zeros(2, np.int64),
                "test_images": np.zeros((1, 3), np.float32),
                "test_labels": np.zeros(1, np.int64),
                "name": "none",
            },
        ),
        Target(data.load, {"path": fashion_mnist.DATA, "classes": 10, "input_shape": (1, 28, 28)}),
    ]


def right(every: list[Target]) -> None:
    """The arguments that calls start from must be right: else nothing behind them is tried."""
    for target in every:
        if target.function is not _refused_verify:
            use(target.function(**target.arguments), elaborate=False)


def _from_dict(**fields: Any) -> Spec:
    return from_dict(fields)


def _refused_verify(spec: Any, vectors: Any, seed: Any) -> None:
    """Simulations are long: only calls that cannot be right are made."""
    if isinstance(spec, Spec) and isinstance(vectors, int | np.integer) and vectors > 0:
        return
    verify(spec, vectors=vectors, seed=seed)


def _namespace() -> dict[str, Any]:
    names: dict[str, Any] = {kind.__name__: kind for kind in UNITS.values()}
    for module in (accumulator, block, transforms, fixeddot, fixedmatrix, multidot):
        names |= {k: v for k, v in vars(module).items() if isinstance(v, type)}
    # Its names are there when they are first asked for.
    return names | {name: getattr(hwgen, name) for name in hwgen.__all__}


NAMES = _namespace()


def use(instance: Any, elaborate: bool) -> None:
    """What an accepted object must be able to do; AssertionError and all others are faults."""
    if isinstance(instance, block_codes.BlockCodes):
        instance.decode(object)
        return
    known = (
        Scalar,
        BlockFormat,
        Spec,
        accumulator.Fixed,
        accumulator.Float,
        accumulator.Aligned,
        transforms.Hadamard,
        fixeddot.Weights,
        multidot.Modes,
        multidot.Pair,
    )
    if not isinstance(instance, known):
        return
    assert eval(repr(instance), NAMES) == instance, "repr"
    assert pickle.loads(pickle.dumps(instance)) == instance and hash(instance) == hash(
        pickle.loads(pickle.dumps(instance))
    )
    str(instance)
    if isinstance(instance, Scalar):
        assert hwgen.parse(str(instance)) == instance, "name"
        values = instance.decode([0, 1])
        instance.encode(values, nan=0.0)
    elif isinstance(instance, BlockFormat):
        assert hwgen.parse(str(instance)) == instance, "name"
        instance.encode(np.ones(4)).decode(object)
    elif isinstance(instance, Spec):
        assert from_dict(instance.to_dict()) == instance, "to_dict"
        assert instance.name.isidentifier() and instance.latency >= 0 and instance.description
        bits = sum(port.width for port in (*instance.inputs, *instance.outputs))
        if elaborate and bits < 300:
            rtlil.convert(hwgen.component(instance))


def call(rng: random.Random, target: Target) -> tuple[str, bool, Callable[[], Any]]:
    """One malformed call: its text, whether a TypeError is its due, and itself."""
    arguments, unknown = dict(target.arguments), False
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        what, name = rng.random(), rng.choice(list(target.arguments))
        if what < 0.85:
            arguments[name] = rng.choice(NONSENSE)
        elif what < 0.95:
            arguments.pop(name, None)
            unknown = True
        else:
            arguments["colour"] = rng.choice(NONSENSE)
            unknown = True
    name = getattr(target.function, "__qualname__", str(target.function))
    text = f"{name}({', '.join(f'{k}={_shown(v)}' for k, v in arguments.items())})"
    return text, unknown, lambda: target.function(**arguments)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:60]
    except ValueError:
        return f"<{type(value).__name__}>"


def _late(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def run(calls: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """How many calls ended in which way, and what was wrong."""
    rng, every = random.Random(seed), targets()
    right(every)
    ends: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    signal.signal(signal.SIGALRM, _late)
    for index in range(calls):
        text, unknown, function = call(rng, rng.choice(every))
        signal.alarm(SECONDS)
        try:
            instance = function()
            ends["accepted"] += 1
            use(instance, index % ELABORATED == 0)
        except InputError as error:
            ends["InputError"] += 1
            if not str(error) or len(str(error)) > 2000:
                faults.append(f"{text}: an error of {len(str(error))} letters")
        except TypeError as error:
            ends["TypeError"] += 1
            if not unknown or not OF_THE_SIGNATURE.search(str(error)):
                faults.append(f"{text}: {_where(error)}")
        except Exception as error:
            faults.append(f"{text}: {_where(error)}")
        finally:
            signal.alarm(0)
    return ends, faults


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:200]} ({last.filename}:{last.lineno})"


def main() -> int:
    """Exit code 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ends, faults = run(options.calls, options.seed)
    for fault in faults:
        print(fault)
    counts = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    print(f"{options.calls} calls of seed {options.seed}: {counts}; {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

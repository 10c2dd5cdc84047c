"""L-Mul: products by addition, their gates, energy and error (arXiv 2410.00907)."""

from __future__ import annotations

from typing import Any

import numpy as np

from cost_models import chip
from hwgen.formats import parse_scalar
from hwgen.spec import DotProduct, LMul, Multiply
from sim import golden
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import cost
from studies.study import COMPUTED, MEASURED, Data, Figure, Study, at_least, at_most, near

FP8 = ("e4m3", "e5m2")
#: Formats whose multiplier is what a fused multiply-add takes more than an adder.
LONG = ("fp16", "bf16")
#: Mantissa bits of operands of L-Mul whose error is compared, with five exponent bits.
MANTISSAS = (2, 3, 4)


def _mac(name: str, second: str, accumulator: str) -> DotProduct:
    return DotProduct(a=name, b=second, lanes=1, accumulator=accumulator)


def _gates(name: str) -> dict[str, int]:
    """Gates of L-Mul, XORs as one and as four, and of a multiplier, XORs as one.

    Of ``LONG`` formats the multiplier is a fused multiply-add less an adder, of the others it is
    exact in fixed point.
    """
    counted = chip.gates(LMul(a=name, b=name), combinational=True)
    assert counted.gates is not None and counted.weighted is not None
    if name in LONG:
        multiplier = cost.gates(_mac(name, name, name)) - cost.gates(_mac(name, "uint1", name))
    else:
        multiplier = cost.gates(Multiply(a=name, b=name))
    return {"lmul": counted.gates, "lmul weighted": counted.weighted, "mul": multiplier}


def _errors(count: int) -> dict[str, float]:
    """Root mean square relative error of products of Gaussian numbers, by how they are made.

    ``e4m3``, ``e5m2``: exact products of rounded operands; ``L-Mul 3``: of operands with as many
    mantissa bits, by the golden model; all operands are kept in the range of normal numbers.
    """
    rng = np.random.default_rng(1)
    x, y = np.exp2(rng.uniform(-3, 3, (2, count))) * rng.choice([-1, 1], (2, count))
    exact = x * y

    def error(product: np.ndarray[Any, Any]) -> float:
        return float(np.sqrt(np.square(product / exact - 1).mean()))

    found = {}
    for name in FP8:
        f = parse_scalar(name)
        found[name] = error(f.quantize(x) * f.quantize(y))
    for bits in MANTISSAS:
        f = parse_scalar(f"e5m{bits}")
        spec = LMul(a=f, b=f, output="fp32")
        codes = {"a": f.encode(x)[:, None], "b": f.encode(y)[:, None]}
        result = golden.expected(spec, codes)["result"][:, 0]
        found[f"L-Mul {bits}"] = error(spec.output.decode(result))
    return found


def measure(bench: Bench) -> Data:
    """Gates, energies of a product and of a multiply-accumulate, errors."""
    count = 2**16 if bench.quick else 2**20
    energies = {
        name: {
            "lmul": cost.energy(LMul(a=name, b=name), "ecp5"),
            "mul": cost.energy(Multiply(a=name, b=name), "ecp5"),
        }
        for name in FP8
    }
    return {
        "gates": {name: _gates(name) for name in (*FP8, *LONG)},
        "gates into FP32": [
            cost.gates(_mac("e5m2", "uint1", "fp32")),
            cost.gates(_mac("e5m2", "e5m2", "fp32")),
        ],
        "energy": energies,
        # Of a sum in FP32: of a number, and of a product.
        "adder": cost.energy(_mac("e5m2", "uint1", "fp32"), "ecp5"),
        "mac": cost.energy(_mac("e5m2", "e5m2", "fp32"), "ecp5"),
        "luts": {
            name: {
                "lmul": cost.luts(LMul(a=name, b=name), "ecp5", measured=not bench.quick),
                "mul": cost.luts(Multiply(a=name, b=name), "ecp5", measured=not bench.quick),
            }
            for name in FP8
        },
        "errors": bench.kept(_errors, count),
        "products": count,
    }


GATES = (
    "two-input gates of the arithmetic, with subnormal operands as zeros and a rounded result in "
    "L-Mul, exact in fixed point of the multiplier (Yosys)"
)
PART = "the multiplier is what a fused multiply-add takes more than an adder of the format"
ENERGY = "energy model, uniform codes, with registers; the interval is that of one unit"
ONE = "one unit of each kind"


def judge(data: Data) -> list[Figure]:
    """Area, energy and error of L-Mul over a multiplier's."""
    gates = data["gates"]
    figures = [
        Figure(
            what=f"gates of an L-Mul of {name}, AND 1, XOR 4, full adder 11",
            paper=f"{paper}",
            ours=gates[name]["lmul weighted"],
            source=MEASURED,
            how=GATES,
            samples=ONE,
            bounds=near(paper),
            why="what the paper leaves open, zero, subnormal results and overflow, takes gates",
        )
        for name, paper in (("e5m2", 157), ("fp16", 256))
    ]
    for name, paper in (("e5m2", 0.325), ("bf16", 0.239)):
        part = name in LONG
        figures.append(
            Figure(
                what=f"area of L-Mul over a multiplier, {name}",
                paper=f"{paper} (FreePDK45)",
                ours=gates[name]["lmul"] / gates[name]["mul"],
                source=MEASURED,
                how=f"{GATES}; {PART}" if part else GATES,
                samples=ONE,
                bounds=near(paper, 0.2, 0.6),
                why="the multiplier's rounding is that of the adder behind it, L-Mul has its own",
            )
        )
    for name in FP8:
        luts = data["luts"][name]
        figures.append(
            Figure(
                what=f"LUTs of L-Mul over a multiplier, {name}, ECP5",
                **cost.ratio(luts["lmul"], luts["mul"]),
                how="with registers; of a prediction the interval is that of one unit",
                samples=ONE,
            )
        )
    return [*figures, *_energies_judged(data), *_errors_judged(data)]


def _energies_judged(data: Data) -> list[Figure]:
    gates, energy, figures = data["gates"], data["energy"], []
    for name in energy:
        saved = cost.ratio(energy[name]["lmul"], energy[name]["mul"])
        figures.append(
            Figure(
                what=f"energy saved of a product, {name}",
                paper="95",
                **_saved(saved),
                unit="%",
                how=ENERGY,
                samples=ONE,
                bounds=at_least(90, 70),
                why="the paper divides table values of adders and FP32 multipliers; registers, "
                "clock and wires of the operands stay, and the multipliers here are small",
            )
        )
    adder, mac = data["gates into FP32"]
    figures.append(
        Figure(
            what="gates saved of a multiply-accumulate, e5m2 into FP32",
            ours=100 * (1 - (gates["e5m2"]["lmul"] + adder) / mac),
            unit="%",
            source=MEASURED,
            how=f"{GATES}; L-Mul and what adds its result to FP32, over a fused multiply-add",
            samples=ONE,
        )
    )
    parts = {k: data["adder"][k] + energy["e5m2"]["lmul"][k] for k in ("value", "low", "high")}
    together = cost.ratio({**parts, "source": data["adder"]["source"]}, data["mac"])
    figures.append(
        Figure(
            what="energy saved of a multiply-accumulate, e5m2 into FP32",
            paper="80",
            **_saved(together),
            unit="%",
            bounds=at_least(72, 40),
            samples=ONE,
            how=f"{ENERGY}; L-Mul and what adds its result to FP32, over a fused multiply-add",
            why="the FP32 adder stays, and each of two units has registers; the product of 3-bit "
            "significands that it saves is small",
        )
    )
    return figures


def _saved(ratio: dict[str, Any]) -> dict[str, Any]:
    """A ratio as percent saved."""
    found = {**ratio, "ours": 100 * (1 - ratio["ours"])}
    if "low" in ratio:
        found |= {"low": 100 * (1 - ratio["high"]), "high": 100 * (1 - ratio["low"])}
    return found


def _errors_judged(data: Data) -> list[Figure]:
    errors = data["errors"]
    how = (
        "root mean square relative error of products of numbers of uniform logarithm between 1/8 "
        "and 8; operands rounded to nearest; L-Mul in the adder form"
    )
    samples = f"{data['products']:,} products"
    return [
        Figure(
            what=f"error of L-Mul with {bits}-bit mantissas over that of exact {name} products",
            paper=words,
            ours=errors[f"L-Mul {bits}"] / errors[name],
            source=MEASURED,
            how=how,
            samples=samples,
            bounds=bounds,
            why="the addition alone is off by up to a tenth, however many bits the mantissas have",
        )
        for bits, name, words, bounds in (
            (4, "e4m3", "about 1", near(1.0, 0.2, 0.5)),
            (3, "e5m2", "less than 1", at_most(1.0, 1.2)),
        )
    ] + [
        Figure(
            what="that error of L-Mul with 4-bit mantissas",
            ours=100 * errors["L-Mul 4"],
            unit="%",
            source=MEASURED,
            how=how,
            samples=samples,
        ),
        Figure(
            what="energy of a multiply-accumulate by Horowitz' table: (0.1 + 0.9) / (3.7 + 0.9), "
            "saved",
            paper="80",
            ours=100 * (1 - (0.1 + 0.9) / (3.7 + 0.9)),
            unit="%",
            source=COMPUTED,
            how="45 nm, pJ of a 32-bit integer addition, an FP32 addition and an "
            "FP32 multiplication",
            samples="table values",
        ),
    ]


def draw(figure: Any, data: Data) -> None:
    """Gates and energies, bars in pairs."""
    for axes, what in zip(figure.subplots(1, 2), ("gates", "energy"), strict=True):
        for i, kind in enumerate(("lmul", "mul")):
            values = [row[kind] for row in data[what].values()]
            heights = [v["value"] if isinstance(v, dict) else v for v in values]
            places = [j + (i - 0.5) * 0.38 for j in range(len(heights))]
            label = "L-Mul" if kind == "lmul" else "multiplier"
            axes.bar_label(
                axes.bar(places, heights, 0.36, color=COLOURS[i], label=label), fmt="%.3g"
            )
        axes.set_xticks(range(len(data[what])), list(data[what]))
        axes.set_ylabel(
            "two-input gates (measured)" if what == "gates" else "pJ a product, ECP5 (predicted)"
        )
        axes.legend(fontsize=8)


STUDY = Study(
    name="lmul",
    title="L-Mul: multiplication by addition",
    paper="Addition is All You Need for Energy-efficient Language Models, arXiv 2410.00907",
    claim="L-Mul saves 95% of the energy of elementwise products of tensors and 80% of that of dot "
    "products; an FP8 product takes 157 gates in place of 296; with 4-bit mantissas it is as "
    "precise as E4M3 products, and with 3 bits more than E5M2.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper's energies are table values. Area ratios are of an independent implementation "
    "(FreePDK45, combinational). A reviewer counted 185 gates for the multiplier of 296. In the "
    "adder form a carry of the mantissas raises the exponent: there the formula says otherwise.",
)

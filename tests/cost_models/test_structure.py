"""What units are made of, as worked out by hand, and registers as Yosys counts them."""

import re

import numpy as np
import pytest

import yosys_scripts
from cost_models import measurement, structure
from hwgen import emit
from hwgen.formats.rounding import STOCHASTIC
from hwgen.plan import logic
from hwgen.spec import UNITS, Array, DotProduct, Multiply, from_dict
from sim import unit_model
from sim.random_specs import legal_spec

#: Those of a spec that are not there are zero.
Amounts = dict[str, float]


def amounts(spec) -> Amounts:
    return {name: amount for name, amount in structure.amounts(spec).items() if amount}


def test_a_dot_product_of_integers():
    """Three products of four bits, their sum in two levels, 4096 of them in an accumulator.

    A product is from -56 to 64 and has 8 bits, two together have 9, and so have all three, from
    -168 to 192. The largest sum is 4096 · 64 = 2¹⁸, a signed number of 20 bits; ``clear``, a bit
    that is held too, makes the old one zero. Registers: before the first sum, before the
    accumulator, and that.
    """
    spec = DotProduct(a="int4", b="int4", lanes=3, stages=3)
    assert amounts(spec) == {
        **{"decoders": 6, "decoder_bits": 6 * 4},
        **{"multipliers": 3, "multiplier_bits": 3 * 4 * 4, "multiplier_sides": 3 * (4 + 4)},
        **{"adders": 3, "adder_bits": 9 + 9 + 20, "gate_bits": 20},
    }
    assert [spec.steps[i].name for i in sorted(spec.register_boundaries)] == [
        "level1",
        "accumulate",
    ]
    assert structure.registers(spec) == (3 * 8 + 1) + (9 + 1) + 20 + 3


def test_a_dot_product_in_finer_steps():
    """Two pairs of rows of each product, of 6 bits each, and their sum."""
    spec = DotProduct(a="int4", b="int4", lanes=3, stages=4, pipeline_target="ecp5")
    assert amounts(spec) == {
        **{"decoders": 6, "decoder_bits": 6 * 4},
        **{"products": 3, "rows": 3 * 2, "row_bits": 3 * 4 * 4},
        **{"adders": 3 + 3, "adder_bits": 3 * 6 + 9 + 9 + 20, "gate_bits": 20},
    }
    held = {"row_sums1": 3 * 2 * 6 + 1, "level1": 3 * 8 + 1, "level2": 9 + 8 + 1, "accumulate": 11}
    where = [spec.steps[i].name for i in spec.register_boundaries]
    assert structure.registers(spec) == sum(held[name] for name in where) + 20 + 4


def test_a_dot_product_of_minifloats():
    """Two products of E2M1: significands of two bits, of the first lane one with its sign.

    A product, in quarters, is at most 36 · 4 = 144 and has 9 bits, into which it is moved by 0 to
    4. Two have 10, 4096 of them at most 589,824 < 2²⁰, which is 21 bits with its sign.
    """
    spec = DotProduct(a="e2m1", b="e2m1", lanes=2, stages=3)
    assert amounts(spec) == {
        **{"decoders": 4, "decoder_bits": 4 * 4, "decoder_exponent_bits": 4 * 2},
        **{"negation_bits": 2 * 2, "shifter_bits": 2 * 9 * 3},
        **{"multipliers": 2, "multiplier_bits": 3 * 2 + 2 * 2, "multiplier_sides": 3 + 2 + 2 + 2},
        **{"adders": 2, "adder_bits": 10 + 21, "gate_bits": 21},
    }


def test_a_product():
    """Of 6 bits in all it is rows; up to 5 it is a table."""
    rows = Multiply(a="int4", b="int2", stages=1, pipeline_target="ecp5")
    product = {"products": 1, "rows": 1, "row_bits": 4 * 2}
    assert amounts(rows) == {"decoders": 2, "decoder_bits": 6, **product}
    assert structure.registers(rows) == 6 + 1
    table = Multiply(a="int3", b="int2", stages=1, pipeline_target="ecp5")
    assert amounts(table) == {"decoders": 2, "decoder_bits": 5, "tables": 1, "table_bits": 5}
    assert structure.registers(table) == 5 + 1


def test_an_array_has_an_element_as_often_as_it_says():
    """Operands are decoded for whole rows and columns."""
    one, six = (
        amounts(Array(a="int4", b="e2m1", rows=rows, columns=columns, lanes=1, stages=2))
        for rows, columns in ((1, 1), (2, 3))
    )
    decoders = {"decoders", "decoder_bits", "decoder_exponent_bits", "negation_bits"}
    per_element = set(one) - decoders
    assert set(one) == set(six) and per_element
    assert {name: six[name] for name in per_element} == {n: 6 * one[n] for n in per_element}


@pytest.mark.parametrize(
    ("primitive", "expected"),
    [
        (logic.Adder(5), {"short_adders": 1, "short_adder_bits": 5}),
        (logic.Adder(6), {"adders": 1, "adder_bits": 6}),
        (logic.Comparator(5), {"short_comparators": 1, "short_comparator_bits": 5}),
        (logic.Comparator(9), {"comparators": 1, "comparator_bits": 9}),
        (logic.AnyBit(8), {"any_bits": 7}),
        (logic.AnyBit(0), {"any_bits": 0}),
        (logic.Gates(8, 2), {"gate_bits": 16}),
        (logic.Selection(8, 3), {"selection_bits": 24}),
        (logic.FactorRows(3, 2), {"tables": 1, "table_bits": 5}),
        (logic.FactorRows(5, 3), {"products": 1, "rows": 2, "row_bits": 15}),
        (logic.Square(4), {"square_bits": 10}),
    ],
)
def test_amounts_of_a_primitive(primitive, expected):
    assert structure.AMOUNTS[type(primitive)](primitive) == expected


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_made_of_something(unit):
    spec = UNITS[unit](**unit_model.of(UNITS[unit]).example)
    made_of = amounts(spec)
    assert sum(made_of.values()) > 0 and min(made_of.values()) > 0
    assert structure.registers(spec) >= sum(port.width for port in spec.outputs)


@pytest.mark.parametrize(
    "fields",
    [
        {"a": "int3", "b": "uint2", "lanes": 2, "stages": 2},
        {"a": "e2m1", "b": "e2m1", "lanes": 2, "stages": 3},
        {"a": "int4", "b": "e2m1", "lanes": 3},
    ],
    ids=lambda fields: f"{fields['a']}-{fields['b']}",
)
def test_registers_are_those_of_the_netlist(fields):
    spec = DotProduct(**fields)
    mapped = yosys_scripts.synthesise(emit.rtlil(spec), spec.name, target="xc7", place=False)
    assert structure.registers(spec) == mapped.ff


def registers_of(rtlil, top):
    """Bits of all registers of the hardware, those of modules inside with them."""
    own, inside, module, kind = {}, {}, "", ""
    for line in map(str.strip, rtlil.splitlines()):
        if line.startswith("module "):
            module = line.split()[1]
            own[module], inside[module] = 0, []
        elif line.startswith("cell "):
            kind = line.split()[1]
            inside[module] += [] if kind.startswith("$") else [kind]
        elif line.startswith("parameter \\WIDTH") and re.match(r"\$s?dff", kind):
            own[module] += int(line.split()[-1])

    def of(module):
        return own[module] + sum(map(of, inside[module]))

    return of(f"\\{top}")


@pytest.mark.parametrize("unit", UNITS)
def test_the_plan_counts_all_registers(unit):
    """Of random specs; a fixed accumulator's random bits have one that nothing reads."""
    rng = np.random.default_rng([8, *unit.encode()])
    for _ in range(2 if unit == "array" else 3):
        spec = legal_spec(UNITS[unit], rng)
        if STOCHASTIC not in str(getattr(spec, "accumulator", "")):
            assert structure.registers(spec) == registers_of(emit.rtlil(spec), spec.name), spec


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 3, "columns": 2, "movement": "systolic"},
        {"rows": 3, "columns": 2, "movement": "systolic", "dataflow": "weight_stationary"},
        {"rows": 2, "columns": 3, "movement": "systolic", "mapping": "dsp27x18"},
        {"rows": 2, "columns": 5, "dataflow": "weight_stationary", "mapping": "dsp27x18"},
        {"rows": 2, "columns": 2, "stages": 1},
    ],
    ids=str,
)
def test_the_plan_counts_the_registers_of_an_array(fields):
    spec = Array(a="int4", b="int4", lanes=2, **fields)
    assert structure.registers(spec) == registers_of(emit.rtlil(spec), spec.name)


def test_the_plan_counts_the_dsp_blocks_of_all_measurements():
    """On every target: products in pairs, those of half a block, those too small for one."""
    wrong, counted = [], 0
    for m in (*measurement.shipped(), *measurement.held_out()):
        if m.kind == measurement.SYNTHESIS:
            one = structure.inputs(from_dict(m.spec))
            counted += one.mapping != "lut"
            if structure.counted(one, "dsp", m.target) != m.result["dsp"]:
                wrong.append((m.spec, m.target))
    assert not wrong and counted > 300

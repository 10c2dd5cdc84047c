"""What is derived from a spec, and what a spec refuses."""

import ast
import dataclasses
import inspect

import pytest

import hwgen
from hwgen import DotProduct, InputError, MultiplyAccumulate
from hwgen.formats import parse_scalar
from hwgen.formats.widths import accumulator_width, signed_width
from hwgen.spec import UNITS, from_dict


@pytest.mark.parametrize(
    ("low", "high", "width"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-128, 127, 8), (-128, 128, 9), (-129, 0, 9)],
)
def test_signed_width(low, high, width):
    assert signed_width(low, high) == width


@pytest.mark.parametrize(
    ("name", "widths"),
    # papers.md section 1, column "exact": n = 1, 16, 32, 4608 (minifloats are symmetric).
    [
        ("e2m1", (9, 13, 14, 21)),
        ("e2m2", (11, 15, 16, 23)),
        ("e3m1", (17, 21, 22, 29)),
        ("e2m3", (13, 17, 18, 25)),
        ("e3m2", (19, 23, 24, 31)),
        ("e3m4", (23, 27, 28, 36)),
        ("e4m3", (37, 41, 42, 49)),
        ("e5m2", (67, 71, 72, 79)),
    ],
)
def test_exact_accumulator_widths(name, widths):
    for products, width in zip((1, 16, 32, 4608), widths, strict=True):
        spec = DotProduct(a=name, b=name, lanes=1, max_products=products)
        assert spec.accumulator_width == width


@pytest.mark.parametrize(("bits", "products", "width"), [(8, 1, 16), (4, 1, 8), (8, 4096, 28)])
def test_integer_widths_hold_the_most_negative_code(bits, products, width):
    # (−2^(b−1))² · n needs a bit more than the symmetric range of papers.md.
    spec = DotProduct(a=f"int{bits}", b=f"int{bits}", lanes=1, max_products=products)
    assert spec.accumulator_width == width
    assert spec.product_range[1] == 4 ** (bits - 1)


@pytest.mark.parametrize(
    ("bits", "widths"),
    [
        (3, (5, 9, 10, 17)),
        (4, (7, 11, 12, 19)),
        (5, (9, 13, 14, 21)),
        (6, (11, 15, 16, 24)),
        (8, (15, 19, 20, 28)),
    ],
)
def test_symmetric_integers_have_the_papers_widths(bits, widths):
    f = parse_scalar(f"int{bits}")
    computed = tuple(accumulator_width(f, f, n, symmetric=True) for n in (1, 16, 32, 4608))
    assert computed == widths


def test_ocp_e5m2_has_the_papers_widths():
    f = parse_scalar("fp8_e5m2")
    assert [accumulator_width(f, f, n) for n in (1, 16, 32, 4608)] == [65, 69, 70, 77]


def test_dictionary_round_trip():
    spec = DotProduct(a="e2m1", b="int4", lanes=3, max_products=99, mapping="dsp")
    assert from_dict(spec.to_dict()) == spec
    assert spec.to_dict()["a"] == "e2m1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": "int99"}, "int99: integers have 1 to 16 bits"),
        ({"a": "lns4f3"}, "a=lns4f3: no hardware decodes its codes"),
        ({"b": "mxfp4"}, "b=mxfp4: a format of single numbers is needed here, such as e2m1"),
        ({"b": "bf17"}, "unknown format 'bf17'"),
        ({"lanes": 0}, "lanes=0: use a whole number from 1 to 256"),
        ({"lanes": 257}, "lanes=257: use a whole number from 1 to 256"),
        ({"lanes": 2.0}, "lanes=2.0"),
        ({"lanes": True}, "lanes=True"),
        ({"max_products": 3}, "at least the 4 lanes"),
        ({"max_products": 2**21}, "max_products=2097152"),
        ({"mapping": "DSP"}, "mapping='DSP': use one of lut, dsp, auto"),
        ({"accumulator": "fixed"}, "accumulator 'fixed': use exact, fixed:W"),
        ({"accumulator": "e0m3"}, "accumulator=e0m3: a format with exponent is needed"),
        ({"accumulator": "int8"}, "accumulator format int8: use a floating-point format"),
        ({"a": "e4m3fn", "accumulator": "e5m7"}, "accumulator=e5m7 has no NaN, which e4m3fn"),
        ({"accumulator": "fp32", "output": "bf16"}, "holds rounded numbers, and is the output"),
        ({"rounding": "up"}, "rounding and overflow are those of the output format"),
        ({"output": "lns4f3"}, "lns4f3 cannot be rounded to in hardware"),
        ({"output": "int8", "overflow": "special"}, "neither infinity nor NaN"),
        ({"output": "int8", "rounding": "odd"}, "rounding='odd': use one of"),
        (
            {"a": "uint2", "b": "e2m3", "mapping": "dsp", "pipeline_target": "ecp5"},
            "mapping='dsp', pipeline_target='ecp5': the delay model has no DSP blocks",
        ),
        ({"stages": 8}, "stages=8: use a whole number from 1 to 7"),
        ({"output": "int8", "stages": 1}, "stages=1: use a whole number from 2 to 9"),
        (
            {"output": "int8", "rounding": "stochastic", "accumulator": "fixed:9:0:stochastic"},
            "only one of accumulator and output",
        ),
    ],
)
def test_bad_fields_say_what_is_allowed(change, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        DotProduct(**{"a": "int4", "b": "int4", "lanes": 4, **change})


@pytest.mark.parametrize(
    "fields",
    [
        {"accumulator": "fixed:24:8:wrap:toward_zero", "stages": 7},
        {"accumulator": "bf16:saturate"},
        {"output": "fp32", "rounding": "up"},
    ],
)
def test_every_field_survives_plain_types(fields):
    spec = DotProduct(a="e4m3fn", b="int4", lanes=3, **fields)
    again = from_dict(spec.to_dict())
    assert again == spec and again.name == spec.name
    assert spec.name.replace("_", "").isalnum()


def test_a_mac_has_one_lane():
    spec = MultiplyAccumulate(a="int8", b="int8", accumulator="fp32", stages=3)
    assert spec.lanes == 1 and from_dict(spec.to_dict()) == spec
    assert spec.name == "mac_int8_int8_lanes1_products4096_lut_e8m23ieee_stages3"
    with pytest.raises(InputError, match="a mac has one lane; use dot"):
        MultiplyAccumulate(a="int8", b="int8", lanes=2)


def test_the_name_of_a_negative_bias_is_legal():
    assert "e2m1bn1" in DotProduct(a="e2m1b-1", b="int4", lanes=2).name


def test_unknown_unit_and_field():
    with pytest.raises(InputError, match=r"unknown unit 'sum' .*: use one of dot"):
        from_dict({"unit": "sum"})
    with pytest.raises(InputError, match="dot"):
        from_dict({"unit": "dot", "a": "int4", "b": "int4", "lanes": 4, "depth": 3})


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("int4", "-8 to 7 in steps of 1"),
        ("uint3", "0 to 7 in steps of 1"),
        ("fixed8_3", "-16 to 15.875 in steps of 2^-3"),
        ("e2m1", "-6 to 6 in steps of 2^-1 and up"),
        ("e3m2", "-28 to 28 in steps of 2^-4 and up"),
    ],
)
def test_header_says_in_which_steps_a_format_counts(name, steps):
    text = hwgen.verilog(DotProduct(a=name, b="int4", lanes=2))
    (line,) = [line for line in text.splitlines() if " in steps of " in line and " a " in line]
    assert line.endswith(steps)


@pytest.mark.parametrize("kind", UNITS.values(), ids=UNITS)
def test_the_constructor_that_a_type_checker_sees_is_the_one_there_is(kind):
    """It takes names too, and so is written beside the fields: same names, same defaults."""
    declared = next(k for k in kind.__mro__ if "def __init__" in inspect.getsource(k))
    (tree,) = ast.parse(inspect.getsource(declared)).body
    (init,) = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    module = vars(inspect.getmodule(declared))
    arguments = {
        argument.arg: dataclasses.MISSING if default is None else eval(ast.unparse(default), module)
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    }
    fields = {f.name: f.default for f in dataclasses.fields(declared) if f.init}
    # An accumulator is given by its name too.
    assert {n: str(d) for n, d in arguments.items()} == {n: str(d) for n, d in fields.items()}

"""Wrong types are errors when an object is made, and numpy's numbers are Python's."""

import pickle

import numpy as np
import pytest

import hwgen
from hwgen import InputError, Integer, Logarithmic, Minifloat, accumulator, parse
from hwgen.fields import shown
from hwgen.formats import BlockFormat
from hwgen.formats.transforms import Hadamard
from hwgen.spec.fixeddot import Weights


def quantizer(**fields):
    return hwgen.Quantizer(**{"a": "fp16", "b": "e2m1_b2_e8m0", **fields})


def multiply(**fields):
    return hwgen.Multiply(**{"a": "int4", "b": "int4", **fields})


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (Integer, {"bits": 4, "signed": "no"}, "signed='no': use True or False"),
        (Integer, {"bits": 4, "signed": 1}, "signed=1: use True or False"),
        (Integer, {"bits": 4, "fraction_bits": 1.5}, "fraction_bits=1.5: use a whole number"),
        (Integer, {"bits": True}, "bits=True: use a whole number"),
        (Integer, {"bits": 10**5000}, "bits=a int that cannot be printed"),
        (Minifloat, {"exponent_bits": 2, "mantissa_bits": 1, "bias": 1.5}, "bias=1.5"),
        (Minifloat, {"exponent_bits": 2, "mantissa_bits": 1, "specials": ["fn"]}, "specials="),
        (Minifloat, {"exponent_bits": 10**12, "mantissa_bits": 1}, "up to 8 exponent bits"),
        (Logarithmic, {"exponent_bits": 10**12, "fraction_bits": 1}, "before their point"),
        (Logarithmic, {"exponent_bits": 4, "fraction_bits": 1, "signed": None}, "signed=None"),
        (BlockFormat, {"element": "e2m1", "block_size": 32, "scale": "e8m0"}, "element='e2m1'"),
        (BlockFormat, {"element": Integer(4), "block_size": 32.0, "scale": Integer(4)}, "32.0"),
        (BlockFormat, {"element": Integer(4), "block_size": 2, "scale": Integer(4),
                       "tensor_scale": np.array(1)}, "tensor_scale="),
        (Hadamard, {"size": 4.0}, "size=4.0"),
        (accumulator.Fixed, {"bits": 24, "rounding": np.array(["up"])}, "rounding="),
        (accumulator.Fixed, {"bits": np.float32(24)}, "bits="),
        (accumulator.Float, {"format": "fp32", "overflow": {}}, "overflow={}: use text"),
        (accumulator.Aligned, {"bits": "24"}, "bits='24': use a whole number"),
        (Weights, {"values": "123"}, "weights: '123': give a tuple"),
        (quantizer, {"lanes": 2.0}, "lanes=2.0: use a whole number"),
        (quantizer, {"symmetric": 1}, "symmetric=1: use True or False"),
        (quantizer, {"scale_rule": ["floor"]}, "scale_rule="),
        (multiply, {"mapping": {}}, "mapping={}: use text"),
        (multiply, {"mapping": np.array(["lut"])}, "mapping="),
        (multiply, {"stages": np.array([2])}, "stages="),
        (multiply, {"pipeline_target": 5}, "pipeline_target=5: use text"),
        (multiply, {"a": np.array([1])}, "unknown format"),
        (hwgen.pipelined, {"spec": "mul", "fmax_mhz": 1, "target": "ecp5"}, "spec='mul': give"),
        (hwgen.pipelined, {"spec": multiply(), "fmax_mhz": 1, "target": ["ecp5"]}, "target="),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_when_the_object_is_made(make, arguments, message):
    with pytest.raises(InputError) as caught:
        make(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"nan": 1j},
        {"nan": np.zeros(2)},
        {"rounding": np.array(["up", "down"])},
        {"rounding": ["up"]},
        {"overflow": np.array(["saturate"])},
        {"overflow": {}},
        {"rounding": "stochastic", "random_bits": [[1], [1, 2]]},
        {"dtype": {}},
    ],
)
def test_options_of_encoding_are_of_the_right_type(options):
    with pytest.raises(InputError, match=next(reversed(options))):
        parse("e4m3fn").quantize([1.0, 2.0], **options)


@pytest.mark.parametrize(
    "options",
    [
        {"axis": 0.0},
        {"scale_rule": ["floor"]},
        {"arithmetic": np.array(["exact"])},
        {"nonfinite": {}},
        {"symmetric": "no"},
        {"flush_subnormals": None},
        {"smallest_scale": "1"},
        {"tensor_scale": 1j},
    ],
)
def test_options_of_block_encoding_are_of_the_right_type(options):
    with pytest.raises(InputError, match=next(iter(options))):
        parse("nvfp4").encode(np.ones(16), **options)


def test_public_functions_refuse_what_is_no_spec():
    from cost_models.query import estimate, measure
    from sim.verification import verify

    for call, message in (
        (lambda: estimate("mul", "ecp5"), "spec='mul': give a spec"),
        (lambda: measure(None, "ecp5"), "spec=None: give a spec"),
        (lambda: verify(5), "spec=5: give a spec"),
        (lambda: estimate(multiply(), {}), "target={}: use text"),
        (lambda: verify(multiply(), vectors=2.5), "vectors=2.5: use a whole number"),
        (lambda: verify(multiply(), seed="1"), "seed='1': use a whole number"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_numbers_of_numpy_become_pythons():
    integer = Integer(np.int64(8), np.bool_(True), fraction_bits=np.uint8(2))
    assert integer == Integer(8, True, 2) and hash(integer) == hash(Integer(8, True, 2))
    kinds = [type(n) for n in (integer.bits, integer.signed, integer.fraction_bits)]
    assert kinds == [int, bool, int] and repr(integer) == "parse('fixed8_2')"
    spec = multiply(stages=np.int32(2), mapping=np.str_("lut"))
    assert spec.to_dict() == multiply(stages=2).to_dict() and type(spec.stages) is int
    assert pickle.dumps(spec) == pickle.dumps(multiply(stages=2))


def test_a_whole_weight_past_2_53_is_not_its_neighbour():
    for given in ([2**53 + 1], str(2**53 + 1), np.array([2**53 + 1])):
        with pytest.raises(InputError, match="9007199254740993 is no float64"):
            Weights.parse(given)


def test_what_is_shown_is_short():
    assert shown("a" * 5000) == "'" + "a" * 76 + "..." and shown(10**5000).endswith("printed")

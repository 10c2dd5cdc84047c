"""DSP blocks and LUTs of units in which products share multipliers."""

import pytest

import yosys_scripts
from cost_models import structure
from hwgen import Array, DotProduct, InputError, emit
from hwgen.sizes.dsp_multiplier import PACKED_FOR
from hwgen.spec import BlockDot

BLOCKS = {"mapping": "dsp18x18", "accumulator": "fp16", "stages": 4}
WIDE = {"mapping": "dsp27x18", "accumulator": "fp16", "stages": 4}


def counts(spec, target):
    result = yosys_scripts.synthesise(
        emit.rtlil(spec), spec.name, target=target, mapping=spec.mapping, place=False
    )
    return result.dsp, result.lut


@pytest.mark.parametrize("target", ["ecp5", "xcup"])
def test_a_dot_of_32_lanes_of_int4(target):
    """With a multiplier a lane it is 32 blocks and 359 LUTs on ECP5."""
    dsp, lut = counts(DotProduct(a="int4", b="int4", lanes=32, mapping="dsp"), target)
    assert dsp == 16 and lut <= 315


@pytest.mark.parametrize(
    ("a", "mapping", "target", "products", "most_luts"),
    [
        ("int8", "dsp27x18", "xcup", 2, 455),
        ("int4", "dsp27x18", "xcup", 4, 345),
        ("int4", "dsp", "ecp5", 2, 460),
        ("int4", "dsp25x18", "xc7", 4, 345),
    ],
)
def test_an_array_of_four_by_four(a, mapping, target, products, most_luts):
    """The accumulators alone are 448 LUTs of INT8 and 320 of INT4."""
    spec = Array(a=a, b=a, rows=4, columns=4, mapping=mapping)
    dsp, lut = counts(spec, target)
    assert dsp == 16 // products and lut <= most_luts


@pytest.mark.parametrize("stages", [1, 6])
def test_blocks_of_a_cascade_are_counted(stages):
    """Adders in one stage are those of the blocks, and one's sum goes to the next."""
    spec = DotProduct(a="int8", b="int8", lanes=4, mapping="dsp", stages=stages)
    result = yosys_scripts.synthesise(
        emit.rtlil(spec), spec.name, target="xcup", mapping="dsp", place=False
    )
    assert result.dsp == result.cells["DSP48E2"] == 4
    assert not any(name.startswith("DSP48E1") for name in result.cells)


@pytest.mark.parametrize(("a", "products"), [("e4m3", 4), ("e2m3", 4), ("e2m1", 8)])
def test_significands_of_an_array(a, products):
    spec = Array(a=a, b=a, rows=4, columns=2, mapping="dsp27x18")
    assert spec.packing.products == products
    assert counts(spec, "xcup")[0] == 8 // products


@pytest.mark.parametrize(
    ("target", "spec", "dsp"),
    [
        # Two lanes; of nine elements six share a multiplier, and three another.
        ("ecp5", Array(a="e2m1_b2_e8m0", b="e2m1_b2_e8m0", rows=3, columns=3, **BLOCKS), 2 * 2),
        # And for each element and each of its two blocks a product of scales and one with it.
        ("ecp5", Array(a="e2m1_b4_ue4m3", b="int4_b2_ue4m3", rows=1, columns=3, **BLOCKS), 4 + 12),
        ("xcup", Array(a="int8_b2_e8m0", b="int8_b2_e8m0", rows=1, columns=3, **WIDE), 2 * 2),
        ("ecp5", BlockDot(a="int4_b5_ue4m3", b="int4_b5_ue4m3", mapping="dsp18x18"), 3 + 2),
        ("ecp5", Array(a="int8_b2_e8m0", b="int8_b2_e8m0", rows=1, columns=2, mapping="dsp"), 4),
    ],
    ids=["remainders", "scales", "wide", "pairs", "a block each"],
)
def test_the_plan_counts_the_blocks_of_blocks(target, spec, dsp):
    assert (
        structure.counted(structure.inputs(spec), "dsp", target) == dsp == counts(spec, target)[0]
    )


@pytest.mark.parametrize(
    ("target", "fields", "blocks"),
    [
        ("xcup", {"a": "int8", "b": "int8", "rows": 3, "columns": 4, "mapping": "dsp27x18"}, 6),
        ("ecp5", {"a": "int4", "b": "int4", "rows": 4, "columns": 4, "mapping": "dsp"}, 8),
        (
            "ecp5",
            {"a": "e2m1", "b": "e2m1", "rows": 4, "columns": 4, "lanes": 3, "mapping": "dsp"},
            12,
        ),
    ],
)
def test_the_plan_counts_the_blocks_of_packed_elements(target, fields, blocks):
    """As in ``test_an_array_of_four_by_four``."""
    assert structure.counted(structure.inputs(Array(**fields)), "dsp", target) == blocks


def test_multipliers_are_those_of_the_targets_scripts():
    multipliers = {
        name: str(yosys_scripts.target(name).multiplier) for name in yosys_scripts.TARGETS
    }
    assert multipliers == {
        **{"ecp5": "18 x 18", "ice40": "16 x 16", "nexus": "36 x 36", "gowin": "18 x 18"},
        **{"xc7": "25 x 18", "xcup": "27 x 18"},
    }
    for name in multipliers:  # Every target has the multiplier of mapping dsp.
        assert yosys_scripts.target(name).multiplier.takes(
            PACKED_FOR["dsp"].wide, PACKED_FOR["dsp"].narrow
        )


@pytest.mark.parametrize(
    ("target", "mapping", "message"),
    [
        ("ecp5", "dsp27x18", "ecp5 has multipliers of 18 x 18 bits, .* packs products for 27 x 18"),
        ("xc7", "dsp27x18", "use one of lut, dsp, auto, dsp18x18, dsp25x18$"),
        ("ice40", "dsp18x18", "use one of lut, dsp, auto$"),
        ("ice40", "DSP", "target ice40 has no mapping 'DSP'"),
    ],
)
def test_a_target_with_a_smaller_multiplier(target, mapping, message):
    with pytest.raises(InputError, match=message):
        yosys_scripts.target(target).script(mapping)

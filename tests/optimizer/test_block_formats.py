"""Layers in block formats: the sums, the units, what they cost, and that the hardware agrees."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from graphs import Cost, Range, crude_cost, normal, residual_network, save
from onnx_files import dense, node

from hwgen.errors import InputError
from hwgen.formats import parse
from hwgen.spec import Array, BlockDot, DotProduct
from optimizer import blocks, datapaths, explore, inference, optimize, selection, sizing
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.layer_vectors import layer_vectors, results
from optimizer.network import Layer
from optimizer.onnx_import import load
from optimizer.ptq.methods import Methods, Recipe
from sim import golden

FORMATS = ("mxfp8_e4m3", "nvfp4", "msfp12", "mx9", "bfp4_b8", "int4_b4_ue4m3")


def cost(spec, of_lane=100.0):
    """Units of blocks too."""
    if isinstance(spec, DotProduct):
        return crude_cost(spec)
    lut = of_lane * spec.lanes + 500
    return Cost(Range(lut, lut, lut))


def grouped(path):
    """K = 18 of a group, the weights of a group in columns of their own."""
    w = {"w": normal(1, 6, 2, 3, 3), "b": normal(2, 6)}
    nodes = [node("Conv", ["x", "w", "b"], ["c"], name="own", group=2, pads=[1] * 4)]
    nodes += [node("Relu", ["c"], ["r"]), *dense("r", 216, w)]
    return save(path, nodes, w, ("batch", 4, 6, 6))


def depthwise_row(path):
    w = {"w": normal(1, 4, 1, 5)}
    nodes = [node("Conv", ["x", "w"], ["c"], name="own", group=4), *dense("c", 20, w)]
    return save(path, nodes, w, ("batch", 4, 9))


def attention(path):
    """A product of two activations."""
    w = {"wk": normal(1, 20, 20)}
    nodes = [
        node("MatMul", ["x", "wk"], ["k"], name="keys"),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["x", "kt"], ["s"], name="own"),
        *dense("s", 36, w),
    ]
    return save(path, nodes, w, ("batch", 6, 20))


def made(make, tmp_path):
    network = load(make(tmp_path / "n.onnx"))
    images = normal(3, 60, *network.input_shape)
    labels = inference.run(network, images).argmax(axis=1)
    return network, ImageData(images[:30], None, images[30:], labels[30:], "random")


def quantised(network, data, a, b, recipe=None, methods=None):
    f, g = parse(a), parse(b)
    asked = methods or Methods(bias=True, roundings=("gptq",))
    calibration = calibrate(network, data.calibration_images, [f, g], None, asked)
    pairs = dict.fromkeys(network.layer_nodes, (f, g))
    return selection.tuner(network, calibration, data, asked).quantization(
        pairs, recipe or Recipe()
    )


def by_fractions(f, row, scale):
    """The values of a row in a block format, without the tensor's scale, block after block."""
    values = []
    for first in range(0, len(row), f.block_size):
        block = np.zeros(f.block_size)
        block[: len(row) - first] = row[first : first + f.block_size]
        given = None if f.tensor_scale is None else scale
        rounded = f.quantize(block, tensor_scale=given, dtype=object)
        values += [Fraction(v) / Fraction(scale) for v in rounded]
    return values[: len(row)]


@pytest.mark.parametrize("names", [("mxfp4", "mxfp4"), ("nvfp4", "mxint8"), ("mx6", "mx6")])
def test_sums_of_a_convolution_are_those_of_its_blocks(tmp_path, names):
    """Worked out from the images by hand: rows of 3 × 3 × 2, each rounded by itself."""
    network, data = made(grouped, tmp_path)
    q = quantised(network, data, *names)["own"]
    x = data.test_images[:1]
    sums = inference.exact_sums(q, [x])
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    weight = normal(1, 6, 2, 3, 3)
    for out, row, column in ((0, 0, 0), (2, 3, 4), (5, 5, 1)):
        group = out // 3
        window = padded[2 * group : 2 * group + 2, row : row + 3, column : column + 3]
        a = by_fractions(
            q.a_format, window.transpose(1, 2, 0).reshape(-1), float(q.activation_scale)
        )
        w = weight[out].transpose(1, 2, 0).reshape(-1)
        b = by_fractions(q.b_format, w, float(q.weight_scale[0]))
        exact = sum(x * y for x, y in zip(a, b, strict=True))
        assert sums[group, row * 6 + column, out % 3] == float(exact)


@pytest.mark.parametrize("make", [grouped, depthwise_row, attention, residual_network])
@pytest.mark.parametrize("name", FORMATS)
def test_the_units_give_the_sums_of_inference(tmp_path, make, name):
    network, data = made(make, tmp_path)
    asked = explore.settings(target="ecp5", fps=2e5, formats=[name], max_drop=100.0, ptq=["bias"])
    e = explore.explore(network, data, asked, predict=cost)
    for plan in e.chosen.layers:
        assert plan.spec.a == plan.spec.b == parse(name)
        vectors = layer_vectors(
            e.network, e.quantization, e.chosen, plan.layer.name, data.test_images[:10], 40
        )
        inputs = vectors.inputs(plan.spec)
        got = results(plan.spec, golden.expected(plan.spec, inputs), vectors.last_cycles)
        assert got == vectors.expected and np.any(got)


def test_verilog_of_layers_gives_the_sums_of_inference(tmp_path, monkeypatch):
    """More blocks than a cycle has, of two sizes, through the simulator."""
    network, data = made(residual_network, tmp_path)
    monkeypatch.setattr(optimize, "CHECKED_LAYERS", 1)
    names = ["e2m1_b8_ue4m3", "int4_b16_e8m0"]
    asked = explore.settings(target="ecp5", fps=4e3, formats=names, max_drop=100.0, ptq=["bias"])
    e = explore.explore(network, data, asked, predict=cost)
    pairs = {(p.spec.a.block_size, p.spec.b.block_size) for p in e.front[0].layers}
    assert pairs <= {(8, 8), (8, 16), (16, 8), (16, 16)}
    assert any(isinstance(p.spec, Array) for p in e.chosen.layers[: optimize.CHECKED_LAYERS])
    checks = optimize.check(e, data, lambda text: None)
    for check in checks:
        assert check.passed and check.cycles >= check.outputs >= 128
    assert json.loads(json.dumps([dataclasses.asdict(check) for check in checks]))


def test_one_array_for_all_layers_in_blocks(tmp_path):
    """The longest sum, 54 products, decides: 14 blocks of 4 over several cycles, for all layers."""
    network, data = made(residual_network, tmp_path)
    asked = explore.settings(
        target="ecp5", fps=5e3, style="shared", formats=["int4_b4_ue4m3"], max_drop=100.0
    )
    e = explore.explore(network, data, asked, predict=cost)
    (spec,) = e.chosen.specs
    assert isinstance(spec, Array) and spec.lanes % 4 == 0 and spec.max_products >= 56
    for plan in e.chosen.layers:
        vectors = layer_vectors(
            e.network, e.quantization, e.chosen, plan.layer.name, data.test_images[:10], 20
        )
        inputs = vectors.inputs(spec)
        got = results(spec, golden.expected(spec, inputs), vectors.last_cycles)
        assert got == vectors.expected and np.any(got)


def test_refined_weights_are_of_their_blocks(tmp_path):
    network, data = made(residual_network, tmp_path)
    for name in ("nvint4", "mx6", "mxfp4"):
        plain = quantised(network, data, name, name)
        refined = quantised(network, data, name, name, Recipe("gptq", True))
        for layer, q in refined.items():
            codes = q.weight_codes
            assert codes.shape == q.weight.shape and codes.format == parse(name)
            values = codes.decode() / (codes.tensor_scale or 1.0)
            np.testing.assert_allclose(values, q.weight, rtol=1e-15)
            assert (q.weight != plain[layer].weight).any()


def test_what_lacks_of_a_block_is_filled_up_and_paid_for():
    """K = 9 in blocks of 32 takes 32 lanes; 100 products take 4 blocks, 2 in a cycle."""
    a, b = parse("mxfp4"), parse("mxint4")
    short, long = Layer("s", "Conv", 9, 100), Layer("l", "Conv", 100, 100)
    step, most = datapaths.lane_step(a, b), datapaths.most_lanes(a, b)
    (size,) = sizing.sizes_in_steps((short,), 100, step, most)
    assert (size.lanes, size.units, size.cycles, size.max_products) == (32, 1, 100, 32)
    assert isinstance(datapaths.unit(a, b, size.lanes, size.max_products), BlockDot)
    found = sizing.sizes_in_steps((long,), 200, step, most)
    assert [(s.lanes, s.units, s.max_products) for s in found] == [(32, 2, 128), (64, 1, 128)]
    spec = datapaths.unit(a, b, 64, 128)
    assert isinstance(spec, Array) and (spec.blocks, spec.lanes) == (2, 64)
    assert not sizing.sizes_in_steps((long,), 1, step, most)
    f = parse("int4")
    assert isinstance(datapaths.unit(f, f, 8, 8), DotProduct)


def test_pairs_that_no_unit_takes():
    names = ("mxfp4", "nvfp4", "int8", "int4_b24_e8m0", "int4_b1_e8m0")
    mx, nv, single, odd, lone = map(parse, names)
    assert datapaths.is_possible(mx, nv) and datapaths.is_possible(single, single)
    assert not any(datapaths.is_possible(mx, other) for other in (single, odd, lone))
    # Nothing adds micro-exponents up: the whole sum in a cycle, of at most 256 lanes.
    micro = parse("mx6")
    for length, lanes in ((256, [256]), (257, [])):
        found = sizing.sizes_in_steps(
            (Layer("l", "Gemm", length, 10),), 10**6, 16, datapaths.most_lanes(micro, micro), True
        )
        assert [size.lanes for size in found] == lanes


def test_candidates_that_suit_no_layer_are_refused(tmp_path):
    network, data = made(residual_network, tmp_path)
    for names, message in (
        (["uint4_b16_e8m0"], "uint4_b16_e8m0 is no candidate for a layer: use signed"),
        (["lns4f3_b16_e8m0"], "is no candidate for a layer"),
        (["int4_b512_e8m0"], "use up to 256"),
        (["mx6"], "layer block.conv1: none of the formats mx6 suits it .*such as int8"),
    ):
        asked = explore.settings(target="ecp5", fps=1e4, formats=names)
        with pytest.raises(InputError, match=message):
            wide = load(residual_network(tmp_path / "wide.onnx", channels=30))
            explore.explore(wide if names == ["mx6"] else network, data, asked, predict=cost)


def test_a_transposed_convolution_stays_with_single_numbers(tmp_path):
    w = {"w": normal(1, 4, 3, 3, 3)}
    nodes = [node("ConvTranspose", ["x", "w"], ["c"], name="own", strides=[2, 2])]
    path = save(tmp_path / "t.onnx", [*nodes, *dense("c", 3 * 169, w)], w, ("batch", 4, 6, 6))
    network, data = made(lambda _: path, tmp_path)
    names = ["mxfp8", "int8"]
    asked = explore.settings(target="ecp5", fps=1e4, formats=names, max_drop=100.0, ptq=["none"])
    e = explore.explore(network, data, asked, predict=lambda spec: cost(spec, 0.01))
    used = {p.layer.name: p.spec.a.block_size for plan in e.front for p in plan.layers}
    assert used["own"] == 1
    with pytest.raises(InputError, match="layer own: none of the formats mxfp8_e4m3"):
        asked = explore.settings(target="ecp5", fps=1e4, formats=["mxfp8"])
        explore.explore(network, data, asked, predict=cost)


def test_codes_of_steps_are_the_codes():
    for name in ("nvfp4", "mx9", "mxfp8_e5m2"):
        f, x = parse(name), normal(5, 7, 50)
        codes = blocks.encoded(f, x, 1, blocks.scale_of_tensor(f, float(np.abs(x).max())))
        steps = blocks.steps(codes)
        scale = codes.tensor_scale or 1.0
        again = blocks.of_steps(f, blocks.values(codes) / steps, steps, 1, scale)
        np.testing.assert_array_equal(again.decode(), codes.decode())
        if name != "mx9":  # Where both of all pairs are halved, the scale can be.
            np.testing.assert_array_equal(again.scales, codes.scales)

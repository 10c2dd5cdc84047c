"""Networks that are quantised already compute what their files say, in the formats of these."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import crude_cost, normal, residual_network, save
from onnx import helper, numpy_helper
from onnx_files import node, refused

from hwgen.errors import InputError
from hwgen.formats import parse
from optimizer import explore, inference
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.onnx_import import load

IMAGES = normal(9, 20, 3, 8, 8)
QONNX = "qonnx.custom_op.general"


def formats(network):
    return {n.name: tuple(map(str, n.given_formats)) for n in network.nodes}


def as_given(network, images):
    """The network in the formats of its file, each layer with exact sums."""
    pairs = {node.name: node.given_formats for node in network.nodes}
    assert all(f is not None for pair in pairs.values() for f in pair)
    calibration = calibrate(network, images, [])
    return inference.run(network, images, calibration.quantization(pairs))


# --- QONNX ------------------------------------------------------------------------------------


def quant(x, scale, zero, bits, signed, narrow, mode="ROUND"):
    """As qonnx's own function, in float64."""
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    rounding = {"ROUND": np.round, "FLOOR": np.floor, "CEIL": np.ceil}[mode]
    return (rounding(np.clip(x / scale + zero, low, high)) - zero) * scale


def qonnx_network(path: Path, mode="ROUND", weight_scale=None, domain_imported=True):
    """Two layers: 3-bit weights by channel and 4-bit activations; then +-1 on both sides."""
    weights = {
        "w0": normal(1, 12, 10),
        "w1": normal(2, 10, 5),
        "sa": np.float32(0.25).reshape(()),
        "sw": np.linspace(0.2, 0.65, 10).astype(np.float32).reshape(1, 10),
        "sh": np.float32(0.5).reshape(()),
        "sb": np.float32(0.125).reshape(()),
        "zero": np.float32(0).reshape(()),
        "b0": normal(3, 10),
        **{f"bits{n}": np.float32(n).reshape(()) for n in (3, 4)},
    }
    if weight_scale is not None:
        weights["sw"] = weight_scale

    def quantiser(x, scale, bits, out, signed, narrow, mode="ROUND"):
        return node(
            "Quant", [x, scale, "zero", bits], [out], domain=QONNX, signed=signed, narrow=narrow,
            rounding_mode=mode,
        )  # fmt: skip

    nodes = [
        quantiser("x", "sa", "bits4", "xq", 1, 0, mode),
        quantiser("w0", "sw", "bits3", "w0q", 1, 1),
        node("MatMul", ["xq", "w0q"], ["m"], name="first"),
        node("Add", ["m", "b0"], ["a"]),
        node("Relu", ["a"], ["r"]),
        quantiser("r", "sh", "bits4", "rq", 0, 1),
        node("BipolarQuant", ["w1", "sb"], ["w1q"], domain=QONNX),
        node("MatMul", ["rq", "w1q"], ["y"], name="second"),
    ]
    path = save(path, nodes, weights, ("batch", 12))
    if domain_imported:
        model = onnx.load(path)
        model.opset_import.append(helper.make_opsetid(QONNX, 1))
        onnx.save(model, path)
    return path, weights


@pytest.mark.parametrize("domain_imported", [True, False])
@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL"])
def test_qonnx(tmp_path, mode, domain_imported):
    path, w = qonnx_network(tmp_path / "n.onnx", mode, domain_imported=domain_imported)
    network, x = load(path), normal(7, 50, 12)
    hidden = quant(x, w["sa"], 0, 4, 1, 0, mode) @ quant(w["w0"], w["sw"], 0, 3, 1, 1) + w["b0"]
    expected = quant(np.maximum(hidden, 0), w["sh"], 0, 4, 0, 1) @ np.where(
        w["w1"] >= 0, w["sb"], -w["sb"]
    )
    np.testing.assert_allclose(inference.run(network, x), expected, rtol=1e-5, atol=1e-5)
    assert formats(network) == {"first": ("int4", "int3"), "second": ("uint4", "int2")}
    given = network.nodes[0].given
    assert given[0].scale == 0.25
    np.testing.assert_array_equal(given[1].scale, w["sw"].reshape(-1).astype(np.float64))
    # The sums that a datapath of these formats gives are those of the file.
    np.testing.assert_allclose(as_given(network, x), expected, rtol=1e-5, atol=1e-5)


def test_a_scale_of_each_input_is_no_format_of_a_datapath(tmp_path):
    scale = np.linspace(0.2, 0.65, 12).astype(np.float32).reshape(12, 1)
    path, _ = qonnx_network(tmp_path / "n.onnx", weight_scale=scale)
    assert formats(load(path)) == {"first": ("int4", "None"), "second": ("uint4", "int2")}


def test_quantisers_that_cannot_be_read(tmp_path):
    def edited(edit):
        path, _ = qonnx_network(tmp_path / "n.onnx")
        model = onnx.load(path)
        edit(model)
        onnx.save(model, path)
        with pytest.raises(InputError) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def mode(model):
        (attribute,) = (a for a in model.graph.node[0].attribute if a.name == "rounding_mode")
        attribute.s = b"HALF_UP"

    def bits(model):
        model.graph.node[0].input[3] = "sa"

    def varies(model):
        model.graph.node[0].input[3] = "x"

    def one_bit(model):
        (width,) = (t for t in model.graph.initializer if t.name == "bits4")
        width.CopyFrom(numpy_helper.from_array(np.float32(1).reshape(()), "bits4"))

    def old(model):
        model.opset_import[0].version = 9

    assert "rounding_mode=HALF_UP is not read: use one of ROUND, CEIL" in edited(mode)
    assert "its bit width 0.25 must be one whole number from 1 to 16" in edited(bits)
    assert "its bit width must be a constant" in edited(varies)
    assert "one bit with a sign is not read: use BipolarQuant" in edited(one_bit)
    assert "operator Quant in opset 9: export it in opset 13" in edited(old)


# --- what onnxruntime's own quantiser writes --------------------------------------------------


def by_onnxruntime(path, images):
    """Operator by operator: with its own fusions it rounds elsewhere."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options).run(None, {"x": images})[0]


def quantised(folder, monkeypatch, style, **options):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))  # it adds a folder of its own
    from onnxruntime import quantization as tool

    class Reader(tool.CalibrationDataReader):
        batches = iter([{"x": normal(seed, 4, 3, 8, 8)} for seed in range(5)])

        def get_next(self):
            return next(self.batches, None)

    source, path = residual_network(folder / "float.onnx"), folder / "quantised.onnx"
    if style == "dynamic":
        tool.quantize_dynamic(source, path)
    else:
        form = getattr(tool.QuantFormat, style)
        kind = getattr(tool.QuantType, options.pop("kind"))
        tool.quantize_static(
            source, path, Reader(), quant_format=form, activation_type=kind,
            weight_type=tool.QuantType.QInt8, **options,
        )  # fmt: skip
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("style", ["QDQ", "QOperator"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
def test_static(tmp_path, monkeypatch, style, per_channel, kind):
    path = quantised(tmp_path, monkeypatch, style, per_channel=per_channel, kind=kind)
    network = load(path)
    expected = by_onnxruntime(path, IMAGES)
    np.testing.assert_allclose(inference.run(network, IMAGES), expected, rtol=1e-5, atol=1e-5)
    names = list(network.layer_nodes)
    # The zero point of the images is not in the middle: one bit more. Behind a Relu it is zero.
    wanted = [("int9", "int8"), *[("uint8", "int8")] * 3]
    assert formats(network) == dict(zip(names, wanted, strict=True))
    assert not network.float_operators and network.batch is None
    np.testing.assert_array_equal(as_given(network, IMAGES), inference.run(network, IMAGES))
    scales = [len(np.unique(n.given[1].scale)) for n in network.nodes]
    assert (max(scales) > 1) == per_channel


@pytest.mark.filterwarnings("ignore")
def test_dynamic(tmp_path, monkeypatch):
    """Activations have a scale that depends on them: only the weights have formats."""
    path = quantised(tmp_path, monkeypatch, "dynamic")
    network = load(path)
    assert network.batch == 1
    expected = np.concatenate([by_onnxruntime(path, image[None]) for image in IMAGES])
    np.testing.assert_allclose(inference.run(network, IMAGES), expected, rtol=1e-3, atol=1e-3)
    assert set(formats(network).values()) == {("None", "int8")}


def test_a_quantised_network_of_an_old_operator_set(tmp_path):
    weights = {"s": np.float32(0.1).reshape(()), "z": np.zeros((), np.int8), "w": normal(1, 192, 4)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Flatten", ["d"], ["f"]),
        node("MatMul", ["f", "w"], ["y"], name="dense"),
    ]
    path = save(tmp_path / "n.onnx", nodes, weights, opset=10)
    assert formats(load(path)) == {"dense": ("int8", "None")}
    weights["s"] = normal(1, 3)
    weights["z"] = np.zeros(3, np.int8)
    for n in nodes[:2]:
        n.attribute.append(helper.make_attribute("axis", 1))
    path = save(path, nodes, weights)
    assert formats(load(path)) == {"dense": ("None", "None")}


# --- the search -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    path, _ = qonnx_network(tmp_path_factory.mktemp("net") / "n.onnx")
    network, x = load(path), normal(3, 260, 12)
    labels = inference.run(network, x).argmax(axis=1)
    return network, ImageData(x[:60], None, x[60:], labels[60:], "random")


def explored(setting, **changed):
    asked = {"target": "ecp5", "fps": 1e5, "formats": ["int5", "e2m1"], **changed}
    return explore.explore(*setting, explore.settings(**asked), predict=crude_cost)


def test_the_files_formats_are_where_the_search_starts(setting):
    e = explored(setting, formats=["int2", "e2m1"])
    given = e.references["as given"]
    assert {n: tuple(map(str, p)) for n, p in given.pairs.items()} == formats(setting[0])
    assert given.accuracy == e.fp32 and given in e.points and given.sensitivity < 1e-9
    assert {layer.spec.a for layer in given.layers} == {parse("int4"), parse("uint4")}
    others = {p for plan in e.points for p in plan.pairs.values()}
    # Cheaper plans have layers in the candidates, and others in the file's formats.
    assert (parse("int2"), parse("int2")) in others and set(given.pairs.values()) <= others


def test_the_files_formats_are_kept(setting):
    e = explored(setting, given="fixed")
    assert [plan.pairs for plan in e.points] == [e.references["as given"].pairs] * len(e.points)
    first = setting[0].nodes[0]
    half = dataclasses.replace(first, given=(None, first.given[1]))
    network = dataclasses.replace(setting[0], nodes=(half, *setting[0].nodes[1:]))
    e = explored((network, setting[1]), given="fixed", formats=["int5", "int6"])
    for plan in e.points:
        (a, b), second = plan.pairs.values()
        assert str(a) in ("int5", "int6") and str(b) == "int3"
        assert tuple(map(str, second)) == ("uint4", "int2")
    assert str(e.references["as given"].pairs["first"][0]) == "int8"


def test_one_datapath_for_all_layers_has_one_pair_of_formats(setting):
    with pytest.raises(InputError, match=r"given=fixed: .* use the style streaming"):
        explored(setting, given="fixed", style="shared")
    plain = [dataclasses.replace(node, given=(None, None)) for node in setting[0].nodes]
    network = dataclasses.replace(setting[0], nodes=tuple(plain))
    with pytest.raises(InputError, match=r"given=fixed: network n is not quantised"):
        explored((network, setting[1]), given="fixed")
    e = explored(setting, style="shared")
    assert "as given" not in e.references
    with pytest.raises(InputError, match="given='kept': use one of start, fixed"):
        explored(setting, given="kept")


def test_an_operator_of_finn_is_named(tmp_path):
    nodes = [node("MultiThreshold", ["x", "t"], ["y"], domain=QONNX, name="steps")]
    text = refused(tmp_path, nodes, {"t": normal(1, 3, 7)})
    assert "MultiThreshold" in text and "onnxruntime cannot read" in text

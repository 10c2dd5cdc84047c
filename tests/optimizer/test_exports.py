"""Plans as ONNX files: what other readers, and this package, compute of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import normal, residual_network

from hwgen.errors import InputError
from hwgen.formats import parse
from optimizer import exports, inference, onnx_import
from optimizer.calibration import calibrate
from optimizer.data import load as load_data
from optimizer.ptq.methods import Recipe, methods
from optimizer.selection import tuner, with_unsigned
from optimizer.workloads import fashion_mnist

FORMATS = [parse(name) for name in ("int4", "int8", "int6")]
WORKLOADS = fashion_mnist.MODEL.parent


@pytest.fixture(scope="module", params=["resnet8", "mobilenet", "vit"])
def plan(request):
    """A shipped network in formats that change from layer to layer, 50 images, its answers."""
    network = onnx_import.load(WORKLOADS / f"{request.param}.onnx")
    data = load_data(fashion_mnist.DATA, network.classes, network.declared)
    asked = methods(None)
    calibration = calibrate(network, data.calibration_images[:64], FORMATS, 2, asked)
    pairs = {
        node.name: (FORMATS[i % 3], FORMATS[(i + 1) % 3]) for i, node in enumerate(network.nodes)
    }
    pairs = with_unsigned(calibration, pairs)
    tuned = tuner(network, calibration, data, asked, 2, images=data.calibration_images[:64])
    # Activations of a transformer have both signs, and zero points that serve.
    recipe = Recipe("gptq", bias=True, asymmetric=request.param == "vit")
    quantization = tuned.quantization(pairs, recipe, 2)
    moved = sum(q.zero_point != 0 for q in quantization.values())
    assert (moved > 0) == (request.param == "vit")
    images = data.test_images[:50]
    return network, pairs, quantization, images, inference.run(network, images, quantization)


def unfused():
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def assert_alike(found, wanted):
    """All scores, but for a few images of which a float sum rounds an activation the other way."""
    far = np.abs(found - wanted).max(axis=1) > 2e-5
    assert far.sum() <= 4 and (found.argmax(axis=1) == wanted.argmax(axis=1)).sum() >= 49


def test_qdq_in_onnxruntime_gives_the_plans_scores(plan, tmp_path):
    network, _, quantization, images, wanted = plan
    path = tmp_path / exports.QDQ
    onnx.save(exports.model(network, quantization, exports.QDQ), path)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, unfused())
    found = session.run(None, {network.inputs[0].name: images})[0].reshape(wanted.shape)
    assert_alike(found, wanted)
    fused = onnxruntime.InferenceSession(path)
    found = fused.run(None, {network.inputs[0].name: images})[0].reshape(wanted.shape)
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.98


def test_qonnx_comes_back_with_the_plans_formats_and_scores(plan, tmp_path):
    network, pairs, quantization, images, wanted = plan
    path = tmp_path / exports.QONNX
    onnx.save(exports.model(network, quantization, exports.QONNX), path)
    back = onnx_import.load(path)
    # A zero point that is not in the middle takes a bit more there.
    kept = {name: pair for name, pair in pairs.items() if not quantization[name].zero_point}
    found = {node.name: node.given_formats for node in back.nodes}
    assert {name: found[name] for name in kept} == kept and len(found) == len(pairs)
    assert_alike(inference.run(back, images), wanted)
    calibration = calibrate(back, images, [])
    again = calibration.quantization({node.name: node.given_formats for node in back.nodes})
    np.testing.assert_allclose(inference.run(back, images, again), wanted, atol=2e-5)
    for node in back.nodes:
        before, after = quantization[node.name], again[node.name]
        if before.weight is not None:
            assert np.array_equal(before.weight, after.weight)


def test_formats_that_a_file_cannot_say_are_refused_with_the_layers_name(tmp_path):
    network = onnx_import.load(residual_network(tmp_path / "small.onnx"))
    images = normal(1, 16, 3, 8, 8)
    wide, narrow, minifloat = (parse(name) for name in ("int12", "int4", "e2m1"))
    calibration = calibrate(network, images, [wide, narrow, minifloat])
    first = network.nodes[0].name
    for f, files in ((wide, [exports.QONNX]), (narrow, list(exports.FILES)), (minifloat, [])):
        pairs = {node.name: (narrow, narrow) for node in network.nodes}
        quantization = calibration.quantization({**pairs, first: (narrow, f)})
        assert list(exports.models(network, quantization)) == files
        for file in set(exports.FILES) - set(files):
            with pytest.raises(InputError, match=f"{file}: layer {first} has the format {f}"):
                exports.model(network, quantization, file)


def test_narrow_formats_saturate_at_their_own_ends(tmp_path):
    """Activations ten times as large as those that calibrated: at int4's ends, not int8's."""
    network = onnx_import.load(residual_network(tmp_path / "small.onnx"))
    images = normal(1, 16, 3, 8, 8)
    calibration = calibrate(network, images, [parse("int4")])
    pairs = {node.name: (parse("int4"), parse("int4")) for node in network.nodes}
    quantization = calibration.quantization(pairs)
    wanted = inference.run(network, 10 * images, quantization)
    made = exports.model(network, quantization, exports.QDQ).SerializeToString()
    session = onnxruntime.InferenceSession(made, unfused())
    found = session.run(None, {network.inputs[0].name: 10 * images})[0]
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-4)

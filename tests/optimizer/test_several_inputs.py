"""Networks with several inputs, of whole numbers too, whose sizes the data say."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from graphs import crude_cost, normal
from onnx import TensorProto, helper, numpy_helper

from hwgen.errors import InputError
from optimizer import data, explore, inference, onnx_import, optimize
from optimizer.inputs import Declared

WORDS, LENGTH, WIDTH, CLASSES = 20, 7, 6, 3
node = helper.make_node


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Words of any number, embedded and added up where a mask says so; beside them, features."""
    folder = tmp_path_factory.mktemp("words")
    weights = {
        "table": normal(1, WORDS, WIDTH),
        "w0": normal(2, WIDTH, 8),
        "w1": normal(3, 4, 8),
        "w2": normal(4, 8, CLASSES),
        "last": np.array([-1]),
        "one": np.array([1]),
    }
    nodes = [
        node("Gather", ["table", "words"], ["e"]),
        node("Unsqueeze", ["mask", "last"], ["m"]),
        node("Mul", ["e", "m"], ["em"]),
        node("MatMul", ["em", "w0"], ["h"], name="words_layer"),
        node("ReduceSum", ["h", "one"], ["s"], keepdims=0),
        node("MatMul", ["features", "w1"], ["f"], name="features_layer"),
        node("Add", ["s", "f"], ["sum"]),
        node("Relu", ["sum"], ["r"]),
        node("MatMul", ["r", "w2"], ["y"], name="scores"),
    ]
    inputs = [
        helper.make_tensor_value_info("words", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", "length"]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, folder / "words.onnx")
    rng, arrays = np.random.default_rng(1), {}
    for part, count in (("calibration", 40), ("test", 60)):
        arrays[f"{part}_words"] = rng.integers(0, WORDS, (count, LENGTH))
        arrays[f"{part}_mask"] = rng.integers(0, 2, (count, LENGTH)).astype(np.float32)
        arrays[f"{part}_features"] = normal(count, count, 4)
    x = {k: arrays[f"test_{k}"] for k in ("words", "mask", "features")}
    hidden = (weights["table"][x["words"]] * x["mask"][..., None] @ weights["w0"]).sum(axis=1)
    scores = np.maximum(hidden + x["features"] @ weights["w1"], 0) @ weights["w2"]
    arrays["test_labels"] = scores.argmax(axis=1)
    np.savez(folder / "data.npz", **arrays)
    return folder, arrays, scores


def job(files, **changed):
    folder, arrays, _ = files
    path = folder / "data.npz"
    if changed:
        path = folder / "other.npz"
        kept = {k: v for k, v in {**arrays, **changed}.items() if v is not None}
        np.savez(path, **kept)
    return optimize.read(folder / "words.onnx", path, None, SETTINGS)


SETTINGS = explore.settings(target="xc7", fps=1e5, formats=["int4", "int8"], sensitivity_images=20)


def test_sizes_that_the_file_leaves_open_are_those_of_the_data(files):
    folder, _, scores = files
    with pytest.raises(InputError, match=r"input 'words' has the shape \(N, \?\), with sizes that"):
        onnx_import.load(folder / "words.onnx")
    given = job(files)
    network = given.network
    assert network.input_shapes == {"words": (LENGTH,), "mask": (LENGTH,), "features": (4,)}
    work = {layer.name: (layer.dot_length, layer.outputs) for layer in network.layers}
    assert work == {"words_layer": (WIDTH, 8 * LENGTH), "features_layer": (4, 8), "scores": (8, 3)}
    logits = inference.run(network, given.images.test_images)
    np.testing.assert_allclose(logits, scores, rtol=1e-4, atol=1e-4)


def test_a_front_is_found(files):
    given = job(files)
    e = explore.explore(given.network, given.images, SETTINGS, predict=crude_cost)
    assert (
        e.fp32.correct == e.fp32_selection.correct == 30
        and e.calibration_images == 40
        and e.warnings == ()
    )
    assert json.loads(json.dumps(e.to_dict()))["chosen"]["accuracy"]["percent"] > 80


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_mask": None}, r"has no array test_mask \(it has: .*write those of each input"),
        ({"test_features": normal(1, 60, 5)}, r"test_features has shape \(60, 5\) and the network"),
        (
            {"test_features": normal(1, 59, 4)},
            "test_words has 60 examples but test_features has 59",
        ),
        ({"calibration_words": normal(1, 40, 7)}, "takes whole numbers, convert the array"),
        ({"calibration_mask": np.zeros((40, 8), np.float32)}, "one image of calibration_mask"),
        ({"test_labels": np.arange(60)}, "label 59; allowed is 0 to 2"),
        ({"test_labels": np.arange(59) % 3}, "60 images but test_labels has 59"),
    ],
)
def test_data_that_do_not_fit(files, changed, message):
    with pytest.raises(InputError, match=message) as caught:
        job(files, **changed)
    assert "\n" not in str(caught.value)


def test_a_folder_of_images_is_no_data_of_several_inputs(tmp_path):
    inputs = [Declared(name, (4,), np.dtype(np.float32)) for name in ("a", "b")]
    from data_files import write_idx_folder

    with pytest.raises(InputError, match=r"the network takes a, b: give an \.npz file"):
        data.load(write_idx_folder(tmp_path / "digits"), None, inputs)


def test_the_layers_verilog_gets_the_networks_own_numbers(files):
    given = job(files)
    asked = explore.settings(target="xc7", fps=1e5, formats=["int4"], sensitivity_images=20)
    e = explore.explore(given.network, given.images, asked, predict=crude_cost)
    checks = optimize.check(e, given.images, lambda text: None)
    outputs = {check.layer: check.outputs for check in checks if check.passed}
    # Of two images; all that the layers have.
    assert outputs == {"words_layer": 112, "features_layer": 16, "scores": 6}

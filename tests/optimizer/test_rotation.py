"""Rotated layers: the same network, whose rounded numbers are others; when they are kept; cost."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import crude_cost, normal, residual_network, save
from onnx_files import dense, node

from hwgen.errors import InputError
from hwgen.formats import parse
from hwgen.formats.transforms import Hadamard
from optimizer import explore, inference, rotation, rotation_choice
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.layer_vectors import layer_vectors, results
from optimizer.onnx_import import load
from optimizer.ptq.hadamard import additions, rotated, rotated_back
from optimizer.ptq.methods import Methods
from sim import golden


def spiky(path):
    """A dense layer that rounds numbers of all sizes alike."""
    w = {"w0": normal(1, 64, 24), "w1": normal(2, 24, 4)}
    nodes = [
        node("MatMul", ["x", "w0"], ["h"], name="wide"),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "w1"], ["y"], name="scores"),
    ]
    return save(path, nodes, w, ("batch", 64))


def spikes(count):
    """Features of which one in 32 is far larger than the others, now this one and now that."""
    rare = np.random.default_rng(6).random((count, 64)) < 1 / 32
    return np.where(rare, 20 * normal(5, count, 64), normal(7, count, 64))


def made(path, images):
    network = load(path)
    labels = inference.run(network, images).argmax(axis=1)
    half = len(images) // 2
    return network, ImageData(images[:half], None, images[half:], labels[half:], "spikes")


def test_products_of_rotated_operands_are_the_same():
    x, w = normal(1, 6, 9).astype(np.float64), normal(2, 9, 5).astype(np.float64)
    for size in (2, 4, 16):
        a, b = rotated(x, size), rotated(w, size, 0)
        assert a.shape == (6, -(-9 // size) * size) and b.shape[0] == a.shape[1]
        np.testing.assert_allclose(a @ b, x @ w, atol=1e-12)
        np.testing.assert_allclose(rotated_back(b, size, 9), w, atol=1e-12)
        matrix = Hadamard(size).matrix
        np.testing.assert_allclose(a[:, :size], np.pad(x, ((0, 0), (0, 16)))[:, :size] @ matrix)
    one = rotated(np.eye(16)[:1], 16)
    np.testing.assert_allclose(np.abs(one), 1 / 4)  # Spread over the block, with random signs.
    assert rotated(x.astype(np.float32), 4).dtype == np.float32


@pytest.mark.parametrize("size", [8, 16])
def test_a_rotated_network_computes_the_same_and_its_units_agree(tmp_path, size):
    network, data = made(residual_network(tmp_path / "n.onnx"), normal(3, 60, 3, 8, 8))
    names = [n.name for n in network.nodes if rotation.can_rotate(n)]
    assert len(names) == 4
    turned = rotation.rotated_network(network, names, size)
    lengths = [layer.dot_length for layer in turned.layers]
    assert lengths == [-(-layer.dot_length // size) * size for layer in network.layers]
    f = parse("int12")
    ranges = Methods(ranges=("minmax",))
    calibration = calibrate(turned, data.calibration_images, [f], None, ranges)
    q = calibration.quantization(dict.fromkeys(names, (f, f)))
    x = data.calibration_images[:8]
    exact = inference.run(network, x)
    np.testing.assert_allclose(inference.run(turned, x), exact)
    np.testing.assert_allclose(inference.run(turned, x, q), exact, atol=0.01)
    for node_ in turned.nodes:
        np.testing.assert_allclose(
            node_.lowering.weight(node_.weight),
            network.layer_node(node_.name).lowering.weight(network.weight(node_.name)),
            atol=1e-6,
        )
    # Rotated activations are of both signs.
    assert "block.conv1" not in calibration.non_negative


def test_rotations_are_kept_where_they_win(tmp_path):
    network, data = made(spiky(tmp_path / "n.onnx"), spikes(400))
    asked = explore.settings(
        target="ecp5", fps=1e4, formats=["int4"], max_drop=100.0,
        ptq=["unsigned", "hadamard", "bias"],
    )  # fmt: skip
    told = []
    e = explore.explore(network, data, asked, predict=crude_cost, progress=told.append)
    (cost,) = [c for c in e.rotations if c.layer == "wide"]
    # One row of 64 numbers: 4 blocks of 16 or 2 of 32, n·log2(n) each.
    assert cost.additions == {16: 4 * 64, 32: 2 * 160}[cost.size]
    steps = [step.method for step in e.ablation]
    assert "hadamard" in steps and any("rotation, blocks of 16" in line for line in told)
    before, after = (e.ablation[steps.index("hadamard") - k].divergence for k in (1, 0))
    assert after < 0.7 * before
    assert e.to_dict()["rotations"][0]["layer"] == "wide"
    wide = next(p for p in e.chosen.layers if p.layer.name == "wide")
    assert wide.spec.a.signed
    vectors = layer_vectors(
        e.network, e.quantization, e.chosen, "wide", data.test_images[:8], outputs=40
    )
    inputs = vectors.inputs(wide.spec)
    got = results(wide.spec, golden.expected(wide.spec, inputs), vectors.last_cycles)
    assert got == vectors.expected and np.any(got)


def test_rotations_are_left_where_they_lose_or_are_not_asked_for(tmp_path):
    """Of numbers of a few sizes, which a format holds as they are, a rotation makes others."""
    images = np.sign(normal(5, 400, 64)) * 4
    network, data = made(spiky(tmp_path / "n.onnx"), images.astype(np.float32))
    f = parse("e2m1")
    for methods in (Methods(hadamard=True), Methods()):
        kept = rotation_choice.turned(network, data, methods, [f], lambda text: None)
        assert kept.size is None and kept.network is network


def test_rows_and_additions_of_a_grouped_convolution(tmp_path):
    """12 inputs in 3 groups, 2 × 2: 16 products of one of 25 places, for each group."""
    w = {"w": normal(1, 6, 4, 2, 2)}
    nodes = [node("Conv", ["x", "w"], ["c"], name="own", group=3), *dense("c", 150, w)]
    network = load(save(tmp_path / "n.onnx", nodes, w, ("batch", 12, 6, 6)))
    turned = rotation.rotated_network(network, ["own"], 16)
    assert [c.additions for c in rotation.costs(turned)] == [25 * 3 * 16 * 4]
    assert additions(17, 16) == 2 * 16 * 4
    assert not rotation.costs(network)
    with pytest.raises(InputError, match="power of two"):
        rotated(np.ones((2, 12)), 12)

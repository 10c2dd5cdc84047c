"""Proxies of accuracy: traces in closed form, ranks counted another way, the command."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from graphs import normal, residual_network
from onnx import TensorProto, helper, numpy_helper
from scipy import stats

from hwgen.cli import main
from hwgen.errors import InputError
from hwgen.formats import parse
from optimizer import inference, ranking, traces
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.onnx_import import load
from optimizer.proxies import PROXIES
from optimizer.traces import Operand, Traits

INT4, INT8 = parse("int4"), parse("int8")


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A single layer, whose logits are x·W: its curvature has a closed form."""
    weight = normal(3, 6, 4)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name="dense")],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path_factory.mktemp("linear") / "linear.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return load(path), weight


def test_traces_of_a_linear_layer_in_closed_form(linear):
    """Of softmax(x·W) both are (diag(p) - pp') by the other operand's squares."""
    network, weight = linear
    x = normal(4, 48, 6)
    calibration = calibrate(network, x, [INT8])
    formats = {"dense": ([INT8], [INT8])}
    (found,) = traces.traits(network, x, calibration, formats, probes=400)
    p = np.exp(x @ weight)
    p /= p.sum(axis=1, keepdims=True)
    of_weights = ((p * (1 - p)).sum(axis=1) * (x**2).sum(axis=1)).mean()
    curvature = np.einsum("ni,ij->nij", p, np.eye(4)) - np.einsum("ni,nj->nij", p, p)
    of_activations = np.einsum("ki,nij,kj->n", weight, curvature, weight).mean()
    activations, weights = found.operands
    for trace in ("fisher", "hessian"):
        assert getattr(weights, trace) == pytest.approx(of_weights, rel=0.05)
        assert getattr(activations, trace) == pytest.approx(of_activations, rel=0.05)
    assert (activations.size, weights.size, found.macs) == (6, 24, 24)
    assert weights.power == pytest.approx(float((weight.astype(float) ** 2).sum()))
    assert activations.power == pytest.approx(float((x.astype(float) ** 2).sum() / 48))
    rounded = calibration.weight("dense", INT8) * calibration.weight_scales["dense", INT8][0]
    assert weights.noise[INT8] == pytest.approx(((rounded - weight) ** 2).sum(), rel=1e-4)


def test_activations_are_as_alike_as_their_gram_matrices():
    """Three layers, of which two see the same: linear CKA without centring."""
    gram = [np.array([[2.0, 0.0], [0.0, 0.0]]), np.eye(2)]
    a, b = (g / np.linalg.norm(g) for g in gram)
    assert float((a * b).sum()) == pytest.approx(0.5**0.5)
    layer = Traits("l", 10, (_operand(), _operand()), 2.0)
    score = PROXIES["orthogonality"].score(layer, None, INT4, INT8)
    assert score == pytest.approx(-np.exp(-2.0) * 12)


def _operand():
    return Operand(5, 8.0, {INT4: 2.0, INT8: 0.5}, 10.0, 20.0)


def test_scores_by_hand():
    layer = Traits("l", 10, (_operand(), _operand()), 0.0)
    damages = SimpleNamespace(pair=lambda name, a, b: 7.0)
    wanted = {
        "one-layer": 7.0,
        "fisher": 10 / 5 * 2.5,
        "hessian": 20 / 5 * 2.5,
        "hessian-weights": 20 / 5 * 0.5,
        "qsnr": 10 * np.log10(0.25 + 0.0625),
        "noise": 0.25 + 0.0625,
        "perturbation": 0.5,
        "orthogonality": -12.0,
        "bit-operations": -10 * 4 * 8,
        "size": -5 * 8,
    }
    found = {n: p.score(layer, damages, INT4, INT8) for n, p in PROXIES.items()}
    assert found == pytest.approx(wanted)


def test_tau_is_that_of_counted_pairs_and_its_interval_holds_it():
    rng = np.random.default_rng(1)
    first = rng.integers(0, 12, 40).astype(float)
    second = first + rng.integers(-6, 7, 40)
    pairs = list(itertools.combinations(range(40), 2))
    signs = [[np.sign(v[i] - v[j]) for i, j in pairs] for v in (first, second)]
    wanted = np.dot(*signs) / np.sqrt(np.abs(signs[0]).sum() * np.abs(signs[1]).sum())
    tau = ranking.tau(first, second)
    assert tau.value == pytest.approx(wanted)
    assert tau.low < tau.value < tau.high and tau.high - tau.low < 0.6
    again = [stats.kendalltau(*rng.permutation(np.c_[first, second])[:20].T)[0] for _ in range(9)]
    assert min(again) < tau.high and max(again) > tau.low
    assert ranking.tau(first, first).low == 1.0 and ranking.tau(first, -first).value == -1.0


def test_command_ranks_and_writes(tmp_path, capsys):
    path = residual_network(tmp_path / "small.onnx")
    images = normal(1, 96, 3, 8, 8)
    labels = inference.run(load(path), images).argmax(axis=1)
    np.savez(
        tmp_path / "data.npz",
        calibration_images=images[:32],
        test_images=images[32:],
        test_labels=labels[32:],
    )
    out = tmp_path / "out"
    line = ["sensitivity", str(path), str(tmp_path / "data.npz"), "--formats", "int2,int4,e2m1"]
    assert main([*line, "--plans", "12", "--probes", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in PROXIES) and "12 plans" in printed
    told = json.loads((out / "ranking.json").read_text())
    assert [len(p["scores"]) for p in told["proxies"]] == [12] * len(PROXIES)
    found = {p["name"]: p for p in told["proxies"]}
    tau = stats.kendalltau(found["one-layer"]["scores"], told["divergences"]).statistic
    assert found["one-layer"]["divergence"]["value"] == pytest.approx(tau) and tau > 0.4
    assert (out / "ranking.png").read_bytes()[:4] == b"\x89PNG"
    for more, message in (
        (["--plans", "4"], "plans=4: draw 8 or more"),
        (["--formats", "int4"], "give two or more"),
    ):
        again = [*line[:3], *more, "--out", str(out)]
        assert main(again) == 2 and message in capsys.readouterr().err


def test_plans_that_lose_nothing_are_refused(linear):
    network, _ = linear
    x = normal(5, 40, 6)
    labels = inference.run(network, x).argmax(axis=1)

    data = ImageData(x[:20], None, x[20:], labels[20:], "easy")
    with pytest.raises(InputError, match="equally accurate"):
        ranking.rank(network, data, ["int14", "int15"], ranking.Asked(plans=8))

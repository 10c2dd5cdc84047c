"""Layers refined on a network, the methods' names, and what is kept of them."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from graphs import crude_cost, normal, residual_network
from test_equalization import separable

from hwgen.cli import optimize as cli
from hwgen.errors import InputError
from hwgen.formats import parse
from optimizer import inference, selection
from optimizer.calibration import calibrate
from optimizer.data import ImageData
from optimizer.explore import explore, settings
from optimizer.onnx_import import load
from optimizer.ptq.methods import DEFAULT, SUMMARIES, Methods, Recipe, methods
from optimizer.ptq.moments import Moments
from optimizer.ptq.rounding import Rounded
from optimizer.refinement import _best_columns

ALL = Methods(unsigned=True, bias=True, roundings=("gptq", "learned"))


@pytest.fixture(scope="module", params=[separable, residual_network])
def setting(request, tmp_path_factory):
    network = load(request.param(tmp_path_factory.mktemp("net") / "n.onnx"))
    images = normal(1, 200, 3, 8, 8)
    labels = inference.run(network, images).argmax(axis=1)
    data = ImageData(images[:100], None, images[100:], labels[100:], "random")
    f = parse("int4")
    calibration = calibrate(network, data.calibration_images, [f], None, ALL)
    return data, selection.tuner(network, calibration, data, ALL)


def signed(tuner):
    return dict.fromkeys(tuner.network.layer_nodes, (parse("int4"), parse("int4")))


def means(network, images, name, quantization=None):
    """Of each channel of a layer's output over all images."""
    values = network.session([name]).run({"x": images})[name] if quantization is None else None
    if values is None:
        node = next(n for n in network.nodes if n.output == name)
        operands = inference.layer_inputs(network, images, quantization, node.name)
        values = inference.run_layer(quantization[node.name], operands)
    return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1]).mean(axis=0)


def test_corrected_layers_have_the_means_of_fp32(setting):
    """On the calibration images, of which all rows were seen, up to float32."""
    data, tuner = setting
    corrected = tuner.quantization(signed(tuner), Recipe(bias=True))
    plain = tuner.quantization(signed(tuner), Recipe())
    off = {"corrected": [], "plain": []}
    for node in tuner.network.nodes:
        args = (tuner.network, data.calibration_images, node.output)
        wanted = means(*args)
        off["corrected"].append(np.abs(means(*args, corrected) - wanted).max())
        off["plain"].append(np.abs(means(*args, plain) - wanted).max())
    assert max(off["corrected"]) < 5e-4 < 1e-2 < max(off["plain"])


def test_values_are_of_the_formats_and_gptq_is_better(setting):
    _, tuner = setting
    pairs = selection.with_unsigned(tuner.calibration, signed(tuner))
    names = {a.signed for a, _ in pairs.values()}
    assert names == {True, False}  # The images are of both signs, what follows is not.
    losses = {}
    for recipe in (Recipe(), *(Recipe(r, True) for r in ("gptq", "learned"))):
        quantization = tuner.quantization(pairs, recipe)
        losses[recipe.rounding] = tuner.divergence(quantization)
        for q in quantization.values():
            assert (q.b_format.quantize(q.weight) == q.weight).all()
            assert not q.a_format.signed or q.node.name not in tuner.calibration.non_negative
    assert losses["gptq"] < 0.7 * losses["nearest"] and losses["learned"] < losses["nearest"]


def test_the_best_recipe_is_kept(setting):
    _, tuner = setting
    tuned, quantization = tuner.tuned(signed(tuner))
    assert tuned.divergences[tuned.recipe] == min(tuned.divergences.values())
    assert tuner.divergence(quantization) == tuned.divergences[tuned.recipe]
    assert Recipe() in tuned.divergences

    class Worse(selection.Tuner):
        def quantization(self, pairs, recipe, workers=None):
            made = super().quantization(pairs, recipe, workers)
            if recipe == Recipe():
                return made
            return {k: dataclasses.replace(q, weight=-q.weight) for k, q in made.items()}

    fields = {f.name: getattr(tuner, f.name) for f in dataclasses.fields(tuner)}
    kept, _ = Worse(**fields).tuned(signed(tuner))
    assert kept.recipe == Recipe() and len(kept.divergences) == 4


def test_parts_of_the_data_are_apart():
    for length in (2, 3, 64, 5000):
        chosen, others = selection.split(length)
        assert len(chosen) == min(selection.SELECTION, length // 2)
        assert sorted([*chosen, *others]) == list(range(length))
    assert [list(part) for part in selection.split(1)] == [[0], [0]]


def test_the_command_line_names_all_methods():
    assert tuple(SUMMARIES) == cli.PTQ and cli.PTQ_DEFAULT == DEFAULT


def test_names_of_methods():
    assert methods() == methods(DEFAULT) and methods(["none"]) == Methods()
    asked = methods(["kl", "minmax", "pow2", "learned"])
    assert asked.ranges == ("kl", "minmax") and asked.power_of_two == "pow2"
    assert asked.roundings == ("learned",) and not asked.bias
    assert set(methods(n for n in SUMMARIES if n != "pow2").names) == set(SUMMARIES) - {"pow2"}
    for given, message in (
        (["gptq", "magic"], "unknown PTQ method 'magic': use one of mse, "),
        (["none", "bias"], "none goes with no other method"),
        (["pow2", "pow2-group"], "pow2 and pow2-group exclude each other"),
    ):
        with pytest.raises(InputError, match=message):
            methods(given)
    with pytest.raises(InputError, match="ptq='gptq': give a list"):
        settings(target="ecp5", fps=1.0, ptq="gptq")


def test_powers_of_two_stay(setting):
    data, tuner = setting
    asked = dataclasses.replace(ALL, power_of_two="pow2", ranges=("mse", "minmax"))
    network = tuner.network
    calibration = calibrate(network, data.calibration_images, [parse("int4")], None, asked)
    made = selection.tuner(network, calibration, data, asked)
    for recipe in (Recipe(), Recipe("learned", True)):
        for q in made.quantization(signed(made), recipe).values():
            for scale in (q.weight_scale, np.array(q.activation_scale)):
                np.testing.assert_array_equal(np.log2(scale) % 1, 0)


def test_an_exploration_says_what_each_method_brought(tmp_path):
    network = load(separable(tmp_path / "n.onnx"))
    images = np.abs(normal(1, 160, 3, 8, 8))
    labels = inference.run(network, images).argmax(axis=1)
    data = ImageData(images[:60], None, images[60:], labels[60:], "random")
    asked = settings(target="ecp5", fps=1000, formats=["int3"], max_drop=100.0)
    e = explore(network, data, asked, predict=crude_cost)
    assert {a.signed for a, _ in e.chosen.pairs.values()} == {True, False}
    steps = [step.method for step in e.ablation]
    assert steps[:2] == ["round to nearest", "unsigned"]
    assert steps[2:] == [*filter(None, [e.equalization]), *e.chosen.recipe.names]
    assert e.ablation[-1].accuracy == e.chosen.accuracy
    kept = dict(e.chosen.divergences)
    assert e.ablation[-1].divergence == pytest.approx(kept[e.chosen.recipe])
    assert e.ablation[-1].divergence < e.ablation[0].divergence
    text = e.to_dict()
    assert text["chosen"]["ptq"]["kept"] == list(e.chosen.recipe.names)
    assert text["settings"]["ptq"] == list(asked.ptq.names)
    assert text["ablation"][0]["accuracy"]["images"] == 50


def test_of_several_ranges_the_one_of_least_output_error_is_kept(tmp_path):
    network = load(residual_network(tmp_path / "n.onnx"))
    images = normal(1, 120, 3, 8, 8)
    images[::20, 0, 0, 0] = 60
    data = ImageData(images, None, images, np.zeros(120, np.int64), "outliers")
    f = parse("int4")
    for ranges in (("minmax", "mse"), ("mse", "minmax")):
        asked = dataclasses.replace(ALL, ranges=ranges)
        calibration = calibrate(network, images, [f], None, asked)
        made = selection.tuner(network, calibration, data, asked)
        q = made.quantization(signed(made), Recipe(bias=True))["conv"]
        wide, narrow = sorted(calibration.activation_scales["conv", f], reverse=True)
        assert wide > 3 * narrow and q.activation_scale == narrow


def test_each_column_is_the_better_one():
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((1, 50, 4)), rng.standard_normal((1, 4, 3))
    moments = Moments.of(x, x @ weight)
    near, far = np.rint(weight * 8), np.rint(weight * 8) + 5
    scale = np.full((1, 1, 3), 1 / 8)
    mixed = [np.where([True, False, True], a, b) for a, b in ((near, far), (far, near))]
    best = _best_columns([Rounded(values, scale) for values in mixed], moments)
    np.testing.assert_array_equal(best.values, near)


def test_factors_of_channels_are_kept_where_they_win(tmp_path):
    images = normal(1, 400, 3, 8, 8)
    for make, wins in (
        (functools.partial(separable, clip="none"), True),
        (residual_network, False),
    ):
        network = load(make(tmp_path / f"{wins}.onnx"))
        labels = inference.run(network, images).argmax(axis=1)
        data = ImageData(images[:100], None, images[100:], labels[100:], "random")
        told = []
        kept = selection.equalized(network, data, methods(), [parse("int4")], told.append)
        assert (kept.method is not None) == wins and (kept.network is not network) == wins
        assert len(told) == (3 if wins else 0)
        if wins:
            assert kept.divergences[kept.method] == min(kept.divergences.values())
    alone = selection.equalized(network, data, Methods(), [parse("int4")], told.append)
    assert alone.method is None and not alone.divergences

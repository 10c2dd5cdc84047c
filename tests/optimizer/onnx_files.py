"""ONNX files that are read, or refused in a sentence, and parts to make them of."""

from __future__ import annotations

import pytest
from graphs import normal, save
from onnx import helper

from hwgen.errors import InputError
from optimizer.onnx_import import load

IMAGE = ("batch", 3, 8, 8)
node = helper.make_node


def refusal(path) -> str:
    """The one line in which a file is refused."""
    with pytest.raises(InputError) as error:
        load(path)
    text = str(error.value)
    assert "\n" not in text and len(text) < 800
    return text


def read(tmp_path, nodes, weights, shape=IMAGE, opset=17, **more):
    return load(save(tmp_path / "n.onnx", nodes, weights, shape, opset, **more))


def refused(tmp_path, nodes, weights, shape=IMAGE, opset=17, **more) -> str:
    return refusal(save(tmp_path / "n.onnx", nodes, weights, shape, opset, **more))


def dense(tensor, features, weights, classes=4):
    """Flatten and a dense layer, so that a graph ends in class scores."""
    weights["wt"] = normal(50, features, classes)
    return [node("Flatten", [tensor], ["flat"]), node("MatMul", ["flat", "wt"], ["y"])]


def conv(weights, *, kernel=(3, 3), bias=(), **attributes):
    weights["w"] = normal(1, 5, 3, *kernel)
    return node("Conv", ["x", "w", *bias], ["c"], name="conv", **attributes)

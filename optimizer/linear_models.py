"""Linear models of scikit-learn's exporter, written as a matrix product.

ai.onnx.ml's LinearClassifier and LinearRegressor hold their coefficients as attributes; a Gemm has
them as a weight. https://onnx.ai/onnx/operators/onnx_aionnxml_LinearClassifier.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from optimizer.graph import reads

#: What is computed of the scores, as an operator of ONNX.
_BEHIND = {"NONE": "Identity", "SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}


def written_out(
    nodes: Sequence[NodeProto], output: str, types: Mapping[str, int]
) -> tuple[list[NodeProto], dict[str, TensorProto]]:
    """``nodes`` with linear models as Gemm, and the constants that these read.

    ``output``: the tensor that is computed, beside which a predicted label has no use; ``types``:
    of the graph's inputs. A model that says something else than scores for each class stays.
    """
    needed = {name for node in nodes for name in reads(node)} | {output}
    result: list[NodeProto] = []
    constants: dict[str, TensorProto] = {}
    for node in nodes:
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        rows = _rows(node, given, needed)
        if not rows or types.get(node.input[0], TensorProto.FLOAT) != TensorProto.FLOAT:
            result.append(node)
            continue
        out = node.output[-1]
        weight = np.asarray(given["coefficients"], np.float32).reshape(rows, -1).T
        names = [f"{out}/coefficients"]
        constants[names[0]] = numpy_helper.from_array(np.ascontiguousarray(weight), names[0])
        if given.get("intercepts"):
            names.append(f"{out}/intercepts")
            bias = np.asarray(given["intercepts"], np.float32)
            constants[names[1]] = numpy_helper.from_array(bias, names[1])
        scores = f"{out}/scores"
        result.append(helper.make_node("Gemm", [node.input[0], *names], [scores], name=node.name))
        behind = _BEHIND[given.get("post_transform", b"NONE").decode()]
        result.append(helper.make_node(behind, [scores], [out]))
    return result, constants


def _rows(node: NodeProto, given: Mapping[str, Any], needed: set[str]) -> int:
    """How many scores a linear model gives, 0 where it is none or is more than that."""
    if node.domain != "ai.onnx.ml" or "coefficients" not in given:
        return 0
    if given.get("post_transform", b"NONE").decode() not in _BEHIND:
        return 0
    if node.op_type == "LinearRegressor":
        return int(given.get("targets", 1))
    if node.op_type != "LinearClassifier" or node.output[0] in needed or len(node.output) < 2:
        return 0
    labels = given.get("classlabels_ints") or given.get("classlabels_strings") or ()
    # Of two classes, one row of coefficients can say both scores.
    rows = len(given.get("intercepts", ()))
    return len(labels) if len(labels) == rows > 2 else 0

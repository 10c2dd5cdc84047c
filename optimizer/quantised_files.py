"""Networks that are quantised already: QONNX, QDQ and the quantised operators of ONNX.

Each is rewritten into float operators that compute the same numbers: QONNX's ``Quant`` and
``BipolarQuant`` into arithmetic, QLinearConv and its kin into DequantizeLinear, the float operator
and QuantizeLinear. What rounds stays in the graph, so that the network computes what the file says;
what each rounded tensor's format is, is kept beside it (``Quantiser``).

Sources: https://github.com/fastmachinelearning/qonnx (docs/qonnx-custom-ops), the ONNX operator
reference, and onnxruntime's docs/ContribOperators.md for QGemm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwgen.errors import InputError
from optimizer.onnx_file import opset

#: Rounding modes of QONNX, as operators of ONNX.
ROUNDINGS = {"ROUND": "Round", "CEIL": "Ceil", "FLOOR": "Floor"}
#: The oldest operator set with all that the rewritten graph needs.
OLDEST = 13

#: Whole numbers of ONNX's types, smallest and largest.
RANGES = {
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-(2**15), 2**15 - 1),
    TensorProto.UINT16: (0, 2**16 - 1),
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
}


@dataclass(frozen=True)
class Quantiser:
    """A tensor of whole numbers from ``low`` to ``high``, less ``zero_point``, times ``scale``.

    ``scale`` and ``zero_point``: names of tensors, the latter None for zero.
    """

    scale: str
    zero_point: str | None
    low: int
    high: int


@dataclass(eq=False)
class _Rewriter:
    """A graph that is being rewritten, node by node."""

    model: onnx.ModelProto
    constants: dict[str, TensorProto]
    nodes: list[NodeProto] = field(default_factory=list)
    quantisers: dict[str, Quantiser] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node of one output; returns its name."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """A constant of the model; returns its name."""
        tensor = numpy_helper.from_array(np.asarray(values, dtype), name)
        self.model.graph.initializer.append(tensor)
        self.constants[name] = tensor
        return name

    def value(self, node: NodeProto, index: int, what: str) -> npt.NDArray[Any]:
        """A constant input of ``node``; InputError if it is none."""
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.constants:
            _fail(node, f"its {what} must be a constant of the file")
        values: npt.NDArray[Any] = numpy_helper.to_array(self.constants[name])
        return values

    def kind(self, name: str, default: int) -> int:
        """The type of a tensor of whole numbers."""
        if name in self.constants:
            return int(self.constants[name].data_type)
        return self.kinds.get(name, default)


def rewritten(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Quantiser]]:
    """``model`` in float operators, and what is quantised in it, by the names of tensors.

    InputError for a quantised operator that cannot be read.
    """
    if not any(_rule(node) for node in model.graph.node):
        return model, {}
    if opset(model) < OLDEST:
        model = _newer(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    rewriter = _Rewriter(result, {t.name: t for t in model.graph.initializer})
    for value in (*model.graph.input, *model.graph.value_info):
        rewriter.kinds[value.name] = value.type.tensor_type.elem_type
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            rewriter.constants[node.output[0]] = node.attribute[0].t
        rule = _rule(node)
        if rule is None:
            rewriter.nodes.append(node)
        else:
            rule(rewriter, node)
    del result.graph.node[:]
    result.graph.node.extend(rewriter.nodes)
    return result, rewriter.quantisers


def _newer(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same operators in a newer set; those of QONNX are of no version."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    own = [node for node in result.graph.node if node.domain not in ("", "ai.onnx")]
    if not own:
        try:
            return onnx.version_converter.convert_version(model, OLDEST)
        except Exception as error:  # the converter's
            raise InputError(
                f"a quantised network of opset {opset(model)} cannot be converted ({error}): "
                f"export it in opset {OLDEST} or later"
            ) from error
    raise InputError(
        f"the network has the quantised operator {own[0].op_type} in opset {opset(model)}: export "
        f"it in opset {OLDEST} or later"
    )


def _fail(node: NodeProto, problem: str) -> NoReturn:
    raise InputError(f"operator {node.op_type} (node {node.name!r}): {problem}")


def _given(node: NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


# --- QONNX ------------------------------------------------------------------------------------


def limits(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The smallest and the largest whole number of QONNX's Quant."""
    if signed:
        return (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1)
    return (0, 2**bits - 1 - narrow)


def _quant(r: _Rewriter, node: NodeProto) -> None:
    given = _given(node)
    x, scale, zero_point, _ = node.input
    bits = r.value(node, 3, "bit width")
    mode = given.get("rounding_mode", b"ROUND").decode().upper()
    if bits.size != 1 or bits.item() != int(bits.item()) or not 1 <= bits.item() <= 16:
        _fail(node, f"its bit width {bits.tolist()} must be one whole number from 1 to 16")
    if mode not in ROUNDINGS:
        _fail(node, f"rounding_mode={mode} is not read: use one of {', '.join(ROUNDINGS)}")
    if bits.item() == 1 and given.get("signed", 1):
        _fail(node, "one bit with a sign is not read: use BipolarQuant")
    low, high = limits(int(bits.item()), given.get("signed", 1) != 0, given.get("narrow", 0) != 0)
    out = node.output[0]
    tensor = r.add("Div", [x, scale], f"{out}/scaled")
    tensor = r.add("Add", [tensor, zero_point], f"{out}/shifted")
    tensor = r.add(ROUNDINGS[mode], [tensor], f"{out}/rounded")
    least = r.constant(f"{out}/low", low, np.float32)
    most = r.constant(f"{out}/high", high, np.float32)
    tensor = r.add("Max", [tensor, least], f"{out}/from_low")
    tensor = r.add("Min", [tensor, most], f"{out}/to_high")
    tensor = r.add("Sub", [tensor, zero_point], f"{out}/whole")
    r.add("Mul", [tensor, scale], out)
    r.quantisers[out] = Quantiser(scale, zero_point, low, high)


def _bipolar(r: _Rewriter, node: NodeProto) -> None:
    x, scale = node.input
    out = node.output[0]
    zero = r.constant(f"{out}/zero", 0, np.float32)
    one, minus = (r.constant(f"{out}/{v}", v, np.float32) for v in (1, -1))
    positive = r.add("GreaterOrEqual", [x, zero], f"{out}/positive")
    sign = r.add("Where", [positive, one, minus], f"{out}/sign")
    r.add("Mul", [sign, scale], out)
    r.quantisers[out] = Quantiser(scale, None, -1, 1)


# --- QDQ --------------------------------------------------------------------------------------


def _quantize_linear(r: _Rewriter, node: NodeProto) -> None:
    r.nodes.append(node)
    zero_point = node.input[2] if len(node.input) > 2 else ""
    default = _given(node).get("output_dtype") or TensorProto.UINT8
    r.kinds[node.output[0]] = r.kind(zero_point, default) if zero_point else default


def _dequantize_linear(r: _Rewriter, node: NodeProto) -> None:
    r.nodes.append(node)
    zero_point = node.input[2] if len(node.input) > 2 and node.input[2] else None
    kind = r.kind(node.input[0], TensorProto.UNDEFINED)
    if zero_point is not None:
        kind = r.kind(zero_point, kind)
    if kind in RANGES and not _given(node).get("block_size"):
        r.quantisers[node.output[0]] = Quantiser(node.input[1], zero_point, *RANGES[kind])


# --- operators on whole numbers ---------------------------------------------------------------


def _whole(
    r: _Rewriter, node: NodeProto, tensor: str, scale: str, zero_point: str, shape: Sequence[int]
) -> str:
    """A tensor of whole numbers as floats; ``shape`` puts a scale for each channel in its place."""
    out = f"{node.output[0]}/{tensor}"
    default = r.kind(zero_point, TensorProto.UINT8) if zero_point else TensorProto.UINT8
    kind = r.kind(tensor, default)
    floats = r.add("Cast", [tensor], f"{out}/float", to=TensorProto.FLOAT)
    place = r.constant(f"{out}/place", shape, np.int64)

    def placed(name: str, what: str) -> str:
        if name in r.constants and np.prod(r.constants[name].dims) == 1:
            return name
        return r.add("Reshape", [name, place], f"{out}/{what}")

    if zero_point:
        point = r.add("Cast", [zero_point], f"{out}/point", to=TensorProto.FLOAT)
        floats = r.add(
            "Sub", [floats, point if placed(zero_point, "p") == zero_point
                    else r.add("Reshape", [point, place], f"{out}/points")], f"{out}/centred",
        )  # fmt: skip
    result = r.add("Mul", [floats, placed(scale, "scales")], out) if scale else floats
    if kind in RANGES:
        one = scale or r.constant(f"{out}/one", 1, np.float32)
        r.quantisers[result] = Quantiser(one, zero_point or None, *RANGES[kind])
    return result


def _optional(node: NodeProto, index: int) -> str:
    return node.input[index] if index < len(node.input) else ""


def _qlinear_conv(r: _Rewriter, node: NodeProto) -> None:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = node.input[:8]
    out = node.output[0]
    weight = r.value(node, 3, "weight")
    inputs = [
        _whole(r, node, x, x_scale, x_zero, [1]),
        _whole(r, node, w, w_scale, w_zero, [-1] + [1] * (weight.ndim - 1)),
    ]
    if bias := _optional(node, 8):
        floats = r.add("Cast", [bias], f"{out}/bias_whole", to=TensorProto.FLOAT)
        scale = r.add("Mul", [x_scale, w_scale], f"{out}/bias_scale")
        inputs.append(r.add("Mul", [floats, scale], f"{out}/bias"))
    sums = f"{out}/sums"
    r.nodes.append(helper.make_node("Conv", inputs, [sums], name=node.name, **_given(node)))
    _requantised(r, sums, y_scale, y_zero, out)


def _qlinear_matmul(r: _Rewriter, node: NodeProto) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.input
    out = node.output[0]
    inputs = [
        _whole(r, node, a, a_scale, a_zero, [-1, 1]),
        _whole(r, node, b, b_scale, b_zero, [-1]),
    ]
    r.nodes.append(helper.make_node("MatMul", inputs, [f"{out}/sums"], name=node.name))
    _requantised(r, f"{out}/sums", y_scale, y_zero, out)


def _qgemm(r: _Rewriter, node: NodeProto) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero = node.input[:6]
    out, given = node.output[0], _given(node)
    columns = [-1, 1] if given.get("transB") else [-1]
    inputs = [
        _whole(r, node, a, a_scale, a_zero, [1]),
        _whole(r, node, b, b_scale, b_zero, columns),
    ]
    if bias := _optional(node, 6):
        floats = r.add("Cast", [bias], f"{out}/bias_whole", to=TensorProto.FLOAT)
        scale = r.add("Mul", [a_scale, b_scale], f"{out}/bias_scale")
        alpha = r.constant(f"{out}/alpha", given.get("alpha", 1.0), np.float32)
        scale = r.add("Mul", [scale, alpha], f"{out}/bias_scaled")
        inputs.append(r.add("Mul", [floats, scale], f"{out}/bias"))
    y_scale, y_zero = _optional(node, 7), _optional(node, 8)
    sums = f"{out}/sums" if y_scale else out
    r.nodes.append(helper.make_node("Gemm", inputs, [sums], name=node.name, **given))
    if y_scale:
        _requantised(r, sums, y_scale, y_zero, out)


def _integer(op: str) -> Callable[[_Rewriter, NodeProto], None]:
    """ConvInteger and MatMulInteger: sums of whole numbers, as int32."""

    def rule(r: _Rewriter, node: NodeProto) -> None:
        x, w = node.input[:2]
        out = node.output[0]
        inputs = [
            _whole(r, node, x, "", _optional(node, 2), [-1, 1]),
            _whole(r, node, w, "", _optional(node, 3), [-1]),
        ]
        r.nodes.append(
            helper.make_node(op, inputs, [f"{out}/sums"], name=node.name, **_given(node))
        )
        rounded = r.add("Round", [f"{out}/sums"], f"{out}/rounded")
        r.add("Cast", [rounded], out, to=TensorProto.INT32)

    return rule


def _requantised(r: _Rewriter, sums: str, scale: str, zero_point: str, out: str) -> None:
    r.add("QuantizeLinear", [sums, scale, zero_point], out)
    r.kinds[out] = r.kind(zero_point, TensorProto.UINT8)


Rule = Callable[[_Rewriter, NodeProto], None]
_QONNX: Mapping[str, Rule] = {"Quant": _quant, "IntQuant": _quant, "BipolarQuant": _bipolar}
_STANDARD: Mapping[str, Rule] = {
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "ConvInteger": _integer("Conv"),
    "MatMulInteger": _integer("MatMul"),
}
_MICROSOFT: Mapping[str, Rule] = {
    "QGemm": _qgemm,
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
}


def _rule(node: NodeProto) -> Rule | None:
    """How a quantised operator is rewritten; None for any other."""
    if node.domain in ("", "ai.onnx"):
        return _STANDARD.get(node.op_type)
    if node.domain == "com.microsoft":
        return _MICROSOFT.get(node.op_type)
    if node.domain.startswith(("qonnx", "onnx.brevitas", "finn")):
        return _QONNX.get(node.op_type)
    return None

"""The operators of a network: how each is read and how it is computed.

A new operator is one function of each kind and one entry in ``OPERATORS``. Semantics are those
of the ONNX operator reference (opset 13 and later); tensors of rank 4 are (batch, height,
width, channels) here, see ``optimizer.network``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from hwgen.errors import InputError
from optimizer.network import Array, Node


@dataclass(frozen=True, eq=False)
class Source:
    """An operator as the file has it: what the ``read`` functions work on.

    ``constants`` has one entry an input: its array, or None where the input is a tensor that
    depends on the image; ``shapes`` likewise, the shape without the batch or None.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    constants: tuple[npt.NDArray[Any] | None, ...]
    shapes: tuple[tuple[int, ...] | None, ...]

    def fail(self, problem: str) -> NoReturn:
        """Raise the InputError that names the operator and the node."""
        raise InputError(f"operator {self.op} (node {self.name!r}): {problem}")

    def constant(self, index: int, what: str) -> npt.NDArray[Any] | None:
        """The constant at an input, or None if the input is absent."""
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        found = self.constants[index]
        if found is None:
            self.fail(f"its {what} ({self.inputs[index]!r}) must be a constant of the file")
        return found

    def required(self, index: int, what: str) -> npt.NDArray[Any]:
        """The constant at an input that must be there."""
        found = self.constant(index, what)
        if found is None:
            self.fail(f"has no {what}")
        return found

    def node(self, tensors: int = 1, **fields: Any) -> Node:
        """The node whose first ``tensors`` inputs depend on the image."""
        for index in range(tensors):
            if index >= len(self.inputs) or self.constants[index] is not None:
                self.fail("an operand that must be a tensor of the network is a constant")
        return Node(self.name, self.op, self.inputs[:tensors], self.output, **fields)

    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the first input."""
        shape = self.shapes[0]
        if shape is None or len(shape) != 3:
            self.fail(f"takes images (batch, channels, height, width), got {shape} an image")
        return shape

    def require_default(self, **allowed: Any) -> None:
        """Fail for an attribute that is present with another value than the one supported."""
        for key, value in allowed.items():
            given = self.attributes.get(key, value)
            if given != value:
                self.fail(f"attribute {key}={given!r} is not supported: use {key}={value!r}")


# --- windows: convolution and pooling ---------------------------------------------------------


def _window(source: Source, kernel: Sequence[int]) -> dict[str, Any]:
    """kernel, strides, dilations (two each) and pads (top, left, bottom, right)."""
    height, width, _ = source.image_shape()
    given = source.attributes
    strides = tuple(given.get("strides", (1, 1)))
    dilations = tuple(given.get("dilations", (1, 1)))
    auto_pad = given.get("auto_pad", b"NOTSET")
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    if len(kernel) != 2:
        source.fail(f"only two-dimensional windows are supported, the kernel is {kernel}")
    pads = tuple(given.get("pads", (0, 0, 0, 0)))
    if auto_pad == "VALID":
        pads = (0, 0, 0, 0)
    elif auto_pad != "NOTSET":
        totals = [
            max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            for size, s, k, d in zip((height, width), strides, kernel, dilations, strict=True)
        ]
        less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = (*less, *more) if auto_pad == "SAME_UPPER" else (*more, *less)
    sizes = (height + pads[0] + pads[2], width + pads[1] + pads[3])
    for size, k, d in zip(sizes, kernel, dilations, strict=True):
        if size < (k - 1) * d + 1:
            source.fail(f"the window {tuple(kernel)} is larger than the padded image {sizes}")
    return {"kernel": tuple(kernel), "strides": strides, "dilations": dilations, "pads": pads}


def _windows(x: npt.NDArray[Any], node: Node, fill: float = 0.0) -> npt.NDArray[Any]:
    """View of the windows: (batch, height, width, kernel rows, kernel columns, channels)."""
    top, left, bottom, right = node.attributes["pads"]
    if top or left or bottom or right:
        batch, height, width, channels = x.shape
        # np.pad does the same, slower than a small convolution.
        padded = np.full(
            (batch, top + height + bottom, left + width + right, channels), fill, x.dtype
        )
        padded[:, top : top + height, left : left + width] = x
        x = padded
    (rows, columns), dilations = node.attributes["kernel"], node.attributes["dilations"]
    strides = node.attributes["strides"]
    extent = ((rows - 1) * dilations[0] + 1, (columns - 1) * dilations[1] + 1)
    view = sliding_window_view(x, extent, axis=(1, 2))
    view = view[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def layer_operand(node: Node, x: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
    """The left matrix of a compute layer, (rows, dot length), and the shape of its output."""
    if node.op == "Conv":
        windows = _windows(x, node)
        return windows.reshape(math.prod(windows.shape[:3]), -1), windows.shape[:3]
    return x.reshape(-1, x.shape[-1]), x.shape[:-1]


def _read_conv(source: Source) -> Node:
    weight = source.required(1, "weight").astype(np.float32)
    _, _, channels = source.image_shape()
    if weight.ndim != 4:
        source.fail(f"only two-dimensional convolutions are supported, weight {weight.shape}")
    groups = source.attributes.get("group", 1)
    if groups != 1:
        source.fail(f"group={groups} is not supported: use convolutions with group=1")
    if weight.shape[1] != channels:
        source.fail(f"weight {weight.shape} does not fit an input of {channels} channels")
    outputs = weight.shape[0]
    bias = source.constant(2, "bias")
    return source.node(
        attributes=_window(source, weight.shape[2:]),
        weight=np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, outputs)),
        bias=_bias(source, bias, outputs),
    )


def _bias(source: Source, bias: npt.NDArray[Any] | None, outputs: int) -> Array:
    if bias is None:
        return np.zeros(outputs, np.float32)
    if bias.size not in (1, outputs):
        source.fail(f"a bias of shape {bias.shape} does not fit {outputs} outputs")
    return np.array(np.broadcast_to(bias.astype(np.float32).reshape(-1), (outputs,)))


def _read_gemm(source: Source) -> Node:
    source.require_default(transA=0)
    given = source.attributes
    weight = source.required(1, "weight").astype(np.float32)
    weight = (weight.T if given.get("transB", 0) else weight) * np.float32(given.get("alpha", 1))
    bias = source.constant(2, "bias")
    if bias is not None:
        bias = bias * np.float32(given.get("beta", 1))
    return _dense(source, weight, bias)


def _read_matmul(source: Source) -> Node:
    return _dense(source, source.required(1, "right operand").astype(np.float32), None)


def _dense(source: Source, weight: Array, bias: npt.NDArray[Any] | None) -> Node:
    shape = source.shapes[0]
    if shape is None or len(shape) != 1 or weight.ndim != 2 or weight.shape[0] != shape[0]:
        source.fail(
            f"takes (batch, features) and a matrix, got {shape} an image and {weight.shape}: "
            "put a Flatten before it"
        )
    return source.node(
        weight=np.ascontiguousarray(weight), bias=_bias(source, bias, weight.shape[1])
    )


def _run_layer(node: Node, x: Array) -> Array:
    assert node.weight is not None and node.bias is not None
    operand, shape = layer_operand(node, x)
    result: Array = operand @ node.weight
    result += node.bias
    return result.reshape(*shape, -1)


def _read_pool(source: Source) -> Node:
    source.require_default(ceil_mode=0, storage_order=0)
    attributes = _window(source, source.attributes.get("kernel_shape", ()))
    attributes["count_include_pad"] = bool(source.attributes.get("count_include_pad", 0))
    return source.node(attributes=attributes)


def _run_max_pool(node: Node, x: Array) -> Array:
    largest: Array = _windows(x, node, -np.inf).max(axis=(3, 4))
    return largest


def _run_average_pool(node: Node, x: Array) -> Array:
    total: Array = _windows(x, node).mean(axis=(3, 4), dtype=np.float32)
    if any(node.attributes["pads"]) and not node.attributes["count_include_pad"]:
        inside = np.ones((1, *x.shape[1:3], 1), np.float32)
        total /= _windows(inside, node).mean(axis=(3, 4))
    return total


def _read_image(source: Source) -> Node:
    source.image_shape()
    return source.node()


def _run_global_average_pool(node: Node, x: Array) -> Array:
    mean: Array = x.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return mean


# --- shapes -----------------------------------------------------------------------------------


def _flatten(node: Node, x: Array) -> Array:
    if x.ndim == 4:
        x = x.transpose(0, 3, 1, 2)  # ONNX flattens with the channels first
    return np.ascontiguousarray(x.reshape(len(x), -1))


def _read_flatten(source: Source) -> Node:
    source.require_default(axis=1)
    return source.node()


def _read_reshape(source: Source) -> Node:
    target = source.required(1, "shape").tolist()
    shape = source.shapes[0]
    assert shape is not None
    features = math.prod(shape)
    # 0 keeps the batch; a -1 first stands for it when the second size is the features'.
    if len(target) != 2 or target not in ([0, -1], [0, features], [-1, features], [1, -1]):
        source.fail(f"shape {target} is not supported: only (batch, -1), a flattening, is")
    return source.node()


# --- element by element -----------------------------------------------------------------------


def _read_clip(source: Source) -> Node:
    limits = []
    for index, (key, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        constant = source.constant(index, key)
        limits.append(source.attributes.get(key, default) if constant is None else constant.item())
    return source.node(attributes={"min": limits[0], "max": limits[1]})


def _read_add(source: Source) -> Node:
    if all(constant is None for constant in source.constants):
        if source.shapes[0] != source.shapes[1]:
            source.fail(
                f"operands of the shapes {source.shapes} an image are not supported: "
                "use equal shapes, or a constant"
            )
        return source.node(2)
    position = next(i for i, c in enumerate(source.constants) if c is not None)
    constant, tensor = source.constants[position], 1 - position
    shape = source.shapes[tensor]
    assert constant is not None
    if shape is None:
        source.fail("both operands are constants")
    constant = constant.astype(np.float32)
    if constant.ndim > len(shape) + 1:
        source.fail(f"a constant of shape {constant.shape} does not fit {shape} an image")
    constant = constant.reshape((1,) * (len(shape) + 1 - constant.ndim) + constant.shape)
    if len(shape) == 3:
        constant = constant.transpose(0, 2, 3, 1)
    if any(c not in (1, s) for c, s in zip(constant.shape, (1, *shape), strict=True)):
        source.fail(f"a constant of shape {constant.shape} does not fit {shape} an image")
    return Node(
        source.name, source.op, (source.inputs[tensor],), source.output, {"constant": constant}
    )


def _run_add(node: Node, x: Array, *other: Array) -> Array:
    return x + (other[0] if other else node.attributes["constant"])


def _read_batch_normalization(source: Source) -> Node:
    source.require_default(training_mode=0)
    scale, shift, mean, variance = (
        source.required(i, what).astype(np.float64)
        for i, what in enumerate(("scale", "shift", "mean", "variance"), start=1)
    )
    factor = scale / np.sqrt(variance + source.attributes.get("epsilon", 1e-5))
    return source.node(
        attributes={
            "scale": factor.astype(np.float32),
            "shift": (shift - mean * factor).astype(np.float32),
        }
    )


def _softmax(node: Node, x: Array) -> Array:
    exponential: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    exponential /= exponential.sum(axis=-1, keepdims=True)
    return exponential


def _read_softmax(source: Source) -> Node:
    shape = source.shapes[0]
    if shape is None or len(shape) != 1 or source.attributes.get("axis", -1) not in (-1, 1):
        source.fail("only the softmax of (batch, classes) over the classes is supported")
    return source.node()


@dataclass(frozen=True)
class Operator:
    """``read`` makes the node (InputError if unsupported), ``run`` computes it in float32."""

    read: Callable[[Source], Node]
    run: Callable[..., Array]


def _read_plain(source: Source) -> Node:
    return source.node()


OPERATORS: dict[str, Operator] = {
    "Conv": Operator(_read_conv, _run_layer),
    "Gemm": Operator(_read_gemm, _run_layer),
    "MatMul": Operator(_read_matmul, _run_layer),
    "Relu": Operator(_read_plain, lambda node, x: np.maximum(x, np.float32(0))),
    "Clip": Operator(
        _read_clip, lambda node, x: np.clip(x, node.attributes["min"], node.attributes["max"])
    ),
    "Add": Operator(_read_add, _run_add),
    "MaxPool": Operator(_read_pool, _run_max_pool),
    "AveragePool": Operator(_read_pool, _run_average_pool),
    "GlobalAveragePool": Operator(_read_image, _run_global_average_pool),
    "Flatten": Operator(_read_flatten, _flatten),
    "Reshape": Operator(_read_reshape, _flatten),
    "BatchNormalization": Operator(
        _read_batch_normalization,
        lambda node, x: x * node.attributes["scale"] + node.attributes["shift"],
    ),
    "Identity": Operator(_read_plain, lambda node, x: x),
    "Dropout": Operator(_read_plain, lambda node, x: x),
    "Softmax": Operator(_read_softmax, _softmax),
}

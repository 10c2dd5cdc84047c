"""The operators of a network: how each is read and how it is computed.

A new operator is one function of each kind and one entry in ``OPERATORS``. Semantics are those
of the ONNX operator reference in the version that the file is written in: each attribute and
input is honoured or refused by name. Tensors of rank 4 are (batch, height, width, channels)
here, see ``optimizer.network``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.network import Array, Node, channels_first
from optimizer.onnx_source import Source
from optimizer.windows import MOST_VALUES, Pair, Window, same_pads, view

# --- windows: convolution and pooling ---------------------------------------------------------


def _window(source: Source, kernel: Pair) -> Window:
    """The window of a convolution or a pool of ``kernel``, its padding worked out."""
    shape = source.image_shape()
    strides = source.sizes("strides", (1, 1), 1)
    dilations = source.sizes("dilations", (1, 1), 1)
    pads = source.sizes("pads", (0, 0, 0, 0), 0)
    auto_pad = source.attributes["auto_pad"]
    if auto_pad not in (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER"):
        source.fail(
            f"attribute auto_pad={auto_pad.decode(errors='replace')!r} must be NOTSET, VALID, "
            "SAME_UPPER or SAME_LOWER"
        )
    if auto_pad != b"NOTSET" and any(pads):
        source.fail(
            f"attributes pads={list(pads)} and auto_pad={auto_pad.decode()} exclude each other: "
            "use one of them"
        )
    rows, columns = kernel
    window = Window(kernel, (strides[0], strides[1]), (dilations[0], dilations[1]))
    if auto_pad.startswith(b"SAME"):
        upper = auto_pad == b"SAME_UPPER"
        pads = same_pads(shape[:2], kernel, window.strides, window.dilations, upper)
    window = replace(window, pads=(pads[0], pads[1], pads[2], pads[3]))
    if not all(window.outputs(shape)):
        source.fail(
            f"the window {rows}x{columns} with dilations {dilations} is larger than the padded "
            f"image {window.padded(shape)}: nothing comes out"
        )
    if window.values(shape) > MOST_VALUES:
        source.fail(
            f"its windows hold {window.values(shape)} numbers an image, more than 2^28: use a "
            "smaller image, kernel or padding"
        )
    return window


def layer_operand(node: Node, x: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
    """The left matrix of a compute layer, (rows, dot length), and the shape of its output."""
    if node.op == "Conv":
        windows = view(x, node.attributes["window"])
        return windows.reshape(math.prod(windows.shape[:3]), -1), windows.shape[:3]
    return x.reshape(-1, x.shape[-1]), x.shape[:-1]


def _read_conv(source: Source) -> Node:
    weight = source.required(1, "weight")
    _, _, channels = source.image_shape()
    if weight.ndim != 4:
        source.fail(f"only two-dimensional convolutions are supported, weight {weight.shape}")
    if weight.shape[1] != channels:
        source.fail(f"weight {weight.shape} does not fit an input of {channels} channels")
    kernel = (weight.shape[2], weight.shape[3])
    if source.sizes("kernel_shape", kernel, 1) != kernel:
        source.fail(
            f"attribute kernel_shape={list(source.attributes['kernel_shape'])} is not that of "
            f"its weight {weight.shape}"
        )
    outputs = weight.shape[0]
    bias = source.finite(2, "bias", (outputs,))
    window = _window(source, kernel)
    if math.prod(window.outputs(source.image_shape())) * outputs > MOST_VALUES:
        source.fail("gives more than 2^28 numbers an image: use a smaller image or padding")
    return source.node(
        attributes={"window": window},
        weight=np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, outputs)),
        bias=np.zeros(outputs, np.float32) if bias is None else bias,
    )


def _read_gemm(source: Source) -> Node:
    given = source.attributes
    weight, bias = source.required(1, "weight"), source.finite(2, "bias")
    with np.errstate(all="ignore"):  # checked in _dense
        weight = (weight.T if source.flag("transB") else weight) * np.float32(given["alpha"])
        if bias is None:
            return _dense(source, weight, np.zeros(1, np.float32))
        # Before opset 7 a bias is only broadcast where the attribute says so.
        if not source.flag("broadcast", 1) and (bias.ndim != 2 or source.batch != 1):
            source.fail(
                f"its bias {bias.shape} would have to be broadcast and broadcast=0: use "
                "broadcast=1, or opset 7 or later"
            )
        return _dense(source, weight, bias * np.float32(given["beta"]))


def _read_matmul(source: Source) -> Node:
    return _dense(source, source.required(1, "right operand"), np.zeros(1, np.float32))


def _dense(source: Source, weight: Array, bias: Array) -> Node:
    shape = source.shape()
    if len(shape) != 1 or weight.ndim != 2:
        source.fail(
            f"takes (batch, features) and a matrix, got {source.given_shape()} an image and a "
            f"weight of shape {weight.shape}: put a Flatten before a layer of images"
        )
    if len(weight) != shape[0]:
        source.fail(
            f"its weight has rows for {len(weight)} features and its input has {shape[0]}: give "
            "a network whose layers fit each other"
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        source.fail("alpha or beta makes its weights NaN or infinite: use finite ones")
    outputs = weight.shape[1]
    # (batch, 1) is a number a row, not one an output.
    if bias.ndim > 2 or bias.shape[:-1] not in ((), (1,)) or bias.size not in (1, outputs):
        source.fail(
            f"a bias of shape {bias.shape} is not one row for all images: use ({outputs},), "
            f"(1, {outputs}) or one number"
        )
    return source.node(
        weight=np.ascontiguousarray(weight),
        bias=np.array(np.broadcast_to(bias.reshape(-1), (outputs,))),
    )


def _run_layer(node: Node, x: Array) -> Array:
    assert node.weight is not None and node.bias is not None
    operand, shape = layer_operand(node, x)
    result: Array = operand @ node.weight
    result += node.bias
    return result.reshape(*shape, -1)


def _read_pool(source: Source) -> Node:
    shape = source.image_shape()
    rows, columns = source.sizes("kernel_shape", (1, 1), 1)
    window = _window(source, (rows, columns))
    if window.sees_only_padding(shape):
        source.fail(f"pads {list(window.pads)} make a window of padding alone: use smaller ones")
    return source.node(
        attributes={
            "window": window,
            # Absent before opset 7, which leaves the padding out.
            "count_include_pad": source.flag("count_include_pad"),
        }
    )


def _run_max_pool(node: Node, x: Array) -> Array:
    largest: Array = view(x, node.attributes["window"], -np.inf).max(axis=(3, 4))
    return largest


def _run_average_pool(node: Node, x: Array) -> Array:
    window: Window = node.attributes["window"]
    total: Array = view(x, window).mean(axis=(3, 4), dtype=np.float32)
    if any(window.pads) and not node.attributes["count_include_pad"]:
        inside = np.ones((1, *x.shape[1:3], 1), np.float32)
        total /= view(inside, window).mean(axis=(3, 4))
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
    rank = len(source.shape()) + 1
    axis = source.attributes["axis"]
    if axis not in (1, 1 - rank):
        source.fail(f"attribute axis={axis} is not supported: only 1, which keeps the batch, is")
    return source.node()


def _read_reshape(source: Source) -> Node:
    shape = source.shape()
    target = source.constant(1, "shape", np.int64)
    if target is None:
        source.fail("has no shape")
    features = math.prod(shape)
    # 0 keeps the batch, and so does -1 before the number of the features.
    rows = (0, source.batch) if source.batch is not None else (0,)
    sizes = target.tolist()
    if sizes != [-1, features] and sizes not in [[r, f] for r in rows for f in (-1, features)]:
        source.fail(
            f"shape {sizes} is not supported: only a flattening of each image is, (0, -1) or "
            f"(-1, {features})"
        )
    return source.node()


# --- element by element -----------------------------------------------------------------------


def _read_clip(source: Source) -> Node:
    limits = []
    for index, (key, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        constant = source.constant(index, key)
        if constant is not None and constant.size != 1:
            source.fail(f"its {key} has the shape {constant.shape} and must be one number")
        limit = source.attributes.get(key, default) if constant is None else constant.item()
        if math.isnan(limit):
            source.fail(f"its {key} is NaN: use a number")
        limits.append(limit)
    return source.node(attributes={"min": limits[0], "max": limits[1]})


def _read_add(source: Source) -> Node:
    if all(constant is None for constant in source.constants):
        if source.shapes[0] != source.shapes[1]:
            source.fail(
                f"operands of the shapes {source.given_shape(0)} and {source.given_shape(1)} an "
                "image are not supported: use equal shapes, or a constant"
            )
        return source.node(*source.inputs)
    position = next(i for i, c in enumerate(source.constants) if c is not None)
    constant, shape = source.required(position, "constant"), source.shapes[1 - position]
    if shape is None:
        source.fail("both operands are constants")
    rank = len(shape) + 1
    given, constant = constant.shape, _aligned(source, constant, position, shape)
    constant = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    if len(shape) == 3 and constant.ndim == 4:
        constant = constant.transpose(0, 2, 3, 1)
    if constant.ndim != rank or any(
        c not in (1, s) for c, s in zip(constant.shape, (1, *shape), strict=True)
    ):
        source.fail(
            f"a constant of shape {given} cannot be broadcast to "
            f"{source.given_shape(1 - position)} an image: use one that can"
        )
    return source.node(source.inputs[1 - position], attributes={"constant": constant})


def _aligned(source: Source, constant: Array, position: int, shape: tuple[int, ...]) -> Array:
    """The constant for numpy's broadcasting to images of ``shape``.

    Before opset 7 attributes say how it is done.
    """
    if source.opset >= 7:
        return constant
    if not source.flag("broadcast"):
        if source.batch != 1 or constant.shape != (1, *channels_first(shape)):
            source.fail(
                f"a constant of shape {constant.shape} would have to be broadcast and "
                "broadcast=0: use broadcast=1, or opset 7 or later"
            )
        return constant
    if position != 1:
        source.fail("only the right operand is broadcast before opset 7: swap the operands")
    missing_axes = len(shape) + 1 - constant.ndim
    axis = source.attributes.get("axis", missing_axes)
    if not 0 <= axis <= missing_axes:
        source.fail(
            f"attribute axis={axis} does not place a constant of shape {constant.shape} within "
            f"{source.given_shape(0)} an image: use 0 to {max(missing_axes, 0)}"
        )
    return constant.reshape(constant.shape + (1,) * (missing_axes - axis))


def _run_add(node: Node, x: Array, *other: Array) -> Array:
    return x + (other[0] if other else node.attributes["constant"])


def _read_batch_normalization(source: Source) -> Node:
    if source.opset < 7 and not source.flag("is_test"):
        source.fail("attribute is_test=0 is training, which is not supported: use is_test=1")
    if len([name for name in source.outputs if name]) > 1:
        source.fail(
            f"{len(source.outputs)} outputs are training, which is not supported: export the "
            "network for inference (model.eval())"
        )
    channels = (source.shape()[-1],)
    scale, shift, mean, variance = (
        source.required(i, what, channels).astype(np.float64)
        for i, what in enumerate(("scale", "shift", "mean", "variance"), start=1)
    )
    divisor = variance + source.attributes["epsilon"]
    if (variance < 0).any() or not (divisor > 0).all():
        source.fail(
            f"its smallest variance is {variance.min():g} with epsilon "
            f"{source.attributes['epsilon']:g}: a variance is at least 0, and above with epsilon"
        )
    factor = scale / np.sqrt(divisor)
    with np.errstate(over="ignore"):
        factors = factor.astype(np.float32), (shift - mean * factor).astype(np.float32)
    if not all(np.isfinite(part).all() for part in factors):
        source.fail("scale / sqrt(variance + epsilon) is too large for float32")
    return source.node(attributes={"scale": factors[0], "shift": factors[1]})


def _read_dropout(source: Source) -> Node:
    if source.opset < 7 and not source.flag("is_test"):
        source.fail("attribute is_test=0 is training, which is not supported: use is_test=1")
    training = source.constant(2, "training_mode", np.bool_)
    if training is not None and training.any():
        source.fail(
            "training_mode is true, which is not supported: export the network for inference "
            "(model.eval())"
        )
    return source.node()


def _softmax(node: Node, x: Array) -> Array:
    exponential: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    exponential /= exponential.sum(axis=-1, keepdims=True)
    return exponential


def _read_softmax(source: Source) -> Node:
    # Of rank 2 axis 1 means the same before opset 13, where it starts the classes, and after.
    if len(source.shape()) != 1 or source.attributes["axis"] not in (-1, 1):
        source.fail(
            f"of {source.given_shape()} an image and axis={source.attributes['axis']} is not "
            "supported: only that of (batch, classes) over the classes is"
        )
    return source.node()


def _read_unary(source: Source) -> Node:
    return source.node()


@dataclass(frozen=True)
class Operator:
    """``read`` makes the node (InputError if unsupported), ``run`` computes it in float32.

    ``attributes`` are those that ``read`` honours, or that change nothing in inference; any
    other must have its default.
    """

    read: Callable[[Source], Node]
    run: Callable[..., Array]
    attributes: tuple[str, ...] = ()


_WINDOW = ("kernel_shape", "strides", "dilations", "pads", "auto_pad")

OPERATORS: dict[str, Operator] = {
    "Conv": Operator(_read_conv, _run_layer, _WINDOW),
    "Gemm": Operator(_read_gemm, _run_layer, ("transB", "alpha", "beta", "broadcast")),
    "MatMul": Operator(_read_matmul, _run_layer),
    "Relu": Operator(_read_unary, lambda node, x: np.maximum(x, np.float32(0))),
    "Clip": Operator(
        _read_clip,
        lambda node, x: np.clip(x, node.attributes["min"], node.attributes["max"]),
        ("min", "max"),
    ),
    "Add": Operator(_read_add, _run_add, ("axis", "broadcast")),
    "MaxPool": Operator(_read_pool, _run_max_pool, _WINDOW),
    "AveragePool": Operator(_read_pool, _run_average_pool, (*_WINDOW, "count_include_pad")),
    "GlobalAveragePool": Operator(_read_image, _run_global_average_pool),
    "Flatten": Operator(_read_flatten, _flatten, ("axis",)),
    "Reshape": Operator(_read_reshape, _flatten),
    "BatchNormalization": Operator(
        _read_batch_normalization,
        lambda node, x: x * node.attributes["scale"] + node.attributes["shift"],
        ("epsilon", "momentum", "is_test"),
    ),
    "Identity": Operator(_read_unary, lambda node, x: x),
    "Dropout": Operator(_read_dropout, lambda node, x: x, ("ratio", "seed", "is_test")),
    "Softmax": Operator(_read_softmax, _softmax, ("axis",)),
}

"""A plan as an ONNX file that other tools read: QONNX, and QDQ.

Weights and activations are rounded as in the plan, to whole numbers times the plan's scales; biases
and all between the layers stay float32. QONNX has ``Quant`` of any width
(https://github.com/fastmachinelearning/qonnx, docs/qonnx-custom-ops/quant_op.md). QDQ has
QuantizeLinear and DequantizeLinear of ONNX with 8 bits; narrower activations are clipped before,
and narrower weights are whole numbers of their format in int8.

Sums are exact in the plan and float32 in a reader of the file: a few activations in a million, next
to the middle between two whole numbers, round the other way there. onnxruntime also fuses operators
of a QDQ file, which rounds in other places, unless its graph optimisations are off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwgen.errors import InputError
from hwgen.formats import Format, Scalar
from optimizer.network import Network, Node
from optimizer.quantised_files import OLDEST
from optimizer.quantization import LayerQuantization
from optimizer.rotation import Rotated
from optimizer.text import printable

QONNX, QDQ = "plan_qonnx.onnx", "plan_qdq.onnx"
FILES = (QONNX, QDQ)
#: The domain of Quant.
DOMAIN = "qonnx.custom_op.general"
#: Bits of the widest whole numbers that each can say.
MOST_BITS = {QONNX: 16, QDQ: 8}

Values = npt.NDArray[Any]


@dataclass(eq=False)
class _Draft:
    """Nodes and constants of the file, in their order."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)

    def constant(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant; returns its name."""
        self.constants[name] = numpy_helper.from_array(np.asarray(values, dtype), name)
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node of one output; returns its name."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output


class _Writer(Protocol):
    """How a kind of file says that a tensor is rounded."""

    def activations(
        self, draft: _Draft, x: str, out: str, f: Scalar, scale: np.float32, zero: float
    ) -> str:
        """Add what rounds ``x``; returns the rounded tensor."""

    def weight(self, draft: _Draft, out: str, q: LayerQuantization, whole: Values) -> str:
        """Add a constant of ``whole`` numbers times their scales; returns its tensor."""


class _Qonnx:
    def activations(
        self, draft: _Draft, x: str, out: str, f: Scalar, scale: np.float32, zero: float
    ) -> str:
        return self._quant(draft, x, out, f, scale, zero)

    def weight(self, draft: _Draft, out: str, q: LayerQuantization, whole: Values) -> str:
        scale = _scale_of(q, whole)
        values = draft.constant(f"{out}/values", whole * scale, np.float32)
        return self._quant(draft, values, out, _scalar(q.b_format), scale)

    def _quant(
        self, draft: _Draft, x: str, out: str, f: Scalar, scale: npt.ArrayLike, zero: float = 0.0
    ) -> str:
        inputs = [
            x,
            draft.constant(f"{out}/scale", scale, np.float32),
            draft.constant(f"{out}/zero", zero, np.float32),
            draft.constant(f"{out}/bits", f.bits, np.float32),
        ]
        signed, mode = int(f.min < 0), "ROUND"
        return draft.add(
            "Quant", inputs, out, domain=DOMAIN, signed=signed, narrow=0, rounding_mode=mode
        )


class _Qdq:
    def activations(
        self, draft: _Draft, x: str, out: str, f: Scalar, scale: np.float32, zero: float
    ) -> str:
        if f.bits < MOST_BITS[QDQ]:
            ends = [
                draft.constant(f"{out}/{name}", np.float32(end - zero) * scale, np.float32)
                for name, end in (("low", f.min), ("high", f.max))
            ]
            x = draft.add("Clip", [x, *ends], f"{out}/clipped")
        scales = [
            draft.constant(f"{out}/scale", scale, np.float32),
            draft.constant(f"{out}/zero", zero, _byte(f)),
        ]
        whole = draft.add("QuantizeLinear", [x, *scales], f"{out}/whole")
        return draft.add("DequantizeLinear", [whole, *scales], out)

    def weight(self, draft: _Draft, out: str, q: LayerQuantization, whole: Values) -> str:
        scale = _scale_of(q, whole)
        sizes = [i for i, size in enumerate(scale.shape) if size > 1]
        if len(sizes) > 1:  # No axis has the channels: values of the format all the same.
            return draft.constant(out, whole * scale, np.float32)
        axis = sizes[0] if sizes else 0
        flat = scale.reshape(-1) if sizes else scale.reshape(())
        kind = _byte(_scalar(q.b_format))
        scales = [
            draft.constant(f"{out}/scale", flat, np.float32),
            draft.constant(f"{out}/zero", np.zeros(flat.shape), kind),
        ]
        values = draft.constant(f"{out}/whole", whole, kind)
        more = {"axis": axis} if sizes else {}
        return draft.add("DequantizeLinear", [values, *scales], out, **more)


_WRITERS: Mapping[str, _Writer] = {QONNX: _Qonnx(), QDQ: _Qdq()}


def _scalar(f: Format) -> Scalar:
    assert isinstance(f, Scalar)
    return f


def _byte(f: Scalar) -> npt.DTypeLike:
    return np.int8 if f.min < 0 else np.uint8


def _scale_of(q: LayerQuantization, whole: Values) -> Values:
    """The scales of the weights, as they broadcast to the operator's weight ``whole``."""
    rows = q.node.lowering.dot_length
    full = np.broadcast_to(q.weight_scale, (rows, q.weight.shape[1] if q.weight is not None else 1))
    placed = q.node.lowering.weight(np.ascontiguousarray(full).astype(np.float32))
    for axis in range(placed.ndim):
        first = placed[tuple(slice(None) if i == axis else slice(1) for i in range(placed.ndim))]
        if np.array_equal(np.broadcast_to(first, placed.shape), placed):
            return first
    assert placed.shape == whole.shape
    return placed


def why_not(
    network: Network, quantization: Mapping[str, LayerQuantization], file: str
) -> str | None:
    """Why a plan cannot be said by a kind of ``file``; None if it can."""
    for name, q in quantization.items():
        if isinstance(q.node.lowering, Rotated):
            return f"layer {printable(name, 40)} rotates its activations"
        for f in (q.a_format, q.b_format):
            whole = isinstance(f, Scalar) and f.is_integer and f.lsb_exponent == 0
            if not whole or _scalar(f).bits > MOST_BITS[file]:
                return (
                    f"layer {printable(name, 40)} has the format {f}, and it takes whole numbers "
                    f"of up to {MOST_BITS[file]} bits"
                )
    version = next(i.version for i in network.graph.imports if i.domain in ("", "ai.onnx"))
    if version < OLDEST:
        return f"the network is of opset {version}, and it takes {OLDEST} or later"
    return None


def model(
    network: Network, quantization: Mapping[str, LayerQuantization], file: str
) -> onnx.ModelProto:
    """The network with the operands of ``quantization``, as a kind of ``file``, one of ``FILES``.

    InputError for what ``why_not`` says.
    """
    if reason := why_not(network, quantization, file):
        raise InputError(f"{file}: {reason}")
    draft = _Draft()
    layer_of = {id(proto): node for node in network.nodes for proto in node.protos}
    done: set[str] = set()
    for proto in network.graph.before([network.output]):
        node = layer_of.get(id(proto))
        if node is None:
            draft.nodes.append(proto)
        elif node.name not in done:
            done.add(node.name)
            _layer(draft, node, quantization[node.name], _WRITERS[file])
    read = {name for proto in draft.nodes for name in proto.input}
    kept = [t for name, t in network.graph.constants.items() if name in read]
    batch = network.batch or "N"
    types = network.graph.types
    graph = helper.make_graph(
        draft.nodes,
        printable(network.name, 80),
        [
            helper.make_tensor_value_info(v.name, types[v.name], [batch, *v.shape])
            for v in network.inputs
        ],
        [
            helper.make_tensor_value_info(
                network.output, TensorProto.FLOAT, [batch, *_scores(network)]
            )
        ],
        [*kept, *draft.constants.values()],
    )
    imports = list(network.graph.imports)
    if file == QONNX:
        imports.append(helper.make_opsetid(DOMAIN, 1))
    return helper.make_model(graph, opset_imports=imports, ir_version=network.graph.ir_version)


def models(
    network: Network, quantization: Mapping[str, LayerQuantization]
) -> dict[str, onnx.ModelProto]:
    """The files that can say a plan, by name."""
    return {
        file: model(network, quantization, file)
        for file in FILES
        if why_not(network, quantization, file) is None
    }


def _scores(network: Network) -> tuple[int, ...]:
    """The shape of the class scores of one image."""
    one = {v.name: np.zeros((network.batch or 1, *v.shape), v.dtype) for v in network.inputs}
    return network.whole.run(one)[network.output].shape[1:]


def _layer(draft: _Draft, node: Node, q: LayerQuantization, writer: _Writer) -> None:
    """Add a layer with rounded operands, and its bias."""
    product = NodeProto()
    product.CopyFrom(node.protos[0])
    del product.input[2:]
    product.name, out = node.name, node.output
    product.input[0] = writer.activations(
        draft, node.inputs[0], f"{out}/a", _scalar(q.a_format), q.activation_scale, q.zero_point
    )
    if q.weight is None:
        scale = np.float32(q.weight_scale[0])
        product.input[1] = writer.activations(
            draft, node.inputs[1], f"{out}/b", _scalar(q.b_format), scale, 0.0
        )
    else:
        whole = node.lowering.weight(q.weight.astype(np.float32))
        product.input[1] = writer.weight(draft, f"{out}/b", q, whole)
    draft.nodes.append(product)
    if q.bias is None:
        product.output[0] = out
    elif product.op_type == "MatMul":
        product.output[0] = f"{out}/product"
        bias = draft.constant(f"{out}/offset", node.lowering.per_channel(q.bias), np.float32)
        draft.add("Add", [product.output[0], bias], out)
    else:
        product.output[0] = out
        product.input.append(draft.constant(f"{out}/offset", q.bias, np.float32))

"""ONNX graphs drawn at random and damaged: read right, or refused with one sentence.

    python tests/fuzz/onnx_graphs.py --seed 1 --count 2000

Each graph is a small network with random attributes, now and then the shipped one, most of them
damaged once or a few times:
attributes, weights, shapes, types, wires, operators, the version, the file's bytes. A graph that
the importer reads is computed and compared with onnx's reference evaluator; anything but an
InputError, an equal result or a graph that the evaluator itself cannot compute is a fault. Case
``n`` of a seed is the same whatever the count; ``--only n`` repeats it and writes its file.
``--oracle onnxruntime`` compares with that, where it is installed: it has none of the faults of
``misjudged``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwgen.errors import InputError
from optimizer import inference, workloads
from optimizer.onnx_import import load

Oracle = Callable[[onnx.ModelProto, np.ndarray], np.ndarray]

SHIPPED = Path(workloads.__file__).parent / "fashion_mnist" / "resnet8.onnx"
IMAGES = 3
SIZES = (-(2**40), -2, -1, 0, 1, 1, 2, 2, 3, 4, 5, 7, 2**31, 2**40)
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e-5, 1e30, -1e30, float("nan"), float("inf"))
TEXTS = (b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"NOTSET", b"ZZ", b"", b"\xff\xfe", b"same_upper")
KINDS = (
    *("Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "MaxPool", "AveragePool", "Flatten"),
    *("GlobalAveragePool", "Reshape", "BatchNormalization", "Identity", "Dropout", "Softmax"),
    *("Sin", "Concat", "Constant", "Transpose"),
)
OPSETS = (1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 21, 22, 25, 999)


class Draw:
    """One random network, node by node."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.last, self.shape = "x", [rng.randint(1, 3), rng.randint(4, 7), rng.randint(4, 7)]
        self.input_shape = list(self.shape)
        self.opset = rng.choice((9, 11, 12, 13, 14, 15, 17, 19, 21))

    def weight(self, *shape: int, positive: bool = False) -> str:
        values = np.array(
            [self.rng.gauss(0, 1) for _ in range(int(np.prod(shape)))], np.float32
        ).reshape(shape)
        name = f"w{len(self.weights)}"
        self.weights[name] = np.abs(values) + np.float32(0.1) if positive else values
        return name

    def add(self, op: str, *inputs: str, **attributes: object) -> None:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *inputs], [name], name, **attributes))
        self.last = name

    def window(self, kernel: list[int]) -> dict[str, object]:
        """Random attributes of a window that fits, and what it makes of the shape."""
        rng = self.rng
        strides = [rng.randint(1, 2), rng.randint(1, 2)]
        chosen: dict[str, object] = {"strides": strides} if rng.random() < 0.7 else {}
        strides = strides if chosen else [1, 1]
        if rng.random() < 0.3:
            chosen["auto_pad"] = rng.choice(("SAME_UPPER", "SAME_LOWER"))
            sizes = [-(-s // t) for s, t in zip(self.shape[1:], strides, strict=True)]
        else:
            pads = [rng.randint(0, kernel[i % 2] - 1) for i in range(4)]
            chosen["pads"] = pads
            sizes = [
                (self.shape[1 + i] + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1
                for i in range(2)
            ]
        self.shape[1:] = sizes
        return chosen

    def kernel(self) -> list[int]:
        return [self.rng.randint(1, min(3, size)) for size in self.shape[1:]]

    def images(self) -> None:
        """An operator on images."""
        channels = self.shape[0]
        op = self.rng.choice(
            ("Conv", "Relu", "Clip", "Add", "MaxPool", "AveragePool", "Norm", "Residual", "Drop")
        )
        if op == "Conv":
            kernel, outputs = self.kernel(), self.rng.randint(1, 4)
            inputs = [self.weight(outputs, channels, *kernel)]
            inputs += [self.weight(outputs)] if self.rng.random() < 0.6 else []
            self.add("Conv", *inputs, **self.window(kernel))
            self.shape[0] = outputs
        elif op in ("MaxPool", "AveragePool"):
            kernel = self.kernel()
            attributes = (
                {"count_include_pad": self.rng.randint(0, 1)} if op == "AveragePool" else {}
            )
            self.add(op, kernel_shape=kernel, **self.window(kernel), **attributes)
        elif op == "Clip":
            low, high = self.weight(), self.weight()
            if self.opset < 11:
                self.add("Clip", min=-0.5, max=0.7)
            else:
                self.add("Clip", low, high)
        elif op == "Add":
            self.add("Add", self.weight(*self.rng.choice(((channels, 1, 1), self.shape, (1,)))))
        elif op == "Norm":
            parts = [self.weight(channels, positive=i == 3) for i in range(4)]
            self.add("BatchNormalization", *parts)
        elif op == "Residual":
            before = self.last
            self.add("Relu")
            self.add("Add", before)
        else:
            self.add({"Drop": "Dropout"}.get(op, "Relu"))

    def dense(self, features: int) -> int:
        outputs = self.rng.randint(2, 5)
        if self.rng.random() < 0.5:
            transposed = self.rng.randint(0, 1)
            shape = (outputs, features) if transposed else (features, outputs)
            bias = self.weight(*self.rng.choice(((outputs,), (1, outputs), (1,), (IMAGES, 1))))
            self.add(
                "Gemm",
                self.weight(*shape),
                bias,
                transB=transposed,
                alpha=self.rng.choice((1.0, 0.5)),
                beta=self.rng.choice((1.0, 2.0)),
            )
        else:
            self.add("MatMul", self.weight(features, outputs))
            self.add("Add", self.weight(outputs))
        return outputs

    def model(self) -> onnx.ModelProto:
        rng = self.rng
        vectors = rng.random() < 0.2
        if vectors:
            self.input_shape = [rng.randint(2, 9)]
            features = self.input_shape[0]
        else:
            for _ in range(rng.randint(0, 4)):
                self.images()
            if rng.random() < 0.2:
                self.add("GlobalAveragePool")
                self.shape[1:] = [1, 1]
            features = int(np.prod(self.shape))
            if rng.random() < 0.5:
                self.add("Flatten")
            else:
                self.weights["shape"] = np.array(rng.choice(([0, -1], [-1, features])))
                self.add("Reshape", "shape")
        for _ in range(rng.randint(1, 2)):
            features = self.dense(features)
        if rng.random() < 0.3:
            self.add("Softmax", axis=1)
        batch = rng.choice(("batch", IMAGES))
        graph = helper.make_graph(
            self.nodes,
            "fuzz",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *self.input_shape])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ["batch", features])],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])


# --- damage -----------------------------------------------------------------------------------


def attribute(rng: random.Random, model: onnx.ModelProto) -> None:
    """An attribute changed, added from the operator's schema, or removed."""
    node = rng.choice(model.graph.node)
    schema = onnx.defs.get_schema(node.op_type)
    if node.attribute and rng.random() < 0.3:
        del node.attribute[rng.randrange(len(node.attribute))]
        return
    if not schema.attributes:
        return
    key = rng.choice(sorted(schema.attributes))
    kind = schema.attributes[key].type.value
    if rng.random() < 0.1:
        kind = rng.choice((AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT))
    values = {
        AttributeProto.INT: rng.choice(SIZES),
        AttributeProto.FLOAT: rng.choice(FLOATS),
        AttributeProto.INTS: [rng.choice(SIZES) for _ in range(rng.choice((1, 2, 2, 2, 3, 4, 4)))],
        AttributeProto.STRING: rng.choice(TEXTS),
    }
    if kind == AttributeProto.INTS and rng.random() < 0.7:  # near what it should be
        values[kind] = [rng.randint(0, 2) for _ in range(4 if key == "pads" else 2)]
    if kind in values:
        for i, old in enumerate(node.attribute):
            if old.name == key:
                del node.attribute[i]
                break
        node.attribute.append(helper.make_attribute(key, values[kind]))


def weight(rng: random.Random, model: onnx.ModelProto) -> None:
    """A weight with another shape, type or value."""
    if not model.graph.initializer:
        return
    tensor = rng.choice(model.graph.initializer)
    try:
        array = numpy_helper.to_array(tensor).copy()
    except ValueError:  # damaged before
        return
    what = rng.randrange(7)
    if what == 0 and array.ndim:
        array = np.moveaxis(array, rng.randrange(array.ndim), rng.randrange(array.ndim))
    elif what == 1:
        array = np.expand_dims(array, rng.randint(0, array.ndim))
    elif what == 2 and array.ndim:
        array = array[: rng.randint(0, array.shape[0])]
    elif what == 3:
        array = array.astype(rng.choice((np.float64, np.float16, np.int64, np.int8, np.bool_)))
    elif what == 4 and array.size:
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice((-1, 0, 3))
    elif what == 5 and array.size and array.dtype.kind == "f":
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice(FLOATS)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    if what == 6:
        tensor.dims.extend([rng.choice(SIZES)])


def wires(rng: random.Random, model: onnx.ModelProto) -> None:
    """An input, an output, a node moved, dropped, doubled or renamed."""
    nodes = model.graph.node
    node, what = rng.choice(nodes), rng.randrange(7)
    names = ["", "nowhere", "x", *(o for n in nodes for o in n.output)]
    names += [tensor.name for tensor in model.graph.initializer]
    if what == 0 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif what == 1:
        node.input.append(rng.choice(names))
    elif what == 2 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif what == 3:
        node.output.append(rng.choice(("", "more")))
    elif what == 4:
        i, j = rng.randrange(len(nodes)), rng.randrange(len(nodes))
        first, second = onnx.NodeProto(), onnx.NodeProto()
        first.CopyFrom(nodes[i])
        second.CopyFrom(nodes[j])
        nodes[i].CopyFrom(second)
        nodes[j].CopyFrom(first)
    elif what == 5:
        node.op_type = rng.choice(KINDS)
    else:
        model.graph.output[0].name = rng.choice(names)


def constant(rng: random.Random, model: onnx.ModelProto) -> None:
    """A weight that comes from a node: right, unless something else is damaged."""
    if not model.graph.initializer:
        return
    index = rng.randrange(len(model.graph.initializer))
    tensor = model.graph.initializer[index]
    if rng.random() < 0.5:
        node = helper.make_node("Constant", [], [tensor.name], value=tensor)
        del model.graph.initializer[index]
    else:
        old, tensor.name = tensor.name, f"{tensor.name}_c"
        node = helper.make_node("Identity", [tensor.name], [old])
    model.graph.node.insert(0, node)


def header(rng: random.Random, model: onnx.ModelProto) -> None:
    """The version, or the input's shape or type."""
    kind = model.graph.input[0].type.tensor_type
    what = rng.randrange(5)
    if what == 0:
        model.opset_import[0].version = rng.choice(OPSETS)
    elif what == 1 and kind.shape.dim:
        rng.choice(kind.shape.dim).dim_value = rng.choice(SIZES)
    elif what == 2 and kind.shape.dim:
        del kind.shape.dim[rng.randrange(len(kind.shape.dim))]
    elif what == 3:
        kind.shape.dim.add().dim_value = rng.choice(SIZES)
    else:
        kind.elem_type = rng.randint(0, 30)


DAMAGE = (attribute, attribute, attribute, weight, weight, wires, constant, header)


def case(seed: int, number: int) -> bytes:
    """The bytes of one ONNX file."""
    rng = random.Random(f"{seed}/{number}")
    model = onnx.load(SHIPPED) if rng.random() < 0.03 else Draw(rng).model()
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        rng.choice(DAMAGE)(rng, model)
    data = bytearray(model.SerializeToString())
    if rng.random() < 0.05:
        data = data[: rng.randrange(len(data))]
    elif rng.random() < 0.05:
        for _ in range(rng.randint(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def misjudged(model: onnx.ModelProto) -> bool:
    """Whether onnx 1.23's reference evaluator computes the graph other than the standard says."""
    for node in model.graph.node:
        # Opset 9 to 13: it mixes the batch's own mean into the stored one.
        if node.op_type == "BatchNormalization" and model.opset_import[0].version < 14:
            return True
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        # Its padding for strides above one is not that of ceil(size / stride) outputs.
        if given.get("auto_pad", b"").startswith(b"SAME") and max(given.get("strides", [1])) > 1:
            return True
        # A pool of stride 1 takes pads (top, left, bottom, right) as (top, bottom, left, right).
        pads = given.get("pads", [0, 0, 0, 0])
        if node.op_type in ("MaxPool", "AveragePool") and pads[1] != pads[2]:
            return True
    return False


def reference(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """The output by onnx's reference evaluator."""
    return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: images})[0]


def onnxruntime(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """The output by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {model.graph.input[0].name: images})[0]


def outcome(path: Path, oracle: Oracle = reference) -> str:
    """'refused', 'equal' or 'no reference' for the file; AssertionError if it is read wrongly."""
    try:
        network = load(path)
    except InputError as error:
        assert "\n" not in str(error), "a refusal of several lines"
        return "refused"
    model = onnx.load(path)
    shape = (IMAGES, *network.input_shape)
    if np.prod(shape) > 1e6:
        return "too large to compare"
    if oracle is reference and misjudged(model):
        return "no reference"
    images = (
        np.random.default_rng(len(network.graph.nodes)).standard_normal(shape).astype(np.float32)
    )
    size = model.graph.input[0].type.tensor_type.shape.dim[0]
    with np.errstate(all="ignore"):
        got = inference.run(network, images)
        # A graph that mixes its images, or puts them on another axis, is read as of so many.
        batch = network.batch or (size.dim_value if size.dim_value > 0 else IMAGES)
        try:
            parts = [
                oracle(model, images[start : start + batch])
                for start in range(0, IMAGES - IMAGES % batch, batch)
            ]
        except Exception:  # whatever the oracle does not take
            return "no reference"
        if not parts:
            return "too large to compare"
        expected = np.concatenate([part.reshape(len(part), -1) for part in parts])
        if any(
            n.op_type == "Softmax" and n.output[0] == model.graph.output[0].name
            for n in model.graph.node
        ):
            got = np.exp(got - got.max(axis=1, keepdims=True))
            got /= got.sum(axis=1, keepdims=True)
        got = got[: len(expected)]
        assert got.shape == expected.shape, f"shape {got.shape}, must be {expected.shape}"
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=0) + 1e-6
        np.testing.assert_allclose(got / scale, expected / scale, rtol=1e-3, atol=1e-4)
    return "equal"


def run(
    seed: int, numbers: Iterable[int], folder: Path, oracle: Oracle = reference
) -> tuple[Counter[str], list[int]]:
    """How many cases ended how, and the numbers of those that are faults."""
    outcomes: Counter[str] = Counter()
    faults = []
    for number in numbers:
        path = folder / "case.onnx"
        path.write_bytes(case(seed, number))
        try:
            outcomes[outcome(path, oracle)] += 1
        except Exception as error:  # every one is a fault to report
            faults.append(number)
            text = " ".join(str(error).split())[:400]
            print(f"seed {seed} case {number}: {type(error).__name__}: {text}", file=sys.stderr)
    return outcomes, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--only", type=int, help="one case, its file kept in case.onnx")
    parser.add_argument("--oracle", choices=("reference", "onnxruntime"), default="reference")
    given = parser.parse_args()
    oracle = {"reference": reference, "onnxruntime": onnxruntime}[given.oracle]
    warnings.simplefilter("ignore")
    if given.only is not None:
        outcomes, faults = run(given.seed, range(given.only, given.only + 1), Path(), oracle)
    else:
        with tempfile.TemporaryDirectory() as folder:
            outcomes, faults = run(given.seed, range(given.count), Path(folder), oracle)
    print(", ".join(f"{count} {outcome_name}" for outcome_name, count in sorted(outcomes.items())))
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Reads an ONNX file into a ``Network``.

onnxruntime computes every float operator; the compute layers, ``optimizer.layers``, are cut out. A
softmax at the end is dropped: it changes neither the predicted class nor, being known, the
comparison of logits. What the network gives for a few numbers is computed once, for the shapes of
its tensors and to see how many images it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper

from hwgen.errors import InputError
from hwgen.fields import require_path
from optimizer import folding, given, layers, linear_models, onnx_file, quantised_files
from optimizer.draft import Draft
from optimizer.graph import Graph, reads
from optimizer.inputs import Declared
from optimizer.network import Input, Network
from optimizer.quantised_files import Quantiser

#: Numbers in a tensor of one image: 1 GiB of float32.
MOST_VALUES = 2**28

#: Operators behind a softmax that leave its values as they are, or put them into another shape.
_KEEPS_CLASSES = ("Identity", "Dropout", "Flatten", "Reshape", "Squeeze")

_NAME_LENGTH = 60
_SEED = 1


@dataclass(frozen=True, eq=False)
class _File:
    """A checked file: its ``path``, ``model``, constants by name, and declared inputs.

    ``quantisers``: what is quantised in it, by tensor.
    """

    path: Path
    model: onnx.ModelProto
    constants: dict[str, TensorProto]
    inputs: tuple[Declared, ...]
    quantisers: Mapping[str, Quantiser]


def declared(path: str | Path) -> tuple[Declared, ...]:
    """The inputs of the network in the ONNX file ``path``; errors as those of ``load``."""
    return _read(path).inputs


def load(
    path: str | Path,
    sizes: Mapping[str, tuple[int, ...]] | None = None,
    output: str | None = None,
) -> Network:
    """The network in the ONNX file ``path``.

    ``sizes``: the shape of each input without the batch, which must be given where the file leaves
    one open; ``output``: which tensor has the class scores, by default the only output that can
    have them. InputError, one line, for a missing or damaged file, what onnxruntime does not
    compute, and a network without layers.
    """
    file = _read(path)
    inputs = _sized(file, sizes or {})
    nodes, constants = folding.constants_of(file.model, list(file.model.graph.node), file.constants)
    nodes, scores = _scores(file, nodes, constants, output)
    graph = Graph(
        _needed(nodes, scores),
        constants,
        _types(file, inputs, constants),
        _imports(file.model, nodes),
        file.model.ir_version,
    )
    inputs = _read_inputs(file, graph, inputs, scores)
    if not graph.nodes:
        raise InputError(f"network {file.path.name} gives its input: there is nothing to quantise")
    batch, classes = _batch(file, graph, inputs, scores)
    graph, found = _cut(file, graph, inputs, scores, batch)
    network = Network(file.path.stem, graph, inputs, scores, classes, batch, found[0], found[1])
    if not network.nodes:
        reasons = "; ".join(f"{f.op} {f.name!r}: {f.reason}" for f in network.float_operators[:3])
        raise InputError(
            f"network {file.path.name} has no layer with weights ({', '.join(layers.PRODUCTS)}, "
            "Gemm with a constant) before its output: there is nothing to quantise, give a trained "
            "network" + (f" ({reasons})" if reasons else "")
        )
    return network


# --- the file and its inputs ------------------------------------------------------------------


def _read(path: str | Path) -> _File:
    source = require_path("path", path)
    model, quantisers = quantised_files.rewritten(onnx_file.read(source))
    _name_nodes(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    # Old files list the weights among the inputs.
    inputs = [value for value in model.graph.input if value.name not in constants]
    if not inputs:
        raise InputError(f"network {source.name} has no input: give one that classifies data")
    shapes = tuple(_declared(value, source) for value in inputs)
    return _File(source, model, constants, shapes, quantisers)


def _name_nodes(model: onnx.ModelProto) -> None:
    """A name of its own for every node that has one: onnxruntime wants that, ONNX does not."""
    seen: set[str] = set()
    for node in model.graph.node:
        name, number = node.name, 1
        while node.name and node.name in seen:
            number += 1
            node.name = f"{name}_{number}"
        seen.add(node.name)


def _declared(value: onnx.ValueInfoProto, path: Path) -> Declared:
    what = f"network {path.name}: input {value.name!r}"
    if not value.type.HasField("tensor_type"):
        raise InputError(f"{what} is not a tensor: export the network with tensors as its inputs")
    tensor = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except Exception as error:  # a type that onnx does not know
        raise InputError(
            f"{what} is of type {tensor.elem_type}, which onnx does not know: export it again"
        ) from error
    if dtype.kind not in "fiub":
        raise InputError(f"{what} is of type {dtype}: export the network with numbers as inputs")
    given = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    if not given:
        raise InputError(
            f"{what} has the shape (), of rank 0: export the network with the batch as first size"
        )
    # Some exporters write a size that is not fixed as 0 or -1; only the batch may be such.
    batch = given[0] if given[0] is not None and given[0] > 0 else None
    for size in given[1:]:
        if size is not None and size < 1:
            raise InputError(
                f"{what} has the shape {given}: {size} is not a size of at least 1, export the "
                "network with other sizes"
            )
    return Declared(value.name, tuple(given[1:]), dtype, batch)


def _sized(file: _File, sizes: Mapping[str, tuple[int, ...]]) -> tuple[Input, ...]:
    """The inputs with fixed sizes."""
    inputs = []
    for value in file.inputs:
        what = f"network {file.path.name}: input {value.name!r}"
        shape = sizes.get(value.name)
        if shape is None and None in value.sizes:
            raise InputError(
                f"{what} has the shape {value.shown}, with sizes that are not fixed: give data "
                "that says them, or export the network with fixed sizes"
            )
        if shape is None:
            shape = tuple(n for n in value.sizes if n is not None)
        if not value.takes(shape):
            given = ", ".join(map(str, ("N", *shape)))
            raise InputError(
                f"{what} has the shape {value.shown} and the data ({given}): give data of "
                "that shape"
            )
        if math.prod(shape) > MOST_VALUES:
            raise InputError(
                f"{what} has the shape {value.shown}: at most 2^28 numbers an image are supported, "
                "export the network for smaller ones"
            )
        inputs.append(Input(value.name, shape, value.dtype))
    return tuple(inputs)


def _read_inputs(
    file: _File, graph: Graph, inputs: tuple[Input, ...], scores: str
) -> tuple[Input, ...]:
    """Those that the class scores depend on."""
    needed = {name for node in graph.nodes for name in reads(node)} | {scores}
    used = tuple(value for value in inputs if value.name in needed)
    if not used:
        raise InputError(
            f"network {file.path.name}: output {scores!r} does not depend on the image: export the "
            "logits as the output"
        )
    return used


def _imports(
    model: onnx.ModelProto, nodes: Sequence[NodeProto]
) -> tuple[onnx.OperatorSetIdProto, ...]:
    """The operator sets that are left, ONNX's own always."""
    used = {node.domain for node in nodes} - set(onnx_file.STANDARD)
    own = helper.make_opsetid("", onnx_file.opset(model))
    return (own, *(i for i in model.opset_import if i.domain in used))


# --- the output -------------------------------------------------------------------------------


def _scores(
    file: _File,
    nodes: list[NodeProto],
    constants: dict[str, TensorProto],
    output: str | None,
) -> tuple[list[NodeProto], str]:
    """The nodes without a softmax at the end, and the tensor of class scores."""
    made_by = {name: node for node in nodes for name in node.output}
    known, floats = [], []
    for value in file.model.graph.output:
        known.append(value.name)
        zipped = value.name in made_by and made_by[value.name].op_type == "ZipMap"
        if zipped or value.type.tensor_type.elem_type in _FLOATS:
            floats.append(value.name)
    if output is not None and output not in known:
        raise InputError(
            f"output {output!r} is none of network {file.path.name}: use one of {', '.join(known)}"
        )
    if output is None:
        if len(floats) != 1 and len(known) > 1:
            raise InputError(
                f"network {file.path.name} has {len(known)} outputs ({', '.join(known)}): say "
                "which one has the class scores, with --output"
            )
        output = floats[0] if floats else known[0]
    if output in constants:
        raise InputError(
            f"network {file.path.name}: output {output!r} does not depend on the image: export the "
            "logits as the output"
        )
    # scikit-learn's exporter puts the scores into a dictionary for each example.
    if output in made_by and made_by[output].op_type == "ZipMap":
        output = made_by[output].input[0]
    types = {v.name: v.type.tensor_type.elem_type for v in file.model.graph.input}
    nodes, more = linear_models.written_out(_needed(nodes, output), output, types)
    constants.update(more)
    return _without_softmax(nodes, output)


_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


def _without_softmax(nodes: list[NodeProto], output: str) -> tuple[list[NodeProto], str]:
    """Nodes and output without a softmax at the end, if nothing after it changes the classes."""
    made_by = {name: node for node in nodes for name in node.output}
    node = made_by.get(output)
    after_softmax: list[NodeProto] = []
    while node is not None and node.op_type in _KEEPS_CLASSES:
        after_softmax.append(node)
        node = made_by.get(node.input[0])
    if node is None or node.op_type not in ("Softmax", "LogSoftmax"):
        return nodes, output
    if not after_softmax:
        return nodes, node.input[0]
    first = onnx.NodeProto()
    first.CopyFrom(after_softmax[-1])
    first.input[0] = node.input[0]
    return [first if n is after_softmax[-1] else n for n in nodes], output


def _needed(nodes: Sequence[NodeProto], output: str) -> tuple[NodeProto, ...]:
    return Graph(tuple(nodes), {}, {}, (), 0).before([output])


# --- shapes, types, the batch -----------------------------------------------------------------


def _types(
    file: _File, inputs: Sequence[Input], constants: Mapping[str, TensorProto]
) -> dict[str, int]:
    """The type of each tensor by onnx's inference, and that none is too large."""
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    shapes = {value.name: (1, *value.shape) for value in inputs}
    for value in model.graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type
            batch = kind.shape.dim[0].dim_value
            del kind.shape.dim[:]
            for size in (max(batch, 1), *shapes[value.name][1:]):
                kind.shape.dim.add().dim_value = size
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # operands that do not fit each other, found by onnx
        raise InputError(
            f"network {file.path.name}: its shapes do not fit each other "
            f"({onnx_file.one_line(error)}): export it again"
        ) from error
    types = {value.name: helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs}
    for value in (*model.graph.value_info, *model.graph.output):
        if not value.type.HasField("tensor_type"):
            continue
        kind = value.type.tensor_type
        types[value.name] = kind.elem_type
        if math.prod(d.dim_value for d in kind.shape.dim) > MOST_VALUES:
            shape = [d.dim_value for d in kind.shape.dim]
            raise InputError(
                f"network {file.path.name}: tensor {value.name!r} has the shape {shape}: at most "
                "2^28 numbers an image are supported, export the network for smaller ones"
            )
    return types


def example(inputs: Sequence[Input], images: int) -> dict[str, npt.NDArray[Any]]:
    """Numbers that the inputs take: normally distributed, or zeros where they are whole."""
    rng = np.random.default_rng(_SEED)
    return {
        value.name: rng.standard_normal((images, *value.shape)).astype(value.dtype)
        if value.dtype.kind == "f"
        else np.zeros((images, *value.shape), value.dtype)
        for value in inputs
    }


def _batch(
    file: _File, graph: Graph, inputs: Sequence[Input], scores: str
) -> tuple[int | None, int]:
    """How many images the network takes at once, None for any number; and its classes.

    The batch that a file states may be the one that it was exported with, while its operators
    take any: two batches at once must then give what each gives alone.
    """
    stated = {value.batch for value in file.inputs if value.batch is not None}
    if len(stated) > 1:
        raise InputError(
            f"network {file.path.name}: its inputs are of {sorted(stated)} images: the first size "
            "of all must be one batch"
        )
    size = next(iter(stated), 1)
    session = graph.session(graph.nodes, [scores])
    two = example(inputs, 2 * size)
    parts = [
        session.run({name: values[half] for name, values in two.items()})[scores]
        for half in (slice(size), slice(size, None))
    ]
    first = parts[0]
    if not isinstance(first, np.ndarray) or first.dtype.kind != "f":
        raise InputError(
            f"network {file.path.name}: output {scores!r} is no tensor of floats: end the network "
            "in class scores, or name another output with --output"
        )
    shape = first.shape
    classes = math.prod(shape[1:])
    if not shape or shape[0] != size or sum(n != 1 for n in shape[1:]) > 1 or not classes:
        raise InputError(
            f"network {file.path.name}: output {scores!r} has the shape {shape} for {size} images: "
            "only class scores, (batch, classes), are supported, end the network in them"
        )
    try:
        both = session.run(two)[scores]
    except InputError:
        return size, classes
    expected = np.concatenate(parts)
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=1.0))
    same = both.shape == expected.shape and np.allclose(
        both, expected, rtol=1e-4, atol=1e-5 * largest, equal_nan=True
    )
    return None if same else size, classes


# --- the layers -------------------------------------------------------------------------------


def _cut(
    file: _File, graph: Graph, inputs: Sequence[Input], scores: str, batch: int | None
) -> tuple[Graph, tuple[Any, Any]]:
    """The graph with its layers rewritten; the layers, and what stays in float."""
    images = batch or 1
    tensors = list(dict.fromkeys(name for node in graph.nodes for name in node.output if name))
    values = example(inputs, images)
    values |= graph.session(graph.nodes, tensors).run(values)
    shapes = {k: v.shape for k, v in values.items() if isinstance(v, np.ndarray)}
    types = dict(graph.types)
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            types[name] = helper.np_dtype_to_tensor_dtype(value.dtype)
    draft = Draft(
        list(graph.nodes),
        dict(graph.constants),
        shapes,
        types,
        images,
        [scores],
        given.formats(file.quantisers, list(file.model.graph.node), graph.constants),
        _namer(),
    )
    nodes, found, stays = layers.find(draft)
    types.update(draft.types)
    cut = Graph(tuple(nodes), draft.constants, types, graph.imports, graph.ir_version)
    return cut, (found, stays)


def _namer() -> Callable[[NodeProto], str]:
    """Short names, unique in the network: '/stage1/conv1/Conv' becomes 'stage1.conv1'.

    They stand in tables, pictures and on the terminal: signs that mean something there (or end a
    line) are replaced.
    """
    names: set[str] = set()

    def name(proto: NodeProto) -> str:
        parts = [part for part in proto.name.split("/") if part]
        if len(parts) > 1 and parts[-1].split("_")[0] == proto.op_type:
            parts = parts[:-1]
        base = ".".join(parts) or proto.op_type.lower()
        base = "".join(c if c.isalnum() or c in "._-:" else "_" for c in base)[:_NAME_LENGTH]
        result, count = base, 1
        while result in names:
            count += 1
            result = f"{base}_{count}"
        names.add(result)
        return result

    return name

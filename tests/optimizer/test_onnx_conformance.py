"""The tests that ship inside the onnx package, for every operator that becomes a datapath.

Each case of onnx.backend.test with such an operator is read and computed: the outcome is equal
to the case's own output, or an InputError for the reason that stands in ``REFUSED``. A case's
first input of floats is the network's; its other inputs become constants of the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwgen.errors import InputError
from optimizer import inference
from optimizer.network import Network, Node
from optimizer.onnx_import import load

SUPPORTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

REFUSED = {
    "it is a convolution of 3 dimensions": (
        "test_convtranspose_3d",
        "pytorch-converted/test_Conv3d",
        "pytorch-converted/test_Conv3d_dilated",
        "pytorch-converted/test_Conv3d_dilated_strided",
        "pytorch-converted/test_Conv3d_groups",
        "pytorch-converted/test_Conv3d_no_bias",
        "pytorch-converted/test_Conv3d_stride",
        "pytorch-converted/test_Conv3d_stride_padding",
    ),
    # onnxruntime takes a tensor of one number for no scalar.
    "Op (Range)": (
        "test_affine_grid_2d_expanded",
        "test_affine_grid_2d_align_corners_expanded",
        "test_affine_grid_3d_expanded",
        "test_affine_grid_3d_align_corners_expanded",
    ),
}


@dataclass(frozen=True)
class Case:
    name: str
    model: onnx.ModelProto
    inputs: list
    output: np.ndarray

    @property
    def operators(self) -> set[str]:
        return {node.op_type for node in self.model.graph.node}


def generated(names: tuple[str, ...] = ("",)) -> Iterator[Case]:
    """The node tests, which the package generates, whose names start with one of ``names``."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators that are none of ours
        cases = collect_testcases(None)
    for case in cases:
        if case.name.startswith(names):
            inputs, outputs = case.data_sets[0]
            yield Case(case.name, case.model, list(inputs), outputs[0])


def stored() -> Iterator[Case]:
    """The networks in files; "light" are whole ones, none with supported operators alone."""
    data = Path(onnx.__file__).parent / "backend/test/data"
    for path in sorted((data / "light").glob("*.onnx")):
        yield Case(f"light/{path.stem}", onnx.load(path), [], np.zeros((1, 1)))
    for path in sorted(data.glob("*/*/model.onnx")):
        folder, model = path.parent / "test_data_set_0", onnx.load(path)
        if {node.op_type for node in model.graph.node} & SUPPORTED:
            count = len(list(folder.glob("input_*.pb")))
            files = [*(f"input_{i}.pb" for i in range(count)), "output_0.pb"]
            *inputs, output = (numpy_helper.to_array(onnx.load_tensor(folder / f)) for f in files)
            yield Case(f"{path.parent.parent.name}/{path.parent.name}", model, inputs, output)


def network_of(case: Case) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray] | None:
    """The case as a network of one image, its input and its class scores; None if it is none.

    The case's first input of floats is the image, its other inputs are constants of the file.
    """
    graph = onnx.GraphProto.FromString(case.model.graph.SerializeToString())
    own = [value for value in graph.input if value.name not in {i.name for i in graph.initializer}]
    given = list(zip(own, case.inputs, strict=False))
    arrays = [isinstance(data, np.ndarray | np.generic) for _, data in given]
    floats = [i for i, (_, data) in enumerate(given) if arrays[i] and data.dtype == np.float32]
    plain = isinstance(case.output, np.ndarray | np.generic) and case.output.dtype.kind in "fiu"
    if not floats or not all(arrays) or not plain or not case.output.size:
        return None
    image, data = given[floats[0]]
    if not data.size:
        return None
    for i, (value, constant) in enumerate(given):
        if i != floats[0]:
            graph.initializer.append(numpy_helper.from_array(np.asarray(constant), value.name))
    own_nodes = list(graph.node)
    del graph.node[:], graph.input[:]
    constants = {"image_shape": np.array(data.shape, np.int64), "flat": np.array([1, -1])}
    scores = case.model.graph.output[0].name
    features = int(np.prod(case.output.shape))
    graph.node.append(helper.make_node("Reshape", ["image", "image_shape"], [image.name]))
    graph.node.extend(own_nodes)
    graph.node.append(helper.make_node("Cast", [scores], ["numbers"], to=1))
    graph.node.append(helper.make_node("Reshape", ["numbers", "flat"], ["scores"]))
    last = "scores"
    if not case.operators & {"Conv", "ConvTranspose", "Gemm", "MatMul"} and features <= 5000:
        # A layer for networks that have none: the unit matrix, which is exact.
        constants["unit"] = np.eye(features, dtype=np.float32)
        graph.node.append(helper.make_node("MatMul", ["scores", "unit"], ["products"]))
        last = "products"
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    graph.input.append(helper.make_tensor_value_info("image", 1, [1, *data.shape]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(last, 1, [1, features]))
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    model.graph.CopyFrom(graph)
    # From version 4 of the file format on constants are not listed among the inputs.
    model.ir_version = max(4, model.ir_version)
    return model, np.asarray(data)[None], np.asarray(case.output)


def outcome(case: Case, path: Path) -> str | None:
    """None if the network of the case gives the case's output, else why it was refused."""
    made = network_of(case)
    assert made is not None
    model, image, output = made
    onnx.save(model, path)
    try:
        network = load(path)
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    layers[case.name] = [node.op for node in network.nodes]
    stays[case.name] = [f"{f.op}: {f.reason}" for f in network.float_operators]
    got = inference.run(network, image)[0]
    expected = output.reshape(-1).astype(np.float32)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5, err_msg=case.name)
    for node in network.nodes:
        assert_lowered(network, node, image)
    return None


def assert_lowered(network: Network, node: Node, image: np.ndarray) -> None:
    """The layer's matrices give what onnxruntime's operator gives of the same numbers."""
    names = [name for name in node.inputs if name not in network.input_shapes]
    values = {network.inputs[0].name: image.astype(network.inputs[0].dtype)}
    values |= network.session([*names, node.output]).run(values)
    operands = [values[name].astype(np.float64) for name in node.inputs]
    lowering = node.lowering
    left = lowering.left(operands[0])
    right = lowering.right(node.weight) if node.weight is not None else operands[1]
    right = right if right.ndim > 1 else right[:, None]
    with np.errstate(all="ignore"):
        result = lowering.output(left @ right, operands[0].shape)
    result = result + (0 if node.bias is None else lowering.per_channel(node.bias))
    assert result.size == node.outputs
    np.testing.assert_allclose(result, values[node.output], rtol=1e-3, atol=1e-5)
    if node.weight is not None:
        own = network.graph.array(node.weight_name)
        np.testing.assert_array_equal(lowering.weight(node.weight), own)


#: By case, filled by ``outcome``: the layers that became datapaths, and what stayed in float.
layers: dict[str, list[str]] = {}
stays: dict[str, list[str]] = {}


def check(cases: Iterable[Case], folder: Path) -> tuple[dict[str, str], int]:
    """The cases that were refused, by name with the reason, and how many are equal."""
    refused, equal = {}, 0
    for case in cases:
        if case.operators & SUPPORTED and network_of(case) is not None:
            reason = outcome(case, folder / "n.onnx")
            equal += reason is None
            if reason is not None:
                refused[case.name] = reason
    return refused, equal


def test_every_shipped_case_is_equal_or_refused_by_name(tmp_path):
    refused, equal = check((*generated(), *stored()), tmp_path)
    expected = {name: reason for reason, names in REFUSED.items() for name in names}
    assert refused.keys() == expected.keys()
    for name, reason in refused.items():
        assert expected[name] in reason, name
    assert equal == 163
    # Whatever is computed, its products are layers.
    assert not any(stays.values())
    assert {op for ops in layers.values() for op in ops} == SUPPORTED


def test_the_cases_of_the_layers_themselves(tmp_path):
    """The quick part of the test above."""
    names = ("test_conv", "test_basic_conv", "test_gemm", "test_matmul")
    cases = [case for case in generated(names) if case.name.startswith(names)]
    refused, equal = check(cases, tmp_path)
    assert list(refused) == ["test_convtranspose_3d"] and equal == 34

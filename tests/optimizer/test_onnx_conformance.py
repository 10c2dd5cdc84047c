"""The tests that ship inside the onnx package, for every operator that the importer supports.

Each case of onnx.backend.test with such an operator is read and computed: the outcome is equal
to the case's own output, or an InputError for the reason that stands in ``REFUSED``. A case's
first input is the network's; its other inputs become constants of the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwgen.errors import InputError
from optimizer import inference
from optimizer.onnx_import import load
from optimizer.operators import OPERATORS

SUPPORTED = {*OPERATORS, "Constant"}
#: Operators that do the same for tensors of any rank.
ELEMENTWISE = {"Add", "Clip", "Dropout", "Identity", "Relu"}

REFUSED: dict[str, tuple[str, ...]] = {
    "of rank 1": (
        "test_matmul_1d_3d",
        "test_matmul_1d_1d",
        "pytorch-operator/test_operator_view",
    ),
    "of rank 3": (
        "test_averagepool_1d_default",
        "test_matmul_3d",
        "test_maxpool_1d_default",
        "test_reshape_reordered_all_dims",
        "test_reshape_reordered_last_dims",
        "test_reshape_reduced_dims",
        "test_reshape_extended_dims",
        "test_reshape_one_dim",
        "test_reshape_negative_dim",
        "test_reshape_negative_extended_dims",
        "test_reshape_zero_dim",
        "test_reshape_zero_and_negative_dim",
        "test_reshape_allowzero_reordered",
        "test_softmax_axis_0",
        "test_softmax_axis_1",
        "test_softmax_axis_2",
        "test_softmax_negative_axis",
        "test_softmax_default_axis",
        "pytorch-converted/test_BatchNorm1d_3d_input_eval",
        "pytorch-converted/test_Conv1d",
        "pytorch-converted/test_Conv1d_dilated",
        "pytorch-converted/test_Conv1d_groups",
        "pytorch-converted/test_Conv1d_pad1",
        "pytorch-converted/test_Conv1d_pad1size1",
        "pytorch-converted/test_Conv1d_pad2",
        "pytorch-converted/test_Conv1d_pad2size1",
        "pytorch-converted/test_Conv1d_stride",
        "pytorch-converted/test_MaxPool1d",
        "pytorch-converted/test_MaxPool1d_stride",
        "pytorch-converted/test_MaxPool1d_stride_padding_dilation",
        "pytorch-operator/test_operator_maxpool",
    ),
    "of rank 5": (
        "test_averagepool_3d_default",
        "test_averagepool_3d_dilations_small",
        "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True",
        "test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False",
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False",
        "test_maxpool_3d_default",
        "test_maxpool_3d_dilations",
        "test_maxpool_3d_dilations_use_ref_impl",
        "test_maxpool_3d_dilations_use_ref_impl_large",
        "pytorch-converted/test_AvgPool3d",
        "pytorch-converted/test_AvgPool3d_stride",
        "pytorch-converted/test_AvgPool3d_stride1_pad0_gpu_input",
        "pytorch-converted/test_BatchNorm3d_eval",
        "pytorch-converted/test_BatchNorm3d_momentum_eval",
        "pytorch-converted/test_Conv3d",
        "pytorch-converted/test_Conv3d_dilated",
        "pytorch-converted/test_Conv3d_dilated_strided",
        "pytorch-converted/test_Conv3d_groups",
        "pytorch-converted/test_Conv3d_no_bias",
        "pytorch-converted/test_Conv3d_stride",
        "pytorch-converted/test_Conv3d_stride_padding",
        "pytorch-converted/test_MaxPool3d",
        "pytorch-converted/test_MaxPool3d_stride",
        "pytorch-converted/test_MaxPool3d_stride_padding",
    ),
    "is of type": (
        "test_add_int8",
        "test_add_int16",
        "test_add_uint8",
        "test_add_uint16",
        "test_add_uint32",
        "test_add_uint64",
        "test_clip_default_int8_min",
        "test_clip_default_int8_max",
        "test_clip_default_int8_inbounds",
        "test_clip_default_int8_inbounds_expanded",
        "test_maxpool_2d_uint8",
        "pytorch-operator/test_operator_add_broadcast",
        "pytorch-operator/test_operator_add_size1_right_broadcast",
        "pytorch-operator/test_operator_add_size1_singleton_broadcast",
        "pytorch-operator/test_operator_addconstant",
    ),
    "ceil_mode=1": (
        "test_averagepool_2d_ceil",
        "test_averagepool_2d_ceil_last_window_starts_on_pad",
        "test_averagepool_2d_dilations",
        "test_maxpool_2d_ceil",
        "test_maxpool_2d_ceil_output_size_reduce_by_one",
    ),
    "training_mode=1": (
        "test_batchnorm_example_training_mode",
        "test_batchnorm_epsilon_training_mode",
    ),
    "training_mode is true": (
        "test_training_dropout_default",
        "test_training_dropout_default_mask",
        "test_training_dropout",
        "test_training_dropout_mask",
        "test_training_dropout_zero_ratio",
        "test_training_dropout_zero_ratio_mask",
    ),
    "transA=1": (
        "test_gemm_transposeA",
        "test_gemm_all_attributes",
    ),
    "is not one row for all images": ("test_gemm_default_matrix_bias",),
    "is not a tensor": (
        "test_identity_sequence",
        "test_identity_opt",
    ),
    "takes (batch, features) and a matrix": (
        "test_matmul_4d",
        "test_matmul_bcast",
        "test_matmul_4d_1d",
    ),
    "storage_order=1": ("test_maxpool_with_argmax_2d_precomputed_strides",),
    "group=": (
        "pytorch-converted/test_Conv2d_depthwise",
        "pytorch-converted/test_Conv2d_depthwise_padded",
        "pytorch-converted/test_Conv2d_depthwise_strided",
        "pytorch-converted/test_Conv2d_depthwise_with_multiplier",
        "pytorch-converted/test_Conv2d_groups",
        "pytorch-converted/test_Conv2d_groups_thnn",
    ),
    "must be a constant": ("pytorch-operator/test_operator_addmm",),
    "has 0 inputs": ("test_constant",),
    "attribute axis=": (
        "test_flatten_axis0",
        "test_flatten_axis2",
        "test_flatten_axis3",
        "test_flatten_negative_axis4",
        "test_flatten_negative_axis2",
        "test_flatten_negative_axis1",
    ),
    "and axis=": ("pytorch-converted/test_softmax_functional_dim3",),
    "cannot be broadcast to": (
        "test_add",
        "pytorch-operator/test_operator_add_size1_broadcast",
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


def generated() -> Iterator[Case]:
    """The node tests, which the package generates."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators that are none of ours
        cases = collect_testcases(None)
    for case in cases:
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


def _in_float32(graph: onnx.GraphProto, inputs: list) -> None:
    """Cases of torch in double become cases in single precision, if their numbers allow it."""
    arrays = [i for i in inputs if isinstance(i, np.ndarray) and i.dtype == np.float64 and i.size]
    if any(np.abs(array).max() > np.finfo(np.float32).max for array in arrays):
        return
    for value in graph.input:
        kind = value.type.tensor_type
        if kind.elem_type == onnx.TensorProto.DOUBLE:
            kind.elem_type = onnx.TensorProto.FLOAT
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.DOUBLE:
            data = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(data, tensor.name))
    for i, data in enumerate(inputs):
        if isinstance(data, np.ndarray) and data.dtype == np.float64:
            inputs[i] = data.astype(np.float32)


def outcome(case: Case, path: Path) -> str | None:
    """None if the network of the case gives the case's output, else why it was refused."""
    graph = onnx.GraphProto.FromString(case.model.graph.SerializeToString())
    inputs = list(case.inputs)
    output = case.output if isinstance(case.output, np.ndarray) else np.zeros((1, 1))  # a sequence
    own = [value for value in graph.input if value.name not in {i.name for i in graph.initializer}]
    _in_float32(graph, inputs)
    if case.operators <= ELEMENTWISE and isinstance(inputs[0], np.ndarray):
        # A last axis of one changes nothing and makes the rank one that networks have.
        while inputs[0].ndim in (1, 3):
            inputs = [np.asarray(i)[..., None] if np.ndim(i) else i for i in inputs]
            output = output[..., None]
            del own[0].type.tensor_type.shape.dim[:]
            for size in inputs[0].shape:
                own[0].type.tensor_type.shape.dim.add().dim_value = size
    for value, data in list(zip(own, inputs, strict=False))[1:]:
        if isinstance(data, np.ndarray | np.generic):
            graph.initializer.append(numpy_helper.from_array(np.asarray(data), value.name))
    # Class scores, so that any output is a network's; a layer for networks that have none: the
    # unit matrix, which is exact.
    features = int(np.prod(output.shape[1:]))
    scores = "flat"
    graph.node.append(helper.make_node("Flatten", [graph.output[0].name], ["flat"]))
    if features <= 5000 and not case.operators & {"Conv", "Gemm", "MatMul"}:
        scores = "scores"
        graph.node.append(helper.make_node("MatMul", ["flat", "unit"], ["scores"]))
        unit = np.eye(features, dtype=np.float32)
        graph.initializer.append(numpy_helper.from_array(unit, "unit"))
        # Up to version 3 of the file format weights are listed among the inputs.
        graph.input.append(helper.make_tensor_value_info("unit", 1, unit.shape))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(scores, 1, ["batch", features]))
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    model.graph.CopyFrom(graph)
    onnx.save(model, path)
    try:
        network = load(path)
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    scores = inference.run(network, inputs[0])
    expected = output.reshape(len(output), -1)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-5, err_msg=case.name)
    return None


def test_every_shipped_case_is_equal_or_refused_by_name(tmp_path):
    equal: dict[str, set[str]] = {}
    refused: dict[str, str] = {}
    others = 0
    for case in (*generated(), *stored()):
        if not case.operators & SUPPORTED:
            continue
        reason = outcome(case, tmp_path / "n.onnx")
        if reason is None:
            equal[case.name] = case.operators
        elif case.operators <= SUPPORTED:
            refused[case.name] = reason
        else:
            # An operator beside the supported ones, or an input that no network has.
            others += 1
    expected = {name: reason for reason, names in REFUSED.items() for name in names}
    assert refused.keys() == expected.keys()
    for name, reason in refused.items():
        assert expected[name] in reason, name
    # Reshape's cases are of rank 3 and 1; test_onnx_import has it.
    assert set.union(*equal.values()) >= SUPPORTED - {"Reshape"}
    assert (len(equal), len(refused), others) == (84, 113, 369)

"""onnxruntime: what computes every float operator of a network.

A session runs on the calling thread alone (the optimizer's threads are the parallelism) and lets
others run meanwhile. Its own fusion of quantised operators is off: it may round other than the
operators that the file has.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx

from hwgen.errors import InputError
from optimizer.onnx_file import one_line

# Its builds report how they are used unless this is set when they are loaded: nothing of a user's
# networks is told to anyone, and no file is left where temporary ones go.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

#: Arrays by the names of tensors.
Tensors = Mapping[str, npt.NDArray[Any]]

_FATAL = 4  # The only messages that are printed: all else comes as an exception.


@dataclass(frozen=True, eq=False)
class Session:
    """A graph that is ready to run, from tensors called ``inputs`` to those called ``outputs``."""

    runs: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def run(self, values: Tensors) -> dict[str, npt.NDArray[Any]]:
        """The outputs by name; ``values`` has the inputs and may have others.

        InputError, one line, for what cannot be computed of these.
        """
        feed = {name: values[name] for name in self.inputs}
        try:
            results = self.runs.run(list(self.outputs), feed)
        except Exception as error:  # onnxruntime's, of many classes
            raise InputError(f"onnxruntime cannot compute the network: {one_line(error)}") from (
                error
            )
        return dict(zip(self.outputs, results, strict=True))


def session(model: onnx.ModelProto) -> Session:
    """A session of ``model``; InputError, one line, for a graph that onnxruntime refuses."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        runs = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's, of many classes, and protobuf's for 2 GiB and more
        raise InputError(f"onnxruntime cannot read the network: {one_line(error)}") from error
    return Session(
        runs,
        tuple(value.name for value in model.graph.input),
        tuple(value.name for value in model.graph.output),
    )

"""An operator as an ONNX file has it, and what the functions that read operators ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from optimizer.network import Node, channels_first


@dataclass(frozen=True, eq=False)
class Source:
    """An operator as the file has it: what the ``read`` functions work on.

    ``opset`` is the version of the operator set, ``batch`` the file's batch or None if it is
    dynamic. ``attributes`` holds the given ones and the version's defaults. ``constants`` has
    one entry an input: its array, or None where the input is a tensor that depends on the
    image; ``shapes`` likewise, the shape without the batch or None.
    """

    name: str
    op: str
    opset: int
    batch: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    constants: tuple[npt.NDArray[Any] | None, ...]
    shapes: tuple[tuple[int, ...] | None, ...]

    def fail(self, problem: str) -> NoReturn:
        """Raise the InputError that names the operator and the node."""
        raise InputError(f"operator {self.op} (node {self.name!r}): {problem}")

    def constant(
        self, index: int, what: str, dtype: type[np.generic] = np.float32
    ) -> npt.NDArray[Any] | None:
        """The constant at an input, of ``dtype`` and not empty, or None if it is absent."""
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        given = self.constants[index]
        called = f"its {what} ({self.inputs[index]!r})"
        if given is None:
            self.fail(f"{called} must be a constant of the file")
        if given.dtype != dtype:
            advice = "export the network in float32" if dtype is np.float32 else "export it again"
            self.fail(f"{called} is of type {given.dtype} and must be {np.dtype(dtype)}: {advice}")
        if not given.size:
            self.fail(f"{called} has the shape {given.shape}, no values: give a trained network")
        return given

    def finite(
        self, index: int, what: str, shape: tuple[int, ...] | None = None
    ) -> npt.NDArray[Any] | None:
        """``constant`` of float32 that must be finite, and of ``shape`` if that is given."""
        given = self.constant(index, what)
        if given is not None and shape is not None and given.shape != shape:
            self.fail(f"its {what} has the shape {given.shape} and must have {shape}")
        if given is not None and not np.isfinite(given).all():
            self.fail(
                f"its {what} ({self.inputs[index]!r}) contains NaN or infinity: give a trained "
                "network with finite weights"
            )
        return given

    def required(
        self, index: int, what: str, shape: tuple[int, ...] | None = None
    ) -> npt.NDArray[Any]:
        """``finite`` for an input that must be there."""
        given = self.finite(index, what, shape)
        if given is None:
            self.fail(f"has no {what}")
        return given

    def shape(self) -> tuple[int, ...]:
        """The shape of the first input, which must depend on the image, without the batch."""
        shape = self.shapes[0] if self.shapes else None
        if shape is None:
            self.fail("its first operand must be a tensor of the network, not a constant")
        return shape

    def given_shape(self, index: int = 0) -> str:
        """The shape of an input without the batch as the file has it, for messages."""
        shape = self.shapes[index]
        return "nothing" if shape is None else str(channels_first(shape))

    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the first input."""
        shape = self.shape()
        if len(shape) != 3:
            self.fail(
                f"takes images (batch, channels, height, width), got {self.given_shape()} an image"
            )
        return shape

    def node(self, *inputs: str, **fields: Any) -> Node:
        """The node of ``inputs``, by default the first one, which depend on the image."""
        if not inputs:
            self.shape()
            inputs = self.inputs[:1]
        return Node(self.name, self.op, inputs, self.outputs[0], **fields)

    def flag(self, key: str, default: int = 0) -> bool:
        """An attribute that is 0 or 1; ``default`` where this version of the operator has none."""
        given = self.attributes.get(key, default)
        if given not in (0, 1):
            self.fail(f"attribute {key}={given} must be 0 or 1")
        return bool(given)

    def sizes(self, key: str, default: Sequence[int], least: int) -> tuple[int, ...]:
        """An attribute of as many whole numbers as ``default`` has, none below ``least``."""
        given = tuple(self.attributes.get(key, default))
        if len(given) != len(default) or any(value < least for value in given):
            self.fail(
                f"attribute {key}={list(given)} must be {len(default)} numbers of at least "
                f"{least} for an image (batch, channels, height, width)"
            )
        return given

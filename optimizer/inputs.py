"""Inputs of a network: what it declares, and arrays of data (N, ...) for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Declared:
    """An input as a network's file declares it: sizes without the batch, None for one left open.

    ``batch``: the first size, or None.
    """

    name: str
    sizes: tuple[int | None, ...]
    dtype: np.dtype[Any]
    batch: int | None = None

    @property
    def shown(self) -> str:
        """The shape for people, such as '(N, 3, ?, 8)'."""
        return ", ".join("?" if n is None else str(n) for n in ("N", *self.sizes)).join("()")

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether an example may have ``shape``."""
        return len(shape) == len(self.sizes) and all(
            size in (None, n) for size, n in zip(self.sizes, shape, strict=True)
        )


#: Data of a network, N examples: an array, or one for each input by its name.
Inputs = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]


def named(inputs: Inputs, only: str) -> Mapping[str, npt.NDArray[Any]]:
    """The arrays by name; one that has none is called ``only``."""
    return inputs if isinstance(inputs, Mapping) else {only: np.asarray(inputs)}


def count(inputs: Inputs) -> int:
    """How many images, or other examples, there are: N."""
    return len(next(iter(named(inputs, "").values())))


def taken(inputs: Inputs, index: slice | npt.NDArray[np.integer]) -> Inputs:
    """Those at ``index`` of the N examples."""
    if isinstance(inputs, Mapping):
        return {name: values[index] for name, values in inputs.items()}
    return inputs[index]

"""Small data sets in files, as .npz and as IDX folders, and how they are refused."""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwgen.errors import InputError
from optimizer import data

Arrays = dict[str, Any]


def good_arrays() -> Arrays:
    """A small valid set: uint8 images (N, 4, 5), labels below 10."""
    rng = np.random.default_rng(0)
    return {
        "calibration_images": rng.integers(0, 256, (6, 4, 5), dtype=np.uint8),
        "calibration_labels": np.arange(6, dtype=np.uint8),
        "test_images": rng.integers(0, 256, (8, 4, 5), dtype=np.uint8),
        "test_labels": np.arange(8, dtype=np.uint8),
    }


def write_npz(folder: Path, arrays: Arrays, name: str = "small.npz") -> Path:
    path = folder / name
    np.savez_compressed(path, **arrays)
    return path


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def write_idx_folder(folder: Path, compress: bool = False, train: int = 600) -> Path:
    """An MNIST-like folder with `train` training and 7 test images of 4 x 5 pixels."""
    rng = np.random.default_rng(1)
    contents = {
        data.TRAIN_IMAGES: rng.integers(0, 256, (train, 4, 5), dtype=np.uint8),
        data.TRAIN_LABELS: (np.arange(train) % 10).astype(np.uint8),
        data.TEST_IMAGES: rng.integers(0, 256, (7, 4, 5), dtype=np.uint8),
        data.TEST_LABELS: np.arange(7, dtype=np.uint8),
    }
    folder.mkdir(exist_ok=True)
    for name, array in contents.items():
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (folder / name).write_bytes(idx_bytes(array))
    return folder


def assert_rejected(
    path: Path,
    pattern: str,
    classes: int | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> None:
    with pytest.raises(InputError) as caught:
        data.load(path, classes, input_shape)
    message = str(caught.value)
    assert re.search(pattern, message), message
    assert "\n" not in message
    assert str(path) in message

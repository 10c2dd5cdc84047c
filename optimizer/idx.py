"""Folders of the MNIST family: four files in the IDX format, with or without gzip.

http://yann.lecun.com/exdb/mnist/ defines the format. Every fault of a file raises
:class:`hwgen.errors.InputError` with one line of text.
"""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from hwgen.errors import InputError
from optimizer import memory
from optimizer.npz import first_line

CLASSES = 10  # MNIST and Fashion-MNIST both have the labels 0 to 9

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
IDX_FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

# Where the Debian package dataset-fashion-mnist puts its files.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

_IDX_UINT8 = 0x08  # third byte of the magic number: the elements are unsigned bytes


@dataclass(frozen=True)
class IdxFolder:
    """The four files of an MNIST-like folder as stored: uint8, images (N, H, W), labels (N,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def installed_dataset() -> Path | None:
    """Folder of the Debian package dataset-fashion-mnist, or None if it is not installed."""
    complete = all(_idx_path(DEBIAN_FOLDER, name) is not None for name in IDX_FILES)
    return DEBIAN_FOLDER if complete else None


def read_idx_folder(folder: Path) -> IdxFolder:
    """Read the four IDX files of ``folder``, each as it is or gzip-compressed; check the counts."""
    paths = {name: _idx_path(folder, name) for name in IDX_FILES}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise InputError(
            f"data folder {str(folder)!r} has no {', '.join(missing)}; it needs all of "
            f"{', '.join(IDX_FILES)}, each plain or with .gz"
        )
    arrays = {
        name: read_idx(path, rank=3 if "images" in name else 1)
        for name, path in paths.items()
        if path is not None
    }
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        check_count(str(folder), images, len(arrays[images]), labels, len(arrays[labels]))
    return IdxFolder(*(arrays[name] for name in IDX_FILES))


def read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes with ``rank`` dimensions; gzip if its name ends in .gz.

    Layout: two zero bytes, the element type, the rank, the dimensions as big-endian uint32, then
    the elements in C order.
    """
    where = f"data file {str(path)!r}"
    magic = bytes((0, 0, _IDX_UINT8, rank))
    length = 4 + 4 * rank
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            file = cast(IO[bytes], opened)
            header = file.read(length)
            if header[:4] != magic or len(header) < length:
                raise InputError(
                    f"{where} starts with {header[:4].hex() or 'nothing'}; an IDX file of "
                    f"unsigned bytes with {rank} dimension(s) starts with {magic.hex()} and "
                    f"{rank} size(s); give the original file"
                )
            shape = tuple(int(size) for size in np.frombuffer(header, ">u4", offset=4))
            size = math.prod(shape)
            if size == 0:
                raise InputError(
                    f"{where} has the sizes {shape} and holds nothing; give at least one image"
                )
            memory.require_room(where, size)
            raw = file.read(size + 1)  # one more: a file that is too long is damaged too
    except InputError:
        raise
    except Exception as error:  # OSError, EOFError, zlib.error: all mean "cannot be read"
        raise InputError(
            f"{where} cannot be read ({first_line(error)}); it may be damaged or truncated, "
            "fetch it again"
        ) from error
    if len(raw) != size:
        actual = f"{len(raw)}" if len(raw) < size else f"more than {size}"
        raise InputError(
            f"{where} holds {actual} bytes of data, its header {shape} asks for {size}; the file "
            "is truncated or damaged, fetch it again"
        )
    return np.frombuffer(raw, np.uint8).reshape(shape)


def check_count(where: str, images: str, image_count: int, labels: str, label_count: int) -> None:
    """InputError unless there is a label to each image."""
    if image_count != label_count:
        raise InputError(
            f"{where}: {images} has {image_count} images but {labels} has {label_count} labels; "
            "give one label per image"
        )


def _idx_path(folder: Path, name: str) -> Path | None:
    """The file called ``name`` if present, else its .gz file, else None."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)

"""Labelled images, or feature vectors, for calibration and for the accuracy measurement.

Two sources are read:

* an ``.npz`` file with the arrays ``calibration_images``, ``test_images``, ``test_labels`` and
  optionally ``calibration_labels``; ``calibration_inputs`` and ``test_inputs`` are other names
  for data that are no images;
* a folder with the four files of the MNIST family in the IDX format, as
  http://yann.lecun.com/exdb/mnist/ defines it (MNIST, Fashion-MNIST), with or without gzip.

Every fault of the input raises :class:`hwgen.errors.InputError` with one line of text.
"""

from __future__ import annotations

import gzip
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from hwgen.errors import InputError
from hwgen.fields import LONGEST_PATH, checked, require_path, shown
from optimizer import memory, npz
from optimizer.npz import Header, first_line

CALIBRATION_COUNT = 512
CALIBRATION_SEED = 2017
IDX_CLASSES = 10  # MNIST and Fashion-MNIST both have the labels 0 to 9

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
IDX_FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

# Where the Debian package dataset-fashion-mnist puts its files.
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

_IDX_UINT8 = 0x08  # third byte of the magic number: the elements are unsigned bytes
# The arrays of an .npz, each with the names that it may have.
_NAMES = {
    "calibration_images": ("calibration_images", "calibration_inputs"),
    "test_images": ("test_images", "test_inputs"),
    "test_labels": ("test_labels",),
    "calibration_labels": ("calibration_labels",),
}
_OPTIONAL = ("calibration_labels",)


@dataclass(frozen=True)
class ImageData:
    """Inputs to calibrate the number formats with and labelled ones to measure accuracy on.

    ``calibration_images``: float32, shape (N, *input shape of the network): (N, C, H, W) of
    images, (N, F) of feature vectors. ``calibration_labels``: int64, shape (N,), or None if the
    source has none. ``test_images``: float32, shape (M, ...), each of the shape of a calibration
    image. ``test_labels``: int64, shape (M,), not negative. ``name``: a short name for reports,
    taken from the file or folder name. InputError for anything else.
    """

    calibration_images: NDArray[np.float32]
    calibration_labels: NDArray[np.int64] | None
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        for key in ("calibration", "test"):
            images, labels = (getattr(self, f"{key}_{what}") for what in ("images", "labels"))
            if not (isinstance(images, np.ndarray) and images.dtype == np.float32):
                raise InputError(f"{key}_images: give an array of float32, shape (N, ...)")
            if images.ndim < 2 or not images.size or not np.isfinite(images).all():
                raise InputError(
                    f"{key}_images: give finite numbers of shape (N, ...), one image at least"
                )
            if labels is None and key == "calibration":
                continue
            if not (isinstance(labels, np.ndarray) and labels.dtype == np.int64):
                raise InputError(f"{key}_labels: give an array of int64, shape (N,)")
            if labels.shape != images.shape[:1] or labels.min() < 0:
                raise InputError(
                    f"{key}_labels: give a number of a class, from 0, to each of the "
                    f"{len(images)} images"
                )


@dataclass(frozen=True)
class IdxFolder:
    """The four files of an MNIST-like folder as stored: uint8, images (N, H, W), labels (N,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


@checked
def load(
    path: str | Path, classes: int | None = None, input_shape: tuple[int, ...] | None = None
) -> ImageData:
    """Read the inputs and labels from an ``.npz`` file or from an MNIST-like folder.

    ``classes``: number of classes of the model, if known; every label must then be below it. For
    a folder the default is 10.
    ``input_shape``: what the network takes, without the batch: (C, H, W) or (F,). Images
    (N, H, W) get the channel axis of a network with one channel, and are flattened for a network
    on feature vectors; without ``input_shape`` they get the axis.

    uint8 images are divided by 255, so they lie in [0, 1]; floats are taken as they are. From a
    folder the calibration images are ``CALIBRATION_COUNT`` training images, see
    `balanced_indices`, and the test images are all of them. InputError, one line, for any fault
    of the file or folder.
    """
    source = require_path("path", path)
    if input_shape is not None and not (
        isinstance(input_shape, tuple)
        and input_shape
        and all(isinstance(n, int) for n in input_shape)
    ):
        raise InputError(f"input_shape={shown(input_shape)}: give (C, H, W) or (F,), or None")
    if os.path.isdir(source):  # Which, other than Path's, take names that no system has.
        return _load_folder(source, IDX_CLASSES if classes is None else classes, input_shape)
    if not os.path.isfile(source):
        missing = "is no file" if os.path.exists(source) else "does not exist"
        raise InputError(
            f"data {shown(str(source), LONGEST_PATH)} {missing}; give "
            f"an .npz file or a folder with the IDX files {', '.join(IDX_FILES)} (or the same "
            "with .gz)"
        )
    return _load_npz(source, classes, input_shape)


def installed_dataset() -> Path | None:
    """Folder of the Debian package dataset-fashion-mnist, or None if it is not installed."""
    complete = all(_idx_path(DEBIAN_FOLDER, name) is not None for name in IDX_FILES)
    return DEBIAN_FOLDER if complete else None


def balanced_indices(
    labels: NDArray[np.integer], count: int = CALIBRATION_COUNT, seed: int = CALIBRATION_SEED
) -> NDArray[np.int64]:
    """Indices, shape (min(count, N),), of a random draw without repetition, balanced by class.

    The classes take turns, so every prefix of the draw is balanced too: a caller that uses only
    the first images for a quick run still sees all classes. A class that runs out is skipped.
    """
    order = np.random.default_rng(seed).permutation(labels.shape[0])
    shuffled = labels[order]
    turn = np.empty(labels.shape[0], dtype=np.int64)
    for label in np.unique(shuffled):
        members = shuffled == label
        turn[members] = np.arange(np.count_nonzero(members))
    return order[np.lexsort((shuffled, turn))][:count].astype(np.int64)


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
        _check_count(str(folder), images, len(arrays[images]), labels, len(arrays[labels]))
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


def _load_folder(folder: Path, classes: int, input_shape: tuple[int, ...] | None) -> ImageData:
    stored = read_idx_folder(folder)
    where = f"data folder {str(folder)!r}"
    item = {
        key: _item_shape(where, key, _header(images), input_shape)
        for key, images in ((TRAIN_IMAGES, stored.train_images), (TEST_IMAGES, stored.test_images))
    }
    _check_same_shape(where, item)
    # All training labels are checked, not only the drawn ones: a bad label would shift the draw.
    train_labels = _labels(where, TRAIN_LABELS, stored.train_labels, classes)
    draw = balanced_indices(train_labels)
    return ImageData(
        calibration_images=_images(
            where, TRAIN_IMAGES, stored.train_images[draw], item[TRAIN_IMAGES]
        ),
        calibration_labels=train_labels[draw],
        test_images=_images(where, TEST_IMAGES, stored.test_images, item[TEST_IMAGES]),
        test_labels=_labels(where, TEST_LABELS, stored.test_labels, classes),
        name=folder.resolve().name,
    )


def _load_npz(path: Path, classes: int | None, input_shape: tuple[int, ...] | None) -> ImageData:
    where = f"data file {str(path)!r}"
    with npz.opened(path, where) as file:
        names = _array_names(where, file.names)
        # What the headers say is checked before anything is unpacked.
        headers = {key: file.header(name) for key, name in names.items()}
        item = {}
        for key in ("calibration_images", "test_images"):
            item[key] = _item_shape(where, names[key], headers[key], input_shape)
        _check_same_shape(where, item)
        for key in ("calibration", "test"):
            images, labels = f"{key}_images", f"{key}_labels"
            if labels in names:
                _check_labels(where, names[labels], headers[labels])
                _check_count(
                    where,
                    *(names[images], headers[images].shape[0]),
                    *(names[labels], headers[labels].shape[0]),
                )
        # Each array as it is stored, and as float32.
        memory.require_room(where, sum(h.size * (h.dtype.itemsize + 4) for h in headers.values()))
        arrays = {key: file.read(name) for key, name in names.items()}
    labels_of = {
        key: _labels(where, names[key], arrays[key], classes)
        for key in ("calibration_labels", "test_labels")
        if key in arrays
    }
    return ImageData(
        calibration_images=_images(
            where,
            names["calibration_images"],
            arrays["calibration_images"],
            item["calibration_images"],
        ),
        calibration_labels=labels_of.get("calibration_labels"),
        test_images=_images(
            where, names["test_images"], arrays["test_images"], item["test_images"]
        ),
        test_labels=labels_of["test_labels"],
        name=path.stem,
    )


def _array_names(where: str, present: tuple[str, ...]) -> dict[str, str]:
    """The name in the file of each array that is there: one of those that it may have."""
    names = {}
    for key, allowed in _NAMES.items():
        matching = [name for name in allowed if name in present]
        if len(matching) > 1:
            raise InputError(f"{where} has both {' and '.join(matching)}; give one of them")
        if matching:
            names[key] = matching[0]
    missing = [key for key in _NAMES if key not in names and key not in _OPTIONAL]
    if missing:
        raise InputError(
            f"{where} has no array {', '.join(missing)} (it has: {', '.join(present) or 'none'}); "
            "write calibration_images, test_images, test_labels and optionally "
            "calibration_labels into it"
        )
    return names


def _header(array: NDArray[Any]) -> Header:
    return Header(array.shape, array.dtype)


def _item_shape(
    where: str, key: str, header: Header, input_shape: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The shape that one input of the array gets: that of the network's, if it is known."""
    shape, dtype = header.shape, header.dtype
    if dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
        raise InputError(
            f"{where}: {key} has dtype {dtype}; allowed are uint8 (divided by 255) and "
            "floats (taken as they are), convert the array"
        )
    if len(shape) < 2:
        raise InputError(
            f"{where}: {key} has shape {shape}; give (N, C, H, W) or (N, H, W) for images, (N, F) "
            "for feature vectors"
        )
    if header.size == 0:
        raise InputError(
            f"{where}: {key} has shape {shape} and holds nothing; give at least one image"
        )
    stored = shape[1:]
    if input_shape is None:
        return (1, *stored) if len(stored) == 2 else stored
    flat = len(input_shape) == 1 and math.prod(stored) == input_shape[0]
    if stored == input_shape or (1, *stored) == input_shape or flat:
        return input_shape
    wanted = ", ".join(map(str, ("N", *input_shape)))
    raise InputError(
        f"{where}: {key} has shape {shape} and the network takes ({wanted}); give data of that "
        "shape"
    )


def _images(
    where: str, key: str, array: NDArray[Any], item: tuple[int, ...]
) -> NDArray[np.float32]:
    """Images as float32 (N, *item): uint8 divided by 255, floats unchanged."""
    with np.errstate(over="ignore"):  # the check below reports what overflows float32
        images = array.astype(np.float32).reshape(len(array), *item)
    if array.dtype == np.uint8:
        images /= np.float32(255)
    elif not np.isfinite(images).all():
        raise InputError(
            f"{where}: {key} has {np.count_nonzero(~np.isfinite(images))} values that are NaN or "
            "infinite in float32; give finite values only"
        )
    return images


def _check_labels(where: str, key: str, header: Header) -> None:
    """Class numbers (N,): what can be said before they are read."""
    if not np.issubdtype(header.dtype, np.integer):
        raise InputError(
            f"{where}: {key} has dtype {header.dtype}; labels are integers, convert the array"
        )
    if len(header.shape) != 1:
        raise InputError(
            f"{where}: {key} has shape {header.shape}; give one class number per image, shape (N,)"
        )
    if header.size == 0:
        raise InputError(f"{where}: {key} is empty; give at least one label")


def _labels(where: str, key: str, array: NDArray[Any], classes: int | None) -> NDArray[np.int64]:
    """Class numbers as int64 (N,), checked to lie in 0 .. classes - 1."""
    _check_labels(where, key, _header(array))
    # Python integers: they compare correctly for uint64 values above the int64 range too.
    lowest, highest = int(array.min()), int(array.max())
    limit = np.iinfo(np.int64).max if classes is None else classes - 1
    if lowest < 0 or highest > limit:
        wrong = lowest if lowest < 0 else highest
        allowed = "0 and above" if classes is None else f"0 to {limit}"
        from_one = lowest == 1 and highest == classes
        advice = "they seem to count from 1, subtract it" if from_one else "correct the labels"
        raise InputError(f"{where}: {key} holds the label {wrong}; allowed is {allowed}, {advice}")
    return array.astype(np.int64)


def _check_count(where: str, images: str, image_count: int, labels: str, label_count: int) -> None:
    if image_count != label_count:
        raise InputError(
            f"{where}: {images} has {image_count} images but {labels} has {label_count} labels; "
            "give one label per image"
        )


def _check_same_shape(where: str, item: dict[str, tuple[int, ...]]) -> None:
    """InputError unless both arrays' inputs have one shape; ``item``: it, by the array's name."""
    (calibration, calibration_shape), (test, test_shape) = item.items()
    if calibration_shape != test_shape:
        raise InputError(
            f"{where}: one image of {calibration} has the shape {calibration_shape}, one of {test} "
            f"{test_shape}; both must have the input shape of the model"
        )


def _idx_path(folder: Path, name: str) -> Path | None:
    """The file called ``name`` if present, else its .gz file, else None."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)

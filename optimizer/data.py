"""Labelled images for calibration and for the accuracy measurement.

Two sources are read:

* an ``.npz`` file with the arrays ``calibration_images``, ``test_images``, ``test_labels`` and
  optionally ``calibration_labels``;
* a folder with the four files of the MNIST family in the IDX format, as
  http://yann.lecun.com/exdb/mnist/ defines it (MNIST, Fashion-MNIST), with or without gzip.

Every fault of the input raises :class:`hwgen.errors.InputError` with one line of text.
"""

from __future__ import annotations

import gzip
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwgen.errors import InputError

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
_REQUIRED_KEYS = ("calibration_images", "test_images", "test_labels")


@dataclass(frozen=True)
class ImageData:
    """Images to calibrate the number formats with and labelled images to measure accuracy on.

    calibration_images: float32, shape (N, C, H, W).
    calibration_labels: int64, shape (N,), or None if the source has none.
    test_images: float32, shape (M, C, H, W), same C, H, W as the calibration images.
    test_labels: int64, shape (M,), not negative.
    name: a short name for reports, taken from the file or folder name.
    """

    calibration_images: NDArray[np.float32]
    calibration_labels: NDArray[np.int64] | None
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
    name: str


@dataclass(frozen=True)
class IdxFolder:
    """The four files of an MNIST-like folder as stored: uint8, images (N, H, W), labels (N,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def load(path: str | Path, classes: int | None = None) -> ImageData:
    """Read the images and labels from an ``.npz`` file or from an MNIST-like folder.

    classes: number of classes of the model, if known; every label must then be below it. For a
    folder the default is 10.

    uint8 images are divided by 255, so they lie in [0, 1]; float images are taken as they are.
    Images of shape (N, H, W) get a channel axis. From a folder the calibration images are
    CALIBRATION_COUNT training images, see `balanced_indices`, and the test images are all of them.
    """
    source = Path(path)
    if source.is_dir():
        return _load_folder(source, IDX_CLASSES if classes is None else classes)
    if not source.exists():
        raise InputError(
            f"data '{source}' does not exist; give an .npz file or a folder with the IDX files "
            f"{', '.join(IDX_FILES)} (or the same with .gz)"
        )
    return _load_npz(source, classes)


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
    """Read the four IDX files of `folder`, each plain or gzip-compressed, and check the counts."""
    paths = {name: _idx_path(folder, name) for name in IDX_FILES}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise InputError(
            f"data folder '{folder}' has no {', '.join(missing)}; it needs all of "
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
    """Read one IDX file of unsigned bytes with `rank` dimensions; gzip if the name ends in .gz.

    Layout: two zero bytes, the element type, the rank, the dimensions as big-endian uint32, then
    the elements in C order.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except Exception as error:  # OSError, EOFError, zlib.error: all mean "cannot be read"
        raise InputError(
            f"'{path}' cannot be read ({_reason(error)}); it may be damaged or truncated, "
            "fetch it again"
        ) from error
    magic = bytes((0, 0, _IDX_UINT8, rank))
    header = 4 + 4 * rank
    if raw[:4] != magic or len(raw) < header:
        raise InputError(
            f"'{path}' starts with {raw[:4].hex() or 'nothing'}; an IDX file of unsigned bytes "
            f"with {rank} dimension(s) starts with {magic.hex()} and {rank} size(s); "
            "give the original file"
        )
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", count=rank, offset=4))
    size = math.prod(shape)
    if size == 0:
        raise InputError(
            f"'{path}' has the sizes {shape} and holds nothing; give at least one image"
        )
    if len(raw) - header != size:
        raise InputError(
            f"'{path}' holds {len(raw) - header} bytes of data, its header {shape} asks for "
            f"{size}; the file is truncated or damaged, fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _load_folder(folder: Path, classes: int) -> ImageData:
    stored = read_idx_folder(folder)
    where = f"data folder '{folder}'"
    # All training labels are checked, not only the drawn ones: a bad label would shift the draw.
    train_labels = _labels(where, TRAIN_LABELS, stored.train_labels, classes)
    draw = balanced_indices(train_labels)
    data = ImageData(
        calibration_images=_images(where, TRAIN_IMAGES, stored.train_images[draw]),
        calibration_labels=train_labels[draw],
        test_images=_images(where, TEST_IMAGES, stored.test_images),
        test_labels=_labels(where, TEST_LABELS, stored.test_labels, classes),
        name=folder.resolve().name,
    )
    _check_same_shape(where, data)
    return data


def _load_npz(path: Path, classes: int | None) -> ImageData:
    where = f"data file '{path}'"
    arrays = _read_npz(path)
    missing = [key for key in _REQUIRED_KEYS if key not in arrays]
    if missing:
        raise InputError(
            f"{where} has no array {', '.join(missing)} (it has: {', '.join(arrays) or 'none'}); "
            f"write {', '.join(_REQUIRED_KEYS)} and optionally calibration_labels into it"
        )
    calibration_labels = arrays.get("calibration_labels")
    data = ImageData(
        calibration_images=_images(where, "calibration_images", arrays["calibration_images"]),
        calibration_labels=None
        if calibration_labels is None
        else _labels(where, "calibration_labels", calibration_labels, classes),
        test_images=_images(where, "test_images", arrays["test_images"]),
        test_labels=_labels(where, "test_labels", arrays["test_labels"], classes),
        # "data" says nothing in a report, the folder of the workload does.
        name=path.resolve().parent.name if path.stem == "data" else path.stem,
    )
    _check_same_shape(where, data)
    _check_count(where, "test_images", len(data.test_images), "test_labels", len(data.test_labels))
    if data.calibration_labels is not None:
        _check_count(
            where,
            "calibration_images",
            len(data.calibration_images),
            "calibration_labels",
            len(data.calibration_labels),
        )
    return data


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of an ``.npz`` file that `load` uses; other arrays are listed but not read."""
    wanted = (*_REQUIRED_KEYS, "calibration_labels")
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"data file '{path}' is not an .npz file, or it is truncated; write it with "
            "numpy.savez_compressed, or give a folder with the IDX files of MNIST"
        )
    key = ""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, NDArray[np.generic]] = {}
            for key in stored.files:
                arrays[key] = stored[key] if key in wanted else np.empty(0, dtype=np.uint8)
    # Damaged files make numpy, zipfile and zlib raise many unrelated types (BadZipFile,
    # zlib.error, ValueError, EOFError, NotImplementedError, MemoryError, ...).
    except Exception as error:
        raise InputError(
            f"data file '{path}' cannot be read{f' at array {key}' if key else ''} "
            f"({_reason(error)}); it must hold plain numeric arrays, write it again with "
            "numpy.savez_compressed"
        ) from error
    for key, array in arrays.items():
        # For a member that is no .npy file numpy returns its raw bytes.
        if not isinstance(array, np.ndarray):
            raise InputError(
                f"data file '{path}': {key} is not a numpy array; write the file with "
                "numpy.savez_compressed"
            )
    return arrays


def _images(where: str, key: str, array: NDArray[np.generic]) -> NDArray[np.float32]:
    """Images as float32 (N, C, H, W): uint8 divided by 255, floats unchanged."""
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"{where}: {key} has dtype {array.dtype}; allowed are uint8 (divided by 255) and "
            "floats (taken as they are), convert the array"
        )
    if array.ndim not in (3, 4):
        raise InputError(f"{where}: {key} has shape {array.shape}; give (N, H, W) or (N, C, H, W)")
    if array.size == 0:
        raise InputError(
            f"{where}: {key} has shape {array.shape} and holds no pixels; give at least one image"
        )
    with np.errstate(over="ignore"):  # the check below reports what overflows float32
        images = array.astype(np.float32)
    if array.dtype == np.uint8:
        images /= np.float32(255)
    elif not np.isfinite(images).all():
        raise InputError(
            f"{where}: {key} has {np.count_nonzero(~np.isfinite(images))} values that are NaN or "
            "infinite in float32; give finite values only"
        )
    return images[:, np.newaxis] if images.ndim == 3 else images


def _labels(
    where: str, key: str, array: NDArray[np.generic], classes: int | None
) -> NDArray[np.int64]:
    """Class numbers as int64 (N,), checked to lie in 0 .. classes - 1."""
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{where}: {key} has dtype {array.dtype}; labels are integers, convert the array"
        )
    if array.ndim != 1:
        raise InputError(
            f"{where}: {key} has shape {array.shape}; give one class number per image, shape (N,)"
        )
    if array.size == 0:
        raise InputError(f"{where}: {key} is empty; give at least one label")
    # Python integers: they compare correctly for uint64 values above the int64 range too.
    lowest, highest = int(array.min()), int(array.max())
    limit = np.iinfo(np.int64).max if classes is None else classes - 1
    if lowest < 0 or highest > limit:
        wrong = lowest if lowest < 0 else highest
        allowed = "0 and above" if classes is None else f"0 to {limit}"
        raise InputError(
            f"{where}: {key} holds the label {wrong}; allowed is {allowed}, correct the labels"
        )
    return array.astype(np.int64)


def _check_count(where: str, images: str, image_count: int, labels: str, label_count: int) -> None:
    if image_count != label_count:
        raise InputError(
            f"{where}: {images} has {image_count} images but {labels} has {label_count} labels; "
            "give one label per image"
        )


def _check_same_shape(where: str, data: ImageData) -> None:
    calibration, test = data.calibration_images.shape[1:], data.test_images.shape[1:]
    if calibration != test:
        raise InputError(
            f"{where}: calibration images have (C, H, W) = {calibration} but test images "
            f"{test}; both must have the input shape of the model"
        )


def _idx_path(folder: Path, name: str) -> Path | None:
    """The plain file if present, else the .gz file, else None."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _reason(error: Exception) -> str:
    """First line of an error text, or the type if there is none: messages stay on one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

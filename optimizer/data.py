"""Labelled images, or feature vectors, for calibration and for the accuracy measurement.

Two sources are read:

* an ``.npz`` file with the arrays ``calibration_images``, ``test_images``, ``test_labels`` and
  optionally ``calibration_labels``; ``calibration_inputs`` and ``test_inputs`` are other names
  for data that are no images; for a network of several inputs ``calibration_NAME`` and
  ``test_NAME``, NAME that of each input;
* a folder with the four files of the MNIST family in the IDX format, as
  http://yann.lecun.com/exdb/mnist/ defines it (MNIST, Fashion-MNIST), with or without gzip.

Every fault of the input raises :class:`hwgen.errors.InputError` with one line of text.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.errors import InputError
from hwgen.fields import LONGEST_PATH, checked, require_path, shown
from optimizer import idx, memory, npz
from optimizer.idx import (
    CLASSES,
    IDX_FILES,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    read_idx_folder,
)
from optimizer.inputs import Declared, Inputs, count, named
from optimizer.npz import Header

CALIBRATION_COUNT = 512
CALIBRATION_SEED = 2017

_PARTS = ("calibration", "test")
_LABELS = ("test_labels", "calibration_labels")
_OPTIONAL = ("calibration_labels",)


@dataclass(frozen=True)
class ImageData:
    """Inputs to calibrate the number formats with and labelled ones to measure accuracy on.

    ``calibration_images``: float32, shape (N, *input shape of the network): (N, C, H, W) of
    images, (N, F) of feature vectors; or such an array for each input by its name, of the
    network's type. ``calibration_labels``: int64, shape (N,), or None if the source has none.
    ``test_images``: likewise, M of the shape of calibration images. ``test_labels``: int64, shape
    (M,), not negative. ``name``: a short name for reports, taken from the file or folder name.
    InputError for anything else.
    """

    calibration_images: Inputs
    calibration_labels: NDArray[np.int64] | None
    test_images: Inputs
    test_labels: NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        for key in _PARTS:
            images, labels = (getattr(self, f"{key}_{what}") for what in ("images", "labels"))
            several = isinstance(images, Mapping)
            for name, array in named(images, "images").items():
                what = f"{key}_{name}"
                if not isinstance(array, np.ndarray) or (
                    array.dtype != np.float32 and array.dtype.kind not in "iub"
                ):
                    raise InputError(
                        f"{what}: give an array of float32 or of whole numbers, shape (N, ...)"
                    )
                if array.ndim < 2 - several or not array.size or not np.isfinite(array).all():
                    raise InputError(
                        f"{what}: give finite numbers of shape (N, ...), one image at least"
                    )
                if len(array) != count(images):
                    raise InputError(f"{what}: give as many as of the other inputs")
            if labels is None and key == "calibration":
                continue
            if not (isinstance(labels, np.ndarray) and labels.dtype == np.int64):
                raise InputError(f"{key}_labels: give an array of int64, shape (N,)")
            if labels.shape != (count(images),) or labels.min() < 0:
                raise InputError(
                    f"{key}_labels: give a number of a class, from 0, to each of the "
                    f"{count(images)} images"
                )

    def sizes(self, inputs: Sequence[Declared]) -> dict[str, tuple[int, ...]]:
        """The shape of an example of each input, by its name."""
        arrays = named(self.test_images, inputs[0].name)
        return {name: array.shape[1:] for name, array in arrays.items()}


@checked
def load(
    path: str | Path,
    classes: int | None = None,
    input_shape: tuple[int, ...] | Sequence[Declared] | None = None,
) -> ImageData:
    """Read the inputs and labels from an ``.npz`` file or from an MNIST-like folder.

    ``classes``: number of classes of the model, if known; every label must then be below it. For
    a folder the default is 10.
    ``input_shape``: what the network takes, without the batch: (C, H, W), (F,) or any other; or
    what it declares of each of its inputs. Images (N, H, W) get the channel axis of a network with
    one channel, wherever it is, and are flattened for a network on feature vectors; without
    ``input_shape`` they get the axis in front.

    For an input of floats uint8 is divided by 255, so it lies in [0, 1], and floats are taken as
    they are; for one of whole numbers these are. From a
    folder the calibration images are ``CALIBRATION_COUNT`` training images, see
    `balanced_indices`, and the test images are all of them. InputError, one line, for any fault
    of the file or folder.
    """
    source = require_path("path", path)
    inputs = _wanted(input_shape)
    if os.path.isdir(source):  # Which, other than Path's, take names that no system has.
        return _load_folder(source, CLASSES if classes is None else classes, inputs)
    if not os.path.isfile(source):
        missing = "is no file" if os.path.exists(source) else "does not exist"
        raise InputError(
            f"data {shown(str(source), LONGEST_PATH)} {missing}; give "
            f"an .npz file or a folder with the IDX files {', '.join(IDX_FILES)} (or the same "
            "with .gz)"
        )
    return _load_npz(source, classes, inputs)


def _wanted(
    input_shape: tuple[int, ...] | Sequence[Declared] | None,
) -> tuple[Declared, ...] | None:
    """What each input takes, None where that is not known."""
    if input_shape is None:
        return None
    if isinstance(input_shape, Sequence) and input_shape:
        if all(isinstance(value, Declared) for value in input_shape):
            return tuple(v for v in input_shape if isinstance(v, Declared))
        sizes = tuple(n for n in input_shape if isinstance(n, int))
        if isinstance(input_shape, tuple) and len(sizes) == len(input_shape):
            return (Declared("images", sizes, np.dtype(np.float32)),)
    raise InputError(f"input_shape={shown(input_shape)}: give (C, H, W) or (F,), or None")


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


def _load_folder(folder: Path, classes: int, inputs: tuple[Declared, ...] | None) -> ImageData:
    stored = read_idx_folder(folder)
    where = f"data folder {str(folder)!r}"
    if inputs is not None and len(inputs) > 1:
        raise InputError(
            f"{where} holds images and the network takes {', '.join(i.name for i in inputs)}: "
            "give an .npz file with calibration_NAME and test_NAME of each"
        )
    wanted = None if inputs is None else inputs[0]
    item = {
        key: _item_shape(where, key, _header(images), wanted)
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


def _load_npz(path: Path, classes: int | None, inputs: tuple[Declared, ...] | None) -> ImageData:
    where = f"data file {str(path)!r}"
    wanted: tuple[Declared | None, ...] = inputs or (None,)
    with npz.opened(path, where) as file:
        # Of each input: the array of each part, the calibration's first.
        names = [_array_names(where, file.names, d.name if len(wanted) > 1 and d else None)
                 for d in wanted]  # fmt: skip
        labels = [name for name in _LABELS if name in file.names]
        # What the headers say is checked before anything is unpacked.
        headers = {name: file.header(name) for name in (*sum(names, ()), *labels)}
        items = []
        for declared, pair in zip(wanted, names, strict=True):
            item = {name: _item_shape(where, name, headers[name], declared) for name in pair}
            _check_same_shape(where, item)
            items.append(item[pair[0]])
        for i, part in enumerate(_PARTS):
            _check_arrays(where, part, [pair[i] for pair in names], headers)
        # Each array as it is stored, and as float32.
        memory.require_room(where, sum(h.size * (h.dtype.itemsize + 4) for h in headers.values()))
        arrays = {name: file.read(name) for name in headers}
    labels_of = {name: _labels(where, name, arrays[name], classes) for name in labels}

    def images(part: int) -> Inputs:
        read = [
            _images(where, pair[part], arrays[pair[part]], item, declared)
            for pair, item, declared in zip(names, items, wanted, strict=True)
        ]
        if len(read) == 1:
            return read[0]
        return {d.name: array for d, array in zip(wanted, read, strict=True) if d is not None}

    return ImageData(
        calibration_images=images(0),
        calibration_labels=labels_of.get("calibration_labels"),
        test_images=images(1),
        test_labels=labels_of["test_labels"],
        name=path.stem,
    )


def _array_names(where: str, present: tuple[str, ...], name: str | None) -> tuple[str, ...]:
    """The names in the file of an input's calibration and test data; ``name``: of one of several.

    InputError if one is missing, or the labels are.
    """
    chosen, missing = [], []
    for part in _PARTS:
        allowed = (f"{part}_images", f"{part}_inputs") if name is None else (f"{part}_{name}",)
        matching = [array for array in allowed if array in present]
        if len(matching) > 1:
            raise InputError(f"{where} has both {' and '.join(matching)}; give one of them")
        chosen += matching
        missing += [] if matching else [allowed[0]]
    missing += [] if "test_labels" in present else ["test_labels"]
    if missing:
        arrays = "calibration_images, test_images" if name is None else "those of each input"
        raise InputError(
            f"{where} has no array {', '.join(missing)} (it has: {', '.join(present) or 'none'}); "
            f"write {arrays}, test_labels and optionally calibration_labels into it"
        )
    return tuple(chosen)


def _header(array: NDArray[Any]) -> Header:
    return Header(array.shape, array.dtype)


def _item_shape(where: str, key: str, header: Header, declared: Declared | None) -> tuple[int, ...]:
    """The shape that one input of the array gets: that of the network's, if it is known."""
    shape, dtype = header.shape, header.dtype
    whole = declared is not None and declared.dtype.kind in "iub"
    if declared is not None and whole and dtype.kind not in "iub":
        raise InputError(
            f"{where}: {key} has dtype {dtype}; input {declared.name!r} of the network takes whole "
            "numbers, convert the array"
        )
    if not whole and dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
        raise InputError(
            f"{where}: {key} has dtype {dtype}; allowed are uint8 (divided by 255) and "
            "floats (taken as they are), convert the array"
        )
    if len(shape) < 1 or (declared is None and len(shape) < 2):
        raise InputError(
            f"{where}: {key} has shape {shape}; give (N, C, H, W) or (N, H, W) for images, (N, F) "
            "for feature vectors"
        )
    if header.size == 0:
        raise InputError(
            f"{where}: {key} has shape {shape} and holds nothing; give at least one image"
        )
    stored = shape[1:]
    if declared is None:
        return (1, *stored) if len(stored) == 2 else stored
    for item in (stored, (1, *stored), (*stored, 1), (math.prod(stored),)):
        if declared.takes(item):
            return item
    raise InputError(
        f"{where}: {key} has shape {shape} and the network takes {declared.shown}; give data of "
        "that shape"
    )


def _images(
    where: str,
    key: str,
    array: NDArray[Any],
    item: tuple[int, ...],
    declared: Declared | None = None,
) -> NDArray[Any]:
    """Images as float32 (N, *item): uint8 divided by 255, floats unchanged.

    For an input of whole numbers they are unchanged too.
    """
    if declared is not None and declared.dtype.kind in "iub":
        return array.reshape(len(array), *item)
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


def _check_arrays(
    where: str,
    part: str,
    names: Sequence[str],
    headers: Mapping[str, Header],
) -> None:
    """As many examples of each input as of the first, and as many labels."""
    labels = f"{part}_labels"
    if labels in headers:
        _check_labels(where, labels, headers[labels])
    for name in names:
        if headers[name].shape[0] != headers[names[0]].shape[0]:
            raise InputError(
                f"{where}: {names[0]} has {headers[names[0]].shape[0]} examples but {name} has "
                f"{headers[name].shape[0]}; give as many of each input"
            )
        if labels in headers:
            idx.check_count(where, name, headers[name].shape[0], labels, headers[labels].shape[0])


def _check_same_shape(where: str, item: dict[str, tuple[int, ...]]) -> None:
    """InputError unless both arrays' inputs have one shape; ``item``: it, by the array's name."""
    (calibration, calibration_shape), (test, test_shape) = item.items()
    if calibration_shape != test_shape:
        raise InputError(
            f"{where}: one image of {calibration} has the shape {calibration_shape}, one of {test} "
            f"{test_shape}; both must have the input shape of the model"
        )

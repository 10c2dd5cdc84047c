"""Reading of images and labels, and the one-line errors for bad input."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwgen.errors import InputError
from optimizer import data
from optimizer.workloads import fashion_mnist

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


# Valid input


def test_uint8_npz_is_scaled_and_gets_a_channel_axis(tmp_path: Path) -> None:
    arrays = good_arrays()
    loaded = data.load(write_npz(tmp_path, arrays))
    assert loaded.name == "small"
    assert loaded.calibration_images.shape == (6, 1, 4, 5)
    assert loaded.test_images.shape == (8, 1, 4, 5)
    assert loaded.calibration_images.dtype == loaded.test_images.dtype == np.float32
    assert loaded.test_labels.dtype == np.int64
    expected = arrays["test_images"].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(loaded.test_images[:, 0], expected)
    np.testing.assert_array_equal(loaded.test_labels, arrays["test_labels"])
    assert loaded.calibration_labels is not None
    assert loaded.calibration_labels.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_images_are_taken_as_they_are(tmp_path: Path, dtype: type[np.floating[Any]]) -> None:
    arrays = good_arrays()
    for key in ("calibration_images", "test_images"):
        arrays[key] = (arrays[key][:, None].repeat(3, axis=1) - 7.5).astype(dtype)
    loaded = data.load(write_npz(tmp_path, arrays))
    assert loaded.test_images.shape == (8, 3, 4, 5)
    assert loaded.test_images.dtype == np.float32
    np.testing.assert_array_equal(loaded.test_images, arrays["test_images"].astype(np.float32))


def test_calibration_labels_are_optional_and_other_arrays_are_ignored(tmp_path: Path) -> None:
    arrays = good_arrays()
    del arrays["calibration_labels"]
    arrays["notes"] = np.array([{"any": "object"}], dtype=object)
    assert data.load(write_npz(tmp_path, arrays)).calibration_labels is None


def test_path_may_be_text_and_the_file_gives_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "my_images"
    folder.mkdir()
    assert data.load(str(write_npz(folder, good_arrays(), "hats.npz"))).name == "hats"
    assert data.load(str(write_npz(folder, good_arrays(), "data.npz"))).name == "data"


def feature_arrays(inputs: str = "images") -> Arrays:
    """Feature vectors (N, 20) and labels below 10."""
    arrays = good_arrays()
    return {
        f"calibration_{inputs}": arrays["calibration_images"].reshape(6, 20) / 8.0,
        f"test_{inputs}": arrays["test_images"].reshape(8, 20) / 8.0,
        "test_labels": arrays["test_labels"],
    }


@pytest.mark.parametrize("inputs", ["images", "inputs"])
@pytest.mark.parametrize("shape", [None, (20,)])
def test_feature_vectors(tmp_path: Path, inputs: str, shape: tuple[int, ...] | None) -> None:
    arrays = feature_arrays(inputs)
    loaded = data.load(write_npz(tmp_path, arrays), 10, shape)
    assert loaded.calibration_images.shape == (6, 20)
    np.testing.assert_array_equal(loaded.test_images, arrays[f"test_{inputs}"])


def test_uint8_features_are_divided_by_255(tmp_path: Path) -> None:
    arrays = feature_arrays()
    arrays["test_images"] = np.full((8, 20), 51, np.uint8)
    assert data.load(write_npz(tmp_path, arrays)).test_images.max() == np.float32(0.2)


def test_arrays_of_any_rank(tmp_path: Path) -> None:
    arrays = good_arrays()
    for key in ("calibration_images", "test_images"):
        arrays[key] = arrays[key].reshape(-1, 2, 2, 1, 5)
    assert data.load(write_npz(tmp_path, arrays)).test_images.shape == (8, 2, 2, 1, 5)


@pytest.mark.parametrize(
    ("stored", "network"),
    [
        ((4, 5), (1, 4, 5)),
        ((1, 4, 5), (1, 4, 5)),
        ((4, 5), (20,)),
        ((2, 2, 5), (20,)),
        ((20,), (20,)),
    ],
)
def test_inputs_get_the_shape_that_the_network_takes(
    tmp_path: Path, stored: tuple[int, ...], network: tuple[int, ...]
) -> None:
    arrays = good_arrays()
    for key in ("calibration_images", "test_images"):
        arrays[key] = arrays[key].reshape(-1, *stored)
    loaded = data.load(write_npz(tmp_path, arrays), input_shape=network)
    assert loaded.calibration_images.shape == (6, *network)
    expected = arrays["test_images"].reshape(8, *network) / np.float32(255)
    np.testing.assert_array_equal(loaded.test_images, expected)


@pytest.mark.parametrize("network", [(21,), (1, 5, 4), (3, 4, 5), (1, 20)])
def test_inputs_of_another_shape_are_refused(tmp_path: Path, network: tuple[int, ...]) -> None:
    wanted = re.escape(f"(N, {', '.join(map(str, network))})")
    path = write_npz(tmp_path, good_arrays())
    assert_rejected(
        path,
        rf"calibration_images has shape \(6, 4, 5\) and the network takes {wanted}",
        None,
        network,
    )
    folder = write_idx_folder(tmp_path / "digits")
    assert_rejected(folder, rf"shape \(600, 4, 5\) and the network takes {wanted}", None, network)


def test_idx_folder_for_a_network_on_feature_vectors(tmp_path: Path) -> None:
    loaded = data.load(write_idx_folder(tmp_path / "digits"), input_shape=(20,))
    assert loaded.calibration_images.shape == (512, 20) and loaded.test_images.shape == (7, 20)


@pytest.mark.parametrize("compress", [False, True])
def test_idx_folder(tmp_path: Path, compress: bool) -> None:
    loaded = data.load(write_idx_folder(tmp_path / "digits", compress))
    assert loaded.name == "digits"
    assert loaded.calibration_images.shape == (512, 1, 4, 5)
    assert loaded.test_images.shape == (7, 1, 4, 5)
    assert loaded.test_images.max() <= 1.0
    assert loaded.calibration_labels is not None
    counts = np.bincount(loaded.calibration_labels, minlength=10)
    assert counts.sum() == 512 and set(counts) == {51, 52}


def test_idx_folder_with_few_images_uses_all_of_them(tmp_path: Path) -> None:
    loaded = data.load(write_idx_folder(tmp_path / "digits", train=30))
    assert loaded.calibration_images.shape[0] == 30


# The draw


def test_balanced_indices_are_distinct_repeatable_and_balanced_in_every_prefix() -> None:
    labels = np.random.default_rng(2).integers(0, 10, 3000)
    draw = data.balanced_indices(labels, 512, seed=3)
    assert len(np.unique(draw)) == 512
    np.testing.assert_array_equal(draw, data.balanced_indices(labels, 512, seed=3))
    assert not np.array_equal(draw, data.balanced_indices(labels, 512, seed=4))
    for length in (10, 137, 512):
        counts = np.bincount(labels[draw[:length]], minlength=10)
        assert counts.max() - counts.min() <= 1


def test_balanced_indices_go_on_when_a_class_runs_out() -> None:
    labels = np.array([0] * 3 + [1] * 50)
    counts = np.bincount(labels[data.balanced_indices(labels, 20)])
    assert counts.tolist() == [3, 17]


# Bad .npz files


def bad(key: str, change: Callable[[Any], Any]) -> Callable[[Arrays], None]:
    def edit(arrays: Arrays) -> None:
        arrays[key] = change(arrays[key])

    return edit


def drop(key: str) -> Callable[[Arrays], None]:
    def edit(arrays: Arrays) -> None:
        del arrays[key]

    return edit


def as_float_with(value: float) -> Callable[[Any], Any]:
    def change(images: Any) -> Any:
        images = images.astype(np.float64)
        images[1, 2, 3] = value
        return images

    return change


@pytest.mark.parametrize(
    ("edit", "pattern"),
    [
        (drop("calibration_images"), "no array calibration_images"),
        (drop("test_images"), "no array test_images"),
        (drop("test_labels"), "no array test_labels"),
        (bad("test_images", lambda a: a[0]), r"test_images \(5,\)"),
        (bad("test_images", lambda a: a[:, None, None]), r"test_images \(1, 1, 4, 5\)"),
        (bad("test_images", lambda a: a[0, 0, 0]), r"test_images has shape \(\)"),
        (bad("calibration_images", np.ravel), r"calibration_images has shape \(120,\)"),
        (bad("test_images", lambda a: a.astype(np.int32)), "dtype int32"),
        (bad("test_images", lambda a: a > 7), "dtype bool"),
        (bad("test_images", lambda a: a.astype(complex)), "dtype complex"),
        (bad("test_images", lambda a: a.astype(str)), "dtype <U"),
        (bad("test_images", lambda a: a.astype(object)), "test_images holds Python objects"),
        (bad("test_labels", lambda a: a.astype(object)), "test_labels holds Python objects"),
        (bad("test_images", lambda a: a.astype("M8[s]")), "dtype datetime64"),
        (bad("test_images", lambda a: a.view([("x", "u1")])), "dtype \\[\\('x'"),
        (bad("test_labels", lambda a: a.astype(str)), "test_labels has dtype <U"),
        (bad("test_labels", lambda a: a > 3), "test_labels has dtype bool"),
        (bad("test_labels", lambda a: np.uint8(3)), r"test_labels has shape \(\)"),
        (lambda a: a.update(test_inputs=a["test_images"]), "both test_images and test_inputs"),
        (bad("test_images", lambda a: a[:0]), "holds nothing"),
        (bad("calibration_images", lambda a: a[:, :0]), "holds nothing"),
        (bad("test_images", as_float_with(np.nan)), "1 values that are NaN or infinite"),
        (bad("calibration_images", as_float_with(-np.inf)), "NaN or infinite"),
        (bad("test_images", as_float_with(1e300)), "NaN or infinite in float32"),
        (bad("test_images", lambda a: a[:, :3]), r"\(1, 4, 5\), one of test_images \(1, 3, 5\)"),
        (bad("test_labels", lambda a: a[:7]), "8 images but test_labels has 7 labels"),
        (bad("calibration_labels", lambda a: a[:5]), "6 images but calibration_labels has 5"),
        (bad("test_labels", lambda a: a.astype(np.float32)), "test_labels has dtype float32"),
        (bad("test_labels", lambda a: np.eye(8, dtype=np.uint8)), r"shape \(8, 8\)"),
        (bad("test_labels", lambda a: a[:0]), "test_labels is empty"),
        (bad("test_labels", lambda a: a.astype(np.int8) - 1), "holds the label -1"),
        (bad("calibration_labels", lambda a: a.astype(np.int8) - 9), "holds the label -9"),
        (
            bad("test_labels", lambda a: a.astype(np.uint64) + np.uint64(2**64 - 8)),
            "holds the label 18446744073709551615",
        ),
    ],
)
def test_bad_array_is_rejected(
    tmp_path: Path, edit: Callable[[Arrays], None], pattern: str
) -> None:
    arrays = good_arrays()
    edit(arrays)
    assert_rejected(write_npz(tmp_path, arrays), pattern)


def test_label_must_be_below_the_number_of_classes(tmp_path: Path) -> None:
    path = write_npz(tmp_path, good_arrays())
    assert data.load(path, classes=8).test_labels.max() == 7
    assert_rejected(path, "holds the label 7; allowed is 0 to 6, correct", classes=7)


def test_labels_that_count_from_1_are_told_so(tmp_path: Path) -> None:
    arrays = good_arrays()
    arrays["test_labels"] = arrays["test_labels"] + 1
    path = write_npz(tmp_path, arrays)
    assert_rejected(path, "holds the label 8; .* count from 1, subtract it", classes=8)


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    assert_rejected(tmp_path / "absent.npz", "does not exist; give an .npz file or a folder")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04"])
def test_other_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    assert_rejected(path, "not an .npz file")


def test_npy_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, good_arrays()["test_images"])
    assert_rejected(path, "not an .npz file")


def test_archive_without_arrays_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "texts.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in good_arrays():
            archive.writestr(key, "text")
    assert_rejected(path, r"no array calibration_images, .* \(it has: none\)")


def test_damaged_npz_is_rejected_wherever_it_is_cut_or_changed(tmp_path: Path) -> None:
    path = write_npz(tmp_path, good_arrays())
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert_rejected(path, "not an .npz file|cannot be read")
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + b"\xff\xff\xff" + whole[position + 3 :])
        try:
            data.load(path)  # a change of a time stamp or of a flag does no harm
        except InputError as error:
            assert "\n" not in str(error)


# Files that are larger than they look


def blank_arrays(images: int) -> Arrays:
    """A small file of many bytes: 1 MiB of zeros an image."""
    return {
        "calibration_images": np.zeros((1, 1024, 1024), np.uint8),
        "test_images": np.zeros((images, 1024, 1024), np.uint8),
        "test_labels": np.zeros(images, np.uint8),
    }


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.memory, "usable_bytes", lambda: 256 * 2**20)


@pytest.mark.usefixtures("little_memory")
def test_npz_that_unpacks_to_more_than_the_memory_is_refused_before(tmp_path: Path) -> None:
    """19 MiB of uint8 are 95 MiB with their float32, and may take a quarter of 256."""
    path = write_npz(tmp_path, blank_arrays(18))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    assert_rejected(path, r"needs 95 MiB of memory .* 25% of the 256 MiB")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    assert len(data.load(write_npz(tmp_path, blank_arrays(11))).test_images) == 11


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("compress", [False, True])
def test_idx_file_of_more_than_the_memory_is_refused_before(tmp_path: Path, compress: bool) -> None:
    folder = write_idx_folder(tmp_path / "digits", compress)
    path = folder / (data.TEST_IMAGES + ".gz" * compress)
    content = struct.pack(">HBB3I", 0, 8, 3, 100, 1024, 1024) + bytes(100 * 2**20)
    path.write_bytes(gzip.compress(content, 1) if compress else content)
    del content
    tracemalloc.start()
    assert_rejected_with(folder, path, "needs 100 MiB of memory")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_gzip_that_is_longer_than_its_header_says_is_not_unpacked(tmp_path: Path) -> None:
    folder = write_idx_folder(tmp_path / "digits", compress=True)
    path = folder / f"{data.TEST_LABELS}.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.arange(7, dtype=np.uint8)) + bytes(50 * 2**20)))
    tracemalloc.start()
    assert_rejected_with(folder, path, "holds more than 7 bytes")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def assert_rejected_with(folder: Path, named: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        data.load(folder)
    assert str(named) in str(caught.value) and "\n" not in str(caught.value)


def test_memory_of_this_process_is_found() -> None:
    limit = 3 * 2**30
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}));"
        "from optimizer import memory; print(memory.usable_bytes())"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 2**20 < int(process.stdout) <= limit


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        ((2**40,), "its header says"),
        ((10**30, 4), "its header says"),
        ((-6, -120), "its header says"),
        ((6, 4, 4), "its header says"),
        ((6, 2.5, 8), "cannot be read"),
    ],
)
def test_header_that_lies_is_found_before_it_is_believed(
    tmp_path: Path, shape: tuple[int, ...], pattern: str
) -> None:
    path = write_npz(tmp_path, good_arrays())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    members["calibration_images.npy"] = file.getvalue() + bytes(120)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert_rejected(path, pattern)


def test_pickle_in_an_npz_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "run",))

    arrays = {**good_arrays(), "test_images": np.array([Trap()], dtype=object)}
    assert_rejected(write_npz(tmp_path, arrays), "test_images holds Python objects")
    assert not (tmp_path / "run").exists()


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert_rejected(tmp_path / "pipe", "is no file; give an .npz")
    with pytest.raises(InputError, match="does not exist") as caught:
        data.load(tmp_path / "two\nlines.npz")
    assert "\n" not in str(caught.value)


# Bad IDX folders


@pytest.mark.parametrize("name", data.IDX_FILES)
def test_missing_idx_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_idx_folder(tmp_path / "digits")
    (folder / name).unlink()
    assert_rejected(folder, f"has no {name}; it needs all of")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", data.IDX_FILES)
def test_truncated_idx_file_is_rejected(tmp_path: Path, name: str, compress: bool) -> None:
    folder = write_idx_folder(tmp_path / "digits", compress, train=20)
    path = folder / (f"{name}.gz" if compress else name)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"truncated|starts with") as caught:
            data.load(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "pattern"),
    [
        (data.TEST_LABELS, np.arange(6, dtype=np.uint8), "7 images but .* has 6 labels"),
        (data.TRAIN_LABELS, np.zeros(599, np.uint8), "600 images but .* has 599 labels"),
        (data.TEST_LABELS, np.full(7, 10, np.uint8), "holds the label 10; allowed is 0 to 9"),
        (data.TRAIN_LABELS, np.full(600, 255, np.uint8), "holds the label 255"),
        (data.TEST_IMAGES, np.zeros((7, 3, 5), np.uint8), r"-ubyte \(1, 3, 5\)"),
        (data.TEST_IMAGES, np.zeros((7, 4, 0), np.uint8), "holds nothing"),
        (data.TEST_LABELS, np.zeros(0, np.uint8), "holds nothing"),
        (data.TEST_IMAGES, np.zeros((7, 1, 4, 5), np.uint8), "starts with 00000804"),
        (data.TEST_LABELS, np.zeros((7, 1), np.uint8), "starts with 00000802"),
    ],
)
def test_bad_idx_content_is_rejected(
    tmp_path: Path, name: str, content: NDArray[np.uint8], pattern: str
) -> None:
    folder = write_idx_folder(tmp_path / "digits")
    (folder / name).write_bytes(idx_bytes(content))
    assert_rejected(folder, pattern)


def test_idx_file_with_extra_bytes_is_rejected(tmp_path: Path) -> None:
    folder = write_idx_folder(tmp_path / "digits")
    with (folder / data.TEST_LABELS).open("ab") as file:
        file.write(b"\0")
    assert_rejected(folder, "holds more than 7 bytes of data")


# What the project ships and what Debian ships


def test_shipped_data() -> None:
    assert fashion_mnist.MODEL.is_file()
    loaded = data.load(fashion_mnist.DATA, classes=10)
    assert loaded.name == "fashion_mnist"
    assert loaded.calibration_images.shape == (512, 1, 28, 28)
    assert loaded.test_images.shape == (2000, 1, 28, 28)
    assert loaded.test_images.min() == 0.0 and loaded.test_images.max() == 1.0
    assert loaded.calibration_labels is not None
    assert set(np.bincount(loaded.calibration_labels)) == {51, 52}


def test_shipped_data_equals_the_installed_dataset() -> None:
    folder = data.installed_dataset()
    if folder is None:
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    shipped, installed = data.load(fashion_mnist.DATA), data.load(folder)
    assert installed.test_images.shape == (10000, 1, 28, 28)
    np.testing.assert_array_equal(shipped.test_images, installed.test_images[:2000])
    np.testing.assert_array_equal(shipped.test_labels, installed.test_labels[:2000])
    np.testing.assert_array_equal(shipped.calibration_images, installed.calibration_images)


def test_installed_dataset_is_none_if_a_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_idx_folder(tmp_path / "digits", compress=True)
    monkeypatch.setattr(data, "DEBIAN_FOLDER", folder)
    assert data.installed_dataset() == folder
    (folder / f"{data.TEST_LABELS}.gz").unlink()
    assert data.installed_dataset() is None

"""Bad data is refused in one line, before it is unpacked or believed."""

from __future__ import annotations

import gzip
import io
import os
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
from data_files import Arrays, assert_rejected, good_arrays, idx_bytes, write_idx_folder, write_npz
from numpy.typing import NDArray

from hwgen.errors import InputError
from optimizer import data

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

"""Reading of images and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import Arrays, assert_rejected, good_arrays, write_idx_folder, write_npz

from optimizer import data, idx
from optimizer.workloads import fashion_mnist

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
    folder = idx.installed_dataset()
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
    monkeypatch.setattr(idx, "DEBIAN_FOLDER", folder)
    assert idx.installed_dataset() == folder
    (folder / f"{data.TEST_LABELS}.gz").unlink()
    assert idx.installed_dataset() is None

"""What Python code gives to the optimizer is checked where it is given."""

import numpy as np
import pytest

from hwgen import InputError, parse
from optimizer import data, onnx_import, optimize
from optimizer.data import ImageData
from optimizer.explore import Settings, explore, settings

ASKED = {"target": "ecp5", "fps": 10, "formats": ["int4"]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"formats": "int4"}, r"formats='int4': give a list"),
        ({"formats": []}, r"formats=\[\]: give a list"),
        ({"formats": 3}, "formats=3: give a list"),
        ({"target": 3}, "target=3: use text"),
        ({"fps": "10"}, "fps='10': use a number"),
        ({"clock_mhz": None}, "clock_mhz=None: use a number"),
        ({"style": ["shared"]}, "style="),
        ({"max_drop": True}, "max_drop=True: use a number"),
        ({"resolution": float("nan")}, "resolution=nan: use 0 or a number above"),
        ({"max_divergence": -1.0}, "max_divergence=-1.0: use 0"),
        ({"sensitivity_images": 0}, "sensitivity_images=0: use 1 or more"),
        ({"sensitivity_images": 2.0}, "sensitivity_images=2.0: use a whole number"),
    ],
)
def test_settings_are_of_their_types(changed, message):
    with pytest.raises(InputError, match=message):
        settings(**{**ASKED, **changed})


def test_settings_take_formats_not_names():
    with pytest.raises(InputError, match=r"or names to explore\.settings"):
        Settings(target="ecp5", fps=10.0, formats=("int4",))
    assert settings(**ASKED).formats == (parse("int4"),)


def images(**changed):
    right = {
        "calibration_images": np.zeros((2, 3), np.float32),
        "calibration_labels": None,
        "test_images": np.zeros((4, 3), np.float32),
        "test_labels": np.arange(4),
        "name": "zeros",
    }
    return ImageData(**{**right, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test_images": np.zeros((4, 3))}, "test_images: give an array of float32"),
        ({"test_images": [[0.0]]}, "test_images: give an array of float32"),
        ({"test_images": np.full((4, 3), np.nan, np.float32)}, "give finite numbers"),
        ({"calibration_images": np.zeros((0, 3), np.float32)}, "one image at least"),
        ({"calibration_labels": np.arange(3)}, "to each of the 2 images"),
        ({"test_labels": np.arange(4) - 1}, "a class, from 0"),
        ({"test_labels": None}, "test_labels: give an array of int64"),
        ({"test_labels": np.arange(4.0)}, "test_labels: give an array of int64"),
    ],
)
def test_data_are_of_their_shapes_and_types(changed, message):
    assert images().name == "zeros"
    with pytest.raises(InputError, match=message):
        images(**changed)


@pytest.mark.parametrize("path", [3, None, b"net.onnx", "a" * 5000, "no\0name"])
def test_paths_are_paths(path, tmp_path):
    for call in (
        lambda: onnx_import.load(path),
        lambda: data.load(path),
        lambda: optimize.run(path, path, tmp_path / "out", target="ecp5", fps=10),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value)) < 600


def test_shapes_of_inputs_are_shapes(tmp_path):
    with pytest.raises(InputError, match=r"input_shape=3: give \(C, H, W\)"):
        data.load(tmp_path, input_shape=3)
    with pytest.raises(InputError, match="classes='10': use a whole number"):
        data.load(tmp_path, classes="10")


def test_the_search_takes_what_its_makers_return():
    with pytest.raises(InputError, match=r"network='net.onnx': give what .*load returns"):
        explore("net.onnx", images(), settings(**ASKED))

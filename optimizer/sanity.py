"""Signs that a network and its data do not belong together, told before anything is built on them.

A network whose labels or preprocessing are not those of its training still gives a front and a
plan, and every figure in them is meaningless.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from scipy import special

from hwgen.errors import InputError
from optimizer import inference
from optimizer.data import ImageData
from optimizer.inputs import Inputs, count, named, taken
from optimizer.network import Array, Network

#: A better accuracy would come about by chance in less than this part of such test sets.
SIGNIFICANCE = 0.001
#: Standard deviations of calibration and test data that differ by more were scaled differently.
SPREAD = 4.0
#: Part of the test data that may be calibration data too: some data sets repeat a few images.
REPEATED = 0.01


def warnings(network: Network, data: ImageData, logits: Array) -> tuple[str, ...]:
    """What is suspicious, one sentence each; ``logits``: FP32, (test images, classes).

    InputError for logits that are not finite, with the layer where it begins.
    """
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        where = _first_not_finite(network, taken(data.test_images, bad[:1]))
        raise InputError(
            f"the network gives class scores that are not finite for {len(bad):,} test images, "
            f"{where}: check that the images are scaled as they were in training"
        )
    checks = (_accuracy(data, logits), _same_inputs(data), _scales(data))
    return tuple(text for text in checks if text is not None)


def _first_not_finite(network: Network, image: Inputs) -> str:
    """Which layer's output is the first that is not finite, of an ``image`` with such scores."""
    session = network.session([node.output for node in network.nodes])
    ((_, feed),) = network.batches(image, 1)
    values = session.run(feed)
    for node in network.nodes:
        if not np.isfinite(values[node.output]).all():
            return f"first behind layer {node.name!r}"
    return "by the operators behind the last layer"


def no_better_than_chance(correct: int, labels: npt.NDArray[np.int64], classes: int) -> str | None:
    """What an accuracy is no better than, if it is not; ``correct`` of the ``labels``.

    Compared with the better of two answers that see no image, a class drawn at random and always
    the most frequent one, by a one-sided binomial test at the level ``SIGNIFICANCE``.
    """
    counts = np.bincount(labels)
    frequent = int(counts.argmax())
    share = max(1 / classes, counts[frequent] / len(labels))
    p = float(special.bdtrc(correct - 1, len(labels), share))  # P(as many or more)
    if p <= SIGNIFICANCE:
        return None
    return (
        f"{correct:,} of {len(labels):,} test images are classified as labelled in FP32 "
        f"({100 * correct / len(labels):.2f}%), not clearly better than without looking at them: "
        f"class {frequent} alone is {100 * counts[frequent] / len(labels):.2f}%, one of {classes} "
        f"classes at random {100 / classes:.2f}% (binomial test, p = {p:.2g})"
    )


def _accuracy(data: ImageData, logits: Array) -> str | None:
    labels = data.test_labels
    answers = np.unique(logits.argmax(axis=1))
    correct = inference.correct(logits, labels)
    chance = no_better_than_chance(correct, labels, logits.shape[1])
    hints = []
    if len(np.unique(labels)) == 1:
        hints.append(f"every test label is {labels[0]}")
    if len(answers) == 1 and len(labels) > 1:
        hints.append(f"the network answers {answers[0]} for every test image")
    if chance is None:
        return None
    low, high = _extremes(data.test_images)
    hints.append(f"the test images' values go from {low:g} to {high:g}")
    return (
        f"{chance}; {', '.join(hints)}: labels or preprocessing are probably not those of the "
        "training, and what follows means nothing then"
    )


def _extremes(images: Inputs) -> tuple[float, float]:
    arrays = named(images, "").values()
    return float(min(a.min() for a in arrays)), float(max(a.max() for a in arrays))


def _same_inputs(data: ImageData) -> str | None:
    def digests(images: Inputs) -> list[bytes]:
        arrays = list(named(images, "").values())
        return [
            hashlib.blake2b(b"".join(a[i].tobytes() for a in arrays), digest_size=16).digest()
            for i in range(count(images))
        ]

    known = set(digests(data.calibration_images))
    same = sum(digest in known for digest in digests(data.test_images))
    total = count(data.test_images)
    if same <= REPEATED * total:
        return None
    return (
        f"{same:,} of the {total:,} test images are calibration images too: the accuracies are not "
        "of images that the formats' scales have not seen, give other ones"
    )


def _scales(data: ImageData) -> str | None:
    test_arrays = named(data.test_images, "images")
    for name, calibration_array in named(data.calibration_images, "images").items():
        if calibration_array.dtype.kind != "f":  # numbers of words have no scale
            continue
        spreads = [
            float(array.std(dtype=np.float64)) for array in (calibration_array, test_arrays[name])
        ]
        for what, spread in zip(("calibration", "test"), spreads, strict=True):
            if spread == 0:
                return f"the {what} {name} are constant, every value is the same: give real data"
        calibration, test = spreads
        if not 1 / SPREAD <= calibration / test <= SPREAD:
            return (
                f"the calibration {name}' values have the standard deviation {calibration:g}, "
                f"those of the test {name} {test:g}: they were probably scaled differently (uint8 "
                "is divided by 255, floats are taken as they are)"
            )
    return None

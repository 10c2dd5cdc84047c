"""A small network on feature vectors, trained here on real data: clothes of 7 × 7 pixels."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from graphs import save
from onnx import helper

from optimizer.workloads import fashion_mnist

#: Of the shipped test images so many train too; the others test.
TRAINED, STEPS, HIDDEN = 1200, 150, 24


@functools.cache
def features() -> dict[str, np.ndarray]:
    """Float features (N, 49) in [0, 1]: each the mean of 4 × 4 pixels; and the labels."""
    with np.load(fashion_mnist.DATA) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def small(images: np.ndarray) -> np.ndarray:
        blocks = images.reshape(len(images), 7, 4, 7, 4).mean(axis=(2, 4)) / 255
        return blocks.reshape(len(images), 49).astype(np.float32)

    test, labels = small(arrays["test_images"]), arrays["test_labels"].astype(np.int64)
    return {
        "calibration": small(arrays["calibration_images"]),
        "train": test[:TRAINED],
        "train_labels": labels[:TRAINED],
        "test": test[TRAINED:],
        "test_labels": labels[TRAINED:],
    }


@functools.cache
def trained() -> dict[str, np.ndarray]:
    """Weights of 49 - HIDDEN - 10 with ReLU: cross-entropy by full-batch Adam, float64."""
    x, labels = features()["train"], features()["train_labels"]
    rng = np.random.default_rng(3)
    w = {
        "w0": rng.normal(0, (2 / 49) ** 0.5, (49, HIDDEN)),
        "b0": np.zeros(HIDDEN),
        "w1": rng.normal(0, (2 / HIDDEN) ** 0.5, (HIDDEN, 10)),
        "b1": np.zeros(10),
    }
    mean = {k: np.zeros_like(v) for k, v in w.items()}
    square = {k: np.zeros_like(v) for k, v in w.items()}
    wanted = np.eye(10)[labels]
    for step in range(1, STEPS + 1):
        hidden = np.maximum(x @ w["w0"] + w["b0"], 0)
        scores = hidden @ w["w1"] + w["b1"]
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = (p / p.sum(axis=1, keepdims=True) - wanted) / len(x)
        back = (error @ w["w1"].T) * (hidden > 0)
        slope = {"w1": hidden.T @ error, "b1": error.sum(0), "w0": x.T @ back, "b0": back.sum(0)}
        for k, g in slope.items():
            mean[k] = 0.9 * mean[k] + 0.1 * g
            square[k] = 0.99 * square[k] + 0.01 * g**2
            rate = 0.03 * (1 - 0.99**step) ** 0.5 / (1 - 0.9**step)
            w[k] -= rate * mean[k] / (np.sqrt(square[k]) + 1e-8)
    return {k: v.astype(np.float32) for k, v in w.items()}


def write(folder: Path, names: tuple[str, str] = ("/hidden/Gemm", "/scores/Gemm")) -> Path:
    """``mlp.onnx``, its layers called ``names``, and ``features.npz`` in ``folder``."""
    data = features()
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"], name=names[0]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w1", "b1"], ["y"], name=names[1]),
    ]
    save(folder / "mlp.onnx", nodes, trained(), ("batch", 49))
    np.savez_compressed(
        folder / "features.npz",
        calibration_inputs=data["calibration"],
        test_inputs=data["test"],
        test_labels=data["test_labels"],
    )
    return folder

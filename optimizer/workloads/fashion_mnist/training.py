"""What the training scripts of the workloads share; they and this module alone import torch.

A result is a function of the seed, the torch version and the number of threads: sums in another
order round differently.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from optimizer.idx import IdxFolder, installed_dataset, read_idx_folder

BATCH = 128
CROP_PADDING = 2
TEST_COUNT = 2000
OPSET = 17
MAXIMUM_LOGIT_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Recipe:
    """An optimizer of torch, the peak of its one-cycle schedule, and its weight decay."""

    optimizer: Callable[..., torch.optim.Optimizer]
    learning_rate: float
    weight_decay: float


SGD = Recipe(
    lambda groups, lr: torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True), 0.2, 5e-4
)
ADAM = Recipe(lambda groups, lr: torch.optim.AdamW(groups, lr=lr), 3e-3, 0.05)


def augment(images: Tensor) -> Tensor:
    """Random crop after zero padding, and random horizontal flip; (N, 1, H, W) to the same."""
    count, _, height, width = images.shape
    padded = functional.pad(images, [CROP_PADDING] * 4)
    top, left = torch.randint(0, 2 * CROP_PADDING + 1, (2, count, 1, 1))
    rows = top + torch.arange(height).view(1, height, 1)
    columns = left + torch.arange(width).view(1, 1, width)
    # A column index that runs backwards is the flip.
    columns = torch.where(torch.rand(count, 1, 1) < 0.5, columns.flip(2), columns)
    return padded[torch.arange(count).view(count, 1, 1), 0, rows, columns].unsqueeze(1)


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int, recipe: Recipe) -> None:
    """The recipe with the one-cycle schedule; one line of progress per epoch."""
    steps = images.shape[0] // BATCH
    # Weight decay is for weights only: on batch-norm parameters and biases it does harm.
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = recipe.optimizer(groups, lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=epochs * steps, pct_start=0.25
    )
    model.train()
    for epoch in range(epochs):
        start, loss_sum, correct = time.monotonic(), 0.0, 0
        order = torch.randperm(images.shape[0])
        for step in range(steps):
            batch = order[step * BATCH : (step + 1) * BATCH]
            logits = model(augment(images[batch]))
            loss = functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_sum += loss.item()
            correct += int((logits.argmax(1) == labels[batch]).sum())
        print(
            f"epoch {epoch + 1}/{epochs}  loss {loss_sum / steps:.4f}  "
            f"train accuracy {correct / (steps * BATCH):.4f}  {time.monotonic() - start:.0f} s",
            flush=True,
        )


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits, float32 (N, classes), computed in batches to bound the memory."""
    with torch.no_grad():
        return torch.cat([model(batch) for batch in torch.split(images, 500)])


def export(model: nn.Module, path: Path) -> None:
    """Write the folded model as ONNX and check it: no weight in it that is not used."""
    # dynamo=False: this exporter writes a plain graph without needing onnxscript.
    torch.onnx.export(
        model,
        (torch.zeros(1, 1, 28, 28),),
        path,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    stored = onnx.load(path)
    onnx.checker.check_model(stored, full_check=True)
    used = {name for node in stored.graph.node for name in node.input}
    unused = {tensor.name for tensor in stored.graph.initializer} - used
    if unused:
        raise RuntimeError(f"the export has unused initializers: {unused}")
    print(f"operators: {dict(Counter(node.op_type for node in stored.graph.node))}")


def check_export(model: nn.Module, path: Path, images: Tensor) -> None:
    """Compare the ONNX file, run by the reference evaluator of onnx, with the torch model."""
    (logits,) = ReferenceEvaluator(str(path)).run(None, {"image": images.numpy()})
    difference = float(np.abs(logits - logits_of(model, images).numpy()).max())
    print(f"largest logit difference of ONNX and torch, {len(images)} images: {difference:.2e}")
    if not difference < MAXIMUM_LOGIT_DIFFERENCE:
        raise RuntimeError(f"the difference must be below {MAXIMUM_LOGIT_DIFFERENCE}")


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, H, W) to float32 (N, 1, H, W) in [0, 1]."""
    return torch.from_numpy(images.astype(np.float32) / np.float32(255)).unsqueeze(1)


def run(
    make: Callable[[], nn.Module],
    name: str,
    minimum: float,
    recipe: Recipe,
    arguments: Sequence[str] | None,
) -> tuple[IdxFolder, Path]:
    """Trains the network of ``make`` and writes it, its batch norms folded, as ``name``.

    ``make().folded()`` is the network to write; RuntimeError below ``minimum``, the accuracy on all
    test images. ``arguments``: a command line, as ``--help`` says. Returns the data, and the folder
    that was written to.
    """
    parser = argparse.ArgumentParser(description=f"Train and write {name}.")
    parser.add_argument(
        "--data",
        type=Path,
        default=installed_dataset(),
        help="folder with the four IDX files (default: the Debian package dataset-fashion-mnist)",
    )
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args(arguments)
    if options.data is None:
        parser.error("give --data FOLDER, or install the Debian package dataset-fashion-mnist")

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    stored = read_idx_folder(options.data)
    # Channels last is about 1.5 times as fast as the default layout on a CPU.
    model: Any = make()
    convert_conv2d_weight_memory_format(model, torch.channels_last)
    trained = sum(p.numel() for p in model.parameters())
    print(f"torch {torch.__version__}, seed {options.seed}, {trained} trained parameters")
    labels = torch.from_numpy(stored.train_labels.astype(np.int64))
    train(model, as_input(stored.train_images), labels, options.epochs, recipe)

    folded = model.folded()
    convert_conv2d_weight_memory_format(folded, torch.contiguous_format)
    test_images = as_input(stored.test_images)
    correct = (logits_of(folded, test_images).argmax(1).numpy() == stored.test_labels).astype(float)
    print(f"FP32 accuracy on {len(correct)} test images: {correct.mean():.4f}")
    print(f"FP32 accuracy on the first {TEST_COUNT}: {correct[:TEST_COUNT].mean():.4f}")
    if correct.mean() < minimum:
        raise RuntimeError(f"the accuracy must be at least {minimum}; nothing written")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / name
    export(folded, path)
    check_export(folded, path, test_images[:256])
    print(f"{name}: {path.stat().st_size} bytes, {trained} trained parameters")
    return stored, options.out

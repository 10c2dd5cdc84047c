"""Train ResNet-8 on Fashion-MNIST and write ``resnet8.onnx`` and ``fashion_mnist.npz``.

Run from the root of the project:

    python -m optimizer.workloads.fashion_mnist.train --data FOLDER --out FOLDER

Needs torch and onnx; this is the only module of the project that imports torch. The network is
the ResNet of He et al., "Deep Residual Learning for Image Recognition" (2016), section 4.2, with
n = 1 block per stage and 1x1 projection shortcuts. Batch norm is folded into the convolutions
before the export, so the ONNX graph has only the operators in OPERATORS.

The result is a function of the seed, the torch version and the number of threads: sums in
another order round differently.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import Counter
from collections.abc import Sequence
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
from torch.nn.utils.fusion import fuse_conv_bn_eval

from optimizer.data import IdxFolder, balanced_indices, installed_dataset, read_idx_folder

BATCH = 128
MAX_LEARNING_RATE = 0.2
WEIGHT_DECAY = 5e-4
CROP_PADDING = 2
TEST_COUNT = 2000
OPSET = 17
OPERATORS = {"Conv", "Relu", "Add", "GlobalAveragePool", "Flatten", "Gemm"}
# Attribute names in the classes below: each convolution and the batch norm behind it.
CONV_AND_NORM = (("conv", "norm"), ("conv1", "norm1"), ("conv2", "norm2"), ("shortcut", "norm3"))
MINIMUM_ACCURACY = 0.915
MAXIMUM_LOGIT_DIFFERENCE = 1e-3


class Block(nn.Module):
    """Basic residual block: two 3x3 convolutions; 1x1 projection if the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.projects = stride != 1 or inputs != outputs
        if self.projects:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.norm3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for ``x``, (N, inputs, height, width)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        skip = self.norm3(self.shortcut(x)) if self.projects else x
        return functional.relu(y + skip)


class ResNet8(nn.Module):
    """(N, 1, 28, 28) float32 pixels in [0, 1] to (N, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.stage1 = Block(16, 16, stride=1)
        self.stage2 = Block(16, 32, stride=2)
        self.stage3 = Block(32, 64, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of ``x``."""
        y = functional.relu(self.norm(self.conv(x)))
        y = self.stage3(self.stage2(self.stage1(y)))
        return self.dense(torch.flatten(self.pool(y), 1))


@dataclass(frozen=True)
class LayerCost:
    """Parameters (weights and biases) and multiply-accumulates per image of one layer."""

    name: str
    output: tuple[int, ...]
    parameters: int
    macs: int


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


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    """SGD with Nesterov momentum and the one-cycle schedule; one line of progress per epoch."""
    steps = images.shape[0] // BATCH
    # Weight decay is for weights only: on batch-norm parameters and biases it does harm.
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": WEIGHT_DECAY},
        {"params": others},
    ]
    optimizer = torch.optim.SGD(
        groups,
        lr=MAX_LEARNING_RATE,
        momentum=0.9,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, MAX_LEARNING_RATE, total_steps=epochs * steps, pct_start=0.25
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


def fold_batch_norm(model: ResNet8) -> ResNet8:
    """Copy of the model with every batch norm folded into the convolution in front of it."""
    folded = copy.deepcopy(model)
    folded.eval()
    for owner in list(folded.modules()):
        for conv, norm in CONV_AND_NORM:
            if hasattr(owner, conv):
                setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
                setattr(owner, norm, nn.Identity())
    return folded


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits, float32 (N, classes), computed in batches to bound the memory."""
    with torch.no_grad():
        return torch.cat([model(batch) for batch in torch.split(images, 500)])


def layer_costs(model: nn.Module, image: Tensor) -> list[LayerCost]:
    """Costs of the convolutions and dense layers in the order of execution; image (1, C, H, W)."""
    costs: list[LayerCost] = []

    def record(name: str, layer: nn.Module, output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        # Each output value needs one multiply-accumulate per weight of its output channel.
        macs = output[0].numel() * weight[0].numel()
        parameters = sum(p.numel() for p in layer.parameters())
        costs.append(LayerCost(name, tuple(output.shape[1:]), parameters, macs))

    handles = [
        layer.register_forward_hook(lambda m, _, y, name=name: record(name, m, y))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    logits_of(model, image)
    for handle in handles:
        handle.remove()
    return costs


def export(model: nn.Module, path: Path) -> None:
    """Write the folded model as ONNX and check that the graph is as small as promised."""
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
    operators = Counter(node.op_type for node in stored.graph.node)
    if not set(operators) <= OPERATORS:
        raise RuntimeError(f"the export has other operators than {OPERATORS}: {operators}")
    used = {name for node in stored.graph.node for name in node.input}
    unused = {tensor.name for tensor in stored.graph.initializer} - used
    if unused:
        raise RuntimeError(f"the export has unused initializers: {unused}")
    print(f"operators: {dict(operators)}")


def check_export(model: nn.Module, path: Path, images: Tensor) -> None:
    """Compare the ONNX file, run by the reference evaluator of onnx, with the torch model."""
    (logits,) = ReferenceEvaluator(str(path)).run(None, {"image": images.numpy()})
    difference = float(np.abs(logits - logits_of(model, images).numpy()).max())
    print(f"largest logit difference of ONNX and torch, {len(images)} images: {difference:.2e}")
    if not difference < MAXIMUM_LOGIT_DIFFERENCE:
        raise RuntimeError(f"the difference must be below {MAXIMUM_LOGIT_DIFFERENCE}")


def write_data(stored: IdxFolder, path: Path) -> None:
    """Write the calibration draw and the first TEST_COUNT test images as uint8."""
    draw = balanced_indices(stored.train_labels)
    np.savez_compressed(
        path,
        calibration_images=stored.train_images[draw],
        calibration_labels=stored.train_labels[draw],
        test_images=stored.test_images[:TEST_COUNT],
        test_labels=stored.test_labels[:TEST_COUNT],
    )


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """uint8 (N, H, W) to float32 (N, 1, H, W) in [0, 1]."""
    return torch.from_numpy(images.astype(np.float32) / np.float32(255)).unsqueeze(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the network and writes it and its data, as ``--help`` says."""
    parser = argparse.ArgumentParser(
        description="Train ResNet-8 on Fashion-MNIST; write resnet8.onnx and fashion_mnist.npz."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=installed_dataset(),
        help="folder with the four IDX files (default: the Debian package dataset-fashion-mnist)",
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    options = parser.parse_args(arguments)
    if options.data is None:
        parser.error("give --data FOLDER, or install the Debian package dataset-fashion-mnist")

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    stored = read_idx_folder(options.data)
    # Channels last is about 1.5 times as fast as the default layout on a CPU.
    model = ResNet8()
    convert_conv2d_weight_memory_format(model, torch.channels_last)
    trained = sum(p.numel() for p in model.parameters())
    print(f"torch {torch.__version__}, seed {options.seed}, {trained} trained parameters")
    labels = torch.from_numpy(stored.train_labels.astype(np.int64))
    train(model, as_input(stored.train_images), labels, options.epochs)

    folded = fold_batch_norm(model)
    convert_conv2d_weight_memory_format(folded, torch.contiguous_format)
    test_images = as_input(stored.test_images)
    correct = (logits_of(folded, test_images).argmax(1).numpy() == stored.test_labels).astype(float)
    print(f"FP32 accuracy on {len(correct)} test images: {correct.mean():.4f}")
    print(f"FP32 accuracy on the first {TEST_COUNT}: {correct[:TEST_COUNT].mean():.4f}")
    if correct.mean() < MINIMUM_ACCURACY:
        raise RuntimeError(f"the accuracy must be at least {MINIMUM_ACCURACY}; nothing written")

    options.out.mkdir(parents=True, exist_ok=True)
    model_path, data_path = options.out / "resnet8.onnx", options.out / "fashion_mnist.npz"
    export(folded, model_path)
    check_export(folded, model_path, test_images[:256])
    write_data(stored, data_path)
    for path in (model_path, data_path):
        print(f"{path.name}: {path.stat().st_size} bytes")
    costs = layer_costs(folded, test_images[:1])
    for cost in costs:
        print(f"{cost.name:16} {cost.output!s:14} {cost.parameters:7} {cost.macs:9} MACs")
    print(f"total {sum(c.parameters for c in costs)} parameters, {sum(c.macs for c in costs)} MACs")


if __name__ == "__main__":
    main()

"""Train ResNet-8 on Fashion-MNIST and write ``resnet8.onnx`` and ``fashion_mnist.npz``.

Run from the root of the project:

    python -m optimizer.workloads.fashion_mnist.train --epochs 20 --threads 2 --data FOLDER

The network is the ResNet of He et al., "Deep Residual Learning for Image Recognition" (2016),
section 4.2, with n = 1 block per stage and 1x1 projection shortcuts. Batch norm is folded into the
convolutions before the export. Needs torch and onnx.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from optimizer.data import balanced_indices
from optimizer.idx import IdxFolder
from optimizer.workloads.fashion_mnist import training

# Attribute names in the classes below: each convolution and the batch norm behind it.
CONV_AND_NORM = (("conv", "norm"), ("conv1", "norm1"), ("conv2", "norm2"), ("shortcut", "norm3"))
MINIMUM_ACCURACY = 0.915


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

    def folded(self) -> ResNet8:
        """A copy with every batch norm folded into the convolution in front of it."""
        result = copy.deepcopy(self).eval()
        for owner in list(result.modules()):
            for conv, norm in CONV_AND_NORM:
                if hasattr(owner, conv):
                    layer = fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm))
                    setattr(owner, conv, layer)
                    setattr(owner, norm, nn.Identity())
        return result


def write_data(stored: IdxFolder, path: Path) -> None:
    """Write the calibration draw and the first TEST_COUNT test images as uint8."""
    draw = balanced_indices(stored.train_labels)
    np.savez_compressed(
        path,
        calibration_images=stored.train_images[draw],
        calibration_labels=stored.train_labels[draw],
        test_images=stored.test_images[: training.TEST_COUNT],
        test_labels=stored.test_labels[: training.TEST_COUNT],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the network and writes it and its data, as ``--help`` says."""
    stored, folder = training.run(
        ResNet8, "resnet8.onnx", MINIMUM_ACCURACY, training.SGD, arguments
    )
    write_data(stored, folder / "fashion_mnist.npz")


if __name__ == "__main__":
    main()

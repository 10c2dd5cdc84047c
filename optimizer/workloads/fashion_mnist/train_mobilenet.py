"""Train a small MobileNet on Fashion-MNIST and write ``mobilenet.onnx``.

Run from the root of the project:

    python -m optimizer.workloads.fashion_mnist.train_mobilenet --data FOLDER --out FOLDER

The network is that of Howard et al., "MobileNets" (2017), on images of 28x28 pixels: depthwise 3x3
and pointwise convolutions in turn, each with batch norm and the ReLU6 of MobileNetV2. Needs what
``train.py`` needs, and is as reproducible.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from optimizer.workloads.fashion_mnist import training

#: Output channels and stride of each depthwise and pointwise pair.
PAIRS = ((32, 2), (64, 1), (128, 2), (128, 1))
FIRST = 16
MINIMUM_ACCURACY = 0.88


class Unit(nn.Module):
    """A convolution, batch norm and ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.limit = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """The unit's output for ``x``, (N, inputs, height, width)."""
        return self.limit(self.norm(self.conv(x)))


class MobileNet(nn.Module):
    """(N, 1, 28, 28) float32 pixels in [0, 1] to (N, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Unit(1, FIRST, 3, 1, 1)
        inputs = FIRST
        for index, (outputs, stride) in enumerate(PAIRS, start=1):
            self.add_module(f"depthwise{index}", Unit(inputs, inputs, 3, stride, inputs))
            self.add_module(f"pointwise{index}", Unit(inputs, outputs, 1, 1, 1))
            inputs = outputs
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of ``x``."""
        for module in self.children():
            if isinstance(module, Unit):
                x = module(x)
        return self.dense(self.pool(x).flatten(1))

    def folded(self) -> MobileNet:
        """A copy with every batch norm folded into the convolution in front of it."""
        result = copy.deepcopy(self).eval()
        for module in result.modules():
            if isinstance(module, Unit):
                module.conv = fuse_conv_bn_eval(module.conv, module.norm)
                module.norm = nn.Identity()
        return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the network and writes it, as ``--help`` says."""
    training.run(MobileNet, "mobilenet.onnx", MINIMUM_ACCURACY, training.SGD, arguments)


if __name__ == "__main__":
    main()

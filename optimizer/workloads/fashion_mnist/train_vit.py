"""Train a small vision transformer on Fashion-MNIST and write ``vit.onnx``.

Run from the root of the project:

    python -m optimizer.workloads.fashion_mnist.train_vit --data FOLDER --out FOLDER

The network is that of Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021), with layer norm
in front of each part, on 49 patches of 4x4 pixels; classes are read from the mean of the patches.
Attention is written out as two matrix products and a softmax. Needs what ``train.py`` needs, and is
as reproducible.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optimizer.workloads.fashion_mnist import training

WIDTH, HEADS, BLOCKS, PATCH, PATCHES = 48, 4, 2, 4, 49
MINIMUM_ACCURACY = 0.75


class Attention(nn.Module):
    """Self-attention of ``HEADS`` heads."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """The attended ``x``, (N, PATCHES, WIDTH)."""
        query, key, value = (
            part(x).reshape(-1, PATCHES, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        weights = torch.softmax(query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5, dim=-1)
        return self.out((weights @ value).transpose(1, 2).reshape(-1, PATCHES, WIDTH))


class Block(nn.Module):
    """Attention and a perceptron, each behind a layer norm and beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for ``x``, (N, PATCHES, WIDTH)."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(self.activation(self.up(self.norm2(x))))


class VisionTransformer(nn.Module):
    """(N, 1, 28, 28) float32 pixels in [0, 1] to (N, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(torch.randn(1, PATCHES, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.dense = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of ``x``."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.dense(self.norm(x).mean(dim=1))

    def folded(self) -> VisionTransformer:
        """A copy: there is no batch norm to fold."""
        return copy.deepcopy(self).eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains the network and writes it, as ``--help`` says."""
    training.run(VisionTransformer, "vit.onnx", MINIMUM_ACCURACY, training.ADAM, arguments)


if __name__ == "__main__":
    main()

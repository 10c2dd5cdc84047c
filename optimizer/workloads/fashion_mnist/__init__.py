"""ResNet-8 trained on Fashion-MNIST, with calibration and test images."""

from pathlib import Path

MODEL = Path(__file__).with_name("resnet8.onnx")
DATA = Path(__file__).with_name("fashion_mnist.npz")

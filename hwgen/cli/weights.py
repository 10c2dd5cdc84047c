"""Weights on the command line: a list of numbers, or a file of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hwgen.errors import InputError
from hwgen.spec.fixeddot import Weights

ARRAY = ".npy"
TEXTS = (".csv", ".txt")


def weights(text: str) -> Weights:
    """The numbers of ``3,-5,7``, or of the file that is named.

    A file is an array of one dimension (.npy), or text with commas, blanks or lines between
    numbers.
    """
    try:
        if Path(text).suffix.lower() not in (ARRAY, *TEXTS):
            return Weights.parse(text)
        return Weights.parse(_read(Path(text)))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _read(path: Path) -> object:
    try:
        if path.suffix.lower() == ARRAY:
            return np.load(path, allow_pickle=False)
        return ",".join(path.read_text("utf-8").replace(",", " ").split())
    except OSError as error:
        raise InputError(
            f"weights: the file '{path}' cannot be read ({error.strerror or error}): give one that "
            "can, or the numbers themselves, such as 3,-5,7"
        ) from error
    except Exception as error:  # A damaged header of .npy raises what its parsers raise.
        kind = path.suffix.lower()
        raise InputError(f"weights: '{path}' is no {kind} file of numbers: {error}") from error

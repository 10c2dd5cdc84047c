"""Weights, and other numbers, on the command line: as text, or a file of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from hwgen.errors import InputError
from hwgen.spec.fixeddot import Weights
from hwgen.spec.fixedmatrix import Matrix

ARRAY = ".npy"
TEXTS = (".csv", ".txt")
Constants = TypeVar("Constants", Weights, Matrix)


def weights(text: str) -> Weights:
    """The numbers of ``3,-5,7``, or of the file that is named.

    A file is an array of one dimension (.npy), or text with commas, blanks or lines between
    numbers.
    """
    return _parsed(text, "weights", Weights.parse, ",")


def constants(text: str) -> Matrix:
    """The rows of ``3,-5;7,0``, or of the file that is named.

    A file is an array of two dimensions (.npy), or text with a row a line, commas or blanks between
    numbers.
    """
    return _parsed(text, "constants", Matrix.parse, ";")


def _parsed(text: str, name: str, parse: Callable[[object], Constants], line_end: str) -> Constants:
    """What ``parse`` makes of the text or of its file; ``line_end``: what stands for a new line."""
    try:
        if Path(text).suffix.lower() not in (ARRAY, *TEXTS):
            return parse(text)
        return parse(_read(Path(text), name, line_end))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def array(text: str, name: str) -> object:
    """The numbers of a file .npy that is named, of any shape; else the ``text`` itself.

    InputError if it cannot be read, or is none.
    """
    is_array = Path(text).suffix.lower() == ARRAY
    return _read(Path(text), name, "") if is_array else text


def _read(path: Path, name: str, line_end: str) -> object:
    try:
        if path.suffix.lower() == ARRAY:
            return np.load(path, allow_pickle=False)
        lines = path.read_text("utf-8").replace(",", " ").splitlines()
        return line_end.join(",".join(line.split()) for line in lines if line.split())
    except OSError as error:
        raise InputError(
            f"{name}: the file '{path}' cannot be read ({error.strerror or error}): give one that "
            "can"
        ) from error
    except Exception as error:  # A damaged header of .npy raises what its parsers raise.
        kind = path.suffix.lower()
        raise InputError(f"{name}: '{path}' is no {kind} file of numbers: {error}") from error

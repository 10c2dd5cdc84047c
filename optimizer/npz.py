"""Plain numeric arrays of an ``.npz`` file, whose headers are known before anything is unpacked.

An ``.npz`` is a zip archive of ``.npy`` files (numpy.lib.format). Every fault of the file raises
``InputError`` with one line of text.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hwgen.errors import InputError

_SUFFIX = ".npy"
_ADVICE = "write it again with numpy.savez_compressed"


@dataclass(frozen=True)
class Header:
    """What an array's header says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """How many elements the array has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Npz:
    """An open ``.npz`` file, called ``where`` in messages."""

    where: str
    archive: zipfile.ZipFile

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays, each once, in the order of the file."""
        files = self.archive.namelist()
        return tuple(dict.fromkeys(n.removesuffix(_SUFFIX) for n in files if n.endswith(_SUFFIX)))

    def header(self, name: str) -> Header:
        """The header of the array called ``name``, without its data.

        InputError for an array of objects, or one that is not as large as its header says.
        """
        with self._reading(name):
            info = self.archive.getinfo(name + _SUFFIX)
            with self.archive.open(info) as file:
                version = npy.read_magic(file)
                if version not in ((1, 0), (2, 0)):
                    raise ValueError(f"version {version} is not of a plain numeric array")
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = read(file)
                start = file.tell()
        header = Header(shape, dtype)
        if dtype.hasobject:
            raise InputError(
                f"{self.where}: {name} holds Python objects (dtype {dtype}), which are not read: "
                "give a plain numeric array"
            )
        if (
            any(size < 0 for size in shape)
            or start + header.size * dtype.itemsize != info.file_size
        ):
            raise InputError(
                f"{self.where} cannot be read at array {name} (its header says {shape} of {dtype}, "
                f"it holds {info.file_size - start:,} bytes): {_ADVICE}"
            )
        return header

    def read(self, name: str) -> NDArray[Any]:
        """The array called ``name``; InputError if it is damaged."""
        with self._reading(name), self.archive.open(name + _SUFFIX) as file:
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        return array

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        # Damaged files make numpy, zipfile and zlib raise many unrelated types (BadZipFile,
        # zlib.error, ValueError, EOFError, NotImplementedError, MemoryError, ...).
        except Exception as error:
            raise InputError(
                f"{self.where} cannot be read at array {name} ({first_line(error)}): it must hold "
                f"plain numeric arrays, {_ADVICE}"
            ) from error


@contextmanager
def opened(path: Path, where: str) -> Iterator[Npz]:
    """The ``.npz`` file ``path``, open in the context; InputError if it is none."""
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror}): give a readable file") from (
            error
        )
    except Exception as error:  # BadZipFile, and what a damaged directory makes zipfile raise
        raise InputError(
            f"{where} is not an .npz file, or it is truncated ({first_line(error)}): {_ADVICE}, or "
            "give a folder with the IDX files of MNIST"
        ) from error
    with archive:
        yield Npz(where, archive)


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type if there is none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""Makes mx.npz and nvfp4.npz: block quantisation as others' libraries do it.

For developers only: the tests read the files and need none of these libraries. In an environment
of its own, with a checkout of microxcaling (see README.md for versions and commits):

    pip install numpy ml_dtypes torch==2.13.0 torchao==0.18.0
    python make_vectors.py --microxcaling CHECKOUT [--out FOLDER]

The same versions give the same files, but for codes of NaN elements in nvfp4.npz, which depend
on the vector instructions that PyTorch finds.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import torch
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
from torchao.prototype.mx_formats.kernels import unpack_uint4
from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx
from torchao.prototype.mx_formats.nvfp4_tensor import (
    NVFP4Tensor,
    nvfp4_quantize,
    per_tensor_amax_to_scale,
)

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Block = tuple[str, Floats]

SEED = 1
COLUMNS, RAGGED_COLUMNS = 64, 50
MX_BLOCK, NVFP4_BLOCK = 32, 16
LARGEST, NORMAL = np.finfo(np.float32).max, np.finfo(np.float32).smallest_normal

ROUNDINGS = ("nearest", "even", "floor")
FLUSHES = (False, True)
MODES = tuple(ScaleCalculationMode[name] for name in ("FLOOR", "CEIL", "EVEN", "RCEIL"))

#: Element formats: name in microxcaling, and the type that decodes the codes or the width.
MINIFLOATS = {
    "fp8_e4m3": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp6_e3m2": ml_dtypes.float6_e3m2fn,
    "fp6_e2m3": ml_dtypes.float6_e2m3fn,
    "fp4_e2m1": ml_dtypes.float4_e2m1fn,
}
INTEGER_BITS = {"int8": 8, "int4": 4, "int2": 2}
TORCHAO_TYPES = {
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
    "fp6_e3m2": DTYPE_FP6_E3M2,
    "fp6_e2m3": DTYPE_FP6_E2M3,
    "fp4_e2m1": torch.float4_e2m1fn_x2,
}

#: How NVFP4's per-tensor scale is chosen: none, from the row's largest magnitude, or given.
SCALINGS = ("none", "amax", "fixed")
FIXED_SCALE = 0.0123


# Inputs


def magnitudes(name: str) -> Floats:
    """The finite values from zero up that a format has."""
    if name in INTEGER_BITS:
        top = 2 ** (INTEGER_BITS[name] - 1)
        return np.arange(top, dtype=np.float32) / np.float32(max(top // 2, 1))
    values = np.arange(256, dtype=np.uint8).view(MINIFLOATS[name]).astype(np.float32)
    return np.unique(np.abs(values[np.isfinite(values)]))


def with_neighbours(values: npt.ArrayLike) -> Floats:
    """Each value between the float32 numbers just below and just above it."""
    middle = np.asarray(values, dtype=np.float32).reshape(-1, 1)
    below = np.nextafter(middle, np.float32(0))
    above = np.nextafter(middle, np.float32(np.inf))
    return np.concatenate([below, middle, above], axis=1).reshape(-1)


def signed(rng: np.random.Generator, values: npt.ArrayLike) -> Floats:
    """The values with random signs."""
    numbers = np.asarray(values, dtype=np.float32)
    return numbers * rng.choice(np.array([-1, 1], dtype=np.float32), numbers.shape)


def gaussian(rng: np.random.Generator, size: int, scale: float = 1.0) -> Floats:
    """Normal random numbers."""
    return (rng.standard_normal(size) * scale).astype(np.float32)


def below_largest(rng: np.random.Generator, size: int, largest: float) -> Floats:
    """A block whose largest magnitude is given, the rest uniform below it."""
    rest = rng.uniform(0, 1, size - 1) * np.float64(largest)
    return signed(rng, [largest, *rest])


def chunks(values: Floats, size: int) -> Iterator[Floats]:
    """The values in pieces of ``size``, the last one filled with its own last value."""
    for start in range(0, len(values), size):
        piece = values[start : start + size]
        yield np.pad(piece, (0, size - len(piece)), mode="edge")


def ordinary_blocks(rng: np.random.Generator, size: int) -> Iterator[Block]:
    """Gaussian numbers, outliers, constants, zeros, and both ends of float32."""
    for scale in (1.0, 1.0, 1e-3, 37.0, 1e5, 1e-12):
        yield f"gaussian {scale:g}", gaussian(rng, size, scale)
    for factor in (30.0, 1e3, 1e6):
        outlier = gaussian(rng, size)
        outlier[size // 3] = -factor
        yield f"outlier {factor:g}", outlier
    for constant in (1.0, -3.0, 0.1, 448.0, 6.0):
        yield f"constant {constant:g}", np.full(size, constant, dtype=np.float32)
    zeros = np.zeros(size, dtype=np.float32)
    yield "zeros", zeros
    yield "negative zeros", -zeros
    both = signed(rng, zeros)
    both[-1] = -1.5
    yield "zeros of both signs and -1.5", both
    for exponent in (-16, -140, 127 - size + 1):
        powers = np.ldexp(np.float32(1), np.arange(exponent, exponent + size))
        yield f"powers of two from 2^{exponent}", signed(rng, powers)
    yield "huge", rng.uniform(-LARGEST, LARGEST, size).astype(np.float32)
    yield "largest float32", signed(rng, np.full(size, LARGEST))
    yield "huge and tiny", signed(rng, np.resize(np.float32([3e38, 1e-38, 1e-44, 1.0]), size))
    for tiny in (1e-36, 1e-38, 1e-40, 1e-44):
        yield f"tiny {tiny:g}", gaussian(rng, size, tiny)


def subnormal_blocks(rng: np.random.Generator, size: int) -> Iterator[Block]:
    """Float32 subnormals, alone and beside the smallest normal number."""
    bits = rng.integers(1, 1 << 23, size, dtype=np.uint32)
    yield "subnormals", signed(rng, bits.view(np.float32))
    small = rng.integers(0, 4, size, dtype=np.uint32)
    yield "smallest subnormals", signed(rng, small.view(np.float32))
    mixed = signed(rng, bits.view(np.float32))
    mixed[0] = NORMAL
    yield "subnormals and smallest normal", mixed
    edge = np.resize(with_neighbours(NORMAL), size)
    yield "around the smallest normal", signed(rng, edge)


def non_finite_blocks(rng: np.random.Generator, size: int) -> Iterator[Block]:
    """One infinity, both infinities, one NaN."""
    for name, values in (("infinity", [np.inf]), ("infinities", [np.inf, -np.inf])):
        block = gaussian(rng, size)
        block[3 : 3 + len(values)] = values
        yield f"non-finite: {name}", block
    block = gaussian(rng, size)
    block[3] = np.nan
    yield "non-finite: NaN", block


def mx_tie_blocks(rng: np.random.Generator, name: str) -> Iterator[Block]:
    """Midpoints of the element format and their neighbours, under a known scale.

    The first value is the largest power of two of the format, so that every scale rule gives
    the block the scale 2^shift.
    """
    values = magnitudes(name)
    pin = np.float32(2.0 ** np.floor(np.log2(values[-1])))
    middles = (values[1:] + values[:-1]) / 2
    middles = middles[middles < pin]
    for index, piece in enumerate(chunks(with_neighbours(middles), MX_BLOCK - 1)):
        shift = (0, -5, 21)[index % 3]
        block = np.ldexp(np.concatenate([[pin], signed(rng, piece)]).astype(np.float32), shift)
        yield f"ties of {name} at 2^{shift}", block


def mx_top_blocks(rng: np.random.Generator, name: str) -> Iterator[Block]:
    """Largest magnitudes at the scale rules' boundaries, which depend on the element format."""
    values = magnitudes(name)
    largest, last_step = values[-1], values[-1] - values[-2]
    binade_end = np.float32(2.0 ** (np.floor(np.log2(largest)) + 1))
    edges = {
        "Qmax": largest,
        "Qmax + half a step": largest + last_step / 2,
        "rounds up to a power of two": binade_end - last_step / 4,
    }
    for what, edge in edges.items():
        for shift in (0, -18):
            for place, value in zip(("below", "at", "above"), with_neighbours(edge), strict=True):
                block = below_largest(rng, MX_BLOCK, float(np.ldexp(value, shift)))
                yield f"{place} {what} of {name} at 2^{shift}", block
    # The middles of the top binade, which the tie blocks leave out.
    top = values[values >= binade_end / 2]
    if len(top) > 1:
        middles = with_neighbours((top[1:] + top[:-1]) / 2)
        for piece in chunks(middles, MX_BLOCK):
            yield f"top ties of {name}", signed(rng, piece)


def mx_scale_blocks(rng: np.random.Generator) -> Iterator[Block]:
    """Largest magnitudes around powers of two, and where the scale reaches 2^-127."""
    for exponent in (-125, -100, -60, -9, -1, 0, 1, 2, 3, 7, 8, 9, 16, 17, 100, 127):
        edges = with_neighbours(2.0**exponent)
        for place, value in zip(("below", "at", "above"), edges, strict=True):
            yield f"{place} 2^{exponent}", below_largest(rng, MX_BLOCK, float(value))
    for exponent in (-126, -124, -122, -120, -119, -118, -113, -112, -111, -110):
        block = below_largest(rng, MX_BLOCK, 1.3 * 2.0**exponent)
        yield f"small scale: 1.3 * 2^{exponent}", block


def rows_of(blocks: list[Block], columns: int) -> tuple[Floats, npt.NDArray[np.str_]]:
    """Blocks side by side in rows, the last one filled with zeros; and the blocks' names."""
    per_row = columns // len(blocks[0][1])
    filling = [("zeros", np.zeros_like(blocks[0][1]))] * (-len(blocks) % per_row)
    names = np.array([name for name, _ in blocks + filling]).reshape(-1, per_row)
    inputs = np.stack([values for _, values in blocks + filling]).reshape(-1, columns)
    return inputs.astype(np.float32), names


def mx_inputs() -> tuple[Floats, npt.NDArray[np.str_]]:
    """Rows of two blocks, and the blocks' names."""
    rng = np.random.default_rng(SEED)
    blocks = [*ordinary_blocks(rng, MX_BLOCK), *subnormal_blocks(rng, MX_BLOCK)]
    blocks += mx_scale_blocks(rng)
    for name in (*MINIFLOATS, *INTEGER_BITS):
        blocks += [*mx_tie_blocks(rng, name), *mx_top_blocks(rng, name)]
    blocks += non_finite_blocks(rng, MX_BLOCK)
    return rows_of(blocks, COLUMNS)


def ragged_inputs() -> Floats:
    """Rows whose last block is not full."""
    rng = np.random.default_rng(SEED + 1)
    rows = [gaussian(rng, RAGGED_COLUMNS, scale) for scale in (1.0, 100.0, 1e-20)]
    tail_is_largest = gaussian(rng, RAGGED_COLUMNS)
    tail_is_largest[-1] = 1000.0
    tail_is_zero = gaussian(rng, RAGGED_COLUMNS)
    tail_is_zero[MX_BLOCK:] = -0.0
    return np.stack([*rows, tail_is_largest, tail_is_zero])


def nvfp4_scale_rows(rng: np.random.Generator) -> Iterator[list[Block]]:
    """Blocks whose scales are ties of E4M3, in a row whose per-tensor scale is exactly 1."""
    scales = magnitudes("fp8_e4m3")
    middles = (scales[1:] + scales[:-1]) / 2
    chosen = [*middles[:12:2], *middles[12:-1:9], middles[-1], 2.0**-6, 448.0, 464.0, 2.0**-10]
    for scale in chosen:
        blocks = [("largest 2688", below_largest(rng, NVFP4_BLOCK, 2688.0))]
        edges = with_neighbours(6 * np.float32(scale))
        for place, value in zip(("below", "at", "above"), edges, strict=True):
            block = below_largest(rng, NVFP4_BLOCK, float(value))
            blocks.append((f"{place} block scale {scale:g}", block))
        yield blocks


def nvfp4_tie_rows(rng: np.random.Generator) -> Iterator[list[Block]]:
    """Midpoints of E2M1 times block scales that do and do not have an exact reciprocal."""
    values = magnitudes("fp4_e2m1")
    middles = (values[1:] + values[:-1]) / 2
    for scale in (1.0, 0.0625, 1.125, 1.375, 1.625, 1.875, 0.1015625, 0.021484375, 240.0, 448.0):
        numbers = with_neighbours(middles * np.float32(scale))
        blocks = []
        for piece in chunks(numbers, NVFP4_BLOCK - 1):
            block = signed(rng, [np.float32(6 * scale), *piece])
            blocks.append((f"ties of fp4_e2m1 times {scale:g}", block))
        blocks.append(("gaussian below", gaussian(rng, NVFP4_BLOCK, scale / 2)))
        blocks.append(("zeros", np.zeros(NVFP4_BLOCK, dtype=np.float32)))
        yield blocks


def nvfp4_inputs() -> tuple[Floats, npt.NDArray[np.str_]]:
    """Rows of four blocks, and the blocks' names. Each row is a tensor of its own."""
    rng = np.random.default_rng(SEED + 2)
    per_row = COLUMNS // NVFP4_BLOCK
    rows: list[list[Block]] = []
    for name, block in [
        *ordinary_blocks(rng, COLUMNS),
        *subnormal_blocks(rng, COLUMNS),
        *non_finite_blocks(rng, COLUMNS),
    ]:
        rows.append([(name, piece) for piece in block.reshape(per_row, NVFP4_BLOCK)])
    for spread in (4.0, 64.0, 1e3, 1e5):
        scales = spread ** rng.uniform(-1, 1, per_row)
        rows.append(
            [(f"spread {spread:g}", gaussian(rng, NVFP4_BLOCK, float(each))) for each in scales]
        )
    rows += [*nvfp4_scale_rows(rng), *nvfp4_tie_rows(rng)]
    return rows_of([block for row in rows for block in row], COLUMNS)


# Outputs


def load_microxcaling(checkout: Path) -> Callable[..., torch.Tensor]:
    """``_quantize_mx`` of a checkout."""
    sys.path.insert(0, str(checkout))
    function: Callable[..., torch.Tensor] = importlib.import_module("mx.mx_ops")._quantize_mx
    return function


def plain(values: torch.Tensor) -> Floats:
    """The values as an array, with one kind of NaN."""
    array = values.numpy()
    return np.where(np.isnan(array), np.float32(np.nan), array)


def microxcaling_values(quantize: Callable[..., torch.Tensor], inputs: Floats, name: str) -> Floats:
    """Dequantised values: rows, roundings, flushes, columns."""
    outputs = [
        [
            plain(
                quantize(
                    torch.tensor(inputs),
                    8,
                    name,
                    shared_exp_method="max",
                    axes=[-1],
                    block_size=MX_BLOCK,
                    round=rounding,
                    flush_fp32_subnorms=flush,
                    custom_cuda=False,
                )
            )
            for flush in FLUSHES
        ]
        for rounding in ROUNDINGS
    ]
    return np.stack([np.stack(each, axis=1) for each in outputs], axis=1)


def torchao_mx(inputs: Floats, name: str) -> Arrays:
    """Scale bytes, element codes and dequantised values: rows, modes, blocks or columns."""
    scales, codes, values = [], [], []
    kind = TORCHAO_TYPES[name]
    for mode in MODES:
        scale, data = to_mx(torch.tensor(inputs), kind, MX_BLOCK, mode)
        restored = to_dtype(data, scale, kind, MX_BLOCK, torch.float32)
        raw = data.view(torch.uint8)
        scales.append(scale.view(torch.uint8).numpy())
        codes.append((unpack_uint4(raw) if name == "fp4_e2m1" else raw).numpy())
        values.append(plain(restored))
    return {
        f"torchao_{name}_scales": np.stack(scales, axis=1),
        f"torchao_{name}_codes": np.stack(codes, axis=1),
        f"torchao_{name}_values": np.stack(values, axis=1),
    }


def per_tensor_scale(row: torch.Tensor, scaling: str) -> torch.Tensor | None:
    """The row's per-tensor scale, or None where there is none."""
    if scaling == "none":
        return None
    if scaling == "fixed":
        return torch.tensor(FIXED_SCALE, dtype=torch.float32)
    return per_tensor_amax_to_scale(row.abs().amax())


def torchao_nvfp4(inputs: Floats) -> Arrays:
    """Per-tensor scales, block-scale bytes, element codes, values; each row is one tensor."""
    tensor_scales, block_scales, codes, values = [], [], [], []
    for row in torch.tensor(inputs):
        for scaling in SCALINGS:
            outer = per_tensor_scale(row, scaling)
            scale, packed = nvfp4_quantize(row[None], NVFP4_BLOCK, outer)
            restored = NVFP4Tensor.to_nvfp4(row[None], NVFP4_BLOCK, outer).dequantize()
            tensor_scales.append(np.float32(np.nan if outer is None else outer.item()))
            block_scales.append(scale.view(torch.uint8).numpy().reshape(-1))
            codes.append(unpack_uint4(packed).numpy().reshape(-1))
            values.append(plain(restored).reshape(-1))
    shape = (len(inputs), len(SCALINGS))
    return {
        "per_tensor_scale": np.reshape(tensor_scales, shape),
        "block_scales": np.reshape(block_scales, (*shape, -1)),
        "codes": np.reshape(codes, (*shape, -1)),
        "values": np.reshape(values, (*shape, -1)),
    }


def versions() -> npt.NDArray[np.str_]:
    """Versions of what made the files."""
    return np.array([f"{name} {version(name)}" for name in ("torch", "torchao", "numpy")])


def mx_arrays(quantize: Callable[..., torch.Tensor]) -> Arrays:
    """What mx.npz holds."""
    inputs, cases = mx_inputs()
    ragged = ragged_inputs()
    arrays: Arrays = {
        "versions": versions(),
        "inputs": inputs,
        "cases": cases,
        "ragged_inputs": ragged,
        "roundings": np.array(ROUNDINGS),
        "flushes": np.array(FLUSHES),
        "modes": np.array([mode.name for mode in MODES]),
    }
    for name in (*MINIFLOATS, *INTEGER_BITS):
        arrays[f"microxcaling_{name}"] = microxcaling_values(quantize, inputs, name)
        arrays[f"microxcaling_{name}_ragged"] = microxcaling_values(quantize, ragged, name)
    for name in TORCHAO_TYPES:
        arrays |= torchao_mx(inputs, name)
    return arrays


def nvfp4_arrays() -> Arrays:
    """What nvfp4.npz holds."""
    inputs, cases = nvfp4_inputs()
    return {
        "versions": versions(),
        "inputs": inputs,
        "cases": cases,
        "scalings": np.array(SCALINGS),
        **torchao_nvfp4(inputs),
    }


def main() -> None:
    """Writes both files and prints what they hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--microxcaling", type=Path, required=True, help="folder of a checkout")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="output folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quantize = load_microxcaling(arguments.microxcaling)
    for name, arrays in (("mx", mx_arrays(quantize)), ("nvfp4", nvfp4_arrays())):
        path = arguments.out / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {path.stat().st_size:,} bytes")
        for key, array in arrays.items():
            print(f"  {key}: {array.dtype} {array.shape}")


if __name__ == "__main__":
    main()

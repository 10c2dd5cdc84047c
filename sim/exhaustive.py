"""Every pair of codes through the hardware's product, in one compiled simulation.

All format pairs share one design and one Verilator build, whose harness writes the products
of all 65,536 pairs of bytes to a file; the comparison with the golden values is numpy's.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from amaranth.back import verilog as amaranth_verilog
from amaranth.hdl import Cat, Module, Signal

from hwgen.arithmetic.product import exact_product
from hwgen.errors import ToolError
from hwgen.spec import DotProduct
from sim.exact import fixed_point
from sim.verification import BUILD_FLAGS, require_tools, verilator_environment

WORD_BITS = 32


def product_mismatches(specs: Sequence[DotProduct]) -> dict[str, list[tuple[int, int, int, int]]]:
    """For each spec's name the wrong products, as (code a, code b, expected, got).

    All codes of ``spec.a`` times all codes of ``spec.b``; products in units of
    2**spec.lsb_exponent. ToolError if the simulator fails.
    """
    words = [-(-spec.product_width // WORD_BITS) for spec in specs]
    table = _simulate(_products_verilog(specs, words), sum(words))
    wrong: dict[str, list[tuple[int, int, int, int]]] = {}
    first = 0
    for spec, count in zip(specs, words, strict=True):
        a_codes, b_codes = np.arange(2**spec.a.bits), np.arange(2**spec.b.bits)
        got = table[: len(a_codes), : len(b_codes), first : first + count].astype(object)
        value = sum(got[..., i] << (WORD_BITS * i) for i in range(count))
        value = np.where(value >> (WORD_BITS * count - 1), value - (1 << WORD_BITS * count), value)
        x = fixed_point(spec.a, spec.a.decode(a_codes)).astype(object)
        y = fixed_point(spec.b, spec.b.decode(b_codes)).astype(object)
        expected = x[:, None] * y[None, :]
        wrong[spec.name] = [
            (int(i), int(j), int(expected[i, j]), int(value[i, j]))
            for i, j in np.argwhere(value != expected)
        ]
        first += count
    return wrong


def _products_verilog(specs: Sequence[DotProduct], words: Sequence[int]) -> str:
    """A module with bytes ``a`` and ``b`` and all products, each in whole words."""
    m = Module()
    a, b = Signal(8, name="a"), Signal(8, name="b")
    fields = []
    for index, (spec, count) in enumerate(zip(specs, words, strict=True)):
        name = f"product_{index}_{spec.a}_{spec.b}"
        product, _ = exact_product(m, a[: spec.a.bits], b[: spec.b.bits], spec.a, spec.b, name)
        field = Signal(WORD_BITS * count, name=f"field_{index}")
        m.d.comb += field.eq(product)
        fields.append(field)
    # Verilator gives ports of more than two words the type that the harness reads.
    products = Signal(max(sum(words), 3) * WORD_BITS)
    m.d.comb += products.eq(Cat(*fields))
    return str(
        amaranth_verilog.convert(m, name="exhaustive", ports=[a, b, products], emit_src=False)
    )


def _simulate(verilog: str, words: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint32]]:
    """The products of all pairs of bytes, (256, 256, words) uint32."""
    require_tools()
    harness = resources.files("sim").joinpath("exhaustive.cpp")
    with (
        tempfile.TemporaryDirectory(prefix="hwgen-") as name,
        verilator_environment(),
        resources.as_file(harness) as main,
    ):
        folder = Path(name)
        design, output = folder / "design.v", folder / "products.bin"
        design.write_text(verilog)
        command = [
            *("verilator", "--cc", "--exe", "--build", "-j", "2", "--top-module", "exhaustive"),
            *("-Mdir", str(folder / "build"), "-o", "harness", *BUILD_FLAGS),
            *(str(design), str(main)),
        ]
        for step in (command, [str(folder / "build" / "harness"), str(output)]):
            done = subprocess.run(step, capture_output=True, text=True)
            if done.returncode:
                raise ToolError(f"{step[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
        table = np.fromfile(output, dtype="<u4").reshape(256, 256, -1)
    return table[:, :, :words]

"""The cocotb bench: drives a stimulus and compares every cycle with what is expected.

Runs inside the simulator, started by :mod:`sim.verification`, which passes a file of cycles
(``HWGEN_CYCLES``) and a place for the result (``HWGEN_RESULT``) in the environment.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

#: Mismatches that are shown one by one; all are counted.
SHOWN = 20


async def reset_after(dut: Any, drive: Sequence[Any], work: Sequence[Sequence[int]]) -> None:
    """A reset in the middle of work: a unit that keeps anything of it that counts shows it."""
    dut.rst.value = 0
    for values in work:
        for port, value in zip(drive, values, strict=True):
            port.value = value
        await FallingEdge(dut.clk)
    dut.rst.value = 1  # While the last input is still there.
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def every_cycle(dut: Any) -> None:
    """All outputs after every clock edge."""
    # Written by the process that started the simulation, in its own temporary folder.
    cycles = pickle.loads(Path(os.environ["HWGEN_CYCLES"]).read_bytes())
    inputs, outputs = cycles["inputs"], cycles["outputs"]
    drive = [getattr(dut, name) for name in inputs]
    watch = [getattr(dut, name) for name in outputs]

    rows = list(zip(*outputs.values(), strict=True))
    driven = list(zip(*inputs.values(), strict=True)) if inputs else [()] * len(rows)
    Clock(dut.clk, 2, unit="step").start(start_high=False)
    await reset_after(dut, drive, driven[slice(*cycles["work"])])

    # Everything happens at the falling edge: outputs have settled since the rising edge,
    # and inputs are stable long before the next.
    mismatches = 0
    shown: list[dict[str, Any]] = []
    for cycle, (values, expected) in enumerate(zip(driven, rows, strict=True)):
        for port, value in zip(drive, values, strict=True):
            port.value = value
        await FallingEdge(dut.clk)
        got = tuple([int(port.value) if port.value.is_resolvable else None for port in watch])
        if got != expected and any(
            wanted is not None and wanted != value
            for value, wanted in zip(got, expected, strict=True)
        ):
            mismatches += 1
            if len(shown) < SHOWN:
                shown.append({"cycle": cycle, "got": dict(zip(outputs, got, strict=True))})
    result = {"cycles": cycle + 1, "mismatches": mismatches, "shown": shown}
    Path(os.environ["HWGEN_RESULT"]).write_text(json.dumps(result))
    assert mismatches == 0, f"{mismatches} of {cycle + 1} cycles differ"

"""The cocotb bench of mutants: one after the other, each until its first wrong cycle.

Started by :mod:`sim.mutation` as ``sim.bench`` is by ``sim.verification``.
"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from sim.bench import reset_after


@cocotb.test()
async def every_mutant(dut: Any) -> None:
    """The first wrong cycle of each mutant, or null; mutant 0 is the design as it is."""
    # Written by the process that started the simulation, in its own temporary folder.
    job = pickle.loads(Path(os.environ["HWGEN_CYCLES"]).read_bytes())
    drive = [getattr(dut, name) for name in job["inputs"]]
    watch = [getattr(dut, name) for name in job["outputs"]]
    driven = list(zip(*job["inputs"].values(), strict=True))
    wanted = list(zip(*job["outputs"].values(), strict=True))

    Clock(dut.clk, 2, unit="step").start(start_high=False)
    first_wrong: list[int | None] = []
    for mutant in range(job["mutants"] + 1):
        dut.mutant.value = mutant
        await reset_after(dut, drive, driven[slice(*job["work"])])
        wrong_cycle = None
        for cycle, (values, expected) in enumerate(zip(driven, wanted, strict=True)):
            for port, value in zip(drive, values, strict=True):
                port.value = value
            await FallingEdge(dut.clk)
            if any(
                want is not None and int(port.value) != want
                for port, want in zip(watch, expected, strict=True)
            ):
                wrong_cycle = cycle
                break
        first_wrong.append(wrong_cycle)
    Path(os.environ["HWGEN_RESULT"]).write_text(json.dumps({"first_wrong": first_wrong}))

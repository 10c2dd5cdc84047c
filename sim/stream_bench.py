"""The cocotb bench of the AXI4-Stream form: gaps, back-pressure, and the protocol's rules.

Runs inside the simulator, started by :mod:`sim.stream`, which passes a file
(``HWGEN_CYCLES``) and a place for the result (``HWGEN_RESULT``) in the environment. The file:
``data``, ``last``: the beats to send; ``expected``: TDATA of their results; ``offer``,
``accept``: whether, in each cycle, the source would offer a beat and the sink takes one (always
after the last of them); ``latency``.
"""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from sim.bench import KEPT

#: Cycles without a result, beyond the latency, after which nothing more is expected.
PATIENCE = 64


@cocotb.test()
async def every_beat(dut: Any) -> None:
    """All results, in order, and what the receiver may rely on while it waits."""
    # Written by the process that started the simulation, in its own temporary folder.
    job = pickle.loads(Path(os.environ["HWGEN_CYCLES"]).read_bytes())
    data, last, expected = job["data"], job["last"], job["expected"]
    offer, accept, latency = job["offer"], job["accept"], job["latency"]

    mismatches = 0
    kept: list[dict[str, Any]] = []

    def fault(rule: str, wanted: Any, got: Any) -> None:
        nonlocal mismatches
        mismatches += 1
        if len(kept) < KEPT:
            kept.append(
                {"cycle": cycle, "beat": received, "rule": rule, "expected": wanted, "got": got}
            )

    for name in ("s_axis_tvalid", "s_axis_tdata", "s_axis_tlast", "m_axis_tready"):
        getattr(dut, name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, 2, unit="step").start(start_high=False)
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0

    cycle = sent = received = 0
    offered = False
    waiting: tuple[int, int] | None = None  # What the receiver saw and has not taken.
    flowing = idle = 0
    while received < len(data) and idle < PATIENCE + latency:
        # A source must not take back what it has offered.
        asked = cycle >= len(offer) or offer[cycle]
        offered = sent < len(data) and (offered or asked)
        ready = cycle >= len(accept) or accept[cycle]
        dut.s_axis_tvalid.value = int(offered)
        if offered:
            dut.s_axis_tdata.value = data[sent]
            dut.s_axis_tlast.value = last[sent]
        dut.m_axis_tready.value = int(ready)
        # Both sides' answers, settled, as the next rising edge finds them.
        await ReadOnly()
        taken = offered and bool(int(dut.s_axis_tready.value))
        valid = bool(int(dut.m_axis_tvalid.value))
        seen = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value))
        if waiting is not None and not valid:
            fault("tvalid stays until tready", 1, 0)
        elif waiting is not None and seen != waiting:
            fault("tdata and tlast stand still until tready", waiting, seen)
        if valid and received >= sent:
            fault("a result belongs to a beat that was sent", None, seen)
            break
        # Where both sides always agree, every cycle has a result once the first has come.
        flowing = flowing + 1 if offered and ready else 0
        if flowing > latency + 1 and not valid:
            fault("a result every cycle where nothing waits", 1, 0)
        if valid and ready:
            wanted = (expected[received], last[received])
            if seen != wanted:
                fault("result", wanted, seen)
            received += 1
        waiting = seen if valid and not ready else None
        # Nothing is due while all that was sent has come back and no more is offered.
        due = offered or received < sent
        idle = 0 if valid or taken or not ready or not due else idle + 1
        if taken:
            sent += 1
            offered = False
        cycle += 1
        await FallingEdge(dut.clk)
    if received < len(data):
        fault("every beat has a result", len(data), received)
    result = {"cycles": cycle, "beats": received, "mismatches": mismatches, "kept": kept}
    Path(os.environ["HWGEN_RESULT"]).write_text(json.dumps(result))
    assert mismatches == 0, f"{mismatches} faults in {cycle} cycles"

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from sim.bench import SHOWN

#: Cycles without a result, beyond the latency, after which nothing more is expected.
PATIENCE = 64


class Check:
    """What the receiver sees, cycle by cycle, against the rules and the ``expected`` beats.

    ``received``: results that were taken; ``idle``: cycles since something last moved, of those
    in which a result was due; ``shown``: the first of the ``mismatches``, as rows of
    ``sim.stream.Fault``.
    """

    def __init__(self, expected: Sequence[tuple[int, int]], latency: int) -> None:
        self.expected, self.latency = expected, latency
        self.cycle = self.received = self.idle = self.mismatches = 0
        self.shown: list[dict[str, Any]] = []
        self._waiting: tuple[int, int] | None = None  # What the receiver saw and has not taken.
        self._flowing = 0

    def fault(self, rule: str, wanted: Any, got: Any) -> None:
        """Counts a fault, and keeps the first ones."""
        self.mismatches += 1
        if len(self.shown) < SHOWN:
            place = {"cycle": self.cycle, "beat": self.received}
            self.shown.append({**place, "rule": rule, "expected": wanted, "got": got})

    def see(self, beat: tuple[int, int] | None, sent: int, offered: bool, ready: bool) -> bool:
        """One cycle: the ``beat`` that is valid, if one is, after so many were ``sent``.

        ``offered`` and ``ready``: what the source and the receiver do in it. False where a result
        comes that belongs to nothing: what comes then cannot be told apart any more.
        """
        if self._waiting is not None and beat is None:
            self.fault("tvalid stays until tready", 1, 0)
        elif self._waiting is not None and beat != self._waiting:
            self.fault("tdata and tlast stand still until tready", self._waiting, beat)
        if beat is not None and self.received >= sent:
            self.fault("a result belongs to a beat that was sent", None, beat)
            return False
        # Where both sides always agree, every cycle has a result once the first has come.
        self._flowing = self._flowing + 1 if offered and ready else 0
        if self._flowing > self.latency + 1 and beat is None:
            self.fault("a result every cycle where nothing waits", 1, 0)
        if beat is not None and ready:
            if beat != self.expected[self.received]:
                self.fault("result", self.expected[self.received], beat)
            self.received += 1
        self._waiting = None if ready else beat
        return True

    @property
    def is_patient(self) -> bool:
        """Results are missing, and may still come."""
        return self.received < len(self.expected) and self.idle < PATIENCE + self.latency


async def reset(dut: Any) -> None:
    """Starts the clock and resets the unit, with both sides at rest."""
    for name in ("s_axis_tvalid", "s_axis_tdata", "s_axis_tlast", "m_axis_tready"):
        getattr(dut, name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, 2, unit="step").start(start_high=False)
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def every_beat(dut: Any) -> None:
    """All results, in order, and what the receiver may rely on while it waits."""
    # Written by the process that started the simulation, in its own temporary folder.
    job = pickle.loads(Path(os.environ["HWGEN_CYCLES"]).read_bytes())
    data, last, offer, accept = job["data"], job["last"], job["offer"], job["accept"]
    check = Check(list(zip(job["expected"], last, strict=True)), job["latency"])
    await reset(dut)
    sent, offered = 0, False
    while check.is_patient:
        # A source must not take back what it has offered.
        asked = check.cycle >= len(offer) or offer[check.cycle]
        offered = sent < len(data) and (offered or asked)
        ready = check.cycle >= len(accept) or accept[check.cycle]
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
        if not check.see(seen if valid else None, sent, offered, ready):
            break
        # Nothing is due while all that was sent has come back and no more is offered.
        is_due = offered or check.received < sent
        check.idle = 0 if valid or taken or not ready or not is_due else check.idle + 1
        if taken:
            sent += 1
            offered = False
        check.cycle += 1
        await FallingEdge(dut.clk)
    if check.received < len(data):
        check.fault("every beat has a result", len(data), check.received)
    result = {
        **{"cycles": check.cycle, "beats": check.received},
        **{"mismatches": check.mismatches, "shown": check.shown},
    }
    Path(os.environ["HWGEN_RESULT"]).write_text(json.dumps(result))
    assert check.mismatches == 0, f"{check.mismatches} faults in {check.cycle} cycles"

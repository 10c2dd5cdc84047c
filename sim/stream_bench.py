"""The cocotb bench of the AXI4-Stream form: gaps, back-pressure, and the protocol's rules.

Runs inside the simulator, started by :mod:`sim.stream`, which passes a file
(``HWGEN_CYCLES``) and a place for the result (``HWGEN_RESULT``) in the environment. The file:
``sent``: the fields of each ``Source``; ``expected``: TDATA and TLAST of the results; ``due``: how
many results there can be once so many beats of the first source are in; ``accept``: whether, in
each cycle, the sink takes a beat (as sources offer one: always after the last of them);
``latency``.
"""

from __future__ import annotations

import dataclasses
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
        """One cycle: the ``beat`` that is valid, if one is, of so many that have been ``sent``.

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


@dataclasses.dataclass
class Source:
    """A sender at the pins that begin with ``axis``: what it has offered it does not take back.

    ``data``, ``last``: TDATA and TLAST of its beats (None: it has no TLAST); ``offer``: whether it
    would offer one in each cycle.
    """

    axis: str
    data: Sequence[int]
    last: Sequence[int] | None
    offer: Sequence[bool]
    sent: int = 0
    offered: bool = False

    def drive(self, dut: Any, cycle: int) -> None:
        """Sets its pins for the cycle."""
        asked = cycle >= len(self.offer) or self.offer[cycle]
        self.offered = self.sent < len(self.data) and (self.offered or asked)
        getattr(dut, f"{self.axis}_tvalid").value = int(self.offered)
        if self.offered:
            getattr(dut, f"{self.axis}_tdata").value = self.data[self.sent]
            if self.last is not None:
                getattr(dut, f"{self.axis}_tlast").value = self.last[self.sent]

    def is_taken(self, dut: Any) -> bool:
        """Whether its beat goes in at the end of the cycle."""
        return self.offered and bool(int(getattr(dut, f"{self.axis}_tready").value))

    def next(self) -> None:
        """The beat is in."""
        self.sent += 1
        self.offered = False


async def reset(dut: Any, sources: Sequence[Source]) -> None:
    """Starts the clock and resets the unit, with all sides at rest."""
    dut.m_axis_tready.value = 0
    for source in sources:
        getattr(dut, f"{source.axis}_tvalid").value = 0
        getattr(dut, f"{source.axis}_tdata").value = 0
        if source.last is not None:
            getattr(dut, f"{source.axis}_tlast").value = 0
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
    sources, accept, due = [Source(**sent) for sent in job["sent"]], job["accept"], job["due"]
    first = sources[0]
    check = Check(job["expected"], job["latency"])
    await reset(dut, sources)
    while check.is_patient:
        for source in sources:
            source.drive(dut, check.cycle)
        ready = check.cycle >= len(accept) or accept[check.cycle]
        dut.m_axis_tready.value = int(ready)
        # All sides' answers, settled, as the next rising edge finds them.
        await ReadOnly()
        taken = [source for source in sources if source.is_taken(dut)]
        valid = bool(int(dut.m_axis_tvalid.value))
        seen = (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value))
        # Of several streams one may have to wait for another.
        flows = first.offered and len(sources) == 1
        if not check.see(seen if valid else None, due[first.sent], flows, ready):
            break
        # Nothing is due while all that was sent has come back and no more is offered.
        is_due = any(source.offered for source in sources) or check.received < due[first.sent]
        check.idle = 0 if valid or taken or not ready or not is_due else check.idle + 1
        for source in taken:
            source.next()
        check.cycle += 1
        await FallingEdge(dut.clk)
    if check.received < len(check.expected):
        check.fault("every beat has a result", len(check.expected), check.received)
    result = {
        **{"cycles": check.cycle, "beats": check.received},
        **{"mismatches": check.mismatches, "shown": check.shown},
    }
    Path(os.environ["HWGEN_RESULT"]).write_text(json.dumps(result))
    assert check.mismatches == 0, f"{check.mismatches} faults in {check.cycle} cycles"

"""Runs the AXI4-Stream form of a unit against the golden model, with gaps and back-pressure."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen import emit
from hwgen.pins import module_name, pins
from hwgen.spec import Port, Spec
from hwgen.units.stream import sign_fills, tdata_places, tdata_width
from sim import golden, stimulus, unit_model
from sim.verification import DEFAULT_VECTORS, pack, require_counts, run_bench, simulator

#: Cycles in which a source and a sink keep their mood.
MOOD_CYCLES = 24
#: The moods: chances that a beat is offered, or taken, in a cycle.
MOODS = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Fault:
    """A result that is wrong, or a rule of the protocol that was broken.

    ``beat``: how many results had come; ``expected``, ``got``: TDATA and TLAST, or what the
    rule is about.
    """

    cycle: int
    beat: int
    rule: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return (
            f"cycle {self.cycle}, beat {self.beat}: {self.rule}: expected {self.expected} "
            f"got {self.got}"
        )


@dataclass(frozen=True)
class StreamVerification:
    """Outcome of a run: ``vectors`` beats came out in ``cycles`` clock cycles.

    ``mismatches`` counts wrong results and broken rules, ``shown`` has the first of them.
    """

    spec: dict[str, Any]
    vectors: int
    cycles: int
    mismatches: int
    seed: int
    seconds: float
    simulator: str
    shown: tuple[Fault, ...] = ()

    @property
    def passed(self) -> bool:
        """Every beat came out right and no rule was broken."""
        return self.mismatches == 0 and self.vectors > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "passed": self.passed}


@dataclass(frozen=True)
class Beats:
    """Beats in, TDATA and TLAST of each stream, by what its pins' names begin with, and results.

    ``due``: how many results there can be at most, once so many beats of the first stream are in.
    """

    sent: dict[str, tuple[list[int], list[int] | None]]
    results: tuple[list[int], list[int]]
    due: list[int]


def beats(spec: Spec, vectors: int, rng: np.random.Generator, seed: int) -> Beats:
    """Directed extremes and ``vectors`` random beats, or what a unit makes of so many inputs."""
    drawn = stimulus.beats(spec, vectors, seed)
    streamed = unit_model.of(spec).streamed(spec, drawn, rng)
    last = streamed.last.astype(int)
    sent = {}
    for stream in spec.input_streams:
        cycles = streamed.taken[stream.name]
        inputs = {port.name: streamed.inputs[port.name][cycles] for port in stream.ports}
        sent[stream.axis] = (
            tdata(stream.ports, inputs),
            last[cycles].tolist() if stream.last else None,
        )
    expected = golden.expected(spec, streamed.inputs)
    answered = streamed.answered
    outputs = {name: words[answered] for name, words in expected.items()}
    first = streamed.taken[spec.input_streams[0].name]
    return Beats(
        sent=sent,
        results=(tdata(spec.outputs, outputs), last[answered].tolist()),
        due=[0, *np.searchsorted(answered, first, side="right").tolist()],
    )


def verify_stream(
    spec: Spec,
    *,
    vectors: int = DEFAULT_VECTORS,
    seed: int = 1,
    verilog: str | None = None,
    waits: bool = True,
) -> StreamVerification:
    """Simulates the AXI4-Stream form of a unit, and compares it with the golden model.

    It gets directed extremes and ``vectors`` random beats, with gaps on every stream and
    back-pressure from ``seed``; without ``waits`` everything is offered, and taken, at once.
    Checked are every result and its TLAST, in order; that TVALID stays and TDATA and
    TLAST stand still until TREADY (Arm IHI 0051); that nothing comes that was not sent; and, of a
    unit with one input, a result every cycle where neither side waits. ``verilog`` stands in for
    the unit's own.

    InputError for bad counts, ToolError as for ``sim.verification.run_bench``.
    """
    require_counts(vectors, seed)
    started = time.monotonic()
    rng = np.random.default_rng([seed, 1])
    given = beats(spec, vectors, rng, seed)
    # Long enough for all beats at the mean mood; after that both sides go on without a stop.
    cycles = 2 * max(len(data) for data, _ in given.sent.values()) if waits else 0
    result = run_bench(
        verilog if verilog is not None else emit.verilog(spec, stream=True),
        module_name(spec, stream=True),
        [pin.name for pin in pins(spec, stream=True)],
        {
            "sent": [
                {"axis": axis, "data": data, "last": last, "offer": _moods(rng, cycles)}
                for axis, (data, last) in given.sent.items()
            ],
            "expected": list(zip(*given.results, strict=True)),
            "due": given.due,
            "accept": _moods(rng, cycles),
            "latency": spec.latency,
        },
        bench="sim.stream_bench",
    )
    return StreamVerification(
        spec=spec.to_dict(),
        vectors=result["beats"],
        cycles=result["cycles"],
        mismatches=result["mismatches"],
        seed=seed,
        seconds=round(time.monotonic() - started, 2),
        simulator=simulator(),
        shown=tuple(Fault(**fault) for fault in result["shown"]),
    )


def tdata(ports: tuple[Port, ...], patterns: dict[str, npt.NDArray[Any]]) -> list[int]:
    """TDATA of each row of patterns, (beats, count) of each port, as ``units.stream`` packs it."""
    places, width = tdata_places(ports), tdata_width(ports)
    packed = {port.name: pack(patterns[port.name], port.bits) for port in ports}
    words = [
        sum(number << place for number, place in zip(row, places.values(), strict=True))
        for row in zip(*(packed[name] for name in places), strict=True)
    ]
    if not sign_fills(ports):
        return words
    used = sum(port.width for port in ports)
    fill = (1 << width) - (1 << used)
    return [word | fill if word >> (used - 1) else word for word in words]


def _moods(rng: np.random.Generator, cycles: int) -> list[bool]:
    """What a side does in each cycle: its mood changes from time to time."""
    moods = rng.choice(MOODS, -(-cycles // MOOD_CYCLES))
    chance = np.repeat(moods, MOOD_CYCLES)[:cycles]
    return [bool(v) for v in rng.random(cycles) < chance]

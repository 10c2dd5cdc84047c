"""What the AXI4-Stream form of any unit keeps to (Arm IHI 0051), in claims of its pins.

The state of the wrapper and its unit is read by draining it: with no input and a receiver that
is always ready, the beats that come out are those that it holds, in their order. One cycle
from any state may take a beat from the head of that queue and put one at its end, and must not
change it otherwise. So nothing is lost, repeated, reordered or changed, ever.

Of several input streams the first has the beats that results belong to; the result is that of
whatever the others offer beside it, and of what came in before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from hwgen.spec import Spec
from sim.formal.aig import FALSE, TRUE, Aig
from sim.formal.circuit import Circuit, Words
from sim.formal.run import Run, Start, compared, run
from sim.formal.solve import Claim

#: Up to so many bits that say where beats are, each of their values is a case.
MOST_SPLIT = 12


@dataclass(frozen=True)
class Beat:
    """``is_present``, and if so what it carries."""

    is_present: int
    payload: list[int]


def _idle(spec: Spec) -> dict[str, list[int]]:
    nothing = {f"{stream.axis}_tvalid": [FALSE] for stream in spec.input_streams}
    return {"rst": [FALSE], **nothing, "m_axis_tready": [TRUE]}


def stream_claims(start: Start, spec: Spec, circuit: Circuit) -> Iterable[Claim]:
    """See the module. ``places``: as many cycles as the wrapper can hold beats for."""
    places, idle = spec.latency + 1, _idle(spec)
    state = start.state(circuit, "state")
    yield from _handshake(start, spec, circuit, state)
    yield from _reset(start, spec, circuit, places)

    aig = start.aig
    drained = run(start, circuit, [idle] * (places + 1), "held", state=state)
    before = [_offered(outputs) for outputs in drained.outputs]
    ports = {"m_axis_tvalid": ([before[places].is_present], [FALSE])}
    yield compared("drained", start, [*start.cycles, *drained.inputs], ports)

    step = run(start, circuit, [{"rst": [FALSE]}, *[idle] * places], "step", state=state)
    after = [_offered(outputs) for outputs in step.outputs[1:]]
    taken = aig.and_(step.inputs[0]["m_axis_tready"][0], step.outputs[0]["m_axis_tvalid"][0])
    axis = spec.input_streams[0].axis
    accepted = aig.and_(step.inputs[0][f"{axis}_tvalid"][0], step.outputs[0][f"{axis}_tready"][0])
    if spec.answers_last_only:
        accepted = aig.and_(accepted, step.inputs[0][f"{axis}_tlast"][0])
    new = _new_beat(start, spec, circuit, state, step, places)
    first = [Beat(taken, _offered(step.outputs[0]).payload)]
    # What the queue held and what comes in is, in this order, what leaves and what stays.
    old_queue = _queue(aig, [*before[:places], Beat(accepted, new)])
    new_queue = _queue(aig, [*first, *after])
    count = max(len(old_queue), len(new_queue))
    nothing = Beat(FALSE, [FALSE] * len(new))
    old_queue += [nothing] * (count - len(old_queue))
    new_queue += [nothing] * (count - len(new_queue))
    beats = {}
    for place, (expected, got) in enumerate(zip(old_queue, new_queue, strict=True)):
        beats[f"beat {place} is present"] = ([got.is_present], [expected.is_present])
        beats[f"beat {place}"] = (got.payload, expected.payload)
    claim = compared("queue", start, [*start.cycles, *step.inputs], beats)
    decides = [accepted, taken, *(beat.is_present for beat in (*before, *after))]
    cases = cases_of(aig, decides)
    yield Claim(claim.name, aig, claim.pairs, cases, claim.cycles, claim.outputs)


def cases_of(aig: Aig, literals: Sequence[int]) -> list[dict[int, int]]:
    """Every value of the inputs that ``literals`` depend on.

    Where is a beat, and does it move? In each case most beats are the same logic of the same
    registers on both sides.
    """
    inputs = aig.support(literals)
    if len(inputs) > MOST_SPLIT:
        return [{}]
    return [
        dict(zip(inputs, values, strict=True)) for values in product((0, 1), repeat=len(inputs))
    ]


def _handshake(start: Start, spec: Spec, circuit: Circuit, state: Sequence[int]) -> Iterable[Claim]:
    aig = start.aig
    trace = run(start, circuit, [{"rst": [FALSE]}, {"rst": [FALSE]}], "offer", state=state)
    cycles = [*start.cycles, *trace.inputs]
    # VALID waits for READY with everything beside it (IHI 0051 section 2.2).
    first, second = (_offered(outputs) for outputs in trace.outputs)
    waits = aig.and_(first.is_present, trace.inputs[0]["m_axis_tready"][0] ^ 1)
    ports = {
        "m_axis_tvalid stays": ([aig.and_(waits, second.is_present ^ 1)], [FALSE]),
        "m_axis_tdata and m_axis_tlast stay": (
            [
                aig.and_(waits, aig.xor(x, y))
                for x, y in zip(first.payload, second.payload, strict=True)
            ],
            [FALSE] * len(first.payload),
        ),
    }
    yield compared("offer stays", start, cycles, ports)
    # A sender must not wait for READY: not of this cycle either.
    ready = trace.inputs[0]["m_axis_tready"][0]
    outputs = trace.outputs[0]
    senders = [stream.axis for stream in spec.input_streams]
    literals = [outputs["m_axis_tvalid"][0], *(outputs[f"{axis}_tready"][0] for axis in senders)]
    low, high = (aig.substituted(literals, {ready >> 1: value}) for value in (FALSE, TRUE))
    ports = {"m_axis_tvalid and s_axis_tready for m_axis_tready low and high": (low, high)}
    yield compared("no path from tready", start, cycles, ports)
    # Where the receiver was ready, or nothing was offered, the sender is not kept waiting; of
    # several that all have something, one.
    free = aig.or_(ready, first.is_present ^ 1)
    refused = aig.and_(free, aig.any(trace.outputs[1][f"{axis}_tready"][0] for axis in senders) ^ 1)
    if len(senders) > 1:
        for axis in senders:
            refused = aig.and_(refused, trace.inputs[1][f"{axis}_tvalid"][0])
    yield compared("progress", start, cycles, {"s_axis_tready comes back": ([refused], [FALSE])})


def _reset(start: Start, spec: Spec, circuit: Circuit, places: int) -> Iterable[Claim]:
    trace = run(start, circuit, [{"rst": [TRUE]}, *[_idle(spec)] * (places + 1)], "reset")
    valid = [outputs["m_axis_tvalid"][0] for outputs in trace.outputs[1:]]
    ports = {"m_axis_tvalid": (valid, [FALSE] * len(valid))}
    if len(spec.input_streams) == 1:  # Of several one may wait for another.
        ports["s_axis_tready"] = (trace.outputs[1]["s_axis_tready"], [TRUE])
    yield compared("reset", start, [*start.cycles, *trace.inputs], ports)


def _offered(outputs: Words) -> Beat:
    payload = [*outputs["m_axis_tdata"], *outputs["m_axis_tlast"]]
    return Beat(outputs["m_axis_tvalid"][0], payload)


def _new_beat(
    start: Start, spec: Spec, circuit: Circuit, state: Sequence[int], step: Run, places: int
) -> list[int]:
    """What the beat that is offered in the ``step`` becomes where nothing ever waits.

    That is what the unit makes of it (``reference``), and its own TLAST. Without a stop the results
    come out as many cycles after their inputs as there are registers in between, however many
    cycles the draining takes.
    """
    idle = _idle(spec)
    free = {"rst": [FALSE], "m_axis_tready": [TRUE]}
    given = {name: pins for name, pins in step.inputs[0].items() if name not in free}
    straight = run(start, circuit, [{**free, **given}, *[idle] * places], "straight", state=state)
    data = straight.outputs[places - 1]["m_axis_tdata"]
    return [*data, *step.inputs[0][f"{spec.input_streams[0].axis}_tlast"]]


def _queue(aig: Aig, beats: Sequence[Beat]) -> list[Beat]:
    """Those that are there, in their order, without the gaps."""
    queue: list[Beat] = []
    for beat in reversed(beats):
        # A beat in front moves all behind it by one place.
        moved = [beat, *queue]
        nothing = Beat(FALSE, [FALSE] * len(beat.payload))
        same = [*queue, nothing]
        queue = [
            Beat(
                aig.mux(beat.is_present, x.is_present, y.is_present),
                [aig.mux(beat.is_present, p, q) for p, q in zip(x.payload, y.payload, strict=True)],
            )
            for x, y in zip(moved, same, strict=True)
        ]
    # Where nothing is there the payload is nothing too: then equal queues have equal words.
    return [Beat(b.is_present, [aig.and_(b.is_present, bit) for bit in b.payload]) for b in queue]

"""A unit between two streams: ready and valid on both sides, nothing lost or repeated.

``StreamUnit`` has Amaranth's streams and goes into Amaranth designs; ``AxiStreamUnit`` has
AXI4-Stream ports (Arm IHI 0051) and goes into Verilog.

Back-pressure stops the unit by its clock enable. The enable is a register, not the receiver's
``ready``: a beat that leaves the unit while the receiver is not ready is held in a spare
register, and the unit stands still from the next cycle on. So no combinational path leads from
one side to the other, the enable has a register's full cycle to reach the whole pipeline, and
a result moves in every cycle in which the receiver is ready. The price is one register and one
multiplexer of the results' width, which of most units is narrower than their inputs.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out

from hwgen import units
from hwgen.spec.base import Port, Spec

BYTE = 8


def beat_layout(ports: tuple[Port, ...], *, has_last: bool = True) -> StructLayout:
    """One beat: ``data`` with a field a port, the first in the lowest bits; and ``last``."""
    data = StructLayout({port.name: Shape(port.width, port.is_signed_number) for port in ports})
    return StructLayout({"data": data, "last": 1} if has_last else {"data": data})


def tdata_places(ports: tuple[Port, ...]) -> dict[str, int]:
    """The lowest bit of each port in TDATA, by name."""
    places, place = {}, 0
    for port in ports:
        places[port.name] = place
        place += port.width
    return places


def tdata_width(ports: tuple[Port, ...]) -> int:
    """Bits of TDATA: the ports' together, filled up to whole bytes."""
    return -(-sum(port.width for port in ports) // BYTE) * BYTE


class StreamUnit(wiring.Component):
    """Hardware of any spec; initiation interval 1.

    Ports
    -----
    inputs : In(stream.Signature(beat_layout(spec.inputs)))
        A beat is one valid input of the unit. Of a spec with other ``input_streams`` these.
    results : Out(stream.Signature(beat_layout(spec.outputs)))
        A beat is its result, with the ``last`` of the input. The first comes ``spec.latency``
        cycles after its input where nothing waits.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        inputs = {
            s.name: In(stream.Signature(beat_layout(s.ports, has_last=bool(s.last))))
            for s in spec.input_streams
        }
        results = Out(stream.Signature(beat_layout(spec.outputs)))
        super().__init__({**inputs, "results": results})

    def elaborate(self, platform: object) -> Module:
        """The unit, its enable, and the spare register of a beat that has to wait."""
        m = Module()
        spec, results = self.spec, self.results
        m.submodules.unit = unit = units.streamed(spec)

        # ``held`` has a beat that the receiver has not taken; the unit waits for that.
        full = Signal()
        enable = ~full
        m.d.comb += unit.enable.eq(enable)
        streams = {s.name: getattr(self, s.name) for s in spec.input_streams}
        fed = unit.feed(m, streams, enable)

        last = self._behind_unit(m, fed.last, "last", enable)
        is_result = unit.valid_out
        if fed.makes_result is not None:
            is_result = self._behind_unit(m, fed.makes_result, "result", enable, has_reset=True)

        leaving = Cat(*(getattr(unit, port.name) for port in spec.outputs), last)
        held = Signal(len(leaving), reset_less=True)
        with m.If(enable):
            m.d.sync += held.eq(leaving)
        m.d.sync += full.eq(results.valid & ~results.ready)
        m.d.comb += [
            results.valid.eq(is_result | full),
            results.payload.as_value().eq(Mux(full, held, leaving)),
        ]
        return m

    def _behind_unit(
        self, m: Module, bit: Value, name: str, enable: Value, *, has_reset: bool = False
    ) -> Value:
        """The bit as many registers later as the unit has."""
        for stage in range(self.spec.latency):
            next_bit = Signal(name=f"{name}_{stage}", reset_less=not has_reset)
            with m.If(enable):
                m.d.sync += next_bit.eq(bit)
            bit = next_bit
        return bit


class AxiStreamUnit(wiring.Component):
    """Hardware of any spec with AXI4-Stream ports; see ``StreamUnit``.

    Ports
    -----
    s_axis_tvalid, s_axis_tdata, s_axis_tlast : In
    s_axis_tready : Out(1)
        Inputs. TDATA has the ports of ``spec.inputs``, the first in the lowest bits; what
        is left of its last byte does not count. Of a spec with other ``input_streams`` pins of
        these, with their ``axis`` in place of ``s_axis``.
    m_axis_tvalid, m_axis_tdata, m_axis_tlast : Out
    m_axis_tready : In(1)
        Results, likewise of ``spec.outputs``. What is left of the last byte is zero, or
        repeats the sign where the last port is one signed number.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        inputs: dict[str, Any] = {}
        for s in spec.input_streams:
            inputs |= {
                f"{s.axis}_tvalid": In(1),
                f"{s.axis}_tready": Out(1),
                f"{s.axis}_tdata": In(tdata_width(s.ports)),
                **({f"{s.axis}_tlast": In(1)} if s.last else {}),
            }
        super().__init__(
            {
                **inputs,
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tdata": Out(tdata_width(spec.outputs)),
                "m_axis_tlast": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The ``StreamUnit`` with its streams at AXI4-Stream's ports."""
        m = Module()
        m.submodules.stream = inner = StreamUnit(self.spec)
        for s in self.spec.input_streams:
            inputs = getattr(inner, s.name)
            m.d.comb += [
                inputs.valid.eq(getattr(self, f"{s.axis}_tvalid")),
                getattr(self, f"{s.axis}_tready").eq(inputs.ready),
                inputs.payload.data.as_value().eq(getattr(self, f"{s.axis}_tdata")),
            ]
            if s.last:
                m.d.comb += inputs.payload.last.eq(getattr(self, f"{s.axis}_tlast"))
        results = inner.results
        data = results.payload.data.as_value()
        m.d.comb += [
            self.m_axis_tvalid.eq(results.valid),
            results.ready.eq(self.m_axis_tready),
            self.m_axis_tdata.eq(data.as_signed() if sign_fills(self.spec.outputs) else data),
            self.m_axis_tlast.eq(results.payload.last),
        ]
        return m


def sign_fills(ports: tuple[Port, ...]) -> bool:
    """Whether the bits of TDATA above the last port repeat its sign."""
    return ports[-1].is_signed_number


def component(spec: Spec, *, stream: bool) -> wiring.Component:
    """The unit of ``spec`` or, with ``stream``, its AXI4-Stream form."""
    return AxiStreamUnit(spec) if stream else units.component(spec)

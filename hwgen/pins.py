"""The pins of a unit's Verilog module, in both of its forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwgen.spec import Spec
from hwgen.spec.base import Port, Stream
from hwgen.units.stream import BYTE, sign_fills, tdata_places, tdata_width


@dataclass(frozen=True)
class Pin:
    """A pin of ``width`` bits."""

    name: str
    output: bool
    width: int
    meaning: str
    signed: bool = False

    @property
    def range(self) -> str:
        """The Verilog range before the name, with a space behind, or nothing."""
        return f"[{self.width - 1}:0] " if self.width > 1 else ""


#: The first pins of each module.
CLOCK = (
    Pin("clk", False, 1, "clock"),
    Pin("rst", False, 1, "synchronous reset: clears the valid bits and what is kept"),
)


def module_name(spec: Spec, *, stream: bool = False) -> str:
    """The name of the unit's Verilog module, or of its AXI4-Stream form."""
    return f"{spec.name}_axis" if stream else spec.name


def pins(spec: Spec, *, stream: bool = False) -> tuple[Pin, ...]:
    """The pins of the module, clock and reset first."""
    return (*CLOCK, *(_stream_pins(spec) if stream else _unit_pins(spec)))


def _unit_pins(spec: Spec) -> tuple[Pin, ...]:
    clause = "" if spec.keeps_outputs else "; the outputs count only then"
    return (
        Pin("enable", False, 1, "clock enable of the whole unit"),
        Pin("valid_in", False, 1, "the inputs of this cycle count"),
        *(Pin(p.name, False, p.width, port_meaning(p), p.is_signed_number) for p in spec.inputs),
        Pin(
            "valid_out",
            True,
            1,
            f"the outputs are the result of the inputs {spec.latency} enabled cycles ago{clause}",
        ),
        *(Pin(p.name, True, p.width, port_meaning(p), p.is_signed_number) for p in spec.outputs),
    )


def _stream_pins(spec: Spec) -> tuple[Pin, ...]:
    fill = "the sign" if sign_fills(spec.outputs) else "zeros"
    streams = spec.input_streams
    result_of = "" if len(streams) == 1 else f" of {streams[0].axis}"
    return (
        *(pin for stream in streams for pin in _input_pins(stream)),
        Pin("m_axis_tvalid", True, 1, "a result is offered"),
        Pin("m_axis_tready", False, 1, "it is taken at the next clock edge"),
        Pin("m_axis_tdata", True, tdata_width(spec.outputs), tdata_meaning(spec.outputs, fill)),
        Pin("m_axis_tlast", True, 1, f"TLAST of the input{result_of} that this is the result of"),
    )


def _input_pins(stream: Stream) -> Iterator[Pin]:
    yield Pin(f"{stream.axis}_tvalid", False, 1, stream.meaning)
    yield Pin(f"{stream.axis}_tready", True, 1, "it is taken at the next clock edge")
    meaning = tdata_meaning(stream.ports, "bits that do not count")
    yield Pin(f"{stream.axis}_tdata", False, tdata_width(stream.ports), meaning)
    if stream.last:
        yield Pin(f"{stream.axis}_tlast", False, 1, stream.last)


def port_meaning(port: Port) -> str:
    """Text that says what the port carries, with its elements' places."""
    if port.count == 1:
        return port.meaning
    bits = f"{port.bits} bits{' signed' if port.signed else ''}"
    return f"{port.meaning}; {port.count} x {bits}, element 0 in the lowest"


def tdata_meaning(ports: tuple[Port, ...], fill: str) -> str:
    """Text that says which bits of TDATA are which port; ``fill``: what the others are."""
    places = tdata_places(ports)
    meanings = []
    for port in ports:
        low, high = places[port.name], places[port.name] + port.width - 1
        bits = f"bit {low}" if low == high else f"bits {high}:{low}"
        meanings.append(f"{bits} {port.name} ({port_meaning(port)})")
    used = sum(port.width for port in ports)
    if used % BYTE:
        meanings.append(f"the rest {fill}")
    return ", ".join(meanings)

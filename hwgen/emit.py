"""A spec to RTLIL (for synthesis) and to Verilog (for people and other tools)."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Elaboratable

from hwgen.cycles import checked_by_cell
from hwgen.errors import InputError
from hwgen.pins import module_name, pins
from hwgen.progress import doing, printing
from hwgen.spec import Spec, from_dict
from hwgen.units import stream as streams
from hwgen.verilog_text import modules
from hwgen.waivers import VERILATOR

#: No names of source files: they differ between machines and say nothing of the hardware.
_CLEAN = {"emit_src": False}
PLAIN = "plain"
#: How products and sums are written: by their operators, or as ``stock_text`` does for LUTs of so
#: many inputs.
STYLES = {PLAIN: 0, "lut4": 4, "lut6": 6}
#: Units of so many lanes can take a while: that of the hardware is estimated, from one of this part
#: of the lanes.
MANY_LANES, SOME = 96, 16


def rtlil(spec: Spec, *, stream: bool = False) -> str:
    """The unit of ``spec``, or its AXI4-Stream form, as RTLIL text.

    Its top module is ``pins.module_name``, for the unit ``spec.name``. The same spec gives the same
    text, so that it identifies the hardware.
    """
    about_s = _about_s(spec, stream) if printing() else None
    with _collector_paused(), doing(f"making the hardware of {spec.name}", about_s=about_s):
        return _converted(streams.component(spec, stream=stream), module_name(spec, stream=stream))


def _converted(design: Elaboratable, name: str) -> str:
    with checked_by_cell():
        return str(amaranth_rtlil.convert(design, name=name, **_CLEAN))


def _about_s(spec: Spec, stream: bool) -> float | None:
    """About how many seconds a unit of many lanes takes, from one of few.

    The time grows as the lanes do. None for other units.
    """
    lanes = getattr(spec, "lanes", 0)
    if lanes < MANY_LANES:
        return None
    try:
        few = from_dict({**spec.to_dict(), "lanes": lanes // SOME})
    except InputError:  # Where a format or weights say how many there are.
        return None
    started = time.perf_counter()
    rtlil(few, stream=stream)
    return SOME * (time.perf_counter() - started)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pauses Python's garbage collector.

    It walks the whole design each time that it has grown by a part, and finds nothing: with it the
    time grows faster than the lanes do.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def generate_command(spec: Spec, *, stream: bool = False) -> str:
    """The command line that emits ``spec``, or its AXI4-Stream form."""
    flags = {
        name.replace("_", "-"): value
        for name, value in spec.to_dict().items()
        if name != "unit" and value not in (None, "")
    }
    # Text that begins with a minus would be taken for an option.
    options = [
        f"--{k}={v}" if isinstance(v, str) and v.startswith("-") else f"--{k} {v}"
        for k, v in flags.items()
    ] + ["--stream"] * stream
    return f"hwgen generate {spec.unit} " + " ".join(options)


def verilog(
    spec: Spec, command: str | None = None, *, stream: bool = False, style: str = PLAIN
) -> str:
    """The unit as plain Verilog with a header that says what it computes.

    ``command`` is what the header names as its origin; by default the ``hwgen generate``
    command of the spec. With ``stream`` the top module, ``pins.module_name``, is the unit
    with AXI4-Stream ports. ``style``: one of ``STYLES``; ``lut4`` and ``lut6`` write products
    and sums in forms that Yosys' own scripts map to few LUTs. The same arguments give the same
    bytes.

    InputError for an unknown style, and for these two where products are for DSP blocks, which the
    scripts find by their ``*``.
    """
    if style not in STYLES:
        raise InputError(f"unknown style {style!r}: use one of {', '.join(STYLES)}")
    if style != PLAIN and spec.mapping != "lut":
        raise InputError(
            f"style {style!r} writes products for LUTs, and mapping={spec.mapping!r} asks for DSP "
            f"blocks: use mapping lut, or style {PLAIN!r}"
        )
    made_by = command or generate_command(spec, stream=stream) + f" --style {style}" * (
        style != PLAIN
    )
    head = (stream_header if stream else header)(spec, made_by)
    text = rtlil(spec, stream=stream)
    with doing(f"making the Verilog of {spec.name}"):
        return head + silenced(body(text, style=style))


def component(design: Elaboratable, name: str) -> str:
    """An Amaranth component with a signature as Verilog with the top module ``name``.

    It may have units inside. Raises ToolError of what ``body`` does not write.
    """
    return silenced(body(_converted(design, name)))


def body(rtlil: str, *, style: str = PLAIN) -> str:
    """The modules of Amaranth's RTLIL text as Verilog, without a header.

    ``style``: one of ``STYLES``. Raises ToolError where there is more than operators and registers
    of one clock's rising edge, such as a memory.
    """
    with _collector_paused():
        return modules(rtlil, lut_inputs=STYLES[style])


def silenced(body: str, waivers: Mapping[str, str] = VERILATOR) -> str:
    """The modules, with what is waived said where linters see it."""
    waived = "".join(
        f"// {name}: {reason}.\n/* verilator lint_off {name} */\n"
        for name, reason in waivers.items()
    )
    return f"/* verilator lint_save */\n{waived}{body}/* verilator lint_restore */\n"


def header(spec: Spec, command: str) -> str:
    """The comment at the head of the Verilog."""
    ports = [
        *(("in", port) for port in spec.inputs),
        *(("out", port) for port in spec.outputs),
    ]
    lines = [
        spec.name,
        "",
        *spec.description,
        "",
        *(
            f"  {direction:3}  {port.name:12} "
            + (f"{port.count} x " if port.count > 1 else "")
            + f"{port.bits} bit{'s' if port.bits > 1 else ''}"
            + (" signed" if port.signed else "")
            + f", {port.meaning}"
            + (", element 0 in the lowest bits" if port.count > 1 else "")
            for direction, port in ports
        ),
        f"  latency  {spec.latency} enabled cycles from valid_in to valid_out; "
        "a new input every cycle",
        "  enable   clock enable of the whole unit",
        "  rst      synchronous, clears the valid bits and what is kept between inputs",
        "",
        f"Made by: {command}",
    ]
    return _comment(lines)


def stream_header(spec: Spec, command: str) -> str:
    """The comment at the head of the AXI4-Stream form's Verilog."""
    return _comment(
        [
            module_name(spec, stream=True),
            "",
            *spec.description,
            "",
            f"With AXI4-Stream ports, {spec.stream_summary}:",
            *(
                f"  {'out' if pin.output else 'in':3}  {pin.name:14} {pin.width} "
                f"bit{'s' if pin.width > 1 else ''}, {pin.meaning}"
                for pin in pins(spec, stream=True)
            ),
            f"  latency  {spec.latency} cycles where nothing waits; a new beat every cycle",
            "",
            f"Made by: {command}",
        ]
    )


def _comment(lines: Iterable[str]) -> str:
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)

"""A spec to RTLIL (for synthesis) and to Verilog (for people and other tools)."""

from __future__ import annotations

from amaranth.back import rtlil as amaranth_rtlil
from amaranth.back import verilog as amaranth_verilog

from hwgen.spec import Spec

#: No names of source files: they differ between machines and say nothing of the hardware.
_CLEAN = {"emit_src": False}


def rtlil(spec: Spec) -> str:
    """The unit as RTLIL text; its top module is ``spec.name``. The same spec gives the
    same text, so that it identifies the hardware."""
    return str(amaranth_rtlil.convert(spec.component(), name=spec.name, **_CLEAN))


def generate_command(spec: Spec) -> str:
    """The command line that emits ``spec``."""
    flags = {
        name.replace("_", "-"): value for name, value in spec.to_dict().items() if name != "unit"
    }
    return f"hwgen generate {spec.unit} " + " ".join(f"--{k} {v}" for k, v in flags.items())


def verilog(spec: Spec, command: str | None = None) -> str:
    """The unit as plain Verilog with a header that says what it computes.

    ``command`` is what the header names as its origin; by default the ``hwgen generate``
    command of the spec. The same spec and command give the same bytes.
    """
    body = amaranth_verilog.convert(
        spec.component(), name=spec.name, strip_internal_attrs=True, **_CLEAN
    )
    return header(spec, command or generate_command(spec)) + str(body)


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
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)

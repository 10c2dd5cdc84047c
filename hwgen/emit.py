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
    low, high = spec.product_range
    lines = [
        f"{spec.name}",
        "",
        f"Exact dot product of {spec.lanes} lanes, {spec.a} x {spec.b}, and a running accumulator:",
        "  accumulator <- (clear ? 0 : accumulator) + sum over lanes of a[i] * b[i]",
        "",
        f"  a            {spec.lanes} x {spec.a.bits} bits, {spec.a}: "
        f"{spec.a.min:g} to {spec.a.max:g} in steps of 2^{spec.a.lsb_exponent} and up",
        f"  b            {spec.lanes} x {spec.b.bits} bits, {spec.b}: "
        f"{spec.b.min:g} to {spec.b.max:g} in steps of 2^{spec.b.lsb_exponent} and up",
        "               lane 0 in the lowest bits",
        f"  product      {spec.product_width} bits signed, {low} to {high} in units of "
        f"2^{spec.lsb_exponent}",
        f"  lane sum     {spec.sum_width} bits signed",
        f"  accumulator  {spec.accumulator_width} bits signed, in units of 2^{spec.lsb_exponent}, "
        f"exact for {spec.max_products} products, then it wraps",
        f"  latency      {spec.latency} enabled cycles from valid_in to valid_out; "
        "a new input every cycle",
        "  enable       clock enable of the whole unit",
        "  rst          synchronous, clears the accumulator and the valid bits",
        f"  mapping      {spec.mapping}: where hwgen's synthesis puts the multiplications; "
        "the logic is the same for each",
        "",
        f"Made by: {command}",
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)

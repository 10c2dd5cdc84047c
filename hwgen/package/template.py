"""A Verilog template that instantiates a unit."""

from __future__ import annotations

from hwgen.pins import module_name, pins
from hwgen.spec import Spec


def template(spec: Spec, *, stream: bool = False) -> str:
    """Wires and an instance to copy, every pin connected to the wire of its name."""
    name, unit_pins = module_name(spec, stream=stream), pins(spec, stream=stream)
    wide = max(len(pin.name) for pin in unit_pins)
    wires = "".join(
        f"wire {'signed ' if pin.signed else ''}{pin.range}{pin.name};"
        f"  // {'out' if pin.output else 'in'}: {pin.meaning}\n"
        for pin in unit_pins
    )
    connections = ",\n".join(f"  .{pin.name:{wide}} ({pin.name})" for pin in unit_pins)
    instance = f"{name} {spec.unit}_i (\n{connections}\n);\n"
    return f"// Instance of {name}: see {name}.v.\n{wires}\n{instance}"

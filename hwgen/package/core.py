"""The FuseSoC core of a unit: a CAPI2 file (FuseSoC user guide, "CAPI2 reference")."""

from __future__ import annotations

import json
from importlib.metadata import version

from hwgen.pins import module_name
from hwgen.spec import Spec

#: What Edalize calls the family that Yosys maps the unit to, by its target here.
ARCHITECTURES = {
    **{family: family for family in ("ecp5", "ice40", "nexus", "gowin")},
    **{"xc7": "xilinx", "xcup": "xilinx"},
}


def core(spec: Spec, *, stream: bool = False, primitives: str | None = None) -> str:
    """The ``.core`` file that stands beside the Verilog.

    Its targets are ``default``, ``lint`` and those of ``ARCHITECTURES``, in which Yosys maps the
    unit alone. Its name is ``hwgen:UNIT:MODULE`` with the version of hwgen that made it.
    ``primitives``: the FPGA family whose mapped file stands there too, and is taken in place of the
    portable one with the flag ``hwgen_FAMILY``.
    """
    name = module_name(spec, stream=stream)
    # A JSON string is a YAML string too.
    summary = json.dumps(spec.description[0].rstrip(":."))
    mapped, chosen = "", "[rtl]"
    if primitives is not None:
        mapped = f"""
  {primitives}:
    files:
      - {name}_{primitives}.v
    file_type: verilogSource
"""
        flag = f"hwgen_{primitives}"
        chosen = f'["!{flag} ? (rtl)", "{flag} ? ({primitives})"]'
    builds = "".join(
        f"""
  {family}:
    <<: *default
    flow: generic
    flow_options:
      tool: yosys
      arch: {arch}
      output_format: json
"""
        for family, arch in ARCHITECTURES.items()
    )
    return f"""CAPI=2:

name: hwgen:{spec.unit}:{name}:{version("hwgen")}
description: {summary}

filesets:
  rtl:
    files:
      - {name}.v
    file_type: verilogSource
{mapped}
targets:
  default: &default
    filesets: {chosen}
    toplevel: {name}

  lint:
    <<: *default
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
{builds}"""

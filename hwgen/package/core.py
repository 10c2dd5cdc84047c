"""The FuseSoC core of a unit: a CAPI2 file (FuseSoC user guide, "CAPI2 reference")."""

from __future__ import annotations

import json
from importlib.metadata import version

from hwgen.pins import module_name
from hwgen.spec import Spec


def core(spec: Spec, *, stream: bool = False, primitives: str | None = None) -> str:
    """The ``.core`` file that stands beside the Verilog: targets ``default`` and ``lint``.

    Its name is ``hwgen:UNIT:MODULE`` with the version of hwgen that made it. ``primitives``: the
    FPGA family whose mapped file stands there too, and is taken in place of the portable one with
    the flag ``hwgen_FAMILY``.
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
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
"""

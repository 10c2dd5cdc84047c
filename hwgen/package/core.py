"""The FuseSoC core of a unit: a CAPI2 file (FuseSoC user guide, "CAPI2 reference")."""

from __future__ import annotations

import json
from importlib.metadata import version

from hwgen.pins import module_name
from hwgen.spec import Spec


def core(spec: Spec, *, stream: bool = False) -> str:
    """The ``.core`` file that stands beside the Verilog: targets ``default`` and ``lint``.

    Its name is ``hwgen:UNIT:MODULE`` with the version of hwgen that made it.
    """
    name = module_name(spec, stream=stream)
    # A JSON string is a YAML string too.
    summary = json.dumps(spec.description[0].rstrip(":."))
    return f"""CAPI=2:

name: hwgen:{spec.unit}:{name}:{version("hwgen")}
description: {summary}

filesets:
  rtl:
    files:
      - {name}.v
    file_type: verilogSource

targets:
  default: &default
    filesets: [rtl]
    toplevel: {name}

  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
"""

"""Models of the cells of a netlist, taken out of the files that they stand in."""

import re

from yosys_scripts import cell_models

CELLS = """`define INIT initial Q = 0;
`include "more.v"
module FD(input D, output reg Q);
  `INIT
  HELPER h(D);
endmodule
module TWICE(output Y); endmodule
`include "more.v"
"""
MORE = """module HELPER(input A); endmodule
module UNUSED(input A); $nonsense endmodule
  module LONG(
    input A
  );
  endmodule
module TWICE(output Y, Z); endmodule
"""


def test_each_model_that_is_used_is_there_once(tmp_path):
    (tmp_path / "more.v").write_text(MORE)
    (tmp_path / "cells.v").write_text(CELLS)
    text = cell_models.used([tmp_path / "cells.v"], "FD a(); TWICE b(); UNUSED_TOO c();")
    assert sorted(re.findall(r"module (\w+)", text)) == ["FD", "HELPER", "TWICE"]
    assert text.index("`define INIT") < text.index("module FD")
    assert "nonsense" not in text and "include" not in text
    alone = cell_models.used([tmp_path / "cells.v"], "LONG c();")
    assert re.findall(r"module (\w+)", alone) == ["LONG"] == re.findall(r"(\w+)\(\n", alone)

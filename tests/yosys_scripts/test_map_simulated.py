"""Designs of the style that others write, mapped: the netlist does what the source does.

The block RAMs' models are those of the modes that these designs use: one port, 18 bits wide.
"""

import re
from pathlib import Path

import pytest

import yosys_scripts
from hwgen import processes
from sim import tools
from yosys_scripts import cell_models, flow

DESIGNS = Path(__file__).parent / "designs"
#: Inputs and outputs of each design, with their widths.
PORTS = {
    "fir": (
        {"rst": 1, "en": 1, "load": 1, "x": 12, "coefficient": 12},
        {"valid": 1, "y": 28, "delayed": 12},
    ),
    "cpu": ({"rst": 1, "hold": 1, "bus": 16}, {"result": 16, "address": 8, "strobe": 1}),
    "matrix": (
        {"rst": 1, "en": 1, "load": 1, "row": 2, "weights": 18, "x": 18, "offset": 6},
        {"y": 60},
    ),
}
CYCLES = 20_000
MAIN = """
#include "Vbench.h"
int main() {
    VerilatedContext context;
    Vbench bench(&context);
    while (!context.gotFinish()) { bench.clk = !bench.clk; bench.eval(); }
}
"""


def joined(name, digits):
    return "{" + ", ".join(f"{name}_{i:02X}" for i in reversed(range(digits))) + "}"


def parameters(name, digits, bits):
    return ", ".join(f"parameter [{bits - 1}:0] {name}_{i:02X} = 0" for i in range(digits))


def pins(prefix, count, direction="input"):
    return ", ".join(f"{direction} {prefix}{i}" for i in range(count))


def bits(prefix, first, last):
    return "{" + ", ".join(f"{prefix}{i}" for i in range(last, first - 1, -1)) + "}"


#: One port of each vendor's block RAM as 1,024 words of 18 bits, the old word read while one is
#: written; the other port is not used.
BLOCK_RAM = {
    "ecp5": f"""
module DP16KD #({parameters("INITVAL", 64, 320)}, parameter DATA_WIDTH_A = 0, DATA_WIDTH_B = 0,
        ASYNC_RESET_RELEASE = "", RESETMODE = "", CLKAMUX = "", CLKBMUX = "", CSDECODE_A = "",
        CSDECODE_B = "", GSR = "", REGMODE_A = "", REGMODE_B = "", WRITEMODE_A = "",
        WRITEMODE_B = "", INIT_DATA = "")
    ({pins("DIA", 18)}, {pins("DIB", 18)}, {pins("ADA", 14)}, {pins("ADB", 14)},
     {pins("DOA", 18, "output")}, {pins("DOB", 18, "output")}, {pins("CSA", 3)}, {pins("CSB", 3)},
     input CEA, OCEA, CLKA, WEA, RSTA, CEB, OCEB, CLKB, WEB, RSTB);
    localparam [64*320-1:0] INITIAL = {joined("INITVAL", 64)};
    reg [17:0] words [0:1023];
    reg [17:0] q = 0;
    integer i;
    initial for (i = 0; i < 1024; i = i + 1) words[i] = INITIAL[i*20 +: 18];
    wire [9:0] word = {bits("ADA", 4, 13)};
    always @(posedge CLKA) if (CEA) begin
        q <= words[word];
        if (WEA && ADA0) words[word][8:0] <= {bits("DIA", 0, 8)};
        if (WEA && ADA1) words[word][17:9] <= {bits("DIA", 9, 17)};
    end
    assign {bits("DOA", 0, 17)} = q;
    initial if (DATA_WIDTH_A != 18 || WRITEMODE_A != "READBEFOREWRITE" || CLKAMUX != "CLKA") $stop;
    always @* if (CEB || RSTA) $stop;
endmodule
""",
    "xc7": f"""
module RAMB18E1 #({parameters("INIT", 64, 256)}, {parameters("INITP", 8, 256)},
        parameter DOA_REG = 0, DOB_REG = 0, RAM_MODE = "", READ_WIDTH_A = 0, READ_WIDTH_B = 0,
        WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0, WRITE_MODE_A = "", WRITE_MODE_B = "",
        parameter [71:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0)
    (input [13:0] ADDRARDADDR, ADDRBWRADDR, input [15:0] DIADI, DIBDI, input [1:0] DIPADIP, DIPBDIP,
     output [15:0] DOADO, DOBDO, output [1:0] DOPADOP, DOPBDOP,
     input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB,
     RSTREGARSTREG, RSTREGB, input [1:0] WEA, input [3:0] WEBWE);
    localparam [64*256-1:0] INITIAL = {joined("INIT", 64)};
    localparam [8*256-1:0] PARITY = {joined("INITP", 8)};
    reg [17:0] words [0:1023];
    reg [17:0] q = 0;
    integer i;
    initial for (i = 0; i < 1024; i = i + 1)
        words[i] = {{PARITY[i*2+1], INITIAL[i*16+8 +: 8], PARITY[i*2], INITIAL[i*16 +: 8]}};
    wire [9:0] word = ADDRARDADDR[13:4];
    always @(posedge CLKARDCLK) if (ENARDEN) begin
        q <= words[word];
        if (WEA[0]) words[word][8:0] <= {{DIPADIP[0], DIADI[7:0]}};
        if (WEA[1]) words[word][17:9] <= {{DIPADIP[1], DIADI[15:8]}};
    end
    assign {{DOPADOP[1], DOADO[15:8], DOPADOP[0], DOADO[7:0]}} = q;
    initial if (READ_WIDTH_A != 18 || WRITE_WIDTH_A != 18 || WRITE_MODE_A != "READ_FIRST") $stop;
    always @* if (ENBWREN || RSTRAMARSTRAM) $stop;
endmodule
""",
}


def bench(names):
    """The module that runs each source beside its netlist, on random inputs, and counts."""
    text = "module bench(input clk);\n    integer cycle = 0, wrong = 0;\n"
    drive, compare = "", ""
    for name in names:
        inputs, outputs = PORTS[name]
        for port, width in inputs.items():
            text += f"    reg [{width - 1}:0] {name}_{port} = 0;\n"
            rare = "$random % 16 == 0" if port in ("load", "hold") else ""
            words = ", ".join(["$random"] * -(-width // 32))
            usual = "$random % 8 != 0" if port == "en" else f"{{{words}}}"
            value = f"cycle < 4 || ({'$random % 512 == 0'})" if port == "rst" else (rare or usual)
            drive += f"        {name}_{port} <= {value};\n"
        for kind in ("source", "netlist"):
            module = name if kind == "netlist" else f"{name}_source"
            pins = "".join(f", .{p}({name}_{p})" for p in inputs)
            for port, width in outputs.items():
                text += f"    wire [{width - 1}:0] {name}_{kind}_{port};\n"
                pins += f", .{port}({name}_{kind}_{port})"
            text += f"    {module} {name}_{kind} (.clk(clk){pins});\n"
        for port in outputs:
            compare += (
                f"        if (cycle > 4 && {name}_source_{port} != {name}_netlist_{port}) begin\n"
                f'            wrong <= wrong + 1; $display("wrong: {name} {port}");\n        end\n'
            )
            text += f"    reg [{outputs[port] - 1}:0] {name}_seen_{port} = 0;\n"
            compare += f"        {name}_seen_{port} <= {name}_seen_{port} | {name}_source_{port};\n"
    seen = " && ".join(f"(|{name}_seen_{port})" for name in names for port in PORTS[name][1])
    return (
        f"{text}    always @(negedge clk) begin\n{drive}    end\n"
        f"    always @(posedge clk) begin\n{compare}"
        f"        cycle <= cycle + 1;\n        if (cycle == {CYCLES}) begin\n"
        f'            $display("%0d wrong, every output was high: %0d", wrong, {seen});\n'
        f"            $finish;\n        end\n    end\nendmodule\n"
    )


def simulated(target, names):
    """What the bench prints of the designs on a target."""
    tools.require_tools()
    facts = yosys_scripts.target(target)
    netlists = {n: yosys_scripts.map_design([DESIGNS / f"{n}.v"], n, target=target) for n in names}
    assert {n.kept for n in netlists.values()} == {"ours"}
    text = "\n".join(n.verilog for n in netlists.values())
    for name in names:
        source = (DESIGNS / f"{name}.v").read_text()
        text += re.sub(rf"\bmodule {name}\b", f"module {name}_source", source)
    share = flow.share_folder()
    models = [flow._locate(path, facts, share) for path in facts.cell_models]
    known = cell_models.used(models, text)
    model = BLOCK_RAM.get(target, "")
    for own in re.findall(r"^module (\w+)", model, re.MULTILINE):
        known = re.sub(rf"(?s)\bmodule {own}\b.*?\bendmodule\b", "", known)
    with processes.temporary_folder() as folder:
        (folder / "design.v").write_text(known + model + text + bench(names))
        (folder / "main.cpp").write_text(MAIN)
        command = [
            *("verilator", "--cc", "--exe", "--build", "-j", "1", "--top-module", "bench"),
            *("-Mdir", str(folder / "build"), "-o", "bench", *tools.BUILD_FLAGS),
            *("--x-assign", "0", "--x-initial", "0", "-Wno-fatal", "-Wno-lint", "-Wno-style"),
            *("-Wno-MULTITOP", "-Wno-SPECIFYIGN", "--timescale", "1ns/1ps"),
            *(str(folder / "design.v"), str(folder / "main.cpp")),
        ]
        with tools.shared_runtime(folder / "build", []):
            tools.run(command, folder)
        return tools.run([str(folder / "build" / "bench")], folder), netlists


@pytest.mark.parametrize("target", ["ecp5", "xc7"])
def test_a_mapped_design_does_what_its_source_does(target):
    names = list(PORTS)
    lines, netlists = simulated(target, names)
    assert "0 wrong, every output was high: 1" in lines, lines[-5:]
    for name, netlist in netlists.items():
        assert netlist.ours.lut < netlist.stock.lut and netlist.ours.ff <= netlist.stock.ff
        assert (netlist.ours.bram, netlist.ours.dsp) == (netlist.stock.bram, 0), name

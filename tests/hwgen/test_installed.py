"""Errors of an installation name what hides what, and offer what works."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import yosys_scripts
from hwgen import InputError, formats, installed
from hwgen.cli import main
from hwgen.spec import from_dict
from optimizer import explore
from sim import case_list, formal

ROOT = Path(__file__).parents[2]


def imported(folder: Path, name: str) -> str:
    """What Python says of the import, started in the folder."""
    program = f"import sys; sys.path[1:1] = [{str(ROOT)!r}]; import {name}; print('imported')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    return (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("hidden", "name"),
    [("sim", "cost_models"), ("yosys_scripts", "sim"), ("cost_models", "optimizer.plan")],
)
def test_a_package_that_hides_ours_is_named(tmp_path, hidden, name):
    (tmp_path / hidden).mkdir()
    (tmp_path / hidden / "__init__.py").write_text("")
    error = imported(tmp_path, name)
    assert "HiddenPackage" in error and f"'{tmp_path / hidden / '__init__.py'}'" in error
    assert f"hwgen's own package '{hidden}'" in error
    (tmp_path / hidden / "__init__.py").unlink()
    (tmp_path / hidden).rmdir()
    (tmp_path / f"{hidden}.py").write_text("")
    assert f"'{tmp_path / hidden}.py'" in imported(tmp_path, name)


def test_what_is_not_needed_may_have_any_name(tmp_path):
    for name in ("optimizer", "cost_models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "yosys_scripts").mkdir()  # A folder without Python files hides nothing.
    assert imported(tmp_path, "sim") == "imported"


def test_the_command_looks_at_its_start(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(installed, "HERE", tmp_path)
    assert main(["units"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hwgen: error: '") and error.count("\n") == 1
    assert "has the name of hwgen's own package 'hwgen'" in error


def test_extras_are_offered_by_the_names_that_an_index_has(monkeypatch, capsys, tmp_path):
    find_spec = installed.find_spec
    assert installed.pip_install("optimize") == (
        "pip install 'matplotlib>=3.8' 'onnx>=1.16' 'onnxruntime>=1.20' 'plotly>=5.24' "
        "'threadpoolctl>=3'"
    )
    monkeypatch.setattr(installed, "find_spec", lambda n: None if n == "onnx" else find_spec(n))
    assert installed.pip_install("optimize") == "pip install 'onnx>=1.16'"
    monkeypatch.setattr(
        installed, "find_spec", lambda n: None if n == "matplotlib" else find_spec(n)
    )
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["formats", "int4", "--picture", str(tmp_path / "x.png")]) == 2
    assert "pip install 'matplotlib>=3.8'" in capsys.readouterr().err


def test_optimize_without_matplotlib_begins_no_work(tmp_path):
    # In a process of its own: one that has imported the report no longer needs matplotlib.
    code = (
        "import sys; sys.modules['matplotlib'] = None; from hwgen.cli import main; "
        f"sys.exit(main(['optimize', '--out', {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert re.fullmatch(
        "hwgen: error: optimize needs matplotlib, which is not installed: pip install .*\n",
        done.stderr,
    )
    assert not (tmp_path / "out").exists()


def spec(unit: str, **fields):
    return lambda value: from_dict(
        {"unit": unit, **{k: value if v is ... else v for k, v in fields.items()}}
    )


DOT = {"a": "int4", "b": "int4", "lanes": 4}
ARRAY = {"a": "int4", "b": "int4", "rows": 2, "columns": 2, "depth": 2}
QUANTIZER = {"a": "fp16", "b": "mxfp4"}
#: Calls with a value that is none of those that the error offers.
OFFERING = {
    "mapping": spec("dot", **DOT, mapping=...),
    "rounding": spec("convert", a="fp16", b="e4m3fn", rounding=...),
    "overflow": spec("convert", a="fp16", b="e4m3fn", overflow=...),
    "nonfinite": spec("quantizer", **QUANTIZER, nonfinite=...),
    "tensor scale": spec("quantizer", a="fp16", b="nvfp4", tensor_scale=...),
    "scale rule": spec("quantizer", **QUANTIZER, scale_rule=...),
    "scale rule of a fine scale": spec("quantizer", a="fp16", b="nvfp4", scale_rule=...),
    "scale rule without hardware": lambda value: spec("quantizer", **QUANTIZER, scale_rule=...)(
        "mse" if value == "nonsense" else value
    ),
    "target": yosys_scripts.target,
    "style": lambda value: explore.settings(target="ecp5", fps=1000, formats=["int4"], style=value),
    "property": lambda value: formal.tasks_of(from_dict({"unit": "dot", **DOT}), value, None),
    "proof's target": lambda value: formal.tasks_of(
        from_dict({"unit": "dot", **DOT}), "netlist", value
    ),
    "matrix": lambda value: case_list.chosen(value, count=1),
    **{
        f"mapping of {name}, {sized}": lambda value, name=name: (
            yosys_scripts.target(name).script(value) and spec("dot", **DOT, mapping=...)(value)
        )
        for name in yosys_scripts.TARGETS
        for sized in ("", "dsp27x18")
    },
}


@pytest.mark.parametrize("name", OFFERING)
def test_every_value_that_an_error_offers_is_taken(name, monkeypatch):
    few = functools.partial(case_list.random, count=10)  # Their names are looked at, not they.
    for matrix in case_list.MATRICES:
        monkeypatch.setitem(case_list.MATRICES, matrix, few)
    value = name.partition(", ")[2] or "nonsense"
    try:
        OFFERING[name](value)
    except InputError as error:
        text = str(error)
    else:
        assert value == "dsp27x18"  # The target has such multipliers.
        return
    offered = re.search(r"use (?:one|some) of (.*)", text)
    assert offered, text
    values = [
        v.strip(" '\"") for v in re.split(r", | or ", offered[1].split(";")[0].split(" (")[0])
    ]
    assert len(values) > 1 and value not in values, text
    for other in values:
        try:
            OFFERING[name](other)
        except InputError as error:  # Other fields may be missing, or not go with it.
            assert "use one of" not in str(error) and other not in str(error).split(": use")[0], (
                f"{text}\nthen {other}: {error}"
            )


def test_formats_that_are_offered():
    with pytest.raises(InputError, match="use one of") as caught:
        formats.parse("fp9")
    offered = re.search(r"use one of ([\w, ]*)", str(caught.value))[1].split(", ")
    assert {"int4", "e2m1", "fp16"} <= set(offered)
    for name in offered:
        formats.parse(name)

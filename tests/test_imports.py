"""What commands and queries import: nobody waits for what he does not use."""

import subprocess
import sys

import pytest

from hwgen.cli import COMMANDS, command_line_parser

#: Packages that take long to import.
SLOW = {
    *("amaranth", "cocotb", "jinja2", "matplotlib", "onnx", "onnxruntime", "pandas"),
    *("pyosys", "scipy", "sklearn", "numpy"),
}
#: Where hardware is made and simulated, and tools are run.
HARDWARE = {"hwgen.arithmetic", "hwgen.units", "hwgen.emit", "sim", "yosys_scripts.worker"}
ANSWER = """
import cost_models
from cost_models import measurement
from hwgen import DotProduct
# As where no generator was changed since `python -m cost_models.hardware`.
measurement._ships_of_this_generator = lambda: True
cost_models.estimate(DotProduct(a="e4m3", b="int5", lanes=17), "ecp5")
"""


def imported(code):
    """The modules that are imported behind the code, which may end the process itself."""
    code = f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    pass\n"
    code += "print('\\n', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def of_line(*line):
    return f"from hwgen.cli import main; main({list(line)!r})"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_slow(option):
    modules = imported(of_line(option))
    assert "hwgen.cli" in modules
    assert set() == modules & (SLOW | HARDWARE | {"hwgen.spec", "hwgen.formats", "cost_models"})


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        (("formats", "e2m1"), {"numpy"}),
        (("units",), {"numpy"}),
        (("cost", "dot", "--help"), {"numpy"}),
        (("generate", "dot", "--help"), {"numpy"}),
        (("optimize", "--help"), {"numpy"}),
    ],
    ids=" ".join,
)
def test_commands_import_what_they_need(line, needed):
    modules = imported(of_line(*line))
    assert set() == modules & ((SLOW - needed) | HARDWARE)


def test_a_package_imports_nothing_slow():
    for package in ("hwgen", "cost_models", "yosys_scripts", "sim"):
        modules = imported(f"import {package}")
        assert set() == modules & (SLOW | {"hwgen.spec", "hwgen.units", "yosys_scripts.flow"}), (
            package
        )


def test_a_query_imports_no_hardware_and_no_other_unit():
    modules = imported(ANSWER)
    assert {"numpy", "hwgen.spec.dot", "cost_models.query"} <= modules
    assert set() == modules & ((SLOW - {"numpy"}) | HARDWARE)
    units = {"array", "blockdot", "convert", "fixeddot", "fixedmatrix", "lmul", "mul", "multidot"}
    assert not modules & {f"hwgen.spec.{unit}" for unit in units | {"quantizer", "requantize"}}


def test_every_command_has_its_module():
    parser = command_line_parser()
    (commands,) = (action for action in parser._actions if action.dest == "command")
    assert list(commands.choices) == list(COMMANDS)
    for name, sub in commands.choices.items():
        assert [action.dest for action in sub._actions] == [], name
        assert "help" in {action.dest for action in sub.with_all_options()._actions}

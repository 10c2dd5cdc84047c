"""The unit in a target's primitives does what the unit does."""

import re
import subprocess
from pathlib import Path

import pytest

import yosys_scripts
from hwgen import DotProduct, emit
from hwgen.cli import main
from sim import compiled
from sim.tools import package_folder

SPEC = DotProduct(a="e2m1", b="int4", lanes=3, max_products=24)
ARGUMENTS = ["dot", "--a", "e2m1", "--b", "int4", "--lanes", "3", "--max-products", "24"]


@pytest.mark.parametrize("target", yosys_scripts.TARGETS)
def test_primitives_stand_in_for_the_unit(target, tmp_path):
    assert main(["generate", *ARGUMENTS, "--primitives", target, "--out", str(tmp_path)]) == 0
    text = (tmp_path / f"{SPEC.name}_{target}.v").read_text()
    assert f"--primitives {target}\n" in text and "Mapped to" in text
    mapped = yosys_scripts.netlist(emit.rtlil(SPEC), SPEC.name, target=target)
    cells = []
    for file in map(Path, mapped.cell_models):
        # What the file defines itself is not the vendor's.
        own = re.findall(r"^module (\w+)", text, re.MULTILINE)
        body = file.read_text()
        for name in own:
            body = re.sub(rf"(?s)\bmodule {name}\b.*?\bendmodule\b", "", body)
        (tmp_path / f"cells_{file.name}").write_text(body)
        cells.append(tmp_path / f"cells_{file.name}")
    (outcome,) = compiled.check(
        [compiled.Run(SPEC, text, vectors=300)],
        sources=cells,
        flags=[*mapped.verilator_flags, *(f"-I{Path(f).parent}" for f in mapped.cell_models)],
    )
    assert outcome.mismatches == 0 and outcome.vectors > 300, outcome.shown
    # What Verilator warns of is in the vendor's models.
    verilator = package_folder("verilator") / "bin" / "verilator"
    folders = [f"-I{Path(file).parent}" for file in mapped.cell_models]
    defines = [flag for flag in mapped.verilator_flags if not flag.startswith("-W")]
    messages = subprocess.run(
        [
            *(verilator, "--lint-only", "-Wall", "-Wno-fatal", "--error-limit", "9999"),
            *(*defines, *folders, "--top-module", SPEC.name),
            *(tmp_path / f"{SPEC.name}_{target}.v", *cells),
        ],
        capture_output=True,
        text=True,
    ).stderr.splitlines()
    assert not [
        line for line in messages if line.startswith("%") and f"{SPEC.name}_{target}.v:" in line
    ]


def test_unknown_targets_are_named(tmp_path, capsys):
    arguments = ["generate", *ARGUMENTS, "--primitives", "virtex", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "unknown target 'virtex': use one of" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

"""The design in docs/ computes what its units' golden models say; pages show true output."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pages
import pytest
from amaranth.sim import Simulator

from sim import golden, stimulus
from sim.lint import lint
from sim.verification import pack

DOCS = Path(__file__).parents[1] / "docs"
FILE = DOCS / "example_design.py"


def _example(name="example_design"):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_the_golden_models():
    example = _example()
    inputs = stimulus.beats(example.DOT, 100, 1)
    count = len(inputs["clear"])
    sums = golden.expected(example.DOT, inputs)["accumulator"].astype(np.int64)
    words = sums & (2**example.DOT.accumulator_width - 1)
    wanted = golden.expected(example.CONVERT, {"a": words})["result"][:, 0].tolist()
    # The word means the same number in the converter's format.
    values = example.CONVERT.a.decode(words)[:, 0]
    assert (values == sums[:, 0] * 2.0**example.DOT.lsb_exponent).all()

    design = example.DotToE4M3()
    driven = {p.name: pack(inputs[p.name], p.bits) for p in example.DOT.inputs}
    got = []

    async def bench(ctx):
        ctx.set(design.valid_in, 1)
        for cycle in range(count + design.latency):
            for name, values in driven.items():
                ctx.set(getattr(design, name), values[min(cycle, count - 1)])
            assert ctx.get(design.valid_out) == (cycle >= design.latency)
            if cycle >= design.latency:
                got.append(ctx.get(design.result))
            await ctx.tick()

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == wanted


@pytest.mark.parametrize(("m", "k", "n"), [(16, 12, 8), (1, 8, 4), (3, 4, 8)])
def test_a_matrix_product_by_streams_is_numpys(m, k, n):
    example, rng = _example("example_matmul"), np.random.default_rng(m)
    a, b = rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (k, n))
    product, cycles = example.multiply(a, b)
    assert np.array_equal(product, a @ b)
    if m > example.SPEC.rows:  # Loading costs the first tile's rows, and no more.
        assert cycles <= m * k * n / 16 + example.SPEC.latency + example.SPEC.rows


def test_the_matrix_product_says_what_the_page_has_of_it():
    done = subprocess.run([sys.executable, str(DOCS / "example_matmul.py")], capture_output=True)
    page = " ".join((DOCS / "units.md").read_text().split())
    assert done.returncode == 0 and f"`{done.stdout.decode().strip()}`" in page


def test_it_writes_verilog():
    text = subprocess.run(
        [sys.executable, str(FILE)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert lint(text, "dot_to_e4m3", ["yosys", "verilator"]) == []


@pytest.mark.parametrize(
    "console", [c for page in pages.PAGES for c in pages.consoles(page)], ids=lambda c: c.title
)
def test_pages_show_what_commands_print(console, tmp_path, request):
    """If this fails, the page has old output: ``python tests/pages.py --update`` renews it.

    What a new user types first is run from the wheel, where nothing else of the checkout is.
    """
    new = console.page.name in ("README.md", "first-hour.md", "optimize.md")
    packages = request.getfixturevalue("wheel").parent / "installed" if new else pages.ROOT
    printed = pages.run(console, tmp_path, packages)
    assert pages.agrees(console, printed), printed


@pytest.mark.parametrize("page", [p for p in pages.PAGES if pages.program(p)], ids=lambda p: p.name)
def test_python_of_pages_gives_what_its_comments_say(page):
    assert pages.run_program(page) == ""


def test_the_demo_that_is_shown_is_that_of_make():
    shown = next(c.command for c in pages.consoles(DOCS / "optimize.md") if "optimize" in c.command)
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", "demo"],
        cwd=pages.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    last = done.stdout.replace("\\\n", " ").split("bin/")[-1]
    assert last.split() == shown.split()


def test_a_page_that_shows_something_else_is_found():
    shown = "unit: 5 LUT (1.2 s, 2026-01-02)\n…\nend"
    assert pages.same("unit: 5 LUT (34.56 s, 2031-12-30)\na\nb\nend", shown)
    assert pages.same("unit: 5 LUT (3 s, 2026-01-02)\nend", shown)
    assert not pages.same("unit: 6 LUT (1.2 s, 2026-01-02)\nend", shown)
    assert not pages.same("unit: 5 LUT (1.2 s, 2026-01-02)\nend\nmore", shown)
    pages.shows((20, 4), "(20, 4)")
    pages.shows([1, 2.5], "[1, …]")
    with pytest.raises(AssertionError):
        pages.shows((20, 5), "(20, 4)")


def test_an_exploration_that_went_otherwise_is_found():
    page = DOCS / "optimize.md"
    shown = next(c for c in pages.consoles(page) if "--out demo" in c.command).shown
    assert pages.same_exploration(shown, shown)
    assert pages.same_exploration(shown.replace("\n2 ", "\n22 "), shown)
    others = [("0 mismatches", "3 mismatches"), (" 0 wrong", " 1 wrong"), ("<- chosen", "")]
    others += [
        ("written to", "nothing in"),
        ("\nsimulated stage1.conv1", "\nnothing"),
        ("FP32 ", "FP "),
    ]
    chosen = next(line for line in shown.splitlines() if line.endswith("<- chosen"))
    _, lut, accuracy = chosen.split()[:3]
    others += [(lut, str(2 * int(lut.replace(",", "")))), (f" {accuracy} ", " 90.00 ")]
    for old, new in others:
        assert not pages.same_exploration(shown.replace(old, new), shown), (old, new)


def test_the_plan_that_the_page_explains_is_the_file():
    plan = (DOCS.parent / "cost_models" / "plans" / "example.toml").read_text()
    assert f"```toml\n{plan}```" in (DOCS / "sweeps.md").read_text()


def test_every_page_is_read():
    """A block that is no console is one that says so: else its output would go unchecked."""
    assert sum(len(pages.consoles(page)) for page in pages.PAGES) >= 36
    assert sum(bool(pages.program(page)) for page in pages.PAGES) >= 3


def test_the_table_of_rooms_is_the_contract_of_imports():
    """Top to bottom, a row a layer; rows may name the modules that share one, none is left out."""
    root = DOCS.parent
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    text = (root / "docs" / "architecture.md").read_text().split("\n\n")[2]
    rows = re.findall(r"^\| `([\w/.]+)` \|", text, re.M)
    rooms = [row.removesuffix(".py").strip("/").replace("/", ".") for row in rows]
    # Modules below what they serve are told in its row.
    inside = {"hwgen.__main__", "hwgen.verilog_text", "hwgen.dataflow", "hwgen.netlist"}
    split = [layer.split(" | ") for layer in layers]
    wanted = [layer for layer in split if not inside & set(layer)]
    assert len(rooms) == len(wanted) > 10
    assert all(room in layer for room, layer in zip(rooms, wanted, strict=True))
    modules = {module.removeprefix("hwgen.") for layer in split for module in layer}
    told = (root / "docs" / "architecture.md").read_text().split("## One spec")[0]
    assert not [name for name in modules - {"__main__"} if not re.search(rf"\b{name}\b", told)]


def test_pages_link_to_files_that_are_there():
    root = DOCS.parent
    pages_ = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("yosys_scripts/*.md")]
    broken = [
        f"{page.relative_to(root)}: {link}"
        for page in pages_
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert len(pages_) > 5 and not broken

"""Studies: found, judged by their numbers, and their pages are of those numbers."""

from __future__ import annotations

import copy
import importlib.util
import math
import sys
from pathlib import Path

import pytest

from hwgen.cli import main
from hwgen.errors import InputError
from studies import bench, page, registry, run, table
from studies.study import (
    FAILS,
    HOLDS,
    MEASURED,
    PARTLY,
    Bounds,
    Figure,
    Study,
    at_least,
    between,
    near,
    number,
    overall,
)

ROOT = Path(__file__).parents[2]
PAGES = ROOT / table.FOLDER
NAMES = registry.names()


def places(data, path=()):
    """Paths to all numbers in JSON, and to all that has numbers in it."""
    if isinstance(data, dict | list):
        # Of long lists some: there are hundreds of samples alike.
        items = data.items() if isinstance(data, dict) else enumerate(data[:3])
        for key, value in items:
            yield from places(value, (*path, key))
    if path and not isinstance(data, str | bool | None):
        yield path


def moved(data, factor, shift):
    """``data`` with all its numbers times ``factor``, and ``shift`` more."""
    if isinstance(data, dict):
        return {key: moved(value, factor, shift) for key, value in data.items()}
    if isinstance(data, list):
        return [moved(value, factor, shift) for value in data]
    return data * factor + shift if isinstance(data, int | float) else data


def changed(data, path, factor, shift):
    """``data`` with what is at ``path`` moved."""
    new = copy.deepcopy(data)
    at = new
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = moved(at[path[-1]], factor, shift)
    return new


def steps(figure, other):
    """How far the verdicts of two figures are from each other; they have one both, or neither."""
    assert bool(figure.verdict) == bool(other.verdict)
    order = ("", HOLDS, PARTLY, FAILS)
    return abs(order.index(figure.verdict) - order.index(other.verdict))


def test_bounds_and_verdicts():
    assert [near(2.0).verdict(v) for v in (2.0, 2.19, 1.81, 2.3, 1.5, 2.7, -2.0)] == [
        *(HOLDS, HOLDS, HOLDS, PARTLY, PARTLY, FAILS, FAILS)
    ]
    assert [between(20, 180).verdict(v) for v in (20, 180, 15, 230, 13, 235)] == [
        *(HOLDS, HOLDS, PARTLY, PARTLY, FAILS, FAILS)
    ]
    assert at_least(1.0).verdict(math.nan) == FAILS
    assert overall([HOLDS, "", HOLDS]) == HOLDS
    assert (
        overall([HOLDS, FAILS]) == overall([PARTLY, PARTLY]) == overall([PARTLY, FAILS]) == PARTLY
    )
    assert overall([FAILS, ""]) == FAILS
    with pytest.raises(ValueError, match="no figure"):
        overall([""])
    assert [number(v) for v in (1234.5, 123.45, 12.345, 0.01234)] == [
        *("1,234", "123.5", "12.3", "0.0123")
    ]


def test_every_study_is_what_its_file_is_called_and_has_a_page():
    assert "int_vs_fp" in NAMES
    for name in NAMES:
        study = registry.study(name)
        assert study.name == name and study.claim and "arXiv" in study.paper
    pages = {file.stem for file in PAGES.glob("*.md")}
    assert pages == set(NAMES)


def test_bad_names_are_one_line_with_a_suggestion(capsys):
    assert main(["reproduce", "int_vs_pf"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "did you mean int_vs_fp?" in error
    assert main(["reproduce", "--list", "--quick"]) == 2
    assert main(["reproduce", "int_vs_fp", "--out", "/dev/null/x"]) == 2


def test_the_list_names_all(capsys):
    assert main(["reproduce", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_follows_from_the_numbers(name):
    """Of each figure some number of the data changes the verdict, if it is far enough off."""
    result = run.read(PAGES, registry.study(name))
    as_is = [figure.verdict for figure in result.figures]
    open_ones = {i for i, verdict in enumerate(as_is) if verdict}
    assert open_ones
    moves = [(factor, 0.0) for factor in (5.0, 0.5, 0.2, -1.0, 0.7, 1.4, 1e6)] + [
        (1.0, 50.0),
        (1.0, -50.0),
    ]
    for path in sorted(places(result.data), key=len):
        for factor, shift in moves:
            if not open_ones:
                return
            try:
                figures = result.study.judge(changed(result.data, path, factor, shift))
            except (ArithmeticError, ValueError, LookupError, TypeError, Warning):
                continue
            open_ones -= {i for i in open_ones if figures[i].verdict != as_is[i]}
    assert not open_ones, [result.figures[i].what for i in sorted(open_ones)]


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_of_the_committed_numbers(name):
    result = run.read(PAGES, registry.study(name))
    assert not result.quick
    assert (PAGES / f"{name}.md").read_text() == page.page(result, f"{name}.png")
    assert (PAGES / f"{name}.png").stat().st_size > 5000


def test_the_table_has_all():
    results = [run.read(PAGES, registry.study(name)) for name in NAMES]
    assert page.table(results, markdown_table=True) in (ROOT / table.PAGE).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_quick_form_says_what_the_page_says(name):
    study = registry.study(name)
    quick, kept = run.run(study, quick=True), run.read(PAGES, study)
    assert page.text(quick).count(study.name)
    wanted = {figure.what: figure for figure in kept.figures}
    for figure in quick.figures:
        other = wanted[figure.what]
        # Of fewer samples a verdict may be the next one.
        assert figure.paper == other.paper and not steps(figure, other) > 1, figure
        if (figure.source, figure.samples) == (other.source, other.samples):
            slack = 0.02 * abs(other.ours) + (figure.high or 0) - (figure.low or 0)
            assert abs(figure.ours - other.ours) <= slack + 1e-9, (figure, other)
    assert quick.verdict == kept.verdict


def _numbers(length):
    """Counted in ``made``: what the store knows is not made again."""
    made.append(length)
    return [1.0] * length


made: list[int] = []


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_STORE", str(tmp_path / "store.sqlite"))
    made.clear()

    def measure(at):
        first = at.kept(_numbers, 2)
        if stop:
            raise KeyboardInterrupt
        return {"first": first, "second": at.kept(_numbers, 3)}

    def judge(data):
        total = sum(data["first"]) + sum(data["second"])
        figure = Figure(
            what="sum",
            paper="5",
            ours=total,
            source=MEASURED,
            how="added",
            samples="5 numbers",
            bounds=Bounds((5, 5), (4, 6)),
            why="it is another",
        )
        return [figure]

    study = Study(
        name="sum", title="A sum", paper="arXiv", claim="It is five.", measure=measure, judge=judge,
        draw=lambda figure, data: None, notes="None.",
    )  # fmt: skip
    stop = True
    with pytest.raises(KeyboardInterrupt):
        run.run(study)
    stop = False
    result = run.run(study)
    assert made == [2, 3] and result.verdict == HOLDS and result.summary == "1 hold"
    assert run.run(study).data == result.data and made == [2, 3]
    text = page.text(result)
    assert "verdict: holds (1 hold)" in text and "1: added; 5 numbers." in text
    with pytest.raises(InputError, match="no numbers of the study sum"):
        run.read(tmp_path, study)


MODULE = """
import math
LIMIT = 3
WORDS = "text"

def helper(x):
    return math.sqrt(x) * LIMIT

def make(x):
    return helper(x)

def judge(x):
    return WORDS, x
"""


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("LIMIT = 3", "LIMIT = 4", True),
        ("sqrt(x)", "cbrt(x)", True),
        ("import math", "import cmath as math", True),
        ("return helper(x)", "return helper(x) + 1", True),
        ('"text"', '"other text"', False),
        ("return WORDS, x", "return WORDS, -x", False),
        ("LIMIT = 3", "# The most.\nLIMIT = 3", False),
    ],
)
def test_what_a_number_hangs_on_is_its_code_and_no_other(tmp_path, monkeypatch, old, new, again):
    digests = []
    for name, text in (("first", MODULE), ("second", MODULE.replace(old, new))):
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        digests.append(bench.code_digest(module.make))
    assert (digests[0] != digests[1]) == again


def test_sources_are_told_apart():
    with pytest.raises(ValueError, match="guessed"):
        Figure(what="x", ours=1.0, source="guessed", how="", samples="")


def test_numbers_are_made_again_when_what_makes_them_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_STORE", str(tmp_path / "store.sqlite"))
    made.clear()
    bench.Bench(quick=True).kept(_numbers, 1)
    monkeypatch.setattr(bench, "tools_digest", lambda: "another")
    bench.Bench(quick=True).kept(_numbers, 1)
    assert made == [1, 1]

"""What README.md and docs/ print, run again and compared: ``python tests/pages.py [--update]``.

Two kinds of fenced blocks are run:

- A console block: each line ``$ COMMAND`` with what it prints below it. A block whose command a
  reader does not type so (the output of ``make demo``) has it in a comment in front:
  ``<!-- $ COMMAND -->``. Errors of the command line are printed output too.
- A block marked ``python``: the blocks of a page are one program. A comment behind an expression
  is its value as Python prints it.

In both ``…`` stands for anything, on a line of its own for any number of lines. Times and dates
differ from run to run (``VARIES``); all else has to be equal.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

#: What may differ from run to run: seconds, and the day of a measurement.
VARIES = re.compile(r"(?:\b\d+(?:\.\d+)? s\b|\b\d{4}-\d{2}-\d{2}\b)")
ANYTHING = "…"
_TIME_LIMIT_S = 900


@dataclass(frozen=True)
class Console:
    """A command of a page, and the output that the page shows: ``lines[first:last]`` of it."""

    page: Path
    command: str
    first: int
    last: int
    shown: str

    @property
    def title(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.first}: {self.command}"


def consoles(page: Path) -> list[Console]:
    """The commands that a page shows with their outputs, in their order."""
    lines = page.read_text().splitlines()
    commands_shown = []
    for start, end, kind in _blocks(lines):
        if kind:
            continue
        before = re.fullmatch(r"<!-- \$ (.*) -->", lines[start - 2]) if start > 1 else None
        commands = [i for i in range(start, end) if lines[i].startswith("$ ")]
        if before:
            assert not commands, f"{page}:{start}: two commands for one block"
            commands_shown.append((before[1], start, end))
        ends = [*commands[1:], end]
        commands_shown += [(lines[i][2:], i + 1, j) for i, j in zip(commands, ends, strict=False)]
    return [
        Console(page, command, first, last, "\n".join(lines[first:last]))
        for command, first, last in commands_shown
    ]


def program(page: Path) -> str:
    """The page's blocks of Python as one program that checks the values in their comments."""
    lines = page.read_text().splitlines()
    blocks = ["\n".join(lines[i:j]) for i, j, kind in _blocks(lines) if kind == "python"]
    if not blocks:
        return ""
    return "\n".join(["from pages import shows", *(_checked(block) for block in blocks)])


def shows(value: object, comment: str) -> None:
    """AssertionError where a comment does not say what its expression is."""
    assert same(repr(value), comment), f"{comment!r} is {value!r}"


def agrees(console: Console, printed: str) -> bool:
    """Whether a page shows what its command printed."""
    if console.command.startswith("hwgen optimize"):
        return same_exploration(printed, console.shown)
    return same(printed, console.shown)


#: Of the plan that is chosen: LUTs may be so many times those shown, or as few; points of accuracy.
_LUT_FACTOR, _POINTS = 1.5, 1.5


def same_exploration(printed: str, shown: str) -> bool:
    """Whether an exploration went as a page shows it.

    Its plans hang on the last bits of floats, which are those of a processor: another one may
    choose others. What it says is the same, FP32 is as accurate, the chosen plan about as large and
    accurate, and nothing that was simulated is wrong.
    """
    texts = [printed, shown]
    said = [
        [" ".join(s.split()) for s in t.splitlines() if not re.search(r"[\d-]", s)] for t in texts
    ]
    found = [re.search(r"\n\d+ +([\d,]+) +([\d.]+) +([\d.]+) .*<- chosen", t) for t in texts]
    fp32 = [re.search(r"\nFP32 +([\d.]+) +([\d.]+)", t) for t in texts]
    if said[0] != said[1] or None in (*found, *fp32):
        return False
    (lut, *accuracy), (lut_shown, *accuracy_shown) = (
        [float(figure.replace(",", "")) for figure in match.groups()] for match in found if match
    )
    accuracy += [float(figure) for figure in fp32[0].groups()]
    accuracy_shown += [float(figure) for figure in fp32[1].groups()]
    simulated = [line for line in printed.splitlines() if line.startswith("simulated ")]
    return (
        1 / _LUT_FACTOR < lut / lut_shown < _LUT_FACTOR
        and all(abs(a - b) < _POINTS for a, b in zip(accuracy, accuracy_shown, strict=True))
        and len(simulated) == shown.count("\nsimulated ") > 0
        and all(" 0 mismatches; " in s and s.endswith(" 0 wrong") for s in simulated)
    )


def same(printed: str, shown: str) -> bool:
    """Whether a page's text is what was printed."""
    return bool(re.fullmatch(_pattern(shown), printed.rstrip() + "\n"))


def run(console: Console, folder: Path, packages: Path = ROOT) -> str:
    """What a command prints in an empty folder, with a store of its own; errors last.

    ``packages``: the folder that hwgen is imported from.
    """
    arguments = shlex.split(console.command)
    assert arguments[0] == "hwgen", f"{console.title}: only hwgen's commands are run"
    environment = {
        **os.environ,
        "HWGEN_STORE": str(folder / "store.sqlite"),
        "PYTHONPATH": str(packages),
    }
    (folder / "docs").mkdir(exist_ok=True)
    for room in ("optimizer", "cost_models"):
        (folder / room).symlink_to(packages / room)
    done = subprocess.run(
        [sys.executable, "-c", "import sys, hwgen.cli; sys.exit(hwgen.cli.main())", *arguments[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("hwgen: error:")]
    return "\n".join([*done.stdout.splitlines(), *errors])


def run_program(page: Path) -> str:
    """Run the page's Python; what went wrong, or nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program(page)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT_S,
    )
    return done.stderr if done.returncode or done.stderr else ""


def _blocks(lines: list[str]) -> list[tuple[int, int, str]]:
    """First line, end and kind of each fenced block."""
    fences = [i for i, line in enumerate(lines) if line.startswith("```")]
    pairs = zip(fences[::2], fences[1::2], strict=True)
    return [(i + 1, j, lines[i].removeprefix("```")) for i, j in pairs]


def _pattern(shown: str) -> str:
    """A regular expression of the texts that a page's text stands for."""
    parts = []
    for line in shown.rstrip().splitlines():
        if line.strip() == ANYTHING:
            parts.append(r"(?:.*\n)*?")
            continue
        pieces = [VARIES.split(piece) for piece in line.split(ANYTHING)]
        text = ".*".join(VARIES.pattern.join(map(re.escape, piece)) for piece in pieces)
        parts.append(f"{text}\n")
    return "".join(parts)


def _checked(block: str) -> str:
    lines = block.splitlines()
    for node in ast.parse(block).body:
        at = (node.end_lineno or 1) - 1
        comment = lines[at].partition("  # ")[2]
        if isinstance(node, ast.Expr) and comment:
            expression = ast.get_source_segment(block, node.value)
            lines[node.lineno - 1 : at + 1] = [
                f"shows(({expression}), {comment!r})",
                *[""] * (at + 1 - node.lineno),
            ]
    return "\n".join(lines)


def _update(page: Path) -> list[str]:
    """Put what is printed now where a page shows something else; titles of those."""
    changed = []
    # From the end, so that the places of those in front stay.
    for console in reversed(consoles(page)):
        with tempfile.TemporaryDirectory() as folder:
            printed = run(console, Path(folder))
        if agrees(console, printed):
            continue
        changed.append(console.title)
        lines = page.read_text().splitlines()
        lines[console.first : console.last] = _shortened(printed, console.shown)
        page.write_text("\n".join(lines) + "\n")
    return changed


def _shortened(printed: str, shown: str) -> list[str]:
    """What is printed, with those lines left out that the page leaves out: by number."""
    new, old = printed.splitlines(), shown.splitlines()
    marks = [i for i, line in enumerate(old) if line.strip() == ANYTHING]
    if len(marks) != 1:
        return new
    (mark,) = marks
    return [*new[:mark], old[mark], *new[len(new) - (len(old) - mark - 1) :]]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the pages with what commands print.")
    parser.add_argument("--update", action="store_true", help="put what is printed into the pages")
    parser.add_argument("pages", nargs="*", type=Path, help="default: README.md and docs/")
    options = parser.parse_args()
    wrong = 0
    for page in (p.resolve() for p in options.pages or PAGES):
        if options.update:
            for title in _update(page):
                print(f"updated: {title}", flush=True)
            continue
        for console in consoles(page):
            with tempfile.TemporaryDirectory() as folder:
                printed = run(console, Path(folder))
            if not agrees(console, printed):
                wrong += 1
                print(f"{console.title}\nprints\n{printed}\n", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

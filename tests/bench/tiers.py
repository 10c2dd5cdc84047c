"""Tells which faults only the slow tests find.

``python tests/bench/tiers.py --count 20 --seed 1`` puts faults into a clone of what is committed,
one at a time: another comparison, operator or whole number in the hardware's or the golden model's
functions. It runs the tests of ``make test`` until one fails; where none does, those that
``make test-all`` adds. Tests that hold hardware against recorded digests are left out: they find
any change, whether it is a fault or not. A line a fault tells which tier found it, and which test.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("hwgen/arithmetic", "hwgen/units", "hwgen/formats", "sim/models", "optimizer")
#: These find any change of the hardware.
RECORDED = ("tests/test_digests.py", "tests/sim/test_shipped_results.py", "tests/cost_models")
TIERS = ("not slow", "slow")
SWAPPED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
}


def faults(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, and the line before and after, of each fault that the file can have."""
    text = file.read_text()
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp | ast.Compare):
            operator = node.op if isinstance(node, ast.BinOp) else node.ops[0]
            right = node.right if isinstance(node, ast.BinOp) else node.comparators[0]
            left = node.left
            if type(operator) not in SWAPPED or left.end_lineno != right.lineno:
                continue
            line, start, end = lines[right.lineno - 1], left.end_col_offset, right.col_offset
            old, new = SWAPPED[type(operator)]
            between = line.encode()[start:end].decode()
            if between.strip("() ") == old:
                changed = between.replace(old, new)
                changed = line.encode()[:start].decode() + changed + line.encode()[end:].decode()
                yield right.lineno, line, changed
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            line = lines[node.lineno - 1]
            head, tail = line.encode()[: node.col_offset], line.encode()[node.end_col_offset :]
            yield node.lineno, line, head.decode() + str(node.value + 1) + tail.decode()


def found_by(copy: Path, tier: str, folders: list[str]) -> str:
    """The first test of the tier that fails in the copy, or nothing; folders in their order."""
    left_out = [f"--deselect={name}" for name in RECORDED]
    command = [sys.executable, "-m", "pytest", "-x", "-n", "2", "-m", tier, *left_out]
    command += folders
    done = subprocess.run(
        command,
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    if done.returncode and not failed:
        return f"pytest ended with exit code {done.returncode}"
    return failed[1] if failed else ""


def main() -> None:
    """Draws faults, and tells of each which tier finds it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--own-room", action="store_true", help="only the tests of the room that has the fault"
    )
    options = parser.parse_args()
    files = [file for room in ROOMS for file in sorted((ROOT / room).glob("*.py"))]
    drawn = [(file, *fault) for file in files for fault in faults(file)]
    counts = dict.fromkeys((*TIERS, "neither"), 0)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
        for file, number, before, after in random.Random(options.seed).sample(drawn, options.count):
            place = copy / file.relative_to(ROOT)
            lines = file.read_text().splitlines(keepends=True)
            lines[number - 1] = lines[number - 1].replace(before, after)
            place.write_text("".join(lines))
            test = ""
            folders = [f"tests/{file.relative_to(ROOT).parts[0]}"]
            folders += [] if options.own_room else ["tests"]
            for tier in TIERS:
                if test := found_by(copy, tier, folders):
                    break
            counts[tier if test else "neither"] += 1
            place.write_text(file.read_text())
            where = f"{file.relative_to(ROOT)}:{number}"
            print(
                f"{tier if test else 'neither':9} {where}: {after.strip()}  <- {test}", flush=True
            )
    print(", ".join(f"{tier}: {count}" for tier, count in counts.items()))


if __name__ == "__main__":
    main()

"""Text fit for a terminal and for Markdown: names of others' files, and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What Markdown (CommonMark, and the tables of GitHub's) gives a meaning inside a line. An
#: underscore between letters has none.
_MARKUP = re.compile(r"[\\`*\[\]<>|#~$&!]|(?<![^\W_])_|_(?![^\W_])")


def printable(text: str, longest: int | None = None) -> str:
    """``text`` in one line: line ends, control and undecodable characters as escapes.

    With ``longest``, the middle of a longer text is left out.
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
    if longest is None or len(shown) <= longest:
        return shown
    tail = longest // 3
    return f"{shown[: longest - tail - 1]}…{shown[len(shown) - tail :]}"


def markdown(text: str) -> str:
    """``text`` so that Markdown shows it as it is, in a table too."""
    return _MARKUP.sub(lambda match: "\\" + match.group(), text)


def fenced(text: str) -> str:
    """``text`` as a code block, whatever backticks it has."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], markdown_table: bool) -> str:
    """A table, or one of Markdown; its first and last columns are set left, the others right."""
    if markdown_table:
        rows = [[markdown(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    last = len(head) - 1

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(cells) + " |" if markdown_table else "  ".join(cells).rstrip()

    if markdown_table:
        rule = ["-" * w if i in (0, last) else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
        return "\n".join([line(head), line(rule), *map(line, rows)])
    return "\n".join([line(head), "  ".join("-" * w for w in widths), *map(line, rows)])

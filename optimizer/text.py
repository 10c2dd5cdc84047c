"""Names of others' files, made fit for a terminal and for Markdown."""

from __future__ import annotations

import re

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

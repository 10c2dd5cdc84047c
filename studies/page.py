"""A study's result as text: for a terminal, and as a page of Markdown; the table of all."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from hwgen.templates import filled
from optimizer.text import grid, markdown
from studies.study import HOLDS, Figure, Result

WIDTH = 100
_HEAD = ("figure", "paper", "ours", "source", "verdict")
_ALL_HEAD = ("study", "claim of", "figures", "verdict")


def text(result: Result) -> str:
    """A result for a terminal."""
    study, why = result.study, _why(result.figures)
    parts = [
        f"{study.name}: {study.paper}",
        _wrapped(f"claim: {study.claim}", "  "),
        "",
        grid(_HEAD, _rows(result.figures), False),
        "",
        *(_wrapped(line, "  ") for line in _how(result.figures)),
        "",
        *(_wrapped(line, "  ") for line in why),
        *([""] if why else []),
        _wrapped(study.notes, ""),
        "",
        f"verdict: {result.verdict} ({result.summary}){_form(result)}",
    ]
    return "\n".join(parts)


def page(result: Result, picture: str) -> str:
    """A result as a page of Markdown; ``picture``: the name of its file."""
    study = result.study
    return filled(
        "studies",
        "page.md.j2",
        study=study,
        markdown=markdown,
        verdict=result.verdict,
        summary=result.summary,
        form=_form(result),
        table=grid(_HEAD, _rows(result.figures), True),
        how=_how(result.figures),
        why=_why(result.figures),
        picture=picture,
        command=f"hwgen reproduce {study.name}" + (" --quick" if result.quick else ""),
    )


def table(results: Sequence[Result], markdown_table: bool = False) -> str:
    """All results, a row each."""
    rows = [(r.study.name, r.study.title, r.summary, r.verdict) for r in results]
    if not markdown_table:
        return grid(_ALL_HEAD, rows, False)
    lines = [f"| {' | '.join(_ALL_HEAD)} |", "| --- | --- | --- | --- |"]
    for name, *cells in rows:
        linked = f"[{name}](studies/{name}.md)"
        lines.append(f"| {' | '.join((linked, *map(markdown, cells)))} |")
    return "\n".join(lines)


def _form(result: Result) -> str:
    return ", of the quick form" if result.quick else ""


def _rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [
        (f"{i}. {f.what}", f.paper, f.shown, f.source, f.verdict or "–")
        for i, f in enumerate(figures, start=1)
    ]


def _how(figures: Sequence[Figure]) -> list[str]:
    """How figures were measured, those alike together."""
    ways: dict[tuple[str, str], list[int]] = {}
    for i, f in enumerate(figures, start=1):
        ways.setdefault((f.how, f.samples), []).append(i)
    return [f"{_span(where)}: {how}; {samples}." for (how, samples), where in ways.items()]


def _why(figures: Sequence[Figure]) -> list[str]:
    """Why figures do not hold, those of one reason together."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for i, f in enumerate(figures, start=1):
        if f.verdict not in ("", HOLDS):
            reasons.setdefault((f.verdict, f.why or "the number is another here"), []).append(i)
    return [f"{_span(where)} {verdict}: {why}." for (verdict, why), where in reasons.items()]


def _span(numbers: Sequence[int]) -> str:
    """Numbers as ``1, 3–5``."""
    runs = groupby(enumerate(numbers), lambda entry: entry[1] - entry[0])
    parts = []
    for _, run in runs:
        members = [number for _, number in run]
        parts.append(str(members[0]) if len(members) == 1 else f"{members[0]}–{members[-1]}")
    return ", ".join(parts)


def _wrapped(line: str, indent: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)

"""What a study is: figures of ours beside a paper's, and the verdict that follows from them.

A study is two functions and a picture. ``measure`` makes numbers, plain JSON, with this package's
tools. ``judge`` says which of them answer which claim: it computes nothing slow, so that the
verdict follows from the numbers alone. What a figure must be for its claim to hold is written in
the study, and was before it was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from studies.bench import Bench

#: Verdicts, of a figure and of a study.
HOLDS, PARTLY, FAILS = "holds", "holds in part", "does not hold"
#: Where a number comes from: tools or samples; the cost model; a formula of the paper.
MEASURED, PREDICTED, COMPUTED = "measured", "predicted", "computed"
SOURCES = (MEASURED, PREDICTED, COMPUTED)

#: What ``measure`` returns: JSON types.
Data: TypeAlias = dict[str, Any]
#: From and to, both included.
Span: TypeAlias = tuple[float, float]
INFINITY = float("inf")


@dataclass(frozen=True)
class Bounds:
    """What a figure must be: the claim ``holds`` in one span, in part in another around it.

    Elsewhere it does not.
    """

    holds: Span
    partly: Span

    def verdict(self, value: float) -> str:
        """The verdict on ``value``."""
        for span, verdict in ((self.holds, HOLDS), (self.partly, PARTLY)):
            if span[0] <= value <= span[1]:
                return verdict
        return FAILS


def near(paper: float, within: float = 0.1, roughly: float = 0.3) -> Bounds:
    """The paper's number: it holds if ours is ``within`` this part of it, in part if ``roughly``.

    For a positive number.
    """
    return Bounds(
        (paper * (1 - within), paper * (1 + within)), (paper * (1 - roughly), paper * (1 + roughly))
    )


def between(low: float, high: float, roughly: float = 0.3) -> Bounds:
    """The paper's span; in part if ours is off either end by up to the part ``roughly`` of it."""
    margins = roughly * abs(low), roughly * abs(high)
    return Bounds((low, high), (low - margins[0], high + margins[1]))


def at_least(low: float, partly: float | None = None) -> Bounds:
    """It holds from ``low`` on, in part from ``partly`` on."""
    return Bounds((low, INFINITY), (low if partly is None else partly, INFINITY))


def at_most(high: float, partly: float | None = None) -> Bounds:
    """It holds up to ``high``, in part up to ``partly``."""
    return Bounds((-INFINITY, high), (-INFINITY, high if partly is None else partly))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a claim: the ``paper``'s, as it says it, and ours.

    ``low``, ``high``: the interval of ours, if there is one; what it is, ``how`` says. ``how``: how
    it was measured; ``samples``: on how many samples. ``bounds``: None for a figure that only
    stands beside others. ``why``: the reason where the claim does not hold, or only in part.
    """

    what: str
    ours: float
    source: str
    how: str
    samples: str
    paper: str = "–"
    unit: str = ""
    low: float | None = None
    high: float | None = None
    bounds: Bounds | None = None
    why: str = ""

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"source={self.source!r}: one of {', '.join(SOURCES)}")

    @property
    def verdict(self) -> str:
        """One of the verdicts; nothing without ``bounds``."""
        return "" if self.bounds is None else self.bounds.verdict(self.ours)

    @property
    def shown(self) -> str:
        """Ours with unit and interval, for people."""
        text = number(self.ours)
        if self.low is not None and self.high is not None:
            text += f" ({number(self.low)} to {number(self.high)})"
        return f"{text} {self.unit}".rstrip()


def number(value: float) -> str:
    """``value`` with three or four digits, and no powers of ten where it can be."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.4g}"


def overall(verdicts: Sequence[str]) -> str:
    """The verdict of a study: it holds if all hold, and does not if none does, not even in part."""
    counted = [verdict for verdict in verdicts if verdict]
    if not counted:
        raise ValueError("no figure has a verdict: a study needs one at least")
    if all(verdict == HOLDS for verdict in counted):
        return HOLDS
    return FAILS if all(verdict == FAILS for verdict in counted) else PARTLY


@dataclass(frozen=True, kw_only=True)
class Study:
    """A paper's claim and how it is checked here.

    ``claim``: what the paper says, a sentence or two; ``paper``: authors' title and where it is.
    ``measure``: takes the bench, returns the numbers. ``judge``: takes these, returns figures.
    ``draw``: takes matplotlib's figure and the numbers. ``notes``: what a reader must know of how
    it was measured, and what was not. ``needs``: optional packages, of the extra ``optimize``.
    """

    name: str
    title: str
    paper: str
    claim: str
    measure: Callable[[Bench], Data]
    judge: Callable[[Data], Sequence[Figure]]
    draw: Callable[[Any, Data], None]
    notes: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """A study's numbers, and what follows from them."""

    study: Study
    data: Data
    quick: bool

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures."""
        return tuple(self.study.judge(self.data))

    @property
    def verdict(self) -> str:
        """That of the study."""
        return overall([figure.verdict for figure in self.figures])

    @property
    def summary(self) -> str:
        """How many figures hold, in part and not."""
        verdicts = [figure.verdict for figure in self.figures]
        words = ((HOLDS, "hold"), (PARTLY, "in part"), (FAILS, "not"))
        return ", ".join(f"{verdicts.count(v)} {word}" for v, word in words if v in verdicts)

"""``report.html``: the result as a page for a browser, self-contained, drawn with Plotly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import plotly  # noqa: F401  # So that it is missed before the work and not behind it.

from hwgen.templates import filled, plotly_script
from optimizer.candidates import Choices
from optimizer.explore import Exploration
from optimizer.plan import Plan

#: Pairs of formats that the heat map has at most: those with the fewest LUTs for their damage.
MOST_PAIRS = 60
#: Damages below are drawn as this, in nats.
LEAST_NATS = 1e-6


def html(
    exploration: Exploration, basis: str, command: str | None, notes: Sequence[str] = ()
) -> str:
    """The page; ``basis``: what the figures stand on, in a sentence; ``command``: what made it.

    ``notes``: more sentences on the chosen plan.
    """
    e = exploration
    plans = list(_plans(e))
    figures = {
        "front": _front(e, plans),
        **({} if e.chosen.style == "shared" else {"layers": _layers(e.chosen)}),
        **({"sensitivities": _sensitivities(e)} if e.choices else {}),
    }
    return filled(
        "optimizer",
        "report.html.j2",
        title=f"{e.network.name} on {e.data_name}",
        basis=basis,
        warnings=e.warnings,
        reason=e.reason,
        command=command,
        notes=notes,
        plotly=plotly_script(),
        figures={name: json.loads(figure.to_json()) for name, figure in figures.items()},
        plans=[_plan_fields(name, plan, plan is e.chosen) for name, plan in plans],
        seconds=e.seconds,
    )


def _plans(e: Exploration) -> Iterator[tuple[str, Plan]]:
    """The front's plans by number, and the references that are none of them."""
    yield from ((str(i), plan) for i, plan in enumerate(e.front, start=1))
    yield from ((n, plan) for n, plan in e.references.items() if plan not in e.front)


def _plan_fields(name: str, plan: Plan, chosen: bool) -> dict[str, Any]:
    """What the page says of a plan: its line in the list, and its layers."""
    assert plan.accuracy is not None and plan.selection is not None
    shared = plan.style == "shared"  # One array, counted once.
    return {
        "name": name,
        "chosen": chosen,
        "lut": f"{plan.lut.value:,}",
        "range": f"{plan.lut.low:,}–{plan.lut.high:,}",
        "measured": "" if plan.measured_lut is None else f"{plan.measured_lut:,}",
        "selection": f"{plan.selection.percent:.2f}",
        "test": f"{plan.accuracy.percent:.2f} ± {plan.accuracy.standard_error:.2f}",
        "methods": ", ".join(plan.recipe.names if plan.recipe else ()) or "–",
        "formats": plan.summary(),
        "layers": [
            [
                p.layer.name,
                f"{p.formats[0]} / {p.formats[1]}",
                f"{p.size.lanes} × {p.size.units}",
                f"{p.cycles:,}",
                "" if shared else f"{p.lut.value:,} ({p.lut.low:,}–{p.lut.high:,})",
                "" if shared or p.measured_lut is None else f"{p.measured_lut:,}",
                f"{p.sensitivity:.5f}",
            ]
            for p in plan.layers
        ],
    }


def _figure(x: str, y: str, **layout: Any) -> Any:
    from plotly.graph_objects import Figure

    return Figure(
        layout={
            "template": "none",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
            **{
                axis: {"title": {"text": title}, "gridcolor": "#8884", "automargin": True}
                for axis, title in (("xaxis", x), ("yaxis", y))
            },
            "legend": {"orientation": "h", "y": 1.1},
            **layout,
        }
    )


def _front(e: Exploration, plans: Sequence[tuple[str, Plan]]) -> Any:
    """Test accuracy against predicted LUTs; a point's number is its place in the page's list."""
    figure = _figure("LUTs, predicted", "accuracy on test images, %")
    figure.update_xaxes(type="log")
    kinds = {"front": plans[: len(e.front)], "one format": plans[len(e.front) :]}
    for index, (kind, members) in enumerate(kinds.items()):
        if not members:
            continue
        accuracies = [plan.accuracy for _, plan in members if plan.accuracy is not None]
        figure.add_scatter(
            name=kind,
            x=[plan.lut.value for _, plan in members],
            y=[accuracy.percent for accuracy in accuracies],
            error_y={"type": "data", "array": [a.standard_error for a in accuracies]},
            mode="lines+markers" if kind == "front" else "markers",
            line={"shape": "hv"},
            marker={
                "size": [16 if plan is e.chosen else 9 for _, plan in members],
                "symbol": ["star" if plan is e.chosen else "circle" for _, plan in members],
            },
            text=[f"{name}: {plan.summary()}" for name, plan in members],
            customdata=list(range(index * len(e.front), index * len(e.front) + len(members))),
            hovertemplate="%{text}<br>%{x:,} LUT, %{y:.2f}%<extra></extra>",
        )
    figure.add_hline(
        y=e.fp32.percent, line={"dash": "dot", "color": "gray"}, annotation_text="FP32"
    )
    return figure


def _layers(plan: Plan) -> Any:
    """LUTs of each layer of the chosen plan, predicted with its interval, and measured."""
    figure = _figure("", "LUTs of the chosen plan", barmode="group")
    names = [p.layer.name for p in plan.layers]
    figure.add_bar(
        name="predicted, and within",
        x=names,
        y=[p.lut.value for p in plan.layers],
        error_y={
            "type": "data",
            "array": [p.lut.high - p.lut.value for p in plan.layers],
            "arrayminus": [p.lut.value - p.lut.low for p in plan.layers],
        },
        hovertemplate="%{x}: %{y:,}<extra>predicted</extra>",
    )
    if any(p.measured_lut is not None for p in plan.layers):
        figure.add_bar(
            name="measured",
            x=names,
            y=[p.measured_lut for p in plan.layers],
            hovertemplate="%{x}: %{y:,}<extra>measured</extra>",
        )
    return figure


def _sensitivities(e: Exploration) -> Any:
    """The damage of each pair of formats in each layer, layers by row, cheaper pairs first."""
    rows = [(choice, i) for choice in e.choices for i in range(len(next(iter(choice.values()))))]
    pairs = _shown_pairs(e.choices, e.chosen)
    chosen = {p.layer.name: p.formats for p in e.chosen.layers}
    names, damages, texts, marks = [], [], [], []
    for choice, place in rows:
        plans = {pair: layers[place] for pair, layers in choice.items()}
        name = next(iter(plans.values())).layer.name
        names.append(name)
        of_row = [plans.get(pair) for pair in pairs]
        damages.append(
            [None if p is None else math.log10(max(p.sensitivity, LEAST_NATS)) for p in of_row]
        )
        texts.append(
            ["" if p is None else f"{p.sensitivity:.2g} nats, {p.lut.value:,} LUT" for p in of_row]
        )
        marks += [(name, pair) for pair in pairs if pair == chosen[name]]
    labels = {pair: f"{pair[0]} × {pair[1]}" for pair in pairs}
    figure = _figure("activations × weights", "", height=160 + 28 * len(names))
    figure.add_heatmap(
        x=[labels[pair] for pair in pairs],
        y=names,
        z=damages,
        text=texts,
        colorscale="Cividis",
        colorbar={"title": {"text": "log10 KL, nats"}},
        hovertemplate="%{y}, %{x}<br>%{text}<extra></extra>",
    )
    figure.add_scatter(
        name="chosen",
        x=[labels[pair] for _, pair in marks],
        y=[name for name, _ in marks],
        mode="markers",
        marker={"symbol": "square-open", "size": 14, "color": "red", "line": {"width": 2}},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickangle=-60, type="category")
    return figure


def _shown_pairs(choices: Sequence[Choices], chosen: Plan) -> list[Any]:
    """The chosen plan's pairs, and of the others those that a smaller sum of LUTs has."""
    cost: dict[Any, int] = {}
    for choice in choices:
        for pair, layers in choice.items():
            cost[pair] = cost.get(pair, 0) + layers[0].lut.value
    taken = {p.formats for p in chosen.layers}
    others = sorted((pair for pair in cost if pair not in taken), key=lambda pair: cost[pair])
    wanted = [*taken, *others[: max(MOST_PAIRS - len(taken), 0)]]
    return sorted((pair for pair in wanted if pair in cost), key=lambda pair: cost[pair])

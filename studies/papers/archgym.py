"""ArchGym: models that stand for a slow simulator, their error and speed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.stats import kendalltau

import cost_models
from cost_models import measurement, model
from cost_models.features import Features
from hwgen.spec import from_dict
from studies.bench import Bench
from studies.colours import COLOURS
from studies.study import MEASURED, PREDICTED, Data, Figure, Study, at_least, at_most

TARGETS = ("ecp5", "xc7")


def _held_out(target: str) -> dict[str, list[float]]:
    """LUTs that were measured of designs that no fit has seen, and what is predicted of them."""
    known = [m for m in measurement.held_out() if m.target == target]
    specs = [from_dict(m.spec) for m in known]
    predicted = model.of(target, "lut").predictions(Features(specs), target)
    return {
        "measured": [float(m.result["lut"]) for m in known],
        "predicted": [float(v) for v in predicted.value],
        "low": [float(v) for v in predicted.low],
        "high": [float(v) for v in predicted.high],
        "seconds": [float(m.result["seconds"]) for m in known if "seconds" in m.result],
    }


def _seconds(target: str, count: int) -> float:
    """Processor time of a prediction, seconds, the mean of ``count`` that are new."""
    specs = [from_dict(m.spec) for m in measurement.held_out() if m.target == target][:count]
    cost_models.predict(specs[0], target)
    cost_models.predict.cache_clear()
    began = time.process_time()
    for spec in specs:
        cost_models.predict(spec, target)
    return (time.process_time() - began) / len(specs)


def measure(bench: Bench) -> Data:
    """Predictions of the hold-out, and how long one takes."""
    count = 20 if bench.quick else 100
    return {
        t: {"designs": bench.kept(_held_out, t), "seconds": bench.kept(_seconds, t, count)}
        for t in TARGETS
    }


def judge(data: Data) -> list[Figure]:
    """Error, order and speed of the cost model."""
    figures = []
    for target, of in data.items():
        true, guess = (np.array(of["designs"][k]) for k in ("measured", "predicted"))
        rmse = 100 * float(np.sqrt(np.square(guess - true).mean()) / true.mean())
        off = 100 * float(np.median(np.abs(guess / np.maximum(true, 1) - 1)))
        common: dict[str, Any] = {
            "source": PREDICTED,
            "how": "cost model of LUTs against measurements that no fit has "
            "seen (the shipped hold-out)",
            "samples": f"{len(true)} designs",
        }
        inside = (np.array(of["designs"]["low"]) - 0.5 <= true) & (
            true <= np.array(of["designs"]["high"]) + 0.5
        )
        figures += [
            Figure(
                what=f"root mean square error over the mean, {target}",
                paper="0.61",
                ours=rmse,
                unit="%",
                bounds=at_most(0.61, 2.0),
                **common,
                why="the paper's proxies are tested on a random fifth of the sweep that they are "
                "fitted to; these designs are of formats and units that were left out, on purpose",
            ),
            Figure(what=f"median error, {target}", ours=off, unit="%", **common),
            Figure(
                what=f"Kendall's tau, {target}", ours=float(kendalltau(guess, true)[0]), **common
            ),
            Figure(
                what=f"measurements inside the 90% interval, {target}",
                ours=100 * float(inside.mean()),
                unit="%",
                **common,
            ),
        ]
        if of["designs"]["seconds"]:
            times = np.array(of["designs"]["seconds"]) / of["seconds"]
            low, high = np.percentile(times, (10, 90))
            figures.append(
                Figure(
                    what=f"times faster than a synthesis, {target}",
                    paper="2000",
                    ours=float(times.mean()),
                    low=float(low),
                    high=float(high),
                    source=MEASURED,
                    how="time of the shipped measurements over processor time of a prediction; the "
                    "interval is that of 80% of the designs",
                    samples=f"{len(times)} syntheses",
                    bounds=at_least(1000, 100),
                )
            )
    return figures


def draw(figure: Any, data: Data) -> None:
    """Predicted against measured LUTs."""
    panels = figure.subplots(1, len(TARGETS))
    for axes, (target, of), colour in zip(panels, data.items(), COLOURS, strict=False):
        axes.loglog(of["designs"]["measured"], of["designs"]["predicted"], "o", ms=3, color=colour)
        ends = [1, max(of["designs"]["measured"])]
        axes.loglog(ends, ends, "--", color="black", lw=0.8)
        axes.set_xlabel(f"LUTs, {target} (measured)")
        axes.set_ylabel("LUTs (predicted)")


STUDY = Study(
    name="archgym",
    title="ArchGym: a model in place of a slow tool",
    paper="ArchGym: An Open-Source Gymnasium for Machine Learning Assisted Architecture Design, "
    "arXiv 2306.08888",
    claim="A model that is fitted to what a simulator said stands for it with a root mean square "
    "error of 0.61%, 2,000 times faster.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper's proxies are of DRAM controllers; here it is the cost model of this package "
    "against synthesis. Agents that search are not compared.",
)

"""Agents that search the environment, compared at equal budgets: ``python -m cost_models.agents``.

Random, evolutionary and Bayesian search are samplers of Optuna (Akiba et al., KDD 2019); the exact
agent asks for every design there is, whatever the budget, and tells how good the others were.
"""

from __future__ import annotations

import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from cost_models.environment import DotProducts
from hwgen.arguments import Parser, count, parsed, run_module
from hwgen.progress import Pace, tell

#: How an agent chooses what to try next, by its name; a function of a seed.
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "evolutionary (NSGA-II)": lambda seed: optuna.samplers.NSGAIISampler(
        seed=seed, population_size=20
    ),
    "Bayesian (TPE)": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=20),
}


#: Of the comparison.
FORMATS = ("int4", "int5", "int6", "int8", "e2m1", "e2m3", "e3m2", "e4m3")


@dataclass(frozen=True)
class Run:
    """The best reward after each step of an agent, and the design that has it."""

    agent: str
    seed: int
    best: tuple[float, ...]
    design: object


def run(environment: DotProducts, agent: str, budget: int, seed: int) -> Run:
    """One search of ``budget`` steps."""
    axes = environment.axes

    def objective(trial: optuna.Trial) -> float:
        action = [trial.suggest_categorical(str(i), range(len(a))) for i, a in enumerate(axes)]
        environment.reset()
        _, reward, *_, info = environment.step(np.array(action))
        trial.set_user_attr("design", str(info.get("design", info.get("error"))))
        return reward

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of samplers that Optuna calls experimental.
        study = optuna.create_study(direction="maximize", sampler=SAMPLERS[agent](seed))
        study.optimize(objective, n_trials=budget)
    rewards = [trial.value for trial in study.trials]
    best = tuple(np.maximum.accumulate([r for r in rewards if r is not None]).tolist())
    return Run(agent, seed, best, study.best_trial.user_attrs["design"])


def exact(environment: DotProducts, progress: Callable[[str], None] = lambda line: None) -> Run:
    """The best design of all."""
    best, design = -float("inf"), None
    pace = Pace(int(np.prod([len(axis) for axis in environment.axes])))
    for index, action in enumerate(environment.actions()):
        _, reward, *_, info = environment.step(action)
        pace.part_done()
        if reward > best:
            best, design = reward, info["design"]
        if index % 2000 == 1999:
            progress(str(pace))
    return Run("exact", 0, (best,), design)


def table(runs: Sequence[Run], optimum: Run) -> str:
    """A row an agent: how far its best design's cost is from the best of all, over the seeds."""
    lines = [f"{'agent':24} steps  seeds  cost over the best: median (range)"]
    for agent in dict.fromkeys(r.agent for r in runs):
        own = [r for r in runs if r.agent == agent]
        over = [float(np.expm1(optimum.best[-1] - r.best[-1])) for r in own]
        lines.append(
            f"{agent:24} {len(own[0].best):5}  {len(own):5}  {statistics.median(over):+.1%} "
            f"({min(over):+.1%} to {max(over):+.1%})"
        )
    return "\n".join([*lines, f"exact: {optimum.design}"])


def main(arguments: Sequence[str]) -> None:
    """Compare the agents on Gaussian operands of at least 20 dB, in formats of 4 to 8 bits."""
    parser = Parser(prog="python -m cost_models.agents", description=main.__doc__)
    parser.add_argument("--budget", type=count(1, 100_000), default=200, help="steps of a search")
    parser.add_argument("--seeds", type=count(1, 1000), default=5, help="searches of each agent")
    parser.add_argument("--target", default="ecp5")
    options = parsed(parser, arguments)
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 4096))
    environment = DotProducts(options.target, a=a, b=b, least_db=20, formats=FORMATS)
    runs = []
    for agent in SAMPLERS:
        for seed in range(options.seeds):
            runs.append(run(environment, agent, options.budget, seed))
            tell(f"{agent}, seed {seed}: {runs[-1].best[-1]:.3f}")
    print(table(runs, exact(environment, tell)))


if __name__ == "__main__":
    sys.exit(run_module(main))

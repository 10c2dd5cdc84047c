"""A Gymnasium environment: choose a dot product's formats, lanes, stages and mapping.

In the form of ArchGym (Krishnan et al., *ArchGym: An Open-Source Gymnasium for Machine Learning
Assisted Architecture Design*, ISCA 2023): an action is a whole design, an episode has one step, the
observation is what the design achieves. The answers are the cost model's, so that a step takes no
tool; ``info`` says which of them were measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from cost_models import query
from cost_models.choices import qsnr_db
from cost_models.energy_query import energy
from hwgen.errors import InputError
from hwgen.formats import NAMES, parse_scalar
from hwgen.spec import DotProduct
from yosys_scripts import target as facts_of

#: What an observation has, in this order: dB of signal to quantisation noise of a product, LUTs,
#: MHz, and pJ of one multiply-accumulate (``Energy.field`` says of which targets it is a ratio).
OBSERVED = ("accuracy_db", "lut", "fmax_mhz", "energy_pj")
#: Between which they lie.
BOUNDS = (np.array([-100.0, 0, 0, 0]), np.array([400.0, 1e9, 1e5, 1e9]))
LANES = (1, 2, 4, 8, 16, 32, 64)
#: Stages beyond as few as there can be; the first stands for the usual number.
STAGES = (None, 1, 2, 3, 4, 5, 6, 7, 8)
MAPPINGS = ("lut", "dsp")
#: What a decibel that is missing costs, and a design that cannot be, in e-folds of the cost.
DECIBEL, REFUSED = 0.5, 50.0


@dataclass(frozen=True)
class Design:
    """What an action stands for; ``stages``: None for as many as a usual clock needs."""

    a: str
    b: str
    lanes: int
    stages: int | None
    mapping: str

    def spec(self) -> DotProduct:
        """The unit; InputError if it cannot be."""
        return DotProduct(
            a=self.a, b=self.b, lanes=self.lanes, mapping=self.mapping, stages=self.stages or 0
        )


class DotProducts(gymnasium.Env[npt.NDArray[np.float64], npt.NDArray[np.int64]]):
    """Dot products on a ``target`` for operands like ``a`` and ``b``, arrays of numbers.

    An action has an index into each of ``axes``: formats of a and b, ``LANES``, ``STAGES``,
    ``MAPPINGS``. The observation is ``OBSERVED``. The reward is −ln(LUTs · pJ / (MACs a second)),
    less ``DECIBEL`` for each dB that the operands fall short of ``least_db``: larger is better.
    DSP blocks count as ``dsp_lut`` LUTs. A design that cannot be is worth −``REFUSED``, and
    ``info["error"]`` says why. The same action gives the same answer.

    Raises:
        InputError: an unknown format or target, one that is not placed, numbers as of ``qsnr_db``.

    """

    def __init__(
        self,
        target: str = "ecp5",
        *,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        least_db: float = 20.0,
        formats: Sequence[str] = NAMES,
        lanes: Sequence[int] = LANES,
        stages: Sequence[int | None] = STAGES,
        mappings: Sequence[str] = MAPPINGS,
        dsp_lut: float = 55.0,
    ) -> None:
        if facts_of(target).placer is None:
            raise InputError(f"target {target} is not placed, so that no clock of it is known")
        self.target, self.least_db, self.dsp_lut = target, least_db, dsp_lut
        self.axes = (tuple(formats), tuple(formats), tuple(lanes), tuple(stages), tuple(mappings))
        self._db = [{f: qsnr_db(x, parse_scalar(f)) for f in formats} for x in (a, b)]
        self.action_space = gymnasium.spaces.MultiDiscrete([len(axis) for axis in self.axes])
        self.observation_space = gymnasium.spaces.Box(*BOUNDS, dtype=np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        """Nothing is chosen yet: zeros."""
        super().reset(seed=seed)
        return np.zeros(len(OBSERVED)), {}

    def step(
        self, action: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """What the design of the action achieves; the episode ends."""
        if not self.action_space.contains(np.asarray(action)):
            sizes = [len(axis) for axis in self.axes]
            raise InputError(f"action={action!r}: give an index below each of {sizes}")
        design = self.design(action)
        try:
            observed, info = self._achieved(design)
        except InputError as error:
            return np.zeros(len(OBSERVED)), -REFUSED, True, False, {"error": str(error)}
        return observed, self._reward(design, observed, info), True, False, info

    def design(self, action: npt.ArrayLike) -> Design:
        """What an action stands for."""
        chosen = np.asarray(action).tolist()
        return Design(*(axis[i] for axis, i in zip(self.axes, chosen, strict=True)))

    def actions(self) -> Iterator[npt.NDArray[np.int64]]:
        """Every action there is."""
        for chosen in itertools.product(*(range(len(axis)) for axis in self.axes)):
            yield np.array(chosen, np.int64)

    def _achieved(self, design: Design) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        spec = design.spec()
        cost = query.predict(spec, self.target)
        if cost.fmax_mhz.value is None or cost.lut.value is None or cost.dsp.value is None:
            raise InputError(f"{spec.name}: no clock of it is known on {self.target}")
        # Noise of both operands adds; it is relative to what the product is.
        noise = sum(
            10 ** (-db[f] / 10) for db, f in zip(self._db, (design.a, design.b), strict=True)
        )
        accuracy = -10 * math.log10(noise) if noise else 200.0
        picojoules = energy(spec, self.target).value
        observed = (accuracy, cost.lut.value, cost.fmax_mhz.value, picojoules)
        info = {"design": design, "spec": spec, "dsp": cost.dsp.value, "source": cost.lut.source}
        return np.array(observed, np.float64), info

    def _reward(
        self, design: Design, observed: npt.NDArray[np.float64], info: dict[str, Any]
    ) -> float:
        accuracy, lut, mhz, picojoules = map(float, observed)
        area = lut + self.dsp_lut * float(info["dsp"])
        short = max(self.least_db - accuracy, 0.0)
        return -math.log(area * picojoules / (design.lanes * mhz)) - DECIBEL * short

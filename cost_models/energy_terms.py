"""Energy of an activity: terms for nets and registers' outputs, for clocks, and for DSP blocks.

E = net · (toggles of nets and of registers' outputs) + clock · registers + dsp · toggles of the
operands and results of DSP blocks. ``cost_models.energy_calibration`` derives the terms from
published measurements (``energy_terms.toml``); of targets without any the iCE40's stand in, so that
designs can be compared.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

import yosys_scripts
from cost_models import measurement

FILE = "energy_terms.toml"
#: The parts of an activity, each with an energy of its own.
PARTS = measurement.ACTIVITY_PARTS
#: Whose terms are the weights of targets without a measurement.
STAND_IN = "ice40"


@dataclass(frozen=True)
class Activity:
    """What happens in a clock cycle, on average.

    ``nets``: toggles of nets that LUTs, carry cells or input pins drive; ``registers``: of outputs
    of registers; ``clocked``: registers, each of which has a clock edge; ``dsp_toggles``: of the
    operands and results of DSP blocks.
    """

    nets: float
    registers: float
    clocked: float
    dsp_toggles: float

    @property
    def toggles(self) -> float:
        """Toggles of all nets, whatever drives them."""
        return self.nets + self.registers

    @classmethod
    def of_row(cls, result: Mapping[str, float]) -> Activity:
        """The activity of a stored result."""
        return cls(*(float(result[part]) for part in PARTS))

    def to_dict(self) -> dict[str, float]:
        """Plain JSON types."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Terms:
    """What one target takes, in pJ.

    ``net``: a toggle of a net, or of a register's output with its net; ``clock``: a register's
    clock edge; ``dsp``: a toggle of an operand or result of a DSP block. Each may be ``low`` to
    ``high`` times that, all of them together. ``basis`` says what was measured; ``absolute``: on
    this target.
    """

    target: str
    net: float
    clock: float
    dsp: float
    low: float
    high: float
    basis: str
    absolute: bool = True

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Of ``PARTS``, in their order; shape (4,)."""
        of_part = {"nets": self.net, "registers": self.net, "clocked": self.clock}
        return np.array([of_part.get(part, self.dsp) for part in PARTS])

    def energy(self, activity: Activity) -> float:
        """PJ a clock cycle."""
        return sum(self.parts(activity).values())

    def parts(self, activity: Activity) -> dict[str, float]:
        """PJ a clock cycle of each part."""
        of = activity.to_dict()
        return {part: of[part] * w for part, w in zip(PARTS, self.weights.tolist(), strict=True)}


@functools.cache
def _file() -> Mapping[str, Any]:
    text = resources.files("cost_models").joinpath(FILE).read_text("utf-8")
    return tomllib.loads(text)


def rows() -> Sequence[Mapping[str, Any]]:
    """What was measured of the iCE40, and what its terms make of it, in pJ a cycle."""
    return list(_file()["rows"])


def terms(target: str) -> Terms:
    """The terms of a target; those of ``STAND_IN`` where nothing was measured.

    InputError for an unknown target.
    """
    yosys_scripts.target(target)
    absolute = target in _file()
    row = _file()[target if absolute else STAND_IN]
    return Terms(target=target, absolute=absolute, **row)

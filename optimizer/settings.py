"""What an exploration is asked for, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cost_models
import yosys_scripts
from cost_models.devices import FILL
from cost_models.measurement import require_mapping
from hwgen import formats as number_formats
from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, shown
from hwgen.formats import Format, Scalar
from hwgen.spec.base import require_int
from optimizer import sizing
from optimizer.datapaths import lane_step, unit
from optimizer.plan import STYLES
from optimizer.ptq.methods import Methods, methods

#: One format for the whole network, as reference.
REFERENCES = {"all-INT8": "int8", "all-INT4": "int4", "all-E4M3": "e4m3"}
#: The reference in the formats that the network's file gives, and in that one where it gives none.
AS_GIVEN, NOT_GIVEN = "as given", "int8"
#: What is done with formats that the file gives to a layer: tried beside the others, or kept.
GIVEN = ("start", "fixed")

#: Resources whose most can be given, and the largest number of any.
LIMITED, MOST_OF_ANY = ("lut", "ff", "carry", "dsp"), 10**9
#: Bits of the widest candidates.
MOST_BITS = 16


def references() -> dict[str, Scalar]:
    """The formats of ``REFERENCES``, by the names of the references."""
    return {name: number_formats.parse_scalar(text) for name, text in REFERENCES.items()}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was asked for; written into the report.

    ``target``: a name of ``yosys_scripts.TARGETS``; ``fps``: images a second at ``clock_mhz``;
    ``style``: one of ``plan.STYLES``, a datapath for each layer or one shared by all.
    ``formats``: candidates for activations and weights of each layer; ``max_drop``: percentage
    points of accuracy that the chosen plan may lose against FP32.
    ``resolution``: relative step of the LUT budget along the front (0: every point); the points
    beside the chosen one are evaluated, and of the others every second.
    ``max_divergence``: predicted mean KL divergence, in nats, past which a point is not worth
    an evaluation: its predictions have little to do with the network's. ``min_divergence``: of the
    points below it only the one with the fewest LUTs is evaluated: no answer in a thousand changes.
    ``sensitivity_images``: so many of the calibration images, drawn at random (seeded: the
    first ones may all be of one class), measure the sensitivities; 128 already rank plans as
    well as the notes in ``sensitivity`` say. ``given``: one of ``GIVEN``, what is done with the
    formats of a network that is quantised already. ``ptq``: the methods of post-training
    quantisation. ``device``: a name of ``cost_models.parts``, on which the plan must fit; ``most``:
    of the resources in ``LIMITED`` that a plan may take, in place of what the device has;
    ``min_accuracy``: in percent of the selection images, in place of ``max_drop``. InputError for
    what cannot be.
    """

    target: str
    fps: float
    clock_mhz: float = 50.0
    style: str = "streaming"
    formats: tuple[Format, ...]
    max_drop: float = 0.5
    resolution: float = 0.05
    max_divergence: float = 0.15
    min_divergence: float = 3e-4
    sensitivity_images: int = 256
    given: str = "start"
    ptq: Methods = field(default_factory=methods)
    device: str | None = None
    most: Mapping[str, int] = field(default_factory=dict)
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        require_choice("style", self.style, STYLES)
        require_choice("given", self.given, GIVEN)
        if not 0 <= self.max_drop <= 100:
            raise InputError(f"max_drop={self.max_drop}: use percentage points from 0 to 100")
        for name in ("resolution", "max_divergence", "min_divergence"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise InputError(f"{name}={value}: use 0 or a number above")
        if self.sensitivity_images < 1:
            raise InputError(f"sensitivity_images={self.sensitivity_images}: use 1 or more")
        if not (isinstance(self.formats, tuple) and self.formats) or not all(
            isinstance(f, Format) for f in self.formats
        ):
            raise InputError(
                f"formats={shown(self.formats)}: give a tuple of formats, such as "
                "(hwgen.parse('int4'),), or names to explore.settings"
            )
        if self.min_accuracy is not None and not 0 <= self.min_accuracy <= 100:
            raise InputError(f"min_accuracy={self.min_accuracy}: use percent, from 0 to 100")
        yosys_scripts.target(self.target)
        self._check_limits()
        sizing.cycle_budget(self.clock_mhz, self.fps)

    def _check_limits(self) -> None:
        if self.device is not None and (of := cost_models.part(self.device).target) != self.target:
            raise InputError(
                f"target={self.target}: {self.device} is a device of {of}: give that target"
            )
        for name, most in self.most.items():
            require_choice("most", name, LIMITED)
            require_int(f"most {name}", most, 0, MOST_OF_ANY)
        if self.most.get("dsp"):
            require_mapping(self.target, "dsp")

    @property
    def limits(self) -> dict[str, int]:
        """The most of each resource that a plan may take, of those that are limited.

        Of a device's LUTs, registers and carries as much as ``cost_models.devices.FILL``, or as is
        given in ``most``, at most all.
        """
        if self.device is None:
            return dict(self.most)
        has = cost_models.part(self.device).capacity
        filled = {name: n if name == "dsp" else int(FILL * n) for name, n in has.items()}
        return {**filled, **{name: min(n, has.get(name, n)) for name, n in self.most.items()}}

    @property
    def dsp_worths(self) -> tuple[float | None, ...]:
        """The ways to map datapaths: in LUTs alone, and where there are DSP blocks in those.

        A DSP block counts as the LUTs that there are for each.
        """
        blocks = self.limits.get("dsp", 0)
        return (None, self.limits.get("lut", 0) / blocks) if blocks else (None,)

    @property
    def cycle_budget(self) -> int:
        """Cycles an image at the frame rate."""
        return sizing.cycle_budget(self.clock_mhz, self.fps)

    @property
    def tried(self) -> tuple[Format, ...]:
        """The candidates, and the references' formats."""
        return tuple(dict.fromkeys((*self.formats, *references().values())))


def settings(
    *,
    formats: Sequence[str | Format] | None = None,
    ptq: Sequence[str] | None = None,
    **others: Any,
) -> Settings:
    """``Settings`` with ``formats`` by name too, default all of ``hwgen.formats.NAMES``.

    ``ptq``: names of methods as ``ptq.methods.methods`` takes them, default its own; ``others``:
    the other fields of ``Settings``. InputError as theirs, and for a name that is no format or
    method.
    """
    names = number_formats.NAMES if formats is None else formats
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise InputError(f"formats={shown(names)}: give a list of formats, such as ['int4']")
    candidates = tuple(dict.fromkeys(map(number_formats.parse, names)))
    if isinstance(ptq, str) or not (ptq is None or isinstance(ptq, Sequence)) or ptq == []:
        raise InputError(f"ptq={shown(ptq)}: give a list of methods, such as ['bias', 'gptq']")
    return Settings(formats=candidates, ptq=methods(ptq), **others)


def require_candidates(settings: Settings) -> None:
    """InputError for a candidate format that no layer can be quantized to here.

    Operands of both signs are saturated to its finite values.
    """
    for f in settings.formats:
        has_nan = isinstance(f, Scalar) and f.has_nan  # No block is quantised to its scale's NaN.
        usable = f.element.signed and f.element.has_hardware and not has_nan
        if not usable or f.element.bits > MOST_BITS:
            raise InputError(
                f"formats: {f} is no candidate for a layer: use signed integers and minifloats "
                f"without NaN, of up to {MOST_BITS} bits, or blocks of signed elements"
            )
        step = lane_step(f, f)
        unit(f, f, step, step)  # InputError where no hardware multiplies it.

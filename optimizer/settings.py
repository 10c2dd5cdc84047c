"""What an exploration is asked for, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yosys_scripts
from hwgen import formats as number_formats
from hwgen.errors import InputError
from hwgen.fields import check_fields, require_choice, shown
from hwgen.formats import Format, Scalar
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
    ``resolution``: relative step of the LUT budget along the front (0: every point).
    ``max_divergence``: predicted mean KL divergence, in nats, past which a point is not worth
    an evaluation: its predictions have little to do with the network's.
    ``sensitivity_images``: so many of the calibration images, drawn at random (seeded: the
    first ones may all be of one class), measure the sensitivities; 128 already rank plans as
    well as the notes in ``sensitivity`` say. ``given``: one of ``GIVEN``, what is done with the
    formats of a network that is quantised already. ``ptq``: the methods of post-training
    quantisation. InputError for what cannot be.
    """

    target: str
    fps: float
    clock_mhz: float = 50.0
    style: str = "streaming"
    formats: tuple[Format, ...]
    max_drop: float = 0.5
    resolution: float = 0.05
    max_divergence: float = 0.15
    sensitivity_images: int = 256
    given: str = "start"
    ptq: Methods = field(default_factory=methods)

    def __post_init__(self) -> None:
        check_fields(self)
        require_choice("style", self.style, STYLES)
        require_choice("given", self.given, GIVEN)
        if not 0 <= self.max_drop <= 100:
            raise InputError(f"max_drop={self.max_drop}: use percentage points from 0 to 100")
        for name in ("resolution", "max_divergence"):
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
        yosys_scripts.target(self.target)
        sizing.cycle_budget(self.clock_mhz, self.fps)

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

"""What every spec has: ports, latency, a name, plain fields, and the hardware made of it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hwgen.errors import InputError
from hwgen.fields import changed, check_fields, set_fields, shown
from hwgen.formats import BlockFormat, Format, Scalar, parse
from hwgen.formats.rounding import RANDOM_BITS
from hwgen.plan.delay import USUAL_TARGET, model
from hwgen.plan.registers import boundaries_of, delays, fewest_stages, least_limit
from hwgen.plan.step import Loop, Steps, loop_of, state_step
from hwgen.sizes.decode import require_decodable
from hwgen.sizes.dsp_multiplier import SIZED
from hwgen.sizes.rounding import require_rounding

MAPPINGS = ("lut", "dsp", "auto")
#: Key of ``option``.
OPTION = "option"


@dataclass(frozen=True)
class Port:
    """A data port: ``count`` elements of ``bits`` bits, element 0 in the lowest.

    ``meaning`` is for people: the header of the Verilog and the datasheet. ``format``: what
    the elements are codes of, if anything.
    """

    name: str
    bits: int
    meaning: str
    count: int = 1
    signed: bool = False
    format: Scalar | None = None

    @property
    def width(self) -> int:
        """Bits of the whole port."""
        return self.bits * self.count

    @property
    def is_signed_number(self) -> bool:
        """The whole port is one signed number, and not several side by side."""
        return self.signed and self.count == 1


@dataclass(frozen=True)
class Stream:
    """Ports that a streamed unit takes together, as a beat.

    ``axis``: what the names of its AXI4-Stream pins begin with. ``last``: what TLAST says of a
    beat; nothing where there is none. ``meaning``: of TVALID.
    """

    name: str
    axis: str
    ports: tuple[Port, ...]
    last: str = ""
    meaning: str = "an input is offered"


@dataclass(frozen=True)
class RandomWords:
    """Random words of 32 bits made inside a unit: ``count`` for each result.

    After reset the first is ``seed``; each valid input takes new ones. See
    ``hwgen.arithmetic.lfsr``.
    """

    seed: int
    count: int = 1


@dataclass(frozen=True)
class Spec(ABC):
    """A datapath: what it computes, on which formats, in how many register stages.

    Every unit takes a new input each cycle. Beside its data ports it has ``clk``, ``rst``,
    ``enable`` (a clock enable of the whole pipeline), ``valid_in`` and ``valid_out``. Formats and
    accumulators are given by name or as objects; a spec holds the objects. InputError for fields
    that are wrong, alone or together: it says what to use.
    """

    if TYPE_CHECKING:
        #: Registers from input to result, beside those of operands that are handed on.
        stages: int

    #: What the command line calls the unit.
    unit: ClassVar[str]
    #: Outputs keep the last result while ``valid_out`` is low; else they may be anything then.
    keeps_outputs: ClassVar[bool] = False
    #: ``a`` and ``b`` can change places: the hardware is as large.
    exchangeable: ClassVar[bool] = False

    #: The target whose delay model places the registers, between finer steps than those of a unit
    #: without one, in which they stand by an estimate that is the same for all targets. With 0
    #: ``stages`` there are as many as a usual clock of the target needs (``DelayModel.usual_mhz``).
    pipeline_target: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        # First, as what follows depends on it, and is remembered.
        if self.stages == 0 and self.mapping == "lut" and not self.pipeline_target:
            set_fields(self, pipeline_target=USUAL_TARGET)
        self._settle()
        self._require_delay_model()
        if self.stages == 0:
            self._choose_stages()
        self.require_stages()

    def _require_delay_model(self) -> None:
        """Check that the target, if there is one, has a model of the delays of what is made."""
        if not self.pipeline_target:
            return
        model(self.pipeline_target)
        if self.mapping != "lut":
            raise InputError(
                f"mapping={self.mapping!r}, pipeline_target={self.pipeline_target!r}: the "
                "delay model has no DSP blocks; use mapping='lut', or give stages alone"
            )

    def _choose_stages(self) -> None:
        """As few as the usual clock of the target needs, or the fastest that the unit can have."""
        if not self.pipeline_target:
            set_fields(self, stages=self.usual_stages)
            return
        times = model(self.pipeline_target)
        limit = times.allowed_fs(times.usual_mhz)
        limit = max(limit, least_limit(self.step_delays, self.loop))
        stages = fewest_stages(self.step_delays, limit, self.state_step, self.loop)
        assert stages is not None
        set_fields(self, stages=stages)

    @abstractmethod
    def _settle(self) -> None:
        """Read fields that are given by name, fill in those that follow from others.

        Raises:
            InputError: a choice that no hardware of the unit makes.

        """

    @property
    @abstractmethod
    def inputs(self) -> tuple[Port, ...]:
        """Data ports that are read with ``valid_in``."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Port, ...]:
        """Data ports that are driven with ``valid_out``."""

    @property
    def input_streams(self) -> tuple[Stream, ...]:
        """What the streamed unit takes: first the stream whose beats have the results."""
        return (Stream("inputs", "s_axis", self.inputs, "travels with its beat"),)

    @property
    def stream_summary(self) -> str:
        """Which beats of a streamed unit have results."""
        return "a beat out for each beat in"

    @property
    def answers_last_only(self) -> bool:
        """Of the first of the streams only beats with TLAST have results."""
        return False

    @property
    @abstractmethod
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result."""

    @property
    def random_words(self) -> RandomWords | None:
        """Random words that the unit makes itself, as ``random_bits``; None where it does not."""
        return None

    @property
    def zero_rounding(self) -> str | None:
        """The rounding by which a zero sum has a sign; None where it has none."""
        return None

    @property
    @abstractmethod
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""

    @property
    def stages_name(self) -> str:
        """What a module's name says of the register stages."""
        return f"stages{self.stages}" + (f"_{self.pipeline_target}" if self.pipeline_target else "")

    @property
    def usual_stages(self) -> int:
        """What 0 ``stages`` stand for where no delay model can tell: of DSP blocks."""
        return 2

    @property
    def is_tuned(self) -> bool:
        """Registers have places inside steps too."""
        return bool(self.pipeline_target)

    @property
    @abstractmethod
    def _steps(self) -> Steps:
        """The steps of the unit, the same for any ``stages``."""

    @cached_property
    def steps(self) -> Steps:
        """The steps of the unit in their order: what each is made of, and what builds it.

        Registers may stand in front of each, and behind the last.
        """
        first, *others = self._steps
        made_inside = self.random_words
        random_bits = 0 if made_inside is None else RANDOM_BITS * made_inside.count
        return (changed(first, bits=self.input_bits + random_bits), *others)

    @cached_property
    def state_step(self) -> int | None:
        """Which of them holds something from one input to the next, if any."""
        return state_step(self.steps)

    @cached_property
    def loop(self) -> Loop | None:
        """Those of them that are a loop of partial sums, if any."""
        return loop_of(self.steps)

    @property
    def rounds_in_loop(self) -> bool:
        """What is held is rounded with each input: its loop is more than an adder."""
        return False

    def with_fast_loop(self) -> Self | None:
        """The unit with a loop that is faster and larger; None where it has no such, or has it."""
        return None

    def with_partial_sums(self, count: int) -> Self | None:
        """The unit with so many partial sums that take turns; None where it has no such."""
        return None

    @property
    def least_stages(self) -> int:
        """A register for what is held, and one for results that are not that."""
        return 1 if self.state_step in (None, len(self.steps) - 1) else 2

    @property
    def most_stages(self) -> int:
        """Registers in front of every step, as far as a loop may have them; those of outputs."""
        loop = self.loop
        kept_whole = 0 if loop is None else loop.last - loop.first - loop.most_inside
        return len(self.steps) + 1 - kept_whole

    @cached_property
    def input_bits(self) -> int:
        """Bits of all data that come in with an input.

        It is the measure of a unit's size that a delay model knows.
        """
        return sum(port.width for port in self.inputs)

    @cached_property
    def output_bits(self) -> int:
        """Bits of all data that go out with a result."""
        return sum(port.width for port in self.outputs)

    @cached_property
    def step_delays(self) -> list[int]:
        """What each step takes: see ``hwgen.plan.registers.delays``."""
        return delays(self.steps, self.pipeline_target, self.input_bits)

    @cached_property
    def register_boundaries(self) -> frozenset[int]:
        """In front of which steps registers stand, beside those of what is held and of outputs."""
        return boundaries_of(self.step_delays, self.stages, self.state_step, self.loop)

    def require_stages(self, why: str = "") -> None:
        """Check that registers have places for all stages; ``why`` ends the message.

        Raises:
            InputError: too few stages, of which those that hold something are some, or too many.

        """
        require_int("stages", self.stages, self.least_stages, self.most_stages, why)

    @property
    def storage_bits(self) -> int:
        """Bits of registers beside the pipeline: of what stays, or goes from part to part."""
        return 0

    @property
    def mapping(self) -> str:
        """Where the target's flow puts multiplications."""
        return "lut"

    @property
    def facts(self) -> dict[str, int]:
        """What a user of the unit has to know beside its ports, by name."""
        return {}

    @property
    @abstractmethod
    def description(self) -> tuple[str, ...]:
        """What the unit computes, in lines for people."""

    def __init_subclass__(cls) -> None:
        """``dataclass`` writes the repr that is short only into a class that has none."""
        cls.__repr__ = Spec.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """Such as ``Multiply(a='int4', b='e2m1')``: the spec again, if Python evaluates it."""
        values = self.to_dict()
        shown = [
            f"{f.name}={values[f.name]!r}"
            for f in spec_fields(type(self))
            if f.default is dataclasses.MISSING or str(values[f.name]) != str(f.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; ``from_dict`` reads them back."""
        fields = {
            f.name: value if value is None or isinstance(value, int | str) else str(value)
            for f in spec_fields(type(self))
            for value in [getattr(self, f.name)]
        }
        return {"unit": self.unit, **fields}


def option(metavar: str, summary: str) -> dict[str, tuple[str, str]]:
    """Metadata of a field: what the command line calls its value, and says of it."""
    return {OPTION: (metavar, summary)}


def spec_fields(kind: type[Spec]) -> list[dataclasses.Field[Any]]:
    """The fields that a spec is made of: its own, then those that every spec has."""
    shared = {f.name for f in dataclasses.fields(Spec)}
    given = [f for f in dataclasses.fields(kind) if f.init]
    return sorted(given, key=lambda f: f.name in shared)


def require_int(name: str, value: Any, low: int, high: int, why: str = "") -> None:
    """Check a whole number.

    Raises:
        InputError: ``value`` is none from ``low`` to ``high``; ``why`` ends the message.

    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name}={shown(value)}: use a whole number from {low} to {high}{why}")


def require_spec(spec: Any) -> None:
    """Check that there is a spec.

    Raises:
        InputError: something else is given.

    """
    if not isinstance(spec, Spec):
        raise InputError(f"spec={shown(spec)}: give a spec, such as hwgen.Multiply(a=…, b=…)")


def require_scalar(name: str, given: str | Format) -> Scalar:
    """The format of single numbers that the field ``name`` is ``given`` as, or by its name.

    Raises:
        InputError: a block format, or no name of a format.

    """
    number_format = parse(given)
    if not isinstance(number_format, Scalar):
        raise InputError(
            f"{name}={number_format}: a format of single numbers is needed here, such as "
            f"{number_format.element}"
        )
    return number_format


def require_decoded(name: str, given: str | Format) -> Scalar:
    """As ``require_scalar``, of what comes in: InputError for codes that no hardware decodes."""
    number_format = require_scalar(name, given)
    require_decodable(name, number_format)
    return number_format


def require_rounded(
    name: str, given: str | Format, rounding: str, overflow: str
) -> tuple[Scalar, str]:
    """As ``require_scalar``, of what is rounded to, and what becomes of numbers beyond it.

    An empty ``overflow`` stands for what is usual of the format.

    Raises:
        InputError: as ``require_scalar``; a ``rounding`` or ``overflow`` that it does not have.

    """
    number_format = require_scalar(name, given)
    overflow = overflow or number_format.usual_overflow
    require_rounding(number_format, rounding, overflow)
    return number_format, overflow


def require_block(name: str, given: str | Format, such_as: str) -> BlockFormat:
    """The block format that the field ``name`` is ``given`` as, or by its name.

    Raises:
        InputError: a format of single numbers, or no name of a format.

    """
    number_format = parse(given)
    if not isinstance(number_format, BlockFormat):
        raise InputError(
            f"{name}={number_format}: a block format is needed here, such as {such_as}"
        )
    return number_format


def require_mapping(value: Any, *, packs: bool = False) -> None:
    """Check where multiplications go.

    ``packs``: the unit packs products into multipliers, and these may have a certain size.

    Raises:
        InputError: ``value`` is no mapping, or not one of this unit.

    """
    if value in SIZED and not packs:
        raise InputError(
            f"mapping={value!r}: this unit does not pack several products into a multiplier: use "
            f"one of {', '.join(MAPPINGS)}"
        )
    if value not in MAPPINGS and value not in SIZED:
        names = (*MAPPINGS, *SIZED) if packs else MAPPINGS
        raise InputError(f"mapping={value!r}: use one of {', '.join(names)}")


def code_port(name: str, number_format: Scalar, count: int = 1) -> Port:
    """A port of codes."""
    return Port(name, number_format.bits, str(number_format), count, format=number_format)

"""The spec of a quantizer: numbers in, one block of a block format out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from hwgen.errors import InputError
from hwgen.fields import set_fields
from hwgen.formats import BlockFormat, Scalar, parse
from hwgen.formats.block_encode import IN_ELEMENT, IN_SCALE, NONFINITE
from hwgen.formats.scalar import PROPAGATE, SATURATE
from hwgen.plan.step import Steps
from hwgen.sizes.float_scale import (
    FloatScale,
    Quotients,
    float_scale,
    quotients,
    require_float_scale,
)
from hwgen.sizes.power_scale import PowerScale, power_scale, require_power_scale
from hwgen.sizes.quantizer_alignment import Alignment, alignment
from hwgen.sizes.rounding import require_rounding
from hwgen.spec.base import (
    Port,
    RandomWords,
    Spec,
    code_port,
    option,
    require_block,
    require_decoded,
)
from hwgen.spec.random_bits import RANDOM_LFSR, RANDOM_PORT, random_bits_port, random_source
from hwgen.spec.steps import quantizer

MAX_BLOCK = 128
#: Where the scale of the tensor comes from: a port, or it is one (and folded in elsewhere).
PORT, ONE = "port", "one"
TENSOR_SCALES = (PORT, ONE)
#: Stands for what the block format says.
_USUAL: Any = None


@dataclass(frozen=True, kw_only=True)
class Quantizer(Spec):
    """``lanes`` numbers of the format ``a`` to one block of the block format ``b``.

    What it computes is ``BlockFormat.encode`` with the same ``scale_rule``, ``rounding``,
    ``symmetric`` (False: of signed integers only) and ``nonfinite``, and with
    ``arithmetic="exact"`` (which is not the recipe of formats with a tensor scale); None stands
    for the format's own recipe. Elements beyond the largest saturate.

    ``tensor_scale``, of a format that has one: ``port``, a code of its format that comes with
    each block, positive and finite, and at least 2^−127; or ``one``: then the block's scale has
    all of it. Formats without a tensor scale have None.

    ``random``: where stochastic rounding has its bits from, the port ``random_bits`` (``port``)
    or shift registers inside (``lfsr``), one a lane, the first beginning with ``random_seed``,
    1 to 2^32 − 1.

    NaN and infinities do not count for the scale with ``nonfinite="element"``: they become
    codes of their own, an infinity NaN where elements have no infinity. Where elements have no
    NaN either, which ``encode`` refuses, NaN becomes zero and an infinity the largest element
    of its sign. With ``"scale"`` the block's scale is NaN and its elements are zeros.
    """

    unit: ClassVar[str] = "quantizer"

    a: Scalar
    b: BlockFormat
    lanes: int = _USUAL
    scale_rule: str = field(
        default=_USUAL,
        metadata=option("RULE", "how a block's scale is chosen, such as floor or ceil"),
    )
    rounding: str = _USUAL
    symmetric: bool = field(
        default=True,
        metadata=option("True|False", "whether integers leave the most negative code unused"),
    )
    nonfinite: str = field(
        default=IN_ELEMENT,
        metadata=option("element|scale", "whether NaN and infinities make elements or blocks NaN"),
    )
    tensor_scale: str | None = field(
        default=None, metadata=option("port|one", "where the scale of the tensor comes from")
    )
    random: str | None = None
    random_seed: int | None = None
    stages: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            a: str | Scalar,
            b: str | BlockFormat,
            lanes: int | None = None,
            scale_rule: str | None = None,
            rounding: str | None = None,
            symmetric: bool = True,
            nonfinite: str = IN_ELEMENT,
            tensor_scale: str | None = None,
            random: str | None = None,
            random_seed: int | None = None,
            stages: int = 0,
            pipeline_target: str = "",
        ) -> None: ...

    def _settle(self) -> None:
        set_fields(self, a=require_decoded("a", self.a))
        given = parse(self.b)
        such_as = f"mxfp4 or {given}_b32_e8m0; unit convert makes single numbers"
        b = require_block("b", given, such_as)
        set_fields(self, b=b)
        if b.block_size > MAX_BLOCK:
            raise InputError(f"b={b}: the hardware takes blocks of at most {MAX_BLOCK} numbers")
        for name, usual in (
            ("lanes", b.block_size),
            ("scale_rule", b.recipe.scale_rule),
            ("rounding", b.recipe.rounding),
        ):
            if getattr(self, name) is None:
                set_fields(self, **{name: usual})
        if self.lanes != b.block_size:
            raise InputError(
                f"lanes={self.lanes!r}: a block of {b} has {b.block_size} numbers, and the unit "
                f"takes one block a cycle; use {b.block_size}, or a format with blocks of another "
                f"size, such as {b.element}_b8_{b.scale}"
            )
        if self.nonfinite not in NONFINITE:
            raise InputError(f"nonfinite={self.nonfinite!r}: use one of {', '.join(NONFINITE)}")
        if self.nonfinite == IN_SCALE and not b.scale.has_nan:
            raise InputError(
                f"nonfinite='scale': the scales of {b} ({b.scale}) have no NaN: use 'element'"
            )
        if not self.symmetric and b.element.min == b.element.symmetric_min:
            raise InputError(
                f"symmetric=False: elements of {b} ({b.element}) have no code beside a symmetric "
                "range, as signed integers have: leave it out"
            )
        require_rounding(b.element, self.rounding, SATURATE)
        random, seed = random_source(self.rounding, self.random, self.random_seed)
        set_fields(self, random=random, random_seed=seed)
        self._require_tensor_scale()
        if self.has_float_scale and b.micro_bits:
            raise InputError(
                f"b={b}: hardware makes shared micro-exponents beside scales that are powers of "
                "two, such as mx9's, and no others"
            )
        if self.has_float_scale:
            require_float_scale(self.scale_rule, b.element, b.scale, self._second)
        else:
            require_power_scale(self.scale_rule, b.element, b.scale)

    def require_stages(self, why: str = "") -> None:
        """As of any spec; the message names the block that the stages are for."""
        super().require_stages(why or f" for a block of {self.b.block_size}")

    def _require_tensor_scale(self) -> None:
        if self.b.tensor_scale is None:
            if self.tensor_scale is not None:
                raise InputError(f"tensor_scale={self.tensor_scale!r}: {self.b} has none")
            return
        if self.tensor_scale is None:
            set_fields(self, tensor_scale=PORT)
        if self.tensor_scale not in TENSOR_SCALES:
            raise InputError(
                f"tensor_scale={self.tensor_scale!r}: use one of {', '.join(TENSOR_SCALES)}"
            )

    @property
    def _second(self) -> Scalar | None:
        """The format of the tensor's scale, if it comes in."""
        return self.b.tensor_scale if self.tensor_scale == PORT else None

    @property
    def has_tensor_scale_port(self) -> bool:
        """The scale of the tensor comes in with each block."""
        return self._second is not None

    @property
    def has_float_scale(self) -> bool:
        """Numbers are divided by their scale; else they are shifted, by a power of two."""
        scale = self.b.scale
        power = scale.exponent_bits > 0 and scale.mantissa_bits == 0
        return not power or self._second is not None

    @cached_property
    def float_scale(self) -> FloatScale:
        """How the scale is made, of a spec that ``has_float_scale``."""
        b = self.b
        return float_scale(self.a, b.element, b.scale, self._second, self.scale_rule)

    @cached_property
    def quotients(self) -> Quotients:
        """How numbers are divided by it."""
        return quotients(self.float_scale, self.b.element, self.rounding)

    @cached_property
    def power_scale(self) -> PowerScale:
        """How the scale is made, of one that is not."""
        b, furthest = self.b, (1 << self.b.micro_bits) - 1
        return power_scale(self.a, b.element, b.scale, self.scale_rule, furthest)

    @cached_property
    def alignment(self) -> Alignment:
        """Where numbers stand beside the elements' steps."""
        if self.has_float_scale:
            return self.quotients.where
        return alignment(self.power_scale, self.b.element, self.rounding)

    @property
    def element_overflow(self) -> str:
        """What becomes of numbers beyond the largest element."""
        element = self.b.element
        return PROPAGATE if element.has_nan or element.has_infinity else SATURATE

    @property
    def _steps(self) -> Steps:
        return quantizer.steps(self)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The numbers of a block, the tensor's scale, random bits for each lane."""
        return (
            code_port("a", self.a, self.lanes),
            *(() if self._second is None else (code_port("tensor_scale", self._second),)),
            *(random_bits_port(self.rounding, self.lanes) if self.random == RANDOM_PORT else ()),
        )

    @property
    def random_words(self) -> RandomWords | None:
        """One word for each lane, where random bits are made inside."""
        return None if self.random_seed is None else RandomWords(self.random_seed, self.lanes)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Codes of the elements, of their scale, and micro-exponents where there are such."""
        return (
            code_port("elements", self.b.element, self.lanes),
            code_port("scale", self.b.scale),
            *self._micro_exponents,
        )

    @property
    def _micro_exponents(self) -> tuple[Port, ...]:
        b = self.b
        if not b.micro_bits:
            return ()
        meaning = f"how far the scale of each {b.micro_block} elements is below the block's"
        return (Port("micro_exponents", b.micro_bits, meaning, b.micro_exponents),)

    @property
    def latency(self) -> int:
        """Enabled cycles from a valid input to its result: ``stages``."""
        return self.stages

    @property
    def name(self) -> str:
        """A legal Verilog module name that tells the spec."""
        full = "" if self.symmetric else "_full"
        random = f"_lfsr{self.random_seed}" if self.random == RANDOM_LFSR else ""
        full += "_unscaled" if self.tensor_scale == ONE else ""
        return (
            f"quantizer_{self.a}_{self.b}_{self.scale_rule}_{self.rounding}{random}{full}_"
            f"{self.nonfinite}_{self.stages_name}"
        )

    @property
    def description(self) -> tuple[str, ...]:
        """The formats, the rules of scale and rounding, and what becomes of special values."""
        b = self.b
        return (
            f"Quantizes {self.lanes} numbers of {self.a} to a block of {b}: elements {b.element}, "
            f"scale {b.scale}.",
            f"  scale rule   {self.scale_rule}",
            *self._what_is_divided(),
            f"  rounding     {self.rounding}, beyond the largest element it saturates",
            "  NaN and inf  " + self._what_becomes_of_specials(),
        )

    def _what_is_divided(self) -> tuple[str, ...]:
        if not self.has_float_scale:
            return ()
        by = "" if self._second is None else " times tensor_scale (positive, finite)"
        return (f"  elements     exact quotients by the scale{by}, rounded once",)

    def _what_becomes_of_specials(self) -> str:
        if not (self.a.has_nan or self.a.has_infinity):
            return f"{self.a} has none"
        if self.nonfinite == IN_SCALE:
            return "make the scale NaN and the elements zero"
        element = self.b.element
        nan = "NaN" if element.has_nan else "zero"
        infinity = "infinity" if element.has_infinity else "NaN" if element.has_nan else "largest"
        return f"do not count for the scale; elements become {nan} and {infinity}"

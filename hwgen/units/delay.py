"""What the ways between registers cost in a target: the model behind ``fmax_mhz``.

A step of a unit says what its longest way passes (``Path``): LUTs, carry chains, and bits along
them. ``delays.toml`` has for each target what those take, fitted to placed units by
``python -m cost_models.delays``, and how far the model was from placements that it was not
fitted to.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from hwgen.errors import InputError
from hwgen.formats import Integer, Minifloat, Scalar

FILE = "delays.toml"


@dataclass(frozen=True)
class Path:
    """The longest way through logic: how many LUTs it passes, how many carry chains it gets on
    and off, and how many bits it goes along them."""

    luts: float = 0.0
    chains: float = 0.0
    chain_bits: float = 0.0

    def __add__(self, other: Path) -> Path:
        return Path(
            self.luts + other.luts,
            self.chains + other.chains,
            self.chain_bits + other.chain_bits,
        )


@dataclass(frozen=True)
class DelayModel:
    """Times of a target, in ns.

    ``register_ns``: a way of no logic, out of one register and into the next; ``lut_ns`` and
    ``chain_ns``: a LUT, and getting on and off a carry chain, each with its routing;
    ``lut_size_ns``, ``chain_size_ns``: what is added to those for each doubling of the unit's
    input bits, since nets of larger units are longer; ``chain_bit_ns``: a bit of a carry chain.
    ``error``: the part of the predicted period within which 90% of the placed units were that
    the fit had not seen; ``margin``: the part that is added to a predicted period so that
    ``margin_share`` of those units were no slower. ``samples``: placements in the fit; ``tools``:
    what placed them.
    """

    register_ns: float
    lut_ns: float
    chain_ns: float
    chain_bit_ns: float
    lut_size_ns: float
    chain_size_ns: float
    error: float
    margin: float
    margin_share: float
    samples: int
    tools: str

    def price_ns(self, path: Path, input_bits: int) -> float:
        """The time of a path's logic in a unit of so many input bits; the register that ends
        the way is not in it."""
        weights = (
            *(self.lut_ns, self.chain_ns, self.chain_bit_ns),
            *(self.lut_size_ns, self.chain_size_ns),
        )
        return sum(w * x for w, x in zip(weights, features(path, input_bits), strict=True))


def features(path: Path, input_bits: int) -> tuple[float, ...]:
    """What the weights of a ``DelayModel`` beside the register's multiply."""
    size = math.log2(max(input_bits, 2))
    return (path.luts, path.chains, path.chain_bits, path.luts * size, path.chains * size)


@functools.cache
def models() -> dict[str, DelayModel]:
    """The models that ship, by target."""
    text = resources.files("hwgen.units").joinpath(FILE).read_text("utf-8")
    return {name: DelayModel(**fields) for name, fields in tomllib.loads(text).items()}


def model(target: str) -> DelayModel:
    """The model of a target. InputError where none ships."""
    if target not in models():
        raise InputError(
            f"there is no delay model for target {target!r}, only for {', '.join(models())}: "
            "models are fitted to placed units, and this flow places no others; give stages "
            "instead"
        )
    return models()[target]


def in_turn(paths: Sequence[Path]) -> Path:
    """One behind the other."""
    return sum(paths, Path())


def adder(width: int) -> Path:
    """A carry chain; a comparison takes one too."""
    return Path(chains=1, chain_bits=width)


def any_of(width: int) -> Path:
    """Whether any of so many bits is set, in LUTs of four inputs."""
    return Path(luts=math.ceil(math.log(width, 4)) if width > 1 else 0)


def shifter(levels: int) -> Path:
    """A two-to-one multiplexer for each bit of the shift."""
    return Path(luts=levels)


def decoder(number_format: Scalar) -> Path:
    """Fields of a code to significand, shift and flags."""
    if not isinstance(number_format, Minifloat):
        return Path()
    special = number_format.has_nan or number_format.has_infinity
    return Path(luts=(1 if number_format.exponent_bits <= 3 else 2) + special)


def negation(bits: int) -> Path:
    """A magnitude with its sign: short ones are logic, others a chain."""
    return Path(luts=2) if bits <= 4 else Path(luts=1) + adder(bits)


def magnitude(width: int) -> Path:
    """Of a two's-complement number."""
    return Path(luts=1) + adder(width)


def multiplier(wide: int, narrow: int) -> Path:
    """Rows of ANDs, added in pairs."""
    found = Path(luts=1)
    for level in range((narrow - 1).bit_length()):
        found += adder(min(wide + (1 << level) + 1, wide + narrow))
    return found


def leading_one(width: int) -> Path:
    """The search by halves, shifting at each."""
    levels = range((width - 1).bit_length())
    return in_turn([any_of(1 << level) + Path(luts=1) for level in levels])


def placing(width: int, shift_bits: int, target: Scalar) -> Path:
    """A magnitude or a shifted significand moved to where ``target`` has its rounding point."""
    if isinstance(target, Minifloat) and target.exponent_bits:
        found = leading_one(width)
        if shift_bits:
            field_bits = max(shift_bits, width.bit_length()) + 1
            # The exponent field, its distance from the lowest binade, that limited, the shift.
            found += in_turn([adder(field_bits)] * 3)
            found += Path(luts=1) + shifter((target.mantissa_bits + 2).bit_length())
        return found + Path(luts=1)
    return shifter(shift_bits)


def rounding(fraction_bits: int, target: Scalar) -> Path:
    """What is rounded away, the increment, and the rules for overflow."""
    found = any_of(max(fraction_bits - 1, 1)) + Path(luts=1) + adder(target.bits)
    found += adder(target.bits) + Path(luts=2)
    if isinstance(target, Integer) and target.signed:
        found += negation(target.bits)
    return found

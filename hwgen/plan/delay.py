"""What the paths between registers cost in a target: the model behind ``fmax_mhz``.

A step of a unit says what its longest path passes (``Path``): LUTs, carry chains, and bits along
them. ``delays.toml`` has for each target what those take, fitted to placed units by
``python -m cost_models.delays``, and how far the model was from placements that it was not
fitted to.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from hwgen.errors import InputError
from hwgen.plan.logic import Path

FILE = "delays.toml"
#: What units are pipelined for where nobody says it.
USUAL_TARGET = "ecp5"


@dataclass(frozen=True)
class DelayModel:
    """Times of a target, in ns.

    ``register_ns``: a path of no logic, out of one register and into the next; ``lut_ns`` and
    ``chain_ns``: a LUT, and getting on and off a carry chain, each with its routing;
    ``lut_size_ns``, ``chain_size_ns``: what is added to those for each doubling of the unit's
    input bits, since nets of larger units are longer; ``chain_bit_ns``: a bit of a carry chain.
    ``usual_mhz``: the clock that units get who ask for none; chosen, not fitted.
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
    usual_mhz: int
    error: float
    margin: float
    margin_share: float
    samples: int
    tools: str

    def price_fs(self, path: Path, input_bits: int) -> int:
        """The time of a path's logic in a unit of ``input_bits`` input bits, in whole fs.

        Whole numbers, so that the order in which they are added makes no difference. The register
        that ends the path is not in it.
        """
        return self.pricer(input_bits)(path)

    def pricer(self, input_bits: int) -> Callable[[Path], int]:
        """``price_fs`` of many paths of a unit."""
        size = _size(input_bits)

        def price(path: Path) -> int:
            # Rounded once, as ``sum`` is not before Python 3.12.
            price_ns = math.fsum(
                (
                    self.lut_ns * path.luts,
                    self.chain_ns * path.chains,
                    self.chain_bit_ns * path.chain_bits,
                    self.lut_size_ns * (path.luts * size),
                    self.chain_size_ns * (path.chains * size),
                )
            )
            return millionths(price_ns)

        return price

    def allowed_fs(self, fmax_mhz: float) -> int:
        """What a path's logic may take at a clock, with the margin, in fs."""
        return int(1e6 * (1000 / fmax_mhz / (1 + self.margin) - self.register_ns))


def millionths(amount: float) -> int:
    """Millionths of a ns, or of a level of LUTs: what paths are measured and compared in."""
    return round(1_000_000 * amount)


def _size(input_bits: int) -> float:
    return math.log2(max(input_bits, 2))


def features(path: Path, input_bits: int) -> tuple[float, ...]:
    """What the weights of a ``DelayModel`` multiply, but for that of the register."""
    size = _size(input_bits)
    return (path.luts, path.chains, path.chain_bits, path.luts * size, path.chains * size)


@functools.cache
def models() -> dict[str, DelayModel]:
    """The models that ship, by target."""
    text = resources.files("hwgen.plan").joinpath(FILE).read_text("utf-8")
    return {name: DelayModel(**fields) for name, fields in tomllib.loads(text).items()}


def model(target: str) -> DelayModel:
    """The model of a target. InputError where none ships."""
    if target not in models():
        raise InputError(
            f"there is no delay model for target {target!r}, only for {', '.join(models())}: one "
            "is fitted to placed and routed units, with 'python -m cost_models.delays --target "
            f"{target}' if this flow has a placer for it; give stages instead"
        )
    return models()[target]

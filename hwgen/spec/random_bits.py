"""Where the random bits of a unit that rounds stochastically come from."""

from __future__ import annotations

from hwgen.errors import InputError
from hwgen.formats.rounding import RANDOM_BITS, STOCHASTIC
from hwgen.sizes.lfsr import PERIOD, USUAL_SEED
from hwgen.spec.base import Port, require_int

#: A port, or linear-feedback shift registers inside the unit.
RANDOM_PORT, RANDOM_LFSR = "port", "lfsr"
RANDOM_SOURCES = (RANDOM_PORT, RANDOM_LFSR)


def random_source(
    rounding: str, random: str | None, seed: int | None
) -> tuple[str | None, int | None]:
    """Where a unit that rounds so has random bits from, and the seed.

    What is usual stands in place of None; both are None without stochastic rounding.

    Raises:
        InputError: a choice without stochastic rounding, an unknown source, a seed that is none.

    """
    if rounding != STOCHASTIC:
        for name, value in (("random", random), ("random_seed", seed)):
            if value is not None:
                raise InputError(
                    f"{name}={value!r}: random bits are for rounding={STOCHASTIC!r}, and this is "
                    f"rounding={rounding!r}: leave {name} out"
                )
        return None, None
    random = RANDOM_PORT if random is None else random
    if random not in RANDOM_SOURCES:
        raise InputError(f"random={random!r}: use one of {', '.join(RANDOM_SOURCES)}")
    if random == RANDOM_PORT:
        if seed is not None:
            raise InputError(
                f"random_seed={seed!r}: random bits that come in at a port have no seed: use "
                f"random={RANDOM_LFSR!r}"
            )
        return random, None
    seed = USUAL_SEED if seed is None else seed
    require_int("random_seed", seed, 1, PERIOD, ": of zeros a shift register makes only zeros")
    return random, seed


def random_bits_port(rounding: str, count: int = 1) -> tuple[Port, ...]:
    """The port that stochastic rounding needs, or none."""
    if rounding != STOCHASTIC:
        return ()
    return (Port("random_bits", RANDOM_BITS, "whole numbers below 2^32, uniform", count),)

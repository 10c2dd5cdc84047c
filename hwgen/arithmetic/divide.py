"""Exact division, a bit of the quotient at a time (restoring), with what remains."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


@dataclass(frozen=True)
class Division:
    """A division under way.

    ``quotient``: its bits so far; ``remainder``: what they leave, below the divisor; ``rest``: the
    bits of the dividend that are still to come, the next one on top.
    """

    quotient: Value
    remainder: Value
    rest: Value

    @property
    def with_sticky_bit(self) -> Value:
        """The quotient when it is done, and a bit below that is one if something remains."""
        return Cat(self.remainder.any() if len(self.remainder) else Const(0), self.quotient)


def begin(dividend: Value, divisor_bits: int, divisor_least_bits: int) -> Division:
    """The division before its first step.

    The divisor is at least 2^(divisor_least_bits − 1), so that as many bits less one of the
    dividend's top are a remainder already.
    """
    taken = divisor_least_bits - 1
    first = dividend[len(dividend) - taken :] if taken else Const(0, 0)
    remainder = Cat(first, Const(0, divisor_bits - taken))
    return Division(Const(0, 0), remainder, dividend[: len(dividend) - taken])


def step(m: Module, state: Division, divisor: Value, name: str) -> Division:
    """One bit more of the quotient."""
    trial = Cat(state.rest[-1], state.remainder)
    fits = Signal(name=f"{name}_fits")
    remainder = Signal(len(divisor), name=f"{name}_remainder")
    m.d.comb += [
        fits.eq(trial >= divisor),
        remainder.eq(Mux(fits, trial - divisor, trial)),
    ]
    return Division(Cat(fits, state.quotient), remainder, state.rest[:-1])

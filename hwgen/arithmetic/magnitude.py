"""The magnitude of a two's-complement number."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value


def magnitude(m: Module, number: Value, name: str, *, split: bool) -> Signal:
    """The absolute value of ``number``, unsigned and as wide as it is.

    ``split``: the inverter is in front of the one chain, which can take it in, instead of a
    multiplexer behind it.
    """
    absolute = Signal(len(number), name=name)
    if not split:
        m.d.comb += absolute.eq(abs(number))
        return absolute
    sign = number[-1]
    inverted = Cat(number) ^ sign.replicate(len(number))
    # The carry-in, written so that it stays one chain: a bit below the lowest, with a one.
    total = Cat(Const(1, 1), inverted) + Cat(sign, Const(0, len(number)))
    m.d.comb += absolute.eq(total[1:])
    return absolute

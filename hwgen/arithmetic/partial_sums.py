"""Several running sums that take turns in one loop, so that it has room for registers.

A loop that adds and rounds is as long as its logic, unless inputs that follow each other belong to
different sums: with K of these, K registers may stand in it (*C-slow* retiming: Leiserson and Saxe,
Retiming synchronous circuitry, Algorithmica 6, 1991; as accumulation: Luo and Martonosi, IEEE
Transactions on Computers 49(3), 2000). Sums that are not being added to wait here in a queue: each
input takes the first of it, and each result is put at its end. So the order of the sums is that of
valid inputs, whatever the cycles between these are.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value


@dataclass(frozen=True)
class PartialSums:
    """A queue of codes, the first in ``registers[0]``; ``waiting``: which registers hold one.

    After a reset all hold code zero. There are as many as sums, as all may wait.
    """

    registers: tuple[Signal, ...]
    waiting: Signal

    @property
    def first(self) -> Signal:
        """The sum that the next input is added to."""
        return self.registers[0]

    def hold(self, m: Module, code: Value, enable: Value, taken: Value, made: Value) -> None:
        """``taken``: the first leaves; ``made``: ``code`` is put behind the last one that stays.

        A register without a sum takes the code in each cycle: it counts once it is ``waiting``.
        """
        count = len(self.registers)
        behind = [*self.registers[1:], code]
        is_behind = Cat(self.waiting[1:], Const(0, 1))
        with m.If(enable):
            for place, register in enumerate(self.registers):
                with m.If(taken | ~self.waiting[place]):
                    m.d.sync += register.eq(Mux(is_behind[place], behind[place], code))
            more = Cat(Const(1, 1), self.waiting[: count - 1])
            fewer_or_more = Mux(taken, is_behind, more)
            with m.If(taken ^ made):
                m.d.sync += self.waiting.eq(fewer_or_more)


def partial_sums(bits: int, count: int, name: str) -> PartialSums:
    """New registers for ``count`` codes of so many bits, which are all waiting after a reset."""
    registers = tuple(Signal(bits, name=f"{name}_{place}") for place in range(count))
    return PartialSums(registers, Signal(count, init=(1 << count) - 1, name=f"{name}_waiting"))

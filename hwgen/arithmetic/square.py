"""The square of a number, from about half the bits of a product."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hwgen.sizes.square import square_bits

#: Squares of so few bits are tables: each bit is one LUT, or is wiring.
TABLE_BITS = 4


@dataclass(frozen=True)
class _Row:
    """``value`` · 2^``place``."""

    value: Value
    place: int


def square(m: Module, x: Value, name: str) -> Signal:
    """x², unsigned, of an unsigned or a two's-complement ``x``."""
    shape = x.shape()
    result = Signal(square_bits(shape.width, shape.signed), name=f"{name}_square")
    if shape.width <= TABLE_BITS:
        half = 1 << (shape.width - 1)
        numbers = [c - 2 * half * (shape.signed and c >= half) for c in range(2 * half)]
        for place, bit in enumerate(result):
            table = sum((n * n >> place & 1) << code for code, n in enumerate(numbers))
            m.d.comb += bit.eq(Const(table, 2 * half) >> x.as_unsigned())
        return result
    rows = _rows(m, _columns(x, len(result)), name)
    while len(rows) > 1:
        added = [
            _sum(m, rows[i], rows[i + 1], f"{name}_rows{len(rows)}_{i}")
            for i in range(0, len(rows) - 1, 2)
        ]
        rows = added + rows[2 * len(added) :]
    m.d.comb += result.eq(rows[0].value << rows[0].place)
    return result


def _columns(x: Value, width: int) -> list[list[Value]]:
    """Bits to add in each place: xᵢ·xⱼ once for i < j, a place higher, instead of twice.

    Where xᵢ·xᵢ₊₁ would meet xᵢ₊₁·xᵢ₊₁, their sum is written as xᵢ₊₁·¬xᵢ in that place and xᵢ·xᵢ₊₁
    in the next, which makes the highest column lower by one. A sign bit makes its products
    negative: −t is ¬t − 1, and the ones that are subtracted are, modulo 2^width, two constants.
    """
    n, signed = len(x), x.shape().signed
    columns: list[list[Value]] = [[] for _ in range(width)]
    columns[0].append(x[0])
    for i in range(n - 1):
        columns[2 * i + 2].append(x[i + 1] & ~x[i])
        # With a sign bit the sum is 2^(2n − 2)·(xₙ₋₁ − xₙ₋₁·xₙ₋₂): the first of the two alone.
        if not (signed and i == n - 2):
            columns[2 * i + 3].append(x[i] & x[i + 1])
        for j in range(i + 2, n):
            both = x[i] & x[j]
            columns[i + j + 1].append(~both if signed and j == n - 1 else both)
    if signed and n > 2:
        for place in (n, 2 * n - 2):
            columns[place].append(Const(1, 1))
    return columns


def _rows(m: Module, columns: list[list[Value]], name: str) -> list[_Row]:
    """The columns cut into rows, the lowest bits of each in one of its own."""
    rows = []
    for r in range(max(map(len, columns))):
        places = [place for place, bits in enumerate(columns) if len(bits) > r]
        lowest, highest = places[0], places[-1]
        bits = [
            columns[p][r] if len(columns[p]) > r else Const(0, 1)
            for p in range(lowest, highest + 1)
        ]
        row = Signal(len(bits), name=f"{name}_row_{r}")
        m.d.comb += row.eq(Cat(*bits))
        rows.append(_Row(row, lowest))
    return rows


def _sum(m: Module, x: _Row, y: _Row, name: str) -> _Row:
    """The sum of two rows: bits of the lower one that lie below the other need no adder."""
    if x.place > y.place:
        x, y = y, x
    apart = y.place - x.place
    total = x.value[apart:] + y.value
    added = Signal(len(total), name=name)
    m.d.comb += added.eq(total)
    return _Row(Cat(x.value[:apart], added), x.place)

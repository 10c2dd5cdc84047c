"""Products and sums in the forms that Yosys' own scripts map well, as functions of Verilog.

Those scripts make one cell, ``$macc``, of a ``*`` and of every ``+`` whose operand is the result of
another one and nothing else, and that cell becomes full adders out of LUTs in place of carry
chains. So here

- a sum has a zero below its operands, which are then no longer that result: the pass
  (``alumacc``) leaves it alone, and later ones remove the zero;
- a product is rows of Booth's recoding, radix 4 (A. D. Booth, *A signed binary multiplication
  technique*, 1951; O. L. MacSorley, *High-speed arithmetic in binary computers*, 1961), one added
  after the other. The lowest bit is a row of its own, so that there is an adder for the carry of
  each row that may be negative;
- a small product is a few gates for each bit where LUTs have six inputs, and stays as it is where
  they have four: there gates of it, and of the shift behind it, grow into wide multiplexers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: What ``alumacc`` makes a ``$macc`` of.
MERGED = frozenset(("$add", "$sub", "$neg", "$mul"))
#: Operands up to these bits, the narrow one and the wide one, are those of a small product.
_SMALL = 3, 4
#: Gates make those for LUTs of so many inputs.
GATES_FROM = 6
_SUMS = {"$add": ("sum", "+"), "$sub": ("difference", "-")}


@dataclass(frozen=True)
class Function:
    """A sum, a difference or a product, by its kind in RTLIL.

    ``operands``: their bits; ``width``: those of the result. A product's operands are signed or
    not both, and the first one is the wider.
    """

    kind: str
    operands: tuple[int, int]
    width: int
    signed: bool = False

    @property
    def is_small(self) -> bool:
        """Whether it is a product of so few bits that gates make it."""
        wide, narrow = self.operands
        return self.kind == "$mul" and narrow <= _SMALL[0] and wide <= _SMALL[1]

    @property
    def name(self) -> str:
        """A name that tells it from others."""
        if self.kind in _SUMS:
            return f"{_SUMS[self.kind][0]}_{self.width}"
        wide, narrow = self.operands
        return f"product_{wide}x{narrow}" + "_signed" * self.signed

    def lines(self, name: str) -> list[str]:
        """The function's text, called ``name``."""
        if self.kind in _SUMS:
            return _sum(name, self.width, _SUMS[self.kind][1])
        wide, narrow = self.operands
        made = _gates if self.is_small else _rows
        regs, statements, result = made(wide, narrow, self.signed)
        full = wide + narrow
        regs = [*regs, f"reg [{full - 1}:0] whole_product"]
        fill = f"whole_product[{full - 1}]" if self.signed else "1'b0"
        more = self.width - full
        cut = (
            f"{{{{{more}{{{fill}}}}}, whole_product}}"
            if more > 0
            else f"whole_product[{self.width - 1}:0]"
        )
        return _function(
            f"function{' signed' * self.signed} [{self.width - 1}:0] {name}",
            [f"input [{wide - 1}:0] of_a", f"input [{narrow - 1}:0] of_b", *regs],
            [*statements, f"whole_product = {result}", f"{name} = {cut}"],
        )


def _function(head: str, declared: Sequence[str], statements: Sequence[str]) -> list[str]:
    inside = [f"    {line};" for line in declared] + ["    begin"]
    return [f"  {head};", *inside, *(f"      {s};" for s in statements), "    end", "  endfunction"]


def _sum(name: str, width: int, operator: str) -> list[str]:
    return _function(
        f"function [{width - 1}:0] {name}",
        [
            f"input [{width - 1}:0] of_a",
            f"input [{width - 1}:0] of_b",
            f"reg [{width}:0] doubled_sum",
        ],
        [
            f"doubled_sum = {{of_a, 1'b0}} {operator} {{of_b, 1'b0}}",
            f"{name} = doubled_sum[{width}:1]",
        ],
    )


def _rows(wide: int, narrow: int, signed: bool) -> tuple[list[str], list[str], str]:
    """Declarations, statements and the result of a product of Booth's rows."""
    digits = narrow + narrow % 2
    bits = wide + (1 if signed else 2)
    once = f"{{of_a[{wide - 1}], of_a}}" if signed else "{2'b0, of_a}"
    twice = "{of_a, 1'b0}" if signed else "{1'b0, of_a, 1'b0}"
    above = f"of_b[{narrow - 1}]" if signed else "1'b0"
    regs = [f"reg [{digits - 1}:0] digits", f"reg [{bits - 1}:0] row0"]
    statements = [
        f"digits = {{{above}, of_b}}" if digits > narrow else "digits = of_b",
        f"row0 = digits[0] ? {once} : {bits}'b0",
    ]
    total, size, place, low_bits = "row0", bits, 0, []
    for row, low in enumerate(range(1, digits, 2), 1):
        two, one, negative = _digit(low, digits, signed)
        text = f"{one} ? {once} : {bits}'b0"
        text = f"{two} ? {twice} : {text}" if two else text
        negated = f"({text}) ^ {{{bits}{{{negative}}}}}" if negative else text
        upper = size - (low - place)
        width = max(upper, bits) + 1
        regs += [f"reg [{bits - 1}:0] row{row}", f"reg [{width}:0] row_sum{row}"]
        added = _extended(f"row{row}", bits, 0, bits, width)
        before = _extended(total, size, low - place, upper, width, offset=int(row > 1))
        carry = negative or "1'b0"
        statements += [
            f"row{row} = {negated}",
            f"row_sum{row} = {{{before}, 1'b{int(bool(negative))}}} + {{{added}, {carry}}}",
        ]
        start = int(row > 1)
        low_bits.append(f"{total}[{low - place - 1 + start}:{start}]")
        total, size, place = f"row_sum{row}", width, low
    full = wide + narrow
    missing = full - place
    return regs, statements, f"{{{', '.join([f'{total}[{missing}:1]', *reversed(low_bits)])}}}"


def _digit(low: int, digits: int, signed: bool) -> tuple[str, str, str]:
    """When the digit at the bit ``low`` is two, when one, and when negative, or nothing.

    It is what Booth's rule makes of that bit, the one above and the one below, but that the lowest
    bit counts in its own row, and that the highest bit is alone.
    """
    here, below = f"digits[{low}]", f"digits[{low - 1}]" if low > 1 else ""
    if low < digits - 1:
        above = f"digits[{low + 1}]"
        if not below:
            return f"({above} & ~{here})", here, above
        two = f"({above} & ~{here} & ~{below} | ~{above} & {here} & {below})"
        return two, f"({here} ^ {below})", above
    if not below:
        return "", here, here if signed else ""
    if signed:
        return "", f"({here} ^ {below})", here
    return f"({here} & {below})", f"({here} ^ {below})", ""


def _extended(name: str, size: int, low: int, bits: int, width: int, offset: int = 0) -> str:
    """Bits of a signed number, from ``low`` on, with its sign above them."""
    high = size - 1 + offset
    part = name if low + offset == 0 else f"{name}[{high}:{low + offset}]"
    more = width - bits
    return f"{{{more}{{{name}[{high}]}}}}, {part}"


def _gates(wide: int, narrow: int, signed: bool) -> tuple[list[str], list[str], str]:
    """As ``_rows``: full adders of the partial products, column by column.

    Signed ones as C. R. Baugh and B. A. Wooley, *A two's complement parallel array multiplication
    algorithm*, 1973.
    """
    full = wide + narrow
    columns: list[list[str]] = [[] for _ in range(full + 1)]
    for i in range(wide):
        for j in range(narrow):
            is_inverted = signed and (i == wide - 1) != (j == narrow - 1)
            columns[i + j].append(("~" if is_inverted else "") + f"(of_a[{i}] & of_b[{j}])")
    if signed:
        for place in (wide - 1, narrow - 1, full - 1):
            columns[place].append("1'b1")
    regs, statements, results = [], [], []
    for place in range(full):
        column, number = columns[place], 0
        while len(column) > 1:
            terms, column = [f"({t})" if t[0] == "~" else t for t in column[:3]], column[3:]
            regs += [f"reg s{place}_{number}", f"reg c{place}_{number}"]
            pairs = [f"{x} & {y}" for n, x in enumerate(terms) for y in terms[n + 1 :]]
            statements += [
                f"s{place}_{number} = {' ^ '.join(terms)}",
                f"c{place}_{number} = {' | '.join(pairs)}",
            ]
            column.append(f"s{place}_{number}")
            columns[place + 1].append(f"c{place}_{number}")
            number += 1
        results.append(column[0] if column else "1'b0")
    return regs, statements, f"{{{', '.join(reversed(results))}}}"

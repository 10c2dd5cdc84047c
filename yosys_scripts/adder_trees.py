"""Trees of adders become carry chains that add several bits of a column (`bit_heap.py`).

Works on the `$alu` cells of one module as `write_json` gives it, before they are mapped. An adder
whose operands come from gates stays: its LUTs take the gates (`absorb.py`).

Imports nothing of this package but its neighbours: `worker.py` runs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yosys_scripts.bit_heap import Chain, HeapBit, Slot, luts, plan
    from yosys_scripts.dual_luts import lut6_2
else:  # In `worker.py` they are modules of their own.
    from bit_heap import Chain, HeapBit, Slot, luts, plan
    from dual_luts import lut6_2

Net = int | str  # A net's number, or "0", "1", "x".
Json = dict[str, Any]

#: Cells whose outputs `absorb.into_carry4` moves into the LUTs of an adder.
_GATES = {"$and", "$or", "$xor", "$xnor", "$mux"}

#: Adders of so few result bits become ripple logic (small_adders.v), and products are made of such.
_SMALL = 5


@dataclass
class _Term:
    """An operand of an adder: ``bits``, extended, from ``weight`` on.

    ``inner``: the adder whose result they are, where that is no other's operand.
    """

    bits: Sequence[Net]
    weight: int
    signed: bool
    inverted: bool = False
    inner: _Adder | None = None

    def range(self) -> tuple[int, int]:
        """The least and the largest number, not counting the weight."""
        low, high = 0, (1 << len(self.bits)) - 1
        if self.signed:
            low, high = -(high + 1) // 2, high // 2
        return (~high, ~low) if self.inverted else (low, high)


@dataclass
class _Adder:
    """The sum of ``terms`` and of the net ``carry``, modulo 2^len(y).

    It is an `$alu`, and those adders below it whose low bits are bits of the same result.
    """

    names: list[str]
    terms: list[_Term]
    carries: list[tuple[Net, int]]
    y: list[int]
    luts: int


class _Sums:
    """The adders of a module."""

    def __init__(self, module: Json) -> None:
        self.readers: Counter[Net] = Counter()
        self.gates: set[Net] = set()
        for port in module["ports"].values():
            self.readers.update(port["bits"])
        for cell in module["cells"].values():
            for pin, bits in cell["connections"].items():
                if cell["port_directions"][pin] == "input":
                    self.readers.update(bits)
            if cell["type"] in _GATES:
                self.gates.update(cell["connections"]["Y"])
        self.by_top: dict[Net, _Adder] = {}
        for name, cell in module["cells"].items():
            if cell["type"] == "$alu" and (adder := self._adder(name, cell)) is not None:
                self.by_top[adder.y[-1]] = adder
        self.ranges: dict[int, tuple[int, int]] = {}
        self._join_low_bits()

    def _adder(self, name: str, cell: Json) -> _Adder | None:
        pins, parameters = cell["connections"], cell["parameters"]
        a_signed, b_signed = (int(parameters[f"{p}_SIGNED"], 2) for p in "AB")
        (inverted,), y = pins["BI"], pins["Y"]
        if inverted not in ("0", "1") or a_signed != b_signed or len(y) <= _SMALL:
            return None
        if any(self.readers[bit] for bit in (*pins["X"], *pins["CO"]) if isinstance(bit, int)):
            return None
        if not all(isinstance(bit, int) for bit in y):
            return None
        a, b = pins["A"][: len(y)], pins["B"][: len(y)]
        if self._gated(a) or self._gated(b):
            return None
        empty = min((i for i in range(min(len(a), len(b))) if a[i] != "0" != b[i]), default=0)
        terms = [_Term(a, 0, bool(a_signed)), _Term(b, 0, bool(b_signed), inverted == "1")]
        return _Adder([name], terms, [(pins["CI"][0], 0)], y, len(y) - empty)

    def _gated(self, operand: Sequence[Net]) -> bool:
        """Whether most of an operand comes from gates that an adder's LUTs take."""
        nets = [bit for bit in operand if isinstance(bit, int)]
        gates = sum(bit in self.gates and self.readers[bit] <= 2 for bit in nets)
        return 2 * gates > len(nets)

    def below(self, term: _Term) -> tuple[_Adder, int] | None:
        """The adder whose result is the term's bits from a place on, and the place.

        The place is negative if the adder's low bits are not among them. None if there is no such
        adder, or if another cell reads its result.
        """
        if term.inner is not None:
            return term.inner, 0
        if term.inverted:
            return None
        bits = list(term.bits)
        while term.signed and len(bits) > 1 and bits[-1] == bits[-2]:
            bits.pop()
        while not term.signed and bits and bits[-1] == "0":
            bits.pop()
        adder = self.by_top.get(bits[-1]) if bits else None
        if adder is None:
            return None
        place = len(bits) - len(adder.y)
        low, y = bits[max(place, 0) :], adder.y[max(-place, 0) :]
        extended = len(term.bits) - len(bits)
        if low != y or any(self.readers[bit] > 1 for bit in y[:-1]):
            return None
        if self.readers[y[-1]] != 1 + (extended if term.signed else 0):
            return None
        return adder, place

    def range(self, adder: _Adder) -> tuple[int, int] | None:
        """The sum's extremes; None if it may overflow."""
        key = adder.y[-1]
        if key not in self.ranges:
            low, high = 0, sum(1 << weight for net, weight in adder.carries if net != "0")
            for term in adder.terms:
                extremes = term.range()
                if (below := self.below(term)) is not None and below[1] >= 0:
                    inner, place = below
                    if (narrow := self.range(inner)) is not None:
                        below_ones = (1 << place) - 1
                        fitting = (narrow[0] << place, (narrow[1] << place) + below_ones)
                        if extremes[0] <= fitting[0] and fitting[1] <= extremes[1]:
                            extremes = fitting
                low += extremes[0] << term.weight
                high += extremes[1] << term.weight
            self.ranges[key] = low, high
        low, high = self.ranges[key]
        return (low, high) if high - low < 1 << len(adder.y) else None

    def fits(self, adder: _Adder, signed: bool) -> bool:
        """Whether its result, extended, is its sum."""
        half = 1 << len(adder.y) - 1
        least, limit = (-half, half) if signed else (0, 2 * half)
        extremes = self.range(adder)
        return extremes is not None and least <= extremes[0] and extremes[1] < limit

    def _join_low_bits(self) -> None:
        """Where an adder adds to the upper bits of another sum they become one."""
        changed = True
        while changed:
            changed = False
            for adder in list(self.by_top.values()):
                for term in adder.terms:
                    below = self.below(term)
                    if below is None or below[1] >= 0 or below[0] is adder:
                        continue
                    inner, place = below
                    if not self.fits(inner, term.signed) or any(
                        other.weight for other in adder.terms
                    ):
                        continue
                    moved = [replace(t, weight=-place) for t in adder.terms if t is not term]
                    adder.terms = [_Term(inner.y, 0, term.signed, inner=inner), *moved]
                    adder.carries = [(net, weight - place) for net, weight in adder.carries]
                    adder.y = [*inner.y[:-place], *adder.y]
                    self.ranges.clear()
                    changed = True
                    break


@dataclass
class _Heap:
    """The sum of a tree of adders, in columns.

    ``names``: cells that it replaces; ``luts``: about what they take; ``y``: nets of the result;
    ``constant``: what is to be added beside the bits.
    """

    columns: list[list[HeapBit]]
    names: list[str]
    y: list[int]
    luts: int
    constant: int = 0

    def add(self, net: Net, weight: int, inverted: bool = False) -> None:
        """Add a bit b·2^weight; if it is ``inverted``, (1 - b)·2^weight."""
        if weight >= len(self.columns):
            return
        if isinstance(net, int):
            self.columns[weight].append(HeapBit(net, inverted))
        elif (net == "1") != inverted:
            self.constant += 1 << weight

    def add_term(self, term: _Term, weight: int) -> None:
        """Add the bits of a term, the sign bit of a signed one as its inverse and a constant."""
        top = len(term.bits) - 1
        for i, net in enumerate(term.bits):
            at = weight + i
            if term.signed and i == top and at < len(self.columns) - 1:
                # -b = (1 - b) - 1.
                self.add(net, at, not term.inverted)
                self.constant -= 1 << at
            else:
                self.add(net, at, term.inverted)
        if term.inverted and not term.signed:
            self.constant -= 1 << (weight + top + 1)

    def finish(self) -> None:
        """Put the ones of the constant into the columns."""
        for i, bits in enumerate(self.columns):
            if self.constant >> i & 1:
                bits.append(HeapBit("1"))


def _heaps(sums: _Sums) -> Iterator[_Heap]:
    """Trees of two adders and more; each adder is in one."""
    inner: set[Net] = set()
    for adder in sums.by_top.values():
        parts = (_part(sums, term) for term in adder.terms)
        inner.update(part[0].y[-1] for part in parts if part is not None)
    for root in sums.by_top.values():
        if root.y[-1] in inner:
            continue
        heap = _Heap([[] for _ in root.y], [], root.y, 0)
        _collect(sums, root, 0, heap)
        if len(heap.names) > 1:
            heap.finish()
            yield heap


def _part(sums: _Sums, term: _Term) -> tuple[_Adder, int] | None:
    """The adder below a term, and its place, if its sum can be added in the same columns."""
    below = sums.below(term)
    if below is None or below[1] < 0 or not sums.fits(below[0], term.signed):
        return None
    return below


def _collect(sums: _Sums, adder: _Adder, weight: int, heap: _Heap) -> None:
    heap.names += adder.names
    heap.luts += adder.luts
    for net, at in adder.carries:
        heap.add(net, weight + at)
    for term in adder.terms:
        at = weight + term.weight
        part = _part(sums, term)
        if part is None:
            heap.add_term(term, at)
            continue
        inner, place = part
        heap.add_term(_Term(term.bits[:place], 0, False), at)
        _collect(sums, inner, at + place, heap)


class _Cells:
    """Makes the cells of chains in a module, with names that begin with ``name``."""

    def __init__(self, module: Json, name: str) -> None:
        nets = [bit for wire in module["netnames"].values() for bit in wire["bits"]]
        self.last_net = max((bit for bit in nets if isinstance(bit, int)), default=0)
        self.cells: Json = module["cells"]
        # Every net needs a name for the next pass to know the last one.
        self.names: Json = module["netnames"]
        self.prefix = name
        self.nets: dict[Any, Net] = {}

    def new_net(self) -> int:
        self.last_net += 1
        self.names[f"{self.prefix}.net{self.last_net}"] = {
            "hide_name": 1,
            "bits": [self.last_net],
            "attributes": {},
        }
        return self.last_net

    def cell(self, kind: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Json:
        cell: Json = {
            "hide_name": 1,
            "type": kind,
            "parameters": {},
            "attributes": {},
            "port_directions": {
                **dict.fromkeys(inputs, "input"),
                **dict.fromkeys(outputs, "output"),
            },
            "connections": {**inputs, **outputs},
        }
        self.cells[f"{self.prefix}.{len(self.cells)}"] = cell
        return cell

    def gate(self, kind: str, *inputs: Net) -> int:
        y = self.new_net()
        self.cell(kind, {p: [n] for p, n in zip("AB", inputs, strict=False)}, {"Y": [y]})
        return y

    def net(self, bit: HeapBit) -> Net:
        """Of a bit that is not inverted."""
        net: Net = self.nets[bit.net] if isinstance(bit.net, tuple) else bit.net
        return net

    def value(self, bit: HeapBit) -> Net:
        net = self.net(bit)
        return self.gate("$_NOT_", net) if bit.inverted else net

    def slot(self, slot: Slot, bypass: bool) -> tuple[Net, Net]:
        """The nets of S and DI of a slot.

        ``bypass``: DI may come from the slice's pin, which the carry into a chain takes.
        """
        if not slot.x and not slot.y_count:
            return self._parity([self.value(bit) for bit in slot.y]), "0"
        plain = len(slot.x) == 1 and not slot.x[0].inverted
        if plain and bypass and not slot.y_count:
            di = self.net(slot.x[0])
            return self._parity([di, *map(self.value, slot.y)]), di
        bits = list(dict.fromkeys((*slot.x, *slot.y)))
        nets = [self.net(bit) for bit in bits]
        upper, lower = [], []
        for row in range(32):
            ones = {b: (row >> i & 1) ^ b.inverted for i, b in enumerate(bits)}
            x, y = (
                sum(ones[b] for b in part) >= count if count else sum(ones[b] for b in part) & 1
                for part, count in ((slot.x, slot.x_count), (slot.y, slot.y_count))
            )
            upper.append(int(x) ^ int(y))
            lower.append(int(x))
        s, o5 = self.new_net(), self.new_net()
        self.lut(nets, upper, lower, {"O6": s, "O5": o5})
        if not slot.x:
            return s, "0"
        return s, self.net(slot.x[0]) if plain and bypass else o5

    def _parity(self, nets: list[Net]) -> Net:
        """The XOR of nets, of which the first drives DI.

        That one is no input of the last gate: `absorb.into_carry4` would take it for an adder of
        two operands, and that gate for itself.
        """
        if len(nets) > 2:
            nets = [self.gate("$_XOR_", *nets[:2]), *nets[2:]]
        while len(nets) > 1:
            nets = [self.gate("$_XOR_", nets[-2], nets[-1]), *nets[:-2]]
        return nets[0]

    def full_adder(self, number: int, chain: Chain, drives: dict[Any, int]) -> None:
        """Make the LUT6_2 of a chain of one slot, whose outputs are its sum and its carry."""
        (slot,) = chain.slots
        carry_in = (chain.carry_in,) if chain.carry_in else ()
        bits = (*slot.x, *slot.y, *carry_in)
        keys = (number, chain.start), (number, None)
        s, carry = (drives[key] if key in drives else self.new_net() for key in keys)
        self.nets |= zip(keys, (s, carry), strict=True)
        counts = [sum((row >> i & 1) ^ b.inverted for i, b in enumerate(bits)) for row in range(32)]
        nets = [self.net(bit) for bit in bits]
        self.lut(nets, [n & 1 for n in counts], [n >> 1 for n in counts], {"O6": s, "O5": carry})

    def lut(
        self, nets: list[Net], upper: list[int], lower: list[int], outputs: dict[str, Any]
    ) -> None:
        padded = [*nets, *["0"] * (5 - len(nets)), "1"]
        self.cells[f"{self.prefix}.{len(self.cells)}"] = lut6_2(padded, upper, lower, outputs)

    def chain(self, number: int, chain: Chain, drives: dict[Any, int]) -> None:
        """Make the cells of a chain; ``drives``: the nets of sums that are the result's."""
        if chain.full_adder:
            self.full_adder(number, chain, drives)
            return
        pins = [self.slot(slot, i > 0 or not chain.carry_in) for i, slot in enumerate(chain.slots)]
        carry: Net = "0"
        count = len(pins)
        for low in range(0, count, 4):
            part = [*pins[low : low + 4], *[("0", "0")] * 4][:4]
            sums, carries = ([self.new_net() for _ in range(4)] for _ in range(2))
            for i in range(min(4, count - low)):
                key = number, chain.start + low + i
                sums[i] = drives.get(key, sums[i])
                self.nets[key] = sums[i]
            if low + 4 >= count:
                last = count - low - 1
                carries[last] = drives.get((number, None), carries[last])
                self.nets[number, None] = carries[last]
            first = self.net(chain.carry_in) if chain.carry_in and low == 0 else "0"
            self.cell(
                "CARRY4",
                {
                    "CI": [carry],
                    "CYINIT": [first],
                    "S": [s for s, _ in part],
                    "DI": [di for _, di in part],
                },
                {"O": sums, "CO": carries},
            )
            carry = carries[3]


def compress(module: Json) -> None:
    """Replace trees of adders by chains of wider slots, where that takes fewer LUTs."""
    for heap in _heaps(_Sums(module)):
        planned = plan(heap.columns)
        if planned is None or luts(planned[0], len(heap.y)) >= heap.luts:
            continue
        chains, left = planned
        cells = _Cells(module, f"{heap.names[0]}.sum")
        for name in heap.names:
            del module["cells"][name]
        drives = {}
        for bit, y in zip(left, heap.y, strict=True):
            if bit is not None and isinstance(bit.net, tuple):
                drives[bit.net] = y
            else:
                source = "0" if bit is None else cells.value(bit)
                cells.cell("$_BUF_", {"A": [source]}, {"Y": [y]})
        for number, chain in enumerate(chains):
            cells.chain(number, chain, drives)

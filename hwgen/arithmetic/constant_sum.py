"""Sums of numbers times constants, as additions of shifted numbers.

A shift by a constant is wiring, so only additions and subtractions count. Two plans are made,
and the one whose adders have fewer bits is taken:

- *digits*: each weight in canonical signed digits, of which the fewest are not zero (Reitwiesner,
  *Binary arithmetic*, 1960; Avizienis 1961), and a number added for each;
- *shared*: numbers whose weights are the same odd number times powers of two are added first.
  Their sum G for the odd number f is then handed on: f is ±2^i·u ± v of two smaller ones, so f·G
  is u·(±2^i·G) + v·(±G), and G joins the numbers of u and those of v. That is one addition more
  for each odd number but 1, however many numbers have it. It is the multiplication of one number
  by many constants, one addition for each (Dempster and Macleod, *Use of minimum-adder
  multiplier blocks in FIR digital filters*, IEEE TCAS-II 42, 1995), transposed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned

from hwgen.formats.widths import signed_width


@dataclass(frozen=True)
class Term:
    """±``node``·2^``shift``."""

    node: int
    shift: int = 0
    negative: bool = False

    def times(self, factor: int, shift: int = 0) -> Term:
        """The term times 1 or −1 and 2^``shift``."""
        return Term(self.node, self.shift + shift, self.negative != (factor < 0))


@dataclass(frozen=True)
class Node:
    """An input, or the sum of the node ``low`` and the node ``high``·2^``shift``, where one of them
    may be subtracted.

    ``least``, ``most``: the range of its numbers; ``level``: additions up to it, one behind the
    other; ``bits``: of its adder, none where it is wiring.
    """

    least: int
    most: int
    level: int = 0
    low: int = 0
    high: int = 0
    shift: int = 0
    low_negative: bool = False
    high_negative: bool = False
    bits: int = 0

    def shape(self, *, lacks_one: bool = False) -> Shape:
        """Of the signal; ``lacks_one``: a one may be yet to be added."""
        least = self.least - int(lacks_one)
        if least >= 0:
            return unsigned(max(self.most.bit_length(), 1))
        return signed(signed_width(least, self.most))


@dataclass(frozen=True)
class Plan:
    """The nodes, ``inputs`` first, and which is the sum; None if that is always zero."""

    inputs: int
    nodes: tuple[Node, ...]
    total: int | None

    @property
    def levels(self) -> int:
        """Additions one behind the other."""
        return 0 if self.total is None else self.nodes[self.total].level

    @property
    def bits(self) -> int:
        """Of all adders."""
        return sum(node.bits for node in self.nodes)

    @property
    def adders(self) -> int:
        """Additions that are not wiring."""
        return sum(node.bits > 0 for node in self.nodes)

    @property
    def range(self) -> tuple[int, int]:
        """The least and the largest sum."""
        if self.total is None:
            return 0, 0
        return self.nodes[self.total].least, self.nodes[self.total].most

    def width_at(self, level: int) -> int:
        """Bits of the longest adder of a level."""
        return max(node.bits for node in self.nodes if node.level == level)

    def adders_at(self, level: int) -> int:
        """Additions of a level."""
        return sum(node.level == level for node in self.nodes)

    def needed_behind(self, level: int) -> list[int]:
        """Nodes of up to so many levels that later ones read, or that are the sum."""
        nodes = self.nodes[self.inputs :]
        read = {number for node in nodes if node.level > level for number in (node.low, node.high)}
        if self.total is not None:
            read.add(self.total)
        return sorted(number for number in read if self.nodes[number].level <= level)

    def inputs_of(self, number: int) -> frozenset[int]:
        """The inputs that a node is a sum of."""
        if number < self.inputs:
            return frozenset([number])
        node = self.nodes[number]
        return self.inputs_of(node.low) | self.inputs_of(node.high)

    @property
    def last_input(self) -> int | None:
        """The input whose lacking one no adder would take."""
        number = self.total
        while number is not None and number >= self.inputs:
            node = self.nodes[number]
            number = node.high if node.low_negative else node.low
        return number


#: Inputs up to which the plan by digits is tried. Of sums of 16 numbers with normally distributed
#: weights of 4 to 16 bits it was the better one of none of 160, and of 8 numbers of 3.
DIGITS_TRIED = 16


#: Bits of an adder behind which a further number is added at once. The 7-series flow does not
#: merge such short ones into columns, so the fewer the better: 32 lanes INT4 x INT4 205 -> 169
#: LUTs, INT3 x INT4 145 -> 132; on ECP5 225 -> 225 and 193 -> 194, on iCE40 242 -> 256 and
#: 203 -> 202.
SHORT = 5


@functools.lru_cache(maxsize=256)
def plan(weights: tuple[int, ...], least: int, most: int) -> Plan:
    """The plan of Σ weights[i]·x[i], for numbers x[i] from ``least`` to ``most``, of weights that
    are not all even.
    """
    plans = [shared_plan(weights, least, most)]
    if len(weights) <= DIGITS_TRIED:
        plans.append(digits_plan(weights, least, most))
    return min(plans, key=lambda found: (found.bits, found.levels))


def digits_plan(weights: Sequence[int], least: int, most: int) -> Plan:
    """The sum over all digits of all weights."""
    planner = _Planner(len(weights), least, most)
    return planner.plan(
        Term(i, place, digit < 0)
        for i, weight in enumerate(weights)
        for place, digit in signed_digits(weight)
    )


def shared_plan(weights: Sequence[int], least: int, most: int) -> Plan:
    """The sum by the weights' odd numbers, the last of which is 1."""
    planner = _Planner(len(weights), least, most)
    terms: dict[int, list[Term]] = {1: []}
    for i, weight in enumerate(weights):
        if weight:
            odd, shift = odd_part(abs(weight))
            terms.setdefault(odd, []).append(Term(i, shift, weight < 0))
    for odd, parts in reversed(made_of(terms).items()):
        if odd not in terms:  # It was made for a number that others make too.
            continue
        total = planner.total(terms.pop(odd))
        for part, factor, shift in parts:
            terms.setdefault(part, []).append(total.times(factor, shift))
    return planner.plan(terms[1])


def signed_digits(number: int) -> list[tuple[int, int]]:
    """The canonical signed digits of ``number`` that are not zero, lowest first: (place, 1 or −1).

    No two are neighbours, and no signed digits of the number are fewer.
    """
    digits, place = [], 0
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            digits.append((place, digit))
            number -= digit
        number >>= 1
        place += 1
    return digits


def odd_part(number: int) -> tuple[int, int]:
    """(f, i) of a positive number f·2^i with f odd."""
    shift = (number & -number).bit_length() - 1
    return number >> shift, shift


#: What an odd number is made of: f = Σ factor · part · 2^shift.
Segmented = tuple[tuple[int, int, int], ...]


def made_of(numbers: Iterable[int]) -> dict[int, Segmented]:
    """Each odd number above 1 as a sum of two of those before it, or of 1; and others that are
    needed in between, where no two of them make a number.
    """
    made: dict[int, Segmented] = {}
    depths = {1: 0}
    left = sorted(set(numbers) - {1}, key=lambda f: (len(signed_digits(f)), f))
    while left:
        later = []
        for number in left:
            found = _parts(number, depths)
            if found is None:
                later.append(number)
            else:
                depths[number], made[number] = found
        if later == left:
            # One that is made now, if there is such, of which the first can be made.
            between = _simpler(left[0])
            later.insert(0, min(between, key=lambda f: (_parts(f, depths) is None, f)))
        left = later
    return made


def _simpler(number: int) -> set[int]:
    """Odd numbers of which one addition makes the number: those with one digit less, and its
    quotients by 2^i ± 1.
    """
    rests = (abs(number - (digit << place)) for place, digit in signed_digits(number))
    found = {odd_part(rest)[0] for rest in rests}
    for shift in range(1, number.bit_length()):
        for factor in ((1 << shift) - 1, (1 << shift) + 1):
            if factor > 1 and number % factor == 0:
                found.add(number // factor)
    return found - {1, number}


def _parts(number: int, depths: Mapping[int, int]) -> tuple[int, Segmented] | None:
    """The parts of a number whose depth is least, and its own depth."""
    best: tuple[tuple[int, int], Segmented] | None = None
    for u, depth in depths.items():
        shift = 1
        while u << shift <= 2 * number:
            for factor in (1, -1):
                v = number - (factor * u << shift)
                if abs(v) in depths:
                    key = max(depth, depths[abs(v)]) + 1, shift
                    if best is None or key < best[0]:
                        best = key, ((u, factor, shift), (abs(v), 1 if v > 0 else -1, 0))
            shift += 1
    return None if best is None else (best[0][0], best[1])


class _Planner:
    """Nodes as they are made: what each is of the inputs, and how often others read it."""

    def __init__(self, inputs: int, least: int, most: int) -> None:
        self.inputs, self.least, self.most = inputs, least, most
        self.nodes = [Node(least, most) for _ in range(inputs)]
        self.weights: list[dict[int, int]] = [{i: 1} for i in range(inputs)]
        self.readers = [0] * inputs

    def plan(self, terms: Iterable[Term]) -> Plan:
        """With the sum of the terms as its sum."""
        left = list(terms)
        if not left:
            return Plan(self.inputs, tuple(self.nodes), None)
        total = self.total(left)
        assert total.shift == 0, "all weights are even"
        number = total.node
        if total.negative and not self._turned(number):
            # Nothing is subtracted that could be turned: −x is x − 2x.
            number = self._append(number, number, 1, high_negative=True)
        return Plan(self.inputs, tuple(self.nodes), number)

    def total(self, terms: Iterable[Term]) -> Term:
        """The sum of terms: those of the fewest levels first, each with the one that makes the
        shortest adder.
        """
        left = sorted(terms, key=self._order)
        while len(left) > 1:
            level = self.nodes[left[1].node].level
            made = self._with_nearest(left.pop(0), left, level)
            if self.nodes[made.node].bits == SHORT:
                made = self._with_nearest(made, left, level)
            order = self._order(made)
            left.insert(sum(self._order(y) <= order for y in left), made)
        return left[0]

    def _with_nearest(self, x: Term, left: list[Term], level: int) -> Term:
        """With the one of ``left``, up to the level, that makes the shortest adder."""
        near = [i for i, y in enumerate(left) if self.nodes[y.node].level <= level]
        if not near:
            return x
        return self._add(x, left.pop(min(near, key=lambda i: self._adder_bits(x, left[i]))))

    def _order(self, term: Term) -> tuple[int, int, int]:
        node = self.nodes[term.node]
        return node.level, term.shift, int(node.shape().width)

    def _adder_bits(self, x: Term, y: Term) -> int:
        low, high = sorted((x, y), key=lambda term: term.shift)
        low_bits, high_bits = (self.nodes[term.node].shape().width for term in (low, high))
        return int(max(low_bits + low.shift - high.shift, high_bits))

    def _add(self, x: Term, y: Term) -> Term:
        # The lower one is what is added to: its low bits pass by the adder.
        low, high = sorted((x, y), key=lambda term: (term.shift, term.negative))
        differ = low.negative != high.negative
        node = self._append(low.node, high.node, high.shift - low.shift, high_negative=differ)
        return Term(node, low.shift, low.negative)

    def _append(self, low: int, high: int, shift: int, *, high_negative: bool) -> int:
        weights = dict(self.weights[low])
        for i, weight in self.weights[high].items():
            weights[i] = weights.get(i, 0) + ((-weight if high_negative else weight) << shift)
        level = max(self.nodes[low].level, self.nodes[high].level) + 1
        self.nodes.append(Node(0, 0, level, low, high, shift, high_negative=high_negative))
        self.weights.append(weights)
        self.readers.append(0)
        number = len(self.nodes) - 1
        self._size(number)
        for read in (low, high):
            self.readers[read] += 1
        return number

    def _size(self, number: int) -> None:
        """Sets the range of a node, by what it is of the inputs, and its adder's bits."""
        node, weights = self.nodes[number], self.weights[number].values()
        ends = [sorted((w * self.least, w * self.most)) for w in weights]
        node = replace(node, least=sum(e[0] for e in ends), most=sum(e[1] for e in ends))
        low = self.nodes[node.low]
        bits = node.shape().width - (0 if node.low_negative else node.shift)
        if not (node.low_negative or node.high_negative) and low.least >= 0:
            bits *= low.most >= 1 << node.shift
        self.nodes[number] = replace(node, bits=bits)

    def _turned(self, number: int, readers: int = 1) -> bool:
        """Makes a node its negative, for all that read it, if a difference in it that nothing else
        reads can turn.
        """
        if number < self.inputs or self.readers[number] > readers:
            return False
        node = self.nodes[number]
        if node.low_negative or node.high_negative:
            turned = replace(node, low_negative=node.high_negative, high_negative=node.low_negative)
        elif node.low == node.high and self._turned(node.low, 2):
            turned = node
        elif self._turned(node.low):
            turned = replace(node, high_negative=True)
        elif self._turned(node.high):
            turned = replace(node, low_negative=True)
        else:
            return False
        self.nodes[number] = turned
        self.weights[number] = {i: -weight for i, weight in self.weights[number].items()}
        self._size(number)
        return True


@dataclass(frozen=True)
class Number:
    """What stands for a node: ``value``, and one more where ``carry`` is set, if there is one.

    ``plain``: bits of the value are yet to be inverted where ``carry`` is set, which the LUTs of
    adders do beside adding.
    """

    value: Value
    carry: Value | None = None
    plain: bool = False

    @classmethod
    def with_sign(cls, magnitude: Value, sign: Value) -> Number:
        """A magnitude, negated where ``sign`` is set."""
        return cls(magnitude, sign, plain=True)

    @property
    def inverted(self) -> Number:
        """No longer plain."""
        if not self.plain:
            return self
        assert self.carry is not None
        wide = Cat(self.value, Const(0, 1)) ^ self.carry.replicate(len(self.value) + 1)
        return Number(wide.as_signed(), self.carry)


def add_level(
    m: Module, plan: Plan, numbers: Mapping[int, Number], level: int
) -> dict[int, Number]:
    """The nodes that are needed behind a level of additions, from those before it."""
    found = dict(numbers)
    for index, node in enumerate(plan.nodes):
        if node.level == level:
            low, high = (found[number].inverted for number in (node.low, node.high))
            found[index] = _sum(m, node, low, high, f"node_{index}")
    return {index: found[index] for index in plan.needed_behind(level)}


def _sum(m: Module, node: Node, low: Number, high: Number, name: str) -> Number:
    """One adder. Of the ones that the two operands may lack, one is its carry in."""
    # Every sum is a signal of its own, so that synthesis gives each addition one carry chain.
    if node.low_negative:
        # The one of the higher operand is worth 2^shift: ones below it and one at the lowest place.
        ones = Const(0, 1) if high.carry is None else high.carry
        value = _joined(ones.replicate(node.shift), high.value)
        total = Signal(node.shape(lacks_one=high.carry is not None), name=name)
        m.d.comb += total.eq(_difference(value, low))
        return Number(total, high.carry)
    total = Signal(node.shape(lacks_one=low.carry is not None), name=name)
    passing, value = _split(low.value, node.shift)
    # Below the higher operand there is nothing to add.
    if len(total) <= node.shift:  # -1 - 4 * -1 is 3, the two bits below.
        m.d.comb += total.eq(passing)
        return Number(total, low.carry)
    upper = Signal(Shape(len(total) - node.shift, total.shape().signed), name=f"{name}_upper")
    if node.high_negative:
        m.d.comb += upper.eq(_difference(value, high))
    else:
        m.d.comb += upper.eq(_with_carry(value, high.value, high.carry))
    m.d.comb += total.eq(Cat(passing, upper))
    return Number(total, low.carry)


def _difference(x: Value, y: Number) -> Value:
    return x - y.value if y.carry is None else _with_carry(x, ~y.value, ~y.carry)


def _with_carry(x: Value, y: Value, carry: Value | None) -> Value:
    if carry is None:
        return x + y
    # The carry in, written so that it stays one chain: a bit below the lowest, with a one.
    return (_joined(Const(1, 1), x) + _joined(carry, y)) >> 1


def _joined(low: Value, high: Value) -> Value:
    """With the sign of ``high``."""
    joined = Cat(low, high)
    return joined.as_signed() if high.shape().signed else joined


def _split(value: Value, place: int) -> tuple[Value, Value]:
    """The bits below a place, extended, and the number above it."""
    if not value.shape().signed:
        short = max(place - len(value), 0)
        return Cat(value[:place], Const(0, short)), Cat(value[place:], Const(0, 1))
    if place >= len(value):
        sign = value[-1]
        return Cat(value, sign.replicate(place - len(value))), Cat(sign).as_signed()
    return value[:place], value[place:].as_signed()

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

from hwgen.formats.widths import signed_width
from hwgen.plan.shape import Shape


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
    """An input, or the sum of the node ``low`` and the node ``high``·2^``shift``.

    One of them may be subtracted. ``least``, ``most``: the range of its numbers; ``level``:
    additions up to it, one behind the other; ``bits``: of its adder, none where it is wiring.
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
        """The shape of its signal; ``lacks_one``: a one may be yet to be added."""
        least = self.least - int(lacks_one)
        if least >= 0:
            return Shape(max(self.most.bit_length(), 1))
        return Shape(signed_width(least, self.most), signed=True)


@dataclass(frozen=True)
class Additions:
    """The nodes, ``inputs`` first; a subclass says which of them are its ``results``."""

    inputs: int
    nodes: tuple[Node, ...]

    @property
    def results(self) -> tuple[int, ...]:
        """The nodes that others than nodes read."""
        raise NotImplementedError

    @property
    def levels(self) -> int:
        """Additions one behind the other."""
        return max((self.nodes[number].level for number in self.results), default=0)

    @property
    def bits(self) -> int:
        """Bits of all adders together."""
        return sum(node.bits for node in self.nodes)

    @property
    def adders(self) -> int:
        """Additions that are not wiring."""
        return sum(node.bits > 0 for node in self.nodes)

    def width_at(self, level: int) -> int:
        """Bits of the longest adder of a level."""
        return max(node.bits for node in self.nodes if node.level == level)

    def adders_at(self, level: int) -> int:
        """Additions of a level."""
        return sum(node.level == level for node in self.nodes)

    def needed_behind(self, level: int) -> list[int]:
        """Nodes of up to ``level`` levels that later ones read, or that are results."""
        nodes = self.nodes[self.inputs :]
        read = {number for node in nodes if node.level > level for number in (node.low, node.high)}
        read.update(self.results)
        return sorted(number for number in read if self.nodes[number].level <= level)


@dataclass(frozen=True)
class Plan(Additions):
    """The additions of one sum: ``total`` is its node; None if it is always zero."""

    total: int | None

    @property
    def results(self) -> tuple[int, ...]:
        """The sum."""
        return () if self.total is None else (self.total,)

    @property
    def range(self) -> tuple[int, int]:
        """The least and the largest sum."""
        if self.total is None:
            return 0, 0
        return self.nodes[self.total].least, self.nodes[self.total].most

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
    """The plan of Σ weights[i]·x[i], for numbers x[i] from ``least`` to ``most``.

    The weights are not all even. Of both kinds of plan it is the one with fewer bits of adders.
    """
    plans = [shared_plan(weights, least, most)]
    if len(weights) <= DIGITS_TRIED:
        plans.append(digits_plan(weights, least, most))
    return min(plans, key=lambda candidate: (candidate.bits, candidate.levels))


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
    for odd, summands in reversed(made_of(terms).items()):
        if odd not in terms:  # It was made for a number that others make too.
            continue
        total = planner.total(terms.pop(odd))
        for summand, factor, shift in summands:
            terms.setdefault(summand, []).append(total.times(factor, shift))
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


#: What an odd number is made of: f = Σ factor · odd · 2^shift, of (odd, factor, shift).
Summands = tuple[tuple[int, int, int], ...]


def made_of(numbers: Iterable[int]) -> dict[int, Summands]:
    """Each odd number above 1 as a sum of two of those before it, or of 1.

    Where no two of them make a number, others that are needed in between are in it too.
    """
    made: dict[int, Summands] = {}
    depths = {1: 0}
    unmade = sorted(set(numbers) - {1}, key=lambda f: (len(signed_digits(f)), f))
    while unmade:
        later = []
        for number in unmade:
            summands = _summands(number, depths)
            if summands is None:
                later.append(number)
            else:
                depths[number], made[number] = summands
        if later == unmade:
            # One that is made now, if there is such, of which the first can be made.
            between = _simpler(unmade[0])
            later.insert(0, min(between, key=lambda f: (_summands(f, depths) is None, f)))
        unmade = later
    return made


def _simpler(number: int) -> set[int]:
    """Odd numbers of which one addition makes the number.

    Those with one digit less, and its quotients by 2^i ± 1.
    """
    differences = (abs(number - (digit << place)) for place, digit in signed_digits(number))
    simpler = {odd_part(difference)[0] for difference in differences}
    for shift in range(1, number.bit_length()):
        for factor in ((1 << shift) - 1, (1 << shift) + 1):
            if factor > 1 and number % factor == 0:
                simpler.add(number // factor)
    return simpler - {1, number}


def _summands(number: int, depths: Mapping[int, int]) -> tuple[int, Summands] | None:
    """The two summands of a number whose depth is least, and its own depth."""
    best: tuple[tuple[int, int], Summands] | None = None
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
        """The plan whose sum is the sum of the terms."""
        summed = list(terms)
        if not summed:
            return Plan(self.inputs, tuple(self.nodes), None)
        total = self.total(summed)
        assert total.shift == 0, "all weights are even"
        number = total.node
        if total.negative and not self._turned(number):
            # Nothing is subtracted that could be turned: −x is x − 2x.
            number = self._append(number, number, 1, high_negative=True)
        return Plan(self.inputs, tuple(self.nodes), number)

    def total(self, terms: Iterable[Term]) -> Term:
        """The sum of terms.

        Those of the fewest levels come first, each with the one that makes the shortest adder.
        """
        ordered = sorted(terms, key=self._order)
        while len(ordered) > 1:
            level = self.nodes[ordered[1].node].level
            made = self._with_nearest(ordered.pop(0), ordered, level)
            if self.nodes[made.node].bits == SHORT:
                made = self._with_nearest(made, ordered, level)
            order = self._order(made)
            ordered.insert(sum(self._order(y) <= order for y in ordered), made)
        return ordered[0]

    def _with_nearest(self, x: Term, others: list[Term], level: int) -> Term:
        """``x`` with the one of ``others``, up to the level, that makes the shortest adder."""
        near = [i for i, y in enumerate(others) if self.nodes[y.node].level <= level]
        if not near:
            return x
        return self._add(x, others.pop(min(near, key=lambda i: self._adder_bits(x, others[i]))))

    def _order(self, term: Term) -> tuple[int, int, int]:
        node = self.nodes[term.node]
        return node.level, term.shift, node.shape().width

    def _adder_bits(self, x: Term, y: Term) -> int:
        low, high = sorted((x, y), key=lambda term: term.shift)
        low_bits, high_bits = (self.nodes[term.node].shape().width for term in (low, high))
        return max(low_bits + low.shift - high.shift, high_bits)

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
        """Makes a node its negative, for all that read it, and tells whether that could be.

        It can where a difference in it that nothing else reads can be turned.
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

"""Products of a constant matrix and a vector, as additions that the rows share.

Every weight becomes canonical signed digits, and a row the sum of its digits, each a number of the
vector times a power of two. Two digits that stand in several places in the same relation (a·x ± b·y
with a/b fixed, in one row or in several) are added once, and that sum is one digit in each place:
the pair that saves most comes first, until none saves anything. It is the greedy elimination of
common subexpressions of two terms (Paar, *Optimized arithmetic for Reed-Solomon encoders*, ISIT
1997, for bits; Hartley, *Subexpression sharing in filters using canonic signed digit multipliers*,
IEEE TCAS-II 43, 1996), with what a pair saves weighted by the bits that it adds.

What is left of a row is summed in pairs of few levels first. The flow of 7-series makes one sum of
columns of such a tree, as far as no part of the tree is subtracted, and none is narrower than if
its operands took all numbers of their widths. So only inputs and shared sums are subtracted, which
costs no adder as long as some digit of the row is positive.
"""

from __future__ import annotations

import functools
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from hwgen.formats.widths import signed_width
from hwgen.plan.constant_sum import Additions, Node, Term, odd_part, signed_digits

#: A row of constants.
Row = tuple[int, ...]
#: A row's digits: of which node, times which power of two; 1 or −1.
Digits = dict[tuple[int, int], int]
#: Two digits, but for a common sign and power of two: the lower node, the higher one, how much
#: higher, and whether their signs differ.
Pair = tuple[int, int, int, bool]

#: Tenths of a LUT that a bit of a row's digits takes, beside ten for a bit of a shared sum: sums of
#: columns take less. With 16 x 16 INT8 weights and INT8 numbers, 7-series took 2,494 LUTs with 4,
#: 2,419 with 5.5, 2,412 with 7 and 2,474 with 10.
BIT_OF_ROW, BIT_OF_SHARED = 7, 10


@dataclass(frozen=True)
class MatrixPlan(Additions):
    """The additions of all rows; ``totals``: each row's node and its shift, None of zeros."""

    totals: tuple[Term | None, ...]

    @property
    def results(self) -> tuple[int, ...]:
        """The rows' nodes."""
        return tuple(total.node for total in self.totals if total is not None)

    @property
    def range(self) -> tuple[int, int]:
        """The least and the largest result of any row."""
        ends = [0]
        for total in self.totals:
            if total is not None:
                node = self.nodes[total.node]
                ends += [node.least << total.shift, node.most << total.shift]
        return min(ends), max(ends)


@functools.lru_cache(maxsize=64)
def plan(matrix: tuple[Row, ...], least: int, most: int) -> MatrixPlan:
    """The plan of Σ matrix[j][i]·x[i] for every j, for numbers x[i] from ``least`` to ``most``.

    Rows that are others times a power of two, or negated, are made of those.
    """
    graph = _Graph(len(matrix[0]), least, most)
    parts = [_without_factor(row) for row in matrix]
    distinct: list[Row] = []
    for odd_row, _ in parts:
        negative = tuple(-weight for weight in odd_row)
        if any(odd_row) and odd_row not in distinct and negative not in distinct:
            distinct.append(odd_row)
    digits = [_digits(row) for row in distinct]
    _share(graph, digits)
    nodes = {row: graph.total(terms, row) for row, terms in zip(distinct, digits, strict=True)}
    totals = []
    for odd_row, shift in parts:
        if any(odd_row) and odd_row not in nodes:
            negative = tuple(-weight for weight in odd_row)
            nodes[odd_row] = graph.negated(nodes[negative])
        totals.append(Term(nodes[odd_row], shift) if any(odd_row) else None)
    return MatrixPlan(graph.inputs, tuple(graph.nodes), tuple(totals))


def _without_factor(row: Row) -> tuple[Row, int]:
    """The row divided by the largest power of two that divides it, and which that is."""
    shift = min((odd_part(abs(weight))[1] for weight in row if weight), default=0)
    return tuple(weight >> shift for weight in row), shift


def _digits(row: Row) -> Digits:
    return {(i, place): d for i, weight in enumerate(row) for place, d in signed_digits(weight)}


class _Graph:
    """Nodes as they are made, and what each shared one is of the inputs."""

    def __init__(self, inputs: int, least: int, most: int) -> None:
        self.inputs, self.least, self.most = inputs, least, most
        self.nodes = [Node(least, most)] * inputs
        self.widths = [self.nodes[0].shape().width] * inputs
        self.weights = [{i: 1} for i in range(inputs)]
        #: Nodes that no other row reads, of which the range is that of any operands.
        self.inner: set[int] = set()

    def share(self, pair: Pair) -> int:
        """The sum of a pair, which several places read."""
        low, high, shift, differ = pair
        weights = dict(self.weights[low])
        for i, weight in self.weights[high].items():
            weights[i] = weights.get(i, 0) + ((-weight if differ else weight) << shift)
        self.weights.append(weights)
        return self._append(low, high, shift, False, differ, self._range(weights.values()))

    def total(self, digits: Digits, row: Row) -> int:
        """The sum of a row's digits, of few levels first."""
        terms = [Term(node, place, digit < 0) for (node, place), digit in sorted(digits.items())]
        if all(term.negative for term in terms):
            first = min(terms, key=self._order)
            terms[terms.index(first)] = Term(self.negated(first.node), first.shift)
        terms.sort(key=self._order)
        while len(terms) > 1:
            x = terms.pop(0)
            y = self._partner(x, terms)
            terms.remove(y)
            made = self._add(x, y, None if terms else row)
            order = self._order(made)
            terms.insert(sum(self._order(term) <= order for term in terms), made)
        assert terms[0].shift == 0, "the row is even"
        return terms[0].node

    def negated(self, number: int) -> int:
        """−x, which is x − 2x."""
        node = self.nodes[number]
        return self._append(number, number, 1, False, True, (-node.most, -node.least))

    def _partner(self, x: Term, others: Sequence[Term]) -> Term:
        """The one that makes the shortest adder with ``x``, of those of the fewest levels.

        One of both is positive: and only one, while there are as many negative ones as others.
        """
        negative = sum(term.negative for term in (x, *others))
        mixed = 2 * negative >= len(others) + 1
        fit = [y for y in others if y.negative != x.negative or not (mixed or x.negative)]
        level = max(self.nodes[term.node].level for term in (x, fit[0]))
        near = [y for y in fit if self.nodes[y.node].level <= level]
        return min(near, key=lambda y: self._adder_bits(x, y))

    def _order(self, term: Term) -> tuple[int, int, int, bool]:
        return self.nodes[term.node].level, term.shift, self.widths[term.node], term.negative

    def _adder_bits(self, x: Term, y: Term) -> int:
        low, high = (x, y) if x.shift <= y.shift else (y, x)
        return max(self.widths[low.node] + low.shift - high.shift, self.widths[high.node])

    def _add(self, x: Term, y: Term, row: Row | None) -> Term:
        """Their sum, which is positive; ``row``: what it is of the inputs, if it is a row's."""
        low, high = sorted((x, y), key=lambda term: (term.shift, term.negative))
        shift = high.shift - low.shift
        ends = None if row is None else self._range(row)
        made = self._append(low.node, high.node, shift, low.negative, high.negative, ends)
        return Term(made, low.shift)

    def _append(
        self,
        low: int,
        high: int,
        shift: int,
        low_negative: bool,
        high_negative: bool,
        ends: tuple[int, int] | None,
    ) -> int:
        """A node with the range ``ends``, or that of any numbers of its operands' widths."""
        level = max(self.nodes[low].level, self.nodes[high].level) + 1
        if ends is None:
            ends = self._range_of_any(low, low_negative)
            higher = self._range_of_any(high, high_negative)
            ends = ends[0] + (higher[0] << shift), ends[1] + (higher[1] << shift)
            self.inner.add(len(self.nodes))
        least, most = ends
        node = Node(least, most, level, low, high, shift, low_negative, high_negative)
        width = node.shape().width
        bits = width - (0 if low_negative else shift)
        below = self.nodes[low]
        if not (low_negative or high_negative) and below.least >= 0 and below.most < 1 << shift:
            bits = 0
        self.nodes.append(replace(node, bits=bits))
        self.widths.append(width)
        return len(self.nodes) - 1

    def _range_of_any(self, number: int, negative: bool) -> tuple[int, int]:
        """Of a node, or of its negative, as far as its width tells."""
        node = self.nodes[number]
        least, most = node.least, node.most
        if number not in self.inner:
            shape = node.shape()
            ones = (1 << shape.width - int(shape.signed)) - 1
            least, most = ~ones if shape.signed else 0, ones
        return (-most, -least) if negative else (least, most)

    def _range(self, weights: Iterable[int]) -> tuple[int, int]:
        """Of the sum of the inputs, times the weights."""
        ends = [sorted((weight * self.least, weight * self.most)) for weight in weights]
        return sum(low for low, _ in ends), sum(high for _, high in ends)


def _share(graph: _Graph, rows: Sequence[Digits]) -> None:
    """Makes shared sums of pairs, and one digit of each pair in the rows."""
    counts = Counter(pair for row in rows for pair in _pairs(row))
    costs: dict[Pair, tuple[int, int]] = {}

    def gain(pair: Pair) -> int:
        """What is saved by sharing, in tenths of a LUT."""
        if counts[pair] < 2:
            return 0
        if pair not in costs:
            costs[pair] = _costs(graph, pair)
        in_row, shared = costs[pair]
        return counts[pair] * in_row - shared

    queue = [(-gain(pair), pair) for pair in counts if gain(pair) > 0]
    heapq.heapify(queue)
    while queue:
        promised, pair = heapq.heappop(queue)
        if gain(pair) == -promised:
            places = [(row, place) for row in rows for place in _places(row, pair)]
            if len(places) == counts[pair]:
                node = graph.share(pair)
                for new in _replace(places, pair, node, counts):
                    if gain(new) > 0:
                        heapq.heappush(queue, (-gain(new), new))
                continue
            counts[pair] = len(places)  # Of digits of one number some are in two pairs.
        if gain(pair) > 0:
            heapq.heappush(queue, (-gain(pair), pair))


def _costs(graph: _Graph, pair: Pair) -> tuple[int, int]:
    """What one digit in the place of two saves, and what the shared sum takes, in tenths."""
    low, high, shift, differ = pair
    x, y = graph.nodes[low], graph.nodes[high]
    least, most = (-y.most, -y.least) if differ else (y.least, y.most)
    width = signed_width(x.least + (least << shift), x.most + (most << shift))
    saved = graph.widths[low] + graph.widths[high] - width
    return BIT_OF_ROW * saved, BIT_OF_SHARED * (width - shift)


def _pair(x: tuple[int, int], y: tuple[int, int], differ: bool) -> Pair:
    (low, place), (high, higher) = x, y
    if (place, low) > (higher, high):
        low, place, high, higher = high, higher, low, place
    return low, high, higher - place, differ


def _pairs(row: Digits) -> Iterator[Pair]:
    """All pairs of digits of a row."""
    digits = list(row.items())
    for i, (x, sign) in enumerate(digits):
        for y, other in digits[i + 1 :]:
            yield _pair(x, y, sign != other)


def _places(row: Digits, pair: Pair) -> list[int]:
    """Where the pair stands in a row, each digit in one place: its lower digit's powers of two."""
    low, high, shift, differ = pair
    taken: set[tuple[int, int]] = set()
    places = []
    for place in sorted(place for node, place in row if node == low):
        x, y = (low, place), (high, place + shift)
        if y in row and (row[x] != row[y]) == differ and not {x, y} & taken:
            taken |= {x, y}
            places.append(place)
    return places


def _replace(
    places: Iterable[tuple[Digits, int]], pair: Pair, node: int, counts: Counter[Pair]
) -> list[Pair]:
    """Puts the shared node in the places of the pair; the pairs that it makes there."""
    low, high, shift, _ = pair
    made = set()
    for row, place in places:
        sign = row[low, place]
        for x in ((low, place), (high, place + shift)):
            removed = row.pop(x)
            counts.subtract(_pair(x, y, removed != other) for y, other in row.items())
        new = [_pair((node, place), y, sign != other) for y, other in row.items()]
        counts.update(new)
        made.update(new)
        row[node, place] = sign
    return sorted(made)

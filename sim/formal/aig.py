"""And-inverter graphs: logic as two-input ANDs and inverters, equal structure made once.

A literal is an int: twice the node, plus one if inverted. Node 0 is constant: the literals 0
and 1 are false and true. (A. Biere, *The AIGER And-Inverter Graph Format*, 2007.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

FALSE, TRUE = 0, 1

#: Patterns are 64 to a word.
WORD = 64
#: How the first six variables alternate within a word.
_ALTERNATING = (
    0xAAAAAAAAAAAAAAAA,
    0xCCCCCCCCCCCCCCCC,
    0xF0F0F0F0F0F0F0F0,
    0xFF00FF00FF00FF00,
    0xFFFF0000FFFF0000,
    0xFFFFFFFF00000000,
)


class Aig:
    """A graph that grows. ``fanin[node]`` has the two literals of an AND, None of an input."""

    def __init__(self) -> None:
        self.fanin: list[tuple[int, int] | None] = [None]
        #: Names of the inputs, by node.
        self.names: dict[int, str] = {}
        self._made: dict[tuple[int, int], int] = {}

    def input(self, name: str) -> int:
        """The literal of a new variable."""
        node = len(self.fanin)
        self.fanin.append(None)
        self.names[node] = name
        return 2 * node

    def inputs(self, name: str, width: int) -> list[int]:
        """``width`` new variables, the lowest bit first."""
        return [self.input(f"{name}[{bit}]") for bit in range(width)]

    def and_(self, x: int, y: int) -> int:
        """The literal that is true where ``x`` and ``y`` are."""
        if x > y:
            x, y = y, x
        if x == FALSE or x == y ^ 1:
            return FALSE
        if x in (TRUE, y):
            return y
        literal = self._made.get((x, y))
        if literal is None:
            literal = 2 * len(self.fanin)
            self.fanin.append((x, y))
            self._made[x, y] = literal
        return literal

    def or_(self, x: int, y: int) -> int:
        """The literal that is true where ``x`` or ``y`` is."""
        return self.and_(x ^ 1, y ^ 1) ^ 1

    def xor(self, x: int, y: int) -> int:
        """The literal that is true where ``x`` and ``y`` differ."""
        if x <= TRUE or y <= TRUE or x >> 1 == y >> 1:
            return self.and_(self.and_(x, y) ^ 1, self.and_(x ^ 1, y ^ 1) ^ 1)
        # The inverters of an exclusive or go behind it: more of them are then alike.
        inverted, x, y = (x ^ y) & 1, x & ~1, y & ~1
        return self.and_(self.and_(x, y) ^ 1, self.and_(x ^ 1, y ^ 1) ^ 1) ^ inverted

    def mux(self, condition: int, then: int, other: int) -> int:
        """``then`` where ``condition`` is true, else ``other``."""
        if then == other:
            return then
        return self.or_(self.and_(condition, then), self.and_(condition ^ 1, other))

    def all(self, literals: Iterable[int]) -> int:
        """The literal that is true where all of the literals are."""
        conjunction = TRUE
        for literal in literals:
            conjunction = self.and_(conjunction, literal)
        return conjunction

    def any(self, literals: Iterable[int]) -> int:
        """The literal that is true where any of the literals is."""
        return self.all(literal ^ 1 for literal in literals) ^ 1

    def cone(self, literals: Iterable[int]) -> list[int]:
        """The nodes that the literals depend on, themselves among them, inputs before outputs."""
        seen: set[int] = set()
        stack = [literal >> 1 for literal in literals]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            pair = self.fanin[node]
            if pair is not None:
                stack += (pair[0] >> 1, pair[1] >> 1)
        return sorted(seen)  # A node is made after what it depends on.

    def support(self, literals: Iterable[int]) -> list[int]:
        """The nodes of the inputs that the literals depend on."""
        return [node for node in self.cone(literals) if node in self.names]

    def by_support(self, literals: Sequence[int]) -> dict[tuple[int, ...], list[int]]:
        """The literals, by the nodes of the inputs that they depend on."""
        inputs: list[int] = []
        # A bit for each of the inputs.
        supports: dict[int, int] = {}
        for node in self.cone(literals):
            pair = self.fanin[node]
            if pair is not None:
                supports[node] = supports[pair[0] >> 1] | supports[pair[1] >> 1]
            elif node in self.names:
                supports[node] = 1 << len(inputs)
                inputs.append(node)
            else:
                supports[node] = 0
        groups: dict[int, list[int]] = {}
        for literal in literals:
            groups.setdefault(supports[literal >> 1], []).append(literal)
        return {
            tuple(node for place, node in enumerate(inputs) if bits >> place & 1): group
            for bits, group in groups.items()
        }

    def substituted(self, literals: Sequence[int], values: Mapping[int, int]) -> list[int]:
        """The literals with literals in the place of some inputs (by node)."""
        place: dict[int, int] = {}
        for node in self.cone(literals):
            pair = self.fanin[node]
            if pair is None:
                place[node] = values.get(node, 2 * node)
            else:
                x, y = pair
                place[node] = self.and_(place[x >> 1] ^ (x & 1), place[y >> 1] ^ (y & 1))
        return [place[literal >> 1] ^ (literal & 1) for literal in literals]

    def copied(self, other: Aig, literals: Sequence[int], inputs: Mapping[int, int]) -> list[int]:
        """Literals of ``other``, made here; ``inputs``: what its inputs (by node) are here."""
        place: dict[int, int] = {0: FALSE}
        for node in other.cone(literals):
            pair = other.fanin[node]
            if node == 0:
                continue
            if pair is None:
                place[node] = inputs[node]
            else:
                x, y = pair
                place[node] = self.and_(place[x >> 1] ^ (x & 1), place[y >> 1] ^ (y & 1))
        return [place[literal >> 1] ^ (literal & 1) for literal in literals]

    def evaluated(
        self, literals: Sequence[int], values: Mapping[int, npt.NDArray[np.uint64]]
    ) -> npt.NDArray[np.uint64]:
        """The values of the literals for many patterns of the inputs: uint64, (literals, words).

        ``values``: words of patterns of each input (by node), 64 patterns to a word, (words,).
        """
        words = len(next(iter(values.values()))) if values else 1
        ones = np.full(words, 2**WORD - 1, np.uint64)
        patterns: dict[int, npt.NDArray[np.uint64]] = {0: np.zeros(words, np.uint64)}
        for node in self.cone(literals):
            pair = self.fanin[node]
            if node == 0:
                continue
            if pair is None:
                patterns[node] = values[node]
                continue
            x, y = (
                patterns[part >> 1] ^ ones if part & 1 else patterns[part >> 1] for part in pair
            )
            patterns[node] = x & y
        rows = [
            patterns[part >> 1] ^ ones if part & 1 else patterns[part >> 1] for part in literals
        ]
        return np.array(rows, np.uint64).reshape(len(literals), words)

    def aiger(self, literals: Sequence[int]) -> tuple[bytes, list[int]]:
        """The cone of the literals as binary AIGER with an output each, and its inputs' nodes.

        The nodes are in the order of the inputs there.
        """
        cone = [node for node in self.cone(literals) if node]
        inputs = [node for node in cone if node in self.names]
        ands = [node for node in cone if node not in self.names]
        place = {0: 0} | {node: i + 1 for i, node in enumerate([*inputs, *ands])}
        lines = [f"aig {len(place) - 1} {len(inputs)} 0 {len(literals)} {len(ands)}"]
        lines += [str(2 * place[part >> 1] + (part & 1)) for part in literals]
        text = bytearray("\n".join(lines).encode() + b"\n")
        for node in ands:
            pair = self.fanin[node]
            assert pair is not None
            y, x = sorted(2 * place[part >> 1] + (part & 1) for part in pair)
            for delta in (2 * place[node] - x, x - y):
                while delta >= 0x80:
                    text.append(delta & 0x7F | 0x80)
                    delta >>= 7
                text.append(delta)
        return bytes(text), inputs


def every_pattern(inputs: Sequence[int]) -> dict[int, npt.NDArray[np.uint64]]:
    """Words, (words,) of uint64, that go through all values of the ``inputs`` (nodes), by node.

    The first input changes the fastest.
    """
    words = max(1, 2 ** (len(inputs) - 6))
    index = np.arange(words, dtype=np.uint64)
    patterns = {}
    for place, node in enumerate(inputs):
        if place < 6:
            patterns[node] = np.full(words, _ALTERNATING[place], np.uint64)
        else:
            bit = (index >> np.uint64(place - 6)) & np.uint64(1)
            patterns[node] = np.where(bit == 1, np.uint64(2**WORD - 1), np.uint64(0))
    return patterns

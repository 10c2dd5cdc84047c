"""A unit's registers and logic, as an and-inverter graph, for many patterns at a time."""

import numpy as np

from sim.formal.aig import WORD


def bits_of(values, width, words):
    """Words of patterns for each bit of some values."""
    padded = np.zeros(words * WORD, np.int64)
    padded[: len(values)] = values
    bits = [(padded >> place & 1).astype(np.uint8) for place in range(width)]
    return [np.packbits(bit, bitorder="little").view(np.uint64) for bit in bits]


def numbers_of(rows, count):
    """Numbers below 2^63 from words of patterns for each of their bits."""
    values = np.zeros(count, np.int64)
    for place, row in enumerate(rows):
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")[:count]
        values |= bits.astype(np.int64) << place
    return values


class Machine:
    """A unit for many patterns at a time, from power-up or registers that are given."""

    def __init__(self, spec, circuit, count):
        self.spec, self.circuit, self.count = spec, circuit, count
        self.words = -(-count // WORD)
        ones = np.full(self.words, 2**WORD - 1, np.uint64)
        self.values = {
            r.node: ones if r.initial == 1 else np.zeros_like(ones) for r in circuit.registers
        }

    def keep(self, name, numbers):
        """Set the registers of the state called ``name``."""
        width = 1 if name != "running" else self.spec.pending.width
        rows = bits_of(numbers, width, self.words)
        found = 0
        for register in self.circuit.registers:
            for place in range(width):
                if {name, f"{name}[{place}]"} & register.names and (
                    width == 1 or f"{name}[{place}]" in register.names
                ):
                    self.values[register.node] = rows[place]
                    found += 1
        assert found == width, (name, found)

    def cycle(self, **inputs):
        """One clock with these numbers at the ports; the rest of them zero, and no reset."""
        values = dict(self.values)
        ones = np.ones(self.count, np.int64)
        given = {"enable": ones, **inputs}
        for port, literals in self.circuit.inputs.items():
            numbers = given.get(port, 0 * ones)
            rows = bits_of(numbers, len(literals), self.words)
            values |= {literal >> 1: row for literal, row in zip(literals, rows, strict=True)}
        following = [r.next for r in self.circuit.registers]
        rows = self.circuit.aig.evaluated(following, values)
        self.values = {r.node: row for r, row in zip(self.circuit.registers, rows, strict=True)}

    def output(self, name=""):
        """The codes at the output port, or the numbers at the one called ``name``."""
        name = name or self.spec.outputs[0].name
        nothing = {
            literal >> 1: np.zeros(self.words, np.uint64)
            for literals in self.circuit.inputs.values()
            for literal in literals
        }
        rows = self.circuit.aig.evaluated(self.circuit.outputs[name], {**nothing, **self.values})
        return numbers_of(rows, self.count)

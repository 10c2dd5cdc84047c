"""An adder takes the AND in front of one operand: x + (a & g) is x + a where g is one, and else x.

The carry chain of iCE40 sees its operands as they are, so that the AND of a row or of a lane is a
LUT in front of it. But nothing beside an adder reads its carries: they may be those of x + a
whatever g is, while the LUT of each bit, which has an input to spare, gives x where g is zero. And
x - (a & g) is the inverse of ~x + (a & g), where an adder's result is inverted in its LUTs.

Works on the gates of one module as `write_json` gives them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yosys_scripts.absorb import Bit, Gates, Operand
else:  # In `worker.py` it is a module of its own.
    from absorb import Bit, Gates, Operand

Json = dict[str, Any]

#: A bit of an adder: a carry cell, and the LUT that reads its operands A and B at I1 and I2.
_WRAPPER = "$__ICE40_CARRY_WRAPPER"
#: What that LUT is by its inputs, I0 first: their sum.
_SUM = "0110100110010110"
#: Fewer LUTs are not worth that what a gate reads must be a LUT's output.
_LEAST_SAVED = 2


@dataclass(frozen=True)
class _Gated:
    """An operand of an adder, bit by bit: ``gate`` lets all of it through where it is ``active``.

    ``saved``: how many ANDs nothing else reads.
    """

    pin: str
    bits: Sequence[Bit]
    gate: Bit
    active: int
    saved: int


def apply(module: Json) -> None:
    """Move ANDs into the adders of ``module``, in place; those that nothing reads any more stay."""
    gates = Gates(module)
    wrappers = [cell for cell in module["cells"].values() if cell["type"] == _WRAPPER]
    adders = {cell["connections"]["O"][0]: cell for cell in wrappers}
    for chain in list(_chains(wrappers, gates)):
        subtracts = chain[0]["connections"]["CI"] == ["1"]
        found = (_gated(chain, pin, gates, inverted=subtracts) for pin in "AB")
        gated = max((g for g in found if g is not None), key=lambda g: g.saved, default=None)
        if gated is None or gated.saved < _LEAST_SAVED:
            continue
        if subtracts and not _invert_other(chain, gated, gates, adders, module):
            continue
        for cell, bit in zip(chain, gated.bits, strict=True):
            cell["connections"][gated.pin] = [bit]
            cell["connections"]["I0"] = [gated.gate]
            inverted = (cell["parameters"]["LUT"] != _SUM) != subtracts
            cell["parameters"]["LUT"] = _lut(gated, inverted)
        chain[0]["connections"]["CI"] = ["0"]


def _chains(wrappers: Sequence[Json], gates: Gates) -> Iterator[list[Json]]:
    """The adders with a constant carry, whose other carries nothing else reads, and no I0."""
    by_carry = {cell["connections"]["CI"][0]: cell for cell in wrappers}
    for first in wrappers:
        if first["connections"]["CI"] not in (["0"], ["1"]):
            continue
        chain = [first]
        while (above := by_carry.get(chain[-1]["connections"]["CO"][0])) is not None:
            chain.append(above)
        reads = [gates.readers[cell["connections"]["CO"][0]] for cell in chain]
        if reads == [1] * (len(chain) - 1) + [0] and all(_is_plain(cell) for cell in chain):
            yield chain


def _is_plain(cell: Json) -> bool:
    """Whether the LUT is the sum, or its inverse, of both operands and the carry."""
    parameters = cell["parameters"]
    return (
        int(parameters["I3_IS_CI"], 2) == 1
        and cell["connections"]["I0"] in (["0"], ["x"])
        and parameters["LUT"] in (_SUM, _flipped(_SUM))
    )


def _gated(chain: Sequence[Json], pin: str, gates: Gates, *, inverted: bool) -> _Gated | None:
    """What is at a pin, or the inverse of it, if each bit is an AND with the same net."""
    nets = [cell["connections"][pin][0] for cell in chain]
    operands = [gates.operand(net) for net in nets]
    if inverted:
        operands = [operand.inverted() for operand in operands]
    choices = [_choices(operand) for operand in operands if any(operand.table)]
    common = set.intersection(*(set(c) for c in choices)) if choices else set()
    if not common:
        return None
    gate, active = min(common, key=str)
    bits = [_choices(o)[gate, active] if any(o.table) else "0" for o in operands]
    uses = Counter(net for net in nets if isinstance(net, int))
    saved = sum(_last_reads(net, gates) == n for net, n in uses.items())
    return _Gated(pin, bits, gate, active, saved)


def _last_reads(net: Bit, gates: Gates) -> int:
    """How often a net is read, where it is an inverter's that is the only reader of an AND."""
    cell = gates.drivers.get(net)
    if cell is not None and cell["type"] == "$_NOT_":
        return gates.readers[net] if gates.readers[cell["connections"]["A"][0]] == 1 else 0
    return gates.readers[net]


def _choices(operand: Operand) -> dict[tuple[Bit, int], Bit]:
    """Each net that lets the other one through, and where; none unless the operand is an AND."""
    if sum(operand.table) != 1 or operand.second == "0":
        return {}
    row = operand.table.index(1)
    first, second = row & 1, row >> 1
    choices: dict[tuple[Bit, int], Bit] = {}
    if second:
        choices[operand.first, first] = operand.second
    if first:
        choices[operand.second, second] = operand.first
    return choices


def _invert_other(
    chain: Sequence[Json], gated: _Gated, gates: Gates, adders: dict[Bit, Json], module: Json
) -> bool:
    """Invert the other operand, if that takes fewer LUTs than the ANDs do."""
    pin = "B" if gated.pin == "A" else "A"
    uses = Counter(cell["connections"][pin][0] for cell in chain)
    inside = {id(cell) for cell in chain}
    free = {
        net
        for net, n in uses.items()
        if net in adders and gates.readers[net] == n and id(adders[net]) not in inside
    }
    # An inverter of what other gates make is part of their LUT.
    dear = [n for n in uses if isinstance(n, int) and n not in free and n not in gates.drivers]
    if len(dear) >= gated.saved:
        return False
    inverse: dict[Bit, Bit] = {"0": "1", "1": "0", "x": "x"}
    for net in uses:
        if net in free:
            parameters = adders[net]["parameters"]
            parameters["LUT"] = _flipped(parameters["LUT"])
            inverse[net] = net
        elif isinstance(net, int):
            inverse[net] = gates.new_net()
            module["cells"][f"$inverse${inverse[net]}"] = {
                "type": "$_NOT_",
                "parameters": {},
                "attributes": {},
                "port_directions": {"A": "input", "Y": "output"},
                "connections": {"A": [net], "Y": [inverse[net]]},
            }
    for cell in chain:
        cell["connections"][pin] = [inverse[cell["connections"][pin][0]]]
    return True


def _lut(gated: _Gated, inverted: bool) -> str:
    """The LUT of a bit: I0 is the gate, I1 and I2 the operands, I3 the carry."""
    values = []
    for row in range(16):
        gate, a, b, carry = (row >> i & 1 for i in range(4))
        other = a if gated.pin == "B" else b
        value = a ^ b ^ carry if gate == gated.active else other
        values.append(value ^ int(inverted))
    return "".join(str(value) for value in reversed(values))


def _flipped(lut: str) -> str:
    return "".join("10"[int(value)] for value in lut)

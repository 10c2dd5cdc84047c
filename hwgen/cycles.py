"""Amaranth's check for combinational cycles, in time that grows as the design does.

Amaranth follows each bit of an operator's result to all bits of its operands: an adder of 600 bits
has 720,000 such steps, and a dot product of fp32 with its exact sum takes more time for them than
for all else. Whether operators depend on each other, whatever their bits, is seen in one step an
operand's bit; where none depends on itself so, none of its bits does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter

from amaranth.hdl import _nir

#: One conversion at a time: the check is Amaranth's own, for all threads.
_ALONE = threading.RLock()


@contextmanager
def checked_by_cell() -> Iterator[None]:
    """Amaranth's conversions inside check whole cells first, and bits only where those do not tell.

    A combinational cycle raises ``amaranth.hdl.CombinationalCycle``, as always.
    """
    with _ALONE:
        check_bits = _nir.Netlist.check_comb_cycles

        def check(netlist: _nir.Netlist) -> None:
            if not _cells_are_in_order(netlist):
                check_bits(netlist)

        _nir.Netlist.check_comb_cycles = check
        try:
            yield
        finally:
            _nir.Netlist.check_comb_cycles = check_bits


def _cells_are_in_order(netlist: _nir.Netlist) -> bool:
    """Whether each cell depends on others alone, through registers aside."""
    order: TopologicalSorter[int] = TopologicalSorter()
    for index, cell in enumerate(netlist.cells):
        if isinstance(cell, _nir.Top):  # It has the ports: outputs depend on inputs, not the
            continue  # other way round.
        is_register = isinstance(cell, _nir.FlipFlop)
        nets = (cell.clk, cell.arst) if is_register else cell.input_nets()
        sources = map(netlist.resolve_net, nets)
        order.add(index, *{net.cell for net in sources if not net.is_const} - {0})
    try:
        order.prepare()
    except CycleError:
        return False
    return True

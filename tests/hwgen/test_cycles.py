"""Combinational cycles are found either way of looking for them; bits are followed rarely."""

import threading
import time

import pytest
from amaranth.back import rtlil
from amaranth.hdl import CombinationalCycle, Module, Signal, _nir
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hwgen import DotProduct, emit
from hwgen.cycles import checked_by_cell


class Fed(wiring.Component):
    """``y`` is ``a`` plus what ``feed`` makes of ``y`` in the module."""

    a: In(8)
    y: Out(8)

    def __init__(self, feed):
        super().__init__()
        self._feed = feed

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(self.a + self._feed(m, self.y))
        return m


def _itself(m, y):
    return y


def _by_a_submodule(m, y):
    inner = Signal(8)
    m.submodules.inner = submodule = Module()
    submodule.d.comb += inner.eq(~y)
    return inner


def _by_a_read_without_clock(m, y):
    m.submodules.kept = kept = memory.Memory(shape=8, depth=4, init=[])
    port = kept.read_port(domain="comb")
    m.d.comb += port.addr.eq(y)
    return port.data


@pytest.mark.parametrize("feed", [_itself, _by_a_submodule, _by_a_read_without_clock])
def test_a_cycle_is_refused(feed):
    with pytest.raises(CombinationalCycle), checked_by_cell():
        rtlil.convert(Fed(feed))


def _register(m, y):
    register = Signal(8)
    m.d.sync += register.eq(y)
    return register


def _higher_bits_of_lower(m, y):
    """Whole, the signal depends on itself; none of its bits does."""
    steps = Signal(8)
    for i in range(1, 8):
        m.d.comb += steps[i].eq(~steps[i - 1])
    return steps


@pytest.mark.parametrize("feed", [_register, _higher_bits_of_lower])
def test_what_is_no_cycle_is_converted_as_amaranth_does(feed):
    with checked_by_cell():
        text = rtlil.convert(Fed(feed))
    assert text == rtlil.convert(Fed(feed))


def test_bits_of_wide_units_are_not_followed(monkeypatch):
    def refuse(netlist):
        raise AssertionError("all bits followed")

    monkeypatch.setattr(_nir.Netlist, "check_comb_cycles", refuse)
    for accumulator in ("exact", "fp32"):
        emit.rtlil(DotProduct(a="fp32", b="fp32", lanes=2, accumulator=accumulator))
    with pytest.raises(AssertionError, match="all bits followed"):
        rtlil.convert(Fed(_register))


def test_threads_leave_amaranths_own_check():
    """Each puts its check in its place for a while: two at once would put back another's."""
    own = _nir.Netlist.check_comb_cycles
    inside = threading.Event()

    def convert():
        with checked_by_cell():
            inside.set()
            time.sleep(0.05)

    first = threading.Thread(target=convert)
    first.start()
    inside.wait()
    second = threading.Thread(target=convert)
    second.start()
    first.join()
    second.join()
    assert _nir.Netlist.check_comb_cycles is own

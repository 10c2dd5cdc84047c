"""A unit as an Amaranth component that is already mapped: the area of this flow in any build."""

from __future__ import annotations

from functools import lru_cache

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, ResetSignal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen import emit
from hwgen.pins import CLOCK, Pin, module_name, pins
from hwgen.spec import Spec
from hwgen.units import stream as streams
from yosys_scripts.emission import primitives
from yosys_scripts.targets import target


class MappedUnit(wiring.Component):
    """The unit of ``spec`` in the primitives of ``target``, with the ports of the portable one.

    In a build for a platform (``amaranth.build``) it is an instance of the mapped module, whose
    Verilog goes to the platform's files: the toolchain's own synthesis finds nothing to map worse.
    Elsewhere, as in a simulation, it is the portable unit. Its domain ``sync`` has to have a rising
    edge and a synchronous reset, or none.
    """

    def __init__(self, spec: Spec, target: str, stream: bool) -> None:
        self.spec, self.target, self.stream = spec, target, stream
        super().__init__(
            {
                pin.name: (Out if pin.output else In)(
                    signed(pin.width) if pin.signed else pin.width
                )
                for pin in self._pins
            }
        )

    @property
    def _pins(self) -> tuple[Pin, ...]:
        return pins(self.spec, stream=self.stream)[len(CLOCK) :]

    def elaborate(self, platform: object) -> Elaboratable:
        """An instance of the mapped module, or the portable unit where nothing is built."""
        m = Module()
        add_file = getattr(platform, "add_file", None)
        if add_file is None:
            m.submodules.portable = portable = streams.component(self.spec, stream=self.stream)
            wiring.connect(m, wiring.flipped(self), portable)
            return m
        name = module_name(self.spec, stream=self.stream)
        add_file(f"{name}_{self.target}.v", _text(self.spec, self.target, self.stream))
        ports = {
            f"{'o' if pin.output else 'i'}_{pin.name}": getattr(self, pin.name)
            for pin in self._pins
        }
        m.submodules.mapped = Instance(
            name, i_clk=ClockSignal(), i_rst=ResetSignal(allow_reset_less=True), **ports
        )
        return m


def component(spec: Spec, *, target: str, stream: bool = False) -> MappedUnit:
    """The Amaranth component that computes ``spec``, in primitives of ``target``.

    With ``stream`` it is the AXI4-Stream form. InputError for an unknown target, and for one
    without the mapping that the spec asks for; what ``primitives`` raises comes where it is built.
    """
    _target(target).script(spec.mapping)
    return MappedUnit(spec, target, stream)


# ``component`` has a parameter that is called ``target`` too.
_target = target


@lru_cache(maxsize=64)
def _text(spec: Spec, target: str, stream: bool) -> str:
    """The mapped module; a design may have the unit many times."""
    return primitives(
        emit.rtlil(spec, stream=stream),
        module_name(spec, stream=stream),
        target=target,
        mapping=spec.mapping,
    )

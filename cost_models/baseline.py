"""What exact dot products cost if nobody thinks about their mapping: `*`, `<<` and `+`.

The baseline of docs/area.md. Both designs here are combinational, with ports ``a``, ``b`` (codes,
lane 0 in the lowest bits) and ``total`` (the exact sum, in units of the smallest product). The
unit's has the flags of formats with infinities or NaN too.
"""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from cost_models.combinational import undivided
from hwgen import emit, processes
from hwgen.formats import Scalar
from hwgen.spec import DotProduct, FixedDot
from hwgen.spec.accumulating import FLAGS
from hwgen.spec.steps.dot import sum_steps
from hwgen.units import component
from hwgen.units.dot import DotProductSteps
from hwgen.units.unit import build
from yosys_scripts import isolation

TOP = "exact_sum"


def unit_rtlil(spec: DotProduct) -> str:
    """RTLIL of the sum as the unit ``dot`` makes it, undivided, and of its flags if it has any."""
    spec = undivided(spec)
    m, a, b, total = _ports(spec)
    live = {"a": a, "b": b, "clear": Const(0)}
    for step in sum_steps(spec):
        live = build(DotProductSteps(spec), step, m, live)
    (term,) = live["terms"]
    m.d.comb += total.eq(term)
    flags = [Signal(name=name) for name in FLAGS] if spec.has_special else []
    for flag in flags:
        m.d.comb += flag.eq(getattr(live["special"], flag.name))
    return _convert(m, a, b, total, *flags)


def styled_rtlil(spec: DotProduct, style: str) -> str:
    """RTLIL of the Verilog, in one of ``emit.STYLES``, of what ``unit_rtlil`` makes.

    As Yosys reads it; ToolError if that fails.
    """
    with processes.temporary_folder() as folder:
        (folder / "sum.v").write_text(emit.body(unit_rtlil(spec), style=style))
        read = ["read_verilog sum.v", f"hierarchy -check -top {TOP}", "proc"]
        commands = [*read, "write_json netlist.json", "write_rtlil sum.il"]
        job = {"kind": "yosys", "commands": commands, "top": TOP}
        isolation.run("yosys", job, folder, time_limit_s=300)
        return (folder / "sum.il").read_text()


def baseline_rtlil(spec: DotProduct) -> str:
    """RTLIL of the same sum by plain operators.

    Significands times each other, shifted by the sum of their exponents, negated, and added in
    pairs. Special codes count as numbers.
    """
    m, a, b, total = _ports(spec)
    terms: list[Value] = []
    for lane in range(spec.lanes):
        x = _number(a.word_select(lane, spec.a.bits), spec.a)
        y = _number(b.word_select(lane, spec.b.bits), spec.b)
        magnitude = (x[1] * y[1]) << (x[2] + y[2])
        term = Signal(signed(spec.sum_width), name=f"term_{lane}")
        m.d.comb += term.eq(Mux(x[0] ^ y[0], -magnitude, magnitude))
        terms.append(term)
    level = 0
    while len(terms) > 1:
        sums: list[Value] = []
        for index in range(0, len(terms) - 1, 2):
            pair_sum = Signal(signed(spec.sum_width), name=f"sum_{level}_{index}")
            m.d.comb += pair_sum.eq(terms[index] + terms[index + 1])
            sums.append(pair_sum)
        terms, level = sums + terms[len(terms) & ~1 :], level + 1
    m.d.comb += total.eq(terms[0])
    return _convert(m, a, b, total)


def tied_rtlil(spec: FixedDot) -> str:
    """RTLIL of a ``dot`` with the weights of ``spec`` at its port ``b``, as constants."""
    fields = {k: v for k, v in spec.to_dict().items() if k not in ("unit", "weights", "stages")}
    dot = DotProduct(**fields)
    m = Module()
    m.submodules.unit = unit = component(dot)
    codes = spec.b.encode(list(spec.weights.values))
    m.d.comb += unit.b.eq(sum(int(code) << i * spec.b.bits for i, code in enumerate(codes)))
    ports = [unit.enable, unit.valid_in, unit.valid_out]
    ports += [getattr(unit, p.name) for p in (*dot.inputs, *dot.outputs) if p.name != "b"]
    return _convert(m, *ports)


def _ports(spec: DotProduct) -> tuple[Module, Signal, Signal, Signal]:
    a = Signal(spec.lanes * spec.a.bits, name="a")
    b = Signal(spec.lanes * spec.b.bits, name="b")
    return Module(), a, b, Signal(signed(spec.sum_width), name="total")


def _convert(m: Module, *ports: Signal) -> str:
    text: str = rtlil.convert(m, name=TOP, ports=list(ports), emit_src=False)
    return text


def _number(code: Value, number_format: Scalar) -> tuple[Value, Value, Value]:
    """Sign, significand (signed for an integer), and how far it is shifted."""
    f = number_format
    if f.is_integer:
        return Const(0), code.as_signed() if f.signed else code, Const(0)
    mantissa, exponent = code[: f.mantissa_bits], code[f.mantissa_bits :][: f.exponent_bits]
    sign = code[-1] if f.signed else Const(0)
    if not f.exponent_bits:
        return sign, mantissa, Const(0)
    if not f.subnormals:
        # All codes have the hidden bit, but for zero where there is one.
        hidden = Cat(mantissa, exponent).any() if f.zero else Const(1)
        return sign, Cat(mantissa, hidden), exponent
    normal = exponent.any()
    return sign, Cat(mantissa, normal), Mux(normal, exponent - 1, 0)[: f.exponent_bits]

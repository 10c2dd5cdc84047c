"""Verilog for people: in the order of the data's flow, a section for each stage of registers.

Verilog-2001 (IEEE 1364-2001), which is SystemVerilog too, without generated names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from hwgen.dataflow import Flow, Stage
from hwgen.netlist import (
    Assign,
    Cell,
    Instance,
    Module,
    Register,
    Signal,
    Slice,
    Statement,
    Switch,
    read,
    unknown,
    width_of,
)
from hwgen.simplify import simplified
from hwgen.stock_text import GATES_FROM, MERGED, Function

LINE = 100
#: Expressions up to this length stand where their only reader is.
SHORT = 60

#: Verilog's operators, and what their results are called that nobody has named.
_OPERATORS = {
    "": ("", "bits"),
    "$not": ("~", "not"),
    "$neg": ("-", "negated"),
    "$reduce_or": ("|", "any"),
    "$reduce_bool": ("|", "any"),
    "$reduce_and": ("&", "all"),
    "$reduce_xor": ("^", "parity"),
    "$add": ("+", "sum"),
    "$sub": ("-", "difference"),
    "$mul": ("*", "product"),
    "$and": ("&", "and"),
    "$or": ("|", "or"),
    "$xor": ("^", "xor"),
    "$eq": ("==", "equal"),
    "$ne": ("!=", "differs"),
    "$lt": ("<", "less"),
    "$le": ("<=", "at_most"),
    "$gt": (">", "greater"),
    "$ge": (">=", "at_least"),
    "$shl": ("<<", "shifted"),
    "$shr": (">>", "shifted"),
    "$sshr": (">>>", "shifted"),
    "$mux": ("?", "chosen"),
}
#: How they read their operands is a matter of all that is around them, so that they stand alone.
_ALONE = frozenset(("$mul", "$sshr"))
#: Whose results differ for signed numbers of the same bits.
_ORDERED = frozenset(("$mul", "$lt", "$le", "$gt", "$ge"))
#: Of several of these in a row the order does not count.
_CHAINS = frozenset(("$and", "$or", "$xor", "$add"))
VALID = "valid_"
#: The number in names of logic that is there several times, and what it is of.
_NUMBERED = re.compile(r"([a-z]\w*?)_(\d+)_")

_WORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint
    cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
    endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
    endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event
    eventually expect export extends extern final first_match for force foreach forever fork
    forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
_KEYWORDS = frozenset(_WORDS.split())


def modules(rtlil: str, *, lut_inputs: int = 0) -> str:
    """The modules of a design in RTLIL as Verilog, the top module first.

    With ``lut_inputs`` products and sums of sums have the forms of ``stock_text`` for LUTs of so
    many. Raises ToolError where it has more than operators, registers of a rising edge, and
    modules.
    """
    return "\n".join(
        "".join(f"{line}\n" for line in _Writer(m, lut_inputs).lines()) for m in read(rtlil)
    )


class _Writer:
    """The writer of one module."""

    def __init__(self, module: Module, lut_inputs: int) -> None:
        self.module = module
        self.flow = Flow(module, simplified(module))
        self.widths = {wire: facts.width for wire, facts in module.wires.items()}
        #: What wires are called, and expressions with their operators that stand in their place.
        self.names: dict[str, str] = {}
        self.inlined: dict[str, tuple[str, str]] = {}
        #: Verilog works a factor out as wide as the product: it has to be a name.
        self._factors = {
            wire
            for cell in module.cells.values()
            if cell.kind == "$mul"
            for signal in cell.operands
            for wire, _, _ in signal
        }
        self._taken: set[str] = set()
        for is_port in (True, False):  # Instances know ports by their names.
            for wire, facts in module.wires.items():
                if wire[0] == "\\" and bool(facts.direction) is is_port:
                    self.names[wire] = self._unique(wire[1:])
        for stage in self.flow.stages:
            for register in stage.registers:
                if register.out not in self.names:
                    self.names[register.out] = self._unique("state")
        #: What is written as a call of a function, and what each function is called.
        self._calls = self._find_calls(lut_inputs) if lut_inputs else {}
        self._functions = {
            function: self._unique(function.name)
            for function in dict.fromkeys(function for function, _ in self._calls.values())
        }

    def _find_calls(self, lut_inputs: int) -> dict[str, tuple[Function, list[Signal]]]:
        """The functions, with their operands, of products and of sums of sums, by their wires."""
        calls: dict[str, tuple[Function, list[Signal]]] = {}
        merged: set[str] = set()
        for cell in (cell for stage in self.flow.stages for cell in stage.cells):
            of_merged = any(wire in merged for s in cell.operands for wire, _, _ in s)
            if cell.kind in MERGED or (not cell.kind and of_merged):
                merged |= {cell.out, self.flow.same.get(cell.out, cell.out)}
            # A product by a constant is left to the scripts.
            numbers = [all(wire is None for wire, _, _ in s) for s in cell.operands]
            if cell.kind == "$mul" and not any(numbers):
                operands = sorted(cell.operands, key=width_of, reverse=True)
            elif cell.kind in ("$add", "$sub") and of_merged:
                operands = cell.operands
            else:
                continue
            wide, narrow = map(width_of, operands)
            signed = cell.kind == "$mul" and cell.signed
            function = Function(cell.kind, (wide, narrow), cell.width, signed)
            if lut_inputs >= GATES_FROM or not function.is_small:
                calls[cell.out] = function, operands
        return calls

    def _unique(self, name: str) -> str:
        candidate, number = _plain(name), 1
        while candidate in self._taken:
            number += 1
            candidate = f"{_plain(name)}_{number}"
        self._taken.add(candidate)
        return candidate

    def lines(self) -> Iterator[str]:
        """The text, line by line."""
        yield from self._header()
        for function, name in self._functions.items():
            yield ""
            for line in function.lines(name):
                yield from _wrapped(line)
        early = self.flow.early
        if early:
            yield from self._title("Fed back: read in front of where it is made")
            yield from self._declarations(early)
        for number, stage in enumerate(self.flow.stages, 1):
            yield from self._title(self._purpose(number, stage))
            yield from self._declarations(state for state in stage.states if state not in early)
            yield from self._logic(stage.cells)
            for instance in stage.instances:
                yield from self._instance(instance)
            if stage.statements:
                yield f"  always @(posedge {self._text(self.module.clock)}) begin"
                yield from self._statements(stage.statements, "    ")
                yield "  end"
        for wire, signal in self.module.aliases.items():
            yield from _wrapped(f"  assign {self.names[wire]} = {self._text(signal)};")
        yield "endmodule"

    def _header(self) -> Iterator[str]:
        directions = {wire: facts.direction for wire, facts in self.module.wires.items()}
        for stage in self.flow.stages:
            for register in stage.registers:
                directions[register.out] += " reg" * bool(directions[register.out])
        ports = [wire for wire, direction in directions.items() if direction]
        ports.sort(key=lambda wire: wire not in (r"\clk", r"\rst"))
        yield f"module {_plain(self.module.name)}("
        yield ",\n".join(f"  {self._declared(directions[wire], wire)}" for wire in ports)
        yield ");"

    def _declared(self, kind: str, wire: str) -> str:
        width, signed = self.widths[wire], " signed" * self._is_signed(wire)
        return f"{kind}{signed}{f' [{width - 1}:0]' * (width > 1)} {self.names[wire]}"

    def _is_signed(self, wire: str) -> bool:
        return self.module.wires[self.flow.same.get(wire, wire)].signed

    def _title(self, text: str) -> Iterator[str]:
        if text:
            yield ""
            yield f"  // ---- {text} ".ljust(LINE - 20, "-")

    def _purpose(self, number: int, stage: Stage) -> str:
        """What the stage's registers are: their valid bit has the name of the step behind."""
        names = [self.names[register.out] for register in stage.registers]
        steps = [name.removeprefix(VALID) for name in names if name.startswith(VALID)]
        if not stage.states:
            return "Outputs" if stage.cells or self.module.aliases else ""
        if "out" in steps:
            return f"Stage {number}, up to the outputs"
        return f"Stage {number}" + (f", up to the registers of {steps[0]}" if steps else "")

    def _declarations(self, states: Iterable[Register | Instance]) -> Iterator[str]:
        initial = []
        for state in states:
            if isinstance(state, Instance):
                for port, wire in state.outputs.items():
                    self._name(wire, f"{state.name}_{port}")
                    if not self.module.wires[wire].direction:
                        yield f"  {self._declared('wire', wire)};"
                continue
            self._name(state.out, "state")
            facts = self.module.wires[state.out]
            if not facts.direction:
                yield f"  {self._declared('reg', state.out)};"
            value = _constant(facts.initial, facts.width)
            initial.append(f"    {self.names[state.out]} = {value};")
        if initial:
            yield "  initial begin"
            yield from initial
            yield "  end"

    def _name(self, wire: str, name: str) -> None:
        if wire not in self.names:
            self.names[wire] = self._unique(name)

    def _logic(self, cells: Sequence[Cell]) -> Iterator[str]:
        """The cells that are not part of what reads them."""
        last_section = ""
        for cell in cells:
            wire, text = cell.out, self._expression(cell)
            self.widths[wire] = cell.width
            if self._fits_in(cell, text):
                self.inlined[wire] = text, cell.kind
                continue
            same = self.flow.same.get(wire)
            if same is not None:
                self.names[wire] = self.names[same]
            elif wire not in self.names:
                reader = self.flow.reads[wire].by.lstrip("$\\")
                self.names[wire] = self._unique(f"{reader}_{_OPERATORS[cell.kind][1]}")
            number = _NUMBERED.match(self.names[wire])
            section = f"{number[1]} {number[2]}".replace("_", " ") if number else ""
            if section != last_section:
                yield f"  // {section}" if section else ""
                last_section = section
            is_port = self.module.wires[wire].direction
            start = f"assign {self.names[wire]}" if is_port else self._declared("wire", wire)
            yield from _wrapped(f"  {start} = {text};")

    def _fits_in(self, cell: Cell, text: str) -> bool:
        """Whether the text can stand in place of the wire."""
        if cell.out[0] != "$" or cell.out in self.flow.same or cell.kind in _ALONE:
            return False
        if cell.out in self._factors:
            return False
        reads = self.flow.reads[cell.out]
        if (reads.low, reads.width) != (0, cell.width):
            return False
        return len(text) <= (SHORT if reads.count == 1 else 2 * SHORT * (cell.kind == "$not") / 3)

    def _expression(self, cell: Cell) -> str:
        kind, operands = cell.kind, cell.operands
        if kind not in _OPERATORS:
            raise unknown(f"cell {kind}")
        if cell.out in self._calls:
            function, arguments = self._calls[cell.out]
            values = ", ".join(self._text(signal) for signal in arguments)
            return f"{self._functions[function]}({values})"
        operator = _OPERATORS[kind][0]
        if not operator:
            return self._text(operands[0])
        if kind in _ORDERED:
            texts = self._read_alike(operands, cell.signed)
        else:
            texts = [self._operand(signal, kind) for signal in operands]
        if kind == "$sshr":
            texts[0] = self._read_signed(operands[0])
        if len(texts) == 1:
            # Of a NOT: two operators in a row are no expression, or, as ^~, another operator.
            return operator + (f"({texts[0]})" if texts[0][0] == "~" else texts[0])
        if kind == "$mux":
            return f"{texts[0]} ? {texts[1]} : {texts[2]}"
        return f"{texts[0]} {operator} {texts[1]}"

    def _read_alike(self, operands: Sequence[Signal], signed: bool) -> list[str]:
        """The operands' text for an operator whose result differs for signed numbers.

        Verilog takes its operands for signed if all are.
        """
        if signed:
            return [self._read_signed(signal) for signal in operands]
        texts = [self._operand(signal, "") for signal in operands]
        if all(self._may_be_signed(signal) for signal in operands):
            texts[0] = f"$unsigned({self._text(operands[0])})"
        return texts

    def _read_signed(self, signal: Signal) -> str:
        text = self._text(signal)
        is_declared = self._may_be_signed(signal) and signal[0][0] not in self.inlined
        return text if is_declared else f"$signed({text})"

    def _may_be_signed(self, signal: Signal) -> bool:
        if len(signal) > 1:
            return False
        ((wire, low, width),) = signal
        if wire is None or (low, width) != (0, self.widths[wire]):
            return False
        return wire in self.inlined or self._is_signed(wire)

    def _operand(self, signal: Signal, kind: str) -> str:
        """The text, in parentheses where the operator would not bind it as it should."""
        text = self._text(signal)
        inner = self.inlined.get(signal[0][0] or "") if len(signal) == 1 else None
        if inner is None or inner[1] == "":
            return text
        is_bound = inner[1] == "$not" or (inner[1] == kind and kind in _CHAINS)
        return text if is_bound else f"({text})"

    def _text(self, signal: Signal) -> str:
        """A name, an expression, a constant, or several of these in braces."""
        texts = []
        for part, repeated in groupby(signal):
            count, text = len(list(repeated)), self._part(part)
            texts.append(text if count == 1 else f"{{{count}{{{text}}}}}")
        if len(texts) == 1:
            return texts[0]
        return f"{{{', '.join(texts)}}}"

    def _part(self, part: Slice) -> str:
        wire, low, width = part
        if wire is None:
            return _constant(low, width)
        if wire in self.inlined:
            return self.inlined[wire][0]
        name = self.names[wire]
        if width == self.widths[wire]:
            return name
        return f"{name}[{low + width - 1}:{low}]" if width > 1 else f"{name}[{low}]"

    def _statements(self, statements: Sequence[Statement], indent: str) -> Iterator[str]:
        for statement in statements:
            if isinstance(statement, Assign):
                wire, low, value = statement.wire, statement.low, statement.value
                target = self._part((wire, low, width_of(value)))
                yield from _wrapped(f"{indent}{target} <= {self._text(value)};")
                continue
            patterns = [patterns for patterns, _ in statement.cases]
            if not statement.on:
                yield from self._statements(statement.cases[0][1], indent)
            elif patterns in ([("1",)], [("1",), ()]):
                starts = [f"if ({self._text(statement.on)}) begin", "end else begin"]
                for start, (_, inner) in zip(starts, statement.cases, strict=False):
                    yield indent + start
                    yield from self._statements(inner, indent + "  ")
                yield indent + "end"
            else:
                yield from self._case(statement, indent)

    def _case(self, switch: Switch, indent: str) -> Iterator[str]:
        yield f"{indent}casez ({self._text(switch.on)})"
        for patterns, inner in switch.cases:
            fits = ", ".join(f"{len(p)}'b{p.replace('-', '?')}" for p in patterns)
            yield f"{indent}  {fits or 'default'}: begin"
            yield from self._statements(inner, indent + "    ")
            yield f"{indent}  end"
        if switch.cases[-1][0]:
            yield f"{indent}  default: begin end"
        yield f"{indent}endcase"

    def _instance(self, instance: Instance) -> Iterator[str]:
        yield f"  {_plain(instance.module)} {self._unique(instance.name)} ("
        pins = {port: self._text(signal) for port, signal in instance.inputs.items()}
        pins |= {port: self.names[wire] for port, wire in instance.outputs.items()}
        yield ",\n".join(f"    .{_plain(port)}({text})" for port, text in pins.items())
        yield "  );"


def _wrapped(line: str) -> Iterator[str]:
    """The line, broken at spaces, where the fewest braces and parentheses are open."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    while len(line) > LINE:
        depth, places = 0, []
        for place, letter in enumerate(line[: LINE + 1]):
            depth += (letter in "{([") - (letter in "})]")
            if letter == " " and place > LINE / 3:
                places.append((-depth, place))
        if not places:
            break
        _, place = max(places)
        yield line[:place]
        line = indent + line[place + 1 :]
    yield line


def _constant(value: int, width: int) -> str:
    return f"1'b{value}" if width == 1 else f"{width}'h{value:x}"


def is_identifier(name: str) -> bool:
    """Whether Verilog and SystemVerilog take ``name`` as it is."""
    return re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is not None and name not in _KEYWORDS


def _plain(name: str) -> str:
    """A name that Verilog takes; modules and their instances have to agree on it."""
    identifier = re.sub(r"\W", "_", name)
    return f"{identifier}_" if identifier in _KEYWORDS else identifier

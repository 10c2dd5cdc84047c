"""The array: dot products in rows and columns that share their operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed

from hwgen.accumulator import Float
from hwgen.arithmetic import zero_sign
from hwgen.arithmetic.adder_tree import tree_level
from hwgen.arithmetic.decode import decode
from hwgen.arithmetic.float_add import below, normalised
from hwgen.arithmetic.segmented import Segmented, carry_along, last
from hwgen.plan.step import Step
from hwgen.sizes.grid_packing import GridPlan
from hwgen.spec.accumulating import FLAGS
from hwgen.spec.array import Array
from hwgen.spec.steps import array
from hwgen.spec.steps.array import COLUMN, SYSTOLIC
from hwgen.units.accumulating import Accumulating
from hwgen.units.array_packing import PackedProducts
from hwgen.units.blockdot import BlockDotSteps
from hwgen.units.dot import DotProductSteps, any_special
from hwgen.units.unit import Pipeline, Signals, Unit, registered

#: What the accumulating steps call the ports that they start from.
_STARTS = {"partial": "accumulator", **{f"partial_{flag}": flag for flag in FLAGS}}


class Line:
    """A value, and what it was any number of enabled cycles ago.

    Registers are made when asked for, one behind the other.
    """

    def __init__(
        self, m: Module, value: Any, name: str, enable: Value, *, has_reset: bool = False
    ) -> None:
        self._next = partial(registered, m, enable=enable, has_reset=has_reset)
        self._values, self._name = [value], name

    def after(self, registers: int) -> Any:
        """The value behind ``registers`` registers."""
        assert registers >= 0
        while len(self._values) <= registers:
            self._values.append(self._next(self._values[-1], f"{self._name}_{len(self._values)}"))
        return self._values[registers]


class ArrayUnit(Accumulating, Unit):
    """Hardware of a :class:`hwgen.Array` spec; initiation interval 1.

    Operands are decoded once a row and once a column; elements multiply and add as a ``dot`` or
    ``blockdot`` does, and accumulate as a ``dot`` does: each element (output-stationary), or each
    column (weight-stationary).

    Ports beside those of every unit
    --------------------------------
    load : In(rows)
        Weight-stationary: these rows take their weights from ``b``, with ``valid_in``.
    clear : In(1)
        All accumulators restart with this cycle's sums; weight-stationary: ``partial`` does not
        count.
    a : In(rows * lanes * bits)
    b : In(columns * lanes * bits)
        Codes, lane 0 of row or column 0 in the lowest bits; of block formats those of the
        elements.
    a_scale : In(rows * blocks * bits)
    b_scale : In(columns * blocks * bits)
        Of block formats: codes of the scales.
    partial : In(columns * accumulator_width)
    partial_nan, partial_positive_infinity, partial_negative_infinity : In(columns)
        Weight-stationary: earlier ``accumulator`` and flags, to add to.
    random_bits : In(sums * 32)
        For stochastic rounding only: a number for each accumulator.
    accumulator, nan, positive_infinity, negative_infinity, result : Out
        As of ``DotProductUnit``, one for each element, row after row, or for each column.
    """

    spec: Array

    def __init__(self, spec: Array) -> None:
        Unit.__init__(self, spec)
        Accumulating.__init__(self, spec)

    @cached_property
    def _element_builder(self) -> DotProductSteps | BlockDotSteps:
        spec = self.spec
        if spec.has_blocks:
            return BlockDotSteps(spec.block_element, spec.zero_rounding)
        return DotProductSteps(spec.scalar_element, spec.zero_rounding)

    def elaborate(self, platform: object) -> Module:
        """The operands' decoders, then elements, or columns of them, and their results."""
        m = Module()
        spec = self.spec
        self._cuts = {spec.steps[place].name for place in spec.register_boundaries}
        self._valid = Line(m, self.valid_in, "valid", self.enable, has_reset=True)

        inputs = {port.name: getattr(self, port.name) for port in spec.inputs}
        operands = {name: inputs[name] for name in self._operand_names("ab")}
        signals, position = self._run(m, self, array.operand_steps(spec)[:1], operands, 0)
        # Registers in front of weights or products are those of a whole row or column.
        second_step = spec.steps[1].name
        if second_step in self._cuts:
            signals, position = registered(m, signals, second_step, self.enable), position + 1
            self._cuts.remove(second_step)
        controls = {
            port.name: [
                Line(m, word, f"{port.name}_{i}", self.enable)
                for i, word in enumerate(_words(inputs[port.name], port.count, port.signed))
            ]
            for port in spec.inputs
            if port.name not in operands
        }
        sums = self._elements(m, signals, position, controls.pop("load", None))
        if spec.is_weight_stationary:
            sums = self._columns(m, sums)
        results = [
            self._result(m, inner, index, signals_of_sum, position, controls)
            for index, (inner, signals_of_sum, position) in enumerate(sums)
        ]
        m.d.comb += self.valid_out.eq(self._valid.after(self.latency))
        for port in spec.outputs:
            m.d.comb += getattr(self, port.name).eq(Cat(result[port.name] for result in results))
        return m

    def _delay(self, row: int, column: int) -> int:
        """Registers that operands pass on their way to an element."""
        return row + column if self.spec.movement == SYSTOLIC else 0

    def _operand_names(self, operands: str) -> list[str]:
        ends = ("", "_scale") if self.spec.has_blocks else ("",)
        return [f"{operand}{end}" for operand in operands for end in ends]

    def _run(
        self,
        m: Module,
        builder: Any,
        steps: Sequence[Step],
        signals: Signals,
        position: int,
        state: Mapping[str, Signal] | None = None,
    ) -> tuple[dict[str, Any], int]:
        """The values behind the steps, and the registers passed since the ports.

        ``position``: those passed before the steps; ``state``: registers of what the steps hold.
        """
        boundaries = [index for index, step in enumerate(steps) if step.name in self._cuts]

        def next_valid(valid: Value, name: str) -> Value:
            nonlocal position
            position += 1
            return self._valid.after(position)

        valid = self._valid.after(position)
        line = Pipeline(builder, self.enable, next_valid, state or {})
        values, _ = line.run(m, steps, boundaries, signals, valid)
        return values, position

    def operands(self, m: Module, signals: Signals) -> dict[str, Any]:
        """Decoded operands, by row and by column."""
        spec = self.spec
        operands: dict[str, Any] = {}
        for name, f, count in (("a", spec.a, spec.rows), ("b", spec.b, spec.columns)):
            kinds = {name: (f.element, spec.lanes)}
            if f.scale is not None:
                kinds[f"{name}_scale"] = (f.scale, spec.lanes // f.block_size)
            for kind, (number_format, length) in kinds.items():
                words = _words(signals[kind], count * length)
                raises = not spec.has_blocks and spec.scalar_element.raises_shifts
                decoded = [
                    decode(
                        m,
                        word,
                        number_format,
                        f"{kind}_{i // length}_{i % length}",
                        raised=raises,
                        special_is_zero=kind.endswith("_scale"),
                    )
                    for i, word in enumerate(words)
                ]
                operands[kind] = [decoded[i : i + length] for i in range(0, len(decoded), length)]
        return operands

    def _elements(
        self, m: Module, signals: Signals, position: int, load: list[Line] | None
    ) -> list[tuple[Module, dict[str, Any], int]]:
        """The module of each element, its exact sum, and where that is in the pipeline."""
        spec = self.spec
        a_names, b_names = self._operand_names("a"), self._operand_names("b")

        def lines(names: list[str], count: int) -> list[Line]:
            return [
                Line(m, {name: signals[name][i] for name in names}, f"moved_{i}", self.enable)
                for i in range(count)
            ]

        rows, columns = lines(a_names, spec.rows), lines(b_names, spec.columns)
        if spec.packing is not None:
            return self._packed_elements(m, rows, columns, position, load, spec.packing)
        elements = []
        for row in range(spec.rows):
            for column in range(spec.columns):
                inner = Module()
                m.submodules[f"element_{row}_{column}"] = inner
                delay = self._delay(row, column)
                a, b = rows[row].after(delay), columns[column].after(delay)
                element_position = position + delay
                if load is not None:
                    a = registered(inner, a, "beside_weights", self.enable)
                    b = self._weights(inner, b, load, row, element_position)
                    element_position += 1
                elements.append(
                    (
                        inner,
                        *self._element(
                            inner, array.element_steps(spec), {**a, **b}, element_position
                        ),
                    )
                )
        return elements

    def _weights(self, m: Module, b: Any, load: list[Line], row: int, position: int) -> Any:
        """The weights of ``row`` that stay: those of ``b``, at that position in the pipeline."""
        loads = self.enable & self._valid.after(position) & load[row].after(position)
        return registered(m, b, "weight", loads, has_reset=True)

    def _element(
        self, inner: Module, steps: Sequence[Step], signals: Signals, position: int
    ) -> tuple[dict[str, Any], int]:
        made, position = self._run(inner, self._element_builder, steps, signals, position)
        if made.get("special") is None:
            made.pop("special", None)
        return made, position

    def _packed_elements(
        self,
        m: Module,
        rows: list[Line],
        columns: list[Line],
        position: int,
        load: list[Line] | None,
        packing: GridPlan,
    ) -> list[tuple[Module, dict[str, Any], int]]:
        """As ``_elements``, of elements that share multipliers.

        Those take their operands together, when the last of them would.
        """
        spec = self.spec
        products, *later_steps = array.element_steps(spec)
        builder = PackedProducts(spec, packing, self._element_builder)
        elements = {}
        for first_row in range(0, spec.rows, packing.rows):
            for first_column in range(0, spec.columns, packing.columns):
                these_rows = range(spec.rows)[first_row:][: packing.rows]
                these_columns = range(spec.columns)[first_column:][: packing.columns]
                inner = Module()
                m.submodules[f"elements_{first_row}_{first_column}"] = inner
                delay = self._delay(these_rows[-1], these_columns[-1])
                a = self._together("a", [rows[row].after(delay) for row in these_rows])
                b = self._together("b", [columns[column].after(delay) for column in these_columns])
                element_position = position + delay
                if load is not None:
                    a = registered(inner, a, "beside_weights", self.enable)
                    b = self._weights(inner, b, load, first_row, element_position)
                    element_position += 1
                signals = {**a, **b} if spec.has_blocks else {"a": a, "b": b}
                made, element_position = self._run(
                    inner, builder, [products], signals, element_position
                )
                for i, row in enumerate(these_rows):
                    for j, column in enumerate(these_columns):
                        element = Module()
                        m.submodules[f"element_{row}_{column}"] = element
                        sums = self._element(
                            element, later_steps, made["elements"][i][j], element_position
                        )
                        elements[row, column] = (element, *sums)
        return [elements[place] for place in sorted(elements)]

    def _together(self, operand: str, members: Sequence[Signals]) -> Any:
        """An operand of several rows or columns: a list of the elements', or lists by name.

        Blocks have scales beside their elements.
        """
        names = self._operand_names(operand)
        values = {name: [member[name] for member in members] for name in names}
        return values if self.spec.has_blocks else values[operand]

    def _columns(
        self, m: Module, elements: list[tuple[Module, dict[str, Any], int]]
    ) -> list[tuple[Module, dict[str, Any], int]]:
        """The module of each column, its exact sum, and where that is in the pipeline."""
        spec = self.spec
        columns = []
        for column in range(spec.columns):
            inner = Module()
            m.submodules[f"column_{column}"] = inner
            members = elements[column :: spec.columns]
            if spec.summed_rows == 1:
                _, signals, position = members[0]
            elif spec.movement == SYSTOLIC:
                signals, position = self._sum_going_down(m, members, column)
            else:
                position = members[0][2]
                signals = self._merged(inner, [made for _, made, _ in members])
                signals, position = self._run(
                    inner, self, array.column_steps(spec), signals, position
                )
            columns.append((inner, signals, position))
        return columns

    def _sum_going_down(
        self, m: Module, members: list[tuple[Module, dict[str, Any], int]], column: int
    ) -> tuple[dict[str, Any], int]:
        """The sum at the last row: each adds its own to what the row above hands on."""
        spec = self.spec
        above: dict[str, Any] = {}
        for row, (inner, signals, position) in enumerate(members):
            if COLUMN in self._cuts:
                signals, position = registered(inner, signals, COLUMN, self.enable), position + 1
            if above:
                signals = self._merged(inner, [above, signals])
                # As wide as such sums are, not as any two numbers of their widths.
                width = spec.width_of_sum((row + 1) * spec.lanes)
                total = Signal(signed(width), name="column_sum")
                inner.d.comb += total.eq(signals["terms"][0] + signals["terms"][1])
                signals = {**signals, "terms": [total]}
            if row < spec.rows - 1:
                above = registered(m, signals, f"column_{column}_row_{row}", self.enable)
        return signals, position

    def _merged(self, m: Module, sums: Sequence[Signals]) -> dict[str, Any]:
        """Several sums as the terms of one."""
        merged: dict[str, Any] = {"terms": [term for row_sum in sums for term in row_sum["terms"]]}
        special = any_special([row_sum["special"] for row_sum in sums if "special" in row_sum])
        if special is not None:
            merged["special"] = special
        rounding = self.spec.zero_rounding
        if rounding is not None:
            signs = [row_sum["zero_sign"] for row_sum in sums]
            merged["zero_sign"] = zero_sign.sign_of_zeros(m, signs, rounding, "column_signs")
        return merged

    def _result(
        self,
        m: Module,
        inner: Module,
        index: int,
        signals: dict[str, Any],
        position: int,
        controls: Mapping[str, list[Line]],
    ) -> dict[str, Value]:
        """The output ports' values of one sum, in step with those of the others."""
        spec = self.spec
        carry_along = {
            _STARTS.get(name, name): lines[index if len(lines) > 1 else 0].after(position)
            for name, lines in controls.items()
        }
        state = {} if spec.is_weight_stationary else self.registers()
        signals = {**signals, **carry_along}
        made, position = self._run(inner, self, array.sum_steps(spec), signals, position, state)
        names = [port.name for port in spec.outputs]
        results = {name: made[name] for name in names}
        if not spec.steps[-1].has_state:
            gate = self.enable & self._valid.after(position)
            results, position = (
                registered(inner, results, "out", gate, has_reset=True),
                position + 1,
            )
        in_step = Line(m, results, f"in_step_{index}", self.enable, has_reset=True)
        return dict(in_step.after(self.latency - position))

    def add_rows_of_column(self, m: Module, signals: Signals, level: int) -> dict[str, Any]:
        """The terms behind that level of the adders of a column, counted from 1."""
        return {**signals, "terms": tree_level(m, signals["terms"], f"{COLUMN}_level{level}")}

    def normalise_scaled(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """A block's sum and the shift of its scales, as a floating-point number."""
        (term,), (shift,) = signals["terms"], signals["shifts"]
        done = ("terms", "shifts", "zero_sign")
        carried: Any = {name: value for name, value in signals.items() if name not in done}
        split, sign = self.spec.is_tuned, self.sign_of_sum(signals)
        normalising = normalised(m, term, sign, self.spec.lsb_exponent, "sum", split=split)
        total, (shift, carried) = yield from carry_along(normalising, [shift, carried])
        # Zero keeps the lowest exponent, so that no other number is shifted for its sake.
        exponent = Mux(total.significand[-1], total.exponent + shift, 0)
        scaled = {**carried, "sum": replace(total, exponent=exponent)}
        return (yield from last("scaled", scaled))

    def add_to_partial(self, m: Module, signals: Signals) -> dict[str, Any]:
        """The accumulator's sum in a step, with ``partial`` instead of its register."""
        made = self.accumulate_fixed(m, signals)
        total = Signal(signed(self.spec.accumulator_width), name="sum_with_partial")
        m.d.comb += total.eq(made["accumulator"])
        return {**made, "accumulator": total}

    def round_to_partial(self, m: Module, signals: Signals) -> Segmented[dict[str, Any]]:
        """As ``add_to_partial``, of a float accumulator: the code of the sum."""
        accumulator = self.spec.accumulator
        assert isinstance(accumulator, Float)
        # ``partial`` may be anything, also below the unit of what is added to it.
        total = below(signals["sum"], accumulator.format)
        return (yield from self.accumulate_float(m, {**signals, "sum": total}))


def _words(port: Value, count: int, is_signed: bool = False) -> list[Value]:
    """The elements of a port, the first in the lowest bits."""
    width = len(port) // count
    words = [port[i * width : (i + 1) * width] for i in range(count)]
    return [word.as_signed() for word in words] if is_signed else words


component = ArrayUnit

"""The array fed by streams: activations, weights and partial sums on one each.

Steps of an output-stationary array are taken where activations and weights are there; the results
of a tile go out with the last of them. In a weight-stationary one the weights of the next tile
are loaded, a row a beat, while this one's are used: they stand in registers of their own, and take
their place with the first activations of their tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Signal, Value

from hwgen.spec.array import Array
from hwgen.units.array import ArrayUnit, Line
from hwgen.units.unit import Feed, Signals, registered


class StreamedArray(ArrayUnit):
    """An array with, weight-stationary, weights that come in while others are used.

    ``load`` is of the next tile's weights; ``swap``, with ``valid_in``: those that are loaded by
    then count from this cycle on.
    """

    def __init__(self, spec: Array) -> None:
        super().__init__(spec)
        self.swap = Signal()

    def _elements(
        self, m: Module, signals: Signals, position: int, load: list[Line] | None
    ) -> list[tuple[Module, dict[str, Any], int]]:
        self._swap = Line(m, self.swap, "swap", self.enable)
        return super()._elements(m, signals, position, load)

    def _weights(self, m: Module, b: Any, load: list[Line], row: int, position: int) -> Any:
        coming = super()._weights(m, b, load, row, position)
        swap = self.enable & self._valid.after(position) & self._swap.after(position)
        return registered(m, coming, "weight_in_use", swap, has_reset=True)

    def feed(self, m: Module, streams: Mapping[str, Any], enable: Value) -> Feed:
        """Takes what is there of all streams that a step needs."""
        for stream in streams.values():
            for name in stream.payload.data.shape().members:
                if name != "clear":
                    m.d.comb += getattr(self, name).eq(stream.payload.data[name])
        if self.spec.is_weight_stationary:
            return self._feed_rows(m, streams, enable)
        return self._feed_steps(m, streams["a"], streams["b"], enable)

    def _feed_steps(self, m: Module, a: Any, b: Any, enable: Value) -> Feed:
        """Each step of a tile takes a beat of both; what is behind TLAST begins the next one."""
        begins, taken = Signal(init=1, name="tile_begins"), Signal(name="step_taken")
        m.d.comb += [
            taken.eq(a.valid & b.valid),
            a.ready.eq(enable & b.valid),
            b.ready.eq(enable & a.valid),
            self.valid_in.eq(taken),
            self.clear.eq(begins),
        ]
        with m.If(enable & taken):
            m.d.sync += begins.eq(a.payload.last)
        return Feed(a.payload.last, taken & a.payload.last)

    def _feed_rows(self, m: Module, streams: Mapping[str, Any], enable: Value) -> Feed:
        """Activations, with a partial sum unless they do without; beside them a row of weights."""
        a, b, partial = (streams[name] for name in ("a", "b", "partial"))
        rows = self.spec.rows
        row = Signal(range(max(rows, 2)), name="next_row")
        is_loaded, begins = Signal(name="next_tile_is_loaded"), Signal(init=1, name="tile_begins")
        taken, loads = Signal(name="activations_taken"), Signal(name="weights_taken")
        clear = a.payload.data.clear
        has_weights, has_partial = ~begins | is_loaded, clear | partial.valid
        # The row may come with the activations that make room for it.
        has_room = ~is_loaded | (taken & begins)
        m.d.comb += [
            taken.eq(a.valid & has_weights & has_partial),
            loads.eq(b.valid & has_room),
            a.ready.eq(enable & has_weights & has_partial),
            partial.ready.eq(enable & a.valid & has_weights & ~clear),
            b.ready.eq(enable & has_room),
            self.valid_in.eq(taken | loads),
            self.clear.eq(clear),
            self.swap.eq(taken & begins),
        ]
        m.d.comb += [self.load[i].eq(loads & (row == i)) for i in range(rows)]
        is_last_row = row == rows - 1
        with m.If(enable & taken):
            m.d.sync += begins.eq(a.payload.last)
            with m.If(begins):
                m.d.sync += is_loaded.eq(0)
        with m.If(enable & loads):
            m.d.sync += row.eq(row + 1)
            with m.If(is_last_row):
                m.d.sync += [row.eq(0), is_loaded.eq(1)]
        return Feed(a.payload.last, taken)


component = StreamedArray

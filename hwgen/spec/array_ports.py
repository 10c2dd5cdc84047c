"""The ports of an array, and its streams: activations, weights and partial sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen.accumulator import Float
from hwgen.formats.rounding import NEAREST_EVEN, STOCHASTIC
from hwgen.spec.base import Port, Stream, code_port
from hwgen.spec.random_bits import random_bits_port

if TYPE_CHECKING:
    from hwgen.spec.array import Array


def inputs(spec: Array) -> tuple[Port, ...]:
    """``clear``, operands and their scales; of held weights ``load`` and ``partial``."""
    load: tuple[Port, ...] = ()
    restarts = "all accumulators restart with this cycle"
    if spec.is_weight_stationary:
        load = (Port("load", 1, "this row takes its weights from b", spec.rows),)
        restarts = "partial does not count"
    return (
        *load,
        Port("clear", 1, restarts),
        *_operand_ports(spec, "a", spec.rows),
        *_weight_ports(spec),
        *_partial_ports(spec),
        *random_bits_port(STOCHASTIC if spec.is_stochastic else NEAREST_EVEN, spec.sums),
    )


def _operand_ports(spec: Array, name: str, count: int) -> tuple[Port, ...]:
    """Codes of ``count`` rows or columns, and of their scales."""
    f = getattr(spec, name)
    codes = (code_port(name, f.element, count * spec.lanes),)
    if f.scale is None:
        return codes
    return (*codes, code_port(f"{name}_scale", f.scale, count * spec.lanes // f.block_size))


def _weight_ports(spec: Array) -> tuple[Port, ...]:
    return _operand_ports(spec, "b", spec.columns)


def _partial_ports(spec: Array) -> tuple[Port, ...]:
    """Sums that come in, of weights that stay."""
    columns = spec.columns
    if not spec.is_weight_stationary:
        return ()
    if isinstance(spec.accumulator, Float):
        return (code_port("partial", spec.accumulator.format, columns),)
    meaning = f"sums to add to, in units of 2^{spec.accumulator_lsb_exponent}"
    return (
        Port("partial", spec.accumulator_width, meaning, columns, signed=True),
        *(
            Port(f"partial_{flag}", 1, "what that sum is instead", columns)
            for flag in spec.accumulator_flags
        ),
    )


def input_streams(spec: Array) -> tuple[Stream, ...]:
    """Activations first: their beats, or those at the end of a tile, have the results."""
    weights, partial = _weight_ports(spec), _partial_ports(spec)
    activations = tuple(
        port for port in spec.inputs if port not in (*weights, *partial) and port.name != "load"
    )
    if not spec.is_weight_stationary:
        return (
            Stream(
                "a",
                "s_axis_a",
                tuple(port for port in activations if port.name != "clear"),
                "the last step of a tile: its results come out, and the next tile begins",
                "activations of a step, taken together with weights, are offered",
            ),
            Stream("b", "s_axis_b", weights, meaning="weights of a step are offered"),
        )
    return (
        Stream(
            "a",
            "s_axis_a",
            activations,
            "the last with these weights: the next ones come into use behind it",
            "activations are offered, which take a partial sum unless they clear it",
        ),
        Stream(
            "b",
            "s_axis_b",
            weights,
            meaning=f"weights of the next row are offered, {spec.rows} beats a tile",
        ),
        Stream("partial", "s_axis_partial", partial, meaning="sums to add to are offered"),
    )


def summary(spec: Array) -> str:
    """Which beats have results."""
    if spec.is_weight_stationary:
        return "a beat out for each beat of s_axis_a"
    return "a beat out for each beat of s_axis_a with TLAST"

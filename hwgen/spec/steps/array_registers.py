"""Registers of an array beside those between its steps: of what stays, waits, or is on its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hwgen.spec.steps.array import (
    SYSTOLIC,
    column_steps,
    element_bits,
    flag_bits,
    operand_bits_of,
    sum_steps,
)

if TYPE_CHECKING:
    from hwgen.spec.array import Array


def storage_bits(spec: Array) -> int:
    """Bits of registers for operands, controls and results that wait or go through the array."""
    moving = 0
    if spec.movement == SYSTOLIC:
        moving = _moved_operands(spec) + _partial_columns(spec) + _results_that_wait(spec)
    return moving + _controls(spec)


def _delays(spec: Array) -> list[int]:
    """Registers that operands pass on their way to each sum: to its element, or its last one."""
    if spec.movement != SYSTOLIC:
        return [0] * spec.sums
    rows, columns = _turns(spec)
    if spec.is_weight_stationary:
        rows = rows[-1:]
    return [row + column for row in rows for column in columns]


def _turns(spec: Array) -> tuple[list[int], list[int]]:
    """When operands come to each row and each column: to the last that shares its multipliers."""
    packing = spec.packing
    sizes = (1, 1) if packing is None else (packing.rows, packing.columns)
    rows, columns = (
        [min(place - place % size + size, count) - 1 for place in range(count)]
        for size, count in zip(sizes, (spec.rows, spec.columns), strict=True)
    )
    return rows, columns


def _moved_operands(spec: Array) -> int:
    """Bits of decoded operands that go from neighbour to neighbour."""
    rows, columns = _turns(spec)
    a, b = (operand_bits_of(f, spec) for f in (spec.a, spec.b))
    return a * sum(row + columns[-1] for row in rows) + b * sum(
        column + rows[-1] for column in columns
    )


def _partial_columns(spec: Array) -> int:
    """Bits of the sums that rows hand down, but for the last, and of their flags."""
    if spec.summed_rows == 1 or not column_steps(spec):
        return 0
    sums = [spec.width_of_sum((row + 1) * spec.lanes) for row in range(1, spec.rows - 1)]
    below = sum(width + flag_bits(spec) for width in sums)
    return spec.columns * (element_bits(spec) + below)


def _results_that_wait(spec: Array) -> int:
    """Bits of the results that wait for the last."""
    bits = sum(port.width for port in spec.outputs) // spec.sums
    return bits * sum(spec.skew - delay for delay in _delays(spec))


def _controls(spec: Array) -> int:
    """Bits of what goes past the elements: behind the register in front of the operands."""
    places, steps = spec.register_boundaries, spec.steps
    first_sum = len(steps) - len(sum_steps(spec))
    at_weights = sum(place <= 1 for place in places)
    at_sums = sum(place < first_sum for place in places) + int(spec.is_weight_stationary)
    counted = int(0 in places)
    return sum(
        bits * (passed - counted) for bits, passed in _control_lines(spec, at_weights, at_sums)
    )


def _control_lines(spec: Array, at_weights: int, at_sums: int) -> Iterator[tuple[int, int]]:
    """Of each control its bits and the registers that it passes, all in all."""
    delays = _delays(spec)
    for port in spec.inputs:
        kind = port.name.partition("_")[0]
        if kind in ("a", "b"):
            continue
        if port.name == "load":
            furthest = spec.columns - 1 if spec.movement == SYSTOLIC else 0
            for row in range(spec.rows):
                moved = row if spec.movement == SYSTOLIC else 0
                yield port.bits, at_weights + moved + furthest
        elif port.count == 1:
            yield port.bits, at_sums + max(delays)
        else:
            yield from ((port.bits, at_sums + delay) for delay in delays)

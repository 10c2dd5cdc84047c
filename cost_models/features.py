"""What of a spec takes area and time, in bits: the inputs of the cost model.

All of it is derived from the spec, without making the hardware.
"""

from __future__ import annotations

from typing import TypeGuard

from hwgen.accumulator import Exact
from hwgen.arithmetic.adder_tree import tree_levels
from hwgen.spec import DotProduct, Spec

#: Units that were measured: a dot product, of one lane too.
UNITS = ("dot", "mac")
#: Bits of operands that were measured.
OPERAND_BITS = (2, 8)


def uncovered(spec: Spec) -> str | None:
    """What keeps ``spec`` from the cost model, in a few words; None if the model covers it.

    Measurements ship of exact sums of signed, finite operands of 2 to 8 bits, in the usual number
    of stages.
    """
    if not _is_dot(spec):
        return f"it knows the unit dot, not {spec.unit}"
    for f in (spec.a, spec.b):
        has_values = f.is_integer or f.exponent_bits > 0
        low, high = OPERAND_BITS
        if not (has_values and f.signed and not f.has_nan and low <= f.bits <= high):
            return (
                f"it knows signed integers and finite minifloats of {low} to {high} bits, not {f}"
            )
    if not isinstance(spec.accumulator, Exact):
        return f"it knows exact accumulators, not {spec.accumulator}"
    if spec.output is not None or spec.addend is not None:
        extra = "output" if spec.output is not None else "addend"
        return f"it knows units without {extra}, not with {extra} {getattr(spec, extra)}"
    if spec.stages != spec.usual_stages or spec.pipeline_target:
        given = f"{spec.stages} stages"
        if spec.pipeline_target:
            given += f" placed for {spec.pipeline_target}"
        return f"it knows this unit in its usual {spec.usual_stages} stages, not in {given}"
    return None


def covers(spec: Spec) -> TypeGuard[DotProduct]:
    """Whether measurements of units like ``spec`` ship."""
    return uncovered(spec) is None


def _is_dot(spec: Spec) -> TypeGuard[DotProduct]:
    return spec.unit in UNITS


def shift_stages(spec: DotProduct) -> int:
    """Two-to-one stages of the shifter that moves a product to its place in its bin."""
    return 0 if spec.lane_sum.whole else spec.lane_sum.fine_bits


def _register_bits(spec: DotProduct) -> dict[str, float]:
    """Bits of the pipeline's registers, and of products that run into the first adders without one.

    Such a product and its adder can share LUTs.
    """
    registered = spec.register_boundaries
    bits = {step.name: step.data_bits or 0 for step in spec.steps}
    names = {spec.steps[index].name for index in registered}
    return {
        "register_bits": sum(bits[name] for name in names),
        "merged_product_bits": 0 if "level1" in names else bits.get("level1", 0),
    }


def _longest_path(spec: DotProduct) -> float:
    """The longest path between two registers, in levels of LUTs as the generator counts them."""
    registered = spec.register_boundaries
    longest = path = 0.0
    for index, step in enumerate(spec.steps):
        path = step.levels if index in registered else path + step.levels
        longest = max(longest, path)
    return longest


def area(spec: DotProduct) -> dict[str, float]:
    """Bits, or the number, of each kind of structure in the unit, by name."""
    x, y = spec.a.factor_bits, spec.b.factor_bits
    signs = (not spec.a.is_integer) + (not spec.b.is_integer)
    lanes, plan = spec.lanes, spec.lane_sum
    levels = tree_levels(lanes)
    first = plan.bits_after(1) if levels else 0
    return {
        "partial_product_bits": lanes * x * y,
        "significand_bits": lanes * (x + y),
        "signs": lanes * signs,
        "exponent_bits": lanes * (spec.a.exponent_bits + spec.b.exponent_bits),
        "shifter_bits": lanes * plan.shifter_bits(x + y),
        "gates": lanes * len(plan.bins) if plan.has_gates else 0,
        "first_adder_bits": first,
        "tree_bits": sum(plan.bits_after(level) for level in range(2, levels + 1)),
        "tree_adders": (lanes - 1) * len(plan.bins),
        "bin_sum_bits": sum(plan.merged_bits(level) for level in range(1, plan.merge_levels + 1)),
        "accumulator_bits": spec.accumulator_width,
        **_register_bits(spec),
        "control": 1,
    }


def delay(spec: DotProduct) -> dict[str, float]:
    """Levels of LUTs and bits of carries on the longest path between registers, by name."""
    x, y = spec.a.factor_bits, spec.b.factor_bits
    return {
        "path": _longest_path(spec),
        "product_bits": x + y,
        "shift_stages": shift_stages(spec),
        "sum_bits": spec.sum_width,
        "log_cells": (spec.lanes * spec.product_width).bit_length(),
        "start": 1,
    }

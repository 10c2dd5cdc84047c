"""Specs: one frozen object that says what a datapath computes.

Hardware, golden model, stimulus, cost features, the key of a measurement and the module's
name are all derived from the spec; nothing else describes a unit. A new unit is a new module
here with an entry in ``KINDS``, a component in ``hwgen.units`` and a model in ``sim.models``, which
says all that its verification asks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwgen.errors import InputError
from hwgen.fields import shown, unknown
from hwgen.public_names import on_demand
from hwgen.spec.base import MAPPINGS, Port, Spec

if TYPE_CHECKING:
    from hwgen.spec.array import Array
    from hwgen.spec.blockdot import BlockDot
    from hwgen.spec.convert import Convert
    from hwgen.spec.dot import MAX_LANES, MAX_PRODUCTS, DotProduct, MultiplyAccumulate
    from hwgen.spec.fixeddot import FixedDot
    from hwgen.spec.fixedmatrix import FixedMatrix
    from hwgen.spec.lmul import LMul
    from hwgen.spec.mul import Multiply
    from hwgen.spec.multidot import MultiDot
    from hwgen.spec.quantizer import Quantizer
    from hwgen.spec.requantize import AccumulatorToFloat, Requantize
    from hwgen.spec.sumsquares import SumSquares

#: Of each unit the module and the name of its spec.
KINDS = {
    "dot": ("dot", "DotProduct"),
    "mac": ("dot", "MultiplyAccumulate"),
    "fixeddot": ("fixeddot", "FixedDot"),
    "fixedmatrix": ("fixedmatrix", "FixedMatrix"),
    "sumsquares": ("sumsquares", "SumSquares"),
    "multidot": ("multidot", "MultiDot"),
    "blockdot": ("blockdot", "BlockDot"),
    "mul": ("mul", "Multiply"),
    "lmul": ("lmul", "LMul"),
    "convert": ("convert", "Convert"),
    "quantizer": ("quantizer", "Quantizer"),
    "requantize": ("requantize", "Requantize"),
    "accumulator_to_float": ("requantize", "AccumulatorToFloat"),
    "array": ("array", "Array"),
}


class _Units(Mapping[str, type[Spec]]):
    """The kinds of specs by the names of their units, each imported when it is asked for."""

    def __getitem__(self, unit: str) -> type[Spec]:
        module, name = KINDS[unit]
        kind: type[Spec] = getattr(import_module(f"{__name__}.{module}"), name)
        return kind

    def __contains__(self, unit: object) -> bool:
        return unit in KINDS

    def __iter__(self) -> Iterator[str]:
        return iter(KINDS)

    def __len__(self) -> int:
        return len(KINDS)


UNITS: Mapping[str, type[Spec]] = _Units()
__getattr__ = on_demand(
    __name__,
    {
        **{
            f"{__name__}.{module}": [n for m, n in KINDS.values() if m == module]
            for module, _ in KINDS.values()
        },
        "hwgen.spec.dot": ("DotProduct", "MultiplyAccumulate", "MAX_LANES", "MAX_PRODUCTS"),
    },
)


def from_dict(fields: dict[str, Any]) -> Spec:
    """The spec that ``to_dict`` described: ``unit`` and its fields, in plain JSON types.

    Raises:
        InputError: an unknown unit, a field that it has not or that is missing, a bad value.

    """
    if not isinstance(fields, dict):
        raise InputError(
            f"{shown(fields)}: a spec's fields are a dict, such as {{'unit': 'mul', …}}"
        )
    unit, arguments = fields.get("unit"), {k: v for k, v in fields.items() if k != "unit"}
    if not isinstance(unit, str) or unit not in UNITS:
        if "unit" in fields:
            raise unknown("unit", unit, UNITS)
        raise InputError(f"there is no 'unit': use one of {', '.join(UNITS)}")
    known = {field.name: field for field in dataclasses.fields(UNITS[unit]) if field.init}
    others = [shown(name) for name in arguments if name not in known]
    needed = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
    missing = [name for name in needed if name not in arguments]
    if others or missing:
        problems = [f"it needs {', '.join(missing)}"] * bool(missing)
        problems += [f"it has no {', '.join(others)}"] * bool(others)
        raise InputError(f"{unit}: {', and '.join(problems)}; its fields are {', '.join(known)}")
    return UNITS[unit](**arguments)


__all__ = [
    "MAPPINGS",
    "MAX_LANES",
    "MAX_PRODUCTS",
    "UNITS",
    "AccumulatorToFloat",
    "Array",
    "BlockDot",
    "Convert",
    "DotProduct",
    "FixedDot",
    "FixedMatrix",
    "LMul",
    "MultiDot",
    "Multiply",
    "MultiplyAccumulate",
    "Port",
    "Quantizer",
    "Requantize",
    "Spec",
    "SumSquares",
    "from_dict",
]

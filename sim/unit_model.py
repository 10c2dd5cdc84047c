"""What a unit is to its verification: a module a unit, found by the unit's name.

A model computes from decoded numbers and exact arithmetic, never from bit fields. Its ``MODEL``
says all that other modules ask of a unit: they have no list of units, and ask for no spec's class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from hwgen.spec import DotProduct, Spec

if TYPE_CHECKING:
    from sim.formal.circuit import Circuit
    from sim.formal.run import Start
    from sim.formal.solve import Claim

#: Patterns of the elements of each port, (cycles, count), unsigned.
Patterns = dict[str, npt.NDArray[Any]]
#: How often each bin was hit, by its name.
Counts = dict[str, int]
#: Some fields of a spec, as ``hwgen.spec.from_dict`` reads them.
Fields: TypeAlias = Mapping[str, Any]
#: Codes of a port as literals of a proof, the lowest bit first.
Code: TypeAlias = Sequence[int]


@dataclass(frozen=True)
class Reach:
    """Bounds of the numbers that a unit rounds.

    ``largest``: the largest magnitude; ``bits``: the most significant bits; ``lsb_exponent``: all
    are multiples of 2 to this; ``smallest``: the smallest magnitude beside zero.
    """

    largest: float = math.inf
    bits: float = math.inf
    lsb_exponent: float = -math.inf
    smallest: float = 0.0


@dataclass(frozen=True)
class LaneProducts:
    """What the lanes of a unit multiply whose accumulator sums their products, for proofs.

    ``codes(spec, inputs, lane)``: the two codes that a lane multiplies, of the ports' literals.
    ``corners(spec, lane)``: pairs of numbers among which are those of a lane's least and of its
    most product, in units of the formats' steps. ``halves(spec, lanes)``: two parts of some
    lanes, such as the unit sums first; any would do, and take longer.
    """

    codes: Callable[[Any, Mapping[str, Code], int], tuple[Code, Code]]
    corners: Callable[[Any, int], Iterable[tuple[int, int]]]
    halves: Callable[[Any, tuple[int, ...]], list[tuple[int, ...]]]


#: Properties that are proved of a spec with these fields, ``netlist`` on every target.
ProofRow: TypeAlias = tuple[Fields, tuple[str, ...]]


def _all_patterns(
    spec: Any, inputs: Patterns, counted: npt.NDArray[np.intp], rng: np.random.Generator
) -> None:
    """Every input is allowed, and likely enough."""


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """Valid cycles of a unit that beats of its streams amount to.

    ``inputs``: of all ports, (cycles, count). ``taken``: of each input stream the cycles, (beats,),
    whose inputs it carries. ``last``: TLAST, (cycles,). ``answered``: the cycles whose results come
    out, (results,).
    """

    inputs: Patterns
    taken: Mapping[str, npt.NDArray[np.intp]]
    last: npt.NDArray[np.bool_]
    answered: npt.NDArray[np.intp]


def _beat_by_beat(spec: Any, inputs: Patterns, rng: np.random.Generator) -> Streamed:
    """A beat a cycle, some with TLAST."""
    cycles = np.arange(len(next(iter(inputs.values()))))
    last = rng.random(len(cycles)) < 0.2
    return Streamed(inputs=inputs, taken={"inputs": cycles}, last=last, answered=cycles)


@dataclass(frozen=True, kw_only=True)
class UnitModel:
    """A unit as its verification sees it; functions take its spec first.

    ``expected``: the output ports' patterns for consecutive valid inputs, (cycles, count) each; of
    signed ports the numbers themselves. ``directed``: inputs at the extremes: bounds, ties,
    special codes. ``restrict``: changes random inputs in place to what the unit's contract allows;
    its third argument are the cycles that count. ``streamed``: what the beats of its streams are,
    from inputs of so many cycles, which it may change.

    Of coverage: ``reach`` bounds what is rounded, ``bins`` are those beside what formats alone
    declare, ``unreachable`` names bins that no inputs hit. ``signs_zeros``: whether zeros of either
    sign make a difference, so that runs of them are tried.

    Of regressions: ``settings`` are taken in turn with each named format (operands that they do not
    say are partners, other fields without default are drawn: ``draws`` by name, where
    ``sim.draws`` has none); ``typical`` are the three specs that are simulated as netlists too,
    where formats of ``sim.case_list`` make none; ``every_input``: those whose inputs are all tried;
    ``long``: those that are simulated for millions of cycles.

    Of proofs: ``example`` is the spec whose stream and pipeline are proved, ``proofs`` what else
    is, by the group's name. ``reference`` lists the claims of a plain definition; without it a
    truth table is made. ``lanes``, of a unit that has an accumulator of products.
    """

    expected: Callable[[Any, Patterns], Patterns]
    directed: Callable[[Any], Patterns]
    restrict: Callable[[Any, Patterns, npt.NDArray[np.intp], np.random.Generator], None] = (
        _all_patterns
    )
    streamed: Callable[[Any, Patterns, np.random.Generator], Streamed] = _beat_by_beat
    reach: Callable[[Any], Reach] = lambda spec: Reach()
    bins: Callable[[Any, Patterns, Patterns], Counts] = lambda spec, inputs, results: {}
    unreachable: Callable[[Any], tuple[str, ...]] = lambda spec: ()
    signs_zeros: Callable[[Any], bool] = lambda spec: spec.zero_rounding is not None
    settings: tuple[Fields, ...] = ({},)
    draws: Mapping[str, Callable[[np.random.Generator], Any]] = field(default_factory=dict)
    typical: tuple[Fields, ...] = ()
    every_input: Callable[[], Iterable[Fields]] = tuple
    long: tuple[Fields, ...] = ()
    example: Fields
    proofs: Mapping[str, Sequence[ProofRow]] = field(default_factory=dict)
    reference: Callable[[Start, Any, Circuit], Iterable[Claim]] | None = None
    lanes: LaneProducts | None = None


def of(spec: Spec | type[Spec]) -> UnitModel:
    """The model of the spec's unit, which is ``sim.models.UNIT``'s."""
    model: UnitModel = import_module(f"sim.models.{spec.unit}").MODEL
    return model


def sums_products(spec: Spec) -> TypeGuard[DotProduct]:
    """The unit has lanes whose products an accumulator sums, as a dot product has."""
    return of(spec).lanes is not None

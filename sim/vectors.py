"""Golden vectors as a file, for benches of other people's."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np

from hwgen.spec import Spec
from hwgen.units.stream import tdata_width
from sim import golden, stimulus
from sim.stream import beats
from sim.verification import DEFAULT_VECTORS, pack, require_counts


def vectors_csv(
    spec: Spec, *, vectors: int = DEFAULT_VECTORS, seed: int = 1, stream: bool = False
) -> str:
    """Golden vectors as CSV: a line a valid input with its result, to be driven in this order.

    They are directed extremes, then ``vectors`` random ones from ``seed``, from a reset on. The
    first line names the ports, inputs first; numbers are hexadecimal patterns of the whole port, of
    as many digits as it needs. With ``stream``: TDATA of the two sides; of a unit with several
    input streams all of their beats, with TLAST, each column in its own order and empty behind its
    last. InputError for bad counts.
    """
    require_counts(vectors, seed)
    columns = (_stream_columns if stream else _columns)(spec, vectors, seed)
    digits = [-(-width // 4) for _, width in columns.values()]
    lines = [",".join(columns)]
    for row in zip_longest(*(words for words, _ in columns.values())):
        cells = ("" if v is None else f"{v:0{n}x}" for v, n in zip(row, digits, strict=True))
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _columns(spec: Spec, vectors: int, seed: int) -> dict[str, tuple[list[int], int]]:
    """The patterns of each port, and its bits, by name."""
    inputs = stimulus.beats(spec, vectors, seed)
    results = golden.expected(spec, inputs)
    return {
        port.name: (pack(patterns[port.name], port.bits), port.width)
        for ports, patterns in ((spec.inputs, inputs), (spec.outputs, results))
        for port in ports
    }


def _stream_columns(spec: Spec, vectors: int, seed: int) -> dict[str, tuple[list[int], int]]:
    given = beats(spec, vectors, np.random.default_rng([seed, 1]), seed)
    sides = [(s.axis, s.ports, *given.sent[s.axis]) for s in spec.input_streams]
    sides.append(("m_axis", spec.outputs, *given.results))
    columns = {}
    for axis, ports, data, last in sides:
        columns[f"{axis}_tdata"] = (data, tdata_width(ports))
        if last is not None and len(sides) > 2:
            columns[f"{axis}_tlast"] = (last, 1)
    return columns

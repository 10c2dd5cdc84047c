"""Golden vectors as a file, for benches of other people's."""

from __future__ import annotations

from hwgen.spec import Spec
from sim import golden, stimulus
from sim.stream import tdata
from sim.verification import DEFAULT_VECTORS, pack, require_counts


def vectors_csv(
    spec: Spec, *, vectors: int = DEFAULT_VECTORS, seed: int = 1, stream: bool = False
) -> str:
    """Golden vectors as CSV: a line a valid input with its result, to be driven in this order.

    They are directed extremes, then ``vectors`` random ones from ``seed``, from a reset on. The
    first line names the ports, inputs first; numbers are hexadecimal patterns of the whole port, of
    as many digits as it needs. With ``stream``: TDATA of the two sides. InputError for bad counts.
    """
    require_counts(vectors, seed)
    inputs = stimulus.beats(spec, vectors, seed)
    results = golden.expected(spec, inputs)
    sides = ((spec.inputs, inputs), (spec.outputs, results))
    if stream:
        columns = {
            name: tdata(ports, patterns)
            for name, (ports, patterns) in zip(("s_axis_tdata", "m_axis_tdata"), sides, strict=True)
        }
    else:
        columns = {
            port.name: pack(patterns[port.name], port.bits)
            for ports, patterns in sides
            for port in ports
        }
    digits = [-(-width // 4) for width in _widths(spec, stream)]
    lines = [",".join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join(f"{v:0{n}x}" for v, n in zip(row, digits, strict=True)))
    return "\n".join(lines) + "\n"


def _widths(spec: Spec, stream: bool) -> list[int]:
    from hwgen.units.stream import tdata_width

    if stream:
        return [tdata_width(spec.inputs), tdata_width(spec.outputs)]
    return [port.width for port in (*spec.inputs, *spec.outputs)]

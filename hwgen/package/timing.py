"""Timing diagrams of a unit's ports, drawn from its latency as SVG."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from html import escape

from hwgen.spec import Spec

#: What a wave is in a cycle: a level, the name of a value, or None where it does not count.
Level = bool | str | None

CYCLE, HIGH, ROW, NAMES, MARGIN, SLOPE = 44, 18, 32, 112, 8, 4
CLOCK = "clk"


@dataclass(frozen=True)
class Wave:
    """A signal's levels, one a clock cycle."""

    name: str
    levels: tuple[Level, ...]


def unit_waves(spec: Spec) -> tuple[Wave, ...]:
    """Three inputs with a bubble between them, and a stall while the second result waits."""
    cycles = spec.latency + 6
    valid = [cycle in (0, 1, 3) for cycle in range(cycles)]
    stalled = spec.latency + 1
    enable = [cycle != stalled for cycle in range(cycles)]
    pipeline: deque[str | None] = deque([None] * spec.latency, spec.latency)
    shown: list[str | None] = []
    inputs: list[Level] = []
    for cycle in range(cycles):
        shown.append(pipeline[0])
        offered = f"x{sum(valid[:cycle])}" if valid[cycle] else None
        inputs.append(offered)
        if enable[cycle]:
            pipeline.append(offered and offered.replace("x", "y"))
    return (
        Wave(CLOCK, (True,) * cycles),
        Wave("enable", tuple(enable)),
        Wave("valid_in", tuple(valid)),
        Wave("inputs", tuple(inputs)),
        Wave("valid_out", tuple(value is not None for value in shown)),
        Wave("outputs", tuple(shown)),
    )


def stream_waves(spec: Spec) -> tuple[Wave, ...]:
    """Beats that have results, with a receiver that does not take the first at once.

    What other streams have to give is always there.
    """
    cycles = spec.latency + 6
    ready = [cycle not in (spec.latency, spec.latency + 1) for cycle in range(cycles)]
    pipeline: deque[str | None] = deque([None] * spec.latency, spec.latency)
    waiting: str | None = None
    accepted = 0
    rows: list[tuple[Level, ...]] = []
    for cycle in range(cycles):
        enable, result = waiting is None, waiting or pipeline[0]
        rows.append((True, True, enable, f"x{accepted}", result is not None, ready[cycle], result))
        if enable:
            pipeline.append(f"y{accepted}")
            accepted += 1
        waiting = None if ready[cycle] else result
    axis = spec.input_streams[0].axis
    names = (
        CLOCK,
        *(f"{axis}_tvalid", f"{axis}_tready", f"{axis}_tdata"),
        *("m_axis_tvalid", "m_axis_tready", "m_axis_tdata"),
    )
    return tuple(
        Wave(name, levels) for name, levels in zip(names, zip(*rows, strict=True), strict=True)
    )


def timing_diagram(spec: Spec, *, stream: bool = False) -> str:
    """How the ports of the unit, or of its AXI4-Stream form, behave, as an SVG drawing."""
    return svg(stream_waves(spec) if stream else unit_waves(spec))


def svg(waves: tuple[Wave, ...]) -> str:
    """The waves as an SVG drawing, a row each; levels change at the clock's rising edges."""
    cycles = max(len(wave.levels) for wave in waves)
    width, height = NAMES + cycles * CYCLE + MARGIN, len(waves) * ROW + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for cycle in range(cycles + 1):
        x = NAMES + cycle * CYCLE
        lines.append(f'<path d="M{x} {MARGIN}V{height - MARGIN}" stroke="#ddd"/>')
    for row, wave in enumerate(waves):
        top = MARGIN + row * ROW
        lines.append(f'<text x="{MARGIN}" y="{top + HIGH - 4}">{escape(wave.name)}</text>')
        if wave.name == CLOCK:
            lines.append(_clock(top, cycles))
        elif any(isinstance(level, str) for level in wave.levels):
            lines += _values(top, wave.levels)
        else:
            lines.append(_bits(top, wave.levels))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _path(points: str, fill: str = "none") -> str:
    return f'<path d="{points}" fill="{fill}" stroke="#000"/>'


def _clock(top: int, cycles: int) -> str:
    half = CYCLE // 2
    return _path(f"M{NAMES} {top + HIGH}" + f"v{-HIGH}h{half}v{HIGH}h{half}" * cycles)


def _bits(top: int, levels: tuple[Level, ...]) -> str:
    heights = [top if level else top + HIGH for level in levels]
    return _path(f"M{NAMES} {heights[0]}" + "".join(f"V{y}h{CYCLE}" for y in heights))


def _values(top: int, levels: tuple[Level, ...]) -> list[str]:
    """A box for each run of cycles with the same value, grey where it does not count."""
    shapes, first = [], 0
    middle = top + HIGH // 2
    for cycle in range(1, len(levels) + 1):
        if cycle < len(levels) and levels[cycle] == levels[first]:
            continue
        left, right = NAMES + first * CYCLE, NAMES + cycle * CYCLE
        value = levels[first]
        points = (
            f"M{left} {middle}L{left + SLOPE} {top}H{right - SLOPE}L{right} {middle}"
            f"L{right - SLOPE} {top + HIGH}H{left + SLOPE}Z"
        )
        shapes.append(_path(points, "#ddd" if value is None else "#fff"))
        if value is not None:
            shapes.append(
                f'<text x="{(left + right) // 2}" y="{top + HIGH - 4}" '
                f'text-anchor="middle">{escape(str(value))}</text>'
            )
        first = cycle
    return shapes

"""Quantizers to every named block format, from the usual floating-point formats, by every rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwgen.formats.block import NAMED
from hwgen.formats.block_encode import NONFINITE
from hwgen.formats.rounding import MODES
from hwgen.sizes.power_scale import HARDWARE_RULES
from hwgen.spec import Quantizer

SOURCES = ("fp32", "bf16", "fp16")


def full_matrix(block_size: int | None = None, sources: Sequence[str] = SOURCES) -> list[Quantizer]:
    """Each named format from each source by each scale rule.

    Roundings, what becomes of NaN and infinities, and where a tensor's scale comes from take turns.

    ``block_size``: of all blocks, in place of the formats' own: the arithmetic is the same and
    simulations are shorter. InputError if micro-exponents do not divide it.
    """
    specs = []
    for row, block_format in enumerate(NAMED.values()):
        b = block_format if block_size is None else replace(block_format, block_size=block_size)
        for column, source in enumerate(sources):
            for place, rule in enumerate(HARDWARE_RULES):
                turn = row + 2 * column + place
                specs.append(
                    Quantizer(
                        a=source,
                        b=b,
                        scale_rule=rule,
                        rounding=MODES[turn % len(MODES)],
                        nonfinite=NONFINITE[turn // len(MODES) % 2],
                        tensor_scale=("port", "one")[turn % 2] if b.tensor_scale else None,
                        stages=1 + turn % 9,
                    )
                )
    return specs


def short_matrix(block_size: int | None = None) -> list[Quantizer]:
    """Each named format once: sources, rules and the rest take turns."""
    specs = full_matrix(block_size)
    per_format = len(specs) // len(NAMED)
    return [specs[row * per_format + row * 7 % per_format] for row in range(len(NAMED))]

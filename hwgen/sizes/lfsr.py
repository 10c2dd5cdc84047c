"""What is known of random words without the register that makes them.

The hardware is in ``hwgen.arithmetic.lfsr``, which has the source.
"""

from __future__ import annotations

from hwgen.formats.rounding import RANDOM_BITS

PERIOD = 2**RANDOM_BITS - 1


#: Seed of units that are given none: 2^32 over the golden ratio, half of its bits ones.
USUAL_SEED = 0x9E3779B9

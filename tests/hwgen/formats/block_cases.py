"""Block formats by kind, and blocks of numbers, for the tests of block formats."""

import numpy as np

from hwgen.formats.block import NAMED

#: E8M0 code of 2^0.
ONE = 127
POWER_OF_TWO = [name for name, f in NAMED.items() if f.scale.precision == 1]
WITHOUT_MICROEXPONENTS = [name for name in POWER_OF_TWO if not NAMED[name].micro_bits]


def block_of(numbers, size=32):
    return np.concatenate([numbers, np.zeros(size - len(numbers))])

"""Prints what the golden model says of the operands that top.v makes, as Verilog's macros."""

import numpy as np

from hwgen.spec import DotProduct
from sim import golden

SPEC = DotProduct(a="int8", b="int8", lanes=8)
COUNT = 256

state, words = 0x0123_4567_89AB_CDEF, []
for _ in range(COUNT):
    words.append(state)
    state = (state >> 1) ^ (0xD800_0000_0000_0000 if state & 1 else 0)
a = np.array([[word >> 8 * lane & 255 for lane in range(8)] for word in words])
b = np.roll(a, 4, axis=1)
clear = np.arange(COUNT)[:, None] == 0
sums = golden.expected(SPEC, {"a": a, "b": b, "clear": clear})["accumulator"]
width = SPEC.accumulator_width
print(f"`define WIDTH {width}\n`define EXPECTED $signed({width}'d{int(sums[-1, 0]) % 2**width})")

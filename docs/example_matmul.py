"""A tiled matrix product by an array between streams, simulated and checked against numpy.

The weights of a tile stay in the array while all rows of A pass; those of the next tile are loaded
meanwhile. What a tile sums comes in again as the partial sums of the next one along K. Run it with
``python docs/example_matmul.py``.
"""

from collections import deque

import numpy as np
from amaranth.sim import Simulator

from hwgen.spec import Array
from hwgen.units.stream import StreamUnit

SPEC = Array(a="int8", b="int8", rows=4, columns=4, dataflow="weight_stationary")


def word(numbers, bits):
    """Numbers side by side, the first in the lowest bits, in two's complement."""
    return sum((int(x) & ((1 << bits) - 1)) << i * bits for i, x in enumerate(numbers))


def numbers(word, bits, count):
    """The inverse of ``word``."""
    half, fields = 1 << (bits - 1), [word >> i * bits for i in range(count)]
    return [(field % (2 * half) ^ half) - half for field in fields]


async def send(ctx, stream, data, last=None):
    """Offer a beat until it is taken."""
    ctx.set(stream.payload, {"data": data} | ({} if last is None else {"last": last}))
    ctx.set(stream.valid, 1)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


def multiply(a, b):
    """A·B of int8 matrices, (M, K) and (K, N), whose K and N are whole tiles; and the cycles."""
    spec, unit = SPEC, StreamUnit(SPEC)
    tiles = [
        (k, n) for n in range(0, b.shape[1], spec.columns) for k in range(0, b.shape[0], spec.rows)
    ]
    product = np.zeros((len(a), b.shape[1]), np.int64)
    waiting = deque()  # Sums for the next tile along K.
    cycles = 0

    async def weights(ctx):
        for k, n in tiles:
            for row in b[k : k + spec.rows, n : n + spec.columns]:
                await send(ctx, unit.b, {"b": word(row, 8)})

    async def activations(ctx):
        for k, _ in tiles:
            for m, row in enumerate(a[:, k : k + spec.rows]):
                data = {"a": word(row, 8), "clear": k == 0}
                await send(ctx, unit.a, data, last=m == len(a) - 1)

    async def partial_sums(ctx):
        while True:
            if waiting:
                await send(ctx, unit.partial, {"partial": waiting.popleft()})
            else:
                await ctx.tick()

    async def results(ctx):
        nonlocal cycles
        ctx.set(unit.results.ready, 1)
        for k, n in tiles:
            for m in range(len(a)):
                valid = False
                while not valid:
                    _, _, valid, payload = await ctx.tick().sample(
                        unit.results.valid, unit.results.payload
                    )
                    cycles += 1
                if k + spec.rows < b.shape[0]:
                    waiting.append(payload.data.accumulator)
                else:
                    sums = numbers(payload.data.accumulator, spec.accumulator_width, spec.columns)
                    product[m, n : n + spec.columns] = sums

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    for testbench in (weights, activations, results):
        simulator.add_testbench(testbench)
    simulator.add_testbench(partial_sums, background=True)
    simulator.run()
    return product, cycles


if __name__ == "__main__":
    rng = np.random.default_rng(1)
    a, b = rng.integers(-128, 128, (16, 12)), rng.integers(-128, 128, (12, 8))
    product, cycles = multiply(a, b)
    assert (product == a @ b).all()
    print(f"{a.shape} x {b.shape}: {a.size * b.shape[1]} products in {cycles} cycles, as by numpy")

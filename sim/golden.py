"""Golden model: what the hardware must compute, from decoded numbers, in exact arithmetic.

Nothing here looks at bit fields: see ``sim.exact`` for the numbers, ``sim.rounding`` and
``sim.accumulate`` for what becomes of them, ``sim.models`` for each unit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import InputError
from hwgen.formats import Scalar
from hwgen.spec import Spec
from sim import lfsr, unit_model
from sim.exact import EXACT_FLOAT64, Integers, fixed_point, largest_steps
from sim.stimulus import Stimulus
from sim.unit_model import Patterns

#: Integers up to this magnitude are exact in float32, where matrix products are fast.
EXACT_FLOAT32 = 2**24


def expected(spec: Spec, inputs: Patterns) -> Patterns:
    """What the unit answers to consecutive valid inputs, the first after a reset.

    ``inputs``: patterns of each input port, (cycles, count), unsigned. Returns the numbers of each
    output port, (cycles, count).
    """
    random_words = spec.random_words
    if random_words is not None:
        count = len(next(iter(inputs.values())))
        drawn = lfsr.words(random_words.seed, count, random_words.count)
        inputs = {**inputs, "random_bits": drawn}
    return unit_model.of(spec).expected(spec, inputs)


def trace(spec: Spec, stimulus: Stimulus) -> tuple[npt.NDArray[np.bool_], Patterns]:
    """``valid_out`` and the numbers of the output ports after each clock edge.

    Bool of shape (cycles,), and (cycles, count) for each port. Only enabled edges move the
    pipeline; the result of the n-th of them is seen after the (n + latency − 1)-th. Numbers between
    results are those of the last result, or zero before the first.
    """
    enabled = np.flatnonzero(stimulus.enable)
    counted = enabled[stimulus.valid[enabled]]
    results = expected(spec, {k: v[counted] for k, v in stimulus.inputs.items()})
    # Enabled edges whose result has left the pipeline, after each edge.
    finished = np.maximum(np.cumsum(stimulus.enable) - (spec.latency - 1), 0)
    valid = np.concatenate([[False], stimulus.valid[enabled]])
    last = np.cumsum(valid)[finished]
    outputs = {
        name: np.concatenate([np.zeros((1, numbers.shape[1]), numbers.dtype), numbers])[last]
        for name, numbers in results.items()
    }
    return valid[finished], outputs


def matmul(
    a_format: Scalar,
    b_format: Scalar,
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """``a @ b`` of values of the two formats: the exact sums, as float64.

    ``a``: (..., rows, inner), ``b``: (..., inner, columns), stacks of matrices of values (not
    codes) that are broadcast as numpy's. Each element is the exact sum of the exact products,
    rounded once to float64 where it needs more than 53 bits: the same number that a ``dot`` unit
    accumulates, times 2**lsb_exponent. The formats' values may also be given as float32 arrays,
    which hold them all. InputError for formats whose values need more than 40 bits as fixed-point
    numbers (``sim.exact.dot`` takes them).
    """
    inner = a.shape[-1]
    largest = [largest_steps(f) for f in (a_format, b_format)]
    # Every partial sum is a whole number of the product's steps and at most this many of
    # them: where a float type holds them all, its additions are exact in any order.
    steps = largest[0] * largest[1] * inner
    for limit, dtype in ((EXACT_FLOAT32, np.float32), (EXACT_FLOAT64, np.float64)):
        if steps <= limit:
            product = a.astype(dtype, copy=False) @ b.astype(dtype, copy=False)
            return np.asarray(product, dtype=np.float64)
    return _wide_matmul(fixed_point(a_format, a), fixed_point(b_format, b), max(largest)) * (
        2.0 ** (a_format.lsb_exponent + b_format.lsb_exponent)
    )


def _wide_matmul(x: Integers, y: Integers, largest: int) -> npt.NDArray[np.float64]:
    """Exact integer ``x @ y`` of integers up to ``largest``, rounded once to float64.

    Each operand is cut in two limbs whose products sum exactly in float64; the partial
    sums are carried in int64, a limited number of terms at a time, and the two halves of
    the whole are rounded in one last addition.
    """
    limb = (largest.bit_length() + 1) // 2
    if 3 * limb > 61:
        raise InputError(
            f"matmul of values of {largest.bit_length()} bits: it takes up to 40; use sim.exact.dot"
        )
    terms = 1 << (61 - 3 * limb)
    mask, low_mask = (1 << limb) - 1, (1 << (2 * limb)) - 1
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    shape = (*stack, x.shape[-2], y.shape[-1])
    high, low = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for first in range(0, x.shape[-1], terms):
        # Arithmetic shift and mask: v == upper·2^limb + lower with 0 <= lower < 2^limb.
        (x_upper, x_lower), (y_upper, y_lower) = (
            ((v >> limb).astype(np.float64), (v & mask).astype(np.float64))
            for v in (x[..., first : first + terms], y[..., first : first + terms, :])
        )
        middle = (x_upper @ y_lower + x_lower @ y_upper).astype(np.int64)
        low += (middle << limb) + (x_lower @ y_lower).astype(np.int64)
        high += (x_upper @ y_upper).astype(np.int64) + (low >> (2 * limb))
        low &= low_mask
    return np.ldexp(high.astype(np.float64), 2 * limb) + low.astype(np.float64)

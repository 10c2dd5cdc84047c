"""A uniform sample of values that come in batches: the same whatever the batches are.

Each value has a random key that depends on the seed, the image and the value's place in it, and
on nothing else; the sample is the values with the smallest keys. This is a draw without
repetition (bottom-k sampling: Cohen and Kaplan, "Summarizing data using bottom-k sketches",
PODC 2007), and holds no more than the sample in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimizer.network import Array

SEED = 1


@dataclass(frozen=True, eq=False)
class Sample:
    """Values drawn at random, and what decides which are drawn.

    ``values``: float32 (n,), in the order of their ``keys``, uint64 (n,). ``low`` and ``high``: the
    ends of zero and all values that were seen, drawn or not: they bound the range, but have no more
    weight in the sample than any other value.
    """

    values: Array
    keys: npt.NDArray[np.uint64]
    low: np.float32
    high: np.float32

    @property
    def largest(self) -> np.float32:
        """The largest magnitude."""
        return max(-self.low, self.high)

    @property
    def negative(self) -> bool:
        """Some value was below zero."""
        return bool(self.low < 0)

    def merged(self, other: Sample, count: int) -> Sample:
        """The sample of at most ``count`` of both samples' values."""
        # A full sample takes only what is below its last key.
        newer = other.keys < self.keys[-1] if len(self.keys) >= count else np.s_[:]
        keys = np.concatenate([self.keys, other.keys[newer]])
        values = np.concatenate([self.values, other.values[newer]])
        order = np.argsort(keys, kind="stable")[:count]
        return Sample(
            values[order],
            keys[order],
            min(self.low, other.low),
            max(self.high, other.high),
        )


def nonzero_sample(values: Array, first_image: int, count: int) -> Sample:
    """A sample of at most ``count`` of the non-zero ``values``, (images, ...).

    ``first_image``: the first image's number in the whole set.
    """
    rows = values.reshape(len(values), -1)
    keys = np.stack(
        [
            # Bit generators keep their stream from one numpy version to the next.
            np.random.PCG64([SEED, image]).random_raw(rows.shape[1])
            for image in range(first_image, first_image + len(rows))
        ]
    )
    nonzero = rows != 0
    drawn, drawn_keys = rows[nonzero], keys[nonzero]
    if len(drawn) > count:
        first = np.argpartition(drawn_keys, count - 1)[:count]
        drawn, drawn_keys = drawn[first], drawn_keys[first]
    order = np.argsort(drawn_keys)
    return Sample(drawn[order], drawn_keys[order], rows.min(initial=0), rows.max(initial=0))

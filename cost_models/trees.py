"""Boosted trees as arrays: what corrects the structural model, kept without pickle.

scikit-learn grows them (Friedman, Annals of Statistics 29, 2001); to predict takes numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
#: Rows that are predicted together: what they compare with stays in a cache. Fewer than the least
#: go down each tree one by one.
BLOCK, LEAST = 1024, 24

#: How they are grown: chosen by cross-validation on designs left out with their pair of formats.
SETTINGS: dict[str, Any] = {
    "n_estimators": 300,
    "learning_rate": 0.06,
    "max_depth": 4,
    "min_samples_leaf": 3,
    "subsample": 0.7,
    "max_features": 0.5,
    "random_state": 1,
}


@dataclass(frozen=True)
class Trees:
    """Full binary trees of one depth, whose sum is the prediction.

    ``feature`` and ``threshold``: of each tree its 2^depth − 1 nodes, those below node n at 2n + 1
    (at most the threshold) and 2n + 2. ``leaf``: of each tree 2^depth values.
    """

    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float32]
    leaf: npt.NDArray[np.float32]

    def predict(self, rows: Floats) -> Floats:
        """The predictions for ``rows``, of shape (n, features); shape (n,)."""
        # As scikit-learn, which compares in single precision.
        single = rows.astype(np.float32)
        if not len(self.feature):
            return np.zeros(len(rows))
        if len(rows) < LEAST:
            return self._sums(self._leaves_one_by_one(single))
        blocks = (single[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        return np.concatenate([self._sums(self._leaves_together(block)) for block in blocks])

    @cached_property
    def _pairs(self) -> Floats:
        """The sums of the leaves of two trees, by both of them; shape (pairs of trees, 4^depth).

        A tree without another has one whose leaves are zero.
        """
        leaf = self.leaf.astype(np.float64)
        if len(leaf) % 2:
            leaf = np.vstack([leaf, np.zeros_like(leaf[:1])])
        both = leaf[::2, :, None] + leaf[1::2, None, :]
        return both.reshape(len(both), -1)

    def _sums(self, leaves: npt.NDArray[np.uint8]) -> Floats:
        """The sum of the trees' ``leaves``, of shape (trees, n); shape (n,).

        In an order that n is no part of: so that of many rows each has to the last bit what it has
        alone.
        """
        if len(leaves) % 2:
            leaves = np.vstack([leaves, np.zeros_like(leaves[:1])])
        pairs, size = self._pairs.shape
        # By row, so that what is added stands together.
        several = np.min_scalar_type(size - 1).type(self.leaf.shape[1])
        which = np.ascontiguousarray((leaves[::2] * several + leaves[1::2]).T)
        places = which + np.arange(0, pairs * size, size, dtype=np.int32)
        return np.asarray(self._pairs.ravel().take(places).sum(axis=1))

    def _leaves_one_by_one(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Which leaf of each tree each row ends in; shape (trees, n)."""
        trees, nodes = self.feature.shape
        offsets = np.arange(trees) * nodes
        features, thresholds = self.feature.ravel(), self.threshold.ravel()
        node = np.zeros((len(rows), trees), dtype=np.intp)
        which = np.arange(len(rows))[:, None]
        for _ in range(int(np.log2(nodes + 1))):
            place = node + offsets
            node = 2 * node + 1 + (rows[which, features[place]] > thresholds[place])
        leaves: npt.NDArray[np.uint8] = (node - nodes).astype(np.uint8).T
        return leaves

    def _leaves_together(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """As one by one: each comparison is made once for all rows, then trees choose of them.

        Answers are bits, of eight rows in a byte.
        """
        bounds, which = self._comparisons
        columns = np.ascontiguousarray(rows.T)
        above = np.empty((sum(map(len, bounds.values())), len(rows)), np.bool_)
        start = 0
        for feature, thresholds in bounds.items():
            end = start + len(thresholds)
            np.greater(columns[feature], thresholds[:, None], out=above[start:end])
            start = end
        bits = np.packbits(above, axis=1)
        trees, nodes = self.feature.shape
        leaf = np.zeros((trees, len(rows)), np.uint8)
        chosen: list[npt.NDArray[np.uint8]] = []
        level = 1
        while level <= nodes:
            answers = [bits.take(which[:, level - 1 + i], axis=0) for i in range(level)]
            for went_right in chosen:
                half = len(answers) // 2
                answers = [
                    left ^ (went_right & (left ^ right))
                    for left, right in zip(answers[:half], answers[half:], strict=True)
                ]
            chosen.append(answers[0])
            leaf = 2 * leaf + np.unpackbits(answers[0], axis=1, count=len(rows))
            level *= 2
        return leaf

    @cached_property
    def _comparisons(self) -> tuple[dict[int, npt.NDArray[np.float32]], npt.NDArray[np.intp]]:
        """The thresholds of each feature, and which of all of them, in turn, each node asks."""
        features, thresholds = self.feature.ravel(), self.threshold.ravel()
        order = np.lexsort((thresholds, features))
        f, t = features[order], thresholds[order]
        new = np.append(True, (f[1:] != f[:-1]) | (t[1:] != t[:-1]))
        which = np.empty(len(f), dtype=np.intp)
        which[order] = np.cumsum(new) - 1
        f, t = f[new], t[new]
        bounds = {int(feature): t[f == feature] for feature in np.unique(f)}
        return bounds, which.reshape(self.feature.shape)


NONE = Trees(np.zeros((0, 1), np.int16), np.zeros((0, 1), np.float32), np.zeros((0, 2), np.float32))


def together(several: Sequence[Trees]) -> Trees:
    """Trees whose prediction is the mean of those of ``several``, of one depth."""
    parts = [np.concatenate([getattr(t, n) for t in several]) for n in ("feature", "threshold")]
    leaf = np.concatenate([one.leaf for one in several]) / len(several)
    return Trees(parts[0], parts[1], leaf.astype(np.float32))


def grow(rows: Floats, values: Floats, settings: Mapping[str, Any] = SETTINGS) -> Trees:
    """Trees that tell ``values``, of shape (n,), from ``rows``, of shape (n, features)."""
    from sklearn.ensemble import GradientBoostingRegressor  # Which a query does without.

    model = GradientBoostingRegressor(**settings, init="zero")
    model.fit(rows, values)
    depth = settings["max_depth"]
    grown = [_full(one.tree_, depth) for one in model.estimators_[:, 0]]
    return Trees(
        np.array([feature for feature, _, _ in grown], np.int16),
        np.array([threshold for _, threshold, _ in grown], np.float32),
        np.array([leaf for _, _, leaf in grown], np.float32) * np.float32(model.learning_rate),
    )


def _full(tree: Any, depth: int) -> tuple[list[int], list[float], list[float]]:
    """A tree of scikit-learn as a full one; below a leaf that stands higher all leaves are it."""
    feature, threshold = [], []
    row = [0]
    for _ in range(depth):
        below = []
        for node in row:
            is_leaf = tree.children_left[node] < 0
            feature.append(0 if is_leaf else int(tree.feature[node]))
            threshold.append(0.0 if is_leaf else _single(float(tree.threshold[node])))
            left, right = tree.children_left[node], tree.children_right[node]
            below += [node, node] if is_leaf else [left, right]
        row = below
    return feature, threshold, [float(tree.value[node][0, 0]) for node in row]


def _single(threshold: float) -> float:
    """The largest number of single precision at or below it: the same numbers lie above."""
    rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if rounded > threshold else rounded)

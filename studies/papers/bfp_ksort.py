"""Accurate block quantisation of keys: rows sorted by their norms (arXiv 2403.20137)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgen.formats.block import parse_block
from hwgen.formats.transforms import k_sort
from hwgen.spec import BlockDot
from studies.bench import Bench
from studies.colours import COLOURS
from studies.measuring import blocks, cost
from studies.study import MEASURED, Bounds, Data, Figure, Study, at_least

#: Mantissa bits with sign of keys and of queries: the paper's BFP12 and BFP16.
KEY_BITS, QUERY_BITS = 4, 8
#: Block sizes, the whole head first: of a head of 128 channels as the paper's, of the shipped one.
RANDOM, SHIPPED = (128, 64, 32), (12, 6, 4, 3)
#: Deviation of the logarithm of the norms of random key rows.
SPREAD = 1.0
TOKENS, INPUTS = 64, 128


def _scores_db(keys: Any, queries: Any, order: Any, size: int) -> float:
    """Signal to noise in dB of scores with channels in ``order``, (heads, tokens, channels)."""
    k, q = (x[..., order] for x in (keys, queries))
    quantized = [
        np.asarray(parse_block(f"bfp{bits}_b{size}").quantize(x))
        for bits, x in ((KEY_BITS, k), (QUERY_BITS, q))
    ]
    exact = np.einsum("hqc,hkc->hqk", q, k)
    error = np.einsum("hqc,hkc->hqk", quantized[1], quantized[0]) - exact
    return blocks.decibels(float(np.square(exact).sum()), float(np.square(error).sum()))


def _random(size: int, heads: int) -> list[float]:
    """Plain and sorted, of random projections; in dB, means over ``heads``."""
    rng, found = np.random.default_rng(13), []
    for _ in range(heads):
        norms = np.exp(SPREAD * rng.standard_normal((RANDOM[0], 1)))
        wk, wq = (rng.standard_normal((RANDOM[0], INPUTS)) for _ in "kq")
        x = rng.standard_normal((TOKENS, INPUTS))
        keys, queries = (x @ (w * n).T for w, n in ((wk, norms), (wq, 1.0)))
        order = k_sort(wk * norms)[0]
        found.append(
            [_scores_db(keys[None], queries[None], o, size) for o in (np.arange(RANDOM[0]), order)]
        )
    return [float(v) for v in np.mean(found, axis=0)]


def _shipped(block: int, size: int, images: int) -> list[float]:
    """Plain and sorted, of an attention of the shipped vision transformer, in dB."""
    from optimizer import inference
    from optimizer.inputs import taken
    from studies.measuring import networks

    net, heads = networks.network("vit"), 4
    few = taken(networks.images("vit").test_images, slice(0, images))
    name = f"blocks.{block}.attention"
    # (images, heads, tokens, channels) and (images, heads, channels, tokens).
    queries, keys = inference.layer_inputs(net, few, {}, name)
    weight = net.layer_node(f"{name}.key").weight
    assert weight is not None
    channels = weight.shape[1] // heads
    order = k_sort(weight.T, heads=heads)[0].reshape(heads, channels) % channels
    found = []
    for sort in (False, True):
        k, q = np.swapaxes(keys, 2, 3).astype(np.float64), queries.astype(np.float64)
        if sort:
            k, q = (np.take_along_axis(x, order[None, :, None, :], axis=3) for x in (k, q))
        k, q = (x.reshape(-1, *x.shape[2:]) for x in (k, q))
        found.append(_scores_db(k, q, np.arange(channels), size))
    return found


def measure(bench: Bench) -> Data:
    """Noise of scores, plain and sorted, by block size; area by block size."""
    heads, images = 64, 32 if bench.quick else 256
    return {
        "random": {str(n): bench.kept(_random, n, heads) for n in RANDOM},
        "shipped": {
            str(n): [bench.kept(_shipped, block, n, images) for block in (0, 1)] for n in SHIPPED
        },
        "luts": {
            str(n): cost.luts(BlockDot(a=f"bfp{KEY_BITS}_b{n}", b=f"bfp{QUERY_BITS}_b{n}"), "xc7")
            for n in RANDOM
        },
        "heads": heads,
        "images": images,
    }


def judge(data: Data) -> list[Figure]:
    """What sorting brings, by block size."""
    figures = []
    how = (
        f"queries times keys in block floating point of {QUERY_BITS} and {KEY_BITS} bits, rows of "
        "the key projection sorted by norm, those of queries alike; noise of scores"
    )
    for n, (plain, by_norm) in data["random"].items():
        whole = int(n) == RANDOM[0]
        figures.append(
            Figure(
                what=f"signal to noise that sorting brings, random heads of 128, blocks of {n}",
                paper="no gain" if whole else "gain",
                ours=by_norm - plain,
                unit="dB",
                source=MEASURED,
                how=f"{how}; norms of rows log-normal, deviation {SPREAD:g}",
                samples=f"{data['heads']} heads of {TOKENS} tokens",
                bounds=Bounds((-0.01, 0.01), (-0.1, 0.1)) if whole else at_least(0.5, 0.05),
                why="sorting puts all large rows into the blocks of the coarsest steps; what gains "
                "are the small ones, which count little in the sum",
            )
        )
    for n, both in data["shipped"].items():
        whole = int(n) == SHIPPED[0]
        gain = float(np.mean([by_norm - plain for plain, by_norm in both]))
        figures.append(
            Figure(
                what=f"the same, shipped transformer's heads of 12, blocks of {n}",
                paper="no gain" if whole else "gain",
                ours=gain,
                unit="dB",
                source=MEASURED,
                how=f"{how}; mean of its two attentions",
                samples=f"{data['images']} test images of 49 tokens, 4 heads",
                bounds=Bounds((-0.01, 0.01), (-0.1, 0.1)) if whole else at_least(0.5, 0.05),
                why="the rows of this small network's key projections have norms that differ "
                "little",
            )
        )
    luts = data["luts"]
    figures.append(
        Figure(
            what="LUTs a lane of blocks of 32 over blocks of 128",
            **cost.ratio(luts["32"], luts["128"], 4.0),
            how="cost model, block dot product rounded "
            "to FP32, 7-series; the interval is that of one unit",
            samples="one unit of each size",
        )
    )
    return figures


def draw(figure: Any, data: Data) -> None:
    """Noise by block size, plain and sorted."""
    for axes, what in zip(figure.subplots(1, 2), ("random", "shipped"), strict=True):
        sizes = list(data[what])
        rows = [np.mean(np.atleast_2d(data[what][n]), axis=0) for n in sizes]
        for i, label in enumerate(("as they are", "sorted")):
            axes.plot(sizes, [r[i] for r in rows], "o-", color=COLOURS[i], label=label)
        axes.set_xlabel("numbers in a block")
        axes.set_title("random heads" if what == "random" else "shipped transformer", fontsize=10)
        axes.set_ylabel("signal to noise of scores, dB (measured)")
        axes.legend()


STUDY = Study(
    name="bfp_ksort",
    title="K-sort: rows of the key projection sorted by norm",
    paper="Accurate Block Quantization in LLMs with Outliers, arXiv 2403.20137",
    claim="Sorting the rows of the key projection by norm, and those of queries alike, lets keys "
    "be "
    "kept in block floating point of 4 bits: no gain in blocks of a whole head (128), a gain in "
    "blocks of 64 and 32.",
    measure=measure,
    judge=judge,
    draw=draw,
    notes="The paper's figure of merit is the perplexity of Llama 2, which is not at hand. The "
    "order "
    "is worked out before the network runs, and costs nothing.",
    needs=("onnx", "onnxruntime", "threadpoolctl"),
)

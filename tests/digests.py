"""Digests of the hardware of some 1,000 specs: what a change of the generators has changed.

``digests.jsonl`` has a line for each spec of six groups: 506 drawn of all units; some of each unit
that are tuned for a target, that ``hwgen.pipelined`` made for a clock, and that pack products for a
multiplier of a certain size; one in eight of the shipped measurements; and the samples of the delay
models. A line says what the spec is and has
the first 16 digits of the SHA-256 of its RTLIL and of its Verilog, without the header. The specs
stand in the file, so that they stay what they are when how specs are drawn changes. They are the
same under every supported Python.

    python tests/digests.py                 make all again, and name each difference
    python tests/digests.py --group drawn   of one group
    python tests/digests.py --count 60      of 60 lines spread over the file
    python tests/digests.py --update        check all RTLIL, and write the Verilog's new digests
    python tests/digests.py --record        draw the specs again, and write the file

A difference in RTLIL makes the measurements and proofs of that spec stale; one in Verilog alone
does not. Exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cost_models import measurement
from hwgen import InputError, emit, pipelined
from hwgen.sizes.dsp_multiplier import SIZED
from hwgen.spec import UNITS, Array, BlockDot, DotProduct, Spec, from_dict
from sim.random_specs import legal_spec, legal_specs

FILE = Path(__file__).with_suffix(".jsonl")
SEED, DRAWN, OF_EACH_UNIT, OF_EACH_SIZE = 20, 506, 6, 4
#: One in so many of the measured designs.
OF_MEASURED = 8
TARGET = "ecp5"
DIGITS = 16

#: What a difference is called where there is no digest: the spec cannot be made any more.
FAILED = "failed"


@dataclass(frozen=True)
class Row:
    """A spec, why it is here, and the digests of its texts."""

    group: str
    spec: dict[str, Any]
    rtlil: str = ""
    verilog: str = ""


def rows() -> Iterator[Row]:
    """The rows of a new file, without digests; each spec once."""
    seen: set[Spec] = set()
    for group, specs in GROUPS.items():
        for spec in specs():
            # What is not given stays out: it is what a spec has without it.
            fields = {k: v for k, v in spec.to_dict().items() if v not in (None, "")}
            assert from_dict(fields) == spec
            if spec not in seen:
                seen.add(spec)
                yield Row(group, fields)


def _drawn() -> Iterator[Spec]:
    for _, spec in zip(range(DRAWN), legal_specs(SEED), strict=False):
        yield spec


def _tuned() -> Iterator[Spec]:
    for kind, rng in _units():
        for _ in range(OF_EACH_UNIT):
            yield legal_spec(kind, rng, {"pipeline_target": TARGET})


def _pipelined() -> Iterator[Spec]:
    """For a clock that is drawn; a lower one where no stages reach it.

    Where that is no clock, another unit is drawn.
    """
    for kind, rng in _units():
        left = OF_EACH_UNIT
        while left:
            spec = legal_spec(kind, rng, {"pipeline_target": ""})
            fmax_mhz = float(rng.uniform(60, 300))
            while spec.mapping == "lut" and fmax_mhz > 20:
                try:
                    tuned = pipelined(spec, fmax_mhz=fmax_mhz, target=TARGET)
                except InputError:
                    fmax_mhz *= 0.8
                    continue
                yield tuned
                left -= 1
                break


def _packed() -> Iterator[Spec]:
    """Of each unit that packs products, for each size of a multiplier; half of arrays of blocks."""
    for kind in (DotProduct, BlockDot, Array):
        for mapping in SIZED:
            rng = np.random.default_rng([SEED, *f"{kind.unit} {mapping}".encode()])
            for index in range(OF_EACH_SIZE):
                blocks = {"a": "e2m1_b4_ue4m3"} if kind is Array and index % 2 else {}
                yield legal_spec(kind, rng, {"mapping": mapping, **blocks})


def _units() -> Iterator[tuple[type[Spec], np.random.Generator]]:
    """Each unit with random numbers of its own, so that a new unit changes no other's."""
    for kind in UNITS.values():
        yield kind, np.random.default_rng([SEED, *kind.unit.encode()])


def _measured() -> Iterator[Spec]:
    """Those whose names' digests are multiples, so that new ones change no other's being here."""
    for measured in measurement.shipped():
        spec = from_dict(measured.spec)
        if int(digest(spec.name), 16) % OF_MEASURED == 0:
            yield spec


def _placed() -> Iterator[Spec]:
    from cost_models import delays

    for sample in delays.shipped():
        yield sample.spec


GROUPS = {
    "drawn": _drawn,
    "tuned": _tuned,
    "pipelined": _pipelined,
    "packed": _packed,
    "measured": _measured,
    "placed": _placed,
}


def recorded() -> list[Row]:
    """The rows of the file."""
    return [Row(**json.loads(line)) for line in FILE.read_text("utf-8").splitlines()]


def made(row: Row) -> Row:
    """The row with the digests of what is made of its spec now."""
    try:
        spec = from_dict(row.spec)
        text = emit.rtlil(spec)
        return Row(row.group, row.spec, digest(text), digest(emit.body(text)))
    except Exception as error:  # Whatever it is, it is a difference, and others are looked for.
        return Row(row.group, row.spec, f"{FAILED}: {type(error).__name__}: {error}", FAILED)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def differences(old: Row, new: Row) -> list[str]:
    """What differs, in words."""
    if new.rtlil.startswith(FAILED):
        return [new.rtlil]
    return [name for name in ("rtlil", "verilog") if getattr(old, name) != getattr(new, name)]


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """``count`` of them at the same distances: some of every group."""
    return [rows[i * len(rows) // count] for i in range(count)]


def all_made(rows: Sequence[Row], jobs: int, *, quiet: bool = False) -> Iterable[Row]:
    """``made`` of all, in their order, by ``jobs`` processes, with progress."""
    # Not forked: threads of numpy and of pytest's workers may hold locks.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for count, row in enumerate(pool.imap(made, rows, chunksize=4), 1):
            if not quiet and (count % 50 == 0 or count == len(rows)):
                print(f"{count} of {len(rows)}", file=sys.stderr, flush=True)
            yield row


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the file")
    parser.add_argument("--update", action="store_true", help="write the digests of Verilog anew")
    parser.add_argument("--group", choices=GROUPS, help="check rows of this group alone")
    parser.add_argument("--count", type=int, help="check so many rows, spread over the file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    if options.record or options.update:
        if options.group or options.count is not None:
            parser.error("the whole file is made: leave out --group and --count")
        old = list(rows()) if options.record else recorded()
        new = list(all_made(old, options.jobs))
        if options.update:
            of_rtlil = [dataclasses.replace(row, verilog="") for row in (*old, *new)]
            if report(of_rtlil[: len(old)], of_rtlil[len(old) :]):
                return 1
        lines = [json.dumps(vars(row), sort_keys=True) + "\n" for row in new]
        FILE.write_text("".join(lines), "utf-8")
        print(f"{len(lines)} rows in {FILE}")
        return 0
    chosen = [row for row in recorded() if options.group in (None, row.group)]
    if options.count is not None:
        if not 0 < options.count <= len(chosen):
            parser.error(f"--count {options.count}: use 1 to {len(chosen)}")
        chosen = spread(chosen, options.count)
    return report(chosen, all_made(chosen, options.jobs))


def report(old: Sequence[Row], new: Iterable[Row]) -> int:
    """Prints what differs; 1 if anything does."""
    counts: Counter[str] = Counter()
    for before, now in zip(old, new, strict=True):
        names = differences(before, now)
        if names:
            counts.update(names)
            print(f"{before.group}: {', '.join(names)} differs: {before.spec}", flush=True)
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version}: {len(old)} specs, {sum(counts.values())} differences")
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())

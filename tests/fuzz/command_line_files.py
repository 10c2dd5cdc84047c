"""The files that malformed command lines name, valid and damaged ones."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

FILES = (
    *("weights.npy", "nan.npy", "matrix.npy", "scalar.npy", "none.npy", "complex.npy", "text.npy"),
    *("truth.npy", "object.npy", "dates.npy", "records.npy", "wide.npy", "short.npy", "head.npy"),
    *("empty.npy", "huge.npy", "minus.npy", "deep.npy", "weights.csv", "words.txt", "empty.txt"),
    *("latin.csv", "nan.txt", "long.txt", "nul.csv", "many.csv", "bom.csv", "latin.md", "plain.md"),
    *("proofs.md", "results.md", "kept.jsonl", "deep.jsonl", "folder", "results", "damaged"),
    *("model.onnx", "data.npz", "short-model.onnx", "flipped-model.onnx", "short-data.npz"),
    *("flipped-data.npz", "other.npz", "folder.npy", "new.onnx"),
    *("plan.toml", "latin.toml", "deep.toml", "long.toml", "half.toml", "other.toml"),
)
#: A valid plan of a sweep: the fields of its table, in TOML.
PLAN = {
    **{"unit": '"fixeddot"', "targets": '["ecp5", "xc7"]', "sample": '"latin"', "count": "2"},
    **{"seed": "3", "place": "0.5", "a": '["int4", "e2m1"]', "b": '"like a"'},
    **{"lanes": "{ from = 2, to = 4 }", "weights": '"random"'},
}
#: What stands in place of one of them.
PLAN_FIELDS = (
    *("true", "-1", "0", "1.5", "1" + "0" * 30, "nan", "inf", '""', '"x"', "[]", "[[]]", "{}"),
    *("{ a = 1 }", "{ from = 3, to = 2 }", "{ from = 1, to = 1000000000000 }", "1979-05-27"),
    *("{ from = 0, to = 2 }", "{ from = true, to = 2 }", '"int4"', '["int4", 3]', '"listed"'),
    *('"like a"', '"random"', '"é"', f'"{"a" * 300}"', "[1, 2]", '["ecp5", ["xc7"]]', '"\\u0000"'),
    *('"grid"', '"unsure"', '"fp64"', '"mxfp4"', "[{ from = 1, to = 2 }]", "1e308", '"e8m0"'),
)
#: Plans with such a field, or without one, by their files.
PLANS = {
    f"plan-{name}-{number}.toml": {**PLAN, name: value}
    for name, (number, value) in itertools.product((*PLAN, "x"), enumerate(PLAN_FIELDS))
} | {f"plan-{left}.toml": {k: v for k, v in PLAN.items() if k != left} for left in PLAN}
#: Lines of a store that are no rows of it.
DAMAGED_LINES = b'null\n[]\n"x"\n{}\n{"key": 3}\n{"key": "k", "result": "proved"}\n\xff\n[[[\n{"key'


def write_files(folder: Path) -> None:
    """The valid and the damaged files that the lines name."""
    _write_arrays(folder)
    _write_texts(folder)
    for name in ("folder", "locked", "results", "damaged"):
        (folder / name).mkdir()
    (folder / "results" / "results.jsonl").write_bytes(DAMAGED_LINES)
    _write_workloads(folder)
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere/at/all")
    (folder / "locked").chmod(0o500)


def _write_arrays(folder: Path) -> None:
    """Arrays of every kind, and files that are none."""
    np.save(folder / "weights.npy", np.array([3.0, -5.0, 7.0]))
    arrays: dict[str, Any] = {
        "nan": np.array([1.0, np.nan]),
        "matrix": np.ones((2, 2)),
        "scalar": np.array(3.0),
        "none": np.ones(0),
        "complex": np.array([1j]),
        "text": np.array(["1", "x"]),
        "truth": np.array([True]),
        "object": np.array([1, None], dtype=object),
        "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
        "records": np.zeros(3, dtype=[("a", int)]),
        "wide": np.ones(3, np.longdouble),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=True)
    content = (folder / "weights.npy").read_bytes()
    (folder / "short.npy").write_bytes(content[:-9])
    (folder / "head.npy").write_bytes(content[:40])
    (folder / "empty.npy").write_bytes(b"")
    for name, shape in (
        ("huge", "(1152921504606846976,)"),
        ("minus", "(-3,)"),
        ("deep", "(" * 5000),
    ):
        head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        (folder / f"{name}.npy").write_bytes(
            b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(24)
        )


def _write_texts(folder: Path) -> None:
    """Lists of numbers, pages and lines of JSON."""
    from sim.formal import page
    from sim.report import BEGIN, END

    (folder / "weights.csv").write_text("3,-5\n7\n")
    texts = {"words.txt": b"one two", "empty.txt": b"", "latin.csv": b"1,\xff", "nan.txt": b"nan 1"}
    texts |= {"long.txt": b"9" * 10_000, "nul.csv": b"1,\0,2", "many.csv": b"1," * 100_000 + b"1"}
    texts |= {"bom.csv": b"\xef\xbb\xbf1,2", "latin.md": b"\xff", "plain.md": b"no place"}
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    for name, fields in {"plan.toml": PLAN, **PLANS}.items():
        (folder / name).write_text(_plan(fields), "utf-8")
    damaged = {"latin": b"\xff", "deep": b"x = " + b"[" * 5000, "half": _plan(PLAN).encode()[:-9]}
    damaged |= {"long": b"x = " + b"9" * 5000, "other": b"title = 'x'\n" + _plan(PLAN).encode()}
    for name, text in damaged.items():
        (folder / f"{name}.toml").write_bytes(text)
    (folder / "proofs.md").write_text(f"{page.BEGIN}\n{page.END}\n")
    (folder / "results.md").write_text(f"{BEGIN}\n{END}\n")
    (folder / "kept.jsonl").write_bytes(DAMAGED_LINES)
    (folder / "deep.jsonl").write_bytes(b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n")


def _plan(fields: dict[str, str]) -> str:
    return "[[designs]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())


def _write_workloads(folder: Path) -> None:
    """The shipped network and its data, whole, cut off and changed."""
    from optimizer.workloads import fashion_mnist

    for name in ("model.onnx", "data.npz"):
        file = fashion_mnist.MODEL if name.endswith("onnx") else fashion_mnist.DATA
        content = file.read_bytes()
        (folder / name).symlink_to(file)
        (folder / f"short-{name}").write_bytes(content[: len(content) // 2])
        flipped = bytearray(content)
        flipped[len(content) // 3 : len(content) // 3 + 50] = bytes(50)
        (folder / f"flipped-{name}").write_bytes(flipped)
    np.savez(folder / "other.npz", calibration_images=np.ones(3), test_images=np.ones(3))

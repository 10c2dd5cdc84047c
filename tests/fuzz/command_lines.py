"""Malformed command lines: none may end in a traceback, in a hang, or in success with nothing done.

    python tests/fuzz/command_lines.py --seed 1 --count 1000
    python tests/fuzz/command_lines.py --directed

Each line is a valid one with some mutations. It runs in a process of its own, in a folder of
valid and damaged files, up to where a valid line would begin long work (a simulation, a proof, a
synthesis); from there on it is no malformed line. Judged are the exit code (0 or 2), the words
(one line that says what is wrong), what is left behind (nothing, if it was refused), and that
each option which was given has been read before a line is called good.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import resource
import select
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

#: Seconds of the clock and of the processor, and bytes, that a line may take.
WALL_S, CPU_S, MEMORY = 240, 60, 8 << 30
WORKED = 99
SPEC = {"unit": "dot", "a": "e2m1", "b": "int4", "lanes": 2}
DOT = ["dot", "--a", "e2m1", "--b", "int4", "--lanes", "2"]

#: Valid lines of each command.
VALID = [
    ["formats"],
    ["formats", "int4", "e2m1", "--json"],
    ["formats", "e2m1", "--picture", "new/picture.svg"],
    ["units"],
    ["units", "--json"],
    ["generate", *DOT, "--out", "new", "--with", "core,template"],
    ["generate", *DOT, "--out", "new", "--stream", "--json"],
    ["generate", "mul", "--a", "int4", "--b", "e2m1", "--fmax-mhz", "100", "--target", "ecp5"],
    ["generate", "fixeddot", "--a", "int4", "--b", "int8", "--weights", "3,-5,7"],
    ["generate", "fixeddot", "--a", "int4", "--b", "e4m3", "--weights", "weights.npy"],
    ["generate", "fixeddot", "--a", "int4", "--b", "int8", "--weights", "weights.csv"],
    ["generate", "convert", "--a", "fp16", "--b", "e2m1", "--rounding", "stochastic"],
    ["generate", "blockdot", "--a", "e2m1_b4_e8m0", "--b", "e2m1_b4_e8m0", "--output", "fp32"],
    ["generate", "quantizer", "--a", "fp16", "--b", "e2m1_b4_e8m0", "--scale-rule", "floor"],
    [
        "generate",
        "multidot",
        "--formats",
        "int8:int4,int4",
        "--lanes",
        "2",
        "--primitives",
        "ice40",
    ],
    ["generate", "accumulator_to_float", "--bits", "20", "--b", "fp16", "--lsb-exponent", "-4"],
    ["verify", *DOT, "--vectors", "50", "--seed", "3"],
    ["verify", "mul", "--a", "int4", "--b", "int4", "--stream", "--json"],
    ["regress", "--spec", json.dumps(SPEC), "--vectors", "20", "--seed", "1", "--lint"],
    ["regress", "--spec", json.dumps(SPEC), "--level", "ecp5", "--simulator", "icarus"],
    ["regress", "--spec", json.dumps(SPEC), "--wave", "new/wave.vcd", "--coverage", "--json"],
    ["regress", "--spec", '{"unit": "mul", "a": "int2", "b": "int2"}', "--check", "exhaustive"],
    ["regress", "random", "--count", "5", "--jobs", "1", "--out", "new", "--unit", "dot,mul"],
    ["regress", "levels", "--unit", "dot", "--level", "rtl,ecp5", "--again", "--vectors", "9"],
    ["regress", "--page", "results.md", "--out", "results"],
    ["mutate", *DOT, "--mutants", "3", "--vectors", "20", "--timeout", "5", "--json"],
    ["mutate", "--all", "--store", "kept.jsonl", "--seed", "2"],
    ["prove", "mul", "--a", "int4", "--b", "int4", "--property", "reference", "--timeout", "9"],
    ["prove", *DOT, "--property", "netlist", "--target", "ecp5"],
    ["prove", "--all", "--property", "stream", "--store", "kept.jsonl", "--json"],
    ["prove", "--all", "--page", "proofs.md"],
    ["synth", *DOT, "--target", "xc7", "--json"],
    ["synth", "mul", "--a", "int8", "--b", "int8", "--mapping", "dsp", "--stages", "2"],
    ["cost", *DOT, "--target", "ecp5", "--json"],
    ["cost", *DOT, "--target", "ice40", "--energy"],
    ["sweep", "--export", "new/measurements.jsonl"],
    [*("optimize", "--model", "model.onnx", "--data", "data.npz"), "--formats", "int4,int8"],
    ["optimize", "--formats", "int4", "--fps", "100", "--clock-mhz", "100", "--max-drop", "1"],
    ["optimize", "--style", "shared", "--target", "ice40", "--formats", "int4,e2m1"],
]

NUMBERS = (
    *("0", "-1", "1", "3", "10", str(10**18), str(10**400), "9" * 5000, "-" + "9" * 30, "nan"),
    *(
        "inf",
        "-inf",
        "1e309",
        "1e-320",
        "-0.0",
        "",
        " ",
        "1_0",
        "\u0663",
        "0x10",
        "1.5",
        "+",
        "1e3",
    ),
    *(str(2**31), str(2**63), str(2**64), "None", "True"),
)
TEXTS = (
    *("", " ", "\n", "\t", "a" * 300, "x" * 20_000, "é", "𝔸", "\ud800", "a\0b", "%s%n", "{0}", ","),
    *("int4,", ",int4", "int4,int4", "int4:int4:int4", "[" * 5000, '"', "'", "--", "-", "-1", "\\"),
    *(
        "e99m99",
        "e0m0",
        "e2m1_b0_e8m0",
        "e2m1_b99999999_e8m0",
        "int0",
        "int99999999999999",
        "int-4",
    ),
    *("fixed8_999999", "fixed:24", "fixed:999999:8", "aligned:0", "lns3f2", "mxfp4", "nvfp4"),
    *("uint4", "e8m0", "fp32", "e4m3fn", "bf16:stochastic", "all", "netlist", "rtl", "ecp6", "dsp"),
    *("int4\u200b", "INT4", "ｉｎｔ４", "Binary8p4sf", "Binary2p1uf", "e2m1b\u0660"),
)
PATHS = (
    *("", " ", ".", "..", "/", "/dev/null", "/dev/full", "/dev/null/x", "/proc/1/x", "nowhere/x"),
    *("folder", "folder/", "a" * 300, "a/" * 3000, "a\0b", "\udcff", "é.npy", "new.npy", "x.svg"),
    *("/nowhere/x.npz", "locked", "locked/x", "x\ny", "-", "--", "loop", "dangling", "pipe.txt"),
)
LISTS = (
    *("nan", "inf", "1e400", "1,,2", ",", "1;2", "1,x", "0,0", "1," * 300 + "1", "0.1", "1e308,1"),
    *("١,٢", "9" * 5000, "1e-320", "-0", "--3", "0x3", "1_0,2", "1 2"),
)
JSONS = (
    *('"x"', "[]", "{}", "null", "3", "{", "[" * 5000, '{"unit":["mul"]}', '{"unit":null}', ""),
    *(
        '{"a":' * 3000,
        '{"unit":"mul","unit":"dot"}',
        '{"unit":"\\ud800"}',
        '{"unit":"mul","a":NaN}',
    ),
    *(
        "9" * 5000,
        '{"unit":"mul","a":1e999,"b":{}}',
        '{"unit":"dot","lanes":"2"}',
        "{'unit':'mul'}",
    ),
)
#: What stands in place of a field of a spec.
FIELDS = (
    *(None, True, -1, 0, 1.5, 10**30, float("nan"), float("inf"), "", "x", [], [[]], {}, {"a": 1}),
    *("int4", ["int4"], "é", "a" * 300, [1, 2], "\x00"),
)
UNKNOWN = ("--jason", "--lane", "--", "-x", "--=", "---", "-", "—json", "--a=", "--no-json", "-1")


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
    whole = (folder / "weights.npy").read_bytes()
    (folder / "short.npy").write_bytes(whole[:-9])
    (folder / "head.npy").write_bytes(whole[:40])
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
    (folder / "proofs.md").write_text(f"{page.BEGIN}\n{page.END}\n")
    (folder / "results.md").write_text(f"{BEGIN}\n{END}\n")
    (folder / "kept.jsonl").write_bytes(DAMAGED_LINES)
    (folder / "deep.jsonl").write_bytes(b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n")


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


FILES = (
    *("weights.npy", "nan.npy", "matrix.npy", "scalar.npy", "none.npy", "complex.npy", "text.npy"),
    *("truth.npy", "object.npy", "dates.npy", "records.npy", "wide.npy", "short.npy", "head.npy"),
    *("empty.npy", "huge.npy", "minus.npy", "deep.npy", "weights.csv", "words.txt", "empty.txt"),
    *("latin.csv", "nan.txt", "long.txt", "nul.csv", "many.csv", "bom.csv", "latin.md", "plain.md"),
    *("proofs.md", "results.md", "kept.jsonl", "deep.jsonl", "folder", "results", "damaged"),
    *("model.onnx", "data.npz", "short-model.onnx", "flipped-model.onnx", "short-data.npz"),
    *("flipped-data.npz", "other.npz", "folder.npy", "new.onnx"),
)


# -- the lines -----------------------------------------------------------------------------


def lines(seed: int, count: int) -> Iterator[list[str]]:
    """Mutated command lines, the same of a seed."""
    rng = random.Random(seed)
    options = options_of_commands()
    for index in range(count):
        line = list(VALID[index % len(VALID)])
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            line = rng.choice(MUTATIONS)(line, rng, options)
        yield line


def directed() -> Iterator[list[str]]:
    """One wrong value at a time, each file, list, text and field of JSON where it could stand."""
    fixed = ["generate", "fixeddot", "--a", "int4", "--b", "int8", "--weights"]
    yield from ([*fixed, word] for word in (*FILES, *PATHS, *LISTS))
    yield from (["regress", "--spec", text] for text in JSONS)
    for value in FIELDS:
        for name in ("unit", "a", "lanes", "output", "accumulator", "mapping", "x"):
            yield ["regress", "--spec", json.dumps({**SPEC, name: value})]
    networks = [name for name in FILES if ".onnx" in name or ".np" in name]
    for path in (*networks, *PATHS):
        yield ["optimize", "--model", path, "--data", "data.npz", "--formats", "int4"]
        yield ["optimize", "--model", "model.onnx", "--data", path, "--formats", "int4"]
    for text in TEXTS:
        yield ["formats", text]
        yield ["generate", "convert", "--a", "fp16", "--b", text]
        yield ["generate", "mac", "--a", "int4", "--b", "int4", "--accumulator", text]
        yield ["generate", "multidot", "--lanes", "2", "--formats", text]
        yield ["generate", *DOT, "--primitives", text]
        yield ["optimize", "--formats", text]
        yield ["cost", *DOT, "--target", text]


def options_of_commands() -> dict[str, list[tuple[str, bool]]]:
    """The options of each command, and whether a value follows."""
    from hwgen.cli import command_line_parser

    (commands,) = (
        action
        for action in command_line_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {
        name: [
            (action.option_strings[0], action.nargs != 0)
            for action in parser._actions
            if action.option_strings and action.dest != "help"
        ]
        for name, parser in commands.choices.items()
    }


Options = dict[str, list[tuple[str, bool]]]


def any_value(option: str, rng: random.Random) -> str:
    """Something that is wrong for most options, of the kind that this one takes or not."""
    files = option in ("--out", "--picture", "--wave", "--store", "--page", "--export", "--model")
    pools = [NUMBERS, TEXTS]
    if files or option in ("--data", "--test-data"):
        pools = [PATHS, PATHS, FILES, FILES, TEXTS]
    elif option == "--weights":
        pools = [LISTS, FILES, PATHS, TEXTS]
    elif option == "--spec":
        return rng.choice([*JSONS, mutated_spec(rng), mutated_spec(rng), mutated_spec(rng)])
    return rng.choice(rng.choice(pools))


def mutated_spec(rng: random.Random) -> str:
    """A spec with a wrong field."""
    fields: dict[str, Any] = dict(SPEC)
    name = rng.choice([*fields, "output", "accumulator", "max_products", "stages", "mapping", "x"])
    fields[name] = rng.choice(FIELDS)
    if rng.random() < 0.2:
        del fields[rng.choice(list(fields))]
    return json.dumps(fields)


def other_value(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """Another value of an option that is there."""
    places = [i for i, word in enumerate(line[:-1]) if word.startswith("--")]
    if not places:
        return added(line, rng, options)
    at = rng.choice(places)
    return [*line[: at + 1], any_value(line[at], rng), *line[at + 2 :]]


def added(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """An option of the command, or one that is there again."""
    known = options.get(line[0] if line else "")
    if not known:
        return unknown(line, rng, options)
    option, value = rng.choice(known)
    words = [option]
    if value:
        words.append(any_value(option, rng))
        if rng.random() < 0.3:
            words = ["=".join(words)]
    return [*line, *words]


def unknown(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """Words that no command knows."""
    at = rng.randint(0, len(line))
    return [*line[:at], rng.choice((*UNKNOWN, *TEXTS)), *line[at:]]


def dropped(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """A word is not there."""
    at = rng.randrange(len(line)) if line else 0
    return [*line[:at], *line[at + 1 :]]


def swapped(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """Two words in each other's place."""
    if len(line) < 2:
        return line
    i, j = rng.sample(range(len(line)), 2)
    line = list(line)
    line[i], line[j] = line[j], line[i]
    return line


def doubled(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """A part of the line twice."""
    at = rng.randrange(len(line)) if line else 0
    return [*line, *line[at : at + 2]]


def garbled(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """A character of a word changed, or its end cut off."""
    places = [i for i, word in enumerate(line) if word]
    if not places:
        return line
    at = rng.choice(places)
    where = rng.randrange(len(line[at]))
    sign = rng.choice(("", "\0", "é", "9", "-", ",", '"', "\ud800", "\n", "_", ":"))
    word = line[at][:where] + sign + line[at][where + (rng.random() < 0.5) :]
    return [*line[:at], rng.choice((word, line[at][:where])), *line[at + 1 :]]


def another_command(line: list[str], rng: random.Random, options: Options) -> list[str]:
    """The words of one command with another."""
    return [rng.choice((*options, "make", "", "é")), *line[1:]]


MUTATIONS: tuple[Callable[[list[str], random.Random, Options], list[str]], ...] = (
    *(other_value, other_value, other_value, other_value, added, added, added),
    *(unknown, dropped, swapped, doubled, garbled, another_command),
)


# -- one line ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a line.

    ``code``: the exit code, None if it took too long; ``unread``: the options that were given and
    not read; ``left``: what is in the folder that was not.
    """

    code: int | None
    out: str
    err: str
    unread: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def wrong(self) -> str:
        """What is wrong with it, or nothing."""
        lines = self.err.strip().splitlines()
        if self.code is None:
            return f"took longer than {WALL_S} s"
        if self.code not in (0, 2, WORKED):
            return f"exit code {self.code}"
        if "Traceback" in self.err:
            return "a traceback"
        if self.code == 2:
            if not lines or not lines[-1].startswith("hwgen: error: ") or self.err.count("\n") > 9:
                return "no line that says what is wrong"
            if self.left:
                return f"refused, and left {', '.join(self.left)}"
            return f"refused, and printed {self.out[:80]!r}" if self.out else ""
        if self.unread:
            return f"did not read {', '.join(self.unread)}"
        if self.code == 0 and not self.out and not self.left:
            return "did nothing"
        return ""


class Work(BaseException):
    """The line is valid, and long work would begin."""


def begin_work(*given: Any, **named: Any) -> Any:
    raise Work


def no_logits(network: Any, images: np.ndarray, workers: int | None) -> np.ndarray:
    """In place of FP32's results, for which a network takes a minute."""
    return np.zeros((len(images), network.shapes[network.output][-1]))


def stop_at_work() -> None:
    """In this process, long work ends at once."""
    import cost_models
    import sim
    from cost_models import sweep
    from optimizer import evaluation, explore
    from sim import formal, mutation, regression

    for module, name in (
        *((sim, "verify"), (sim, "verify_stream"), (sweep, "run"), (explore, "calibrate")),
        *((cost_models, "synthesise"), (cost_models, "energy"), (formal, "prove_all")),
        *((mutation, "mutate_all"), (regression, "run"), (regression, "examine")),
    ):
        assert hasattr(module, name)
        setattr(module, name, begin_work)
    assert hasattr(evaluation, "_fp32")
    evaluation._fp32 = no_logits


class Recorder(argparse.Namespace):
    """Options that remember which of them were read."""

    seen: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        type(self).seen.add(name)
        return super().__getattribute__(name)


def record_reads() -> Callable[[], list[str]]:
    """In this process, commands read a ``Recorder``; the function tells what was not read."""
    from hwgen import cli

    complete, given = cli.complete, set()

    def recorded(parser: Any, options: argparse.Namespace) -> None:
        given.update(set(vars(options)) - {"command", "run", "parser", "arguments"})
        complete(parser, options)
        options.__class__ = Recorder

    cli.complete = recorded
    return lambda: sorted(given - Recorder.seen)


def child(line: list[str], folder: Path, answer: int) -> None:
    """Runs a line in this process, which then ends."""
    code, unread = 255, []
    try:
        os.setsid()
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        tempfile.tempdir = str(folder.parent / "temporary")
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        from hwgen.cli import main

        stop_at_work()
        unread_options = record_reads()
        try:
            code = main(line)
        except SystemExit as end:
            code = int(end.code or 0)
        except Work:
            code = WORKED
        unread = unread_options()
        if code == WORKED:  # These are read when there are results.
            unread = [name for name in unread if name not in ("json", "export")]
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os.write(answer, json.dumps([code, unread]).encode())
        os._exit(0)


def run_line(line: list[str], scratch: Path) -> Outcome:
    """What becomes of the line, in a new folder of files inside of ``scratch``."""
    folder = scratch / "files"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(scratch / "fresh", folder, symlinks=True)
    before = contents(folder)
    here, there = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(here)
        child(line, folder, there)
    os.close(there)
    ready, _, _ = select.select([here], [], [], WALL_S)
    answer = os.read(here, 1 << 16) if ready else b""
    os.close(here)
    if not answer:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    code, unread = json.loads(answer) if answer else (None, [])
    if ready and not answer:
        code = -os.WTERMSIG(status)
    texts = [(scratch / n).read_text("utf-8", errors="replace") for n in ("out", "err")]
    after = contents(folder)
    left = [name for name in after if after[name] != before.get(name)]
    left += [f"no {name}" for name in before if name not in after]
    return Outcome(code, *texts, tuple(unread), tuple(left))


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of all that is in the folder."""
    return {
        str(path.relative_to(folder)): (0, 0)
        if path.is_dir()
        else (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def run(name: str, tried: list[list[str]], tell: Callable[[str], None]) -> int:
    """Runs the lines, which are called ``name``; returns how many were wrong."""
    import cost_models  # noqa: F401
    import sim.case_list
    import sim.formal  # noqa: F401
    from optimizer import optimize  # noqa: F401

    wrong, codes, started = 0, dict.fromkeys((0, 2, WORKED), 0), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hwgen-fuzz-") as folder:
        scratch = Path(folder)
        (scratch / "fresh").mkdir()
        (scratch / "home").mkdir()
        (scratch / "temporary").mkdir()
        write_files(scratch / "fresh")
        os.environ |= {"HOME": str(scratch / "home"), "XDG_DATA_HOME": str(scratch / "home")}
        os.environ |= {"HWGEN_STORE": str(scratch / "home" / "store.sqlite")}
        for number, line in enumerate(tried, 1):
            outcome = run_line(line, scratch)
            if outcome.code in codes:
                codes[outcome.code] += 1
            if outcome.wrong:
                wrong += 1
                shown = shlex.join(word if len(word) < 200 else word[:60] + "…" for word in line)
                lines = outcome.err.strip().splitlines()[-1:] or [""]
                tell(f"{outcome.wrong}: line {number}: hwgen {shown!r}\n    {lines[0][:300]}")
                for file in sorted((scratch / "temporary").glob("hwgen-fault-*")):
                    tell("".join(f"    {text}\n" for text in file.read_text().splitlines()[-7:]))
            for file in (scratch / "temporary").glob("hwgen-fault-*"):
                file.unlink()
        tell(
            f"{name}: {len(tried)} lines, {codes[2]} refused, {codes[WORKED]} valid up to long "
            f"work, {codes[0]} done, {wrong} wrong ({time.monotonic() - started:.0f} s)"
        )
    return wrong


def main(arguments: list[str]) -> int:
    """Exit code 1 if a line was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--directed", action="store_true", help="one wrong value at a time instead")
    given = parser.parse_args(arguments)
    name = "directed" if given.directed else f"seed {given.seed}"
    tried = list(directed() if given.directed else lines(given.seed, given.count))
    return 1 if run(name, tried, lambda text: print(text, flush=True)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

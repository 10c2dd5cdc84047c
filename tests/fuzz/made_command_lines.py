"""Malformed command lines: valid ones with some mutations, or with one wrong value."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from command_line_files import FILES, PLANS

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
    ["cost", *DOT, "--target", "ice40", "--energy", "--operands-a", "gaussian:crest=4"],
    ["cost", *DOT, "--target", "ice40", "--energy", "--operands-b", "uniform", "--simulate"],
    ["compare", *DOT, "--target", "ecp5,xc7", "--csv"],
    ["compare", "mul", "--a", "int4,e2m1", "--b", "like-a", "--json"],
    ["compare", *DOT[:-1], "1:3", "--picture", "new/picture.svg"],
    ["sweep", "plan.toml", "--export", "new/measurements.jsonl"],
    ["sweep", "plan.toml", "--workers", "2", "--retry", "--timeout", "60"],
    ["sweep", "plan.toml", "--scheduler", "tcp://127.0.0.1:1"],
    [*("optimize", "--model", "model.onnx", "--data", "data.npz"), "--formats", "int4,int8"],
    ["optimize", "--formats", "int4", "--fps", "100", "--clock-mhz", "100", "--max-drop", "1"],
    ["optimize", "--style", "shared", "--target", "ice40", "--formats", "int4,e2m1"],
    ["reproduce", "int_vs_fp", "lmul", "--quick", "--out", "new/pages"],
    ["reproduce", "--list"],
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
RANGES = ("3:1", "1:", ":", "1:x", "1:2:3", "1:3,x", "1:10001", "1:99999999", "-3:3")
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
    yield from (["compare", *DOT[:-1], text] for text in (*LISTS, *RANGES))
    yield from (["sweep", word] for word in (*FILES, *PATHS, *PLANS))
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
        yield ["compare", *DOT, "--target", text]


def options_of_commands() -> dict[str, list[tuple[str, bool]]]:
    """The options of each command, and whether a value follows."""
    from hwgen.cli import command_line_parser

    (commands,) = (
        action
        for action in command_line_parser().with_all_options()._actions
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

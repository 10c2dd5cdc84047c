"""Command lines: their parser, types of arguments, and the ways in which a command is used.

Types check an argument before any work; each way of use has the options that it reads. An option
is given once, and acts, or is refused: what was not given is not in the parser's result, so that
``complete`` sees which options a line has before it fills in what is usual.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hwgen.errors import FAULT, InputError, ToolError, fault, near
from hwgen.files import require_writable

#: Characters of a value that a message repeats, and of a message.
SHOWN, MESSAGE = 80, 2000
#: Whole numbers beyond any that the package takes; Python refuses to print some that are longer.
HUGE = 2**63


def shown(text: str) -> str:
    """The text in quotes, without control characters, its end left out if it is long."""
    return repr(text) if len(text) <= SHOWN else f"{text[: SHOWN - 20]!r}… ({len(text)} characters)"


def one_line(message: str) -> str:
    """The message without what would break its line, its middle left out if it is very long."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    half = MESSAGE // 2
    return printable if len(printable) <= MESSAGE else f"{printable[:half]} … {printable[-half:]}"


def require_text(arguments: Sequence[str]) -> None:
    """InputError for arguments that are no text: they could be neither printed nor written."""
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(
                f"the argument {shown(argument)} is not UTF-8 text: use other names"
            ) from None
        if "\0" in argument:
            raise InputError(f"the argument {shown(argument)} has a NUL character: leave it out")


# -- the parser ----------------------------------------------------------------------------


class _Once(argparse.Action):
    """Stores a value; an option that comes again is an error, as the first would be ignored.

    ``usual`` is what the command reads where the option is not given.
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, default: Any = None, **settings: Any
    ) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, **settings)
        self.usual = default

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if hasattr(namespace, self.dest):
            parser.error(f"{option_string or self.dest} is given twice: give it once")
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


class _OnceTrue(_Once):
    """A switch."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, default=False, nargs=0, **settings)


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other error: one line, exit 2.

    Its options may be added when it is first asked for (``add_later``).
    """

    def __init__(self, **settings: Any) -> None:
        settings = {"allow_abbrev": False, "formatter_class": HelpFormatter, **settings}
        super().__init__(**settings)
        self.modes: tuple[Mode, ...] = ()
        self._later: Callable[[Parser], None] | None = None
        for name in (None, "store"):
            self.register("action", name, _Once)
        self.register("action", "store_true", _OnceTrue)

    def add_later(self, add: Callable[[Parser], None]) -> None:
        """Let ``add`` add the options, before the first line is parsed."""
        self._later = add

    def with_all_options(self) -> Parser:
        """The parser itself, with all options of it and of its commands."""
        self._add()
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    command.with_all_options()
        return self

    def _add(self) -> None:
        add, self._later = self._later, None
        if add is not None:
            add(self)

    def parse_known_args(self, *given: Any, **more: Any) -> Any:
        """As argparse, with all options."""
        self._add()
        return super().parse_known_args(*given, **more)

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse, which leaves out what cannot be written without a word."""
        if message:
            (file or sys.stderr).write(message)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, and for what it does not know the option that may have been meant."""
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            named = option_names(getattr(namespace, "parser", self)).values()
            meant = near(unknown[0].partition("=")[0], (n for n in named if n.startswith("-")))
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return namespace

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name, choices = action.metavar or action.dest, list(map(str, action.choices))
            self.error(
                f"unknown {name} {value!r}{near(value, choices)}: use one of {', '.join(choices)}"
            )

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2, after the message in one line."""
        raise InputError(f"{message} (see '{self.prog} --help')")


class HelpFormatter(argparse.HelpFormatter):
    """Shows what is usual where an option is not given."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        usual = getattr(action, "usual", None)
        tells = usual is None or usual is False or usual == []
        return action.help if tells else f"{action.help} (default: %(usual)s)"


# -- ways to use a command -----------------------------------------------------------------


@dataclass(frozen=True)
class Mode:
    """One way to use a command.

    ``words`` tell it in a message, ``when`` recognises it by the options that are given, by name;
    only the options ``reads`` act then.
    """

    words: str
    when: Callable[[Mapping[str, Any]], object]
    reads: frozenset[str]


def mode(words: str, when: Callable[[Mapping[str, Any]], object], *reads: str) -> Mode:
    """A ``Mode`` of the options that are named."""
    return Mode(words, when, frozenset(reads))


def option_names(parser: Parser) -> dict[str, str]:
    """What a command line calls each option and positional argument, by its name."""
    return {
        action.dest: action.option_strings[0] if action.option_strings else action.dest.upper()
        for action in parser._actions
        if isinstance(action, _Once)
    }


def mode_of(parser: Parser, given: Mapping[str, Any]) -> Mode | None:
    """How the command is used; None if it has one use, which reads all of its options."""
    return next((mode for mode in parser.modes if mode.when(given)), None)


def parsed(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """What a command line without commands says, ``complete``."""
    options: argparse.Namespace = parser.parse_args(arguments)
    complete(parser, options)
    return options


def complete(parser: Parser, options: argparse.Namespace) -> None:
    """Refuse each option that the command, used so, would not read; fill in what is not given."""
    names = option_names(parser)
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    used = mode_of(parser, given)
    for name in given:
        if used is not None and name not in used.reads:
            others = ", ".join(mode.words for mode in parser.modes if name in mode.reads)
            raise InputError(
                f"{names[name]} does nothing for {used.words}: leave it out; it is for {others}"
            )
    for action in parser._actions:
        if isinstance(action, _Once) and action.dest not in given:
            setattr(options, action.dest, action.usual)


def run_module(main: Callable[[Sequence[str]], None]) -> int:
    """The exit code of a module that ``python -m`` runs.

    As of the command line: 2 for bad input, told in one line, and 70 for a fault of the package.
    """
    try:
        require_text(sys.argv[1:])
        main(sys.argv[1:])
    except InputError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"error: {fault(error)}", file=sys.stderr)
        return FAULT
    return 0


# -- types of arguments --------------------------------------------------------------------


def whole(text: str) -> int:
    """A whole number, as a spec may have; the spec says which it takes."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number")
    if len(text) > 20 or abs(int(text)) >= HUGE:
        raise argparse.ArgumentTypeError(f"{shown(text)} is too large: use fewer digits")
    return int(text)


def count(low: int, high: int) -> Callable[[str], int]:
    """Whole numbers from ``low`` to ``high``."""

    def parse(text: str) -> int:
        try:
            value = whole(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, from {low} to {high}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}: use a whole number from {low} to {high}")
        return value

    return parse


def number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """Numbers from ``low``, or ``above`` it, to ``high``."""
    span = f"{'above' if above else 'from'} {low:g} to {high:g}"

    def parse(text: str) -> float:
        try:
            value = float(text) if re.fullmatch(r"[0-9.eE+-]+", text) else math.nan
        except ValueError:
            value = math.nan
        if not low <= value <= high or (above and value == low):
            raise argparse.ArgumentTypeError(f"{shown(text)}: use a number {span}")
        return value

    return parse


def truth(text: str) -> bool:
    """``True`` or ``False``."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{shown(text)} is neither True nor False")
    return text.lower() == "true"


def names(text: str) -> list[str]:
    """What is between commas: at least one, none empty, none twice."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(
            f"{shown(text)}: give names separated by single commas, at least one"
        )
    repeated = next((part for part in parts if parts.count(part) > 1), None)
    if repeated is not None:
        raise argparse.ArgumentTypeError(f"{shown(text)}: {shown(repeated)} is there twice")
    return parts


def json_object(text: str) -> dict[str, Any]:
    """A JSON object, none of whose names comes twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"{shown(repeated)} is there twice")
        return fields

    try:
        fields = json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise argparse.ArgumentTypeError(f"no JSON (nested too deep): {shown(text)}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON ({error}): {shown(text)}") from None
    if not isinstance(fields, dict):
        raise argparse.ArgumentTypeError(
            f'{shown(text)} is no JSON object, such as {{"unit": "mul", "a": "int4", "b": "int4"}}'
        )
    return fields


def _path(text: str) -> Path:
    """A path that the system can look up, whether something is there or not."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{shown(text)} is no path: name a file or folder")
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} cannot be used ({_why(error)}): name another"
        ) from None
    return Path(text)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def input_path(text: str) -> Path:
    """A file or folder to read, which is there."""
    path = _path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not there: name one that is")
    if not os.access(path, os.R_OK):
        raise argparse.ArgumentTypeError(f"{shown(text)} cannot be read: name one that you may")
    return path


def input_file(text: str) -> Path:
    """A file to read."""
    path = input_path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{shown(text)} is a folder: name a file")
    return path


def output_folder(text: str) -> Path:
    """A folder to write to, or one that can be made. Nothing is made here."""
    path = _path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not writable as a folder: it is a file")
    return _writable(path, path)


def output_file(text: str) -> Path:
    """A file to write as a whole; its folder is there or can be made. Nothing is made here."""
    path = _path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{shown(text)} is a folder: name a file")
    if path.exists() and not path.is_file():
        raise argparse.ArgumentTypeError(f"{shown(text)} is no regular file: name one")
    return _writable(path, path.parent)


def kept_file(text: str) -> Path:
    """A file to read, if it is there, and to add to."""
    path = output_file(text)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise argparse.ArgumentTypeError(f"{shown(text)} cannot be read and written: name another")
    return path


def changed_file(text: str) -> Path:
    """A file that is there, to change a part of."""
    input_file(text)
    return output_file(text)


def _writable(path: Path, folder: Path) -> Path:
    try:
        require_writable(folder)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path

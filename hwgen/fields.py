"""Types and choices of arguments, checked where an object is made or a function is called.

``check_fields`` reads what a dataclass says of its fields: one annotated ``int`` takes whole
numbers, numpy's too, which become Python's, and neither floats nor bools, and so on. Fields of
other types (formats, accumulators, weights) are checked by what parses them.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from hwgen.errors import InputError, near

#: No size, count, bias or seed is beyond this, and no name longer.
_MOST = 2**64
_LONGEST = 80
#: Paths are shown whole, but for those that are no paths.
LONGEST_PATH = 300
_WORDS = {
    "int": "a whole number",
    "bool": "True or False",
    "str": "text",
    "float": "a number",
    "None": "None",
}

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def shown(value: object, longest: int = _LONGEST) -> str:
    """``repr``, cut to what a line of text can take."""
    try:
        text = repr(value)
    except Exception:  # Whole numbers of thousands of digits; whatever a class may do.
        text = f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def unknown(what: str, given: object, names: Collection[str], more: str = "") -> InputError:
    """The error of a name that is none of ``names``; ``more``: what else may be given."""
    return InputError(
        f"unknown {what} {shown(given)}{near(given, names)}: use one of {', '.join(names)}{more}"
    )


def as_python(value: Any, kinds: Collection[str]) -> Any:
    """``value`` as an object of Python if it is of one of ``kinds``.

    ``kinds`` are annotations: ``int``, ``bool``, ``str``, ``float``, ``None``.

    Raises:
        TypeError: it is of none of them.

    """
    if value is None and "None" in kinds:
        return None
    if isinstance(value, bool | np.bool_):
        if "bool" in kinds:
            return bool(value)
    elif isinstance(value, int | np.integer):
        if "int" in kinds and abs(int(value)) <= _MOST:
            return int(value)
        if "float" in kinds and abs(int(value)) <= _MOST:
            return float(value)
    elif isinstance(value, float | np.floating):
        if "float" in kinds:
            return float(value)
    elif isinstance(value, str) and "str" in kinds and len(value) <= _LONGEST:
        return str(value)
    raise TypeError


@lru_cache(maxsize=256)
def _plain_fields(kind: Any) -> tuple[tuple[str, frozenset[str], Any], ...]:
    """Name, kinds and default of the fields of plain types."""
    plain_fields = []
    for field in dataclasses.fields(kind):
        kinds = _kinds(field.type)
        if field.init and kinds:
            plain_fields.append((field.name, kinds, field.default))
    return tuple(plain_fields)


def _kinds(annotation: Any) -> frozenset[str]:
    """Those of an annotation as it is written; none if others are among them."""
    kinds = frozenset(part.strip() for part in str(annotation).split("|"))
    return kinds if kinds <= set(_WORDS) else frozenset()


def check_fields(instance: Any) -> None:
    """Check a dataclass's fields of plain types; to be called first in ``__post_init__``.

    numpy's numbers become Python's.

    Raises:
        InputError: a field is not of the type that it is annotated with.

    """
    kind: Any = type(instance)
    for name, kinds, default in _plain_fields(kind):
        value = getattr(instance, name)
        if value is not default:
            set_fields(instance, **{name: require_kind(name, value, kinds)})


def set_fields(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass, from its ``__post_init__`` only.

    For what is given by name and kept as an object, and for what follows from other fields.
    """
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def changed(instance: T, **values: Any) -> T:
    """A copy of a frozen dataclass with other values, where nothing is checked and all is quick.

    What the original has found out of itself (``cached_property``) the copy has too.
    """
    copy = object.__new__(type(instance))
    vars(copy).update(vars(instance), **values)
    return copy


def require_kind(name: str, value: Any, kinds: Collection[str]) -> Any:
    """``value`` as ``as_python`` has it.

    Raises:
        InputError: it is of none of the kinds.

    """
    try:
        return as_python(value, kinds)
    except TypeError:
        allowed = " or ".join(_WORDS[k] for k in _WORDS if k in kinds)
        raise InputError(f"{name}={shown(value)}: use {allowed}") from None


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` with its plain arguments checked as ``check_fields`` checks fields."""
    signature = inspect.signature(function)
    kinds_of = {n: k for n, p in signature.parameters.items() if (k := _kinds(p.annotation))}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        for name in kinds_of.keys() & given.arguments.keys():
            given.arguments[name] = require_kind(name, given.arguments[name], kinds_of[name])
        return function(*given.args, **given.kwargs)

    return call


def require_path(name: str, value: Any) -> Path:
    """``value``, text or a path, as a path; InputError if it is neither."""
    if not isinstance(value, str | os.PathLike) or "\0" in str(value):
        raise InputError(f"{name}={shown(value)}: give a path")
    return Path(os.fspath(value))


def require_instance(name: str, value: Any, kind: type, how: str) -> None:
    """InputError unless ``value`` is a ``kind``; ``how``: where one comes from."""
    if not isinstance(value, kind):
        raise InputError(f"{name}={shown(value)}: give {how}")


def require_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """InputError unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}={shown(value)}: use one of {', '.join(choices)}")

"""The studies there are: one a file in ``papers``."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module

from hwgen.arguments import shown
from hwgen.errors import InputError, near
from studies import papers
from studies.study import Study


def names() -> tuple[str, ...]:
    """Names of all studies, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(papers.__path__)))


def study(name: str) -> Study:
    """The study called ``name``; InputError if there is none."""
    known = names()
    if name not in known:
        raise InputError(f"unknown study {shown(name)}{near(name, known)}: use {', '.join(known)}")
    found: Study = import_module(f"{papers.__name__}.{name}").STUDY
    return found


def chosen(given: Sequence[str]) -> tuple[Study, ...]:
    """The studies of these names, each once; all without names. InputError as of ``study``."""
    return tuple(study(name) for name in dict.fromkeys(given or names()))

"""The components a user asks for: one module each, with the name of the spec's."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hwgen.spec import Spec
from hwgen.units.unit import Unit


def component(spec: Spec) -> Unit:
    """The Amaranth component that computes ``spec``.

    That is ``component`` of the module here that has the name of the spec's. Others are not
    imported.
    """
    return _made(_module(spec), spec)


def streamed(spec: Spec) -> Unit:
    """The component that a streamed unit has inside.

    That is ``component`` of the module with ``_stream`` behind the name, where there is one.
    """
    name = f"{_module(spec)}_stream"
    return _made(name if find_spec(name) else _module(spec), spec)


def _module(spec: Spec) -> str:
    return f"{__name__}.{type(spec).__module__.rpartition('.')[2]}"


def _made(name: str, spec: Spec) -> Unit:
    module: Any = import_module(name)
    made = module.component(spec)
    assert isinstance(made, Unit)
    return made

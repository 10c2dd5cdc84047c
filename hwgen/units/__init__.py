"""The components a user asks for: one module each, with the name of the spec's."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hwgen.spec import Spec
from hwgen.units.unit import Unit


def component(spec: Spec) -> Unit:
    """The Amaranth component that computes ``spec``.

    That is ``component`` of the module here that has the name of the spec's. Others are not
    imported.
    """
    module: Any = import_module(f"{__name__}.{type(spec).__module__.rpartition('.')[2]}")
    made = module.component(spec)
    assert isinstance(made, Unit)
    return made

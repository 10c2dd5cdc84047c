"""What is installed beside this package: the other packages that it consists of, and extras."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parents[1]
#: The packages that are installed together; each imports from those before it.
PACKAGES = ("hwgen", "yosys_scripts", "sim", "cost_models", "optimizer", "studies")


class HiddenPackage(ImportError):
    """A part of this package is not the one that would be imported."""


def require_own_packages(last: str = PACKAGES[-1]) -> None:
    """Check that ``last`` and the packages that it imports from are those beside this one.

    Raises:
        HiddenPackage: one is missing, or one of the same name in another folder comes before it.

    """
    ours = HERE.resolve()
    for name in PACKAGES[: PACKAGES.index(last) + 1]:
        try:
            spec = find_spec(name)
        except ValueError:  # A module that somebody made by hand.
            continue
        if spec is None:
            raise HiddenPackage(
                f"hwgen's own package '{name}' is not in '{ours}': install hwgen again"
            )
        places = [spec.origin, *(spec.submodule_search_locations or ())]
        folders = [Path(place).resolve() for place in places if place is not None]
        if not any(place.is_relative_to(ours / name) for place in folders):
            raise HiddenPackage(
                f"'{folders[0] if folders else name}' has the name of hwgen's own package "
                f"'{name}' in '{ours}' and hides it: rename it, or take its folder off Python's "
                "path (start Python in another folder)"
            )


def required(extra: str = "") -> dict[str, str]:
    """Requirements, such as ``numpy>=2.0``, by package: of the core, or of an ``extra``."""
    from importlib.metadata import requires  # Slow to import, and few ask.

    requirements = {}
    for line in requires("hwgen") or ():
        requirement, _, marker = line.partition(";")
        named = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if (named[1] if named else "") == extra:
            requirements[re.split(r"[^\w.-]", requirement)[0]] = requirement.strip()
    return requirements


def pip_install(extra: str) -> str:
    """The command that installs what this package's ``extra`` needs and is not there.

    By the names that an index has, whatever hwgen itself was installed from.
    """
    requirements = required(extra)
    missing = [text for package, text in requirements.items() if find_spec(package) is None]
    return f"pip install {shlex.join(missing or requirements.values())}"


def missing(packages: Iterable[str]) -> tuple[str, ...]:
    """Those of ``packages`` that cannot be imported."""
    return tuple(name for name in packages if find_spec(name) is None)

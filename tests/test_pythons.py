"""Which Pythons the checks run under: the oldest and the newest supported one that there is."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = "{}.{}".format(*sys.version_info)


def _pythons(folder, home):
    """What ``.ci/pythons`` prints, where pyenv and PATH have what is in these folders."""
    run = subprocess.run(
        [sys.executable, ROOT / ".ci" / "pythons"],
        capture_output=True,
        text=True,
        env={"PATH": str(folder), "HOME": str(home)},
    )
    return run.returncode, run.stdout.splitlines(), run.stderr


def _link(place):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(sys._base_executable)
    return str(place)


def test_one_python_is_the_oldest_and_the_newest(tmp_path):
    here = _link(tmp_path / "bin" / f"python{VERSION}")
    code, pythons, errors = _pythons(tmp_path / "bin", tmp_path)
    assert (code, pythons) == (0, [here])
    assert f"Python {VERSION}: {here}" in errors and "not on this machine" in errors


def test_a_python_of_another_version_or_that_fails_is_none(tmp_path):
    """As pyenv's shims of versions that are not switched on are."""
    other = "3.12" if VERSION != "3.12" else "3.13"
    _link(tmp_path / "bin" / f"python{other}")
    shim = tmp_path / "bin" / f"python{VERSION}"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    code, pythons, errors = _pythons(tmp_path / "bin", tmp_path)
    assert (code, pythons) == (1, []) and "no Python of 3.11, 3.12, 3.13" in errors


def test_pyenv_has_its_own_behind_the_shims(tmp_path):
    here = _link(tmp_path / ".pyenv" / "versions" / f"{VERSION}.9" / "bin" / f"python{VERSION}")
    shim = tmp_path / "bin" / f"python{VERSION}"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert _pythons(tmp_path / "bin", tmp_path)[:2] == (0, [here])

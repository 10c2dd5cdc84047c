"""Every test run has a store of its own, so that nothing of the user's is read or written.

Tests that ``slow.txt`` names have the mark ``slow``.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLOW = Path(__file__).with_name("slow.txt")


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("HWGEN_STORE", str(tmp_path_factory.mktemp("store") / "measurements.sqlite"))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, beside ``installed``, a folder that has its files and no other."""
    place = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    # setuptools builds beside the sources; a copy keeps the checkout clean.
    for name in listed:
        if (ROOT / name).is_file():
            copy = place / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(place), str(place / "source")]
    subprocess.run(command, check=True)
    shutil.rmtree(place / "source")
    (made,) = place.glob("*.whl")
    zipfile.ZipFile(made).extractall(place / "installed")
    return made


def pytest_collection_modifyitems(config, items):
    lines = [line for line in SLOW.read_text("utf-8").splitlines() if line[:1] not in ("#", "")]
    slow = tuple(line for line in lines if line[0] != "!")
    exceptions = tuple(line[1:] for line in lines if line[0] == "!")
    place = {}
    for item in items:
        name = item.nodeid
        if name.startswith(slow) and not name.startswith(exceptions):
            place[item] = next(i for i, start in enumerate(slow) if name.startswith(start))
            item.add_marker("slow")
    # The longest first: none is left running alone at the end.
    items.sort(key=lambda item: place.get(item, len(slow)))
    if config.args == config.getini("testpaths"):  # The whole suite was collected.
        names = [item.nodeid for item in items]
        unknown = [
            line for line in (*slow, *exceptions) if not any(n.startswith(line) for n in names)
        ]
        if unknown:
            raise pytest.UsageError(f"{SLOW.name} names no test with {unknown}")

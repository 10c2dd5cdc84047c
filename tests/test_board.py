"""The commands of docs/board.md make a bitstream, of a design that lights the right LEDs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim import tools

ROOT = Path(__file__).parents[1]
HARNESS = """
#include "Vtop.h"
#include <cstdio>
int main() {
  Vtop top;
  for (int edge = 0; edge < 700; ++edge) { top.clk_25mhz = edge & 1; top.eval(); }
  std::printf("%d %d\\n", top.led >> 6, top.wifi_gpio0);
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page's commands, run where only its files are."""
    place = tmp_path_factory.mktemp("board")
    shutil.copytree(ROOT / "docs" / "board", place / "docs" / "board")
    (commands,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "board.md").read_text(), re.S)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-e", "-c", commands], cwd=place, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    page = (ROOT / "docs" / "board.md").read_text()
    said = [line for line in done.stdout.splitlines() if "registers" in line]
    assert len(said) == 2 and "\n".join(said) in page
    return place


def leds(place, name):
    """led[7:6], and the WiFi chip's pin, after 350 cycles of the portable text."""
    (place / "main.cpp").write_text(HARNESS)
    command = ["verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-Ibuild", "--Mdir", name]
    command += ["main.cpp", "docs/board/top.v", "build/dot8.v", "--top", "top", "-o", "run"]
    environment = {**os.environ, **tools.environment()}
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    done = subprocess.run([place / name / "run"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_bitstream_is_made(folder):
    bits = (folder / "build" / "top.bit").read_bytes()
    # A preamble of an ECP5's bitstream, and more than an empty one has.
    assert b"\xff\xff\xbd\xb3" in bits[:512] and len(bits) > 50_000


def test_the_sum_is_the_golden_models(folder):
    assert leds(folder, "right") == ["3", "1"]
    file = folder / "build" / "expected.vh"
    file.write_text(re.sub(r"'d(\d+)\)", lambda m: f"'d{int(m[1]) + 1})", file.read_text()))
    assert leds(folder, "wrong") == ["2", "1"]

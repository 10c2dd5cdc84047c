"""A result of ABC that is not equivalent to the logic that it was given is never used."""

import importlib
import json

import pytest

import yosys_scripts
from hwgen import emit
from hwgen.spec import Quantizer
from sim import compiled

worker = importlib.import_module("yosys_scripts.worker")
JOB = {"commands": ["map"], "top": "top"}


def runs(monkeypatch, tmp_path, wrong):
    """The scripts that are run while the first so many are ``wrong``."""
    monkeypatch.chdir(tmp_path)
    scripts = []

    def run(commands, top):
        scripts.append(commands)
        text = "NOT EQUIVALENT" if len(scripts) <= wrong else "equivalent"
        (tmp_path / worker.LOG).write_text(f"ABC: Networks are {text}.\n")
        netlist = {"modules": {"top": {"ports": {}, "cells": {}}}}
        (tmp_path / "netlist.json").write_text(json.dumps(netlist))

    monkeypatch.setattr(worker, "_run", run)
    return scripts


def test_a_wrong_result_is_made_again(monkeypatch, tmp_path):
    scripts = runs(monkeypatch, tmp_path, wrong=1)
    assert worker.yosys(JOB) == {"cells": {}}
    assert len(scripts) == 2 and scripts[0] == scripts[1]
    assert scripts[0][0] == "scratchpad -set abc9.verify 1"


def test_at_last_the_step_is_left_out_that_is_wrong(monkeypatch, tmp_path):
    scripts = runs(monkeypatch, tmp_path, wrong=worker.TRIES)
    worker.yosys(JOB)
    assert len(scripts) == worker.TRIES + 1
    assert any("abc9.script" in command for command in scripts[-1])
    assert not any("abc9.script" in command for command in scripts[-2])


def test_it_is_an_error_if_nothing_helps(monkeypatch, tmp_path):
    runs(monkeypatch, tmp_path, wrong=worker.TRIES + 1)
    with pytest.raises(RuntimeError, match="not equivalent"):
        worker.yosys(JOB)


def test_a_netlist_that_was_wrong_each_second_time_is_right():
    spec = Quantizer(a="bf16", b="e4m3fn_b2_e8m0", lanes=2, stages=4)
    for _ in range(3):
        netlist = yosys_scripts.netlist(emit.rtlil(spec), spec.name, target="ecp5")
        (outcome,) = compiled.check(
            [compiled.Run(spec, netlist.verilog, vectors=50)],
            sources=netlist.cell_models,
            flags=netlist.verilator_flags,
        )
        assert outcome.mismatches == 0, outcome.shown

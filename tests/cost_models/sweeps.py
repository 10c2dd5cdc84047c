"""Points, tools and results that tests of sweeps share."""

import threading

from cost_models import measurement, sweep
from cost_models.sweep_plan import Point
from hwgen.spec import Multiply
from yosys_scripts.flow import Synthesis

FORMATS = ("int2", "int3", "int4", "uint2", "uint3", "e1m1", "e2m1", "e2m0")
POINTS = [Point(Multiply(a=name, b=name), "xc7", False) for name in FORMATS]
TWO = '[[designs]]\nunit = "mul"\na = ["int2", "int3"]\nb = "like a"\ntargets = "xc7"\n'


class Tools:
    """In place of Yosys: counts what is asked of it, and fails where it is told to."""

    def __init__(self):
        self.asked, self.problems = [], {}
        self.lock = threading.Lock()

    def synthesise(self, rtlil, top, *, target, mapping, place, time_limit_s):
        with self.lock:
            self.asked.append(top)
        if top in self.problems:
            raise self.problems[top]
        return Synthesis(
            **{"target": target, "mapping": mapping, "lut": len(top), "carry": 0, "ff": 3},
            **{"dsp": 0, "fmax_mhz": None, "placed": None, "cells": {"LUT4": 7}},
            **{"tools": {"yosys": "0"}, "seconds": 0.5},
        )


def run(points=POINTS, progress=lambda line: None, **settings):
    return sweep.run(points, progress, **settings)


def rows():
    """The results of this machine's store, by what they are."""
    return {p.spec.name: measurement.measured_before(p.spec, p.target, place=False) for p in POINTS}

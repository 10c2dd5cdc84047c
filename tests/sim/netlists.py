"""The netlist of a target on a unit's own bench."""

import yosys_scripts
from hwgen import emit, processes
from sim import compiled
from sim.batch import Driven
from sim.verification import whole_stimulus
from yosys_scripts import cell_models


def require_equal_netlist(spec, target, stimulus=None):
    """Fail unless the spec's mapped netlist does what the golden model says.

    ``stimulus``: cycles that it gets, by default the usual ones with 300 random cycles.
    """
    netlist = yosys_scripts.netlist(
        emit.rtlil(spec), spec.name, target=target, mapping=getattr(spec, "mapping", "lut")
    )
    driven = stimulus or whole_stimulus(spec, 300, 1)
    with processes.temporary_folder() as folder:
        cells = folder / "cells.v"
        # Without the vendor's other models, which take longer to read than most netlists.
        cells.write_text(cell_models.used(netlist.cell_models, netlist.verilog))
        (outcome,) = compiled.check(
            [Driven(spec, netlist.verilog, 1, driven=driven)],
            sources=[cells],
            flags=netlist.verilator_flags,
        )
    assert outcome.mismatches == 0 < outcome.vectors, outcome

"""The netlist of a target on a unit's own bench."""

import yosys_scripts
from hwgen import emit
from sim import verification


def require_equal_netlist(spec, target, stimulus=None):
    """Fail unless the spec's mapped netlist does what the golden model says.

    ``stimulus``: cycles that it gets, by default the usual ones with 300 random cycles.
    """
    netlist = yosys_scripts.netlist(
        emit.rtlil(spec), spec.name, target=target, mapping=getattr(spec, "mapping", "lut")
    )
    outcome = verification.run(
        spec,
        stimulus or verification.whole_stimulus(spec, 300, 1),
        verilog=netlist.verilog,
        sources=netlist.cell_models,
        verilator_flags=netlist.verilator_flags,
    )
    assert outcome.passed, outcome

"""The commands of the scripts that Yosys does not have: which function changes the netlist.

Imported by ``worker.py``, which knows nothing of this package, and by ``flow.py`` for the digest.
"""

#: The module and its function, by the command. Another command is ``apply file.py``: the function
#: ``apply`` of a file of the target.
COMMANDS = {
    "absorb_into_ccu2c": ("absorb", "into_ccu2c"),
    "absorb_into_carry4": ("absorb", "into_carry4"),
    "compress_adder_trees": ("adder_trees", "compress"),
    "tabulate_small_functions": ("small_functions", "tabulate"),
    "pack_into_lut6_2": ("dual_luts", "pack"),
}
#: What these are written in: they import ``bit_heap.py`` and ``dual_luts.py``.
FILES = tuple(sorted({f"{module}.py" for module, _ in COMMANDS.values()} | {"bit_heap.py"}))

"""Step plans: of what a unit is made, between which places a register may stand.

Pure data, computed from a spec alone: no hardware is made for it.
"""

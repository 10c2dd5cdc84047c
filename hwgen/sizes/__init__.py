"""What the logic that units share takes: widths, segments and plans, without the hardware.

A module here has the name of that in ``hwgen/arithmetic/`` whose hardware it is the plan of.
"""

"""The step plans of units: a module a unit, whose ``steps`` are computed from the spec alone."""

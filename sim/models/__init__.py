"""What each unit is to its verification.

A module of the unit's name, whose ``MODEL`` is a ``sim.unit_model.UnitModel``.
"""

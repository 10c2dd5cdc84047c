"""Proofs of units: see ``sim.formal.properties`` for what is proved."""

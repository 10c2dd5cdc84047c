"""A fixed-point sum rounded to a format: requantisation without a scale."""

from sim.models.requantize import directed, expected, reach, restrict

__all__ = ["directed", "expected", "reach", "restrict"]

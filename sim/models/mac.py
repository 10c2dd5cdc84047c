"""The multiply-accumulate unit: a dot product of one lane."""

from sim.models.dot import directed, expected, reach, restrict

__all__ = ["directed", "expected", "reach", "restrict"]

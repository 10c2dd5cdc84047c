"""The picture of formats has a mark where each value is, and no other."""

import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from hwgen import parse
from hwgen.formats import picture

#: Rising values without subnormal ones, and those: by hand.
VALUES = {
    "int4": (list(range(-8, 8)), []),
    "e2m1": ([-6, -4, -3, -2, -1.5, -1, 1, 1.5, 2, 3, 4, 6], [-0.5, 0, 0.5]),
    "ue2m0": ([1, 2, 4], [0]),
}


def panels(file):
    """Of both panels, the places of the marks of each colour of each row, from left to right."""
    root = xml.parse(file).getroot()
    for panel in ("axes_1", "axes_2"):
        (axes,) = (g for g in root.iter() if g.get("id") == panel)
        groups = [g for g in axes.iter() if (g.get("id") or "").startswith("LineCollection")]
        yield [
            [float(re.match(r"M (\S+)", way)[1]) for part in group.iter() if (way := part.get("d"))]
            for group in groups
        ]


def test_every_value_has_its_mark(tmp_path):
    file = picture.draw([parse(name) for name in VALUES], tmp_path / "x.svg")
    linear, logarithmic = panels(file)
    colours = [values for both in VALUES.values() for values in both]
    largest = [max(map(abs, both[0])) for both in VALUES.values() for _ in both]
    shares = [v / most for values, most in zip(colours, largest, strict=True) for v in values]
    powers = [np.log2(v) for values in colours for v in values if v > 0]
    for found, wanted in ((linear, shares), (logarithmic, powers)):
        places = [x for marks in found for x in marks]
        assert len(places) == len(wanted)
        slope, start = np.polyfit(wanted, places, 1)
        assert slope > 50 and places == pytest.approx(start + slope * np.array(wanted), abs=0.01)
    text = file.read_text()
    for name, count, most in (("int4", 16, 7), ("e2m1", 15, 6), ("ue2m0", 4, 4)):
        assert f"<!-- {name} -->" in text and f"<!-- {count} values, to {most} -->" in text

"""The picture of formats has a mark where each value is, and no other."""

import numpy as np
from matplotlib.figure import Figure

from hwgen import parse
from hwgen.formats import picture

#: Values by hand: those with the full precision, and subnormal ones.
VALUES = {
    "int4": (list(range(-8, 8)), []),
    "e2m1": ([-6, -4, -3, -2, -1.5, -1, 1, 1.5, 2, 3, 4, 6], [-0.5, 0, 0.5]),
    "ue2m0": ([1, 2, 4], [0]),
}


def test_every_value_has_its_mark(tmp_path, monkeypatch):
    figures = []

    def savefig(figure, file, **_):
        figures.append(figure)
        genuine(figure, file)

    genuine = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", savefig)
    picture.draw([parse(name) for name in VALUES], tmp_path / "x.svg")
    ((linear, logarithmic),) = (figure.axes for figure in figures)

    def marks(axes):
        """Of each row, of each colour: the places of its marks."""
        rows = {}
        for lines in axes.collections:
            for (x, bottom), (same, top) in lines.get_segments():
                assert x == same and abs(top - bottom) < 1  # Rows do not touch.
                row = rows.setdefault(round((bottom + top) / 2), {})
                row.setdefault(tuple(lines.get_color()[0]), []).append(x)
        return [list(colours.values()) for _, colours in sorted(rows.items())]

    wanted = [[values for values in both if values] for both in VALUES.values()]
    largest = [max(map(abs, both[0])) for both in wanted]
    assert marks(linear) == [
        [[v / most for v in values] for values in both]
        for both, most in zip(wanted, largest, strict=True)
    ]
    positive = [[[v for v in values if v > 0] for values in both] for both in wanted]
    assert marks(logarithmic) == [
        [np.log2(values).tolist() for values in both if values] for both in positive
    ]
    labels = [label.get_text().split("\n") for label in linear.get_yticklabels()]
    assert labels == [
        ["int4", "16 values, to 7"],
        ["e2m1", "15 values, to 6"],
        ["ue2m0", "4 values, to 4"],
    ]

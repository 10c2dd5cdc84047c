"""The picture's text covers nothing: for fronts of many kinds, by the boxes of what was drawn."""

from __future__ import annotations

import warnings
from itertools import combinations

import pytest
from explorations import exploration, plan

from optimizer import picture

SHIPPED = [
    plan(*point)
    for point in (
        (4632, 89.35), (5418, 89.65), (5708, 90.35), (6016, 91.4), (6341, 91.65), (6680, 91.85),
        (7033, 92.2), (7408, 92.4), (8650, 93.4), (10093, 93.7, "e2m1", "int7"), (10625, 93.8),
        (13764, 93.85), (15258, 94.1),
    )
]  # fmt: skip
REFERENCES = (plan(19332, 94.0), plan(6428, 89.25), plan(29962, 93.45))
DENSE = [plan(1000 + 3 * i, 80 + 0.1 * i) for i in range(60)]
LONG = "a_network|with `marks`, $x^2$ and a very long name " * 7
LONG_FORMAT = "e3m2ieeensb1"

CASES = {
    "shipped": exploration(SHIPPED, 93.95, 9, REFERENCES),
    "perceptron": exploration(
        [plan(86, 70.1), plan(98, 73.3), plan(143, 74.1)], 74.3, 2,
        (plan(300, 74.3), plan(143, 74.1), plan(420, 74.2)),
    ),
    "one point": exploration([plan(90, 93.9)], 93.95, 0, (plan(90, 93.9),)),
    "two references in one place": exploration(
        [plan(500, 90), plan(505, 90.1)], 93.95, 1,
        (plan(500, 90), plan(500, 90), plan(505, 90.1)),
    ),
    "points close together": exploration(DENSE, 86.0, 40, REFERENCES[:2]),
    "long names": exploration(
        [plan(800, 93.9, LONG_FORMAT, LONG_FORMAT), plan(8000, 94.0)], 93.95, 0, REFERENCES,
        LONG, LONG,
    ),
    "at chance": exploration([plan(500, 9.6), plan(900, 10.1)], 9.6, 0, REFERENCES),
    "below the picture": exploration(
        [plan(500, 30.0), plan(900, 93.9)], 94.0, 1, (plan(90, 12),)
    ),
    "nothing is near": exploration([plan(500, 30.0)], 94.0, 0, REFERENCES[:1]),
    "perfect": exploration([plan(40, 100.0)], 100.0, 0, REFERENCES),
}  # fmt: skip


@pytest.fixture(params=CASES, scope="module")
def drawn(request):
    case = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout without room warns
        return case, picture.draw(case)


def test_texts_do_not_overlap_each_other(drawn):
    _, p = drawn
    texts = [
        *p.numbers, p.axes.title, p.axes.xaxis.label, p.axes.yaxis.label,
        *(t for t in (*p.axes.get_xticklabels(), *p.axes.get_yticklabels()) if shown(p, t)),
    ]  # fmt: skip
    boxes = [t.get_window_extent() for t in (*texts, *p.legend.get_texts()) if t.get_text()]
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)
    width, height = p.figure.canvas.get_width_height()
    for box in (*boxes, p.legend.get_window_extent()):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def shown(p, tick):
    """Ticks beyond the limits have labels that are not drawn."""
    area, box = p.axes.get_window_extent(), tick.get_window_extent()
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return area.x0 <= x <= area.x1 or area.y0 <= y <= area.y1


def test_numbers_cover_no_line_and_no_point(drawn):
    """Against the picture itself: where a number stands, nothing is drawn without it."""
    case, p = drawn
    assert p.numbers or len(case.front) == 1 or case is CASES["below the picture"]
    boxes = [t.get_window_extent() for t in p.numbers]
    for text in p.numbers:
        text.set_visible(False)
    for grid in (*p.axes.get_xgridlines(), *p.axes.get_ygridlines()):
        grid.set_visible(False)
    p.figure.canvas.draw()
    pixels = memoryview(p.figure.canvas.buffer_rgba())
    height = pixels.shape[0]
    for text, box in zip(p.numbers, boxes, strict=True):
        colours = {
            (pixels[y, x, 0], pixels[y, x, 1], pixels[y, x, 2])
            for x in range(int(box.x0), int(box.x1) + 1)
            for y in range(int(height - box.y1), int(height - box.y0) + 1)
        }
        # White, the band of FP32's standard error, and its edge.
        assert all(min(c) >= 235 and max(c) - min(c) <= 2 for c in colours), (text, colours)
        text.set_visible(True)


def test_legend_and_axes_do_not_overlap(drawn):
    _, p = drawn
    assert not p.legend.get_window_extent().overlaps(p.axes.get_window_extent())


def test_what_must_be_readable_is_there(drawn):
    case, p = drawn
    legend = " ".join(" ".join(t.get_text().split()) for t in p.legend.get_texts())
    number = case.front.index(case.chosen) + 1
    assert f"FP32: {case.fp32.percent:.2f}%" in legend
    assert (
        f"chosen, {number}: {case.chosen.lut.value:,} LUT, {case.chosen.accuracy.percent:.2f}%"
        in legend
    )
    for name, reference in case.references.items():
        assert f"{name}: {reference.lut.value:,} LUT" in legend
    low, high = p.axes.get_xlim()
    ticks = [t for t in p.axes.get_xticks() if low <= t <= high]
    assert len(ticks) >= 2
    bottom, top = p.axes.get_ylim()
    assert bottom < case.chosen.accuracy.percent < top and len(p.axes.get_yticks()) >= 2


def test_points_stand_where_they_were_measured():
    axes = picture.draw(CASES["shipped"]).axes
    marked = [line for line in axes.lines if line.get_marker() != "None"]
    unmarked = [line for line in axes.lines if line.get_marker() == "None"]
    drawn_points = [
        tuple(point) for line in marked for point in line.get_xydata().round(2).tolist()
    ]
    chosen = [(10093, 93.7)]
    references = [(19332, 94.0), (6428, 89.25), (29962, 93.45)]
    front = [(p.lut.value, p.accuracy.percent) for p in SHIPPED]
    assert front[:2] == [(4632, 89.35), (5418, 89.65)] and len(front) == 13
    assert sorted(drawn_points) == sorted([*chosen, *references, *front])
    assert [set(line.get_ydata()) for line in unmarked] == [{93.95}]


def test_most_points_of_the_shipped_front_have_their_number():
    p = picture.draw(CASES["shipped"])
    numbers = {t.get_text() for t in p.numbers}
    assert {"1", "13"} <= numbers and len(numbers) >= 11


def test_names_are_of_the_data_and_short():
    title = picture.draw(CASES["long names"]).axes.get_title()
    assert len(title) < 130 and "…" in title and "\n" not in title
    assert "net on data, streaming style" in picture.draw(CASES["perfect"]).axes.get_title()


def test_same_result_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        picture.write(CASES["perceptron"], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

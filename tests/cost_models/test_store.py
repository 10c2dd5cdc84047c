"""The store keeps every finished result and never a stale one."""

import multiprocessing
import os
import signal
import time

import pytest

from cost_models import store
from hwgen import InputError


def measurement(number: int) -> store.Measurement:
    return store.Measurement(
        f"key{number}", "test", {"unit": "dot"}, "ecp5", {"lut": number}, {"yosys": "0"}, "today"
    )


@pytest.fixture
def path(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "store.sqlite"
    monkeypatch.setenv(store.ENVIRONMENT, str(file))
    return file


def test_round_trip(path):
    assert store.find("key1") is None
    store.add(measurement(1))
    assert store.find("key1") == measurement(1)
    assert store.find("key2") is None


def test_reading_makes_no_file(path):
    store.find("key1")
    assert not path.exists()


def fill(count: int) -> None:
    for number in range(count):
        store.add(measurement(number))


def test_two_writers_lose_nothing(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=fill, args=(40,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert all(store.find(f"key{number}") for number in range(40))


def test_a_kill_loses_no_finished_result(path):
    writer = multiprocessing.get_context("spawn").Process(target=fill, args=(100_000,))
    writer.start()
    deadline = time.monotonic() + 30
    while store.find("key20") is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert all(store.find(f"key{number}") for number in range(21))
    store.add(measurement(-1))
    assert store.find("key-1") == measurement(-1)


def test_unusable_store_is_an_input_error(tmp_path, monkeypatch):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"not a database" * 1000)
    for file in (damaged, tmp_path, damaged / "below"):
        monkeypatch.setenv(store.ENVIRONMENT, str(file))
        for use in (store.require_writable, lambda: store.add(measurement(1))):
            with pytest.raises(InputError, match=store.ENVIRONMENT):
                use()


def test_digest_depends_on_every_part():
    parts = ["text", {"a": 1, "b": [2]}, "x"]
    keys = {
        store.digest(*parts),
        store.digest("text2", *parts[1:]),
        store.digest(parts[0], {"a": 1, "b": [3]}, "x"),
        store.digest(*parts, None),
    }
    assert len(keys) == 4
    assert store.digest({"b": 1, "a": 2}) == store.digest({"a": 2, "b": 1})

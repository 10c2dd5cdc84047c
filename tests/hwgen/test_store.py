"""The store keeps every finished result and never a stale one."""

import dataclasses
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import yosys_scripts
from cost_models import measurement as measurement_of
from cost_models.measurement import STORE, Measurement
from hwgen import DotProduct, InputError, ToolError, store
from hwgen.records import PassedOver


def measurement(number: int) -> Measurement:
    return Measurement(
        f"key{number}",
        "test",
        {"unit": "dot"},
        "ecp5",
        {"lut": number},
        {"yosys": "0"},
        "2026-11-27",
    )


def add(number: int) -> None:
    STORE.add(dataclasses.asdict(measurement(number)))


@pytest.fixture
def path(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "store.sqlite"
    monkeypatch.setenv(store.ENVIRONMENT, str(file))
    return file


def test_round_trip(path):
    assert STORE.find("key1") is None
    add(1)
    assert STORE.find("key1") == measurement(1)
    assert STORE.find("key2") is None


def test_reading_makes_no_file(path):
    STORE.find("key1")
    assert not path.exists()


def fill(count: int) -> None:
    for number in range(count):
        add(number)


def test_two_writers_lose_nothing(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=fill, args=(40,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert all(STORE.find(f"key{number}") for number in range(40))


def test_a_kill_loses_no_finished_result(path):
    writer = multiprocessing.get_context("spawn").Process(target=fill, args=(100_000,))
    writer.start()
    deadline = time.monotonic() + 30
    while STORE.find("key20") is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert all(STORE.find(f"key{number}") for number in range(21))
    add(100_001)
    assert STORE.find("key100001") == measurement(100_001)


def test_unusable_store_is_an_input_error(tmp_path, monkeypatch):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"not a database" * 1000)
    for file in (damaged, tmp_path, damaged / "below"):
        monkeypatch.setenv(store.ENVIRONMENT, str(file))
        for use in (store.require_writable, lambda: add(1)):
            with pytest.raises((InputError, ToolError), match=store.ENVIRONMENT):
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


def tables(path, schema: str, name: str = "results") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {name} ({schema})")
    connection.close()


OTHER_SCHEMAS = {
    "fewer columns": "key TEXT PRIMARY KEY, result TEXT",
    "another needed column": "key TEXT PRIMARY KEY, kind TEXT, row TEXT, owner TEXT NOT NULL",
}


@pytest.mark.parametrize("schema", OTHER_SCHEMAS.values(), ids=OTHER_SCHEMAS)
def test_another_schema_is_found_before_the_work(path, monkeypatch, schema):
    tables(path, schema)
    monkeypatch.setattr(yosys_scripts, "synthesise", lambda *a, **k: pytest.fail("it worked first"))
    with pytest.raises(InputError, match=rf"{path} cannot be used.*{store.ENVIRONMENT}"):
        measurement_of.measure(DotProduct(a="int2", b="int2", lanes=2), "ecp5")


@pytest.mark.parametrize("how", ["schema", "damaged"])
def test_a_result_that_cannot_be_stored_is_kept_beside(path, how):
    path.parent.mkdir()
    if how == "schema":
        tables(path, OTHER_SCHEMAS["fewer columns"])
    else:
        path.write_bytes(b"no database" * 1000)
    kept = path.with_name(path.name + ".kept.jsonl")
    with pytest.raises(ToolError, match=f"the result is kept in {kept}"):
        add(7)
    path.unlink()
    assert STORE.find("key7") == measurement(7)


def test_a_result_is_kept_where_nothing_can_stand_beside(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(store.ENVIRONMENT, str(blocked / "store.sqlite"))
    monkeypatch.setattr(store.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ToolError, match=r"hwgen-key8\.kept\.jsonl"):
        add(8)
    assert json.loads((tmp_path / "hwgen-key8.kept.jsonl").read_text())["result"] == {"lut": 8}


GOOD = {"lut": 5, "carry": 0, "ff": 2, "dsp": 0, "fmax_mhz": None}
BAD_RESULTS = {
    "no JSON": "{'lut'",
    "null": "null",
    "a list": "[5]",
    "deep": "[" * 100_000,
    "negative": json.dumps({**GOOD, "lut": -5}),
    "a word": json.dumps({**GOOD, "lut": "many"}),
    "true": json.dumps({**GOOD, "ff": True}),
    "a fraction": json.dumps({**GOOD, "dsp": 0.5}),
    "infinite": json.dumps({**GOOD, "fmax_mhz": float("inf")}),
    "not a number": json.dumps({**GOOD, "fmax_mhz": float("nan")}),
    "no clock": json.dumps({**GOOD, "fmax_mhz": 0}),
    "beyond any count": json.dumps({**GOOD, "lut": 10**400}),
    "nothing": "{}",
}


#: Of the files that earlier versions made.
BEFORE = (
    "key TEXT PRIMARY KEY, kind TEXT NOT NULL, spec TEXT NOT NULL, target TEXT NOT NULL,"
    " result TEXT NOT NULL, tools TEXT NOT NULL, created TEXT NOT NULL"
)


def stored_before(path, text: str) -> None:
    tables(path, BEFORE, "measurements")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO measurements VALUES ('k', 'synthesis', '{}', 'ecp5', ?, '{}', ?)",
            (text, "2026-11-27"),
        )
    connection.close()


def stored(path, text: str) -> None:
    store.require_writable()
    row = f"""{{"key": "k", "kind": "synthesis", "spec": {{}}, "target": "ecp5", "result": {text},
        "tools": {{}}, "created": "2026-11-27"}}"""
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO results VALUES ('k', 'measurement', ?)", (row,))
    connection.close()


@pytest.mark.parametrize("put", [stored, stored_before])
@pytest.mark.parametrize("text", BAD_RESULTS.values(), ids=BAD_RESULTS)
def test_a_bad_row_is_named_and_passed_over(path, text, put):
    put(path, text)
    with pytest.warns(PassedOver, match=f"measurement k of {path} is passed over"):
        assert STORE.find("k") is None


@pytest.mark.parametrize("put", [stored, stored_before])
def test_a_good_row_is_believed(path, put):
    put(path, json.dumps(GOOD))
    assert STORE.find("k") == Measurement("k", "synthesis", {}, "ecp5", GOOD, {}, "2026-11-27")


def test_a_row_says_what_it_lacks_and_when_it_was_made(path):
    row = {"key": "k", "kind": "synthesis", "spec": {}, "target": "ecp5", "tools": {}}
    for result, created, why in (
        ({k: v for k, v in GOOD.items() if k != "lut"}, "2026-11-27", "it has no lut"),
        (GOOD, "yesterday", "isoformat string: 'yesterday'"),
    ):
        store.require_writable()
        with sqlite3.connect(path) as connection:
            text = json.dumps({**row, "result": result, "created": created})
            connection.execute(
                "INSERT OR REPLACE INTO results VALUES ('k', 'measurement', ?)", (text,)
            )
        connection.close()
        with pytest.warns(PassedOver, match=why):
            assert STORE.find("k") is None


def test_names_that_no_system_has(monkeypatch, tmp_path):
    monkeypatch.setenv(store.ENVIRONMENT, str(tmp_path / ("x" * 300)))
    with pytest.raises(InputError, match="File name too long"):
        STORE.find("k")
    with pytest.raises(InputError, match="cannot be used"):
        store.require_writable()


def test_what_earlier_versions_stored_may_be_of_another_schema(path):
    tables(path, OTHER_SCHEMAS["fewer columns"], "measurements")
    with pytest.raises(InputError, match=rf"{path} cannot be used.*{store.ENVIRONMENT}"):
        STORE.find("k")


def test_one_store_for_all_kinds(path, tmp_path):
    """A result that is not final is made again; lines of a file are kept apart from the store."""
    kind = store.Kind("test", lambda row: row["n"], final=lambda n: n > 1)
    for results in (store.at(kind, None), store.at(kind, tmp_path / "lines")):
        assert results.once("a", lambda: {"n": 1}) == (1, False)
        assert results.once("a", lambda: {"n": 2}) == (2, False)
        assert results.once("a", lambda: {"n": 3}) == (2, True)
    assert store.Lines(kind, tmp_path / "lines").results == {"a": 2}
    assert store.Store(kind).find("a") == 2 and store.Store(kind).find("b") is None


def measure_once(folder: str) -> None:
    """Measures a design with a tool that takes a while and counts how often it is called."""

    def slow(*arguments, **options):
        time.sleep(2)
        with open(os.path.join(folder, "calls"), "a") as file:
            file.write("x")
        return yosys_scripts.Synthesis(
            "ecp5", "lut", 5, 0, 2, 0, None, None, {}, {"yosys": "0"}, 2.0
        )

    yosys_scripts.synthesise = slow
    measured, known = measurement_of.measure(DotProduct(a="int2", b="int2", lanes=2), "ecp5")
    assert measured.result["lut"] == 5
    with open(os.path.join(folder, "known"), "a") as file:
        file.write("yes " if known else "no ")


def test_two_processes_measure_a_design_once(path, tmp_path):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=measure_once, args=(str(tmp_path),)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "calls").read_text() == "x"
    assert sorted((tmp_path / "known").read_text().split()) == ["no", "yes"]
    assert list(path.with_name(path.name + ".locks").iterdir()) == []


def test_two_threads_measure_one_after_the_other(path):
    store.require_writable()
    at_work = []

    def work():
        with store.making("k"):
            at_work.append(1)
            time.sleep(0.3)
            assert len(at_work) == 1
            at_work.pop()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()


def hold(key: str, file: str) -> None:
    with store.making(key), open(file, "w"):
        time.sleep(600)


def test_a_killed_process_holds_no_lock(path, tmp_path):
    store.require_writable()
    holder = multiprocessing.get_context("spawn").Process(
        target=hold, args=("k", str(tmp_path / "held"))
    )
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.05)
    with store.making("another"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with store.making("k"):
        pass


def test_what_is_not_there_is_not_looked_for_again(path, monkeypatch):
    """Its keys are remembered for as long as the store is the same; a new result is found."""
    add(1)
    monkeypatch.setattr(store, "_SETTLED_NS", -1)
    assert STORE.find("key2") is None and STORE.find("key1") == measurement(1)
    opened = []
    monkeypatch.setattr(store, "_open", lambda: opened.append(1))
    assert STORE.find("key2") is None and not opened
    monkeypatch.undo()
    monkeypatch.setenv(store.ENVIRONMENT, str(path))
    monkeypatch.setattr(store, "_SETTLED_NS", -1)
    add(2)
    assert STORE.find("key2") == measurement(2)


def test_one_of_what_ships_is_what_all_of_it_has(monkeypatch):
    """A line is found by its key alone, and read as the others."""
    kind = store.Kind("measurement", measurement_of.checked, ships="cost_models/measurements.jsonl")
    every = kind.read(kind.ships)
    keys = [*list(every)[::400], "no such key"]
    assert [kind.one_shipped(key) for key in keys] == [every.get(key) for key in keys]
    assert kind.first_shipped == next(iter(every.values()))
    assert "shipped" not in vars(kind)
    text = '{"inner": {"key": "one"}, "key": "two", "n": 2}\n{"key": "three", "n": 3}\n'
    monkeypatch.setattr(store, "_text_of", lambda name: text)
    other = store.Kind("other", lambda row: row["n"], ships="room/file.jsonl")
    assert [other.one_shipped(key) for key in ("three", "two", "one")] == [3, 2, None]

"""Sweeps on a cluster: whose worker is killed, of another version, or not there."""

import asyncio
import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from concurrent.futures import CancelledError, Future

import pytest

import yosys_scripts
from cost_models import cluster, measurement, sweep
from hwgen.cli import main
from hwgen.errors import InputError, ToolError
from tests.cost_models.sweeps import POINTS, rows, run

pytestmark = pytest.mark.usefixtures("empty_store")


def test_at_an_address_without_a_scheduler(capsys, monkeypatch, plan):
    """Where something else listens; others are tried with the command's other options."""
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert main(["sweep", str(plan), "--scheduler", address]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert f"scheduler='{address}': no Dask scheduler answers there: " in told.err


def test_in_a_notebook(monkeypatch):
    """Where a loop of asyncio runs already."""
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)

    async def cell():
        run(scheduler="tcp://127.0.0.1:1")

    with pytest.raises(
        InputError, match=r"no Dask scheduler answers there: (Timed|nothing within)"
    ):
        asyncio.run(cell())


def test_without_dask(capsys, monkeypatch, plan):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", str(plan), "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "takes Dask, which is not installed: pip install" in capsys.readouterr().err


def answered(error):
    future = Future()
    future.set_exception(error)
    return future


def test_what_a_cluster_answers():
    from distributed.scheduler import KilledWorker

    class Gone:
        address = "tcp://10.0.0.7:1"

    killed = KilledWorker("measured-1", Gone(), 3)
    answer = cluster.result(answered(killed), "tcp://h:1", sweep._Answer)
    assert answer.row is None and answer.failure.startswith("KilledWorker: ")
    assert "10.0.0.7" in answer.failure and "\n" not in answer.failure
    for error, kind, words in (
        (CancelledError(), ToolError, "the scheduler at tcp://h:1 has gone"),
        (InputError("another version"), InputError, "^another version$"),
        (
            ModuleNotFoundError("No module named 'hwgen'"),
            InputError,
            "a worker cannot work .Module",
        ),
    ):
        with pytest.raises(kind, match=words):
            cluster.result(answered(error), "tcp://h:1", sweep._Answer)


def test_a_worker_of_another_version_is_refused(tools):
    point = POINTS[0]
    given = (point.spec.to_dict(), point.target, point.place, 9.0)
    key = measurement.point_key(point.spec, point.target, point.place)
    assert sweep._measured(*given, key).row["result"]["lut"] == len(point.spec.name)
    with pytest.raises(InputError, match="a worker has another version of hwgen"):
        sweep._measured(*given, key[::-1])
    assert len(tools.asked) == 1


class Pickling:
    """A pool that keeps what is sent."""

    def submit(self, function, *given):
        import cloudpickle

        self.sent = cloudpickle.dumps((function, given))


WITHOUT_PACKAGE = """
import pickle, sys
sys.modules["cost_models"] = None
function, given = pickle.load(open(sys.argv[1], "rb"))
try:
    function(*given)
except ModuleNotFoundError as error:
    print(error)
"""


def test_a_worker_without_the_package_can_say_so(tmp_path, tools):
    """Were the function sent by its place, Dask would end the worker that cannot import it."""
    pool, point = Pickling(), POINTS[0]
    key = measurement.point_key(point.spec, "xc7", False)
    cluster._ByName(pool).submit(sweep._measured, point.spec.to_dict(), "xc7", False, 9.0, key)
    function, given = pickle.loads(pool.sent)
    assert function(*given).row["result"]["lut"] == len(point.spec.name)
    (tmp_path / "sent").write_bytes(pool.sent)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE, str(tmp_path / "sent")],
        capture_output=True,
        text=True,
    )
    assert "cost_models" in done.stdout and done.returncode == 0, done.stderr


@pytest.fixture
def two_workers(tmp_path, monkeypatch):
    """A cluster of two processes, which have a store of their own."""
    from distributed import LocalCluster

    here = os.environ["HWGEN_STORE"]
    monkeypatch.setenv("HWGEN_STORE", str(tmp_path / "elsewhere.sqlite"))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers:
        monkeypatch.setenv("HWGEN_STORE", here)
        yield workers


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_whose_worker_is_killed_measures_all(two_workers, monkeypatch):
    """The results are in the store of this machine, which has no need of the cluster then."""
    told, killed = [], []

    def kill_one(line):
        told.append(line)
        if not killed:
            killed.append(two_workers.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    outcomes = run(progress=kill_one, scheduler=two_workers.scheduler_address)
    # What the one that was killed had kept, and not yet told, is known to the other.
    assert len(killed) == 1 and len(POINTS) - 1 <= len(told) <= len(POINTS)
    with contextlib.suppress(ProcessLookupError):
        os.kill(killed[0], 0)
        assert two_workers.workers[0].pid != killed[0]
    assert all(o.measurement is not None for o in outcomes), [o.failure for o in outcomes]
    assert [o.measurement for o in outcomes] == list(rows().values())
    monkeypatch.setattr(yosys_scripts, "synthesise", lambda *given, **named: 1 / 0)
    again = run()
    assert all(o.known for o in again)
    assert [o.measurement for o in again] == [o.measurement for o in outcomes]


@pytest.mark.filterwarnings("ignore")
def test_a_failure_on_a_cluster_is_kept_here(two_workers):
    points = POINTS[:2]
    address = two_workers.scheduler_address
    outcomes = run(points, scheduler=address, time_limit_s=0)
    assert all(o.failure.startswith("yosys took longer than 0 s") for o in outcomes)
    assert all(o.known and o.failure for o in run(points))
    assert all(o.measurement is not None for o in run(points, scheduler=address, retry=True))
    assert json.loads(json.dumps(rows()[points[0].spec.name].result))["lut"] > 0

"""Every test run has a store of its own, so that nothing of the user's is read or written."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_store(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("HWGEN_STORE", str(tmp_path_factory.mktemp("store") / "measurements.sqlite"))
    yield
    patch.undo()

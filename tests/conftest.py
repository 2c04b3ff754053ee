"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every CI run, so that a change is judged by what it changed; new ones on every other run.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# jax reads these when it is imported (seqmill.runtime.device): one CPU thread, whichever test comes first. Nothing is
# kept from one test to the next.
os.environ.update(JAX_PLATFORMS="cpu", NPROC="1", PJRT_NPROC="1", SEQMILL_COMPILE_CACHE="off")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real data named by SEQMILL_TEST_DATA; tests that need it are skipped without."""
    value = os.environ.get("SEQMILL_TEST_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("SEQMILL_TEST_DATA is not set to the folder of real test data")
    return Path(value)


def pytest_runtest_setup():
    """Each test begins with the usual log: a command that ran with -q sets its level for all processes after it."""
    os.environ.pop("SEQMILL_LOG_LEVEL", None)

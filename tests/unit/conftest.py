"""What several files ask for: a portal on this machine, results of a report; made where a test asks, once a process."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from portal import Portal

# Toy networks are compiled quickly: optimising their programs takes longer than running them. Other kinds of tests run
# what users run.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"


@pytest.fixture
def portal():
    with Portal() as portal:
        yield portal


@pytest.fixture
def sources(portal, tmp_path):
    return portal.sources(tmp_path)


@pytest.fixture
def cache(sources):
    from seqmill.sources.cache import Cache

    return Cache(sources.cache_folder())


@pytest.fixture
def web(sources):
    from seqmill.sources.web import Web

    with Web(sources) as web:
        yield web


@pytest.fixture(scope="session")
def report_nouns(tmp_path_factory):
    """Nouns of `write_results`; tests only read them."""
    from tests.unit.report_examples import write_results

    return write_results(tmp_path_factory.mktemp("report") / "results")


@pytest.fixture(scope="session")
def report_context(tmp_path_factory, report_nouns):
    """What the template of the report shows of them and of everything else there is; tests only read it."""
    from tests.unit.report_examples import gather_example

    results = report_nouns["datasets"][0].parents[1]
    folder = shutil.copytree(results, tmp_path_factory.mktemp("context") / "results")
    nouns = {key: [folder / path.relative_to(results) for path in paths] for key, paths in report_nouns.items()}
    return gather_example(folder, nouns)

"""A portal on this machine, for the tests of what is fetched; nothing of it is made where a test does not ask."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from portal import Portal


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

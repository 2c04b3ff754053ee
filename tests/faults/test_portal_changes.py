"""Portals that answer badly, drift, or change after the lock: the right row, a named error, or the cached bytes."""

import copy
import random

import pytest
from tests.portal import Fault
from tests.unit.encode_examples import portal_with

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.runtime.errors import RemoteError, SeqmillError
from seqmill.sources.ask_again import asker
from seqmill.sources.cache import Cache
from seqmill.sources.download import download
from seqmill.sources.refresh import refresh
from seqmill.sources.web import Web

pytestmark = pytest.mark.faults
TRIALS = 20
PAGE = b"<!DOCTYPE html><html><body>We are back soon.</body></html>"
PASSING = {
    "429": lambda rng: Fault(
        status=429, headers={"Retry-After": rng.choice(["1", "Wed, 21 Oct 2015 07:28:00 GMT", "x"])}
    ),
    "5xx": lambda rng: Fault(status=rng.choice([500, 502, 503, 504])),
    "cut": lambda rng: Fault(cut=rng.random(), framing=rng.choice(["length", "none", "chunked"])),
    "reset": lambda rng: Fault(cut=rng.random(), end=rng.choice(["reset", "half"])),
    "page": lambda rng: Fault(body=PAGE, headers={"Content-Type": rng.choice(["text/html", "application/json"])}),
}


def answer(ask, accession):
    """Rows, or None and the message of the error."""
    try:
        return ask(accession), ""
    except SeqmillError as error:
        return None, str(error)


@pytest.mark.parametrize("name", PASSING)
def test_a_record_behind_faults_is_the_same_record(tmp_path, name):
    with portal_with(tmp_path) as (encode, _, ask):
        for number in range(TRIALS):
            rng = random.Random(f"{name} {number}")
            accession = encode.add_file()
            right = ask(accession)
            ask.portal.clear()
            times = rng.randrange(1, 12)
            for _ in range(times):
                ask.portal.fault(accession, PASSING[name](rng), 1)
            rows, message = answer(ask, accession)
            if times < 8:
                assert rows == right, message
            else:
                assert rows is None
                assert accession in message and "\n" not in message
                assert len(ask.portal.log) == 8
            ask.portal.clear()


def test_a_record_that_drifts_is_the_same_row_or_a_named_error(tmp_path):
    """Every field gone, empty, of another type or of a new word, one at a time."""
    seen = {"row": 0, "error": 0}
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file(experiment=encode.add_experiment())
        right, good = ask(accession), copy.deepcopy(encode.files[accession])
        for field in list(good):
            for value in (None, "", [], {}, 7, -1, "a new word", ["a"], {"a": [1]}, True):
                encode.files[accession] = copy.deepcopy(good)
                if value is None:
                    del encode.files[accession][field]
                else:
                    encode.files[accession][field] = value
                rows, message = answer(ask, accession)
                if rows is None:
                    assert accession in message, (field, value, message)
                    seen["error"] += 1
                    continue
                (row,) = rows
                seen["row"] += 1
                # what identifies the bytes never drifts without a word
                checked = ("md5sum", "file_size", "accession", "status")
                assert field not in checked or value == good[field], (field, value)
                assert (row.bytes, row.md5, row.accession) == (right[0].bytes, right[0].md5, accession)
    assert min(seen.values()) >= 3 * TRIALS


@pytest.mark.parametrize(
    "status",
    ["archived", "revoked", "replaced", "deleted", "in progress", "content error", "uploading", "upload failed"],
)
def test_what_changes_after_the_lock_is_named_and_locked_runs_go_on(tmp_path, status):
    with portal_with(tmp_path) as (encode, sources, ask):
        accession = encode.add_file()
        wish = Asked("t", accession, where="tracks.tsv")
        (row,) = ask(accession)
        cache = Cache(sources.cache_folder())
        download(row, ask.web, cache)
        encode.change(accession, status=status)
        (outcome,) = refresh([wish], [row], asker([row], ask.web, sources, cache))
        said = " ".join(change.text for change in outcome.changes)
        assert outcome.changes and accession in said + outcome.name + outcome.decision
        if status in ("archived", "revoked"):  # the portal shows these to anybody
            assert status in said
        assert outcome.old == (row,)
        asked = len(ask.portal.log)
        locked = sources.model_copy(update={"locked": True})
        with Web(locked) as web:
            assert download(row, web, cache).read_bytes() == encode.content[accession]
            with pytest.raises(RemoteError, match="locked"):
                download(LockRow(**{**row.__dict__, "md5": "0" * 32}), web, cache)
        assert len(ask.portal.log) == asked


def test_other_bytes_under_a_locked_name_are_refused(tmp_path):
    with portal_with(tmp_path) as (encode, sources, ask):
        accession = encode.add_file()
        wish = Asked("t", accession, where="tracks.tsv")
        (row,) = ask(accession)
        encode.serve(accession, b"\x26\xfc\x8f\x88" + bytes(row.bytes - 4))
        cache = Cache(sources.cache_folder())
        with pytest.raises(RemoteError, match="checksum mismatch"):
            download(row, ask.web, cache)
        assert cache.entries() == []
        (outcome,) = refresh([wish], [row], asker([row], ask.web, sources, cache))
        assert [change.kind for change in outcome.changes] == ["checksum"]
        assert outcome.decision


@pytest.mark.parametrize("number", range(TRIALS))
def test_a_portal_link_that_expires_is_asked_for_again(tmp_path, number):
    rng = random.Random(number)
    with portal_with(tmp_path) as (encode, sources, ask):
        accession = encode.add_file(size=rng.randrange(2000, 60_000))
        (row,) = ask(accession)
        row = LockRow(**{**row.__dict__, "mirrors": ""})
        ask.portal.fault("/signed/", Fault(cut=rng.random(), end=rng.choice(["close", "reset"])), 1)
        denied = Fault(
            status=403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        )
        ask.portal.fault("/signed/", denied, 1)
        before = len(ask.portal.seen("@@download"))
        path = download(row, ask.web, Cache(sources.cache_folder()))
        assert path.read_bytes() == encode.content[accession]
        assert len(ask.portal.seen("@@download")) - before == 3  # cut, refused, and the one that was asked for again

"""Refreshes of portals in any state: what is applied stays applied, what waits is told again."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow, read_lock, write_lock
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources import changelog
from seqmill.sources.refresh import refresh
from seqmill.sources.withdrawn import WithdrawnError

NAMES = ("a", "b", "c")
HEIR = "TSTFF999ZZZ"
STATUSES = ("revoked", "replaced", "archived", "deleted", "not public")

row = st.builds(
    LockRow,
    name=st.just(""),
    asked=st.just(""),
    file=st.just("x.bigWig"),
    source=st.just("encode"),
    accession=st.sampled_from(["TSTFF111AAA", "TSTFF222BBB"]),
    url=st.just("https://portal.invalid/x"),
    bytes=st.integers(1, 2),
    md5=st.sampled_from(["a" * 32, "b" * 32]),
    status=st.sampled_from(["released", "archived"]),
    biosample=st.sampled_from(["", "K562"]),
)
withdrawal = st.tuples(st.sampled_from(STATUSES), st.sampled_from([(), (HEIR,), (HEIR, "TSTFF888YYY")]))
answer = st.one_of(row, withdrawal, st.just("down"), st.just("no such file"))


def portal(answers):
    """Answers of each wish; an heir is always there, and an archived file for whoever allows it."""

    def resolve(asked, archived):
        found = answers[asked.name]
        if asked.location == f"encode:{HEIR}":
            found = LockRow("", "", "heir.bigWig", "encode", HEIR, "https://portal.invalid/h", 7, md5="e" * 32)
        if found == "down":
            raise RemoteError("portal.invalid", "no answer")
        if found == "no such file":
            raise InputError("tracks.tsv", "no such file")
        if isinstance(found, tuple) and archived and found[0] == "archived":
            found = LockRow("", "", "x.bigWig", "encode", "TSTFF111AAA", "u", 1, md5="a" * 32, status="archived")
        if isinstance(found, tuple):
            raise WithdrawnError("tracks.tsv", "no", accession="TSTFF111AAA", status=found[0], successors=found[1])
        return [replace(found, name=asked.name, asked=asked.text)]

    return resolve


@settings(deadline=None, max_examples=200)
@given(
    held=st.dictionaries(st.sampled_from(NAMES), row),
    answers=st.fixed_dictionaries(dict.fromkeys(NAMES, answer)),
    accept=st.sets(st.sampled_from(NAMES)),
)
def test_applying_twice_is_applying_once(held, answers, accept, tmp_path_factory):
    wishes = [Asked(name, "TSTFF111AAA") for name in NAMES[:2]]
    old = [replace(one, name=name, asked="TSTFF111AAA") for name, one in held.items()]
    resolve = portal(answers)
    outcomes = refresh(wishes, old, resolve, workers=1)
    by_name = {outcome.name: outcome for outcome in outcomes}
    rows = changelog.next_rows(outcomes, accept)
    for name in NAMES:
        outcome, mine = by_name.get(name), [one for one in rows if one.name == name]
        if outcome is None:
            assert mine == [] == [one for one in old if one.name == name]
        elif outcome.new is None or (outcome.decision and name not in accept):
            assert mine == list(outcome.old), "what needs a decision is left as it is"
        else:
            assert mine == list(outcome.new)
    assert all(one.status != "revoked" for one in rows)
    if rows:  # it is a lock, and reads back as it was written
        path = tmp_path_factory.getbasetemp() / "next.lock.tsv"
        write_lock(path, rows)
        assert set(read_lock(path)) == set(rows)
    again = refresh(wishes, rows, resolve, workers=1)
    assert set(changelog.next_rows(again, accept)) == set(rows)
    for outcome in again:
        waits = outcome.new is None or (outcome.decision and outcome.name not in accept)
        assert not outcome.changes or waits, f"{outcome.changes} was applied and is told again"

"""What a refresh makes of each wish, and the changelog and the lock that follow."""

from dataclasses import replace

import pytest

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources import changelog
from seqmill.sources.refresh import check_accepted, refresh
from seqmill.sources.withdrawn import WithdrawnError

TRACK = Asked("ctcf", "TSTFF111AAA", where="tracks.tsv")


def row(accession, asked=TRACK, *, md5="a" * 32, size=10, **more) -> LockRow:
    return LockRow(
        name=asked.name,
        asked=asked.text,
        file=f"{accession}.bigWig",
        source="encode",
        accession=accession,
        url=f"https://portal.invalid/{accession}",
        bytes=size,
        md5=md5,
        **{"status": "released", "retrieved": "2024-01-01", **more},
    )


class Portal:
    """Answers by location: rows, or an error; archived files pass where that is allowed."""

    def __init__(self, **answers):
        self.answers, self.log = answers, []

    def __call__(self, asked, archived):
        self.log.append(asked.location)
        answer = self.answers[asked.location.removeprefix("encode:")]
        if isinstance(answer, WithdrawnError) and answer.status == "archived" and archived:
            return [row(asked.location, asked, status="archived")]
        if isinstance(answer, Exception):
            raise answer
        return [replace(one, name=asked.name, asked=asked.text, retrieved="2024-02-01") for one in answer]


def withdrawn(accession, status, *successors):
    message = f"{accession}: {status}" + (f" by {', '.join(successors)}" if successors else "")
    return WithdrawnError("tracks.tsv", message, accession=accession, status=status, successors=successors)


def once(portal, old, asked=TRACK):
    (outcome,) = refresh([asked], old, portal, workers=1)
    return outcome


def kinds(outcome):
    return [change.kind for change in outcome.changes]


def test_unchanged_rows_stay_the_very_rows_of_the_lock():
    old = [row("TSTFF111AAA")]
    outcome = once(Portal(TSTFF111AAA=old), old)
    assert outcome.changes == () and outcome.decision == ""
    assert changelog.next_rows([outcome]) == old  # with the date of the first lock, though asked again later


def test_revoked_file_is_never_applied_and_keeps_its_row():
    old = [row("TSTFF111AAA")]
    outcome = once(Portal(TSTFF111AAA=withdrawn("TSTFF111AAA", "revoked")), old)
    assert kinds(outcome) == ["revoked"] and outcome.new is None
    assert outcome.decision == "TSTFF111AAA is revoked: ask for another file (tracks.tsv)"
    assert changelog.next_rows([outcome], ["ctcf"]) == old
    with pytest.raises(
        InputError, match="--accept: ctcf: there is nothing to put in its place; TSTFF111AAA is revoked"
    ):
        check_accepted(["ctcf"], [outcome])


def test_replaced_file_waits_for_the_sheet_or_for_being_accepted():
    old = [row("TSTFF111AAA")]
    portal = Portal(
        TSTFF111AAA=withdrawn("TSTFF111AAA", "replaced", "TSTFF222BBB"), TSTFF222BBB=[row("TSTFF222BBB", md5="b" * 32)]
    )
    outcome = once(portal, old)
    assert kinds(outcome) == ["replaced"]
    assert outcome.changes[0].text == "TSTFF111AAA: replaced by TSTFF222BBB"
    assert outcome.decision == (
        "TSTFF111AAA is replaced: ask for TSTFF222BBB in its place (tracks.tsv), or accept it (--accept 'ctcf')"
    )
    assert changelog.next_rows([outcome]) == old
    check_accepted(["ctcf"], [outcome])
    (taken,) = changelog.next_rows([outcome], ["ctcf"])
    assert (taken.accession, taken.asked, taken.name) == ("TSTFF222BBB", "TSTFF111AAA", "ctcf")
    again = once(portal, [taken])  # the sheet still names the old file
    assert again.changes == () and changelog.next_rows([again]) == [taken]


def test_two_successors_are_for_the_sheet_to_choose_from():
    portal = Portal(TSTFF111AAA=withdrawn("TSTFF111AAA", "replaced", "TSTFF222BBB", "TSTFF333CCC"))
    outcome = once(portal, [row("TSTFF111AAA")])
    assert outcome.new is None and "ask for one of TSTFF222BBB, TSTFF333CCC" in outcome.decision


def test_archived_file_is_accepted_once():
    old, portal = [row("TSTFF111AAA")], Portal(TSTFF111AAA=withdrawn("TSTFF111AAA", "archived"))
    outcome = once(portal, old)
    assert kinds(outcome) == ["archived"] and "sources.allow_archived" in outcome.decision
    (taken,) = changelog.next_rows([outcome], ["ctcf"])
    assert taken.status == "archived" and taken.md5 == old[0].md5
    assert once(portal, [taken]).changes == ()


@pytest.mark.parametrize("status", ["deleted", "in progress", "content error", "uploading", "upload failed"])
def test_other_statuses_are_no_longer_offered(status):
    outcome = once(Portal(TSTFF111AAA=withdrawn("TSTFF111AAA", status)), [row("TSTFF111AAA")])
    assert kinds(outcome) == ["unavailable"] and status in outcome.changes[0].text and outcome.decision


def test_an_experiment_that_chose_another_file_is_followed():
    asked = Asked("ctcf", "TSTSR000AAA", output_type="signal p-value")
    old = [row("TSTFF111AAA", asked, date="2020-01-01")]
    portal = Portal(
        TSTSR000AAA=[row("TSTFF222BBB", asked, md5="b" * 32, size=20)], TSTFF111AAA=withdrawn("TSTFF111AAA", "revoked")
    )
    outcome = once(portal, old, asked)
    assert kinds(outcome) == ["replaced"] and not outcome.decision
    assert outcome.changes[0].text == "TSTFF111AAA by TSTFF222BBB (TSTFF111AAA is revoked now)"
    assert [one.accession for one in changelog.next_rows([outcome])] == ["TSTFF222BBB"]


def test_other_bytes_under_one_accession_need_a_decision():
    old = [row("TSTFF111AAA")]
    outcome = once(Portal(TSTFF111AAA=[row("TSTFF111AAA", md5="c" * 32, size=11)]), old)
    assert kinds(outcome) == ["checksum"]
    assert outcome.changes[0].text == f"TSTFF111AAA: 10 B md5:{'a' * 32} before, 11 B md5:{'c' * 32} now"
    assert changelog.next_rows([outcome]) == old
    assert changelog.next_rows([outcome], ["ctcf"])[0].md5 == "c" * 32


def test_metadata_are_told_field_by_field_and_taken():
    old = [row("TSTFF111AAA", biosample="K562", donors="TSTDO000AAA")]
    outcome = once(Portal(TSTFF111AAA=[row("TSTFF111AAA", biosample="K-562", donors="TSTDO000AAA")]), old)
    (change,) = outcome.changes
    assert (change.kind, dict(change.fields)) == ("metadata", {"biosample": ("K562", "K-562")})
    assert changelog.next_rows([outcome])[0].biosample == "K-562"


def test_unreachable_keeps_what_is_there():
    old = [row("TSTFF111AAA")]
    outcome = once(Portal(TSTFF111AAA=RemoteError("portal.invalid", "no answer")), old)
    assert kinds(outcome) == ["unreachable"] and changelog.next_rows([outcome]) == old


def test_a_wish_that_cannot_be_met_any_more_is_undecided():
    outcome = once(Portal(TSTFF111AAA=InputError("tracks.tsv", "two files left")), [row("TSTFF111AAA")])
    assert kinds(outcome) == ["undecided"] and outcome.decision == "change the sheet or the configuration (tracks.tsv)"


def test_new_changed_and_gone_rows_of_the_sheet():
    old = [row("TSTFF111AAA"), row("TSTFF444DDD", Asked("old", "TSTFF444DDD"))]
    wishes = [replace(TRACK, assembly="GRCh38"), Asked("max", "TSTFF555EEE")]
    portal = Portal(TSTFF111AAA=[row("TSTFF111AAA")], TSTFF555EEE=[row("TSTFF555EEE", md5="e" * 32, size=2000)])
    outcomes = refresh(wishes, old, portal)
    assert [(one.name, kinds(one)) for one in outcomes] == [("ctcf", ["asked"]), ("max", ["new"]), ("old", ["gone"])]
    assert outcomes[0].changes[0].text == "TSTFF111AAA before, TSTFF111AAA; assembly=GRCh38 now"
    assert outcomes[1].changes[0].text == "TSTFF555EEE: TSTFF555EEE, 2.0 kB"
    assert [one.accession for one in changelog.next_rows(outcomes)] == ["TSTFF111AAA", "TSTFF555EEE"]


def test_accept_knows_its_names():
    old = [row("TSTFF111AAA")]
    outcomes = refresh([TRACK], old, Portal(TSTFF111AAA=old))
    with pytest.raises(InputError, match="'cctf' is no track and no remote file"):
        check_accepted(["cctf"], outcomes)
    with pytest.raises(InputError, match="ctcf is as the lock says"):
        check_accepted(["ctcf"], outcomes)


def test_reads_that_gain_a_run():
    asked = Asked("rna", "SRP000001")
    old = [row("SRR1", asked, role="R1"), row("SRR1", asked, role="R2", md5="b" * 32)]
    outcome = once(Portal(SRP000001=[*old, row("SRR2", asked, role="single", md5="d" * 32)]), old, asked)
    assert [(change.kind, change.text) for change in outcome.changes] == [("new", "more files: SRR2 (single)")]
    assert len(changelog.next_rows([outcome])) == 3


def test_what_is_to_be_downloaded():
    old = [row("TSTFF111AAA"), row("TSTFF333CCC", md5="c" * 32)]
    new = [row("TSTFF222BBB"), row("TSTFF333CCC", md5="d" * 32), row("TSTFF444DDD", md5="d" * 32)]
    assert [one.md5 for one in changelog.to_download(new, old)] == ["d" * 32]  # known bytes, and the same bytes once


def test_names_with_other_pins():
    other = Asked("max", "x")
    old = [row("TSTFF111AAA"), row("TSTFF333CCC", other), row("TSTFF444DDD", Asked("gone", "y"))]
    new = [row("TSTFF111AAA", donors="z"), row("TSTFF333CCC", other, md5="c" * 32), row("X", Asked("new", "z"))]
    assert changelog.repinned(new, old) == ["max"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"md5": "a" * 32}, {"md5": "a" * 32}, True),
        ({"md5": "a" * 32}, {"md5": "a" * 32, "size": 11}, False),
        ({"md5": "a" * 32, "sha256": "1" * 64}, {"md5": "", "sha256": "1" * 64}, True),
        ({"md5": "a" * 32, "sha256": "1" * 64}, {"md5": "a" * 32, "sha256": "2" * 64}, False),
        ({"md5": "a" * 32}, {"md5": "", "sha256": "1" * 64}, False),
    ],
)
def test_same_bytes(one, other, same):
    assert changelog.same_bytes(row("X", **one), row("X", **other)) is same


MARKDOWN = """\
# Refresh of tracks.lock.tsv, 2024-02-01

2 tracks and files compared: 1 revoked, 1 metadata.

## To decide

- **ctcf**: TSTFF111AAA is revoked: ask for another file (tracks.tsv)

## Revoked: the portal withdrew these files

- **ctcf**: TSTFF111AAA: revoked

## Metadata

- **max\\[1\\]**: TSTFF222BBB: biosample
  - biosample: (empty) → \\<b\\>K\\|562

## What applying it takes

- download: 0 files, 0 B
"""


def test_markdown():
    asked = Asked("max[1]", "TSTFF222BBB")
    portal = Portal(
        TSTFF111AAA=withdrawn("TSTFF111AAA", "revoked"), TSTFF222BBB=[row("TSTFF222BBB", biosample="<b>K|562")]
    )
    outcomes = refresh([TRACK, asked], [row("TSTFF111AAA"), row("TSTFF222BBB", asked)], portal)
    about = {"lock": "tracks.lock.tsv", "date": "2024-02-01", "names": 2}
    assert changelog.markdown(outcomes, ["- download: 0 files, 0 B"], **about) == MARKDOWN
    found = changelog.as_json(outcomes, {"bytes": 0}, lock="tracks.lock.tsv")
    assert found["counts"] == {"revoked": 1, "metadata": 1}
    assert found["changes"][1]["fields"] == {"biosample": ("", "<b>K|562")}
    assert [change["name"] for change in found["changes"]] == ["ctcf", "max[1]"]


def test_markdown_without_changes():
    assert changelog.markdown([], [], lock="a.tsv", date="2024-02-01", names=3) == (
        "# Refresh of a.tsv, 2024-02-01\n\n3 tracks and files compared: nothing changed.\n"
    )

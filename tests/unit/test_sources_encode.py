"""Files and experiments of ENCODE become rows of the lock, or an error that says why not."""

import base64
import hashlib
import json
import logging
from collections import Counter
from dataclasses import replace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from tests.portal import Fault
from tests.portal.encode import HIDDEN, computed
from tests.unit.encode_examples import portal_with

from seqmill.config.asked import Asked
from seqmill.config.lock import read_lock, write_lock
from seqmill.config.portals import Portals, Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.encode import allows_tests, resolve_encode
from seqmill.sources.encode_file import unusable
from seqmill.sources.withdrawn import WithdrawnError

STATUSES = (
    *("uploading", "upload failed", "in progress", "released", "archived"),
    *("deleted", "replaced", "revoked", "content error"),
)


def test_a_file_becomes_a_row(tmp_path):
    with portal_with(tmp_path) as (encode, sources, ask):
        experiment = encode.add_experiment(assay_title="TF ChIP-seq", target={"label": "CTCF"})
        accession = encode.add_file(experiment=experiment, donors=["/human-donors/ENCDO000AAK/"])
        (row,) = ask(accession, assembly="hg38", format="bigwig")
        answer = ask.web.get(row.url)
        mirror = ask.web.get(row.mirrors)
    assert answer.content == mirror.content == encode.content[accession]
    assert (row.bytes, row.md5) == (len(answer.content), hashlib.md5(answer.content).hexdigest())
    assert row.url == f"{sources.portals.encode}/files/{accession}/@@download/{accession}.bigWig"
    assert row.mirrors.startswith(f"{sources.portals.encode_files}/2013/01/01/")
    found = (row.name, row.asked, row.file, row.source, row.accession, row.status, row.assembly, row.assay, row.target)
    wish = f"{accession}; assembly=hg38; format=bigwig"
    assert found == ("t", wish, f"{accession}.bigWig", "encode", accession, "released", "GRCh38", "TF ChIP-seq", "CTCF")
    assert (row.experiment, row.replicates, row.donors, row.date, row.biosample, row.role, row.run) == (
        *(experiment, "1", "ENCDO000AAK", "2013-01-01", "stand-in", "", ""),
    )
    write_lock(tmp_path / "x.lock.tsv", [row])
    assert read_lock(tmp_path / "x.lock.tsv") == [row]


def test_a_download_link_is_signed_and_expires(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        (row,) = ask(encode.add_file())
        place = ask.web.get(row.url).url
        encode.expire()
        with pytest.raises(HTTPError, match="403"):
            urlopen(place)
        assert ask.web.get(row.url).content == encode.content[row.accession]


@pytest.mark.parametrize("status", STATUSES)
def test_only_released_files_are_used(tmp_path, status):
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file(status=status)
        if status == "released":
            assert ask(accession)[0].status == "released"
            return
        with pytest.raises(WithdrawnError) as error:
            ask(accession)
    said = "not public" if status in HIDDEN else f"status {status}"
    assert error.value.accession == accession and error.value.exit_code == 2
    assert str(error.value).startswith(f"tracks.tsv: {accession}: {said}")


@pytest.mark.parametrize("status", [*STATUSES, "a new word"])
def test_status_of_a_record(status):
    record = {"accession": "TSTFF000AAA", "status": status, "md5sum": "0" * 32, "file_size": 1}
    reason, text = unusable(record, Asked("t", "TSTFF000AAA"))
    if status == "released":
        assert (reason, text) == ("", "")
    elif status == "archived":
        assert text == "status archived; set sources.allow_archived: true to use it all the same"
        assert unusable(record, Asked("t", "TSTFF000AAA"), allow_archived=True) == ("", "")
    else:
        assert (reason, text) == (f"status {status}", f"status {status}; only released files are used")
        assert unusable(record, Asked("t", "TSTFF000AAA"), allow_archived=True)[0] == reason


def test_a_revoked_file_says_why_and_what_takes_its_place(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file(
            status="revoked", revoke_detail="sample swap", superseded_by=["/files/TSTFF009AAA/"]
        )
        with pytest.raises(WithdrawnError) as error:
            ask(accession)
    assert str(error.value) == (
        f"tracks.tsv: {accession}: status revoked (reason: sample swap), superseded by TSTFF009AAA; "
        "only released files are used"
    )
    assert error.value.status == "revoked" and error.value.successors == ("TSTFF009AAA",)


def test_words_of_the_portal_stay_on_their_line(tmp_path):
    """Nothing that an answer holds may end a line of a message or move a terminal's cursor."""
    links = ["/files/TSTFF009AAA/", "/files/a\nERROR b/", "/files/\x1b[2J/"]
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file(status="revoked", revoke_detail="a\nERROR\x1b[2J b", superseded_by=links)
        with pytest.raises(WithdrawnError) as error:
            ask(accession)
        assert "status revoked (reason: a ERROR [2J b), superseded by TSTFF009AAA; only" in str(error.value)
        assert str(error.value).isprintable()
        encode.change(accession, status="released", output_type="x\ny\x1b[2J", superseded_by=[])
        with pytest.raises(InputError, match=r"output_type 'x y \[2J', the sheet says 'raw signal'$"):
            ask(accession, output_type="raw signal")
        assert ask(accession)[0].output_type == "x y [2J"


def test_a_replaced_file_is_not_taken_for_its_successor(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        old, new = encode.add_file(), encode.add_file()
        encode.replace(old, new)
        with pytest.raises(WithdrawnError, match=rf"{old}: status replaced, superseded by {new}; name that one$"):
            ask(old)
        assert ask(new)[0].accession == new


def test_archived_files_by_option(tmp_path):
    with portal_with(tmp_path, allow_archived=True) as (encode, _, ask):
        assert ask(encode.add_file(status="archived"))[0].status == "archived"


@pytest.mark.parametrize(
    ("fields", "wish", "message"),
    [
        ({"restricted": True}, {}, "not downloadable: restricted access"),
        ({"no_file_available": True}, {}, "not downloadable: the portal has no file (no_file_available)"),
        ({"file_format": "bam"}, {"format": "bigwig"}, "file_format bam, need bigWig"),
        (
            {"file_format": "bed", "file_format_type": "bed9"},
            {"format": "narrowpeak"},
            "file_format bed bed9, need bed narrowPeak",
        ),
        (
            {"assembly": "hg19"},
            {"assembly": "GRCh38"},
            "assembly hg19, need GRCh38; name a file of GRCh38, or a genome of hg19 (its key 'assembly')",
        ),
        ({"assembly": None}, {"assembly": "hg38"}, "assembly not stated by the portal, need GRCh38"),
        (
            {"assembly": "GRCh38-minimal"},
            {"assembly": "hg38"},
            "assembly not stated as GRCh38 but as GRCh38-minimal, which lacks contigs; name a file of GRCh38",
        ),
        (
            {},
            {"output_type": "signal p-value"},
            "output_type 'read-depth normalized signal', the sheet says 'signal p-value'",
        ),
        ({}, {"replicates": "1, 2"}, "replicates '1', the sheet says '1, 2'"),
    ],
)
def test_files_that_do_not_fit(tmp_path, fields, wish, message):
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file()
        encode.change(accession, **fields)
        with pytest.raises(InputError) as error:
            ask(accession, **wish)
    assert str(error.value) == f"tracks.tsv: {accession}: {message}"


def test_replicates_must_be_numbers(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask), pytest.raises(InputError, match=r"replicates 'one': expected numb"):
        ask(encode.add_file(), replicates="one")


def test_a_file_of_the_configuration_is_named_with_its_ending(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file(file_format="bed", file_format_type="bed3+", output_type="exclusion list regions")
        assert ask(f"{accession}.bed.gz")[0].file == f"{accession}.bed.gz"
        with pytest.raises(InputError, match=rf"{accession}\.bigWig: the portal's file is {accession}\.bed\.gz$"):
            ask(f"{accession}.bigWig")


def test_files_with_a_name_from_elsewhere(tmp_path):
    name = "GRCh38_no_alt_analysis_set_GCA_000001405.15"
    with portal_with(tmp_path) as (encode, _, ask):
        raw = {"external_accession": name, "status": "released", "file_format": "fasta", "md5sum": "0" * 32}
        encode.files[name] = computed({**raw, "file_size": 5, "output_type": "genome reference"})
        (row,) = ask(f"encode:{name}")
    assert (row.file, row.accession) == (f"{name}.fasta.gz", name)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"md5sum": None}, "field 'md5sum' missing in the portal's answer"),
        ({"file_size": None}, "field 'file_size' missing in the portal's answer"),
        ({"status": None}, "field 'status' missing in the portal's answer"),
        ({"href": None}, "field 'href' missing in the portal's answer"),
        ({"output_type": None}, "field 'output_type' missing in the portal's answer"),
        ({"file_size": "12"}, "field 'file_size' in the portal's answer: expected int, found '12'"),
        ({"md5sum": "abc"}, "md5sum 'abc' or file_size 1000 in the portal's answer cannot be true"),
        ({"file_size": 0}, f"md5sum '{'0' * 32}' or file_size 0 in the portal's answer cannot be true"),
        (
            {"href": "/files/TSTFF000AAA/@@download/../../x.bigWig"},
            "field 'href' is no download link of this file: '/files/TSTFF000AAA/@@download/../../x.bigWig'",
        ),
        (
            {"href": "https://example.org/TSTFF000AAA.bigWig"},
            "field 'href' is no download link of this file: 'https://example.org/TSTFF000AAA.bigWig'",
        ),
        (
            {"href": "/files/TSTFF000AAB/@@download/TSTFF000AAB.bigWig"},
            "field 'href' is no download link of this file: '/files/TSTFF000AAB/@@download/TSTFF000AAB.bigWig'",
        ),
        (
            {"cloud_metadata": {"md5sum_base64": "2h9eQNqWxPpaqDfNZpk0Ig==", "file_size": 1000}},
            f"the portal contradicts itself: md5sum {'0' * 32} and da1f5e40da96c4fa5aa837cd66993422, "
            "file_size 1000 and 1000",
        ),
    ],
)
def test_answers_of_another_form(tmp_path, fields, message):
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file()
        # a server that lost a field may well have lost what is computed from it
        encode.change(accession, **{"cloud_metadata": None, "md5sum": "0" * 32, **fields})
        with pytest.raises(RemoteError) as error:
            ask(accession)
    assert str(error.value) == f"{accession}: {message}"


def test_new_words_and_new_fields_do_no_harm(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        accession = encode.add_file(output_type="a signal of tomorrow", new_field={"a": [1]})
        assert ask(accession)[0].output_type == "a signal of tomorrow"


def test_an_answer_of_another_record_is_refused(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        one, two = encode.add_file(), encode.add_file()
        encode.files[one]["accession"] = two
        with pytest.raises(RemoteError, match=f"^{one}: the portal's answer is of '{two}'$"):
            ask(one)


def test_unknown_accessions_and_pages(tmp_path):
    with portal_with(tmp_path) as (_, sources, ask):
        with pytest.raises(InputError, match=r"TSTFF999ZZZ: the ENCODE portal knows no such accession$"):
            ask("TSTFF999ZZZ")
        ask.portal.fault("/encode/", Fault(status=200, body=b"<html>maintenance</html>"))
        with pytest.raises(RemoteError, match="expected JSON, got an HTML page"):
            ask("TSTFF000AAA")
        assert sources.network.attempts == len(ask.portal.seen("TSTFF000AAA"))


def test_audit_errors_by_policy(tmp_path, caplog):
    audit = {
        "ERROR": [
            {"category": "extremely low read depth", "path": "/files/TSTFF000AAA/"},
            {"category": "of another file", "path": "/files/TSTFF009AAA/"},
        ],
        "WARNING": [{"category": "mild", "path": "/files/TSTFF000AAA/"}],
    }
    said = "TSTFF000AAA: portal audit ERROR: extremely low read depth"
    with portal_with(tmp_path) as (encode, _, ask), caplog.at_level(logging.WARNING, "seqmill"):
        encode.add_file(audit=audit)
        ask("TSTFF000AAA")
        assert [record.getMessage() for record in caplog.records] == [f"t: {said}"]
    with portal_with(tmp_path, audits="error") as (encode, _, ask):
        encode.add_file(audit=audit)
        with pytest.raises(InputError, match=f"^tracks.tsv: {said}; set sources.audits: warn to use it all the same$"):
            ask("TSTFF000AAA")
    caplog.clear()
    with portal_with(tmp_path, audits="ignore") as (encode, _, ask):
        encode.add_file(audit=audit)
        ask("TSTFF000AAA")
        assert not caplog.records


def test_audit_errors_of_the_experiment_count_for_its_file(tmp_path):
    with portal_with(tmp_path, audits="error") as (encode, _, ask):
        path = "/experiments/TSTSR000AAA/"
        experiment = encode.add_experiment("TSTSR000AAA", audit={"ERROR": [{"category": "no control", "path": path}]})
        accession = encode.add_file(experiment=experiment)
        with pytest.raises(InputError, match=rf"{accession}: portal audit ERROR: no control; "):
            ask(experiment, assembly="GRCh38", format="bigwig")


def test_read_files_bring_their_mates(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        reads = {"file_format": "fastq", "output_type": "reads", "assembly": None}
        two = encode.add_file("TSTFF000AAA", **reads, paired_end="2", paired_with="/files/TSTFF000AAB/", read_count=7)
        one = encode.add_file("TSTFF000AAB", **reads, paired_end="1", paired_with="/files/TSTFF000AAA/", read_count=7)
        rows = ask(two, format="fastq", assembly="GRCh38")
        assert [(row.accession, row.role, row.run, row.reads) for row in rows] == [
            (two, "R2", one, 7),
            (one, "R1", one, 7),
        ]
        encode.change(one, status="revoked")
        with pytest.raises(WithdrawnError, match=f"{one}: status revoked"):
            ask(two, format="fastq")
        both = encode.add_file(**reads, paired_end="1,2")
        with pytest.raises(InputError, match=f"{both} holds both reads of its pairs in one file"):
            ask(both, format="fastq")
        single = encode.add_file(**reads)
        assert [(row.role, row.run) for row in ask(single, format="fastq")] == [("single", "")]


def test_an_experiment_is_no_file_of_the_configuration(tmp_path):
    with portal_with(tmp_path) as (_, sources, ask):
        wish = Asked("ENCSR998WNE", "ENCSR998WNE", where="config.yaml")
        with pytest.raises(InputError, match=r"ENCSR998WNE is an experiment, a file \(ENCFF…\) is needed; list its"):
            resolve_encode(wish, ask.web, sources)
        assert not ask.portal.log


def test_an_experiment_has_a_status_too(tmp_path):
    with portal_with(tmp_path) as (encode, _, ask):
        experiment = encode.add_experiment(status="revoked", superseded_by=["/experiments/TSTSR009AAA/"])
        encode.add_file(experiment=experiment)
        with pytest.raises(WithdrawnError, match="status revoked, superseded by TSTSR009AAA; only released"):
            ask(experiment, format="bigwig")


def test_test_accessions_mean_nothing_at_the_real_portal():
    assert not allows_tests(Sources())
    assert allows_tests(Sources(portals=Portals(encode="http://127.0.0.1:8000/encode")))
    assert allows_tests(Sources(portals=Portals(encode="http://localhost:8000")))
    assert not allows_tests(Sources(portals=Portals(encode="https://mirror.example.org")))


def test_every_recorded_file(test_data, tmp_path):
    """384 recorded file objects, 50 of a real experiment and 334 of the portal's own fixtures: 298 can be used, and
    two of those are half of a pair whose other half cannot."""
    reasons, rows = Counter(), []
    with portal_with(tmp_path, test_data) as (encode, _, ask):
        assert len(encode.files) == 384
        for accession, record in encode.files.items():
            try:
                rows += ask(accession if accession.startswith("ENCFF") else f"encode:{accession}")
            except InputError as error:
                own = str(error).startswith(f"tracks.tsv: {accession}: ")
                said = str(error).partition(": ")[2].partition(": ")[2].partition(";")[0]
                reasons[record["status"] if own and record["status"] != "released" else f"{own} {said}"] += 1
    assert reasons == {
        "in progress": 72,
        "deleted": 2,
        "replaced": 2,
        "revoked": 3,
        "True not downloadable: restricted access": 6,
        "False not downloadable: restricted access": 1,
        "True not downloadable: the portal has no file (no_file_available)": 1,
        "False not public (HTTP 403): in progress, deleted or replaced at the ENCODE portal": 1,
    }
    files = {row.accession: row for row in rows}
    assert len(files) == 296 == 384 - sum(reasons.values())
    kinds = Counter(row.format.partition(" ")[0] for row in files.values())
    assert [kinds[kind] for kind in ("bigWig", "bam", "bed", "hic", "fastq")] == [53, 43, 22, 6, 55]
    unique = {row.accession: replace(row, name=row.accession) for row in files.values()}
    write_lock(tmp_path / "all.lock.tsv", list(unique.values()))
    assert len(read_lock(tmp_path / "all.lock.tsv")) == 296


def test_rows_of_the_recorded_experiment_agree_with_another_reader(test_data, tmp_path):
    """ffq read the same answer, and what it made of it was recorded too: sizes, checksums and links agree."""
    theirs = json.loads((test_data / "metadata/ffq/ENCSR998WNE_output.txt").read_text())["files"]
    with portal_with(tmp_path, test_data) as (_, sources, ask):
        rows = {row.accession: row for accession in theirs for row in ask(accession)}
    assert len(rows) == len(theirs) == 50
    for accession, row in rows.items():
        cloud = theirs[accession]["cloud_metadata"]
        assert (row.bytes, bytes.fromhex(row.md5)) == (cloud["file_size"], base64.b64decode(cloud["md5sum_base64"]))
        assert row.mirrors == cloud["url"].replace(Portals().encode_files, sources.portals.encode_files)
        assert row.format == theirs[accession]["file_format"] and row.output_type == theirs[accession]["output_type"]

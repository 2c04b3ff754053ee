"""Whatever a portal answers: a row that a lock may hold, or one of our errors. Never another exception."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.portal.encode import computed

from seqmill.config.asked import Asked
from seqmill.config.lock import read_lock, write_lock
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.encode_choose import candidates, choose
from seqmill.sources.encode_file import make_row, unusable
from seqmill.sources.encode_search import sheet_rows

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**70),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(), st.text(max_size=5), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)
WISHES = (
    Asked("t", "TSTSR000AAA", "hg38", "bigwig"),
    Asked("t", "TSTSR000AAA", "hg38", "bigwig", "raw signal", "1"),
    Asked("t", "TSTSR000AAA", "mm10", "fastq"),
    Asked("t", "TSTSR000AAA"),
)


def file(accession: str, **fields):
    return computed(
        {
            "accession": accession,
            "status": "released",
            "file_format": "bigWig",
            "output_type": "raw signal",
            "assembly": "GRCh38",
            "md5sum": "0123456789abcdef" * 2,
            "file_size": 10,
            "dataset": "/experiments/TSTSR000AAA/",
            "biological_replicates": [1],
            "technical_replicates": ["1_1"],
            "donors": ["/human-donors/ENCDO000AAK/"],
            "biosample_ontology": {"term_name": "K562"},
            "target": {"label": "CTCF"},
            "analyses": [{"@id": "/analyses/TSTAN000AAA/"}],
            "preferred_default": True,
            "paired_with": "/files/TSTFF000AAB/",
            "paired_end": "1",
            "read_count": 5,
            "alternate_accessions": [],
            **fields,
        }
    )


EXPERIMENT = {
    "accession": "TSTSR000AAA",
    "@id": "/experiments/TSTSR000AAA/",
    "status": "released",
    "default_analysis": "/analyses/TSTAN000AAA/",
    "analyses": [
        {"@id": "/analyses/TSTAN000AAA/", "status": "released", "assembly": "GRCh38", "pipeline_version": "1.2"},
        {"@id": "/analyses/TSTAN000AAB/", "status": "archived", "assembly": "hg19", "title": "old"},
    ],
    "files": [file("TSTFF000AAA"), file("TSTFF000AAB", assembly="hg19"), file("TSTFF000AAC", file_format="fastq")],
}


@given(st.data(), st.sampled_from(WISHES))
@settings(deadline=None, max_examples=150)
def test_one_odd_field_of_a_file(tmp_path_factory, data, wish):
    record = file("TSTFF000AAA")
    field = data.draw(st.sampled_from(sorted(record)))
    record[field] = data.draw(ODD)
    try:
        if unusable(record, wish)[0]:
            return
        row = make_row(record, wish, "http://127.0.0.1/encode", "http://127.0.0.1/bucket")
    except (InputError, RemoteError):
        return
    path = tmp_path_factory.mktemp("lock") / "x.lock.tsv"
    write_lock(path, [row])
    assert read_lock(path) == [row]
    assert row.url.startswith("http://127.0.0.1/encode/files/TSTFF000AAA/@@download/TSTFF000AAA.")


@given(st.data(), st.sampled_from(WISHES))
@settings(deadline=None, max_examples=150)
def test_one_odd_field_of_an_experiment_or_its_files(data, wish):
    record = copy.deepcopy(EXPERIMENT)
    where = data.draw(st.sampled_from([record, *record["files"], *record["analyses"]]))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(ODD)
    try:
        found = choose(record, wish)
    except (InputError, RemoteError):
        return
    assert found and all(isinstance(role, str) for _, role in found)
    assert candidates([file for file, _ in found], record)


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_one_odd_field_of_a_search(data):
    records = [file("TSTFF000AAA"), file("TSTFF000AAB")]
    field = data.draw(st.sampled_from(sorted(records[0])))
    records[0][field] = data.draw(ODD)
    try:
        rows = sheet_rows(records, tests=True)
    except RemoteError:
        return
    names = [row["track"].casefold() for row in rows]
    assert len(set(names)) == len(names)
    json.dumps(rows)


def test_the_untouched_records_pass():
    assert unusable(file("TSTFF000AAA"), WISHES[0]) == ("", "")
    assert [record["accession"] for record, _ in choose(EXPERIMENT, WISHES[0])] == ["TSTFF000AAA"]
    with pytest.raises(InputError, match="has no file of mm10"):
        choose(EXPERIMENT, Asked("t", "TSTSR000AAA", "mm10", "bigwig"))

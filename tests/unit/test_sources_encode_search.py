"""Searches of the ENCODE portal and its metadata.tsv become track sheets."""

import csv
import json
import re
from collections import Counter
from urllib.parse import parse_qs

import pytest
from tests.portal import Portal
from tests.unit.encode_examples import portal_with

from seqmill.cli import main
from seqmill.config.lock import read_lock
from seqmill.config.sheet import read_sheet
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.encode_search import COLUMNS, Query, matching, read_metadata, search, sheet_rows, write_sheet

QUERY = Query(assay="TF ChIP-seq", biosample="K562", assembly="hg38", format="bigwig")


def test_the_text_of_a_search():
    assert QUERY.text == (
        "type=File&status=released&assay_title=TF+ChIP-seq&biosample_ontology.term_name=K562&assembly=GRCh38"
        "&file_format=bigWig&preferred_default=true"
    )
    assert Query(experiment="ENCSR998WNE", format="narrowpeak", preferred=False).text == (
        "type=File&status=released&file_format=bed&file_format_type=narrowPeak&dataset=%2Fexperiments%2FENCSR998WNE%2F"
    )


def test_a_search_asks_for_all_and_for_few_columns(tmp_path):
    with portal_with(tmp_path) as (encode, sources, ask):
        experiment = encode.add_experiment(assay_title="TF ChIP-seq", biosample_ontology={"term_name": "K562"})
        for _ in range(30):
            encode.add_file(experiment=experiment, preferred_default=True)
        other = encode.add_file(experiment=experiment, assembly="hg19", preferred_default=True)
        hidden = encode.add_file(experiment=experiment, preferred_default=True, status="revoked")
        found = search(QUERY.text, ask.web, sources)
        assert [record["accession"] for record in found] == sorted(set(encode.files) - {other, hidden})
        assert len(search(QUERY.text, ask.web, sources, limit=7)) == 7
        first, second = (parse_qs(seen.target.partition("?")[2]) for seen in ask.portal.log)
    assert first["limit"] == ["all"] and first["format"] == ["json"] and second["limit"] == ["7"]
    assert {"accession", "file_size", "biosample_ontology.term_name"} < set(first["field"])
    assert {"md5sum", "href"}.isdisjoint(found[0])


def test_nothing_found_is_no_error_of_the_portal(tmp_path):
    with portal_with(tmp_path) as (_, sources, ask):
        assert search(QUERY.text, ask.web, sources) == []
        assert [seen.status for seen in ask.portal.log] == [404]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"total": 0}, "field '@graph' missing in the portal's answer"),
        ({"@graph": ["/files/TSTFF000AAA/"]}, "field '@graph' missing in the portal's answer"),
        ({"@graph": [{"accession": "TSTFF000AAA"}], "total": 31}, "the portal found 31 files and gave 1 of them"),
    ],
)
def test_answers_of_another_form(tmp_path, answer, message):
    with portal_with(tmp_path) as (_, sources, ask):
        place = ask.portal.add("/encode/search/", answer)
        with pytest.raises(RemoteError) as error:
            search(QUERY.text, ask.web, sources)
    assert str(error.value) == f"{place}: {message}"


def test_only_searches_of_files_are_asked(tmp_path):
    with portal_with(tmp_path) as (_, sources, ask):
        for text in ("type=Experiment&status=released", "status=released", "type=File&type=Experiment"):
            with pytest.raises(InputError, match="expected a search of files"):
                search(text, ask.web, sources)
        assert not ask.portal.log


def record(accession, biosample="K562", target="CTCF", assay="TF ChIP-seq", **fields):
    return {
        "accession": accession,
        "file_format": "bigWig",
        "output_type": "fold change over control",
        "assembly": "GRCh38",
        "assay_title": assay,
        "biosample_ontology": {"term_name": biosample},
        "target": {"label": target} if target else None,
        "dataset": "/experiments/ENCSR998WNE/",
        "biological_replicates": [1],
        **fields,
    }


def names(*records, **more):
    return [row["track"] for row in sheet_rows(records, **more)]


def test_names_are_readable_and_unique():
    assert names(record("ENCFF000AAA"), record("ENCFF000AAB", target="")) == [
        "K562_CTCF_TF-ChIP-seq",
        "K562_TF-ChIP-seq",
    ]
    assert names(record("ENCFF000AAA"), record("ENCFF000AAB", target="ctcf")) == [
        "K562_CTCF_TF-ChIP-seq_ENCFF000AAA",
        "K562_ctcf_TF-ChIP-seq_ENCFF000AAB",
    ]
    assert names(record("ENCFF000AAA", biosample="../../etc", target="<b>", assay="\u00e9")) == ["etc_b"]
    assert names(record("ENCFF000AAA", biosample="", target="", assay="")) == ["ENCFF000AAA"]


def test_strands_of_one_signal_are_partners():
    fields = {"biosample": "HepG2", "target": "", "assay": "total RNA-seq"}
    rows = sheet_rows(
        [
            record("ENCFF000AAA", **fields, output_type="plus strand signal of unique reads"),
            record("ENCFF000AAB", **fields, output_type="minus strand signal of unique reads"),
            record("ENCFF000AAC", **fields, output_type="minus strand signal of all reads"),
        ]
    )
    found = {row["location"]: (row["strand"], row["strand_pair"]) for row in rows}
    by_file = {row["location"]: row["track"] for row in rows}
    assert found == {
        "ENCFF000AAA": ("+", by_file["ENCFF000AAB"]),
        "ENCFF000AAB": ("-", by_file["ENCFF000AAA"]),
        "ENCFF000AAC": ("-", ""),
    }


def test_what_no_track_can_be_is_left_out():
    records = [
        record("ENCFF000AAA", restricted=True),
        record("ENCFF000AAB", no_file_available=True),
        record("ENCFF000AAC", file_format="tsv"),
        record("SRR1270627"),
        record("TSTFF000AAD"),
        record("ENCFF000AAE", file_format="bed", file_format_type="narrowPeak"),
        record("ENCFF000AAF", file_format="bed", file_format_type="bed9"),
    ]
    rows = sheet_rows(records)
    assert {row["location"]: row["format"] for row in rows} == {"ENCFF000AAE": "narrowpeak", "ENCFF000AAF": "bed"}


def test_a_written_sheet_can_be_read(tmp_path):
    rows = sheet_rows([record("ENCFF000AAA"), record("ENCFF000AAB", target="a\tb\n")], genome="hg38")
    write_sheet(tmp_path / "tracks.tsv", rows, [QUERY.text])
    lines = (tmp_path / "tracks.tsv").read_text().splitlines()
    assert lines[:2] == [f"# search: {QUERY.text}", "\t".join(COLUMNS)]
    tracks = read_sheet(tmp_path / "tracks.tsv")
    found = [(track.track, track.location, track.source, track.format, track.assembly) for track in tracks]
    assert found == [
        ("K562_CTCF_TF-ChIP-seq", "ENCFF000AAA", "encode", "bigwig", "hg38"),
        ("K562_a-b_TF-ChIP-seq", "ENCFF000AAB", "encode", "bigwig", "hg38"),
    ]
    with pytest.raises(InputError, match="exists; name another file, or move this one away"):
        write_sheet(tmp_path / "tracks.tsv", rows)


def test_the_recorded_metadata(test_data):
    path = test_data / "metadata/encoded_inserts/expected_metadata.tsv"
    records = read_metadata(path)
    with open(path, newline="") as handle:
        theirs = list(csv.DictReader(handle, delimiter="\t"))
    assert len(records) == len(theirs) == 194
    for own, row in zip(records, theirs):
        # the two columns whose names are the wrong way round
        kind = f"{own['file_format']} {own.get('file_format_type', '')}".strip()
        assert kind == row["File format"] and own["file_format"] == row["File type"]
        assert own["file_size"] == int(row["Size"])
    assert Counter(record["status"] for record in records) == {"released": 179, "in progress": 15}
    targets = {record["target"]["label"] for record in records if record["target"]}
    assert {"EBF1", "H3K36me3", "H3K4me3"} <= targets and not any("-human" in target for target in targets)
    found = matching(records, Query(format="bigwig", assembly="hg38", assay="TF ChIP-seq"))
    assert [record["accession"] for record in found] == ["ENCFF033HOM"]
    everything = matching(records, Query(status=""))
    assert len(everything) == 194
    rows = sheet_rows(everything)
    assert Counter(row["format"] for row in rows) == {
        **{"bigwig": 44, "fastq": 37, "bam": 34, "bed": 6, "bedmethyl": 1},
        **{"narrowpeak": 3, "hic": 5, "fragments": 2},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"https://www.encodeproject.org/metadata/?type=Experiment"\n', "is the list of links (files.txt); give the"),
        ("", "column 'File accession' missing; expected the metadata.tsv of a batch download of experiments"),
        ("File accession\tFile format\n", "column 'File type' missing; expected the metadata.tsv of a batch"),
    ],
)
def test_other_lists(tmp_path, text, message):
    (tmp_path / "metadata.tsv").write_text(text)
    with pytest.raises(InputError) as error:
        read_metadata(tmp_path / "metadata.tsv")
    assert str(error.value).startswith(f"{tmp_path / 'metadata.tsv'}: {message}")


def test_a_cut_line_and_a_wrong_size_are_named(test_data, tmp_path):
    text = (test_data / "metadata/encoded_inserts/expected_metadata.tsv").read_text()
    (tmp_path / "cut.tsv").write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=r"cut\.tsv:\d+: \d+ columns, the header has 59"):
        read_metadata(tmp_path / "cut.tsv")
    (tmp_path / "size.tsv").write_text(text.replace("\t2433593\t", "\t2.4 MB\t"))
    with pytest.raises(InputError, match=r"size\.tsv:2: column 'Size': expected a number, found '2\.4 MB'"):
        read_metadata(tmp_path / "size.tsv")


def test_columns_in_another_order_and_new_ones_are_read(test_data, tmp_path):
    text = (test_data / "metadata/encoded_inserts/expected_metadata.tsv").read_text()
    lines = [[*line.split("\t")[::-1], "new"] for line in text.splitlines()]
    (tmp_path / "m.tsv").write_text("\n".join("\t".join(line) for line in lines))
    assert read_metadata(tmp_path / "m.tsv") == read_metadata(
        test_data / "metadata/encoded_inserts/expected_metadata.tsv"
    )


# ---- the verb


@pytest.fixture
def portal(tmp_path, monkeypatch):
    """A server that the configuration of the working folder names, with an experiment of two files."""
    from tests.portal.encode import Encode

    monkeypatch.chdir(tmp_path)
    with Portal() as portal:
        encode = Encode(portal)
        cells = {"assay_title": "TF ChIP-seq", "biosample_ontology": {"term_name": "K562"}, "target": {"label": "CTCF"}}
        experiment = encode.add_experiment(**cells)
        encode.add_file(experiment=experiment, preferred_default=True, size=4000)
        encode.add_file(experiment=experiment, size=4000, output_type="raw signal")
        sources = portal.sources(tmp_path)
        (tmp_path / "config").mkdir()
        written = {"sources": sources.model_dump(mode="json", include={"cache", "portals", "network"})}
        (tmp_path / "config/config.yaml").write_text(json.dumps(written))
        yield portal


def test_the_verb_writes_a_sheet(portal, tmp_path, capsys):
    search = ["sheet", "encode", "--assay", "TF ChIP-seq", "--target", "CTCF", "--assembly", "hg38"]
    assert main([*search, "--out", "tracks.tsv"]) == 0
    said = capsys.readouterr()
    assert said.out == "tracks.tsv\n" and "1 tracks of 1 files found; 4.0 kB to download" in said.err
    first, _, row = (tmp_path / "tracks.tsv").read_text().splitlines()
    assert first == (
        "# search: type=File&status=released&assay_title=TF+ChIP-seq&target.label=CTCF&assembly=GRCh38"
        "&file_format=bigWig&preferred_default=true"
    )
    assert row.startswith("K562_CTCF_TF-ChIP-seq\tTSTFF000AAB\tbigwig\tGRCh38\t")
    assert main([*search, "--all-files", "--genome", "hg38", "--json", "--out", "all.tsv"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tracks"], found["bytes"], found["written"]) == (2, 8000, ["all.tsv"])
    assert {track.assembly for track in read_sheet("all.tsv")} == {"hg38"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--assay", "ctcf"], "0 files; words must be as the portal writes them ('TF ChIP-seq', 'K562'); --all-files"),
        ([], "say what to search for: --assay, --biosample, --target or --experiment"),
        (["--target", "CTCF", "--format", "bam"], "0 files; "),
        (["--target", "CTCF", "--limit", "-1"], "--limit: expected a number of files, found -1"),
    ],
)
def test_the_verb_says_why_not(portal, tmp_path, capsys, arguments, message):
    assert main(["sheet", "encode", *arguments, "--out", "tracks.tsv"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "tracks.tsv").exists()


def test_an_edited_sheet_is_not_overwritten(portal, tmp_path, capsys):
    (tmp_path / "tracks.tsv").write_text("mine")
    assert main(["sheet", "encode", "--target", "CTCF", "--out", "tracks.tsv"]) == 2
    assert "tracks.tsv: exists; name another file" in capsys.readouterr().err
    assert (tmp_path / "tracks.tsv").read_text() == "mine" and not portal.log


def test_the_verb_reads_a_list_and_asks_nobody(test_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = test_data / "metadata/encoded_inserts/expected_metadata.tsv"
    given = ["sheet", "encode", "--metadata", str(path), "--assembly", "GRCh38", "--config", "sources.locked=true"]
    assert main([*given, "--out", "tracks.tsv"]) == 0
    assert "31 tracks of 31 files found; 1.7 GB to download" in capsys.readouterr().err
    assert len(read_sheet("tracks.tsv")) == 31


def test_a_sheet_of_a_search_can_be_locked(portal, tmp_path, capsys, caplog):
    """Sheet, lock; files with the same bytes and p-values beside fold changes are warned of."""
    config = json.loads((tmp_path / "config/config.yaml").read_text())
    config |= {"genomes": {"GRCh38": {"fasta": "genome.fa"}}, "tracks": {"sheet": "tracks.tsv"}}
    (tmp_path / "config/config.yaml").write_text(json.dumps(config))
    search = ["sheet", "encode", "--target", "CTCF", "--all-files", "--out", "tracks.tsv"]
    assert main(search) == 0 and main(["lock"]) == 0
    rows = read_lock("tracks.lock.tsv")
    assert [(row.accession, row.status, row.bytes) for row in rows] == [
        ("TSTFF000AAB", "released", 4000),
        ("TSTFF000AAC", "released", 4000),
    ]
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1 and "group main, TF ChIP-seq: output_type differs ('read-depth normalized sig" in said[0]
    assert main(["lock", "--check"]) == 0


def test_the_recorded_lists_of_other_kinds(test_data):
    """Lists of annotations, series and publications have other columns; the batch download's list has no columns."""
    folder = test_data / "metadata/encoded_inserts"
    for name, column in (
        ("annotation_metadata", "File type"),
        ("series_metadata", "Experiment accession"),
        ("publication_data_metadata", "File format type"),
    ):
        with pytest.raises(InputError, match=f"column '{column}' missing; expected the metadata.tsv of a batch downlo"):
            read_metadata(folder / f"expected_{name}.tsv")
    with pytest.raises(InputError, match=r"is the list of links \(files\.txt\)"):
        read_metadata(folder / "expected_batch_download.tsv")
    assert len(read_metadata(folder / "expected_metadata_file_size_inequality.tsv")) > 10


def test_the_recorded_answer_of_a_search(test_data, tmp_path):
    """Its form is the one that is read (@graph, total); what it found are series, which no sheet can hold."""
    text = (test_data / "metadata/encoded_testdata/experiment-search.js").read_text()
    answer = text.partition("multiple_types:")[2].rpartition("};")[0]
    answer = json.loads(re.sub(r",(\s*[}\]])", r"\1", answer))
    with portal_with(tmp_path) as (_, sources, ask):
        ask.portal.add("/encode/search/", answer)
        found = search(QUERY.text, ask.web, sources)
    assert len(found) == len(answer["@graph"]) == answer["total"]
    with pytest.raises(RemoteError, match="field 'file_format' missing in the portal's answer"):
        sheet_rows(found)

"""Runs of SRA, ENA and GEO against recorded answers: which files, and what is refused."""

import logging

import pytest
from tests.portal import Fault, Portal, Reply
from tests.portal.ena import Archives

from seqmill.config.asked import Asked
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.geo import resolve_geo
from seqmill.sources.sra import find_runs, fitting_strategies, resolve_sra
from seqmill.sources.sra_sheet import sheet_rows
from seqmill.sources.web import Web
from seqmill.sources.withdrawn import WithdrawnError

# Of the recorded search: forty experiments of one study, of as many samples.
MIXED = "PRJEB12126"


@pytest.fixture
def portal():
    with Portal() as portal:
        yield portal


@pytest.fixture
def archives(portal, test_data):
    return Archives(portal, test_data / "metadata")


@pytest.fixture
def ask(portal, tmp_path):
    """Resolve a location; keywords starting with an upper-case letter would be odd, so settings come as a dict."""

    def resolve(location, settings=None, **asked):
        sources = portal.sources(tmp_path, attempts=2).model_copy(update=settings or {})
        with Web(sources) as web:
            wish = Asked("t", location, where="tracks.tsv:2", **asked)
            return (resolve_geo if location.startswith("GS") else resolve_sra)(wish, web, sources)

    return resolve


def test_fastq_of_ena_as_recorded(archives, ask, portal):
    one, two = ask("SRR8426358", format="fastq", assay="total RNA-seq")
    assert (one.file, one.role, one.bytes, one.md5) == (
        "SRR8426358_1.fastq.gz", "R1", 5507959060, "be7e88cf6f6fd90f1b1170f1cb367123",
    )  # fmt: skip
    assert (two.file, two.role, two.bytes, two.md5) == (
        "SRR8426358_2.fastq.gz", "R2", 7194107512, "2124da22644d876c4caa92ffd9e2402e",
    )  # fmt: skip
    assert two.url == f"{portal.url}/ena_files/vol1/fastq/SRR842/008/SRR8426358/SRR8426358_2.fastq.gz"
    for row in (one, two):
        assert (row.source, row.accession, row.run, row.format) == ("sra", "SRR8426358", "SRR8426358", "fastq")
        assert (row.experiment, row.assay, row.biosample) == ("SRX5234128", "RNA-Seq", "old_Dropseq_1")
        assert (row.reads, row.bases, row.date) == (109256158, 21984096610, "2019-01-27")
    assert [seen.path for seen in portal.log] == ["/ena/filereport"]  # NCBI is not asked


@pytest.mark.parametrize("location", ["SRX5234128", "SRS4237519"])
def test_experiment_and_sample_give_the_same_files(archives, ask, location):
    assert [row.file for row in ask(location)] == ["SRR8426358_1.fastq.gz", "SRR8426358_2.fastq.gz"]


# The archive's own lists of runs, as recorded in its XML (ENA-RUN).
RUNS = {
    "SRX5692097": [f"SRR{number}" for number in range(8906271, 8906275)],
    "SRX3517583": ["SRR6425163"],
    "SRP096361": [f"SRR{number}" for number in range(5164436, 5164447)],
    "SRP178136": [f"SRR{number}" for number in range(8426358, 8426399)],
    "GSE93374": [f"SRR{number}" for number in range(5164436, 5164447)],
    "GSM3717978": [f"SRR{number}" for number in range(8906271, 8906275)],
}


@pytest.mark.parametrize("location", RUNS)
def test_recorded_lists_of_runs(archives, ask, location):
    for run in RUNS[location]:
        if not archives.runs[run].get("fastq_ftp"):
            archives.serve_fastq(run)
    rows = ask(location)
    assert [(row.run, row.role) for row in rows] == [(run, role) for run in RUNS[location] for role in ("R1", "R2")]
    assert {row.source for row in rows} == {"geo" if location.startswith("GS") else "sra"}


def test_without_fastq_at_ena_the_sra_file_of_the_open_bucket(archives, ask, portal, caplog):
    caplog.set_level(logging.INFO, "seqmill")
    (row,) = ask("SRR6835844", format="fastq")
    assert (row.file, row.format, row.role) == ("SRR6835844.sra", "sra", "")
    assert (row.bytes, row.md5) == (6838877331, "711b699d1b22f20ea37eb331b115a5dc")
    assert row.url == f"{portal.url}/sra_files/sra/SRR6835844/SRR6835844" and row.mirrors == ""
    assert (row.reads, row.bases, row.experiment) == (271485896, 24433730640, "SRX3791763")
    assert "SRR6835844: no FASTQ at ENA; using sra-tools for SRR6835844" in caplog.text


def test_old_form_of_the_same_answer(archives, ask, portal, test_data):
    archives.packages["SRR6835844"] = (test_data / "metadata/ffq/SRR6835844_altlinks_old.txt").read_bytes()
    (row,) = ask("SRR6835844")
    assert row.url == f"{portal.url}/sra_files/sra/SRR6835844/SRR6835844"
    assert row.md5 == "711b699d1b22f20ea37eb331b115a5dc"


def test_the_form_of_today_and_never_the_file_without_qualities(archives, ask):
    """NCBI calls the file 'SRA Normalized' by now, and lists one of made-up qualities, 'SRA Lite', before it."""
    package = archives.packages["SRR6835844"].decode().replace('semantic_name="run"', 'semantic_name="SRA Normalized"')
    lite = (
        '<SRAFile cluster="public" filename="SRR6835844.lite" md5="none" semantic_name="SRA Lite" size="1">'
        '<Alternatives access_type="anonymous" free_egress="worldwide" org="NCBI" url="https://example.org/x"/></SRAFile>'
    )
    archives.packages["SRR6835844"] = package.replace("<SRAFiles>", f"<SRAFiles>{lite}").encode()
    (row,) = ask("SRR6835844")
    assert (row.file, row.md5) == ("SRR6835844.sra", "711b699d1b22f20ea37eb331b115a5dc")
    archives.packages["SRR6835844"] = package.replace('"SRA Normalized"', '"SRA Lite"').encode()
    with pytest.raises(InputError, match="NCBI offers its full file with credentials or payment only"):
        ask("SRR6835844")


def test_sra_file_where_that_is_preferred(archives, ask, portal):
    (row,) = ask("SRX3791763", {"ena_first": False})
    assert row.file == "SRR6835844.sra"
    assert portal.seen("/ena/") == []


def test_a_run_at_ncbi_only(archives, ask):
    (row,) = ask("ERS3331676")
    assert row.url == "https://sra-download.ncbi.nlm.nih.gov/traces/era18/ERR/ERR4229/ERR4229796"
    assert (row.bytes, row.md5, row.reads) == (94990927, "b779862a8fe21d16152454f047fbd2c1", 1150278)


def test_a_run_elsewhere_needs_a_host_of_the_user(archives, ask):
    package = archives.packages["ERR4229796"]
    archives.packages["ERR4229796"] = package.replace(b"sra-download.ncbi.nlm.nih.gov", b"sra.example.org")
    with pytest.raises(
        InputError, match=r"ERR4229796 is not in the open bucket; if you trust https://sra.example.org, add its address"
    ):
        ask("ERS3331676")
    (row,) = ask("ERS3331676", {"hosts": ["https://sra.example.org/traces"]})
    assert row.url == "https://sra.example.org/traces/era18/ERR/ERR4229/ERR4229796"


def test_unknown_to_both(archives, ask):
    with pytest.raises(WithdrawnError) as caught:
        ask("SRR139146")
    assert str(caught.value) == (
        "tracks.tsv:2: SRR139146: ENA returned no content and NCBI has no public run: unknown, private, or suppressed"
    )


def test_one_run_of_a_study_is_gone(archives, ask):
    for run in RUNS["SRX5692097"][:3]:
        archives.serve_fastq(run)
    with pytest.raises(WithdrawnError, match="SRR8906274: NCBI has no public run: unknown, private, or suppressed"):
        ask("SRX5692097")


@pytest.mark.parametrize("change", ["payment", "dbgap"])
def test_paid_and_controlled_runs_are_refused(archives, ask, change):
    text = archives.packages["SRR6835844"].decode()
    if change == "payment":
        text = text.replace('access_type="anonymous"', 'access_type="aws identity"')
    else:
        text = text.replace('is_public="true"', 'is_public="false"')
    archives.packages["SRR6835844"] = text.encode()
    expected = r"with credentials or payment only, if at all \(dbGaP, requester pays\); refused"
    with pytest.raises(InputError, match=expected if change == "payment" else "unknown, private, or suppressed"):
        ask("SRR6835844")


def test_orphans_of_a_paired_run_are_left_out(archives, ask):
    archives.serve_fastq("ERR1190989", mates=("", "_1", "_2"), layout="PAIRED")
    assert [(row.file, row.role) for row in ask("ERR1190989")] == [
        ("ERR1190989_1.fastq.gz", "R1"),
        ("ERR1190989_2.fastq.gz", "R2"),
    ]


@pytest.mark.parametrize(
    ("layout", "mates", "said"),
    [
        ("PAIRED", ("",), "layout PAIRED, expected _1/_2; found ERR1190989.fastq.gz"),
        ("PAIRED", ("_1", "_2", "_3"), "layout PAIRED, expected _1/_2; found ERR1190989_1.fastq.gz, ERR"),
        ("SINGLE", ("_1", "_2"), "layout SINGLE, expected one FASTQ; found ERR1190989_1.fastq.gz, ERR1190989_2"),
    ],
)
def test_files_that_do_not_fit_the_layout(archives, ask, layout, mates, said):
    archives.serve_fastq("ERR1190989", mates=mates, layout=layout)
    with pytest.raises(InputError, match=rf"tracks.tsv:2: ERR1190989: {said}.*ena_first: false takes the SRA file"):
        ask("ERR1190989")


@pytest.mark.parametrize(("mates", "roles"), [(("",), ["single"]), (("_1",), ["single"]), (("_1", "_2"), ["R1", "R2"])])
def test_layout_that_is_not_stated(archives, ask, mates, roles):
    archives.serve_fastq("ERR1190989", mates=mates)
    assert [row.role for row in ask("ERR1190989")] == roles


def test_strategy_is_checked_against_the_assay(archives, ask):
    with pytest.raises(
        InputError,
        match="SRR8426358: library_strategy is RNA-Seq, the sheet's assay is 'TF ChIP-seq'; correct it, or leave",
    ):
        ask("SRR8426358", assay="TF ChIP-seq")
    assert len(ask("SRR8426358", assay="")) == len(ask("SRR8426358", assay="a new assay")) == 2
    archives.runs["SRR8426358"]["library_strategy"] = "OTHER"
    assert len(ask("SRR8426358", assay="CUT&RUN")) == 2


@pytest.mark.parametrize(
    ("assay", "strategy"),
    [
        ("Histone ChIP-seq", "ChIP-Seq"), ("CUT&Tag", "ChIP-Seq"), ("snATAC-seq", "ATAC-seq"),
        ("WGBS", "Bisulfite-Seq"),        ("DNase-seq", "DNase-Hypersensitivity"), ("total RNA-seq", "RNA-Seq"),
        ("in situ Hi-C", "Hi-C"),
        ("HiChIP", "Hi-C"), ("eCLIP", "RIP-Seq"),
    ],
)  # fmt: skip
def test_words_of_assays(assay, strategy):
    assert strategy in fitting_strategies(assay)


def test_transcription_is_no_rip_seq():
    assert fitting_strategies("transcription start sites") == ()


def test_large_runs_are_refused(archives, ask):
    with pytest.raises(InputError, match=r"SRR8426358 has 12.7 GB, more than sources.max_run_gb \(10\); raise it"):
        ask("SRR8426358", {"max_run_gb": 10})


def test_reads_are_no_bigwig(archives, ask):
    with pytest.raises(InputError, match=r"SRR8426358 holds reads \(format fastq\), the sheet says format bigwig"):
        ask("SRR8426358", format="bigwig")


def test_a_study_of_many_experiments_is_said(archives, ask, caplog):
    runs = [name for name, run in archives.runs.items() if run.get("study_accession") == MIXED]
    experiments = {archives.runs[name]["experiment_accession"] for name in runs}
    assert len(experiments) == 40
    for name in runs:
        archives.serve_fastq(name, mates=("",))
    rows = ask(MIXED)
    assert sorted(row.run for row in rows) == sorted(runs)
    assert f"t: {MIXED} holds 40 experiments of 40 samples (ERX" in caplog.text
    assert f"'seqmill sheet sra {MIXED}' writes one row an experiment" in caplog.text


def test_sheet_of_a_study_has_one_row_an_experiment(archives, portal, tmp_path):
    runs = [name for name, run in archives.runs.items() if run.get("study_accession") == MIXED]
    for name in runs:
        archives.serve_fastq(name, mates=("",))
    sources = portal.sources(tmp_path)
    with Web(sources) as web:
        rows = sheet_rows(find_runs(MIXED, web, sources, "here"), genome="mouse")
    expected = {archives.runs[name]["experiment_accession"] for name in runs}
    assert sorted(row["location"] for row in rows) == sorted(expected)
    assert len({row["track"] for row in rows}) == len(rows)
    assert {(row["format"], row["assembly"]) for row in rows} == {("fastq", "mouse")}


# ---- GEO


def test_series_of_geo_are_asked_by_their_study(archives, ask, portal):
    for run in RUNS["GSE93374"]:
        archives.serve_fastq(run)
    assert {row.asked for row in ask("GSE93374")} == {"GSE93374"}
    assert [seen.path for seen in portal.log] == ["/eutils/esearch.fcgi", "/eutils/esummary.fcgi", "/ena/filereport"]
    assert portal.seen("/ena/")[0].target.startswith("/ena/filereport?accession=SRP096361&")


def test_geo_without_runs(archives, ask):
    with pytest.raises(WithdrawnError, match=r"tracks.tsv:2: GSE1: unknown or private at GEO"):
        ask("GSE1")
    summary = archives._geo_summary["200093374"]
    summary["extrelations"] = []
    summary["bioproject"] = ""
    with pytest.raises(InputError, match=r"GSE93374 has no sequencing runs at SRA \(Expression profiling by high"):
        ask("GSE93374")


# ---- answers of another form


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fastq_ftp": "ftp.sra.ebi.ac.uk/vol1/a/SRR8426358_1.fastq.gz"}, "unequal numbers of FASTQ addresses"),
        ({"fastq_bytes": "12;many"}, "field 'size' holds 'many', expected a whole number"),
        ({"fastq_bytes": "12;0"}, "the archive says that the file has 0 bytes"),
        ({"fastq_md5": "be7e88cf6f6fd90f1b1170f1cb367123;none"}, "md5 'none' is none"),
        ({"read_count": "-1"}, "field 'read_count' holds '-1'"),
        ({"experiment_accession": "SRX1 x"}, "'SRX1 x' is no accession"),
        ({"run_accession": "SRR1"}, "ENA's answer is of 'SRR1'"),
    ],
)
def test_fields_are_checked(archives, ask, change, said):
    archives.runs["SRR8426358"].update(change, sample_accession="SRR8426358")
    with pytest.raises(RemoteError, match=said):
        ask("SRR8426358")


@pytest.mark.parametrize(
    "place",
    [
        "evil.org/vol1/{run}_1.fastq.gz",
        "ftp.sra.ebi.ac.uk/../{run}_1.fastq.gz",
        "ftp.sra.ebi.ac.uk/vol1/passwd",
        "ftp.sra.ebi.ac.uk/vol1/{run}_1.fastq.gz?x=1",
        "ftp.sra.ebi.ac.uk@evil.org/vol1/{run}_1.fastq.gz",
        "file:///etc/{run}_1.fastq.gz",
    ],
)
def test_addresses_are_checked(archives, ask, place):
    run = archives.runs["SRR8426358"]
    run["fastq_ftp"] = ";".join([place.format(run="SRR8426358")] * 2)
    with pytest.raises(RemoteError, match=r"ENA's answer has .*, no address of a FASTQ file of the run"):
        ask("SRR8426358")


def test_texts_of_strangers_are_one_line(archives, ask):
    archives.runs["SRR8426358"].update(sample_title="a\u2028b\x85c\x1bd", last_updated="soon")
    row = ask("SRR8426358")[0]
    assert (row.biosample, row.date) == ("a b c d", "")


def test_missing_field_is_named(archives, ask, portal):
    portal.add("/ena/filereport", Reply(200, {}, b"run_accession\tfastq_ftp\nSRR8426358\t\n"))
    with pytest.raises(
        RemoteError, match="SRR8426358: field 'experiment_accession' missing in ENA's answer; found: run"
    ):
        ask("SRR8426358")


def test_a_page_instead_of_a_report(archives, ask, portal):
    portal.fault("filereport", Fault(body=b"<html>maintenance</html>"))
    with pytest.raises(RemoteError, match="missing in ENA's answer; found: <html>maintenance</html>"):
        ask("SRR8426358")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "bb">]><EXPERIMENT_PACKAGE_SET/>', "declares a document type"),
        ("<!DOCTYPE a><EXPERIMENT_PACKAGE_SET/>".encode("utf-16"), "is no UTF-8"),
        (b"<EXPERIMENT_PACKAGE_SET>", "is no XML"),
        (b"<html/>", "is <html>, expected <EXPERIMENT_PACKAGE_SET>"),
    ],
)
def test_xml_of_another_form(archives, ask, portal, content, said):
    portal.add("/eutils/efetch.fcgi", Reply(200, {}, content))
    with pytest.raises(RemoteError, match=said):
        ask("SRR6835844")


def test_a_size_that_is_missing_at_ncbi(archives, ask):
    archives.packages["SRR6835844"] = archives.packages["SRR6835844"].replace(b' size="6838877331"', b"")
    with pytest.raises(RemoteError, match="SRR6835844: field 'size' holds '', expected a whole number"):
        ask("SRR6835844")


@pytest.mark.parametrize("path", ["esearch", "esummary"])
def test_geo_answers_of_another_form(archives, ask, portal, path):
    portal.add(f"/eutils/{path}.fcgi", {"error": "API rate limit exceeded"})
    with pytest.raises(RemoteError, match=r"field '(idlist|result)' missing in NCBI's answer"):
        ask("GSE93374")


def test_a_search_of_too_many_results_is_not_cut(ask, portal, archives):
    portal.add("/eutils/esearch.fcgi", {"esearchresult": {"count": "20000", "idlist": ["1"]}})
    with pytest.raises(RemoteError, match=r"NCBI search SRP1\[Accession\]: 20000 results; at most 10,000 are taken"):
        ask("SRP1")

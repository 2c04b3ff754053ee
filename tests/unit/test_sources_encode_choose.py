"""Which file of an experiment is meant."""

import json
import re

import pytest
from tests.unit.encode_examples import portal_with

from seqmill.config.asked import Asked
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.encode_choose import choose, default_analysis


@pytest.fixture(scope="module")
def recorded(test_data):
    return json.loads((test_data / "metadata/ffq/ENCSR998WNE.txt").read_text())


def wish(**fields):
    return Asked("t", "ENCSR998WNE", **{"assembly": "mm10", "format": "bigwig", "where": "tracks.tsv", **fields})


def chosen(experiment, allow_archived=False, **fields):
    return [(record["accession"], role) for record, role in choose(experiment, wish(**fields), allow_archived)]


def refused(experiment, **fields):
    with pytest.raises(InputError) as error:
        choose(experiment, wish(**fields))
    first, *table = str(error.value).removeprefix("tracks.tsv: ").splitlines()
    return first, table


def made(*files, analyses=(), **fields):
    """An experiment of files (accession, fields) that are released bigWigs of GRCh38."""
    common = {"status": "released", "file_format": "bigWig", "output_type": "raw signal", "assembly": "GRCh38"}
    records = [{"accession": name, **common, "md5sum": "0" * 32, "file_size": 1, **more} for name, more in files]
    return {"accession": "TSTSR000AAA", "files": records, "analyses": list(analyses), **fields}


def analysis(name, **fields):
    common = {"status": "released", "assembly": "GRCh38", "date_created": "2020-01-01T00:00:00.0+00:00"}
    return {"@id": f"/analyses/{name}/", **common, **fields}


def test_the_portals_default_of_a_recorded_experiment(recorded):
    assert chosen(recorded) == [("ENCFF122ELT", "")]
    assert chosen(recorded, output_type="Signal of Unique Reads") == [("ENCFF122ELT", "")]
    assert chosen(recorded, output_type="signal of all reads", replicates="2") == [("ENCFF853FDT", "")]
    assert chosen(recorded, output_type="signal of unique reads", replicates="1") == [("ENCFF219EXB", "")]


def test_several_files_are_a_table_to_choose_from(recorded):
    first, table = refused(recorded, output_type="signal of all reads")
    assert first == (
        "3 files of ENCSR998WNE fit; choose by the columns output_type, replicates or format, or name one as location:"
    )
    head, *rows = [re.split(r" {2,}", line.strip()) for line in table]
    title = "ENCODE4 v1.2.1 mm10 M21"
    assert head == ["accession", "format", "output type", "assembly", "replicates", "preferred", "status", "analysis"]
    assert rows == [
        [accession, "bigWig", "signal of all reads", "mm10", replicate, "no", "released", title]
        for accession, replicate in (("ENCFF700DJU", "1"), ("ENCFF853FDT", "2"), ("ENCFF432OGE", "3"))
    ]
    assert len({line.index("  mm10") for line in table[1:]}) == 1


@pytest.mark.parametrize(
    ("fields", "message", "listed"),
    [
        ({"format": "narrowpeak"}, "ENCSR998WNE has no file of format bed narrowPeak:", 40 + 2),
        ({"assembly": "hg38"}, "ENCSR998WNE has no file of GRCh38:", 6 + 1),
        ({"output_type": "signal p-value"}, "ENCSR998WNE has no file of output type 'signal p-value':", 6 + 1),
        ({"replicates": "1,2"}, "ENCSR998WNE has no file of replicates 1,2:", 6 + 1),
    ],
)
def test_no_file_lists_what_there_is(recorded, fields, message, listed):
    first, table = refused(recorded, **fields)
    assert first == message and len(table) == listed
    assert (table[-1] == "  … and 10 more") == (listed > 40)


def test_files_of_another_analysis_are_not_taken_silently(recorded):
    """Replicate 1 has alignments of two analyses; without the default one's only the lab's own archived are left."""
    assert chosen(recorded, format="bam", output_type="alignments", replicates="1") == [("ENCFF413YPW", "")]
    own = {**recorded, "files": [file for file in recorded["files"] if file["accession"] != "ENCFF413YPW"]}
    message, _ = refused(own, format="bam", output_type="alignments", replicates="1")
    assert message == "ENCSR998WNE has no file of replicates 1:"
    lab = {**recorded, "files": [file for file in recorded["files"] if file["accession"] == "ENCFF992AHU"]}
    message, table = refused(lab, format="bam")
    assert message == (
        "ENCSR998WNE has no such file in its default analysis (ENCODE4 v1.2.1 mm10 M21); name one of another analysis "
        "as location:"
    )
    assert table[1].endswith("Lab custom mm10")


def test_our_rule_gives_the_recorded_default_analysis(recorded):
    own = {key: value for key, value in recorded.items() if key != "default_analysis"}
    assert default_analysis(own, "mm10")["@id"] == recorded["default_analysis"] == "/analyses/ENCAN351OJY/"
    assert default_analysis(own)["@id"] == recorded["default_analysis"]
    assert default_analysis(recorded, "hg38") is None


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({}, {"status": "archived", "pipeline_version": "9.0.0"}),
        ({"pipeline_labs": ["/labs/encode-processing-pipeline/"]}, {"pipeline_version": "2.0.0"}),
        ({"assembly": "GRCh38"}, {"assembly": "hg19", "pipeline_version": "2.0.0"}),
        ({"pipeline_version": "1.10.0"}, {"pipeline_version": "1.9.3", "date_created": "2024-01-01T00:00:00.0+00:00"}),
        ({"pipeline_version": "1.2.0"}, {"pipeline_version": "1.2.0-rc", "date_created": "2024"}),
        ({"date_created": "2021-01-01T00:00:00.0+00:00"}, {}),
    ],
)
def test_order_of_analyses(better, worse):
    both = [analysis("B", **better), analysis("W", **worse)]
    assert default_analysis({"analyses": both})["@id"] == default_analysis({"analyses": both[::-1]})["@id"]
    assert default_analysis({"analyses": both})["@id"] == "/analyses/B/"


def test_the_portals_default_is_of_one_assembly_only():
    """The sheet asks for hg19: the best analysis of hg19 counts, not the portal's default, which is of GRCh38."""
    both = [analysis("TSTAN000AAA"), analysis("TSTAN000AAB", assembly="hg19")]
    files = [
        (f"TSTFF000AA{letter}", {"assembly": assembly, "analyses": [{"@id": f"/analyses/{name}/"}]})
        for letter, assembly, name in (("A", "GRCh38", "TSTAN000AAA"), ("B", "hg19", "TSTAN000AAB"))
    ]
    experiment = made(*files, analyses=both, default_analysis="/analyses/TSTAN000AAA/")
    assert chosen(experiment, assembly="GRCh38") == [("TSTFF000AAA", "")]
    assert chosen(experiment, assembly="GRCh37") == [("TSTFF000AAB", "")]


def test_experiments_older_than_analyses():
    experiment = made(("TSTFF000AAA", {"preferred_default": True}), ("TSTFF000AAB", {}))
    assert chosen(experiment, assembly="hg38") == [("TSTFF000AAA", "")]


def test_two_preferred_files_are_a_question():
    experiment = made(("TSTFF000AAA", {"preferred_default": True}), ("TSTFF000AAB", {"preferred_default": True}))
    assert refused(experiment, assembly="hg38")[0].startswith("2 files of TSTSR000AAA fit; ")


def test_files_that_may_not_be_used_are_not_chosen():
    files = [("TSTFF000AAA", {"status": "archived"}), ("TSTFF000AAB", {"restricted": True})]
    message, table = refused(made(*files), assembly="hg38")
    assert message == (
        "TSTSR000AAA has no file that is released and can be downloaded (sources.allow_archived is false):"
    )
    assert len(table) == 3
    assert chosen(made(*files), True, assembly="hg38") == [("TSTFF000AAA", "")]


def test_without_a_format_only_tracks_count(recorded):
    assert refused(made(("TSTFF000AAA", {"file_format": "tsv"})), format="", assembly="hg38")[0] == (
        "TSTSR000AAA has no file of a track (bigWig, bed, bam, hic, mcool):"
    )
    files = [("TSTFF000AAA", {}), ("TSTFF000AAB", {"file_format": "tsv"})]
    assert chosen(made(*files), format="", assembly="hg38") == [("TSTFF000AAA", "")]


def test_reads_are_those_of_the_replicates_asked_for(recorded):
    files = chosen(recorded, format="fastq", replicates="2")
    assert [role for _, role in files].count("R1") == [role for _, role in files].count("R2") == 5
    assert len(chosen(recorded, format="fastq", replicates="1,2,3")) == 26
    message, table = refused(recorded, format="fastq")
    assert message == (
        "ENCSR998WNE has reads of 3 replicates (1, 2, 3); name those to use in the column replicates, e.g. 1 or 1,2,3:"
    )
    assert len(table) == 27
    assert refused(recorded, format="fastq", replicates="4")[0] == "ENCSR998WNE has no reads of replicate 4:"


def test_a_mate_without_its_partner_is_refused(recorded):
    half = {**recorded, "files": [file for file in recorded["files"] if file["accession"] != "ENCFF210BCB"]}
    message = refused(half, format="fastq", replicates="1")[0]
    assert message == "ENCFF930LUS is read 2 of a pair, its mate ENCFF210BCB is not usable"


def test_links_instead_of_records_are_another_form(recorded):
    with pytest.raises(RemoteError, match=r"^ENCSR998WNE: field 'files.status' missing in the portal's answer$"):
        choose({**recorded, "files": recorded["original_files"]}, wish())
    with pytest.raises(RemoteError, match=r"^ENCSR998WNE: field 'files' missing in the portal's answer$"):
        choose({**recorded, "files": None}, wish())


def test_an_experiment_over_the_net(test_data, tmp_path):
    """The bare accession leads to the experiment (301); one record is all that is asked for."""
    with portal_with(tmp_path, test_data) as (_, _, ask):
        (row,) = ask("ENCSR998WNE", assembly="mm10", format="bigwig")
        places = [(seen.path, seen.status) for seen in ask.portal.log]
    assert (row.accession, row.experiment, row.biosample, row.assay, row.donors, row.replicates) == (
        *("ENCFF122ELT", "ENCSR998WNE", "macrophage", "total RNA-seq", "ENCDO072AAA", "3"),
    )
    assert (row.bytes, row.md5, row.date) == (141673993, "2cd9f678fb2b8d5903e439dfde26fb6a", "2021-03-24")
    assert places == [("/encode/ENCSR998WNE/", 301), ("/encode/experiments/ENCSR998WNE/", 200)]

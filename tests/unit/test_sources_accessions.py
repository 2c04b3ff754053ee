"""What a location names at ENCODE, and names of assemblies."""

import pytest

from seqmill.runtime.errors import InputError
from seqmill.sources.accessions import Place, is_accession, read_location
from seqmill.sources.assemblies import ORDER, assembly_problem, portal_name


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("ENCFF122ELT", Place("file", "ENCFF122ELT")),
        (" ENCFF122ELT ", Place("file", "ENCFF122ELT")),
        ("ENCFF356LFX.bed.gz", Place("file", "ENCFF356LFX", ".bed.gz")),
        ("encode:ENCFF122ELT", Place("file", "ENCFF122ELT")),
        ("ENCSR998WNE", Place("experiment", "ENCSR998WNE")),
        (
            "encode:GRCh38_no_alt_analysis_set_GCA_000001405.15",
            Place("file", "GRCh38_no_alt_analysis_set_GCA_000001405.15"),
        ),
    ],
)
def test_locations(location, place):
    assert read_location(location, "tracks.tsv") == place


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("ENCFF12ABC", "'ENCFF12ABC' is not an ENCODE accession of a file (ENCFF + 3 digits + 3 letters)"),
        ("ENCSR12ABC", "'ENCSR12ABC' is not an ENCODE accession of a experiment (ENCSR + 3 digits + 3 letters)"),
        (
            "ENCFF122elt",
            "'ENCFF122elt' is not an ENCODE accession of a file (ENCFF + 3 digits + 3 letters); "
            "did you mean ENCFF122ELT?",
        ),
        ("ENCXX122ELT", "'ENCXX122ELT' is not an ENCODE accession of a file (ENCFF + 3 digits + 3 letters)"),
        ("TSTFF000AAA", "'TSTFF000AAA' is not an ENCODE accession of a file (ENCFF + 3 digits + 3 letters)"),
        (
            "ENCBS941ZTJ",
            "ENCBS941ZTJ is a biosample; expected a file (ENCFF…) or an experiment (ENCSR…) of ENCODE",
        ),
        ("ENCAN351OJY", "ENCAN351OJY is an analysis; expected a file (ENCFF…) or an experiment (ENCSR…) of ENCODE"),
        (
            "ENCSR998WNE.bed.gz",
            "'ENCSR998WNE.bed.gz': ENCSR998WNE is an experiment, a file (ENCFF…) is needed; list its files with "
            "'seqmill sheet encode --experiment ENCSR998WNE --all-files --out FILE'",
        ),
        ("ENCFF122ELT.a.b.c", "'ENCFF122ELT.a.b.c': '.a.b.c' is no file ending; expected e.g. ENCFF122ELT.bigWig"),
        ("encode:../x", "'encode:../x' names no file of the ENCODE portal (letters, digits or . _ -)"),
        ("encode:a..b", "'encode:a..b' names no file of the ENCODE portal (letters, digits or . _ -)"),
    ],
)
def test_what_is_no_accession_of_a_file(location, message):
    with pytest.raises(InputError) as error:
        read_location(location, "tracks.tsv")
    assert str(error.value) == f"tracks.tsv: {message}"


def test_test_accessions_only_where_tests_are():
    assert read_location("TSTFF000AAA", "x", tests=True) == Place("file", "TSTFF000AAA")
    assert not is_accession("TSTFF000AAA")
    assert is_accession("TSTSR000AAA", "SR", tests=True)
    assert not is_accession("ENCFF122ELT\n")


def test_assemblies():
    assert [portal_name(name) for name in ("hg38", "GRCh37", "MM10", "GRCm39", "ce10", "toy ")] == [
        "GRCh38",
        "hg19",
        "mm10",
        "GRCm39",
        "ce10",
        "toy",
    ]
    assert len(set(ORDER)) == len(ORDER) == 16
    assert (
        assembly_problem("GRCh38", "hg38") == assembly_problem("hg19", "") == assembly_problem("hg19", "GRCh37") == ""
    )
    assert assembly_problem("GRCh38-minimal", "GRCh38-minimal") == ""


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("hg19", "assembly hg19, need GRCh38; name a file of GRCh38, or a genome of hg19 (its key 'assembly')"),
        ("", "assembly not stated by the portal, need GRCh38"),
        (
            "GRCh38-minimal",
            "assembly not stated as GRCh38 but as GRCh38-minimal, which lacks contigs; name a file of GRCh38",
        ),
    ],
)
def test_other_assemblies(found, message):
    assert assembly_problem(found, "hg38") == message

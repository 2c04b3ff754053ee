"""References by name and release, and plain addresses, against a server on this machine."""

import hashlib

import pytest
from tests.portal import Fault, Portal, stand_in

from seqmill.config.asked import Asked
from seqmill.config.portals import Portals
from seqmill.config.remote import REFERENCES
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources import references
from seqmill.sources.cache import Cache
from seqmill.sources.references import file_name, read_location, resolve_reference
from seqmill.sources.urls import resolve_url, url_file_name
from seqmill.sources.web import Web

BED = stand_in(1, 3000, "bed")
MD5 = hashlib.md5(BED).hexdigest()
SHA256 = hashlib.sha256(BED).hexdigest()


@pytest.fixture
def portal():
    with Portal() as portal:
        yield portal


@pytest.fixture
def ask(portal, tmp_path):
    def resolve(location, assembly="", **settings):
        sources = portal.sources(tmp_path, attempts=2).model_copy(update=settings)
        function = resolve_url if "://" in location else resolve_reference
        with Web(sources) as web:
            cache = Cache(sources.cache_folder())
            (row,) = function(Asked(location, location, assembly, where="config.yaml"), web, sources, cache)
            found = cache.find(row)
            if found:
                assert found.read_bytes() == BED
        return row, bool(found)

    return resolve


# Addresses as the portals' own pages and the tools that read them have them.
PLACES = {
    "ucsc:hg38": (
        "hg38.fa.gz", "fasta", "hg38", "https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz",
    ),
    "ucsc:mm10/chrom.sizes": (
        "mm10.chrom.sizes", "sizes", "mm10",
        "https://hgdownload.soe.ucsc.edu/goldenPath/mm10/bigZips/mm10.chrom.sizes",
    ),
    "ucsc:hg19/chromFa": (
        "hg19.chromFa.fa", "fasta-tar", "hg19",
        "https://hgdownload.soe.ucsc.edu/goldenPath/hg19/bigZips/chromFa.tar.gz",
    ),
    "ensembl:110/homo_sapiens/GRCh38": (
        "Homo_sapiens.GRCh38.110.dna_sm.fa.gz", "fasta", "GRCh38",
        "https://ftp.ensembl.org/pub/release-110/fasta/homo_sapiens/dna/"
        "Homo_sapiens.GRCh38.dna_sm.primary_assembly.fa.gz",
    ),
    "ensembl:110/mus_musculus/GRCm39/gtf": (
        "Mus_musculus.GRCm39.110.gtf.gz", "gtf", "GRCm39",
        "https://ftp.ensembl.org/pub/release-110/gtf/mus_musculus/Mus_musculus.GRCm39.110.gtf.gz",
    ),
    "gencode:human/46/annotation": (
        "gencode.v46.annotation.gtf.gz", "gtf", "GRCh38",
        "https://ftp.ebi.ac.uk/pub/databases/gencode/Gencode_human/release_46/gencode.v46.annotation.gtf.gz",
    ),
    "gencode:mouse/M35/basic": (
        "gencode.vM35.basic.annotation.gtf.gz", "gtf", "GRCm39",
        "https://ftp.ebi.ac.uk/pub/databases/gencode/Gencode_mouse/release_M35/gencode.vM35.basic.annotation.gtf.gz",
    ),
    "gencode:human/46/genome": (
        "GRCh38.primary_assembly.genome.fa.gz", "fasta", "GRCh38",
        "https://ftp.ebi.ac.uk/pub/databases/gencode/Gencode_human/release_46/GRCh38.primary_assembly.genome.fa.gz",
    ),
    "boyle:hg19": (
        "hg19-blacklist.v2.bed.gz", "bed", "hg19",
        "https://raw.githubusercontent.com/Boyle-Lab/Blacklist/master/lists/hg19-blacklist.v2.bed.gz",
    ),
    "jaspar:2024/vertebrates": (
        "JASPAR2024_CORE_vertebrates_non-redundant_pfms_meme.txt", "meme", "",
        "https://jaspar.elixir.no/download/data/2024/CORE/JASPAR2024_CORE_vertebrates_non-redundant_pfms_meme.txt",
    ),
    "clinvar:20240107/GRCh38": (
        "clinvar_20240107.GRCh38.vcf.gz", "vcf", "GRCh38",
        "https://ftp.ncbi.nlm.nih.gov/pub/clinvar/vcf_GRCh38/weekly/clinvar_20240107.vcf.gz",
    ),
}  # fmt: skip


@pytest.mark.parametrize("location", PLACES)
def test_where_references_are(location):
    found = read_location(location, Portals())
    assert (found.file, found.format, found.assembly, found.urls[0]) == PLACES[location]
    assert file_name(location) == found.file


def test_every_portal_of_the_configuration_has_a_reader():
    assert set(references._READERS) == set(REFERENCES) == {location.partition(":")[0] for location in PLACES}


@pytest.mark.parametrize(
    "location",
    ["clinvar:latest/GRCh38", "gencode:human/latest/basic", "ensembl:current/homo_sapiens/GRCh38",
     "jaspar:/vertebrates", "clinvar:weekly/GRCh38"],
)  # fmt: skip
def test_rolling_names_are_refused_with_the_reason(location):
    with pytest.raises(InputError, match=r"names no release; what it is would change without notice; expected e.g. "):
        file_name(location)


@pytest.mark.parametrize(
    ("location", "form"),
    [
        ("ucsc:hg38/other", "ucsc:hg38, ucsc:hg38/chrom.sizes"),
        ("ucsc:../../etc", "ucsc:hg38"),
        ("ucsc:hg38?x=1", "ucsc:hg38"),
        ("ensembl:110/homo_sapiens", "ensembl:110/homo_sapiens/GRCh38"),
        ("gencode:human/46", "gencode:human/46/annotation"),
        ("gencode:human/M35/basic", "gencode:human/46/annotation"),
        ("gencode:mouse/35/basic", "gencode:human/46/annotation"),
        ("gencode:fly/46/basic", "gencode:human/46/annotation"),
        ("boyle:hg38/v2", "boyle:hg38"),
        ("jaspar:2024/mammals", "with one of vertebrates, plants"),
        ("clinvar:2024-01-07/GRCh38", "clinvar:20240107/GRCh38"),
        ("clinvar:20240107/hg38", "clinvar:20240107/GRCh38"),
    ],
)
def test_other_forms_are_refused_with_the_right_one(location, form):
    with pytest.raises(InputError, match="no known form; expected") as caught:
        file_name(location)
    assert form in str(caught.value)


def test_a_published_md5_is_taken_without_reading_the_file(portal, ask):
    portal.add("/ucsc/goldenPath/hg38/bigZips/hg38.fa.gz", BED)
    portal.add("/ucsc/goldenPath/hg38/bigZips/md5sum.txt", f"{'0' * 32}  hg38.2bit\n{MD5}  hg38.fa.gz\n")
    row, cached = ask("ucsc:hg38")
    assert (row.file, row.md5, row.sha256, row.bytes) == ("hg38.fa.gz", MD5, "", len(BED))
    assert (row.source, row.assembly, row.url) == (
        "ucsc",
        "hg38",
        portal.url + "/ucsc/goldenPath/hg38/bigZips/hg38.fa.gz",
    )
    assert not cached


def test_without_a_list_the_file_is_read_once_and_pinned(portal, ask):
    portal.add("/gencode/Gencode_human/release_46/gencode.v46.basic.annotation.gtf.gz", BED)
    row, cached = ask("gencode:human/46/basic")
    assert (row.sha256, row.md5, row.bytes, row.accession) == (SHA256, MD5, len(BED), "46")
    assert cached and len(portal.seen("gtf.gz")) == 1


def test_a_list_that_does_not_have_the_file(portal, ask):
    portal.add("/gencode/Gencode_human/release_46/MD5SUMS", f"{MD5}  gencode.v46.annotation.gff3.gz\n")
    with pytest.raises(
        RemoteError, match=r"MD5SUMS: does not list gencode.v46.basic.annotation.gtf.gz; is the release"
    ):
        ask("gencode:human/46/basic")


def test_ensembl_has_a_primary_assembly_of_some_species_only(portal, ask):
    folder = "/ensembl/pub/release-110/fasta/saccharomyces_cerevisiae/dna/Saccharomyces_cerevisiae"
    portal.add(f"{folder}.R64-1-1.dna_sm.toplevel.fa.gz", BED)
    row, cached = ask("ensembl:110/saccharomyces_cerevisiae/R64-1-1")
    assert row.url.endswith(".R64-1-1.dna_sm.toplevel.fa.gz") and row.sha256 == SHA256 and cached
    assert row.file == "Saccharomyces_cerevisiae.R64-1-1.110.dna_sm.fa.gz"
    portal.add(f"{folder}.R64-1-1.dna_sm.primary_assembly.fa.gz", BED)
    assert ask("ensembl:110/saccharomyces_cerevisiae/R64-1-1")[0].url.endswith("primary_assembly.fa.gz")


@pytest.mark.parametrize("folder", ["weekly", "archive_2.0/2024"])
def test_clinvar_weekly_or_archived(portal, ask, folder):
    place = portal.add(f"/clinvar/vcf_GRCh38/{folder}/clinvar_20240107.vcf.gz", BED)
    portal.add(
        f"/clinvar/vcf_GRCh38/{folder}/clinvar_20240107.vcf.gz.md5", f"{MD5}  /panfs/x/clinvar_20240107.vcf.gz\n"
    )
    row, _ = ask("clinvar:20240107/GRCh38")
    assert (row.url, row.md5, row.file) == (place, MD5, "clinvar_20240107.GRCh38.vcf.gz")


def test_a_reference_that_is_not_there(ask):
    with pytest.raises(RemoteError, match="HTTP 404, not found"):
        ask("boyle:hg99")


def test_another_assembly(portal, ask):
    with pytest.raises(InputError, match=r"config.yaml: boyle:hg19: assembly hg19, need GRCh38; name a file of GRCh38"):
        ask("boyle:hg19", assembly="hg38")
    assert portal.log == []
    portal.add("/boyle/master/lists/hg38-blacklist.v2.bed.gz", BED)
    for name in ("GRCh38", "hg38", "my own genome"):
        assert ask("boyle:hg38", assembly=name)[0].assembly == "hg38"


# ---- plain addresses


def test_an_address_is_pinned_by_what_came(portal, ask):
    url = portal.add("/data/a.narrowPeak.gz", BED)
    row, cached = ask(url, hosts=[portal.url + "/data"])
    assert (row.source, row.url, row.file, row.format) == ("url", url, "a.narrowPeak.gz", "narrowpeak")
    assert (row.bytes, row.md5, row.sha256, row.etag) == (len(BED), MD5, SHA256, f'"{MD5}"')
    assert cached


def test_an_error_page_is_never_pinned(portal, ask):
    url = portal.add("/data/a.narrowPeak.gz", BED)
    portal.fault("narrowPeak", Fault(body=b"<!doctype html><html><body>maintenance</body></html>"))
    with pytest.raises(RemoteError, match="HTML"):
        ask(url, hosts=[portal.url + "/data"])


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data/a", "file:///etc/passwd", "https://evil.org/a.bw", "s3://evil/a.bw",
     "https://www.encodeproject.org@evil.org/a.bw", "gs://evil/a.bw", "http://127.0.0.1:1/a.bw"],
)  # fmt: skip
def test_other_hosts_are_refused(ask, url):
    with pytest.raises(RemoteError, match="host not allowed"):
        ask(url)


def test_a_query_is_refused_and_not_shown(portal, ask):
    with pytest.raises(InputError, match=r"an address with a query is not pinned \(it may hold a secret") as caught:
        ask(f"{portal.url}/data/a.bw?X-Amz-Signature=hunter2", hosts=[portal.url + "/data"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://a.org/", "https://a.org/a%2f..%2fb\n", "https://a.org/.hidden", "https://a/-rf"]
)
def test_names_on_disk_are_plain(url):
    with pytest.raises(InputError, match="is no safe file name"):
        url_file_name(url)

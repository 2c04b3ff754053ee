"""Which addresses may be asked: the allow-list, redirects, addresses that names resolve to."""

import pytest

from seqmill.config.portals import Portals, Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.hosts import Hosts, https_form, is_loopback, origin, redacted

DEFAULT = Hosts(Sources())
LOCAL = Hosts(
    Sources(
        portals=Portals(encode="http://127.0.0.1:8080/encode", ena="http://mirror.lab:80/ena"),
        hosts=["https://data.lab.org/tracks", "s3://lab-bucket/pub", "http://localhost:9000"],
    )
)

GOOD = [
    "https://www.encodeproject.org/files/TSTFF000AAA/?format=json",
    "HTTPS://WWW.EncodeProject.ORG:443/search/?type=File",
    "https://encode-public.s3.amazonaws.com/2020/01/02/x/TSTFF000AAA.bigWig?X-Amz-Signature=a%2Fb",
    "https://encode-public.s3.us-west-2.amazonaws.com/2020/x.bigWig",
    "https://encode-public.s3-us-west-2.amazonaws.com/2020/x.bigWig",
    "https://s3.us-west-2.amazonaws.com/encode-public/2020/x.bigWig",
    "https://s3.amazonaws.com/encode-public/2020/x.bigWig",
    "https://datasetencode.blob.core.windows.net/dataset/2020/x.bigWig?sv=1&sig=abc",
    "https://www.ebi.ac.uk/ena/portal/api/filereport?accession=SRR139146",
    "https://ftp.sra.ebi.ac.uk/vol1/fastq/SRR139/SRR139146/SRR139146.fastq.gz",
    "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/esearch.fcgi?db=sra",
    "https://raw.githubusercontent.com/Boyle-Lab/Blacklist/master/lists/hg38-blacklist.v2.bed.gz",
    "https://hgdownload.soe.ucsc.edu/goldenPath/hg38/bigZips/hg38.fa.gz",
]


@pytest.mark.parametrize("url", GOOD)
def test_the_portals_and_their_buckets_are_allowed(url):
    assert DEFAULT.check(url) is None  # it raises what it refuses


# Ways to make a client ask something else than what was checked, or what nobody meant to offer.
BAD = [
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "file:///etc/passwd",
    "FILE://localhost/etc/passwd",
    "gopher://www.encodeproject.org:70/_GET",
    "ftp://www.encodeproject.org/x",
    "data:text/plain,hello",
    "//www.encodeproject.org/x",
    "www.encodeproject.org/x",
    "",
    "http://127.0.0.1/",
    "https://localhost/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://0/",
    "https://www.encodeproject.org@evil.org/x",
    "https://user:secret@www.encodeproject.org/x",
    "https://evil.org\\@www.encodeproject.org/x",
    "https://evil.org#@www.encodeproject.org/x",
    "https://www.encodeproject.org.evil.org/x",
    "https://www.encodeproject.org:8443/x",
    "https://www.encodeproject.org./x",
    "https://wwwXencodeproject.org/x",
    "https://www.еncodeproject.org/x",  # the first 'е' is Cyrillic
    "https://www.encodeproject。org/x",
    "https://①②⑦.⓪.⓪.①/",
    "https://www.encodeproject.org\r\nHost: evil.org/",
    "https://www.encodeproject.org /x",
    "https://www.encodeproject.org\t.evil.org/x",
    "https://raw.githubusercontent.com/evil/Blacklist/x",
    "https://raw.githubusercontent.com/Boyle-Lab/../evil/x",
    "https://raw.githubusercontent.com/Boyle-Lab/%2e%2e/evil/x",
    "https://raw.githubusercontent.com/Boyle-Lab/%252e%252e/evil/x",
    "https://raw.githubusercontent.com/Boyle-Lab%2f..%2fevil/x",
    "https://raw.githubusercontent.com/Boyle-Lab-evil/x",
    "https://datasetencode.blob.core.windows.net/datasets/x",
    "https://evil.s3.amazonaws.com/x",
    "https://encode-public.s3.amazonaws.com.evil.org/x",
    "https://encode-public.s3.evil.amazonaws.com/x",
    "https://s3.amazonaws.com/evil/encode-public/x",
    "https://s3.amazonaws.com/encode-public-evil/x",
    "https://[::1/x",
    "https://www.encodeproject.org:99999/x",
]


@pytest.mark.parametrize("url", BAD)
def test_everything_else_is_refused(url):
    with pytest.raises(RemoteError, match="host not allowed"):
        DEFAULT.check(url)


def test_the_message_says_what_to_do():
    with pytest.raises(RemoteError) as error:
        DEFAULT.check("https://data.lab.org/tracks/a.bw?token=hunter2")
    assert str(error.value) == (
        "https://data.lab.org/tracks/a.bw: host not allowed: files come from the portals of the configuration only; "
        "if you trust https://data.lab.org, add its address to sources.hosts"
    )
    with pytest.raises(RemoteError, match="host not allowed by http; use https"):
        DEFAULT.check("http://www.encodeproject.org/files/TSTFF000AAA/")
    with pytest.raises(RemoteError, match="no credentials in an address"):
        DEFAULT.check("https://me:hunter2@www.encodeproject.org/x")


def test_what_the_user_writes_is_allowed_to_the_letter():
    for url in (
        "http://127.0.0.1:8080/encode/files/x/",
        "http://mirror.lab/ena/filereport",
        "https://data.lab.org/tracks/a.bw",
        "https://data.lab.org/tracks",
        "https://lab-bucket.s3.eu-central-1.amazonaws.com/pub/a.bw",
        "http://localhost:9000/any/thing",
    ):
        LOCAL.check(url)
    for url in (
        "http://127.0.0.1:8081/encode/files/x/",
        "http://127.0.0.1:8080/other",
        "https://127.0.0.1:8080/encode/x",
        "http://localhost:8080/encode/x",
        "http://data.lab.org/tracks/a.bw",
        "https://data.lab.org/other/a.bw",
        "https://lab-bucket.s3.amazonaws.com/private/a.bw",
        "https://www.encodeproject.org/files/x/",  # a moved portal is asked nowhere else
    ):
        with pytest.raises(RemoteError, match="host not allowed"):
            LOCAL.check(url)


@pytest.mark.parametrize("entry", ["data.lab.org", "https://", "ftp://data.lab.org/x", "https://a b/"])
def test_an_entry_of_hosts_that_is_no_address(entry):
    with pytest.raises(InputError, match=r"sources\.hosts: .* is no address such as https://host/path"):
        Hosts(Sources(hosts=[entry]))


def test_redirects_that_are_followed():
    download = "https://www.encodeproject.org/files/TSTFF000AAA/@@download/TSTFF000AAA.bigWig"
    assert DEFAULT.check_redirect(download, "https://encode-public.s3.amazonaws.com/a.bigWig?X-Amz-Signature=1") is None
    assert DEFAULT.check_redirect(download, "https://www.encodeproject.org/files/TSTFF000AAA/") is None
    # Within an address of the user every path.
    assert LOCAL.check_redirect("http://127.0.0.1:8080/encode/x", "http://127.0.0.1:8080/signed/x?sig=1") is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("https://www.encodeproject.org/x", "http://www.encodeproject.org/x"),
        ("https://www.encodeproject.org/x", "https://evil.org/x"),
        ("https://www.encodeproject.org/x", "http://127.0.0.1:8080/encode/x"),
        ("https://www.encodeproject.org/x", "file:///etc/passwd"),
        ("https://www.encodeproject.org/x", "https://[::1"),
        ("https://raw.githubusercontent.com/Boyle-Lab/Blacklist/x", "https://raw.githubusercontent.com/evil/x"),
    ],
)
def test_redirects_that_are_not(source, target):
    with pytest.raises(RemoteError) as error:
        DEFAULT.check_redirect(source, target)
    assert str(error.value) == f"{source}: redirect to {redacted(target)} not allowed"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        # Both are of the configuration, and still no redirect may lead to this machine.
        ("http://mirror.lab/ena/x", "http://127.0.0.1:8080/encode/x"),
        ("http://127.0.0.1:8080/encode/x", "http://localhost:9000/x"),
        ("http://127.0.0.1:8080/encode/x", "http://127.0.0.1:8081/encode/x"),
        ("http://127.0.0.1:8080/encode/x", "http://127.0.0.1/encode/x"),
        ("https://data.lab.org/tracks/x", "https://lab-bucket.s3.amazonaws.com/private/x"),
    ],
)
def test_redirects_between_addresses_of_the_user(source, target):
    with pytest.raises(RemoteError, match=r"redirect to .* not allowed"):
        LOCAL.check_redirect(source, target)


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_portal_never_resolves_to_a_private_address(address):
    with pytest.raises(RemoteError, match=r"host not allowed: it resolves to .*, which is no public address"):
        DEFAULT.check_address("www.encodeproject.org", 443, address)


@pytest.mark.parametrize("address", ["128.32.1.1", "2607:f8b0::1", "::ffff:128.32.1.1", "64:ff9b::8020:101"])
def test_public_addresses(address):
    assert DEFAULT.check_address("www.encodeproject.org", 443, address) is None


def test_private_addresses_of_hosts_that_the_user_wrote():
    LOCAL.check_address("127.0.0.1", 8080, "127.0.0.1")
    LOCAL.check_address("localhost", 9000, "::1")
    LOCAL.check_address("mirror.lab", 80, "192.168.7.7")
    LOCAL.check_address("mirror.lab", 80, "fd12::7")
    for host, port, address in [
        ("127.0.0.1", 8081, "127.0.0.1"),  # another port
        ("127.0.0.1", 8080, "127.0.0.2"),
        ("mirror.lab", 80, "127.0.0.1"),  # a name must not become this machine
        ("mirror.lab", 80, "169.254.169.254"),
        ("mirror.lab", 80, "0.0.0.0"),
        ("localhost", 9001, "127.0.0.1"),
        ("www.ebi.ac.uk", 443, "10.0.0.1"),
    ]:
        with pytest.raises(RemoteError, match="host not allowed"):
            LOCAL.check_address(host, port, address)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.org/x/y.bw?sig=hunter2#hunter2", "https://a.org/x/y.bw"),
        ("https://me:hunter2@a.org:8080/x", "https://a.org:8080/x"),
        ("https://a@hunter2@a.org/x", "https://a.org/x"),
        ("https://a.org/x\n\x1b[31m", "https://a.org/x?[31m"),
        ("https://[::1/x?hunter2", "(unreadable address)"),
        ("https://me:hun/ter2@a.org/x", "(unreadable address)"),
        ("/files/x?api_key=hunter2", "/files/x"),
    ],
)
def test_redacted(url, shown):
    assert redacted(url) == shown


def test_other_forms():
    assert https_form("s3://sra-pub-run-odp/sra/SRR1/SRR1") == "https://sra-pub-run-odp.s3.amazonaws.com/sra/SRR1/SRR1"
    assert https_form("gs://bucket/a/b.bw") == "https://storage.googleapis.com/bucket/a/b.bw"
    assert https_form("ftp://FTP.ncbi.nlm.nih.gov/geo/x") == "https://ftp.ncbi.nlm.nih.gov/geo/x"
    assert https_form("ftp://evil.org/x") == "ftp://evil.org/x"
    assert https_form(" https://a.org/x ") == "https://a.org/x"
    assert origin("https://a.org:8443/x?y") == "https://a.org:8443"
    assert origin("http://[::1]:80/x") == "http://[::1]"
    assert [is_loopback(host) for host in ("127.3.2.1", "[::1]", "a.localhost", "::ffff:127.0.0.1", "a.org")] == [
        True, True, True, True, False,
    ]  # fmt: skip

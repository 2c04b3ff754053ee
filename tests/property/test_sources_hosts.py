"""Addresses put together from hostile pieces: what passes the check leads where httpx, another parser, says it may."""

import posixpath
from urllib.parse import unquote

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.config.portals import Portals, Sources
from seqmill.runtime.errors import RemoteError
from seqmill.sources.hosts import Hosts, redacted

SOURCES = Sources(portals=Portals(encode="http://127.0.0.1:8080/encode"), hosts=["https://data.lab.org/tracks"])
HOSTS = Hosts(SOURCES)
# Host, port and path that may be asked, written down a second time; the portals of the default configuration that
# lie in folders of shared hosts.
FOLDERS = {
    ("http", "127.0.0.1", 8080): ["/encode"],
    ("https", "data.lab.org", 443): ["/tracks"],
    ("https", "raw.githubusercontent.com", 443): ["/Boyle-Lab"],
    ("https", "www.ebi.ac.uk", 443): ["/ena/portal/api"],
    ("https", "hgdownload.soe.ucsc.edu", 443): ["/"],
}
PIECES = [
    "https", "http", "file", "HTTPS", "://", ":", "/", "//", "\\", "@", "#", "?", ".", "..", "%2e%2e", "%2f", "%5c",
    "%00", "%40", " ", "\t", "\n", "[", "]", "::1", ":8080", ":443", ":80", "127.0.0.1", "2130706433", "0x7f.1",
    "localhost", "www.ebi.ac.uk", "raw.githubusercontent.com", "data.lab.org", "hgdownload.soe.ucsc.edu", "evil.org",
    "encode", "tracks", "ena", "portal", "api", "Boyle-Lab", "evil", "user:secret@", "x", "。", "ⓔ", "é",
]  # fmt: skip
STARTS = ["", "https://data.lab.org/tracks/", "http://127.0.0.1:8080/encode/", "https://raw.githubusercontent.com/"]


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(STARTS), st.lists(st.sampled_from(PIECES), max_size=9))
def test_what_passes_leads_where_it_may(start, pieces):
    url = start + "".join(pieces)
    try:
        HOSTS.check(url)
    except RemoteError:
        return
    seen = httpx.URL(url)
    port = seen.port or {"https": 443, "http": 80}[seen.scheme]
    folders = FOLDERS[seen.scheme, seen.host, port]
    path = posixpath.normpath("/" + unquote(unquote(seen.raw_path.decode().partition("?")[0])).lstrip("/"))
    assert any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
    assert not seen.userinfo


LETTERS = st.text(alphabet="ab1:@[]%&=;,!~\\\t é", max_size=12)


@settings(max_examples=300, deadline=None)
@given(LETTERS, st.text(max_size=12), st.text(max_size=12))
def test_no_query_and_no_credentials_are_shown(user, query, fragment):
    shown = redacted(f"https://{user}@data.lab.org:8080/tracks/a.bw?{query}#{fragment}")
    assert shown in ("https://data.lab.org:8080/tracks/a.bw", "(unreadable address)")

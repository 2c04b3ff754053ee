"""Which addresses may be asked: an allow-list by scheme, host, port and path, and what a name may resolve to.

Everything that a sheet, a portal's answer or a redirect names is checked here before it is asked, and the address
that a name resolves to is checked again by the connection itself (`seqmill.sources.transport`).
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from seqmill.config.portals import Portals, Sources
from seqmill.runtime.errors import InputError, RemoteError

_PORTS = {"https": 443, "http": 80}
# Further public places that answers of the portals lead to.
_KNOWN = (
    "https://datasetencode.blob.core.windows.net/dataset",
    "https://ftp.ebi.ac.uk/pub",
    "https://ftp.ncbi.nlm.nih.gov",
    "https://raw.githubusercontent.com/Boyle-Lab",
    "https://sra-download.ncbi.nlm.nih.gov",
    "https://sra-downloadb.be-md.ncbi.nlm.nih.gov",
    "https://sra-downloadb.st-va.ncbi.nlm.nih.gov",
    "https://zenodo.org/api/records",
    "https://zenodo.org/record",
    "https://zenodo.org/records",
)
# Archives that serve the same paths by https as by ftp.
_FTP = (
    "ftp.sra.ebi.ac.uk",
    "ftp.ebi.ac.uk",
    "ftp.ncbi.nlm.nih.gov",
    "hgdownload.soe.ucsc.edu",
    "hgdownload.cse.ucsc.edu",
    "ftp.ensembl.org",
)
# Nothing that two parsers of addresses could read differently: no space, backslash, control or non-ASCII character.
_PLAIN = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]+")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_S3_BUCKET = re.compile(r"([a-z0-9][a-z0-9.-]+)\.s3(?:[.-][a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com")
_S3_HOST = re.compile(r"s3(?:[.-][a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com")


@dataclass(frozen=True)
class _Place:
    """Where an address leads; ``path`` is a prefix for what is allowed. ``written``: by the user, not a default."""

    scheme: str
    host: str
    port: int
    path: str
    written: bool = False

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    def holds(self, other: "_Place") -> bool:
        """Whether ``other`` is this address or lies below it."""
        return self.origin == other.origin and f"{other.path}/".startswith(f"{self.path.rstrip('/')}/")


def redacted(url: str) -> str:
    """Scheme, host and path of an address, for messages: no query, fragment or credentials.

    >>> redacted("https://me:secret@host.org/a/b.bw?X-Amz-Signature=1")
    'https://host.org/a/b.bw'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable address)"
    host = parts.netloc.rpartition("@")[2]
    if re.search(r":(?!\d*$)", host.rpartition("]")[2]):
        # No port: most likely a password with a slash in it.
        return "(unreadable address)"
    text = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else f"{host}{parts.path}"
    return re.sub(r"[^\x21-\x7e]", "?", text)[:300]


def origin(url: str) -> str:
    """Scheme, host and port (where it is not the default) of an address.

    >>> origin("HTTPS://Www.EncodeProject.org:443/files/?a=b")
    'https://www.encodeproject.org'
    """
    place = _place(url)
    port = "" if place.port == _PORTS[place.scheme] else f":{place.port}"
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{place.scheme}://{host}{port}"


def https_form(url: str) -> str:
    """The https form of public `s3://`, `gs://` and `ftp://` addresses; other addresses unchanged.

    >>> https_form("s3://encode-public/2020/a.bigWig")
    'https://encode-public.s3.amazonaws.com/2020/a.bigWig'
    >>> https_form("ftp://ftp.sra.ebi.ac.uk/vol1/a.fastq.gz")
    'https://ftp.sra.ebi.ac.uk/vol1/a.fastq.gz'
    """
    scheme, colon, rest = url.strip().partition("://")
    host, _, path = rest.partition("/")
    if colon and scheme.lower() == "s3":
        return f"https://{host}.s3.amazonaws.com/{path}"
    if colon and scheme.lower() == "gs":
        return f"https://storage.googleapis.com/{host}/{path}"
    if colon and scheme.lower() == "ftp" and host.lower() in _FTP:
        return f"https://{host.lower()}/{path}"
    return url.strip()


def is_loopback(host: str) -> bool:
    """Whether a host is written as this machine (127.0.0.1, ::1, localhost)."""
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return _address(host).is_loopback
    except ValueError:
        return False


class Hosts:
    """What the configuration allows to ask.

    Parameters
    ----------
    sources : the section `sources`. Its portals, and its `hosts`, are what may be asked. Bases and hosts that the user
        wrote (not the defaults) may be in a private network; nothing else may.
    """

    def __init__(self, sources: Sources):
        default = Portals()
        places = [_place(url) for url in _KNOWN]
        for name, url in sources.portals:
            places.append(_place(url, written=url != getattr(default, name)))
        for url in sources.hosts:
            try:
                places.append(_place(https_form(url), written=True))
            except RemoteError as error:
                message = f"{redacted(url)!r} is no address such as https://host/path"
                raise InputError("sources.hosts", message) from error
        self._places = places

    def check(self, url: str) -> None:
        """Raise RemoteError unless ``url`` may be asked."""
        place = _place(url)
        if any(allowed.holds(place) for allowed in self._places):
            return
        same = [allowed for allowed in self._places if allowed.host == place.host]
        if place.scheme == "http" and any(allowed.scheme == "https" for allowed in same):
            raise RemoteError(redacted(url), "host not allowed by http; use https")
        example = origin(url)
        raise RemoteError(
            redacted(url),
            f"host not allowed: files come from the portals of the configuration only; if you trust "
            f"{example}, add its address to sources.hosts",
        )

    def check_redirect(self, source: str, target: str) -> None:
        """Raise RemoteError unless ``source`` may redirect to ``target`` (both absolute).

        Within an address that the user wrote every path may be redirected to; everywhere else the target must be
        allowed by itself, and a redirect to this machine is never followed.
        """
        refused = RemoteError(redacted(source), f"redirect to {redacted(target)} not allowed")
        try:
            here, there = _place(source), _place(target)
        except RemoteError:
            raise refused from None
        if here.origin == there.origin and any(
            allowed.written and allowed.origin == here.origin for allowed in self._places
        ):
            return
        if is_loopback(there.host) or not any(allowed.holds(there) for allowed in self._places):
            raise refused

    def check_address(self, host: str, port: int, address: str) -> None:
        """Raise RemoteError unless a connection to ``host`` may go to ``address`` (an IP in numbers).

        Public addresses may always be used. An address inside a private network needs a base or host that the user
        wrote: as exactly this number, as `localhost` for this machine, or as a name for private addresses.
        Link-local addresses, where clouds keep their credentials, are never what a name may lead to.
        """
        number = _address(address)
        if number.is_global and not number.is_multicast and not getattr(number, "is_site_local", False):
            return
        host = host.lower().strip("[]")
        if any(allowed.written and (allowed.host, allowed.port) == (host, port) for allowed in self._places):
            try:
                if _address(host) == number:
                    return
            except ValueError:
                private = number.is_private and not (
                    number.is_loopback or number.is_link_local or number.is_unspecified or number.is_reserved
                )
                if private or (number.is_loopback and is_loopback(host)):
                    return
        raise RemoteError(host, f"host not allowed: it resolves to {number}, which is no public address")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that a connection to ``text`` ends at: IPv4 inside IPv6 is unpacked. Raises ValueError."""
    number = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(number, ipaddress.IPv6Address):
        value = int(number)
        if number.ipv4_mapped:
            return number.ipv4_mapped
        if number.sixtofour:
            return number.sixtofour
        # NAT64 (64:ff9b::/96) and the old IPv4-compatible form carry IPv4 in their last 32 bits.
        if value >> 32 == 0x64FF9B << 64 or (value >> 32 == 0 and value > 1):
            return ipaddress.IPv4Address(value & 0xFFFFFFFF)
    return number


def _place(url: str, *, written: bool = False) -> _Place:
    """Take an address apart. Raises RemoteError for what is no plain http(s) address."""
    where = redacted(url)
    if not _PLAIN.fullmatch(url):
        raise RemoteError(where, "host not allowed: no plain address (spaces, backslashes or non-ASCII characters)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RemoteError(where, "host not allowed: no readable address") from None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS:
        raise RemoteError(where, f"host not allowed: {scheme or 'no'} scheme, expected https")
    if "@" in parts.netloc:
        raise RemoteError(where, "host not allowed: no credentials in an address")
    if not _NAME.fullmatch(host):
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise RemoteError(where, "host not allowed: no readable host name") from None
    path = unquote(unquote(parts.path))
    if any(part in (".", "..") for part in re.split(r"[/\\]", path)) or "\\" in path or "\0" in path:
        raise RemoteError(where, "host not allowed: '..' in the path")
    path = re.sub(r"/{2,}", "/", parts.path)
    bucket = _S3_BUCKET.fullmatch(host)
    if bucket:
        host = f"{bucket[1]}.s3.amazonaws.com"
    elif _S3_HOST.fullmatch(host) and path.count("/") > 1:
        name, _, key = path[1:].partition("/")
        host, path = f"{name.lower()}.s3.amazonaws.com", f"/{key}"
    port = _PORTS[scheme] if port is None else port
    return _Place(scheme, host, port, path.rstrip("/") if written else path, written)

"""Optional credentials: from the environment or ~/.netrc, sent to the one host that they are for, never written."""

import base64
import netrc
import os
import warnings
from pathlib import Path

from seqmill.config.portals import Portals
from seqmill.sources.hosts import is_loopback, origin

ENCODE_KEY, ENCODE_SECRET, NCBI_KEY = "ENCODE_ACCESS_KEY", "ENCODE_SECRET_KEY", "NCBI_API_KEY"


class Credentials:
    """What the environment gives for the portals.

    ENCODE: an access key (ENCODE_ACCESS_KEY with ENCODE_SECRET_KEY, else the host's entry of ~/.netrc, a file that
    nobody else may read). NCBI: NCBI_API_KEY, for e-utilities.
    """

    def __init__(self, portals: Portals):
        self._encode, self._eutils = origin(portals.encode), origin(portals.eutils)
        self._ncbi_key = os.environ.get(NCBI_KEY, "")
        login = os.environ.get(ENCODE_KEY, ""), os.environ.get(ENCODE_SECRET, "")
        host = self._encode.partition("://")[2]
        if not all(login):
            login = _from_netrc(host.partition(":")[0])
        # Never in clear over a network.
        safe = self._encode.startswith("https://") or is_loopback(host.partition(":")[0])
        self._basic = base64.b64encode(":".join(login).encode()).decode() if all(login) and safe else ""

    def headers(self, url: str) -> dict[str, str]:
        """Headers to send to ``url`` with credentials, {} for every host but theirs."""
        return {"authorization": f"Basic {self._basic}"} if self._basic and origin(url) == self._encode else {}

    def params(self, url: str) -> dict[str, str]:
        """Parameters to send to ``url`` with credentials."""
        return {"api_key": self._ncbi_key} if self._ncbi_key and origin(url) == self._eutils else {}


def _from_netrc(host: str) -> tuple[str, str]:
    path = Path(os.environ.get("NETRC") or Path("~/.netrc").expanduser())
    try:
        mode = path.stat().st_mode
        found = netrc.netrc(path).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return "", ""
    if found is None:
        return "", ""
    if mode & 0o077:
        warnings.warn(f"{path} is readable by others and was not used; chmod 600 it", stacklevel=2)
        return "", ""
    return found[0], found[2] or ""

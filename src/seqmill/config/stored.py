"""Addresses of datasets that lie elsewhere."""

import re

SCHEMES = ("s3", "gs", "https")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?")
_PATH = re.compile(r"[A-Za-z0-9!_.*'()=+,@/ -]+")


def checked_address(text: str) -> str:
    """The address of a dataset's folder, without a slash at its end.

    Parameters
    ----------
    text : ``s3://bucket/path``, ``gs://bucket/path`` or ``https://host/path``.

    Raises
    ------
    ValueError
        It is none; the message repeats nothing behind the scheme of an address that may hold credentials.

    >>> checked_address("s3://lab/peaks.zarr/")
    's3://lab/peaks.zarr'
    """
    scheme, colon, rest = text.strip().partition("://")
    known = ", ".join(f"{name}://" for name in SCHEMES)
    if not colon or scheme not in SCHEMES:
        raise ValueError(f"expected an address that starts with {known}; found {scheme if colon else text!r}")
    host, _, path = rest.partition("/")
    if any(mark in rest for mark in "?#") or "@" in host:
        raise ValueError(
            f"{scheme}://…: an address without credentials, query or fragment is expected; give credentials by the "
            "usual variables of the environment"
        )
    path = path.rstrip("/")
    if not (_HOST if scheme == "https" else _BUCKET).fullmatch(host):
        raise ValueError(f"{scheme}://{host}: is no name of a {'host' if scheme == 'https' else 'bucket'}")
    if not _PATH.fullmatch(path) or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{scheme}://{host}/{path}: expected the path of a dataset's folder behind {host}/")
    return f"{scheme}://{host}/{path}"

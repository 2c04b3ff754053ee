"""Datasets that lie elsewhere: their addresses, and what need not be here for their sake."""

import re
from typing import Any

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


def read_here(project: Any) -> tuple[set[str], set[str]]:
    """Names of the tracks and of the genomes that something is built from here.

    All of them, unless a dataset lies elsewhere: then those of the other datasets, and every genome where maps,
    variants or measured effects need one.
    """
    config = project.config
    here = {name: section for name, section in config.datasets.items() if not section.stored}
    if len(here) == len(config.datasets):
        return set(project.tracks), set(config.genomes)
    used = [project.window_tracks(name) + project.control_tracks(name) for name in here]
    used += [project.target_tracks(name, target) for name, section in here.items() for target in section.targets]
    tracks = {track.track: track for some in used for track in some}
    genomes = {genome for section in here.values() for genome in section.genomes}
    genomes |= {track.assembly for track in tracks.values()}
    return set(tracks), set(config.genomes) if config.maps or config.variants or config.measured else genomes

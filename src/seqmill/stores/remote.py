"""A dataset that lies elsewhere (``s3://bucket/path``): its small files are copied here, its arrays are read there.

::

    datasets/{name}.zarr/     stored.json (address and digest, sealed) and copies of all files but the chunks:
                              marker.json run.json zarr.json, those of every part, rows.parquet, dropped.tsv

Every other room reads the copies as it reads a dataset that was built here. Chunks are asked for one by one, as the
loader needs them, and are checked by their checksums. A dataset that is exchanged over there is refused: its marker is
compared with the copy whenever it is opened.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from seqmill.config.stored import checked_address
from seqmill.runtime.errors import DamageError, InputError, RemoteError, SeqmillError
from seqmill.runtime.files import atomic_write, staged_folder
from seqmill.runtime.locks import artefact_lock
from seqmill.runtime.marker import (
    MARKER,
    RECORD,
    Marker,
    check_sizes,
    named,
    read_marker,
    seal,
    unseal,
    verify_folder,
)
from seqmill.stores.layout import check_file, version

LINK = "stored.json"
# Indices of shards stay here between two reads of their chunks; decoded chunks pass through.
CACHE_BYTES = 64_000_000
# A host that does not answer is given up after about 20 seconds when a dataset is opened, which tells a wrong address
# soon, and after five minutes when a chunk is read, so that a training outlives a short outage.
OPENING = {"max_retries": 6, "initial_delay": "500ms", "max_delay": "8s"}
READING = {"max_retries": 15, "initial_delay": "500ms", "max_delay": "32s"}
# What tensorstore says first of an answer that no second try changes: it is about the data, not about the way to them.
_DAMAGE = re.compile(r"(DATA_LOSS|NOT_FOUND|FAILED_PRECONDITION|OUT_OF_RANGE)\b")


@cache
def _context(what: str) -> Any:
    import tensorstore

    patience = READING if what == "reading" else OPENING
    retries = {f"{driver}_request_retries": patience for driver in ("s3", "gcs", "http")}
    return tensorstore.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}, **retries})


class Place:
    """A folder elsewhere, asked through tensorstore's kvstores.

    Endpoint, region and credentials of S3 come from the usual variables (``AWS_ENDPOINT_URL``, ``AWS_REGION``,
    ``AWS_ACCESS_KEY_ID``, ...) or what else the AWS libraries look at; ``AWS_NO_SIGN_REQUEST=YES`` is for public
    buckets. They stay with the driver: nothing here keeps or prints them.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def __truediv__(self, path: str) -> "Place":
        return Place(f"{self.url}/{path}" if path else self.url)

    @property
    def context(self) -> Any:
        """tensorstore's context for reads of arrays."""
        return _context("reading")

    def spec(self) -> dict[str, Any]:
        """tensorstore's specification of this folder as a kvstore."""
        scheme, _, rest = self.url.partition("://")
        host, _, path = rest.partition("/")
        if scheme == "s3":
            return {"driver": "s3", "bucket": host, "path": path + "/", **_of_environment()}
        if scheme == "gs":
            return {"driver": "gcs", "bucket": host, "path": path + "/"}
        return {"driver": "http", "base_url": f"{scheme}://{host}", "path": f"/{path}/"}

    def _store(self) -> Any:
        import tensorstore

        return tensorstore.KvStore.open(self.spec(), context=_context("opening")).result()

    def read(self, path: str) -> bytes:
        """Content of a file. Raises DamageError if it is not there, RemoteError if it cannot be asked for."""
        try:
            found = self._store().read(path).result()
        except (ValueError, OSError, RuntimeError) as error:
            raise self.failure(error, path) from None
        if found.state != "value":
            raise DamageError(f"{self.url}/{path}: missing")
        return found.value

    def names(self) -> set[str] | None:
        """Paths of all files below; None where a server cannot list them (https)."""
        if not self.url.startswith(("s3://", "gs://")):
            return None
        try:
            return {name.decode() for name in self._store().list().result()}
        except (ValueError, OSError, RuntimeError) as error:
            raise self.failure(error) from None

    def failure(self, error: Exception, path: str = "") -> SeqmillError:
        """The error of a read that failed: DamageError where the data are at fault, else RemoteError."""
        where, text = f"{self.url}/{path}".rstrip("/"), _reason(error)
        if _DAMAGE.match(text) and "NoSuchBucket" not in text:
            return DamageError(f"{where}: cannot be read ({text})")
        return RemoteError(where, f"cannot be read ({text})")


def _of_environment() -> dict[str, Any]:
    """What variables of the environment say about S3."""
    found: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        found |= {"endpoint": endpoint.rstrip("/"), "aws_region": region or "us-east-1"}
    elif region:
        found["aws_region"] = region
    if os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("yes", "true", "1"):
        found["aws_credentials"] = {"type": "anonymous"}
    elif os.environ.get("AWS_ACCESS_KEY_ID"):
        found["aws_credentials"] = {"type": "environment"}
    return found


def _reason(error: Exception) -> str:
    """The first words of an error: what follows in brackets are answers of servers, which may repeat keys."""
    text = re.sub(r"\s+", " ", str(error)).partition(" [")[0]
    key = os.environ.get("AWS_ACCESS_KEY_ID")
    return (text.replace(key, "…") if key else text)[:200]


def is_chunk(path: str) -> bool:
    """Whether a file of an array holds chunks: those stay elsewhere."""
    return path.startswith("c/")


def link_of(folder: str | Path) -> Place | None:
    """Where the arrays of a dataset lie; None if they lie in ``folder`` itself. Raises DamageError."""
    path = Path(folder) / LINK
    return Place(checked_address(unseal(path)["url"])) if path.exists() else None


def open_copy(folder: str | Path, noun: str) -> Marker:
    """Checked marker of a part of which all but the chunks is here."""
    marker = read_marker(folder, noun=noun, format=version(noun))
    check_sizes(
        folder, replace(marker, files={path: entry for path, entry in marker.files.items() if not is_chunk(path)})
    )
    return marker


def check_unchanged(folder: str | Path, place: Place, marker: Marker, parts: dict[str, Marker]) -> None:
    """Raise DamageError unless what lies at ``place`` is still what was copied to ``folder``, all chunks among it."""
    if _digest(place) != marker.digest:
        raise DamageError(
            f"{place.url}: is another version of the dataset than the one that {folder} was made from; "
            f"delete {folder} to take the new one"
        )
    names = place.names()
    if names is not None:
        wanted = (f"{part}/{path}" for part, inner in parts.items() for path in inner.files)
        for path in wanted:
            if path not in names:
                raise DamageError(f"{place.url}/{path}: missing, expected by {MARKER}")


def _digest(place: Place) -> str:
    try:
        return str(json.loads(place.read(MARKER))["seal"])
    except (ValueError, KeyError, TypeError):
        return ""


def link_dataset(folder: str | Path, *, name: str, url: str, arrays: Sequence[str] | None = None) -> Marker:
    """Make a dataset that lies elsewhere readable here.

    Parameters
    ----------
    folder : ``…/{dataset}.zarr``; a link that is there is renewed. name : of the dataset.
    url : of its folder, see `seqmill.config.stored.checked_address`.
    arrays : paths of the inputs and target groups that it must have, masks aside; any if None.

    Raises
    ------
    InputError
        ``folder`` holds a dataset that was built here, or what lies there is another dataset than ``name``.
    DamageError
        What lies there is not whole.
    RemoteError
        It cannot be asked for.
    """
    folder, place = Path(folder), Place(checked_address(url))
    with artefact_lock(folder):
        if not (folder / LINK).exists() and _holds_something(folder):
            raise InputError(
                folder,
                f"holds a dataset that was built here, or parts of one; move or delete it to read {place.url} instead, "
                "or take the key 'stored' out of the configuration",
            )
        with staged_folder(folder) as part:
            try:
                marker = _copy(place, part, "dataset")
                parts = {path: _copy(place / path, part / path, _noun(path)) for path in map(_inside, marker.parts)}
            except DamageError as error:
                raise DamageError(str(error).replace(str(part), place.url)) from None
            for path, inner in parts.items():
                if marker.parts[path] != inner.digest:
                    raise DamageError(f"{place.url}/{path}: is not the part that {place.url}/{MARKER} was written for")
            _check_asked(place, marker, name, arrays)
            check_unchanged(folder, place, marker, parts)
            atomic_write(part / LINK, seal({"url": place.url, "digest": marker.digest}))
    return marker


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _noun(path: str) -> str:
    return "dataset-rows" if path == "rows" else "dataset-array"


def _inside(path: str) -> str:
    """``path`` if it stays inside its folder. Raises DamageError for any other."""
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\\" in path or "\0" in path:
        raise DamageError(f"{MARKER}: names a file outside its folder: {path!r}")
    return path


def _copy(place: Place, folder: Path, noun: str) -> Marker:
    """Copy a noun's marker, its record and all files but chunks, checked against the marker."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / MARKER, place.read(MARKER))
    marker = read_marker(folder, noun=noun, format=version(noun))
    records = [RECORD] if marker.attrs.get("recorded") else []
    for path in [*map(_inside, marker.files), *records]:
        if not is_chunk(path) or noun != "dataset-array":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / path, place.read(path))
            if path != RECORD:
                check_file(folder, marker, path)
    return marker


def _check_asked(place: Place, marker: Marker, name: str, arrays: Sequence[str] | None) -> None:
    found = [path for path in marker.attrs["arrays"] if not path.startswith("mask/")]
    if marker.attrs["name"] != name:
        raise InputError(place.url, f"is dataset {marker.attrs['name']!r}, the configuration asks for {name!r}")
    if arrays is not None and found != list(arrays):
        raise InputError(
            place.url,
            f"holds {_listed(found)}; the section of dataset {name} describes {_listed(arrays)}: give the section and "
            "the sheet that it was built with",
        )


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(paths) or "nothing"


def verify_link(folder: str | Path) -> list[str]:
    """Check the copies of a linked dataset, and every byte that lies elsewhere; one message for each damaged place."""
    folder = Path(folder)
    try:
        place = link_of(folder)
        marker = read_marker(folder)
        if place is None:
            return verify_folder(folder)
        problems = [] if named(folder, marker.name) else [f"{folder / MARKER}: is that of '{marker.name}'"]
        for path in ["", *marker.parts]:
            inner = read_marker(folder / path)
            if path and marker.parts[path] != inner.digest:
                problems.append(f"{folder / path}: is not the part that {folder / MARKER} was written for")
            problems += _differences(folder / path, place / path, inner)
        return problems
    except (SeqmillError, ValueError) as error:
        return [str(error)]


def _differences(folder: Path, place: Place, marker: Marker) -> Iterator[str]:
    for path, (size, digest) in marker.files.items():
        try:
            if not is_chunk(path):
                check_file(folder, marker, path)
            found = place.read(path)
        except DamageError as error:
            yield str(error)
            continue
        if len(found) != size:
            yield f"{place.url}/{path}: {len(found)} bytes, {size} expected"
        elif hashlib.sha256(found).hexdigest() != digest:
            yield f"{place.url}/{path}: content changed (SHA-256 differs from {MARKER})"

"""ENCODE: a location of the sheet becomes rows of the lock, by the portal's own records."""

import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.accessions import Place, read_location, said_experiment
from seqmill.sources.encode_choose import choose, with_roles
from seqmill.sources.encode_file import (
    Record,
    accession_of,
    accessions_in,
    ending_of,
    make_row,
    need,
    status_problem,
    unusable,
)
from seqmill.sources.hosts import is_loopback
from seqmill.sources.policy import FailedAttempt
from seqmill.sources.web import Web
from seqmill.sources.withdrawn import WithdrawnError

log = logging.getLogger("seqmill")


def resolve_encode(asked: Asked, web: Web, sources: Sources) -> list[LockRow]:
    """Rows of the lock for a file, an experiment or ``encode:NAME``.

    One row; for FASTQ one a file: both mates of a pair, all lanes of the replicates asked for.

    Raises
    ------
    WithdrawnError
        For a file or experiment whose status forbids its use (only 'released'; 'archived' where allowed).
    InputError
        For what is no accession, cannot be downloaded, is of another kind or assembly, or is not one file only.
    RemoteError
        Where the portal does not answer, or not in its form.
    """
    where = asked.where or asked.name
    place = read_location(asked.location, where, tests=allows_tests(sources))
    if place.kind == "file":
        return _file(place, asked, web, sources)
    if asked.name == asked.location.strip():
        raise InputError(where, said_experiment(place.accession))
    return _experiment(place, asked, web, sources)


def allows_tests(sources: Sources) -> bool:
    """Whether test accessions (TSTFF…) mean something: only where the portal is this very machine."""
    return is_loopback(urlsplit(sources.portals.encode).hostname or "")


def _file(place: Place, asked: Asked, web: Web, sources: Sources) -> list[LockRow]:
    where = asked.where or asked.name
    record = fetch_record(f"/files/{place.accession}/", place.accession, web, sources, where)
    _check(record, asked, sources)
    if place.ending and place.ending.lower() != ending_of(record).lower():
        raise InputError(
            where, f"{place.accession}{place.ending}: the portal's file is {place.accession}{ending_of(record)}"
        )
    found = [(record, "")]
    if asked.format == "fastq" or record.get("file_format") == "fastq":
        mates = []
        for mate in accessions_in(record.get("paired_with")):
            other = fetch_record(f"/files/{mate}/", mate, web, sources, where)
            _check(other, asked, sources)
            mates.append(other)
        found = with_roles([record, *mates], where)
    return _rows(found, asked, sources, [record])


def _experiment(place: Place, asked: Asked, web: Web, sources: Sources) -> list[LockRow]:
    where = asked.where or asked.name
    # Annotations and series are data sets too; the portal leads from the bare accession to whatever it is.
    record = fetch_record(f"/{place.accession}/", place.accession, web, sources, where)
    reason, text = status_problem(record, sources.allow_archived)
    if reason:
        raise _withdrawn(record, where, text)
    found = choose(record, asked, sources.allow_archived)
    for file, _ in found:
        _check(file, asked, sources, whole=asked.format != "fastq")
    return _rows(found, asked, sources, [record, *(file for file, _ in found)], record)


def _rows(
    found: Sequence[tuple[Record, str]],
    asked: Asked,
    sources: Sources,
    audited: Sequence[Record],
    dataset: Record | None = None,
) -> list[LockRow]:
    _audits(audited, {accession_of(record) for record, _ in found}, asked, sources)
    portals = sources.portals
    return [make_row(record, asked, portals.encode, portals.encode_files, dataset, role) for record, role in found]


def _check(record: Record, asked: Asked, sources: Sources, whole: bool = True) -> None:
    """Raise InputError for a file that cannot serve the wish. Not ``whole``: its replicates are one of several."""
    where = asked.where or asked.name
    accession = accession_of(record)
    wish = asked if whole else Asked(asked.name, asked.location, format=asked.format)
    reason, text = unusable(record, wish, sources.allow_archived)
    if reason.startswith("status "):
        raise _withdrawn(record, where, text)
    if reason:
        raise InputError(where, f"{accession}: {text}")


def _withdrawn(record: Record, where: str, text: str) -> WithdrawnError:
    accession = accession_of(record)
    return WithdrawnError(
        where,
        f"{accession}: {text}",
        accession=accession,
        status=need(record, "status"),
        successors=accessions_in(record.get("superseded_by")),
    )


def fetch_record(path: str, accession: str, web: Web, sources: Sources, where: str) -> Record:
    """One record of the portal, by its path.

    Raises InputError for what the portal does not know, WithdrawnError for what is not public, or is another record
    now: the portal leads from a replaced accession to the one in its place.
    """
    try:
        record = web.json(sources.portals.encode + path, params={"format": "json"}, allow=(200, 404))
    except FailedAttempt as failed:
        if failed.status != 403:
            raise
        raise WithdrawnError(
            where,
            f"{accession}: not public (HTTP 403): in progress, deleted or replaced at the ENCODE portal; only "
            "released files are used",
            accession=accession,
            status="not public",
        ) from None
    if record is None:
        raise InputError(where, f"{accession}: the ENCODE portal knows no such accession")
    found = accession_of(record)
    if found != accession:
        if accession not in (record.get("alternate_accessions") or []):
            raise RemoteError(accession, f"the portal's answer is of {found!r:.60}")
        raise WithdrawnError(
            where,
            f"{accession}: status replaced, superseded by {found}; name that one",
            accession=accession,
            status="replaced",
            successors=[found],
        )
    return record


def _audits(records: Sequence[Record], chosen: set[str], asked: Asked, sources: Sources) -> None:
    """Warn of, or refuse, what the portal's own audit calls an error, for the chosen files and their experiment."""
    if sources.audits == "ignore":
        return
    found: dict[str, None] = {}
    for record in records:
        audit = record.get("audit")
        for entry in (audit.get("ERROR") or []) if isinstance(audit, dict) else []:
            path = str(entry.get("path") or "").strip("/")
            of_other = path.startswith("files/") and path.rpartition("/")[2] not in chosen
            if not of_other:
                found[str(entry.get("category") or "no category")] = None
    if not found:
        return
    text = f"{', '.join(sorted(chosen))}: portal audit ERROR: {', '.join(found)}"
    if sources.audits == "error":
        raise InputError(asked.where or asked.name, f"{text}; set sources.audits: warn to use it all the same")
    log.warning("%s: %s", asked.name, text)

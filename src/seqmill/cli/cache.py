"""The verb for the cache of fetched files: list, prune, check."""

import argparse
import time
from typing import TYPE_CHECKING, Any

from seqmill.cli.settings import DEFAULT_CONFIG, remark, say, written_of
from seqmill.runtime.errors import DamageError, InputError
from seqmill.runtime.progress import human_bytes

if TYPE_CHECKING:
    from seqmill.sources.cache import Cache, Entry


def cache(arguments: argparse.Namespace) -> int:
    """Do what ``arguments.what`` says with the cache of the configuration, else of the environment."""
    return {"list": _list, "prune": _prune, "check": _check}[arguments.what](arguments, _cache_of(arguments))


def _cache_of(arguments: argparse.Namespace) -> "Cache":
    """The cache; a configuration is read where there is one, only its section `sources`."""
    from pydantic import ValidationError

    from seqmill.config.portals import Sources
    from seqmill.sources.cache import Cache

    configured = arguments.configfile or arguments.config or DEFAULT_CONFIG.is_file()
    values, where = written_of(arguments) if configured else ({}, "")
    try:
        return Cache(Sources(**(values.get("sources") or {})).cache_folder())
    except (ValidationError, TypeError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(where, said, record="sources") from None


def _described(entry: "Entry") -> dict[str, Any]:
    return {
        "file": entry.file,
        "source": entry.source,
        "accession": entry.accession,
        "bytes": entry.bytes,
        "last_used": time.strftime("%Y-%m-%d", time.gmtime(entry.used)),
        "links": entry.links,
        "sha256": entry.sha256,
    }


def _lines(entries: list["Entry"]) -> list[str]:
    """A table of entries, the one used last at the end."""
    head = ["file", "source", "bytes", "last used", "links", "sha256"]
    rows = []
    for found in map(_described, entries):
        size, digest = f"{found['bytes']:,}", found["sha256"][:12]
        rows.append([found["file"] or "?", found["source"], size, found["last_used"], str(found["links"]), digest])
    return ["\t".join(row) for row in [head, *rows]] if rows else []


def _total(entries: list["Entry"]) -> str:
    count = len(entries)
    return f"{count:,} file{'' if count == 1 else 's'}, {human_bytes(sum(entry.bytes for entry in entries))}"


def _list(arguments: argparse.Namespace, cache: "Cache") -> int:
    entries = cache.entries()
    found = {"cache": str(cache.folder), "files": [_described(entry) for entry in entries]}
    say(arguments, {**found, "bytes": sum(entry.bytes for entry in entries)}, _lines(entries))
    unused = [entry for entry in entries if not entry.links]
    remark(arguments, f"{cache.folder}: {_total(entries)}; not linked by a project of this disk: {_total(unused)}")
    return 0


def _prune(arguments: argparse.Namespace, cache: "Cache") -> int:
    for name in ("older_than_days", "max_gb"):
        value = getattr(arguments, name)
        if value is not None and not value >= 0:
            raise InputError(f"--{name.replace('_', '-')}", f"expected a number from 0 on, found {value:g}")
    gone = cache.prune(
        older_than_days=arguments.older_than_days,
        max_bytes=None if arguments.max_gb is None else int(arguments.max_gb * 1e9),
        unused=not arguments.linked,
        dry_run=arguments.dry_run,
    )
    found = {"cache": str(cache.folder), "deleted": [_described(entry) for entry in gone], "dry_run": arguments.dry_run}
    say(arguments, found, _lines(gone))
    remark(arguments, f"{cache.folder}: {_total(gone)} {'would be deleted' if arguments.dry_run else 'deleted'}")
    return 0


def _check(arguments: argparse.Namespace, cache: "Cache") -> int:
    damaged = cache.check()
    if arguments.delete:
        for entry in damaged:
            cache.drop(entry.sha256)
    problems = [f"{entry.path}: content changed ({entry.file or 'unknown file'})" for entry in damaged]
    if not problems:
        say(arguments, {"cache": str(cache.folder), "whole": True, "findings": []}, [])
        remark(arguments, f"{cache.folder}: whole, every byte is as it was fetched")
        return 0
    then = "they were deleted" if arguments.delete else "'seqmill cache check --delete' deletes them"
    error = DamageError(
        f"{len(problems):,} damaged file{'' if len(problems) == 1 else 's'} in {cache.folder}: {then}, and the next "
        "fetch gets them again; 'seqmill verify results' finds the projects that link to them"
    )
    say(arguments, {"cache": str(cache.folder), "whole": False, "findings": problems, "error": str(error)}, problems)
    if arguments.json:
        return error.exit_code
    raise error

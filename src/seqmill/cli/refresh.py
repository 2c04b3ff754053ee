"""The verb that compares the lock with the portals."""

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seqmill.cli.settings import RESULTS, config_files, remark, say, settings_of, written_of
from seqmill.runtime.errors import InputError, RemoteError

CHANGED = 10  # exit code: there is something to read


def refresh(arguments: argparse.Namespace) -> int:
    """Write the changelog, with ``--apply`` the lock too. 0: nothing changed, 10: changes, 6: not all was asked."""
    from seqmill.config.lock import read_lock, write_lock
    from seqmill.config.locked import lock_path
    from seqmill.config.root import parse
    from seqmill.config.wishes import wishes
    from seqmill.runtime.files import atomic_write
    from seqmill.runtime.locks import artefact_lock
    from seqmill.sources import changelog
    from seqmill.sources.refresh import check_accepted

    if arguments.snakefile and not arguments.snakefile.is_file():
        raise InputError(arguments.snakefile, "does not exist or is not a file")
    values, where = written_of(arguments)
    asked = wishes(values, where)
    config = parse(values, where, lambda location: Path(location))
    path = lock_path(values)
    if config.sources.asks_nobody():
        raise InputError(
            where, "no host may be asked (sources.locked, --locked or SEQMILL_LOCKED); refresh asks them all"
        )
    if not path.is_file():
        raise InputError(path, "there is no lock to compare with; write it with 'seqmill lock'")
    old = read_lock(path)
    sheet = config.tracks.sheet if config.tracks and not arguments.no_searches else None
    outcomes = _ask(asked, old, config.sources, sheet)
    check_accepted(arguments.accept or [], outcomes)

    # what waits for a decision costs nothing before it is accepted
    rows = changelog.next_rows(outcomes, arguments.accept or [])
    cost = _cost(arguments, rows, old)
    about = {"lock": str(path), "date": datetime.now(UTC).date().isoformat()}
    applied = arguments.apply and set(rows) != set(old)
    found = changelog.as_json(outcomes, cost, verb="refresh", **about, applied=applied, compared=len(asked))
    text = changelog.markdown(outcomes, _cost_lines(cost), **about, names=len(asked))
    if applied:
        with artefact_lock(path):
            if read_lock(path) != old:
                raise InputError(path, "was written by somebody else meanwhile; run the refresh again")
            write_lock(path, rows)
    out = arguments.out or RESULTS / "refresh/changelog.md"
    atomic_write(out, text)
    atomic_write(out.with_suffix(".json"), json.dumps(found, indent=1) + "\n")
    say(arguments, found, [text.rstrip("\n")])
    remark(arguments, f"{out} written" + (f"; {path} written" if applied else ""))
    if "unreachable" in found["counts"]:
        return RemoteError.exit_code
    return CHANGED if found["counts"] else 0


def _ask(asked: list[Any], old: list[Any], sources: Any, sheet: Path | None) -> list[Any]:
    """Outcomes of all wishes, then of the saved searches of the sheet."""
    from seqmill.sources.ask_again import asker
    from seqmill.sources.cache import Cache
    from seqmill.sources.refresh import refresh as ask_again
    from seqmill.sources.saved_searches import search_again
    from seqmill.sources.web import Web

    with Web(sources) as web:
        outcomes = ask_again(asked, old, asker(old, web, sources, Cache(sources.cache_folder())))
        rows = [row for outcome in outcomes for row in (*outcome.old, *(outcome.new or ()))]
        return outcomes + (search_again(sheet, rows, web, sources) if sheet else [])


def _cost(arguments: argparse.Namespace, rows: list[Any], old: list[Any]) -> dict[str, Any]:
    """What a run with these rows would do."""
    from seqmill.config.lock import write_lock
    from seqmill.planning.refresh import refresh_cost
    from seqmill.sources.changelog import repinned, to_download

    download = to_download(rows, old)
    same = set(rows) == set(old)
    if same or arguments.no_dry_run:
        problem = "" if same else "--no-dry-run"
        size = sum(row.bytes for row in download)
        return {"files": len(download), "bytes": size, "jobs": [], "pending": 0, "left": [], "problem": problem}
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "next.lock.tsv"
        write_lock(lock, rows)
        files, settings = config_files(arguments), settings_of(arguments)
        return refresh_cost(files, settings, lock, download, repinned(rows, old), arguments.snakefile)


def _cost_lines(cost: dict[str, Any]) -> list[str]:
    from seqmill.planning.refresh import cost_lines

    return cost_lines(cost)

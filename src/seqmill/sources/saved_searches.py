"""Searches that a sheet keeps on top, asked again: experiments that match and that are not in the sheet."""

from collections.abc import Iterable
from pathlib import Path

from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.config.textfile import numbered_lines
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.runtime.progress import human_bytes
from seqmill.sources.changelog import Change, Outcome
from seqmill.sources.encode_file import Record, accession_of, accessions_in, biosample_of, kind_of, target_of
from seqmill.sources.encode_search import SEARCH, search
from seqmill.sources.web import Web

# Experiments (or files) that a search finds and the lab does not want: named once, not reported again.
UNWANTED = "# not wanted: "


def read_searches(sheet: str | Path) -> tuple[list[tuple[int, str]], set[str]]:
    """Saved searches of a sheet as (line, 1-based; search), and accessions that are not wanted."""
    searches, unwanted = [], set()
    for number, line in numbered_lines(sheet, "track sheet"):
        if line.startswith(SEARCH):
            searches.append((number, line.removeprefix(SEARCH).strip()))
        elif line.startswith(UNWANTED):
            unwanted.update(line.removeprefix(UNWANTED).replace(",", " ").split())
    return searches, unwanted


def search_again(sheet: str | Path, rows: Iterable[LockRow], web: Web, sources: Sources) -> list[Outcome]:
    """One outcome a search: what it finds beyond the rows of the lock, a change an experiment.

    An experiment that the lock has a file of is known, whatever other files the search finds of it.
    """
    searches, known = read_searches(sheet)
    for row in rows:
        known |= {row.accession, row.experiment}
    outcomes = []
    for number, text in searches:
        name = f"{sheet}:{number}"
        try:
            found = search(text, web, sources)
        except RemoteError as error:
            outcomes.append(Outcome(name, changes=(Change("unreachable", str(error)),)))
            continue
        except InputError as error:
            outcomes.append(Outcome(name, changes=(Change("undecided", str(error)),), decision="change the search"))
            continue
        outcomes.append(Outcome(name, changes=tuple(_experiments(found, known))))
    return outcomes


def _experiments(found: Iterable[Record], known: set[str]) -> list[Change]:
    """A change for each experiment that is not known; it is known from then on."""
    files: dict[str, list[Record]] = {}
    for record in found:
        experiment = next(iter(accessions_in(record.get("dataset"))), accession_of(record))
        if not {experiment, accession_of(record)} & known:
            files.setdefault(experiment, []).append(record)
    known.update(files)
    return [_found(experiment, records) for experiment, records in sorted(files.items())]


def _found(experiment: str, records: list[Record]) -> Change:
    first = records[0]
    what = [biosample_of(first), target_of(first), str(first.get("assay_title") or "")]
    words = []
    for record in records:
        about = [kind_of(record), str(record.get("output_type") or ""), str(record.get("assembly") or "")]
        size = record.get("file_size")
        about += [human_bytes(size)] if isinstance(size, int) else []
        words.append(f"{accession_of(record)} ({', '.join(part for part in about if part)})")
    text = f"{experiment} ({', '.join(part for part in what if part)}): {', '.join(words)}"
    return Change("found", text, new=tuple(accession_of(record) for record in records))

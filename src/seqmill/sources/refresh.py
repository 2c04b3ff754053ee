"""Every wish of a project asked again, and what became of its rows of the lock."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.runtime.progress import Progress, human_bytes
from seqmill.sources.changelog import Change, Outcome, compare, file_words
from seqmill.sources.withdrawn import WithdrawnError

log = logging.getLogger("seqmill")
# Answers wait for the portal, not for us; its rate limit holds for all of them together.
WORKERS = 4
# Location of whatever accession the portal gives, also of those that come from elsewhere.
ENCODE = "encode:"

# A wish to its rows; the flag lets archived files pass.
Resolve = Callable[[Asked, bool], list[LockRow]]


def refresh(
    wishes: Sequence[Asked], rows: Iterable[LockRow], resolve: Resolve, *, workers: int = WORKERS
) -> list[Outcome]:
    """Ask for every wish again.

    Parameters
    ----------
    wishes : what sheet and configuration ask for now. rows : of the lock.
    resolve : gives the rows of a wish, see `seqmill.sources.resolve`; called from several threads.

    Returns
    -------
    One outcome a name: of the wishes in their order, then of rows that nothing asks for any more. Rows whose content
    and metadata are as they were stay the very rows of the lock.
    """
    before: dict[str, list[LockRow]] = {}
    for row in rows:
        before.setdefault(row.name, []).append(row)
    with (
        Progress("refresh", len(wishes), "tracks and files") as progress,
        ThreadPoolExecutor(workers) as pool,
    ):

        def one(asked: Asked) -> Outcome:
            outcome = look(asked, before.get(asked.name, []), resolve)
            progress.add(1)
            return outcome

        outcomes = list(pool.map(one, wishes))
    asked_for = {asked.name for asked in wishes}
    for name, old in before.items():
        if name not in asked_for:
            files = tuple(file_words(row) for row in old)
            change = Change("gone", f"the sheet and the configuration no longer ask for {old[0].asked}", files)
            outcomes.append(Outcome(name, tuple(old), (), (change,)))
    return outcomes


def look(asked: Asked, old: Sequence[LockRow], resolve: Resolve) -> Outcome:
    """What one wish comes to now. Raises nothing that a host or a file's status can cause."""
    try:
        rows = resolve(asked, False)
    except WithdrawnError as error:
        return _withdrawn(asked, old, error, resolve)
    except RemoteError as error:
        return Outcome(asked.name, tuple(old), None, (Change("unreachable", str(error)),))
    except InputError as error:
        decision = f"change the sheet or the configuration ({asked.where or asked.location})"
        return Outcome(asked.name, tuple(old), None, (Change("undecided", str(error)),), decision)
    return _resolved(asked, old, rows, resolve)


def _resolved(asked: Asked, old: Sequence[LockRow], rows: Sequence[LockRow], resolve: Resolve) -> Outcome:
    """Outcome of a wish that has rows now."""
    new = tuple(rows)
    if not old:
        files = tuple(file_words(row) for row in new)
        size = human_bytes(sum(row.bytes for row in new))
        return Outcome(asked.name, (), new, (Change("new", f"{asked.text}: {', '.join(files)}, {size}", new=files),))
    changes = compare(old, new)
    decision = ""
    if any(change.kind == "checksum" for change in changes):
        decision = f"the same name stands for other bytes now; find out why, then accept it (--accept '{asked.name}')"
    if any(row.asked != asked.text for row in old):
        words = f"{old[0].asked} before, {asked.text} now"
        return Outcome(asked.name, tuple(old), new, (Change("asked", words), *changes))
    if not changes:
        return Outcome(asked.name, tuple(old), tuple(old))
    fates = _fates(asked, old, new, resolve) if any(change.kind == "replaced" for change in changes) else ""
    changes = [
        replace(change, text=change.text + fates) if change.kind == "replaced" and fates else change
        for change in changes
    ]
    return Outcome(asked.name, tuple(old), new, tuple(changes), decision)


def _fates(asked: Asked, old: Sequence[LockRow], new: Sequence[LockRow], resolve: Resolve) -> str:
    """What the portal says of files of ENCODE that an experiment's choice left behind, in words."""
    kept = {row.accession for row in new}
    words = []
    for row in old:
        if row.source != "encode" or row.accession in kept:
            continue
        try:
            resolve(Asked(asked.name, ENCODE + row.accession, assembly=asked.assembly), True)
        except WithdrawnError as error:
            words.append(f"{row.accession} is {error.status} now")
        except (RemoteError, InputError):
            words.append(f"{row.accession} is no longer public")
        else:
            words.append(f"{row.accession} is still offered, but no longer the experiment's choice")
    return f" ({'; '.join(words)})" if words else ""


def _withdrawn(asked: Asked, old: Sequence[LockRow], error: WithdrawnError, resolve: Resolve) -> Outcome:
    """Outcome of a wish whose file has a status that forbids its use."""
    name, rows = asked.name, None
    if error.status == "archived":
        rows = _again(asked, asked.location, True, resolve)
        advice = "set sources.allow_archived, ask for another file"
    elif len(error.successors) == 1:
        rows = _again(asked, ENCODE + error.successors[0], False, resolve)
        advice = f"ask for {error.successors[0]} in its place"
    else:
        advice = f"ask for one of {', '.join(error.successors)}" if error.successors else "ask for another file"
    if rows is not None and _accepted_before(old, rows, error.status):
        return _resolved(asked, old, rows, resolve)
    kind = error.status if error.status in ("revoked", "replaced", "archived") else "unavailable"
    where = f" ({asked.where})" if asked.where else ""
    decision = f"{error.accession} is {error.status}: {advice}{where}"
    if rows is not None:
        decision += f", or accept it (--accept '{name}')"
    change = Change(
        kind,
        error.message,
        tuple(file_words(row) for row in old) or (error.accession,),
        tuple(file_words(row) for row in rows or ()),
    )
    return Outcome(name, tuple(old), tuple(rows) if rows is not None else None, (change,), decision)


def _accepted_before(old: Sequence[LockRow], rows: Sequence[LockRow], status: str) -> bool:
    """Whether the lock holds already what stands in place of a withdrawn file."""
    same = bool(old) and {row.accession for row in old} == {row.accession for row in rows}
    return same and (status != "archived" or all(row.status == "archived" for row in old))


def _again(asked: Asked, location: str, archived: bool, resolve: Resolve) -> list[LockRow] | None:
    """Rows of another location for the same wish, written as the wish; None where there are none."""
    try:
        rows = resolve(replace(asked, location=location), archived)
    except (RemoteError, InputError) as error:
        log.info("%s: %s", asked.name, error)
        return None
    return [replace(row, asked=asked.text) for row in rows]


def check_accepted(names: Iterable[str], outcomes: Sequence[Outcome]) -> None:
    """Raise InputError for a name of ``--accept`` that has nothing to accept."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    for name in names:
        outcome = by_name.get(name)
        if outcome is None:
            raise InputError("--accept", f"{name!r} is no track and no remote file of the configuration")
        if outcome.new is None:
            what = outcome.decision or "it was not resolved"
            raise InputError("--accept", f"{name}: there is nothing to put in its place; {what}")
        if not outcome.changes:
            raise InputError("--accept", f"{name} is as the lock says; there is nothing to accept")

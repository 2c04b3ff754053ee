"""What is different between a lock and its portals: compared, told to people, and put into the next lock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from seqmill.config.lock import LockRow
from seqmill.runtime.progress import human_bytes

# Kinds of changes in the order in which a reader wants them, with what each says.
KINDS = {
    "revoked": "Revoked: the portal withdrew these files",
    "replaced": "Replaced by other files",
    "archived": "Archived",
    "unavailable": "No longer offered",
    "checksum": "Other bytes under the same name",
    "undecided": "Cannot be resolved as the sheet asks",
    "unreachable": "Not asked: a host did not answer as it should",
    "new": "New",
    "asked": "Asked for otherwise",
    "gone": "No longer asked for",
    "metadata": "Metadata",
    "found": "Experiments that match a saved search and are not in the sheet",
}
# What identifies a row, says when it was asked for, or follows from its bytes.
_NO_METADATA = ("name", "asked", "bytes", "md5", "sha256", "retrieved", "etag")


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes
    ----------
    kind : of `KINDS`.
    text : what happened, in one line.
    old, new : files before and after, as "accession file".
    fields : column of the lock to what it was and what it is.
    """

    kind: str
    text: str
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What one wish of the sheet or the configuration came to.

    Attributes
    ----------
    name : track, location of a file of the configuration, or saved search.
    old : its rows of the lock. new : its rows now; None where there are none to put in their place.
    changes : differences; none if all is as it was.
    decision : what a person has to decide before ``new`` is taken; '' if nothing.
    """

    name: str
    old: tuple[LockRow, ...] = ()
    new: tuple[LockRow, ...] | None = None
    changes: tuple[Change, ...] = ()
    decision: str = ""


def file_words(row: LockRow) -> str:
    """How a file is called in the changelog."""
    name = row.accession or row.run or row.url.split("?")[0]
    return f"{name} ({row.role})" if row.role else name


def same_bytes(one: LockRow, other: LockRow) -> bool:
    """Whether two rows pin the same bytes. Rows without a checksum of the same kind are taken for different."""
    if one.bytes != other.bytes:
        return False
    pairs = [(one.md5, other.md5), (one.sha256, other.sha256)]
    known = [mine == theirs for mine, theirs in pairs if mine and theirs]
    return bool(known) and all(known)


def metadata_changes(old: LockRow, new: LockRow) -> dict[str, tuple[str, str]]:
    """Columns that differ, but for those that identify the row or its bytes: ``{column: (old, new)}``."""
    before, after = asdict(old), asdict(new)
    return {
        column: (str(before[column]), str(after[column]))
        for column in before
        if column not in _NO_METADATA and before[column] != after[column]
    }


def compare(old: Sequence[LockRow], new: Sequence[LockRow]) -> list[Change]:
    """Differences between the rows of one name: files that came or went, other bytes, metadata.

    Files are the same where accession (else address) and role agree. Where some went and others came, the ones were
    replaced by the others.
    """
    before, after = _by_file(old), _by_file(new)
    changes = []
    for key in before.keys() & after.keys():
        one, other = before[key], after[key]
        if not same_bytes(one, other):
            text = f"{file_words(other)}: {_digest_words(one)} before, {_digest_words(other)} now"
            changes.append(Change("checksum", text, (file_words(one),), (file_words(other),)))
        fields = metadata_changes(one, other)
        if fields and fields.get("status", ("", ""))[1] == "archived":
            changes.append(Change("archived", f"{file_words(other)}: archived now", fields=fields))
        elif fields:
            words = ", ".join(fields)
            changes.append(Change("metadata", f"{file_words(other)}: {words}", fields=fields))
    went = tuple(file_words(row) for key, row in before.items() if key not in after)
    came = tuple(file_words(row) for key, row in after.items() if key not in before)
    if went and came:
        changes.append(Change("replaced", f"{', '.join(went)} by {', '.join(came)}", went, came))
    elif came:
        changes.append(Change("new", f"more files: {', '.join(came)}", new=came))
    elif went:
        changes.append(Change("unavailable", f"no longer among the files: {', '.join(went)}", went))
    order = list(KINDS)
    return sorted(changes, key=lambda change: (order.index(change.kind), change.text))


def _by_file(rows: Sequence[LockRow]) -> dict[tuple[str, str], LockRow]:
    return {(row.accession or row.url, row.role): row for row in rows}


def _digest_words(row: LockRow) -> str:
    return f"{human_bytes(row.bytes)} {row.digest}"


def next_rows(outcomes: Iterable[Outcome], accepted: Iterable[str] = ()) -> list[LockRow]:
    """The lock that follows: new rows of every name without a decision to take, or whose decision was taken.

    All other names keep the rows that they have.
    """
    accepted = set(accepted)
    rows: list[LockRow] = []
    for outcome in outcomes:
        take = outcome.new is not None and (not outcome.decision or outcome.name in accepted)
        rows += outcome.new if take and outcome.new is not None else outcome.old
    return rows


def to_download(rows: Iterable[LockRow], old: Iterable[LockRow]) -> list[LockRow]:
    """Rows whose bytes none of ``old`` pins; each content once."""
    known = {digest for row in old for digest in (row.md5, row.sha256) if digest}
    found: dict[str, LockRow] = {}
    for row in rows:
        if not {row.md5, row.sha256} & known:
            found.setdefault(row.digest, row)
    return list(found.values())


def repinned(rows: Iterable[LockRow], old: Iterable[LockRow]) -> list[str]:
    """Names, sorted, that both locks have and whose files or bytes differ."""
    before, after = _pins(old), _pins(rows)
    return sorted(name for name in before.keys() & after.keys() if before[name] != after[name])


def _pins(rows: Iterable[LockRow]) -> dict[str, set[tuple[str, str, str]]]:
    pins: dict[str, set[tuple[str, str, str]]] = {}
    for row in rows:
        pins.setdefault(row.name, set()).add((row.file, row.role, row.digest))
    return pins


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Number of changes of each kind that occurs."""
    kinds = [change.kind for outcome in outcomes for change in outcome.changes]
    return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def as_json(outcomes: Sequence[Outcome], cost: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The changelog for programs: ``counts``, ``changes`` (one object a change), ``cost``, and what else is given."""
    changes = [
        {"name": outcome.name, "decision": outcome.decision, **asdict(change)}
        for outcome in outcomes
        for change in outcome.changes
    ]
    return {**more, "counts": counts(outcomes), "changes": changes, "cost": dict(cost)}


def markdown(outcomes: Sequence[Outcome], cost_lines: Sequence[str], *, lock: str, date: str, names: int) -> str:
    """The changelog for people.

    Parameters
    ----------
    cost_lines : Markdown lines of what applying it takes. names : number of tracks and files that were compared.
    """
    found = counts(outcomes)
    lines = [f"# Refresh of {lock}, {date}", ""]
    if not found:
        return "\n".join([*lines, f"{names:,} tracks and files compared: nothing changed.", ""])
    words = ", ".join(f"{number:,} {kind}" for kind, number in found.items())
    lines += [f"{names:,} tracks and files compared: {words}.", ""]
    decisions = [outcome for outcome in outcomes if outcome.decision]
    if decisions:
        lines += ["## To decide", ""]
        lines += [f"- **{_cell(outcome.name)}**: {_cell(outcome.decision)}" for outcome in decisions]
        lines.append("")
    for kind in found:
        lines += [f"## {KINDS[kind]}", ""]
        for outcome in outcomes:
            for change in outcome.changes:
                if change.kind == kind:
                    lines.append(f"- **{_cell(outcome.name)}**: {_cell(change.text)}")
                    lines += [
                        f"  - {column}: {_cell(was) or '(empty)'} → {_cell(now) or '(empty)'}"
                        for column, (was, now) in change.fields.items()
                    ]
        lines.append("")
    return "\n".join([*lines, "## What applying it takes", "", *cost_lines, ""])


def _cell(text: str) -> str:
    """Text of a portal without what Markdown would read as markup or as a line's end."""
    text = " ".join(text.split())
    for sign in "\\`*[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text

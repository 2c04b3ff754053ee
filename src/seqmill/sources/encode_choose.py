"""Which file of an ENCODE experiment a row of the sheet means: the portal's own default, or what the sheet says."""

from collections.abc import Callable, Sequence
from typing import Any

from seqmill.config.asked import Asked
from seqmill.runtime.errors import InputError
from seqmill.sources.assemblies import ORDER, portal_name
from seqmill.sources.encode_file import (
    FORMATS,
    NO_ASSEMBLY,
    TRACK_FORMATS,
    Record,
    accession_of,
    accessions_in,
    availability_problem,
    check_shape,
    format_problem,
    kind_of,
    need,
    one_line,
    read_replicates,
    replicates_of,
    status_problem,
)

_SHOWN = 40


def default_analysis(experiment: Record, assembly: str = "") -> Record | None:
    """The analysis of an experiment that should be looked at first, None where it has none.

    The portal computes one for all assemblies (`default_analysis`); it is taken where it is of the wanted ``assembly``
    (or none is wanted). Among those of another assembly the portal's rule is applied again: status, then the uniform
    pipelines' lab, the order of assemblies, the pipeline's version and the date (ENCODE-DCC/encoded,
    src/encoded/types/dataset.py, `default_analysis`; its rank by award reads a field that does not exist and is left
    out here as it has no effect there).
    """
    wanted = portal_name(assembly)
    found = [analysis for analysis in _analyses(experiment) if analysis.get("status") in ("released", "archived")]
    by_default = accessions_in(experiment.get("default_analysis"))
    for analysis in found:
        if [_name(analysis)] == by_default and wanted in ("", analysis.get("assembly")):
            return analysis
    found = [a for a in found if wanted in ("", a.get("assembly"))]
    return max(found, key=_rank, default=None)


def _analyses(experiment: Record) -> list[Record]:
    return [analysis for analysis in experiment.get("analyses") or [] if isinstance(analysis, dict)]


def _name(analysis: Record) -> str:
    return next(iter(accessions_in([analysis])), "")


def _rank(analysis: Record) -> tuple[Any, ...]:
    assembly = analysis.get("assembly")
    return (
        analysis.get("status") == "released",
        "/labs/encode-processing-pipeline/" in (analysis.get("pipeline_labs") or []),
        -ORDER.index(assembly) if assembly in ORDER else -len(ORDER),
        _version(str(analysis.get("pipeline_version") or "")),
        str(analysis.get("date_created") or ""),
    )


def _version(text: str) -> tuple[tuple[int, ...], bool]:
    """A version by its numbers; one with an addition (1.2.0-rc) is before the one without."""
    numbers, _, addition = text.partition("-")
    parts = numbers.lstrip("v").split(".")
    return tuple(int(part) if part.isdecimal() else -1 for part in parts), not addition


def choose(experiment: Record, asked: Asked, allow_archived: bool = False) -> list[tuple[Record, str]]:
    """The file of an experiment that answers a wish, with its role; for FASTQ the files of the wanted replicates.

    The files are narrowed by format, status, assembly, the default analysis, output type and replicates, and then by
    the portal's `preferred_default` where the sheet names no replicates.

    Raises
    ------
    InputError
        Where none or several files are left: the message lists them.
    """
    name = accession_of(experiment)
    where = asked.where or asked.name
    files = need(experiment, "files", list)
    records = [record for record in files if isinstance(record, dict) and "status" in record]
    if len(records) < len(files):
        # Links only: the portal's answer holds other records than it is known to.
        need({"@id": name}, "files.status")
    check_shape(experiment, dataset=True)
    for record in (*records, *_analyses(experiment)):
        check_shape(record)
    reads = asked.format == "fastq"

    def narrow(records: list[Record], test: Callable[[Record], bool], what: str) -> list[Record]:
        left = [record for record in records if test(record)]
        if not left:
            raise InputError(where, f"{name} has no file {what}{_listed(records, experiment)}")
        return left

    if asked.format:
        wanted = " ".join(FORMATS.get(asked.format, (asked.format, ""))).strip()
        records = narrow(records, lambda record: not format_problem(record, asked.format), f"of format {wanted}")
    else:
        records = narrow(
            records, lambda r: need(r, "file_format") in TRACK_FORMATS, f"of a track ({', '.join(TRACK_FORMATS)})"
        )
    if asked.assembly and not reads:
        assembly = portal_name(asked.assembly)
        records = narrow(records, lambda r: portal_name(str(r.get("assembly") or "")) == assembly, f"of {assembly}")
    records = narrow(
        records,
        lambda r: not status_problem(r, allow_archived)[0] and not availability_problem(r)[0],
        "that is released and can be downloaded" + ("" if allow_archived else " (sources.allow_archived is false)"),
    )
    if reads:
        return _reads(records, experiment, asked)
    records = _of_analysis(records, experiment, asked, where)
    if asked.output_type:
        kind = asked.output_type.strip().lower()
        records = narrow(
            records, lambda r: need(r, "output_type").lower() == kind, f"of output type '{asked.output_type}'"
        )
    if asked.replicates:
        numbers = read_replicates(asked.replicates, where)
        records = narrow(records, lambda r: replicates_of(r) == numbers, f"of replicates {numbers}")
    elif len(records) > 1:
        preferred = [record for record in records if record.get("preferred_default")]
        records = preferred if len(preferred) == 1 else records
    if len(records) > 1:
        raise InputError(
            where,
            f"{len(records)} files of {name} fit; choose by the columns output_type, replicates or format, "
            f"or name one as location{_listed(records, experiment)}",
        )
    return [(records[0], "")]


def _of_analysis(records: list[Record], experiment: Record, asked: Asked, where: str) -> list[Record]:
    """Files of the default analysis; all where the experiment is older than analyses."""
    analysis = default_analysis(experiment, asked.assembly)
    if analysis is None or not any(record.get("analyses") for record in records):
        return records
    name = _name(analysis)
    left = [record for record in records if name in accessions_in(record.get("analyses"))]
    if not left:
        title = str(analysis.get("title") or name)
        raise InputError(
            where,
            f"{accession_of(experiment)} has no such file in its default analysis ({title}); name one of another "
            f"analysis as location{_listed(records, experiment)}",
        )
    return left


def _reads(records: list[Record], experiment: Record, asked: Asked) -> list[tuple[Record, str]]:
    """FASTQ files of one replicate, or of those that the sheet names, mates beside each other."""
    where, name = asked.where or asked.name, accession_of(experiment)
    records = [record for record in records if record.get("output_type") == "reads"]
    found = sorted({replicates_of(record) for record in records})
    wanted = read_replicates(asked.replicates, where).split(",") if asked.replicates else found
    if len(found) > 1 and not asked.replicates:
        raise InputError(
            where,
            f"{name} has reads of {len(found)} replicates ({', '.join(found)}); name those to use in the column "
            f"replicates, e.g. {found[0]} or {','.join(found)}{_listed(records, experiment)}",
        )
    absent = [number for number in wanted if number not in found]
    if absent or not records:
        raise InputError(where, f"{name} has no reads of replicate {', '.join(absent)}{_listed(records, experiment)}")
    chosen = [record for record in records if replicates_of(record) in wanted]
    return with_roles(chosen, where)


def with_roles(records: Sequence[Record], where: str) -> list[tuple[Record, str]]:
    """FASTQ files with their roles ('R1', 'R2', 'single').

    Raises InputError for a mate without its partner, and for mates in one file.
    """
    by_name = {accession_of(record): record for record in records}
    rows = []
    for name, record in sorted(by_name.items()):
        end = str(record.get("paired_end") or "")
        mate = next(iter(accessions_in(record.get("paired_with"))), "")
        if end == "1,2":
            raise InputError(where, f"{name} holds both reads of its pairs in one file, which is not supported")
        if end in ("1", "2") and mate not in by_name:
            raise InputError(where, f"{name} is read {end} of a pair, its mate {mate or '(none named)'} is not usable")
        rows.append((record, f"R{end}" if end in ("1", "2") else "single"))
    return rows


def _listed(records: Sequence[Record], experiment: Record) -> str:
    return ":\n" + candidates(records, experiment) if records else ""


def candidates(records: Sequence[Record], experiment: Record | None = None) -> str:
    """Files as a table that a user can choose from, at most 40 lines."""
    titles = {
        _name(a): str(a.get("title") or _name(a))
        for a in (experiment or {}).get("analyses") or []
        if isinstance(a, dict)
    }
    head = ("accession", "format", "output type", "assembly", "replicates", "preferred", "status", "analysis")
    rows: list[tuple[str, ...]] = [head]
    for record in sorted(records, key=lambda r: (kind_of(r), str(r.get("output_type")), replicates_of(r))):
        analyses = accessions_in(record.get("analyses"))
        rows.append(
            (
                accession_of(record),
                kind_of(record),
                str(record.get("output_type") or ""),
                str(record.get("assembly") or ("-" if record.get("file_format") in NO_ASSEMBLY else "not stated")),
                replicates_of(record) or "-",
                "yes" if record.get("preferred_default") else "no",
                str(record.get("status") or ""),
                ", ".join(titles.get(name, name) for name in analyses) or "-",
            )
        )
    left = len(rows) - 1 - _SHOWN
    rows = [tuple(one_line(cell)[:60] for cell in row) for row in rows[: _SHOWN + 1]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(lines + ([f"  … and {left} more"] if left > 0 else []))

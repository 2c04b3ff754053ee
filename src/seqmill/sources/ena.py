"""Runs and their FASTQ files as the European Nucleotide Archive reports them (``filereport``, result ``read_run``)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from seqmill.config.portals import Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.sources.web import Web

RUN = re.compile(r"[SED]RR\d+")
# What is asked for; without those of NEEDED an answer is of another form than the one known here.
NEEDED = (
    "run_accession",
    "experiment_accession",
    "library_layout",
    "library_strategy",
    "read_count",
    "base_count",
    "fastq_ftp",
    "fastq_md5",
    "fastq_bytes",
)
FIELDS = (
    *NEEDED,
    "sample_accession",
    "secondary_sample_accession",
    "secondary_study_accession",
    "sample_title",
    "scientific_name",
    "last_updated",
)
# Statuses of 'nothing is known of this accession': no content, malformed, not found.
NOTHING = (204, 400, 404)
_MD5 = re.compile(r"[0-9a-f]{32}")
_PATH = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._#+-]*)+")


@dataclass(frozen=True)
class RunFile:
    """One file of a run. ``role`` is R1, R2 or single, '' for a file that is not used (orphans) or not FASTQ."""

    name: str
    url: str
    bytes: int
    md5: str
    role: str = ""
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One sequencing run.

    Attributes
    ----------
    layout : 'PAIRED', 'SINGLE' or ''. strategy : library_strategy of the archives (ChIP-Seq, ...).
    reads : spots, that is pairs of a paired run; bases : of all reads; both 0 if unknown.
    date : last update at the archive, YYYY-MM-DD or ''.
    """

    run: str
    experiment: str
    sample: str = ""
    study: str = ""
    layout: str = ""
    strategy: str = ""
    title: str = ""
    organism: str = ""
    reads: int = 0
    bases: int = 0
    date: str = ""
    format: Literal["fastq", "sra"] = "fastq"
    files: tuple[RunFile, ...] = ()


def read_runs(accession: str, web: Web, sources: Sources) -> list[Run]:
    """Public runs of a run, experiment, sample, study or project, by accession; [] if ENA has no content for it.

    Runs without FASTQ files at ENA are there with no ``files``.

    Raises
    ------
    RemoteError : the answer lacks a field, or holds what is no checksum, size or address of a FASTQ file.
    """
    parameters = {
        "accession": accession,
        "result": "read_run",
        "fields": ",".join(FIELDS),
        "format": "tsv",
        "limit": "0",
    }
    answer = web.get(f"{sources.portals.ena}/filereport", params=parameters, allow=(200, *NOTHING))
    if answer.status in NOTHING:
        return []
    lines = [line.rstrip("\r") for line in answer.content.decode("utf-8", "replace").split("\n") if line.strip()]
    if not lines:
        return []
    header = lines[0].split("\t")
    for field in NEEDED:
        if field not in header:
            raise RemoteError(accession, f"field '{field}' missing in ENA's answer; found: {', '.join(header)[:120]}")
    runs = []
    for line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(header):
            raise RemoteError(accession, f"ENA's answer has a row of {len(cells)} cells below {len(header)} columns")
        runs.append(_run(accession, dict(zip(header, cells)), sources))
    return sorted(runs, key=lambda run: run.run)


def _run(accession: str, cells: Mapping[str, str], sources: Sources) -> Run:
    name = cells["run_accession"]
    if not RUN.fullmatch(name) or (RUN.fullmatch(accession) and name != accession):
        raise RemoteError(accession, f"ENA's answer is of {name[:40]!r}")
    lists = [cells[field].split(";") if cells[field] else [] for field in ("fastq_ftp", "fastq_md5", "fastq_bytes")]
    if len({len(values) for values in lists}) != 1:
        raise RemoteError(name, "ENA's answer has unequal numbers of FASTQ addresses, checksums and sizes")
    return Run(
        run=name,
        experiment=accession_of(name, cells["experiment_accession"]),
        sample=accession_of(name, cells.get("secondary_sample_accession") or cells.get("sample_accession", "")),
        study=accession_of(name, cells.get("secondary_study_accession", "")),
        layout=cells["library_layout"].upper(),
        strategy=one_line(cells["library_strategy"]),
        title=one_line(cells.get("sample_title", "")),
        organism=one_line(cells.get("scientific_name", "")),
        reads=whole(name, "read_count", cells["read_count"] or "0"),
        bases=whole(name, "base_count", cells["base_count"] or "0"),
        date=date_of(cells.get("last_updated", "")),
        files=tuple(_file(name, place, md5, size, sources) for place, md5, size in zip(*lists)),
    )


def _file(run: str, place: str, md5: str, size: str, sources: Sources) -> RunFile:
    """A FASTQ file; ENA writes its address without a scheme, as it lies on its FTP server."""
    parts = urlsplit(place if "://" in place else f"ftp://{place}")
    file = parts.path.rpartition("/")[2]
    named = re.fullmatch(rf"{run}(?:_\d|_subreads)?\.fastq\.gz", file)
    if parts.netloc != "ftp.sra.ebi.ac.uk" or not named or not _PATH.fullmatch(parts.path) or parts.query:
        raise RemoteError(run, f"ENA's answer has {place[:100]!r}, no address of a FASTQ file of the run")
    return RunFile(file, sources.portals.ena_files + parts.path, positive(run, size), checked_md5(run, md5))


def one_line(text: str) -> str:
    """Text without line breaks, tabs and control characters, which a table cannot hold."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def date_of(text: str) -> str:
    """Day (YYYY-MM-DD) that a text begins with, '' if none."""
    found = re.match(r"\d{4}-\d\d-\d\d", text)
    return found.group() if found else ""


def accession_of(where: str, text: str) -> str:
    """The text, if it is an accession or empty. Raises RemoteError."""
    if not re.fullmatch(r"[A-Z]{3,5}\d+|", text):
        raise RemoteError(where, f"{text[:40]!r} is no accession")
    return text


def whole(where: str, field: str, text: str) -> int:
    """Whole number of an answer. Raises RemoteError for anything else."""
    if not re.fullmatch(r"\d{1,18}", text):
        raise RemoteError(where, f"field '{field}' holds {text[:40]!r}, expected a whole number")
    return int(text)


def positive(where: str, text: str) -> int:
    """Size of a file; 0 is none. Raises RemoteError."""
    size = whole(where, "size", text)
    if not size:
        raise RemoteError(where, "the archive says that the file has 0 bytes")
    return size


def checked_md5(where: str, text: str) -> str:
    """md5 in lower-case hex. Raises RemoteError for anything else."""
    if not _MD5.fullmatch(text.lower()):
        raise RemoteError(where, f"md5 {text[:40]!r} is none")
    return text.lower()


def with_roles(run: Run, where: str) -> Run:
    """The run with the files that are used, each with its role.

    A paired run needs ``_1`` and ``_2``; a third file holds reads whose mate is missing and is left out. A run
    without stated layout is paired if it has both.

    Raises
    ------
    InputError : the files do not fit the layout; ``where`` says who asked.
    """
    by_name = {file.name: file for file in run.files}
    single, first, second = (f"{run.run}{mate}.fastq.gz" for mate in ("", "_1", "_2"))
    found = ", ".join(by_name) or "none"
    has_both = first in by_name and second in by_name
    if run.layout == "PAIRED" or (run.layout != "SINGLE" and has_both):
        if not has_both or set(by_name) - {single, first, second}:
            raise InputError(
                where,
                f"{run.run}: layout PAIRED, expected _1/_2; found {found}; "
                "sources.ena_first: false takes the SRA file instead",
            )
        return replace(run, files=(replace(by_name[first], role="R1"), replace(by_name[second], role="R2")))
    if len(by_name) != 1 or not set(by_name) <= {single, first}:
        raise InputError(
            where,
            f"{run.run}: layout {run.layout or 'not stated'}, expected one FASTQ; found {found}; "
            "sources.ena_first: false takes the SRA file instead",
        )
    return replace(run, files=(replace(run.files[0], role="single"),))

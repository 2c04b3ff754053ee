"""Sequencing runs of SRA, ENA and DDBJ: FASTQ from ENA where it has them, else the SRA file from the open bucket."""

import contextlib
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime

from seqmill.config.asked import Asked
from seqmill.config.lock import LockRow
from seqmill.config.portals import Sources
from seqmill.runtime.errors import InputError, RemoteError
from seqmill.runtime.progress import human_bytes
from seqmill.sources import ena, eutils
from seqmill.sources.ena import Run
from seqmill.sources.hosts import origin, redacted
from seqmill.sources.web import Web
from seqmill.sources.withdrawn import WithdrawnError

_LOG = logging.getLogger("seqmill")
# Policy of the archives: https://www.insdc.org/policy/ ("free and unrestricted access").
LICENCE = "INSDC, free and unrestricted"
UNKNOWN = "unknown, private, or suppressed"
# Words of an assay, letters and digits only -> library_strategy of the archives that fit it (SRA.experiment.xsd).
# They have no term for CUT&RUN, CUT&Tag, PRO-seq and more: such runs are OTHER or ChIP-Seq, and OTHER fits everything.
_STRATEGIES = {
    "hichip": ("Hi-C", "ChIP-Seq"),
    "chip": ("ChIP-Seq",),
    "cutrun": ("ChIP-Seq",),
    "cuttag": ("ChIP-Seq",),
    "atac": ("ATAC-seq",),
    "dnase": ("DNase-Hypersensitivity",),
    "mnase": ("MNase-Seq",),
    "faire": ("FAIRE-seq",),
    "rnaseq": ("RNA-Seq", "ssRNA-seq", "snRNA-seq", "miRNA-Seq", "ncRNA-Seq", "FL-cDNA"),
    "cage": ("RNA-Seq", "ncRNA-Seq", "EST"),
    "wgbs": ("Bisulfite-Seq",),
    "rrbs": ("Bisulfite-Seq",),
    "bisulfite": ("Bisulfite-Seq",),
    "hic": ("Hi-C",),
    "chiapet": ("ChIA-PET",),
    "ripseq": ("RIP-Seq",),
    "clip": ("RIP-Seq",),
    "ribo": ("Ribo-Seq", "RNA-Seq"),
    "wgs": ("WGS", "WGA"),
    "mpra": ("AMPLICON", "Targeted-Capture"),
}


def resolve_sra(asked: Asked, web: Web, sources: Sources, *, accession: str = "", source: str = "sra") -> list[LockRow]:
    """Lock rows of all runs of an accession: run, experiment, sample, study or project.

    Parameters
    ----------
    accession : to ask for instead of ``asked.location`` (of GEO, once it is known what it is at SRA).
    source : the portal's name in the rows.

    Raises
    ------
    WithdrawnError : neither ENA nor NCBI knows a public run of it.
    InputError : the runs do not fit the wish: other files than the layout has, another library strategy, too big,
        only to be had with credentials or payment.
    RemoteError : a portal did not answer, or not in its form.
    """
    accession = accession or asked.location.strip()
    where = asked.where or asked.location
    if asked.format not in ("", "fastq", "sra"):
        raise InputError(where, f"{accession} holds reads (format fastq), the sheet says format {asked.format}")
    runs = find_runs(accession, web, sources, where)
    for run in runs:
        _check(run, asked, sources, where)
    _warn_of_mixing(runs, asked)
    return [row for run in runs for row in _rows(run, asked, source)]


def find_runs(accession: str, web: Web, sources: Sources, where: str) -> list[Run]:
    """Public runs of an accession, each with the files that are used. Raises as `resolve_sra`."""
    at_ena = ena.read_runs(accession, web, sources) if sources.ena_first else []
    runs = [ena.with_roles(run, where) for run in at_ena if run.files]
    without = [run.run for run in at_ena if not run.files]
    if without or not at_ena:
        if without:
            _LOG.info("%s: no FASTQ at ENA; using sra-tools for %s", accession, _some(without))
        at_ncbi = eutils.read_runs(without or [accession], web, sources)
        missing = sorted(set(without) - {run.run for run in at_ncbi})
        if missing or not at_ncbi:
            said = "ENA returned no content and " if sources.ena_first and not without else ""
            raise WithdrawnError(
                where,
                f"{_some(missing) or accession}: {said}NCBI has no public run: {UNKNOWN}",
                accession=missing[0] if missing else accession,
                status=UNKNOWN,
            )
        runs += [_allowed(run, web, where) for run in at_ncbi]
    return sorted(runs, key=lambda run: run.run)


def _allowed(run: Run, web: Web, where: str) -> Run:
    """The run with those addresses of its SRA file that may be asked. Raises InputError if none is left."""
    files = []
    for file in run.files:
        places = []
        for url in (file.url, *file.mirrors):
            with contextlib.suppress(RemoteError):
                web.hosts.check(url)
                places.append(url)
        if not places:
            raise InputError(
                where,
                f"{run.run} is not in the open bucket; if you trust {origin(file.url)}, add its address to "
                f"sources.hosts: {redacted(file.url)}",
            )
        files.append(replace(file, url=places[0], mirrors=tuple(places[1:])))
    return replace(run, files=tuple(files))


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check(run: Run, asked: Asked, sources: Sources, where: str) -> None:
    if not run.files:
        raise InputError(
            where,
            f"{run.run}: NCBI offers its full file with credentials or payment only, if at all "
            "(dbGaP, requester pays); refused",
        )
    size = sum(file.bytes for file in run.files)
    if size > sources.max_run_gb * 1e9:
        raise InputError(
            where,
            f"{run.run} has {human_bytes(size)}, more than sources.max_run_gb ({sources.max_run_gb:g}); "
            "raise it to take the run",
        )
    fitting = fitting_strategies(asked.assay)
    if fitting and run.strategy and run.strategy != "OTHER" and run.strategy not in fitting:
        raise InputError(
            where,
            f"{run.run}: library_strategy is {run.strategy}, the sheet's assay is {asked.assay!r}; "
            "correct it, or leave the assay empty to take the run as it is",
        )


def fitting_strategies(assay: str) -> tuple[str, ...]:
    """library_strategy values that an assay of the sheet may have; () if the assay is not known here.

    >>> fitting_strategies("Histone ChIP-seq"), fitting_strategies("something new")
    (('ChIP-Seq',), ())
    """
    word = re.sub(r"[^a-z0-9]", "", assay.lower())
    return next((fitting for part, fitting in _STRATEGIES.items() if part in word), ())


def _warn_of_mixing(runs: list[Run], asked: Asked) -> None:
    experiments = sorted({run.experiment for run in runs})
    samples = {run.sample for run in runs}
    if len(experiments) > 1:
        _LOG.warning(
            "%s: %s holds %d experiments of %d samples (%s), mixed into one track; "
            "'seqmill sheet sra %s' writes one row an experiment",
            asked.name,
            asked.location,
            len(experiments),
            len(samples),
            _some(experiments),
            asked.location,
        )


def _rows(run: Run, asked: Asked, source: str) -> list[LockRow]:
    common = LockRow(
        name=asked.name,
        asked=asked.text,
        file="",
        source=source,
        accession=run.run,
        url="",
        bytes=0,
        format=run.format,
        assay=run.strategy,
        biosample=run.title,
        experiment=run.experiment,
        run=run.run,
        reads=run.reads,
        bases=run.bases,
        date=run.date,
        retrieved=datetime.now(UTC).date().isoformat(),
        licence=LICENCE,
    )
    return [
        replace(
            common,
            file=file.name,
            role=file.role,
            url=file.url,
            bytes=file.bytes,
            md5=file.md5,
            mirrors=",".join(file.mirrors),
        )
        for file in run.files
    ]

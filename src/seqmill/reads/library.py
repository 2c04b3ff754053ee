"""The library: all reads of one replicate of an experiment, from the sequencer's file to what is used of them.

::

    libraries/{experiment}.{replicate}/   marker.json run.json
       fragments.parquet                  what is left, by contig (see `seqmill.reads.fragments`)
       filtered.bam, filtered.bam.bai     the same reads as alignments; not of fragment files (.csi: long contigs)

Trimmed, aligned, filtered, duplicates removed (kept for RNA, where copies of a place are expected). Given alignments
are filtered in the same way; fragment files are taken as they are. Contigs have the genome's names everywhere. Rows of
RNA are the spans of reads or pairs, introns included; the coverage of RNA is taken from the alignments.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqmill.config.base import expand
from seqmill.config.reads import Library, Reads, guess_reads_format
from seqmill.formats.text import magic_bytes, regular_file
from seqmill.reads.align import MARKED, Source, aligner_command, bam_commands, find_splices, keep_and_mark, place_reads
from seqmill.reads.bam_input import look
from seqmill.reads.filter import TABLE, split_marked
from seqmill.reads.fragment_files import read_fragment_file
from seqmill.reads.fragments import Fragments, FragmentTable, write_fragments
from seqmill.reads.gate import Plan
from seqmill.reads.index import aligner_of, index_prefix, write_fasta
from seqmill.reads.programs import program_versions
from seqmill.reads.shift import detect_shift, prior_shift
from seqmill.reads.trim import trim_reads
from seqmill.runtime.errors import InputError, WorkerError
from seqmill.runtime.marker import Marker, file_digest, read_marker
from seqmill.stores.genome import GenomeReader
from seqmill.stores.layout import noun_folder, upstream

_LOG = logging.getLogger("seqmill")
MATES_MISSING = 0.01
"""From this part of reads without their mate on, the file is told to be cut or filtered read by read."""
_PACKAGES = ("numpy", "pyarrow", "pysam", "cutadapt", "dnaio")


class Run(NamedTuple):
    """Files of one run: reads1 alone for single reads, alignments or fragments."""

    reads1: Path
    reads2: Path | None = None


@dataclass(frozen=True)
class _Job:
    """What all steps of a library share."""

    name: str
    rows: Sequence[Library]
    runs: Sequence[Run]
    settings: Reads
    genome: GenomeReader
    index: Path | None
    partial: bool
    threads: int
    part: Path
    work: Path

    @property
    def keep_duplicates(self) -> bool:
        return _keeps_duplicates(self.rows[0], self.settings)


def _keeps_duplicates(row: Library, settings: Reads) -> bool:
    return row.kind == "rna" if settings.duplicates == "auto" else settings.duplicates == "keep"


def build_library(
    folder: str | Path,
    *,
    name: str,
    rows: Sequence[Library],
    runs: Sequence[Run],
    settings: Reads,
    genome: str | Path,
    index: str | Path | None = None,
    partial: bool = False,
    threads: int = 1,
) -> Marker:
    """Write one library.

    Parameters
    ----------
    folder : ``…/libraries/{experiment}.{replicate}``. name : its label.
    rows : of the sheet, with one experiment and replicate. runs : files of each row; a row of an accession that
        holds several runs comes once for each.
    genome : the genome store. index : of the aligner (`seqmill.reads.index`), for FASTQ.
    partial : the genome is a piece of an assembly: what ends behind its contigs is dropped and counted.
    threads : for the programs; the library is the same for any number.

    Returns
    -------
    The marker. Its attrs: ``assay``, ``paired``, ``read_length`` (bases of most of the reads that are left, 0 of
    fragment files), ``source`` (fastq, bam, fragments), ``files`` (name, bytes and sha256 of each), ``aligner`` ('' if
    aligned already), ``adapters`` (of FASTQ, by run), ``duplicates`` (removed, kept or as given), ``shift`` (what the
    cut sites carry already) and ``counts``.
    Every read given to the aligner is in ``fragments`` (pairs: twice), in ``duplicates`` (unless they are kept) or
    under one reason of ``filtered_out`` (`seqmill.reads.gate`).

    Raises
    ------
    InputError : a file cannot be used, or nothing is left of it. WorkerError : a program failed.
    """
    reader = GenomeReader(genome)
    if not rows or len(rows) != len(runs):
        raise ValueError(f"{len(rows)} rows for {len(runs)} runs")
    source = rows[0].format or guess_reads_format(runs[0].reads1.name) or "fastq"
    aligner = aligner_of(rows[0].kind, settings) if source == "fastq" else ""
    programs = {"fastq": [aligner, "samtools"], "bam": ["samtools"], "fragments": []}[source]
    versions = program_versions(*programs)  # what is missing is missed now, and not after hours of trimming
    used = upstream(genome, *([index] if source == "fastq" and index is not None else []))
    with noun_folder(
        folder,
        noun="library",
        label=name,
        inputs=used,
        parameters={
            "rows": [row.model_dump(mode="json") for row in rows],
            "settings": settings.model_dump(mode="json"),
        },
        packages=_PACKAGES,
    ) as (part, out, record):
        job = _Job(
            name, rows, runs, settings, reader, None if index is None else Path(index), partial, threads, part,
            part / "work",
        )  # fmt: skip
        job.work.mkdir()
        steps = {"fastq": _from_fastq, "bam": _from_alignments, "fragments": _from_fragments}
        found = steps[source](job)
        record["programs"] = versions
        shutil.rmtree(job.work)
        table = FragmentTable(part / TABLE)
        out |= {
            "assay": rows[0].kind,
            "source": source,
            "files": _files(runs),
            "aligner": aligner,
            "duplicates": "as given" if source == "fragments" else "kept" if job.keep_duplicates else "removed",
            "shift": _shift(job, table, source, found.pop("shifted", "")),
            **found,
        }
    return read_marker(folder)


def _files(runs: Sequence[Run]) -> list[dict[str, Any]]:
    paths = [path for run in runs for path in run if path is not None]
    return [{"file": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)} for path in paths]


def _shift(job: _Job, table: FragmentTable, source: str, shifted: str) -> dict[str, Any]:
    """What the cut sites carry already (ATAC only). ``shifted``: a program of the file's header that shifts them."""
    unstated = job.rows[0].prior_plus_shift is None
    if job.rows[0].kind != "atac":
        return {"prior_plus": 0, "prior_minus": 0, "how": "not asked: not ATAC"}
    if shifted and unstated:
        raise InputError(
            job.runs[0].reads1,
            f"prior shift detected: its header names {shifted[:200]!r}; set prior_plus_shift and prior_minus_shift "
            "(4 and -5 for alignmentSieve --ATACshift), or 0 and 0 if it is not so",
        )
    found = detect_shift(table, job.genome)
    if source == "fastq" and unstated and (found.plus, found.minus) not in ((None, None), (0, 0)):
        # nothing has shifted reads before they are aligned: a reason to look, none to stop after hours of work
        words = f"not used, for these are reads of a sequencer (were bases cut off their 5' ends?): {found.words}"
        found = found._replace(plus=None, minus=None, words=words)
    return prior_shift(job.rows, found)


def _plan(job: _Job, paired: bool, names: dict[str, str]) -> Plan:
    longest = None if job.rows[0].kind == "rna" else job.settings.max_fragment_bp
    return Plan(paired, job.settings.mapq_min, longest, names, job.genome.sizes, list(job.settings.exclude_contigs))


def _from_fastq(job: _Job) -> dict[str, Any]:
    if job.index is None:
        raise ValueError("FASTQ needs an index")
    paired = job.runs[0].reads2 is not None
    odd = next((run for run in job.runs if (run.reads2 is not None) != paired), None)
    if odd is not None:
        raise InputError(
            odd.reads1, f"{job.name}: runs of a library are all single or all paired; {job.runs[0].reads1} is not alike"
        )
    aligner = aligner_of(job.rows[0].kind, job.settings)
    if aligner != "hisat2" and job.rows[0].kind == "rna":
        _LOG.warning("%s: %s does not align RNA reads across introns; aligner: hisat2 does", job.name, aligner)
    prefix = index_prefix(job.index, job.genome, aligner)
    (job.work / "index").symlink_to(prefix.parent)
    trimmed: Counter[str] = Counter()
    adapters, commands = [], []
    for number, (run, row) in enumerate(zip(job.runs, job.rows)):
        made = trim_reads(
            run.reads1,
            run.reads2,
            job.work,
            what=f"{job.name}: {run.reads1.name}",
            adapter=row.adapter,
            stem=f"trimmed{number}",
            threads=job.threads,
            compress=True,
        )
        trimmed.update(made.counts)
        adapters.append(made.adapter)
        command = aligner_command(
            aligner,
            f"index/{prefix.name}",
            place_reads(job.work, number, made.files),
            max_fragment_bp=job.settings.max_fragment_bp,
            strandedness=row.strandedness,
            threads=job.threads,
        )
        commands.append(command)
    splices = find_splices(job.work, commands, job.name) if aligner == "hisat2" else []
    plan = _plan(job, paired, {contig: contig for contig in job.genome.sizes})
    sources = [
        Source([[*command, *splices]], plan, f"{job.name}: aligning {run.reads1.name}")
        for command, run in zip(commands, job.runs)
    ]
    found = _finish(job, sources, paired)
    given = trimmed["reads_raw"] - trimmed["reads_too_short"]
    if found["counts"]["reads"] != given:
        raise WorkerError(
            f"{job.name}: {aligner} told of {found['counts']['reads']:,} reads, {given:,} were given to it"
        )
    found["counts"] |= trimmed
    return {**found, "adapters": adapters}


def _from_alignments(job: _Job) -> dict[str, Any]:
    reference = None
    if any(magic_bytes(regular_file(run.reads1), 4) == b"CRAM" for run in job.runs):
        reference = job.work / "genome.fasta"
        write_fasta(reference, job.genome)
    looks = [look(run.reads1, job.genome.sizes, partial=job.partial, reference=reference) for run in job.runs]
    for run, one in zip(job.runs, looks):
        if one.paired != looks[0].paired:
            raise InputError(
                run.reads1,
                f"{job.name}: holds {_layout(one.paired)}, {job.runs[0].reads1} {_layout(looks[0].paired)}; "
                "give each kind as a library of its own",
            )
    sources = []
    for run, one in zip(job.runs, looks):
        commands = bam_commands(
            run.reads1,
            paired=one.paired,
            grouped=one.grouped,
            reference=reference if one.cram else None,
            threads=job.threads,
        )
        plan = _plan(job, one.paired, one.names)
        sources.append(Source(commands, plan, f"{job.name}: filtering {run.reads1.name}", run.reads1))
    found = _finish(job, sources, looks[0].paired)
    found["shifted"] = next((one.shifted for one in looks if one.shifted), "")
    return found


def _layout(paired: bool) -> str:
    return "pairs" if paired else "single reads"


def _finish(job: _Job, sources: Sequence[Source], paired: bool) -> dict[str, Any]:
    """From alignments to the files of the library, and what was counted."""
    mark = job.rows[0].kind != "rna" or not job.keep_duplicates
    counts = keep_and_mark(job.work, sources, mark=mark, threads=job.threads)
    read_length = counts.pop("read_length")
    out = counts["filtered_out"]
    if sum(out.values()) == counts["reads"]:
        raise InputError(job.runs[0].reads1, _nothing_left(out, paired))
    if out.get("mate_missing", 0) > MATES_MISSING * counts["reads"]:
        _LOG.warning(
            "%s: %s of %s reads have no mate in the file and are left out: is it cut, or was it filtered read by read?",
            job.name, f"{out['mate_missing']:,}", f"{counts['reads']:,}",
        )  # fmt: skip
    counts |= split_marked(
        job.work / MARKED,
        job.part,
        sizes=job.genome.sizes,
        paired=paired,
        keep_duplicates=job.keep_duplicates,
        threads=job.threads,
        what=f"{job.name}: filtered alignments",
    )
    if not mark:
        del counts["duplicates"]
    counts |= {
        "unmapped": out.get("unmapped", 0),
        "excluded_contigs": out.get("excluded_contigs", 0),
        "multimapped_or_low_mapq": out.get("low_mapq", 0),
    }
    if not paired:
        del counts["properly_paired"]
    return {"paired": paired, "read_length": read_length, "counts": counts}


def _nothing_left(filtered_out: dict[str, int], paired: bool) -> str:
    ordered = sorted(filtered_out.items(), key=lambda item: -item[1])
    text = ", ".join(f"{count:,} {fate.replace('_', ' ')}" for fate, count in ordered)
    what = "0 properly paired reads" if paired and ordered[0][0] == "not_properly_paired" else "no reads left"
    return f"{what} after the filters: {text or '0 reads'}; low quality sample?"


def _from_fragments(job: _Job) -> dict[str, Any]:
    excluded = [contig for contig in job.genome.sizes if contig in job.settings.exclude_contigs]
    total: Counter[str] = Counter()
    by_contig: Counter[str] = Counter()
    pieces: dict[str, list[Fragments]] = {}
    for run, row in zip(job.runs, job.rows):
        found, told = read_fragment_file(
            run.reads1,
            job.genome.sizes,
            partial=job.partial,
            cells=expand(row.cells) if row.cells else None,
            group=row.cell_group,
            excluded=excluded,
        )
        total.update(told)
        for contig, piece in found.items():
            if contig in excluded:
                by_contig[contig] += len(piece.start)
            else:
                pieces.setdefault(contig, []).append(piece)
    merged = {contig: _together(parts) for contig, parts in pieces.items()}
    counts: dict[str, Any] = {key.replace(" ", "_"): count for key, count in total.items()}
    counts["fragments"] = sum(len(one.start) for one in merged.values())
    counts |= {"excluded_contigs": by_contig.total(), "excluded_by_contig": dict(sorted(by_contig.items()))}
    if not counts["fragments"]:
        raise InputError(job.runs[0].reads1, f"0 fragments left: all {by_contig.total():,} are on excluded contigs")
    write_fragments(job.part / TABLE, job.genome.sizes, True, merged)
    return {"paired": True, "read_length": 0, "counts": counts}


def _together(parts: list[Fragments]) -> Fragments:
    return parts[0] if len(parts) == 1 else Fragments.of(*(np.concatenate(column) for column in zip(*parts)))

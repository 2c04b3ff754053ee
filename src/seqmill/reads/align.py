"""Reads, or alignments that are given, to one sorted BAM of what is kept, with its duplicates marked.

One pipeline of processes a run, so nothing but sorted pieces and the result is written::

    aligner | gate | samtools fixmate (pairs) | samtools sort | samtools markdup

The aligners' settings are ENCODE's where it has some (chip and atac pipelines 2.2: ``bowtie2 -X2000 --mm``, ``bwa mem
-M``). Not ENCODE's: ``bwa mem`` aligns single reads and short pairs too, not ``bwa aln``; ATAC reads of several places
are left out, not shared out (``-k 5``); samtools marks duplicates, not Picard; RNA goes through hisat2, not STAR.
ENCODE filters before it marks duplicates, and so does this: else a good read would be lost to a poor copy.

The result is the same for any number of threads: output in the order of the reads (``--reorder``), batches of one size
(``-K``), and hisat2 does not use the splice sites that it happened to see before (``--no-temp-splicesite``). RNA is
aligned twice instead: once for the splice sites of all reads, and again with these (as STAR's two passes); without
them half of the reads with few bases beyond a junction are lost.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqmill.formats.text import GZIP_MAGIC, magic_bytes
from seqmill.reads.bam_input import NO_NETWORK
from seqmill.reads.gate import Plan
from seqmill.reads.programs import pipeline
from seqmill.runtime.errors import InputError, WorkerError

MARKED = "marked.bam"
SORT_THREADS = 4
SORT_MEMORY = "512M"
"""Of each sorting thread; with what the threads share, sorting stays below 3 GB."""
LONGEST_READ = 1000  # markdup holds reads until so many bp behind their first base
_BWA_BATCH = 100_000_000
_DAMAGE = ("truncated", "error reading", "fail to read", "Failed to read", "failed to decode", "reference")


class Source(NamedTuple):
    """One run: the commands that write its alignments, mates one after the other, and what they are.

    Attributes
    ----------
    commands : of `pipeline`. plan : what is kept. what : the work in words, for messages.
    path : file of alignments that is read, None if they are made here.
    """

    commands: list[list[str]]
    plan: Plan
    what: str
    path: Path | None = None


def place_reads(work: Path, run: int, reads: Sequence[Path]) -> list[str]:
    """Links to FASTQ files under plain names, which aligners cannot take for lists or options; relative to ``work``."""
    names = []
    for mate, path in enumerate(reads, start=1):
        ending = ".gz" if magic_bytes(path, 2) == GZIP_MAGIC else ""
        names.append(f"run{run}_{mate}.fastq{ending}")
        (work / names[-1]).symlink_to(path.resolve())
    return names


def aligner_command(
    aligner: str,
    index: str,
    reads: Sequence[str],
    *,
    max_fragment_bp: int,
    strandedness: str,
    threads: int,
) -> list[str]:
    """Command that writes SAM.

    Parameters
    ----------
    index : prefix of the index. reads : one FASTQ, or two of pairs.
    strandedness : of RNA: which strand of the transcript read 1 is of (none, forward, reverse).
    """
    paired = len(reads) == 2
    if aligner == "bwa":
        return ["bwa", "mem", "-M", "-v", "1", "-K", str(_BWA_BATCH), "-t", str(threads), index, *reads]
    files = ["-1", reads[0], "-2", reads[1]] if paired else ["-U", reads[0]]
    common = ["--mm", "--reorder", "-p", str(threads), "-x", index, *files]
    if aligner == "bowtie2":
        return ["bowtie2", *(["-X", str(max_fragment_bp)] if paired else []), *common]
    letter = {"none": "", "forward": "F", "reverse": "R"}[strandedness]
    mates = letter + ({"F": "R", "R": "F"}[letter] if paired and letter else "")
    return ["hisat2", "--no-temp-splicesite", *(["--rna-strandness", mates] if mates else []), *common]


def find_splices(work: Path, commands: Sequence[list[str]], what: str) -> list[str]:
    """Splice sites that the reads of all runs show, by a first pass of hisat2.

    Parameters
    ----------
    commands : of `aligner_command`, one a run.

    Returns
    -------
    Options of the second pass; what is found lies in ``work``.
    """
    found: set[str] = set()
    for command in commands:
        run = [*command, "--novel-splicesite-outfile", "splices.run", "-S", "/dev/null"]
        pipeline([run], cwd=work, what=f"{what}: splice sites")
        found.update((work / "splices.run").read_text().splitlines(keepends=True))
    (work / "splices.run").unlink()
    (work / "splices.tsv").write_text("".join(sorted(found)))
    return ["--novel-splicesite-infile", "splices.tsv"] if found else []


def bam_commands(path: Path, *, paired: bool, grouped: bool, reference: Path | None, threads: int) -> list[list[str]]:
    """Commands that write the alignments of a file, in any order, with mates together."""
    cram = [] if reference is None else ["--reference", str(reference.resolve())]
    helpers = ["-@", str(min(threads, SORT_THREADS) - 1), "--no-PG", *cram]
    if not paired or grouped:
        return [["samtools", "view", "-h", "-u", *helpers, str(path.resolve())]]
    return [["samtools", "collate", "-O", "-u", *helpers, str(path.resolve()), "collate"]]


def keep_and_mark(work: Path, sources: Sequence[Source], *, mark: bool, threads: int) -> dict[str, Any]:
    """Write `MARKED` into ``work``: what is kept of all runs, sorted, duplicates marked if asked.

    Runs of one library are put together before duplicates are marked: copies of a molecule may be in several.

    Returns
    -------
    Counts as of `seqmill.reads.gate.screen`, summed over the runs.

    Raises
    ------
    InputError : a file of alignments is damaged. WorkerError : a program failed.
    """
    total: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    inner: dict[str, Counter[str]] = {"filtered_out": Counter(), "excluded_by_contig": Counter()}
    one = len(sources) == 1
    for number, source in enumerate(sources):
        end = _last(mark, threads) if one else []
        name = MARKED if one else f"sorted{number}.bam"
        found = _keep(work, source, number, end, name, threads)
        lengths[found.pop("read_length")] += found["reads"]
        for key, counter in inner.items():
            counter.update(found.pop(key))
        total.update(found)
    if not one:
        names = [f"sorted{number}.bam" for number in range(len(sources))]
        # given files may have their contigs in different orders: sorted by one, they are not by the other
        again = [_sort("again", threads, compressed=not mark)] if sources[0].path is not None else []
        level = ["-u"] if mark or again else ["-l", "1"]
        merge = ["samtools", "merge", *level, "-c", "-p", "--no-PG", "-o", "-", *names]
        pipeline([merge, *again, *_last(mark, threads)], cwd=work, what=f"{sources[0].what}: duplicates", stdout=MARKED)
        for name in names:
            (work / name).unlink()
    read_length = lengths.most_common(1)[0][0]
    return {
        **total,
        **{key: dict(sorted(counter.items())) for key, counter in inner.items()},
        "read_length": read_length,
    }


def _last(mark: bool, threads: int) -> list[list[str]]:
    """Duplicates marked (marks that were there are forgotten); the result is read twice and then deleted."""
    if not mark:
        return []
    helpers = ["-@", str(min(threads, SORT_THREADS) - 1)]
    fast = ["-O", "bam,level=1", "--no-PG", *helpers]
    return [["samtools", "markdup", "-c", "-l", str(LONGEST_READ), "-T", "markdup", *fast, "-", "-"]]


def _sort(prefix: str, threads: int, *, compressed: bool) -> list[str]:
    helpers = ["-@", str(min(threads, SORT_THREADS)), "-m", SORT_MEMORY, "-T", prefix, "--no-PG"]
    return ["samtools", "sort", *(["-l", "1"] if compressed else ["-u"]), *helpers, "-"]


def _keep(work: Path, source: Source, number: int, end: list[list[str]], name: str, threads: int) -> dict[str, Any]:
    plan, counts = work / f"plan{number}.json", work / f"counts{number}.json"
    plan.write_text(json.dumps(source.plan._asdict()))
    gate = [sys.executable, "-m", "seqmill.reads.gate", plan.name, counts.name]
    mates = [["samtools", "fixmate", "-m", "-u", "--no-PG", "-", "-"]] if source.plan.paired else []
    sort = _sort(f"sort{number}", threads, compressed=not end)
    try:
        pipeline([*source.commands, gate, *mates, sort, *end], cwd=work, what=source.what, stdout=name, env=NO_NETWORK)
    except WorkerError as error:
        if source.path is not None and any(words in str(error) for words in _DAMAGE):
            raise InputError(source.path, f"damaged or truncated alignment file ({error})") from None
        raise
    return json.loads(counts.read_text())

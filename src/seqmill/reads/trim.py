"""Adapters of sequencing libraries: which one it is, and reads without it, by cutadapt (Martin, EMBnet.journal 2011).

ENCODE's settings (atac pipeline 2.2: ``cutadapt -e 0.1 -m 5``), and its three adapters, of which it takes the most
frequent in the first 250,000 reads however rare. Here one is taken only if it stands whole in at least 0.1 % of these
reads (chance gives 0.0002 % in reads of 50 bases), because a short match at the end of a read is cut too: three of its
bases by chance in one read of 64.
"""

import json
import logging
import re
import sys
from pathlib import Path
from typing import NamedTuple

from seqmill.formats.fastq import check_fastq, sequences
from seqmill.formats.text import GZIP_MAGIC, magic_bytes
from seqmill.reads.programs import pipeline
from seqmill.runtime.errors import InputError, WorkerError

_LOG = logging.getLogger("seqmill")
ADAPTERS = {"Illumina": "AGATCGGAAGAGC", "Nextera": "CTGTCTCTTATA", "small RNA": "TGGAATTCTCGG"}
LOOKED_AT = 250_000
LEAST_SHARE, LEAST_READS = 0.001, 3
ERROR_RATE, LEAST_BASES = "0.1", 5
_SEQUENCE = re.compile("[ACGTNRYSWKMBDHV]{6,}")


class Trimmed(NamedTuple):
    """Reads as they go to the aligner.

    Attributes
    ----------
    files : one FASTQ, or those of read 1 and read 2. Not new where nothing had to be done.
    adapter : what was cut off (that of read 1, comma, that of read 2, where they differ), '' for nothing.
    counts : ``reads_raw``, ``reads_trimmed`` (adapter found), ``reads_too_short`` (left out, with their mates),
        ``bases_raw``, ``bases_trimmed`` (of what is left); both reads of a pair count.
    """

    files: list[Path]
    adapter: str
    counts: dict[str, int]


def trim_reads(
    reads1: str | Path,
    reads2: str | Path | None,
    folder: str | Path,
    *,
    what: str,
    adapter: str = "auto",
    stem: str = "trimmed",
    threads: int = 1,
    expected: int | None = None,
    compress: bool = False,
) -> Trimmed:
    """Check one run, and cut its adapter off.

    Parameters
    ----------
    reads1, reads2 : FASTQ of read 1 (or single reads) and read 2; every read is checked first (`check_fastq`).
    folder : existing folder for what is written: ``{stem}_1.fastq`` and ``{stem}_2.fastq``.
    what : the run in words, for messages.
    adapter : its sequence, two with a comma between them where that of read 2 is another, 'auto' or 'none'.
    threads : cores; the same bytes for any number. compress : write gzip (``.gz``), a third of the size.
    expected : reads that each file must hold, None if not known.

    Raises
    ------
    InputError : the files cannot be used, the adapter is none, or no read is left. WorkerError : cutadapt failed.
    """
    sources = [Path(path) for path in (reads1, reads2) if path is not None]
    cut = _given(adapter, what, len(sources))
    facts = check_fastq(reads1, reads2, expected=expected)
    if adapter == "auto":
        cut = [find_adapter(*sources)] * len(sources)
        name = next((name for name, sequence in ADAPTERS.items() if sequence == cut[0]), "")
        _LOG.info("%s: %s", what, f"adapter {name} ({cut[0]}) found" if name else "no adapter found")
    raw = {"reads_raw": facts.reads, "bases_raw": facts.bases}
    renamed = facts.suffix not in ("", "/")  # aligners take off /1 and /2 themselves
    if not any(cut) and not renamed:
        return Trimmed(sources, "", {**raw, "reads_trimmed": 0, "reads_too_short": 0, "bases_trimmed": facts.bases})
    files, counts = _cutadapt(sources, Path(folder), stem, cut, renamed, threads, compress, what)
    if counts.pop("input") * len(sources) != facts.reads:
        raise WorkerError(f"{what}: cutadapt did not read all {facts.reads:,} reads")
    if not counts["bases_trimmed"]:
        raise InputError(
            reads1,
            f"0 reads left after trimming: all {facts.reads:,} have fewer than {LEAST_BASES} bases without adapter "
            f"{cut[0]}; a library of adapters alone, or another adapter?",
        )
    return Trimmed(files, ",".join(dict.fromkeys(cut)), {**raw, **counts})


def find_adapter(*paths: Path) -> str:
    """Sequence of the adapter of `ADAPTERS` that most reads at the beginning of the files hold whole, '' for none.

    Parameters
    ----------
    paths : FASTQ of a run, both mates; their first `LOOKED_AT` reads are looked at.
    """
    found, reads = dict.fromkeys(ADAPTERS.values(), 0), 0
    wanted = {sequence: sequence.encode() for sequence in found}
    for path in paths:
        for bases in sequences(path, LOOKED_AT):
            reads += 1
            for sequence, letters in wanted.items():
                if letters in bases:
                    found[sequence] += 1
    best = max(found, key=lambda sequence: found[sequence])
    return best if found[best] >= max(LEAST_READS, LEAST_SHARE * reads) else ""


def _given(adapter: str, what: str, mates: int) -> list[str]:
    """The adapter of each mate as the sheet gives it; '' for those that are looked for or not wanted."""
    if adapter in ("auto", "none"):
        return [""] * mates
    cut = [part.strip().upper() for part in adapter.split(",")]
    if len(cut) == 1:
        cut *= mates
    if len(cut) != mates or not all(_SEQUENCE.fullmatch(part) for part in cut):
        several = " (or two, with a comma between them)" if mates == 2 else ""
        raise InputError(
            what, f"adapter {adapter!r}: expected one sequence{several} of at least 6 bases, 'auto' or 'none'"
        )
    return cut


def _cutadapt(
    sources: list[Path],
    folder: Path,
    stem: str,
    cut: list[str],
    renamed: bool,
    threads: int,
    compress: bool,
    what: str,
) -> tuple[list[Path], dict[str, int]]:
    """Run cutadapt; what it wrote and counted."""
    links, report = [], folder / f"{stem}.json"
    written = [f"{stem}_{mate}.fastq{'.gz' if compress else ''}" for mate in range(1, len(sources) + 1)]
    # gzip comes out of one process as one member and out of two or more as others, but always the same ones
    command = [sys.executable, "-m", "cutadapt", "--quiet", "-j", str(max(threads, 2 if compress else 1))]
    command += ["-e", ERROR_RATE, "-m", str(LEAST_BASES), "--json", report.name]
    for option, sequence in zip(("-a", "-A"), cut):
        command += [option, sequence] if sequence else []
    for option, name in zip(("-o", "-p"), written):
        command += [option, name]
    if renamed:  # both mates take the name of read 1
        command += ["--rename", "{r1.header}"]
    try:
        for mate, source in enumerate(sources, start=1):  # plain names: cutadapt reads the format off them
            link = folder / f"{stem}.raw_{mate}.fastq{'.gz' if magic_bytes(source, 2) == GZIP_MAGIC else ''}"
            link.symlink_to(source.resolve())
            links.append(link)
        pipeline([[*command, *(link.name for link in links)]], cwd=folder, what=f"{what}: trimming")
        counts = json.loads(report.read_text())
    except BaseException:
        for name in written:
            (folder / name).unlink(missing_ok=True)
        raise
    finally:
        for path in (*links, report):
            path.unlink(missing_ok=True)
    reads, bases = counts["read_counts"], counts["basepair_counts"]
    return [folder / name for name in written], {
        "input": reads["input"],
        "reads_trimmed": (reads["read1_with_adapter"] or 0) + (reads["read2_with_adapter"] or 0),
        "reads_too_short": (reads["filtered"]["too_short"] or 0) * len(sources),
        "bases_trimmed": bases["output"],
    }

"""The world's files, in the formats of the field, with bytes that depend on nothing but their content."""

import gzip
import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from seqmill.config.simulation import SimulationSettings
from seqmill.simulate.background import Chromosome
from seqmill.simulate.grammar import Site
from seqmill.simulate.signal import Fragments, Peak

_LINE_BP = 60
_UPPER = np.frombuffer(b"ACGTN", np.uint8)
_LOWER = np.frombuffer(b"acgtn", np.uint8)


def letters(codes: np.ndarray, soft: np.ndarray | None = None) -> bytes:
    """Sequence text of uint8 codes (bp,); soft-masked bases in lower case."""
    text = _UPPER[codes]
    return (text if soft is None else np.where(soft, _LOWER[codes], text)).tobytes()


def write_gzip(path: Path, lines: Iterable[str]) -> None:
    """Write text lines as gzip without name and time."""
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as handle:
        handle.write("".join(line + "\n" for line in lines).encode())


def write_fasta(path: Path, chromosomes: list[Chromosome]) -> None:
    """Write ``path`` (ends in .fa.gz, bgzip) with its .fai and .gzi."""
    import pysam

    plain = path.with_suffix("")
    with open(plain, "wb") as handle:
        for chromosome in chromosomes:
            text = letters(chromosome.codes, chromosome.soft)
            handle.write(b">" + chromosome.name.encode() + b"\n")
            handle.writelines(text[at : at + _LINE_BP] + b"\n" for at in range(0, len(text), _LINE_BP))
    pysam.tabix_compress(str(plain), str(path), force=True)
    plain.unlink()
    pysam.faidx(str(path))


def _sam_lines(
    contig: str, codes: np.ndarray, fragments: Fragments, settings: SimulationSettings, rng: np.random.Generator
) -> Iterator[str]:
    """SAM records of the two reads of each fragment, sorted by position."""
    n = len(fragments.start)
    copies = np.flatnonzero(rng.random(n) < settings.duplicate_fraction)
    origin = np.concatenate([np.arange(n), copies])
    duplicate = np.concatenate([np.zeros(n, np.int64), np.full(len(copies), 1024)])
    start, end = fragments.start[origin], fragments.end[origin]
    read_bp = np.minimum(settings.read_bp, end - start)
    quality = np.where(rng.random(n) < settings.low_quality_fraction, rng.integers(0, 10, n), 60)[origin]
    second_left = rng.random(len(origin)) < 0.5  # read 2 is the forward one
    left_flag = np.where(second_left, 163, 99) + duplicate
    right_flag = np.where(second_left, 83, 147) + duplicate
    text = letters(codes).decode()

    position = np.concatenate([start, end - read_bp])
    right = np.repeat([False, True], len(origin))
    which = np.tile(np.arange(len(origin)), 2)
    for row in np.lexsort((right, which, position)):
        i, at = which[row], position[row]
        size, span = read_bp[i], end[i] - start[i]
        flag, mate, signed = (right_flag[i], start[i], -span) if right[row] else (left_flag[i], end[i] - size, span)
        yield (
            f"{contig}.{i}\t{flag}\t{contig}\t{at + 1}\t{quality[i]}\t{size}M\t=\t{mate + 1}\t{signed}\t"
            f"{text[at : at + size]}\t{'I' * size}\n"
        )


def write_bam(
    path: Path,
    chromosomes: list[Chromosome],
    fragments: list[Fragments],
    settings: SimulationSettings,
    rng: np.random.Generator,
) -> None:
    """Write proper pairs as a sorted BAM file with its index; the header names no program, path or date.

    Read ends are the outer ends of the fragments: a reader who wants the middle of the Tn5 cut adds +4 and -5
    (Buenrostro et al. 2013, Nature Methods 10:1213).
    """
    import pysam

    sam = path.with_suffix(".sam")
    with open(sam, "w") as handle:
        handle.write("@HD\tVN:1.6\tSO:coordinate\n")
        handle.writelines(f"@SQ\tSN:{c.name}\tLN:{len(c.codes)}\n" for c in chromosomes)
        for chromosome, pieces in zip(chromosomes, fragments):
            handle.writelines(_sam_lines(chromosome.name, chromosome.codes, pieces, settings, rng))
    pysam.view("--no-PG", "-b", "-o", str(path), str(sam), catch_stdout=False)
    sam.unlink()
    pysam.index(str(path))


def write_bigwig(path: Path, contigs: dict[str, np.ndarray]) -> None:
    """Write runs of equal coverage; bases without coverage are left out, as coverage tools do.

    Parameters
    ----------
    contigs : contig name -> int32 (bp,) coverage.
    """
    import pybigtools

    def runs() -> Iterator[tuple[str, int, int, float]]:
        for name, values in contigs.items():
            edges = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
            for start, end, value in zip(edges[:-1].tolist(), edges[1:].tolist(), values[edges[:-1]].tolist()):
                if value:
                    yield name, start, end, float(value)

    pybigtools.open(str(path), "w").write({name: len(values) for name, values in contigs.items()}, runs())


def write_narrow_peaks(path: Path, peaks: list[Peak], name: str) -> None:
    """Write peaks as ENCODE narrowPeak (BED6+4), q-values by Benjamini and Hochberg (1995) over the called peaks."""
    p = np.array([peak.p_log10 for peak in peaks])
    order = np.argsort(-p, kind="stable")
    q = np.empty(len(p))
    rank = np.arange(1, len(p) + 1)
    q[order] = np.maximum.accumulate((p[order] - np.log10(len(p) / rank))[::-1])[::-1] if len(p) else p
    write_gzip(
        path,
        (
            f"{peak.contig}\t{peak.start}\t{peak.end}\t{name}_{index + 1}\t{min(1000, int(10 * peak.p_log10))}\t.\t"
            f"{peak.fold:.4f}\t{peak.p_log10:.4f}\t{max(0.0, q[index]):.4f}\t{peak.summit - peak.start}"
            for index, peak in enumerate(peaks)
        ),
    )


def write_truth(folder: Path, chromosomes: list[Chromosome], sites: list[Site], arrays: dict[str, np.ndarray]) -> None:
    """Write ``truth.bed.gz`` (each motif instance) and ``truth.npz`` (each base)."""
    rows = ["#contig\tstart\tend\tmotif\tscore\tstrand\tclass\tsite\trule\tarrangement\tcolumns\tstrength"]
    for index, site in enumerate(sites):
        kind = "functional" if site.functional else "decoy"
        rows += [
            f"{chromosomes[site.contig].name}\t{part.start}\t{part.end}\t{part.motif}\t{round(1000 * part.score)}\t"
            f"{part.strand}\t{kind}\tsite{index + 1}\t{site.rule}\t{site.kind}\t{part.lo}-{part.hi}\t"
            f"{site.strength:.4f}"
            for part in site.instances
        ]
    write_gzip(folder / "truth.bed.gz", rows)
    with zipfile.ZipFile(folder / "truth.npz", "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")  # its date is the constant 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())

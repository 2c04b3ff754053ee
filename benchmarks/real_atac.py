"""Real ATAC reads: from FASTQ to cut sites and back to where the BAM file had them; yeast fragments to promoters.

1. GL1.bam (human, ATACseqQC) -> FASTQ -> trimmed, aligned to the first 9.9 Mb of chromosome 1, filtered, cut sites.
   Against the cut sites taken straight from the BAM file by pysam; every position that differs is explained by the
   read pairs that lie there. Few reads are inside: this shows the plumbing, not biology.
2. 467,908 ATAC fragments of yeast -> signal, peaks, enrichment at the starts of genes, against shuffled peaks. The
   file of starts holds start codons, nearly all: open promoters lie upstream of them.

Reads SEQMILL_TEST_DATA; figures in benchmarks/results/.
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyBigWig
import pysam

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from common import RESULTS, write_result

from seqmill.config.reads import Experiment, Library, Reads
from seqmill.config.sources import Genome
from seqmill.reads.experiment import build_experiment
from seqmill.reads.index import build_index
from seqmill.reads.library import Run, build_library
from seqmill.runtime.marker import read_marker
from seqmill.stores.genome import build_genome

THREADS = len(os.sched_getaffinity(0))
PIECE, PIECE_BP = "1", 9_876_492
MAPQ = 30
BAD_FLAGS = 1804  # unmapped, mate unmapped, secondary, QC fail, duplicate
UNEXPLAINED = "no reason found"
NEAR_BP, SHUFFLES = 500, 1000
REACH_BP, BIN_BP = 2000, 10  # around transcription starts, as ENCODE
Pair = tuple[int, int]  # start of the left read, end of the right one


def to_fastq(bam: Path, folder: Path) -> tuple[Path, Path]:
    """Pairs by name, as samtools writes them."""
    reads = folder / "GL1_R1.fastq.gz", folder / "GL1_R2.fastq.gz"
    collate = ["samtools", "collate", "-u", "-O", str(bam), str(folder / "collate")]
    write = ["samtools", "fastq", "-n", "-1", str(reads[0]), "-2", str(reads[1]), "-s", "/dev/null", "-0", "/dev/null"]
    with subprocess.Popen(collate, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as first:
        subprocess.run([*write, "-"], stdin=first.stdout, stderr=subprocess.DEVNULL, check=True)
    if first.returncode:
        raise SystemExit("samtools collate failed")
    return reads


def build(folder: Path, name: str, genome: Path, row: Library, run: Run, index: Path | None, **settings) -> list[Path]:
    """Library and experiment of one ATAC run."""
    asked = Reads(**settings)
    library, experiment = folder / f"{name}.1", folder / name
    build_library(
        library, name=name, rows=[row], runs=[run], settings=asked, genome=genome, index=index, partial=False,
        threads=THREADS,
    )  # fmt: skip
    build_experiment(
        experiment, experiment=Experiment(name, "atac", "", "", "", "none"), libraries={1: library}, control=[],
        settings=asked, genome=genome, threads=THREADS,
    )  # fmt: skip
    return [library, experiment]


def signal(path: Path, contig: str) -> np.ndarray:
    """Values of a bigWig, 0 where there is none."""
    with pyBigWig.open(str(path)) as handle:
        return np.nan_to_num(np.array(handle.values(contig, 0, handle.chroms(contig))))


class Given:
    """What the BAM file says of each pair: its place and why it would not be used."""

    def __init__(self, bam: Path):
        self.place: dict[str, Pair] = {}
        self.why: dict[str, str] = {}
        reads: dict[str, list[pysam.AlignedSegment]] = {}
        with pysam.AlignmentFile(str(bam)) as handle:
            for read in handle:
                reads.setdefault(read.query_name, []).append(read)
        for name, pair in reads.items():
            self.place[name] = min(read.reference_start for read in pair), max(read.reference_end for read in pair)
            if any(read.flag & BAD_FLAGS or not read.is_proper_pair for read in pair):
                self.why[name] = "no proper pair in the BAM file"
            elif min(read.mapping_quality for read in pair) < MAPQ:
                self.why[name] = f"mapping quality below {MAPQ} in the BAM file"
            elif self.place[name][0] >= PIECE_BP:
                self.why[name] = "elsewhere in the genome by the BAM file; aligned to the piece only"
            elif self.place[name][1] > PIECE_BP:
                self.why[name] = "mate outside the piece"

    def used(self) -> dict[str, Pair]:
        return {name: place for name, place in self.place.items() if name not in self.why}


def pairs_of(bam: Path) -> dict[str, Pair]:
    """Outer ends of the pairs of a BAM file, by name."""
    spans: dict[str, list[int]] = {}
    with pysam.AlignmentFile(str(bam)) as handle:
        for read in handle:
            spans.setdefault(read.query_name, []).extend((read.reference_start, read.reference_end))
    return {name: (min(ends), max(ends)) for name, ends in spans.items()}


def why_lost(folder: Path, reads: tuple[Path, Path], index: Path, names: set[str]) -> dict[str, str]:
    """Why pairs of these names are not in the library: how bowtie2 places them, run once more by hand; '' if well."""
    (prefix,) = {str(path)[: -len(".rev.1.bt2")] for path in index.glob("*.rev.1.bt2")}
    sam = folder / "lost.sam"
    with open(sam, "w") as out:
        command = ["bowtie2", "-X", "2000", "-p", str(THREADS), "-x", prefix, "-1", str(reads[0]), "-2", str(reads[1])]
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
    said: dict[str, set[str]] = {}
    with pysam.AlignmentFile(str(sam)) as handle:
        for read in handle:
            if read.query_name in names:
                found = said.setdefault(read.query_name, set())
                if read.is_unmapped:
                    found.add("unmapped")
                elif not read.is_proper_pair:
                    found.add("improper")
                elif read.mapping_quality < MAPQ:
                    found.add("low")
    words = {
        "unmapped": "a mate is not aligned to the piece",
        "improper": "no proper pair when aligned to the piece",
        "low": f"mapping quality below {MAPQ} when aligned to the piece",
    }
    return {name: next((text for key, text in words.items() if key in found), "") for name, found in said.items()}


def cuts(places: list[Pair], size: int = PIECE_BP) -> np.ndarray:
    """Cut sites of pairs, +4 and -5, by a plain loop."""
    values = np.zeros(size)
    for start, end in places:
        for place in (start + 4, end - 1 - 5):
            if 0 <= place < size:
                values[place] += 1
    return values


def human(data: Path, folder: Path) -> dict:
    source = data / "hg19_chr1"
    bam = source / "reads/GL1.bam"
    genome, index = folder / "piece.zarr", folder / "piece.bowtie2"
    build_genome(genome, name="piece", genome=Genome(fasta=source / "genome/chr1_10MB.fasta.gz"))
    build_index(index, name="piece", aligner="bowtie2", genome=genome, threads=THREADS)
    reads = to_fastq(bam, folder)
    row = Library(
        experiment="GL1", location=str(reads[0]), mate=str(reads[1]), format="fastq", assay="ATAC-seq", biosample="GL1"
    )
    library, experiment = build(folder, "GL1", genome, row, Run(*reads), index)

    given, ours = Given(bam), pairs_of(library / "filtered.bam")
    wanted = given.used()
    straight, found = cuts(list(wanted.values())), signal(experiment / "cut_sites.bw", PIECE)
    if not np.array_equal(found, cuts(list(ours.values()))):
        raise SystemExit("the signal is not that of the library's own alignments")
    lost = why_lost(folder, reads, index, wanted.keys() - ours.keys())
    kept = set(ours.values())
    classes: dict[str, list[tuple[Pair | None, Pair | None]]] = {}
    for name in wanted.keys() | ours.keys():
        one, other = wanted.get(name), ours.get(name)
        if one == other:
            continue
        if other is None:
            copy = "duplicate of another pair" if one in kept else UNEXPLAINED
            why = "only in the BAM file: " + (lost[name] or copy)
        elif one is None:
            why = "only here: " + given.why[name]
        else:
            why = "in both, with other ends (trimmed, clipped or placed otherwise)"
        classes.setdefault(why, []).append((one, other))
    rows, changes, unexplained = [], np.zeros(PIECE_BP), 0
    for why, pairs in sorted(classes.items(), key=lambda item: -len(item[1])):
        change = cuts([other for _, other in pairs if other]) - cuts([one for one, _ in pairs if one])
        changes += change
        unexplained += np.count_nonzero(change) if why.endswith(UNEXPLAINED) else 0
        rows.append({"why": why, "pairs": len(pairs), "positions": int(np.count_nonzero(change))})
    inside = sum(place[0] < PIECE_BP for place in given.place.values())
    with pysam.AlignmentFile(str(bam)) as handle:
        names = {read.query_name for read in handle.fetch("chr1", 0, PIECE_BP)}
        reads_inside = handle.count("chr1", 0, PIECE_BP)
    only_inside = [place for name, place in ours.items() if name in names]
    return {
        "case": "GL1 on chromosome 1:1-9,876,492",
        "note": "plumbing, not biology: few reads lie inside the sequence that they are aligned to",
        "reads": 2 * len(given.place),
        "reads_inside": reads_inside,
        "pairs_inside": inside,
        "pairs_straight": len(wanted),
        "pairs_ours": len(ours),
        "pairs_equal": sum(wanted.get(name) == place for name, place in ours.items()),
        "pearson": float(np.corrcoef(straight, found)[0, 1]),
        "pearson_of_pairs_inside": float(np.corrcoef(straight, cuts(only_inside))[0, 1]),
        "positions_that_differ": int(np.count_nonzero(straight != found)),
        "positions_not_explained": int(unexplained + np.count_nonzero(found - straight != changes)),
        "explained_by": rows,
        "counts": read_marker(library).attrs["counts"],
        "shift": read_marker(library).attrs["shift"],
    }


def starts(path: Path) -> dict[str, list[tuple[int, str]]]:
    """Starts of genes on nuclear contigs, named as the genome's."""
    found: dict[str, list[tuple[int, str]]] = {}
    for line in path.read_text().splitlines():
        contig, start, end, _, _, strand = line.split("\t")[:6]
        if re.fullmatch(r"[IVX]+", contig):
            found.setdefault(f"chr{contig}", []).append((int(start) if strand == "+" else int(end) - 1, strand))
    return found


def codons(path: Path) -> set[tuple[str, int]]:
    """First bases of the coding sequences of yeast's genes."""
    found = set()
    for line in path.read_text().splitlines()[1:]:
        cells = line.split("\t")
        if cells[4].isdigit() and cells[6] in ("1", "-1"):
            found.add((cells[3], int(cells[4]) - 1 if cells[6] == "1" else int(cells[5]) - 1))
    return found


def profile(experiment: Path, tss: dict[str, list[tuple[int, str]]]) -> np.ndarray:
    """Cut sites per 10 bp around starts, in the direction of transcription, over the mean of the outer 100 bp."""
    total = np.zeros(2 * REACH_BP)
    for contig, places in tss.items():
        values = signal(experiment / "cut_sites.bw", contig)
        for place, strand in places:
            if REACH_BP <= place < len(values) - REACH_BP:
                if strand == "+":
                    total += values[place - REACH_BP : place + REACH_BP]
                else:
                    total += values[place - REACH_BP + 1 : place + REACH_BP + 1][::-1]
    bins = total.reshape(-1, BIN_BP).sum(axis=1)
    return bins / np.mean([bins[:10], bins[-10:]])


def near_share(peaks: dict[str, np.ndarray], tss: dict[str, np.ndarray]) -> tuple[dict[str, int], dict[str, int]]:
    """Peaks with a start within `NEAR_BP` of their summit, and peaks in all, by contig."""
    near, total = {}, {}
    for contig, summits in peaks.items():
        places = tss.get(contig, np.array([10**12]))
        right = np.searchsorted(places, summits)
        distance = np.minimum(
            np.abs(places[np.clip(right, 0, len(places) - 1)] - summits),
            np.abs(places[np.clip(right - 1, 0, len(places) - 1)] - summits),
        )
        near[contig], total[contig] = int((distance <= NEAR_BP).sum()), len(summits)
    return near, total


def yeast(data: Path, folder: Path) -> tuple[dict, dict]:
    source = data / "yeast_sacCer3"
    genome = folder / "yeast.zarr"
    build_genome(genome, name="sacCer3", genome=Genome(fasta=source / "genome/sacCer3.fa.gz"))
    path = source / "atac/yeast_500k_SRR1822137.bedpe.gz"
    row = Library(experiment="yeast", location=str(path), format="fragments", assay="ATAC-seq", biosample="yeast")
    library, experiment = build(folder, "yeast", genome, row, Run(path, None), None)

    tss = starts(source / "annotation/TSSs.bed")
    first_bases = codons(source / "annotation/yeast_genes.tsv")
    curve = profile(experiment, tss)
    sizes = dict(read_marker(genome).attrs["sizes"])
    summits: dict[str, list[int]] = {}
    best: list[tuple[float, str, int]] = []
    for line in gzip.decompress((experiment / "reproducible_peaks.narrowPeak.gz").read_bytes()).decode().splitlines():
        cells = line.split("\t")
        best.append((float(cells[7]), cells[0], int(cells[1]) + int(cells[9])))
        if cells[0] in tss:
            summits.setdefault(cells[0], []).append(best[-1][2])
    peaks = {contig: np.array(places) for contig, places in summits.items()}
    places = {contig: np.sort([place for place, _ in found]) for contig, found in tss.items()}
    near, total = near_share(peaks, places)
    share = sum(near.values()) / sum(total.values())
    rng = np.random.default_rng(0)
    contigs = list(peaks)
    drawn = rng.integers(0, len(contigs), (2000, len(contigs)))
    resampled = [sum(near[contigs[i]] for i in row) / sum(total[contigs[i]] for i in row) for row in drawn]
    shuffled = []
    for _ in range(SHUFFLES):
        one = {contig: rng.integers(0, sizes[contig], len(found)) for contig, found in peaks.items()}
        close, every = near_share(one, places)
        shuffled.append(sum(close.values()) / sum(every.values()))
    result = {
        "case": "yeast ATAC fragments at promoters",
        "fragments_given": 467_908,
        "fragments": read_marker(library).attrs["counts"]["fragments"],
        "shift": read_marker(library).attrs["shift"],
        "starts": sum(map(len, tss.values())),
        "starts_that_are_start_codons": sum(
            (contig, place) in first_bases for contig, found in tss.items() for place, _ in found
        ),
        "tss_enrichment": float(curve.max()),
        "tss_enrichment_at_start": float(curve[REACH_BP // BIN_BP]),
        "highest_at_bp": int((np.argmax(curve) + 0.5) * BIN_BP - REACH_BP),
        "reproducible_peaks": len(best),
        "nuclear_peaks": sum(total.values()),
        "near_a_start": share,
        "near_low": float(np.quantile(resampled, 0.025)),
        "near_high": float(np.quantile(resampled, 0.975)),
        "interval": "95 %, bootstrap over the 16 nuclear contigs",
        "shuffled_mean": float(np.mean(shuffled)),
        "shuffled_low": float(np.quantile(shuffled, 0.025)),
        "shuffled_high": float(np.quantile(shuffled, 0.975)),
        "shuffles": SHUFFLES,
        "near_bp": NEAR_BP,
    }
    return result, {"curve": curve, "share": share, "shuffled": shuffled}


def draw(found: dict, result: dict, path: Path) -> None:
    """The profile around starts, and the share of peaks at promoters beside shuffled ones."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot((np.arange(len(found["curve"])) + 0.5) * BIN_BP - REACH_BP, found["curve"], color="#1f5fa8")
    left.axhline(1, color="#999999", linewidth=0.8)
    left.set(xlabel="distance from the start of the gene (start codon), bp", ylabel="cut sites over those 2 kb away")
    left.set_title(f"Yeast ATAC: enrichment {result['tss_enrichment']:.2f} at {result['starts']:,} starts")
    right.hist(found["shuffled"], bins=30, color="#bbbbbb", label=f"{SHUFFLES:,} shuffles of the peaks")
    right.axvspan(result["near_low"], result["near_high"], color="#1f5fa8", alpha=0.25, linewidth=0)
    right.axvline(found["share"], color="#1f5fa8", label="peaks (95 % interval over contigs)")
    right.set(xlabel=f"share of peaks within {NEAR_BP} bp of a start", ylabel="shuffles")
    right.set_title(f"{result['nuclear_peaks']:,} peaks")
    right.legend(frameon=False, loc="center", fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    data = os.environ.get("SEQMILL_TEST_DATA")
    if not data:
        raise SystemExit("SEQMILL_TEST_DATA is not set")
    with tempfile.TemporaryDirectory(prefix="seqmill-real-atac-") as place:
        folder = Path(place)
        one = human(Path(data), folder)
        other, found = yeast(Path(data), folder)
        draw(found, other, RESULTS / "real_atac.png")
    unit = "positions of the cut-site signal that differ from the BAM file and are not explained"
    write_result(
        "real_atac", one["positions_not_explained"], unit, "0", one["pairs_inside"], [one, other],
        reached=one["positions_not_explained"] == 0 and other["near_low"] > other["shuffled_high"],
        figure="benchmarks/results/real_atac.png",
    )  # fmt: skip
    for row in one["explained_by"]:
        print(f"{row['pairs']} pairs, {row['positions']} positions: {row['why']}")


if __name__ == "__main__":
    main()

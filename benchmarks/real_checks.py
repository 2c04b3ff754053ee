"""Built datasets against the files they came from, window by window, by slow and simple means.

No seqmill code takes part: stores are read with zarr and pandas, sources with gzip, pyBigWig, pysam and plain loops.
Each check returns how many values were compared and the largest difference; one that is not rounding stops the run.
"""

import csv
import gzip
import json
import math
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pysam
import zarr

CODES = {"A": 0, "C": 1, "G": 2, "T": 3}
TOLERANCE = 1e-5  # of float32, relative


class Tally:
    """Values compared and the largest relative difference."""

    def __init__(self, dataset: str):
        self.dataset, self.values, self.missing, self.worst = dataset, 0, 0, 0.0

    def compare(self, found: float, expected: float, place: str) -> None:
        self.values += 1
        if math.isnan(expected) or math.isnan(found):
            self.missing += 1
            difference = 0.0 if math.isnan(expected) == math.isnan(found) else math.inf
        else:
            difference = abs(found - expected) / max(1.0, abs(expected))
        if difference > TOLERANCE:
            raise SystemExit(f"{self.dataset}: {place}: found {found}, expected {expected}")
        self.worst = max(self.worst, difference)

    def compare_all(self, found, expected, place: str) -> None:
        if len(found) != len(expected):
            raise SystemExit(f"{self.dataset}: {place}: {len(found)} values, expected {len(expected)}")
        for index, (one, other) in enumerate(zip(found, expected)):
            self.compare(float(one), float(other), f"{place}[{index}]")


class Built:
    """A dataset as it lies on disk."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows = pd.read_parquet(folder / "rows" / "rows.parquet")

    def array(self, path: str) -> zarr.Array:
        return zarr.open_array(self.folder / path, mode="r")

    def tracks(self, path: str) -> list[str]:
        return json.loads((self.folder / path / "zarr.json").read_text())["attributes"]["spec"]["tracks"]


def read_text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()


def read_genome(path: Path) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for line in read_text(path).splitlines():
        if line.startswith(">"):
            pieces = found.setdefault(line[1:].split()[0], [])
        else:
            pieces.append(line.strip().upper())
    return {contig: "".join(pieces) for contig, pieces in found.items()}


def bare(contig: str) -> str:
    return contig.removeprefix("chr")


def read_bed(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Intervals of each contig, named without ``chr``."""
    found: dict[str, list[tuple[int, int]]] = {}
    for line in read_text(path).splitlines():
        cells = line.split("\t")
        found.setdefault(bare(cells[0]), []).append((int(cells[1]), int(cells[2])))
    return found


def draw(built: Built, count: int, seed: int = 0) -> list[int]:
    return sorted(random.Random(seed).sample(range(len(built.rows)), min(count, len(built.rows))))


def check_sequences(tally: Tally, built: Built, picks: list[int], genome: dict[str, str], margin_bp: int = 0) -> None:
    """Bases of the windows and of ``margin_bp`` on both sides; N outside the contig."""
    array = built.array("inputs/sequence")
    for pick in picks:
        row = built.rows.iloc[pick]
        first, contig = int(row["start"]) - margin_bp, genome[row["contig"]]
        text = "N" * max(0, -first) + contig[max(0, first) : row["end"] + margin_bp]
        text = text.ljust(int(row["end"]) + margin_bp - first, "N")
        tally.compare_all(array[pick], [CODES.get(base, 4) for base in text], f"sequence of row {pick}")


def bin_values(values: list[float], bin_bp: int, missing: str) -> list[float]:
    """Means of whole bins from values at bases, NaN where there is no data."""
    out = []
    for first in range(0, len(values), bin_bp):
        known = [value for value in values[first : first + bin_bp] if not math.isnan(value)]
        if missing == "zero":
            out.append(math.fsum(known) / bin_bp)
        else:
            out.append(math.fsum(known) / len(known) if known else math.nan)
    return out


def hg38_mini(folder: Path, data: Path, count: int) -> Tally:
    built, tally, source = Built(folder), Tally("hg38_mini"), data / "hg38_mini"
    picks = draw(built, count)
    check_sequences(tally, built, picks, read_genome(source / "genome.fa.gz"), margin_bp=1024)
    sheet = csv.DictReader(read_text(source / "tracks.tsv").splitlines(), delimiter="\t")
    files = {row["identifier"]: pyBigWig.open(str(source / "bigwig" / row["file"])) for row in sheet}
    for target in ("dnase", "cage", "rna"):
        array, tracks = built.array(f"targets/{target}/main"), built.tracks(f"targets/{target}/main")
        for pick in picks:
            row, stored = built.rows.iloc[pick], array[pick]
            # labels lie in the central 4,096 bp of the window, and 1,024 bp more on both sides for shifts
            start = int(row["start"]) + 3072
            for column, track in enumerate(tracks):
                values = files[track].values(row["contig"], start, start + 6144)
                tally.compare_all(stored[:, column], bin_values(values, 128, "nan"), f"{track} of row {pick}")
    return tally


def yeast(folder: Path, data: Path, count: int) -> Tally:
    built, tally, source = Built(folder), Tally("yeast"), data / "yeast_sacCer3"
    picks = draw(built, count)
    # most chromosomes have no bigWig data: as many rows again of those that have
    covered = built.rows.index[built.rows["contig"].isin(["chrII", "chrIV", "chrXVI"])].tolist()
    picks = sorted({*picks, *random.Random(1).sample(covered, min(count, len(covered)))})
    check_sequences(tally, built, picks, read_genome(source / "genome/sacCer3.fa.gz"))
    fragments = read_bed(source / "atac/yeast_500k_SRR1822137.bedpe.gz")
    files = {
        name: pyBigWig.open(str(source / f"tracks/{name}.bw")) for name in ("MNase", "PolII", "RNA.fwd", "RNA.rev")
    }
    array, tracks = built.array("targets/profile/main"), built.tracks("targets/profile/main")
    for pick in picks:
        row, stored = built.rows.iloc[pick], array[pick]
        start, contig = int(row["start"]) + 750, bare(row["contig"])
        for column, track in enumerate(tracks):
            if track == "ATAC":
                depth = [0.0] * 750
                for left, right in fragments[contig]:
                    for base in range(max(left, start), min(right, start + 750)):
                        depth[base - start] += 1
                expected = bin_values(depth, 75, "zero")
            elif contig in files[track].chroms():
                expected = bin_values(files[track].values(contig, start, start + 750), 75, "zero")
            else:
                expected = [math.nan] * 10
            tally.compare_all(stored[:, column], expected, f"{track} of row {pick}")
    return tally


def peak_files(data: Path) -> dict[str, Path]:
    folder = data / "hg19_chr1"
    files = {path.name.removesuffix(".bed.gz"): path for path in sorted((folder / "peaks_tf_chr1").iterdir())}
    files["SP1.GM12878.broad"] = next((folder / "peaks_other").glob("*Sp1*.broadPeak.gz"))
    return files


def chr1_bins(folder: Path, data: Path, count: int) -> Tally:
    built, tally = Built(folder), Tally("chr1_bins")
    tracks = [*built.tracks("targets/bound/main"), *built.tracks("targets/broad/main")]
    labels = np.concatenate([built.array(f"targets/{name}/main")[:] for name in ("bound", "broad")], axis=1)
    # positives are rare: half of the rows that are checked have a label
    labelled = np.flatnonzero(labels.any(axis=1)).tolist()
    picks = sorted({*draw(built, count), *random.Random(1).sample(labelled, min(count, len(labelled)))})
    check_sequences(tally, built, picks, read_genome(data / "hg19_chr1/genome/chr1_10MB.fasta.gz"))
    peaks = {track: read_bed(path).get("1", []) for track, path in peak_files(data).items()}
    cuts: Counter[int] = Counter()
    with pysam.AlignmentFile(str(data / "hg19_chr1/reads/GL1.bam")) as bam:
        for read in bam.fetch("chr1"):
            if read.mapping_quality >= 10 and not read.flag & (0x4 | 0x100 | 0x200 | 0x400 | 0x800):
                cuts[read.reference_end - 1 - 5 if read.is_reverse else read.reference_start + 4] += 1
    counts = built.array("targets/cuts/main")
    for pick in picks:
        start = int(built.rows.iloc[pick]["start"]) + 400
        expected = []
        for track in tracks:
            covered = {
                base
                for left, right in peaks[track]
                if left < start + 200 and right > start
                for base in range(max(left, start), min(right, start + 200))
            }
            expected.append(len(covered) >= 100)
        tally.compare_all(labels[pick], expected, f"labels of row {pick}")
        total = sum(cuts[base] for base in range(start, start + 200))
        tally.compare_all(counts[pick], [total], f"cuts of row {pick}")
    return tally


def merge_as_basset(peaks: list[tuple[int, set[int]]], size: int, width: int, overlap: int):
    """Windows of Basset's merged list, by the quadratic search of its preprocess_features.py: (start, tracks)."""
    peaks = sorted(peaks, key=lambda peak: peak[0])
    runs, found = [[peaks[0]]], []
    for peak in peaks[1:]:
        if runs[-1][-1][0] + width - overlap <= peak[0]:
            runs.append([])
        runs[-1].append(peak)
    for run in runs:
        while len(run) > 1:
            overlaps = [run[i][0] + width - run[i + 1][0] for i in range(len(run) - 1)]
            best = overlaps.index(max(overlaps))
            if overlaps[best] < overlap:
                break
            (left, some), (right, more) = run[best], run[best + 1]
            weights = 1 + len(some), 1 + len(more)
            middles = left + width / 2, right + width / 2
            middle = int(0.5 + (middles[0] * weights[0] + middles[1] * weights[1]) / sum(weights))
            start = min(max(0, middle - width // 2), size - width)
            run[best : best + 2] = [(start, some | more)]
        found += run
    return found


def chr1_merged(folder: Path, data: Path, count: int) -> Tally:
    built, tally = Built(folder), Tally("chr1_merged")
    genome = read_genome(data / "hg19_chr1/genome/chr1_10MB.fasta.gz")
    size = len(genome["1"])
    check_sequences(tally, built, draw(built, count), genome)
    tracks, labels = built.tracks("targets/bound/main"), built.array("targets/bound/main")[:]
    files, peaks = peak_files(data), []
    for number, track in enumerate(tracks):
        for left, right in read_bed(files[track])["1"]:
            if right <= size:
                peaks.append((min(max(0, (left + right) // 2 - 300), size - 600), {number}))
    expected: dict[int, set[int]] = {}
    for start, members in merge_as_basset(peaks, size, 600, 200):
        expected.setdefault(start, set()).update(members)
    for pick, start in enumerate(built.rows["start"]):  # every window
        if start not in expected:
            raise SystemExit(f"chr1_merged: a window at {start} is not in Basset's list")
        tally.compare_all(labels[pick], [t in expected[start] for t in range(len(tracks))], f"labels of row {pick}")
    dropped = set(expected) - set(built.rows["start"].tolist())
    if len(expected) - len(built.rows) != len(dropped):
        raise SystemExit("chr1_merged: a window comes twice")
    blacklist = read_bed(data / "hg19_chr1/annotation/hg19-blacklist.v2.bed.gz")["1"]
    borders = [round(k * 1975299) for k in range(1, 5)]
    for start in dropped:  # each for a reason
        listed = any(left < start + 600 and right > start for left, right in blacklist)
        if not listed and not near_border(start, built.rows, borders):
            raise SystemExit(f"chr1_merged: the window at {start} was dropped without a reason")
    return tally


def near_border(start: int, rows: pd.DataFrame, borders: list[int]) -> bool:
    """On a border of a block, or between the rows of a block and of its inner part."""
    if any(start < border < start + 600 for border in borders):
        return True
    ordered = rows.sort_values("start")
    before, after = ordered[ordered["start"] < start], ordered[ordered["start"] > start]
    return bool(len(before) and len(after) and before["fold"].iloc[-1] != after["fold"].iloc[0])


def check_table(tally: Tally, built: Built, picks: list[int], records: list[tuple[str, float]]) -> None:
    sequences, labels = built.array("inputs/sequence"), built.array("targets/bound/main")
    for pick in picks:
        row = built.rows.iloc[pick]
        text, label = records[row["source_row"]]
        expected = [CODES.get(base, 4) for base in text.upper().replace("U", "T")]
        found = sequences[pick].tolist()
        if row["pool"] == "negatives":  # a shuffle has the same dinucleotides, and the ends stay
            pairs, wanted = (sorted(Counter(pairwise(codes)).items()) for codes in (found, expected))
            if found == expected or found[0] != expected[0] or pairs != wanted:
                raise SystemExit(f"{tally.dataset}: row {pick} is no shuffle of record {row['source_row']}")
            tally.values += len(found)
            label = 0.0
        else:
            tally.compare_all(found, expected, f"sequence of row {pick}")
        tally.compare_all(labels[pick], [label], f"label of row {pick}")


def rbp31_qki(folder: Path, data: Path, count: int) -> Tally:
    built, tally, records = Built(folder), Tally("rbp31_qki"), []
    for name in ("training", "test"):
        text = read_text(data / f"tasks/rbp31_clip/24_PARCLIP_QKI_hg19/{name}_sample_0.fa.gz")
        for record in text.split(">")[1:]:
            header, *lines = record.splitlines()
            records.append(("".join(lines), float(header.rpartition(":")[2])))
    check_table(tally, built, draw(built, 10 * count), records)
    return tally


def deepbind_srf(folder: Path, data: Path, count: int) -> Tally:
    built, tally, records = Built(folder), Tally("deepbind_srf"), []
    for part in ("AC", "B"):
        text = read_text(data / f"tasks/deepbind_chipseq/SRF_H1-hESC_SRF_HudsonAlpha_{part}.seq.gz")
        records += [(row["seq"], float(row["Bound"])) for row in csv.DictReader(text.splitlines(), delimiter="\t")]
    check_table(tally, built, draw(built, 10 * count), records)
    return tally


CHECKS = {check.__name__: check for check in (hg38_mini, chr1_bins, chr1_merged, yeast, rbp31_qki, deepbind_srf)}

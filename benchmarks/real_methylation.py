"""Methylation calls: real files, every layout, and rates that are known.

- Real files (SEQMILL_TEST_DATA/modalities/methylation): ten Bismark files of single cells, two tables of counts (ENCODE
  WGBS), two DeepCpG profiles. Each is parsed and compared with a plain loop over its lines. Calls of the WGBS samples,
  of the cells inside the 14 mm10 windows and of the table of 30 cells must lie on CpGs of their FASTA, which is looked
  up in the text of the FASTA. Most calls of the cells and all of the profiles have no sequence here: their strands stay
  apart, and nothing checks their places.
- Layouts: counts of known truth at every CpG of the chr1 FASTA, written in twelve layouts, must come back exactly.
- Rates: molecules of 150 bp with a known rate at each CpG and incomplete conversion; the counts of their reads, read
  back, must hold the truth in their exact 95 % intervals (Clopper and Pearson 1934, Biometrika 26:404) where they
  should, and the conversion of an unmethylated spike-in must be found.
"""

import gzip
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, write_result

from seqmill.config.sources import Genome
from seqmill.formats.methylation import CallFile, Calls
from seqmill.reads.methylation_quality import methylation_metrics
from seqmill.runtime.errors import InputError
from seqmill.simulate.methylation import simulate_methylation
from seqmill.stores.genome import GenomeReader, build_genome

sys.path.insert(0, str(ROOT))
from tests.unit.methylation_examples import COUNTED

SPIKE_BP = 48_502  # of phage lambda
CONVERSION = 0.99
RATES_BP = 400_000
READ_BP = 150


def lines_of(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as file:
        return [line.split("\t") for line in file.read().splitlines()]


def fasta_of(path: Path) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for (line,) in lines_of(path):
        if line.startswith(">"):
            found[line[1:].split()[0]] = []
        else:
            found[list(found)[-1]].append(line.upper())
    return {name: "".join(parts) for name, parts in found.items()}


def calls_of(file: CallFile) -> dict[tuple[str, int], tuple[int, int]]:
    """(contig, place) -> methylated and total reads."""
    found = {}
    for contig in file.contigs:
        calls: Calls = file.contig(contig)
        columns = (calls.position.tolist(), calls.methylated.tolist(), calls.total.tolist())
        found |= {(contig, place): (methylated, total) for place, methylated, total in zip(*columns)}
    return found


def same(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise SystemExit(f"{what}: what was read is not what the file says")


def place_of_c(text: str, place: int) -> int | None:
    """The C of the CpG that a cytosine of either strand belongs to, None if it is none."""
    if text[place : place + 2] == "CG":
        return place
    return place - 1 if place and text[place - 1 : place + 1] == "CG" else None


def merged(calls: Iterable[tuple[str, int, int, int]], texts: dict[str, str]) -> tuple[dict, int]:
    """Reads of both strands of each CpG by a plain loop, and how many calls are on one."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    on = 0
    for contig, place, methylated, total in calls:
        c = place_of_c(texts[contig], place)
        if c is not None:
            on += 1
            before = found.get((contig, c), (0, 0))
            found[contig, c] = before[0] + methylated, before[1] + total
    return found, on


def cells_without_genome(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(folder.glob("cell_*.cov.gz")):
        lines = lines_of(path)
        expected = {(f[0], int(f[1]) - 1): (int(f[4]), int(f[4]) + int(f[5])) for f in lines}
        sizes = dict.fromkeys({f[0] for f in lines}, 250_000_000)
        start = time.perf_counter()
        with CallFile(path, sizes) as file:
            found, layout = calls_of(file), file.layout
        seconds = time.perf_counter() - start
        same(path.name, found, expected)
        both = sum((contig, place + 1) in expected for contig, place in expected)
        methylated, total = (sum(reads[column] for reads in found.values()) for column in (0, 1))
        rows.append(
            {"file": path.name, "layout": layout, "calls": len(found), "methylated_reads": round(methylated / total, 4),
             "neighbouring_bases_called": both, "seconds": round(seconds, 3)}
        )  # fmt: skip
    return rows


def cells_in_windows(folder: Path, texts: dict[str, str], genome: GenomeReader, work: Path) -> list[dict[str, Any]]:
    """The calls of the ten cells that lie in the mm10 windows, whose names tell their places."""
    windows = [(name, *name.removeprefix("chr").split("_")) for name in texts]
    rows = []
    for path in sorted((folder / "cells").glob("cell_*.cov.gz")):
        inside = []
        for contig, position, _, percent, one, other in lines_of(path):
            for name, chromosome, first, last in windows:
                place = int(position) - 1 - int(first)
                if contig == chromosome and 0 <= place < int(last) - int(first):
                    inside.append((name, place, percent, int(one), int(other)))
        text = "".join(f"{name}\t{p + 1}\t{p + 1}\t{percent}\t{m}\t{u}\n" for name, p, percent, m, u in inside)
        (work / "inside.cov").write_text(text)
        expected, on = merged(((name, p, m, m + u) for name, p, _, m, u in inside), texts)
        with CallFile(work / "inside.cov", genome.sizes, windows=genome.many) as file:
            same(path.name, calls_of(file), expected)
        rows.append({"file": path.name, "calls": len(inside), "on_cpg": on, "cpgs_after_merging": len(expected)})
    return rows


def cells_of_table(path: Path, texts: dict[str, str], genome: GenomeReader, work: Path) -> dict[str, Any]:
    header, *lines = lines_of(path)
    sites = [(f[0], int(f[1])) for f in lines]
    (work / "sites").write_text("".join(f"{contig}\t{place + 1}\t1\n" for contig, place in sites))
    with CallFile(work / "sites", genome.sizes, windows=genome.many) as file:
        off = file.counts["calls off a CpG"]
    on = sum(place_of_c(texts[contig], place) is not None for contig, place in sites)
    same(path.name, len(sites) - off, on)
    calls = sum(cell != "" for f in lines for cell in f[2:])
    return {"file": path.name, "sites": len(sites), "cells": len(header) - 2, "calls": calls, "on_cpg": on}


def wgbs(folder: Path, texts: dict[str, str], genome: GenomeReader) -> tuple[list[dict[str, Any]], list[Any]]:
    rows, paths = [], sorted(folder.glob("*.tsv.gz"))
    for path in paths:
        _, *lines = lines_of(path)
        plain = [(f[0], int(f[1]), int(f[2]), int(f[2]) + int(f[3])) for f in lines]
        expected, on = merged(plain, texts)
        start = time.perf_counter()
        with CallFile(path, genome.sizes, partial=True, windows=genome.many) as file:
            same(path.name, calls_of(file), expected)
            odd = dict(file.counts)
        seconds = time.perf_counter() - start
        rows.append(
            {"file": path.name, "calls": len(plain), "on_cpg": on, "share_on_cpg": on / len(plain),
             "cpgs_after_merging": len(expected), "left_out": odd,
             "mean_reads": round(float(np.mean([total for _, total in expected.values()])), 3),
             "seconds": round(seconds, 3)}
        )  # fmt: skip
    metrics = methylation_metrics({str(i + 1): path for i, path in enumerate(paths)}, genome, partial=True)
    return rows, metrics


def shifted_is_refused(path: Path, genome: GenomeReader, work: Path) -> str:
    """What is said of the + calls of a real file when they are read one base too far to the right."""
    _, *lines = lines_of(path)
    text = "".join(f"{f[0]}\t{int(f[1]) + 2}\t+\tCGN\t{f[2]}\t{int(f[2]) + int(f[3])}\t1\n" for f in lines)
    (work / "shifted.allc").write_text(text)
    try:
        CallFile(work / "shifted.allc", genome.sizes, partial=True, windows=genome.many)
    except InputError as error:
        return str(error).partition(": ")[2]
    raise SystemExit("calls off by one were taken")


def profiles(folder: Path) -> list[dict[str, Any]]:
    rows, states = [], []
    for path in sorted(folder.glob("*.bed.gz")):
        lines = lines_of(path)
        expected = {(f[0], int(f[1]) - 1): float(f[2]) for f in lines}
        with CallFile(path, dict.fromkeys({f[0] for f in lines}, 250_000_000)) as file:
            found = {
                (contig, place): fraction
                for contig in file.contigs
                for place, fraction in zip(file.contig(contig).position.tolist(), file.contig(contig).fraction.tolist())
            }
            same(path.name, (found, file.counted), (expected, False))
            rows.append({"file": path.name, "layout": file.layout, "calls": len(found), "reads": "not known"})
        states.append(found)
    shared = states[0].keys() & states[1].keys()
    agree = sum(states[0][place] == states[1][place] for place in shared)
    return [*rows, {"two cells": "sites called in both", "n": len(shared), "agree": agree}]


def layouts(texts: dict[str, str], genome: GenomeReader, work: Path) -> list[dict[str, Any]]:
    truth = simulate_methylation(texts, seed=3)
    calls = [
        (contig, int(place) + side, "+-"[side], int(m[side]), int(t[side]), "CG")
        for contig, counts in truth.items()
        for place, m, t in zip(counts.place, counts.methylated, counts.total)
        for side in (0, 1)
        if t[side]
    ]
    expected, _ = merged(((c, p, m, t) for c, p, _, m, t, _ in calls), texts)
    rows = []
    for name, (layout, write) in COUNTED.items():
        path = work / "generated"
        path.write_text(write(calls))
        start = time.perf_counter()
        with CallFile(path, genome.sizes, layout=layout, windows=genome.many) as file:
            found, said = calls_of(file), file.layout
        seconds = time.perf_counter() - start
        same(name, found, expected)
        lines = path.read_text().count("\n")
        rows.append(
            {"layout": name, "told_as": said, "lines": lines, "cpgs": len(found), "differing": 0,
             "seconds": round(seconds, 3), "lines_a_second": round(lines / seconds)}
        )  # fmt: skip
    return rows


def rates(texts: dict[str, str], work: Path, depth: float = 20.0) -> dict[str, Any]:
    """Molecules of a stretch of chr1 and of a spike-in, to counts by strand, to rates."""
    from scipy.stats import beta

    rng = np.random.default_rng(5)
    spike = "".join(rng.choice(list("ACGT"), SPIKE_BP))
    text = next(iter(texts.values()))[1_000_000 : 1_000_000 + RATES_BP]
    world = {"c": text, "lambda": spike}
    truth: dict[int, float] = {}
    lines = []
    for contig, bases in world.items():
        place = np.array([i for i in range(len(bases) - 1) if bases[i : i + 2] == "CG"])
        rate = rng.beta(0.6, 0.4, len(place)) if contig == "c" else np.zeros(len(place))
        if contig == "c":
            truth = dict(zip(place.tolist(), rate.tolist()))
        counts = np.zeros((len(place), 2, 2), np.int64)  # CpG, strand, methylated and total
        for start in rng.integers(-READ_BP + 1, len(bases), round(depth * len(bases) / READ_BP)):
            low, high = np.searchsorted(place, [start, start + READ_BP - 1])
            side = int(rng.integers(2))
            state = rng.random(high - low) < rate[low:high]
            read_as_c = state | (rng.random(high - low) > CONVERSION)
            counts[low:high, side, 0] += read_as_c
            counts[low:high, side, 1] += 1
        for where, by_strand in zip(place.tolist(), counts.tolist()):
            for side, (methylated, total) in enumerate(by_strand):
                if total:
                    sign = "+-"[side]
                    lines.append(f"{contig}\t{where + side + 1}\t{sign}\t{methylated}\t{total - methylated}\tCG\tCGA\n")
    (work / "reads.CpG_report.txt").write_text("".join(lines))
    (work / "stretch.fa").write_text(f">c\n{text}\n")
    build_genome(work / "stretch.zarr", name="stretch", genome=Genome(fasta=work / "stretch.fa"))
    genome = GenomeReader(work / "stretch.zarr")
    path = work / "reads.CpG_report.txt"
    with CallFile(path, genome.sizes, windows=genome.many) as file:
        calls = file.contig("c")
    k, n = calls.methylated.astype(int), calls.total.astype(int)
    seen = np.array([truth[place] for place in calls.position.tolist()])
    seen = seen + (1 - seen) * (1 - CONVERSION)
    low = np.where(k == 0, 0, beta.ppf(0.025, np.maximum(k, 1), n - k + 1))
    high = np.where(k == n, 1, beta.ppf(0.975, k + 1, np.maximum(n - k, 1)))
    inside = float(np.mean((low <= seen) & (seen <= high)))
    z = (k - n * seen) / np.sqrt(np.maximum(n * seen * (1 - seen), 1e-9))
    found = {row["metric"]: row for row in methylation_metrics({"1": path}, genome, conversion_contigs=["lambda"])}
    conversion = found["bisulfite_conversion"]
    row = {
        "cpgs": len(k), "reads_at_cpgs": int(n.sum()), "mean_reads": round(float(n.mean()), 2),
        "truth_inside_95_percent_interval": round(inside, 4),
        "variance_of_z": round(float(np.var(z[(seen > 0.05) & (seen < 0.95)])), 3),
        "correlation_with_truth": round(float(np.corrcoef(k / n, seen)[0, 1]), 4),
        "conversion_truth": CONVERSION, "conversion_found": conversion,
    }  # fmt: skip
    if inside < 0.95 or not conversion["lower"] <= CONVERSION <= conversion["upper"]:
        raise SystemExit(f"rates are not recovered: {row}")
    return row


def main() -> None:
    value = os.environ.get("SEQMILL_TEST_DATA")
    if not value or not Path(value).is_dir():
        raise SystemExit("SEQMILL_TEST_DATA is not set to the folder of real test data")
    data = Path(value).resolve()
    folder = data / "modalities/methylation"
    fastas = {
        "hg19_chr1": data / "hg19_chr1/genome/chr1_10MB.fasta.gz",
        "mm10_windows": folder / "scbs_mouse30/mm10_windows/windows.fa.gz",
    }
    with tempfile.TemporaryDirectory(prefix="seqmill-real-") as temporary:
        work = Path(temporary)
        texts, genomes = {}, {}
        for name, fasta in fastas.items():
            texts[name] = fasta_of(fasta)
            build_genome(work / f"{name}.zarr", name=name, genome=Genome(fasta=fasta))
            genomes[name] = GenomeReader(work / f"{name}.zarr")
        chr1, mm10 = genomes["hg19_chr1"], genomes["mm10_windows"]
        samples, metrics = wgbs(folder / "encode_wgbs_chr1", texts["hg19_chr1"], chr1)
        inside = cells_in_windows(folder / "scbs_mouse30", texts["mm10_windows"], mm10, work)
        table = cells_of_table(folder / "scbs_mouse30/mm10_windows/calls.tsv.gz", texts["mm10_windows"], mm10, work)
        rows = [
            {"part": "encode_wgbs_chr1", "files": samples, "metrics_of_the_two_samples": metrics},
            {"part": "mm10_windows, table of 30 cells", **table},
            {"part": "mm10_windows, Bismark files of ten cells", "files": inside},
            {"part": "Bismark files of ten cells, whole", "files": cells_without_genome(folder / "scbs_mouse30/cells")},
            {"part": "DeepCpG profiles", "files": profiles(folder / "deepcpg_mesc/cpg_profiles")},
            {"part": "generated layouts", "files": layouts(texts["hg19_chr1"], chr1, work)},
            {"part": "molecules of known rates", **rates(texts["hg19_chr1"], work)},
            {"part": "a real sample moved by one base", "said": shifted_is_refused(
                sorted((folder / "encode_wgbs_chr1").glob("*.tsv.gz"))[0], chr1, work)},
        ]  # fmt: skip
    placed = [(row["on_cpg"], row.get("calls", 0)) for row in samples] + [(table["on_cpg"], table["sites"])]
    placed.append((sum(row["on_cpg"] for row in inside), sum(row["calls"] for row in inside)))
    write_result(
        "real_methylation", min(on / calls for on, calls in placed), "smallest share of real calls on a CpG of their "
        "FASTA", "1", sum(calls for _, calls in placed), rows, load=os.getloadavg(),
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""Reads to signal and peaks, ours against the plain tools typed by hand on the same files: same numbers, time, memory.

Both sides trim with cutadapt, align with bowtie2 and call with macs; the plain side is `plain_reads`. Cases:
simulated paired ATAC and single-end ChIP with its control on the genome of yeast, and 467,908 real ATAC fragments of
yeast. Genome store and aligner index are made once, for both, outside of the times. Ours also checks every read, looks
for a prior shift, writes bigWig files (the plain side stops at bedGraph) and digests. Reads SEQMILL_TEST_DATA.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyBigWig

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import plain_reads
from common import write_result

MT = "chrM"
FRAGMENT_BP, READ_BP = 220, 50
TRIM = {"atac": ("CTGTCTCTTATACACATCT", True), "chip": ("AGATCGGAAGAGC", False)}
THREADS = len(os.sched_getaffinity(0))
SIGNALS = {
    "atac": {"cut_sites": "cut_sites.bedgraph", "fold_change": "all_FE.bdg", "p_value": "all_ppois.bdg"},
    "chip": {"fold_change": "all_FE.bdg", "p_value": "all_ppois.bdg"},
}
TOLERANCE = 1e-4  # bedGraph of macs has five digits after the point


def genome_of(data: Path) -> dict[str, str]:
    text = gzip.decompress((data / "yeast_sacCer3/genome/sacCer3.fa.gz").read_bytes()).decode()
    records = [record.split("\n", 1) for record in text.split(">")[1:]]
    return {name.split()[0]: bases.replace("\n", "").upper() for name, bases in records}


def prepare(data: Path, work: Path, pairs: int) -> None:
    """Genome, index, reads."""
    from seqmill.config.sources import Genome
    from seqmill.reads.index import build_index
    from seqmill.simulate.molecules import LibraryPlan
    from seqmill.simulate.reads import simulate_library
    from seqmill.stores.genome import build_genome

    contigs = genome_of(data)
    build_genome(work / "yeast.zarr", name="sacCer3", genome=Genome(fasta=data / "yeast_sacCer3/genome/sacCer3.fa.gz"))
    build_index(work / "bowtie2", name="sacCer3", aligner="bowtie2", genome=work / "yeast.zarr", threads=THREADS)
    (work / "sizes").write_text("".join(f"{name}\t{len(text)}\n" for name, text in contigs.items()))
    rng = np.random.default_rng(0)
    nuclear = [name for name in contigs if name != MT]
    sites = {name: [] for name in nuclear}
    for name in nuclear:
        for place in range(3000, len(contigs[name]) - 3000, 4000):
            sites[name].append((place + int(rng.integers(-1000, 1000)), float(rng.lognormal(0, 0.8))))
    artefacts = {name: [(len(contigs[name]) // 3, 1.0)] for name in nuclear}
    atac = LibraryPlan("atac", pairs, 1, sites, 0.4, spill=MT, spill_share=0.1, copied_share=0.15)
    common = {"artefacts": artefacts, "artefact_share": 0.02, "paired": False, "fragment_bp": FRAGMENT_BP}
    simulate_library(work, "atac", contigs, atac)
    simulate_library(work, "chip", contigs, LibraryPlan("chip", pairs, 2, sites, 0.3, **common))
    simulate_library(work, "input", contigs, LibraryPlan("chip", pairs, 3, **common))


def runs_of(case: str, data: Path, work: Path) -> dict[str, tuple[Path, Path | None]]:
    """Libraries of a case: name to their files."""
    if case == "fragments":
        return {"yeast": (data / "yeast_sacCer3/atac/yeast_500k_SRR1822137.bedpe.gz", None)}
    if case == "atac":
        return {"atac": (work / "atac_R1.fastq.gz", work / "atac_R2.fastq.gz")}
    return {name: (work / f"{name}_R1.fastq.gz", None) for name in ("chip", "input")}


def ours(case: str, data: Path, work: Path, out: Path) -> None:
    """Libraries and experiment of a case, by the functions that the workflow calls."""
    from seqmill.config.reads import Experiment, Library, Reads
    from seqmill.reads.experiment import build_experiment
    from seqmill.reads.library import Run, build_library

    assay = "chip" if case == "chip" else "atac"
    settings = Reads(fragment_bp=FRAGMENT_BP)
    folders = []
    for name, (reads1, reads2) in runs_of(case, data, work).items():
        row = Library(
            experiment=name, location=str(reads1), mate=str(reads2 or ""), assay=f"{assay}-seq", adapter=TRIM[assay][0],
            format="fragments" if case == "fragments" else "fastq",
        )  # fmt: skip
        folders.append(out / f"library.{name}")
        build_library(
            folders[-1], name=f"{name}.1", rows=[row], runs=[Run(reads1, reads2)], settings=settings,
            genome=work / "yeast.zarr", index=None if case == "fragments" else work / "bowtie2", partial=False,
            threads=THREADS,
        )  # fmt: skip
    about = Experiment(case, assay, "", "input" if assay == "chip" else "", "", "none")
    build_experiment(
        out / "experiment", experiment=about, libraries={1: folders[0]}, control=folders[1:], settings=settings,
        genome=work / "yeast.zarr", threads=THREADS,
    )  # fmt: skip


def plain_script(case: str, data: Path, work: Path) -> tuple[str, str]:
    """What one would type, in a folder for the case; and peaks once more, the length of reads left to macs."""
    (index,) = (str(path)[: -len(".rev.1.bt2")] for path in (work / "bowtie2").glob("*.rev.1.bt2"))
    assay = "chip" if case == "chip" else "atac"
    adapter, paired = TRIM[assay]
    values = {
        "threads": THREADS,
        "index": index,
        "sizes": work / "sizes",
        "excluded": MT,
        "fragment_bp": FRAGMENT_BP,
        "genome_bp": sum(len(text) - text.count("N") for text in genome_of(data).values()),
        "trim": f"-e 0.1 -m 5 -a {adapter}" + (f" -A {adapter}" if paired else ""),
        "control": "control.bed" if assay == "chip" else "",
    }
    parts = []
    reads = runs_of(case, data, work)
    for name in reversed(reads):
        values |= {"reads1": reads[name][0], "reads2": reads[name][1]}
        source = plain_reads.FRAGMENTS if case == "fragments" else plain_reads.PAIRED if paired else plain_reads.SINGLE
        parts.append(source.format(**values))
        if name == "input":
            parts.append("mv tags.bed control.bed\n")
    if assay == "atac":
        parts.append(plain_reads.CUTS.format(**values))
    model = (plain_reads.CHIP if assay == "chip" else plain_reads.ATAC).format(**values)
    values |= {"model": model, "length": plain_reads.LENGTH.format(read_bp=READ_BP)}
    parts.append(plain_reads.PEAKS.format(**values))
    guessed = plain_reads.GUESSED.format(**{**values, "length": ""})
    return tuple("set -euo pipefail\nexport LC_ALL=C\n" + text for text in ("".join(parts), guessed))


def bedgraph(path: Path, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    found = {name: np.zeros(size) for name, size in sizes.items()}
    with open(path) as handle:
        for line in handle:
            name, start, end, value = line.split()
            found[name][int(start) : int(end)] = float(value)
    return found


def differences(mine: Path, theirs: Path, sizes: dict[str, int]) -> dict:
    """Positions whose values differ by more than the rounding of a bedGraph."""
    expected = bedgraph(theirs, sizes)
    differ, largest, positions = 0, 0.0, 0
    with pyBigWig.open(str(mine)) as handle:
        for name, values in expected.items():
            found = np.zeros(len(values))
            if name in handle.chroms():
                found = np.nan_to_num(handle.values(name, 0, len(values), numpy=True)).astype(float)
            apart = np.abs(found - values) / np.maximum(1, np.abs(values))
            differ += int(np.count_nonzero(apart > TOLERANCE))
            largest = max(largest, float(apart.max()))
            positions += len(values)
    return {"positions": positions, "positions_that_differ": differ, "largest_relative_difference": largest}


def peak_set(text: str) -> set[tuple[str, ...]]:
    """Peaks by place, summit, signal and p-value; names and ranks are left out."""
    rows = (line.split("\t") for line in text.splitlines())
    return {(*row[:3], row[9], f"{float(row[6]):.4g}", f"{float(row[7]):.4g}") for row in rows}


def compare(case: str, out: Path, hand: Path, sizes: dict[str, int]) -> dict:
    """One row: what differs between both sides."""
    assay = "chip" if case == "chip" else "atac"
    row: dict = {"case": case}
    for output, file in SIGNALS[assay].items():
        row[output] = differences(out / f"experiment/{output}.bw", hand / file, sizes)
    found = peak_set(gzip.decompress((out / "experiment/peaks.narrowPeak.gz").read_bytes()).decode())
    expected = peak_set((hand / "peaks.narrowPeak").read_text())
    guessed = peak_set((hand / "guessed.narrowPeak").read_text())
    row |= {
        "peaks": len(expected),
        "peaks_that_differ": len(found ^ expected),
        "peaks_that_differ_if_macs_guesses_the_length_of_reads": len(found ^ guessed),
        "examples": sorted(found - expected)[:3] + sorted(expected - found)[:3],
    }
    return row


def measure(case: str, data: Path, work: Path, turns: int) -> dict:
    """Both sides in turns; their results are compared once, times and memory are of every turn."""
    script, guessed = plain_script(case, data, work)
    times: dict[str, list[dict]] = {"ours": [], "plain": []}
    row: dict = {}
    for turn in range(turns):
        with tempfile.TemporaryDirectory(dir=work) as place:
            out, hand = Path(place) / "ours", Path(place) / "plain"
            out.mkdir()
            hand.mkdir()
            sides = {
                "ours": ([sys.executable, __file__, "--ours", case, "--work", str(work), "--out", str(out)], out),
                "plain": (["bash", "-c", script], hand),
            }
            for side in sides if turn % 2 == 0 else reversed(sides):
                done = plain_reads.Measured(*sides[side])
                times[side].append(
                    {
                        "seconds": done.seconds,
                        "cpu_seconds": done.cpu_seconds,
                        "peak_mb": done.peak_mb,
                        "load_average": os.getloadavg()[0],
                    }
                )
                print(f"{case}, turn {turn + 1}, {side}: {done.seconds:.1f} s, {done.peak_mb:.0f} MB", flush=True)
            if not row:
                subprocess.run(["bash", "-c", guessed], cwd=hand, check=True)
                sizes = {line.split()[0]: int(line.split()[1]) for line in (work / "sizes").read_text().splitlines()}
                row = compare(case, out, hand, sizes)
                print(json.dumps(row), flush=True)
    for side, rows in times.items():
        row[side] = {name: round(float(np.median([one[name] for one in rows])), 2) for name in rows[0]}
    row["seconds_ours_over_plain"] = round(row["ours"]["seconds"] / row["plain"]["seconds"], 3)
    row["memory_ours_over_plain"] = round(row["ours"]["peak_mb"] / row["plain"]["peak_mb"], 3)
    return {**row, "turns": times, "script": script.replace(str(work), "WORK").replace(str(data), "DATA")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="simulated molecules a library")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=["atac", "chip", "fragments"])
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    # cutadapt lies beside our own Python
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if not os.environ.get("SEQMILL_TEST_DATA"):
        raise SystemExit("SEQMILL_TEST_DATA is not set")
    data = Path(os.environ["SEQMILL_TEST_DATA"])
    if asked.ours:
        ours(asked.ours, data, asked.work, asked.out)
        return
    with tempfile.TemporaryDirectory(prefix="seqmill-bench-reads-") as place:
        work = Path(place)
        prepare(data, work, asked.pairs)
        rows = [measure(case, data, work, asked.turns) for case in asked.cases]
    worst = 0
    for row in rows:
        signals = [row[output]["positions_that_differ"] for output in SIGNALS["atac"] if output in row]
        worst = max(worst, row["peaks_that_differ"] + sum(signals))
    write_result(
        "reads", worst, "positions and peaks that differ from the plain tools, worst case", "0", asked.turns, rows,
        reached=worst == 0, molecules=asked.pairs, threads=THREADS,
        memory="largest sum of proportional set sizes of a process and its children, looked at every 50 ms",
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""Simulated libraries of each assay: what the library and the experiment hold, against what was simulated."""

import gzip
from collections import Counter

import numpy as np
import pytest
from tests.unit.read_worlds import (
    Place,
    ReadWorld,
    attrs_of,
    counts_of,
    needs_programs,
    peaks,
    read_truth,
    signal,
    table_rows,
)

from seqmill.runtime.errors import InputError
from seqmill.simulate.molecules import LibraryPlan, Transcript, transcript_places
from seqmill.simulate.reads import random_genome

pytestmark = [needs_programs, pytest.mark.slow]

SIZES = {"chr1": 150_000, "chr2": 60_000, "chrM": 16_000}
REPEAT_BP = 4_000
REPEATS = ((75_000, 79_000), (146_000, 150_000))  # of chr1, each other's copy
SITES = {"chr1": [(at, 1.0) for at in range(5_000, 70_000, 8_000)], "chr2": [(at, 1.0) for at in (12_000, 40_000)]}
ALL_SITES = [(contig, at) for contig, places in SITES.items() for at, _ in places]
ARTEFACTS = {"chr1": 90_000, "chr2": 30_000}
ATAC = LibraryPlan("atac", 9_000, seed=1, sites=SITES, site_share=0.4, spill="chrM", spill_share=0.08)
GENES = (
    Transcript("chr1", "+", ((10_000, 10_500), (12_000, 12_400), (15_000, 15_600)), 1.0),
    Transcript("chr2", "-", ((20_000, 20_700), (23_000, 23_500)), 2.0),
)


def with_introns(text: str, introns: list[tuple[int, int]], strand: str) -> str:
    """The sequence with the signals GT...AG at the ends of introns."""
    left, right = ("GT", "AG") if strand == "+" else ("CT", "AC")
    for start, end in introns:
        text = text[:start] + left + text[start + 2 : end - 2] + right + text[end:]
    return text


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> ReadWorld:
    contigs = random_genome(SIZES, seed=11, repeat_bp=REPEAT_BP)
    for gene in GENES:
        introns = [(one[1], two[0]) for one, two in zip(gene.exons, gene.exons[1:])]
        contigs[gene.contig] = with_introns(contigs[gene.contig], introns, gene.strand)
    folder = tmp_path_factory.mktemp("reads")
    (folder / "libraries").mkdir()
    (folder / "experiments").mkdir()
    return ReadWorld(folder, contigs)


def in_repeat(place: Place) -> bool:
    contig, start, end = place
    return contig == "chr1" and any(start >= left and end <= right for left, right in REPEATS)


def touches_repeat(place: Place) -> bool:
    contig, start, end = place
    return contig == "chr1" and any(start < right and end > left for left, right in REPEATS)


@pytest.fixture(scope="module")
def atac(world):
    made = [world.simulate(f"atac{seed}", LibraryPlan(**{**vars(ATAC), "seed": seed})) for seed in (1, 2)]
    folders = [world.library(f"atac{n}", one.reads1, one.reads2, "atac") for n, one in enumerate(made, start=1)]
    return made, folders, world.experiment("atac", "atac", folders)


def test_atac_fragments_are_the_molecules(atac):
    made, folders, _ = atac
    for one, folder in zip(made, folders):
        truth = read_truth(one)
        rows = table_rows(folder)
        found = Counter(row[:3] for row in rows)
        usable = {place for place in truth.molecules if place[0] != "chrM" and not touches_repeat(place)}
        assert len(usable & set(found)) / len(usable) > 0.98
        assert sum(n for place, n in found.items() if place not in truth.molecules) / len(rows) < 0.002
        assert all(contig != "chrM" for contig, _, _ in found)
        # of a molecule inside the repeat nobody knows which of both copies it is from
        assert sum(n for place, n in found.items() if in_repeat(place)) == 0
        told = [(row, truth.strands[row[:3]]) for row in rows if len(truth.strands.get(row[:3], ())) == 1]
        assert np.mean([{"+": 1, "-": -1}[next(iter(strand))] == row[3] for row, strand in told]) > 0.999


def test_atac_duplicates_and_complexity_are_those_of_pcr(atac):
    made, folders, _ = atac
    for one, folder in zip(made, folders):
        counts, columns = counts_of(folder), one.molecules
        contigs = np.array(one.contigs)[columns.contig]
        copies: Counter = Counter()
        for place, n in zip(zip(contigs.tolist(), columns.start.tolist(), columns.end.tolist()), columns.copies):
            if place[0] != "chrM" and not touches_repeat(place):
                copies[place] += int(n)
        expected = {
            "fragments_before_duplicates": sum(copies.values()),
            "distinct": len(copies),
            "once": sum(n == 1 for n in copies.values()),
            "twice": sum(n == 2 for n in copies.values()),
        }
        for name, value in expected.items():
            # molecules that lie partly in a repeat may pass or not: 1 % of the genome; short inserts: 1 %
            assert abs(counts[name] - value) < 0.03 * expected["fragments_before_duplicates"], name
        assert counts["reads_raw"] == 2 * read_truth(one).reads
        spilled = 2 * columns.copies[contigs == "chrM"].sum()
        assert abs(counts["excluded_by_contig"]["chrM"] - spilled) < 0.03 * spilled
        # an insert shorter than a read ends in the adapter; less than three bases of it are not told from chance
        short = columns.copies[(columns.end - columns.start) <= ATAC.read_bp - 3].sum()
        assert counts["reads_trimmed"] >= 2 * 0.95 * short


def cut_reference(rows, contig: str, size: int, plus: int, minus: int) -> np.ndarray:
    values = np.zeros(size)
    for name, start, end, _ in rows:
        if name == contig:
            for place in (start + plus, end - 1 + minus):
                if 0 <= place < size:
                    values[place] += 1
    return values


def test_atac_cut_sites_are_shifted_once_and_lie_on_the_insertions(world, atac):
    made, folders, experiment = atac
    rows = [row for folder in folders for row in table_rows(folder)]
    for contig in ("chr1", "chr2"):
        found = signal(experiment / "cut_sites.bw", contig)
        assert np.array_equal(found, cut_reference(rows, contig, SIZES[contig], 4, -5))
        # truth: the middle of the nine copied bases; +4/-5 puts the cuts of - ends one base before it
        truth = np.zeros(SIZES[contig])
        for one in made:
            for name, start, end in read_truth(one).molecules:
                if name == contig and not touches_repeat((name, start, end)):
                    truth[start + 4] += 1
                    truth[end - 1 - 4 - 1] += 1
        outside = np.ones(len(truth), bool)
        for left, right in REPEATS if contig == "chr1" else ():
            outside[left - 700 : right + 700] = False
        assert np.abs(found - truth)[outside].sum() / truth[outside].sum() < 0.02
        assert np.corrcoef(found[outside], truth[outside])[0, 1] > 0.99
    assert attrs_of(folders[0])["shift"]["prior_plus"] == 0
    assert attrs_of(folders[0])["shift"]["prior_minus"] == 0


def test_atac_replicates_add_up(atac):
    _, _, experiment = atac
    whole, *parts = (signal(experiment / f"cut_sites{part}.bw", "chr1") for part in ("", ".rep1", ".rep2"))
    assert np.array_equal(whole, sum(parts))


def test_atac_reproducible_peaks_are_the_sites(atac):
    _, _, experiment = atac
    found = peaks(experiment / "reproducible_peaks.narrowPeak.gz")
    for contig, at in ALL_SITES:
        assert any(name == contig and start <= at < end for name, start, end, _ in found), (contig, at)
    # macs at p 0.01 calls chance too; what it calls with -log10 p above 10 is there
    lines = gzip.decompress((experiment / "peaks.narrowPeak.gz").read_bytes()).decode().splitlines()
    strong = [row for row in (line.split("\t") for line in lines) if float(row[7]) > 10]
    assert len(strong) >= len(ALL_SITES)
    for row in strong:
        assert any(row[0] == contig and abs(int(row[1]) + int(row[9]) - at) < 500 for contig, at in ALL_SITES), row


def test_a_second_shift_is_refused_unless_it_is_stated(world, atac):
    """Fragments that were moved by +4/-5 already, as Cell Ranger and ENCODE write them."""
    made, _, _ = atac
    path = world.folder / "moved.bedpe.gz"
    places = [place for one in made for place in read_truth(one).molecules if place[0] != "chrM"]
    lines = "".join(f"{contig}\t{start + 4}\t{end - 5}\n" for contig, start, end in sorted(places))
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))
    with pytest.raises(InputError, match="prior shift"):
        world.library("moved", path, None, "atac", format="fragments")
    assert not (world.folder / "libraries/moved").exists()
    library = world.library("moved", path, None, "atac", format="fragments", prior_plus_shift=4, prior_minus_shift=-5)
    experiment = world.experiment("moved", "atac", [library])
    assert np.array_equal(
        signal(experiment / "cut_sites.bw", "chr2"),
        cut_reference(table_rows(library), "chr2", SIZES["chr2"], 0, 0),
    )


def test_dnase_cut_sites_are_the_ends(world):
    plan = LibraryPlan("dnase", 6_000, seed=3, sites=SITES, site_share=0.5, copied_share=0.05)
    made = world.simulate("dnase", plan)
    library = world.library("dnase", made.reads1, made.reads2, "dnase")
    experiment = world.experiment("dnase", "dnase", [library])
    truth = np.zeros(SIZES["chr2"])
    for contig, start, end in read_truth(made).molecules:
        if contig == "chr2":
            truth[start] += 1
            truth[end - 1] += 1
    found = signal(experiment / "cut_sites.bw", "chr2")
    assert np.array_equal(found, cut_reference(table_rows(library), "chr2", SIZES["chr2"], 0, 0))
    assert np.abs(found - truth).sum() / truth.sum() < 0.02


def test_mnase_centres_are_the_dyads(world):
    dyads = list(range(100_000, 140_000, 190))
    plan = LibraryPlan("mnase", 8_000, seed=4, sites={"chr1": [(at, 1.0) for at in dyads]}, site_share=0.9)
    made = world.simulate("mnase", plan)
    library = world.library("mnase", made.reads1, made.reads2, "mnase")
    experiment = world.experiment("mnase", "mnase", [library])
    found = signal(experiment / "centres.bw", "chr1")
    used = [row for row in table_rows(library) if 140 <= row[2] - row[1] <= 200]
    assert found.sum() == sum(row[0] == "chr1" for row in used)
    around = sum(found[at - 95 : at + 95] for at in dyads)
    smooth = np.convolve(around, np.ones(5), mode="same")
    assert abs(int(np.argmax(smooth)) - 95) <= 1
    assert around[95 - 10 : 95 + 11].sum() / around.sum() > 0.9


def test_chip_summits_fragment_length_and_artefacts(world):
    sites = [12_000 + 9_000 * index for index in range(6)]
    # As wide as artefacts are: macs spreads the control's reads by a fragment more than those of the treatment.
    artefacts = {name: [(at + step, 1.0) for step in range(-500, 500, 25)] for name, at in ARTEFACTS.items()}
    common = {"paired": False, "fragment_bp": 220, "artefacts": artefacts, "artefact_share": 0.1, "copied_share": 0.05}
    treated = LibraryPlan("chip", 5_000, 5, {"chr1": [(at, 1.0) for at in sites]}, 0.25, **common)
    control = LibraryPlan("chip", 5_000, 6, **common)
    made = {name: world.simulate(name, plan) for name, plan in (("chip", treated), ("input", control))}
    folders = {name: world.library(name, one.reads1, None, "chip") for name, one in made.items()}
    truth, rows = read_truth(made["chip"]), table_rows(folders["chip"])
    ends = {(c, "+", s) for c, s, _ in truth.molecules} | {(c, "-", e) for c, _, e in truth.molecules}
    assert np.mean([(c, "+", s) in ends if strand > 0 else (c, "-", e) in ends for c, s, e, strand in rows]) > 0.998

    experiment = world.experiment("chip", "chip", [folders["chip"]], control=[folders["input"]])
    assert abs(attrs_of(experiment)["fragment_bp"] - 220) <= 22
    found = [row for row in peaks(experiment / "peaks.narrowPeak.gz") if row[0] == "chr1"]
    fold = signal(experiment / "fold_change.bw", "chr1")
    p = signal(experiment / "p_value.bw", "chr1")
    for at in sites:
        summits = [summit for _, start, end, summit in found if start <= at < end]
        assert summits
        assert min(abs(summit - at) for summit in summits) <= 40
        assert fold[at] > 4
        assert p[at] > 10
    for contig, at in ARTEFACTS.items():
        depth = signal(experiment / "coverage.bw", contig)
        assert depth[at - 400 : at + 400].mean() > 4 * np.median(depth)
        over_control = signal(experiment / "fold_change.bw", contig)[at - 400 : at + 400]
        assert 0.7 < over_control.mean() < 1.4


def test_rna_coverage_is_spliced_and_of_the_strand_of_the_transcript(world):
    plan = LibraryPlan("rna", 3_000, seed=7, transcripts=GENES, read_bp=75, copied_share=0.1, fragment_bp=220)
    made = world.simulate("rna", plan)
    library = world.library("rna", made.reads1, made.reads2, "rna", strandedness="reverse")
    experiment = world.experiment("rna", "rna", [library], strandedness="reverse")
    columns = made.molecules
    truth = {strand: {name: np.zeros(size) for name, size in SIZES.items()} for strand in "+-"}
    for which, first, last, copies in zip(columns.transcript, columns.first, columns.last, columns.copies):
        places = transcript_places(GENES[which])
        for one, other in ((first, min(last, first + 75)), (max(first, last - 75), last)):
            np.add.at(truth[GENES[which].strand][GENES[which].contig], places[one:other], copies)
    for strand, name, other, contig in (("+", "plus", "minus", "chr1"), ("-", "minus", "plus", "chr2")):
        found = signal(experiment / f"coverage.{name}.bw", contig)
        wanted = truth[strand][contig]
        assert np.corrcoef(found, wanted)[0, 1] > 0.99
        assert abs(found.sum() / wanted.sum() - 1) < 0.04
        gene = GENES["+-".index(strand)]
        introns = [(one[1], two[0]) for one, two in zip(gene.exons, gene.exons[1:])]
        assert sum(found[start + 20 : end - 20].sum() for start, end in introns) < 0.002 * found.sum()
        assert signal(experiment / f"coverage.{other}.bw", contig).sum() < 0.002 * found.sum()

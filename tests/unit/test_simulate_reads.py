"""The simulator of reads: every read is what the truth table says, and each assay's marks are in the molecules."""

import gzip
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqmill.simulate.methylation import simulate_methylation
from seqmill.simulate.molecules import LibraryPlan, Transcript, draw_molecules, tn5_liking, transcript_places
from seqmill.simulate.reads import NEXTERA, TRUSEQ, random_genome, simulate_library

SIZES = {"chr1": 60_000, "chr2": 30_000, "chrM": 5_000}
GENOME = random_genome(SIZES, seed=3)
PLAN = LibraryPlan("atac", 4000, seed=5, sites={"chr1": [(20_000, 1.0)]}, spill="chrM", spill_share=0.1)
GENE = Transcript("chr1", "+", ((1000, 1400), (3000, 3500), (9000, 9300)))
BACK = Transcript("chr2", "-", ((2000, 2600), (5000, 5200)), 2.0)


def revcomp(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


def records(path: Path) -> list[tuple[str, str, str]]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert set(lines[2::4]) == {"+"}
    return [(name[1:], bases, quality) for name, bases, quality in zip(lines[::4], lines[1::4], lines[3::4])]


def truth_rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]]


@pytest.mark.parametrize("plan", [PLAN, LibraryPlan("dnase", 500), LibraryPlan("chip", 500, paired=False)])
def test_reads_are_the_bases_of_their_molecules(tmp_path, plan):
    plan = replace(plan, error_rate=0.0)
    made = simulate_library(tmp_path, "a", GENOME, plan)
    rows = truth_rows(made.truth)
    adapters = NEXTERA if plan.assay == "atac" else TRUSEQ
    files = [made.reads1, made.reads2] if plan.paired else [made.reads1]
    assert (made.reads2 is None) != plan.paired
    for mate, path in enumerate(files):
        seen = Counter()
        for name, bases, quality in records(path):
            row = int(name[1:10])
            contig, start, end, strand = rows[row][:4]
            insert = GENOME[contig][int(start) : int(end)]
            if (strand == "-") != bool(mate):
                insert = revcomp(insert)
            assert bases == (insert + adapters[mate] + "A" * 50)[:50]
            assert quality == "I" * 50
            seen[row] += 1
        assert seen == {row: int(cells[4]) for row, cells in enumerate(rows)}


def test_mates_share_order_and_names(tmp_path):
    made = simulate_library(tmp_path, "a", GENOME, PLAN)
    first, second = (next(zip(*records(path))) for path in (made.reads1, made.reads2))
    assert first == second
    assert len(set(first)) == len(first)
    assert list(first) != sorted(first)


def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (5, 5, 6)):
        folder.mkdir()
        simulate_library(folder, "x", GENOME, replace(PLAN, seed=seed))
    one, same, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == same
    assert set(one) == {"x_R1.fastq.gz", "x_R2.fastq.gz", "x.truth.tsv.gz"}
    assert all(one[name] != other[name] for name in one)


def test_errors_come_at_their_rate_with_low_quality(tmp_path):
    clean = simulate_library(tmp_path, "clean", GENOME, replace(PLAN, error_rate=0.0))
    dirty = simulate_library(tmp_path, "dirty", GENOME, replace(PLAN, error_rate=0.02))
    pairs = zip(records(clean.reads1), records(dirty.reads1), strict=True)
    marks = [(a != b, q) for (_, one, _), (_, two, quality) in pairs for a, b, q in zip(one, two, quality)]
    wrong = [quality for differs, quality in marks if differs]
    assert 0.018 < len(wrong) / len(marks) < 0.022
    assert 0.75 < wrong.count("+") / len(wrong) < 0.85
    assert all(quality == "I" for differs, quality in marks if not differs)


def test_copies_and_spill_come_at_their_shares():
    molecules = draw_molecules(replace(PLAN, molecules=20_000, copied_share=0.2), GENOME)
    assert 0.18 < np.mean(molecules.copies > 1) < 0.22
    assert molecules.copies.min() == 1
    # 10 % of the molecules, and none of the others: the contig has no share by its size
    assert 0.085 < np.mean(molecules.contig == 2) < 0.115


def test_atac_sizes_are_of_none_one_and_two_nucleosomes():
    molecules = draw_molecules(replace(PLAN, molecules=20_000), GENOME)
    size = molecules.end - molecules.start
    assert 0.5 < np.mean(size < 150) < 0.7
    assert 0.2 < np.mean((size >= 150) & (size < 300)) < 0.4
    assert 0.05 < np.mean((size >= 300) & (size < 520)) < 0.15


def test_tn5_bias_is_a_palindrome_around_the_copied_bases():
    """Composition around both ends mirrors around base 4 after the cut: the centre of the nine copied bases."""
    molecules = draw_molecules(LibraryPlan("atac", 30_000, site_share=0.0), {"chr1": GENOME["chr1"]})
    text = GENOME["chr1"]
    pair = dict(zip("ACGT", "TGCA"))
    keep = (molecules.start > 30) & (molecules.end < len(text) - 30)

    def share(places: np.ndarray, base: str) -> float:
        return float(np.mean([text[place] == base for place in places]))

    for ends in (molecules.start[keep] + 4, molecules.end[keep] - 1 - 4):
        biased = 0.0
        for offset in range(1, 6):
            for base in "ACGT":
                here, mirror = share(ends + offset, base), share(ends - offset, pair[base])
                assert abs(here - mirror) < 0.02
                biased = max(biased, abs(here - text.count(base) / len(text)))
        assert biased > 0.15


def test_tn5_liking_of_a_sequence_is_that_of_its_reverse_complement():
    codes = np.random.default_rng(0).integers(0, 5, 500).astype(np.uint8)
    back = np.array([3, 2, 1, 0, 4], np.uint8)[codes[::-1]]
    assert np.allclose(tn5_liking(codes)[10:-10], tn5_liking(back)[::-1][10:-10])


@pytest.mark.parametrize("assay", ["atac", "dnase", "chip", "mnase"])
def test_sites_get_their_share_by_weight(assay):
    sites = {"chr1": [(20_000, 3.0)], "chr2": [(15_000, 1.0)]}
    plan = LibraryPlan(assay, 10_000, sites=sites, site_share=0.6)
    molecules = draw_molecules(plan, GENOME)

    def near(contig: int, place: int) -> int:
        return np.sum((molecules.contig == contig) & (molecules.start < place + 400) & (molecules.end > place - 400))

    one, other = near(0, 20_000), near(1, 15_000)
    assert 0.57 < (one + other) / len(molecules.start) < 0.65
    assert 2.5 < one / other < 3.5


def test_mnase_molecules_are_centred_on_dyads_and_chip_ones_cover_summits():
    dyads = {"chr1": [(20_000, 1.0)]}
    mnase = draw_molecules(LibraryPlan("mnase", 2000, sites=dyads, site_share=1.0), GENOME)
    centre = (mnase.start + mnase.end) // 2
    assert abs(np.median(centre) - 20_000) <= 1
    assert 2 < np.std(centre) < 4
    assert 146 <= np.median(mnase.end - mnase.start) <= 148
    chip = draw_molecules(LibraryPlan("chip", 2000, sites=dyads, site_share=1.0, fragment_bp=250), GENOME)
    assert np.all((chip.start <= 20_000) & (chip.end > 20_000))
    assert 245 < np.mean(chip.end - chip.start) < 255


def test_rna_molecules_are_spliced_and_read_1_is_antisense(tmp_path):
    plan = LibraryPlan("rna", 1500, seed=1, transcripts=(GENE, BACK), error_rate=0.0, read_bp=60)
    made = simulate_library(tmp_path, "rna", GENOME, plan)
    spliced = {
        0: "".join(GENOME["chr1"][start:end] for start, end in GENE.exons),
        1: revcomp("".join(GENOME["chr2"][start:end] for start, end in BACK.exons)),
    }
    junctions = 0
    for name, bases, _ in records(made.reads1):
        row = int(name[1:10])
        which, first, last = (int(column[row]) for column in made.molecules[5:])
        assert revcomp(bases) == spliced[which][max(0, last - 60) : last]
        assert made.molecules.strand[row] == (-1 if which == 0 else 1)
        junctions += any(last - 60 < edge < last for edge in ((400, 900) if which == 0 else (200,)))
    assert junctions > 100
    for name, bases, _ in records(made.reads2):
        which, first, last = (int(column[int(name[1:10])]) for column in made.molecules[5:])
        assert bases == spliced[which][first : first + 60]
    share = np.mean(made.molecules.transcript == 1)
    assert abs(share - 800 * 2 / (800 * 2 + 1200)) < 0.05  # by length and abundance
    assert transcript_places(BACK)[[0, 199, 200, 799]].tolist() == [5199, 5000, 2599, 2000]


def test_a_repeat_is_a_copy():
    text = random_genome({"a": 20_000, "b": 1000}, repeat_bp=3000)["a"]
    assert text[10_000:13_000] == text[17_000:]


def test_methylation_counts_have_the_rate_and_the_conversion_of_the_truth():
    contigs = {**random_genome({"chr1": 150_000}, seed=1), "lambda": random_genome({"x": 48_000}, seed=2)["x"]}
    found = simulate_methylation(contigs, seed=4, depth=20, conversion=0.99, spike_in="lambda")
    for name, text in contigs.items():
        assert found[name].place.tolist() == [at for at in range(len(text) - 1) if text[at : at + 2] == "CG"]
    chr1, spike = found["chr1"], found["lambda"]
    assert 0.0085 < spike.methylated.sum() / spike.total.sum() < 0.0115
    for lower, upper in ((0.0, 0.2), (0.7, 1.0)):
        rows = (chr1.rate >= lower) & (chr1.rate < upper)
        assert rows.sum() > 300
        seen = chr1.methylated[rows].sum(axis=0) / chr1.total[rows].sum(axis=0)
        wanted = chr1.rate[rows] + (1 - chr1.rate[rows]) * 0.01
        assert np.all(np.abs(seen - wanted.mean()) < 0.01)


def test_a_name_that_is_a_path_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'\.\./x' is no name of a library"):
        simulate_library(tmp_path, "../x", GENOME, PLAN)

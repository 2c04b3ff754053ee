"""The prior shift of cut sites: found in simulated and real ATAC ends, not invented where nothing tells it."""

import logging
from itertools import pairwise

import numpy as np
import pysam
import pytest

from seqmill.config.reads import Library
from seqmill.config.sources import Genome
from seqmill.formats.text import line_blocks
from seqmill.reads import shift
from seqmill.reads.fragments import Fragments, FragmentTable, write_fragments
from seqmill.reads.shift import Shift, detect_shift, prior_shift
from seqmill.runtime.errors import InputError
from seqmill.stores.genome import GenomeReader, build_genome

SIZES = {"a": 400_000, "b": 200_000, "none": 1_000}
SHIFTS = [(0, 0), (4, -5), (4, -4)]
# How Tn5's preference is drawn here: weights of A C G T at 1 to 4 bp downstream of the middle of an insertion;
# upstream the same of the complement.
PREFERENCE = [(1.0, 0.6, 1.5, 0.9), (1.4, 0.7, 1.0, 1.0), (1.0, 1.5, 0.7, 0.9), (0.5, 1.6, 1.1, 1.0)]


@pytest.fixture(scope="module")
def sequence() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.choice(4, size, p=(0.31, 0.19, 0.19, 0.31)).astype(np.uint8) for name, size in SIZES.items()}


@pytest.fixture(scope="module")
def genome(tmp_path_factory, sequence) -> GenomeReader:
    folder = tmp_path_factory.mktemp("genome")
    letters = {name: "".join("ACGT"[code] for code in codes.tolist()) for name, codes in sequence.items()}
    (folder / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    build_genome(folder / "g.zarr", name="g", genome=Genome(fasta=folder / "g.fa"))
    return GenomeReader(folder / "g.zarr")


def insertions(codes: np.ndarray, number: int, biased: bool, rng) -> list[int]:
    """Middles of insertions, sorted; the preference is its own reverse complement around them."""
    weight = np.ones(len(codes))
    if biased:
        for distance, weights in enumerate(PREFERENCE, start=1):
            weight *= np.array(weights)[np.roll(codes, -distance)] * np.array(weights)[3 - np.roll(codes, distance)]
    weight[:50] = weight[-50:] = 0
    return sorted(rng.choice(len(codes), number, p=weight / weight.sum()).tolist())


def simulated(path, sequence, moved, *, paired, biased=True, number=12_000, seed=0) -> FragmentTable:
    """Fragments between neighbouring insertions, which duplicate nine bases: they overlap by nine."""
    rng, pieces = np.random.default_rng(seed), {}
    for name in ("a", "b"):
        middles = insertions(sequence[name], number * SIZES[name] // 600_000, biased, rng)
        rows = []
        for left, right in pairwise(middles):
            start, last = left - 4 + moved[0], right + 4 + moved[1]
            if last - start < 20:
                continue
            if paired:
                rows.append((start, last + 1, 0))
            else:
                rows.append((start, start + 20, 1) if rng.random() < 0.5 else (last - 19, last + 1, -1))
        pieces[name] = Fragments.of(*np.array(rows).T)
    write_fragments(path, SIZES, paired, pieces)
    return FragmentTable(path)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("moved", SHIFTS)
def test_simulated_ends(tmp_path, sequence, genome, moved, paired):
    found = detect_shift(simulated(tmp_path / "x", sequence, moved, paired=paired), genome)
    assert (found.plus, found.minus) == moved
    assert found.lag == 8 - moved[0] + moved[1] and found.agreement == 1 and found.correlation > 0.8
    assert found.words == (
        f"found {moved[0]:+d} and {moved[1]:+d} (correlation {found.correlation:.2f}, 100% of 200 draws agree, "
        f"distance of ends {found.lag})"
    )


def test_the_distance_of_ends_is_not_needed(tmp_path, sequence, genome):
    """So few ends that hardly two are of one insertion; the composition still tells."""
    whole = simulated(tmp_path / "x", sequence, (4, -5), paired=True)
    thin = {name: Fragments(*(column[::4] for column in piece)) for name, piece in whole}
    write_fragments(tmp_path / "y", SIZES, True, thin)
    found = detect_shift(FragmentTable(tmp_path / "y"), genome)
    assert (found.plus, found.minus, found.lag) == (4, -5, None)


def test_thinned_ends_tell_the_same(tmp_path, sequence, genome, monkeypatch):
    monkeypatch.setattr(shift, "MOST_ENDS", 8_000)
    table = simulated(tmp_path / "x", sequence, (4, -5), paired=True)
    found = detect_shift(table, genome)
    assert (found.plus, found.minus) == (4, -5) and 0.4 < found.n / (2 * table.total) < 0.6


@pytest.mark.parametrize("number", [3_000, 12_000, 60_000])
def test_ends_without_preference_tell_nothing(tmp_path, sequence, genome, number):
    """Even where their distance is plain."""
    table = simulated(tmp_path / "x", sequence, (0, 0), paired=True, biased=False, number=number)
    found = detect_shift(table, genome)
    assert (found.plus, found.minus, found.lag) == (None, None, 8)
    assert found.words.startswith("not decided: the best guess is ") and found.agreement < 0.9


def test_a_contradicting_distance_is_doubt(tmp_path, sequence, genome, monkeypatch):
    monkeypatch.setattr(shift, "_standing_out", lambda _: 3)
    found = detect_shift(simulated(tmp_path / "x", sequence, (4, -4), paired=True), genome)
    assert (found.plus, found.minus) == (None, None)
    assert found.words.startswith("not decided: +4 and -4 (") and found.words.endswith(
        "distance of ends 3), expected 0"
    )


def test_few_ends_and_few_places_tell_nothing(tmp_path, sequence, genome):
    few = detect_shift(simulated(tmp_path / "x", sequence, (0, 0), paired=True, number=900), genome)
    assert (few.plus, few.minus) == (None, None)
    assert few.words.endswith(
        "positions of ends of one strand in 60 stretches of the genome, at least 1,000 in 10 are needed"
    )
    middles = np.array(insertions(sequence["a"][:30_000], 4_000, True, np.random.default_rng(0)))
    piece = Fragments.of(middles[:-50] - 4, middles[50:] + 5, np.zeros(len(middles) - 50))
    write_fragments(tmp_path / "y", SIZES, True, {"a": piece})
    assert "in 3 stretches" in detect_shift(FragmentTable(tmp_path / "y"), genome).words


def test_nothing_at_all(tmp_path, genome):
    write_fragments(tmp_path / "x", SIZES, True, {})
    assert detect_shift(FragmentTable(tmp_path / "x"), genome).n == 0


@pytest.mark.parametrize(
    ("counts", "lag"),
    [
        ({}, None),
        ({8: 24}, None),  # too few to tell from chance
        ({8: 25}, 8),
        ({-1: 60, 3: 30}, -1),
        ({-1: 60, 3: 31}, None),  # another one is nearly as high
    ],
)
def test_one_distance_must_stand_out(counts, lag):
    assert shift._standing_out(np.array([counts.get(distance, 0) for distance in range(-15, 16)])) == lag


def test_a_distance_must_stand_out_of_the_usual_number():
    usual = np.full(31, 400)
    assert shift._standing_out(usual + 99 * (np.arange(31) == 23)) is None
    assert shift._standing_out(usual + 100 * (np.arange(31) == 23)) == 8


@pytest.mark.parametrize("moved", SHIFTS)
def test_real_human_reads(tmp_path, test_data, moved):
    """6,128 reads (4,187 positions of 5' ends) of ATAC-seq on 9.9 Mb, aligned without a shift."""
    fasta = test_data / "hg19_chr1" / "genome" / "chr1_10MB.fasta.gz"
    build_genome(tmp_path / "g.zarr", name="g", genome=Genome(fasta=fasta, partial=True))
    genome, rows = GenomeReader(tmp_path / "g.zarr"), []
    with pysam.AlignmentFile(str(test_data / "hg19_chr1" / "reads" / "GL1.bam")) as file:
        for read in file.fetch("chr1", 0, genome.sizes["1"] - 200):
            if read.mapping_quality >= 30 and not read.flag & 1804:
                by = moved[read.is_reverse]
                rows.append((read.reference_start + by, read.reference_end + by, -1 if read.is_reverse else 1))
    write_fragments(tmp_path / "x", genome.sizes, False, {"1": Fragments.of(*np.array(rows).T)})
    found = detect_shift(FragmentTable(tmp_path / "x"), genome)
    assert (found.plus, found.minus, found.lag) == (*moved, 8 - moved[0] + moved[1])
    assert found.correlation > 0.9 and found.agreement == 1


@pytest.mark.parametrize("moved", SHIFTS)
def test_real_yeast_fragments(tmp_path, test_data, moved):
    yeast = test_data / "yeast_sacCer3"
    build_genome(tmp_path / "g.zarr", name="g", genome=Genome(fasta=yeast / "genome" / "sacCer3.fa.gz"))
    genome, rows = GenomeReader(tmp_path / "g.zarr"), {name: [] for name in ("chrI", "chrVI")}
    for _, block in line_blocks(yeast / "atac" / "yeast_500k_SRR1822137.bedpe.gz"):
        for line in block.decode().splitlines():
            name, start, end = line.split("\t")
            if name in rows and int(end) - int(start) > 20:
                rows[name].append((int(start) + moved[0], int(end) + moved[1], 0))
    pieces = {name: Fragments.of(*np.array(found).T) for name, found in rows.items()}
    write_fragments(tmp_path / "x", genome.sizes, True, pieces)
    found = detect_shift(FragmentTable(tmp_path / "x"), genome)
    assert (found.plus, found.minus, found.lag) == (*moved, 8 - moved[0] + moved[1])
    assert found.correlation > 0.9 and found.agreement == 1


def row(plus=None, minus=None, location="x.tsv.gz") -> Library:
    stated = {} if plus is None else {"prior_plus_shift": plus, "prior_minus_shift": minus}
    return Library(experiment="e", location=location, assay="ATAC-seq", format="fragments", **stated)


def result(plus, minus) -> Shift:
    return Shift(plus, minus, "not decided: few" if plus is None else f"found {plus:+d} and {minus:+d}", 9_000)


@pytest.mark.parametrize(
    ("stated", "detected", "prior", "how", "warning"),
    [
        ((None, None), (0, 0), (0, 0), "detected", ""),
        (
            (None, None),
            (None, None),
            (0, 0),
            "assumed",
            "x.tsv.gz: prior shift of cut sites not decided: few; taken as 0 (state it in the sheet)",
        ),
        ((4, -5), (4, -5), (4, -5), "stated", ""),
        ((4, -5), (None, None), (4, -5), "stated", ""),
        (
            (0, 0),
            (4, -4),
            (0, 0),
            "stated",
            "x.tsv.gz: the sheet states a prior shift of +0 and +0; found +4 and -4",
        ),
    ],
)
def test_prior_shift(caplog, stated, detected, prior, how, warning):
    with caplog.at_level(logging.WARNING, logger="seqmill"):
        found = prior_shift([row(*stated), row(*stated)], result(*detected))
    assert (found["prior_plus"], found["prior_minus"], found["how"]) == (*prior, how)
    assert (found["detected_plus"], found["detected_minus"]) == detected
    assert found["detected"] == result(*detected).words
    assert caplog.messages == ([warning] if warning else [])


@pytest.mark.parametrize(
    ("detected", "hint"),
    [
        ((4, -5), ""),
        ((4, -4), ""),
        ((1, 0), "; no usual shift: are its coordinates 1-based, or is it not from Tn5?"),
        ((8, -10), "; no usual shift: are its coordinates 1-based, or is it not from Tn5?"),
    ],
)
def test_a_prior_shift_that_the_sheet_does_not_state_is_refused(detected, hint):
    plus, minus = detected
    with pytest.raises(InputError) as caught:
        prior_shift([row()], result(*detected))
    assert str(caught.value) == (
        f"x.tsv.gz: prior shift {plus:+d}/{minus:+d} detected (found {plus:+d} and {minus:+d}){hint}; set "
        f"prior_plus_shift and prior_minus_shift to {plus} and {minus} (only the rest is shifted), or to 0 and 0 if "
        "it is not so"
    )


def test_runs_of_one_library_state_one_prior_shift():
    with pytest.raises(InputError, match=r"^y: prior shift is not that of x.tsv.gz, a run of the same library$"):
        prior_shift([row(4, -5), row(location="y")], result(4, -5))

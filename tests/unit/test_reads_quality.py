"""Metrics of quality on toy libraries with known answers."""

import gzip

import numpy as np
import pytest

from seqmill.formats.bigwig_out import write_bigwig
from seqmill.reads.agreement import agreement, bins_with_peaks, correlations
from seqmill.reads.fragment_sizes import size_counts, size_peaks, size_rows
from seqmill.reads.fragments import Fragments, FragmentTable, write_fragments
from seqmill.reads.frip import frip_rows, read_peaks, tags_in_peaks
from seqmill.reads.library_quality import complexity, library_rows
from seqmill.reads.quality_rows import row, wilson
from seqmill.reads.replicates import Replicate
from seqmill.reads.strand_quality import strand_rows
from seqmill.reads.tags import cut_positions, tag_spans
from seqmill.reads.tss import BINS, FLANK_BP, POSITIONS, enrichment, read_starts, start_profiles
from seqmill.runtime.errors import InputError


def table_of(path, sizes, paired, **contigs):
    """A table of fragments from contig=[(start, end, strand), ...]."""
    pieces = {name: Fragments.of(*np.array(rows).reshape(-1, 3).T) for name, rows in contigs.items()}
    write_fragments(path, sizes, paired, pieces)
    return FragmentTable(path)


def by_name(rows):
    return {(made["metric"], made["replicate"]): made for made in rows}


def values(rows):
    return {made["metric"]: made["value"] for made in rows}


def test_wilson_interval_of_a_textbook_case_and_at_the_ends():
    # Newcombe (1998) Stat Med 17:857, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    cases = [(81, 263), (15, 148), (0, 20), (1, 29)]
    published = [(0.2553, 0.3662), (0.0624, 0.1605), (0.0, 0.1611), (0.0061, 0.1718)]
    for (k, n), bounds in zip(cases, published):
        assert wilson(k, n) == pytest.approx(bounds, abs=5e-5)
    assert wilson(7, 7)[1] == 1.0 and wilson(0, 7)[0] == 0.0


def test_a_row_holds_plain_numbers_only():
    made = row("nrf", "1", np.float64(1 / 3), np.int64(9), (np.float64(0.1), float("inf")))
    assert made == {"metric": "nrf", "replicate": "1", "value": 0.33333333, "n": 9, "lower": 0.1, "upper": None}
    assert {type(value) for value in made.values()} == {str, float, int, type(None)}


def test_complexity_by_hand():
    # Places with 1, 1, 1, 1, 1, 1, 2, 2, 2, 5 fragments: M0 = 10, M1 = 6, M2 = 3, MT = 17.
    found = by_name(complexity("1", distinct=10, once=6, twice=3, before=17))
    assert found["nrf", "1"]["value"] == pytest.approx(10 / 17) and found["nrf", "1"]["n"] == 17
    assert found["pbc1", "1"]["value"] == pytest.approx(0.6) and found["pbc1", "1"]["n"] == 10
    assert found["pbc2", "1"]["value"] == 2.0
    lower, upper = wilson(6, 9)
    assert found["pbc2", "1"]["lower"] == pytest.approx(lower / (1 - lower))
    assert found["pbc2", "1"]["upper"] == pytest.approx(upper / (1 - upper))


def test_without_a_place_seen_twice_pbc2_is_a_lower_bound():
    found = by_name(complexity("1", distinct=8, once=8, twice=0, before=8))
    assert found["pbc2", "1"]["value"] == 8 and found["pbc2", "1"]["upper"] is None
    assert found["nrf", "1"]["value"] == found["pbc1", "1"]["value"] == 1


def test_rows_of_a_library_from_its_counts():
    counts = {
        "reads_raw": 1000, "reads_trimmed": 100, "reads": 900, "mapped": 800,
        "excluded_by_contig": {"chrM": 80, "lam": 5}, "duplicates": 60, "fragments_before_duplicates": 300,
        "distinct": 240, "once": 200, "twice": 30,
    }  # fmt: skip
    found = values(library_rows("2", counts, 240, False))
    assert found == {
        "depth": 240, "adapter_fraction": 0.1, "mapped_fraction": pytest.approx(8 / 9), "duplicate_fraction": 0.2,
        "mitochondrial_fraction": 0.1, "nrf": 0.8, "pbc1": pytest.approx(200 / 240), "pbc2": pytest.approx(200 / 30),
    }  # fmt: skip
    assert values(library_rows("1", {}, 5, True)) == {"depth": 5}
    # ENCODE's limits for DNase are of reads
    assert values(library_rows("1", {}, 5, True, "dnase")) == {"depth": 10}
    assert values(library_rows("1", {}, 5, False, "dnase")) == {"depth": 5}
    assert values(library_rows("2", counts, 240, True))["duplicate_fraction"] == 0.1
    assert by_name(library_rows("2", counts, 240, False))["mapped_fraction", "2"]["n"] == 900


@pytest.mark.parametrize("name", ["chrM", "MT", "M", "chrMT", "Mito", "chrmt"])
def test_the_mitochondrion_under_its_names(name):
    found = values(library_rows("1", {"mapped": 10, "excluded_by_contig": {name: 3, "phiX": 2}}, 5, True))
    assert found["mitochondrial_fraction"] == 0.3


def test_rows_of_a_fragment_file():
    counts = {
        "fragments": 95, "excluded_by_contig": {"chrM": 5}, "fragments_before_duplicates": 190, "distinct": 95,
        "once": 40, "twice": 20,
    }  # fmt: skip
    found = values(library_rows("1", counts, 95, True))
    assert found["duplicate_fraction"] == 0.5 and found["mitochondrial_fraction"] == 0.05
    assert "mapped_fraction" not in found and "adapter_fraction" not in found


def test_cut_sites_of_pairs_and_of_single_reads(tmp_path):
    rows = [(10, 30, 1), (50, 90, -1)]
    pairs = table_of(tmp_path / "pairs", {"a": 1000}, True, a=rows)
    reads = table_of(tmp_path / "reads", {"a": 1000}, False, a=rows)
    assert cut_positions(pairs.contig("a"), Replicate(1, pairs, 50, 4, -5)).tolist() == [14, 24, 54, 84]
    assert cut_positions(reads.contig("a"), Replicate(1, reads, 50, 4, -5)).tolist() == [14, 84]
    assert cut_positions(reads.contig("a"), Replicate(1, reads, 50)).tolist() == [10, 89]


def test_tags_are_reads_fragments_or_moved_reads(tmp_path):
    rows = [(10, 60, 1), (500, 550, -1)]
    tables = {paired: table_of(tmp_path / str(paired), {"a": 1000}, paired, a=rows) for paired in (True, False)}

    def spans(assay, paired, length, read_bp=50):
        replicate = Replicate(1, tables[paired], read_bp, 4, -5)
        return [side.tolist() for side in tag_spans(tables[paired].contig("a"), replicate, assay, 1000, length)]

    assert spans("atac", False, 200) == [[14, 500], [60, 545]]
    assert spans("atac", True, 200, 30) == [[14, 504, 30, 520], [40, 530, 55, 545]]
    assert spans("atac", True, 200, 0) == [[14, 504, 10, 500], [60, 550, 55, 545]]
    assert spans("chip", True, 200) == [[10, 500], [60, 550]]
    assert spans("chip", False, 199) == [[110, 400], [160, 450]]
    assert spans("chip", False, None) == [[10, 500], [60, 550]]


def write_peaks(path, rows):
    lines = [f"{contig}\t{start}\t{end}\tp\t0\t.\t5\t4\t3\t0\n" for contig, start, end in rows]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def test_frip_by_hand(tmp_path):
    table = table_of(
        tmp_path / "t", {"a": 1000, "b": 1000}, True, a=[(0, 100, 1), (100, 200, 1), (400, 500, -1)], b=[(0, 50, 1)]
    )
    peaks, number = read_peaks(write_peaks(tmp_path / "p.gz", [("a", 100, 150), ("a", 140, 160), ("a", 499, 600)]))
    assert number == 3 and [side.tolist() for side in peaks["a"]] == [[100, 499], [160, 600]]
    assert tags_in_peaks(Replicate(1, table, 10), peaks, "chip", None) == (2, 4)
    # reads of 10 bp: 0 90, 100 190, 400 490, 0 40: those from 100 and 490 share a base with a peak
    assert tags_in_peaks(Replicate(1, table, 10), peaks, "atac", None) == (2, 8)
    # 5' ends moved: 90-101 reaches the peak at 100, 490-501 still does, 105-110 too
    assert tags_in_peaks(Replicate(1, table, 10, 5, 1), peaks, "atac", None) == (3, 8)
    found = frip_rows({"1": (2, 8), "2": (0, 0)})
    assert [(made["replicate"], made["value"], made["n"]) for made in found] == [("1", 0.25, 8)]
    assert (found[0]["lower"], found[0]["upper"]) == pytest.approx(wilson(2, 8))


def test_no_peaks_is_no_crash(tmp_path):
    table = table_of(tmp_path / "t", {"a": 1000}, True, a=[(0, 100, 1)])
    assert read_peaks(write_peaks(tmp_path / "p.gz", [])) == ({}, 0)
    assert tags_in_peaks(Replicate(1, table, 10), {}, "chip", None) == (0, 1)
    assert values(frip_rows({"1": (0, 1)})) == {"frip": 0}


def test_lengths_of_fragments_and_their_fractions(tmp_path):
    lengths = [50, 149, 150, 151, 300, 301, 1000, 1001]
    table = table_of(tmp_path / "t", {"a": 5000}, True, a=[(7, 7 + length, 1) for length in lengths])
    counts, longer = size_counts(table)
    assert longer == 1 and len(counts) == 1001 and np.flatnonzero(counts).tolist() == lengths[:-1]
    found = values(size_rows(counts, longer, "1"))
    assert found == {"fragment_bp": 151, "nucleosome_free_fraction": 0.25, "mono_nucleosome_fraction": 0.25}
    assert size_rows(np.zeros(1001, np.int64), 0, "1") == []


def test_peaks_of_lengths_are_seen_where_they_are():
    at = np.arange(1001)
    ladder = {name: 1e5 * np.exp(-(((at - place) / 25) ** 2)) for name, place in (("free", 60), ("mono", 190))}
    assert size_peaks((ladder["free"] + ladder["mono"]).astype(np.int64)) == {
        "nucleosome_free": True, "mono_nucleosome": True, "di_nucleosome": False,
    }  # fmt: skip
    assert size_peaks(ladder["mono"].astype(np.int64))["nucleosome_free"] is False
    assert not any(size_peaks(np.zeros(1001, np.int64)).values())


def write_tss(path, rows):
    path.write_text("".join("\t".join(map(str, cells)) + "\n" for cells in rows))
    return path


def test_starts_of_genes_on_both_strands(tmp_path):
    path = write_tss(
        tmp_path / "tss.bed",
        [("1", 3000, 4000, "g", 0, "+"), ("1", 3000, 4000, "h", 0, "-"), ("1", 3999, 4000, "same", 0, "-"),
         ("1", 1999, 2000, "near", 0, "+"), ("1", 7000, 8001, "near", 0, "-"), ("1", 7000, 8000, "last", 0, "-"),
         ("1", 5000, 5001, "none", 0, "."), ("MT", 2500, 2600, "m", 0, "+"), ("other", 1, 2, "o", 0, "+")],
    )  # fmt: skip
    found = read_starts(path, {"chr1": 10000, "chrM": 9000}, partial=False, exclude={"chrM"})
    place, strand = found.by_contig["chr1"]
    assert list(zip(place.tolist(), strand.tolist())) == [(3000, 1), (3999, -1), (7999, -1)]
    assert found.total == 3 and list(found.by_contig) == ["chr1"]
    assert found.left_out == {
        "contigs not in the genome": 1, "on excluded contigs": 1, "without strand": 1,
        "within 2000 bp of the end of a contig": 2, "given more than once": 1,
    }  # fmt: skip


def test_starts_without_strand_are_refused(tmp_path):
    for cells in (("chr1", 3000, 3001), ("chr1", 3000, 3001, "g", 0, ".")):
        path = write_tss(tmp_path / "tss.bed", [cells])
        with pytest.raises(InputError) as caught:
            read_starts(path, {"chr1": 10000}, partial=False, exclude=set())
        assert str(caught.value) == (
            f"{path}: no strand (column 6 is missing or '.' everywhere): transcription starts need + or -, as BED6"
        )


def test_no_start_left_says_why(tmp_path):
    path = write_tss(tmp_path / "tss.bed", [("chr1", 100, 101, "g", 0, "+"), ("chrM", 3000, 3001, "g", 0, "+")])
    with pytest.raises(InputError) as caught:
        read_starts(path, {"chr1": 10000, "chrM": 9000}, partial=False, exclude={"chrM"})
    assert str(caught.value) == (
        f"{path}: 0 transcription starts left of 2: 1 within 2000 bp of the end of a contig; 1 on excluded contigs"
    )


def slow_profile(cuts, place, strand, read_bp):
    """Pile-up round one start, base by base."""
    out = np.zeros(BINS)
    for cut in cuts:
        for base in range(cut - read_bp // 2, cut - read_bp // 2 + read_bp):
            relative = (base - place) * strand
            if -FLANK_BP <= relative < FLANK_BP:
                out[(relative + FLANK_BP) // 10] += 0.1
    return out


@pytest.mark.parametrize("read_bp", [1, 50, 75])
def test_profiles_equal_those_made_base_by_base(read_bp):
    rng = np.random.default_rng(3)
    cuts = np.sort(rng.integers(0, 9000, 500))
    places, strands = np.array([2000, 3500, 6111]), np.array([1, -1, -1], np.int8)
    found = start_profiles(cuts, places, strands, read_bp)
    wanted = [slow_profile(cuts, place, strand, read_bp) for place, strand in zip(places, strands)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
    assert found.dtype == np.float32 and found.any()


def test_enrichment_of_planted_signal():
    # 100 starts, 1 cut in each bin of background; 7 in the bin 30 bp into the gene; reads of one base
    places, cuts = np.arange(100) * 10_000 + 5000, []
    strands = np.where(np.arange(100) % 3, 1, -1).astype(np.int8)
    for place, strand in zip(places, strands):
        relative = np.concatenate([np.arange(-2000, 2000, 10), np.full(6, 35)])
        cuts.append(place + strand * relative)
    profiles = start_profiles(np.sort(np.concatenate(cuts)), places, strands, 1)
    made, figure = enrichment(profiles, "1", 0)
    assert made["value"] == pytest.approx(7) and made["n"] == 100
    assert (made["lower"], made["upper"]) == pytest.approx((7, 7))
    best = int(np.argmax(figure["values"]))
    assert POSITIONS[best] == 34.5 and figure["at_start"] == pytest.approx(1) and figure["noise"] == pytest.approx(0.1)


def test_interval_of_enrichment_is_wider_with_fewer_starts_and_the_same_with_one_seed():
    rng = np.random.default_rng(0)

    def width(number):
        profiles = rng.poisson(np.r_[np.full(195, 2.0), np.full(10, 12.0), np.full(195, 2.0)], (number, 400))
        made, _ = enrichment(profiles.astype(np.float32), "1", 7)
        again, _ = enrichment(profiles.astype(np.float32), "1", 7)
        assert made == again and made["lower"] < made["value"] < made["upper"]
        return made["upper"] - made["lower"]

    assert width(40) > 2 * width(1000)


def test_enrichment_without_noise_is_not_measured():
    profiles = np.zeros((5, 400), np.float32)
    profiles[:, 200] = 3
    assert enrichment(profiles, "1", 0) == (None, {})


def single_reads(rng, size, length, read_bp, fragments, phantom=0):
    """Single reads at both ends of fragments that cluster at 40 sites, and reads of both strands at mappable bases.

    All of it lies in the first half: contigs with empty stretches are what keeps the lowest correlation above 0.
    """
    size //= 2
    sites = np.repeat(rng.integers(2000, size - 2000, 40), fragments // 40)
    start = sites + rng.integers(-20, 20, len(sites)) - length // 2
    forward = rng.random(len(start)) < 0.5
    rows = [(s, s + read_bp, 1) if f else (s + length - read_bp, s + length, -1) for s, f in zip(start, forward)]
    for place in rng.integers(2000, size - 2000, phantom).tolist():  # a mappable base: reads of both strands there
        rows += [(place, place + read_bp, 1), (place, place + read_bp, -1)]
    for strand in (1, -1):
        rows += [(place, place + read_bp, strand) for place in rng.integers(0, size - 100, size // 4).tolist()]
    return rows


def test_nsc_and_rsc_of_a_planted_fragment_length(tmp_path):
    rng = np.random.default_rng(5)
    rows = single_reads(rng, 60_000, 220, 36, 8000, phantom=600)
    table = table_of(tmp_path / "t", {"a": 60_000}, False, a=rows)
    found, figure, why = strand_rows(table, "1", 36)
    plus = np.zeros(60_001)
    minus = np.zeros(60_001)
    for start, end, strand in rows:
        (plus if strand > 0 else minus)[start if strand > 0 else end] += 1
    slow = np.array([np.corrcoef(plus[: 60_001 - s], minus[s:])[0, 1] for s in range(1501)])
    near = [slow[max(0, s - 2) : s + 3].mean() for s in range(1501)]
    length = figure["fragment_bp"]
    assert why == "" and abs(length - 220) <= 10
    named = values(found)
    assert named["fragment_bp"] == length
    assert named["nsc"] == pytest.approx(near[length] / min(near), rel=1e-6)
    assert named["rsc"] == pytest.approx((near[length] - min(near)) / (max(near[26:45]) - min(near)), rel=1e-6)
    assert figure["shifts"][:2] == [0, 1] and len(figure["values"]) == 1501


def test_strands_without_read_length_or_with_too_few_reads(tmp_path):
    reads = [(10_000 + 50 * i, 10_036 + 50 * i, 1 if i % 2 else -1) for i in range(800)]
    few = table_of(tmp_path / "few", {"a": 60_000}, False, a=reads)
    rows, _, why = strand_rows(few, "1", 36)
    assert "nsc" not in values(rows) and why == "too few reads: the lowest correlation of the strands is not above 0"
    planted = single_reads(np.random.default_rng(5), 60_000, 220, 36, 8000)
    table = table_of(tmp_path / "unknown", {"a": 60_000}, False, a=planted)
    rows, _, why = strand_rows(table, "1", 0)
    assert why == "the read length is not known" and {"nsc", "fragment_bp"} == set(values(rows))
    one = table_of(tmp_path / "one", {"a": 60_000}, False, a=[(100, 136, 1)])
    assert strand_rows(one, "1", 36) == ([], {}, "reads of both strands on a contig longer than 1500 bp are needed")


def signal(path, sizes, arrays):
    pieces = [(name, np.arange(len(v)) * 1000, np.arange(1, len(v) + 1) * 1000, v) for name, v in arrays.items()]
    write_bigwig(path, sizes, pieces)
    return path


def test_agreement_of_three_replicates(tmp_path):
    rng = np.random.default_rng(1)
    sizes = {"a": 60_000, "b": 40_000}
    one = rng.gamma(2, 2, 100).astype(np.float32)
    one[:20] = 0
    two = (one + rng.normal(0, 0.5, 100).astype(np.float32) * (one > 0)).astype(np.float32)
    three = rng.gamma(2, 2, 100).astype(np.float32)
    files = {
        name: signal(tmp_path / f"{name}.bw", sizes, {"a": v[:60], "b": v[60:]})
        for name, v in (("1", one), ("2", two), ("3", three))
    }
    peaks = {"a": (np.array([30_500]), np.array([45_000]))}
    rows, figure = agreement(files, sizes, peaks, 0)
    from scipy.stats import pearsonr, spearmanr

    wanted = {}
    for x, y, names in ((one, two, ("1", "2")), (one, three, ("1", "3")), (two, three, ("2", "3"))):
        used = (x != 0) | (y != 0)
        wanted[names] = (pearsonr(x[used], y[used])[0], spearmanr(x[used], y[used])[0], int(used.sum()))
    for a, b, pearson, spearman, number in figure["pairs"]:
        assert (pearson, spearman, number) == pytest.approx(wanted[a, b], abs=1e-6)
    assert [pair[:2] for pair in figure["pairs"]] == [["1", "2"], ["1", "3"], ["2", "3"]]
    low = min(wanted.values())
    assert values(rows)["replicate_pearson"] == pytest.approx(low[0], abs=1e-6)
    assert by_name(rows)["replicate_pearson", "pooled"]["n"] == low[2]
    assert values(rows)["replicate_spearman"] == pytest.approx(min(pair[1] for pair in wanted.values()), abs=1e-6)
    assert [pair[4] for pair in figure["pairs_in_peaks"]] == [15, 15, 15]
    assert len(figure["scatter"]["x"]) == wanted[tuple(figure["scatter"]["replicates"])][2]


def test_bins_that_hold_a_peak():
    peaks = {"a": (np.array([999, 2000]), np.array([1001, 3000]))}
    assert bins_with_peaks(peaks, {"a": 4500, "b": 1500}).tolist() == [True, True, True, False, False, False, False]


def test_correlation_of_what_does_not_vary_is_none():
    assert correlations(np.ones(20), np.arange(20)) is None
    assert correlations(np.arange(9), np.arange(9)) is None
    assert correlations(np.arange(20), np.arange(20) ** 3)[1] == 1

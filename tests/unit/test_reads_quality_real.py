"""Real yeast ATAC fragments (SRR1822137): enrichment at starts of genes, counted anew without this package."""

import gzip
from collections import Counter

import numpy as np
import pytest

from seqmill.reads.fragment_files import read_fragment_file
from seqmill.reads.fragment_sizes import size_counts, size_peaks, size_rows
from seqmill.reads.fragments import FragmentTable, write_fragments
from seqmill.reads.replicates import Replicate
from seqmill.reads.tags import cut_positions
from seqmill.reads.tss import POSITIONS, enrichment, read_starts, start_profiles


@pytest.fixture(scope="module")
def yeast(test_data, tmp_path_factory):
    folder = test_data / "yeast_sacCer3"
    fragments, starts = folder / "atac/yeast_500k_SRR1822137.bedpe.gz", folder / "annotation/TSSs.bed"
    sizes, name = {}, ""
    with gzip.open(folder / "genome/sacCer3.fa.gz", "rt") as handle:
        for line in handle:
            if line.startswith(">"):
                name = line[1:].split()[0]
                sizes[name] = 0
            else:
                sizes[name] += len(line.strip())
    path = tmp_path_factory.mktemp("yeast") / "fragments.parquet"
    pieces = read_fragment_file(fragments, sizes)[0]
    write_fragments(path, sizes, True, {contig: piece for contig, piece in pieces.items() if contig != "chrM"})
    return fragments, starts, sizes, Replicate(1, FragmentTable(path), 0, 4, -5)


def counted_anew(fragments, starts, sizes, read_bp, shift):
    """Mean pile-up round all starts by base, from the files themselves."""
    piles = {contig: np.zeros(size + 400) for contig, size in sizes.items()}
    lengths = Counter()
    with gzip.open(fragments, "rt") as handle:
        for line in handle:
            contig, start, end = line.split()[:3]
            if contig == "chrM":
                continue
            lengths[int(end) - int(start)] += 1
            for cut in (int(start) + shift[0], int(end) - 1 + shift[1]):
                first = 200 + cut - read_bp // 2
                piles[contig][first] += 1
                piles[contig][first + read_bp] -= 1
    piles = {contig: np.cumsum(pile)[200:-200] for contig, pile in piles.items()}
    total, number = np.zeros(4000), 0
    for line in starts.read_text().splitlines():
        contig, start, end, _, _, strand = line.split("\t")
        place, pile = (int(start) if strand == "+" else int(end) - 1), piles.get("chr" + contig)
        if pile is None or not 2000 <= place < len(pile) - 2000:
            continue
        window = pile[place - 2000 : place + 2000] if strand == "+" else pile[place + 2000 : place - 2000 : -1]
        total, number = total + window, number + 1
    return total.reshape(400, 10).mean(axis=1) / number, number, lengths


@pytest.mark.slow
def test_enrichment_of_yeast_at_starts_of_genes(yeast):
    fragments, starts, sizes, replicate = yeast
    found = read_starts(starts, sizes, partial=False, exclude={"chrM"})
    profiles = np.concatenate(
        [
            start_profiles(cut_positions(replicate.table.contig(contig), replicate), places, strands, 50)
            for contig, (places, strands) in found.by_contig.items()
        ]
    )
    made, figure = enrichment(profiles, "1", 0)
    mean, number, lengths = counted_anew(fragments, starts, sizes, 50, (4, -5))
    assert made["n"] == number == 6478
    noise = np.concatenate([mean[:10], mean[-10:]]).mean()
    np.testing.assert_allclose(figure["values"], mean / noise, rtol=1e-4)
    assert made["value"] == pytest.approx((mean / noise).max(), rel=1e-4) and 2 < made["value"] < 3
    # These are start codons: open promoters lie 100 to 250 bp upstream of them.
    assert -250 < POSITIONS[int(np.argmax(figure["values"]))] < -100
    assert found.left_out == {"within 2000 bp of the end of a contig": 38, "on excluded contigs": 18}
    counts, longer = size_counts(replicate.table)
    assert (counts.tolist(), longer) == (
        [lengths[length] for length in range(1001)],
        sum(n for length, n in lengths.items() if length > 1000),
    )
    shares = {row["metric"]: row["value"] for row in size_rows(counts, longer, "1")}
    total = sum(lengths.values())
    assert shares["nucleosome_free_fraction"] == pytest.approx(
        sum(n for length, n in lengths.items() if length < 150) / total
    )
    peaks = size_peaks(counts)
    assert peaks["nucleosome_free"] and peaks["mono_nucleosome"]

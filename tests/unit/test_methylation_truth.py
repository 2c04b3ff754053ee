"""Simulated bisulfite calls: rates, strands and conversion come back."""

import gzip

import numpy as np

from seqmill.formats.methylation import CallFile
from seqmill.genome.sequence import encode
from seqmill.simulate.methylation import simulate_methylation
from seqmill.simulate.reads import random_genome


def test_methylation_rates_strands_and_conversion_are_those_simulated(tmp_path):
    """Calls at both strands of each CpG, as Bismark writes them; the spike-in tells the conversion."""
    contigs = {**random_genome({"chr1": 120_000}, seed=21), "lambda": random_genome({"x": 40_000}, seed=22)["x"]}
    truth = simulate_methylation(contigs, seed=5, depth=15, conversion=0.99, spike_in="lambda")
    lines = []
    for name, found in truth.items():
        for row in range(len(found.place)):
            for strand in (0, 1):
                methylated, total = int(found.methylated[row, strand]), int(found.total[row, strand])
                if total:
                    at_1based = int(found.place[row]) + strand + 1
                    percent = 100 * methylated / total
                    lines.append(
                        f"{name}\t{at_1based}\t{at_1based}\t{percent:.6f}\t{methylated}\t{total - methylated}\n"
                    )
    path = tmp_path / "calls.cov.gz"
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    codes = {name: encode(text) for name, text in contigs.items()}

    def windows(contig: str, first: np.ndarray, width: int) -> np.ndarray:
        padded = np.pad(codes[contig], width, constant_values=4)
        return padded[first[:, None] + width + np.arange(width)]

    sizes = {name: len(text) for name, text in contigs.items()}
    with CallFile(path, sizes, windows=windows) as calls:
        for name, found in truth.items():
            seen = found.total.sum(axis=1) > 0
            merged = calls.contig(name)
            assert merged.position.tolist() == found.place[seen].tolist()
            assert merged.methylated.tolist() == found.methylated.sum(axis=1)[seen].tolist()
            assert merged.total.tolist() == found.total.sum(axis=1)[seen].tolist()
        chr1 = calls.contig("chr1")
        rate = truth["chr1"].rate[truth["chr1"].total.sum(axis=1) > 0]
        expected = rate + (1 - rate) * 0.01
        # within what 30 reads can tell: binomial, four standard errors of the mean over all CpGs
        noise = np.sqrt(expected * (1 - expected) / chr1.total)
        assert abs(np.mean(chr1.fraction - expected)) < 4 * np.sqrt(np.sum(noise**2)) / len(noise)
        assert np.mean(np.abs(chr1.fraction - expected) <= 2.5 * noise + 0.02) > 0.95
        methylated, reads, _ = calls.sums["lambda", "CG"]
        assert abs(1 - methylated / reads - 0.99) < 0.002

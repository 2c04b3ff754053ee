"""Mutagenesis against experiment: saturation mutagenesis of nine elements (Kircher 2019), and pairs of alleles.

The networks of hg38_mini and hg19_chr1 score every measured substitution of each element, and pairs of alleles (MAGGIE:
CTCF binding in GM12878, Shi 2016; H3K27ac QTL), by the workflow's `measured` (benchmarks/real/*_measured.yaml), beside
the k-mer baseline of the same data and matches of motifs. Networks that are not trained yet are trained first. No
sequence has a place on their genomes, so each is put into dinucleotide-shuffled backgrounds. The measurements come from
reporter assays in cell types that the networks were not trained on: weak agreement is expected.
"""

import sys

from common import write_result
from measured_runs import compared, line, options, rows_of

SETS = ["satmut", "ctcf", "h3k27ac"]


def main() -> None:
    arguments = options(__doc__)
    rows, means, count, took = [], {}, 0, {}
    for config in ("hg38_mini", "hg19_chr1"):
        readers, seconds = compared(config, SETS, arguments)
        took[config] = round(seconds)
        for name, reader in readers.items():
            rows += rows_of(reader, config, name)
        every = line(readers["satmut"], metric="pearson", element="all elements")
        means[config], count = round(float(every["value"]), 4), count + int(every["n"])
        print(f"{config}: mean r over elements {every['value']:+.3f} [{every['ci_low']:+.3f}, {every['ci_high']:+.3f}]")
        for name in SETS[1:]:
            share = line(readers[name], metric="sign")
            bounds = f"[{share['ci_low']:.3f}, {share['ci_high']:.3f}]"
            print(f"  {name}: {share['value']:.3f} of {share['n']} pairs agree {bounds}")
    if arguments.smoke:
        return
    write_result(
        "real_satmut", min(means.values()),
        "mean over nine elements of Pearson's r of predicted and measured effects, mean of tracks, of the worse model",
        "none: to be stated", count, rows, means=means, seconds=took,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

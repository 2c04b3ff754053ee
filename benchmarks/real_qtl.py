"""Variants against measurement: the dsQTL and H3K27ac QTL that lie on hg19_chr1, scored out of fold.

By the workflow's `measured` (benchmarks/real/hg19_chr1_measured.yaml), which trains the networks that are not there:
each variant is scored by the runs whose training and validation parts do not hold its window. Its score is the mean
over the 36 factors of logit(ALT) - logit(REF); it agrees if its sign is that of ALT_EFFECT, the measured direction.
Sizes are compared with those of sites of the 1000 Genomes Project, matched in GC and distance to genes.
"""

import sys

from common import write_result
from measured_runs import compared, line, options, rows_of

CONFIG, SETS = "hg19_chr1", ["dsqtl", "h3k27ac_qtl"]


def main() -> None:
    arguments = options(__doc__)
    readers, seconds = compared(CONFIG, SETS, arguments)
    rows, shares, count = [], [], 0
    for name, reader in readers.items():
        rows += rows_of(reader, CONFIG, name)
        sign, area = line(reader, metric="sign"), line(reader, metric="auroc")
        shares.append(float(sign["value"]))
        count += int(sign["n"])
        print(
            f"{name}: {sign['value']:.3f} of {sign['n']} signs agree [{sign['ci_low']:.3f}, {sign['ci_high']:.3f}], "
            f"p {sign['p']:.3g}; AUROC {area['value']:.3f} [{area['ci_low']:.3f}, {area['ci_high']:.3f}]"
        )
    if arguments.smoke:
        return
    write_result(
        "real_qtl", round(min(shares), 4), "share of variants whose sign agrees, of the worse set",
        "none: to be stated (0.5 is guessing)", count, rows, seconds=round(seconds),
        notes={name: reader.attrs["notes"] for name, reader in readers.items()},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
